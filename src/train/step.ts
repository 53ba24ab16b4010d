/**
 * One step of training as graph: what a batch gives forwards, gradients, the update of weights and of their average. It is recorded here and computed
 * by one program for each batch; with accumulation the last batch of a step carries the update in its program.
 */

import { batchTensors, type LoadedBatch } from '../data/index.js';
import type { AuxiliaryOutputs, Module } from '../nn/index.js';
import { buffer, noGrad, type Parameter, type Tensor, tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type Distillation, withTeacher } from './distillation.js';
import { applyLoss, type Loss, type Normalization, prepare, rowsOf } from './evaluate.js';

/** How a batch becomes a loss. */
export interface Objective {
  readonly loss: Loss;
  readonly normalize: Normalization | null;
  readonly distillation: Distillation | null;
}

/** What a batch gave: recorded, not yet computed. */
export interface Outcome {
  /** [N, classes] */
  readonly scores: Tensor;
  readonly loss: Tensor;
  /** How many pictures were right: their best class is their label, or, of mixed ones, the class with the largest share. */
  readonly correct: Tensor;
}

/** What callbacks see of a step before it is computed. */
export interface RecordedStep extends Outcome {
  /** Computes these tensors in the step's own program, so that reading them in `onStepEnd` costs no other. */
  compute(...tensors: Tensor[]): void;
}

export function forward(
  model: Module,
  batch: LoadedBatch,
  { loss: lossOf, normalize, distillation }: Objective,
): Outcome {
  const { inputs, labels, target } = batchTensors(batch);
  const outputs = model.forward(prepare(inputs, normalize)) as Tensor | AuxiliaryOutputs;
  const scores = rowsOf(outputs);
  const own = applyLoss(lossOf, outputs, target);
  const loss = distillation === null ? own : withTeacher(distillation, { loss: own, scores, inputs, normalize });
  const correct = noGrad(() => {
    const wanted = batch.targets === undefined ? labels : target.argmax(1);
    return scores.argmax(1).eq(wanted).sum();
  });
  return { scores, loss, correct };
}

/**
 * Gradients added up over the batches of a step, so that many small batches make the step of one large batch. Losses are means over their batch; each
 * counts by its pictures, a smaller last one less. Batch norms still see one small batch at a time.
 */
export class GradientSum {
  readonly #sums = new Map<Parameter, Tensor>();
  /** Those whose sum belongs to the step under way. */
  #begun = new Set<Parameter>();
  #count = 0;

  /** Forgets the step under way. */
  reset(): void {
    this.#begun.clear();
    this.#count = 0;
  }

  /** Gradients of the sum of the batch's losses go into the sums; the next realisation computes them. */
  add(parameters: readonly Parameter[], loss: Tensor, count: number): void {
    this.#count += count;
    loss.backward(tensor(count));
    noGrad(() => {
      for (const p of parameters) {
        if (p.grad === null) continue;
        this.#sumOf(p).assign(this.#total(p, p.grad));
        this.#begun.add(p);
        p.grad = null;
      }
    });
  }

  /** The last batch of the step: leaves in `grad` the gradients of the mean over all its pictures. */
  finish(parameters: readonly Parameter[], loss: Tensor, count: number): void {
    if (this.#count === 0) {
      loss.backward();
      return;
    }
    loss.backward(tensor(count));
    const share = tensor(1 / (this.#count + count));
    noGrad(() => {
      for (const p of parameters) {
        if (p.grad !== null) p.grad = this.#total(p, p.grad).mul(share);
        else if (this.#begun.has(p)) p.grad = this.#sumOf(p).mul(share);
      }
    });
    this.reset();
  }

  #total(p: Parameter, gradient: Tensor): Tensor {
    return this.#begun.has(p) ? this.#sumOf(p).add(gradient) : gradient;
  }

  #sumOf(p: Parameter): Tensor {
    let sum = this.#sums.get(p);
    if (sum === undefined) {
      sum = buffer(zeros(p.shape), { name: `${p.storage?.name ?? 'parameter'}.gradients` });
      this.#sums.set(p, sum);
    }
    return sum;
  }
}

/** @throws {ConfigError} unless `accumulate` is a number of batches. */
export function checkAccumulate(accumulate: number): number {
  if (Number.isInteger(accumulate) && accumulate >= 1) return accumulate;
  throw new ConfigError(`Trainer: accumulate is a number of batches from 1 up, not ${accumulate}`);
}

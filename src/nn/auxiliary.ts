/**
 * Auxiliary heads: classifiers in the middle of a deep network that bring gradients to its early layers while it trains, and are left out
 * afterwards. A network that has them returns `AuxiliaryOutputs` in training mode and its scores alone in evaluation mode; `totalLoss` makes
 * one loss of either, so that a training loop need not know which kind of network it trains.
 */

import { Tensor } from '../tensor/index.js';
import type { Module } from './module.js';

/** What a network with auxiliary heads returns while training. */
export interface AuxiliaryOutputs {
  /** The network's answer: what it returns alone in evaluation. */
  readonly logits: Tensor;
  /** What the heads in the middle say, by their names. */
  readonly auxiliary: Readonly<Record<string, Tensor>>;
  /** How much the loss of each of them counts beside that of the answer. */
  readonly auxiliaryWeight: number;
}

/** From outputs and labels to one number, smaller is better: a function such as `loss.nll`, or a module such as `nn.NLLLoss`. */
export type Loss = ((output: Tensor, target: Tensor) => Tensor) | Module;

/** The loss of the answer, and of the auxiliary heads as far as they count. */
export function totalLoss(loss: Loss, outputs: Tensor | AuxiliaryOutputs, target: Tensor): Tensor {
  const of = (output: Tensor): Tensor =>
    typeof loss === 'function' ? loss(output, target) : loss.forward(output, target);
  if (outputs instanceof Tensor) return of(outputs);
  const { logits, auxiliary, auxiliaryWeight } = outputs;
  return Object.values(auxiliary).reduce((sum, scores) => sum.add(of(scores).mul(auxiliaryWeight)), of(logits));
}

/** The network's answer among its outputs. */
export function answerOf(outputs: Tensor | AuxiliaryOutputs): Tensor {
  return outputs instanceof Tensor ? outputs : outputs.logits;
}

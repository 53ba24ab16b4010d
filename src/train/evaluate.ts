/** Measuring a model on labelled pictures, and asking it about others. Both leave the model's mode and the random numbers as they were. */

import { type Batch, batchTensors, DataLoader, type Dataset, normalizeTensor } from '../data/index.js';
import { type AuxiliaryOutputs, answerOf, inEvalMode, type Loss, type Module, totalLoss } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { ConfusionMatrix, countTopK, predictedClasses } from './metrics.js';

export type { Loss } from '../nn/index.js';

/** Mean and standard deviation of each channel, for pixels in 0 … 1. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface EvaluateOptions {
  /** Also averages this loss. */
  readonly loss?: Loss | null;
  readonly normalize?: Normalization | null;
  /** The k of top-k accuracy; reported when there are more classes than that. */
  readonly topK?: number;
  /** For data sets; loaders have their own. */
  readonly batchSize?: number;
  /** Called after each batch; `false` ends the evaluation early. */
  readonly onBatch?: (done: number, total: number) => boolean | undefined;
}

export interface Evaluation {
  /** Pictures looked at. */
  readonly count: number;
  /** Mean over all pictures; null without a loss. */
  readonly loss: number | null;
  readonly accuracy: number;
  /** null when there are no more classes than k. */
  readonly topK: { readonly k: number; readonly accuracy: number } | null;
  readonly confusion: ConfusionMatrix;
  /** False when it was ended early. */
  readonly complete: boolean;
  readonly seconds: number;
}

export async function evaluate(
  model: Module,
  data: DataLoader | Dataset,
  { loss = null, normalize = null, topK = 5, batchSize = 64, onBatch }: EvaluateOptions = {},
): Promise<Evaluation> {
  const loader = asLoader(data, { batchSize });
  const { classes } = loader.dataset;
  const start = performance.now();
  const confusion = new ConfusionMatrix(classes);
  let [count, lossSum, hits, complete] = [0, 0, 0, true];
  for await (const batch of loader.epoch(0)) {
    const { inputs, labels } = batchTensors(batch);
    const asked = inEvalMode(model, () => {
      const output = model.forward(prepare(inputs, normalize));
      checkOutput(output, classes.length);
      return loss === null ? [output] : [output, applyLoss(loss, output, labels)];
    });
    await realize(...asked);
    const scores = await asked[0].data();
    confusion.add(predictedClasses(scores, classes.length), batch.labels);
    hits += countTopK(scores, batch.labels, classes.length, topK);
    if (loss !== null) lossSum += (await asked[1].item()) * batch.labels.length;
    count += batch.labels.length;
    if (onBatch?.(count, loader.dataset.length) === false) {
      complete = count === loader.dataset.length;
      break;
    }
  }
  return {
    count,
    loss: loss === null ? null : lossSum / count,
    accuracy: confusion.accuracy,
    topK: topK < classes.length ? { k: topK, accuracy: hits / count } : null,
    confusion,
    complete,
    seconds: (performance.now() - start) / 1000,
  };
}

export interface Prediction {
  /** Position of the class among the model's outputs. */
  readonly index: number;
  readonly name: string;
  readonly probability: number;
}

/** The `top` likeliest classes of each picture, likeliest first. Outputs may be scores or logarithms of probabilities. */
export async function predict(
  model: Module,
  batch: Omit<Batch, 'labels'>,
  {
    classes,
    normalize = null,
    top = classes.length,
  }: { classes: readonly string[]; normalize?: Normalization | null; top?: number },
): Promise<Prediction[][]> {
  const { inputs } = batchTensors({ ...batch, labels: new Int32Array(batch.shape[0]) });
  const probabilities = await inEvalMode(model, () => {
    const output: Tensor = model.forward(prepare(inputs, normalize));
    checkOutput(output, classes.length);
    return output.softmax(1);
  }).data();
  return Array.from({ length: batch.shape[0] }, (_, row) =>
    Array.from(classes, (name, index) => ({ index, name, probability: probabilities[row * classes.length + index] }))
      .sort((a, b) => b.probability - a.probability || a.index - b.index)
      .slice(0, top),
  );
}

/** Samples as the model takes them: bytes become numbers in 0 … 1, then mean and deviation are taken out. Tokens stay what they are. */
export function prepare(inputs: Tensor, normalize: Normalization | null): Tensor {
  if (inputs.dtype === 'int32') return inputs;
  if (normalize !== null) return normalizeTensor(inputs, normalize.mean, normalize.std);
  return inputs.dtype === 'uint8' ? inputs.float().div(255) : inputs;
}

/** Of all heads, where the network has auxiliary ones. */
export function applyLoss(loss: Loss, outputs: Tensor | AuxiliaryOutputs, target: Tensor): Tensor {
  const value = totalLoss(loss, outputs, target);
  if (value.size === 1) return value;
  throw new ConfigError(
    `The loss has shape ${formatShape(value.shape)}; training needs one number: use reduction 'mean' or 'sum'.`,
  );
}

export function asLoader(
  data: DataLoader | Dataset,
  options: { batchSize?: number; shuffle?: boolean; seed?: number },
): DataLoader {
  return data instanceof DataLoader ? data : new DataLoader(data, options);
}

/** The scores among a model's outputs. @throws {ConfigError} for what cannot be counted picture by picture: classes of pixels, boxes. */
export function rowsOf(outputs: Tensor | AuxiliaryOutputs): Tensor {
  const scores: Tensor | undefined = answerOf(outputs);
  if (scores?.shape.length === 2) return scores;
  const given = scores === undefined ? `a record of ${Object.keys(outputs).join(', ')}` : formatShape(scores.shape);
  throw new ConfigError(
    `The model gives ${given}; Trainer, evaluate and predict take one row of scores for each picture, [N, classes]. ` +
      'A network that classifies pixels or finds boxes needs a loop of its own: the docstring of models.UNet shows one.',
  );
}

function checkOutput(output: Tensor, classes: number): void {
  if (rowsOf(output).shape[1] === classes) return;
  throw new ConfigError(
    `The model gives ${formatShape(output.shape)}; for the ${classes} classes of the data it should give [N, ${classes}].`,
  );
}

/** Measuring a model on labelled pictures, and asking it about others. Both leave the model's mode and the random numbers as they were. */

import { type Batch, batchTensors, DataLoader, type Dataset, normalizeTensor } from '../data/index.js';
import { type AuxiliaryOutputs, answerOf, inEvalMode, type Loss, type Module, totalLoss } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { type Calibration, calibration } from './calibration.js';
import { ConfusionMatrix, countTopK, predictedClasses, probabilitiesOf } from './metrics.js';
import { type RocAuc, rocAuc } from './roc-auc.js';
import { SampleResults } from './sample-results.js';

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
  /** Test-time augmentation: several views of a batch, such as it and its mirror image. Their probabilities are averaged. */
  readonly views?: Views;
  /** Also keeps the probabilities of all classes for each picture: 8 bytes each. */
  readonly probabilities?: boolean;
  /** Called after each batch; `false` ends the evaluation early. */
  readonly onBatch?: (done: number, total: number) => boolean | undefined;
}

/** Samples in the order of the batch's, each set with as many. */
export type Views = (batch: Batch) => readonly Batch[] | Promise<readonly Batch[]>;

export interface Evaluation {
  /** Pictures looked at. */
  readonly count: number;
  /** Mean over all pictures; null without a loss. */
  readonly loss: number | null;
  readonly accuracy: number;
  /** null when there are no more classes than k. */
  readonly topK: { readonly k: number; readonly accuracy: number } | null;
  readonly confusion: ConfusionMatrix;
  readonly calibration: Calibration;
  /** One class against the rest; null where there are too many classes or pictures to keep all their probabilities (4 million). */
  readonly rocAuc: RocAuc | null;
  /** What was said about each picture. */
  readonly samples: SampleResults;
  /** [N, classes] in the order of `samples`, when asked for. */
  readonly probabilities: Float64Array | null;
  /** False when it was ended early. */
  readonly complete: boolean;
  readonly seconds: number;
}

export async function evaluate(
  model: Module,
  data: DataLoader | Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { loss = null, topK = 5, batchSize = 64, probabilities: keepAll = false, onBatch } = options;
  const loader = asLoader(data, { batchSize });
  const { classes, length } = loader.dataset;
  const start = performance.now();
  const confusion = new ConfusionMatrix(classes);
  const samples = new SampleResults(length);
  const ranksAll = classes.length <= mostRankedClasses && length * classes.length <= mostRankedValues;
  const kept = keepAll || ranksAll ? new Float64Array(length * classes.length) : null;
  let [count, lossSum, hits, complete] = [0, 0, 0, true];
  for await (const batch of loader.epoch(0)) {
    const { scores, lossValue } = await measure(model, batch, classes.length, options);
    const predicted = predictedClasses(scores, classes.length);
    const probabilities = probabilitiesOf(scores, classes.length);
    confusion.add(predicted, batch.labels);
    hits += countTopK(scores, batch.labels, classes.length, topK);
    lossSum += lossValue * batch.labels.length;
    for (const [i, actual] of batch.labels.entries()) {
      const row = probabilities.subarray(i * classes.length, (i + 1) * classes.length);
      samples.add({
        index: batch.indices[i],
        actual,
        predicted: predicted[i],
        confidence: row[predicted[i]],
        probability: row[actual],
      });
    }
    kept?.set(probabilities, count * classes.length);
    count += batch.labels.length;
    if (onBatch?.(count, length) === false) {
      complete = count === length;
      break;
    }
  }
  const all = kept === null ? null : kept.subarray(0, count * classes.length);
  const labels = Int32Array.from(samples, ({ actual }) => actual);
  const right = Array.from(samples, ({ actual, predicted }) => actual === predicted);
  return {
    count,
    loss: loss === null ? null : lossSum / count,
    accuracy: confusion.accuracy,
    topK: topK < classes.length ? { k: topK, accuracy: hits / count } : null,
    confusion,
    calibration: calibration(samples.confidences(), right),
    rocAuc: ranksAll && all !== null ? rocAuc(all, labels, classes.length) : null,
    samples,
    probabilities: keepAll ? all : null,
    complete,
    seconds: (performance.now() - start) / 1000,
  };
}

const mostRankedClasses = 100;
const mostRankedValues = 1 << 22;

/** Scores of a batch, and its mean loss. Of several views, the scores are the logarithms of their mean probabilities. */
async function measure(
  model: Module,
  batch: Batch,
  classes: number,
  { loss = null, normalize = null, views }: EvaluateOptions,
): Promise<{ scores: ArrayLike<number>; lossValue: number }> {
  const seen = views === undefined ? [batch] : await views(batch);
  if (seen.length === 0) throw new ConfigError('evaluate: views gave no batch; at least one is needed');
  const { labels } = batchTensors(batch);
  const asked = inEvalMode(model, () => {
    const outputs = seen.map((view) => {
      const output: Tensor = model.forward(prepare(batchTensors(view).inputs, normalize));
      checkOutput(output, classes);
      return output;
    });
    const scores = outputs.length === 1 ? outputs[0] : logMeanProbability(outputs.map(rowsOf));
    return loss === null ? [scores] : [scores, applyLoss(loss, scores, labels)];
  });
  await realize(...asked);
  return { scores: await asked[0].data(), lossValue: loss === null ? 0 : await asked[1].item() };
}

/** Whatever the loss takes, scores or logarithms of probabilities: these are both. */
function logMeanProbability(outputs: readonly Tensor[]): Tensor {
  const sum = outputs.map((output) => output.softmax(1)).reduce((a, b) => a.add(b));
  return sum.div(outputs.length).clamp(smallestNormal, 1).log();
}

const smallestNormal = 2 ** -126; // a probability of 0 would make the loss infinite

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

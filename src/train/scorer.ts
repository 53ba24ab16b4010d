/**
 * The probabilities of pictures, for those who ask again and again: a server, a page. The model is compiled once for each number of pictures at once,
 * and what follows from its weights alone is computed then, so that a call costs what its arithmetic costs.
 */

import { normalizeTensor } from '../data/index.js';
import { foldBatchNorm, inEvalMode, type Module } from '../nn/index.js';
import { type CompiledFunction, compile, fromOwned, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, type Shape } from '../util/shape.js';
import { type Normalization, type Prediction, rowsOf } from './evaluate.js';

export interface Scorer {
  readonly classes: readonly string[];
  /**
   * Bytes of some pictures, one behind the other, [N, C, H, W] → probabilities [N, classes]. Leave the bytes as they are until the promise resolves.
   * Each new N is compiled first.
   */
  score(inputs: Uint8Array): Promise<Float32Array>;
  /** Gives back the memory of what was compiled for so many pictures at once. */
  drop(count: number): void;
}

/** Puts the model into evaluation mode and folds its batch norms: give it one that nobody trains on. */
export function scorer(
  model: Module,
  {
    classes,
    inputShape,
    normalize,
  }: { classes: readonly string[]; inputShape: Shape; normalize: Normalization | null },
): Scorer {
  foldBatchNorm(model, inputShape);
  const size = inputShape.reduce((a, b) => a * b, 1);
  const probabilities = (inputs: Tensor): Tensor =>
    inEvalMode(model, () => {
      const pictures = normalize === null ? inputs : normalizeTensor(inputs, normalize.mean, normalize.std);
      const scores = rowsOf(model.forward(pictures));
      if (scores.shape[1] === classes.length) return scores.softmax(1);
      throw new ConfigError(`The model gives ${formatShape(scores.shape)}; there are ${classes.length} classes.`);
    });
  const compiled = new Map<number, CompiledFunction<[Tensor], Tensor>>();
  return {
    classes,
    score: async (inputs) => {
      const count = inputs.length / size;
      const run = compiled.get(count) ?? compile(probabilities);
      compiled.set(count, run);
      const output = await run(fromOwned(inputs, [count, ...inputShape], 'uint8'));
      return (await output.data()) as Float32Array;
    },
    drop: (count) => compiled.delete(count),
  };
}

/** The `count` likeliest classes of a row of probabilities, likeliest first; of equals the first. */
export function likeliest(probabilities: Float32Array, classes: readonly string[], count: number): Prediction[] {
  const found: number[] = []; // positions, kept in order
  for (let index = 0; index < probabilities.length; index++) {
    const p = probabilities[index];
    if (found.length === count && !(p > probabilities[found[count - 1]])) continue;
    let at = found.length;
    while (at > 0 && probabilities[found[at - 1]] < p) at--;
    found.splice(at, 0, index);
    if (found.length > count) found.pop();
  }
  return found.map((index) => ({ index, name: classes[index], probability: probabilities[index] }));
}

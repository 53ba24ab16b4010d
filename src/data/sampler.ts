/**
 * Which samples an epoch takes, where classes are not alike in number: a sampler draws rare ones more often, class weights make their mistakes
 * cost more. The order of an epoch follows from (seed, epoch) alone, as that of a shuffle does, so that a loader can begin at any batch.
 */

import { ConfigError } from '../util/errors.js';
import { philoxFill } from '../util/philox.js';

/** Decides the samples of an epoch and their order. */
export interface Sampler {
  /** Samples in an epoch. */
  readonly length: number;
  /** Their indices. Equal keys, equal order. */
  order(key: { seed: number; epoch: number }): Int32Array;
}

export interface WeightedSamplerOptions {
  /** Samples in an epoch; left out, as many as there are weights. */
  readonly numSamples?: number;
  /** Whether a sample may come several times in an epoch. */
  readonly replacement?: boolean;
}

/**
 * Draws sample i with a probability in proportion to `weights[i]`, one draw independent of the next (PyTorch's WeightedRandomSampler); or without
 * replacement, each draw among those that are left (Efraimidis and Spirakis 2006).
 */
export class WeightedSampler implements Sampler {
  readonly length: number;
  readonly #weights: Float64Array;
  readonly #replacement: boolean;

  /** @throws {ConfigError} for weights that are negative or all 0, and for more samples than there are to draw from. */
  constructor(
    weights: ArrayLike<number>,
    { numSamples = weights.length, replacement = true }: WeightedSamplerOptions = {},
  ) {
    this.#weights = Float64Array.from(weights);
    const bad = this.#weights.findIndex((w) => !(w >= 0 && w < Infinity));
    if (bad >= 0) throw new ConfigError(`WeightedSampler: weights are not negative; weight ${bad} is ${weights[bad]}`);
    const able = this.#weights.reduce((count, w) => count + (w > 0 ? 1 : 0), 0);
    if (able === 0) throw new ConfigError('WeightedSampler: at least one weight must be above 0');
    if (!(Number.isInteger(numSamples) && numSamples >= 1)) {
      throw new ConfigError(`WeightedSampler: numSamples is a whole number from 1 up, not ${numSamples}`);
    }
    if (!replacement && numSamples > able) {
      throw new ConfigError(
        `WeightedSampler: without replacement there are ${able} samples to draw (those with a weight above 0), not ${numSamples}`,
      );
    }
    this.length = numSamples;
    this.#replacement = replacement;
  }

  order({ seed, epoch }: { seed: number; epoch: number }): Int32Array {
    return this.#replacement ? this.#drawEach(seed, epoch) : this.#drawOnce(seed, epoch);
  }

  /** Where a uniform number falls among the running sums of the weights. */
  #drawEach(seed: number, epoch: number): Int32Array {
    const sums = this.#weights.slice();
    for (let i = 1; i < sums.length; i++) sums[i] += sums[i - 1];
    const total = sums[sums.length - 1];
    return Int32Array.from(uniforms(this.length, seed, epoch), (u) => firstAbove(sums, u * total));
  }

  /** Arrival times with rates `weights`: the first ones to come. */
  #drawOnce(seed: number, epoch: number): Int32Array {
    const times = uniforms(this.#weights.length, seed, epoch);
    for (let i = 0; i < times.length; i++) times[i] = -Math.log1p(-times[i]) / this.#weights[i];
    const order = Int32Array.from(times.keys()).filter((i) => this.#weights[i] > 0);
    return order.sort((a, b) => times[a] - times[b] || a - b).subarray(0, this.length);
  }
}

/** Draws every class equally often, and the samples of a class alike. */
export function balancedSampler(labels: ArrayLike<number>, options: WeightedSamplerOptions = {}): WeightedSampler {
  const counts = countLabels(labels);
  return new WeightedSampler(
    Array.from(labels, (label) => 1 / counts[label]),
    options,
  );
}

/**
 * A weight for each class, for the loss: 'balanced' gives n / (k · count), k being the number of classes that occur, so that a sample weighs 1 on average
 * (scikit-learn's compute_class_weight). A class that does not occur has weight 0. `classes`: how many there are, where the last ones may not occur.
 */
export function classWeights(
  labels: ArrayLike<number>,
  kind: 'balanced' = 'balanced',
  { classes = 0 } = {},
): Float32Array {
  if (kind !== 'balanced') throw new ConfigError(`classWeights: there is 'balanced', not '${kind satisfies never}'`);
  const counts = countLabels(labels, classes);
  const present = counts.reduce((k, count) => k + (count > 0 ? 1 : 0), 0);
  return Float32Array.from(counts, (count) => (count === 0 ? 0 : labels.length / (present * count)));
}

function countLabels(labels: ArrayLike<number>, classes = 0): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (!(Number.isInteger(label) && label >= 0)) throw new ConfigError(`label ${label} of sample ${i} is no class`);
    while (counts.length <= label) counts.push(0);
    counts[label]++;
  }
  return counts;
}

/** Numbers in [0, 1) of 53 bits. */
function uniforms(count: number, seed: number, epoch: number): Float64Array {
  const words = new Int32Array(2 * count);
  philoxFill(words, [seed | 0, Math.floor(seed / 2 ** 32) | 0, tag, epoch]);
  return Float64Array.from(
    { length: count },
    (_, i) => ((words[2 * i] >>> 5) * 2 ** 26 + (words[2 * i + 1] >>> 6)) / 2 ** 53,
  );
}

/** The first position whose sum is above `x`: one with a weight above 0. */
function firstAbove(sums: Float64Array, x: number): number {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle] > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** "smpl": keeps these draws apart from those that shuffle, augment and drop out under the same seed. */
const tag = 0x736d706c;

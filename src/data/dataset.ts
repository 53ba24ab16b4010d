/**
 * Labelled samples, as a trainer sees them: so many, of one shape, in named classes, handed out in batches by index. A sample is a picture [C, H, W], a
 * clip or volume [C, D, H, W], a signal [C, L] or a text [L] of tokens. Here are the data set that lies in memory, the part of another one, and the
 * ways to cut one up.
 */

import { ConfigError } from '../util/errors.js';
import { formatShape, numel } from '../util/shape.js';
import { permutation, shuffled } from './shuffle.js';

/** Bytes as they were stored, float32 once a transform made numbers of them, int32 for tokens. */
export type Samples = Uint8Array | Float32Array | Int32Array;

/** Samples [N, …] (pictures are [N, C, H, W]) with their labels [N]. */
export interface Batch {
  readonly inputs: Samples;
  readonly shape: readonly number[];
  readonly labels: Int32Array;
  /** Shares of each class [N, classes], where samples were mixed (MixUp, CutMix): the loss takes these in place of the labels. */
  readonly targets?: Float32Array;
}

/** Which batch of which epoch it is: random transforms draw from (seed, epoch, sample), so that a resumed run repeats them exactly. */
export interface TransformContext {
  readonly seed: number;
  readonly epoch: number;
  readonly batch: number;
  /** Which samples of the data set are in the batch. */
  readonly indices: Int32Array;
  /** How many there are in the data set: for targets that MixUp makes of labels. */
  readonly classes?: number;
}

export interface Dataset {
  readonly length: number;
  readonly classes: readonly string[];
  /** Of one sample: [C, H, W] of pictures. */
  readonly shape: readonly number[];
  /** The class of every sample; known without decoding any. */
  readonly labels: Int32Array;
  /**
   * The samples with these indices, in this order. Decoding from disk takes a Promise, memory does not. A data set that augments does so by `context`;
   * without one it hands samples out as prediction would see them.
   */
  batch(indices: ArrayLike<number>, context?: TransformContext): Batch | Promise<Batch>;
}

/** Samples in memory, one after the other: pictures as bytes [N, C, H, W], signals as floats [N, C, L], texts as tokens [N, L]. */
export class ArrayDataset implements Dataset {
  readonly length: number;
  readonly labels: Int32Array;
  readonly inputs: Samples;
  readonly shape: readonly number[];
  readonly classes: readonly string[];

  /** @throws {ConfigError} if sizes do not fit or a label names no class. */
  constructor({
    inputs,
    labels,
    shape,
    classes,
  }: {
    inputs: Samples;
    labels: ArrayLike<number>;
    /** Of one sample. */
    shape: readonly number[];
    classes: readonly string[];
  }) {
    const size = numel(shape);
    if (inputs.length !== labels.length * size) {
      throw new ConfigError(
        `ArrayDataset: ${labels.length} labels and samples of ${formatShape(shape)} ask for ${labels.length * size} values, inputs has ${inputs.length}`,
      );
    }
    for (let i = 0; i < labels.length; i++) {
      if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes.length) {
        throw new ConfigError(
          `ArrayDataset: label ${labels[i]} of sample ${i} names no class: there are ${classes.length}, 0 … ${classes.length - 1}`,
        );
      }
    }
    this.inputs = inputs;
    this.labels = Int32Array.from(labels);
    this.shape = shape;
    this.classes = classes;
    this.length = labels.length;
  }

  batch(indices: ArrayLike<number>): Batch {
    const size = numel(this.shape);
    const inputs = emptyLike(this.inputs, indices.length * size);
    const labels = new Int32Array(indices.length);
    for (let k = 0; k < indices.length; k++) {
      const i = checkIndex(indices[k], this.length);
      inputs.set(this.inputs.subarray(i * size, (i + 1) * size), k * size);
      labels[k] = this.labels[i];
    }
    return { inputs, labels, shape: [indices.length, ...this.shape] };
  }
}

/** Some of the samples of another data set, in the order of `indices`. */
export class Subset implements Dataset {
  readonly length: number;
  readonly labels: Int32Array;

  constructor(
    readonly dataset: Dataset,
    readonly indices: ArrayLike<number>,
  ) {
    this.length = indices.length;
    this.labels = Int32Array.from(indices, (i) => dataset.labels[checkIndex(i, dataset.length)]);
  }

  get classes(): readonly string[] {
    return this.dataset.classes;
  }

  get shape(): readonly number[] {
    return this.dataset.shape;
  }

  batch(indices: ArrayLike<number>, context?: TransformContext): Batch | Promise<Batch> {
    const own = Int32Array.from(indices, (i) => this.indices[checkIndex(i, this.length)]);
    return this.dataset.batch(own, context);
  }
}

/** The first `count` samples: for a quick try. */
export function take(dataset: Dataset, count: number): Subset {
  return new Subset(
    dataset,
    Int32Array.from({ length: Math.min(count, dataset.length) }, (_, i) => i),
  );
}

/**
 * Cuts a data set into disjoint parts at random, the same for the same seed: `split(d, [0.9, 0.1])`. Fractions must add up to at most 1;
 * when they make 1, no sample is left out. `stratified` gives every part each class in the same proportion, to within one sample.
 * @throws {ConfigError}
 */
export function split(
  dataset: Dataset,
  fractions: readonly number[],
  { seed = 0, stratified = false }: { seed?: number; stratified?: boolean } = {},
): Subset[] {
  const total = fractions.reduce((sum, f) => sum + f, 0);
  if (fractions.some((f) => !(f >= 0)) || total > 1 + 1e-9) {
    throw new ConfigError(
      `split: fractions are not negative and add up to at most 1; [${fractions.join(', ')}] make ${total}`,
    );
  }
  const order = permutation(dataset.length, { seed, stream: 1 }); // stream 0 is the loaders'
  if (!stratified) return cut(order, fractions).map((indices) => new Subset(dataset, indices));

  const byClass = dataset.classes.map(() => [] as number[]);
  for (const i of order) byClass[dataset.labels[i]].push(i);
  const parts = fractions.map(() => [] as number[]);
  for (const indices of byClass) {
    for (const [p, piece] of cut(indices, fractions).entries()) parts[p].push(...piece);
  }
  return parts.map((indices, p) => new Subset(dataset, shuffled(Int32Array.from(indices), { seed, stream: p + 2 })));
}

/** Cuts at the rounded running sums, so that pieces neither overlap nor lose an element between them. */
function cut(indices: ArrayLike<number>, fractions: readonly number[]): Int32Array[] {
  const all = Int32Array.from(indices);
  let sum = 0;
  let from = 0;
  return fractions.map((fraction) => {
    sum += fraction;
    const to = Math.min(all.length, Math.round(sum * all.length));
    const piece = all.subarray(from, to);
    from = to;
    return piece;
  });
}

function emptyLike(inputs: Samples, length: number): Samples {
  if (inputs instanceof Uint8Array) return new Uint8Array(length);
  return inputs instanceof Float32Array ? new Float32Array(length) : new Int32Array(length);
}

function checkIndex(i: number, length: number): number {
  if (!Number.isInteger(i) || i < 0 || i >= length) {
    throw new ConfigError(`dataset: there is no sample ${i}: it has ${length}, 0 … ${length - 1}`);
  }
  return i;
}

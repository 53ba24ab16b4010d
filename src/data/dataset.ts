/**
 * Labelled pictures, as a trainer sees them: so many, of one shape, in named classes, handed out in batches by index.
 * Here are the data set that lies in memory, the part of another one, and the ways to cut one up.
 */

import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { permutation, shuffled } from './shuffle.js';

/** Pictures [N, C, H, W] with their labels [N]. Bytes as they were stored, float32 once a transform made numbers of them. */
export interface Batch {
  readonly images: Uint8Array | Float32Array;
  readonly shape: readonly [count: number, channels: number, height: number, width: number];
  readonly labels: Int32Array;
}

export interface Dataset {
  readonly length: number;
  readonly classes: readonly string[];
  /** Of one picture. */
  readonly shape: readonly [channels: number, height: number, width: number];
  /** The class of every picture; known without decoding any. */
  readonly labels: Int32Array;
  /** The pictures with these indices, in this order. Decoding from disk takes a Promise, memory does not. */
  batch(indices: ArrayLike<number>): Batch | Promise<Batch>;
}

/** Pictures in memory, one after the other as bytes [N, C, H, W]. */
export class ArrayDataset implements Dataset {
  readonly length: number;
  readonly labels: Int32Array;
  readonly images: Uint8Array;
  readonly shape: readonly [number, number, number];
  readonly classes: readonly string[];

  /** @throws {ConfigError} if sizes do not fit or a label names no class. */
  constructor({
    images,
    labels,
    shape,
    classes,
  }: {
    images: Uint8Array;
    labels: ArrayLike<number>;
    shape: readonly [number, number, number];
    classes: readonly string[];
  }) {
    const size = shape[0] * shape[1] * shape[2];
    if (images.length !== labels.length * size) {
      throw new ConfigError(
        `ArrayDataset: ${labels.length} labels and pictures of ${formatShape(shape)} ask for ${labels.length * size} bytes, images has ${images.length}`,
      );
    }
    for (let i = 0; i < labels.length; i++) {
      if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes.length) {
        throw new ConfigError(
          `ArrayDataset: label ${labels[i]} of picture ${i} names no class: there are ${classes.length}, 0 … ${classes.length - 1}`,
        );
      }
    }
    this.images = images;
    this.labels = Int32Array.from(labels);
    this.shape = shape;
    this.classes = classes;
    this.length = labels.length;
  }

  batch(indices: ArrayLike<number>): Batch {
    const size = this.shape[0] * this.shape[1] * this.shape[2];
    const images = new Uint8Array(indices.length * size);
    const labels = new Int32Array(indices.length);
    for (let k = 0; k < indices.length; k++) {
      const i = checkIndex(indices[k], this.length);
      images.set(this.images.subarray(i * size, (i + 1) * size), k * size);
      labels[k] = this.labels[i];
    }
    return { images, labels, shape: [indices.length, ...this.shape] };
  }
}

/** Some of the pictures of another data set, in the order of `indices`. */
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

  get shape(): readonly [number, number, number] {
    return this.dataset.shape;
  }

  batch(indices: ArrayLike<number>): Batch | Promise<Batch> {
    return this.dataset.batch(Int32Array.from(indices, (i) => this.indices[checkIndex(i, this.length)]));
  }
}

/** The first `count` pictures: for a quick try. */
export function take(dataset: Dataset, count: number): Subset {
  return new Subset(
    dataset,
    Int32Array.from({ length: Math.min(count, dataset.length) }, (_, i) => i),
  );
}

/**
 * Cuts a data set into disjoint parts at random, the same for the same seed: `split(d, [0.9, 0.1])`. Fractions must add up to at most 1;
 * when they make 1, no picture is left out. `stratified` gives every part each class in the same proportion, to within one picture.
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

function checkIndex(i: number, length: number): number {
  if (!Number.isInteger(i) || i < 0 || i >= length) {
    throw new ConfigError(`dataset: there is no picture ${i}: it has ${length}, 0 … ${length - 1}`);
  }
  return i;
}

/** Functions that combine the elements along axes. Axes count from either end; left out, all elements are combined into one. */

import * as ops from '../ops/elementwise.js';
import { gather } from '../ops/indexing.js';
import { reshape } from '../ops/movement.js';
import * as reductions from '../ops/reduce.js';
import { axisOf } from '../ops/shape-error.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

export type Axes = number | readonly number[];

export interface KeepDims {
  /** Keep the reduced axes, with size 1. */
  keepDims?: boolean;
}

/** Values and where they stood. */
export interface ValuesAndIndices {
  readonly values: Tensor;
  readonly indices: Tensor;
}

export function sum(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.sum(node(x), axes ?? undefined, keepDims));
}

export function mean(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.mean(node(x), axes ?? undefined, keepDims));
}

export interface VarianceOptions extends KeepDims {
  /** Subtracted from the number of elements: 1 (the default, as in PyTorch) for a sample, 0 for the whole. */
  correction?: number;
}

export function variance(x: TensorLike, axes?: Axes | null, options: VarianceOptions = {}): Tensor {
  return new Tensor(reductions.variance(node(x), axes ?? undefined, options));
}

/** The square root of the variance. */
export function std(x: TensorLike, axes?: Axes | null, options: VarianceOptions = {}): Tensor {
  return new Tensor(ops.sqrt(reductions.variance(node(x), axes ?? undefined, options)));
}

export function prod(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.prod(node(x), axes ?? undefined, keepDims));
}

/** The largest along `axes`; equal ones share the gradient. */
export function amax(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.max(node(x), axes ?? undefined, keepDims));
}

/** The smallest along `axes`; equal ones share the gradient. */
export function amin(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.min(node(x), axes ?? undefined, keepDims));
}

/** The largest of all elements. */
export function max(x: TensorLike): Tensor;
/** The largest along one axis and where it stands; the gradient goes to that element. */
export function max(x: TensorLike, axis: number, options?: KeepDims): ValuesAndIndices;
export function max(x: TensorLike, axis?: number, options: KeepDims = {}): Tensor | ValuesAndIndices {
  return axis === undefined ? amax(x) : extreme('max', x, axis, options);
}

/** The smallest of all elements. */
export function min(x: TensorLike): Tensor;
/** The smallest along one axis and where it stands; the gradient goes to that element. */
export function min(x: TensorLike, axis: number, options?: KeepDims): ValuesAndIndices;
export function min(x: TensorLike, axis?: number, options: KeepDims = {}): Tensor | ValuesAndIndices {
  return axis === undefined ? amin(x) : extreme('min', x, axis, options);
}

/** Where the largest element stands (int32), the first of equals; without an axis, counted over all elements in row-major order. */
export function argmax(x: TensorLike, axis?: number | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.argmax(node(x), axis ?? undefined, keepDims));
}

/** Where the smallest element stands (int32), the first of equals. */
export function argmin(x: TensorLike, axis?: number | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.argmin(node(x), axis ?? undefined, keepDims));
}

/** Whether any element is true (not 0). */
export function any(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.any(node(x), axes ?? undefined, keepDims));
}

/** Whether all elements are true (not 0). */
export function all(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.all(node(x), axes ?? undefined, keepDims));
}

/** log Σ eˣ, without overflow. */
export function logsumexp(x: TensorLike, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  return new Tensor(reductions.logsumexp(node(x), axes ?? undefined, keepDims));
}

/** (Σ |x|ᵖ)^(1/p): p = 2 is the length, 1 the sum of sizes, Infinity the largest size, 0 the number of elements that are not 0. */
export function norm(x: TensorLike, p = 2, axes?: Axes | null, { keepDims = false }: KeepDims = {}): Tensor {
  const n = ops.cast(node(x), 'float32');
  const along = axes ?? undefined;
  if (p === 2) {
    const squares = reductions.sum(ops.mul(n, n), along, keepDims);
    const positive = ops.gt(squares, 0);
    // At 0 the root has no slope; PyTorch's gradient there is 0.
    const root = ops.sqrt(ops.where(positive, squares, 1));
    return new Tensor(ops.where(ops.eq(squares, 0), 0, ops.where(positive, root, squares)));
  }
  const sizes = ops.abs(n);
  if (p === 1) return new Tensor(reductions.sum(sizes, along, keepDims));
  if (p === Number.POSITIVE_INFINITY) return new Tensor(reductions.max(sizes, along, keepDims));
  if (p === Number.NEGATIVE_INFINITY) return new Tensor(reductions.min(sizes, along, keepDims));
  if (p === 0) return new Tensor(reductions.sum(ops.cast(ops.ne(n, 0), 'float32'), along, keepDims));
  return new Tensor(ops.pow(reductions.sum(ops.pow(sizes, p), along, keepDims), 1 / p));
}

function extreme(name: 'max' | 'min', x: TensorLike, axis: number, { keepDims = false }: KeepDims): ValuesAndIndices {
  const n = node(x);
  const along = axisOf(name, axis, n.shape);
  const at = (name === 'max' ? reductions.argmax : reductions.argmin)(n, along, true);
  const found = gather(n, along, at);
  const shape = keepDims ? at.shape : at.shape.toSpliced(along, 1);
  return { values: new Tensor(reshape(found, shape)), indices: new Tensor(reshape(at, shape)) };
}

function node(x: TensorLike) {
  return asTensor(x).node;
}

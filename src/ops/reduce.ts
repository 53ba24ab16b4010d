/** Operations that combine elements along axes, and what is composed of them: mean, variance and the like. */

import type { Node } from '../graph/node.js';
import { defineOp, type Op, type Reduction, record } from '../graph/op.js';
import { softmaxLowering } from '../kernels/softmax.js';
import { numel, type Shape } from '../util/shape.js';
import * as e from './elementwise.js';
import { expand, flip, narrow, pad, permute, reshape } from './movement.js';
import { axesOf, axisOf, shapeError } from './shape-error.js';
import { constant, iota } from './source.js';

/** One axis, several, or all (left out). */
export type Axes = number | readonly number[] | undefined;

export interface ReduceAttrs {
  /** Sorted, at least one. */
  readonly axes: readonly number[];
  /** Whether the reduced axes stay, with size 1. */
  readonly keepDims: boolean;
}

// — primitives —

/** Adds up along `axes`. Integers and truth values add up in int32. */
export function sum(x: Node, axes?: Axes, keepDims = false): Node {
  return reduce(sumOp, asNumber(x), axes, keepDims);
}

export const sumOp = reduceOp('sum', {
  neutral: 0,
  vjp: (dy, x) => expand(dy, x.shape),
  // biome-ignore lint/suspicious/noExplicitAny: both are Int or both Float
  combine: (_, a: any, b: any) => a.add(b),
  fold: (k, v) => k.sumLanes(v),
});

/** The product along `axes`; integers multiply in int32. */
export function prod(x: Node, axes?: Axes, keepDims = false): Node {
  return reduce(prodOp, asNumber(x), axes, keepDims);
}

export const prodOp = reduceOp('prod', {
  neutral: 1,
  vjp: (dy, x, _, axes) => e.mul(dy, productOfOthers(x, axes)),
  // biome-ignore lint/suspicious/noExplicitAny: both are Int or both Float
  combine: (_, a: any, b: any) => a.mul(b),
  fold: (k, v) => {
    // biome-ignore lint/suspicious/noExplicitAny: all are Int or all Float
    let parts: any[] = Array.from({ length: k.lanes }, (_, i) => v.lane(i));
    for (; parts.length > 1; ) {
      const half = parts.length / 2;
      parts = parts.slice(0, half).map((part, i) => part.mul(parts[i + half]));
    }
    return parts[0];
  },
});

/** The largest along `axes`, NaN if there is one. Equal elements share the gradient evenly, as torch.amax. */
export function max(x: Node, axes?: Axes, keepDims = false): Node {
  return reduce(maxReduceOp, x, axes, keepDims);
}

export const maxReduceOp = reduceOp('maxReduce', {
  neutral: Number.NEGATIVE_INFINITY,
  nonEmpty: true,
  vjp: shareAmongTies,
  // biome-ignore lint/suspicious/noExplicitAny: both are Int or both Float
  combine: (_, a: any, b: any) => a.max(b),
  fold: (k, v) => k.maxLanes(v),
});

/** The smallest along `axes`, NaN if there is one. Equal elements share the gradient evenly, as torch.amin. */
export function min(x: Node, axes?: Axes, keepDims = false): Node {
  return reduce(minReduceOp, x, axes, keepDims);
}

export const minReduceOp = reduceOp('minReduce', {
  neutral: Number.POSITIVE_INFINITY,
  nonEmpty: true,
  vjp: shareAmongTies,
  // biome-ignore lint/suspicious/noExplicitAny: both are Int or both Float
  combine: (_, a: any, b: any) => a.min(b),
  fold: (k, v) => k.minLanes(v),
});

/** Where the largest element stands along `axis` (all elements in a row when left out), as int32: the first of equals; NaN counts as largest. */
export function argmax(x: Node, axis?: number, keepDims = false): Node {
  return argExtreme(argmaxOp, x, axis, keepDims);
}

/** Where the smallest element stands, as int32: the first of equals; NaN counts as smallest. */
export function argmin(x: Node, axis?: number, keepDims = false): Node {
  return argExtreme(argminOp, x, axis, keepDims);
}

export interface ArgAttrs {
  readonly axis: number;
  readonly keepDims: boolean;
}

export const argmaxOp = argOp('argmax', max);
export const argminOp = argOp('argmin', min);

export interface SoftmaxAttrs {
  readonly axis: number;
}

/** exp(x) / Σ exp(x) along `axis`, shifted by the maximum so that nothing overflows. */
export function softmax(x: Node, axis: number): Node {
  return record(softmaxOp, [asFloat(x)], { axis: axisOf('softmax', axis, x.shape) });
}

export const softmaxOp: Op<SoftmaxAttrs> = defineOp<SoftmaxAttrs>('softmax', {
  infer: ([x]) => ({ shape: x.shape, dtype: 'float32' }),
  vjp: (dy, y) => [e.mul(y, e.sub(dy, sum(e.mul(dy, y), y.attrs.axis, true)))],
  lower: ({ inputs: [x], attrs: { axis } }) => [softmaxLowering(x.shape, axis, false)],
});

/** x − log Σ exp(x) along `axis`. */
export function logSoftmax(x: Node, axis: number): Node {
  return record(logSoftmaxOp, [asFloat(x)], { axis: axisOf('logSoftmax', axis, x.shape) });
}

export const logSoftmaxOp: Op<SoftmaxAttrs> = defineOp<SoftmaxAttrs>('logSoftmax', {
  infer: ([x]) => ({ shape: x.shape, dtype: 'float32' }),
  vjp: (dy, y) => [e.sub(dy, e.mul(e.exp(y), sum(dy, y.attrs.axis, true)))],
  lower: ({ inputs: [x], attrs: { axis } }) => [softmaxLowering(x.shape, axis, true)],
});

// — composed —

/** Whether some element along `axes` is true (not 0). */
export function any(x: Node, axes?: Axes, keepDims = false): Node {
  return truth('any', max, false, x, axes, keepDims);
}

/** Whether every element along `axes` is true (not 0). */
export function all(x: Node, axes?: Axes, keepDims = false): Node {
  return truth('all', min, true, x, axes, keepDims);
}

export function mean(x: Node, axes?: Axes, keepDims = false): Node {
  const count = countAlong('mean', x.shape, axes);
  return e.mul(sum(asFloat(x), axes, keepDims), 1 / count);
}

/** Σ(x − mean)² / (n − correction), in two passes: subtracting first keeps the digits. correction 1 (Bessel's) is PyTorch's default, 0 batch norm's. */
export function variance(x: Node, axes?: Axes, { correction = 1, keepDims = false } = {}): Node {
  const f = asFloat(x);
  const off = e.sub(f, mean(f, axes, true));
  const divisor = Math.max(0, countAlong('variance', x.shape, axes) - correction);
  return e.mul(sum(e.mul(off, off), axes, keepDims), 1 / divisor);
}

/** log Σ exp(x), shifted by the maximum so that nothing overflows. */
export function logsumexp(x: Node, axes?: Axes, keepDims = false): Node {
  const f = asFloat(x);
  // Kept finite, since −∞ − (−∞) says nothing: the logarithm of no mass at all is −∞.
  const shift = e.clamp(shiftOf(f, axes), { min: -MAX_FLOAT, max: MAX_FLOAT });
  const total = e.add(e.log(sum(e.exp(e.sub(f, shift)), axes, true)), shift);
  return keepDims ? total : reshape(total, reducedShape(total.shape, axesOf('logsumexp', axes, x.shape), false));
}

// — helpers —

/** The largest finite float32. */
const MAX_FLOAT = (2 - 2 ** -23) * 2 ** 127;

function asNumber(x: Node): Node {
  return x.dtype === 'float32' ? x : e.cast(x, 'int32');
}

function asFloat(x: Node): Node {
  return e.cast(x, 'float32');
}

/** The maximum as a shift: a constant for the gradient, since the shift cancels. */
function shiftOf(x: Node, axes: Axes): Node {
  return e.stopGradient(max(x, axes, true));
}

function countAlong(op: string, shape: Shape, axes: Axes): number {
  return axesOf(op, axes, shape).reduce((n, axis) => n * shape[axis], 1);
}

/** `shape` without `axes`, or with size 1 there. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  return keepDims ? shape.map((n, i) => (axes.includes(i) ? 1 : n)) : shape.filter((_, i) => !axes.includes(i));
}

function reduce(op: Op<ReduceAttrs>, x: Node, axes: Axes, keepDims: boolean): Node {
  const list = axesOf(publicName(op.name), axes, x.shape);
  // Along axes of size 1 each element stands alone.
  if (list.every((axis) => x.shape[axis] === 1)) return reshape(x, reducedShape(x.shape, list, keepDims));
  return record(op, [x], { axes: list, keepDims });
}

interface ReduceRow {
  neutral: number;
  /** No elements, no value: refused. */
  nonEmpty?: boolean;
  /** `dy` and `y` come with the reduced axes kept. */
  vjp(dy: Node, x: Node, y: Node, axes: readonly number[]): Node;
  combine: Reduction<ReduceAttrs>['combine'];
  fold: Reduction<ReduceAttrs>['fold'];
}

function reduceOp(name: string, row: ReduceRow): Op<ReduceAttrs> {
  return defineOp<ReduceAttrs>(name, {
    infer: ([x], { axes, keepDims }) => {
      const empty = axes.find((axis) => x.shape[axis] === 0);
      if (row.nonEmpty && empty !== undefined && numel(reducedShape(x.shape, axes, false)) > 0) {
        const rule = `Axis ${empty} has no elements, and nothing has no ${publicName(name)}.`;
        throw shapeError(publicName(name), 'there is nothing to choose from', [['x', x.shape]], rule);
      }
      return { shape: reducedShape(x.shape, axes, keepDims), dtype: x.dtype };
    },
    vjp: (dy, node) => {
      const [x] = node.inputs;
      const kept = reducedShape(x.shape, node.attrs.axes, true);
      return [row.vjp(reshape(dy, kept), x, reshape(node, kept), node.attrs.axes)];
    },
    reduction: { axes: (attrs) => attrs.axes, init: row.neutral, combine: row.combine, fold: row.fold },
  });
}

/** `maxReduce` is called max by its users; the plain name belongs to the elementwise primitive. */
function publicName(op: string): string {
  return op.replace('Reduce', '');
}

function shareAmongTies(dy: Node, x: Node, y: Node, axes: readonly number[]): Node {
  const tie = e.eq(x, y);
  const count = e.max(sum(e.cast(tie, 'float32'), axes, true), 1); // at least 1: a NaN equals nothing
  return e.where(tie, e.div(dy, count), 0);
}

/**
 * For each element the product of all others along `axes`, exact where elements are 0 (y / x is not) and differentiable as often as wanted:
 * up a binary tree of products, then down again, each child taking its parent's product of others times its sibling.
 */
function productOfOthers(x: Node, axes: readonly number[]): Node {
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const order = [...kept, ...axes];
  const rows = kept.reduce((n, axis) => n * x.shape[axis], 1);
  const n = axes.reduce((count, axis) => count * x.shape[axis], 1);
  const size = 2 ** Math.ceil(Math.log2(Math.max(n, 1)));
  const moved = permute(x, order);

  let level = pad(reshape(moved, [rows, n]), [[0, 0], [0, size - n]], 1); // biome-ignore format: one thought
  const siblings: Node[] = [];
  for (let m = size; m > 1; m /= 2) {
    const pairs = reshape(level, [rows, m / 2, 2]);
    siblings.push(reshape(flip(pairs, 2), [rows, m]));
    level = reshape(e.mul(narrow(pairs, 2, 0, 1), narrow(pairs, 2, 1, 2)), [rows, m / 2]);
  }
  let others = constant(1, [rows, 1]);
  for (const sibling of siblings.reverse()) {
    const half = others.shape[1];
    const doubled = reshape(expand(reshape(others, [rows, half, 1]), [rows, half, 2]), [rows, half * 2]);
    others = e.mul(doubled, sibling);
  }
  const back = reshape(narrow(others, 1, 0, n), moved.shape);
  return permute(back, x.shape.map((_, i) => order.indexOf(i))); // biome-ignore format: one thought
}

function argExtreme(op: Op<ArgAttrs>, x: Node, axis: number | undefined, keepDims: boolean): Node {
  if (axis === undefined) {
    const flat = record(op, [reshape(x, [numel(x.shape)])], { axis: 0, keepDims: false });
    return keepDims ? reshape(flat, x.shape.map(() => 1)) : flat; // biome-ignore format: one thought
  }
  return record(op, [x], { axis: axisOf(op.name, axis, x.shape), keepDims });
}

function argOp(name: string, extreme: (x: Node, axes: Axes, keepDims: boolean) => Node): Op<ArgAttrs> {
  return defineOp<ArgAttrs>(name, {
    infer: ([x], { axis, keepDims }) => {
      if (x.shape[axis] === 0) {
        throw shapeError(name, 'there is nothing to choose from', [['x', x.shape]], `Axis ${axis} has no elements.`);
      }
      return { shape: reducedShape(x.shape, [axis], keepDims), dtype: 'int32' };
    },
    vjp: () => [null],
    /** The smallest index at which x equals its extreme (or is NaN). */
    decompose: ({ inputs: [x], attrs: { axis, keepDims } }) => {
      const n = x.shape[axis];
      const places = reshape(iota(n), x.shape.map((_, i) => (i === axis ? n : 1))); // biome-ignore format: one thought
      const top = e.eq(x, extreme(x, axis, true));
      const hit = x.dtype === 'float32' ? e.logicalOr(top, e.isNaN(x)) : top;
      return min(e.where(hit, places, n), axis, keepDims);
    },
  });
}

function truth(op: string, choose: typeof max, ofNothing: boolean, x: Node, axes: Axes, keepDims: boolean): Node {
  const list = axesOf(op, axes, x.shape);
  if (list.some((axis) => x.shape[axis] === 0)) return constant(ofNothing, reducedShape(x.shape, list, keepDims));
  return choose(e.logicalOperand(x), list, keepDims);
}

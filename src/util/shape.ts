/** Shape arithmetic: sizes, strides, NumPy broadcasting, axis normalisation. Shapes are plain arrays of non-negative integers. */

import { ShapeError } from './errors.js';

export type Shape = readonly number[];

export function numel(shape: Shape): number {
  let n = 1;
  for (let i = 0; i < shape.length; i++) n *= shape[i];
  return n;
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let s = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = s;
    s *= shape[i];
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** `[2, 3]` the way messages print it. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** NumPy's rule: align on the right; sizes must be equal or 1. @throws {ShapeError} naming `op`, both shapes and the axis that clashes. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const x = i < rank - a.length ? 1 : a[i - (rank - a.length)];
    const y = i < rank - b.length ? 1 : b[i - (rank - b.length)];
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(
        `${op}: shapes do not broadcast\n  left    ${formatShape(a)}\n  right   ${formatShape(b)}\n` +
          `  Aligned on the right, axis ${i - rank} is ${x} on the left and ${y} on the right; sizes must be equal or one of them 1.`,
      );
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** An axis counted from either end → 0 … rank − 1. @throws {ShapeError} */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= Math.max(rank, 1)) {
    throw new ShapeError(
      rank === 0
        ? `${op}: axis ${axis} does not exist: the tensor has no axes (shape [])`
        : `${op}: axis ${axis} does not exist: a tensor with ${rank} axes takes ${-rank} … ${rank - 1}`,
    );
  }
  return axis < 0 ? axis + rank : axis;
}

/** One axis, several, or all (undefined) → sorted unique non-negative axes. @throws {ShapeError} if one is named twice. */
export function normalizeAxes(op: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === 'number' ? [axes] : axes).map((a) => normalizeAxis(op, a, rank)).sort((x, y) => x - y);
  for (let i = 1; i < list.length; i++)
    if (list[i] === list[i - 1]) throw new ShapeError(`${op}: axis ${list[i]} is named twice`);
  return list;
}

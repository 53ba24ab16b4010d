/**
 * Choosing elements: NumPy's slicing and indexing (`at`, `slice`), selection by index tensors, sorting.
 * A range is `'1:5:2'` (any part may be left out, negative numbers count from the end), `{ start, stop, step }`, or `[start, stop, step?]` in
 * `slice`. A negative step runs backwards.
 */

import type { Node } from '../graph/node.js';
import * as elementwise from '../ops/elementwise.js';
import * as ops from '../ops/indexing.js';
import { expand, flip, reshape, slice as sliceOf } from '../ops/movement.js';
import { axisOf, broadcast } from '../ops/shape-error.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import type { ValuesAndIndices } from './reduce.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

export interface RangeObject {
  readonly start?: number | null;
  readonly stop?: number | null;
  readonly step?: number | null;
}

/** A range of one axis for `slice`; null and ':' are the whole axis, '...' stands for all axes not named. */
export type Range = string | RangeObject | readonly [start: number | null, stop?: number | null, step?: number] | null;

/**
 * One entry of `at`: a number picks a position and drops the axis, a range keeps it, null adds an axis of size 1, '...' stands for all axes
 * not named, a list or an integer tensor picks several positions.
 */
export type Index = number | string | RangeObject | null | readonly number[] | Tensor;

/** Ranges of the first axes (`x.slice('...', [0, 10])`: of the last). The number of axes stays. */
export function slice(x: TensorLike, ...ranges: Range[]): Tensor {
  const t = asTensor(x);
  const items = ranges.map((range): Index => {
    if (range === null) return ':';
    return Array.isArray(range) ? { start: range[0], stop: range[1], step: range[2] } : (range as string | RangeObject);
  });
  return indexed('slice', t, items);
}

/** NumPy's x[…]: numbers, ranges, null for a new axis, '...', and lists or integer tensors of positions. */
export function at(x: TensorLike, ...indices: Index[]): Tensor {
  return indexed('at', asTensor(x), indices);
}

/** The slice at one position of `axis`, without that axis. */
export function select(x: TensorLike, axis: number, index: number): Tensor {
  const t = asTensor(x);
  const along = axisOf('select', axis, t.shape);
  return indexed('select', t, [...new Array<Index>(along).fill(':'), index]);
}

/** `length` elements from `start` on along `axis`. */
export function narrow(x: TensorLike, axis: number, start: number, length: number): Tensor {
  const t = asTensor(x);
  const along = axisOf('narrow', axis, t.shape);
  const first = start < 0 ? start + t.shape[along] : start;
  if (first < 0 || length < 0 || first + length > t.shape[along]) {
    throw new ShapeError(
      `narrow: ${length} elements from ${start} on do not lie inside axis ${along} of ${formatShape(t.shape)}, which has ${t.shape[along]}`,
    );
  }
  return indexed('narrow', t, [...new Array<Index>(along).fill(':'), { start: first, stop: first + length }]);
}

/** out[…, i, …] = x[…, index[…, i, …], …] along `axis`, as torch.gather. */
export function gather(x: TensorLike, axis: number, index: TensorLike): Tensor {
  return new Tensor(ops.gather(asTensor(x).node, axis, indexNode('gather', index)));
}

/** The slices of x at the positions `index` (one axis) along `axis`. */
export function indexSelect(x: TensorLike, axis: number, index: TensorLike): Tensor {
  return new Tensor(ops.indexSelect(asTensor(x).node, axis, indexNode('indexSelect', index)));
}

/** x with each src[…, i, …] added at index[…, i, …] along `axis`. */
export function scatterAdd(x: TensorLike, axis: number, index: TensorLike, src: TensorLike): Tensor {
  return new Tensor(ops.scatterAdd(asTensor(x).node, axis, indexNode('scatterAdd', index), asTensor(src).node));
}

/** Class numbers [..] → [.., numClasses]: float32, 1 at the class and 0 elsewhere. */
export function oneHot(index: TensorLike, numClasses: number): Tensor {
  return new Tensor(ops.oneHot(indexNode('oneHot', index), numClasses));
}

/** The k largest (or smallest) elements along `axis`, in order, and where they stand. */
export function topk(
  x: TensorLike,
  k: number,
  axis = -1,
  { largest = true }: { largest?: boolean } = {},
): ValuesAndIndices {
  return pair(ops.topk(asTensor(x).node, k, axis, largest));
}

/** The elements in order along `axis`, and where each came from. Equal ones keep their order; NaN counts as the largest. */
export function sort(
  x: TensorLike,
  axis = -1,
  { descending = false }: { descending?: boolean } = {},
): ValuesAndIndices {
  return pair(ops.sort(asTensor(x).node, axis, descending));
}

/** The positions that would put x in order along `axis`. */
export function argsort(x: TensorLike, axis = -1, { descending = false }: { descending?: boolean } = {}): Tensor {
  return new Tensor(ops.sortIndices(asTensor(x).node, axis, descending));
}

/** Running sums along `axis`. */
export function cumsum(x: TensorLike, axis: number): Tensor {
  return new Tensor(ops.cumsum(asTensor(x).node, axis));
}

// — how an index is read —

/** What is taken of one axis of x: `count` elements from `start` on in strides of `step`. */
interface Taken {
  start: number;
  step: number;
  count: number;
}

function indexed(op: string, t: Tensor, items: readonly Index[]): Tensor {
  const { shape } = t;
  const all = spreadEllipsis(op, shape, items);
  const taken: Taken[] = [];
  const lists: { axis: number; index: Node }[] = [];
  const result: number[] = []; // shape after numbers have dropped their axes and nulls have added some; lists keep theirs for now
  let axis = 0;
  for (const item of all) {
    if (item === null) {
      result.push(1);
      continue;
    }
    const size = shape[axis];
    if (typeof item === 'number') {
      taken.push({ start: position(op, item, axis, shape), step: 1, count: 1 });
    } else if (item instanceof Tensor || Array.isArray(item)) {
      taken.push({ start: 0, step: 1, count: size });
      lists.push({ axis: result.length, index: positions(op, item as Tensor | readonly number[], axis, shape) });
      result.push(size);
    } else {
      const range = resolveRange(op, item as string | RangeObject, size);
      taken.push(range);
      result.push(range.count);
    }
    axis++;
  }
  const cut = take(t.node, taken);
  const picked = pick(op, reshape(cut, result), lists);
  return picked === t.node ? t : new Tensor(picked);
}

/** The items with '...' written out and the axes behind the last one added. */
function spreadEllipsis(op: string, shape: Shape, items: readonly Index[]): Index[] {
  let named = 0;
  let dots = -1;
  items.forEach((item, i) => {
    if (item === '...') {
      if (dots >= 0) throw new ConfigError(`${op}: '...' may stand once; it is at ${dots} and ${i}`);
      dots = i;
    } else if (item !== null) named++;
  });
  if (named > shape.length) {
    throw new ShapeError(
      `${op}: ${named} indices for ${shape.length} axes\n  x  ${formatShape(shape)}\n  Leave out ${named - shape.length} of them.`,
    );
  }
  const rest = new Array<Index>(shape.length - named).fill(':');
  return dots < 0 ? [...items, ...rest] : [...items.slice(0, dots), ...rest, ...items.slice(dots + 1)];
}

function position(op: string, index: number, axis: number, shape: Shape): number {
  const size = shape[axis];
  if (!Number.isInteger(index) || index < -size || index >= size) {
    const rule = size === 0 ? 'it is empty' : `it takes ${-size} … ${size - 1}`;
    throw new ShapeError(`${op}: position ${index} does not exist on axis ${axis} of ${formatShape(shape)}: ${rule}`);
  }
  return index < 0 ? index + size : index;
}

function positions(op: string, list: Tensor | readonly number[], axis: number, shape: Shape): Node {
  if (!(list instanceof Tensor)) return asTensor(Int32Array.from(list, (i) => position(op, i, axis, shape))).node;
  if (list.dtype === 'bool') {
    throw new ConfigError(
      `${op}: a bool mask would give a result whose shape depends on values, which a compiled graph cannot have.\n` +
        '  Use where(mask, x, 0), multiply by the mask, or read the mask first and pass the positions.',
    );
  }
  const n = indexNode(op, list);
  return elementwise.where(elementwise.lt(n, 0), elementwise.add(n, shape[axis]), n);
}

const rangePattern = /^(-?\d+)?:(-?\d+)?(?::(-?\d+)?)?$/;

function parseRange(op: string, text: string): RangeObject {
  const match = rangePattern.exec(text.replaceAll(' ', ''));
  if (match === null)
    throw new ConfigError(`${op}: '${text}' is no range; write 'start:stop:step' as in '1:5', ':-1' or '::2'`);
  const [start, stop, step] = match.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
  return { start, stop, step };
}

/** Python's rules: bounds beyond the ends are cut to them. */
function resolveRange(op: string, range: string | RangeObject, size: number): Taken {
  if (range === ':') return { start: 0, step: 1, count: size };
  const r = typeof range === 'string' ? parseRange(op, range) : range;
  const step = r.step ?? 1;
  for (const [name, value] of Object.entries({ start: r.start, stop: r.stop, step })) {
    if (value != null && !Number.isInteger(value))
      throw new ConfigError(`${op}: ${name} must be a whole number, not ${value}`);
  }
  if (step === 0) throw new ConfigError(`${op}: a range cannot have step 0`);
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const bound = (value: number | null | undefined, open: number) =>
    value == null ? open : Math.min(Math.max(value < 0 ? value + size : value, low), high);
  const start = bound(r.start, step > 0 ? low : high);
  const stop = bound(r.stop, step > 0 ? high : low);
  return { start, step, count: Math.max(0, Math.ceil((stop - start) / step)) };
}

function take(n: Node, taken: readonly Taken[]): Node {
  const last = (t: Taken) => t.start + (t.count - 1) * t.step;
  const backwards = taken.flatMap((t, i) => (t.step < 0 && t.count > 1 ? [i] : []));
  const y = sliceOf(
    n,
    taken.map((t) => (t.count === 0 ? 0 : Math.min(t.start, last(t)))),
    taken.map((t) => (t.count === 0 ? 0 : Math.max(t.start, last(t)) + 1)),
    taken.map((t) => Math.abs(t.step)),
  );
  return backwards.length === 0 ? y : flip(y, backwards);
}

/** Picks positions by lists. Several lists broadcast against each other and must stand on neighbouring axes, which they join into one. */
function pick(op: string, n: Node, lists: readonly { axis: number; index: Node }[]): Node {
  if (lists.length === 0) return n;
  const first = lists[0].axis;
  if (lists.some(({ axis }, i) => axis !== first + i)) {
    throw new ConfigError(
      `${op}: several lists of positions must stand on neighbouring axes; permute the tensor first`,
    );
  }
  const joined = n.shape.slice(first, first + lists.length);
  const together = lists.reduce<Shape>((s, { index }) => broadcast(op, s, index.shape), []);
  let flat: Node | null = null;
  lists.forEach(({ index }, i) => {
    const scaled = flat === null ? index : elementwise.add(elementwise.mul(flat, joined[i]), index);
    flat = scaled;
  });
  const index = reshape(expand(flat!, together), [numel(together)]);
  const merged = reshape(n, [...n.shape.slice(0, first), numel(joined), ...n.shape.slice(first + lists.length)]);
  const found = ops.indexSelect(merged, first, index);
  return reshape(found, [...n.shape.slice(0, first), ...together, ...n.shape.slice(first + lists.length)]);
}

function indexNode(op: string, index: TensorLike): Node {
  const t = asTensor(index);
  if (t.dtype === 'int32' || t.dtype === 'uint8') return elementwise.cast(t.node, 'int32');
  if (index instanceof Tensor) {
    throw new ConfigError(`${op}: positions must be int32 or uint8, not ${t.dtype}; convert them with .int()`);
  }
  return elementwise.cast(t.node, 'int32'); // a plain list of numbers
}

function pair([values, indices]: readonly [Node, Node]): ValuesAndIndices {
  return { values: new Tensor(values), indices: new Tensor(indices) };
}

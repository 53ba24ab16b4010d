/**
 * Operations that only move elements: reshape, permute, expand, slice and flip are strided views of their input where that is possible
 * (graph/view.ts); pad and concat copy. Each one's gradient is another one. Padding by reflection and the like is composed in padding.ts.
 */

import type { Node } from '../graph/node.js';
import { defineOp, type Op, record } from '../graph/op.js';
import { isContiguous, type View } from '../graph/view.js';
import { concatLowerings, padLowerings } from '../kernels/rearrange.js';
import { type DType, promote } from '../util/dtype.js';
import { contiguousStrides, formatShape, numel, type Shape, sameShape } from '../util/shape.js';
import { cast } from './elementwise.js';
import { sum } from './reduce.js';
import { axisOf, shapeError } from './shape-error.js';
import { constant, uniformValue } from './source.js';

/** The same elements in row-major order under another shape; one size may be −1 and follows from the rest. */
export function reshape(x: Node, shape: Shape): Node {
  const target = shape.includes(-1) ? inferSize(x, shape) : shape;
  if (sameShape(target, x.shape)) return x;
  if (numel(target) !== numel(x.shape)) throw sizeError(x, shape);
  const uniform = uniformValue(x);
  return uniform !== null ? constant(uniform, target, x.dtype) : record(reshapeOp, [x], { shape: target });
}

export const reshapeOp: Op<{ readonly shape: Shape }> = defineOp('reshape', {
  infer: ([x], { shape }) => {
    if (numel(shape) !== numel(x.shape)) throw sizeError(x, shape);
    return { shape, dtype: x.dtype };
  },
  vjp: (dy, { inputs: [x] }) => [reshape(dy, x.shape)],
  simplify: ({ inputs: [x], shape }) => (x.op === reshapeOp ? reshape(x.inputs[0], shape) : null),
  view: (input, { shape }) => {
    if (isContiguous(input)) return { ...input, shape, strides: contiguousStrides(shape) };
    const strides = regroup(input, shape);
    return strides && { ...input, shape, strides };
  },
});

/** Axis i of the result is axis `axes[i]` of x. */
export function permute(x: Node, axes: readonly number[]): Node {
  const order = axes.map((axis) => axisOf('permute', axis, x.shape));
  if (new Set(order).size !== x.shape.length || order.length !== x.shape.length) {
    const rule = `They must name each of the ${x.shape.length} axes once, e.g. [${x.shape.map((_, i) => i).reverse()}].`;
    throw shapeError('permute', `axes ${formatShape(axes)} are no permutation`, [['x', x.shape]], rule);
  }
  if (order.every((axis, i) => axis === i)) return x;
  const uniform = uniformValue(x);
  if (uniform !== null) return constant(uniform, order.map((a) => x.shape[a]), x.dtype); // biome-ignore format: one thought
  return record(permuteOp, [x], { axes: order });
}

export const permuteOp: Op<{ readonly axes: readonly number[] }> = defineOp('permute', {
  infer: ([x], { axes }) => ({ shape: axes.map((a) => x.shape[a]), dtype: x.dtype }),
  vjp: (dy, { attrs: { axes } }) => [permute(dy, invert(axes))],
  simplify: ({ inputs: [x], attrs: { axes } }) => {
    if (x.op !== permuteOp) return null;
    const before = x.attrs as { readonly axes: readonly number[] };
    return permute(x.inputs[0], axes.map((a) => before.axes[a])); // biome-ignore format: one thought
  },
  view: (input, { attrs: { axes } }) => ({
    ...input,
    shape: axes.map((a) => input.shape[a]),
    strides: axes.map((a) => input.strides[a]),
  }),
});

/** Two axes exchanged. */
export function transpose(x: Node, a: number, b: number): Node {
  const axes = x.shape.map((_, i) => i);
  const [i, j] = [axisOf('transpose', a, x.shape), axisOf('transpose', b, x.shape)];
  [axes[i], axes[j]] = [j, i];
  return permute(x, axes);
}

/** x repeated to `shape` by NumPy's rule: axes of size 1 stretch, new ones come in front. −1 keeps a size. */
export function expand(x: Node, shape: Shape): Node {
  if (sameShape(shape, x.shape)) return x;
  const missing = shape.length - x.shape.length;
  const target = shape.map((size, i) => (size === -1 && i >= missing ? x.shape[i - missing] : size));
  if (sameShape(target, x.shape)) return x;
  checkExpand(x, target);
  const uniform = uniformValue(x);
  if (uniform !== null) return constant(uniform, target, x.dtype);
  const aligned = reshape(x, [...new Array<number>(missing).fill(1), ...x.shape]);
  return sameShape(aligned.shape, target) ? aligned : record(expandOp, [aligned], { shape: target });
}

/** The primitive keeps the rank. */
export const expandOp = defineOp<{ readonly shape: Shape }>('expand', {
  infer: ([x], { shape }) => {
    checkExpand(x, shape);
    return { shape, dtype: x.dtype };
  },
  vjp: (dy, { inputs: [x], shape }) => {
    const stretched: number[] = [];
    for (let i = 0; i < shape.length; i++) if (shape[i] !== x.shape[i]) stretched.push(i);
    return [sum(dy, stretched, true)];
  },
  view: (input, { shape }) => ({
    ...input,
    shape,
    strides: input.strides.map((s, i) => (input.shape[i] === 1 ? 0 : s)),
  }),
});

export interface SliceAttrs {
  readonly starts: readonly number[];
  readonly stops: readonly number[];
  readonly steps: readonly number[];
}

/** Elements starts, starts + steps, … below stops, along every axis. Bounds are plain: 0 ≤ start ≤ stop ≤ size, step ≥ 1. */
export function slice(x: Node, starts: readonly number[], stops: readonly number[], steps?: readonly number[]): Node {
  const attrs = { starts, stops, steps: steps ?? starts.map(() => 1) };
  const whole = x.shape.every((size, i) => starts[i] === 0 && stops[i] === size && attrs.steps[i] === 1);
  if (whole && starts.length === x.shape.length) return x;
  const uniform = uniformValue(x);
  if (uniform !== null) return constant(uniform, sliceShape(x.shape, attrs), x.dtype);
  return record(sliceOp, [x], attrs);
}

/** x[start … stop) along one axis. */
export function narrow(x: Node, axis: number, start: number, stop: number, step = 1): Node {
  const at = axisOf('narrow', axis, x.shape);
  const along = (value: number, rest: readonly number[]) => rest.map((r, i) => (i === at ? value : r));
  const zeros = x.shape.map(() => 0);
  return slice(x, along(start, zeros), along(stop, x.shape), along(step, zeros.map(() => 1))); // biome-ignore format: one thought
}

export const sliceOp = defineOp<SliceAttrs>('slice', {
  infer: ([x], attrs) => ({ shape: sliceShape(x.shape, attrs), dtype: x.dtype }),
  vjp: (dy, { inputs: [x], attrs: { starts, steps } }) => {
    const spread = dy.shape.reduce((g, _, axis) => interleave(g, axis, steps[axis]), dy);
    const room = x.shape.map((size, i): [number, number] => [starts[i], size - starts[i] - spread.shape[i]]);
    // The last step may reach past the end of x; the elements there are zeros of `interleave`.
    const kept = room.reduce((g, [, hi], axis) => (hi < 0 ? narrow(g, axis, 0, g.shape[axis] + hi) : g), spread);
    return [pad(kept, room.map(([lo, hi]) => [lo, Math.max(hi, 0)]), 0)]; // biome-ignore format: one thought
  },
  view: (input, { shape, attrs: { starts, steps } }) => ({
    ...input,
    shape,
    strides: input.strides.map((s, i) => s * steps[i]),
    offset: starts.reduce((at, start, i) => at + start * input.strides[i], input.offset),
  }),
});

/** The elements in reverse order along `axes`. */
export function flip(x: Node, axes: number | readonly number[]): Node {
  const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => axisOf('flip', axis, x.shape));
  const moving = [...new Set(list)].filter((axis) => x.shape[axis] > 1).sort((a, b) => a - b);
  return moving.length === 0 || uniformValue(x) !== null ? x : record(flipOp, [x], { axes: moving });
}

export const flipOp = defineOp<{ readonly axes: readonly number[] }>('flip', {
  infer: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  vjp: (dy, { attrs: { axes } }) => [flip(dy, axes)],
  view: (input, { attrs: { axes } }) => ({
    ...input,
    strides: input.strides.map((s, i) => (axes.includes(i) ? -s : s)),
    offset: axes.reduce((at, axis) => at + (input.shape[axis] - 1) * input.strides[axis], input.offset),
  }),
});

export type Padding = readonly (readonly [lo: number, hi: number])[];

/** `value` before (lo) and after (hi) the elements along each axis. Padding is at least 0; slice() cuts. */
export function pad(x: Node, padding: Padding, value = 0): Node {
  if (padding.length === x.shape.length && padding.every(([lo, hi]) => lo === 0 && hi === 0)) return x;
  return record(padOp, [x], { padding, value });
}

export interface PadAttrs {
  readonly padding: Padding;
  readonly value: number;
}

export const padOp = defineOp<PadAttrs>('pad', {
  infer: ([x], { padding }) => {
    const whole = padding.length === x.shape.length && padding.flat().every((p) => Number.isInteger(p) && p >= 0);
    if (!whole) {
      const given = padding.map(([lo, hi]) => `[${lo}, ${hi}]`).join(', ');
      const rule = `It takes ${x.shape.length} pairs [before, after] of whole numbers ≥ 0, one for each axis; to cut, use slice.`;
      throw shapeError('pad', `padding [${given}] does not fit`, [['x', x.shape]], rule);
    }
    return { shape: x.shape.map((size, i) => size + padding[i][0] + padding[i][1]), dtype: x.dtype };
  },
  ofNothing: ({ value }) => value,
  vjp: (dy, { inputs: [x], attrs: { padding } }) => {
    const starts = padding.map(([lo]) => lo);
    return [slice(dy, starts, starts.map((lo, i) => lo + x.shape[i]))]; // biome-ignore format: one thought
  },
  followsOperands: true,
  lower: ({ inputs: [x], attrs: { padding, value } }, target) => padLowerings(x.shape, padding, value, x.dtype, target),
});

/**
 * The sum of two tensors that are padded with zeros until they lie side by side, as the gradients of the parts of a tensor do: they are put side
 * by side, and padded by what is left. null where it is something else.
 */
export function sideBySide(a: Node, b: Node): Node | null {
  if (a.op !== padOp || b.op !== padOp) return null;
  const [p, q] = [a.attrs as PadAttrs, b.attrs as PadAttrs];
  if (p.value !== 0 || q.value !== 0) return null;
  const differ = a.shape.flatMap((_, i) => (p.padding[i].every((n, side) => n === q.padding[i][side]) ? [] : [i]));
  if (differ.length !== 1) return null;
  const [axis] = differ;
  const [[aLo, aHi], [bLo, bHi]] = [p.padding[axis], q.padding[axis]];
  const [x, y] = [a.inputs[0], b.inputs[0]];
  const joined = (...xs: Node[]) => concat(xs.flatMap((n) => partsOf(n, axis)), axis); // biome-ignore format: one thought
  if (aLo + x.shape[axis] === bLo) return pad(joined(x, y), p.padding.with(axis, [aLo, bHi]));
  if (bLo + y.shape[axis] === aLo) return pad(joined(y, x), p.padding.with(axis, [bLo, aHi]));
  return null;
}

function partsOf(n: Node, axis: number): readonly Node[] {
  return n.op === concatOp && (n.attrs as { readonly axis: number }).axis === axis ? n.inputs : [n];
}

/** The tensors one after another along `axis`; the other sizes must agree. */
export function concat(xs: readonly Node[], axis: number): Node {
  if (xs.length === 0) throw shapeError('concat', 'there is nothing to join', [], 'Pass at least one tensor.');
  const at = axisOf('concat', axis, xs[0].shape);
  const dtype = xs.map((x) => x.dtype).reduce(promote);
  return xs.length === 1 ? xs[0] : record(concatOp, xs.map((x) => cast(x, dtype)), { axis: at }); // biome-ignore format: one thought
}

export const concatOp = defineOp<{ readonly axis: number }>('concat', {
  infer: (xs, { axis }) => {
    const [first] = xs;
    const odd = xs.find(
      (x) => x.shape.length !== first.shape.length || x.shape.some((size, i) => i !== axis && size !== first.shape[i]),
    );
    if (odd !== undefined) {
      const operands = xs.map((x, i): [string, Shape] => [String(i), x.shape]);
      const rule = `All sizes but the one of axis ${axis} must equal those of the first, ${formatShape(first.shape)}; ${formatShape(odd.shape)} differs.`;
      throw shapeError('concat', 'shapes do not fit', operands, rule);
    }
    const along = xs.reduce((n, x) => n + x.shape[axis], 0);
    return { shape: first.shape.map((size, i) => (i === axis ? along : size)), dtype: sameDType(xs) };
  },
  vjp: (dy, { inputs, attrs: { axis } }) => {
    let start = 0;
    return inputs.map((x) => narrow(dy, axis, start, (start += x.shape[axis])));
  },
  followsOperands: true,
  lower: ({ inputs, dtype, attrs: { axis } }, target) => concatLowerings(inputs.map((x) => x.shape), axis, dtype, target), // biome-ignore format: one thought
});

/** The tensors along a new axis. */
export function stack(xs: readonly Node[], axis = 0): Node {
  if (xs.length === 0) throw shapeError('stack', 'there is nothing to join', [], 'Pass at least one tensor.');
  const odd = xs.find((x) => !sameShape(x.shape, xs[0].shape));
  if (odd !== undefined) {
    const operands = xs.map((x, i): [string, Shape] => [String(i), x.shape]);
    throw shapeError(
      'stack',
      'shapes differ',
      operands,
      'All must have one shape; concat joins along an axis they have.',
    );
  }
  const at = axisOf('stack', axis, [...xs[0].shape, 1]);
  return concat(
    xs.map((x) => reshape(x, x.shape.toSpliced(at, 0, 1))),
    at,
  );
}

/** Elements moved `shift` places along `axis`; what leaves at the end comes back at the start. */
export function roll(x: Node, shift: number, axis: number): Node {
  const at = axisOf('roll', axis, x.shape);
  const size = x.shape[at];
  const cut = size === 0 ? 0 : ((-shift % size) + size) % size;
  return cut === 0 ? x : concat([narrow(x, at, cut, size), narrow(x, at, 0, cut)], at);
}

// — helpers —

/** `step` − 1 zeros after each element along `axis`. */
function interleave(x: Node, axis: number, step: number): Node {
  if (step === 1) return x;
  const split = reshape(x, x.shape.toSpliced(axis + 1, 0, 1));
  const padded = pad(split, split.shape.map((_, i) => [0, i === axis + 1 ? step - 1 : 0]), 0); // biome-ignore format: one thought
  return reshape(padded, x.shape.with(axis, x.shape[axis] * step));
}

function invert(axes: readonly number[]): number[] {
  const inverse = new Array<number>(axes.length);
  axes.forEach((axis, i) => {
    inverse[axis] = i;
  });
  return inverse;
}

function sliceShape(shape: Shape, { starts, stops, steps }: SliceAttrs): number[] {
  const whole = [starts, stops, steps].every((list) => list.length === shape.length && list.every(Number.isInteger));
  const inside = shape.every((n, i) => 0 <= starts[i] && starts[i] <= stops[i] && stops[i] <= n && steps[i] >= 1);
  if (!whole || !inside) {
    const asked = starts.map((start, i) => `${start}:${stops[i]}:${steps[i]}`).join(', ');
    const rule = `Each of the ${shape.length} axes takes 0 ≤ start ≤ stop ≤ size and step ≥ 1.`;
    throw shapeError('slice', `[${asked}] does not fit`, [['x', shape]], rule);
  }
  return shape.map((_, i) => Math.ceil((stops[i] - starts[i]) / steps[i]));
}

/**
 * Strides under which the elements of a strided window read, in its order, as `shape`; null when they would not lie evenly.
 * Groups of axes with equal products are matched from the left; inside a group the old axes must follow on from each other.
 */
function regroup(view: View, shape: Shape): number[] | null {
  if (numel(shape) === 0) return contiguousStrides(shape);
  const old = view.shape.flatMap((size, i) => (size === 1 ? [] : [{ size, stride: view.strides[i] }]));
  const strides = new Array<number>(shape.length).fill(0);
  let o = 0;
  let n = 0;
  while (o < old.length && n < shape.length) {
    let [oldSize, newSize] = [old[o].size, shape[n]];
    let [oldEnd, newEnd] = [o + 1, n + 1];
    while (oldSize !== newSize) {
      if (oldSize < newSize) oldSize *= old[oldEnd++].size;
      else newSize *= shape[newEnd++];
    }
    for (let i = o; i < oldEnd - 1; i++) if (old[i].stride !== old[i + 1].stride * old[i + 1].size) return null;
    let stride = old[oldEnd - 1].stride;
    for (let i = newEnd - 1; i >= n; i--) {
      strides[i] = stride;
      stride *= shape[i];
    }
    [o, n] = [oldEnd, newEnd];
  }
  return strides;
}

function inferSize(x: Node, shape: Shape): number[] {
  const known = shape.reduce((n, size) => (size === -1 ? n : n * size), 1);
  const rest = numel(x.shape) / known;
  if (shape.indexOf(-1) !== shape.lastIndexOf(-1) || !Number.isInteger(rest)) throw sizeError(x, shape);
  return shape.map((size) => (size === -1 ? rest : size));
}

function sizeError(x: Node, shape: Shape) {
  const n = numel(x.shape);
  const rule =
    shape.filter((size) => size === -1).length > 1
      ? 'Only one size may be −1.'
      : `x has ${n} elements, the new shape ${shape.includes(-1) ? 'a multiple of ' : ''}${Math.abs(numel(shape))}. ` +
        `Pass [${x.shape[0] ?? 1}, -1] to keep the first axis and flatten the rest.`;
  return shapeError('reshape', `to ${formatShape(shape)} does not fit`, [['x', x.shape]], rule);
}

function checkExpand(x: Node, shape: Shape): void {
  const missing = shape.length - x.shape.length;
  const fits = missing >= 0 && x.shape.every((size, i) => size === 1 || size === shape[i + missing]);
  if (fits) return;
  const rule = 'Aligned on the right, each size must be equal or 1 in x.';
  throw shapeError('expand', `to ${formatShape(shape)} does not fit`, [['x', x.shape]], rule);
}

function sameDType(xs: readonly Node[]): DType {
  const [{ dtype }] = xs;
  const odd = xs.find((x) => x.dtype !== dtype);
  if (odd === undefined) return dtype;
  const operands = xs.map((x, i): [string, Shape] => [`${i} ${x.dtype}`, x.shape]);
  throw shapeError('concat', 'types differ', operands, 'The primitive takes one type; concat() of ops/ converts.');
}

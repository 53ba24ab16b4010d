/** Functions that rearrange elements without computing on them. */

import type { Node } from '../graph/node.js';
import * as ops from '../ops/movement.js';
import { padCircular, padReflect, padReplicate } from '../ops/padding.js';
import { axesOf, axisOf } from '../ops/shape-error.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

/** The same elements in row-major order under another shape; one size may be −1 and follows from the rest. */
export function reshape(x: TensorLike, shape: Shape): Tensor {
  return same(x, (n) => ops.reshape(n, shape));
}

/** Joins the axes from `startDim` to `endDim` into one. `flatten(x, 1)` keeps the batch. */
export function flatten(x: TensorLike, startDim = 0, endDim = -1): Tensor {
  return same(x, (n) => {
    if (n.shape.length === 0) return ops.reshape(n, [1]);
    const start = axisOf('flatten', startDim, n.shape);
    const end = axisOf('flatten', endDim, n.shape);
    if (start > end) {
      throw new ConfigError(
        `flatten: startDim ${startDim} comes after endDim ${endDim} in shape ${formatShape(n.shape)}`,
      );
    }
    const joined = numel(n.shape.slice(start, end + 1));
    return ops.reshape(n, [...n.shape.slice(0, start), joined, ...n.shape.slice(end + 1)]);
  });
}

/** Splits one axis into several; one of `sizes` may be −1. */
export function unflatten(x: TensorLike, axis: number, sizes: Shape): Tensor {
  return same(x, (n) => {
    const at = axisOf('unflatten', axis, n.shape);
    const known = numel(sizes.filter((s) => s !== -1));
    const filled = sizes.map((s) => (s === -1 ? n.shape[at] / known : s));
    if (numel(filled) !== n.shape[at] || !filled.every(Number.isInteger)) {
      throw new ShapeError(
        `unflatten: axis ${at} of ${formatShape(n.shape)} has size ${n.shape[at]}, which ${formatShape(sizes)} does not make`,
      );
    }
    return ops.reshape(n, n.shape.toSpliced(at, 1, ...filled));
  });
}

/** Drops axes of size 1: the ones named, or all. */
export function squeeze(x: TensorLike, axes?: number | readonly number[]): Tensor {
  return same(x, (n) => {
    const named = axesOf('squeeze', axes, n.shape);
    return ops.reshape(
      n,
      n.shape.filter((size, i) => size !== 1 || !named.includes(i)),
    );
  });
}

/** A new axis of size 1 in front of `axis` (−1: at the end). */
export function unsqueeze(x: TensorLike, axis: number): Tensor {
  return same(x, (n) => ops.reshape(n, n.shape.toSpliced(axisOf('unsqueeze', axis, [...n.shape, 1]), 0, 1)));
}

/** Axis i of the result is axis `axes[i]` of x. */
export function permute(x: TensorLike, axes: readonly number[]): Tensor {
  return same(x, (n) => ops.permute(n, axes));
}

/** Two axes exchanged. */
export function transpose(x: TensorLike, a: number, b: number): Tensor {
  return same(x, (n) => ops.transpose(n, a, b));
}

/** One axis taken out and put in at another place. */
export function moveaxis(x: TensorLike, from: number, to: number): Tensor {
  return same(x, (n) => {
    const source = axisOf('moveaxis', from, n.shape);
    const rest = n.shape.map((_, i) => i).filter((i) => i !== source);
    return ops.permute(n, rest.toSpliced(axisOf('moveaxis', to, n.shape), 0, source));
  });
}

/** x repeated to `shape` by the broadcasting rule: axes of size 1 stretch, new ones come in front, −1 keeps a size. */
export function expand(x: TensorLike, shape: Shape): Tensor {
  return same(x, (n) => ops.expand(n, shape));
}

/** x laid side by side `times[i]` times along each axis; more counts than axes add axes in front. */
export function repeat(x: TensorLike, times: Shape): Tensor {
  return same(x, (n) => {
    if (times.length < n.shape.length || !times.every((t) => Number.isInteger(t) && t >= 0)) {
      throw new ConfigError(
        `repeat: counts ${formatShape(times)} do not fit shape ${formatShape(n.shape)}: pass a whole number ≥ 0 for each of its axes`,
      );
    }
    const shape = [...new Array<number>(times.length - n.shape.length).fill(1), ...n.shape];
    const spread = ops.expand(
      ops.reshape(
        n,
        shape.flatMap((size) => [1, size]),
      ),
      shape.flatMap((size, i) => [times[i], size]),
    );
    return ops.reshape(
      spread,
      shape.map((size, i) => size * times[i]),
    );
  });
}

/** Each slice along `axis` repeated `times` times in a row. */
export function repeatInterleave(x: TensorLike, times: number, axis: number): Tensor {
  return same(x, (n) => {
    const at = axisOf('repeatInterleave', axis, n.shape);
    const column = ops.reshape(n, n.shape.toSpliced(at + 1, 0, 1));
    return ops.reshape(ops.expand(column, n.shape.toSpliced(at + 1, 0, times)), n.shape.with(at, n.shape[at] * times));
  });
}

/** The elements in reverse order along `axes` (all when left out). */
export function flip(x: TensorLike, axes?: number | readonly number[]): Tensor {
  return same(x, (n) => ops.flip(n, axesOf('flip', axes, n.shape)));
}

/** Elements moved `shifts` places along `axes`; what leaves at the end comes back at the start. Without axes, over all elements in a row. */
export function roll(x: TensorLike, shifts: number | readonly number[], axes?: number | readonly number[]): Tensor {
  return same(x, (n) => {
    const by = typeof shifts === 'number' ? [shifts] : shifts;
    if (axes === undefined) {
      if (by.length !== 1) throw new ConfigError(`roll: ${by.length} shifts need ${by.length} axes`);
      return ops.reshape(ops.roll(ops.reshape(n, [numel(n.shape)]), by[0], 0), n.shape);
    }
    const along = typeof axes === 'number' ? [axes] : axes;
    if (along.length !== by.length) throw new ConfigError(`roll: ${by.length} shifts, but ${along.length} axes`);
    return along.reduce((y, axis, i) => ops.roll(y, by[i], axis), n);
  });
}

export type PadMode = 'constant' | 'zeros' | 'reflect' | 'replicate' | 'circular';

/** A width for all sides of one axis, or [before, after]. */
export type PadWidth = readonly [before: number, after: number];
/** Pairs for the last axes in their order, or PyTorch's flat list, last axis first. */
export type Padding = readonly PadWidth[] | readonly (readonly number[])[] | readonly number[];

/**
 * Adds elements around x. `padding` is one [before, after] pair for each of the last axes, in their order: [[1, 1], [2, 2]] pads H by 1 and W
 * by 2. A flat list is read as PyTorch's: last axis first, [left, right, top, bottom]. Negative widths (mode constant) cut off.
 * Modes: constant (of `value`; `zeros` is the same with 0), reflect, replicate, circular.
 */
export function pad(
  x: TensorLike,
  padding: Padding,
  { mode = 'constant', value = 0 }: { mode?: PadMode; value?: number } = {},
): Tensor {
  return same(x, (n) => {
    const widths = padWidths(n.shape, padding);
    switch (mode) {
      case 'constant':
      case 'zeros':
        return padConstant(n, widths, mode === 'zeros' ? 0 : value);
      case 'reflect':
        return padReflect(n, widths);
      case 'replicate':
        return padReplicate(n, widths);
      case 'circular':
        return padCircular(n, widths);
      default:
        mode satisfies never;
        throw new ConfigError(
          `pad: unknown mode '${mode}'; there are constant, zeros, reflect, replicate and circular`,
        );
    }
  });
}

/** The tensors one after another along `axis`; the other sizes must agree. */
export function concat(tensors: readonly TensorLike[], axis = 0): Tensor {
  return new Tensor(
    ops.concat(
      tensors.map((t) => asTensor(t).node),
      axis,
    ),
  );
}

/** The tensors, all of one shape, along a new axis. */
export function stack(tensors: readonly TensorLike[], axis = 0): Tensor {
  return new Tensor(
    ops.stack(
      tensors.map((t) => asTensor(t).node),
      axis,
    ),
  );
}

/** Parts along `axis`: all of one size (the last may be smaller), or of the sizes listed. */
export function split(x: TensorLike, size: number | readonly number[], axis = 0): Tensor[] {
  const n = asTensor(x).node;
  const at = axisOf('split', axis, n.shape);
  const total = n.shape[at];
  if (typeof size === 'number' && !(Number.isInteger(size) && size > 0)) {
    throw new ConfigError(`split: parts need a whole size of at least 1, not ${size}`);
  }
  const sizes =
    typeof size === 'number'
      ? Array.from({ length: Math.max(1, Math.ceil(total / size)) }, (_, i) => Math.min(size, total - i * size))
      : size;
  if (sizes.reduce((a, b) => a + b, 0) !== total) {
    throw new ShapeError(
      `split: sizes ${formatShape(sizes)} add up to ${sizes.reduce((a, b) => a + b, 0)}, axis ${at} of ${formatShape(n.shape)} has ${total}`,
    );
  }
  let start = 0;
  return sizes.map((s) => new Tensor(ops.narrow(n, at, start, (start += s))));
}

/** `chunks` parts along `axis`, as equal as they come (fewer when the axis is short). */
export function chunk(x: TensorLike, chunks: number, axis = 0): Tensor[] {
  const t = asTensor(x);
  if (!(Number.isInteger(chunks) && chunks > 0)) throw new ConfigError(`chunk: at least 1 part, not ${chunks}`);
  const total = t.shape[axisOf('chunk', axis, t.shape)];
  return split(t, Math.max(1, Math.ceil(total / chunks)), axis);
}

/** The slices along `axis`, without that axis. */
export function unbind(x: TensorLike, axis = 0): Tensor[] {
  const n = asTensor(x).node;
  const at = axisOf('unbind', axis, n.shape);
  const rest = n.shape.toSpliced(at, 1);
  return Array.from({ length: n.shape[at] }, (_, i) => new Tensor(ops.reshape(ops.narrow(n, at, i, i + 1), rest)));
}

/** The lower triangle of the last two axes, zeros elsewhere; `diagonal` moves the border up. */
export function tril(x: TensorLike, diagonal = 0): Tensor {
  return triangle('tril', x, (row, column) => column - row <= diagonal);
}

/** The upper triangle of the last two axes, zeros elsewhere; `diagonal` moves the border up. */
export function triu(x: TensorLike, diagonal = 0): Tensor {
  return triangle('triu', x, (row, column) => column - row >= diagonal);
}

function triangle(name: string, x: TensorLike, keeps: (row: number, column: number) => boolean): Tensor {
  const t = asTensor(x);
  if (t.shape.length < 2) throw new ShapeError(`${name}: needs at least 2 axes; the shape is ${formatShape(t.shape)}`);
  const [rows, columns] = t.shape.slice(-2);
  const mask = Uint8Array.from({ length: rows * columns }, (_, i) => +keeps(Math.floor(i / columns), i % columns));
  return asTensor(mask).to('bool').reshape(rows, columns).where(t, 0);
}

// — helpers —

/** A tensor of what `move` makes; the tensor itself where nothing moves. */
function same(x: TensorLike, move: (node: Node) => Node): Tensor {
  const t = asTensor(x);
  const before = t.node;
  const after = move(before);
  return after === before ? t : new Tensor(after);
}

/** One pair for each axis of the shape, from pairs for the last axes or PyTorch's flat list. */
export function padWidths(shape: Shape, padding: Padding): PadWidth[] {
  const flat = padding.length > 0 && typeof padding[0] === 'number';
  const pairs: PadWidth[] = [];
  if (flat) {
    const list = padding as readonly number[];
    for (let i = 0; i + 1 < list.length; i += 2) pairs.unshift([list[i], list[i + 1]]);
  } else {
    pairs.push(...(padding as readonly PadWidth[]));
  }
  const odd = flat && padding.length % 2 === 1;
  const whole = pairs.every((p) => p.length === 2 && p.every(Number.isInteger));
  if (odd || !whole || pairs.length > shape.length) {
    throw new ShapeError(
      `pad: padding ${JSON.stringify(padding)} does not fit\n  x  ${formatShape(shape)}\n` +
        `  It takes at most ${shape.length} pairs [before, after] for the last axes, e.g. [[1, 1], [2, 2]] for H and W.`,
    );
  }
  return [...new Array<PadWidth>(shape.length - pairs.length).fill([0, 0]), ...pairs];
}

function padConstant(n: Node, widths: readonly PadWidth[], value: number): Node {
  const grown = ops.pad(
    n,
    widths.map(([lo, hi]) => [Math.max(lo, 0), Math.max(hi, 0)]),
    value,
  );
  if (widths.every(([lo, hi]) => lo >= 0 && hi >= 0)) return grown;
  return ops.slice(
    grown,
    widths.map(([lo]) => Math.max(-lo, 0)),
    widths.map(([, hi], i) => grown.shape[i] - Math.max(-hi, 0)),
  );
}

/**
 * Pictures read at places that are computed: the sampler of spatial transformers. Each pixel of the result is a sum of few pixels of the
 * picture, gathered by index and weighed by how near they are, so gradients flow both into the picture and into the places.
 * Jaderberg, Simonyan, Zisserman and Kavukcuoglu 2015, "Spatial transformer networks", arXiv:1506.02025; the corner cases are PyTorch's.
 */

import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { logicalAnd, where } from './elementwise.js';
import { gather, select } from './indexing.js';
import { expand, reshape } from './movement.js';
import { asTensor, type Tensor, type TensorLike } from './tensor.js';

const modes = ['bilinear', 'nearest', 'bicubic'] as const;
const paddingModes = ['zeros', 'border', 'reflection'] as const;

export interface GridSampleOptions {
  readonly mode?: (typeof modes)[number];
  /** What lies outside: zeros, the nearest pixel, or the picture mirrored at its border as often as needed. */
  readonly paddingMode?: (typeof paddingModes)[number];
  /** Whether −1 and 1 are the centres of the outermost pixels (true) or their outer edges (false). */
  readonly alignCorners?: boolean;
}

/** One axis of the picture. */
interface Axis {
  readonly size: number;
  readonly paddingMode: NonNullable<GridSampleOptions['paddingMode']>;
  readonly alignCorners: boolean;
}

/** A pixel along one axis and what it weighs: both [N, 1, places]. */
interface Tap {
  readonly at: Tensor;
  readonly weight: Tensor | null;
}

/**
 * x [N, C, H, W] at the places `grid` [N, H', W', 2], (across, down) with −1 … 1 from one side of the picture to the other → [N, C, H', W'].
 * @throws {ShapeError} if the two do not fit together. @throws {ConfigError} for an unknown mode.
 */
export function gridSample(x: TensorLike, grid: TensorLike, options: GridSampleOptions = {}): Tensor {
  const { mode = 'bilinear', paddingMode = 'zeros', alignCorners = false } = options;
  requireOneOf('mode', mode, modes);
  requireOneOf('paddingMode', paddingMode, paddingModes);
  const [picture, places] = [asTensor(x), asTensor(grid)];
  requireShapes(picture, places);
  const [n, c, h, w] = picture.shape;
  const [, outH, outW] = places.shape;

  const taps = (i: 0 | 1, size: number): Tap[] => {
    const axis = { size, paddingMode, alignCorners };
    const position = inPixels(reshape(select(places, 3, i), [n, 1, outH * outW]), axis);
    if (mode === 'bicubic') return cubicTaps(position, axis);
    const inside = bounded(position, axis);
    return mode === 'nearest' ? [{ at: inside.round(), weight: null }] : linearTaps(inside);
  };
  const pixels = reshape(picture, [n, c, h * w]);
  const columns = taps(0, w);
  const sums = taps(1, h).map((row) => {
    const line = columns.map((column) => weighted(pixelsAt(pixels, row.at, column.at, [h, w]), column.weight));
    return weighted(total(line), row.weight);
  });
  return reshape(total(sums), [n, c, outH, outW]);
}

/** −1 … 1 → 0 … size − 1 at the centres of pixels. */
function inPixels(place: Tensor, { size, alignCorners }: Axis): Tensor {
  const share = place.add(1).mul(0.5);
  return alignCorners ? share.mul(size - 1) : share.mul(size).sub(0.5);
}

/** What lies outside moved in, by the axis' rule; zeros stay outside, where nothing is read. */
function bounded(position: Tensor, axis: Axis): Tensor {
  if (axis.paddingMode === 'zeros') return position;
  const inner = axis.paddingMode === 'reflection' ? reflected(position, axis) : position;
  const last = axis.size - 1;
  // Not `clamp`: at the border itself the place has no gradient, as in PyTorch.
  return where(inner.le(0), 0, where(inner.ge(last), last, inner));
}

/** Mirrored at the outermost centres or edges until it lies between them. */
function reflected(position: Tensor, { size, alignCorners }: Axis): Tensor {
  const low = alignCorners ? 0 : -0.5;
  const span = alignCorners ? size - 1 : size;
  if (span === 0) return position.mul(0);
  const distance = position.sub(low).abs();
  const folds = distance.div(span).floor();
  const rest = distance.sub(folds.mul(span));
  const backwards = folds.remainder(2).eq(1);
  return where(backwards, rest.neg().add(span), rest).add(low);
}

function linearTaps(position: Tensor): Tap[] {
  const first = position.floor();
  const t = position.sub(first);
  return [
    { at: first, weight: t.neg().add(1) },
    { at: first.add(1), weight: t },
  ];
}

/** Keys 1981 with a = −0.75. Its four pixels move inside one by one, not the place between them. */
function cubicTaps(position: Tensor, axis: Axis): Tap[] {
  const first = position.floor();
  const t = position.sub(first);
  const rest = t.neg().add(1);
  const a = -0.75;
  /** c3·d³ + c2·d² + c1·d + c0 */
  const cubic = (d: Tensor, c3: number, c2: number, c1: number, c0: number) =>
    d.mul(c3).add(c2).mul(d).add(c1).mul(d).add(c0);
  const near = (d: Tensor) => cubic(d, a + 2, -(a + 3), 0, 1);
  const far = (d: Tensor) => cubic(d, a, -5 * a, 8 * a, -4 * a);
  return [far(t.add(1)), near(t), near(rest), far(rest.add(1))].map((weight, i) => ({
    at: bounded(first.add(i - 1), axis),
    weight,
  }));
}

/** The pixels [N, C, places] in these rows and columns; 0 where they lie outside: an index of −1 reads nothing. */
function pixelsAt(pixels: Tensor, row: Tensor, column: Tensor, [h, w]: readonly [number, number]): Tensor {
  const within = (at: Tensor, size: number) => logicalAnd(at.ge(0), at.lt(size));
  const index = row.to('int32').mul(w).add(column.to('int32'));
  const inside = where(logicalAnd(within(row, h), within(column, w)), index, -1);
  return gather(pixels, 2, expand(inside, [pixels.shape[0], pixels.shape[1], index.shape[2]]));
}

function weighted(values: Tensor, weight: Tensor | null): Tensor {
  return weight === null ? values : values.mul(weight);
}

function total(terms: readonly Tensor[]): Tensor {
  return terms.reduce((sum, term) => sum.add(term));
}

function requireOneOf(name: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new ConfigError(`gridSample: ${name} is ${known.map((k) => `'${k}'`).join(', ')}; got '${value}'`);
}

function requireShapes({ shape: x }: Tensor, { shape: grid }: Tensor): void {
  if (x.length === 4 && grid.length === 4 && grid[0] === x[0] && grid[3] === 2) return;
  throw new ShapeError(
    `gridSample: the grid does not fit the pictures\n  x     ${formatShape(x)}   N C H W\n  grid  ${formatShape(grid)}   N H' W' 2\n` +
      `  Both need the same N, and the grid's last axis holds (across, down).`,
  );
}

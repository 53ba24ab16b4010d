/**
 * Pictures turned, sheared, tilted and bent: for every pixel of the result, where in the picture it comes from, and what stands there.
 * Nearest or bilinear, without antialiasing. Names, conventions and results are those of torchvision's `transforms.v2.functional` on
 * tensors; coordinates are rounded to float32 where theirs are, so that pixels on the border between two come out on the same side.
 */

import { ConfigError } from '../../util/errors.js';
import type { Planes } from '../resize.js';
import { type Fill, fillOf, quarterTurns } from './geometry.js';

export type WarpFilter = 'nearest' | 'bilinear';

export interface WarpOptions {
  /** Left out: nearest for rotate and affine, bilinear for perspective and elastic. */
  readonly interpolation?: WarpFilter;
  /** What stands where no picture was. Left out: black. */
  readonly fill?: Fill;
}

const f32 = Math.fround;
type Point = readonly [x: number, y: number];
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/**
 * Turned to the left about its middle, or about `center`. `expand` makes the picture as large as all of the turned one needs. Quarter turns
 * that keep the shape move pixels only.
 */
export function rotate(
  picture: Planes,
  degrees: number,
  { expand = false, center, ...options }: WarpOptions & { expand?: boolean; center?: Point } = {},
): Planes {
  const [, height, width] = picture.shape;
  const turn = ((degrees % 360) + 360) % 360;
  if (center === undefined && (turn % 180 === 0 || (turn % 90 === 0 && (expand || height === width)))) {
    return quarterTurns(picture, turn / 90);
  }
  const matrix = inverseAffine(fromMiddle(center, height, width), -turn, [0, 0], 1, [0, 0]);
  const size = expand ? expanded(matrix, height, width) : ([height, width] as const);
  return affineWarp(picture, matrix, size, options);
}

/**
 * Turned to the right by `degrees`, scaled and sheared (in degrees, along x and along y) about its middle or `center`, then moved by
 * `translate` pixels (right, down).
 */
export function affine(
  picture: Planes,
  {
    degrees = 0,
    translate = [0, 0],
    scale = 1,
    shear = [0, 0],
    center,
    ...options
  }: WarpOptions & { degrees?: number; translate?: Point; scale?: number; shear?: Point; center?: Point },
): Planes {
  if (!(scale > 0)) throw new ConfigError(`affine: scale is positive, not ${scale}`);
  const [, height, width] = picture.shape;
  const matrix = inverseAffine(fromMiddle(center, height, width), degrees, translate, scale, shear);
  return affineWarp(picture, matrix, [height, width], options);
}

/** Tilted so that the four points `from` (in pixels: x, y) come to lie at `to`. */
export function perspective(
  picture: Planes,
  from: readonly Point[],
  to: readonly Point[],
  { interpolation = 'bilinear', fill }: WarpOptions = {},
): Planes {
  const [, height, width] = picture.shape;
  const [a, b, c, d, e, f, g, h] = perspectiveCoefficients(from, to).map(f32);
  const scaled = (value: number, size: number) => f32(value / f32(0.5 * size));
  const across = [scaled(a, width), scaled(b, width), scaled(c, width)];
  const down = [scaled(d, height), scaled(e, height), scaled(f, height)];
  return warp(picture, [height, width], { interpolation, fill }, (y, xs, ys) => {
    for (let x = 0; x < width; x++) {
      const below = row(g, h, 1, x + 0.5, y + 0.5);
      xs[x] = toPixel(f32(f32(row(across[0], across[1], across[2], x + 0.5, y + 0.5) / below) - 1), width);
      ys[x] = toPixel(f32(f32(row(down[0], down[1], down[2], x + 0.5, y + 0.5) / below) - 1), height);
    }
  });
}

/**
 * Each pixel taken from a place of its own: `displacement` [H, W, 2] says how far away (x, y), in halves of the picture's width and height,
 * as PyTorch's grids count.
 */
export function elastic(
  picture: Planes,
  displacement: ArrayLike<number>,
  { interpolation = 'bilinear', fill }: WarpOptions = {},
): Planes {
  const [, height, width] = picture.shape;
  if (displacement.length !== 2 * height * width) {
    throw new ConfigError(
      `elastic: a displacement of ${displacement.length} numbers for ${height} × ${width} pixels, which have 2 each: ${2 * height * width}`,
    );
  }
  const [identityX, identityY] = [identityGrid(width), identityGrid(height)];
  return warp(picture, [height, width], { interpolation, fill }, (y, xs, ys) => {
    for (let x = 0; x < width; x++) {
      const at = 2 * (y * width + x);
      xs[x] = toPixel(f32(identityX[x] + f32(displacement[at])), width);
      ys[x] = toPixel(f32(identityY[y] + f32(displacement[at + 1])), height);
    }
  });
}

/**
 * [a b c d e f g h] with x' = (a x + b y + c) / (g x + h y + 1), y' = (d x + e y + f) / (g x + h y + 1), which take the points `to` back to
 * `from`.
 */
export function perspectiveCoefficients(from: readonly Point[], to: readonly Point[]): number[] {
  if (from.length !== 4 || to.length !== 4) {
    throw new ConfigError(`perspective: 4 points and where they go, not ${from.length} and ${to.length}`);
  }
  if (threeOnOneLine(from) || threeOnOneLine(to)) {
    throw new ConfigError('perspective: three of the four points lie on one line');
  }
  const equations = to.flatMap(([x, y], i) => {
    const [u, v] = from[i];
    return [
      [x, y, 1, 0, 0, 0, -u * x, -u * y, u],
      [0, 0, 0, x, y, 1, -v * x, -v * y, v],
    ];
  });
  return solved(equations);
}

/** Then no perspective leads from them, or to them. */
export function threeOnOneLine(points: readonly Point[]): boolean {
  return points.some((_, left) => {
    const [a, b, c] = points.filter((_, i) => i !== left);
    return (b[0] - a[0]) * (c[1] - a[1]) === (b[1] - a[1]) * (c[0] - a[0]);
  });
}

/** Gauss's elimination with the largest pivot; each equation's last number is its right side. */
function solved(equations: number[][]): number[] {
  const n = equations.length;
  for (let k = 0; k < n; k++) {
    let best = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(equations[i][k]) > Math.abs(equations[best][k])) best = i;
    [equations[k], equations[best]] = [equations[best], equations[k]];
    const pivot = equations[k][k];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = equations[i][k] / pivot;
      for (let j = k; j <= n; j++) equations[i][j] -= factor * equations[k][j];
    }
  }
  return equations.map((equation, k) => equation[n] / equation[k]);
}

/** The point in pixels, from the picture's middle; the middle itself where none is given. */
function fromMiddle(center: Point | undefined, height: number, width: number): Point {
  return center === undefined ? [0, 0] : [center[0] - width * 0.5, center[1] - height * 0.5];
}

type Affine = readonly [number, number, number, number, number, number];

/**
 * Where a pixel comes from: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5, all from the picture's middle. The inverse of T C R S Hy Hx C⁻¹:
 * to the centre, sheared (x, then y), scaled, turned, back and moved.
 */
function inverseAffine([cx, cy]: Point, degrees: number, [tx, ty]: Point, scale: number, shear: Point): Affine {
  const [turn, shearX, shearY] = [radians(degrees), radians(shear[0]), radians(shear[1])];
  const a = Math.cos(turn - shearY) / Math.cos(shearY);
  const b = -(a * Math.tan(shearX) + Math.sin(turn));
  const c = Math.sin(turn - shearY) / Math.cos(shearY);
  const d = Math.cos(turn) - c * Math.tan(shearX);
  const [m0, m1, m3, m4] = [d / scale, -b / scale, -c / scale, a / scale]; // the determinant of [a b; c d] is 1
  return [m0, m1, cx - m0 * (cx + tx) - m1 * (cy + ty), m3, m4, cy - m3 * (cx + tx) - m4 * (cy + ty)];
}

/** The size that holds all of the turned picture; ten thousandths of a pixel more do not count. */
function expanded(matrix: Affine, height: number, width: number): [height: number, width: number] {
  const [m0, m1, m2, m3, m4, m5] = matrix.map(f32);
  const corners = [-1, 1].flatMap((sx) => [-1, 1].map((sy) => [sx * width * 0.5, sy * height * 0.5]));
  const extent = (positions: number[], half: number) => {
    const whole = (x: number) => f32(Math.trunc(f32(f32(x + half) * f32(1e4))) * f32(1e-4));
    return Math.ceil(whole(Math.max(...positions))) - Math.floor(whole(Math.min(...positions)));
  };
  const w = extent(
    corners.map(([x, y]) => row(m0, m1, m2, x, y)),
    width * 0.5,
  );
  const h = extent(
    corners.map(([x, y]) => row(m3, m4, m5, x, y)),
    height * 0.5,
  );
  return [h, w];
}

function affineWarp(
  picture: Planes,
  matrix: Affine,
  [outHeight, outWidth]: readonly [number, number],
  { interpolation = 'nearest', fill }: WarpOptions,
): Planes {
  const [, height, width] = picture.shape;
  const scaled = (value: number, size: number) => f32(f32(value) / f32(0.5 * size));
  const [a, b, c] = matrix.slice(0, 3).map((m) => scaled(m, width));
  const [d, e, f] = matrix.slice(3).map((m) => scaled(m, height));
  return warp(picture, [outHeight, outWidth], { interpolation, fill }, (y, xs, ys) => {
    const v = y - (outHeight - 1) * 0.5;
    for (let x = 0; x < outWidth; x++) {
      const u = x - (outWidth - 1) * 0.5;
      xs[x] = toPixel(row(a, b, c, u, v), width);
      ys[x] = toPixel(row(d, e, f, u, v), height);
    }
  });
}

/** a u + b v + c in float32, products and sums fused as matrix products are. */
function row(a: number, b: number, c: number, u: number, v: number): number {
  return f32(f32(b * v + f32(a * u)) + c);
}

/** −1 … 1 across all pixels → 0 … size − 1 from the middle of the first to the middle of the last. */
function toPixel(coordinate: number, size: number): number {
  return f32(f32(f32(coordinate + 1) * size - 1) * 0.5);
}

/** The middles of n pixels on −1 … 1. Counted from both ends, as PyTorch does, so that float32 is symmetric. */
function identityGrid(n: number): Float32Array {
  const [first, last] = [f32((1 - n) / n), f32((n - 1) / n)];
  const step = n === 1 ? 0 : f32(f32(last - first) / (n - 1));
  return Float32Array.from({ length: n }, (_, i) => (i < n / 2 ? first + step * i : last - step * (n - 1 - i)));
}

/** Fills xs and ys with where the pixels of row y of the result come from, in pixels of the picture. */
type RowOfPlaces = (y: number, xs: Float32Array, ys: Float32Array) => void;

function warp(
  { data, shape: [channels, height, width] }: Planes,
  [outHeight, outWidth]: readonly [number, number],
  { interpolation, fill }: WarpOptions,
  places: RowOfPlaces,
): Planes {
  const fills = fill === undefined ? null : fillOf('warp', fill, channels);
  const [xs, ys] = [new Float32Array(outWidth), new Float32Array(outWidth)];
  const out = new Uint8Array(channels * outHeight * outWidth);
  const size = { height, width, outWidth };
  const sampleRow = interpolation === 'nearest' ? nearestRow : bilinearRow;
  for (let y = 0; y < outHeight; y++) {
    places(y, xs, ys);
    for (let c = 0; c < channels; c++) {
      const plane = data.subarray(c * height * width, (c + 1) * height * width);
      const line = (c * outHeight + y) * outWidth;
      sampleRow(plane, size, xs, ys, fills === null ? null : fills[c], out.subarray(line, line + outWidth));
    }
  }
  return { data: out, shape: [channels, outHeight, outWidth] };
}

interface WarpSize {
  readonly height: number;
  readonly width: number;
  readonly outWidth: number;
}

/** Adding and taking this away rounds a double to a whole number, halves to even. */
const rounder = 6755399441055744; // 1.5 · 2⁵²

function nearestRow(
  plane: Uint8Array,
  { height, width, outWidth }: WarpSize,
  xs: Float32Array,
  ys: Float32Array,
  fill: number | null,
  out: Uint8Array,
): void {
  const outside = (fill ?? 0) + rounder - rounder;
  for (let i = 0; i < outWidth; i++) {
    const x = xs[i] + rounder - rounder;
    const y = ys[i] + rounder - rounder;
    // Written so that NaN is outside too.
    out[i] = x >= 0 && x < width && y >= 0 && y < height ? plane[y * width + x] : outside;
  }
}

/**
 * Pixels outside are black; where they have a share, the sum is mixed with the fill once more, by that share. (So torchvision does it: the
 * border is a little darker than half picture, half fill. Without a fill nothing is mixed.)
 */
function bilinearRow(
  plane: Uint8Array,
  { height, width, outWidth }: WarpSize,
  xs: Float32Array,
  ys: Float32Array,
  fill: number | null,
  out: Uint8Array,
): void {
  for (let i = 0; i < outWidth; i++) {
    const [x, y] = [xs[i], ys[i]];
    let value = fill ?? 0;
    if (x > -1 && x < width && y > -1 && y < height) {
      const [left, top] = [Math.floor(x), Math.floor(y)];
      const [right, below] = [x - left, y - top];
      const at = top * width + left;
      if (left >= 0 && left + 1 < width && top >= 0 && top + 1 < height) {
        const upper = plane[at] * (1 - right) + plane[at + 1] * right;
        const lower = plane[at + width] * (1 - right) + plane[at + width + 1] * right;
        value = upper * (1 - below) + lower * below;
      } else {
        // Shares of the columns and rows that are inside.
        const shareLeft = left >= 0 ? 1 - right : 0;
        const shareRight = left + 1 < width ? right : 0;
        const shareTop = top >= 0 ? 1 - below : 0;
        const shareBelow = top + 1 < height ? below : 0;
        const line = (share: number, start: number) => {
          if (share === 0) return 0;
          const sum = shareLeft > 0 ? shareLeft * plane[start] : 0;
          return share * (shareRight > 0 ? sum + shareRight * plane[start + 1] : sum);
        };
        const sum = line(shareTop, at) + line(shareBelow, at + width);
        const share = (shareLeft + shareRight) * (shareTop + shareBelow);
        value = fill === null ? sum : (sum - fill) * share + fill;
      }
    }
    out[i] = value + rounder - rounder;
  }
}

/**
 * The sizes of a convolution as its kernels want them: always three spatial axes D H W, missing ones of size 1, and the two ways to walk
 * an axis. Rows (D and H) are clipped while the kernel runs; columns (W) are clipped while it is built, so that the inner loops hold no test.
 */

import type { I32, KernelBuilder } from '../ir/index.js';
import type { Shape } from '../util/shape.js';

/** One entry per spatial axis; see `ops/conv.ts`. */
export interface ConvParams {
  readonly stride: readonly number[];
  readonly padding: readonly (readonly [lo: number, hi: number])[];
  readonly dilation: readonly number[];
  readonly groups: number;
}

/** One spatial axis: output o and tap t meet at input o · stride + t · dilation − before. */
export interface ConvAxis {
  readonly input: number;
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
}

export interface ConvSizes {
  /** Spatial axes of the tensors themselves: 1, 2 or 3. */
  readonly spatial: number;
  readonly images: number;
  readonly channels: number;
  readonly filters: number;
  readonly groups: number;
  readonly depth: ConvAxis;
  readonly height: ConvAxis;
  readonly width: ConvAxis;
}

/** The sizes of `x` [N, C, spatial…] convolved with `w` [O, C / groups, kernel…]. */
export function convSizes(x: Shape, w: Shape, p: ConvParams): ConvSizes {
  const spatial = x.length - 2;
  const axes = Array.from({ length: 3 }, (_, i): ConvAxis => {
    const a = i - (3 - spatial);
    if (a < 0) return { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, before: 0 };
    const [before, after] = p.padding[a];
    const span = p.dilation[a] * (w[a + 2] - 1) + 1;
    const output = Math.floor((x[a + 2] + before + after - span) / p.stride[a]) + 1;
    return { input: x[a + 2], output, kernel: w[a + 2], stride: p.stride[a], dilation: p.dilation[a], before };
  });
  const [depth, height, width] = axes;
  return { spatial, images: x[0], channels: x[1], filters: w[0], groups: p.groups, depth, height, width };
}

export const inputPixels = (s: ConvSizes): number => s.depth.input * s.height.input * s.width.input;
export const outputPixels = (s: ConvSizes): number => s.depth.output * s.height.output * s.width.output;
export const tapCount = (s: ConvSizes): number => s.depth.kernel * s.height.kernel * s.width.kernel;

/** Identity of the sizes in a kernel's name. */
export function sizesKey(s: ConvSizes): string {
  const axis = (a: ConvAxis) => `${a.input}k${a.kernel}s${a.stride}d${a.dilation}p${a.before}to${a.output}`;
  const axes = [s.depth, s.height, s.width].slice(3 - s.spatial).map(axis);
  return `n${s.images}c${s.channels}o${s.filters}g${s.groups}_${axes.join('_')}`;
}

/** The taps that meet a row, one after another: tap `tap` + i · tapStep reads source row `source` + i · sourceStep, 0 ≤ i < count. */
export interface RowTaps {
  readonly count: number | I32;
  /** What `count` is at most. */
  readonly most: number;
  readonly tap: number | I32;
  readonly tapStep: number;
  readonly source: number | I32;
  readonly sourceStep: number;
}

/** A way to find the taps of a row of the result, and how many rows there are. */
export interface RowWindow {
  readonly rows: number;
  readonly sourceRows: number;
  readonly taps: number;
  /** There is one row and one tap, and they meet: nothing to walk. */
  readonly trivial: boolean;
  /** The numbers of taps that rows meet, most first. */
  readonly counts: readonly number[];
  at(k: KernelBuilder, row: I32): RowTaps;
}

/** How many of the axis' taps each output meets, or each input: the different numbers, most first. */
function tapCounts(a: ConvAxis, side: 'input' | 'output'): number[] {
  const met = new Array<number>(a[side]).fill(0);
  for (let o = 0; o < a.output; o++) {
    for (let t = 0; t < a.kernel; t++) {
      const i = o * a.stride + t * a.dilation - a.before;
      if (i >= 0 && i < a.input) met[side === 'input' ? i : o]++;
    }
  }
  return [...new Set(met)].sort((x, y) => y - x);
}

const isTrivial = (a: ConvAxis): boolean => a.input === 1 && a.output === 1 && a.kernel === 1 && a.before === 0;

/** Rows of the output, reading the input. */
export function forwardRows(a: ConvAxis): RowWindow {
  return {
    rows: a.output,
    sourceRows: a.input,
    taps: a.kernel,
    trivial: isTrivial(a),
    counts: tapCounts(a, 'output'),
    at(k, row) {
      const first = row.mul(a.stride).sub(a.before);
      if (a.before <= 0 && (a.output - 1) * a.stride + (a.kernel - 1) * a.dilation - a.before < a.input) {
        return { count: a.kernel, most: a.kernel, tap: 0, tapStep: 1, source: first, sourceStep: a.dilation };
      }
      const from = k
        .i32(a.dilation - 1)
        .sub(first)
        .div(a.dilation)
        .max(k.i32(0));
      const to = k
        .i32(a.input - 1 + a.dilation)
        .sub(first)
        .div(a.dilation)
        .min(k.i32(a.kernel));
      const source = first.add(from.mul(a.dilation));
      return {
        count: to.sub(from).max(k.i32(0)),
        most: a.kernel,
        tap: from,
        tapStep: 1,
        source,
        sourceStep: a.dilation,
      };
    },
  };
}

/** Rows of the input's gradient, reading the output's; null where a stride meets a dilation. */
export function backwardRows(a: ConvAxis): RowWindow | null {
  if (a.stride === 1) {
    const mirrored = forwardRows({
      ...a,
      input: a.output,
      output: a.input,
      before: a.dilation * (a.kernel - 1) - a.before,
    });
    const last = a.kernel - 1;
    return {
      ...mirrored,
      at(k, row) {
        const t = mirrored.at(k, row);
        return { ...t, tap: typeof t.tap === 'number' ? last - t.tap : k.i32(last).sub(t.tap), tapStep: -1 };
      },
    };
  }
  if (a.dilation !== 1 || a.before < 0) return null;
  // row + before = stride · quotient + rest: taps rest, rest + stride, … read source rows quotient, quotient − 1, …
  return {
    rows: a.input,
    sourceRows: a.output,
    taps: a.kernel,
    trivial: isTrivial(a),
    counts: tapCounts(a, 'input'),
    at(k, row) {
      const shifted = row.add(a.before);
      const quotient = shifted.div(a.stride);
      const rest = shifted.sub(quotient.mul(a.stride));
      const from = quotient.sub(a.output - 1).max(k.i32(0));
      const to = k
        .i32(a.kernel - 1 + a.stride)
        .sub(rest)
        .div(a.stride)
        .min(quotient.add(1));
      return {
        count: to.sub(from).max(k.i32(0)),
        most: Math.ceil(a.kernel / a.stride),
        tap: rest.add(from.mul(a.stride)),
        tapStep: a.stride,
        source: quotient.sub(from),
        sourceStep: -1,
      };
    },
  };
}

/** A column tap: weight column `tap` reads the source column `offset` places after the pixel's own. */
export interface ColumnTap {
  readonly tap: number;
  readonly offset: number;
}

/** Pixels first, first + step, … of a row of the result; pixel j's own source column is j · sourceStep. */
export interface Columns {
  readonly first: number;
  readonly step: number;
  readonly count: number;
  readonly sourceStep: number;
  readonly sourceCount: number;
  readonly taps: readonly ColumnTap[];
}

/** True where tap `t` of pixel `j` reads inside the source. */
export function meets(c: Columns, j: number, t: ColumnTap): boolean {
  const at = j * c.sourceStep + t.offset;
  return at >= 0 && at < c.sourceCount;
}

export function forwardColumns(a: ConvAxis): Columns[] {
  const taps = Array.from({ length: a.kernel }, (_, tap) => ({ tap, offset: tap * a.dilation - a.before }));
  return [{ first: 0, step: 1, count: a.output, sourceStep: a.stride, sourceCount: a.input, taps }];
}

/** The gradient's columns, one class modulo the stride at a time: within a class each pixel has the same taps, so nothing is multiplied by zero. */
export function backwardColumns(a: ConvAxis): Columns[] {
  const classes: Columns[] = [];
  for (let first = 0; first < Math.min(a.stride, a.input); first++) {
    const taps: ColumnTap[] = [];
    for (let tap = 0; tap < a.kernel; tap++) {
      const at = first + a.before - tap * a.dilation;
      if (at % a.stride === 0) taps.push({ tap, offset: at / a.stride });
    }
    const count = Math.ceil((a.input - first) / a.stride);
    classes.push({ first, step: a.stride, count, sourceStep: 1, sourceCount: a.output, taps });
  }
  return classes;
}

/** `repeat` tiles of `pixels` pixels side by side, starting at pixel `start` of their columns. */
export interface TileRun {
  readonly start: number;
  readonly pixels: number;
  readonly repeat: number;
  /** Every tap of every pixel reads inside the source. */
  readonly interior: boolean;
}

/**
 * Cuts a row into tiles of at most `most` pixels and of nearly equal size (a tile of one or two pixels would wait for its own sums).
 * Tiles that touch a border stand alone, equal ones between them form a loop.
 */
export function cutColumns(c: Columns, most: number): TileRun[] {
  const tiles = Math.ceil(c.count / most);
  const small = Math.floor(c.count / tiles);
  const large = c.count - small * tiles;
  // The borders have the fewest taps: give them the small tiles. Without borders equal tiles come together.
  const bordered = !c.taps.every((t) => meets(c, 0, t) && meets(c, c.count - 1, t));
  const left = bordered && tiles - large > 1 ? 1 : 0;
  const runs: TileRun[] = [];
  let start = 0;
  for (let i = 0; i < tiles; i++) {
    const pixels = i < left || i >= left + large ? small : small + 1;
    const interior = c.taps.every((t) => meets(c, start, t) && meets(c, start + pixels - 1, t));
    const last = runs.at(-1);
    if (last?.interior && interior && last.pixels === pixels)
      runs[runs.length - 1] = { ...last, repeat: last.repeat + 1 };
    else runs.push({ start, pixels, repeat: 1, interior });
    start += pixels;
  }
  return runs;
}

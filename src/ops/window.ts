/**
 * Sliding windows: what convolution and pooling have in common. Users write `stride: 2` or `padding: 'same'`; here that becomes one number
 * (or one [lo, hi] pair) per spatial axis, the output sizes, and — for kernels and the reference — the same window over exactly three
 * axes D H W, the missing ones having size 1. Sizes follow PyTorch's rules, `ceilMode` included.
 */

import { scopeSuffix } from '../graph/node.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, type Shape } from '../util/shape.js';
import { type Operand, shapeError } from './shape-error.js';

/** One value for all spatial axes, or one for each. */
export type PerAxis = number | readonly number[];
/** What is added before and after an axis. */
export type Pair = readonly [lo: number, hi: number];
/** A number for all sides, one per axis, or [lo, hi] per axis; 'same' keeps the size (stride 1 only), 'valid' adds nothing. */
export type Padding = number | readonly (number | Pair)[] | 'same' | 'valid';

export interface ConvOptions {
  readonly stride?: PerAxis;
  readonly padding?: Padding;
  readonly dilation?: PerAxis;
  readonly groups?: number;
}

/** `ConvOptions` with everything spelled out, one entry per spatial axis. */
export interface ConvParams {
  readonly stride: readonly number[];
  readonly padding: readonly Pair[];
  readonly dilation: readonly number[];
  readonly groups: number;
}

export interface PoolOptions {
  readonly kernelSize: PerAxis;
  /** Defaults to `kernelSize`. */
  readonly stride?: PerAxis;
  readonly padding?: Padding;
  readonly dilation?: PerAxis;
  /** Rounds the output size up: a last window may hang over the end, if it starts inside the input or its left padding. */
  readonly ceilMode?: boolean;
}

/** `PoolOptions` with everything spelled out; `ceilMode` has become padding. */
export interface Window {
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly Pair[];
  readonly dilation: readonly number[];
}

const axisLetters = [[], ['L'], ['H', 'W'], ['D', 'H', 'W']];

/** The letters of 1, 2 or 3 spatial axes: L, H W, D H W. */
export function spatialLetters(rank: number): readonly string[] {
  return axisLetters[rank] ?? Array.from({ length: rank }, (_, i) => `S${i}`);
}

/** Spells out the options of a convolution whose kernel has these sizes. @throws {ConfigError} on an option out of its range. */
export function convParams(op: string, options: ConvOptions, kernelSize: Shape): ConvParams {
  const rank = kernelSize.length;
  const stride = perAxis(op, 'stride', options.stride ?? 1, rank, 1);
  const dilation = perAxis(op, 'dilation', options.dilation ?? 1, rank, 1);
  const padding = pairs(op, options.padding ?? 0, { kernelSize, stride, dilation });
  const groups = options.groups ?? 1;
  if (!Number.isInteger(groups) || groups < 1) {
    throw new ConfigError(`${op}: groups must be an integer of at least 1; got ${groups}${scopeSuffix()}`);
  }
  return { stride, padding, dilation, groups };
}

/** Spells out a pooling window, without `ceilMode`. @throws {ConfigError} on an option out of its range. */
export function poolParams(op: string, options: PoolOptions, rank: number): Window {
  const kernelSize = perAxis(op, 'kernelSize', options.kernelSize, rank, 1);
  const stride = perAxis(op, 'stride', options.stride ?? kernelSize, rank, 1);
  const dilation = perAxis(op, 'dilation', options.dilation ?? 1, rank, 1);
  const padding = pairs(op, options.padding ?? 0, { kernelSize, stride, dilation });
  for (let i = 0; i < rank; i++) {
    const span = spanOf(kernelSize[i], dilation[i]);
    if (2 * Math.max(...padding[i]) > span) {
      const wide = dilation[i] === 1 ? `kernelSize ${kernelSize[i]}` : `kernelSize ${kernelSize[i]} dilated to ${span}`;
      throw new ConfigError(
        `${op}: padding may be at most half the window, or a window could lie outside the input${scopeSuffix()}\n` +
          `  Along ${spatialLetters(rank)[i]}, padding is ${formatShape(padding[i])} and the window ${wide}; ` +
          `pass at most ${Math.floor(span / 2)}.`,
      );
    }
  }
  return { kernelSize, stride, padding, dilation };
}

/** The window a pooling over `spatial` sizes amounts to: `poolParams`, with `ceilMode` turned into padding at the end. */
export function poolWindow(op: string, options: PoolOptions, spatial: Shape): Window {
  const w = poolParams(op, options, spatial.length);
  return options.ceilMode === true ? ceilWindow(w, spatial) : w;
}

/** Pads the end of each axis until the rounded-up number of windows fits. */
export function ceilWindow(w: Window, spatial: Shape): Window {
  const padding = w.padding.map(([lo, hi], i): Pair => {
    const span = spanOf(w.kernelSize[i], w.dilation[i]);
    let out = Math.ceil((spatial[i] + lo + hi - span) / w.stride[i]) + 1;
    if ((out - 1) * w.stride[i] >= spatial[i] + lo) out--; // the last window would see padding only
    return [lo, Math.max(hi, (out - 1) * w.stride[i] + span - spatial[i] - lo)];
  });
  return { ...w, padding };
}

/** Elements from a window's first tap to its last, both included. */
export function spanOf(kernel: number, dilation: number): number {
  return dilation * (kernel - 1) + 1;
}

/** ⌊(size + lo + hi − dilation·(kernel − 1) − 1) / stride⌋ + 1. May be below 1: the caller checks. */
export function windowCount(size: number, [lo, hi]: Pair, kernel: number, stride: number, dilation: number): number {
  return Math.floor((size + lo + hi - spanOf(kernel, dilation)) / stride) + 1;
}

/** Sizes of the output's spatial axes. @throws {ShapeError} naming `operands` when the window does not fit somewhere. */
export function windowOutput(op: string, spatial: Shape, w: Window, operands: readonly Operand[]): number[] {
  return spatial.map((size, i) => {
    const [kernel, stride, dilation, padding] = [w.kernelSize[i], w.stride[i], w.dilation[i], w.padding[i]];
    const out = windowCount(size, padding, kernel, stride, dilation);
    if (out >= 1) return out;
    const a = spatialLetters(spatial.length)[i];
    const padded = size + padding[0] + padding[1];
    const fitting = Math.floor((padded - 1) / dilation) + 1;
    throw shapeError(
      op,
      'the kernel is larger than the padded input',
      operands,
      `${a}' = ⌊(${a} + lo + hi − dilation·(k${a} − 1) − 1) / stride⌋ + 1 = ` +
        `⌊(${size} + ${padding[0]} + ${padding[1]} − ${dilation}·(${kernel} − 1) − 1) / ${stride}⌋ + 1 = ${out}, and must be at least 1. ` +
        `Pad ${a} by ${spanOf(kernel, dilation) - size} or more in all${fitting >= 1 ? `, or pass a kernel with k${a} ≤ ${fitting}` : ''}.`,
    );
  });
}

export type Triple = readonly [d: number, h: number, w: number];

/** A window over exactly three axes, D H W. */
export interface WindowGeometry {
  readonly in: Triple;
  readonly out: Triple;
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padLo: Triple;
  readonly padHi: Triple;
  readonly dilation: Triple;
}

/** Sizes and parameters with axes put in front until there are three. Expects a window that fits. */
export function windowGeometry(spatial: Shape, w: Window): WindowGeometry {
  const padLo = triple(
    w.padding.map((p) => p[0]),
    0,
  );
  const padHi = triple(
    w.padding.map((p) => p[1]),
    0,
  );
  const [size, kernel, stride, dilation] = [spatial, w.kernelSize, w.stride, w.dilation].map((v) => triple(v, 1));
  const out = ([0, 1, 2] as const).map((i) =>
    windowCount(size[i], [padLo[i], padHi[i]], kernel[i], stride[i], dilation[i]),
  );
  return { in: size, out: triple(out, 1), kernel, stride, padLo, padHi, dilation };
}

/** Windows along `axis` whose tap `k` falls inside the input: from the first, up to but without the second. */
export function windowsOfTap(g: WindowGeometry, axis: 0 | 1 | 2, k: number): readonly [first: number, end: number] {
  const shift = k * g.dilation[axis] - g.padLo[axis]; // input = window · stride + shift
  const first = Math.max(0, Math.ceil(-shift / g.stride[axis]));
  const end = Math.min(g.out[axis], Math.ceil((g.in[axis] - shift) / g.stride[axis]));
  return [first, Math.max(first, end)];
}

/** Taps of window `o` along `axis` that fall inside the input: from the first, up to but without the second. */
export function tapsOfWindow(g: WindowGeometry, axis: 0 | 1 | 2, o: number): readonly [first: number, end: number] {
  const start = o * g.stride[axis] - g.padLo[axis];
  const first = Math.max(0, Math.ceil(-start / g.dilation[axis]));
  const end = Math.min(g.kernel[axis], Math.ceil((g.in[axis] - start) / g.dilation[axis]));
  return [first, Math.max(first, end)];
}

function triple(values: readonly number[], fill: number): Triple {
  const [d, h, w] = [fill, fill, fill, ...values].slice(-3);
  return [d, h, w];
}

function perAxis(op: string, name: string, value: PerAxis, rank: number, least: number): number[] {
  const given = typeof value === 'number' ? [value] : value;
  const list = given.length === 1 ? new Array<number>(rank).fill(given[0]) : [...given];
  if (list.length === rank && list.every((v) => Number.isInteger(v) && v >= least)) return list;
  const many = rank === 1 ? '' : `, or ${rank} of them (${spatialLetters(rank).join(' ')})`;
  const got = typeof value === 'number' ? `${value}` : formatShape(value);
  throw new ConfigError(`${op}: ${name} must be an integer of at least ${least}${many}; got ${got}${scopeSuffix()}`);
}

/** Checks `outputPadding` and its like, where 0 is allowed. */
export function nonNegativePerAxis(op: string, name: string, value: PerAxis, rank: number): number[] {
  return perAxis(op, name, value, rank, 0);
}

function pairs(op: string, padding: Padding, w: Omit<Window, 'padding'>): Pair[] {
  const rank = w.kernelSize.length;
  if (padding === 'valid') return w.kernelSize.map(() => [0, 0]);
  if (padding === 'same') {
    if (w.stride.some((s) => s !== 1)) {
      throw new ConfigError(
        `${op}: padding 'same' needs stride 1; got stride ${formatShape(w.stride)}${scopeSuffix()}\n` +
          `  A larger stride changes the size whatever the padding. Pass numbers, e.g. padding: ${Math.floor(w.kernelSize[0] / 2)}.`,
      );
    }
    return w.kernelSize.map((k, i): Pair => {
      const total = spanOf(k, w.dilation[i]) - 1;
      return [Math.floor(total / 2), Math.ceil(total / 2)]; // PyTorch gives the odd one to the end
    });
  }
  const given = typeof padding === 'number' ? [padding] : typeof padding === 'string' ? [] : padding;
  const list = given.length === 1 && rank > 1 ? new Array<number | Pair>(rank).fill(given[0]) : given;
  const out = list.map((p): Pair => (typeof p === 'number' ? [p, p] : p));
  if (out.length === rank && out.every((p) => p.length === 2 && p.every((v) => Number.isInteger(v) && v >= 0)))
    return out;
  const got = typeof padding === 'string' ? `'${padding}'` : JSON.stringify(padding);
  throw new ConfigError(
    `${op}: padding must be 'same', 'valid', an integer of at least 0, ${rank} of them, or ${rank} pairs [lo, hi] ` +
      `(${spatialLetters(rank).join(' ')}); got ${got}${scopeSuffix()}`,
  );
}

/**
 * Pooling over 1, 2 or 3 spatial axes. Primitives: the maximum of each window with its selection operators (one sends gradients to the place
 * of each maximum, the other collects from there: adjoints of each other), and the sum of each window with its adjoint. Average, adaptive
 * and global pooling are composed of these. Padding never wins a maximum and adds nothing to a sum.
 *
 * x [N, C, spatial…]; windows in PyTorch's terms, see `PoolOptions`.
 */

import { type Node, scopeSuffix } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import { Storage } from '../graph/storage.js';
import { poolGradLowerings, poolLowerings } from '../kernels/pool.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, numel, type Shape, sameShape } from '../util/shape.js';
import { div, mul } from './elementwise.js';
import { indexSelect } from './indexing.js';
import { concat, narrow, reshape } from './movement.js';
import { mean } from './reduce.js';
import { requireDType } from './require-dtype.js';
import { type Operand, shapeError } from './shape-error.js';
import { buffer, constant, iota } from './source.js';
import {
  ceilWindow,
  type PoolOptions,
  poolParams,
  poolWindow,
  spatialLetters,
  type Window,
  type WindowGeometry,
  windowGeometry,
  windowOutput,
} from './window.js';

/** Maximum of each window: [N, C, spatial…] → [N, C, spatial'…]. NaN counts as the maximum. @throws {ShapeError} @throws {ConfigError} */
export function maxPool(x: Node, options: PoolOptions): Node {
  return record(maxPoolOp, [x], windowOver('maxPool', x, options));
}

/**
 * Where each window's maximum is: int32 positions in the row-major spatial plane of x, padding not counted. The first one on ties; −1 for
 * a dilated window all of whose taps fall into the padding.
 */
export function maxPoolIndices(x: Node, options: PoolOptions): Node {
  return record(maxPoolIndicesOp, [x], windowOver('maxPool', x, options));
}

/** Sends dy to the (first) maximum of each window of x: the gradient of `maxPool`. */
export function maxPoolGrad(dy: Node, x: Node, w: Window): Node {
  return record(maxPoolGradOp, [dy, x], w);
}

/** Reads g at the (first) maximum of each window of x: the adjoint of `maxPoolGrad`. */
export function maxPoolAt(g: Node, x: Node, w: Window): Node {
  return record(maxPoolAtOp, [g, x], w);
}

/** Sum of each window. */
export function sumPool(x: Node, options: PoolOptions): Node {
  return record(sumPoolOp, [x], windowOver('sumPool', x, options));
}

/** Adds each window's dy to all its elements: the gradient of `sumPool` for an input of `xShape`. */
export function sumPoolGrad(dy: Node, xShape: Shape, w: Window): Node {
  return record(sumPoolGradOp, [dy], { ...w, xShape });
}

export interface AvgPoolOptions extends Omit<PoolOptions, 'dilation'> {
  /** Whether padding counts as elements of a window (but never what `ceilMode` adds beyond it). Default true. */
  readonly countIncludePad?: boolean;
  /** Divides by this instead of the number of elements. */
  readonly divisorOverride?: number;
}

/** Mean of each window: [N, C, spatial…] → [N, C, spatial'…]. @throws {ShapeError} @throws {ConfigError} */
export function avgPool(x: Node, options: AvgPoolOptions): Node {
  const { countIncludePad = true, divisorOverride, ceilMode = false, ...rest } = options;
  const op = poolName('avgPool', x.shape);
  const spatial = spatialOf(op, x.shape);
  const declared = poolParams(op, rest, spatial.length);
  const w = ceilMode ? ceilWindow(declared, spatial) : declared;
  windowOutput(op, spatial, w, poolOperands(x.shape, w));
  if (divisorOverride !== undefined && !(Number.isInteger(divisorOverride) && divisorOverride !== 0)) {
    throw new ConfigError(
      `${op}: divisorOverride must be an integer other than 0; got ${divisorOverride}${scopeSuffix()}`,
    );
  }
  const sums = record(sumPoolOp, [x], w);
  if (divisorOverride !== undefined) return mul(sums, 1 / divisorOverride);

  // The same window over ones counts elements; over ones that include the declared padding, it counts that too.
  const counted = countIncludePad
    ? spatial.map((size, i) => size + declared.padding[i][0] + declared.padding[i][1])
    : spatial;
  const beyond = countIncludePad ? w.padding.map(([, hi], i) => [0, hi - declared.padding[i][1]] as const) : w.padding;
  if (beyond.every(([lo, hi]) => lo === 0 && hi === 0)) return mul(sums, 1 / numel(w.kernelSize));
  return div(sums, record(sumPoolOp, [constant(1, [1, 1, ...counted])], { ...w, padding: beyond }));
}

/** Output sizes of adaptive pooling: one for all axes or one for each; null keeps an axis as it is. */
export type AdaptiveSize = number | readonly (number | null)[];

/** Mean over windows that divide each spatial axis as evenly as possible: window o of n covers ⌊o·H/n⌋ … ⌈(o + 1)·H/n⌉. */
export function adaptiveAvgPool(x: Node, outputSize: AdaptiveSize): Node {
  const op = poolName('adaptiveAvgPool', x.shape);
  const outputs = adaptiveSizes(op, x, outputSize);
  if (outputs.every((n) => n === 1)) return globalAvgPool(x);
  return adaptive(x, outputs, (part, w) => avgPool(part, w));
}

/** Maximum over the windows of `adaptiveAvgPool`. */
export function adaptiveMaxPool(x: Node, outputSize: AdaptiveSize): Node {
  return adaptive(x, adaptiveSizes(poolName('adaptiveMaxPool', x.shape), x, outputSize), (part, w) => maxPool(part, w));
}

/** Where the maxima of `adaptiveMaxPool` are: int32 positions in the spatial plane of x. */
export function adaptiveMaxPoolIndices(x: Node, outputSize: AdaptiveSize): Node {
  const outputs = adaptiveSizes(poolName('adaptiveMaxPool', x.shape), x, outputSize);
  const spatial = x.shape.slice(2);
  const windows = spatial.map((size, i) => adaptiveWindow(size, outputs[i]));
  if (windows.every((w) => w !== null)) return maxPoolIndices(x, windowOfAxes(windows));

  // Lay the windows of uneven axes side by side, short ones filled up with their last element (which cannot become the first maximum),
  // pool those, and look up where their elements came from.
  let laid = x;
  let origin = reshape(iota(numel(spatial)), spatial);
  const even = windows.map((w, i) => {
    if (w !== null) return w;
    const bounds = adaptiveBounds(spatial[i], outputs[i]);
    const longest = Math.max(...bounds.map(([start, end]) => end - start));
    const positions = bounds.flatMap(([start, end]) =>
      Array.from({ length: longest }, (_, k) => Math.min(start + k, end - 1)),
    );
    const index = int32Node(positions);
    laid = indexSelect(laid, i + 2, index);
    origin = indexSelect(origin, i, index);
    return { kernel: longest, stride: longest };
  });
  const at = maxPoolIndices(laid, windowOfAxes(even));
  const found = indexSelect(reshape(origin, [numel(origin.shape)]), 0, reshape(at, [numel(at.shape)]));
  return reshape(found, at.shape);
}

/** Mean over all spatial axes, kept with size 1. */
export function globalAvgPool(x: Node): Node {
  return mean(x, spatialAxes(x), true);
}

/** Maximum over all spatial axes, kept with size 1; its gradient goes to the first maximum. */
export function globalMaxPool(x: Node): Node {
  return adaptiveMaxPool(x, 1);
}

/** Planes (batch × channels) and the window over three axes: everything a kernel needs to know. Expects a window that fits. */
export interface PoolGeometry extends WindowGeometry {
  readonly planes: number;
}

/** The geometry of pooling `xShape`, be it computed forwards or as an adjoint. */
export function poolGeometry(xShape: Shape, w: Window): PoolGeometry {
  return { ...windowGeometry(xShape.slice(2), w), planes: xShape[0] * xShape[1] };
}

export interface SumPoolGradParams extends Window {
  readonly xShape: Shape;
}

export const maxPoolOp = defineOp<Window>('maxPool', {
  infer: ([x], w) => ({ shape: poolShape('maxPool', x, w), dtype: 'float32' }),
  lower: ({ inputs: [x], attrs }, target) => poolLowerings(x.shape, poolGeometry(x.shape, attrs), 'max', target),
  vjp: (dy, { inputs: [x], attrs }) => [maxPoolGrad(dy, x, attrs)],
});

export const maxPoolIndicesOp = defineOp<Window>('maxPoolIndices', {
  infer: ([x], w) => ({ shape: poolShape('maxPool', x, w), dtype: 'int32' }),
  lower: ({ inputs: [x], attrs }, target) => poolLowerings(x.shape, poolGeometry(x.shape, attrs), 'position', target),
});

export const maxPoolGradOp = defineOp<Window>('maxPoolGrad', {
  infer([dy, x], w) {
    checkOutputGrad('maxPool', dy, x.shape, poolShape('maxPool', x, w), w);
    return { shape: x.shape, dtype: 'float32' };
  },
  lower: ({ inputs: [, x], attrs }, target) => poolGradLowerings(x.shape, poolGeometry(x.shape, attrs), 'max', target),
  // The place of the maximum does not move with x, but for ties: no gradient to x.
  vjp: (dz, { inputs: [, x], attrs }) => [maxPoolAt(dz, x, attrs), null],
});

export const maxPoolAtOp = defineOp<Window>('maxPoolAt', {
  infer([g, x], w) {
    requireDType('maxPoolAt', 'g', g.dtype, 'float32');
    if (!sameShape(g.shape, x.shape)) {
      const rule = 'g is read where x has its maxima: pass a g of the shape of x.';
      throw shapeError(
        'maxPoolAt',
        'g and x differ in shape',
        [
          ['g', g.shape],
          ['x', x.shape],
        ],
        rule,
      );
    }
    return { shape: poolShape('maxPoolAt', x, w), dtype: 'float32' };
  },
  lower: ({ inputs: [, x], attrs }, target) => poolLowerings(x.shape, poolGeometry(x.shape, attrs), 'at', target),
  vjp: (dy, { inputs: [, x], attrs }) => [maxPoolGrad(dy, x, attrs), null],
});

export const sumPoolOp = defineOp<Window>('sumPool', {
  infer: ([x], w) => ({ shape: poolShape('sumPool', x, w), dtype: 'float32' }),
  lower: ({ inputs: [x], attrs }, target) => poolLowerings(x.shape, poolGeometry(x.shape, attrs), 'sum', target),
  vjp: (dy, { inputs: [x], attrs }) => [sumPoolGrad(dy, x.shape, attrs)],
});

export const sumPoolGradOp = defineOp<SumPoolGradParams>('sumPoolGrad', {
  infer([dy], { xShape, ...w }) {
    const outputs = windowOutput(poolName('sumPool', xShape), xShape.slice(2), w, poolOperands(xShape, w));
    checkOutputGrad('sumPool', dy, xShape, [...xShape.slice(0, 2), ...outputs], w);
    return { shape: xShape, dtype: 'float32' };
  },
  lower: ({ attrs }, target) => poolGradLowerings(attrs.xShape, poolGeometry(attrs.xShape, attrs), 'all', target),
  vjp: (dz, { attrs: { xShape: _, ...w } }) => [record(sumPoolOp, [dz], w)],
});

function poolName(name: string, xShape: Shape): string {
  return xShape.length >= 3 && xShape.length <= 5 ? `${name}${xShape.length - 2}d` : name;
}

/** The axes after N and C. @throws {ShapeError} unless there are one to three. */
function spatialOf(op: string, xShape: Shape): Shape {
  if (xShape.length >= 3 && xShape.length <= 5) return xShape.slice(2);
  const fix = xShape.length === 2 ? ' Add the axes that are missing: x.unsqueeze(0).' : '';
  const rule = `x has ${xShape.length} axes; pooling takes N C and one to three spatial axes: 3, 4 or 5.${fix}`;
  throw shapeError(op, 'x has the wrong number of axes', [['x', xShape]], rule);
}

function spatialAxes(x: Node): number[] {
  return spatialOf('globalPool', x.shape).map((_, i) => i + 2);
}

function windowOver(name: string, x: Node, options: PoolOptions): Window {
  const op = poolName(name, x.shape);
  return poolWindow(op, options, spatialOf(op, x.shape));
}

function poolShape(name: string, x: Node, w: Window): number[] {
  const op = poolName(name, x.shape);
  requireDType(op, 'x', x.dtype, 'float32');
  const spatial = spatialOf(op, x.shape);
  return [x.shape[0], x.shape[1], ...windowOutput(op, spatial, w, poolOperands(x.shape, w))];
}

function poolOperands(xShape: Shape, w: Window): Operand[] {
  const axes = spatialLetters(xShape.length - 2).join(' ');
  return [
    ['x', xShape, `N C ${axes}`],
    ['kernelSize', w.kernelSize, axes],
  ];
}

function checkOutputGrad(name: string, dy: Node, xShape: Shape, yShape: Shape, w: Window): void {
  const op = `${poolName(name, xShape)}Grad`;
  requireDType(op, 'dy', dy.dtype, 'float32');
  if (sameShape(dy.shape, yShape)) return;
  throw shapeError(
    op,
    "dy does not have the shape of the pooling's output",
    [['dy', dy.shape], ...poolOperands(xShape, w)],
    `Pooling x gives ${formatShape(yShape)}. Pass a dy of that shape.`,
  );
}

function adaptiveSizes(op: string, x: Node, outputSize: AdaptiveSize): number[] {
  const spatial = spatialOf(op, x.shape);
  const given = typeof outputSize === 'number' ? spatial.map(() => outputSize) : outputSize;
  const sizes = given.map((n, i) => n ?? spatial[i]);
  if (sizes.length === spatial.length && sizes.every((n) => Number.isInteger(n) && n >= 1)) return sizes;
  throw new ConfigError(
    `${op}: outputSize must be an integer of at least 1, or ${spatial.length} of them ` +
      `(${spatialLetters(spatial.length).join(' ')}; null keeps an axis); got ${JSON.stringify(outputSize)}${scopeSuffix()}`,
  );
}

type Bounds = readonly [start: number, end: number];

interface AxisWindow {
  readonly kernel: number;
  readonly stride: number;
}

function adaptiveBounds(size: number, outputs: number): Bounds[] {
  return Array.from(
    { length: outputs },
    (_, o): Bounds => [Math.floor((o * size) / outputs), Math.ceil(((o + 1) * size) / outputs)],
  );
}

/** The one ordinary window that equals the adaptive ones along an axis, or null when they are uneven. */
function adaptiveWindow(size: number, outputs: number): AxisWindow | null {
  const bounds = adaptiveBounds(size, outputs);
  const kernel = bounds[0][1];
  const stride = outputs > 1 ? bounds[1][0] : kernel;
  return bounds.every(([start, end], o) => start === o * stride && end - start === kernel) && stride > 0
    ? { kernel, stride }
    : null;
}

function windowOfAxes(axes: readonly AxisWindow[]): Window {
  return {
    kernelSize: axes.map((a) => a.kernel),
    stride: axes.map((a) => a.stride),
    padding: axes.map(() => [0, 0] as const),
    dilation: axes.map(() => 1),
  };
}

/**
 * Pools axis by axis, the last one first (so that of equal maxima the first in row-major order is chosen): neighbouring axes with even
 * windows in one go, an uneven axis as one slice for each output.
 */
function adaptive(x: Node, outputs: readonly number[], pool: (x: Node, w: Window) => Node): Node {
  const spatial = x.shape.slice(2);
  const untouched: AxisWindow = { kernel: 1, stride: 1 };
  const windows = spatial.map((size, i) => (size === outputs[i] ? untouched : adaptiveWindow(size, outputs[i])));
  let run = spatial.map(() => untouched);
  const poolRun = (y: Node) => (run.every((w) => w === untouched) ? y : pool(y, windowOfAxes(run)));
  let y = x;
  for (let i = spatial.length - 1; i >= 0; i--) {
    const w = windows[i];
    if (w !== null) {
      run = run.with(i, w);
      continue;
    }
    const rest = poolRun(y);
    run = spatial.map(() => untouched);
    const parts = adaptiveBounds(spatial[i], outputs[i]).map(([start, end]) => {
      const whole = windowOfAxes(run.with(i, { kernel: end - start, stride: end - start }));
      return pool(narrow(rest, i + 2, start, end), whole);
    });
    y = concat(parts, i + 2);
  }
  return poolRun(y);
}

function int32Node(values: readonly number[]): Node {
  return buffer(new Storage([values.length], 'int32', Int32Array.from(values)));
}

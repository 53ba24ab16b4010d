/**
 * Convolution over 1, 2 or 3 spatial axes (cross-correlation, as everywhere in deep learning) and its two adjoints. All three are
 * derivatives of one trilinear form T(x, w, y) = Σ x·w·y over batch, outputs and taps: `conv` by y, `convInputGrad` by x, `convWeightGrad`
 * by w. So the gradients of each are the other two, at any order, and one loop nest serves the reference of all three.
 *
 * x [N, C, spatial…], weight [O, C/groups, kernel…], y [N, O, spatial'…]. Bias is an add, not part of the primitive.
 */

import { type AnyOp, type Node, scopeSuffix } from '../graph/node.js';
import { defineOp, record, type TargetInfo } from '../graph/op.js';
import { convInputGradLowerings, convLowerings, convWeightGradLowerings } from '../kernels/conv.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, numel, type Shape, sameShape } from '../util/shape.js';
import { mul, mulOp } from './elementwise.js';
import { expand, expandOp, narrow, pad, reshape } from './movement.js';
import { sum } from './reduce.js';
import { requireDType } from './require-dtype.js';
import { type Operand, shapeError } from './shape-error.js';
import {
  type ConvOptions,
  type ConvParams,
  convParams,
  nonNegativePerAxis,
  type Pair,
  type PerAxis,
  spanOf,
  spatialLetters,
  type Window,
  type WindowGeometry,
  windowGeometry,
  windowOutput,
} from './window.js';
import { winogradConv, winogradPays } from './winograd.js';

/** Convolution: x [N, C, spatial…] and weight [O, C/groups, kernel…] → [N, O, spatial'…]. @throws {ShapeError} @throws {ConfigError} */
export function conv(x: Node, weight: Node, options: ConvOptions = {}): Node {
  const op = convName(weight.shape);
  checkRanks(op, x.shape, weight.shape, convOperands(x.shape, weight.shape));
  return record(convOp, [x, weight], convParams(op, options, weight.shape.slice(2)));
}

/** Gradient of `conv` by its input, of shape `xShape`, from that of its output. */
export function convInputGrad(dy: Node, weight: Node, xShape: Shape, p: ConvParams): Node {
  return record(convInputGradOp, [dy, weight], { ...paramsOnly(p), xShape });
}

/** Gradient of `conv` by its weight, of shape `wShape`, from that of its output. */
export function convWeightGrad(dy: Node, x: Node, wShape: Shape, p: ConvParams): Node {
  return record(convWeightGradOp, [dy, x], { ...paramsOnly(p), wShape });
}

export interface ConvTransposeOptions {
  readonly stride?: PerAxis;
  /** Cut off the output's sides: what a convolution with this padding would have added. */
  readonly padding?: number | readonly (number | Pair)[];
  /** Added to the end of each axis; below the stride or the dilation. */
  readonly outputPadding?: PerAxis;
  readonly dilation?: PerAxis;
  readonly groups?: number;
}

/**
 * Transposed convolution: x [N, C, spatial…] and weight [C, O/groups, kernel…] → [N, O, spatial'…],
 * H' = (H − 1)·stride − lo − hi + dilation·(kH − 1) + outputPadding + 1. It is the input gradient of the convolution with that weight.
 * @throws {ShapeError} @throws {ConfigError}
 */
export function convTranspose(x: Node, weight: Node, options: ConvTransposeOptions = {}): Node {
  const rank = weight.shape.length - 2;
  const op = `convTranspose${rank}d`;
  const operands = convTransposeOperands(x.shape, weight.shape);
  checkRanks(op, x.shape, weight.shape, operands);
  const outputPadding = nonNegativePerAxis(op, 'outputPadding', options.outputPadding ?? 0, rank);
  if (typeof options.padding === 'string') {
    throw new ConfigError(`${op}: padding takes numbers; got '${options.padding}'${scopeSuffix()}`);
  }
  const p = convParams(op, options, weight.shape.slice(2));
  checkTransposedChannels(op, x.shape, weight.shape, p.groups, operands);

  const spatial: number[] = [];
  const padding: Pair[] = [];
  const zeros: Pair[] = [];
  for (let i = 0; i < rank; i++) {
    const [size, kernel, [lo, hi]] = [x.shape[i + 2], weight.shape[i + 2], p.padding[i]];
    const extra = outputPadding[i];
    checkOutputPadding(op, extra, p.stride[i], p.dilation[i], spatialLetters(rank)[i]);
    const out = (size - 1) * p.stride[i] - lo - hi + spanOf(kernel, p.dilation[i]) + extra;
    if (out < 1) {
      const a = spatialLetters(rank)[i];
      throw shapeError(
        op,
        'padding cuts the whole output away',
        operands,
        `${a}' = (${a} − 1)·stride − lo − hi + dilation·(k${a} − 1) + outputPadding + 1 = ` +
          `(${size} − 1)·${p.stride[i]} − ${lo} − ${hi} + ${p.dilation[i]}·(${kernel} − 1) + ${extra} + 1 = ${out}, and must be at least 1. ` +
          `Pass a padding smaller by ${1 - out} or more in all.`,
      );
    }
    // Extra output smaller than the stride is what a strided convolution would have overlooked. More than that must come out of the
    // padding at the end, and once that is used up no tap reaches there: zeros.
    const fromPadding = extra < p.stride[i] ? 0 : Math.min(hi, extra);
    const asZeros = extra < p.stride[i] ? 0 : extra - fromPadding;
    padding.push([lo, hi - fromPadding]);
    zeros.push([0, asZeros]);
    spatial.push(out - asZeros);
  }
  const outChannels = weight.shape[1] * p.groups;
  const y = convInputGrad(x, weight, [x.shape[0], outChannels, ...spatial], { ...p, padding });
  return zeros.some(([, hi]) => hi > 0) ? pad(y, [[0, 0], [0, 0], ...zeros], 0) : y;
}

/** Everything a kernel needs to know, with spatial axes brought to three. */
export interface ConvGeometry extends WindowGeometry {
  readonly batch: number;
  readonly groups: number;
  /** Channels each group reads. */
  readonly inPerGroup: number;
  /** Channels each group writes. */
  readonly outPerGroup: number;
}

/** The geometry of the convolution of x with weight, be it computed forwards or as one of the adjoints. Expects shapes that fit. */
export function convGeometry(xShape: Shape, wShape: Shape, p: ConvParams): ConvGeometry {
  return {
    ...windowGeometry(xShape.slice(2), convWindow(wShape, p)),
    batch: xShape[0],
    groups: p.groups,
    inPerGroup: wShape[1],
    outPerGroup: wShape[0] / p.groups,
  };
}

/** Shape of the output. @throws {ShapeError} when the operands do not fit each other. */
export function convShape(op: string, xShape: Shape, wShape: Shape, p: ConvParams): number[] {
  const operands = convOperands(xShape, wShape);
  checkRanks(op, xShape, wShape, operands);
  checkChannels(op, xShape, wShape, p.groups, operands);
  return [xShape[0], wShape[0], ...windowOutput(op, xShape.slice(2), convWindow(wShape, p), operands)];
}

export interface ConvInputGradParams extends ConvParams {
  readonly xShape: Shape;
}

export interface ConvWeightGradParams extends ConvParams {
  readonly wShape: Shape;
}

export const convOp = defineOp<ConvParams>('conv', {
  infer([x, weight], p) {
    const op = convName(weight.shape);
    requireDType(op, 'x', x.dtype, 'float32');
    requireDType(op, 'weight', weight.dtype, 'float32');
    return { shape: convShape(op, x.shape, weight.shape, p), dtype: 'float32' };
  },
  vjp: (dy, { inputs: [x, w], attrs }) => [convInputGrad(dy, w, x.shape, attrs), convWeightGrad(dy, x, w.shape, attrs)],
  lower: ({ inputs: [x, w], attrs }, target) => convLowerings(x.shape, w.shape, attrs, target),
  withFixed: ({ inputs: [x, w], attrs, shape }, fixed) =>
    fixed === 1 && winogradPays(x.shape, shape) ? winogradConv(x, w, attrs, shape) : null,
  scaleChannels: ({ inputs: [x, w], attrs }, scale) => conv(x, scaleOutputs(w, scale), attrs),
  decompose({ inputs: [x, w], attrs }, target): Node | null {
    const times = channelMultiplier(w.shape, attrs);
    if (times > 1) return conv(repeatChannels(x, times), w, { ...attrs, groups: w.shape[0] });
    const wide = widenedGroups(w.shape, attrs, target);
    if (wide === null) return null;
    const { groups } = attrs;
    const y = conv(widen(x, 1, groups, wide.input), widenWeight(w, groups, wide), attrs);
    return unwiden(y, 1, groups, w.shape[0] / groups);
  },
  simplify: ({ inputs: [x, w], attrs }) => scaledWeights(x, w, attrs),
  macs: (node) => numel(node.shape) * numel(node.inputs[1].shape.slice(1)),
});

export const convInputGradOp = defineOp<ConvInputGradParams>('convInputGrad', {
  infer([dy, weight], p) {
    const op = `${convName(weight.shape)}InputGrad`;
    requireDType(op, 'weight', weight.dtype, 'float32');
    checkOutputGrad(op, dy, p.xShape, weight.shape, p);
    return { shape: p.xShape, dtype: 'float32' };
  },
  vjp: (dz, { inputs: [dy, w], attrs }) => [conv(dz, w, paramsOnly(attrs)), convWeightGrad(dy, dz, w.shape, attrs)],
  lower: ({ inputs: [dy, w], attrs }, target) => convInputGradLowerings(dy.shape, w.shape, attrs.xShape, attrs, target),
  decompose({ inputs: [dy, w], attrs }, target): Node | null {
    const times = channelMultiplier(w.shape, attrs);
    const [n, c, ...spatial] = attrs.xShape;
    if (times === 1) {
      const wide = widenedGroups(w.shape, attrs, target);
      if (wide === null) return null;
      const { groups } = attrs;
      const xShape = [n, groups * wide.input, ...spatial];
      const dx = convInputGrad(widen(dy, 1, groups, wide.output), widenWeight(w, groups, wide), xShape, attrs);
      return unwiden(dx, 1, groups, w.shape[1]);
    }
    const repeated = convInputGrad(dy, w, [n, c * times, ...spatial], { ...attrs, groups: w.shape[0] });
    return sum(reshape(repeated, [n, c, times, ...spatial]), [2]);
  },
  macs: (node) => numel(node.inputs[0].shape) * numel(node.inputs[1].shape.slice(1)),
});

export const convWeightGradOp = defineOp<ConvWeightGradParams>('convWeightGrad', {
  infer([dy, x], p) {
    const op = `${convName(p.wShape)}WeightGrad`;
    requireDType(op, 'x', x.dtype, 'float32');
    checkOutputGrad(op, dy, x.shape, p.wShape, p);
    return { shape: p.wShape, dtype: 'float32' };
  },
  vjp: (dv, { inputs: [dy, x], attrs }) => [conv(x, dv, paramsOnly(attrs)), convInputGrad(dy, dv, x.shape, attrs)],
  lower: ({ inputs: [dy, x], attrs }, target) =>
    convWeightGradLowerings(dy.shape, x.shape, attrs.wShape, attrs, target),
  decompose({ inputs: [dy, x], attrs }, target): Node | null {
    const times = channelMultiplier(attrs.wShape, attrs);
    if (times === 1) {
      const wide = widenedGroups(attrs.wShape, attrs, target);
      if (wide === null) return null;
      const { groups } = attrs;
      const [filters, input, ...kernel] = attrs.wShape;
      const wShape = [groups * wide.output, wide.input, ...kernel];
      const dw = convWeightGrad(widen(dy, 1, groups, wide.output), widen(x, 1, groups, wide.input), wShape, attrs);
      return unwiden(narrow(dw, 1, 0, input), 0, groups, filters / groups);
    }
    return convWeightGrad(dy, repeatChannels(x, times), attrs.wShape, { ...attrs, groups: attrs.wShape[0] });
  },
  macs: (node) => numel(node.inputs[0].shape) * numel(node.shape.slice(1)),
});

/**
 * How many outputs each channel has of its own, where groups are single channels: with more than one it is computed as a depthwise
 * convolution of channels that are repeated, for which there are kernels.
 */
function channelMultiplier(wShape: Shape, { groups }: ConvParams): number {
  return wShape[1] === 1 && groups > 1 ? wShape[0] / groups : 1;
}

/** Channels in and out of each group. */
interface GroupWidth {
  readonly input: number;
  readonly output: number;
}

/** Multiplications that may be wasted on zeros: the kernels for groups that cut across blocks are about ten times slower. */
const mostWaste = 4;

/**
 * Groups of more than one channel that are no whole blocks: how wide they are when they are filled up with zeros, for the kernels that want whole
 * blocks; null where there is nothing to gain. RegNet's groups of 24 channels went from 45 to 170 GFLOP/s on blocks of 16.
 */
function widenedGroups(wShape: Shape, { groups }: ConvParams, { block }: TargetInfo): GroupWidth | null {
  const [input, output] = [wShape[1], wShape[0] / groups];
  const whole = (channels: number) => Math.ceil(channels / block) * block;
  const wide = { input: whole(input), output: whole(output) };
  if (groups === 1 || (wide.input === input && wide.output === output)) return null;
  // Several groups to a block, and one channel to a group, have kernels of their own.
  if (input === output && block % input === 0 && (groups * input) % block === 0) return null;
  if (input === 1 && output === 1) return null;
  return wide.input * wide.output > mostWaste * input * output ? null : wide;
}

/** x with zeros after the channels of each group on `axis`, so that it has `channels`. */
function widen(x: Node, axis: number, groups: number, channels: number): Node {
  const { shape } = x;
  const own = shape[axis] / groups;
  const apart = reshape(x, [...shape.slice(0, axis), groups, own, ...shape.slice(axis + 1)]);
  const padded = pad(apart, apart.shape.map((_, i): Pair => [0, i === axis + 1 ? channels - own : 0])); // biome-ignore format: one thought
  return reshape(padded, [...shape.slice(0, axis), groups * channels, ...shape.slice(axis + 1)]);
}

/** Undoes `widen`: the first `channels` of each group. */
function unwiden(x: Node, axis: number, groups: number, channels: number): Node {
  const { shape } = x;
  const apart = reshape(x, [...shape.slice(0, axis), groups, shape[axis] / groups, ...shape.slice(axis + 1)]);
  const cut = narrow(apart, axis + 1, 0, channels);
  return reshape(cut, [...shape.slice(0, axis), groups * channels, ...shape.slice(axis + 1)]);
}

function widenWeight(w: Node, groups: number, { input, output }: GroupWidth): Node {
  const padding = w.shape.map((size, axis): Pair => [0, axis === 1 ? input - size : 0]);
  return widen(pad(w, padding), 0, groups, output);
}

/** Every channel of x [N, C, spatial…] `times` times, one after another. */
function repeatChannels(x: Node, times: number): Node {
  const [n, c, ...spatial] = x.shape;
  const repeated = expand(reshape(x, [n, c, 1, ...spatial]), [n, c, times, ...spatial]);
  return reshape(repeated, [n, c * times, ...spatial]);
}

/** Shared by the adjoints: dy must look like the output of the convolution of x with weight. */
function checkOutputGrad(op: string, dy: Node, xShape: Shape, wShape: Shape, p: ConvParams): void {
  requireDType(op, 'dy', dy.dtype, 'float32');
  const yShape = convShape(op, xShape, wShape, p);
  if (sameShape(dy.shape, yShape)) return;
  const letters = ['N', 'O', ...spatialLetters(wShape.length - 2).map((a) => `${a}'`)].join(' ');
  throw shapeError(
    op,
    "dy does not have the shape of the convolution's output",
    [['dy', dy.shape, letters], ...convOperands(xShape, wShape)],
    `x and weight give ${formatShape(yShape)}. Pass a dy of that shape.`,
  );
}

/**
 * The convolution of one picture whose channels are scaled, as squeeze-and-excitation does it: scaling the weights instead comes to the same,
 * and takes less where they are fewer than the pixels. null where it does not.
 */
function scaledWeights(x: Node, w: Node, p: ConvParams): Node | null {
  if (x.op !== (mulOp as AnyOp) || x.shape[0] !== 1 || p.groups !== 1 || numel(w.shape) >= numel(x.shape)) return null;
  const at = x.inputs.findIndex((input) => input.op === (expandOp as AnyOp) && isPerChannel(input.inputs[0].shape, x));
  return at < 0 ? null : conv(x.inputs[1 - at], mul(w, x.inputs[at].inputs[0]), p);
}

/** Whether `shape` is [1, C, 1, …]. */
function isPerChannel(shape: Shape, x: Node): boolean {
  return shape.length === x.shape.length && shape.every((size, axis) => size === (axis === 1 ? x.shape[1] : 1));
}

/** weight [O, …] with the weights of each output channel times its number in `scale` [O]. */
function scaleOutputs(weight: Node, scale: Node): Node {
  return mul(weight, reshape(scale, [weight.shape[0], ...weight.shape.slice(1).map(() => 1)]));
}

function convName(wShape: Shape): string {
  return `conv${wShape.length - 2}d`;
}

function convWindow(wShape: Shape, p: ConvParams): Window {
  return { kernelSize: wShape.slice(2), stride: p.stride, padding: p.padding, dilation: p.dilation };
}

/** Attributes are compared and printed: nothing but the parameters may slip in from a wider object. */
function paramsOnly({ stride, padding, dilation, groups }: ConvParams): ConvParams {
  return { stride, padding, dilation, groups };
}

function convOperands(xShape: Shape, wShape: Shape): Operand[] {
  const axes = spatialLetters(wShape.length - 2).join(' ');
  return [
    ['x', xShape, xShape.length === wShape.length ? `N C ${axes}` : ''],
    ['weight', wShape, `O C/groups ${axes}`],
  ];
}

function convTransposeOperands(xShape: Shape, wShape: Shape): Operand[] {
  const axes = spatialLetters(wShape.length - 2).join(' ');
  return [
    ['x', xShape, xShape.length === wShape.length ? `N C ${axes}` : ''],
    ['weight', wShape, `C O/groups ${axes}`],
  ];
}

function checkRanks(op: string, xShape: Shape, wShape: Shape, operands: readonly Operand[]): void {
  const rank = wShape.length - 2;
  if (rank < 1 || rank > 3) {
    const plain = operands.map(([name, shape]): Operand => [name, shape]);
    const rule = `weight has ${wShape.length} axes; two for channels and one to three spatial ones make 3, 4 or 5.`;
    throw shapeError(op.replace(/-?\d+d/, ''), 'weight has the wrong number of axes', plain, rule);
  }
  if (xShape.length !== wShape.length) {
    const letters = `N C ${spatialLetters(rank).join(' ')}`;
    const fix = xShape.length === rank + 1 ? ' For a single item add the batch axis: x.unsqueeze(0).' : '';
    throw shapeError(
      op,
      'x has the wrong number of axes',
      operands,
      `x has ${xShape.length} axes; ${op} takes ${rank + 2}: ${letters}.${fix}`,
    );
  }
}

function checkChannels(op: string, xShape: Shape, wShape: Shape, groups: number, operands: readonly Operand[]): void {
  const [channels, outChannels, perGroup] = [xShape[1], wShape[0], wShape[1]];
  if (outChannels % groups !== 0 || channels % groups !== 0) {
    throw shapeError(
      op,
      'groups does not divide the channels',
      operands,
      `groups = ${groups} must divide both C = ${channels} of x and O = ${outChannels} of weight. ` +
        `Pass groups: ${orList(commonDivisors(channels, outChannels))}.`,
    );
  }
  if (channels === perGroup * groups) return;
  const fitting = channels / perGroup;
  const otherGroups = Number.isInteger(fitting) && outChannels % fitting === 0 ? `groups: ${fitting}, or ` : '';
  throw shapeError(
    op,
    'channels do not match',
    operands,
    `x has C = ${channels}; weight with groups = ${groups} takes ${perGroup * groups}. ` +
      `Pass ${otherGroups}a weight of shape ${formatShape([outChannels, channels / groups, ...wShape.slice(2)])}.`,
  );
}

function checkTransposedChannels(
  op: string,
  xShape: Shape,
  wShape: Shape,
  groups: number,
  operands: readonly Operand[],
): void {
  const channels = xShape[1];
  if (channels !== wShape[0]) {
    throw shapeError(
      op,
      'channels do not match',
      operands,
      `x has C = ${channels}; weight takes ${wShape[0]}. Pass a weight of shape ${formatShape([channels, ...wShape.slice(1)])}.`,
    );
  }
  if (channels % groups !== 0) {
    throw shapeError(
      op,
      'groups does not divide the channels',
      operands,
      `groups = ${groups} must divide C = ${channels}. Pass groups: ${orList(commonDivisors(channels, channels))}.`,
    );
  }
}

function checkOutputPadding(op: string, extra: number, stride: number, dilation: number, axis: string): void {
  if (extra < Math.max(stride, dilation)) return;
  throw new ConfigError(
    `${op}: outputPadding must be smaller than the stride or the dilation${scopeSuffix()}\n` +
      `  Along ${axis}, outputPadding is ${extra}, stride ${stride}, dilation ${dilation}; pass at most ${Math.max(stride, dilation) - 1}.`,
  );
}

function commonDivisors(a: number, b: number): number[] {
  const divisors: number[] = [];
  for (let d = 1; d <= Math.min(a, b); d++) if (a % d === 0 && b % d === 0) divisors.push(d);
  return divisors;
}

/** `1, 2 or 4`. */
function orList(values: readonly number[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

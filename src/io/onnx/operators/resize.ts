/**
 * Resize and Upsample: each axis is sampled by itself, as a product with a small matrix (linear, cubic) or a choice of rows (nearest). Where
 * output place o lies in the input is a table of formulas, since frameworks differ. Source: docs/Operators.md, Resize.
 */

import { F, type Tensor } from '../../../tensor/index.js';
import { numel } from '../../../util/shape.js';
import type { OnnxNode } from '../import-node.js';
import { Known, knownInts } from './known.js';
import { axesOf, checkedShape, computes, numbers, type Operator, type OperatorTable, required } from './operator.js';

const coordinateModes = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'tf_half_pixel_for_nn',
  'tf_crop_and_resize',
] as const;
const nearestModes = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;

interface Sampling {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly coordinates: (typeof coordinateModes)[number];
  readonly nearest: (typeof nearestModes)[number];
  readonly cubicA: number;
  readonly excludeOutside: boolean;
  readonly antialias: boolean;
  readonly extrapolation: number;
}

interface Axis {
  readonly from: number;
  readonly to: number;
  /** Output size / input size as given, which may differ from the quotient by rounding. */
  readonly scale: number;
  /** Start and end of the region of interest, in 0 … 1. */
  readonly roi: readonly [number, number];
}

/** Where the centre of output place o lies, in input places. */
function coordinate(o: number, { from, to, scale, roi }: Axis, mode: Sampling['coordinates']): number {
  switch (mode) {
    case 'half_pixel':
      return (o + 0.5) / scale - 0.5;
    case 'half_pixel_symmetric': {
      const adjustment = to / (from * scale);
      const offset = (from / 2) * (1 - adjustment);
      return offset + (o + 0.5) / scale - 0.5;
    }
    case 'pytorch_half_pixel':
      return to > 1 ? (o + 0.5) / scale - 0.5 : 0;
    case 'align_corners':
      return to > 1 ? (o * (from - 1)) / (to - 1) : 0;
    case 'asymmetric':
      return o / scale;
    case 'tf_half_pixel_for_nn':
      return (o + 0.5) / scale;
    case 'tf_crop_and_resize': {
      const [start, end] = roi;
      return to > 1
        ? start * (from - 1) + (o * (end - start) * (from - 1)) / (to - 1)
        : 0.5 * (start + end) * (from - 1);
    }
    default:
      return mode satisfies never;
  }
}

function roundedTo(x: number, mode: Sampling['nearest']): number {
  switch (mode) {
    case 'round_prefer_floor':
      return Math.ceil(x - 0.5);
    case 'round_prefer_ceil':
      return Math.floor(x + 0.5);
    case 'floor':
      return Math.floor(x);
    case 'ceil':
      return Math.ceil(x);
    default:
      return mode satisfies never;
  }
}

/** Keys 1981. */
function cubic(x: number, a: number): number {
  const t = Math.abs(x);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/** Row o: the share that each input place has in output place o. */
function weights(axis: Axis, s: Sampling): Float32Array<ArrayBuffer> {
  const { from, to, scale } = axis;
  const matrix = new Float32Array(to * from);
  // Antialiased, the filter widens with the reduction; what lies outside repeats the edge.
  const stretch = s.antialias ? Math.max(1, 1 / scale) : 1;
  const reach = (s.mode === 'cubic' ? 2 : 1) * stretch;
  const kernel = (d: number) =>
    s.mode === 'cubic' ? cubic(d / stretch, s.cubicA) : Math.max(0, 1 - Math.abs(d / stretch));
  for (let o = 0; o < to; o++) {
    const exact = coordinate(o, axis, s.coordinates);
    // Linear interpolation ends at the outermost centres.
    const x = s.mode === 'linear' && !s.antialias ? Math.max(0, Math.min(from - 1, exact)) : exact;
    const taps: [at: number, weight: number][] = [];
    for (let i = Math.floor(x - reach) + 1; i < x + reach; i++) {
      const outside = i < 0 || i >= from;
      if (outside && s.excludeOutside) continue;
      taps.push([Math.max(0, Math.min(from - 1, i)), kernel(i - x)]);
    }
    const sum = s.excludeOutside || s.antialias ? taps.reduce((total, [, w]) => total + w, 0) : 1;
    for (const [at, weight] of taps) matrix[o * from + at] += weight / sum;
  }
  return matrix;
}

function resizeAxis(node: OnnxNode, x: Tensor, at: number, axis: Axis, s: Sampling): Tensor {
  const { from, to } = axis;
  if (s.mode === 'nearest') {
    const places = Array.from({ length: to }, (_, o) => {
      const exact = coordinate(o, axis, s.coordinates);
      return Math.max(0, Math.min(from - 1, roundedTo(exact, s.nearest)));
    });
    const factor = to / from;
    if (Number.isInteger(factor) && places.every((place, o) => place === Math.floor(o / factor))) {
      return factor === 1 ? x : F.repeatInterleave(x, factor, at);
    }
    return F.indexSelect(x, at, knownInts(places));
  }
  const matrix = matrixOf(node, axis, s);
  const [before, after] = [x.shape.slice(0, at), x.shape.slice(at + 1)];
  if (after.length === 0) return x.matmul(matrix.transpose(0, 1));
  const planes = x.reshape([numel(before), from, numel(after)]);
  return matrix.matmul(planes).reshape([...before, to, ...after]);
}

/** Of a picture or a volume; beyond it tables of places and weights would not fit. */
const longestAxis = 1 << 16;

/** Matrices are kept, so that a compiled step that was recorded again is recognised by the storage it reads. */
const matrices = new Map<string, Known>();

function matrixOf(node: OnnxNode, axis: Axis, s: Sampling): Known {
  if (axis.from * axis.to > 2 ** 28) throw node.fail(`an axis of ${axis.from} cannot be resized to ${axis.to}`);
  const key = JSON.stringify([axis, s]);
  const made = matrices.get(key) ?? new Known(weights(axis, s), [axis.to, axis.from], 'float32');
  if (matrices.size >= 64) matrices.delete(matrices.keys().next().value!);
  matrices.set(key, made);
  return made;
}

/** Places outside of the region of interest that lie outside of the picture get the extrapolation value. */
function extrapolated(x: Tensor, at: number, axis: Axis, s: Sampling): Tensor {
  if (s.coordinates !== 'tf_crop_and_resize') return x;
  const inside = Array.from({ length: axis.to }, (_, o) => {
    const exact = coordinate(o, axis, s.coordinates);
    return exact >= 0 && exact <= axis.from - 1 ? 1 : 0;
  });
  if (!inside.includes(0)) return x;
  const mask = knownInts(inside).reshape([axis.to, ...x.shape.slice(at + 1).map(() => 1)]);
  return mask.where(x, s.extrapolation);
}

function sampling(node: OnnxNode): Sampling {
  // Upsample, and Resize of version 10, know the one rule that was called asymmetric later.
  const early = node.op === 'Upsample' || node.version < 11;
  const mode = node.word('mode', ['nearest', 'linear', 'bilinear', 'cubic'], 'nearest');
  return {
    mode: mode === 'bilinear' ? 'linear' : mode,
    coordinates: early ? 'asymmetric' : node.word('coordinate_transformation_mode', coordinateModes, 'half_pixel'),
    nearest: early ? 'floor' : node.word('nearest_mode', nearestModes, 'round_prefer_floor'),
    cubicA: node.float('cubic_coeff_a', -0.75),
    excludeOutside: node.flag('exclude_outside'),
    antialias: node.flag('antialias'),
    extrapolation: node.float('extrapolation_value', 0),
  };
}

function resized(node: OnnxNode, x: Tensor, given: { scales?: number[]; sizes?: number[]; roi?: number[] }): Tensor {
  const s = sampling(node);
  const axes = axesOf(node, node.ints('axes') ?? x.shape.map((_, i) => i), x.ndim);
  const { scales, sizes, roi } = given;
  const count = (scales ?? sizes ?? []).length;
  if (count !== axes.length)
    throw node.fail(`${count} ${scales === undefined ? 'sizes' : 'scales'} for ${axes.length} axes`);
  const target = (sizes ?? axes.map((axis, i) => Math.floor(x.shape[axis] * scales![i]))).slice();
  const factors = scales ?? target.map((n, i) => n / x.shape[axes[i]]);
  const policy = node.word('keep_aspect_ratio_policy', ['stretch', 'not_larger', 'not_smaller'], 'stretch');
  if (policy !== 'stretch' && sizes !== undefined) {
    const factor = policy === 'not_larger' ? Math.min(...factors) : Math.max(...factors);
    for (let i = 0; i < axes.length; i++) {
      factors[i] = factor;
      target[i] = Math.floor(factor * x.shape[axes[i]] + 0.5);
    }
  }
  const result = [...x.shape];
  for (const [i, axis] of axes.entries()) result[axis] = target[i];
  checkedShape(node, result);
  const long = result.find((n) => n > longestAxis);
  if (long !== undefined) throw node.fail(`an axis of ${long} is beyond what fovea resizes to (${longestAxis})`);
  if (result.includes(0)) throw node.fail(`[${x.shape}] has no size [${result}]`);
  // The order from the last axis on makes the smaller intermediate results where pictures grow.
  const order = axes.map((at, i): [number, Axis] => {
    const region: [number, number] = roi === undefined || roi.length === 0 ? [0, 1] : [roi[i], roi[i + axes.length]];
    return [at, { from: x.shape[at], to: target[i], scale: factors[i], roi: region }];
  });
  const moved = order.filter(
    ([, axis]) => axis.from !== axis.to || axis.scale !== 1 || s.coordinates === 'tf_crop_and_resize',
  );
  const floats = s.mode === 'nearest' ? x : x.to('float32');
  const y = moved.reduce((image, [at, axis]) => resizeAxis(node, image, at, axis, s), floats);
  return moved.reduce((image, [at, axis]) => extrapolated(image, at, axis, s), y).to(x.dtype);
}

const list = (node: OnnxNode, value: Tensor | undefined, what: string): number[] | undefined =>
  value === undefined || value.size === 0 ? undefined : numbers(node, value, what);

/** Version 10 has scales as its second input; from 11 on they are [x, roi, scales, sizes], of the last two one. */
const resize: Operator = computes(
  (node) => (input, second, third, fourth) => {
    const x = required(node, input);
    if (node.version < 11) return resized(node, x, { scales: numbers(node, second, 'its scales') });
    const [scales, sizes] = [list(node, third, 'its scales'), list(node, fourth, 'its sizes')];
    if ((scales === undefined) === (sizes === undefined)) throw node.fail('it needs either scales or sizes');
    return resized(node, x, { scales, sizes, roi: list(node, second, 'its region') });
  },
  [1, 2, 3],
);

/** Scales were an attribute in version 7, an input in 9. */
const upsample: Operator = computes(
  (node) => (input, scales) =>
    resized(node, required(node, input), { scales: node.floats('scales') ?? numbers(node, scales, 'its scales') }),
  [1],
);

export const resizing: OperatorTable = { Resize: resize, Upsample: upsample };

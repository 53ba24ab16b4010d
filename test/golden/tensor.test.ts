/** The tensor API against PyTorch: values, types, gradients and printing of the cases in data/tensor.json (see tensor.py). */

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../../src/ops/reference/index.js';
import {
  F,
  formatTensor,
  type GridSampleOptions,
  grad,
  realize,
  setDevice,
  type Tensor,
  tensor,
} from '../../src/tensor/index.js';
import { allocate, type DType } from '../../src/util/dtype.js';

interface Packed {
  shape: number[];
  dtype: DType;
  data: (number | 'nan' | 'inf' | '-inf')[];
}

interface Case {
  name: string;
  inputs: Packed[];
  output: Packed;
  cotangent?: Packed;
  /** One for each float input; null where the result does not depend on it. */
  grads?: (Packed | null)[];
}

const file = new URL('./data/tensor.json', import.meta.url);
const { cases, prints }: { cases: Case[]; prints: (Packed & { text: string })[] } = JSON.parse(
  readFileSync(file, 'utf8'),
);

const calls: Record<string, (...t: Tensor[]) => Tensor> = {
  relu: (t) => t.relu(),
  elu: (t) => t.elu(),
  selu: (t) => t.selu(),
  celu: (t) => t.celu(),
  silu: (t) => t.silu(),
  mish: (t) => t.mish(),
  softplus: (t) => t.softplus(),
  softsign: (t) => t.softsign(),
  gelu: (t) => t.gelu(),
  logSigmoid: (t) => t.logSigmoid(),
  geluTanh: (t) => t.gelu({ approximate: 'tanh' }),
  leakyRelu: (t) => t.leakyRelu(0.2),
  relu6: (t) => t.relu6(),
  hardswish: (t) => t.hardswish(),
  hardsigmoid: (t) => t.hardsigmoid(),
  hardtanh: (t) => t.hardtanh(),
  softplusBeta: (t) => t.softplus({ beta: 2, threshold: 5 }),
  prelu: (t, w) => t.prelu(w),
  softmax: (t) => t.softmax(1),
  logSoftmax: (t) => t.logSoftmax(0),

  intTimesInt: (t) => t.mul(2),
  intTimesFraction: (t) => t.mul(0.5),
  intDiv: (t) => t.div(2),
  intFloorDivide: (t) => t.floorDivide(2),
  intRemainder: (t) => t.remainder(3),
  remainder: (t) => t.remainder(1.5),
  boolPlusInt: (t) => t.add(1),
  byteAdd: (t) => t.add(10),
  byteSub: (t) => t.sub(4),
  bytePlusInt: (a, b) => a.add(b),
  byteTimesFraction: (t) => t.mul(0.5),
  boolSum: (t) => t.sum(),
  byteSum: (t) => t.sum(),
  floatToInt: (t) => t.int(),
  floatToBool: (t) => t.bool(),
  round: (t) => t.round(),
  sqrtOfInt: (t) => t.sqrt(),

  amaxTies: (t) => t.amax(1),
  aminAll: (t) => t.amin(),
  maxAxis: (t) => t.max(1).values,
  maxIndices: (t) => t.max(-1).indices,
  argmaxNaN: (t) => t.argmax(1),
  argminAll: (t) => t.argmin(),
  maximumTies: (a, b) => a.maximum(b),
  clampLimits: (t) => t.clamp(-1, 1),
  clampTensor: (t, low) => F.clamp(t, low),
  absAtZero: (t) => t.abs(),
  powInt: (t) => t.pow(3),
  powZero: (t) => t.pow(0),
  powTensor: (a, b) => a.pow(b),
  normZero: (t) => t.norm(),
  normAxis: (t) => t.norm(2, 1, { keepDims: true }),
  norm1: (t) => t.norm(1),
  normInf: (t) => t.norm(Number.POSITIVE_INFINITY),
  norm3: (t) => t.norm(3),
  var: (t) => t.var(1),
  std0: (t) => t.std(null, { correction: 0, keepDims: true }),
  prodZero: (t) => t.prod(1),
  logsumexpInf: (t) => t.logsumexp(1),
  whereNoLeak: (t) => t.gt(0).where(t.sqrt(), t.neg()),
  cumsum: (t) => t.cumsum(1),

  flattenMiddle: (t) => t.flatten(1, 2),
  repeat: (t) => t.repeat(2, 1, 2),
  repeatInterleave: (t) => t.repeatInterleave(2, 1),
  roll: (t) => t.roll([1, -2], [0, 1]),
  rollFlat: (t) => t.roll(5),
  unflatten: (t) => t.unflatten(1, [2, -1]),
  tril: (t) => t.tril(-1),
  triu: (t) => t.triu(1),
  moveaxis: (t) => t.moveaxis(0, 2),
  chunkMiddle: (t) => t.chunk(3, 1)[1],
  squeezeAll: (t) => t.squeeze(),
  squeezeNamed: (t) => t.squeeze([0, 1]),
  padReflect: (t) => t.pad([2, 1, 1, 0], { mode: 'reflect' }),
  padReplicate: (t) => t.pad([[1, 0], [2, 1]], { mode: 'replicate' }), // biome-ignore format: H and W
  padCircular: (t) => t.pad([2, 1, 1, 0], { mode: 'circular' }),
  padNegative: (t) => t.pad([[1, -1], [-1, 2]], { value: 7 }), // biome-ignore format: H and W

  indexPairs: (t, r, c) => t.at(r, c),
  indexList: (t) => t.at(':', [2, 0, 0]),
  indexNegative: (t, r) => t.at(r),
  gather: (t, i) => t.gather(1, i.reshape(2, 2)),
  scatterAdd: (t, i, s) => t.scatterAdd(0, i.reshape(2, 2), s),
  topk: (t) => t.topk(2, 1).values,
  topkSmallest: (t) => t.topk(2, 0, { largest: false }).indices,
  sort: (t) => t.sort(0, { descending: true }).values,

  matmulVector: (a, b) => a.matmul(b),
  matmulBroadcast: (a, b) => a.matmul(b),
  linear: (x, w, b) => x.linear(w, b),
  einsumBatch: (a, b) => F.einsum('bij,bjk->bik', a, b),
  einsumOuter: (a, b) => F.einsum('i,j->ji', a, b),
  einsumSum: (a, b) => F.einsum('nchw,oc->noh', a, b),
  einsumImplicit: (a, b) => F.einsum('ij,jk', a, b),

  convSame: (x, w, bias) => x.conv2d(w, { bias, padding: 'same' }),
  convStrided: (x, w) => x.conv2d(w, { stride: [2, 1], padding: [1, 0], dilation: [1, 2] }),
  convReflect: (x, w) => x.conv2d(w, { padding: 1, paddingMode: 'reflect' }),
  convUnbatched: (x, w) => x.conv2d(w),
  convGroups1d: (x, w) => x.conv1d(w, { groups: 2, padding: 1 }),
  conv3d: (x, w) => x.conv3d(w),
  convTranspose2d: (x, w, bias) => x.convTranspose2d(w, { bias, stride: 2, padding: 1, outputPadding: 1 }),
  maxPoolCeil: (x) => x.maxPool2d(3, { stride: 2, padding: 1, ceilMode: true }),
  maxPoolIndices: (x) => x.maxPool2dWithIndices(2).indices,
  avgPoolPad: (x) => x.avgPool2d(3, { stride: 2, padding: 1, countIncludePad: false }),
  adaptiveAvg: (x) => x.adaptiveAvgPool2d([3, null]),
  adaptiveMax: (x) => x.adaptiveMaxPool2d(2),
  nearestUp: (x) => x.interpolate({ scaleFactor: 2 }),
  nearestOdd: (x) => x.interpolate({ size: [5, 3] }),
  bilinearUp: (x) => x.interpolate({ scaleFactor: 2, mode: 'bilinear' }),
  bilinearOdd: (x) => x.interpolate({ size: [5, 3], mode: 'bilinear' }),
  bicubicUp: (x) => x.interpolate({ scaleFactor: 2, mode: 'bicubic' }),
  bicubicOdd: (x) => x.interpolate({ size: [5, 3], mode: 'bicubic' }),
  bilinearAntialias: (x) => x.interpolate({ size: [9, 4], mode: 'bilinear', antialias: true }),
  bicubicAntialias: (x) => x.interpolate({ size: [9, 4], mode: 'bicubic', antialias: true }),
  bilinearCorners: (x) => x.interpolate({ size: [5, 6], mode: 'bilinear', alignCorners: true }),
  linearScale: (x) => x.interpolate({ scaleFactor: 1.7, mode: 'linear' }),
  trilinear: (x) => x.interpolate({ size: [3, 4, 2], mode: 'trilinear' }),
  nearestScale: (x) => x.interpolate({ scaleFactor: 1.7 }),
  pixelShuffle: (x) => F.pixelShuffle(x, 2),
  pixelUnshuffle: (x) => F.pixelUnshuffle(x, 2),
  ...gridSampleCalls(),
};

/** Every mode with every way to treat what lies outside. */
function gridSampleCalls(): typeof calls {
  const of = (options: GridSampleOptions) => (x: Tensor, grid: Tensor) => F.gridSample(x, grid, options);
  const made: typeof calls = {
    'gridSample one pixel': of({ paddingMode: 'reflection', alignCorners: true }),
  };
  for (const paddingMode of ['zeros', 'border', 'reflection'] as const) {
    made[`gridSample corners ${paddingMode}`] = of({ paddingMode, alignCorners: true });
    for (const mode of ['bilinear', 'nearest', 'bicubic'] as const) {
      made[`gridSample ${mode} ${paddingMode} edges`] = of({ mode, paddingMode });
      made[`gridSample ${mode} ${paddingMode} aligned`] = of({ mode, paddingMode, alignCorners: true });
    }
  }
  return made;
}

/** Interpolation weights are float32: of up to 16 terms of size up to 4, each is off by 2⁻²⁵. */
const roundedWeights = new Set([
  'bilinearOdd',
  'bicubicOdd',
  'bilinearCorners',
  'linearScale',
  'trilinear',
  'bicubicUp',
  'bilinearAntialias',
  'bicubicAntialias',
]);

beforeAll(() => setDevice(new ReferenceTarget()));

describe('the tensor API does as PyTorch', () => {
  it('has a call for every case', () => {
    expect(Object.keys(calls).sort()).toEqual(cases.map((c) => c.name).sort());
  });

  it.each(cases)('$name', async ({ name, inputs, output, cotangent, grads }) => {
    const floor = roundedWeights.has(name) ? 2 ** -20 : 2 ** -30;
    const xs = inputs.map((p) =>
      tensor(values(p), { shape: p.shape, dtype: p.dtype, requiresGrad: p.dtype === 'float32' }),
    );
    const y = calls[name](...xs);
    expect(y.shape).toEqual(output.shape);
    expect(y.dtype).toBe(output.dtype);
    const leaves = xs.filter((x) => x.requiresGrad);
    const gradOutputs = cotangent && tensor(values(cotangent), { shape: cotangent.shape });
    const found = grads === undefined ? [] : grad(y, leaves, { gradOutputs, allowUnused: true });
    await realize(y, ...found);
    expectClose(await y.data(), values(output), floor);
    for (const [i, g] of found.entries()) {
      const want = grads![i] === null ? new Float32Array(leaves[i].size) : values(grads![i]!);
      expectClose(await g.data(), want, floor);
    }
  });

  it.each(prints)('prints $dtype $shape', ({ shape, dtype, data, text }) => {
    expect(formatTensor(shape, dtype, values({ shape, dtype, data }))).toBe(text);
  });
});

function values(p: Packed) {
  const out = allocate(p.dtype, p.data.length);
  out.set(p.data.map((v) => (v === 'nan' ? Number.NaN : v === 'inf' ? Infinity : v === '-inf' ? -Infinity : v)));
  return out;
}

/**
 * The reference computes in float64 like the golden side; what remains is the rounding of the result to float32 and of the file to nine
 * digits: 2⁻²³ of a value, and `floor` where it is 0.
 */
function expectClose(actual: ArrayLike<number>, want: ArrayLike<number>, floor: number): void {
  expect(actual.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const near =
      Object.is(actual[i], want[i]) || Math.abs(actual[i] - want[i]) <= Math.max(floor, 2 ** -23 * Math.abs(want[i]));
    if (!near) expect.soft(actual[i], `element ${i}`).toBe(want[i]);
  }
}

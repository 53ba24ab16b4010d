/**
 * Keras's layers as fovea's, a row each. Keras keeps channels last, fovea behind the batch: a value of three or more axes [N, …, C] lies here as
 * [N, C, …], kernels are turned when they are read, and where Keras mixes axes (Flatten, Reshape, Dense on a sequence) the values are turned for it.
 * Source: keras.io/api/layers; numbers are compared with Keras's own in test/golden/keras_files.py.
 */

import { BatchNorm1d, BatchNorm2d, BatchNorm3d, Conv1d, Conv2d, Conv3d, ConvTranspose2d, Dropout, Dropout1d, Dropout2d, Dropout3d, Embedding, LayerNorm, Linear, type Module, PReLU } from '../../nn/index.js'; // biome-ignore format: one list
import { concat, type Parameter, type Tensor, tensor } from '../../tensor/index.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { formatShape, numel, type Shape } from '../../util/shape.js';
import type { HostTensor } from '../host-tensor.js';
import type { JsonObject } from '../schema.js';

/** The trained values of one layer. */
export interface LayerWeights {
  /** The variable of this name, which is the `index`-th of its layer. @throws {FormatError} if there is none */
  take(name: string, index: number): HostTensor;
}

export interface LayerFacts {
  readonly config: JsonObject;
  readonly weights: LayerWeights;
  /** Axes of each input, the batch counted. */
  readonly ranks: readonly number[];
  /** Opens messages: `keras: Conv2D 'stem'`. */
  readonly where: string;
  /** Major version of the Keras that wrote it: some functions changed. */
  readonly version: number;
}

/** What is not a module: a function, with a name where it is not the layer's. */
export type LayerFunction = ((...inputs: Tensor[]) => Tensor) & { readonly label?: string };

/** What a layer does: modules and functions, the first of all inputs, each further one of what the one before it made. */
export interface Translation {
  readonly parts: readonly (Module | LayerFunction)[];
  /** Axes of the output; left out, those of the first input. */
  readonly rank?: number;
}

export function translateLayer(className: string, facts: LayerFacts): Translation {
  const row = Object.hasOwn(layers, className) ? layers[className] : undefined;
  if (row === undefined) throw new FormatError(`${facts.where}: ${refusals[className] ?? 'fovea has no such layer'}`);
  try {
    return row(facts);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new FormatError(`${facts.where}: ${error.message}`);
  }
}

/** Whether a layer of this class can be read. */
export function knowsLayer(className: string): boolean {
  return Object.hasOwn(layers, className);
}

const refusals: Readonly<Record<string, string>> = {
  Lambda: 'it carries Python code, which is not run here; replace it by a layer such as Rescaling before saving',
  TFOpLambda:
    'it is an operation recorded outside of layers; replace it by a layer such as Add or Rescaling before saving',
  LSTM: 'fovea has no recurrent layers',
  GRU: 'fovea has no recurrent layers',
};

type Row = (facts: LayerFacts) => Translation;

const layers: Record<string, Row> = {
  Conv1D: (f) => convolution(f, 1),
  Conv2D: (f) => convolution(f, 2),
  Conv3D: (f) => convolution(f, 3),
  DepthwiseConv2D: (f) => activated(f, depthwise(f, 'depthwise_kernel', 0, { bias: true })),
  SeparableConv2D: separable,
  Conv2DTranspose: transposed,
  Dense: dense,
  Embedding: embedding,
  BatchNormalization: batchNorm,
  LayerNormalization: layerNorm,
  Activation: (f) => one(activation(f, f.config.activation)),
  ReLU: (f) => one(relu(f)),
  LeakyReLU: ({ config }) => {
    const slope = optionalNumber(config, 'negative_slope') ?? optionalNumber(config, 'alpha') ?? 0.3;
    return one((x) => x.leakyRelu(slope));
  },
  ELU: ({ config }) => one((x) => x.elu(optionalNumber(config, 'alpha') ?? 1)),
  PReLU: prelu,
  Softmax: (f) => one((x) => x.softmax(axisHere(f, -1))),
  MaxPooling1D: (f) => pooling(f, 1, 'max'),
  MaxPooling2D: (f) => pooling(f, 2, 'max'),
  MaxPooling3D: (f) => pooling(f, 3, 'max'),
  AveragePooling1D: (f) => pooling(f, 1, 'average'),
  AveragePooling2D: (f) => pooling(f, 2, 'average'),
  AveragePooling3D: (f) => pooling(f, 3, 'average'),
  GlobalAveragePooling1D: (f) => globalPooling(f, (x, axes, keepDims) => x.mean(axes, { keepDims })),
  GlobalAveragePooling2D: (f) => globalPooling(f, (x, axes, keepDims) => x.mean(axes, { keepDims })),
  GlobalAveragePooling3D: (f) => globalPooling(f, (x, axes, keepDims) => x.mean(axes, { keepDims })),
  GlobalMaxPooling1D: (f) => globalPooling(f, (x, axes, keepDims) => x.amax(axes, { keepDims })),
  GlobalMaxPooling2D: (f) => globalPooling(f, (x, axes, keepDims) => x.amax(axes, { keepDims })),
  GlobalMaxPooling3D: (f) => globalPooling(f, (x, axes, keepDims) => x.amax(axes, { keepDims })),
  Flatten: () => ({ parts: [(x) => channelsLast(x).flatten(1)], rank: 2 }),
  Reshape: reshape,
  Permute: permute,
  RepeatVector: ({ config }) => {
    const n = whole(config, 'n');
    return { parts: [(x) => x.unsqueeze(2).expand([...x.shape, n])], rank: 3 }; // Keras: [N, n, C]
  },
  Dropout: ({ config }) => one(new Dropout(rate(config))),
  SpatialDropout1D: ({ config }) => one(new Dropout1d(rate(config))),
  SpatialDropout2D: ({ config }) => one(new Dropout2d(rate(config))),
  SpatialDropout3D: ({ config }) => one(new Dropout3d(rate(config))),
  GaussianNoise: () => same,
  GaussianDropout: () => same,
  ActivityRegularization: () => same,
  Identity: () => same,
  Masking: () => same,
  ZeroPadding1D: (f) => one((x) => padded(x, sidesOf(f, 'padding', 1))),
  ZeroPadding2D: (f) => one((x) => padded(x, sidesOf(f, 'padding', 2))),
  ZeroPadding3D: (f) => one((x) => padded(x, sidesOf(f, 'padding', 3))),
  Cropping1D: (f) => one((x) => cropped(x, sidesOf(f, 'cropping', 1))),
  Cropping2D: (f) => one((x) => cropped(x, sidesOf(f, 'cropping', 2))),
  Cropping3D: (f) => one((x) => cropped(x, sidesOf(f, 'cropping', 3))),
  UpSampling1D: (f) => upSampling(f, 1),
  UpSampling2D: (f) => upSampling(f, 2),
  UpSampling3D: (f) => upSampling(f, 3),
  Concatenate: (f) => ({ parts: [(...xs) => concat(xs, axisHere(f, -1))] }),
  Add: () => merge((a, b) => a.add(b)),
  Subtract: () => merge((a, b) => a.sub(b)),
  Multiply: () => merge((a, b) => a.mul(b)),
  Maximum: () => merge((a, b) => a.maximum(b)),
  Minimum: () => merge((a, b) => a.minimum(b)),
  Average: () => ({ parts: [(...xs) => xs.reduce((a, b) => a.add(b)).div(xs.length)] }),
  Rescaling: ({ config }) => {
    const [scale, offset] = [optionalNumber(config, 'scale') ?? 1, optionalNumber(config, 'offset') ?? 0];
    return one((x) => x.float().mul(scale).add(offset));
  },
  Normalization: normalization,
};

const same: Translation = { parts: [(x) => x] };

function one(part: Module | LayerFunction): Translation {
  return { parts: [part] };
}

function merge(f: (a: Tensor, b: Tensor) => Tensor): Translation {
  return { parts: [(...xs) => xs.reduce(f)] };
}

// —— layers with weights ——

function convolution(facts: LayerFacts, rank: 1 | 2 | 3): Translation {
  const { config, weights } = facts;
  requireChannelsLast(facts);
  const kernel = turned(weights.take('kernel', 0), [rank + 1, rank, ...range(rank)], facts, rank + 2);
  const [filters, perGroup, ...size] = kernel.shape;
  const groups = optionalNumber(config, 'groups') ?? 1;
  const options = {
    stride: perAxis(config, 'strides', rank),
    dilation: perAxis(config, 'dilation_rate', rank),
    groups,
  };
  const padding = paddingOf(facts, ['valid', 'same', 'causal']);
  const Conv = { 1: Conv1d, 2: Conv2d, 3: Conv3d }[rank];
  const bias = usesBias(config);
  const conv = new Conv(perGroup * groups, filters, size, { ...options, bias });
  put(conv.weight, kernel, facts);
  if (bias) put(conv.bias!, weights.take('bias', 1), facts);
  const pad = paddedFor(padding, size, options.stride, options.dilation);
  return activated(facts, pad === null ? [conv] : [pad, conv]);
}

/** [kH, kW, C, m] → m filters for each channel. */
function depthwise(facts: LayerFacts, name: string, index: number, { bias }: { bias: boolean }): Translation['parts'] {
  const { config, weights } = facts;
  requireChannelsLast(facts);
  const { shape, data, dtype } = turned(weights.take(name, index), [2, 3, 0, 1], facts, 4);
  const [channels, multiplier, ...size] = shape;
  const stride = perAxis(config, 'strides', 2);
  const dilation = perAxis(config, 'dilation_rate', 2);
  const withBias = bias && usesBias(config);
  const conv = new Conv2d(channels, channels * multiplier, size, {
    stride,
    dilation,
    groups: channels,
    bias: withBias,
  });
  put(conv.weight, { shape: [channels * multiplier, 1, ...size], data, dtype }, facts);
  if (withBias) put(conv.bias!, weights.take('bias', index + 1), facts);
  const pad = paddedFor(paddingOf(facts, ['valid', 'same']), size, stride, dilation);
  return pad === null ? [conv] : [pad, conv];
}

function separable(facts: LayerFacts): Translation {
  const { config, weights } = facts;
  const first = depthwise(facts, 'depthwise_kernel', 0, { bias: false });
  const kernel = turned(weights.take('pointwise_kernel', 1), [3, 2, 0, 1], facts, 4);
  const bias = usesBias(config);
  const pointwise = new Conv2d(kernel.shape[1], kernel.shape[0], 1, { bias });
  put(pointwise.weight, kernel, facts);
  if (bias) put(pointwise.bias!, weights.take('bias', 2), facts);
  return activated(facts, [...first, pointwise]);
}

function transposed(facts: LayerFacts): Translation {
  const { config, weights } = facts;
  requireChannelsLast(facts);
  const kernel = turned(weights.take('kernel', 0), [3, 2, 0, 1], facts, 4);
  const [inChannels, outChannels, ...size] = kernel.shape;
  const stride = perAxis(config, 'strides', 2);
  const dilation = perAxis(config, 'dilation_rate', 2);
  if (Array.isArray(config.output_padding)) throw new FormatError(`${facts.where}: output_padding is not read`);
  const bias = usesBias(config);
  // A window shorter than its stride leaves places that belong to none; `same` makes stride times as many, cutting on both sides.
  const excess = size.map((k, i) => dilation[i] * (k - 1) + 1 - stride[i]);
  const outputPadding = excess.map((n) => Math.max(0, -n));
  const conv = new ConvTranspose2d(inChannels, outChannels, size, { stride, dilation, bias, outputPadding });
  put(conv.weight, kernel, facts);
  if (bias) put(conv.bias!, weights.take('bias', 1), facts);
  const same = paddingOf(facts, ['valid', 'same']) === 'same';
  if (!same || excess.every((n) => n <= 0)) return activated(facts, [conv]);
  const cut = excess.map((n): [number, number] => [Math.floor(Math.max(0, n) / 2), Math.ceil(Math.max(0, n) / 2)]);
  return activated(facts, [conv, (x) => cropped(x, cut)]);
}

function dense(facts: LayerFacts): Translation {
  const { config, weights, ranks } = facts;
  const kernel = turned(weights.take('kernel', 0), [1, 0], facts, 2);
  const bias = usesBias(config);
  const linear = new Linear(kernel.shape[1], kernel.shape[0], { bias });
  put(linear.weight, kernel, facts);
  if (bias) put(linear.bias!, weights.take('bias', 1), facts);
  return activated(facts, ranks[0] <= 2 ? [linear] : [channelsLast, linear, channelsFirst]);
}

function embedding(facts: LayerFacts): Translation {
  const table = facts.weights.take('embeddings', 0);
  requireRank(table, 2, facts);
  const layer = new Embedding(table.shape[0], table.shape[1]);
  put(layer.weight, table, facts);
  return { parts: [(x) => x.to('int32'), layer, channelsFirst], rank: facts.ranks[0] + 1 };
}

function batchNorm(facts: LayerFacts): Translation {
  const { config, weights, ranks } = facts;
  if (axisHere(facts, -1) !== (ranks[0] > 2 ? 1 : ranks[0] - 1)) {
    throw new FormatError(
      `${facts.where}: it normalises axis ${String(config.axis)}; fovea normalises channels, the last axis`,
    );
  }
  const [scaled, centred] = [config.scale !== false, config.center !== false];
  const mean = weights.take('moving_mean', Number(scaled) + Number(centred));
  const channels = numel(mean.shape);
  const BatchNorm = { 2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d }[ranks[0]];
  if (BatchNorm === undefined) throw new FormatError(`${facts.where}: values of ${ranks[0]} axes`);
  const momentum = 1 - (optionalNumber(config, 'momentum') ?? 0.99); // Keras says how much is kept, PyTorch how much is new
  const norm = new BatchNorm(channels, { eps: optionalNumber(config, 'epsilon') ?? 1e-3, momentum });
  // Without a scale or a centre, 1 and 0 stand in, and are not trained.
  if (scaled) put(norm.weight!, weights.take('gamma', 0), facts);
  else norm.weight!.requiresGrad = false;
  if (centred) put(norm.bias!, weights.take('beta', Number(scaled)), facts);
  else norm.bias!.requiresGrad = false;
  put(norm.running_mean!, mean, facts);
  put(norm.running_var!, weights.take('moving_variance', Number(scaled) + Number(centred) + 1), facts);
  return one(norm);
}

function layerNorm(facts: LayerFacts): Translation {
  const { config, weights, ranks } = facts;
  const axis = Array.isArray(config.axis) && config.axis.length === 1 ? config.axis[0] : (config.axis ?? -1);
  if (axis !== -1 && axis !== ranks[0] - 1)
    throw new FormatError(`${facts.where}: it normalises axis ${JSON.stringify(axis)}; fovea reads −1`);
  const [scaled, centred] = [config.scale !== false, config.center !== false];
  if (!scaled) throw new FormatError(`${facts.where}: without a scale`);
  const gamma = weights.take('gamma', 0);
  const norm = new LayerNorm(numel(gamma.shape), { eps: optionalNumber(config, 'epsilon') ?? 1e-3 });
  put(norm.weight!, gamma, facts);
  if (centred) put(norm.bias!, weights.take('beta', 1), facts);
  else norm.bias!.requiresGrad = false;
  return { parts: ranks[0] <= 2 ? [norm] : [channelsLast, norm, channelsFirst] };
}

function prelu(facts: LayerFacts): Translation {
  const alpha = facts.weights.take('alpha', 0);
  // [1, 1, C] after sharing the spatial axes: one slope for each channel, as here.
  const channels = alpha.shape.at(-1) ?? 1;
  if (numel(alpha.shape) !== channels) {
    throw new FormatError(
      `${facts.where}: a slope for each pixel ${formatShape(alpha.shape)}; share the spatial axes (shared_axes) to have one for each channel`,
    );
  }
  const layer = new PReLU(channels);
  put(layer.weight, { ...alpha, shape: [channels] }, facts);
  return one(layer);
}

function normalization(facts: LayerFacts): Translation {
  const { config, weights, ranks } = facts;
  const given = (field: string, index: number) => {
    const value = config[field];
    if (Array.isArray(value)) return Float32Array.from((value as unknown[]).flat(8) as number[]);
    return typeof value === 'number' ? Float32Array.of(value) : Float32Array.from(weights.take(field, index).data);
  };
  const [mean, variance] = [given('mean', 0), given('variance', 1)];
  const shape = [1, mean.length, ...new Array<number>(Math.max(0, ranks[0] - 2)).fill(1)];
  const shift = tensor(mean, { shape });
  const spread = tensor(
    variance.map((v) => Math.max(Math.sqrt(v), 1e-7)),
    { shape },
  );
  return one((x) => x.float().sub(shift).div(spread));
}

// —— layers without ——

function activation(facts: LayerFacts, name: unknown): LayerFunction {
  // An activation with options is an object that names its class.
  const text = typeof name === 'object' && name !== null ? (name as JsonObject).class_name : name;
  const softmaxAxis = facts.ranks[0] > 2 ? 1 : -1;
  const functions: Record<string, (x: Tensor) => Tensor> = {
    linear: (x) => x,
    relu: (x) => x.relu(),
    relu6: (x) => x.relu6(),
    sigmoid: (x) => x.sigmoid(),
    tanh: (x) => x.tanh(),
    softmax: (x) => x.softmax(softmaxAxis),
    log_softmax: (x) => x.logSoftmax(softmaxAxis),
    elu: (x) => x.elu(),
    selu: (x) => x.selu(),
    gelu: (x) => x.gelu(),
    silu: (x) => x.silu(),
    swish: (x) => x.silu(),
    softplus: (x) => x.softplus(),
    softsign: (x) => x.div(x.abs().add(1)),
    exponential: (x) => x.exp(),
    mish: (x) => x.mish(),
    leaky_relu: (x) => x.leakyRelu(0.2),
    hard_silu: (x) => x.hardswish(),
    hard_swish: (x) => x.hardswish(),
    // Before Keras 3 it was 0.2 x + 0.5.
    hard_sigmoid: (x) => (facts.version >= 3 ? x.hardsigmoid() : x.mul(0.2).add(0.5).clamp(0, 1)),
  };
  if (typeof text === 'string' && Object.hasOwn(functions, text))
    return Object.assign(functions[text], { label: text });
  throw new FormatError(`${facts.where}: the activation ${JSON.stringify(text)} is not known`);
}

/** The layer's own activation behind its parts. */
function activated(facts: LayerFacts, parts: Translation['parts']): Translation {
  const name = facts.config.activation ?? 'linear';
  return { parts: name === 'linear' ? parts : [...parts, activation(facts, name)] };
}

function relu({ config }: LayerFacts): (x: Tensor) => Tensor {
  const slope = optionalNumber(config, 'negative_slope') ?? 0;
  const threshold = optionalNumber(config, 'threshold') ?? 0;
  const most = optionalNumber(config, 'max_value') ?? Infinity;
  if (threshold === 0 && slope === 0)
    return most === 6 ? (x) => x.relu6() : (x) => (most === Infinity ? x.relu() : x.clamp(0, most));
  return (x) => {
    const above = x.ge(threshold).float();
    const kept = x.mul(above).add(x.sub(threshold).mul(slope).mul(above.neg().add(1)));
    return most === Infinity ? kept : kept.minimum(most);
  };
}

function pooling(facts: LayerFacts, rank: 1 | 2 | 3, kind: 'max' | 'average'): Translation {
  const { config } = facts;
  requireChannelsLast(facts);
  const size = perAxis(config, 'pool_size', rank);
  const stride = config.strides === null || config.strides === undefined ? size : perAxis(config, 'strides', rank);
  const padding = paddingOf(facts, ['valid', 'same']);
  return one((x) => {
    const pads = padding === 'same' ? samePads(x.shape, size, stride, new Array(rank).fill(1)) : 0;
    const options = { stride, padding: pads };
    if (kind === 'max') {
      return rank === 1
        ? x.maxPool1d(size, options)
        : rank === 2
          ? x.maxPool2d(size, options)
          : x.maxPool3d(size, options);
    }
    const average = { ...options, countIncludePad: false };
    return rank === 1
      ? x.avgPool1d(size, average)
      : rank === 2
        ? x.avgPool2d(size, average)
        : x.avgPool3d(size, average);
  });
}

function globalPooling(
  facts: LayerFacts,
  reduce: (x: Tensor, axes: number[], keepDims: boolean) => Tensor,
): Translation {
  requireChannelsLast(facts);
  const keep = facts.config.keepdims === true;
  const axes = range(facts.ranks[0] - 2, 2);
  return { parts: [(x) => reduce(x, axes, keep)], rank: keep ? facts.ranks[0] : 2 };
}

function reshape({ config, where }: LayerFacts): Translation {
  const target = config.target_shape;
  if (!Array.isArray(target) || target.some((n) => !Number.isSafeInteger(n))) {
    throw new FormatError(`${where}: target_shape is not a list of whole numbers`);
  }
  const sizes = target as number[];
  return { parts: [(x) => channelsFirst(channelsLast(x).reshape([x.shape[0], ...sizes]))], rank: sizes.length + 1 };
}

function permute({ config, ranks, where }: LayerFacts): Translation {
  const dims = config.dims;
  const wanted = range(ranks[0] - 1, 1);
  if (!Array.isArray(dims) || [...dims].sort().join() !== wanted.join()) {
    throw new FormatError(`${where}: dims is not an order of the axes ${wanted.join(', ')}`);
  }
  return one((x) => channelsFirst(channelsLast(x).permute([0, ...(dims as number[])])));
}

function upSampling(facts: LayerFacts, rank: number): Translation {
  const { config } = facts;
  requireChannelsLast(facts);
  const factors = perAxis(config, 'size', rank);
  const mode = config.interpolation ?? 'nearest';
  if (mode !== 'nearest' && mode !== 'bilinear')
    throw new FormatError(`${facts.where}: interpolation ${JSON.stringify(mode)} is not read`);
  return one((x) => x.interpolate({ size: x.shape.slice(2).map((n, i) => n * factors[i]), mode }));
}

// —— layouts ——

/** Elements before and behind each spatial axis. */
type Sides = readonly (readonly [before: number, behind: number])[];

function padded(x: Tensor, sides: Sides): Tensor {
  return x.pad(sides);
}

function cropped(x: Tensor, sides: Sides): Tensor {
  const kept = sides.map(([before, behind], i) => `${before}:${x.shape[i + 2] - behind}`);
  return x.slice(':', ':', ...kept);
}

/** [N, C, …] → [N, …, C]. */
function channelsLast(x: Tensor): Tensor {
  const { length } = x.shape;
  return length <= 2 ? x : x.permute([0, ...range(length - 2, 2), 1]);
}

/** [N, …, C] → [N, C, …]. */
function channelsFirst(x: Tensor): Tensor {
  const { length } = x.shape;
  return length <= 2 ? x : x.permute([0, length - 1, ...range(length - 2, 1)]);
}

/** The axis here of the one that Keras counts in [N, …, C]. */
function axisHere({ config, ranks: [rank], where }: LayerFacts, fallback: number): number {
  const found = Array.isArray(config.axis) && config.axis.length === 1 ? config.axis[0] : (config.axis ?? fallback);
  if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < -rank || found >= rank) {
    throw new FormatError(`${where}: axis ${JSON.stringify(found)} of values with ${rank} axes`);
  }
  const axis = found < 0 ? found + rank : found;
  if (axis === 0 || rank <= 2) return axis;
  return axis === rank - 1 ? 1 : axis + 1;
}

function range(count: number, from = 0): number[] {
  return Array.from({ length: Math.max(0, count) }, (_, i) => from + i);
}

/** A stored value with its axes in another order. */
function turned(value: HostTensor, axes: readonly number[], facts: LayerFacts, rank: number): HostTensor {
  requireRank(value, rank, facts);
  const shape = axes.map((axis) => value.shape[axis]);
  const strides = value.shape.map((_, i) => numel(value.shape.slice(i + 1)));
  const out = new Float32Array(value.data.length);
  const index = new Array<number>(axes.length).fill(0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = value.data[from];
    for (let i = axes.length - 1; i >= 0; i--) {
      from += strides[axes[i]];
      if (++index[i] < shape[i]) break;
      from -= strides[axes[i]] * shape[i];
      index[i] = 0;
    }
  }
  return { dtype: 'float32', shape, data: out };
}

function put(target: Parameter | Tensor, { shape, data }: HostTensor, { where }: LayerFacts): void {
  if (numel(shape) !== target.size || data.length !== target.size) {
    throw new FormatError(`${where}: values of ${formatShape(shape)} where ${formatShape(target.shape)} belongs`);
  }
  target.assign(Float32Array.from(data));
}

function requireRank({ shape }: HostTensor, rank: number, { where }: LayerFacts): void {
  if (shape.length !== rank || shape.includes(0)) {
    throw new FormatError(`${where}: values of ${formatShape(shape)}, there should be ${rank} axes, none empty`);
  }
}

// —— options ——

function requireChannelsLast({ config, where }: LayerFacts): void {
  if (config.data_format === 'channels_first') {
    throw new FormatError(`${where}: data_format channels_first is not read; save the model with channels_last`);
  }
}

function usesBias(config: JsonObject): boolean {
  return config.use_bias !== false;
}

function optionalNumber(config: JsonObject, field: string): number | undefined {
  const value = config[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  // Options that arrays could take are kept as { config: { value } } in Keras 3.
  const inner =
    typeof value === 'object' && !Array.isArray(value) ? (value.config as JsonObject | undefined)?.value : undefined;
  if (typeof inner === 'number' && Number.isFinite(inner)) return inner;
  throw new ConfigError(`${field} is ${JSON.stringify(value)?.slice(0, 60)}, not a number`);
}

function whole(config: JsonObject, field: string): number {
  const value = optionalNumber(config, field);
  if (value !== undefined && Number.isSafeInteger(value) && value > 0 && value < 2 ** 24) return value;
  throw new ConfigError(`${field} is ${JSON.stringify(config[field])}, not a positive whole number`);
}

function rate(config: JsonObject): number {
  return optionalNumber(config, 'rate') ?? 0.5;
}

/** One number for all axes or one for each. */
function perAxis(config: JsonObject, field: string, rank: number): number[] {
  const value = config[field] ?? 1;
  const values = Array.isArray(value) ? value : new Array(rank).fill(value);
  if (values.length === rank && values.every((n) => Number.isSafeInteger(n) && (n as number) > 0))
    return values as number[];
  throw new ConfigError(`${field} is ${JSON.stringify(value)}, not ${rank} positive whole numbers`);
}

function paddingOf<P extends string>({ config, where }: LayerFacts, allowed: readonly P[]): P {
  const value = (config.padding ?? 'valid') as P;
  if (allowed.includes(value)) return value;
  throw new FormatError(`${where}: padding ${JSON.stringify(value)}; there are ${allowed.join(', ')}`);
}

/** `padding` or `cropping`: before and behind each spatial axis. */
function sidesOf({ config }: LayerFacts, field: string, rank: number): Sides {
  const value = config[field] ?? 1;
  const sides = (Array.isArray(value) ? value : new Array(rank).fill(value)) as unknown[];
  // One axis may be written [before, behind].
  const axes = rank === 1 && sides.length === 2 && typeof sides[0] === 'number' ? [sides] : sides;
  const pairs = axes.map((side) => (Array.isArray(side) ? side : [side, side])) as number[][];
  if (
    pairs.length !== rank ||
    pairs.some((pair) => pair.length !== 2 || pair.some((n) => !Number.isSafeInteger(n) || n < 0 || n > 2 ** 20))
  ) {
    throw new ConfigError(
      `${field} is ${JSON.stringify(value)}, not one or two whole numbers for each of ${rank} axes`,
    );
  }
  return pairs as unknown as Sides;
}

/** TensorFlow's `same`: as many windows as strides fit; an odd row of padding goes behind. */
function samePads(
  shape: Shape,
  size: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): [number, number][] {
  return size.map((k, i) => {
    const n = shape[i + 2];
    const span = dilation[i] * (k - 1) + 1;
    const total = Math.max(0, (Math.ceil(n / stride[i]) - 1) * stride[i] + span - n);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
}

/** What goes in front of a convolution that pads nothing itself; null where nothing does. */
function paddedFor(
  padding: 'valid' | 'same' | 'causal',
  size: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): ((x: Tensor) => Tensor) | null {
  if (padding === 'valid' || (padding === 'same' && size.every((k, i) => k === 1 && stride[i] === 1))) return null;
  return (x) => {
    if (padding === 'causal') return padded(x, [[dilation[0] * (size[0] - 1), 0]]);
    return padded(x, samePads(x.shape, size, stride, dilation));
  };
}

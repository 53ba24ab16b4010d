/**
 * Models the Keras way: a list of layers that say what they produce, `inputShape`, and the sizes in between follow.
 *
 *     const model = nn.sequential([
 *       nn.conv2d(32, 3, { activation: 'relu' }),
 *       nn.maxPool(2),
 *       nn.flatten(),
 *       nn.dense(10),
 *     ], { inputShape: [1, 28, 28] });
 *     model.summary().print();
 *
 * Shapes are without the batch and channels come first. Modules with sizes of their own may stand between these layers.
 */

import { withScope } from '../graph/node.js';
import type { PerAxis } from '../ops/window.js';
import { type Tensor, zeros } from '../tensor/index.js';
import type { DType } from '../util/dtype.js';
import { ConfigError, ShapeError, suggest } from '../util/errors.js';
import { formatShape, type Shape } from '../util/shape.js';
import * as activations from './activation.js';
import { Sequential } from './container.js';
import { Conv1d, Conv2d, Conv3d, type ConvLayerOptions } from './conv.js';
import { Dropout, Dropout1d, Dropout2d, Dropout3d } from './dropout.js';
import { Embedding } from './embedding.js';
import { Linear } from './linear.js';
import { inEvalMode, Module } from './module.js';
import {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormOptions,
  LayerNorm,
  LayerNorm2d,
} from './normalization.js';
import {
  AvgPool1d,
  AvgPool2d,
  AvgPool3d,
  type AvgPoolLayerOptions,
  GlobalAvgPool1d,
  GlobalAvgPool2d,
  GlobalAvgPool3d,
  MaxPool1d,
  MaxPool2d,
  MaxPool3d,
  type MaxPoolLayerOptions,
} from './pooling.js';
import { Flatten, Reshape } from './shape.js';
import { type Summary, summary } from './summary.js';

/** Makes the module (or modules) for an input of this shape (without the batch). */
export type LayerSpec = (inputShape: Shape) => Module | readonly Module[];

export interface SequentialOptions {
  /** Shape of one sample: [C, H, W], [C, L], [features] … */
  readonly inputShape: Shape;
  /** Element type of the input: 'int32' when the first layer is an embedding. */
  readonly dtype?: DType;
  /** Prints the summary when the model is built. */
  readonly summary?: boolean;
}

/** Builds a chain of layers. @throws {ShapeError} naming the layer that does not fit its input. */
export function sequential(layers: readonly (LayerSpec | Module)[], options: SequentialOptions): SequentialModel {
  const model = new SequentialModel(options);
  for (const layer of layers) model.add(layer);
  if (options.summary) model.summary().print();
  return model;
}

/** A `Sequential` that knows its input's shape. */
export class SequentialModel extends Sequential {
  readonly inputShape: Shape;
  /** Of one sample, after the layers so far. */
  outputShape: Shape;
  readonly #dtype: DType;

  constructor({ inputShape, dtype = 'float32' }: SequentialOptions) {
    super();
    if (!Array.isArray(inputShape)) {
      throw new ConfigError(
        'sequential: pass { inputShape: [C, H, W] }, so that each layer knows the size of its input.',
      );
    }
    this.inputShape = inputShape;
    this.outputShape = inputShape;
    this.#dtype = dtype;
  }

  /** Appends a layer, or a module under a name. Returns this. */
  override add(layer: Module | LayerSpec, name?: string): this {
    if (layer instanceof Module) return this.append(layer, name ?? String(this.length));
    const made = layer(this.outputShape);
    const modules = made instanceof Module ? [made] : made;
    modules.forEach(
      (module, i) => void this.append(module, i === 0 && name !== undefined ? name : String(this.length)),
    );
    return this;
  }

  private append(module: Module, name: string): this {
    const type = this.length === 0 ? this.#dtype : 'float32';
    const output = withScope(name, () =>
      inEvalMode(module, () => module.forward(zeros([1, ...this.outputShape], { dtype: type }))),
    ) as Tensor;
    super.add(module, name);
    this.outputShape = output.shape.slice(1);
    return this;
  }

  /** Rows for each layer; `.print()` writes them as a table. */
  summary(): Summary {
    return summary(this, this.inputShape, { dtype: this.#dtype });
  }
}

/** Names of activations, as options of layers take them. */
export type ActivationName = keyof typeof activationTable;

const activationTable = {
  relu: () => new activations.ReLU(),
  relu6: () => new activations.ReLU6(),
  leakyRelu: () => new activations.LeakyReLU(),
  prelu: () => new activations.PReLU(),
  elu: () => new activations.ELU(),
  selu: () => new activations.SELU(),
  silu: () => new activations.SiLU(),
  swish: () => new activations.SiLU(),
  gelu: () => new activations.GELU(),
  mish: () => new activations.Mish(),
  sigmoid: () => new activations.Sigmoid(),
  tanh: () => new activations.Tanh(),
  hardswish: () => new activations.Hardswish(),
  hardsigmoid: () => new activations.Hardsigmoid(),
  softplus: () => new activations.Softplus(),
  softmax: () => new activations.Softmax(1),
  logSoftmax: () => new activations.LogSoftmax(1),
};

/** An activation by name; softmax runs over channels. */
export function activation(name: ActivationName): LayerSpec {
  return () => activationModule(name);
}

function activationModule(name: ActivationName): Module {
  if (Object.hasOwn(activationTable, name)) return activationTable[name]();
  const near = suggest(name, Object.keys(activationTable));
  throw new ConfigError(
    `unknown activation '${name}': ${near === null ? `there are ${Object.keys(activationTable).join(', ')}` : `did you mean '${near}'?`}`,
  );
}

function withActivation(module: Module, name: ActivationName | undefined): Module | Module[] {
  return name === undefined ? module : [module, activationModule(name)];
}

interface WithActivation {
  readonly activation?: ActivationName;
}

/** 1-D convolution with `filters` output channels. */
export function conv1d(
  filters: number,
  kernelSize: PerAxis,
  { activation: a, ...options }: ConvLayerOptions & WithActivation = {},
): LayerSpec {
  return (shape) => withActivation(new Conv1d(channelsOf('conv1d', shape, 1), filters, kernelSize, options), a);
}

/** 2-D convolution with `filters` output channels. */
export function conv2d(
  filters: number,
  kernelSize: PerAxis,
  { activation: a, ...options }: ConvLayerOptions & WithActivation = {},
): LayerSpec {
  return (shape) => withActivation(new Conv2d(channelsOf('conv2d', shape, 2), filters, kernelSize, options), a);
}

/** 3-D convolution with `filters` output channels. */
export function conv3d(
  filters: number,
  kernelSize: PerAxis,
  { activation: a, ...options }: ConvLayerOptions & WithActivation = {},
): LayerSpec {
  return (shape) => withActivation(new Conv3d(channelsOf('conv3d', shape, 3), filters, kernelSize, options), a);
}

/** 2-D convolution of each channel by itself, with `multiplier` outputs each. */
export function depthwiseConv2d(
  kernelSize: PerAxis,
  {
    activation: a,
    multiplier = 1,
    ...options
  }: Omit<ConvLayerOptions, 'groups'> & WithActivation & { multiplier?: number } = {},
): LayerSpec {
  return (shape) => {
    const c = channelsOf('depthwiseConv2d', shape, 2);
    return withActivation(new Conv2d(c, c * multiplier, kernelSize, { ...options, groups: c }), a);
  };
}

/** A fully connected layer with `units` outputs. */
export function dense(
  units: number,
  { activation: a, bias = true }: WithActivation & { bias?: boolean } = {},
): LayerSpec {
  return (shape) => {
    if (shape.length === 3) {
      throw new ShapeError(
        `dense: the input is a map of shape ${formatShape(shape)}; put flatten() or globalAvgPool() before it`,
      );
    }
    return withActivation(new Linear(shape.at(-1)!, units, { bias }), a);
  };
}

/** A table of `inputDim` vectors of length `outputDim`, looked up by integers. */
export function embedding(inputDim: number, outputDim: number): LayerSpec {
  return () => new Embedding(inputDim, outputDim);
}

/** Batch normalisation of the channels. */
export function batchNorm(options: BatchNormOptions = {}): LayerSpec {
  return (shape) => {
    const [c] = shape;
    if (shape.length <= 2) return new BatchNorm1d(c, options);
    return shape.length === 3 ? new BatchNorm2d(c, options) : new BatchNorm3d(c, options);
  };
}

/** Layer normalisation: over the channels of a map at each place, or over the last axis of anything else. */
export function layerNorm({ eps }: { eps?: number } = {}): LayerSpec {
  return (shape) => (shape.length === 3 ? new LayerNorm2d(shape[0], { eps }) : new LayerNorm(shape.at(-1)!, { eps }));
}

/** Drops single elements while training. */
export function dropout(p = 0.5): LayerSpec {
  return () => new Dropout(p);
}

/** Drops whole channels while training. */
export function spatialDropout(p = 0.5): LayerSpec {
  return (shape) =>
    byRank('spatialDropout', shape, [() => new Dropout1d(p), () => new Dropout2d(p), () => new Dropout3d(p)]);
}

/** The largest value of each window, over 1, 2 or 3 spatial axes as the input has. */
export function maxPool(kernelSize: PerAxis = 2, options: Omit<MaxPoolLayerOptions, 'returnIndices'> = {}): LayerSpec {
  const make = [MaxPool1d, MaxPool2d, MaxPool3d].map((Pool) => () => new Pool(kernelSize, options));
  return (shape) => byRank('maxPool', shape, make);
}

/** The mean of each window, over 1, 2 or 3 spatial axes as the input has. */
export function avgPool(kernelSize: PerAxis = 2, options: AvgPoolLayerOptions = {}): LayerSpec {
  const make = [AvgPool1d, AvgPool2d, AvgPool3d].map((Pool) => () => new Pool(kernelSize, options));
  return (shape) => byRank('avgPool', shape, make);
}

/** The mean of each channel: [C, …] → [C]. */
export function globalAvgPool(): LayerSpec {
  const make = [GlobalAvgPool1d, GlobalAvgPool2d, GlobalAvgPool3d].map((Pool) => () => new Pool(false));
  return (shape) => byRank('globalAvgPool', shape, make);
}

/** All elements of a sample in a row. */
export function flatten(): LayerSpec {
  return () => new Flatten();
}

/** The elements of a sample in another shape. */
export function reshape(shape: Shape): LayerSpec {
  return () => new Reshape(shape);
}

function byRank(name: string, shape: Shape, make: readonly (() => Module)[]): Module {
  const rank = shape.length - 1;
  if (rank < 1 || rank > 3)
    throw new ShapeError(`${name}: needs [C, L], [C, H, W] or [C, D, H, W]; the input is ${formatShape(shape)}`);
  return make[rank - 1]();
}

function channelsOf(name: string, shape: Shape, rank: number): number {
  if (shape.length === rank + 1) return shape[0];
  const letters = ['[C, L]', '[C, H, W]', '[C, D, H, W]'][rank - 1];
  throw new ShapeError(`${name}: needs an input ${letters}, channels first; it is ${formatShape(shape)}`);
}

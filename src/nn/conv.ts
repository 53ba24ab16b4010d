/**
 * Convolutions over 1, 2 or 3 spatial axes, their transposes, and the locally connected layer that shares no weights.
 * `weight` is [O, C/groups, k…] (transposed: [C, O/groups, k…]), as in PyTorch's checkpoints. The convolution is the cross-correlation
 * of signal processing: the kernel is not flipped.
 */

import { convParams, type Padding, type Pair, type PerAxis, spanOf } from '../ops/window.js';
import { type ConvOptions, type Parameter, stack, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { numel } from '../util/shape.js';
import { uniform } from './init.js';
import { notReady, requireCount } from './linear.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

export interface ConvLayerOptions {
  readonly stride?: PerAxis;
  /** A number for all sides, one per axis, [lo, hi] per axis, 'same' or 'valid'. */
  readonly padding?: Padding;
  readonly dilation?: PerAxis;
  readonly groups?: number;
  readonly bias?: boolean;
  /** What lies beyond the border. */
  readonly paddingMode?: ConvOptions['paddingMode'];
}

export abstract class ConvNd extends Module {
  weight: Parameter; // [outChannels, inChannels / groups, k…]
  bias: Parameter | null; // [outChannels]
  readonly kernelSize: readonly number[];
  readonly groups: number;
  readonly options: ConvLayerOptions;

  constructor(
    readonly rank: 1 | 2 | 3,
    public inChannels: number,
    readonly outChannels: number,
    kernelSize: PerAxis,
    options: ConvLayerOptions,
  ) {
    super();
    requireCount(this, 'inChannels', inChannels, this.lazy ? 0 : 1);
    requireCount(this, 'outChannels', outChannels, 1);
    this.kernelSize = spread(this, 'kernelSize', kernelSize, rank);
    this.groups = options.groups ?? 1;
    this.options = options;
    requireModes(this, options.paddingMode);
    requireGroups(this, this.groups, inChannels, outChannels);
    convParams(this.constructor.name, options, this.kernelSize); // a bad option is named here, not at the first forward
    this.weight = parameter(this.weightShape());
    this.bias = (options.bias ?? true) ? parameter([outChannels]) : null;
    this.resetParameters();
  }

  /** Whether inChannels may come from the first input. */
  protected get lazy(): boolean {
    return false;
  }

  protected weightShape(): number[] {
    return [this.outChannels, this.inChannels / this.groups, ...this.kernelSize];
  }

  /** Uniform in ±1/√fanIn, fanIn = inChannels / groups · taps. */
  resetParameters(): void {
    const fanIn = numel(this.weight.shape.slice(1));
    const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
    uniform(this.weight, -bound, bound);
    if (this.bias !== null) uniform(this.bias, -bound, bound);
  }

  override requireReady(path: string): void {
    if (this.inChannels === 0) throw notReady(this, path);
  }

  private becomeReady(x: Tensor): void {
    this.inChannels = x.shape[1];
    requireGroups(this, this.groups, this.inChannels, this.outChannels);
    this.weight = parameter(this.weightShape());
    this.resetParameters();
  }

  /** What is added to the sides of `x`. */
  protected paddingOf(_x: Tensor): Padding | undefined {
    return this.options.padding;
  }

  override forward(x: Tensor): Tensor {
    if (this.inChannels === 0) this.becomeReady(x);
    const { stride, dilation, paddingMode } = this.options;
    const padding = this.paddingOf(x);
    const all = { stride, padding, dilation, paddingMode, groups: this.groups, bias: this.bias };
    switch (this.rank) {
      case 1:
        return x.conv1d(this.weight, all);
      case 2:
        return x.conv2d(this.weight, all);
      case 3:
        return x.conv3d(this.weight, all);
      default:
        throw new ConfigError(`convolutions have 1, 2 or 3 spatial axes; got ${this.rank satisfies never}`);
    }
  }

  override extraRepr(): string {
    return reprOf(this.inChannels, this.outChannels, this.kernelSize, this.options);
  }
}

/** 1-D convolution: [N, inChannels, L] → [N, outChannels, L']. Options and initial values as `Conv2d`. */
export class Conv1d extends ConvNd {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * 2-D convolution: [N, inChannels, H, W] → [N, outChannels, H', W'], H' = ⌊(H + 2·padding − dilation·(kH − 1) − 1) / stride⌋ + 1.
 * Weights start uniform in ±1/√fanIn, as PyTorch's do. @throws {ConfigError} if `groups` does not divide both channel counts.
 */
export class Conv2d extends ConvNd {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * A `Conv2d` that pads as TensorFlow's 'SAME' does: [N, inChannels, H, W] → [N, outChannels, ⌈H / stride⌉, ⌈W / stride⌉]. How much that takes
 * depends on the input's size; an odd pixel goes to the end. Symmetric padding, which PyTorch's networks have, would shift a strided layer's
 * taps by one: weights trained with one do not fit the other.
 */
export class Conv2dSame extends Conv2d {
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: PerAxis,
    options: Omit<ConvLayerOptions, 'padding'> = {},
  ) {
    super(inChannels, outChannels, kernelSize, options);
  }

  protected override paddingOf(x: Tensor): Padding {
    const { stride, dilation } = convParams('Conv2dSame', this.options, this.kernelSize);
    return this.kernelSize.map((k, i): Pair => {
      const size = x.shape[i + 2];
      const taken = (Math.ceil(size / stride[i]) - 1) * stride[i] + spanOf(k, dilation[i]);
      const total = Math.max(taken - size, 0);
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    });
  }
}

/** 3-D convolution: [N, inChannels, D, H, W] → [N, outChannels, D', H', W']. Options and initial values as `Conv2d`. */
export class Conv3d extends ConvNd {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }
}

/** A `Conv1d` that takes inChannels from its first input. */
export class LazyConv1d extends Conv1d {
  constructor(outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(0, outChannels, kernelSize, options);
  }
  protected override get lazy(): boolean {
    return true;
  }
}

/** A `Conv2d` that takes inChannels from its first input. */
export class LazyConv2d extends Conv2d {
  constructor(outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(0, outChannels, kernelSize, options);
  }
  protected override get lazy(): boolean {
    return true;
  }
}

/** A `Conv3d` that takes inChannels from its first input. */
export class LazyConv3d extends Conv3d {
  constructor(outChannels: number, kernelSize: PerAxis, options: ConvLayerOptions = {}) {
    super(0, outChannels, kernelSize, options);
  }
  protected override get lazy(): boolean {
    return true;
  }
}

export interface ConvTransposeLayerOptions {
  readonly stride?: PerAxis;
  /** Cut off the output's sides. */
  readonly padding?: Exclude<Padding, string>;
  /** Added to the end of each axis, to choose among the sizes a strided convolution would have shrunk to the input's. */
  readonly outputPadding?: PerAxis;
  readonly dilation?: PerAxis;
  readonly groups?: number;
  readonly bias?: boolean;
}

export abstract class ConvTransposeNd extends Module {
  readonly weight: Parameter; // [inChannels, outChannels / groups, k…]
  readonly bias: Parameter | null; // [outChannels]
  readonly kernelSize: readonly number[];
  readonly groups: number;

  constructor(
    readonly rank: 1 | 2 | 3,
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: PerAxis,
    readonly options: ConvTransposeLayerOptions,
  ) {
    super();
    requireCount(this, 'inChannels', inChannels);
    requireCount(this, 'outChannels', outChannels);
    this.kernelSize = spread(this, 'kernelSize', kernelSize, rank);
    this.groups = options.groups ?? 1;
    requireGroups(this, this.groups, inChannels, outChannels);
    const { stride, padding, dilation } = options;
    convParams(this.constructor.name, { stride, padding, dilation }, this.kernelSize);
    this.weight = parameter([inChannels, outChannels / this.groups, ...this.kernelSize]);
    // PyTorch takes fanIn from the second axis here too.
    const bound = 1 / Math.sqrt(numel(this.weight.shape.slice(1)));
    uniform(this.weight, -bound, bound);
    this.bias = (options.bias ?? true) ? uniform(parameter([outChannels]), -bound, bound) : null;
  }

  override forward(x: Tensor): Tensor {
    const { stride, padding, outputPadding, dilation } = this.options;
    const all = { stride, padding, outputPadding, dilation, groups: this.groups, bias: this.bias };
    switch (this.rank) {
      case 1:
        return x.convTranspose1d(this.weight, all);
      case 2:
        return x.convTranspose2d(this.weight, all);
      case 3:
        return x.convTranspose3d(this.weight, all);
      default:
        throw new ConfigError(`convolutions have 1, 2 or 3 spatial axes; got ${this.rank satisfies never}`);
    }
  }

  override extraRepr(): string {
    return reprOf(this.inChannels, this.outChannels, this.kernelSize, this.options);
  }
}

/** Transposed 1-D convolution: [N, inChannels, L] → [N, outChannels, L']. Sizes as `ConvTranspose2d`. */
export class ConvTranspose1d extends ConvTransposeNd {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvTransposeLayerOptions = {}) {
    super(1, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * Transposed 2-D convolution (the input gradient of one): [N, inChannels, H, W] → [N, outChannels, H', W'],
 * H' = (H − 1)·stride − 2·padding + dilation·(kH − 1) + outputPadding + 1. @throws {ConfigError} if `groups` does not divide both channel counts.
 */
export class ConvTranspose2d extends ConvTransposeNd {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvTransposeLayerOptions = {}) {
    super(2, inChannels, outChannels, kernelSize, options);
  }
}

/** Transposed 3-D convolution: [N, inChannels, D, H, W] → [N, outChannels, D', H', W']. Sizes as `ConvTranspose2d`. */
export class ConvTranspose3d extends ConvTransposeNd {
  constructor(inChannels: number, outChannels: number, kernelSize: PerAxis, options: ConvTransposeLayerOptions = {}) {
    super(3, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * A convolution without weight sharing: every output place has a kernel of its own. [N, inChannels, H, W] → [N, outChannels, H', W'].
 * It needs the input's size, H × W, and H'·W' times the weights of a `Conv2d`: that is its use, as a comparison.
 */
export class LocallyConnected2d extends Module {
  readonly weight: Parameter; // [outChannels, inChannels, kH·kW, H', W']
  readonly bias: Parameter | null; // [outChannels, H', W']
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly inputSize: readonly [H: number, W: number],
    kernelSize: PerAxis,
    { stride = 1, bias = true }: { stride?: PerAxis; bias?: boolean } = {},
  ) {
    super();
    this.kernelSize = spread(this, 'kernelSize', kernelSize, 2);
    this.stride = spread(this, 'stride', stride, 2);
    const out = inputSize.map((n, i) => Math.floor((n - this.kernelSize[i]) / this.stride[i]) + 1);
    if (out.some((n) => n < 1)) {
      throw new ConfigError(
        `LocallyConnected2d: a ${this.kernelSize.join(' × ')} kernel does not fit into ${inputSize.join(' × ')}`,
      );
    }
    const taps = numel(this.kernelSize);
    const bound = 1 / Math.sqrt(inChannels * taps);
    this.weight = uniform(parameter([outChannels, inChannels, taps, ...out]), -bound, bound);
    this.bias = bias ? uniform(parameter([outChannels, ...out]), -bound, bound) : null;
  }

  override forward(x: Tensor): Tensor {
    const [kH, kW] = this.kernelSize;
    const [outH, outW] = this.weight.shape.slice(3);
    const taps: Tensor[] = [];
    for (let i = 0; i < kH; i++) {
      for (let j = 0; j < kW; j++) {
        const rows = { start: i, stop: i + (outH - 1) * this.stride[0] + 1, step: this.stride[0] };
        const cols = { start: j, stop: j + (outW - 1) * this.stride[1] + 1, step: this.stride[1] };
        taps.push(x.slice(null, null, rows, cols));
      }
    }
    const patches = stack(taps, 2).unsqueeze(1); // [N, 1, C, kH·kW, H', W']
    const y = patches.mul(this.weight).sum([2, 3]);
    return this.bias === null ? y : y.add(this.bias);
  }

  override extraRepr(): string {
    return `${this.inChannels}, ${this.outChannels}, inputSize=${this.inputSize.join('×')}, kernelSize=${this.kernelSize.join('×')}`;
  }
}

function spread(layer: Module, name: string, value: PerAxis, rank: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value];
  if (list.length !== rank || !list.every((v) => Number.isInteger(v) && v >= 1)) {
    throw new ConfigError(
      `${layer.constructor.name}: ${name} must be an integer of at least 1${rank === 1 ? '' : `, or ${rank} of them`}; got ${JSON.stringify(value)}`,
    );
  }
  return list;
}

function requireGroups(layer: Module, groups: number, inChannels: number, outChannels: number): void {
  if (Number.isInteger(groups) && groups >= 1 && inChannels % groups === 0 && outChannels % groups === 0) return;
  const both = `inChannels = ${inChannels} and outChannels = ${outChannels}`;
  const divisors = Array.from({ length: Math.min(inChannels, outChannels) }, (_, i) => i + 1).filter(
    (d) => inChannels % d === 0 && outChannels % d === 0,
  );
  throw new ConfigError(
    `${layer.constructor.name}: groups = ${groups} must divide ${both}; ${divisors.join(', ')} would.`,
  );
}

function requireModes(layer: Module, mode: string | undefined): void {
  const modes = ['zeros', 'reflect', 'replicate', 'circular'];
  if (mode === undefined || modes.includes(mode)) return;
  throw new ConfigError(`${layer.constructor.name}: paddingMode must be one of ${modes.join(', ')}; got '${mode}'`);
}

function reprOf(inChannels: number, outChannels: number, kernelSize: readonly number[], options: object): string {
  const shown = Object.entries(options).filter(([, v]) => v !== undefined);
  const rest = shown.map(([k, v]) => `, ${k}=${JSON.stringify(v)}`).join('');
  return `${inChannels}, ${outChannels}, kernelSize=${JSON.stringify(kernelSize)}${rest}`;
}

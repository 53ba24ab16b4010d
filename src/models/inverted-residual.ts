/**
 * The blocks that MobileNets and EfficientNets are made of: a cheap convolution of each channel by itself between 1×1 convolutions that mix
 * channels. MobileNetV2's blocks are wide in the middle and narrow at the ends, the reverse of a ResNet's bottleneck (Sandler et al. 2018,
 * arXiv:1801.04381). Names are timm's, which one table maps torchvision's onto.
 */

import { BatchNorm2d, Conv2d, DropPath, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';

export interface BlockOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: number;
  readonly stride: number;
  /** Channels in the middle, as a multiple of those that come in. */
  readonly expansion: number;
  /** Channels squeezed to, as a share of those that come in; 0 for blocks without squeeze-and-excitation. */
  readonly squeeze: number;
  readonly activation: (x: Tensor) => Tensor;
  /** How often training skips the block. */
  readonly dropPath: number;
}

/**
 * Scales each channel by what all pixels of all channels say about it: [N, channels, H, W] → the same.
 * Hu, Shen and Sun 2017, "Squeeze-and-excitation networks", arXiv:1709.01507.
 */
export class SqueezeExcite extends Module {
  readonly conv_reduce: Conv2d;
  readonly conv_expand: Conv2d;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(channels: number, reduced: number, activation: (x: Tensor) => Tensor) {
    super();
    this.conv_reduce = new Conv2d(channels, reduced, 1);
    this.conv_expand = new Conv2d(reduced, channels, 1);
    this.#activation = activation;
  }

  override forward(x: Tensor): Tensor {
    const squeezed = this.#activation(this.conv_reduce.forward(x.mean([2, 3], { keepDims: true })));
    return x.mul(this.conv_expand.forward(squeezed).sigmoid());
  }
}

/** Depthwise, then 1×1: the first stage's block, which widens nothing. */
export class DepthwiseSeparableConv extends Module {
  readonly conv_dw: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly se: SqueezeExcite | null;
  readonly conv_pw: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly drop_path: DropPath;
  readonly #residual: boolean;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels, activation } = options;
    this.#activation = activation;
    this.#residual = keepsShape(options);
    this.conv_dw = depthwise(inChannels, options);
    this.bn1 = new BatchNorm2d(inChannels);
    this.se = squeezeExcite(inChannels, options);
    this.conv_pw = pointwise(inChannels, outChannels);
    this.bn2 = new BatchNorm2d(outChannels);
    this.drop_path = new DropPath(options.dropPath);
  }

  override forward(x: Tensor): Tensor {
    let y = this.#activation(this.bn1.forward(this.conv_dw.forward(x)));
    y = this.se?.forward(y) ?? y;
    y = this.bn2.forward(this.conv_pw.forward(y));
    return this.#residual ? this.drop_path.forward(y).add(x) : y;
  }
}

/** 1×1 up, depthwise, 1×1 down without an activation behind it; added to the input where that has the same shape. */
export class InvertedResidual extends Module {
  readonly conv_pw: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv_dw: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly se: SqueezeExcite | null;
  readonly conv_pwl: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly drop_path: DropPath;
  readonly #residual: boolean;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels, expansion, activation } = options;
    const middle = makeDivisible(inChannels * expansion);
    this.#activation = activation;
    this.#residual = keepsShape(options);
    this.conv_pw = pointwise(inChannels, middle);
    this.bn1 = new BatchNorm2d(middle);
    this.conv_dw = depthwise(middle, options);
    this.bn2 = new BatchNorm2d(middle);
    this.se = squeezeExcite(middle, options);
    this.conv_pwl = pointwise(middle, outChannels);
    this.bn3 = new BatchNorm2d(outChannels);
    this.drop_path = new DropPath(options.dropPath);
  }

  override forward(x: Tensor): Tensor {
    let y = this.#activation(this.bn1.forward(this.conv_pw.forward(x)));
    y = this.#activation(this.bn2.forward(this.conv_dw.forward(y)));
    y = this.se?.forward(y) ?? y;
    y = this.bn3.forward(this.conv_pwl.forward(y));
    return this.#residual ? this.drop_path.forward(y).add(x) : y;
  }
}

/**
 * The multiple of 8 nearest to a scaled number of channels, never more than a tenth below it: sizes that vectors like.
 * From the authors' code of MobileNet (tensorflow/models, research/slim/nets/mobilenet).
 */
export function makeDivisible(channels: number, divisor = 8): number {
  const rounded = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor);
  return rounded < 0.9 * channels ? rounded + divisor : rounded;
}

function pointwise(inChannels: number, outChannels: number): Conv2d {
  return new Conv2d(inChannels, outChannels, 1, { bias: false });
}

function depthwise(channels: number, { kernelSize, stride }: BlockOptions): Conv2d {
  const padding = (kernelSize - 1) / 2;
  return new Conv2d(channels, channels, kernelSize, { stride, padding, groups: channels, bias: false });
}

function squeezeExcite(channels: number, { inChannels, squeeze, activation }: BlockOptions): SqueezeExcite | null {
  if (squeeze === 0) return null;
  return new SqueezeExcite(channels, Math.max(1, Math.floor(inChannels * squeeze)), activation);
}

function keepsShape({ inChannels, outChannels, stride }: BlockOptions): boolean {
  return stride === 1 && inChannels === outChannels;
}

/**
 * What MobileNets and EfficientNets are made of: a cheap convolution of each channel by itself (depthwise) beside 1×1 convolutions that mix
 * channels. MobileNetV2 made such blocks wide in the middle and narrow at the ends, the reverse of a ResNet's bottleneck (Sandler et al. 2018,
 * arXiv:1801.04381). A network of the family is a table with a row for each sort of block; here are the blocks, and the trunk that a table
 * describes. Names are timm's; ./inverted-residual-names.ts maps torchvision's onto them.
 */

import {
  BatchNorm2d,
  type BatchNormOptions,
  Conv2d,
  Conv2dSame,
  Dropout,
  DropPath,
  init,
  Linear,
  Module,
  Sequential,
} from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';

export type Activation = (x: Tensor) => Tensor;

/** How a family squeezes and excites. */
export interface SqueezeRule {
  /** Channels squeezed to, for a block with these that come in and in the middle. */
  readonly reduced: (inChannels: number, middle: number) => number;
  readonly activation: Activation;
  /** Makes the scale, 0 … 1. */
  readonly gate: Activation;
}

/** What all blocks of a network share. */
export interface BlockStyle {
  readonly activation: Activation;
  readonly norm?: BatchNormOptions;
  /** 'same': what TensorFlow adds on one side for a stride of 2, see `Conv2dSame`. */
  readonly padding?: 'symmetric' | 'same';
}

export interface BlockOptions extends BlockStyle {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: number;
  /** Of a depthwise layer in front of the expansion: only MobileNetV4 has them. */
  readonly startKernelSize?: number;
  readonly stride: number;
  /** Channels in the middle, as a multiple of those that come in. */
  readonly expansion: number;
  readonly squeeze: SqueezeRule | null;
  /** Whether the block is added to its input, where that has the shape of the output. */
  readonly residual: boolean;
  /** How often training skips the block. */
  readonly dropPath: number;
}

/** `repeats` blocks after one another: a line of a paper's table. */
export interface BlockRow {
  readonly Block: new (options: BlockOptions) => Module;
  readonly kernelSize: number;
  /** Left out: 0, none. */
  readonly startKernelSize?: number;
  /** Of the first block; those after it have 1. */
  readonly stride: number;
  readonly channels: number;
  /** Left out: 1. */
  readonly repeats?: number;
  /** Left out: 1. */
  readonly expansion?: number;
  /** Left out: none. */
  readonly squeeze?: SqueezeRule | null;
  /** Left out: the network's. */
  readonly activation?: Activation;
  /** Left out: true. */
  readonly residual?: boolean;
}

/** Rows by stage: what timm numbers `blocks.STAGE.BLOCK`. */
export type Stages = readonly (readonly BlockRow[])[];

/**
 * Scales each channel by what all pixels of all channels say about it: [N, channels, H, W] → the same.
 * Hu, Shen and Sun 2017, "Squeeze-and-excitation networks", arXiv:1709.01507.
 */
export class SqueezeExcite extends Module {
  readonly conv_reduce: Conv2d;
  readonly conv_expand: Conv2d;
  readonly #activation: Activation;
  readonly #gate: Activation;

  constructor(channels: number, reduced: number, { activation, gate }: Omit<SqueezeRule, 'reduced'>) {
    super();
    this.conv_reduce = new Conv2d(channels, reduced, 1);
    this.conv_expand = new Conv2d(reduced, channels, 1);
    this.#activation = activation;
    this.#gate = gate;
  }

  override forward(x: Tensor): Tensor {
    const squeezed = this.#activation(this.conv_reduce.forward(x.mean([2, 3], { keepDims: true })));
    return x.mul(this.#gate(this.conv_expand.forward(squeezed)));
  }
}

/** A convolution, batch norm and activation: the first stages of EfficientNetV2 and MobileNetV4, the last one of MobileNetV3. */
export class ConvBnAct extends Module {
  readonly conv: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly drop_path: DropPath;
  readonly #residual: boolean;
  readonly #activation: Activation;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels } = options;
    this.#activation = options.activation;
    this.#residual = isResidual(options);
    this.conv = spatial(inChannels, outChannels, options);
    this.bn1 = new BatchNorm2d(outChannels, options.norm);
    this.drop_path = new DropPath(options.dropPath);
  }

  override forward(x: Tensor): Tensor {
    const y = this.#activation(this.bn1.forward(this.conv.forward(x)));
    return this.#residual ? this.drop_path.forward(y).add(x) : y;
  }
}

/** Depthwise, then 1×1: a block that widens nothing. MobileNetV1's are not residual and have an activation at the end too. */
export class DepthwiseSeparableConv extends Module {
  readonly conv_dw: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly se: SqueezeExcite | null;
  readonly conv_pw: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly drop_path: DropPath;
  readonly #residual: boolean;
  readonly #activation: Activation;
  readonly #last: Activation;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels, activation, norm } = options;
    this.#activation = activation;
    this.#last = options.residual ? (x) => x : activation;
    this.#residual = isResidual(options);
    this.conv_dw = depthwise(inChannels, options);
    this.bn1 = new BatchNorm2d(inChannels, norm);
    this.se = squeezeExcite(inChannels, options);
    this.conv_pw = pointwise(inChannels, outChannels);
    this.bn2 = new BatchNorm2d(outChannels, norm);
    this.drop_path = new DropPath(options.dropPath);
  }

  override forward(x: Tensor): Tensor {
    let y = this.#activation(this.bn1.forward(this.conv_dw.forward(x)));
    y = this.se?.forward(y) ?? y;
    y = this.#last(this.bn2.forward(this.conv_pw.forward(y)));
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
  readonly #activation: Activation;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels, expansion, norm } = options;
    const middle = makeDivisible(inChannels * expansion);
    this.#activation = options.activation;
    this.#residual = isResidual(options);
    this.conv_pw = pointwise(inChannels, middle);
    this.bn1 = new BatchNorm2d(middle, norm);
    this.conv_dw = depthwise(middle, options);
    this.bn2 = new BatchNorm2d(middle, norm);
    this.se = squeezeExcite(middle, options);
    this.conv_pwl = pointwise(middle, outChannels);
    this.bn3 = new BatchNorm2d(outChannels, norm);
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

/** An inverted residual whose first two layers are fused into one whole convolution, which early, narrow maps compute faster. */
export class EdgeResidual extends Module {
  readonly conv_exp: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly se: SqueezeExcite | null;
  readonly conv_pwl: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly drop_path: DropPath;
  readonly #residual: boolean;
  readonly #activation: Activation;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels, expansion, norm } = options;
    const middle = makeDivisible(inChannels * expansion);
    this.#activation = options.activation;
    this.#residual = isResidual(options);
    this.conv_exp = spatial(inChannels, middle, options);
    this.bn1 = new BatchNorm2d(middle, norm);
    this.se = squeezeExcite(middle, options);
    this.conv_pwl = pointwise(middle, outChannels);
    this.bn2 = new BatchNorm2d(outChannels, norm);
    this.drop_path = new DropPath(options.dropPath);
  }

  override forward(x: Tensor): Tensor {
    let y = this.#activation(this.bn1.forward(this.conv_exp.forward(x)));
    y = this.se?.forward(y) ?? y;
    y = this.bn2.forward(this.conv_pwl.forward(y));
    return this.#residual ? this.drop_path.forward(y).add(x) : y;
  }
}

export interface TrunkOptions extends BlockStyle {
  readonly inChannels: number;
  /** Channels of the first convolution, which halves the picture. */
  readonly stem: number;
  readonly stages: Stages;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
}

/** The part of a network that its table describes: [N, inChannels, H, W] → maps [N, channels, ⌈H/32⌉, ⌈W/32⌉] of the last stage. */
export abstract class InvertedResidualTrunk extends Module {
  readonly conv_stem: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly blocks: Sequential;
  protected readonly channels: number;
  protected readonly activation: Activation;

  constructor({ inChannels, stem, stages, stochasticDepth = 0, ...style }: TrunkOptions) {
    super();
    this.activation = style.activation;
    this.conv_stem = spatial(inChannels, stem, { ...style, kernelSize: 3, stride: 2 });
    this.bn1 = new BatchNorm2d(stem, style.norm);
    this.blocks = new Sequential();
    const total = stages.flat().reduce((sum, { repeats = 1 }) => sum + repeats, 0);
    let channels = stem;
    let index = 0;
    for (const rows of stages) {
      const stage = new Sequential();
      for (const { Block, stride, repeats = 1, channels: outChannels, ...row } of rows) {
        for (let i = 0; i < repeats; i++) {
          const dropPath = (stochasticDepth * index++) / total;
          const sizes = { inChannels: channels, outChannels, stride: i === 0 ? stride : 1, dropPath };
          stage.add(new Block({ expansion: 1, squeeze: null, residual: true, ...style, ...row, ...sizes }));
          channels = outChannels;
        }
      }
      this.blocks.add(stage);
    }
    this.channels = channels;
  }

  protected maps(x: Tensor): Tensor {
    return this.blocks.forward(this.activation(this.bn1.forward(this.conv_stem.forward(x))));
  }
}

export interface ClassifierOptions extends TrunkOptions {
  readonly numClasses: number;
  /** Channels of the 1×1 convolution in front of the pooling; null for a network without one. */
  readonly features: number | null;
  readonly dropout: number;
}

/** Trunk, 1×1 convolution, mean of each map, classifier: MobileNetV1 and V2 and the EfficientNets. [N, inChannels, H, W] → [N, numClasses]. */
export abstract class InvertedResidualNet extends InvertedResidualTrunk {
  readonly conv_head: Conv2d | null;
  readonly bn2: BatchNorm2d | null;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor({ numClasses, features, dropout, ...trunk }: ClassifierOptions) {
    super(trunk);
    this.conv_head = features === null ? null : pointwise(this.channels, features);
    this.bn2 = features === null ? null : new BatchNorm2d(features, trunk.norm);
    this.dropout = new Dropout(dropout);
    this.classifier = new Linear(features ?? this.channels, numClasses);
  }

  override forward(x: Tensor): Tensor {
    x = this.maps(x);
    if (this.conv_head !== null) x = this.activation(this.bn2!.forward(this.conv_head.forward(x)));
    return this.classifier.forward(this.dropout.forward(x.mean([2, 3])));
  }
}

/** torchvision's start of both versions of EfficientNet. */
export function initializeEfficientNet(model: InvertedResidualNet): void {
  for (const module of model.modules()) {
    if (!(module instanceof Conv2d)) continue;
    init.kaimingNormal(module.weight, { mode: 'fanOut' });
    if (module.bias !== null) init.zeros(module.bias);
  }
  const { classifier } = model;
  const bound = 1 / Math.sqrt(classifier.outFeatures);
  init.uniform(classifier.weight, -bound, bound);
  init.zeros(classifier.bias!);
}

/** A quarter of the channels that come in. */
export const quarterOfInput: SqueezeRule = {
  reduced: (inChannels) => Math.max(1, Math.floor(inChannels / 4)),
  activation: (x) => x.silu(),
  gate: (x) => x.sigmoid(),
};

/** The stages with `width` times the channels and `depth` times the repeats. */
export function scaleStages(stages: Stages, { width = 1, depth = 1 }: { width?: number; depth?: number }): Stages {
  return stages.map((rows) =>
    rows.map((row) => ({
      ...row,
      channels: makeDivisible(row.channels * width),
      repeats: Math.ceil((row.repeats ?? 1) * depth),
    })),
  );
}

/**
 * The multiple of 8 nearest to a scaled number of channels, never more than a tenth below it: sizes that vectors like.
 * From the authors' code of MobileNet (tensorflow/models, research/slim/nets/mobilenet).
 */
export function makeDivisible(channels: number, divisor = 8): number {
  const rounded = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor);
  return rounded < 0.9 * channels ? rounded + divisor : rounded;
}

export function pointwise(inChannels: number, outChannels: number): Conv2d {
  return new Conv2d(inChannels, outChannels, 1, { bias: false });
}

type Window = Pick<BlockOptions, 'kernelSize' | 'stride' | 'padding'>;

export function depthwise(channels: number, window: Window): Conv2d {
  return spatial(channels, channels, window, channels);
}

function spatial(inChannels: number, outChannels: number, { kernelSize, stride, padding }: Window, groups = 1): Conv2d {
  const options = { stride, groups, bias: false };
  // At stride 1, 'same' is symmetric for every size.
  if (padding === 'same' && stride > 1) return new Conv2dSame(inChannels, outChannels, kernelSize, options);
  return new Conv2d(inChannels, outChannels, kernelSize, { ...options, padding: (kernelSize - 1) / 2 });
}

function squeezeExcite(channels: number, { inChannels, squeeze }: BlockOptions): SqueezeExcite | null {
  return squeeze === null ? null : new SqueezeExcite(channels, squeeze.reduced(inChannels, channels), squeeze);
}

function isResidual({ residual, inChannels, outChannels, stride }: BlockOptions): boolean {
  return residual && stride === 1 && inChannels === outChannels;
}

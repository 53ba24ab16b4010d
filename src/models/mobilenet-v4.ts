/**
 * MobileNetV4: one block that becomes an inverted residual, a ConvNeXt block or a feed-forward layer, depending on which of its two depthwise
 * layers it has; fast on every phone, whatever computes there. Qin et al. 2024, "MobileNetV4: universal models for the mobile ecosystem",
 * arXiv:2404.10518. Names are timm's; initial values those of torchvision's MobileNets; nothing is dropped by default, as in timm.
 */

import { BatchNorm2d, Conv2d, Dropout, DropPath, init, Linear, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import {
  type Activation,
  type BlockOptions,
  type BlockRow,
  ConvBnAct,
  depthwise,
  InvertedResidualTrunk,
  makeDivisible,
  pointwise,
  type Stages,
  scaleStages,
} from './inverted-residual.js';
import { preprocessing } from './preprocessing.js';

export interface MobileNetV4Options extends ModelOptions {
  /** Scales the channels of every stage. */
  readonly widthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
}

/** A convolution without bias, then batch norm. */
class ConvNorm extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(conv: Conv2d) {
    super();
    this.conv = conv;
    this.bn = new BatchNorm2d(conv.outChannels);
  }

  override forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x));
  }
}

/**
 * Depthwise, 1×1 up, depthwise, 1×1 down: either depthwise layer may be missing (a kernel of 0). The stride belongs to the second of them, or
 * to the first where that is the only one.
 */
export class UniversalInvertedResidual extends Module {
  readonly dw_start: ConvNorm | null;
  readonly pw_exp: ConvNorm;
  readonly dw_mid: ConvNorm | null;
  readonly pw_proj: ConvNorm;
  readonly drop_path: DropPath;
  readonly #residual: boolean;
  readonly #activation: Activation;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, outChannels, kernelSize, startKernelSize = 0, stride, expansion } = options;
    const middle = makeDivisible(inChannels * expansion);
    const layer = (channels: number, kernel: number, by: number) =>
      kernel === 0 ? null : new ConvNorm(depthwise(channels, { kernelSize: kernel, stride: by }));
    this.#activation = options.activation;
    this.#residual = stride === 1 && inChannels === outChannels;
    this.dw_start = layer(inChannels, startKernelSize, kernelSize === 0 ? stride : 1);
    this.pw_exp = new ConvNorm(pointwise(inChannels, middle));
    this.dw_mid = layer(middle, kernelSize, stride);
    this.pw_proj = new ConvNorm(pointwise(middle, outChannels));
    this.drop_path = new DropPath(options.dropPath);
  }

  override forward(x: Tensor): Tensor {
    let y = this.dw_start?.forward(x) ?? x;
    y = this.#activation(this.pw_exp.forward(y));
    if (this.dw_mid !== null) y = this.#activation(this.dw_mid.forward(y));
    y = this.pw_proj.forward(y);
    return this.#residual ? this.drop_path.forward(y).add(x) : y;
  }
}

const conv = (kernelSize: number, channels: number, stride = 1): BlockRow => ({
  Block: ConvBnAct,
  kernelSize,
  channels,
  stride,
  residual: false,
});

const universal = (
  [startKernelSize, kernelSize]: readonly [start: number, middle: number],
  expansion: number,
  channels: number,
  { stride = 1, repeats = 1 } = {},
): BlockRow => ({
  Block: UniversalInvertedResidual,
  startKernelSize,
  kernelSize,
  expansion,
  channels,
  stride,
  repeats,
});

/** The paper's table of MNv4-Conv-S. */
const convSmall: Stages = [
  [conv(3, 32, 2), conv(1, 32)],
  [conv(3, 96, 2), conv(1, 64)],
  [universal([5, 5], 3, 96, { stride: 2 }), universal([0, 3], 2, 96, { repeats: 4 }), universal([3, 0], 4, 96)],
  [
    universal([3, 3], 6, 128, { stride: 2 }),
    universal([5, 5], 4, 128),
    universal([0, 5], 4, 128),
    universal([0, 5], 3, 128),
    universal([0, 3], 4, 128, { repeats: 2 }),
  ],
  [conv(1, 960)],
];

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class MobileNetV4 extends InvertedResidualTrunk {
  readonly conv_head: Conv2d;
  readonly norm_head: BatchNorm2d;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(
    stages: Stages,
    {
      numClasses,
      inChannels,
      widthMultiplier = 1,
      dropout = 0,
      stochasticDepth = 0,
    }: MobileNetV4Options & Required<ModelOptions>,
  ) {
    const scaled = scaleStages(stages, { width: widthMultiplier });
    super({ inChannels, stem: 32, stages: scaled, activation: (x) => x.relu(), stochasticDepth });
    this.conv_head = pointwise(this.channels, 1280);
    this.norm_head = new BatchNorm2d(1280);
    this.dropout = new Dropout(dropout);
    this.classifier = new Linear(1280, numClasses);

    for (const module of this.modules()) {
      if (module instanceof Conv2d) init.kaimingNormal(module.weight, { mode: 'fanOut' });
    }
    init.normal(this.classifier.weight, 0, 0.01);
    init.zeros(this.classifier.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.maps(x).mean([2, 3], { keepDims: true });
    x = this.norm_head.forward(this.conv_head.forward(x)).relu();
    return this.classifier.forward(this.dropout.forward(x.flatten(1)));
  }
}

export const mobilenetv4_conv_small = defineModel(
  'mobilenetv4_conv_small',
  (o: MobileNetV4Options & Required<ModelOptions>) => new MobileNetV4(convSmall, o),
  {
    params: 3_774_024,
    macs: 186_005_568,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2024,
    summary: 'universal inverted bottlenecks: depthwise layers where each phone is fast with them',
    source: 'Qin et al. 2024, arXiv:2404.10518',
    published: { top1: 73.756, top5: 91.43, weights: 'timm mobilenetv4_conv_small.e2400_r224_in1k' },
    preprocessing: preprocessing(224, { interpolation: 'bicubic' }),
  },
);

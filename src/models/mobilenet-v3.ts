/**
 * MobileNetV3: inverted residuals, some with squeeze-and-excitation and hard swish, found by a search for speed on a phone's processor; the
 * costly last layers work on one pixel. Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244. Names are timm's; initial values
 * torchvision's. torchvision's weights have batch norms of eps 0.001, timm's of 0.00001: each library's name stands for its own.
 */

import { type BatchNormOptions, Conv2d, Dropout, init, Linear } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import {
  type Activation,
  ConvBnAct,
  DepthwiseSeparableConv,
  InvertedResidual,
  InvertedResidualTrunk,
  makeDivisible,
  type SqueezeRule,
  type Stages,
  scaleStages,
} from './inverted-residual.js';
import { mobileNetV3Names } from './inverted-residual-names.js';
import { preprocessing } from './preprocessing.js';

export interface MobileNetV3Options extends ModelOptions {
  /** Scales the channels of every layer but the first and the last two. */
  readonly widthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** Left out: torchvision's eps of 0.001 and momentum of 0.01. */
  readonly batchNorm?: BatchNormOptions;
}

/** What the large and the small network differ in. */
export interface MobileNetV3Plan {
  readonly stages: Stages;
  /** Channels of the layer between the pooling and the classifier. */
  readonly features: number;
}

export const relu: Activation = (x) => x.relu();
const hardswish: Activation = (x) => x.hardswish();
/** A quarter of the channels in the middle, and no exponential anywhere. */
const squeeze: SqueezeRule = {
  reduced: (_inChannels, middle) => makeDivisible(middle / 4),
  activation: relu,
  gate: (x) => x.hardsigmoid(),
};

/** kernel, expansion, channels, squeeze-and-excitation, nonlinearity, stride, repeats: the paper's columns. */
type Line = readonly [number, number, number, 'SE' | '', 'RE' | 'HS', number, number];

function stagesOf(first: Line, lines: readonly (readonly Line[])[], last: number): Stages {
  const row = ([kernelSize, expansion, channels, se, nonlinearity, stride, repeats]: Line) => ({
    Block: InvertedResidual,
    kernelSize,
    expansion,
    channels,
    squeeze: se === 'SE' ? squeeze : null,
    activation: nonlinearity === 'RE' ? relu : hardswish,
    stride,
    repeats,
  });
  return [
    [{ ...row(first), Block: DepthwiseSeparableConv }],
    ...lines.map((stage) => stage.map(row)),
    [{ Block: ConvBnAct, kernelSize: 1, channels: last, stride: 1 }],
  ];
}

/** The paper's table 1. */
export const largePlan: MobileNetV3Plan = {
  stages: stagesOf(
    [3, 1, 16, '', 'RE', 1, 1],
    [
      [
        [3, 4, 24, '', 'RE', 2, 1],
        [3, 3, 24, '', 'RE', 1, 1],
      ],
      [[5, 3, 40, 'SE', 'RE', 2, 3]],
      [
        [3, 6, 80, '', 'HS', 2, 1],
        [3, 2.5, 80, '', 'HS', 1, 1],
        [3, 2.3, 80, '', 'HS', 1, 2],
      ],
      [[3, 6, 112, 'SE', 'HS', 1, 2]],
      [[5, 6, 160, 'SE', 'HS', 2, 3]],
    ],
    960,
  ),
  features: 1280,
};

/** The paper's table 2. */
export const smallPlan: MobileNetV3Plan = {
  stages: stagesOf(
    [3, 1, 16, 'SE', 'RE', 2, 1],
    [
      [
        [3, 4.5, 24, '', 'RE', 2, 1],
        [3, 3.67, 24, '', 'RE', 1, 1],
      ],
      [
        [5, 4, 40, 'SE', 'HS', 2, 1],
        [5, 6, 40, 'SE', 'HS', 1, 2],
      ],
      [[5, 3, 48, 'SE', 'HS', 1, 2]],
      [[5, 6, 96, 'SE', 'HS', 2, 3]],
    ],
    576,
  ),
  features: 1024,
};

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class MobileNetV3 extends InvertedResidualTrunk {
  readonly conv_head: Conv2d;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(
    { stages, features }: MobileNetV3Plan,
    {
      numClasses,
      inChannels,
      widthMultiplier = 1,
      dropout = 0.2,
      batchNorm = { eps: 1e-3, momentum: 0.01 },
    }: MobileNetV3Options & Required<ModelOptions>,
  ) {
    const scaled = scaleStages(stages, { width: widthMultiplier });
    super({ inChannels, stem: 16, stages: scaled, activation: hardswish, norm: batchNorm });
    this.conv_head = new Conv2d(this.channels, features, 1);
    this.dropout = new Dropout(dropout);
    this.classifier = new Linear(features, numClasses);

    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      init.kaimingNormal(module.weight, { mode: 'fanOut' });
      if (module.bias !== null) init.zeros(module.bias);
    }
    init.normal(this.conv_head.weight, 0, 0.01); // a linear layer in torchvision
    init.normal(this.classifier.weight, 0, 0.01);
    init.zeros(this.classifier.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.maps(x).mean([2, 3], { keepDims: true });
    x = this.conv_head.forward(x).hardswish(); // behind the pooling: one pixel instead of 49, and as good
    return this.classifier.forward(this.dropout.forward(x.flatten(1)));
  }
}

type BuilderOptions = MobileNetV3Options & Required<ModelOptions>;

/** What all of them state alike. */
const common = {
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['classifier'],
  year: 2019,
  source: 'Howard et al. 2019, arXiv:1905.02244',
} as const;

const timmNorm = { eps: 1e-5, momentum: 0.1 };
const large = { ...common, params: 5_483_032, macs: 216_589_760 };
const small = { ...common, params: 2_542_856, macs: 56_510_400 };

export const mobilenet_v3_large = defineModel(
  'mobilenet_v3_large',
  (o: BuilderOptions) => new MobileNetV3(largePlan, o),
  {
    ...large,
    summary: 'MobileNetV2 searched for latency: squeeze-and-excitation, hard swish and a cheap last stage',
    published: { top1: 75.274, top5: 92.566, weights: 'torchvision MobileNet_V3_Large_Weights.IMAGENET1K_V2' },
    preprocessing: preprocessing(224, { resize: 232 }),
    remaps: [mobileNetV3Names(largePlan.stages)],
  },
);

export const mobilenet_v3_small = defineModel(
  'mobilenet_v3_small',
  (o: BuilderOptions) => new MobileNetV3(smallPlan, o),
  {
    ...small,
    summary: 'MobileNetV3 for phones with little to spare',
    published: { top1: 67.668, top5: 87.402, weights: 'torchvision MobileNet_V3_Small_Weights.IMAGENET1K_V1' },
    remaps: [mobileNetV3Names(smallPlan.stages)],
  },
);

export const mobilenetv3_large_100 = defineModel(
  'mobilenetv3_large_100',
  (o: BuilderOptions) => new MobileNetV3(largePlan, { batchNorm: timmNorm, ...o }),
  {
    ...large,
    summary: "mobilenet_v3_large as timm's weights want it: batch norms of eps 0.00001",
    published: { top1: 75.784, top5: 92.528, weights: 'timm mobilenetv3_large_100.ra_in1k' },
    preprocessing: preprocessing(224, { interpolation: 'bicubic' }),
  },
);

export const mobilenetv3_small_100 = defineModel(
  'mobilenetv3_small_100',
  (o: BuilderOptions) => new MobileNetV3(smallPlan, { batchNorm: timmNorm, ...o }),
  {
    ...small,
    summary: "mobilenet_v3_small as timm's weights want it: batch norms of eps 0.00001",
    preprocessing: preprocessing(224, { interpolation: 'bicubic' }),
  },
);

/**
 * EfficientNetV2: smaller and faster to train than EfficientNet; the early stages, where depthwise layers leave a processor idle, have whole
 * convolutions. Tan and Le 2021, "EfficientNetV2: smaller models and faster training", arXiv:2104.00298. Names are timm's; initial values
 * torchvision's. The `tf_` networks pad as TensorFlow does, for weights that were trained there.
 */

import { defineModel, type ModelBuilder, type ModelFacts, type ModelOptions } from './define.js';
import type { EfficientNetOptions } from './efficientnet.js';
import {
  type BlockRow,
  ConvBnAct,
  EdgeResidual,
  InvertedResidual,
  InvertedResidualNet,
  initializeEfficientNet,
  makeDivisible,
  quarterOfInput,
  type Stages,
  scaleStages,
} from './inverted-residual.js';
import { efficientNetNames } from './inverted-residual-names.js';
import { preprocessing } from './preprocessing.js';

/** expansion, stride of the first, channels, repeats; all kernels are 3 × 3. */
type Line = readonly [expansion: number, stride: number, channels: number, repeats: number];

/** `fused`: the whole convolutions of the first stages; `inverted`: depthwise ones with squeeze-and-excitation. */
function stagesOf({ fused, inverted }: { fused: readonly Line[]; inverted: readonly Line[] }): Stages {
  const row = (Block: BlockRow['Block'], [expansion, stride, channels, repeats]: Line) => ({
    Block,
    kernelSize: 3,
    expansion,
    stride,
    channels,
    repeats,
  });
  return [
    ...fused.map((line) => [row(line[0] === 1 ? ConvBnAct : EdgeResidual, line)]),
    ...inverted.map((line) => [{ ...row(InvertedResidual, line), squeeze: quarterOfInput }]),
  ];
}

/** The paper's table 4, and the authors' code for the other two. */
const stages = {
  s: stagesOf({
    fused: [
      [1, 1, 24, 2],
      [4, 2, 48, 4],
      [4, 2, 64, 4],
    ],
    inverted: [
      [4, 2, 128, 6],
      [6, 1, 160, 9],
      [6, 2, 256, 15],
    ],
  }),
  m: stagesOf({
    fused: [
      [1, 1, 24, 3],
      [4, 2, 48, 5],
      [4, 2, 80, 5],
    ],
    inverted: [
      [4, 2, 160, 7],
      [6, 1, 176, 14],
      [6, 2, 304, 18],
      [6, 1, 512, 5],
    ],
  }),
  l: stagesOf({
    fused: [
      [1, 1, 32, 4],
      [4, 2, 64, 7],
      [4, 2, 96, 7],
    ],
    inverted: [
      [4, 2, 192, 10],
      [6, 1, 224, 19],
      [6, 2, 384, 25],
      [6, 1, 640, 7],
    ],
  }),
};

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class EfficientNetV2 extends InvertedResidualNet {
  constructor(
    table: Stages,
    {
      numClasses,
      inChannels,
      widthMultiplier = 1,
      depthMultiplier = 1,
      dropout = 0.2,
      stochasticDepth = 0.2,
      batchNorm = { eps: 1e-3 },
      padding,
    }: EfficientNetOptions & Required<ModelOptions>,
  ) {
    super({
      inChannels,
      numClasses,
      stem: makeDivisible(table[0][0].channels * widthMultiplier),
      stages: scaleStages(table, { width: widthMultiplier, depth: depthMultiplier }),
      features: 1280,
      activation: (x) => x.silu(),
      norm: batchNorm,
      padding,
      dropout,
      stochasticDepth,
    });
    initializeEfficientNet(this);
  }
}

function variant(
  size: keyof typeof stages,
  name: string,
  defaults: EfficientNetOptions,
  facts: Pick<ModelFacts, 'params' | 'macs' | 'input' | 'summary'> & Partial<ModelFacts>,
): ModelBuilder<EfficientNetV2, EfficientNetOptions> {
  const build = (o: EfficientNetOptions & Required<ModelOptions>) =>
    new EfficientNetV2(stages[size], { ...defaults, ...o });
  return defineModel(name, build, {
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2021,
    source: 'Tan and Le 2021, arXiv:2104.00298',
    ...facts,
  });
}

export const efficientnet_v2_s = variant(
  's',
  'efficientnet_v2_s',
  { dropout: 0.2 },
  {
    params: 21_458_488,
    macs: 8_365_617_152,
    input: [3, 384, 384],
    summary: 'EfficientNet searched for training speed: whole convolutions in the early stages',
    published: { top1: 84.228, top5: 96.878, weights: 'torchvision EfficientNet_V2_S_Weights.IMAGENET1K_V1' },
    preprocessing: preprocessing(384, { resize: 384 }),
    remaps: [efficientNetNames(stages.s)],
  },
);

export const efficientnet_v2_m = variant(
  'm',
  'efficientnet_v2_m',
  { dropout: 0.3 },
  {
    params: 54_139_356,
    macs: 24_582_460_384,
    input: [3, 480, 480],
    summary: 'EfficientNetV2, medium',
    published: { top1: 85.112, top5: 97.156, weights: 'torchvision EfficientNet_V2_M_Weights.IMAGENET1K_V1' },
    preprocessing: preprocessing(480, { resize: 480 }),
    remaps: [efficientNetNames(stages.m)],
  },
);

export const efficientnet_v2_l = variant(
  'l',
  'efficientnet_v2_l',
  { dropout: 0.4 },
  {
    params: 118_515_272,
    macs: 56_079_699_008,
    input: [3, 480, 480],
    summary: 'EfficientNetV2, large',
    published: { top1: 85.808, top5: 97.788, weights: 'torchvision EfficientNet_V2_L_Weights.IMAGENET1K_V1' },
    preprocessing: preprocessing(480, { resize: 480, interpolation: 'bicubic', statistics: 'symmetric' }),
    remaps: [efficientNetNames(stages.l)],
  },
);

const fromTensorflow = (size: number) =>
  ({
    input: [3, size, size],
    summary: "EfficientNetV2 with TensorFlow's padding, for weights trained there",
    preprocessing: preprocessing(size, { resize: size, interpolation: 'bicubic', statistics: 'symmetric' }),
  }) as const;

export const tf_efficientnetv2_s = variant(
  's',
  'tf_efficientnetv2_s',
  { dropout: 0.2, padding: 'same' },
  { params: 21_458_488, macs: 8_365_617_152, ...fromTensorflow(384) },
);

export const tf_efficientnetv2_m = variant(
  'm',
  'tf_efficientnetv2_m',
  { dropout: 0.3, padding: 'same' },
  { params: 54_139_356, macs: 24_582_460_384, ...fromTensorflow(480) },
);

export const tf_efficientnetv2_l = variant(
  'l',
  'tf_efficientnetv2_l',
  { dropout: 0.4, padding: 'same' },
  { params: 118_515_272, macs: 56_079_699_008, ...fromTensorflow(480) },
);

export const efficientNetV2s: readonly ModelBuilder[] = [
  efficientnet_v2_s,
  efficientnet_v2_m,
  efficientnet_v2_l,
  tf_efficientnetv2_s,
  tf_efficientnetv2_m,
  tf_efficientnetv2_l,
];

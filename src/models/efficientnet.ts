/**
 * EfficientNet: a small network found by search, scaled up in depth, width and resolution together.
 * Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", arXiv:1905.11946. Names are timm's; initial
 * values torchvision's. The `tf_` networks pad as TensorFlow does, for weights that were trained there.
 */

import type { BatchNormOptions } from '../nn/index.js';
import { defineModel, type ModelBuilder, type ModelFacts, type ModelOptions, type PublishedScore } from './define.js';
import {
  DepthwiseSeparableConv,
  InvertedResidual,
  InvertedResidualNet,
  initializeEfficientNet,
  makeDivisible,
  quarterOfInput,
  type Stages,
  scaleStages,
} from './inverted-residual.js';
import { efficientNetNames } from './inverted-residual-names.js';
import { type Preprocessing, preprocessing } from './preprocessing.js';

export interface EfficientNetOptions extends ModelOptions {
  /** Scales the channels of every layer. */
  readonly widthMultiplier?: number;
  /** Scales the repeats of every stage. */
  readonly depthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
  readonly batchNorm?: BatchNormOptions;
  /** 'same': TensorFlow's one-sided padding of layers with a stride of 2. */
  readonly padding?: 'symmetric' | 'same';
}

/** The paper's table 1, B0: expansion, kernel, stride of the first, channels, repeats. */
const table = [
  [1, 3, 1, 16, 1],
  [6, 3, 2, 24, 2],
  [6, 5, 2, 40, 2],
  [6, 3, 2, 80, 3],
  [6, 5, 1, 112, 3],
  [6, 5, 2, 192, 4],
  [6, 3, 1, 320, 1],
] as const;

const stages: Stages = table.map(([expansion, kernelSize, stride, channels, repeats]) => [
  {
    Block: expansion === 1 ? DepthwiseSeparableConv : InvertedResidual,
    kernelSize,
    stride,
    expansion,
    channels,
    repeats,
    squeeze: quarterOfInput,
  },
]);

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class EfficientNet extends InvertedResidualNet {
  constructor({
    numClasses,
    inChannels,
    widthMultiplier = 1,
    depthMultiplier = 1,
    dropout = 0.2,
    stochasticDepth = 0.2,
    batchNorm,
    padding,
  }: EfficientNetOptions & Required<ModelOptions>) {
    super({
      inChannels,
      numClasses,
      stem: makeDivisible(32 * widthMultiplier),
      stages: scaleStages(stages, { width: widthMultiplier, depth: depthMultiplier }),
      features: makeDivisible(1280 * widthMultiplier),
      activation: (x) => x.silu(),
      norm: batchNorm,
      padding,
      dropout,
      stochasticDepth,
    });
    initializeEfficientNet(this);
  }
}

export interface CompoundScale {
  readonly depthMultiplier: number;
  readonly widthMultiplier: number;
  /** Height and width of the pictures. */
  readonly resolution: number;
}

/**
 * The compound scaling rule: 2^phi times the work of B0, spent on depth, width and resolution as the paper's search found best (α = 1.2,
 * β = 1.1, γ = 1.15; α · β² · γ² ≈ 2). B1 to B7 are such networks with the factors rounded by hand.
 */
export function compoundScaling(phi: number): CompoundScale {
  return { depthMultiplier: 1.2 ** phi, widthMultiplier: 1.1 ** phi, resolution: Math.round(224 * 1.15 ** phi) };
}

type Variant = EfficientNetOptions & Required<ModelOptions>;

const common = {
  numClasses: 1000,
  output: 'logits',
  heads: ['classifier'],
  year: 2019,
  source: 'Tan and Le 2019, arXiv:1905.11946',
} as const;

/** The factors of B1 to B7: the compound rule's, rounded by hand as in the authors' code. */
const scales = {
  b0: { widthMultiplier: 1, depthMultiplier: 1, dropout: 0.2 },
  b1: { widthMultiplier: 1, depthMultiplier: 1.1, dropout: 0.2 },
  b2: { widthMultiplier: 1.1, depthMultiplier: 1.2, dropout: 0.3 },
  b3: { widthMultiplier: 1.2, depthMultiplier: 1.4, dropout: 0.3 },
  b4: { widthMultiplier: 1.4, depthMultiplier: 1.8, dropout: 0.4 },
  b5: { widthMultiplier: 1.6, depthMultiplier: 2.2, dropout: 0.4 },
  b6: { widthMultiplier: 1.8, depthMultiplier: 2.6, dropout: 0.5 },
  b7: { widthMultiplier: 2, depthMultiplier: 3.1, dropout: 0.5 },
} as const;

/** `size`: of torchvision's published weights, which is the paper's but for B2. */
function variant(
  name: keyof typeof scales,
  size: number,
  facts: Pick<ModelFacts, 'params' | 'macs' | 'summary'> & {
    readonly scores: readonly [top1: number, top5: number];
    readonly resize: number;
    readonly weights?: string;
    readonly interpolation?: Preprocessing['interpolation'];
    readonly batchNorm?: BatchNormOptions;
  },
): ModelBuilder<EfficientNet, EfficientNetOptions> {
  const { scores, resize, weights = 'IMAGENET1K_V1', interpolation = 'bicubic', batchNorm, ...stated } = facts;
  const [top1, top5] = scores;
  const scale = scales[name];
  const scaled = scaleStages(stages, { depth: scale.depthMultiplier });
  return defineModel(`efficientnet_${name}`, (o: Variant) => new EfficientNet({ ...scale, batchNorm, ...o }), {
    ...common,
    ...stated,
    input: [3, size, size],
    published: { top1, top5, weights: `torchvision EfficientNet_${name.toUpperCase()}_Weights.${weights}` },
    preprocessing: preprocessing(size, { resize, interpolation }),
    remaps: [efficientNetNames(scaled)],
  });
}

/** torchvision's B5 to B7; timm's weights for the networks of these names have the usual eps and momentum. */
const slow: BatchNormOptions = { eps: 1e-3, momentum: 0.01 };

export const efficientnet_b0 = variant('b0', 224, {
  params: 5_288_548,
  macs: 385_814_752,
  summary: 'inverted residuals with squeeze-and-excitation, found by search; the base of the compound scaling rule',
  scores: [77.692, 93.532],
  resize: 256,
});

export const efficientnet_b1 = variant('b1', 240, {
  params: 7_794_184,
  macs: 686_802_832,
  summary: 'EfficientNet-B0 scaled once: deeper, and larger pictures',
  scores: [79.838, 94.934],
  resize: 255,
  weights: 'IMAGENET1K_V2',
  interpolation: 'bilinear',
});

export const efficientnet_b2 = variant('b2', 288, {
  params: 9_109_994,
  macs: 1_087_529_456,
  summary: 'EfficientNet-B0 scaled twice',
  scores: [80.608, 95.31],
  resize: 288,
});

export const efficientnet_b3 = variant('b3', 300, {
  params: 12_233_232,
  macs: 1_827_141_392,
  summary: 'EfficientNet-B0 with 2³ times the work',
  scores: [82.008, 96.054],
  resize: 320,
});

export const efficientnet_b4 = variant('b4', 380, {
  params: 19_341_616,
  macs: 4_393_771_024,
  summary: 'EfficientNet-B0 with 2⁴ times the work',
  scores: [83.384, 96.594],
  resize: 384,
});

export const efficientnet_b5 = variant('b5', 456, {
  params: 30_389_784,
  macs: 10_266_384_752,
  summary: 'EfficientNet-B0 with 2⁵ times the work',
  scores: [83.444, 96.628],
  resize: 456,
  batchNorm: slow,
});

export const efficientnet_b6 = variant('b6', 528, {
  params: 43_040_704,
  macs: 19_067_593_536,
  summary: 'EfficientNet-B0 with 2⁶ times the work',
  scores: [84.008, 96.916],
  resize: 528,
  batchNorm: slow,
});

export const efficientnet_b7 = variant('b7', 600, {
  params: 66_347_960,
  macs: 37_745_884_192,
  summary: 'EfficientNet-B0 with 2⁷ times the work, the largest of the paper',
  scores: [84.122, 96.908],
  resize: 600,
  batchNorm: slow,
});

/** As trained in TensorFlow: its padding, and batch norms of eps 0.001. `cropShare`: of the resized picture, as timm has it. */
function tensorflow(
  name: keyof typeof scales,
  size: number,
  cropShare: number,
  facts: Pick<ModelFacts, 'params' | 'macs'> & { readonly published?: PublishedScore },
): ModelBuilder<EfficientNet, EfficientNetOptions> {
  const defaults = { ...scales[name], padding: 'same', batchNorm: { eps: 1e-3 } } as const;
  return defineModel(`tf_efficientnet_${name}`, (o: Variant) => new EfficientNet({ ...defaults, ...o }), {
    ...common,
    ...facts,
    input: [3, size, size],
    summary: `EfficientNet-${name.toUpperCase()} with TensorFlow's padding, for weights trained there`,
    preprocessing: preprocessing(size, { resize: Math.floor(size / cropShare), interpolation: 'bicubic' }),
  });
}

export const tf_efficientnet_b0 = tensorflow('b0', 224, 0.875, { params: 5_288_548, macs: 385_814_752 });
export const tf_efficientnet_b1 = tensorflow('b1', 240, 0.882, { params: 7_794_184, macs: 686_802_832 });
export const tf_efficientnet_b2 = tensorflow('b2', 260, 0.89, { params: 9_109_994, macs: 993_561_872 });
export const tf_efficientnet_b3 = tensorflow('b3', 300, 0.904, { params: 12_233_232, macs: 1_827_141_392 });
export const tf_efficientnet_b4 = tensorflow('b4', 380, 0.922, { params: 19_341_616, macs: 4_393_771_024 });
export const tf_efficientnet_b5 = tensorflow('b5', 456, 0.934, { params: 30_389_784, macs: 10_266_384_752 });
export const tf_efficientnet_b6 = tensorflow('b6', 528, 0.942, { params: 43_040_704, macs: 19_067_593_536 });
export const tf_efficientnet_b7 = tensorflow('b7', 600, 0.949, {
  params: 66_347_960,
  macs: 37_745_884_192,
  published: { top1: 85.132, top5: 97.256, weights: 'timm tf_efficientnet_b7.ap_in1k' },
});

export const efficientNets: readonly ModelBuilder[] = [
  efficientnet_b0,
  efficientnet_b1,
  efficientnet_b2,
  efficientnet_b3,
  efficientnet_b4,
  efficientnet_b5,
  efficientnet_b6,
  efficientnet_b7,
  tf_efficientnet_b0,
  tf_efficientnet_b1,
  tf_efficientnet_b2,
  tf_efficientnet_b3,
  tf_efficientnet_b4,
  tf_efficientnet_b5,
  tf_efficientnet_b6,
  tf_efficientnet_b7,
];

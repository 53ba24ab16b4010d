/**
 * MobileNetV2: inverted residuals with linear bottlenecks, the network of phones.
 * Sandler, Howard, Zhu, Zhmoginov and Chen 2018, arXiv:1801.04381. Names are timm's; initial values torchvision's.
 */

import { Conv2d, init } from '../nn/index.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import {
  DepthwiseSeparableConv,
  InvertedResidual,
  InvertedResidualNet,
  makeDivisible,
  type Stages,
  scaleStages,
} from './inverted-residual.js';
import { mobileNetV2Names } from './inverted-residual-names.js';
import { preprocessing } from './preprocessing.js';

export interface MobileNetV2Options extends ModelOptions {
  /** Scales the channels of every layer. */
  readonly widthMultiplier?: number;
  /** Scales the repeats of all stages but the first and the last; the first and the last convolution keep their width then. */
  readonly depthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
}

/** The paper's table 2: expansion, channels, repeats, stride of the first. */
const table = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

const stages: Stages = table.map(([expansion, channels, repeats, stride]) => [
  {
    Block: expansion === 1 ? DepthwiseSeparableConv : InvertedResidual,
    kernelSize: 3,
    stride,
    expansion,
    channels,
    repeats,
  },
]);

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class MobileNetV2 extends InvertedResidualNet {
  constructor({
    numClasses,
    inChannels,
    widthMultiplier = 1,
    depthMultiplier = 1,
    dropout = 0.2,
  }: MobileNetV2Options & Required<ModelOptions>) {
    const deeper = depthMultiplier > 1;
    const [first, ...rest] = scaleStages(stages, { width: widthMultiplier });
    const last = rest.pop()!;
    super({
      inChannels,
      numClasses,
      stem: deeper ? 32 : makeDivisible(32 * widthMultiplier),
      stages: [first, ...scaleStages(rest, { depth: depthMultiplier }), last],
      features: deeper ? 1280 : makeDivisible(1280 * Math.max(1, widthMultiplier)), // narrower networks keep all features
      activation: (x) => x.relu6(),
      dropout,
    });
    for (const module of this.modules()) {
      if (module instanceof Conv2d) init.kaimingNormal(module.weight, { mode: 'fanOut' });
    }
    init.normal(this.classifier.weight, 0, 0.01);
    init.zeros(this.classifier.bias!);
  }
}

/** The network with other defaults: `name` as timm has it. */
function variant(
  name: string,
  scale: Pick<MobileNetV2Options, 'widthMultiplier' | 'depthMultiplier'>,
  facts: Pick<ModelFacts, 'params' | 'macs' | 'summary'> & Partial<ModelFacts>,
) {
  return defineModel(name, (o: MobileNetV2Options & Required<ModelOptions>) => new MobileNetV2({ ...scale, ...o }), {
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2018,
    source: 'Sandler et al. 2018, arXiv:1801.04381',
    preprocessing: preprocessing(224, { interpolation: 'bicubic' }),
    ...facts,
  });
}

export const mobilenet_v2 = variant(
  'mobilenet_v2',
  {},
  {
    params: 3_504_872,
    macs: 300_774_272,
    summary: 'inverted residuals: wide, cheap depthwise layers between narrow ones; the network of phones',
    aliases: ['mobilenetv2_100'],
    published: { top1: 72.154, top5: 90.822, weights: 'torchvision MobileNet_V2_Weights.IMAGENET1K_V2' },
    preprocessing: preprocessing(224, { resize: 232 }),
    remaps: [mobileNetV2Names(stages)],
  },
);

export const mobilenetv2_050 = variant(
  'mobilenetv2_050',
  { widthMultiplier: 0.5 },
  { params: 1_968_680, macs: 97_131_840, summary: 'MobileNetV2 of half the width' },
);

export const mobilenetv2_110d = variant(
  'mobilenetv2_110d',
  { widthMultiplier: 1.1, depthMultiplier: 1.2 },
  { params: 4_516_520, macs: 430_516_080, summary: 'MobileNetV2, 1.1 times as wide and 1.2 times as deep' },
);

export const mobilenetv2_120d = variant(
  'mobilenetv2_120d',
  { widthMultiplier: 1.2, depthMultiplier: 1.4 },
  { params: 5_831_144, macs: 668_857_568, summary: 'MobileNetV2, 1.2 times as wide and 1.4 times as deep' },
);

export const mobilenetv2_140 = variant(
  'mobilenetv2_140',
  { widthMultiplier: 1.4 },
  { params: 6_108_776, macs: 582_195_824, summary: 'MobileNetV2, 1.4 times as wide' },
);

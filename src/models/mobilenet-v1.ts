/**
 * MobileNet: every convolution but the first split into one of each channel by itself and a 1×1 one that mixes channels, an eighth of the work.
 * Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto and Adam 2017, arXiv:1704.04861. Names are timm's; initial values those of
 * torchvision's MobileNetV2; nothing is dropped by default, as in timm.
 */

import { Conv2d, init } from '../nn/index.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import {
  DepthwiseSeparableConv,
  InvertedResidualNet,
  makeDivisible,
  type Stages,
  scaleStages,
} from './inverted-residual.js';
import { preprocessing } from './preprocessing.js';

export interface MobileNetV1Options extends ModelOptions {
  /** Scales the channels of every layer. */
  readonly widthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
}

/** The paper's table 1: stride of the first, channels, repeats; by size of the map. */
const table = [
  [1, 64, 1],
  [2, 128, 2],
  [2, 256, 2],
  [2, 512, 6],
  [2, 1024, 2],
] as const;

const stages: Stages = table.map(([stride, channels, repeats]) => [
  { Block: DepthwiseSeparableConv, kernelSize: 3, stride, channels, repeats, residual: false },
]);

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class MobileNetV1 extends InvertedResidualNet {
  constructor({
    numClasses,
    inChannels,
    widthMultiplier = 1,
    dropout = 0,
  }: MobileNetV1Options & Required<ModelOptions>) {
    super({
      inChannels,
      numClasses,
      stem: makeDivisible(32 * widthMultiplier),
      stages: scaleStages(stages, { width: widthMultiplier }),
      features: null,
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

function variant(
  name: string,
  widthMultiplier: number,
  facts: Pick<ModelFacts, 'params' | 'macs' | 'summary'> & Partial<ModelFacts>,
) {
  const build = (o: MobileNetV1Options & Required<ModelOptions>) => new MobileNetV1({ widthMultiplier, ...o });
  return defineModel(name, build, {
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2017,
    source: 'Howard et al. 2017, arXiv:1704.04861',
    ...facts,
  });
}

export const mobilenetv1_100 = variant('mobilenetv1_100', 1, {
  params: 4_231_976,
  macs: 568_740_352,
  summary: 'depthwise-separable convolutions: an eighth of the work of whole ones',
  published: { top1: 75.388, top5: 92.31, weights: 'timm mobilenetv1_100.ra4_e3600_r224_in1k' },
  preprocessing: preprocessing(224, { interpolation: 'bicubic', statistics: 'symmetric' }),
});

export const mobilenetv1_125 = variant('mobilenetv1_125', 1.25, {
  params: 6_270_840,
  macs: 879_516_800,
  summary: 'MobileNet, 1.25 times as wide',
  preprocessing: preprocessing(224, { resize: 248, interpolation: 'bicubic', statistics: 'symmetric' }),
});

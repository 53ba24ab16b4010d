/**
 * VGG: nothing but 3×3 convolutions, poolings and three large linear layers, to show what depth alone does.
 * Simonyan and Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556. The variants with batch
 * norm between convolution and ReLU are later (Ioffe and Szegedy 2015). Names and initial values are torchvision's.
 */

import { AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, init, Linear, MaxPool2d, Module, ReLU, Sequential } from '../nn/index.js'; // biome-ignore format: one list
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelBuilder, type ModelFacts, type ModelOptions } from './define.js';
import { type RemapTable, reshaped } from './remap.js';

export interface VGGOptions extends ModelOptions {
  /** Share of the elements dropped in front of the last two linear layers while training. */
  readonly dropout?: number;
  /** Outputs of the first two linear layers, which hold most of the weights: fewer will do for fewer classes. */
  readonly hidden?: number;
}

/** How many convolutions the five stages have: columns A, B, D and E of the paper's table 1. */
type Configuration = readonly [number, number, number, number, number];

const channelsOfStages = [64, 128, 256, 512, 512];

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class VGG extends Module {
  readonly features: Sequential;
  readonly avgpool = new AdaptiveAvgPool2d(7);
  readonly classifier: Sequential;

  constructor(
    configuration: Configuration,
    options: VGGOptions & Required<ModelOptions> & { readonly batchNorm?: boolean },
  ) {
    super();
    const { numClasses, inChannels, dropout = 0.5, hidden = 4096, batchNorm = false } = options;
    this.features = new Sequential();
    let channels = inChannels;
    for (const [stage, outChannels] of channelsOfStages.entries()) {
      for (let i = 0; i < configuration[stage]; i++) {
        this.features.add(new Conv2d(channels, outChannels, 3, { padding: 1 }));
        if (batchNorm) this.features.add(new BatchNorm2d(outChannels));
        this.features.add(new ReLU());
        channels = outChannels;
      }
      this.features.add(new MaxPool2d(2));
    }
    this.classifier = new Sequential(
      new Linear(channels * 7 * 7, hidden),
      new ReLU(),
      new Dropout(dropout),
      new Linear(hidden, hidden),
      new ReLU(),
      new Dropout(dropout),
      new Linear(hidden, numClasses),
    );

    for (const module of this.modules()) {
      if (module instanceof Conv2d) init.kaimingNormal(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
      if (module instanceof Linear) init.normal(module.weight, 0, 0.01);
      if (module instanceof Conv2d || module instanceof Linear) init.zeros(module.bias!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.features.forward(x);
    x = this.avgpool.forward(x);
    return this.classifier.forward(x.flatten(1));
  }
}

/** timm's linear layers are convolutions: 7×7 over the last map, then 1×1. */
const timm: RemapTable = {
  source: 'timm',
  when: /^pre_logits\.fc1\.weight$/,
  rules: [
    { from: /^pre_logits\.fc1\.weight$/, to: 'classifier.0.weight', transform: reshaped(([out]) => [out, -1]) },
    { from: /^pre_logits\.fc2\.weight$/, to: 'classifier.3.weight', transform: reshaped(([out]) => [out, -1]) },
    { from: /^pre_logits\.fc1\.bias$/, to: 'classifier.0.bias' },
    { from: /^pre_logits\.fc2\.bias$/, to: 'classifier.3.bias' },
    { from: /^head\.fc\./, to: 'classifier.6.' },
  ],
};

type Own = Pick<ModelFacts, 'params' | 'macs' | 'summary'> & { readonly top1: number; readonly top5: number };

function defineVgg(
  depth: 11 | 13 | 16 | 19,
  configuration: Configuration,
  { batchNorm }: { batchNorm: boolean },
  { top1, top5, ...sizes }: Own,
): ModelBuilder<VGG, VGGOptions> {
  const name = `vgg${depth}${batchNorm ? '_bn' : ''}`;
  const build = (o: VGGOptions & Required<ModelOptions>) => new VGG(configuration, { ...o, batchNorm });
  return defineModel(name, build, {
    ...sizes,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier.6'],
    year: 2014,
    source: 'Simonyan and Zisserman 2014, arXiv:1409.1556',
    published: { top1, top5, weights: `torchvision ${name.toUpperCase()}_Weights.IMAGENET1K_V1` },
    remaps: [timm],
  });
}

const A: Configuration = [1, 1, 2, 2, 2];
const B: Configuration = [2, 2, 2, 2, 2];
const D: Configuration = [2, 2, 3, 3, 3];
const E: Configuration = [2, 2, 4, 4, 4];

export const vgg11 = defineVgg(
  11,
  A,
  { batchNorm: false },
  {
    params: 132_863_336,
    macs: 7_609_090_048,
    summary: 'eight 3×3 convolutions, three linear layers',
    top1: 69.02,
    top5: 88.628,
  },
);

export const vgg11_bn = defineVgg(
  11,
  A,
  { batchNorm: true },
  { params: 132_868_840, macs: 7_609_090_048, summary: 'VGG-11 with batch norm', top1: 70.37, top5: 89.81 },
);

export const vgg13 = defineVgg(
  13,
  B,
  { batchNorm: false },
  {
    params: 133_047_848,
    macs: 11_308_466_176,
    summary: 'ten 3×3 convolutions, three linear layers',
    top1: 69.928,
    top5: 89.246,
  },
);

export const vgg13_bn = defineVgg(
  13,
  B,
  { batchNorm: true },
  { params: 133_053_736, macs: 11_308_466_176, summary: 'VGG-13 with batch norm', top1: 71.586, top5: 90.374 },
);

export const vgg16 = defineVgg(
  16,
  D,
  { batchNorm: false },
  {
    params: 138_357_544,
    macs: 15_470_264_320,
    summary: 'thirteen 3×3 convolutions and three linear layers that hold nine tenths of the weights',
    top1: 71.592,
    top5: 90.382,
  },
);

export const vgg16_bn = defineVgg(
  16,
  D,
  { batchNorm: true },
  { params: 138_365_992, macs: 15_470_264_320, summary: 'VGG-16 with batch norm', top1: 73.36, top5: 91.516 },
);

export const vgg19 = defineVgg(
  19,
  E,
  { batchNorm: false },
  {
    params: 143_667_240,
    macs: 19_632_062_464,
    summary: 'sixteen 3×3 convolutions, three linear layers',
    top1: 72.376,
    top5: 90.876,
  },
);

export const vgg19_bn = defineVgg(
  19,
  E,
  { batchNorm: true },
  { params: 143_678_248, macs: 19_632_062_464, summary: 'VGG-19 with batch norm', top1: 74.218, top5: 91.842 },
);

/**
 * VGG: nothing but 3×3 convolutions, poolings and three large linear layers, to show what depth alone does.
 * Simonyan and Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556. Names are torchvision's.
 */

import { AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, init, Linear, MaxPool2d, Module, ReLU, Sequential } from '../nn/index.js'; // biome-ignore format: one list
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface VGGOptions extends ModelOptions {
  /** Share of the elements dropped in front of the last two linear layers while training. */
  readonly dropout?: number;
}

/** Output channels of the convolutions, 'pool' between the stages: the columns of the paper's table 1. */
type Configuration = readonly (number | 'pool')[];

const D: Configuration = [64, 64, 'pool', 128, 128, 'pool', 256, 256, 256, 'pool', 512, 512, 512, 'pool', 512, 512, 512, 'pool']; // biome-ignore format: one row

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
    const { numClasses, inChannels, dropout = 0.5, batchNorm = false } = options;
    this.features = new Sequential();
    let channels = inChannels;
    for (const entry of configuration) {
      if (entry === 'pool') {
        this.features.add(new MaxPool2d(2));
        continue;
      }
      this.features.add(new Conv2d(channels, entry, 3, { padding: 1 }));
      if (batchNorm) this.features.add(new BatchNorm2d(entry));
      this.features.add(new ReLU());
      channels = entry;
    }
    this.classifier = new Sequential(
      new Linear(channels * 7 * 7, 4096),
      new ReLU(),
      new Dropout(dropout),
      new Linear(4096, 4096),
      new ReLU(),
      new Dropout(dropout),
      new Linear(4096, numClasses),
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

export const vgg16 = defineModel('vgg16', (o: VGGOptions & Required<ModelOptions>) => new VGG(D, o), {
  params: 138_357_544,
  macs: 15_470_264_320,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['classifier.6'],
  year: 2014,
  summary: 'thirteen 3×3 convolutions and three linear layers that hold nine tenths of the weights',
  source: 'Simonyan and Zisserman 2014, arXiv:1409.1556',
  published: { top1: 71.592, top5: 90.382, weights: 'torchvision VGG16_Weights.IMAGENET1K_V1' },
});

/**
 * MobileNetV2: inverted residuals with linear bottlenecks, the network of phones.
 * Sandler, Howard, Zhu, Zhmoginov and Chen 2018, arXiv:1801.04381. Names are timm's; initial values torchvision's.
 */

import { BatchNorm2d, Conv2d, Dropout, init, Linear, Module, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { DepthwiseSeparableConv, InvertedResidual, makeDivisible } from './inverted-residual.js';

export interface MobileNetV2Options extends ModelOptions {
  /** Scales the channels of every layer. */
  readonly widthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
}

/** The paper's table 2: expansion, channels, repeats, stride of the first. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class MobileNetV2 extends Module {
  readonly conv_stem: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly blocks: Sequential;
  readonly conv_head: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor({
    numClasses,
    inChannels,
    widthMultiplier = 1,
    dropout = 0.2,
  }: MobileNetV2Options & Required<ModelOptions>) {
    super();
    let channels = makeDivisible(32 * widthMultiplier);
    this.conv_stem = new Conv2d(inChannels, channels, 3, { stride: 2, padding: 1, bias: false });
    this.bn1 = new BatchNorm2d(channels);
    this.blocks = new Sequential();
    for (const [expansion, planned, repeats, stride] of stages) {
      const outChannels = makeDivisible(planned * widthMultiplier);
      const Block = expansion === 1 ? DepthwiseSeparableConv : InvertedResidual;
      const stage = new Sequential();
      for (let i = 0; i < repeats; i++) {
        stage.add(
          new Block({
            inChannels: channels,
            outChannels,
            kernelSize: 3,
            stride: i === 0 ? stride : 1,
            expansion,
            squeeze: 0,
            activation: (x) => x.relu6(),
            dropPath: 0,
          }),
        );
        channels = outChannels;
      }
      this.blocks.add(stage);
    }
    const features = makeDivisible(1280 * Math.max(1, widthMultiplier)); // narrower networks keep all features
    this.conv_head = new Conv2d(channels, features, 1, { bias: false });
    this.bn2 = new BatchNorm2d(features);
    this.dropout = new Dropout(dropout);
    this.classifier = new Linear(features, numClasses);

    for (const module of this.modules()) {
      if (module instanceof Conv2d) init.kaimingNormal(module.weight, { mode: 'fanOut' });
    }
    init.normal(this.classifier.weight, 0, 0.01);
    init.zeros(this.classifier.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.bn1.forward(this.conv_stem.forward(x)).relu6();
    x = this.blocks.forward(x);
    x = this.bn2.forward(this.conv_head.forward(x)).relu6();
    return this.classifier.forward(this.dropout.forward(x.mean([2, 3])));
  }
}

export const mobilenet_v2 = defineModel(
  'mobilenet_v2',
  (o: MobileNetV2Options & Required<ModelOptions>) => new MobileNetV2(o),
  {
    params: 3_504_872,
    macs: 300_774_272,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2018,
    summary: 'inverted residuals: wide, cheap depthwise layers between narrow ones; the network of phones',
    source: 'Sandler et al. 2018, arXiv:1801.04381',
    published: { top1: 72.154, top5: 90.822, weights: 'torchvision MobileNet_V2_Weights.IMAGENET1K_V2' },
  },
);

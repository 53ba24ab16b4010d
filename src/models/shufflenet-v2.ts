/**
 * ShuffleNetV2: half of the channels pass each block untouched, then all are shuffled; designed by measured time instead of multiply-adds.
 * Ma, Zhang, Zheng and Sun 2018, "ShuffleNet V2: practical guidelines for efficient CNN architecture design", arXiv:1807.11164.
 * Names and initial values are torchvision's.
 */

import { BatchNorm2d, ChannelShuffle, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential } from '../nn/index.js';
import { concat, type Tensor } from '../tensor/index.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';

/** Figure 3: [N, inChannels, H, W] → [N, outChannels, H / stride, W / stride]. */
export class ShuffleUnit extends Module {
  readonly branch1: Sequential;
  readonly branch2: Sequential;
  readonly shuffle = new ChannelShuffle(2);

  /** With stride 1 (c) inChannels are outChannels, and half of them go through; with stride 2 (d) both branches see all. */
  constructor(
    inChannels: number,
    outChannels: number,
    readonly stride: 1 | 2,
  ) {
    super();
    const half = outChannels / 2;
    const seen = stride === 1 ? half : inChannels;
    this.branch1 =
      stride === 1
        ? new Sequential()
        : new Sequential(...depthwise(inChannels, stride), ...pointwise(inChannels, half), new ReLU());
    this.branch2 = new Sequential(
      ...pointwise(seen, half),
      new ReLU(),
      ...depthwise(half, stride),
      ...pointwise(half, half),
      new ReLU(),
    );
  }

  override forward(x: Tensor): Tensor {
    const [left, right] = this.stride === 1 ? x.chunk(2, 1) : [x, x];
    return this.shuffle.forward(concat([this.branch1.forward(left), this.branch2.forward(right)], 1));
  }
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class ShuffleNetV2 extends Module {
  readonly conv1: Sequential;
  readonly maxpool = new MaxPool2d(3, { stride: 2, padding: 1 });
  readonly stage2: Sequential;
  readonly stage3: Sequential;
  readonly stage4: Sequential;
  readonly conv5: Sequential;
  readonly fc: Linear;

  /** `widths`: channels of the three stages and of the features. */
  constructor(widths: readonly [number, number, number, number], { numClasses, inChannels }: Required<ModelOptions>) {
    super();
    const stage = (before: number, channels: number, units: number) =>
      new Sequential(
        new ShuffleUnit(before, channels, 2),
        ...Array.from({ length: units - 1 }, () => new ShuffleUnit(channels, channels, 1)),
      );
    const [w2, w3, w4, features] = widths;
    const stem = new Conv2d(inChannels, 24, 3, { stride: 2, padding: 1, bias: false });
    this.conv1 = new Sequential(stem, new BatchNorm2d(24), new ReLU());
    this.stage2 = stage(24, w2, 4);
    this.stage3 = stage(w2, w3, 8);
    this.stage4 = stage(w3, w4, 4);
    this.conv5 = new Sequential(...pointwise(w4, features), new ReLU());
    this.fc = new Linear(features, numClasses);
  }

  override forward(x: Tensor): Tensor {
    x = this.maxpool.forward(this.conv1.forward(x));
    x = this.stage2.forward(x);
    x = this.stage3.forward(x);
    x = this.stage4.forward(x);
    x = this.conv5.forward(x);
    return this.fc.forward(x.mean([2, 3]));
  }
}

function pointwise(inChannels: number, outChannels: number): [Conv2d, BatchNorm2d] {
  return [new Conv2d(inChannels, outChannels, 1, { bias: false }), new BatchNorm2d(outChannels)];
}

function depthwise(channels: number, stride: 1 | 2): [Conv2d, BatchNorm2d] {
  const conv = new Conv2d(channels, channels, 3, { stride, padding: 1, groups: channels, bias: false });
  return [conv, new BatchNorm2d(channels)];
}

function shufflenet(
  width: string,
  widths: readonly [number, number, number, number],
  facts: Pick<ModelFacts, 'params' | 'macs' | 'preprocessing' | 'published'>,
) {
  const name = `shufflenet_v2_x${width.replace('.', '_')}`;
  return defineModel(name, (o: Required<ModelOptions>) => new ShuffleNetV2(widths, o), {
    ...facts,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['fc'],
    year: 2018,
    summary: `half of the channels pass each block, then all are shuffled: made for speed, ${width} times as wide`,
    source: 'Ma et al. 2018, arXiv:1807.11164',
  });
}

export const shufflenet_v2_x0_5 = shufflenet('0.5', [48, 96, 192, 1024], {
  params: 1_366_792,
  macs: 40_476_448,
  published: { top1: 60.552, top5: 81.746, weights: 'torchvision ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1' },
});

export const shufflenet_v2_x1_0 = shufflenet('1.0', [116, 232, 464, 1024], {
  params: 2_278_604,
  macs: 144_907_992,
  published: { top1: 69.362, top5: 88.316, weights: 'torchvision ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1' },
});

export const shufflenet_v2_x1_5 = shufflenet('1.5', [176, 352, 704, 1024], {
  params: 3_503_624,
  macs: 295_759_392,
  preprocessing: preprocessing(224, { resize: 232 }),
  published: { top1: 72.996, top5: 91.086, weights: 'torchvision ShuffleNet_V2_X1_5_Weights.IMAGENET1K_V1' },
});

export const shufflenet_v2_x2_0 = shufflenet('2.0', [244, 488, 976, 2048], {
  params: 7_393_996,
  macs: 583_253_464,
  preprocessing: preprocessing(224, { resize: 232 }),
  published: { top1: 76.23, top5: 93.006, weights: 'torchvision ShuffleNet_V2_X2_0_Weights.IMAGENET1K_V1' },
});

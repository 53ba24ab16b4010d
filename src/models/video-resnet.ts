/**
 * ResNet-18 for films in three forms: convolutions over space and time (R3D), over both in the first stage and over space alone after it (MC3), and
 * each one over space followed by one over time (R(2+1)D). Tran, Wang, Torresani, Ray, LeCun and Paluri 2017, "A closer look at spatiotemporal
 * convolutions for action recognition", arXiv:1711.11248. Names, initial values and the sizes between space and time are torchvision's.
 */

import { BatchNorm3d, Conv3d, init, Linear, Module, ReLU, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelBuilder, type ModelFacts, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';

/** What stands for a 3×3×3 convolution: it, its middle slice, or the middle slice and then its middle column. */
type Kind = 'space and time' | 'space' | 'space, then time';

/** [N, inChannels, T, H, W] → [N, outChannels, T / stride, H / stride, W / stride]; 'space' keeps T. */
function convolution(kind: Kind, inChannels: number, outChannels: number, middle: number, stride: number): Module {
  switch (kind) {
    case 'space and time':
      return new Conv3d(inChannels, outChannels, 3, { stride, padding: 1, bias: false });
    case 'space':
      return overSpace(inChannels, outChannels, 3, stride);
    case 'space, then time':
      return new Sequential(
        overSpace(inChannels, middle, 3, stride),
        new BatchNorm3d(middle),
        new ReLU(),
        overTime(middle, outChannels, stride),
      );
    default:
      return kind satisfies never;
  }
}

function overSpace(inChannels: number, outChannels: number, size: number, stride: number): Conv3d {
  const padding = (size - 1) / 2;
  return new Conv3d(inChannels, outChannels, [1, size, size], {
    stride: [1, stride, stride],
    padding: [0, padding, padding],
    bias: false,
  });
}

function overTime(inChannels: number, outChannels: number, stride: number): Conv3d {
  return new Conv3d(inChannels, outChannels, [3, 1, 1], { stride: [stride, 1, 1], padding: [1, 0, 0], bias: false });
}

/** Two convolutions and a shortcut: [N, inChannels, T, H, W] → [N, outChannels, T', H / stride, W / stride]. */
export class VideoBlock extends Module {
  readonly conv1: Sequential;
  readonly conv2: Sequential;
  readonly downsample: Sequential | null;

  constructor(kind: Kind, inChannels: number, outChannels: number, stride: number) {
    super();
    // So many maps between space and time that both together have as many weights as 3×3×3: the paper's section 3.5, once for both.
    const middle = Math.floor((27 * inChannels * outChannels) / (9 * inChannels + 3 * outChannels));
    this.conv1 = new Sequential(
      convolution(kind, inChannels, outChannels, middle, stride),
      new BatchNorm3d(outChannels),
      new ReLU(),
    );
    this.conv2 = new Sequential(convolution(kind, outChannels, outChannels, middle, 1), new BatchNorm3d(outChannels));
    this.downsample = null;
    if (stride === 1 && inChannels === outChannels) return;
    const strides = kind === 'space' ? [1, stride, stride] : stride;
    this.downsample = new Sequential(
      new Conv3d(inChannels, outChannels, 1, { stride: strides, bias: false }),
      new BatchNorm3d(outChannels),
    );
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    return this.conv2.forward(this.conv1.forward(x)).add(shortcut).relu();
  }
}

/** Films [N, inChannels, T, H, W] → class scores [N, numClasses]. */
export class VideoResNet extends Module {
  readonly stem: Sequential;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly fc: Linear;

  /** `kinds` are those of the stem and of the four stages. */
  constructor(kinds: readonly [Kind, Kind, Kind, Kind, Kind], { numClasses, inChannels }: Required<ModelOptions>) {
    super();
    this.stem =
      kinds[0] === 'space, then time'
        ? new Sequential(
            overSpace(inChannels, 45, 7, 2),
            new BatchNorm3d(45),
            new ReLU(),
            overTime(45, 64, 1),
            new BatchNorm3d(64),
            new ReLU(),
          )
        : new Sequential(
            new Conv3d(inChannels, 64, [3, 7, 7], { stride: [1, 2, 2], padding: [1, 3, 3], bias: false }),
            new BatchNorm3d(64),
            new ReLU(),
          );
    const stage = (kind: Kind, inChannels: number, outChannels: number, stride: number) =>
      new Sequential(
        new VideoBlock(kind, inChannels, outChannels, stride),
        new VideoBlock(kind, outChannels, outChannels, 1),
      );
    this.layer1 = stage(kinds[1], 64, 64, 1);
    this.layer2 = stage(kinds[2], 64, 128, 2);
    this.layer3 = stage(kinds[3], 128, 256, 2);
    this.layer4 = stage(kinds[4], 256, 512, 2);
    this.fc = new Linear(512, numClasses);

    for (const module of this.modules()) {
      if (module instanceof Conv3d) init.kaimingNormal(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
    }
    init.normal(this.fc.weight, 0, 0.01);
    init.zeros(this.fc.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.stem.forward(x);
    x = this.layer1.forward(x);
    x = this.layer2.forward(x);
    x = this.layer3.forward(x);
    x = this.layer4.forward(x);
    return this.fc.forward(x.mean([2, 3, 4]));
  }
}

function defineVideo(
  name: string,
  kinds: readonly [Kind, Kind, Kind, Kind, Kind],
  facts: Pick<ModelFacts, 'params' | 'macs' | 'summary' | 'published'>,
): ModelBuilder<VideoResNet> {
  return defineModel(name, (options) => new VideoResNet(kinds, options), {
    ...facts,
    input: [3, 16, 112, 112],
    inputKind: 'video',
    numClasses: 400,
    output: 'logits',
    heads: ['fc'],
    year: 2017,
    source: 'Tran et al. 2017, arXiv:1711.11248',
    preprocessing: preprocessing(112, { resize: 128, statistics: 'kinetics' }), // torchvision makes 128 × 171 of any picture
  });
}

const both = 'space and time';
const one = 'space, then time';

export const r3d_18 = defineVideo('r3d_18', [both, both, both, both, both], {
  params: 33_371_472,
  macs: 40_696_553_472,
  summary: 'ResNet-18 with 3×3×3 convolutions, for films',
  published: { top1: 63.2, top5: 83.479, weights: 'torchvision R3D_18_Weights.KINETICS400_V1', data: 'Kinetics-400' },
});

export const mc3_18 = defineVideo('mc3_18', [both, both, 'space', 'space', 'space'], {
  params: 11_695_440,
  macs: 43_342_635_008,
  summary: 'ResNet-18 for films: over space and time at first, over space alone after that',
  published: { top1: 63.96, top5: 84.13, weights: 'torchvision MC3_18_Weights.KINETICS400_V1', data: 'Kinetics-400' },
});

export const r2plus1d_18 = defineVideo('r2plus1d_18', [one, one, one, one, one], {
  params: 31_505_325,
  macs: 40_519_080_960,
  summary: 'ResNet-18 for films: each convolution over space, then one over time',
  published: {
    top1: 67.463,
    top5: 86.175,
    weights: 'torchvision R2Plus1D_18_Weights.KINETICS400_V1',
    data: 'Kinetics-400',
  },
});

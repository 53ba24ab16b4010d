/**
 * ResNet for signals: He et al.'s blocks (2015, arXiv:1512.03385) along one axis, as Wang, Yan and Oates 2016 ("Time series classification from
 * scratch", arXiv:1611.06455) and Hannun et al. 2019 (Nature Medicine 25) brought them to time series and electrocardiograms. Sizes follow the
 * benchmark on PTB-XL of Strodthoff, Wagner, Schaeffter and Samek 2020, arXiv:2004.13701: twelve leads, ten seconds at 100 Hz, five classes of
 * diagnoses, kernels of 5. A record may have several of these: train with `nn.BCEWithLogitsLoss`. Names and initial values are `resnet18`'s.
 */

import { BatchNorm1d, Conv1d, init, Linear, Module, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface ResNet1dOptions extends ModelOptions {
  /** Odd. Of the convolutions within blocks; that at the beginning has two more. */
  readonly kernelSize?: number;
}

/** Two convolutions and a shortcut: [N, inChannels, L] → [N, outChannels, L / stride]. */
export class SignalBlock extends Module {
  readonly conv1: Conv1d;
  readonly bn1: BatchNorm1d;
  readonly conv2: Conv1d;
  readonly bn2: BatchNorm1d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, outChannels: number, kernelSize: number, stride: number) {
    super();
    this.conv1 = convolution(inChannels, outChannels, kernelSize, stride);
    this.bn1 = new BatchNorm1d(outChannels);
    this.conv2 = convolution(outChannels, outChannels, kernelSize, 1);
    this.bn2 = new BatchNorm1d(outChannels);
    this.downsample =
      stride === 1 && inChannels === outChannels
        ? null
        : new Sequential(convolution(inChannels, outChannels, 1, stride), new BatchNorm1d(outChannels));
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    let y = this.bn1.forward(this.conv1.forward(x)).relu();
    y = this.bn2.forward(this.conv2.forward(y));
    return y.add(shortcut).relu();
  }
}

/** Signals [N, inChannels, L] → class scores [N, numClasses]. */
export class ResNet1d extends Module {
  readonly conv1: Conv1d;
  readonly bn1: BatchNorm1d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly fc: Linear;

  constructor(
    blocks: readonly [number, number, number, number],
    { numClasses, inChannels, kernelSize = 5 }: ResNet1dOptions & Required<ModelOptions>,
  ) {
    super();
    this.conv1 = convolution(inChannels, 64, kernelSize + 2, 2);
    this.bn1 = new BatchNorm1d(64);
    const stage = (inChannels: number, outChannels: number, count: number, stride: number) =>
      new Sequential(
        Array.from({ length: count }, (_, i) =>
          i === 0
            ? new SignalBlock(inChannels, outChannels, kernelSize, stride)
            : new SignalBlock(outChannels, outChannels, kernelSize, 1),
        ),
      );
    this.layer1 = stage(64, 64, blocks[0], 1);
    this.layer2 = stage(64, 128, blocks[1], 2);
    this.layer3 = stage(128, 256, blocks[2], 2);
    this.layer4 = stage(256, 512, blocks[3], 2);
    this.fc = new Linear(512, numClasses);
    for (const module of this.modules()) {
      if (module instanceof Conv1d) init.kaimingNormal(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.bn1.forward(this.conv1.forward(x)).relu();
    x = x.maxPool1d(3, { stride: 2, padding: 1 });
    x = this.layer1.forward(x);
    x = this.layer2.forward(x);
    x = this.layer3.forward(x);
    x = this.layer4.forward(x);
    return this.fc.forward(x.mean(2));
  }
}

function convolution(inChannels: number, outChannels: number, kernelSize: number, stride: number): Conv1d {
  return new Conv1d(inChannels, outChannels, kernelSize, { stride, padding: (kernelSize - 1) / 2, bias: false });
}

export const resnet1d18 = defineModel(
  'resnet1d18',
  (o: ResNet1dOptions & Required<ModelOptions>) => new ResNet1d([2, 2, 2, 2], o),
  {
    params: 6_292_613,
    macs: 285_347_328,
    input: [12, 1000],
    inputKind: 'signal',
    numClasses: 5,
    output: 'logits',
    heads: ['fc'],
    year: 2020,
    summary: 'ResNet-18 along one axis, for signals such as electrocardiograms of twelve leads',
    source: 'Strodthoff et al. 2020, arXiv:2004.13701',
  },
);

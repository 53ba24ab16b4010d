/**
 * AlexNet: the network that won ImageNet's contest of 2012 and began the age of deep learning.
 * `alexnet_2012` is that of the paper, Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural networks",
 * NeurIPS 25: its maps stand on two GPUs that meet in only some of the layers (two groups), and neighbouring maps damp one another. Names are
 * those of the figures since: conv1 … fc8. `alexnet` is the form of torchvision, with its names and initial values: Krizhevsky 2014, "One weird
 * trick for parallelizing convolutional neural networks", arXiv:1404.5997, one column and no normalisation.
 */

import {
  AdaptiveAvgPool2d,
  Conv2d,
  Dropout,
  init,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface AlexNetOptions extends ModelOptions {
  /** Share of the elements dropped in front of the first two linear layers (2012: behind them) while training. */
  readonly dropout?: number;
  /** Outputs of the first two linear layers, which hold most of the weights: fewer will do for fewer classes. */
  readonly hidden?: number;
}

/** Pictures [N, inChannels, H, W], 63 pixels or more a side → class scores [N, numClasses]. */
export class AlexNet extends Module {
  readonly features: Sequential;
  readonly avgpool = new AdaptiveAvgPool2d(6);
  readonly classifier: Sequential;

  constructor({ numClasses, inChannels, dropout = 0.5, hidden = 4096 }: AlexNetOptions & Required<ModelOptions>) {
    super();
    this.features = new Sequential(
      new Conv2d(inChannels, 64, 11, { stride: 4, padding: 2 }),
      new ReLU(),
      new MaxPool2d(3, { stride: 2 }),
      new Conv2d(64, 192, 5, { padding: 2 }),
      new ReLU(),
      new MaxPool2d(3, { stride: 2 }),
      new Conv2d(192, 384, 3, { padding: 1 }),
      new ReLU(),
      new Conv2d(384, 256, 3, { padding: 1 }),
      new ReLU(),
      new Conv2d(256, 256, 3, { padding: 1 }),
      new ReLU(),
      new MaxPool2d(3, { stride: 2 }),
    );
    this.classifier = new Sequential(
      new Dropout(dropout),
      new Linear(256 * 6 * 6, hidden),
      new ReLU(),
      new Dropout(dropout),
      new Linear(hidden, hidden),
      new ReLU(),
      new Linear(hidden, numClasses),
    );
  }

  override forward(x: Tensor): Tensor {
    x = this.features.forward(x);
    x = this.avgpool.forward(x);
    return this.classifier.forward(x.flatten(1));
  }
}

/**
 * Pictures [N, inChannels, 227, 227] → class scores [N, numClasses]. The paper writes 224, which its own sizes rule out: (227 − 11) / 4 + 1 = 55.
 * Weights start normal with deviation 0.01, biases at 1 in conv2, conv4, conv5, fc6 and fc7, so that their ReLUs begin by passing on, else at 0.
 */
export class AlexNet2012 extends Module {
  readonly conv1: Conv2d;
  readonly conv2 = new Conv2d(96, 256, 5, { padding: 2, groups: 2 });
  readonly conv3 = new Conv2d(256, 384, 3, { padding: 1 });
  readonly conv4 = new Conv2d(384, 384, 3, { padding: 1, groups: 2 });
  readonly conv5 = new Conv2d(384, 256, 3, { padding: 1, groups: 2 });
  readonly fc6: Linear;
  readonly fc7: Linear;
  readonly fc8: Linear;
  /** The paper's alpha, 10⁻⁴, is not divided by the 5 maps it sums over; that of `LocalResponseNorm`, as PyTorch's and Caffe's, is. */
  readonly norm = new LocalResponseNorm(5, { alpha: 5e-4, beta: 0.75, k: 2 });
  readonly pool = new MaxPool2d(3, { stride: 2 });
  readonly dropout: Dropout;

  constructor({ numClasses, inChannels, dropout = 0.5, hidden = 4096 }: AlexNetOptions & Required<ModelOptions>) {
    super();
    this.conv1 = new Conv2d(inChannels, 96, 11, { stride: 4 });
    this.fc6 = new Linear(256 * 6 * 6, hidden);
    this.fc7 = new Linear(hidden, hidden);
    this.fc8 = new Linear(hidden, numClasses);
    this.dropout = new Dropout(dropout);

    for (const layer of [this.conv1, this.conv3, this.fc8]) init.zeros(layer.bias!);
    for (const layer of [this.conv2, this.conv4, this.conv5, this.fc6, this.fc7]) init.ones(layer.bias!);
    for (const module of this.modules()) {
      if (module instanceof Conv2d || module instanceof Linear) init.normal(module.weight, 0, 0.01);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.pool.forward(this.norm.forward(this.conv1.forward(x).relu())); // 55 × 55, pooled 27 × 27
    x = this.pool.forward(this.norm.forward(this.conv2.forward(x).relu())); // pooled 13 × 13
    x = this.conv3.forward(x).relu();
    x = this.conv4.forward(x).relu();
    x = this.pool.forward(this.conv5.forward(x).relu()).flatten(1); // pooled 6 × 6
    x = this.dropout.forward(this.fc6.forward(x).relu());
    x = this.dropout.forward(this.fc7.forward(x).relu());
    return this.fc8.forward(x);
  }
}

export const alexnet_2012 = defineModel(
  'alexnet_2012',
  (o: AlexNetOptions & Required<ModelOptions>) => new AlexNet2012(o),
  {
    params: 60_965_224,
    macs: 724_406_816,
    input: [3, 227, 227],
    numClasses: 1000,
    output: 'logits',
    heads: ['fc8'],
    year: 2012,
    summary: 'the winner of ImageNet 2012, in two columns, with local response normalisation',
    source: 'Krizhevsky et al. 2012, NeurIPS 25',
  },
);

export const alexnet = defineModel('alexnet', (o: AlexNetOptions & Required<ModelOptions>) => new AlexNet(o), {
  params: 61_100_840,
  macs: 714_188_480,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['classifier.6'],
  year: 2014,
  summary: 'five convolutions and three linear layers in one column, without normalisation',
  source: 'Krizhevsky 2014, arXiv:1404.5997',
  published: { top1: 56.522, top5: 79.066, weights: 'torchvision AlexNet_Weights.IMAGENET1K_V1' },
});

/**
 * The network of PyTorch's MNIST example, the one most people train first: two convolutions, one pooling, two linear layers.
 * Layer names are the example's, so its checkpoints load unchanged.
 */

import { Conv2d, Dropout2d, Linear, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface ClassicOptions extends ModelOptions {
  /** Share of the channels dropped in front of the linear layers while training. */
  readonly dropout?: number;
}

/**
 * Pictures [N, 1, 28, 28] → log-probabilities [N, 10]. The form of the tutorials: whole channels are dropped in front of the linear layers;
 * the example itself drops single elements there and, with p = 0.5, between the two.
 */
export class Classic extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly dropout: Dropout2d;
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor({ numClasses, inChannels, dropout = 0.25 }: ClassicOptions & Required<ModelOptions>) {
    super();
    this.conv1 = new Conv2d(inChannels, 32, 3); // → 26 × 26
    this.conv2 = new Conv2d(32, 64, 3); // → 24 × 24, pooled 12 × 12
    this.dropout = new Dropout2d(dropout);
    this.fc1 = new Linear(64 * 12 * 12, 128);
    this.fc2 = new Linear(128, numClasses);
  }

  override forward(x: Tensor): Tensor {
    x = this.conv1.forward(x).relu();
    x = this.conv2.forward(x).relu().maxPool2d(2);
    x = this.dropout.forward(x).flatten(1);
    x = this.fc1.forward(x).relu();
    return this.fc2.forward(x).logSoftmax(1);
  }
}

export const classic = defineModel(
  'classic',
  (options: ClassicOptions & Required<ModelOptions>) => new Classic(options),
  {
    params: 1_199_882,
    macs: 11_992_448,
    input: [1, 28, 28],
    numClasses: 10,
    output: 'logProbabilities',
    heads: ['fc2'],
    year: 2018,
    summary: 'two 3×3 convolutions, one pooling, two linear layers; about 99 % on MNIST',
    source: 'PyTorch examples, mnist/main.py (github.com/pytorch/examples)',
  },
);

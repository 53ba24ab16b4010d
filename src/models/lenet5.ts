/**
 * LeNet-5 in the form taught today. LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition":
 * the layers and sizes are the paper's; ReLU and max-pooling stand for its scaled tanh and trainable averages, every map of the second
 * convolution sees all six of the first, and a linear layer stands for the radial basis functions at the end. Names are the tutorials'.
 */

import { Conv2d, Linear, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import type { RemapTable } from './remap.js';

/** Pictures [N, 1, 28, 28] → class scores [N, 10]. The first convolution pads to the paper's 32 × 32. */
export class LeNet5 extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly fc3: Linear;

  constructor({ numClasses, inChannels }: Required<ModelOptions>) {
    super();
    this.conv1 = new Conv2d(inChannels, 6, 5, { padding: 2 }); // C1: 28 × 28, S2: 14 × 14
    this.conv2 = new Conv2d(6, 16, 5); // C3: 10 × 10, S4: 5 × 5
    this.fc1 = new Linear(16 * 5 * 5, 120); // C5
    this.fc2 = new Linear(120, 84); // F6
    this.fc3 = new Linear(84, numClasses);
  }

  override forward(x: Tensor): Tensor {
    x = this.conv1.forward(x).relu().maxPool2d(2);
    x = this.conv2.forward(x).relu().maxPool2d(2).flatten(1);
    x = this.fc1.forward(x).relu();
    x = this.fc2.forward(x).relu();
    return this.fc3.forward(x);
  }
}

/** A chain of layers with their activations and poolings between them, as "Dive into Deep Learning" writes it. */
const sequential: RemapTable = {
  source: 'a Sequential (Dive into Deep Learning)',
  when: /^11\.weight$/,
  rules: ['conv1', '', '', 'conv2', '', '', '', 'fc1', '', 'fc2', '', 'fc3'].flatMap((name, i) =>
    name === '' ? [] : [{ from: new RegExp(`^${i}\\.`), to: `${name}.` }],
  ),
};

export const lenet5 = defineModel('lenet5', (options) => new LeNet5(options), {
  params: 61_706,
  macs: 416_520,
  input: [1, 28, 28],
  numClasses: 10,
  output: 'logits',
  heads: ['fc3'],
  year: 1998,
  summary: 'the first convolutional network in wide use; about 99 % on MNIST with 5 % of the parameters of classic',
  source: 'LeCun et al. 1998, Proceedings of the IEEE 86 (11)',
  learningRate: 2e-3, // two epochs of MNIST: 98.8 to 99.0 % with seeds 0 to 3; with 1e-3 98.3 to 98.7 %
  remaps: [sequential],
});

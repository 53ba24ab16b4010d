/**
 * The all-convolutional net: a convolution of stride 2 does what a pooling does, and a 1×1 convolution what a linear layer does.
 * Springenberg, Dosovitskiy, Brox and Riedmiller 2014, "Striving for simplicity: the all convolutional net", arXiv:1412.6806, table 2's model C in
 * its all-convolutional form (table 3: All-CNN-C). Names are ours: conv1 … conv9. Initial values after He et al. 2015, biases 0.
 */

import { Conv2d, Dropout, init, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface AllConvolutionalOptions extends ModelOptions {
  /** Share of the elements dropped behind each convolution of stride 2 while training; of the picture's, two fifths of that. */
  readonly dropout?: number;
}

/**
 * Pictures [N, inChannels, 32, 32] (or larger) → class scores [N, numClasses]. As in the paper the last ReLU stands in front of the averaging, and
 * the last 3×3 convolution does not pad: 1,369,738 parameters with 10 classes.
 */
export class AllConvolutional extends Module {
  readonly conv1: Conv2d;
  readonly conv2 = new Conv2d(96, 96, 3, { padding: 1 });
  readonly conv3 = new Conv2d(96, 96, 3, { padding: 1, stride: 2 });
  readonly conv4 = new Conv2d(96, 192, 3, { padding: 1 });
  readonly conv5 = new Conv2d(192, 192, 3, { padding: 1 });
  readonly conv6 = new Conv2d(192, 192, 3, { padding: 1, stride: 2 });
  readonly conv7 = new Conv2d(192, 192, 3);
  readonly conv8 = new Conv2d(192, 192, 1);
  readonly conv9: Conv2d;
  readonly dropPicture: Dropout;
  readonly dropout: Dropout;

  constructor({ numClasses, inChannels, dropout = 0.5 }: AllConvolutionalOptions & Required<ModelOptions>) {
    super();
    this.conv1 = new Conv2d(inChannels, 96, 3, { padding: 1 });
    this.conv9 = new Conv2d(192, numClasses, 1);
    this.dropPicture = new Dropout(dropout * 0.4);
    this.dropout = new Dropout(dropout);
    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      init.kaimingNormal(module.weight, { nonlinearity: 'relu' });
      init.zeros(module.bias!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.dropPicture.forward(x);
    x = this.conv1.forward(x).relu();
    x = this.conv2.forward(x).relu();
    x = this.dropout.forward(this.conv3.forward(x).relu()); // 16 × 16
    x = this.conv4.forward(x).relu();
    x = this.conv5.forward(x).relu();
    x = this.dropout.forward(this.conv6.forward(x).relu()); // 8 × 8
    x = this.conv7.forward(x).relu(); // 6 × 6
    x = this.conv8.forward(x).relu();
    x = this.conv9.forward(x).relu();
    return x.mean([2, 3]);
  }
}

export const allcnn_c = defineModel(
  'allcnn_c',
  (o: AllConvolutionalOptions & Required<ModelOptions>) => new AllConvolutional(o),
  {
    params: 1_369_738,
    macs: 270_798_336,
    input: [3, 32, 32],
    numClasses: 10,
    output: 'logits',
    heads: ['conv9'],
    year: 2014,
    summary: 'convolutions of stride 2 instead of poolings, 1×1 convolutions instead of linear layers; for CIFAR',
    source: 'Springenberg et al. 2014, arXiv:1412.6806',
  },
);

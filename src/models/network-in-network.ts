/**
 * Network in network: behind each convolution two 1×1 convolutions, a small perceptron that slides over the maps, and the mean of a map for
 * each class instead of linear layers: where 1×1 convolutions and global average pooling come from.
 * Lin, Chen and Yan 2013, arXiv:1312.4400; sizes and names (conv1, cccp1 … cccp6) are those the authors gave out for CIFAR-10, initial values
 * too: normal with deviation 0.05, biases 0.
 */

import { Conv2d, Dropout, init, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface NetworkInNetworkOptions extends ModelOptions {
  /** Share of the elements dropped behind each pooling while training. */
  readonly dropout?: number;
}

/** Pictures [N, inChannels, 32, 32] (or larger) → class scores [N, numClasses]. The last ReLU stands in front of the averaging, as published. */
export class NetworkInNetwork extends Module {
  readonly conv1: Conv2d;
  readonly cccp1 = new Conv2d(192, 160, 1);
  readonly cccp2 = new Conv2d(160, 96, 1);
  readonly conv2 = new Conv2d(96, 192, 5, { padding: 2 });
  readonly cccp3 = new Conv2d(192, 192, 1);
  readonly cccp4 = new Conv2d(192, 192, 1);
  readonly conv3 = new Conv2d(192, 192, 3, { padding: 1 });
  readonly cccp5 = new Conv2d(192, 192, 1);
  readonly cccp6: Conv2d;
  readonly dropout: Dropout;

  constructor({ numClasses, inChannels, dropout = 0.5 }: NetworkInNetworkOptions & Required<ModelOptions>) {
    super();
    this.conv1 = new Conv2d(inChannels, 192, 5, { padding: 2 });
    this.cccp6 = new Conv2d(192, numClasses, 1);
    this.dropout = new Dropout(dropout);
    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      init.normal(module.weight, 0, 0.05);
      init.zeros(module.bias!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.conv1.forward(x).relu();
    x = this.cccp1.forward(x).relu();
    x = this.cccp2.forward(x).relu();
    x = this.dropout.forward(x.maxPool2d(3, { stride: 2, ceilMode: true })); // 16 × 16
    x = this.conv2.forward(x).relu();
    x = this.cccp3.forward(x).relu();
    x = this.cccp4.forward(x).relu();
    x = this.dropout.forward(x.avgPool2d(3, { stride: 2, ceilMode: true })); // 8 × 8
    x = this.conv3.forward(x).relu();
    x = this.cccp5.forward(x).relu();
    x = this.cccp6.forward(x).relu();
    return x.mean([2, 3]);
  }
}

export const nin = defineModel(
  'nin',
  (o: NetworkInNetworkOptions & Required<ModelOptions>) => new NetworkInNetwork(o),
  {
    params: 966_986,
    macs: 222_486_528,
    input: [3, 32, 32],
    numClasses: 10,
    output: 'logits',
    heads: ['cccp6'],
    year: 2013,
    summary: 'perceptrons of 1×1 convolutions behind each convolution, the mean of a map for each class; for CIFAR',
    source: 'Lin et al. 2013, arXiv:1312.4400',
  },
);

/**
 * C3D: 3×3×3 convolutions all the way, which see sixteen pictures of a film at once.
 * Tran, Bourdev, Fergus, Torresani and Paluri 2014, "Learning spatiotemporal features with 3D convolutional networks", arXiv:1412.0767.
 * Names are those of c3d-pytorch (the paper's figure 3), whose file holds the authors' weights for Sports-1M's 487 classes.
 */

import { Conv3d, Dropout, init, Linear, MaxPool3d, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';
import type { RemapTable } from './remap.js';

export interface C3DOptions extends ModelOptions {
  /** Share of the elements dropped behind the first two linear layers while training. */
  readonly dropout?: number;
  /** Maps of the first convolution; those after it have two, four and eight times as many. */
  readonly width?: number;
  /** Outputs of the first two linear layers. */
  readonly hidden?: number;
}

/**
 * Films [N, inChannels, 16, 112, 112] → class scores [N, numClasses]. The first pooling leaves time alone; the last pads H and W by 1, so that
 * 7 × 7 becomes 4 × 4. Convolutions start after He et al. 2015, linear layers normal with deviation 0.01, biases at 0.
 */
export class C3D extends Module {
  readonly conv1: Conv3d;
  readonly pool1 = new MaxPool3d([1, 2, 2]);
  readonly conv2: Conv3d;
  readonly pool2 = new MaxPool3d(2);
  readonly conv3a: Conv3d;
  readonly conv3b: Conv3d;
  readonly pool3 = new MaxPool3d(2);
  readonly conv4a: Conv3d;
  readonly conv4b: Conv3d;
  readonly pool4 = new MaxPool3d(2);
  readonly conv5a: Conv3d;
  readonly conv5b: Conv3d;
  readonly pool5 = new MaxPool3d(2, { padding: [0, 1, 1] });
  readonly fc6: Linear;
  readonly fc7: Linear;
  readonly fc8: Linear;
  readonly dropout: Dropout;

  constructor(options: C3DOptions & Required<ModelOptions>) {
    super();
    const { numClasses, inChannels, dropout = 0.5, width = 64, hidden = 4096 } = options;
    const conv3x3x3 = (from: number, to: number) => new Conv3d(from, to, 3, { padding: 1 });
    this.conv1 = conv3x3x3(inChannels, width);
    this.conv2 = conv3x3x3(width, 2 * width);
    this.conv3a = conv3x3x3(2 * width, 4 * width);
    this.conv3b = conv3x3x3(4 * width, 4 * width);
    this.conv4a = conv3x3x3(4 * width, 8 * width);
    this.conv4b = conv3x3x3(8 * width, 8 * width);
    this.conv5a = conv3x3x3(8 * width, 8 * width);
    this.conv5b = conv3x3x3(8 * width, 8 * width);
    this.fc6 = new Linear(8 * width * 4 * 4, hidden);
    this.fc7 = new Linear(hidden, hidden);
    this.fc8 = new Linear(hidden, numClasses);
    this.dropout = new Dropout(dropout);

    for (const module of this.modules()) {
      if (module instanceof Conv3d) init.kaimingNormal(module.weight, { nonlinearity: 'relu' });
      if (module instanceof Linear) init.normal(module.weight, 0, 0.01);
      if (module instanceof Conv3d || module instanceof Linear) init.zeros(module.bias!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.pool1.forward(this.conv1.forward(x).relu());
    x = this.pool2.forward(this.conv2.forward(x).relu());
    x = this.conv3a.forward(x).relu();
    x = this.pool3.forward(this.conv3b.forward(x).relu());
    x = this.conv4a.forward(x).relu();
    x = this.pool4.forward(this.conv4b.forward(x).relu());
    x = this.conv5a.forward(x).relu();
    x = this.pool5.forward(this.conv5b.forward(x).relu()).flatten(1);
    x = this.dropout.forward(this.fc6.forward(x).relu());
    x = this.dropout.forward(this.fc7.forward(x).relu());
    return this.fc8.forward(x);
  }
}

const mmaction: RemapTable = {
  source: 'mmaction2',
  when: /^(backbone\.)?conv1a\.conv\./,
  rules: [
    { from: /^(?:backbone\.)?conv([12])a\.conv\./, to: 'conv$1.' },
    { from: /^(?:backbone\.)?conv(\d[ab])\.conv\./, to: 'conv$1.' },
    { from: /^(?:backbone\.)?(fc[67])\./, to: '$1.' },
    { from: /^cls_head\.fc_cls\./, to: 'fc8.' },
  ],
};

export const c3d = defineModel('c3d', (o: C3DOptions & Required<ModelOptions>) => new C3D(o), {
  params: 79_991_015,
  macs: 38_548_959_232,
  input: [3, 16, 112, 112],
  inputKind: 'video',
  numClasses: 487,
  output: 'logits',
  heads: ['fc8'],
  year: 2014,
  summary: 'VGG for films: eight 3×3×3 convolutions over sixteen pictures at once',
  source: 'Tran et al. 2014, arXiv:1412.0767',
  preprocessing: preprocessing(112, { resize: 112, statistics: 'bytes' }), // as c3d-pytorch feeds it
  remaps: [mmaction],
});

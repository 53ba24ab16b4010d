/**
 * GoogLeNet (Inception v1): modules that look at the same map through windows of several sizes at once and put the results side by side, with
 * cheap 1×1 convolutions in front of the expensive ones. Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842.
 *
 * Names and initial values are torchvision's, and so is the network, which is not quite the paper's: batch norm (eps 1e-3) follows every
 * convolution, and the third branch has 3×3 windows where the paper has 5×5 (pytorch/vision#906: a slip in the port from TensorFlow that
 * the published weights were made with).
 */

import { AdaptiveAvgPool2d, type AuxiliaryOutputs, BatchNorm2d, Conv2d, type ConvLayerOptions, Dropout, init, Linear, MaxPool2d, Module, Sequential } from '../nn/index.js'; // biome-ignore format: one list
import { concat, type Tensor, tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';

export interface GoogLeNetOptions extends ModelOptions {
  /** Builds the two auxiliary heads: in training mode the network then returns `AuxiliaryOutputs`. */
  readonly auxLogits?: boolean;
  /** Takes pictures normalised by ImageNet's mean and deviation, and brings them to the −1 … 1 that the published weights want. */
  readonly transformInput?: boolean;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** The same in the auxiliary heads. */
  readonly dropoutAux?: number;
}

/** Convolution, batch norm, ReLU. */
export class BasicConv2d extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: number | readonly [number, number],
    options: Pick<ConvLayerOptions, 'stride' | 'padding'> = {},
  ) {
    super();
    this.conv = new Conv2d(inChannels, outChannels, kernelSize, { ...options, bias: false });
    this.bn = new BatchNorm2d(outChannels, { eps: 1e-3 });
  }

  override forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x)).relu();
  }
}

/** Channels of a module's branches: a row of the paper's table 1. */
interface InceptionChannels {
  readonly one: number;
  readonly three: readonly [reduced: number, out: number];
  readonly five: readonly [reduced: number, out: number];
  readonly pool: number;
}

/** Four branches side by side: [N, inChannels, H, W] → [N, one + three + five + pool, H, W]. */
export class Inception extends Module {
  readonly branch1: BasicConv2d;
  readonly branch2: Sequential;
  readonly branch3: Sequential;
  readonly branch4: Sequential;

  constructor(inChannels: number, { one, three, five, pool }: InceptionChannels) {
    super();
    const narrowed = ([reduced, out]: readonly [number, number]) =>
      new Sequential(new BasicConv2d(inChannels, reduced, 1), new BasicConv2d(reduced, out, 3, { padding: 1 }));
    this.branch1 = new BasicConv2d(inChannels, one, 1);
    this.branch2 = narrowed(three);
    this.branch3 = narrowed(five);
    this.branch4 = new Sequential(
      new MaxPool2d(3, { stride: 1, padding: 1, ceilMode: true }),
      new BasicConv2d(inChannels, pool, 1),
    );
  }

  override forward(x: Tensor): Tensor {
    return concat([this.branch1, this.branch2, this.branch3, this.branch4].map((branch) => branch.forward(x)), 1); // biome-ignore format: one thought
  }
}

/** An auxiliary head: [N, inChannels, H, W] → class scores [N, numClasses]. */
export class InceptionAux extends Module {
  readonly conv: BasicConv2d;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly dropout: Dropout;

  constructor(inChannels: number, numClasses: number, dropout: number) {
    super();
    this.conv = new BasicConv2d(inChannels, 128, 1);
    this.fc1 = new Linear(128 * 4 * 4, 1024);
    this.fc2 = new Linear(1024, numClasses);
    this.dropout = new Dropout(dropout);
  }

  override forward(x: Tensor): Tensor {
    x = this.conv.forward(x.adaptiveAvgPool2d(4));
    x = this.fc1.forward(x.flatten(1)).relu();
    return this.fc2.forward(this.dropout.forward(x));
  }
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]; in training with `auxLogits`, `AuxiliaryOutputs`. */
export class GoogLeNet extends Module {
  readonly conv1: BasicConv2d;
  readonly maxpool1 = new MaxPool2d(3, { stride: 2, ceilMode: true });
  readonly conv2 = new BasicConv2d(64, 64, 1);
  readonly conv3 = new BasicConv2d(64, 192, 3, { padding: 1 });
  readonly maxpool2 = new MaxPool2d(3, { stride: 2, ceilMode: true });
  readonly inception3a = new Inception(192, { one: 64, three: [96, 128], five: [16, 32], pool: 32 });
  readonly inception3b = new Inception(256, { one: 128, three: [128, 192], five: [32, 96], pool: 64 });
  readonly maxpool3 = new MaxPool2d(3, { stride: 2, ceilMode: true });
  readonly inception4a = new Inception(480, { one: 192, three: [96, 208], five: [16, 48], pool: 64 });
  readonly inception4b = new Inception(512, { one: 160, three: [112, 224], five: [24, 64], pool: 64 });
  readonly inception4c = new Inception(512, { one: 128, three: [128, 256], five: [24, 64], pool: 64 });
  readonly inception4d = new Inception(512, { one: 112, three: [144, 288], five: [32, 64], pool: 64 });
  readonly inception4e = new Inception(528, { one: 256, three: [160, 320], five: [32, 128], pool: 128 });
  readonly maxpool4 = new MaxPool2d(2, { ceilMode: true });
  readonly inception5a = new Inception(832, { one: 256, three: [160, 320], five: [32, 128], pool: 128 });
  readonly inception5b = new Inception(832, { one: 384, three: [192, 384], five: [48, 128], pool: 128 });
  readonly aux1: InceptionAux | null;
  readonly aux2: InceptionAux | null;
  readonly avgpool = new AdaptiveAvgPool2d(1);
  readonly dropout: Dropout;
  readonly fc: Linear;
  readonly transformInput: boolean;

  constructor(options: GoogLeNetOptions & Required<ModelOptions>) {
    super();
    const { numClasses, inChannels, auxLogits = false, transformInput = false } = options;
    const { dropout = 0.2, dropoutAux = 0.7 } = options;
    this.conv1 = new BasicConv2d(inChannels, 64, 7, { stride: 2, padding: 3 });
    this.aux1 = auxLogits ? new InceptionAux(512, numClasses, dropoutAux) : null;
    this.aux2 = auxLogits ? new InceptionAux(528, numClasses, dropoutAux) : null;
    this.dropout = new Dropout(dropout);
    this.fc = new Linear(1024, numClasses);
    this.transformInput = transformInput;

    for (const module of this.modules()) {
      if (module instanceof Conv2d || module instanceof Linear) init.truncNormal(module.weight, { std: 0.01 });
    }
  }

  override forward(x: Tensor): Tensor | AuxiliaryOutputs {
    if (this.transformInput) x = fromImageNetStatistics(x);
    x = this.maxpool1.forward(this.conv1.forward(x));
    x = this.maxpool2.forward(this.conv3.forward(this.conv2.forward(x)));
    x = this.inception3b.forward(this.inception3a.forward(x));
    x = this.inception4a.forward(this.maxpool3.forward(x));
    const aux1 = this.training ? this.aux1?.forward(x) : undefined;
    x = this.inception4b.forward(x);
    x = this.inception4c.forward(x);
    x = this.inception4d.forward(x);
    const aux2 = this.training ? this.aux2?.forward(x) : undefined;
    x = this.inception4e.forward(x);
    x = this.inception5a.forward(this.maxpool4.forward(x));
    x = this.inception5b.forward(x);
    x = this.avgpool.forward(x).flatten(1);
    const logits = this.fc.forward(this.dropout.forward(x));
    return aux1 && aux2 ? { logits, auxiliary: { aux1, aux2 }, auxiliaryWeight: 0.3 } : logits; // 0.3: section 5 of the paper
  }
}

export const googlenet = defineModel('googlenet', (o: GoogLeNetOptions & Required<ModelOptions>) => new GoogLeNet(o), {
  params: 6_624_904,
  macs: 1_498_376_192,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['fc', 'aux1.fc2', 'aux2.fc2'],
  trainingOnly: /^aux[12]\./,
  year: 2014,
  summary:
    'windows of several sizes side by side behind cheap 1×1 convolutions; { auxLogits: true } for the heads that help training',
  source: 'Szegedy et al. 2014, arXiv:1409.4842',
  preprocessing: preprocessing(224, { statistics: 'symmetric' }),
  published: { top1: 69.778, top5: 89.53, weights: 'torchvision GoogLeNet_Weights.IMAGENET1K_V1' },
});

/** Pictures normalised by ImageNet's statistics [N, 3, H, W] → the same with mean 0.5 and deviation 0.5. */
export function fromImageNetStatistics(x: Tensor): Tensor {
  const perChannel = (values: readonly number[]) => tensor(values, { shape: [1, 3, 1, 1] });
  const { mean, std } = preprocessing(224);
  return x.mul(perChannel(std.map((s) => s / 0.5))).add(perChannel(mean.map((m) => (m - 0.5) / 0.5)));
}

/**
 * Inception v3: large windows factorised into small ones (5×5 into two 3×3, 7×7 into 1×7 and 7×1), so that a deeper network costs no more.
 * Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2015, "Rethinking the Inception architecture for computer vision", arXiv:1512.00567.
 * Names and initial values are torchvision's; timm's are the same. Batch norm has eps 1e-3. Pictures are 299 × 299, at least 75 × 75, and with
 * auxiliary heads in training no smaller than 299.
 */

import { AdaptiveAvgPool2d, type AuxiliaryOutputs, Conv2d, Dropout, init, Linear, MaxPool2d, Module } from '../nn/index.js'; // biome-ignore format: one list
import { concat, type Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { BasicConv2d, fromImageNetStatistics } from './googlenet.js';
import { preprocessing } from './preprocessing.js';

export interface InceptionV3Options extends ModelOptions {
  /** Builds the auxiliary head: in training mode the network then returns `AuxiliaryOutputs`. */
  readonly auxLogits?: boolean;
  /** Takes pictures normalised by ImageNet's mean and deviation, and brings them to the −1 … 1 that the published weights want. */
  readonly transformInput?: boolean;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
}

/** Figure 5: 1×1, 5×5, two 3×3 and a pooling side by side: [N, inChannels, H, W] → [N, 224 + poolFeatures, H, W]. */
export class InceptionA extends Module {
  readonly branch1x1: BasicConv2d;
  readonly branch5x5_1: BasicConv2d;
  readonly branch5x5_2 = new BasicConv2d(48, 64, 5, { padding: 2 });
  readonly branch3x3dbl_1: BasicConv2d;
  readonly branch3x3dbl_2 = new BasicConv2d(64, 96, 3, { padding: 1 });
  readonly branch3x3dbl_3 = new BasicConv2d(96, 96, 3, { padding: 1 });
  readonly branch_pool: BasicConv2d;

  constructor(inChannels: number, poolFeatures: number) {
    super();
    this.branch1x1 = new BasicConv2d(inChannels, 64, 1);
    this.branch5x5_1 = new BasicConv2d(inChannels, 48, 1);
    this.branch3x3dbl_1 = new BasicConv2d(inChannels, 64, 1);
    this.branch_pool = new BasicConv2d(inChannels, poolFeatures, 1);
  }

  override forward(x: Tensor): Tensor {
    const double = this.branch3x3dbl_2.forward(this.branch3x3dbl_1.forward(x));
    return concat(
      [
        this.branch1x1.forward(x),
        this.branch5x5_2.forward(this.branch5x5_1.forward(x)),
        this.branch3x3dbl_3.forward(double),
        this.branch_pool.forward(neighbourhood(x)),
      ],
      1,
    );
  }
}

/** Halves the map, figure 10: [N, inChannels, H, W] → [N, 480 + inChannels, ⌊(H − 1) / 2⌋, ⌊(W − 1) / 2⌋]. */
export class InceptionB extends Module {
  readonly branch3x3: BasicConv2d;
  readonly branch3x3dbl_1: BasicConv2d;
  readonly branch3x3dbl_2 = new BasicConv2d(64, 96, 3, { padding: 1 });
  readonly branch3x3dbl_3 = new BasicConv2d(96, 96, 3, { stride: 2 });

  constructor(inChannels: number) {
    super();
    this.branch3x3 = new BasicConv2d(inChannels, 384, 3, { stride: 2 });
    this.branch3x3dbl_1 = new BasicConv2d(inChannels, 64, 1);
  }

  override forward(x: Tensor): Tensor {
    const double = this.branch3x3dbl_2.forward(this.branch3x3dbl_1.forward(x));
    return concat([this.branch3x3.forward(x), this.branch3x3dbl_3.forward(double), x.maxPool2d(3, { stride: 2 })], 1);
  }
}

/** Figure 6, 7×7 windows as 1×7 and 7×1: [N, inChannels, H, W] → [N, 768, H, W]. */
export class InceptionC extends Module {
  readonly branch1x1: BasicConv2d;
  readonly branch7x7_1: BasicConv2d;
  readonly branch7x7_2: BasicConv2d;
  readonly branch7x7_3: BasicConv2d;
  readonly branch7x7dbl_1: BasicConv2d;
  readonly branch7x7dbl_2: BasicConv2d;
  readonly branch7x7dbl_3: BasicConv2d;
  readonly branch7x7dbl_4: BasicConv2d;
  readonly branch7x7dbl_5: BasicConv2d;
  readonly branch_pool: BasicConv2d;

  constructor(inChannels: number, middle: number) {
    super();
    this.branch1x1 = new BasicConv2d(inChannels, 192, 1);
    this.branch7x7_1 = new BasicConv2d(inChannels, middle, 1);
    this.branch7x7_2 = row(middle, middle, 7);
    this.branch7x7_3 = column(middle, 192, 7);
    this.branch7x7dbl_1 = new BasicConv2d(inChannels, middle, 1);
    this.branch7x7dbl_2 = column(middle, middle, 7);
    this.branch7x7dbl_3 = row(middle, middle, 7);
    this.branch7x7dbl_4 = column(middle, middle, 7);
    this.branch7x7dbl_5 = row(middle, 192, 7);
    this.branch_pool = new BasicConv2d(inChannels, 192, 1);
  }

  override forward(x: Tensor): Tensor {
    let once = this.branch7x7_1.forward(x);
    once = this.branch7x7_3.forward(this.branch7x7_2.forward(once));
    let twice = this.branch7x7dbl_1.forward(x);
    twice = this.branch7x7dbl_3.forward(this.branch7x7dbl_2.forward(twice));
    twice = this.branch7x7dbl_5.forward(this.branch7x7dbl_4.forward(twice));
    return concat([this.branch1x1.forward(x), once, twice, this.branch_pool.forward(neighbourhood(x))], 1);
  }
}

/** Halves the map once more: [N, inChannels, H, W] → [N, 512 + inChannels, ⌊(H − 1) / 2⌋, ⌊(W − 1) / 2⌋]. */
export class InceptionD extends Module {
  readonly branch3x3_1: BasicConv2d;
  readonly branch3x3_2 = new BasicConv2d(192, 320, 3, { stride: 2 });
  readonly branch7x7x3_1: BasicConv2d;
  readonly branch7x7x3_2 = row(192, 192, 7);
  readonly branch7x7x3_3 = column(192, 192, 7);
  readonly branch7x7x3_4 = new BasicConv2d(192, 192, 3, { stride: 2 });

  constructor(inChannels: number) {
    super();
    this.branch3x3_1 = new BasicConv2d(inChannels, 192, 1);
    this.branch7x7x3_1 = new BasicConv2d(inChannels, 192, 1);
  }

  override forward(x: Tensor): Tensor {
    const seven = this.branch7x7x3_3.forward(this.branch7x7x3_2.forward(this.branch7x7x3_1.forward(x)));
    return concat(
      [
        this.branch3x3_2.forward(this.branch3x3_1.forward(x)),
        this.branch7x7x3_4.forward(seven),
        x.maxPool2d(3, { stride: 2 }),
      ],
      1,
    );
  }
}

/** Figure 7, a row and a column side by side on the coarsest map: [N, inChannels, H, W] → [N, 2048, H, W]. */
export class InceptionE extends Module {
  readonly branch1x1: BasicConv2d;
  readonly branch3x3_1: BasicConv2d;
  readonly branch3x3_2a = row(384, 384, 3);
  readonly branch3x3_2b = column(384, 384, 3);
  readonly branch3x3dbl_1: BasicConv2d;
  readonly branch3x3dbl_2 = new BasicConv2d(448, 384, 3, { padding: 1 });
  readonly branch3x3dbl_3a = row(384, 384, 3);
  readonly branch3x3dbl_3b = column(384, 384, 3);
  readonly branch_pool: BasicConv2d;

  constructor(inChannels: number) {
    super();
    this.branch1x1 = new BasicConv2d(inChannels, 320, 1);
    this.branch3x3_1 = new BasicConv2d(inChannels, 384, 1);
    this.branch3x3dbl_1 = new BasicConv2d(inChannels, 448, 1);
    this.branch_pool = new BasicConv2d(inChannels, 192, 1);
  }

  override forward(x: Tensor): Tensor {
    const single = this.branch3x3_1.forward(x);
    const double = this.branch3x3dbl_2.forward(this.branch3x3dbl_1.forward(x));
    return concat(
      [
        this.branch1x1.forward(x),
        this.branch3x3_2a.forward(single),
        this.branch3x3_2b.forward(single),
        this.branch3x3dbl_3a.forward(double),
        this.branch3x3dbl_3b.forward(double),
        this.branch_pool.forward(neighbourhood(x)),
      ],
      1,
    );
  }
}

/** The auxiliary head: [N, inChannels, 17, 17] → class scores [N, numClasses]. */
export class InceptionV3Aux extends Module {
  readonly conv0: BasicConv2d;
  readonly conv1 = new BasicConv2d(128, 768, 5);
  readonly fc: Linear;

  constructor(inChannels: number, numClasses: number) {
    super();
    this.conv0 = new BasicConv2d(inChannels, 128, 1);
    this.fc = new Linear(768, numClasses);
  }

  override forward(x: Tensor): Tensor {
    x = this.conv0.forward(x.avgPool2d(5, { stride: 3 }));
    x = this.conv1.forward(x).mean([2, 3]);
    return this.fc.forward(x);
  }
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]; in training with `auxLogits`, `AuxiliaryOutputs`. */
export class InceptionV3 extends Module {
  readonly Conv2d_1a_3x3: BasicConv2d;
  readonly Conv2d_2a_3x3 = new BasicConv2d(32, 32, 3);
  readonly Conv2d_2b_3x3 = new BasicConv2d(32, 64, 3, { padding: 1 });
  readonly maxpool1 = new MaxPool2d(3, { stride: 2 });
  readonly Conv2d_3b_1x1 = new BasicConv2d(64, 80, 1);
  readonly Conv2d_4a_3x3 = new BasicConv2d(80, 192, 3);
  readonly maxpool2 = new MaxPool2d(3, { stride: 2 });
  readonly Mixed_5b = new InceptionA(192, 32);
  readonly Mixed_5c = new InceptionA(256, 64);
  readonly Mixed_5d = new InceptionA(288, 64);
  readonly Mixed_6a = new InceptionB(288);
  readonly Mixed_6b = new InceptionC(768, 128);
  readonly Mixed_6c = new InceptionC(768, 160);
  readonly Mixed_6d = new InceptionC(768, 160);
  readonly Mixed_6e = new InceptionC(768, 192);
  readonly AuxLogits: InceptionV3Aux | null;
  readonly Mixed_7a = new InceptionD(768);
  readonly Mixed_7b = new InceptionE(1280);
  readonly Mixed_7c = new InceptionE(2048);
  readonly avgpool = new AdaptiveAvgPool2d(1);
  readonly dropout: Dropout;
  readonly fc: Linear;
  readonly transformInput: boolean;

  constructor(options: InceptionV3Options & Required<ModelOptions>) {
    super();
    const { numClasses, inChannels, auxLogits = true, transformInput = false, dropout = 0.5 } = options;
    this.Conv2d_1a_3x3 = new BasicConv2d(inChannels, 32, 3, { stride: 2 });
    this.AuxLogits = auxLogits ? new InceptionV3Aux(768, numClasses) : null;
    this.dropout = new Dropout(dropout);
    this.fc = new Linear(2048, numClasses);
    this.transformInput = transformInput;

    for (const module of this.modules()) {
      if (module instanceof Conv2d || module instanceof Linear) init.truncNormal(module.weight, { std: 0.1 });
    }
    if (this.AuxLogits !== null) {
      init.truncNormal(this.AuxLogits.conv1.conv.weight, { std: 0.01 });
      init.truncNormal(this.AuxLogits.fc.weight, { std: 0.001 });
    }
  }

  override forward(x: Tensor): Tensor | AuxiliaryOutputs {
    if (this.transformInput) x = fromImageNetStatistics(x);
    x = this.Conv2d_2a_3x3.forward(this.Conv2d_1a_3x3.forward(x));
    x = this.maxpool1.forward(this.Conv2d_2b_3x3.forward(x));
    x = this.Conv2d_4a_3x3.forward(this.Conv2d_3b_1x1.forward(x));
    x = this.maxpool2.forward(x);
    for (const module of [this.Mixed_5b, this.Mixed_5c, this.Mixed_5d]) x = module.forward(x);
    for (const module of [this.Mixed_6a, this.Mixed_6b, this.Mixed_6c, this.Mixed_6d, this.Mixed_6e]) {
      x = module.forward(x);
    }
    const aux = this.training ? this.AuxLogits?.forward(x) : undefined;
    for (const module of [this.Mixed_7a, this.Mixed_7b, this.Mixed_7c]) x = module.forward(x);
    x = this.avgpool.forward(x).flatten(1);
    const logits = this.fc.forward(this.dropout.forward(x));
    return aux ? { logits, auxiliary: { aux }, auxiliaryWeight: 0.4 } : logits; // 0.4: the authors' code, tensorflow/models, research/slim
  }
}

export const inception_v3 = defineModel(
  'inception_v3',
  (o: InceptionV3Options & Required<ModelOptions>) => new InceptionV3(o),
  {
    params: 27_161_264,
    macs: 5_713_216_096,
    input: [3, 299, 299],
    numClasses: 1000,
    output: 'logits',
    heads: ['fc', 'AuxLogits.fc'],
    trainingOnly: /^AuxLogits\./,
    year: 2015,
    summary: 'large windows factorised into rows and columns, five kinds of modules, pictures of 299 × 299',
    source: 'Szegedy et al. 2015, arXiv:1512.00567',
    preprocessing: preprocessing(299, { resize: 342, statistics: 'symmetric' }),
    published: { top1: 77.294, top5: 93.45, weights: 'torchvision Inception_V3_Weights.IMAGENET1K_V1' },
  },
);

/** The mean of each pixel's 3×3 neighbours. */
function neighbourhood(x: Tensor): Tensor {
  return x.avgPool2d(3, { stride: 1, padding: 1 });
}

/** A window of one row. */
function row(inChannels: number, outChannels: number, length: number): BasicConv2d {
  return new BasicConv2d(inChannels, outChannels, [1, length], { padding: [0, (length - 1) / 2] });
}

/** A window of one column. */
function column(inChannels: number, outChannels: number, length: number): BasicConv2d {
  return new BasicConv2d(inChannels, outChannels, [length, 1], { padding: [(length - 1) / 2, 0] });
}

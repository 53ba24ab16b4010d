/**
 * DenseNet: every layer sees the results of all layers before it in its block, side by side, and adds a few channels of its own.
 * Huang, Liu, van der Maaten and Weinberger 2016, "Densely connected convolutional networks", arXiv:1608.06993 (the form with bottlenecks and
 * compression, DenseNet-BC). Names and initial values are torchvision's; timm's names are the same.
 */

import { AvgPool2d, BatchNorm2d, Conv2d, Dropout, init, Linear, MaxPool2d, Module, ReLU, Sequential } from '../nn/index.js'; // biome-ignore format: one list
import { concat, type Tensor } from '../tensor/index.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import type { RemapTable } from './remap.js';

export interface DenseNetOptions extends ModelOptions {
  /** Share of each layer's new features dropped while training. */
  readonly dropout?: number;
}

interface DenseNetSizes {
  /** Channels that each layer adds: the paper's k. */
  readonly growthRate: number;
  /** Layers of each block. */
  readonly layers: readonly number[];
  /** Channels of the first convolution. */
  readonly stem: number;
}

/** BN, ReLU, 1×1 to four times the growth rate, BN, ReLU, 3×3: [N, inChannels, H, W] → the new features [N, growthRate, H, W]. */
export class DenseLayer extends Module {
  readonly norm1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly dropout: Dropout;

  constructor(inChannels: number, growthRate: number, dropout: number) {
    super();
    const middle = 4 * growthRate;
    this.norm1 = new BatchNorm2d(inChannels);
    this.conv1 = new Conv2d(inChannels, middle, 1, { bias: false });
    this.norm2 = new BatchNorm2d(middle);
    this.conv2 = new Conv2d(middle, growthRate, 3, { padding: 1, bias: false });
    this.dropout = new Dropout(dropout);
  }

  override forward(x: Tensor): Tensor {
    x = this.conv1.forward(this.norm1.forward(x).relu());
    x = this.conv2.forward(this.norm2.forward(x).relu());
    return this.dropout.forward(x);
  }
}

/** Layers that each add their features to what they were given: [N, C, H, W] → [N, C + layers · growthRate, H, W]. */
export class DenseBlock extends Sequential {
  constructor(layers: readonly DenseLayer[]) {
    super(Object.fromEntries(layers.map((layer, i) => [`denselayer${i + 1}`, layer])));
  }

  override forward(x: Tensor): Tensor {
    for (const layer of this.children()) x = concat([x, layer.forward(x)], 1);
    return x;
  }
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class DenseNet extends Module {
  readonly features: Sequential;
  readonly classifier: Linear;

  constructor({ growthRate, layers, stem }: DenseNetSizes, options: DenseNetOptions & Required<ModelOptions>) {
    super();
    const { numClasses, inChannels, dropout = 0 } = options;
    this.features = new Sequential({
      conv0: new Conv2d(inChannels, stem, 7, { stride: 2, padding: 3, bias: false }),
      norm0: new BatchNorm2d(stem),
      relu0: new ReLU(),
      pool0: new MaxPool2d(3, { stride: 2, padding: 1 }),
    });
    let channels = stem;
    for (const [i, count] of layers.entries()) {
      const before = channels;
      const layer = (_: unknown, j: number) => new DenseLayer(before + j * growthRate, growthRate, dropout);
      this.features.add(new DenseBlock(Array.from({ length: count }, layer)), `denseblock${i + 1}`);
      channels += count * growthRate;
      if (i === layers.length - 1) break;
      const narrower = Math.floor(channels / 2);
      this.features.add(transition(channels, narrower), `transition${i + 1}`);
      channels = narrower;
    }
    this.features.add(new BatchNorm2d(channels), 'norm5');
    this.classifier = new Linear(channels, numClasses);

    for (const module of this.modules()) if (module instanceof Conv2d) init.kaimingNormal(module.weight);
    init.zeros(this.classifier.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.features.forward(x).relu();
    return this.classifier.forward(x.mean([2, 3]));
  }
}

/** Between blocks: half the channels, a quarter of the pixels. */
function transition(inChannels: number, outChannels: number): Sequential {
  return new Sequential({
    norm: new BatchNorm2d(inChannels),
    relu: new ReLU(),
    conv: new Conv2d(inChannels, outChannels, 1, { bias: false }),
    pool: new AvgPool2d(2),
  });
}

/** torchvision's files are from a time when names of modules had dots: `denselayer1.norm.1.weight`. */
const legacy: RemapTable = {
  source: "torchvision's files",
  when: /\.denselayer\d+\.(norm|conv)\.[12]\./,
  rules: [{ from: /(\.denselayer\d+\.(?:norm|conv))\.([12]\.)/, to: '$1$2' }],
};

function densenet(name: string, sizes: DenseNetSizes, facts: Pick<ModelFacts, 'params' | 'macs' | 'published'>) {
  const depth = 4 + 2 * sizes.layers.reduce((sum, n) => sum + n);
  return defineModel(name, (o: DenseNetOptions & Required<ModelOptions>) => new DenseNet(sizes, o), {
    ...facts,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2016,
    summary: `${depth + 1} layers that each see all before them in their block, and add ${sizes.growthRate} channels`,
    source: 'Huang et al. 2016, arXiv:1608.06993',
    remaps: [legacy],
  });
}

export const densenet121 = densenet(
  'densenet121',
  { growthRate: 32, layers: [6, 12, 24, 16], stem: 64 },
  {
    params: 7_978_856,
    macs: 2_834_161_664,
    published: { top1: 74.434, top5: 91.972, weights: 'torchvision DenseNet121_Weights.IMAGENET1K_V1' },
  },
);

export const densenet161 = densenet(
  'densenet161',
  { growthRate: 48, layers: [6, 12, 36, 24], stem: 96 },
  {
    params: 28_681_000,
    macs: 7_727_907_072,
    published: { top1: 77.138, top5: 93.56, weights: 'torchvision DenseNet161_Weights.IMAGENET1K_V1' },
  },
);

export const densenet169 = densenet(
  'densenet169',
  { growthRate: 32, layers: [6, 12, 32, 32], stem: 64 },
  {
    params: 14_149_480,
    macs: 3_359_843_328,
    published: { top1: 75.6, top5: 92.806, weights: 'torchvision DenseNet169_Weights.IMAGENET1K_V1' },
  },
);

export const densenet201 = densenet(
  'densenet201',
  { growthRate: 32, layers: [6, 12, 48, 32], stem: 64 },
  {
    params: 20_013_928,
    macs: 4_291_365_888,
    published: { top1: 76.896, top5: 93.37, weights: 'torchvision DenseNet201_Weights.IMAGENET1K_V1' },
  },
);

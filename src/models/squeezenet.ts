/**
 * SqueezeNet: AlexNet's accuracy with a fiftieth of its weights, by 1×1 convolutions that squeeze the channels in front of every 3×3.
 * Iandola et al. 2016, arXiv:1602.07360. Version 1.1 is the authors' later one: the same accuracy for 2.4 times less work. Names and initial
 * values are torchvision's.
 */

import { AdaptiveAvgPool2d, Conv2d, Dropout, init, MaxPool2d, Module, ReLU, Sequential } from '../nn/index.js';
import { concat, type Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

export interface SqueezeNetOptions extends ModelOptions {
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
}

/** Squeezes to few channels, expands to many, half of them by 1×1 and half by 3×3: [N, inChannels, H, W] → [N, 2·expand, H, W]. */
export class Fire extends Module {
  readonly squeeze: Conv2d;
  readonly expand1x1: Conv2d;
  readonly expand3x3: Conv2d;

  constructor(inChannels: number, squeeze: number, expand: number) {
    super();
    this.squeeze = new Conv2d(inChannels, squeeze, 1);
    this.expand1x1 = new Conv2d(squeeze, expand, 1);
    this.expand3x3 = new Conv2d(squeeze, expand, 3, { padding: 1 });
  }

  override forward(x: Tensor): Tensor {
    x = this.squeeze.forward(x).relu();
    return concat([this.expand1x1.forward(x).relu(), this.expand3x3.forward(x).relu()], 1);
  }
}

/** The first convolution, then [squeeze, expand] of each fire module and where the map is halved: table 1 of the paper. */
interface Configuration {
  readonly stem: readonly [outChannels: number, kernelSize: number];
  readonly fires: readonly (readonly [squeeze: number, expand: number] | 'pool')[];
}

const version1_0: Configuration = {
  stem: [96, 7],
  fires: ['pool', [16, 64], [16, 64], [32, 128], 'pool', [32, 128], [48, 192], [48, 192], [64, 256], 'pool', [64, 256]],
};
const version1_1: Configuration = {
  stem: [64, 3],
  fires: ['pool', [16, 64], [16, 64], 'pool', [32, 128], [32, 128], 'pool', [48, 192], [48, 192], [64, 256], [64, 256]],
};

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses], none below 0: the classifier too ends in a ReLU. */
export class SqueezeNet extends Module {
  readonly features: Sequential;
  readonly classifier: Sequential;

  constructor({ stem, fires }: Configuration, options: SqueezeNetOptions & Required<ModelOptions>) {
    super();
    const { numClasses, inChannels, dropout = 0.5 } = options;
    let [channels, kernelSize] = stem;
    this.features = new Sequential(new Conv2d(inChannels, channels, kernelSize, { stride: 2 }), new ReLU());
    for (const entry of fires) {
      if (entry === 'pool') {
        this.features.add(new MaxPool2d(3, { stride: 2, ceilMode: true }));
        continue;
      }
      const [squeeze, expand] = entry;
      this.features.add(new Fire(channels, squeeze, expand));
      channels = 2 * expand;
    }
    const scores = new Conv2d(channels, numClasses, 1);
    this.classifier = new Sequential(new Dropout(dropout), scores, new ReLU(), new AdaptiveAvgPool2d(1));

    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      if (module === scores) init.normal(module.weight, 0, 0.01);
      else init.kaimingUniform(module.weight);
      init.zeros(module.bias!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.features.forward(x);
    return this.classifier.forward(x).flatten(1);
  }
}

type Built = SqueezeNetOptions & Required<ModelOptions>;

export const squeezenet1_0 = defineModel('squeezenet1_0', (o: Built) => new SqueezeNet(version1_0, o), {
  params: 1_248_424,
  macs: 818_924_576,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['classifier.1'],
  year: 2016,
  summary: "AlexNet's accuracy with a fiftieth of its weights: 1×1 convolutions squeeze in front of every 3×3",
  source: 'Iandola et al. 2016, arXiv:1602.07360',
  published: { top1: 58.092, top5: 80.42, weights: 'torchvision SqueezeNet1_0_Weights.IMAGENET1K_V1' },
});

export const squeezenet1_1 = defineModel('squeezenet1_1', (o: Built) => new SqueezeNet(version1_1, o), {
  params: 1_235_496,
  macs: 349_151_936,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['classifier.1'],
  year: 2016,
  summary: 'SqueezeNet for 2.4 times less work: 3×3 at the start, poolings earlier',
  source: 'Iandola et al. 2016, arXiv:1602.07360; version 1.1 of the authors',
  published: { top1: 58.178, top5: 80.624, weights: 'torchvision SqueezeNet1_1_Weights.IMAGENET1K_V1' },
});

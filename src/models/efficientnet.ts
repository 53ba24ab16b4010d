/**
 * EfficientNet: a small network found by search, scaled up in depth, width and resolution together.
 * Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", arXiv:1905.11946. Names are timm's; initial
 * values torchvision's. Padding is symmetric as in both; weights trained in TensorFlow want its one-sided padding.
 */

import { BatchNorm2d, Conv2d, Dropout, init, Linear, Module, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { DepthwiseSeparableConv, InvertedResidual, makeDivisible } from './inverted-residual.js';

export interface EfficientNetOptions extends ModelOptions {
  /** Scales the channels of every layer. */
  readonly widthMultiplier?: number;
  /** Scales the repeats of every stage. */
  readonly depthMultiplier?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
}

/** The paper's table 1, B0: expansion, kernel, stride of the first, channels, repeats. */
const stages = [
  [1, 3, 1, 16, 1],
  [6, 3, 2, 24, 2],
  [6, 5, 2, 40, 2],
  [6, 3, 2, 80, 3],
  [6, 5, 1, 112, 3],
  [6, 5, 2, 192, 4],
  [6, 3, 1, 320, 1],
] as const;

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class EfficientNet extends Module {
  readonly conv_stem: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly blocks: Sequential;
  readonly conv_head: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor({
    numClasses,
    inChannels,
    widthMultiplier = 1,
    depthMultiplier = 1,
    dropout = 0.2,
    stochasticDepth = 0.2,
  }: EfficientNetOptions & Required<ModelOptions>) {
    super();
    const width = (planned: number) => makeDivisible(planned * widthMultiplier);
    const depth = (planned: number) => Math.ceil(planned * depthMultiplier);
    const total = stages.reduce((sum, [, , , , repeats]) => sum + depth(repeats), 0);

    let channels = width(32);
    let index = 0;
    this.conv_stem = new Conv2d(inChannels, channels, 3, { stride: 2, padding: 1, bias: false });
    this.bn1 = new BatchNorm2d(channels);
    this.blocks = new Sequential();
    for (const [expansion, kernelSize, stride, planned, repeats] of stages) {
      const outChannels = width(planned);
      const Block = expansion === 1 ? DepthwiseSeparableConv : InvertedResidual;
      const stage = new Sequential();
      for (let i = 0; i < depth(repeats); i++) {
        stage.add(
          new Block({
            inChannels: channels,
            outChannels,
            kernelSize,
            stride: i === 0 ? stride : 1,
            expansion,
            squeeze: 1 / 4,
            activation: (x) => x.silu(),
            dropPath: (stochasticDepth * index++) / total,
          }),
        );
        channels = outChannels;
      }
      this.blocks.add(stage);
    }
    const features = width(1280);
    this.conv_head = new Conv2d(channels, features, 1, { bias: false });
    this.bn2 = new BatchNorm2d(features);
    this.dropout = new Dropout(dropout);
    this.classifier = new Linear(features, numClasses);

    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      init.kaimingNormal(module.weight, { mode: 'fanOut' });
      if (module.bias !== null) init.zeros(module.bias);
    }
    const bound = 1 / Math.sqrt(numClasses);
    init.uniform(this.classifier.weight, -bound, bound);
    init.zeros(this.classifier.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.bn1.forward(this.conv_stem.forward(x)).silu();
    x = this.blocks.forward(x);
    x = this.bn2.forward(this.conv_head.forward(x)).silu();
    return this.classifier.forward(this.dropout.forward(x.mean([2, 3])));
  }
}

export interface CompoundScale {
  readonly depthMultiplier: number;
  readonly widthMultiplier: number;
  /** Height and width of the pictures. */
  readonly resolution: number;
}

/**
 * The compound scaling rule: 2^phi times the work of B0, spent on depth, width and resolution as the paper's search found best (α = 1.2,
 * β = 1.1, γ = 1.15; α · β² · γ² ≈ 2). B1 to B7 are such networks with the factors rounded by hand.
 */
export function compoundScaling(phi: number): CompoundScale {
  return { depthMultiplier: 1.2 ** phi, widthMultiplier: 1.1 ** phi, resolution: Math.round(224 * 1.15 ** phi) };
}

export const efficientnet_b0 = defineModel(
  'efficientnet_b0',
  (o: EfficientNetOptions & Required<ModelOptions>) => new EfficientNet(o),
  {
    params: 5_288_548,
    macs: 385_814_752,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['classifier'],
    year: 2019,
    summary: 'inverted residuals with squeeze-and-excitation, found by search; the base of the compound scaling rule',
    source: 'Tan and Le 2019, arXiv:1905.11946',
    published: { top1: 77.692, top5: 93.532, weights: 'torchvision EfficientNet_B0_Weights.IMAGENET1K_V1' },
  },
);

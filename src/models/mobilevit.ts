/**
 * MobileViT: a MobileNetV2 whose late stages also attend across the picture, pixel by pixel of its 2×2 patches, at the size of a phone's network.
 * Mehta and Rastegari 2021, "MobileViT: light-weight, general-purpose, and mobile-friendly vision transformer", arXiv:2110.02178. Names and
 * initial values are timm's, but for residual blocks, which start as the identity only on request.
 */

import { BatchNorm2d, Conv2d, DropPath, init, LayerNorm, Linear, Module, Sequential } from '../nn/index.js';
import { concat, type Tensor } from '../tensor/index.js';
import { ClassifierHead } from './classifier-head.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import { makeDivisible } from './inverted-residual.js';
import { preprocessing } from './preprocessing.js';
import { TransformerBlock } from './vision-transformer.js';

export interface MobileViTOptions extends ModelOptions {
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
  /** Starts residual blocks as the identity: the last batch norm's weight is 0 (Goyal et al. 2017, arXiv:1706.02677), as in timm. */
  readonly zeroInitResidual?: boolean;
}

/** What distinguishes the members of the family. */
interface Architecture {
  /** Channels of the five stages. */
  readonly widths: readonly [number, number, number, number, number];
  /** Channels of the tokens in the last three stages. */
  readonly dims: readonly [number, number, number];
  /** Channels in the middle of an inverted residual, as a multiple of those that come in. */
  readonly expansion: number;
  /** Channels in front of the classifier. */
  readonly features: number;
}

/** Convolution, batch norm and, unless told otherwise, SiLU; the resolution stays with stride 1. */
class ConvNorm extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;
  readonly #activates: boolean;

  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: number,
    { stride = 1, groups = 1, activates = true }: { stride?: number; groups?: number; activates?: boolean } = {},
  ) {
    super();
    const padding = (kernelSize - 1) / 2;
    this.conv = new Conv2d(inChannels, outChannels, kernelSize, { stride, padding, groups, bias: false });
    this.bn = new BatchNorm2d(outChannels);
    this.#activates = activates;
  }

  override forward(x: Tensor): Tensor {
    const y = this.bn.forward(this.conv.forward(x));
    return this.#activates ? y.silu() : y;
  }
}

/** 1×1 up, depthwise 3×3, 1×1 down; added to the input where that has the same shape. */
class Bottleneck extends Module {
  readonly conv1_1x1: ConvNorm;
  readonly conv2_kxk: ConvNorm;
  readonly conv3_1x1: ConvNorm;
  readonly drop_path: DropPath;
  readonly residual: boolean;

  constructor(
    inChannels: number,
    outChannels: number,
    { stride, expansion, dropPath }: { stride: number; expansion: number; dropPath: number },
  ) {
    super();
    const middle = makeDivisible(inChannels * expansion);
    this.residual = stride === 1 && inChannels === outChannels;
    this.conv1_1x1 = new ConvNorm(inChannels, middle, 1);
    this.conv2_kxk = new ConvNorm(middle, middle, 3, { stride, groups: middle });
    this.conv3_1x1 = new ConvNorm(middle, outChannels, 1, { activates: false });
    this.drop_path = new DropPath(dropPath);
  }

  override forward(x: Tensor): Tensor {
    const y = this.conv3_1x1.forward(this.conv2_kxk.forward(this.conv1_1x1.forward(x)));
    return this.residual ? this.drop_path.forward(y).add(x) : y;
  }
}

/**
 * A convolution for what is near, a transformer for what is far, and a convolution that joins both with the input: [N, channels, H, W] → the same.
 * The map is cut into patches of 2×2; pixels at the same place of their patches attend to each other.
 */
export class MobileViTBlock extends Module {
  readonly conv_kxk: ConvNorm;
  readonly conv_1x1: Conv2d;
  readonly transformer: Sequential;
  readonly norm: LayerNorm;
  readonly conv_proj: ConvNorm;
  readonly conv_fusion: ConvNorm;

  constructor(channels: number, { dim, depth, dropPath }: { dim: number; depth: number; dropPath: number }) {
    super();
    const block = { numHeads: 4, hiddenFeatures: 2 * dim, eps: 1e-5, activation: (x: Tensor) => x.silu(), dropPath };
    this.conv_kxk = new ConvNorm(channels, channels, 3);
    this.conv_1x1 = new Conv2d(channels, dim, 1, { bias: false });
    this.transformer = new Sequential(Array.from({ length: depth }, () => new TransformerBlock(dim, block)));
    this.norm = new LayerNorm(dim);
    this.conv_proj = new ConvNorm(dim, channels, 1);
    this.conv_fusion = new ConvNorm(2 * channels, channels, 3);
  }

  override forward(x: Tensor): Tensor {
    const y = this.conv_1x1.forward(this.conv_kxk.forward(x));
    const far = this.#acrossPatches(y, (tokens) => this.norm.forward(this.transformer.forward(tokens)));
    return this.conv_fusion.forward(concat([x, this.conv_proj.forward(far)], 1));
  }

  /** Applies `body` to the pixels at each place of their patches, [4 · N, patches, dim]; maps of odd size are resized for it and back. */
  #acrossPatches(x: Tensor, body: (tokens: Tensor) => Tensor): Tensor {
    const [n, c, height, width] = x.shape;
    const [rows, columns] = [Math.ceil(height / 2), Math.ceil(width / 2)];
    const even = x.interpolate({ size: [2 * rows, 2 * columns], mode: 'bilinear' });
    const places = even.reshape([n, c, rows, 2, columns, 2]).permute([0, 3, 5, 2, 4, 1]);
    const tokens = body(places.reshape([4 * n, rows * columns, c]));
    const map = tokens.reshape([n, 2, 2, rows, columns, c]).permute([0, 5, 3, 1, 4, 2]);
    return map.reshape([n, c, 2 * rows, 2 * columns]).interpolate({ size: [height, width], mode: 'bilinear' });
  }
}

/** Pictures [N, inChannels, H, W], H and W from 32 up → class scores [N, numClasses]. */
export class MobileViT extends Module {
  readonly stem: ConvNorm;
  readonly stages: Sequential;
  readonly final_conv: ConvNorm;
  readonly head: ClassifierHead;

  constructor(options: MobileViTOptions & Required<ModelOptions> & Architecture) {
    super();
    const { numClasses, inChannels, widths, dims, expansion, features, dropout = 0, stochasticDepth = 0 } = options;
    const { zeroInitResidual = false } = options;
    let channels = 16;
    let index = 0;
    const dropPath = () => (stochasticDepth * index++) / 9; // of ten blocks
    const residual = (outChannels: number, stride: number) => {
      const block = new Bottleneck(channels, outChannels, { stride, expansion, dropPath: dropPath() });
      channels = outChannels;
      return block;
    };
    this.stem = new ConvNorm(inChannels, channels, 3, { stride: 2 });
    this.stages = new Sequential(
      new Sequential(residual(widths[0], 1)),
      new Sequential(residual(widths[1], 2), residual(widths[1], 1), residual(widths[1], 1)),
    );
    for (const [i, depth] of [2, 4, 3].entries()) {
      const near = residual(widths[2 + i], 2);
      this.stages.add(
        new Sequential(near, new MobileViTBlock(channels, { dim: dims[i], depth, dropPath: dropPath() })),
      );
    }
    this.final_conv = new ConvNorm(channels, features, 1);
    this.head = new ClassifierHead(features, numClasses, dropout);

    for (const module of this.modules()) {
      if (module instanceof Conv2d) {
        init.normal(
          module.weight,
          0,
          Math.sqrt(2 / ((module.outChannels * module.kernelSize[0] ** 2) / module.groups)),
        );
      }
      if (module instanceof Linear) {
        init.normal(module.weight, 0, 0.01);
        init.zeros(module.bias!);
      }
      if (zeroInitResidual && module instanceof Bottleneck && module.residual) init.zeros(module.conv3_1x1.bn.weight!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.final_conv.forward(this.stages.forward(this.stem.forward(x)));
    return this.head.forward(x.mean([2, 3]));
  }
}

function mobilevit(name: string, architecture: Architecture, facts: Pick<ModelFacts, 'params' | 'macs' | 'published'>) {
  return defineModel(name, (o: MobileViTOptions & Required<ModelOptions>) => new MobileViT({ ...architecture, ...o }), {
    input: [3, 256, 256],
    numClasses: 1000,
    output: 'logits',
    heads: ['head.fc'],
    year: 2021,
    summary: 'a MobileNetV2 whose late stages also attend across the whole picture',
    source: 'Mehta and Rastegari 2021, arXiv:2110.02178',
    preprocessing: preprocessing(256, { resize: 284, interpolation: 'bicubic', statistics: 'unit' }),
    ...facts,
  });
}

const xxs: Architecture = { widths: [16, 24, 48, 64, 80], dims: [64, 80, 96], expansion: 2, features: 320 };
const xs: Architecture = { widths: [32, 48, 64, 80, 96], dims: [96, 120, 144], expansion: 4, features: 384 };
const s: Architecture = { widths: [32, 64, 96, 128, 160], dims: [144, 192, 240], expansion: 4, features: 640 };

export const mobilevit_xxs = mobilevit('mobilevit_xxs', xxs, {
  params: 1_272_024,
  macs: 407_364_096,
  published: { top1: 68.936, top5: 88.942, weights: 'timm mobilevit_xxs.cvnets_in1k' },
});

export const mobilevit_xs = mobilevit('mobilevit_xs', xs, {
  params: 2_317_848,
  macs: 1_025_911_808,
  published: { top1: 74.618, top5: 92.35, weights: 'timm mobilevit_xs.cvnets_in1k' },
});

export const mobilevit_s = mobilevit('mobilevit_s', s, {
  params: 5_578_632,
  macs: 2_000_831_488,
  published: { top1: 78.298, top5: 94.168, weights: 'timm mobilevit_s.cvnets_in1k' },
});

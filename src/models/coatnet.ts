/**
 * CoAtNet: two stages of depthwise convolutions, which see what is near and learn fast, then two of attention, which see everything and end
 * better. Dai, Liu, Le and Tan 2021, "CoAtNet: marrying convolution and attention for all data sizes", arXiv:2106.04803. Names, initial
 * values and details (average pooling where the paper strides, attention over distances within the map) are those of timm's `rw` models.
 */

import {
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  DropPath,
  init,
  LayerNorm2d,
  Mlp,
  Module,
  RelativePositionBias,
  Sequential,
} from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { ClassifierHead } from './classifier-head.js';
import { defineModel, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';

export interface CoAtNetOptions extends ModelOptions {
  /** Height and width of the largest pictures: attention learns a number for each distance that they have. */
  readonly imageSize?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
}

interface Architecture {
  readonly stem: readonly [number, number];
  readonly widths: readonly [number, number, number, number];
  readonly depths: readonly [number, number, number, number];
}

interface BlockOptions {
  /** Half the resolution: the first block of a stage. */
  readonly shrinks: boolean;
  readonly dropPath: number;
}

/** Half the resolution by averaging, then a 1×1 convolution where the channels differ. */
class Downsample extends Module {
  readonly pool: AvgPool2d;
  readonly expand: Conv2d | null;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.pool = new AvgPool2d(2);
    this.expand = inChannels === outChannels ? null : new Conv2d(inChannels, outChannels, 1, { bias: false });
  }

  override forward(x: Tensor): Tensor {
    const y = this.pool.forward(x);
    return this.expand?.forward(y) ?? y;
  }
}

/** Scales each channel by what all pixels of all channels say about it. Hu et al. 2017, arXiv:1709.01507. */
class SqueezeExcitation extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor(channels: number, reduced: number) {
    super();
    this.fc1 = new Conv2d(channels, reduced, 1);
    this.fc2 = new Conv2d(reduced, channels, 1);
  }

  override forward(x: Tensor): Tensor {
    return x.mul(this.fc2.forward(this.fc1.forward(x.mean([2, 3], { keepDims: true })).relu()).sigmoid());
  }
}

/** An inverted residual that normalises first: [N, inChannels, H, W] → [N, outChannels, H, W] or half of that. */
export class MBConvBlock extends Module {
  readonly shortcut: Downsample | null;
  readonly pre_norm: BatchNorm2d;
  readonly down: Downsample | null;
  readonly conv1_1x1: Conv2d;
  readonly norm1: BatchNorm2d;
  readonly conv2_kxk: Conv2d;
  readonly se_early: SqueezeExcitation;
  readonly norm2: BatchNorm2d;
  readonly conv3_1x1: Conv2d;
  readonly drop_path: DropPath;

  constructor(inChannels: number, outChannels: number, { shrinks, dropPath }: BlockOptions) {
    super();
    const wide = 4 * inChannels;
    this.shortcut = shrinks ? new Downsample(inChannels, outChannels) : null;
    this.pre_norm = new BatchNorm2d(inChannels);
    this.down = shrinks ? new Downsample(inChannels, inChannels) : null;
    this.conv1_1x1 = new Conv2d(inChannels, wide, 1, { bias: false });
    this.norm1 = new BatchNorm2d(wide);
    this.conv2_kxk = new Conv2d(wide, wide, 3, { padding: 1, groups: wide, bias: false });
    this.se_early = new SqueezeExcitation(wide, wide / 4);
    this.norm2 = new BatchNorm2d(wide);
    this.conv3_1x1 = new Conv2d(wide, outChannels, 1, { bias: false });
    this.drop_path = new DropPath(dropPath);

    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      init.normal(module.weight, 0, Math.sqrt(2 / ((module.outChannels * module.kernelSize[0] ** 2) / module.groups)));
      if (module.bias !== null) init.zeros(module.bias);
    }
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.shortcut?.forward(x) ?? x;
    let y = this.pre_norm.forward(x).silu();
    y = this.down?.forward(y) ?? y;
    y = this.norm1.forward(this.conv1_1x1.forward(y)).silu();
    y = this.norm2.forward(this.se_early.forward(this.conv2_kxk.forward(y))).silu();
    return this.drop_path.forward(this.conv3_1x1.forward(y)).add(shortcut);
  }
}

/** Attention among all pixels of a map: [N, inChannels, H, W] → [N, outChannels, H, W]. Each head has 32 channels. */
export class MapAttention extends Module {
  readonly qkv: Conv2d;
  readonly rel_pos: RelativePositionBias;
  readonly proj: Conv2d;
  readonly numHeads: number;

  constructor(inChannels: number, outChannels: number, windowSize: number) {
    super();
    this.numHeads = inChannels / 32;
    this.qkv = new Conv2d(inChannels, 3 * inChannels, 1);
    this.rel_pos = new RelativePositionBias([windowSize, windowSize], this.numHeads);
    this.proj = new Conv2d(inChannels, outChannels, 1);
  }

  override forward(x: Tensor): Tensor {
    const [n, , h, w] = x.shape;
    const [q, k, v] = this.qkv
      .forward(x)
      .reshape([n, this.numHeads, 3 * 32, h * w])
      .chunk(3, 2); // [N, numHeads, 32, H · W]
    const scores = q
      .mul(32 ** -0.5)
      .transpose(2, 3)
      .matmul(k)
      .add(this.rel_pos.forward([h, w]));
    const mixed = v.matmul(scores.softmax(-1).transpose(2, 3));
    return this.proj.forward(mixed.reshape([n, this.numHeads * 32, h, w]));
  }
}

/** Attention, then two layers at each pixel: [N, inChannels, H, W] → [N, outChannels, H, W] or half of that. */
export class MapTransformerBlock extends Module {
  readonly shortcut: Downsample | null;
  readonly norm1: LayerNorm2d | Sequential;
  readonly attn: MapAttention;
  readonly norm2: LayerNorm2d;
  readonly mlp: Mlp;
  readonly drop_path: DropPath;

  constructor(
    inChannels: number,
    outChannels: number,
    { shrinks, dropPath, windowSize }: BlockOptions & { windowSize: number },
  ) {
    super();
    const norm = new LayerNorm2d(inChannels);
    this.shortcut = shrinks ? new Downsample(inChannels, outChannels) : null;
    this.norm1 = shrinks ? new Sequential({ norm, down: new Downsample(inChannels, inChannels) }) : norm;
    this.attn = new MapAttention(inChannels, outChannels, windowSize);
    this.norm2 = new LayerNorm2d(outChannels);
    this.mlp = new Mlp(outChannels, { conv: true });
    this.drop_path = new DropPath(dropPath);

    for (const [path, module] of this.namedModules()) {
      if (!(module instanceof Conv2d)) continue;
      init.xavierUniform(module.weight);
      if (module.bias === null) continue;
      if (path.startsWith('mlp')) init.normal(module.bias, 0, 1e-6);
      else init.zeros(module.bias);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.drop_path.forward(this.attn.forward(this.norm1.forward(x))).add(this.shortcut?.forward(x) ?? x);
    return x.add(this.drop_path.forward(this.mlp.forward(this.norm2.forward(x))));
  }
}

/** A 3×3 convolution of stride 2 and one of stride 1. */
class Stem extends Module {
  readonly conv1: Conv2d;
  readonly norm1: BatchNorm2d;
  readonly conv2: Conv2d;

  constructor(inChannels: number, [first, second]: readonly [number, number]) {
    super();
    this.conv1 = new Conv2d(inChannels, first, 3, { stride: 2, padding: 1, bias: false });
    this.norm1 = new BatchNorm2d(first);
    this.conv2 = new Conv2d(first, second, 3, { padding: 1, bias: false });
    for (const { weight } of [this.conv1, this.conv2])
      init.kaimingNormal(weight, { mode: 'fanOut', nonlinearity: 'relu' });
  }

  override forward(x: Tensor): Tensor {
    return this.conv2.forward(this.norm1.forward(this.conv1.forward(x)).silu());
  }
}

class Stage extends Module {
  readonly blocks: Sequential;

  constructor(blocks: readonly Module[]) {
    super();
    this.blocks = new Sequential(blocks);
  }

  override forward(x: Tensor): Tensor {
    return this.blocks.forward(x);
  }
}

/** Pictures [N, inChannels, H, W], H and W from 32 to imageSize → class scores [N, numClasses]. */
export class CoAtNet extends Module {
  readonly stem: Stem;
  readonly stages: Sequential;
  readonly norm: LayerNorm2d;
  readonly head: ClassifierHead;

  constructor(options: CoAtNetOptions & Required<ModelOptions> & Architecture) {
    super();
    const { numClasses, inChannels, imageSize = 224, dropout = 0, stochasticDepth = 0 } = options;
    const { stem, widths, depths } = options;
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    this.stem = new Stem(inChannels, stem);
    this.stages = new Sequential();
    let index = 0;
    let channels = stem[1];
    for (const [i, depth] of depths.entries()) {
      const windowSize = Math.ceil(imageSize / 2 ** (i + 2));
      const blocks = Array.from({ length: depth }, (_, j) => {
        const block = { shrinks: j === 0, dropPath: (stochasticDepth * index++) / (total - 1), windowSize };
        const from = j === 0 ? channels : widths[i];
        return i < 2 ? new MBConvBlock(from, widths[i], block) : new MapTransformerBlock(from, widths[i], block);
      });
      this.stages.add(new Stage(blocks));
      channels = widths[i];
    }
    this.norm = new LayerNorm2d(channels);
    this.head = new ClassifierHead(channels, numClasses, dropout);
  }

  override forward(x: Tensor): Tensor {
    x = this.stages.forward(this.stem.forward(x));
    return this.head.forward(this.norm.forward(x).mean([2, 3]));
  }
}

export const coatnet_0_rw_224 = defineModel(
  'coatnet_0_rw_224',
  (o: CoAtNetOptions & Required<ModelOptions>) =>
    new CoAtNet({ stem: [32, 64], widths: [96, 192, 384, 768], depths: [2, 3, 7, 2], ...o }),
  {
    params: 27_435_562,
    macs: 4_406_300_928,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['head.fc'],
    year: 2021,
    summary: 'depthwise convolutions first, attention over all pixels after; number 0 of its sizes',
    source: 'Dai et al. 2021, arXiv:2106.04803',
    aliases: ['coatnet_0'],
    published: { top1: 82.396, top5: 95.844, weights: 'timm coatnet_0_rw_224.sw_in1k' },
    preprocessing: preprocessing(224, { resize: 235, interpolation: 'bicubic', statistics: 'symmetric' }),
  },
);

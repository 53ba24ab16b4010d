/**
 * Swin: a transformer that attends within small windows, shifted by half from block to block so that neighbours meet, on maps that shrink
 * from stage to stage like a convolutional network's. Liu, Lin, Cao, Hu, Wei, Zhang, Lin and Guo 2021, "Swin Transformer: hierarchical vision
 * transformer using shifted windows", arXiv:2103.14030. Names and initial values are timm's. Maps are [N, H, W, C] throughout.
 */

import {
  Conv2d,
  DropPath,
  init,
  LayerNorm,
  Linear,
  Mlp,
  Module,
  RelativePositionBias,
  Sequential,
} from '../nn/index.js';
import { type Parameter, type Tensor, tensor } from '../tensor/index.js';
import { ClassifierHead } from './classifier-head.js';
import { defineModel, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';
import type { RemapTable } from './remap.js';

export interface SwinTransformerOptions extends ModelOptions {
  /** Height and width of the pictures that windows are cut for; other multiples of 4 are taken too, padded with zeros to whole windows. */
  readonly imageSize?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
}

interface Architecture {
  readonly patchSize: number;
  readonly windowSize: number;
  /** Channels of the first stage; each further one has twice as many. */
  readonly dim: number;
  readonly depths: readonly number[];
  readonly numHeads: readonly number[];
}

interface BlockOptions {
  readonly numHeads: number;
  readonly windowSize: number;
  /** How far the windows are moved down and right. */
  readonly shift: number;
  readonly dropPath: number;
}

/** Patches as pixels of a map: [N, inChannels, H, W] → [N, H / p, W / p, dim]. */
class SwinPatchEmbed extends Module {
  readonly proj: Conv2d;
  readonly norm: LayerNorm;

  constructor(inChannels: number, dim: number, patchSize: number) {
    super();
    this.proj = new Conv2d(inChannels, dim, patchSize, { stride: patchSize });
    this.norm = new LayerNorm(dim);
  }

  override forward(x: Tensor): Tensor {
    return this.norm.forward(this.proj.forward(x).permute([0, 2, 3, 1]));
  }
}

/** Attention among the pixels of each window, with a learned number for each distance: [N · windows, L, dim] → the same, L = windowSize². */
export class WindowAttention extends Module {
  readonly relative_position_bias_table: Parameter; // [(2 · windowSize − 1)², numHeads]
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly #positions: RelativePositionBias;

  constructor(
    readonly dim: number,
    readonly windowSize: number,
    readonly numHeads: number,
  ) {
    super();
    this.#positions = new RelativePositionBias([windowSize, windowSize], numHeads);
    this.relative_position_bias_table = this.#positions.relative_position_bias_table;
    this.qkv = new Linear(dim, 3 * dim);
    this.proj = new Linear(dim, dim);
  }

  /** `mask` [windows, L, L] is added to the scores of every head. */
  override forward(x: Tensor, mask: Tensor | null): Tensor {
    const [n, l] = x.shape;
    const split = this.qkv.forward(x).reshape([n, l, 3, this.numHeads, this.dim / this.numHeads]);
    const [q, k, v] = split.permute([2, 0, 3, 1, 4]).unbind(0); // [N · windows, numHeads, L, dim / numHeads]
    const scale = (this.dim / this.numHeads) ** -0.5;
    let scores = q.mul(scale).matmul(k.transpose(-2, -1)).add(this.#positions.forward());
    if (mask !== null) {
      const perWindow = scores.reshape([-1, mask.shape[0], this.numHeads, l, l]);
      scores = perWindow.add(mask.unsqueeze(1)).reshape(scores.shape);
    }
    return this.proj.forward(scores.softmax(-1).matmul(v).transpose(1, 2).flatten(2));
  }
}

/** Attention within windows, then two layers at each pixel: [N, H, W, dim] → the same. */
export class SwinTransformerBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: WindowAttention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly drop_path: DropPath;
  readonly windowSize: number;
  readonly shift: number;
  readonly #masks = new Map<string, Tensor>();

  constructor(dim: number, { numHeads, windowSize, shift, dropPath }: BlockOptions) {
    super();
    this.windowSize = windowSize;
    this.shift = shift;
    this.norm1 = new LayerNorm(dim);
    this.attn = new WindowAttention(dim, windowSize, numHeads);
    this.norm2 = new LayerNorm(dim);
    this.mlp = new Mlp(dim);
    this.drop_path = new DropPath(dropPath);
  }

  override forward(x: Tensor): Tensor {
    x = x.add(this.drop_path.forward(this.#attend(this.norm1.forward(x))));
    return x.add(this.drop_path.forward(this.mlp.forward(this.norm2.forward(x))));
  }

  #attend(x: Tensor): Tensor {
    const { windowSize: size, shift } = this;
    const [n, h, w, c] = x.shape;
    const rows = Math.ceil(h / size);
    const columns = Math.ceil(w / size);
    const moved = shift === 0 ? x : x.roll([-shift, -shift], [1, 2]);
    const whole = moved.pad([
      [0, rows * size - h],
      [0, columns * size - w],
      [0, 0],
    ]);
    // Each window's pixels in a row.
    const windows = whole.reshape([n, rows, size, columns, size, c]).permute([0, 1, 3, 2, 4, 5]);
    const attended = this.attn.forward(windows.reshape([-1, size * size, c]), this.#mask(rows, columns));
    const back = attended.reshape([n, rows, columns, size, size, c]).permute([0, 1, 3, 2, 4, 5]);
    const cut = back.reshape([n, rows * size, columns * size, c]).slice(':', [0, h], [0, w]);
    return shift === 0 ? cut : cut.roll([shift, shift], [1, 2]);
  }

  /** [windows, L, L]: −100 between pixels that moving brought together from opposite borders; null where nothing moved. */
  #mask(rows: number, columns: number): Tensor | null {
    if (this.shift === 0) return null;
    const key = `${rows} ${columns}`;
    const known = this.#masks.get(key);
    if (known !== undefined) return known;
    const { windowSize: size, shift } = this;
    const region = (i: number, length: number) => (i < length - size ? 0 : i < length - shift ? 1 : 2);
    const area = size * size;
    const mask = new Float32Array(rows * columns * area * area);
    for (let window = 0; window < rows * columns; window++) {
      const regions = Array.from({ length: area }, (_, i) => {
        const y = Math.floor(window / columns) * size + Math.floor(i / size);
        const x = (window % columns) * size + (i % size);
        return 3 * region(y, rows * size) + region(x, columns * size);
      });
      for (let i = 0; i < area * area; i++) {
        if (regions[Math.floor(i / area)] !== regions[i % area]) mask[window * area * area + i] = -100;
      }
    }
    const made = tensor(mask, { shape: [rows * columns, area, area] });
    this.#masks.set(key, made);
    return made;
  }
}

/** Four pixels become one of twice the channels: [N, H, W, dim] → [N, ⌈H / 2⌉, ⌈W / 2⌉, 2 · dim]. */
export class PatchMerging extends Module {
  readonly norm: LayerNorm;
  readonly reduction: Linear;

  constructor(dim: number) {
    super();
    this.norm = new LayerNorm(4 * dim);
    this.reduction = new Linear(4 * dim, 2 * dim, { bias: false });
  }

  override forward(x: Tensor): Tensor {
    const [n, h, w, c] = x.shape;
    const even = x.pad([
      [0, h % 2],
      [0, w % 2],
      [0, 0],
    ]);
    const squares = even.reshape([n, Math.ceil(h / 2), 2, Math.ceil(w / 2), 2, c]);
    return this.reduction.forward(this.norm.forward(squares.permute([0, 1, 3, 4, 2, 5]).flatten(3)));
  }
}

/** Half the resolution (not in the first stage), then blocks. */
export class SwinTransformerStage extends Module {
  readonly downsample: PatchMerging | null;
  readonly blocks: Sequential;

  constructor(inDim: number, dim: number, blocks: readonly BlockOptions[]) {
    super();
    this.downsample = inDim === dim ? null : new PatchMerging(inDim);
    this.blocks = new Sequential(blocks.map((options) => new SwinTransformerBlock(dim, options)));
  }

  override forward(x: Tensor): Tensor {
    return this.blocks.forward(this.downsample?.forward(x) ?? x);
  }
}

/** Pictures [N, inChannels, H, W], H and W multiples of 4 → class scores [N, numClasses]. */
export class SwinTransformer extends Module {
  readonly patch_embed: SwinPatchEmbed;
  readonly layers: Sequential;
  readonly norm: LayerNorm;
  readonly head: ClassifierHead;

  constructor(options: SwinTransformerOptions & Required<ModelOptions> & Architecture) {
    super();
    const { numClasses, inChannels, imageSize = 224, dropout = 0, stochasticDepth = 0.2 } = options;
    const { patchSize, windowSize, dim, depths, numHeads } = options;
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    this.patch_embed = new SwinPatchEmbed(inChannels, dim, patchSize);
    this.layers = new Sequential();
    let index = 0;
    for (const [i, depth] of depths.entries()) {
      const resolution = Math.floor(imageSize / patchSize / 2 ** i);
      const blocks = Array.from({ length: depth }, (_, j) => ({
        numHeads: numHeads[i],
        windowSize: Math.min(windowSize, resolution),
        // Every second block; nothing to meet where one window is the whole map.
        shift: j % 2 === 1 && resolution > windowSize ? Math.floor(windowSize / 2) : 0,
        dropPath: (stochasticDepth * index++) / (total - 1),
      }));
      this.layers.add(new SwinTransformerStage(dim * 2 ** Math.max(i - 1, 0), dim * 2 ** i, blocks));
    }
    const features = dim * 2 ** (depths.length - 1);
    this.norm = new LayerNorm(features);
    this.head = new ClassifierHead(features, numClasses, dropout);
    for (const module of this.modules()) {
      if (!(module instanceof Linear)) continue;
      init.truncNormal(module.weight, { std: 0.02 });
      if (module.bias !== null) init.zeros(module.bias);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.patch_embed.forward(x);
    x = this.norm.forward(this.layers.forward(x));
    return this.head.forward(x.mean([1, 2]));
  }
}

/** torchvision's names: features.1, 3, 5, 7 are the stages, 2, 4, 6 the mergings between them; the index of the bias tables is stored too. */
const torchvision: RemapTable = {
  source: 'torchvision',
  when: /^features\.1\.0\.attn\.relative_position_bias_table$/,
  rules: [
    { from: /relative_position_index$/, to: null },
    { from: /^features\.0\.0\./, to: 'patch_embed.proj.' },
    { from: /^features\.0\.2\./, to: 'patch_embed.norm.' },
    {
      from: /^features\.([1357])\.(\d+)\.(.+)$/,
      to: ([, stage, block, rest]) => {
        const name = rest.replace(/^mlp\.0\./, 'mlp.fc1.').replace(/^mlp\.3\./, 'mlp.fc2.');
        return `layers.${(Number(stage) - 1) / 2}.blocks.${block}.${name}`;
      },
    },
    {
      from: /^features\.([246])\.(.+)$/,
      to: ([, between, rest]) => `layers.${Number(between) / 2}.downsample.${rest}`,
    },
    { from: /^head\./, to: 'head.fc.' },
  ],
};

/** The authors' names, and those of older timm: the merging stands at the end of a stage, and what can be computed is stored. */
const original: RemapTable = {
  source: 'the original repository',
  when: /^layers\.0\.downsample\.reduction\.weight$/,
  rules: [
    { from: /(relative_position_index|attn_mask)$/, to: null },
    {
      from: /^layers\.(\d+)\.downsample\.(.+)$/,
      to: ([, stage, rest]) => `layers.${Number(stage) + 1}.downsample.${rest}`,
    },
    { from: /^head\.(weight|bias)$/, to: 'head.fc.$1' },
  ],
};

const tiny: Architecture = { patchSize: 4, windowSize: 7, dim: 96, depths: [2, 2, 6, 2], numHeads: [3, 6, 12, 24] };

export const swin_t = defineModel(
  'swin_t',
  (o: SwinTransformerOptions & Required<ModelOptions>) => new SwinTransformer({ ...tiny, ...o }),
  {
    params: 28_288_354,
    macs: 4_490_566_656,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['head.fc'],
    year: 2021,
    summary: 'attention within windows that shift from block to block, on maps that shrink from stage to stage',
    source: 'Liu et al. 2021, arXiv:2103.14030',
    aliases: ['swin_tiny_patch4_window7_224'],
    published: { top1: 81.474, top5: 95.776, weights: 'torchvision Swin_T_Weights.IMAGENET1K_V1' },
    preprocessing: preprocessing(224, { resize: 232, interpolation: 'bicubic' }),
    remaps: [torchvision, original],
  },
);

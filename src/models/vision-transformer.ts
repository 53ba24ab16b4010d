/**
 * Vision transformers: a picture as a sequence of patches, read by the same network that reads text. Dosovitskiy et al. 2020, "An image is
 * worth 16×16 words", arXiv:2010.11929. DeiT trains them on ImageNet alone, if asked with a second token that learns from a convolutional
 * teacher: Touvron et al. 2020, arXiv:2012.12877. Names and initial values are timm's.
 */

import {
  Attention,
  Dropout,
  DropPath,
  init,
  LayerNorm,
  Linear,
  Mlp,
  Module,
  PatchEmbed,
  parameter,
  Sequential,
} from '../nn/index.js';
import { concat, type Parameter, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { resamplingMatrix } from '../util/resampling.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';
import type { RemapTable, Stored } from './remap.js';

export interface VisionTransformerOptions extends ModelOptions {
  /** Height and width of the pictures that the position embeddings are for; others are taken too, with resampled ones. */
  readonly imageSize?: number;
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
  /** Blocks, for networks of other depths. */
  readonly depth?: number;
}

/** What distinguishes the members of the family. */
interface Architecture {
  readonly patchSize: number;
  readonly dim: number;
  readonly numHeads: number;
  /** A second token that learns from a teacher's answers, with its own classifier; in evaluation the two classifiers' mean counts. */
  readonly distilled?: boolean;
}

export interface TransformerBlockOptions {
  readonly numHeads: number;
  readonly hiddenFeatures?: number;
  readonly eps?: number;
  readonly activation?: (x: Tensor) => Tensor;
  readonly dropPath?: number;
}

/** Attention, then two layers at each token; both read normalised tokens and add to them: [N, L, dim] → the same. */
export class TransformerBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly drop_path: DropPath;

  constructor(
    dim: number,
    { numHeads, hiddenFeatures, eps = 1e-6, activation, dropPath = 0 }: TransformerBlockOptions,
  ) {
    super();
    this.norm1 = new LayerNorm(dim, { eps });
    this.attn = new Attention(dim, numHeads);
    this.norm2 = new LayerNorm(dim, { eps });
    this.mlp = new Mlp(dim, { hiddenFeatures, activation });
    this.drop_path = new DropPath(dropPath);
  }

  override forward(x: Tensor): Tensor {
    x = x.add(this.drop_path.forward(this.attn.forward(this.norm1.forward(x))));
    return x.add(this.drop_path.forward(this.mlp.forward(this.norm2.forward(x))));
  }
}

/** Pictures [N, inChannels, H, W], H and W multiples of the patch → class scores [N, numClasses]. */
export class VisionTransformer extends Module {
  readonly cls_token: Parameter; // [1, 1, dim]
  readonly pos_embed: Parameter; // [1, prefix tokens + patches, dim]
  readonly dist_token: Parameter | null; // [1, 1, dim]
  readonly patch_embed: PatchEmbed;
  readonly blocks: Sequential;
  readonly norm: LayerNorm;
  readonly head: Linear;
  readonly head_dist: Linear | null;
  readonly patchSize: number;
  readonly #grid: number;
  readonly #dropout: Dropout;

  constructor(options: VisionTransformerOptions & Required<ModelOptions> & Architecture) {
    super();
    const { numClasses, inChannels, imageSize = 224, patchSize, dim, numHeads, distilled = false } = options;
    const { depth = 12, dropout = 0, stochasticDepth = 0 } = options;
    if (imageSize % patchSize !== 0) {
      throw new ConfigError(
        `VisionTransformer: imageSize = ${imageSize} must be a multiple of the patch, ${patchSize}`,
      );
    }
    this.patchSize = patchSize;
    this.#grid = imageSize / patchSize;
    this.cls_token = init.normal(parameter([1, 1, dim]), 0, 1e-6);
    this.pos_embed = init.truncNormal(parameter([1, (distilled ? 2 : 1) + this.#grid ** 2, dim]), { std: 0.02 });
    this.dist_token = distilled ? init.truncNormal(parameter([1, 1, dim]), { std: 0.02 }) : null;
    this.patch_embed = new PatchEmbed({ patchSize, inChannels, embedDim: dim });
    this.blocks = new Sequential(
      Array.from(
        { length: depth },
        (_, i) => new TransformerBlock(dim, { numHeads, dropPath: (stochasticDepth * i) / Math.max(depth - 1, 1) }),
      ),
    );
    this.norm = new LayerNorm(dim, { eps: 1e-6 });
    this.head = new Linear(dim, numClasses);
    this.head_dist = distilled ? new Linear(dim, numClasses) : null;
    this.#dropout = new Dropout(dropout);
    initTransformer(this);
  }

  override forward(x: Tensor): Tensor {
    const [n, , height, width] = x.shape;
    const prefix = [this.cls_token, ...(this.dist_token === null ? [] : [this.dist_token])];
    const patches = this.patch_embed.forward(x);
    const tokens = concat([...prefix.map((token) => token.expand([n, -1, -1])), patches], 1);
    const y = this.norm.forward(this.blocks.forward(tokens.add(this.#positions(height, width))));

    this.#dropout.training = this.training;
    const scores = this.head.forward(this.#dropout.forward(y.select(1, 0)));
    if (this.head_dist === null) return scores;
    return scores.add(this.head_dist.forward(this.#dropout.forward(y.select(1, 1)))).mul(0.5);
  }

  /** The position embeddings for pictures of this size: bicubic, antialiased, as timm's. */
  #positions(height: number, width: number): Tensor {
    const [h, w] = [height / this.patchSize, width / this.patchSize];
    const grid = this.#grid;
    if (h === grid && w === grid) return this.pos_embed;
    const prefix = this.pos_embed.shape[1] - grid ** 2;
    const map = this.pos_embed
      .narrow(1, prefix, grid ** 2)
      .reshape([1, grid, grid, -1])
      .permute([0, 3, 1, 2]);
    const resized = map.interpolate({ size: [h, w], mode: 'bicubic', antialias: true });
    return concat([this.pos_embed.narrow(1, 0, prefix), resized.flatten(2).transpose(1, 2)], 1);
  }
}

/** timm's initial values for transformers: weights of linear layers normal with deviation 0.02, cut off at ±2, biases 0. */
export function initTransformer(model: Module): void {
  for (const module of model.modules()) {
    if (!(module instanceof Linear)) continue;
    init.truncNormal(module.weight, { std: 0.02 });
    if (module.bias !== null) init.zeros(module.bias);
  }
}

/**
 * Stored position embeddings [1, prefix + g · g, dim] for another number of patches [1, prefix + grid[0] · grid[1], dim]: for reading weights
 * into a model of other pictures. `prefix` counts the tokens in front that have no place in the picture (1, or 2 where distilled).
 */
export function resizePosEmbed(value: Stored, grid: readonly [height: number, width: number], prefix = 1): Stored {
  const { shape, data } = value;
  const from = Math.sqrt(shape[1] - prefix);
  if (shape.length !== 3 || !Number.isInteger(from)) {
    throw new ConfigError(`resizePosEmbed: [${shape}] is not [1, ${prefix} + a square number, dim]`);
  }
  const [, , dim] = shape;
  const [rows, columns] = grid.map((to) => resamplingMatrix({ kind: 'cubic', from, to, antialias: true }));
  const out = new Float32Array((prefix + grid[0] * grid[1]) * dim);
  for (let i = 0; i < prefix * dim; i++) out[i] = data[i];
  const sums = new Float64Array(dim);
  for (let y = 0; y < grid[0]; y++) {
    for (let x = 0; x < grid[1]; x++) {
      sums.fill(0);
      for (let i = 0; i < from * from; i++) {
        const weight = rows[y * from + Math.floor(i / from)] * columns[x * from + (i % from)];
        if (weight === 0) continue;
        for (let c = 0; c < dim; c++) sums[c] += weight * data[(prefix + i) * dim + c];
      }
      out.set(sums, (prefix + y * grid[1] + x) * dim);
    }
  }
  return { shape: [1, prefix + grid[0] * grid[1], dim], data: out };
}

/** torchvision's names. Its attention keeps queries, keys and values in one matrix too, in the same order. */
const torchvision: RemapTable = {
  source: 'torchvision',
  when: /^encoder\.layers\.encoder_layer_0\.ln_1\.weight$/,
  rules: [
    { from: /^class_token$/, to: 'cls_token' },
    { from: /^conv_proj\./, to: 'patch_embed.proj.' },
    { from: /^encoder\.pos_embedding$/, to: 'pos_embed' },
    { from: /^encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\./, to: 'blocks.$1.norm$2.' },
    { from: /^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_/, to: 'blocks.$1.attn.qkv.' },
    { from: /^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\./, to: 'blocks.$1.attn.proj.' },
    { from: /^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\./, to: 'blocks.$1.mlp.fc1.' },
    { from: /^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\./, to: 'blocks.$1.mlp.fc2.' },
    { from: /^encoder\.ln\./, to: 'norm.' },
    { from: /^heads\.head\./, to: 'head.' },
  ],
};

function vit(
  name: string,
  architecture: Architecture,
  facts: Pick<ModelFacts, 'params' | 'macs'> & Partial<ModelFacts>,
) {
  return defineModel(
    name,
    (o: VisionTransformerOptions & Required<ModelOptions>) => new VisionTransformer({ ...architecture, ...o }),
    {
      input: [3, 224, 224],
      numClasses: 1000,
      output: 'logits',
      heads: architecture.distilled ? ['head', 'head_dist'] : ['head'],
      year: 2020,
      ...(name.startsWith('deit') ? deit : plain),
      ...(architecture.distilled ? distilled : {}),
      remaps: [torchvision],
      ...facts,
    },
  );
}

const plain = {
  summary: 'a picture cut into patches, read as a sequence by a transformer',
  source: 'Dosovitskiy et al. 2020, arXiv:2010.11929',
  preprocessing: preprocessing(224, { resize: 248, interpolation: 'bicubic', statistics: 'symmetric' }), // Google's weights, in timm
} as const;

const deit = {
  summary: 'a vision transformer trained on ImageNet alone, with strong augmentation',
  source: 'Touvron et al. 2020, arXiv:2012.12877',
  preprocessing: preprocessing(224, { resize: 248, interpolation: 'bicubic' }),
} as const;

const distilled = { summary: 'DeiT with a second token that learned from a convolutional teacher' } as const;

const tiny = { dim: 192, numHeads: 3 } as const;
const small = { dim: 384, numHeads: 6 } as const;
const base = { dim: 768, numHeads: 12 } as const;

export const vit_tiny_patch16_224 = vit(
  'vit_tiny_patch16_224',
  { ...tiny, patchSize: 16 },
  {
    params: 5_717_416,
    macs: 1_253_683_200,
    published: { top1: 75.452, top5: 92.858, weights: 'timm vit_tiny_patch16_224.augreg_in21k_ft_in1k' },
  },
);

export const vit_small_patch16_224 = vit(
  'vit_small_patch16_224',
  { ...small, patchSize: 16 },
  {
    params: 22_050_664,
    macs: 4_598_882_304,
  },
);

export const vit_small_patch32_224 = vit(
  'vit_small_patch32_224',
  { ...small, patchSize: 32 },
  {
    params: 22_878_952,
    macs: 1_142_909_952,
  },
);

export const vit_b_16 = vit(
  'vit_b_16',
  { ...base, patchSize: 16 },
  {
    params: 86_567_656,
    macs: 17_563_828_224,
    aliases: ['vit_base_patch16_224'],
    published: { top1: 81.072, top5: 95.318, weights: 'torchvision ViT_B_16_Weights.IMAGENET1K_V1' },
    preprocessing: preprocessing(224),
  },
);

export const vit_b_32 = vit(
  'vit_b_32',
  { ...base, patchSize: 32 },
  {
    params: 88_224_232,
    macs: 4_409_186_304,
    aliases: ['vit_base_patch32_224'],
    published: { top1: 75.912, top5: 92.466, weights: 'torchvision ViT_B_32_Weights.IMAGENET1K_V1' },
    preprocessing: preprocessing(224),
  },
);

export const deit_tiny_patch16_224 = vit(
  'deit_tiny_patch16_224',
  { ...tiny, patchSize: 16 },
  {
    params: 5_717_416,
    macs: 1_253_683_200,
    published: { top1: 72.19, top5: 91.1, weights: 'timm deit_tiny_patch16_224.fb_in1k' },
  },
);

export const deit_small_patch16_224 = vit(
  'deit_small_patch16_224',
  { ...small, patchSize: 16 },
  {
    params: 22_050_664,
    macs: 4_598_882_304,
  },
);

export const deit_base_patch16_224 = vit(
  'deit_base_patch16_224',
  { ...base, patchSize: 16 },
  {
    params: 86_567_656,
    macs: 17_563_828_224,
  },
);

export const deit_tiny_distilled_patch16_224 = vit(
  'deit_tiny_distilled_patch16_224',
  { ...tiny, patchSize: 16, distilled: true },
  {
    params: 5_910_800,
    macs: 1_261_003_776,
  },
);

export const deit_small_distilled_patch16_224 = vit(
  'deit_small_distilled_patch16_224',
  { ...small, patchSize: 16, distilled: true },
  {
    params: 22_436_432,
    macs: 4_624_140_288,
  },
);

export const deit_base_distilled_patch16_224 = vit(
  'deit_base_distilled_patch16_224',
  { ...base, patchSize: 16, distilled: true },
  {
    params: 87_338_192,
    macs: 17_656_811_520,
  },
);

/** The family, small to large. */
export const visionTransformers = [
  vit_tiny_patch16_224,
  vit_small_patch16_224,
  vit_small_patch32_224,
  vit_b_16,
  vit_b_32,
  deit_tiny_patch16_224,
  deit_small_patch16_224,
  deit_base_patch16_224,
  deit_tiny_distilled_patch16_224,
  deit_small_distilled_patch16_224,
  deit_base_distilled_patch16_224,
];

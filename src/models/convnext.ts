/**
 * ConvNeXt: a ResNet brought up to date step by step with what made vision transformers good — patches for a stem, large depthwise kernels,
 * few activations and norms, a wide layer inside the block — until it is their equal without attention.
 * Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022, "A ConvNet for the 2020s", arXiv:2201.03545. ConvNeXt V2 puts global response
 * normalisation into the block in place of the layer scale: Woo et al. 2023, arXiv:2301.00808. Names and initial values are timm's.
 */

import {
  Conv2d,
  Dropout,
  DropPath,
  GlobalResponseNorm,
  init,
  LayerNorm,
  LayerNorm2d,
  Linear,
  Module,
  parameter,
  Sequential,
} from '../nn/index.js';
import type { Parameter, Tensor } from '../tensor/index.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';
import { type RemapTable, reshaped } from './remap.js';

export interface ConvNeXtOptions extends ModelOptions {
  /** Share of the features dropped in front of the classifier while training. */
  readonly dropout?: number;
  /** How often training skips the last block; those before it less often, in proportion to their depth. */
  readonly stochasticDepth?: number;
  /** Blocks of the four stages, for networks of other depths. */
  readonly depths?: readonly [number, number, number, number];
}

/** What distinguishes the members of the family. */
interface Architecture {
  readonly depths: readonly [number, number, number, number];
  /** Channels of the first stage; each further one has twice as many. */
  readonly width: number;
  /** The wide layers are 1×1 convolutions: the small networks. Otherwise linear layers on the last axis. */
  readonly convMlp: boolean;
  readonly version: 1 | 2;
  readonly stochasticDepth: number;
}

interface BlockOptions {
  readonly convMlp: boolean;
  readonly version: 1 | 2;
  readonly dropPath: number;
}

/** channels → 4 · channels → channels at each pixel. */
export class ConvNeXtMlp extends Module {
  readonly fc1: Linear | Conv2d;
  readonly grn: GlobalResponseNorm | null;
  readonly fc2: Linear | Conv2d;

  constructor(channels: number, { convMlp, version }: BlockOptions) {
    super();
    const wide = 4 * channels;
    this.fc1 = convMlp ? new Conv2d(channels, wide, 1) : new Linear(channels, wide);
    this.grn = version === 2 ? new GlobalResponseNorm(wide, { channelsLast: !convMlp }) : null;
    this.fc2 = convMlp ? new Conv2d(wide, channels, 1) : new Linear(wide, channels);
  }

  override forward(x: Tensor): Tensor {
    const hidden = this.fc1.forward(x).gelu();
    return this.fc2.forward(this.grn?.forward(hidden) ?? hidden);
  }
}

/** Depthwise 7×7, layer norm, wide layer: [N, channels, H, W] → the same. */
export class ConvNeXtBlock extends Module {
  readonly gamma: Parameter | null; // [channels]
  readonly conv_dw: Conv2d;
  readonly norm: LayerNorm2d | LayerNorm;
  readonly mlp: ConvNeXtMlp;
  readonly drop_path: DropPath;
  readonly #convMlp: boolean;

  constructor(
    readonly channels: number,
    options: BlockOptions,
  ) {
    super();
    const { convMlp, version, dropPath } = options;
    this.#convMlp = convMlp;
    this.gamma = version === 1 ? init.constant(parameter([channels]), 1e-6) : null;
    this.conv_dw = new Conv2d(channels, channels, 7, { padding: 3, groups: channels });
    this.norm = convMlp ? new LayerNorm2d(channels) : new LayerNorm(channels, { eps: 1e-6 });
    this.mlp = new ConvNeXtMlp(channels, options);
    this.drop_path = new DropPath(dropPath);
  }

  override forward(x: Tensor): Tensor {
    let y = this.conv_dw.forward(x);
    if (this.#convMlp) {
      y = this.mlp.forward(this.norm.forward(y));
    } else {
      y = this.mlp.forward(this.norm.forward(y.permute([0, 2, 3, 1]))).permute([0, 3, 1, 2]);
    }
    if (this.gamma !== null) y = y.mul(this.gamma.reshape([this.channels, 1, 1]));
    return this.drop_path.forward(y).add(x);
  }
}

/** Half the resolution (not in the first stage), then blocks. */
export class ConvNeXtStage extends Module {
  readonly downsample: Sequential | null;
  readonly blocks: Sequential;

  constructor(inChannels: number, channels: number, blocks: readonly BlockOptions[]) {
    super();
    this.downsample =
      inChannels === channels
        ? null
        : new Sequential(new LayerNorm2d(inChannels), new Conv2d(inChannels, channels, 2, { stride: 2 }));
    this.blocks = new Sequential(blocks.map((options) => new ConvNeXtBlock(channels, options)));
  }

  override forward(x: Tensor): Tensor {
    return this.blocks.forward(this.downsample?.forward(x) ?? x);
  }
}

/** Maps → class scores: mean over the pixels, norm, classifier. */
export class ConvNeXtHead extends Module {
  readonly norm: LayerNorm2d;
  readonly fc: Linear;
  readonly #dropout: Dropout;

  constructor(features: number, numClasses: number, dropout: number) {
    super();
    this.norm = new LayerNorm2d(features);
    this.fc = new Linear(features, numClasses);
    this.#dropout = new Dropout(dropout);
  }

  override forward(x: Tensor): Tensor {
    this.#dropout.training = this.training;
    const features = this.norm.forward(x.mean([2, 3], { keepDims: true })).flatten(1);
    return this.fc.forward(this.#dropout.forward(features));
  }
}

/** Pictures [N, inChannels, H, W], H and W from 32 up → class scores [N, numClasses]. */
export class ConvNeXt extends Module {
  readonly stem: Sequential;
  readonly stages: Sequential;
  readonly head: ConvNeXtHead;

  constructor(options: ConvNeXtOptions & Required<ModelOptions> & Architecture) {
    super();
    const { numClasses, inChannels, depths, width, stochasticDepth, dropout = 0 } = options;
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    this.stem = new Sequential(new Conv2d(inChannels, width, 4, { stride: 4 }), new LayerNorm2d(width));
    this.stages = new Sequential();
    let index = 0;
    let channels = width;
    for (const [i, depth] of depths.entries()) {
      const blocks = Array.from({ length: depth }, () => ({
        ...options,
        dropPath: (stochasticDepth * index++) / (total - 1),
      }));
      this.stages.add(new ConvNeXtStage(channels, width * 2 ** i, blocks));
      channels = width * 2 ** i;
    }
    this.head = new ConvNeXtHead(channels, numClasses, dropout);

    for (const module of this.modules()) {
      if (!(module instanceof Conv2d || module instanceof Linear)) continue;
      init.truncNormal(module.weight, { std: 0.02 });
      init.zeros(module.bias!);
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.stem.forward(x);
    x = this.stages.forward(x);
    return this.head.forward(x);
  }
}

/** torchvision's names: features.1, 3, 5, 7 are the stages, 2, 4, 6 what stands between them. The layer scale is [C, 1, 1]. */
const torchvision: RemapTable = {
  source: 'torchvision',
  when: /^features\.1\.0\.layer_scale$/,
  rules: [
    { from: /^features\.0\./, to: 'stem.' },
    {
      from: /^features\.([1357])\.(\d+)\.layer_scale$/,
      to: ([, stage, block]) => `stages.${(Number(stage) - 1) / 2}.blocks.${block}.gamma`,
      transform: reshaped(([channels]) => [channels]),
    },
    {
      from: /^features\.([1357])\.(\d+)\.block\.([0235])\.(weight|bias)$/,
      to: ([, stage, block, layer, kind]) => {
        const name = { 0: 'conv_dw', 2: 'norm', 3: 'mlp.fc1', 5: 'mlp.fc2' }[layer];
        return `stages.${(Number(stage) - 1) / 2}.blocks.${block}.${name}.${kind}`;
      },
    },
    {
      from: /^features\.([246])\.([01])\.(weight|bias)$/,
      to: ([, between, layer, kind]) => `stages.${Number(between) / 2}.downsample.${layer}.${kind}`,
    },
    { from: /^classifier\.0\./, to: 'head.norm.' },
    { from: /^classifier\.2\./, to: 'head.fc.' },
  ],
};

/** The names of the authors' repositories (both versions), whose wide layers are linear in all sizes. */
function original({ convMlp }: Architecture): RemapTable {
  const wide = convMlp ? reshaped(([o, i]) => [o, i, 1, 1]) : undefined;
  const vector = reshaped((shape) => [shape[shape.length - 1]]); // [1, 1, 1, C] → [C]
  return {
    source: 'the original repository',
    when: /^downsample_layers\.0\.0\.weight$/,
    rules: [
      { from: /^downsample_layers\.0\./, to: 'stem.' },
      { from: /^downsample_layers\.([123])\./, to: 'stages.$1.downsample.' },
      { from: /^(stages\.\d+)\.(\d+)\.dwconv\./, to: '$1.blocks.$2.conv_dw.' },
      { from: /^(stages\.\d+)\.(\d+)\.pwconv([12])\.weight$/, to: '$1.blocks.$2.mlp.fc$3.weight', transform: wide },
      { from: /^(stages\.\d+)\.(\d+)\.pwconv([12])\.bias$/, to: '$1.blocks.$2.mlp.fc$3.bias' },
      { from: /^(stages\.\d+)\.(\d+)\.grn\.gamma$/, to: '$1.blocks.$2.mlp.grn.weight', transform: vector },
      { from: /^(stages\.\d+)\.(\d+)\.grn\.beta$/, to: '$1.blocks.$2.mlp.grn.bias', transform: vector },
      { from: /^(stages\.\d+)\.(\d+)\.(norm|gamma)/, to: '$1.blocks.$2.$3' },
      { from: /^norm\./, to: 'head.norm.' },
      { from: /^head\./, to: 'head.fc.' },
    ],
  };
}

function convnext(
  name: string,
  architecture: Architecture,
  facts: Pick<ModelFacts, 'params' | 'macs'> & Partial<ModelFacts>,
) {
  const { version } = architecture;
  return defineModel(name, (o: ConvNeXtOptions & Required<ModelOptions>) => new ConvNeXt({ ...architecture, ...o }), {
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['head.fc'],
    year: version === 1 ? 2022 : 2023,
    summary:
      version === 1
        ? 'a ResNet with all that made vision transformers good, but without attention'
        : 'ConvNeXt whose channels compete: global response normalisation in every block',
    source: version === 1 ? 'Liu et al. 2022, arXiv:2201.03545' : 'Woo et al. 2023, arXiv:2301.00808',
    remaps: facts.published?.weights.startsWith('torchvision')
      ? [torchvision, original(architecture)]
      : [original(architecture)],
    preprocessing: preprocessing(224, { interpolation: 'bicubic' }),
    ...facts,
  });
}

const small = (depth: number, width: number, version: 1 | 2): Architecture => ({
  depths: [2, 2, depth, 2],
  width,
  convMlp: true,
  version,
  stochasticDepth: 0,
});
/** How often blocks are skipped: torchvision's, for the first version. */
const large = (depth: number, width: number, version: 1 | 2, stochasticDepth: number): Architecture => ({
  depths: [3, 3, depth, 3],
  width,
  convMlp: false,
  version,
  stochasticDepth,
});

export const convnext_atto = convnext('convnext_atto', small(6, 40, 1), {
  params: 3_695_520,
  macs: 547_332_480,
  published: { top1: 75.672, top5: 92.914, weights: 'timm convnext_atto.d2_in1k' },
});

export const convnext_femto = convnext('convnext_femto', small(6, 48, 1), {
  params: 5_217_784,
  macs: 779_629_824,
});

export const convnext_pico = convnext('convnext_pico', small(6, 64, 1), {
  params: 9_045_672,
  macs: 1_367_055_360,
});

export const convnext_nano = convnext('convnext_nano', small(8, 80, 1), {
  params: 15_593_560,
  macs: 2_445_528_320,
});

export const convnext_tiny = convnext('convnext_tiny', large(9, 96, 1, 0.1), {
  params: 28_589_128,
  macs: 4_455_531_264,
  published: { top1: 82.52, top5: 96.146, weights: 'torchvision ConvNeXt_Tiny_Weights.IMAGENET1K_V1' },
  preprocessing: preprocessing(224, { resize: 236 }),
});

export const convnext_small = convnext('convnext_small', large(27, 96, 1, 0.4), {
  params: 50_223_688,
  macs: 8_683_712_256,
  published: { top1: 83.616, top5: 96.65, weights: 'torchvision ConvNeXt_Small_Weights.IMAGENET1K_V1' },
  preprocessing: preprocessing(224, { resize: 230 }),
});

export const convnext_base = convnext('convnext_base', large(27, 128, 1, 0.5), {
  params: 88_591_464,
  macs: 15_354_729_472,
  published: { top1: 84.062, top5: 96.87, weights: 'torchvision ConvNeXt_Base_Weights.IMAGENET1K_V1' },
  preprocessing: preprocessing(224, { resize: 232 }),
});

export const convnext_large = convnext('convnext_large', large(27, 192, 1, 0.5), {
  params: 197_767_336,
  macs: 34_361_433_600,
  published: { top1: 84.414, top5: 96.976, weights: 'torchvision ConvNeXt_Large_Weights.IMAGENET1K_V1' },
  preprocessing: preprocessing(224, { resize: 232 }),
});

export const convnextv2_atto = convnext('convnextv2_atto', small(6, 40, 2), {
  params: 3_708_400,
  macs: 547_332_480,
});

export const convnextv2_femto = convnext('convnextv2_femto', small(6, 48, 2), {
  params: 5_233_240,
  macs: 779_629_824,
});

export const convnextv2_pico = convnext('convnextv2_pico', small(6, 64, 2), {
  params: 9_066_280,
  macs: 1_367_055_360,
});

export const convnextv2_nano = convnext('convnextv2_nano', small(8, 80, 2), {
  params: 15_623_800,
  macs: 2_445_528_320,
});

export const convnextv2_tiny = convnext('convnextv2_tiny', large(9, 96, 2, 0), {
  params: 28_635_496,
  macs: 4_455_531_264,
});

export const convnextv2_small = convnext('convnextv2_small', large(27, 96, 2, 0), {
  params: 50_318_440,
  macs: 8_683_712_256,
});

export const convnextv2_base = convnext('convnextv2_base', large(27, 128, 2, 0), {
  params: 88_717_800,
  macs: 15_354_729_472,
});

export const convnextv2_large = convnext('convnextv2_large', large(27, 192, 2, 0), {
  params: 197_956_840,
  macs: 34_361_433_600,
});

/** The family, small to large. */
export const convnexts = [
  convnext_atto,
  convnext_femto,
  convnext_pico,
  convnext_nano,
  convnext_tiny,
  convnext_small,
  convnext_base,
  convnext_large,
  convnextv2_atto,
  convnextv2_femto,
  convnextv2_pico,
  convnextv2_nano,
  convnextv2_tiny,
  convnextv2_small,
  convnextv2_base,
  convnextv2_large,
];

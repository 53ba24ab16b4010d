/**
 * RegNet: not a network but a line of them. The widths of the blocks grow along a straight line, rounded to few different values, and the
 * best networks of every size turn out to lie on such lines. X is plain, Y has squeeze-and-excitation.
 * Radosavovic, Kosaraju, Girshick, He and Dollár 2020, "Designing network design spaces", arXiv:2003.13678. Names are timm's.
 */

import { BatchNorm2d, Conv2d, init, Linear, Module, Sequential, SqueezeExcitation } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import { makeDivisible } from './inverted-residual.js';
import { preprocessing } from './preprocessing.js';
import type { RemapTable } from './remap.js';

/** A network in six numbers. */
export interface RegNetDesign {
  /** Blocks in all stages together. */
  readonly depth: number;
  /** Width where the line begins: w_0. */
  readonly initialWidth: number;
  /** What each block adds: w_a. */
  readonly slope: number;
  /** The quotient of neighbouring widths after rounding: w_m. */
  readonly multiplier: number;
  /** Channels of each group of the 3×3 convolutions. */
  readonly groupWidth: number;
  /** Squeezed channels as a share of those that come into the block: Y has 1/4; left out or 0: X. */
  readonly squeeze?: number;
  /** How widths become whole groups: the nearest (timm, the authors), or up where that would take more than a tenth away (torchvision). */
  readonly roundsLike?: 'timm' | 'torchvision';
}

export interface RegNetStage {
  readonly width: number;
  readonly depth: number;
  readonly groupWidth: number;
}

/**
 * The quantised linear rule (the paper's section 3.3): block j has width u_j = w_0 + w_a · j, rounded to w_0 · w_m^s for a whole s and to a
 * multiple of 8; blocks of one width are a stage. Widths are then rounded to whole groups. @throws {ConfigError} for numbers that are no design.
 */
export function regnetStages(design: RegNetDesign): RegNetStage[] {
  const { depth, initialWidth, slope, multiplier, roundsLike = 'timm' } = design;
  if (!(slope >= 0 && initialWidth > 0 && initialWidth % 8 === 0 && multiplier > 1)) {
    throw new ConfigError(
      `regnetStages: initialWidth must be a positive multiple of 8, slope at least 0 and multiplier above 1; got ${initialWidth}, ${slope} and ${multiplier}`,
    );
  }
  const depths = new Map<number, number>();
  for (let block = 0; block < depth; block++) {
    const planned = initialWidth + slope * block;
    const steps = roundHalfEven(Math.log(planned / initialWidth) / Math.log(multiplier));
    const width = 8 * roundHalfEven((initialWidth * multiplier ** steps) / 8);
    depths.set(width, (depths.get(width) ?? 0) + 1);
  }
  return [...depths].map(([width, depth]) => {
    const groupWidth = Math.min(design.groupWidth, width);
    const nearest = roundHalfEven(width / groupWidth) * groupWidth;
    return { width: roundsLike === 'timm' ? nearest : makeDivisible(width, groupWidth), depth, groupWidth };
  });
}

/** Halves go to the even neighbour, as in Python and PyTorch. */
function roundHalfEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** A convolution that keeps the size but for its stride, with its batch norm. */
class ConvNorm extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(inChannels: number, outChannels: number, kernelSize: number, { stride = 1, groups = 1 } = {}) {
    super();
    const padding = (kernelSize - 1) / 2;
    this.conv = new Conv2d(inChannels, outChannels, kernelSize, { stride, padding, groups, bias: false });
    this.bn = new BatchNorm2d(outChannels);
  }

  override forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x));
  }
}

interface BlockOptions {
  readonly stride: number;
  readonly groupWidth: number;
  readonly squeezed: number;
}

/** A bottleneck that does not narrow: 1×1, 3×3 in groups, 1×1, as wide throughout. [N, inChannels, H, W] → [N, width, H / stride, W / stride]. */
class Block extends Module {
  readonly conv1: ConvNorm;
  readonly conv2: ConvNorm;
  readonly se: SqueezeExcitation | null;
  readonly conv3: ConvNorm;
  readonly downsample: ConvNorm | null;

  constructor(inChannels: number, width: number, { stride, groupWidth, squeezed }: BlockOptions) {
    super();
    this.conv1 = new ConvNorm(inChannels, width, 1);
    this.conv2 = new ConvNorm(width, width, 3, { stride, groups: width / groupWidth });
    this.se = squeezed > 0 ? new SqueezeExcitation(width, squeezed) : null;
    this.conv3 = new ConvNorm(width, width, 1);
    this.downsample = stride === 1 && inChannels === width ? null : new ConvNorm(inChannels, width, 1, { stride });
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    let y = this.conv1.forward(x).relu();
    y = this.conv2.forward(y).relu();
    y = this.se?.forward(y) ?? y;
    y = this.conv3.forward(y);
    return y.add(shortcut).relu();
  }
}

/** The mean of each channel → class scores. */
class Head extends Module {
  readonly fc: Linear;

  constructor(channels: number, numClasses: number) {
    super();
    this.fc = new Linear(channels, numClasses);
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(x.mean([2, 3]));
  }
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class RegNet extends Module {
  readonly stem: ConvNorm;
  readonly s1: Sequential;
  readonly s2: Sequential;
  readonly s3: Sequential;
  readonly s4: Sequential;
  readonly head: Head;

  /** @throws {ConfigError} if the design's rule does not give four stages, as all of the paper's do. */
  constructor(design: RegNetDesign, { inChannels, numClasses }: Required<ModelOptions>) {
    super();
    const stages = regnetStages(design);
    if (stages.length !== 4) {
      throw new ConfigError(`RegNet: a network has four stages; these widths make ${stages.length}`);
    }
    let channels = 32;
    this.stem = new ConvNorm(inChannels, channels, 3, { stride: 2 });
    const stage = ({ width, depth, groupWidth }: RegNetStage): Sequential => {
      const blocks = new Sequential();
      for (let i = 0; i < depth; i++) {
        const squeezed = roundHalfEven(channels * (design.squeeze ?? 0));
        blocks.add(new Block(channels, width, { stride: i === 0 ? 2 : 1, groupWidth, squeezed }), `b${i + 1}`);
        channels = width;
      }
      return blocks;
    };
    this.s1 = stage(stages[0]);
    this.s2 = stage(stages[1]);
    this.s3 = stage(stages[2]);
    this.s4 = stage(stages[3]);
    this.head = new Head(channels, numClasses);

    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      const [outChannels, , kH, kW] = module.weight.shape;
      init.normal(module.weight, 0, Math.sqrt(2 / ((kH * kW * outChannels) / module.groups))); // by what one group puts out
      if (module.bias !== null) init.zeros(module.bias);
    }
    init.normal(this.head.fc.weight, 0, 0.01);
    init.zeros(this.head.fc.bias!);
  }

  override forward(x: Tensor): Tensor {
    x = this.stem.forward(x).relu();
    x = this.s1.forward(x);
    x = this.s2.forward(x);
    x = this.s3.forward(x);
    x = this.s4.forward(x);
    return this.head.forward(x);
  }
}

/** torchvision's names: `trunk_output.block1.block1-0.f.a.0.weight` is `s1.b1.conv1.conv.weight` here. */
const torchvision: RemapTable = {
  source: 'torchvision',
  when: /^trunk_output\./,
  rules: [
    { from: /^stem\.0\./, to: 'stem.conv.' },
    { from: /^stem\.1\./, to: 'stem.bn.' },
    {
      from: /^trunk_output\.block(\d)\.block\d-(\d+)\.(proj|f\.[abc])\.([01])\.(.*)$/,
      to: ([, stage, block, branch, i, rest]) => `s${stage}.b${Number(block) + 1}.${layer[branch]}.${part[i]}.${rest}`,
    },
    {
      from: /^trunk_output\.block(\d)\.block\d-(\d+)\.f\.se\.(.*)$/,
      to: ([, stage, block, rest]) => `s${stage}.b${Number(block) + 1}.se.${rest}`,
    },
    { from: /^fc\./, to: 'head.fc.' },
  ],
};
const part: Readonly<Record<string, string>> = { 0: 'conv', 1: 'bn' };
const layer: Readonly<Record<string, string>> = {
  proj: 'downsample',
  'f.a': 'conv1',
  'f.b': 'conv2',
  'f.c': 'conv3',
};

/** Facts of one network: its size, its other name, and where torchvision has weights for it their name and scores. */
interface Facts extends Pick<ModelFacts, 'params' | 'macs' | 'aliases'> {
  readonly torchvision?: readonly [weights: string, top1: number, top5: number];
}

function regnet(modelName: string, design: RegNetDesign, { torchvision: weights, ...facts }: Facts) {
  return defineModel(modelName, (options) => new RegNet(design, options), {
    ...facts,
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['head.fc'],
    year: 2020,
    summary: `${design.depth} blocks whose widths grow along a line${design.squeeze ? ', with squeeze-and-excitation' : ''}; for ${(facts.macs / 1e9).toPrecision(1)} GMACs`,
    source: 'Radosavovic et al. 2020, arXiv:2003.13678',
    remaps: [torchvision],
    ...(weights && {
      published: { top1: weights[1], top5: weights[2], weights: `torchvision ${weights[0]}_Weights.IMAGENET1K_V2` },
      preprocessing: preprocessing(224, { resize: 232 }),
    }),
  });
}

export const regnetx_002 = regnet(
  'regnetx_002',
  { depth: 13, initialWidth: 24, slope: 36.44, multiplier: 2.49, groupWidth: 8 },
  {
    params: 2_684_792,
    macs: 199_039_872,
  },
);

export const regnetx_004 = regnet(
  'regnetx_004',
  { depth: 22, initialWidth: 24, slope: 24.48, multiplier: 2.54, groupWidth: 16 },
  {
    params: 5_157_512,
    macs: 397_677_568,
  },
);

export const regnet_x_400mf = regnet(
  'regnet_x_400mf',
  { depth: 22, initialWidth: 24, slope: 24.48, multiplier: 2.54, groupWidth: 16, roundsLike: 'torchvision' },
  {
    params: 5_495_976,
    macs: 413_812_608,
    aliases: ['regnetx_004_tv'],
    torchvision: ['RegNet_X_400MF', 74.864, 92.322],
  },
);

export const regnetx_006 = regnet(
  'regnetx_006',
  { depth: 16, initialWidth: 48, slope: 36.97, multiplier: 2.24, groupWidth: 24 },
  {
    params: 6_196_040,
    macs: 600_890_112,
  },
);

export const regnet_x_800mf = regnet(
  'regnet_x_800mf',
  { depth: 16, initialWidth: 56, slope: 35.73, multiplier: 2.28, groupWidth: 16 },
  {
    params: 7_259_656,
    macs: 799_699_712,
    aliases: ['regnetx_008'],
    torchvision: ['RegNet_X_800MF', 77.522, 93.826],
  },
);

export const regnet_x_1_6gf = regnet(
  'regnet_x_1_6gf',
  { depth: 18, initialWidth: 80, slope: 34.01, multiplier: 2.25, groupWidth: 24 },
  {
    params: 9_190_136,
    macs: 1_602_849_792,
    aliases: ['regnetx_016'],
    torchvision: ['RegNet_X_1_6GF', 79.668, 94.922],
  },
);

export const regnet_x_3_2gf = regnet(
  'regnet_x_3_2gf',
  { depth: 25, initialWidth: 88, slope: 26.31, multiplier: 2.25, groupWidth: 48 },
  {
    params: 15_296_552,
    macs: 3_176_621_952,
    aliases: ['regnetx_032'],
    torchvision: ['RegNet_X_3_2GF', 81.196, 95.43],
  },
);

export const regnetx_040 = regnet(
  'regnetx_040',
  { depth: 23, initialWidth: 96, slope: 38.65, multiplier: 2.43, groupWidth: 40 },
  {
    params: 22_118_248,
    macs: 3_964_498_816,
  },
);

export const regnetx_064 = regnet(
  'regnetx_064',
  { depth: 17, initialWidth: 184, slope: 60.83, multiplier: 2.07, groupWidth: 56 },
  {
    params: 26_209_256,
    macs: 6_460_291_264,
  },
);

export const regnet_x_8gf = regnet(
  'regnet_x_8gf',
  { depth: 23, initialWidth: 80, slope: 49.56, multiplier: 2.88, groupWidth: 120 },
  {
    params: 39_572_648,
    macs: 7_995_132_416,
    aliases: ['regnetx_080'],
    torchvision: ['RegNet_X_8GF', 81.682, 95.678],
  },
);

export const regnety_002 = regnet(
  'regnety_002',
  { depth: 13, initialWidth: 24, slope: 36.44, multiplier: 2.49, groupWidth: 8, squeeze: 1 / 4 },
  {
    params: 3_162_996,
    macs: 199_514_080,
  },
);

export const regnet_y_400mf = regnet(
  'regnet_y_400mf',
  { depth: 16, initialWidth: 48, slope: 27.89, multiplier: 2.09, groupWidth: 8, squeeze: 1 / 4 },
  {
    params: 4_344_144,
    macs: 401_842_848,
    aliases: ['regnety_004'],
    torchvision: ['RegNet_Y_400MF', 75.804, 92.742],
  },
);

export const regnety_006 = regnet(
  'regnety_006',
  { depth: 15, initialWidth: 48, slope: 32.54, multiplier: 2.32, groupWidth: 16, squeeze: 1 / 4 },
  {
    params: 6_055_160,
    macs: 601_220_992,
  },
);

export const regnety_008 = regnet(
  'regnety_008',
  { depth: 14, initialWidth: 56, slope: 38.84, multiplier: 2.4, groupWidth: 16, squeeze: 1 / 4 },
  {
    params: 6_263_168,
    macs: 797_176_832,
  },
);

export const regnet_y_800mf = regnet(
  'regnet_y_800mf',
  {
    depth: 14,
    initialWidth: 56,
    slope: 38.84,
    multiplier: 2.4,
    groupWidth: 16,
    squeeze: 1 / 4,
    roundsLike: 'torchvision',
  },
  {
    params: 6_432_512,
    macs: 833_856_256,
    aliases: ['regnety_008_tv'],
    torchvision: ['RegNet_Y_800MF', 78.828, 94.502],
  },
);

export const regnet_y_1_6gf = regnet(
  'regnet_y_1_6gf',
  { depth: 27, initialWidth: 48, slope: 20.71, multiplier: 2.65, groupWidth: 24, squeeze: 1 / 4 },
  {
    params: 11_202_430,
    macs: 1_612_076_160,
    aliases: ['regnety_016'],
    torchvision: ['RegNet_Y_1_6GF', 80.876, 95.444],
  },
);

export const regnet_y_3_2gf = regnet(
  'regnet_y_3_2gf',
  { depth: 21, initialWidth: 80, slope: 42.63, multiplier: 2.66, groupWidth: 24, squeeze: 1 / 4 },
  {
    params: 19_436_338,
    macs: 3_176_482_752,
    aliases: ['regnety_032'],
    torchvision: ['RegNet_Y_3_2GF', 81.982, 95.972],
  },
);

export const regnety_040 = regnet(
  'regnety_040',
  { depth: 22, initialWidth: 96, slope: 31.41, multiplier: 2.24, groupWidth: 64, squeeze: 1 / 4 },
  {
    params: 20_646_656,
    macs: 3_973_288_448,
  },
);

export const regnety_064 = regnet(
  'regnety_064',
  { depth: 25, initialWidth: 112, slope: 33.22, multiplier: 2.27, groupWidth: 72, squeeze: 1 / 4 },
  {
    params: 30_583_252,
    macs: 6_355_204_992,
  },
);

export const regnety_080 = regnet(
  'regnety_080',
  { depth: 17, initialWidth: 192, slope: 76.82, multiplier: 2.19, groupWidth: 56, squeeze: 1 / 4 },
  {
    params: 39_180_068,
    macs: 7_963_057_312,
  },
);

export const regnet_y_8gf = regnet(
  'regnet_y_8gf',
  {
    depth: 17,
    initialWidth: 192,
    slope: 76.82,
    multiplier: 2.19,
    groupWidth: 56,
    squeeze: 1 / 4,
    roundsLike: 'torchvision',
  },
  {
    params: 39_381_472,
    macs: 8_473_070_592,
    aliases: ['regnety_080_tv'],
    torchvision: ['RegNet_Y_8GF', 82.828, 96.33],
  },
);

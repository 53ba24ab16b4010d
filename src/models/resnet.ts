/**
 * ResNet: a stack of blocks that each add a correction to what they are given, so that a hundred layers train as easily as ten.
 * He, Zhang, Ren and Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385. The stride of a bottleneck stands at its
 * 3×3 convolution, as in torchvision and every network since, not at the first 1×1 as in the paper. Names are torchvision's and timm's;
 * initial values torchvision's. resnet-variants.ts has what others made of it.
 */

import { AvgPool2d, BatchNorm2d, Conv2d, Identity, init, Linear, Module, ReLU, Sequential, SqueezeExcitation } from '../nn/index.js'; // biome-ignore format: one list
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelFacts, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';

/**
 * How the shortcut gets the size of the correction, where that differs. 'conv': a 1×1 convolution. 'avgPool': that behind an average, so that
 * no pixel goes unseen (ResNet-D). 'pad': every other pixel, and zeros for the new channels: no parameters (option A of the paper).
 */
export type Shortcut = 'conv' | 'avgPool' | 'pad';

/** What a block is told beside its channels. */
export interface ResidualBlockOptions {
  readonly stride: number;
  /** Of the 3×3 convolution in a bottleneck. */
  readonly dilation: number;
  readonly groups: number;
  /** Channels of each group in the middle of a bottleneck, for every 64 of the stage. */
  readonly widthPerGroup: number;
  readonly shortcut: Shortcut;
  /** Squeeze-and-excitation of the correction, by 16. */
  readonly squeezeExcite: boolean;
}

/** A kind of block: its class, and how many times the stage's channels come out of it. */
export interface ResidualBlock {
  new (inChannels: number, planes: number, options: ResidualBlockOptions): BasicBlock | Bottleneck;
  readonly expansion: number;
}

/** Two 3×3 convolutions: [N, inChannels, H, W] → [N, planes, H / stride, W / stride]. */
export class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly se: SqueezeExcitation | null;
  readonly downsample: Module | null;

  constructor(inChannels: number, planes: number, options: ResidualBlockOptions) {
    super();
    this.conv1 = conv3x3(inChannels, planes, { stride: options.stride });
    this.bn1 = new BatchNorm2d(planes);
    this.conv2 = conv3x3(planes, planes);
    this.bn2 = new BatchNorm2d(planes);
    this.se = squeezeExcitation(planes, options);
    this.downsample = downsample(inChannels, planes, options);
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    let y = this.bn1.forward(this.conv1.forward(x)).relu();
    y = this.bn2.forward(this.conv2.forward(y));
    y = this.se?.forward(y) ?? y;
    return y.add(shortcut).relu();
  }

  /** The batch norm that ends the correction. */
  get lastNorm(): BatchNorm2d {
    return this.bn2;
  }
}

/** 1×1 down, 3×3, 1×1 up: [N, inChannels, H, W] → [N, 4·planes, H / stride, W / stride]. */
export class Bottleneck extends Module {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly se: SqueezeExcitation | null;
  readonly downsample: Module | null;

  constructor(inChannels: number, planes: number, options: ResidualBlockOptions) {
    super();
    const { stride, dilation, groups, widthPerGroup } = options;
    const width = Math.floor((planes * widthPerGroup) / 64) * groups;
    const outChannels = planes * Bottleneck.expansion;
    this.conv1 = conv1x1(inChannels, width);
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = conv3x3(width, width, { stride, groups, dilation });
    this.bn2 = new BatchNorm2d(width);
    this.conv3 = conv1x1(width, outChannels);
    this.bn3 = new BatchNorm2d(outChannels);
    this.se = squeezeExcitation(outChannels, options);
    this.downsample = downsample(inChannels, outChannels, options);
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    let y = this.bn1.forward(this.conv1.forward(x)).relu();
    y = this.bn2.forward(this.conv2.forward(y)).relu();
    y = this.bn3.forward(this.conv3.forward(y));
    y = this.se?.forward(y) ?? y;
    return y.add(shortcut).relu();
  }

  /** The batch norm that ends the correction. */
  get lastNorm(): BatchNorm2d {
    return this.bn3;
  }
}

export interface ResNetOptions extends ModelOptions {
  /**
   * 'imagenet': a 7×7 convolution and a pooling, both of stride 2. 'deep': three 3×3 convolutions in place of the 7×7 (ResNet-D).
   * 'cifar': one 3×3 convolution of stride 1, for pictures of 32 × 32.
   */
  readonly stem?: 'imagenet' | 'deep' | 'cifar';
  /** Blocks of each stage, for a network of another depth. */
  readonly layers?: readonly number[];
  /** Starts every block as the identity: the last batch norm's weight is 0 (Goyal et al. 2017, arXiv:1706.02677). */
  readonly zeroInitResidual?: boolean;
}

/** What makes one network of the family another. */
export interface ResNetDesign extends Partial<Omit<ResidualBlockOptions, 'stride' | 'dilation'>> {
  readonly block: ResidualBlock;
  /** Blocks of each stage. */
  readonly layers: readonly number[];
  /** Channels of each stage, before the block's expansion; those of the first come out of the stem. */
  readonly channels?: readonly number[];
  /** Stages, from the first, whose stride becomes dilation: the map stays large, and each pixel sees as much. */
  readonly dilated?: readonly boolean[];
}

/** The stages of a ResNet without its head: a backbone. */
export class ResNetStages extends Module {
  readonly conv1: Conv2d | Sequential;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential | null;
  /** Channels that come out. */
  readonly outChannels: number;
  readonly #pooled: boolean;

  constructor(
    design: ResNetDesign,
    { inChannels, stem = 'imagenet', zeroInitResidual = false }: Omit<Built, 'numClasses'>,
  ) {
    super();
    const { block, layers, channels: planned = [64, 128, 256, 512], dilated = [] } = design;
    const { groups = 1, widthPerGroup = 64, shortcut = 'conv', squeezeExcite = false } = design;
    let [channels] = planned;
    let dilation = 1;
    const stage = (i: number): Sequential => {
      const stretched = dilated[i] ?? false;
      const stride = i > 0 && !stretched ? 2 : 1;
      const made = new Sequential();
      for (let b = 0; b < layers[i]; b++) {
        const options = { stride: b === 0 ? stride : 1, dilation, groups, widthPerGroup, shortcut, squeezeExcite };
        made.add(new block(channels, planned[i], options));
        channels = planned[i] * block.expansion;
        if (b === 0 && stretched) dilation *= 2; // the first block still looks at neighbours as they were
      }
      return made;
    };

    this.#pooled = stem !== 'cifar';
    this.conv1 = stemOf(stem, inChannels, channels);
    this.bn1 = new BatchNorm2d(channels);
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = layers.length > 3 ? stage(3) : null;
    this.outChannels = channels;

    for (const module of this.modules()) {
      if (module instanceof Conv2d) init.kaimingNormal(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
      if (zeroInitResidual && (module instanceof BasicBlock || module instanceof Bottleneck)) {
        init.zeros(module.lastNorm.weight!);
      }
    }
  }

  /** What comes out of each stage. */
  maps(x: Tensor): Tensor[] {
    x = this.bn1.forward(this.conv1.forward(x)).relu();
    if (this.#pooled) x = x.maxPool2d(3, { stride: 2, padding: 1 });
    const maps: Tensor[] = [];
    for (const stage of [this.layer1, this.layer2, this.layer3, this.layer4]) {
      if (stage === null) break;
      x = stage.forward(x);
      maps.push(x);
    }
    return maps;
  }
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class ResNet extends ResNetStages {
  readonly fc: Linear;

  constructor(design: ResNetDesign, options: Built) {
    super(design, options);
    this.fc = new Linear(this.outChannels, options.numClasses);
  }

  override forward(x: Tensor): Tensor {
    const features = this.maps(x).at(-1)!;
    return this.fc.forward(features.mean([2, 3]));
  }
}

type Built = ResNetOptions & Required<ModelOptions>;

function stemOf(stem: NonNullable<ResNetOptions['stem']>, inChannels: number, channels: number): Conv2d | Sequential {
  if (stem === 'imagenet') return new Conv2d(inChannels, channels, 7, { stride: 2, padding: 3, bias: false });
  if (stem === 'cifar') return conv3x3(inChannels, channels);
  const half = channels / 2;
  return new Sequential(
    conv3x3(inChannels, half, { stride: 2 }),
    new BatchNorm2d(half),
    new ReLU(),
    conv3x3(half, half),
    new BatchNorm2d(half),
    new ReLU(),
    conv3x3(half, channels),
  );
}

/** A 3×3 convolution that keeps the size, but for its stride. */
function conv3x3(
  inChannels: number,
  outChannels: number,
  { stride = 1, groups = 1, dilation = 1 }: { stride?: number; groups?: number; dilation?: number } = {},
): Conv2d {
  return new Conv2d(inChannels, outChannels, 3, { stride, padding: dilation, dilation, groups, bias: false });
}

function conv1x1(inChannels: number, outChannels: number, stride = 1): Conv2d {
  return new Conv2d(inChannels, outChannels, 1, { stride, bias: false });
}

function squeezeExcitation(channels: number, { squeezeExcite }: ResidualBlockOptions): SqueezeExcitation | null {
  return squeezeExcite ? new SqueezeExcitation(channels, Math.max(8, channels / 16)) : null;
}

/** Brings the shortcut to the size of the correction, where that differs from the block's input. */
function downsample(
  inChannels: number,
  outChannels: number,
  { stride, shortcut }: ResidualBlockOptions,
): Module | null {
  if (stride === 1 && inChannels === outChannels) return null;
  if (shortcut === 'pad') return new PaddedShortcut(outChannels - inChannels, stride);
  if (shortcut === 'conv')
    return new Sequential(conv1x1(inChannels, outChannels, stride), new BatchNorm2d(outChannels));
  const pool = stride > 1 ? new AvgPool2d(2, { stride, ceilMode: true, countIncludePad: false }) : new Identity();
  return new Sequential(pool, conv1x1(inChannels, outChannels), new BatchNorm2d(outChannels));
}

/** Every stride-th pixel, between as many channels of zeros on both sides: [N, C, H, W] → [N, C + more, ⌈H / stride⌉, ⌈W / stride⌉]. */
class PaddedShortcut extends Module {
  constructor(
    readonly more: number,
    readonly stride: number,
  ) {
    super();
  }

  override forward(x: Tensor): Tensor {
    const each = `::${this.stride}` as const;
    const half = this.more / 2;
    return x.slice('...', each, each).pad([0, 0, 0, 0, half, half]);
  }
}

/** A network of the family: pictures of 224 × 224, 1000 classes. */
export function resnet(
  modelName: string,
  { stem, ...design }: ResNetDesign & Pick<ResNetOptions, 'stem'>,
  facts: Pick<ModelFacts, 'params' | 'macs' | 'summary'> & Partial<ModelFacts>,
) {
  const build = ({ layers = design.layers, ...options }: Built) =>
    new ResNet({ ...design, layers }, { stem, ...options });
  return defineModel(modelName, build, {
    input: [3, 224, 224],
    numClasses: 1000,
    output: 'logits',
    heads: ['fc'],
    year: 2015,
    source: 'He et al. 2015, arXiv:1512.03385',
    ...facts,
  });
}

/** What torchvision's second weights of 2021, trained longer and better, want. */
const retrained = preprocessing(224, { resize: 232 });

export const resnet18 = resnet(
  'resnet18',
  { block: BasicBlock, layers: [2, 2, 2, 2] },
  {
    params: 11_689_512,
    macs: 1_814_073_344,
    summary: 'residual blocks of two 3×3 convolutions; { stem: "cifar" } for pictures of 32 × 32',
    published: { top1: 69.758, top5: 89.078, weights: 'torchvision ResNet18_Weights.IMAGENET1K_V1' },
  },
);

export const resnet34 = resnet(
  'resnet34',
  { block: BasicBlock, layers: [3, 4, 6, 3] },
  {
    params: 21_797_672,
    macs: 3_663_761_408,
    summary: 'resnet18 with twice as many blocks',
    published: { top1: 73.314, top5: 91.42, weights: 'torchvision ResNet34_Weights.IMAGENET1K_V1' },
  },
);

export const resnet50 = resnet(
  'resnet50',
  { block: Bottleneck, layers: [3, 4, 6, 3] },
  {
    params: 25_557_032,
    macs: 4_089_184_256,
    summary: 'residual bottlenecks, 1×1 – 3×3 – 1×1: the measure of all others',
    published: { top1: 80.858, top5: 95.434, weights: 'torchvision ResNet50_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

export const resnet101 = resnet(
  'resnet101',
  { block: Bottleneck, layers: [3, 4, 23, 3] },
  {
    params: 44_549_160,
    macs: 7_801_405_440,
    summary: 'resnet50 with 17 more bottlenecks in its third stage',
    published: { top1: 81.886, top5: 95.78, weights: 'torchvision ResNet101_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

export const resnet152 = resnet(
  'resnet152',
  { block: Bottleneck, layers: [3, 8, 36, 3] },
  {
    params: 60_192_808,
    macs: 11_513_626_624,
    summary: 'the deepest of the paper; an ensemble with it won ILSVRC 2015',
    published: { top1: 82.284, top5: 96.002, weights: 'torchvision ResNet152_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

/**
 * ResNet: a stack of blocks that each add a correction to what they are given, so that a hundred layers train as easily as ten.
 * He, Zhang, Ren and Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385. The stride of a bottleneck stands at its
 * 3×3 convolution, as in torchvision and every network since, not at the first 1×1 as in the paper. Names are torchvision's.
 */

import { BatchNorm2d, Conv2d, init, Linear, Module, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';

/** What a block is told: channels in and out of the stage, and how it narrows between. */
interface BlockOptions {
  readonly stride: number;
  readonly groups: number;
  /** Channels of each group in the middle of a bottleneck, for every 64 of the stage. */
  readonly widthPerGroup: number;
}

/** A kind of block: its class, and how many times the stage's channels come out of it. */
interface Block {
  new (inChannels: number, planes: number, options: BlockOptions): BasicBlock | Bottleneck;
  readonly expansion: number;
}

/** Two 3×3 convolutions: [N, inChannels, H, W] → [N, planes, H / stride, W / stride]. */
export class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, planes: number, { stride }: BlockOptions) {
    super();
    this.conv1 = conv3x3(inChannels, planes, { stride });
    this.bn1 = new BatchNorm2d(planes);
    this.conv2 = conv3x3(planes, planes);
    this.bn2 = new BatchNorm2d(planes);
    this.downsample = downsample(inChannels, planes, stride);
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    let y = this.bn1.forward(this.conv1.forward(x)).relu();
    y = this.bn2.forward(this.conv2.forward(y));
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
  readonly downsample: Sequential | null;

  constructor(inChannels: number, planes: number, { stride, groups, widthPerGroup }: BlockOptions) {
    super();
    const width = Math.floor((planes * widthPerGroup) / 64) * groups;
    const outChannels = planes * Bottleneck.expansion;
    this.conv1 = conv1x1(inChannels, width);
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = conv3x3(width, width, { stride, groups });
    this.bn2 = new BatchNorm2d(width);
    this.conv3 = conv1x1(width, outChannels);
    this.bn3 = new BatchNorm2d(outChannels);
    this.downsample = downsample(inChannels, outChannels, stride);
  }

  override forward(x: Tensor): Tensor {
    const shortcut = this.downsample?.forward(x) ?? x;
    let y = this.bn1.forward(this.conv1.forward(x)).relu();
    y = this.bn2.forward(this.conv2.forward(y)).relu();
    y = this.bn3.forward(this.conv3.forward(y));
    return y.add(shortcut).relu();
  }

  /** The batch norm that ends the correction. */
  get lastNorm(): BatchNorm2d {
    return this.bn3;
  }
}

export interface ResNetOptions extends ModelOptions {
  /** 'imagenet': a 7×7 convolution and a pooling, both of stride 2. 'cifar': one 3×3 convolution of stride 1, for pictures of 32 × 32. */
  readonly stem?: 'imagenet' | 'cifar';
  /** Starts every block as the identity: the last batch norm's weight is 0 (Goyal et al. 2017, arXiv:1706.02677). */
  readonly zeroInitResidual?: boolean;
}

/** ResNeXt (arXiv:1611.05431) and wide ResNet (arXiv:1605.07146) are bottlenecks with other middles. */
interface Middle {
  readonly groups?: number;
  readonly widthPerGroup?: number;
}

/** Pictures [N, inChannels, H, W] → class scores [N, numClasses]. */
export class ResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly fc: Linear;
  readonly stem: 'imagenet' | 'cifar';

  constructor(
    block: Block,
    layers: readonly [number, number, number, number],
    options: ResNetOptions & Required<ModelOptions> & Middle,
  ) {
    super();
    const { numClasses, inChannels, stem = 'imagenet', zeroInitResidual = false } = options;
    const { groups = 1, widthPerGroup = 64 } = options;
    this.stem = stem;
    this.conv1 =
      stem === 'imagenet'
        ? new Conv2d(inChannels, 64, 7, { stride: 2, padding: 3, bias: false })
        : conv3x3(inChannels, 64);
    this.bn1 = new BatchNorm2d(64);

    let channels = 64;
    const stage = (planes: number, blocks: number, stride: number): Sequential => {
      const made: Module[] = [];
      for (let i = 0; i < blocks; i++) {
        made.push(new block(channels, planes, { stride: i === 0 ? stride : 1, groups, widthPerGroup }));
        channels = planes * block.expansion;
      }
      return new Sequential(made);
    };
    this.layer1 = stage(64, layers[0], 1);
    this.layer2 = stage(128, layers[1], 2);
    this.layer3 = stage(256, layers[2], 2);
    this.layer4 = stage(512, layers[3], 2);
    this.fc = new Linear(channels, numClasses);

    for (const module of this.modules()) {
      if (module instanceof Conv2d) init.kaimingNormal(module.weight, { mode: 'fanOut', nonlinearity: 'relu' });
      if (zeroInitResidual && (module instanceof BasicBlock || module instanceof Bottleneck)) {
        init.zeros(module.lastNorm.weight!);
      }
    }
  }

  override forward(x: Tensor): Tensor {
    x = this.bn1.forward(this.conv1.forward(x)).relu();
    if (this.stem === 'imagenet') x = x.maxPool2d(3, { stride: 2, padding: 1 });
    x = this.layer1.forward(x);
    x = this.layer2.forward(x);
    x = this.layer3.forward(x);
    x = this.layer4.forward(x);
    return this.fc.forward(x.mean([2, 3]));
  }
}

export const resnet18 = defineModel('resnet18', (o: Built) => new ResNet(BasicBlock, [2, 2, 2, 2], o), {
  params: 11_689_512,
  macs: 1_814_073_344,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['fc'],
  year: 2015,
  summary: 'residual blocks of two 3×3 convolutions; { stem: "cifar" } for pictures of 32 × 32',
  source: 'He et al. 2015, arXiv:1512.03385',
  published: { top1: 69.758, top5: 89.078, weights: 'torchvision ResNet18_Weights.IMAGENET1K_V1' },
});

export const resnet50 = defineModel('resnet50', (o: Built) => new ResNet(Bottleneck, [3, 4, 6, 3], o), {
  params: 25_557_032,
  macs: 4_089_184_256,
  input: [3, 224, 224],
  numClasses: 1000,
  output: 'logits',
  heads: ['fc'],
  year: 2015,
  summary: 'residual bottlenecks, 1×1 – 3×3 – 1×1: the measure of all others',
  source: 'He et al. 2015, arXiv:1512.03385',
  published: { top1: 80.858, top5: 95.434, weights: 'torchvision ResNet50_Weights.IMAGENET1K_V2' },
});

type Built = ResNetOptions & Required<ModelOptions>;

function conv3x3(
  inChannels: number,
  outChannels: number,
  { stride = 1, groups = 1 }: { stride?: number; groups?: number } = {},
): Conv2d {
  return new Conv2d(inChannels, outChannels, 3, { stride, padding: 1, groups, bias: false });
}

function conv1x1(inChannels: number, outChannels: number, stride = 1): Conv2d {
  return new Conv2d(inChannels, outChannels, 1, { stride, bias: false });
}

/** Brings the shortcut to the size of the correction, where that differs from the block's input. */
function downsample(inChannels: number, outChannels: number, stride: number): Sequential | null {
  if (stride === 1 && inChannels === outChannels) return null;
  return new Sequential(conv1x1(inChannels, outChannels, stride), new BatchNorm2d(outChannels));
}

/**
 * The trunk of MobileNetV3 under torchvision's names, as the networks that detect and segment with it have it in their files: `features.0.0`
 * the first convolution, `features.4.block.2.fc1` a squeeze of the fourth block. The table of blocks is that of ./mobilenet-v3.ts.
 * Howard et al. 2019, arXiv:1905.02244.
 */

import {
  BatchNorm2d,
  type BatchNormOptions,
  Conv2d,
  Hardswish,
  init,
  Module,
  ReLU,
  ReLU6,
  Sequential,
  SqueezeExcitation,
} from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { type BlockRow, ConvBnAct, makeDivisible } from './inverted-residual.js';
import { largePlan, relu } from './mobilenet-v3.js';

export interface ConvNormOptions {
  readonly kernelSize?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly groups?: number;
  readonly norm?: BatchNormOptions;
  /** Left out: none. */
  readonly activation?: 'relu' | 'relu6' | 'hardswish';
}

const activations = { relu: ReLU, relu6: ReLU6, hardswish: Hardswish };

/** A convolution (0) that pads by half its kernel, batch norm (1), activation (2): [N, C, H, W] → [N, O, ⌈H / stride⌉, ⌈W / stride⌉]. */
export class Conv2dNormActivation extends Sequential {
  constructor(
    inChannels: number,
    outChannels: number,
    { kernelSize = 1, stride = 1, dilation = 1, groups = 1, norm, activation }: ConvNormOptions,
  ) {
    const padding = ((kernelSize - 1) / 2) * dilation;
    super(
      new Conv2d(inChannels, outChannels, kernelSize, { stride, padding, dilation, groups, bias: false }),
      new BatchNorm2d(outChannels, norm),
    );
    if (activation !== undefined) this.add(new activations[activation]());
  }
}

interface InvertedResidualOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly middle: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly dilation: number;
  readonly squeeze: boolean;
  readonly activation: 'relu' | 'hardswish';
  readonly norm: BatchNormOptions;
}

/** 1×1 up (where it widens at all), depthwise, squeeze-and-excitation, 1×1 down; added to the input where that has the same shape. */
export class MobileNetV3Block extends Module {
  readonly block: Sequential;
  /** Whether the map has half the size behind the block. */
  readonly halves: boolean;
  readonly #residual: boolean;

  constructor(options: InvertedResidualOptions) {
    super();
    const { inChannels, outChannels, middle, kernelSize, dilation, activation, norm } = options;
    const stride = dilation > 1 ? 1 : options.stride; // a dilated block looks as far without halving the map
    this.halves = stride === 2;
    this.#residual = options.stride === 1 && inChannels === outChannels;
    this.block = new Sequential();
    if (middle !== inChannels) this.block.add(new Conv2dNormActivation(inChannels, middle, { norm, activation }));
    const depthwise = { kernelSize, stride, dilation, groups: middle, norm, activation };
    this.block.add(new Conv2dNormActivation(middle, middle, depthwise));
    if (options.squeeze) {
      this.block.add(new SqueezeExcitation(middle, makeDivisible(middle / 4), { gate: (x) => x.hardsigmoid() }));
    }
    this.block.add(new Conv2dNormActivation(middle, outChannels, { norm }));
  }

  override forward(x: Tensor): Tensor {
    const y = this.block.forward(x);
    return this.#residual ? y.add(x) : y;
  }
}

export interface MobileNetV3FeaturesOptions {
  readonly inChannels?: number;
  /** The last stage keeps the map at 1/16 of the picture and looks further by dilation: for segmentation. */
  readonly dilated?: boolean;
  /** Half the channels from the last stage on: for detection. */
  readonly reducedTail?: boolean;
  readonly norm?: BatchNormOptions;
}

/**
 * `features` of torchvision's mobilenet_v3_large: pictures [N, inChannels, H, W] → [N, 960, ⌈H/32⌉, ⌈W/32⌉] through 17 layers, 0 the first
 * convolution, 1 … 15 the blocks, 16 the last convolution. 4 ends at 1/8 of the picture (40 channels), 13 starts the last stage.
 * Initial values as torchvision's: normal with a variance of 2 / fanOut, biases 0.
 */
export function mobileNetV3LargeFeatures({
  inChannels = 3,
  dilated = false,
  reducedTail = false,
  norm = { eps: 1e-3, momentum: 0.01 },
}: MobileNetV3FeaturesOptions = {}): Sequential {
  const { stages } = largePlan;
  const tail = (stage: number, channels: number) =>
    reducedTail && stage >= stages.length - 2 ? channels / 2 : channels;
  const layers: Module[] = [];
  let channels = 16;
  layers.push(
    new Conv2dNormActivation(inChannels, channels, { kernelSize: 3, stride: 2, norm, activation: 'hardswish' }),
  );
  for (const [stage, rows] of stages.entries()) {
    for (const row of rows.flatMap(repeated)) {
      const outChannels = tail(stage, row.channels);
      if (row.Block === ConvBnAct) {
        layers.push(new Conv2dNormActivation(channels, outChannels, { norm, activation: 'hardswish' }));
      } else {
        layers.push(
          new MobileNetV3Block({
            inChannels: channels,
            outChannels,
            middle: makeDivisible(channels * (row.expansion ?? 1)),
            kernelSize: row.kernelSize,
            stride: row.stride,
            dilation: dilated && stage === stages.length - 2 ? 2 : 1,
            squeeze: row.squeeze !== null,
            activation: row.activation === relu ? 'relu' : 'hardswish',
            norm,
          }),
        );
      }
      channels = outChannels;
    }
  }
  const features = new Sequential(...layers);
  for (const module of features.modules()) {
    if (!(module instanceof Conv2d)) continue;
    init.kaimingNormal(module.weight, { mode: 'fanOut' });
    if (module.bias !== null) init.zeros(module.bias);
  }
  return features;
}

/** The blocks of a row, one by one. */
function repeated(row: BlockRow): BlockRow[] {
  return Array.from({ length: row.repeats ?? 1 }, (_, i) => ({ ...row, stride: i === 0 ? row.stride : 1 }));
}

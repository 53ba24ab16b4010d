/**
 * U-Net: a network down to a coarse map of what there is and up again to where it is, with a bridge on every level.
 * Ronneberger, Fischer and Brox 2015, "U-Net: convolutional networks for biomedical image segmentation", arXiv:1505.04597. In the form used
 * today, that of github.com/milesial/Pytorch-UNet, whose names these are: batch norm, and convolutions that keep the size. Initial values are
 * PyTorch's.
 */

import { BatchNorm2d, Conv2d, ConvTranspose2d, MaxPool2d, Module, ReLU, Sequential, Upsample } from '../nn/index.js';
import { concat, type Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';

export interface UNetOptions extends ModelOptions {
  /** Up by interpolation and half the channels in place of transposed convolutions: about half as many parameters. */
  readonly bilinear?: boolean;
}

/** Two 3×3 convolutions: [N, inChannels, H, W] → [N, outChannels, H, W]. */
class DoubleConv extends Module {
  readonly double_conv: Sequential;

  constructor(inChannels: number, outChannels: number, middle = outChannels) {
    super();
    this.double_conv = new Sequential(
      new Conv2d(inChannels, middle, 3, { padding: 1, bias: false }),
      new BatchNorm2d(middle),
      new ReLU(),
      new Conv2d(middle, outChannels, 3, { padding: 1, bias: false }),
      new BatchNorm2d(outChannels),
      new ReLU(),
    );
  }

  override forward(x: Tensor): Tensor {
    return this.double_conv.forward(x);
  }
}

/** Half the size: [N, inChannels, H, W] → [N, outChannels, ⌊H/2⌋, ⌊W/2⌋]. */
class Down extends Module {
  readonly maxpool_conv: Sequential;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.maxpool_conv = new Sequential(new MaxPool2d(2), new DoubleConv(inChannels, outChannels));
  }

  override forward(x: Tensor): Tensor {
    return this.maxpool_conv.forward(x);
  }
}

/** Twice the size, beside what came down on that level: [N, inChannels, h, w] and [N, C, H, W] → [N, outChannels, H, W]. */
class Up extends Module {
  readonly up: Upsample | ConvTranspose2d;
  readonly conv: DoubleConv;

  constructor(inChannels: number, outChannels: number, bilinear: boolean) {
    super();
    const half = inChannels / 2;
    this.up = bilinear
      ? new Upsample({ scaleFactor: 2, mode: 'bilinear', alignCorners: true })
      : new ConvTranspose2d(inChannels, half, 2, { stride: 2 });
    this.conv = new DoubleConv(inChannels, outChannels, bilinear ? half : outChannels);
  }

  override forward(x: Tensor, bridge: Tensor): Tensor {
    x = this.up.forward(x);
    // A pooling drops the last row and column of an odd size: zeros take their place.
    const [rows, columns] = [2, 3].map((axis) => bridge.shape[axis] - x.shape[axis]);
    const before = (missing: number) => Math.floor(missing / 2);
    x = x.pad([before(columns), columns - before(columns), before(rows), rows - before(rows)]);
    return this.conv.forward(concat([bridge, x], 1));
  }
}

/** Class scores from features, pixel by pixel. */
class OutConv extends Module {
  readonly conv: Conv2d;

  constructor(inChannels: number, numClasses: number) {
    super();
    this.conv = new Conv2d(inChannels, numClasses, 1);
  }

  override forward(x: Tensor): Tensor {
    return this.conv.forward(x);
  }
}

/**
 * Pictures [N, inChannels, H, W] of any size from 16 × 16 → class scores for each pixel [N, numClasses, H, W]. `Trainer` and `evaluate` know
 * one class for each picture; networks that classify pixels are trained with a loop of one's own:
 *
 *     optimizer.zeroGrad();
 *     const scores = model.forward(pictures);
 *     crossEntropy(scores, labels).backward();          // labels: int32 [N, H, W]
 *     await optimizer.step();
 *
 * One class is a mask: `bceWithLogits(scores, masks)` with masks float32 [N, 1, H, W].
 */
export class UNet extends Module {
  readonly inc: DoubleConv;
  readonly down1: Down;
  readonly down2: Down;
  readonly down3: Down;
  readonly down4: Down;
  readonly up1: Up;
  readonly up2: Up;
  readonly up3: Up;
  readonly up4: Up;
  readonly outc: OutConv;

  constructor({ inChannels, numClasses, bilinear = false }: UNetOptions & Required<ModelOptions>) {
    super();
    const narrow = bilinear ? 2 : 1; // interpolation does not halve the channels on the way up
    this.inc = new DoubleConv(inChannels, 64);
    this.down1 = new Down(64, 128);
    this.down2 = new Down(128, 256);
    this.down3 = new Down(256, 512);
    this.down4 = new Down(512, 1024 / narrow);
    this.up1 = new Up(1024, 512 / narrow, bilinear);
    this.up2 = new Up(512, 256 / narrow, bilinear);
    this.up3 = new Up(256, 128 / narrow, bilinear);
    this.up4 = new Up(128, 64, bilinear);
    this.outc = new OutConv(64, numClasses);
  }

  override forward(x: Tensor): Tensor {
    const x1 = this.inc.forward(x);
    const x2 = this.down1.forward(x1);
    const x3 = this.down2.forward(x2);
    const x4 = this.down3.forward(x3);
    let y = this.down4.forward(x4);
    y = this.up1.forward(y, x4);
    y = this.up2.forward(y, x3);
    y = this.up3.forward(y, x2);
    y = this.up4.forward(y, x1);
    return this.outc.forward(y);
  }
}

export const unet = defineModel('unet', (o: UNetOptions & Required<ModelOptions>) => new UNet(o), {
  params: 31_037_633,
  macs: 48_167_387_136,
  input: [3, 256, 256],
  task: 'segmentation',
  numClasses: 1,
  output: 'logits',
  heads: ['outc.conv'],
  year: 2015,
  summary: 'down to what there is and up again to where it is, with a bridge on every level; learns from few pictures',
  source: 'Ronneberger et al. 2015, arXiv:1505.04597',
  preprocessing: preprocessing(256, { resize: 256, statistics: 'unit' }),
});

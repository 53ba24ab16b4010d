/** Layers that only rearrange elements. */

import { F, type Tensor } from '../tensor/index.js';
import { ShapeError } from '../util/errors.js';
import { formatShape, type Shape } from '../util/shape.js';
import { Module } from './module.js';

/** Joins the axes startDim … endDim into one; by default all but the batch: [N, C, H, W] → [N, C·H·W]. */
export class Flatten extends Module {
  constructor(
    readonly startDim = 1,
    readonly endDim = -1,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.flatten(this.startDim, this.endDim);
  }
  override extraRepr(): string {
    return `startDim=${this.startDim}, endDim=${this.endDim}`;
  }
}

/** Splits axis `dim` into the sizes `unflattenedSize`, one of which may be −1. */
export class Unflatten extends Module {
  constructor(
    readonly dim: number,
    readonly unflattenedSize: Shape,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.unflatten(this.dim, this.unflattenedSize);
  }
  override extraRepr(): string {
    return `dim=${this.dim}, unflattenedSize=${formatShape(this.unflattenedSize)}`;
  }
}

/** The batch axis stays, the rest becomes `shape` (one size may be −1). */
export class Reshape extends Module {
  constructor(readonly shape: Shape) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.reshape([x.shape[0], ...this.shape]);
  }
  override extraRepr(): string {
    return formatShape(this.shape);
  }
}

/** Applies a function; it has no parameters and is not saved. */
export class Lambda extends Module {
  constructor(readonly fn: (x: Tensor) => Tensor) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return this.fn(x);
  }
}

/** Channels become pixels: [N, C·r², H, W] → [N, C, H·r, W·r]. Shi et al. 2016, arXiv:1609.05158. */
export class PixelShuffle extends Module {
  constructor(readonly upscaleFactor: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return F.pixelShuffle(x, this.upscaleFactor);
  }
  override extraRepr(): string {
    return `upscaleFactor=${this.upscaleFactor}`;
  }
}

/** Pixels become channels: [N, C, H·r, W·r] → [N, C·r², H, W]. */
export class PixelUnshuffle extends Module {
  constructor(readonly downscaleFactor: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return F.pixelUnshuffle(x, this.downscaleFactor);
  }
  override extraRepr(): string {
    return `downscaleFactor=${this.downscaleFactor}`;
  }
}

/** Deals the channels of `groups` groups out in turn, so that the next grouped convolution sees all of them. Zhang et al. 2017, arXiv:1707.01083. */
export class ChannelShuffle extends Module {
  constructor(readonly groups: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    const [n, c, ...rest] = x.shape;
    if (c % this.groups !== 0) throw indivisible(this, x, `C = ${c} must be divisible by groups = ${this.groups}`);
    return x
      .reshape([n, this.groups, c / this.groups, ...rest])
      .transpose(1, 2)
      .reshape(x.shape);
  }
  override extraRepr(): string {
    return `groups=${this.groups}`;
  }
}

function indivisible(layer: Module, x: Tensor, rule: string): ShapeError {
  return new ShapeError(`${layer.constructor.name}: the input does not fit\n  x  ${formatShape(x.shape)}\n  ${rule}.`);
}

/**
 * Layers that switch parts off at random while training, and are the identity in evaluation mode (and for p = 0). What stays is scaled by
 * 1 / (1 − p), so that the expected value is kept. Srivastava et al. 2014.
 */

import { rand, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import { Module } from './module.js';

abstract class RandomDrop extends Module {
  constructor(readonly p = 0.5) {
    super();
    if (!(p >= 0 && p <= 1))
      throw new ConfigError(`${this.constructor.name}: p is a probability, within 0 … 1; got ${p}`);
  }

  /** Shape of the mask that broadcasts over x. */
  protected abstract maskShape(x: Tensor): Shape;

  override forward(x: Tensor): Tensor {
    if (!this.training || this.p === 0) return x;
    if (this.p === 1) return x.mul(0);
    const kept = rand(this.maskShape(x)).ge(this.p);
    return x.mul(kept.to('float32').mul(1 / (1 - this.p)));
  }

  override extraRepr(): string {
    return `p=${this.p}`;
  }
}

/** Drops single elements. */
export class Dropout extends RandomDrop {
  protected override maskShape(x: Tensor): Shape {
    return x.shape;
  }
}

/** Drops whole channels of [N, C, L] (or [C, L]). */
export class Dropout1d extends RandomDrop {
  protected override maskShape(x: Tensor): Shape {
    return channelShape(x.shape, 1);
  }
}

/** Drops whole channels of [N, C, H, W] (or [C, H, W]): neighbouring pixels say too much about each other to drop them one by one. */
export class Dropout2d extends RandomDrop {
  protected override maskShape(x: Tensor): Shape {
    return channelShape(x.shape, 2);
  }
}

/** Drops whole channels of [N, C, D, H, W] (or [C, D, H, W]). */
export class Dropout3d extends RandomDrop {
  protected override maskShape(x: Tensor): Shape {
    return channelShape(x.shape, 3);
  }
}

/** Drops a residual branch: for single samples ('row', as timm's DropPath) or for the whole batch. Huang et al. 2016, arXiv:1603.09382. */
export class StochasticDepth extends RandomDrop {
  constructor(
    p: number,
    readonly mode: 'row' | 'batch' = 'row',
  ) {
    super(p);
  }
  protected override maskShape(x: Tensor): Shape {
    return x.shape.map((n, i) => (i === 0 && this.mode === 'row' ? n : 1));
  }
  override extraRepr(): string {
    return `p=${this.p}, mode='${this.mode}'`;
  }
}

/** timm's name for `StochasticDepth` by rows. */
export class DropPath extends StochasticDepth {
  constructor(p = 0) {
    super(p, 'row');
  }
}

/** Drops squares of blockSize × blockSize pixels in each channel. Ghiasi et al. 2018, arXiv:1810.12890; as in torchvision. */
export class DropBlock2d extends Module {
  constructor(
    readonly p: number,
    readonly blockSize: number,
    readonly eps = 1e-6,
  ) {
    super();
    if (!(p >= 0 && p <= 1)) throw new ConfigError(`DropBlock2d: p is a probability, within 0 … 1; got ${p}`);
  }

  override forward(x: Tensor): Tensor {
    if (!this.training || this.p === 0) return x;
    const [n, c, h, w] = x.shape;
    const size = Math.min(this.blockSize, h, w);
    const centres: Shape = [n, c, h - size + 1, w - size + 1];
    const rate = (this.p * h * w) / (size * size * centres[2] * centres[3]);
    const seeds = rand(centres).lt(rate).to('float32');
    const margin = size - 1;
    const reach = seeds.pad([margin, margin, margin, margin]).maxPool2d(size, { stride: 1 });
    const kept = reach.neg().add(1);
    return x.mul(kept).mul(kept.size).div(kept.sum().add(this.eps));
  }

  override extraRepr(): string {
    return `p=${this.p}, blockSize=${this.blockSize}`;
  }
}

function channelShape(shape: Shape, spatial: number): Shape {
  if (shape.length !== spatial + 1 && shape.length !== spatial + 2) {
    const letters = ['', 'L', 'H, W', 'D, H, W'][spatial];
    throw new ConfigError(`Dropout${spatial}d: takes [N, C, ${letters}] or [C, ${letters}]; got [${shape.join(', ')}]`);
  }
  return shape.map((n, i) => (i < shape.length - spatial ? n : 1));
}

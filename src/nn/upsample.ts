/** Layers that change the size of pictures by interpolation. */

import { F, type Tensor } from '../tensor/index.js';
import type { InterpolateOptions } from '../tensor/resize.js';
import { Module } from './module.js';

/** Resizes [N, C, spatial…] to `size` or by `scaleFactor`: nearest, linear / bilinear / trilinear or bicubic, as PyTorch's. */
export class Upsample extends Module {
  constructor(readonly options: InterpolateOptions) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return F.interpolate(x, this.options);
  }
  override extraRepr(): string {
    return Object.entries(this.options)
      .map(([k, v]) => `${k}=${JSON.stringify(v)}`)
      .join(', ');
  }
}

/** Squeeze-and-excitation: channels scaled by what the whole picture says about them. */

import type { Tensor } from '../tensor/index.js';
import { Conv2d } from './conv.js';
import { Module } from './module.js';

export interface SqueezeExcitationOptions {
  /** Between the two layers. Left out: ReLU. */
  readonly activation?: (x: Tensor) => Tensor;
  /** What turns the second layer's results into factors. Left out: the logistic function. */
  readonly gate?: (x: Tensor) => Tensor;
}

/**
 * x · gate(fc2(activation(fc1(mean of each channel)))): [N, channels, H, W] → the same. Names are those of torchvision and timm's `SEModule`.
 * Hu, Shen and Sun 2017, "Squeeze-and-excitation networks", arXiv:1709.01507.
 */
export class SqueezeExcitation extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;
  readonly #activation: (x: Tensor) => Tensor;
  readonly #gate: (x: Tensor) => Tensor;

  constructor(
    channels: number,
    squeezed: number,
    { activation = (x) => x.relu(), gate = (x) => x.sigmoid() }: SqueezeExcitationOptions = {},
  ) {
    super();
    this.fc1 = new Conv2d(channels, squeezed, 1);
    this.fc2 = new Conv2d(squeezed, channels, 1);
    this.#activation = activation;
    this.#gate = gate;
  }

  override forward(x: Tensor): Tensor {
    const squeezed = this.#activation(this.fc1.forward(x.mean([2, 3], { keepDims: true })));
    return x.mul(this.#gate(this.fc2.forward(squeezed)));
  }
}

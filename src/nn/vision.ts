/**
 * Small pieces of recent image networks, named as in timm: patches as tokens, a learned scale on a residual branch, the two layers with one
 * activation that follow every attention.
 */

import type { Parameter, Tensor } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { Conv2d } from './conv.js';
import { Dropout } from './dropout.js';
import { constant } from './init.js';
import { Linear, requireCount } from './linear.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

export interface PatchEmbedOptions {
  readonly patchSize?: number;
  readonly inChannels?: number;
  readonly embedDim?: number;
}

/**
 * Cuts a picture into square patches and maps each to a vector: [N, C, H, W] → [N, H/p · W/p, embedDim], row by row. One convolution whose
 * stride is its kernel. @throws {ShapeError} if p does not divide H and W. Dosovitskiy et al. 2020, arXiv:2010.11929.
 */
export class PatchEmbed extends Module {
  readonly proj: Conv2d;
  readonly #patchSize: number;

  constructor({ patchSize = 16, inChannels = 3, embedDim = 768 }: PatchEmbedOptions = {}) {
    super();
    requireCount(this, 'patchSize', patchSize);
    this.#patchSize = patchSize;
    this.proj = new Conv2d(inChannels, embedDim, patchSize, { stride: patchSize });
  }

  override forward(x: Tensor): Tensor {
    const p = this.#patchSize;
    if (x.shape.length !== 4 || x.shape[2] % p !== 0 || x.shape[3] % p !== 0) {
      throw new ShapeError(
        `PatchEmbed: the picture does not divide into patches\n  x  ${formatShape(x.shape)}   N C H W\n` +
          `  H and W must be multiples of patchSize = ${p}. Resize or pad the picture.`,
      );
    }
    return this.proj.forward(x).flatten(2).transpose(1, 2);
  }
}

export interface LayerScaleOptions {
  /** What every element of `gamma` starts from: small, so that a deep network begins near the identity. */
  readonly initValues?: number;
  /** The axis that `gamma` runs along: −1 for tokens [N, L, C], 1 for maps [N, C, H, W]. */
  readonly axis?: number;
}

/** x · gamma, one learned factor for each channel. Touvron et al. 2021, arXiv:2103.17239. */
export class LayerScale extends Module {
  readonly gamma: Parameter; // [channels]
  readonly #axis: number;

  constructor(
    readonly channels: number,
    { initValues = 1e-5, axis = -1 }: LayerScaleOptions = {},
  ) {
    super();
    requireCount(this, 'channels', channels);
    if (!Number.isFinite(initValues))
      throw new ConfigError(`LayerScale: initValues must be a number, not ${initValues}`);
    this.#axis = axis;
    this.gamma = constant(parameter([channels]), initValues);
  }

  override forward(x: Tensor): Tensor {
    const after = this.#axis < 0 ? -this.#axis - 1 : x.shape.length - 1 - this.#axis;
    return x.mul(after === 0 ? this.gamma : this.gamma.reshape([this.channels, ...new Array<number>(after).fill(1)]));
  }
}

export interface MlpOptions {
  readonly hiddenFeatures?: number;
  readonly activation?: (x: Tensor) => Tensor;
  /** Share of the values dropped behind both layers while training. */
  readonly dropout?: number;
  /** 1×1 convolutions of maps [N, C, H, W] instead of layers on the last axis. */
  readonly conv?: boolean;
}

/** features → hiddenFeatures → features at each place, with an activation (GELU) between. */
export class Mlp extends Module {
  readonly fc1: Linear | Conv2d;
  readonly fc2: Linear | Conv2d;
  readonly #drop: Dropout;
  readonly #activation: (x: Tensor) => Tensor;

  constructor(
    features: number,
    { hiddenFeatures = 4 * features, activation = (x) => x.gelu(), dropout = 0, conv = false }: MlpOptions = {},
  ) {
    super();
    this.#activation = activation;
    this.fc1 = conv ? new Conv2d(features, hiddenFeatures, 1) : new Linear(features, hiddenFeatures);
    this.fc2 = conv ? new Conv2d(hiddenFeatures, features, 1) : new Linear(hiddenFeatures, features);
    this.#drop = new Dropout(dropout);
  }

  override forward(x: Tensor): Tensor {
    this.#drop.training = this.training;
    const hidden = this.#drop.forward(this.#activation(this.fc1.forward(x)));
    return this.#drop.forward(this.fc2.forward(hidden));
  }
}

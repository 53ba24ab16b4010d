/** Activation functions as modules; the formulas and their sources stand with the functions in `tensor/activation.ts`. */

import { type Parameter, type Tensor, where } from '../tensor/index.js';
import { constant } from './init.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** min(max(x, 0), 6). */
export class ReLU6 extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu6();
  }
}

/** x where positive, negativeSlope · x elsewhere: units that never fire still learn. */
export class LeakyReLU extends Module {
  constructor(readonly negativeSlope = 0.01) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.leakyRelu(this.negativeSlope);
  }
  override extraRepr(): string {
    return `negativeSlope=${this.negativeSlope}`;
  }
}

/** x where positive, weight · x elsewhere, with one learned slope or one for each channel (axis 1). */
export class PReLU extends Module {
  readonly weight: Parameter; // [numParameters]
  constructor(
    readonly numParameters = 1,
    { init = 0.25 }: { init?: number } = {},
  ) {
    super();
    this.weight = constant(parameter([numParameters]), init);
  }
  override forward(x: Tensor): Tensor {
    return x.prelu(this.weight);
  }
  override extraRepr(): string {
    return `numParameters=${this.numParameters}`;
  }
}

/** x where positive, alpha · (eˣ − 1) elsewhere. */
export class ELU extends Module {
  constructor(readonly alpha = 1) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.elu(this.alpha);
  }
  override extraRepr(): string {
    return `alpha=${this.alpha}`;
  }
}

/** ELU scaled to keep mean 0 and variance 1. */
export class SELU extends Module {
  override forward(x: Tensor): Tensor {
    return x.selu();
  }
}

/** ELU with a continuous slope for every alpha. */
export class CELU extends Module {
  constructor(readonly alpha = 1) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.celu(this.alpha);
  }
  override extraRepr(): string {
    return `alpha=${this.alpha}`;
  }
}

/** x · σ(x). */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.silu();
  }
}

/** x · σ(βx); with `learnable`, β is a parameter that starts at `beta`. β = 1 is SiLU. Ramachandran et al. 2017, arXiv:1710.05941. */
export class Swish extends Module {
  readonly beta: Parameter | number; // [] when learned
  constructor({ beta = 1, learnable = false }: { beta?: number; learnable?: boolean } = {}) {
    super();
    this.beta = learnable ? constant(parameter([]), beta) : beta;
  }
  override forward(x: Tensor): Tensor {
    return x.mul(x.mul(this.beta).sigmoid());
  }
  override extraRepr(): string {
    return typeof this.beta === 'number' ? `beta=${this.beta}` : 'learnable';
  }
}

/** x · Φ(x), exact or by the tanh formula. */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh';
  constructor({ approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}) {
    super();
    this.approximate = approximate;
  }
  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.approximate });
  }
  override extraRepr(): string {
    return `approximate='${this.approximate}'`;
  }
}

/** 1 / (1 + e⁻ˣ). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** tanh x. */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** x · relu6(x + 3) / 6. */
export class Hardswish extends Module {
  override forward(x: Tensor): Tensor {
    return x.hardswish();
  }
}

/** relu6(x + 3) / 6. */
export class Hardsigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.hardsigmoid();
  }
}

/** x limited to minVal … maxVal. */
export class Hardtanh extends Module {
  readonly minVal: number;
  readonly maxVal: number;
  constructor({ minVal = -1, maxVal = 1 }: { minVal?: number; maxVal?: number } = {}) {
    super();
    this.minVal = minVal;
    this.maxVal = maxVal;
  }
  override forward(x: Tensor): Tensor {
    return x.clamp(this.minVal, this.maxVal);
  }
  override extraRepr(): string {
    return `minVal=${this.minVal}, maxVal=${this.maxVal}`;
  }
}

/** log(1 + e^(βx)) / β. */
export class Softplus extends Module {
  readonly beta: number;
  readonly threshold: number;
  constructor({ beta = 1, threshold = 20 }: { beta?: number; threshold?: number } = {}) {
    super();
    this.beta = beta;
    this.threshold = threshold;
  }
  override forward(x: Tensor): Tensor {
    return x.softplus({ beta: this.beta, threshold: this.threshold });
  }
  override extraRepr(): string {
    return `beta=${this.beta}, threshold=${this.threshold}`;
  }
}

/** x / (1 + |x|). */
export class Softsign extends Module {
  override forward(x: Tensor): Tensor {
    return x.softsign();
  }
}

/** x · tanh(softplus(x)). */
export class Mish extends Module {
  override forward(x: Tensor): Tensor {
    return x.mish();
  }
}

/** log σ(x). */
export class LogSigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.logSigmoid();
  }
}

/** x − tanh x. */
export class Tanhshrink extends Module {
  override forward(x: Tensor): Tensor {
    return x.sub(x.tanh());
  }
}

/** x moved towards 0 by lambda; 0 within ±lambda. */
export class Softshrink extends Module {
  constructor(readonly lambda = 0.5) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.sub(x.clamp(-this.lambda, this.lambda));
  }
  override extraRepr(): string {
    return `${this.lambda}`;
  }
}

/** x, but 0 within ±lambda. */
export class Hardshrink extends Module {
  constructor(readonly lambda = 0.5) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return where(x.abs().gt(this.lambda), x, 0);
  }
  override extraRepr(): string {
    return `${this.lambda}`;
  }
}

/** x where above `threshold`, else `value`. */
export class Threshold extends Module {
  constructor(
    readonly threshold: number,
    readonly value: number,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return where(x.gt(this.threshold), x, this.value);
  }
  override extraRepr(): string {
    return `threshold=${this.threshold}, value=${this.value}`;
  }
}

/** The first half along `dim` times the sigmoid of the second. Dauphin et al. 2016, arXiv:1612.08083. */
export class GLU extends Module {
  constructor(readonly dim = -1) {
    super();
  }
  override forward(x: Tensor): Tensor {
    const [a, b] = x.chunk(2, this.dim);
    return a.mul(b.sigmoid());
  }
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** The largest of `pieces` neighbouring channels (axis 1). Goodfellow et al. 2013, arXiv:1302.4389. */
export class Maxout extends Module {
  constructor(readonly pieces: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x
      .unflatten(1, [x.shape[1] / this.pieces, this.pieces])
      .unbind(2)
      .reduce((a, b) => a.maximum(b));
  }
  override extraRepr(): string {
    return `${this.pieces}`;
  }
}

/** eˣ / Σ eˣ along `dim`. */
export class Softmax extends Module {
  constructor(readonly dim: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.softmax(this.dim);
  }
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** Softmax over the channels at each place. */
export class Softmax2d extends Module {
  override forward(x: Tensor): Tensor {
    return x.softmax(-3);
  }
}

/** Softmax of −x. */
export class Softmin extends Module {
  constructor(readonly dim: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.neg().softmax(this.dim);
  }
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** log(softmax(x)) along `dim`. */
export class LogSoftmax extends Module {
  constructor(readonly dim: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.logSoftmax(this.dim);
  }
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

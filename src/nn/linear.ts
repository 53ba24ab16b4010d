/** Layers that connect every input with every output. */

import { F, type Parameter, type Tensor } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { uniform } from './init.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

/** The input itself. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

/**
 * x · weightᵀ + bias along the last axis: [*, inFeatures] → [*, outFeatures].
 * Weights and bias start uniform in ±1/√inFeatures, as PyTorch's do.
 */
export class Linear extends Module {
  weight: Parameter; // [outFeatures, inFeatures]
  bias: Parameter | null; // [outFeatures]

  constructor(
    public inFeatures: number,
    readonly outFeatures: number,
    { bias = true }: { bias?: boolean } = {},
  ) {
    super();
    requireCount(this, 'inFeatures', inFeatures, this.lazy ? 0 : 1);
    requireCount(this, 'outFeatures', outFeatures, 1);
    this.weight = parameter([outFeatures, inFeatures]);
    this.bias = bias ? parameter([outFeatures]) : null;
    this.resetParameters();
  }

  /** Whether inFeatures may come from the first input. */
  protected get lazy(): boolean {
    return false;
  }

  resetParameters(): void {
    const bound = this.inFeatures > 0 ? 1 / Math.sqrt(this.inFeatures) : 0;
    uniform(this.weight, -bound, bound);
    if (this.bias !== null) uniform(this.bias, -bound, bound);
  }

  override forward(x: Tensor): Tensor {
    return F.linear(x, this.weight, this.bias);
  }

  override extraRepr(): string {
    return `${this.inFeatures}, ${this.outFeatures}${this.bias === null ? ', bias=false' : ''}`;
  }
}

/** A `Linear` that takes inFeatures from its first input. Run the model once (zeros will do) before asking for its parameters. */
export class LazyLinear extends Linear {
  constructor(outFeatures: number, options: { bias?: boolean } = {}) {
    super(0, outFeatures, options);
  }

  protected override get lazy(): boolean {
    return true;
  }

  override forward(x: Tensor): Tensor {
    if (this.inFeatures === 0) {
      this.inFeatures = x.shape.at(-1)!;
      this.weight = parameter([this.outFeatures, this.inFeatures]);
      this.resetParameters();
    }
    return super.forward(x);
  }

  override requireReady(path: string): void {
    if (this.inFeatures === 0) throw notReady(this, path);
  }
}

/** The error of a lazy layer that has not seen an input. */
export function notReady(layer: Module, path: string): ConfigError {
  const where = path === '' ? '' : ` (in ${path})`;
  return new ConfigError(
    `${layer.constructor.name}: has no weights before its first input${where}\n` +
      '  Run the model once on zeros of the input’s shape: model.forward(zeros([1, 3, 32, 32])). Then ask for its parameters.',
  );
}

/** out[o] = x₁ᵀ · weight[o] · x₂ + bias[o]: [*, in1Features] and [*, in2Features] → [*, outFeatures]. */
export class Bilinear extends Module {
  readonly weight: Parameter; // [outFeatures, in1Features, in2Features]
  readonly bias: Parameter | null; // [outFeatures]

  constructor(
    readonly in1Features: number,
    readonly in2Features: number,
    readonly outFeatures: number,
    { bias = true }: { bias?: boolean } = {},
  ) {
    super();
    const bound = 1 / Math.sqrt(in1Features);
    this.weight = uniform(parameter([outFeatures, in1Features, in2Features]), -bound, bound);
    this.bias = bias ? uniform(parameter([outFeatures]), -bound, bound) : null;
  }

  override forward(x1: Tensor, x2: Tensor): Tensor {
    const lead = x1.shape.slice(0, -1);
    const [out, in1, in2] = this.weight.shape;
    if (x1.shape.at(-1) !== in1 || x2.shape.at(-1) !== in2) {
      throw new ShapeError(
        `Bilinear: features do not match\n  x1  ${formatShape(x1.shape)}\n  x2  ${formatShape(x2.shape)}\n` +
          `  The last axes must be in1Features = ${in1} and in2Features = ${in2}.`,
      );
    }
    // [B, in1] × [in1, out·in2] → [B, out, in2], then the product with x2 summed over in2.
    const left = x1.reshape([-1, in1]).matmul(this.weight.permute([1, 0, 2]).reshape([in1, out * in2]));
    const y = left
      .reshape([-1, out, in2])
      .mul(x2.reshape([-1, 1, in2]))
      .sum(2);
    return (this.bias === null ? y : y.add(this.bias)).reshape([...lead, out]);
  }

  override extraRepr(): string {
    return `${this.in1Features}, ${this.in2Features}, ${this.outFeatures}${this.bias === null ? ', bias=false' : ''}`;
  }
}

/** @throws {ConfigError} unless `value` is a whole number of at least `least`. */
export function requireCount(layer: Module, name: string, value: number, least = 1): void {
  if (!Number.isInteger(value) || value < least) {
    throw new ConfigError(`${layer.constructor.name}: ${name} must be an integer of at least ${least}; got ${value}`);
  }
}

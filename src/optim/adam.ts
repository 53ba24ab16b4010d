/** Adam and AdamW: steps sized by running means of the gradient and its square. */

import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { Optimizer, type OptimizerOptions, type ParamsOrGroups, type Slots, type StepContext } from './optimizer.js';

export interface AdamOptions extends OptimizerOptions {
  /** Decay of the running means of the gradient and of its square. */
  betas?: readonly [number, number];
  /** Added to the root of the second, so that nothing divides by 0. */
  eps?: number;
  /** Never lets the second mean shrink. Reddi et al. 2018. */
  amsgrad?: boolean;
}

abstract class AdamFamily extends Optimizer<AdamOptions> {
  protected override check(o: Required<AdamOptions>): void {
    super.check(o);
    requireBetas(this.constructor.name, o.betas);
    if (!(o.eps >= 0)) throw new ConfigError(`${this.constructor.name}: eps must be at least 0; got ${o.eps}`);
  }

  protected override slots({ amsgrad }: Required<AdamOptions>): Record<string, number> {
    return amsgrad ? { exp_avg: 0, exp_avg_sq: 0, max_exp_avg_sq: 0 } : { exp_avg: 0, exp_avg_sq: 0 };
  }

  /** The step from already decayed parameters. */
  protected adapt(p: Tensor, g: Tensor, slots: Slots, { group, step, scalar }: StepContext<AdamOptions>) {
    const [beta1, beta2] = group.betas;
    const mean = slots.exp_avg.add(g.sub(slots.exp_avg).mul(scalar('1 − β₁', 1 - beta1)));
    const square = slots.exp_avg_sq.mul(beta2).add(g.mul(g).mul(1 - beta2));
    const largest = slots.max_exp_avg_sq?.maximum(square);
    // Bias correction: early means lean towards the zeros they started from.
    const size = scalar('lr', group.lr / (1 - beta1 ** step));
    const root = (largest ?? square).sqrt().mul(scalar('1/√', 1 / Math.sqrt(1 - beta2 ** step)));
    const value = p.sub(mean.div(root.add(group.eps)).mul(size));
    const next: Slots = { exp_avg: mean, exp_avg_sq: square };
    if (largest !== undefined) next.max_exp_avg_sq = largest;
    return { value, slots: next };
  }
}

/** Adam; weight decay is added to the gradient. Default lr 0.001. Kingma and Ba 2014, arXiv:1412.6980. */
export class Adam extends AdamFamily {
  constructor(params: ParamsOrGroups<AdamOptions>, options: AdamOptions = {}) {
    super(params, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      amsgrad: false,
      maximize: false,
      ...options,
    });
  }

  protected override next(p: Tensor, gradient: Tensor, slots: Slots, context: StepContext<AdamOptions>) {
    const { weightDecay } = context.group;
    const g = weightDecay === 0 ? gradient : gradient.add(p.mul(context.scalar('weightDecay', weightDecay)));
    return this.adapt(p, g, slots, context);
  }
}

/** Adam whose weight decay (0.01 by default) shrinks the weights directly. Loshchilov and Hutter 2017, arXiv:1711.05101. */
export class AdamW extends AdamFamily {
  constructor(params: ParamsOrGroups<AdamOptions>, options: AdamOptions = {}) {
    super(params, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0.01,
      amsgrad: false,
      maximize: false,
      ...options,
    });
  }

  protected override next(p: Tensor, gradient: Tensor, slots: Slots, context: StepContext<AdamOptions>) {
    const { weightDecay, lr } = context.group;
    const decayed = weightDecay === 0 ? p : p.mul(context.scalar('decay', 1 - lr * weightDecay));
    return this.adapt(decayed, gradient, slots, context);
  }
}

/** @throws {ConfigError} unless both lie in [0, 1). */
export function requireBetas(name: string, betas: readonly [number, number]): void {
  if (betas.length === 2 && betas.every((b) => b >= 0 && b < 1)) return;
  throw new ConfigError(`${name}: betas are two numbers in 0 … 1 (1 excluded); got [${betas.join(', ')}]`);
}

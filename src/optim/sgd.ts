/** Stochastic gradient descent. */

import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { Optimizer, type OptimizerOptions, type ParamsOrGroups, type Slots, type StepContext } from './optimizer.js';

export interface SGDOptions extends OptimizerOptions {
  /** How much of the last step goes into the next. */
  momentum?: number;
  /** Share of the gradient that momentum leaves out. */
  dampening?: number;
  /** Looks ahead along the momentum. Sutskever et al. 2013. */
  nesterov?: boolean;
}

/** p ← p − lr·(g + weightDecay·p), with momentum as PyTorch defines it (the rate is outside the momentum). Default lr 0.001. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: ParamsOrGroups<SGDOptions>, options: SGDOptions = {}) {
    super(params, {
      lr: 1e-3,
      momentum: 0,
      dampening: 0,
      weightDecay: 0,
      nesterov: false,
      maximize: false,
      ...options,
    });
  }

  protected override check(o: Required<SGDOptions>): void {
    super.check(o);
    if (!(o.momentum >= 0)) throw new ConfigError(`SGD: momentum must be at least 0; got ${o.momentum}`);
    if (o.nesterov && (o.momentum === 0 || o.dampening !== 0)) {
      throw new ConfigError(
        `SGD: nesterov needs a momentum above 0 and dampening 0; got momentum ${o.momentum} and dampening ${o.dampening}`,
      );
    }
  }

  protected override slots({ momentum }: Required<SGDOptions>): Record<string, number> {
    return momentum === 0 ? {} : { momentum_buffer: 0 };
  }

  protected override next(p: Tensor, gradient: Tensor, slots: Slots, { group, step, scalar }: StepContext<SGDOptions>) {
    const lr = scalar('lr', group.lr);
    const g = group.weightDecay === 0 ? gradient : gradient.add(p.mul(scalar('weightDecay', group.weightDecay)));
    if (slots.momentum_buffer === undefined) return { value: p.sub(g.mul(lr)), slots };
    const momentum = scalar('momentum', group.momentum);
    // The first step takes the whole gradient.
    const taken = group.dampening === 0 ? g : g.mul(scalar('taken', step === 1 ? 1 : 1 - group.dampening));
    const velocity = slots.momentum_buffer.mul(momentum).add(taken);
    const direction = group.nesterov ? g.add(velocity.mul(momentum)) : velocity;
    return { value: p.sub(direction.mul(lr)), slots: { momentum_buffer: velocity } };
  }
}

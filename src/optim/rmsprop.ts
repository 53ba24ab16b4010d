/** RMSprop: steps divided by a running root mean square of the gradient. Tieleman and Hinton 2012, lecture 6.5. */

import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { Optimizer, type OptimizerOptions, type ParamsOrGroups, type Slots, type StepContext } from './optimizer.js';

export interface RMSpropOptions extends OptimizerOptions {
  /** Decay of the running mean square. */
  alpha?: number;
  eps?: number;
  momentum?: number;
  /** Divides by the standard deviation instead. */
  centered?: boolean;
}

/** p ← p − lr · g / (√(mean of g²) + eps). Default lr 0.01. */
export class RMSprop extends Optimizer<RMSpropOptions> {
  constructor(params: ParamsOrGroups<RMSpropOptions>, options: RMSpropOptions = {}) {
    super(params, {
      lr: 1e-2,
      alpha: 0.99,
      eps: 1e-8,
      weightDecay: 0,
      momentum: 0,
      centered: false,
      maximize: false,
      ...options,
    });
  }

  protected override check(o: Required<RMSpropOptions>): void {
    super.check(o);
    if (!(o.alpha >= 0 && o.alpha < 1))
      throw new ConfigError(`RMSprop: alpha must lie in 0 … 1 (1 excluded); got ${o.alpha}`);
    if (!(o.momentum >= 0)) throw new ConfigError(`RMSprop: momentum must be at least 0; got ${o.momentum}`);
  }

  protected override slots({ momentum, centered }: Required<RMSpropOptions>): Record<string, number> {
    const slots: Record<string, number> = { square_avg: 0 };
    if (centered) slots.grad_avg = 0;
    if (momentum !== 0) slots.momentum_buffer = 0;
    return slots;
  }

  protected override next(p: Tensor, gradient: Tensor, slots: Slots, { group, scalar }: StepContext<RMSpropOptions>) {
    const lr = scalar('lr', group.lr);
    const g = group.weightDecay === 0 ? gradient : gradient.add(p.mul(scalar('weightDecay', group.weightDecay)));
    const square = slots.square_avg.mul(group.alpha).add(g.mul(g).mul(1 - group.alpha));
    const next: Slots = { square_avg: square };
    let variance = square;
    if (slots.grad_avg !== undefined) {
      next.grad_avg = slots.grad_avg.add(g.sub(slots.grad_avg).mul(1 - group.alpha));
      variance = square.sub(next.grad_avg.mul(next.grad_avg));
    }
    let direction = g.div(variance.sqrt().add(group.eps));
    if (slots.momentum_buffer !== undefined) {
      direction = slots.momentum_buffer.mul(scalar('momentum', group.momentum)).add(direction);
      next.momentum_buffer = direction;
    }
    return { value: p.sub(direction.mul(lr)), slots: next };
  }
}

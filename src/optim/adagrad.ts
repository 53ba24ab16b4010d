/** Adagrad: steps divided by the root of all squared gradients so far. Duchi et al. 2011. */

import type { Tensor } from '../tensor/index.js';
import { Optimizer, type OptimizerOptions, type ParamsOrGroups, type Slots, type StepContext } from './optimizer.js';

export interface AdagradOptions extends OptimizerOptions {
  /** The rate in step t is lr / (1 + (t − 1)·lrDecay). */
  lrDecay?: number;
  initialAccumulatorValue?: number;
  eps?: number;
}

/** p ← p − lr · g / (√Σ g² + eps). Default lr 0.01. */
export class Adagrad extends Optimizer<AdagradOptions> {
  constructor(params: ParamsOrGroups<AdagradOptions>, options: AdagradOptions = {}) {
    super(params, {
      lr: 1e-2,
      lrDecay: 0,
      weightDecay: 0,
      initialAccumulatorValue: 0,
      eps: 1e-10,
      maximize: false,
      ...options,
    });
  }

  protected override slots({ initialAccumulatorValue }: Required<AdagradOptions>): Record<string, number> {
    return { sum: initialAccumulatorValue };
  }

  protected override next(
    p: Tensor,
    gradient: Tensor,
    slots: Slots,
    { group, step, scalar }: StepContext<AdagradOptions>,
  ) {
    const lr = scalar('lr', group.lr / (1 + (step - 1) * group.lrDecay));
    const g = group.weightDecay === 0 ? gradient : gradient.add(p.mul(scalar('weightDecay', group.weightDecay)));
    const sum = slots.sum.add(g.mul(g));
    return { value: p.sub(g.div(sum.sqrt().add(group.eps)).mul(lr)), slots: { sum } };
  }
}

/** Lion: steps of one size, in the direction of a sign. Chen et al. 2023, arXiv:2302.06675. */

import type { Tensor } from '../tensor/index.js';
import { requireBetas } from './adam.js';
import { Optimizer, type OptimizerOptions, type ParamsOrGroups, type Slots, type StepContext } from './optimizer.js';

export interface LionOptions extends OptimizerOptions {
  /** Shares of the momentum in the direction, and in the momentum itself. */
  betas?: readonly [number, number];
}

/** p ← p − lr · (sign(β₁·m + (1 − β₁)·g) + weightDecay·p). Default lr 0.0001: a third to a tenth of AdamW's works. */
export class Lion extends Optimizer<LionOptions> {
  constructor(params: ParamsOrGroups<LionOptions>, options: LionOptions = {}) {
    super(params, { lr: 1e-4, betas: [0.9, 0.99], weightDecay: 0, maximize: false, ...options });
  }

  protected override check(o: Required<LionOptions>): void {
    super.check(o);
    requireBetas('Lion', o.betas);
  }

  protected override slots(): Record<string, number> {
    return { exp_avg: 0 };
  }

  protected override next(p: Tensor, g: Tensor, { exp_avg: m }: Slots, { group, scalar }: StepContext<LionOptions>) {
    const [beta1, beta2] = group.betas;
    const direction = m.add(g.sub(m).mul(scalar('1 − β₁', 1 - beta1))).sign();
    const decayed = group.weightDecay === 0 ? p : p.mul(scalar('decay', 1 - group.lr * group.weightDecay));
    return {
      value: decayed.sub(direction.mul(scalar('lr', group.lr))),
      slots: { exp_avg: m.add(g.sub(m).mul(1 - beta2)) },
    };
  }
}

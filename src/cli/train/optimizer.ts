/** What steps are taken with: the optimiser and the learning rate over time. */

import { Adam, AdamW, CosineAnnealingLR, type LRScheduler, SGD } from '../../optim/index.js';
import type { Parameter } from '../../tensor/index.js';
import type { Flags } from './flags.js';

export function makeOptimizer({ optimizer, lr, weightDecay }: Flags, params: Parameter[]): Adam | AdamW | SGD {
  switch (optimizer) {
    case 'adam':
      return new Adam(params, { lr, weightDecay });
    case 'adamw':
      return new AdamW(params, { lr, weightDecay });
    case 'sgd':
      return new SGD(params, { lr, weightDecay, momentum: 0.9 });
    default:
      return optimizer satisfies never;
  }
}

/** Cosine by default: after one epoch of MNIST the small last steps are worth 0.3 % of accuracy (98.26 → 98.56, the rest unchanged). */
export function makeSchedule(
  { schedule, epochs }: Flags,
  optimizer: Adam | AdamW | SGD,
  stepsPerEpoch: number,
): LRScheduler | undefined {
  return schedule === 'cosine' ? new CosineAnnealingLR(optimizer, epochs * stepsPerEpoch) : undefined;
}

/** Optimisers, learning-rate schedules, gradient clipping, averages of weights. */

export { Adagrad, type AdagradOptions } from './adagrad.js';
export { Adam, type AdamOptions, AdamW } from './adam.js';
export { clipGradNorm, clipGradValue } from './clip.js';
export { EMA, type EMAOptions } from './ema.js';
export { Lion, type LionOptions } from './lion.js';
export {
  Optimizer,
  type OptimizerOptions,
  type OptimizerState,
  type ParamGroup,
  type StepOptions,
} from './optimizer.js';
export { type NamedGroup, type ParamGroupsOptions, paramGroups } from './param-groups.js';
export { RMSprop, type RMSpropOptions } from './rmsprop.js';
export * from './schedules.js';
export { SGD, type SGDOptions } from './sgd.js';

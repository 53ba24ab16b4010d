/** The training loop and what goes with it. Run folders, which need a disk, are in index.node.ts. */

export {
  type Callback,
  EarlyStopping,
  type EarlyStoppingOptions,
  type EpochReport,
  type StepReport,
} from './callbacks.js';
export { DivergenceError } from './divergence.js';
export {
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type Loss,
  type Normalization,
  type Prediction,
  predict,
} from './evaluate.js';
export { accuracy, type ClassReport, ConfusionMatrix, countTopK, predictedClasses } from './metrics.js';
export { type FitResult, Trainer, type TrainerOptions, type TrainerState } from './trainer.js';

/** The training loop and what goes with it. Run folders, which need a disk, are in index.node.ts. */

export { type Calibration, type CalibrationBin, calibration } from './calibration.js';
export {
  type Callback,
  EarlyStopping,
  type EarlyStoppingOptions,
  type EpochReport,
  type Monitor,
  type StepReport,
} from './callbacks.js';
export { type ClassificationLossOptions, classificationLoss } from './classification-loss.js';
export type { Distillation } from './distillation.js';
export { DivergenceError } from './divergence.js';
export {
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type Loss,
  type Normalization,
  type Prediction,
  predict,
  type Views,
} from './evaluate.js';
export {
  findLearningRate,
  type RateFinderOptions,
  type RatePoint,
  type RateRange,
  type RateSearch,
  suggestRates,
} from './find-learning-rate.js';
export {
  accuracy,
  type ClassMeans,
  type ClassReport,
  ConfusionMatrix,
  countTopK,
  predictedClasses,
  probabilitiesOf,
} from './metrics.js';
export { type Phase, type ScheduleBuilder, transferPhases, usualHeadEpochs } from './phases.js';
export { type RocAuc, rocAuc } from './roc-auc.js';
export { type SampleResult, SampleResults } from './sample-results.js';
export type { RecordedStep } from './step.js';
export { type FitResult, Trainer, type TrainerOptions, type TrainerState } from './trainer.js';
export { testTimeViews, type ViewKind, viewKinds } from './views.js';
export {
  DeadUnits,
  type DeadUnitsOfLayer,
  GradientNorms,
  type GradientNormsOptions,
  type GradientPoint,
  type WatchOptions,
} from './watchers.js';

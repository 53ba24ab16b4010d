/** Modules, layers, initialisers and losses. */

export * from './activation.js';
export * from './attention.js';
export { type AuxiliaryOutputs, answerOf, type Loss, totalLoss } from './auxiliary.js';
export * from './boxes.js';
export * from './container.js';
export * from './conv.js';
export * from './dropout.js';
export * from './embedding.js';
export { foldBatchNorm } from './fold-batch-norm.js';
export { freeze, type PathPattern, unfreeze } from './freeze.js';
export {
  type GraphFunction,
  GraphModule,
  type GraphOutput,
  GraphScope,
  type GraphSpec,
  type GraphStep,
  type GraphTensor,
} from './graph-module.js';
export * as init from './init.js';
export { Bilinear, Identity, LazyLinear, Linear } from './linear.js';
export {
  BCELoss,
  BCEWithLogitsLoss,
  CrossEntropyLoss,
  FocalLoss,
  HuberLoss,
  KLDivLoss,
  L1Loss,
  MSELoss,
  NLLLoss,
  SmoothL1Loss,
} from './loss.js';
export {
  type ForwardHook,
  type ForwardPreHook,
  type HookHandle,
  inEvalMode,
  Module,
  type StateDict,
} from './module.js';
export * from './normalization.js';
export * from './padding.js';
export { buffer, parameter } from './parameter.js';
export * from './pooling.js';
export { type FieldOf, type ReceptiveField, receptiveFields } from './receptive-field.js';
export * from './sequential.js';
export * from './shape.js';
export { SqueezeExcitation, type SqueezeExcitationOptions } from './squeeze-excitation.js';
export type { StateEntry, StateProblems } from './state.js';
export { Summary, type SummaryOptions, type SummaryRow, summary } from './summary.js';
export * from './upsample.js';
export * from './vision.js';

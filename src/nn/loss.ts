/**
 * Losses: functions of (input, target, options), and a module for each. The meaning, the reductions and the defaults are PyTorch's.
 * Classes are picked by comparing the target with 0 … C − 1, so a loss is elementwise work and sums only, and fuses into one or two kernels.
 */

import { softmaxOp } from '../ops/reduce.js';
import { arange, type Tensor, where } from '../tensor/index.js';
import { peekValue } from '../tensor/runtime.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';
import { Module } from './module.js';

/** 'mean' over what counts, 'sum', or 'none' to keep the losses apart. */
export type Reduction = 'mean' | 'sum' | 'none';

export interface LossOptions {
  readonly reduction?: Reduction;
}

export interface NLLOptions extends LossOptions {
  /** [C]: rescales each class; the mean of class indices divides by the sum of the weights used, that of shares by the number of samples. */
  readonly weight?: Tensor | null;
  /** Targets of this value count nothing. */
  readonly ignoreIndex?: number;
  /** Mixes this much of the uniform distribution into the target. Szegedy et al. 2015, arXiv:1512.00567. */
  readonly labelSmoothing?: number;
}

export type CrossEntropyOptions = NLLOptions;

/**
 * Negative log-likelihood of targets under log-probabilities: input [N, C, …] (or [C]) with class indices [N, …] (or []), or with shares of the
 * classes (float32, of the input's shape), as MixUp makes them; PyTorch takes those, and labelSmoothing, in `crossEntropy` alone.
 * @throws {ShapeError} if the shapes do not belong together. @throws {ConfigError} if a target that is on the host is no class.
 */
export function nll(input: Tensor, target: Tensor, options: NLLOptions = {}): Tensor {
  return likelihoodLoss('nll', input, target, options);
}

/**
 * Cross-entropy of logits [N, C, …] (or [C]) with class indices [N, …], or with shares of the classes of the input's shape: `logSoftmax` and `nll`
 * in one.
 * @throws {ShapeError} if the shapes do not belong together. @throws {ConfigError} if a target that is on the host is no class.
 */
export function crossEntropy(input: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  if (input.shape.length === 0)
    throw new ShapeError('crossEntropy: input needs a class axis: [N, C, …] or [C]; got []');
  warnOfSoftmax(input);
  return likelihoodLoss('crossEntropy', input.logSoftmax(classAxis(input)), target, options);
}

function likelihoodLoss(op: string, logp: Tensor, target: Tensor, options: NLLOptions): Tensor {
  const { weight = null, ignoreIndex = -100, labelSmoothing = 0, reduction = 'mean' } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new ConfigError(`${op}: labelSmoothing must lie within 0 … 1; got ${labelSmoothing}`);
  }
  const axis = classAxis(logp);
  const classes = logp.shape[axis];

  if (target.dtype === 'float32' && sameShape(logp.shape, target.shape)) {
    const smooth = labelSmoothing === 0 ? target : target.mul(1 - labelSmoothing).add(labelSmoothing / classes);
    const weighted = weight === null ? smooth.mul(logp) : smooth.mul(logp).mul(alongClasses(weight, logp));
    const losses = weighted.sum(axis).neg();
    return reduction === 'mean' ? losses.sum().div(Math.max(1, losses.size)) : reduce(losses, reduction);
  }

  const { picked, counted, valid } = pickClasses(op, logp, target, weight, ignoreIndex);
  if (labelSmoothing === 0) return reduce(picked.neg(), reduction, counted);
  const all = (weight === null ? logp : logp.mul(alongClasses(weight, logp))).sum(axis);
  const spread = where(valid, all, 0).mul(labelSmoothing / classes);
  return reduce(
    picked
      .mul(1 - labelSmoothing)
      .add(spread)
      .neg(),
    reduction,
    counted,
  );
}

/**
 * How far a student's answers are from its teacher's, both scores [N, C] (or logarithms of probabilities): T² · KL(softmax(teacher / T) ‖ softmax(student
 * / T)), the mean over the samples. A temperature above 1 lets the teacher's small probabilities speak; T² keeps the gradients' size. Hinton et al. 2015,
 * arXiv:1503.02531.
 */
export function distillationLoss(
  student: Tensor,
  teacher: Tensor,
  { temperature = 4 }: { temperature?: number } = {},
): Tensor {
  if (!(temperature > 0)) throw new ConfigError(`distillationLoss: temperature must be above 0; got ${temperature}`);
  requireSameShape('distillationLoss', student, teacher);
  const soften = (scores: Tensor) => scores.div(temperature).logSoftmax(1);
  return klDiv(soften(student), soften(teacher), { reduction: 'batchmean', logTarget: true }).mul(temperature ** 2);
}

/** (input − target)². */
export function mse(input: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}): Tensor {
  const d = difference('mse', input, target);
  return reduce(d.mul(d), reduction);
}

/** |input − target|. */
export function l1(input: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}): Tensor {
  return reduce(difference('l1', input, target).abs(), reduction);
}

/** Squared (halved) within `delta` of the target, straight beyond. */
export function huber(
  input: Tensor,
  target: Tensor,
  { delta = 1, reduction = 'mean' }: LossOptions & { delta?: number } = {},
): Tensor {
  if (!(delta > 0)) throw new ConfigError(`huber: delta must be above 0; got ${delta}`);
  const d = difference('huber', input, target).abs();
  return reduce(where(d.le(delta), d.mul(d).mul(0.5), d.sub(0.5 * delta).mul(delta)), reduction);
}

/** `huber` divided by its delta; `beta` 0 is `l1`. */
export function smoothL1(
  input: Tensor,
  target: Tensor,
  { beta = 1, reduction = 'mean' }: LossOptions & { beta?: number } = {},
): Tensor {
  if (!(beta >= 0)) throw new ConfigError(`smoothL1: beta must be at least 0; got ${beta}`);
  if (beta === 0) return l1(input, target, { reduction });
  return huber(input, target, { delta: beta, reduction }).div(beta);
}

export interface BCEOptions extends LossOptions {
  /** Rescales each element; broadcasts. */
  readonly weight?: Tensor | null;
}

/** Binary cross-entropy of probabilities with targets in 0 … 1. Logarithms stop at −100, as in PyTorch. */
export function bce(input: Tensor, target: Tensor, { weight = null, reduction = 'mean' }: BCEOptions = {}): Tensor {
  requireSameShape('bce', input, target);
  const losses = target
    .mul(boundedLog(input))
    .add(
      target
        .neg()
        .add(1)
        .mul(boundedLog(input.neg().add(1))),
    )
    .neg();
  return reduce(weight === null ? losses : losses.mul(weight), reduction);
}

export interface BCEWithLogitsOptions extends BCEOptions {
  /** Rescales the positive part of each class; broadcasts. */
  readonly posWeight?: Tensor | null;
}

/** Binary cross-entropy of logits: stable where `bce` of a sigmoid is not. */
export function bceWithLogits(
  input: Tensor,
  target: Tensor,
  { weight = null, posWeight = null, reduction = 'mean' }: BCEWithLogitsOptions = {},
): Tensor {
  requireSameShape('bceWithLogits', input, target);
  const losses = logisticLosses(input, target, posWeight);
  return reduce(weight === null ? losses : losses.mul(weight), reduction);
}

/** target·(log target − input) for log-probabilities `input`. 'batchmean' divides the sum by N: the mathematical divergence. */
export function klDiv(
  input: Tensor,
  target: Tensor,
  { reduction = 'mean', logTarget = false }: { reduction?: Reduction | 'batchmean'; logTarget?: boolean } = {},
): Tensor {
  requireSameShape('klDiv', input, target);
  const losses = logTarget
    ? target.exp().mul(target.sub(input))
    : where(target.gt(0), target.mul(where(target.gt(0), target, 1).log()), 0).sub(target.mul(input));
  return reduction === 'batchmean' ? losses.sum().div(input.shape[0] ?? 1) : reduce(losses, reduction);
}

export interface FocalOptions extends LossOptions {
  /** Weight of the positive class (1 − alpha of the negative), or of all classes when the target holds indices. null for none. */
  readonly alpha?: number | null;
  /** How far easy examples are turned down: losses are multiplied by (1 − p)^gamma. */
  readonly gamma?: number;
}

/**
 * Focal loss of logits: binary when the target has the input's shape (torchvision's `sigmoid_focal_loss`), else softmax over axis 1 with
 * class indices. Lin et al. 2017, arXiv:1708.02002.
 */
export function focal(
  input: Tensor,
  target: Tensor,
  { alpha = 0.25, gamma = 2, reduction = 'mean' }: FocalOptions = {},
): Tensor {
  if (sameShape(input.shape, target.shape)) {
    const p = input.sigmoid();
    const miss = p.add(target).sub(p.mul(target).mul(2)); // 1 − p of the true side
    const losses = logisticLosses(input, target, null).mul(power(miss, gamma));
    return reduce(alpha === null ? losses : losses.mul(target.mul(2 * alpha - 1).add(1 - alpha)), reduction);
  }
  const { picked } = pickClasses('focal', input.logSoftmax(classAxis(input)), target, null, -100);
  const losses = picked.neg().mul(power(picked.exp().neg().add(1), gamma));
  return reduce(alpha === null ? losses : losses.mul(alpha), reduction);
}

// —— modules ——

/** `nll` as a module. */
export class NLLLoss extends Module {
  constructor(readonly options: NLLOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return nll(input, target, this.options);
  }
}

/** `crossEntropy` as a module. */
export class CrossEntropyLoss extends Module {
  constructor(readonly options: CrossEntropyOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return crossEntropy(input, target, this.options);
  }
}

/** `mse` as a module. */
export class MSELoss extends Module {
  constructor(readonly options: LossOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return mse(input, target, this.options);
  }
}

/** `l1` as a module. */
export class L1Loss extends Module {
  constructor(readonly options: LossOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return l1(input, target, this.options);
  }
}

/** `huber` as a module. */
export class HuberLoss extends Module {
  constructor(readonly options: LossOptions & { delta?: number } = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return huber(input, target, this.options);
  }
}

/** `smoothL1` as a module. */
export class SmoothL1Loss extends Module {
  constructor(readonly options: LossOptions & { beta?: number } = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return smoothL1(input, target, this.options);
  }
}

/** `bce` as a module. */
export class BCELoss extends Module {
  constructor(readonly options: BCEOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return bce(input, target, this.options);
  }
}

/** `bceWithLogits` as a module. */
export class BCEWithLogitsLoss extends Module {
  constructor(readonly options: BCEWithLogitsOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return bceWithLogits(input, target, this.options);
  }
}

/** `klDiv` as a module. */
export class KLDivLoss extends Module {
  constructor(readonly options: { reduction?: Reduction | 'batchmean'; logTarget?: boolean } = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return klDiv(input, target, this.options);
  }
}

/** `focal` as a module. */
export class FocalLoss extends Module {
  constructor(readonly options: FocalOptions = {}) {
    super();
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return focal(input, target, this.options);
  }
}

// —— helpers ——

function reduce(losses: Tensor, reduction: Reduction, counted: Tensor | null = null): Tensor {
  switch (reduction) {
    case 'none':
      return losses;
    case 'sum':
      return losses.sum();
    case 'mean':
      return counted === null ? losses.mean() : losses.sum().div(counted);
    default:
      throw new ConfigError(`reduction must be 'mean', 'sum' or 'none'; got '${reduction satisfies never}'`);
  }
}

function classAxis(input: Tensor): number {
  return input.shape.length === 1 ? 0 : 1;
}

/** A [C] tensor shaped to broadcast along the class axis of `like`. */
function alongClasses(values: Tensor, like: Tensor): Tensor {
  const axis = classAxis(like);
  if (values.shape.length !== 1 || values.shape[0] !== like.shape[axis]) {
    throw new ShapeError(
      `loss: class weights do not fit\n  weight  ${formatShape(values.shape)}\n  input   ${formatShape(like.shape)}   ` +
        `${axis === 0 ? 'C' : 'N C …'}\n  There are ${like.shape[axis]} classes; pass a weight of shape [${like.shape[axis]}].`,
    );
  }
  return values.reshape(like.shape.map((n, i) => (i === axis ? n : 1)));
}

/** For each target its class's entry of `logp` (times its weight; 0 where ignored), what the mean divides by, and which targets count. */
function pickClasses(op: string, logp: Tensor, target: Tensor, weight: Tensor | null, ignoreIndex: number) {
  const axis = classAxis(logp);
  const expected = logp.shape.filter((_, i) => i !== axis);
  if (!sameShape(target.shape, expected) || target.dtype === 'float32') {
    throw new ShapeError(
      `${op}: target does not belong to input\n  input   ${formatShape(logp.shape)}   ${axis === 0 ? 'C' : 'N C …'}\n` +
        `  target  ${formatShape(target.shape)}   ${target.dtype}\n` +
        `  ${target.dtype === 'float32' ? 'float32 targets are probabilities of the input’s shape; class' : 'Class'} indices are integers of shape ` +
        `${formatShape(expected)}: pass target.to('int32')${sameShape(target.shape, expected) ? '' : ` of that shape`}.`,
    );
  }
  const classes = logp.shape[axis];
  checkClasses(op, target, classes, ignoreIndex);
  const index = arange(classes).reshape(logp.shape.map((n, i) => (i === axis ? n : 1)));
  const isTarget = index.eq(target.unsqueeze(axis));
  const valid = target.ne(ignoreIndex);
  const inRange = ignoreIndex >= 0 && ignoreIndex < classes; // else no class equals it anyway
  const hit = inRange ? isTarget.logicalAnd(valid.unsqueeze(axis)) : isTarget;
  const weights = weight === null ? null : alongClasses(weight, logp);
  const picked = where(hit, weights === null ? logp : logp.mul(weights), 0).sum(axis);
  const counted = weights === null ? valid.to('float32').sum() : where(hit, weights, 0).sum();
  return { picked, counted, valid };
}

let warned = false;

/** Cross-entropy takes the softmax itself: one before it learns, but slowly and badly, and nothing else tells. */
function warnOfSoftmax({ node }: Tensor): void {
  if (warned || node.op !== softmaxOp) return;
  warned = true;
  console.warn(
    'crossEntropy: the input is a softmax already. Pass the logits as they are: crossEntropy takes the softmax itself ' +
      '(or use logSoftmax with nll).',
  );
}

/** Labels usually come from a loader and lie on the host: then a wrong one is named at once. */
function checkClasses(op: string, target: Tensor, classes: number, ignoreIndex: number): void {
  const labels = peekValue(target);
  if (labels === null) return;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if ((label < 0 || label >= classes) && label !== ignoreIndex) {
      throw new ConfigError(
        `${op}: target ${i} is class ${label}, but input has ${classes} classes (0 … ${classes - 1}).\n` +
          `  ${label === classes ? 'Labels that start at 1 need 1 subtracted. ' : ''}To leave such targets out, pass ignoreIndex: ${label}.`,
      );
    }
  }
}

/** log x, but −100 (with gradient 0) at 0. */
function boundedLog(x: Tensor): Tensor {
  const positive = x.gt(0);
  return where(positive, where(positive, x, 1).log(), -100);
}

/** −target·log σ(x) − (1 − target)·log(1 − σ(x)), with the first part times `posWeight`, without overflow. */
function logisticLosses(x: Tensor, target: Tensor, posWeight: Tensor | null): Tensor {
  const softplusNeg = x.abs().neg().exp().log1p().add(x.neg().maximum(0)); // log(1 + e^−x)
  const negative = target.neg().add(1).mul(x);
  if (posWeight === null) return negative.add(softplusNeg);
  return negative.add(target.mul(posWeight.sub(1)).add(1).mul(softplusNeg));
}

function power(x: Tensor, exponent: number): Tensor {
  return exponent === 0 ? x.mul(0).add(1) : exponent === 1 ? x : exponent === 2 ? x.mul(x) : x.pow(exponent);
}

function requireSameShape(op: string, input: Tensor, target: Tensor): void {
  if (sameShape(input.shape, target.shape)) return;
  throw new ShapeError(
    `${op}: input and target have different shapes\n  input   ${formatShape(input.shape)}\n  target  ${formatShape(target.shape)}\n` +
      `  They must be equal, because broadcasting here is nearly always a mistake: pass target.reshape(${formatShape(input.shape)}) or target.expand(…).`,
  );
}

function difference(op: string, input: Tensor, target: Tensor): Tensor {
  requireSameShape(op, input, target);
  return input.sub(target);
}

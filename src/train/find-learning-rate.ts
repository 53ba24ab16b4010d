/**
 * Looks for a good learning rate: a short training in which the rate grows from far too small to far too large, and the loss tells where it is neither.
 * Smith 2015, arXiv:1506.01186, section 3.3, with fastai's smoothing and suggestions. Afterwards everything is as it was.
 */

import { LambdaLR } from '../optim/index.js';
import { ConfigError } from '../util/errors.js';
import type { StepReport } from './callbacks.js';
import { DivergenceError } from './divergence.js';
import { Trainer } from './trainer.js';
import type { TrainerOptions } from './trainer-options.js';
import { hostTensors } from './trainer-state.js';

/** What a step of the training to come depends on. The options of a whole training will do: the others are left aside. */
export type RateFinderOptions = Pick<
  TrainerOptions,
  | 'model'
  | 'optimizer'
  | 'loss'
  | 'train'
  | 'batchSize'
  | 'seed'
  | 'normalize'
  | 'clipGradNorm'
  | 'accumulate'
  | 'distillation'
>;

export interface RateRange {
  /** Rates of the fastest parameter group; the others keep their ratio to it. */
  readonly from?: number;
  readonly to?: number;
  /** Each step multiplies the rate by the same factor. */
  readonly steps?: number;
  /** The search ends when the smoothed loss is so many times the smallest one so far. */
  readonly explodes?: number;
  /** Called after each step; `false` ends the search. */
  readonly onStep?: (point: RatePoint, step: number, steps: number) => boolean | undefined;
}

export interface RatePoint {
  readonly lr: number;
  /** Of one batch, before its update. */
  readonly loss: number;
  /** Running mean of the losses, corrected for its start. */
  readonly smoothed: number;
}

export interface RateSearch {
  readonly points: readonly RatePoint[];
  /** The middle of the longest decline; null where the loss never fell. A careful choice. */
  readonly valley: number | null;
  /** Where the loss falls fastest by the logarithm of the rate; null where it never fell. A bolder choice. */
  readonly steepest: number | null;
  /** The one to begin with: `valley`. */
  readonly suggestion: number | null;
  /** 'exploded': the loss grew far or was no number any more. 'finished': it took all steps. 'stopped': by `onStep`. */
  readonly ended: 'exploded' | 'finished' | 'stopped';
}

export async function findLearningRate(options: RateFinderOptions, range: RateRange = {}): Promise<RateSearch> {
  const { from = 1e-7, to = 10, steps = 100, explodes = 4, onStep } = range;
  if (!(from > 0 && to > from && to < Infinity)) {
    throw new ConfigError(`findLearningRate: needs 0 < from < to; got ${from} and ${to}`);
  }
  if (!(Number.isInteger(steps) && steps >= 2)) {
    throw new ConfigError(`findLearningRate: steps is a whole number from 2 up, not ${steps}`);
  }
  const bringBack = await remember(options);
  const points: RatePoint[] = [];
  let ended: RateSearch['ended'] = 'finished';
  try {
    const fastest = Math.max(...options.optimizer.paramGroups.map(({ lr, initialLr }) => initialLr ?? lr));
    const rate = (step: number) => from * (to / from) ** (step / (steps - 1));
    const smooth = smoother();
    const watch = (trainer: Trainer, { lr: _, loss }: StepReport) => {
      const point = { lr: rate(points.length), loss, smoothed: smooth(loss) };
      points.push(point);
      const least = points.reduce((min, { smoothed }) => Math.min(min, smoothed), Infinity);
      if (point.smoothed > explodes * least) ended = 'exploded';
      else if (onStep?.(point, points.length, steps) === false) ended = 'stopped';
      if (ended !== 'finished' || points.length === steps) trainer.stop(ended, { now: true });
    };
    const { model, optimizer, loss, train, batchSize, seed, normalize, clipGradNorm, accumulate, distillation } =
      options;
    const trainer = new Trainer({
      ...{ model, optimizer, loss, train, batchSize, seed, normalize, clipGradNorm, accumulate, distillation },
      epochs: steps, // it stops before, unless an epoch is a single step
      schedule: (groups) => new LambdaLR(groups, (step) => rate(step) / fastest),
      callbacks: [{ onStepEnd: watch }],
    });
    await trainer.fit();
  } catch (error) {
    if (!(error instanceof DivergenceError)) throw error;
    ended = 'exploded';
  } finally {
    bringBack();
  }
  return { points, ...suggestRates(points), ended };
}

/** Rates read off a curve. The first tenth is the smoothing's run-up, the last points are the explosion: neither counts. */
export function suggestRates(points: readonly RatePoint[]): Pick<RateSearch, 'valley' | 'steepest' | 'suggestion'> {
  const own = points.slice(Math.floor(points.length / 10), Math.max(0, points.length - 5));
  const valley = own[middleOfDecline(own.map(({ smoothed }) => smoothed))]?.lr ?? null;
  const slopes = own.slice(1).map(({ lr, smoothed }, i) => (smoothed - own[i].smoothed) / Math.log(lr / own[i].lr));
  const least = Math.min(0, ...slopes);
  const steepest = least < 0 ? own[slopes.indexOf(least)].lr : null;
  return { valley, steepest, suggestion: valley };
}

/**
 * The longest subsequence that falls, as positions: halfway between its first and its last; of equal ones
 * the last to begin, so that a plateau before it does not count. −1 where nothing falls.
 */
function middleOfDecline(values: readonly number[]): number {
  const length = values.map(() => 1);
  const start = values.map((_, i) => i);
  let end = -1;
  for (let i = 1; i < values.length; i++) {
    for (let j = 0; j < i; j++) {
      if (values[i] < values[j] && length[j] + 1 >= length[i]) {
        length[i] = length[j] + 1;
        start[i] = start[j];
      }
    }
    if (length[i] > (end < 0 ? 1 : length[end])) end = i;
  }
  return end < 0 ? -1 : Math.floor((start[end] + end) / 2);
}

const keep = 0.98;

/** An exponential mean without the lean towards the 0 it starts from. */
function smoother(): (value: number) => number {
  let [mean, count] = [0, 0];
  return (value) => {
    mean = keep * mean + (1 - keep) * value;
    return mean / (1 - keep ** ++count);
  };
}

/** Copies all that training changes. The function it returns brings it back. */
async function remember({ model, optimizer }: RateFinderOptions): Promise<() => void> {
  const weights = new Map(await hostTensors('', model.stateDict()));
  const modes = model.modules().map((module) => [module, module.training] as const);
  const groups = optimizer.paramGroups.map((group: object) => ({ ...group }));
  const saved = optimizer.stateDict();
  const state = Object.fromEntries(await hostTensors('', saved.state));
  const { steps, paramGroups } = saved;
  return () => {
    for (const [module, mode] of modes) module.training = mode;
    model.loadStateDict(weights);
    optimizer.zeroGrad();
    optimizer.loadStateDict({ state, steps, paramGroups });
    optimizer.paramGroups.forEach((group, i) => void putBack(group, groups[i]));
  };
}

function putBack(group: object, before: object): void {
  for (const name of Object.keys(group)) if (!(name in before)) Reflect.deleteProperty(group, name);
  Object.assign(group, before);
}

/**
 * What may happen around training: a callback sees each step and epoch, may stop the run, and may keep a state that checkpoints carry.
 * The trainer waits for Promises that callbacks return.
 */

import type { JsonObject } from '../io/index.js';
import { ConfigError } from '../util/errors.js';
import type { Evaluation } from './evaluate.js';
import type { RecordedStep } from './step.js';
import type { FitResult, Trainer } from './trainer.js';

export interface StepReport {
  /** Steps taken, this one included. */
  readonly step: number;
  readonly epoch: number;
  /** Batches done in this epoch, and how many it has. */
  readonly batch: number;
  readonly batches: number;
  /** Pictures in this batch. */
  readonly count: number;
  /** Mean loss of this batch, before its update. */
  readonly loss: number;
  /** Share of this batch that was right. */
  readonly accuracy: number;
  /** Means over the epoch so far. */
  readonly epochLoss: number;
  readonly epochAccuracy: number;
  readonly lr: number;
}

export interface EpochReport {
  /** Counted from 0. */
  readonly epoch: number;
  readonly step: number;
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  /** On the validation pictures, or on the test pictures where there are no others; null without either. */
  readonly loss: number | null;
  readonly accuracy: number | null;
  readonly lr: number;
  /** Training and evaluation. */
  readonly seconds: number;
}

type Hook = void | Promise<void>;

export interface Callback {
  /** Needed to keep a state: names it in checkpoints. */
  readonly name?: string;
  onFitStart?(trainer: Trainer): Hook;
  onEpochStart?(trainer: Trainer, epoch: number): Hook;
  /** Gradients are recorded and not yet used: the place to clip them, or to have something computed with the step. */
  onGradients?(trainer: Trainer, step: RecordedStep): Hook;
  onStepEnd?(trainer: Trainer, report: StepReport): Hook;
  /** After each batch of an evaluation. */
  onEvaluate?(trainer: Trainer, done: number, total: number): void;
  onEpochEnd?(trainer: Trainer, report: EpochReport, evaluation: Evaluation | null): Hook;
  onFitEnd?(trainer: Trainer, result: FitResult): Hook;
  stateDict?(): JsonObject;
  loadStateDict?(state: JsonObject): void;
}

/** What says whether an epoch was better, on the validation (or test) pictures. `f1` is the plain mean over the classes: rare ones count alike. */
export type Monitor = 'loss' | 'accuracy' | 'f1';

/** The measure, signed so that more is better; null where nothing was measured. */
export function goodness(
  monitor: Monitor,
  { loss, accuracy }: Pick<EpochReport, 'loss' | 'accuracy'>,
  evaluation: Pick<Evaluation, 'confusion'> | null,
): number | null {
  switch (monitor) {
    case 'loss':
      return loss === null ? null : -loss;
    case 'accuracy':
      return accuracy;
    case 'f1':
      return evaluation?.confusion.macro().f1 ?? null;
    default:
      throw new ConfigError(`monitor is 'loss', 'accuracy' or 'f1', not '${monitor satisfies never}'`);
  }
}

export interface EarlyStoppingOptions {
  /** Epochs without improvement that are waited for. */
  readonly patience?: number;
  /** What counts as improvement. */
  readonly minDelta?: number;
  readonly monitor?: Monitor;
}

/** Stops when the measure on validation (or test) pictures has not improved for `patience` epochs. */
export class EarlyStopping implements Callback {
  readonly name = 'earlyStopping';
  readonly #options: Required<EarlyStoppingOptions>;
  #best: number | null = null;
  #bad = 0;

  constructor({ patience = 3, minDelta = 0, monitor = 'loss' }: EarlyStoppingOptions = {}) {
    if (!(Number.isInteger(patience) && patience >= 1)) {
      throw new ConfigError(`EarlyStopping: patience is a number of epochs from 1 up, not ${patience}`);
    }
    if (!(minDelta >= 0)) throw new ConfigError(`EarlyStopping: minDelta is not negative; got ${minDelta}`);
    this.#options = { patience, minDelta, monitor };
  }

  onEpochEnd(trainer: Trainer, report: EpochReport, evaluation: Evaluation | null): void {
    const { patience, minDelta, monitor } = this.#options;
    const value = goodness(monitor, report, evaluation);
    if (value === null) {
      throw new ConfigError('EarlyStopping: there is nothing to watch: give the Trainer validation or test pictures.');
    }
    if (this.#best === null || value - this.#best > minDelta) {
      this.#best = value;
      this.#bad = 0;
    } else if (++this.#bad >= patience) {
      trainer.stop(`${monitor} has not improved for ${patience} ${patience === 1 ? 'epoch' : 'epochs'}`);
    }
  }

  stateDict(): JsonObject {
    return { best: this.#measure(this.#best), bad: this.#bad };
  }

  loadStateDict({ best, bad }: JsonObject): void {
    this.#best = this.#measure(best as number | null);
    this.#bad = bad as number;
  }

  /** States hold the measure as it is, not what is good about it; turning it twice gives it back. */
  #measure(value: number | null): number | null {
    return value !== null && this.#options.monitor === 'loss' ? -value : value;
  }
}

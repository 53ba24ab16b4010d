/** What a training is made of, and what comes out of it. */

import type { DataLoader, Dataset } from '../data/index.js';
import type { HostTensor, JsonObject } from '../io/index.js';
import type { Module } from '../nn/index.js';
import type { EMAOptions, LRScheduler, ReduceLROnPlateau } from '../optim/index.js';
import type { Callback, EpochReport } from './callbacks.js';
import type { Distillation } from './distillation.js';
import type { Loss, Normalization } from './evaluate.js';
import type { AnyOptimizer, Phase, ScheduleBuilder } from './phases.js';

export interface TrainerOptions {
  readonly model: Module;
  readonly optimizer: AnyOptimizer;
  readonly loss: Loss;
  /** What evaluations measure where it is another one: plain cross-entropy where training smooths labels or weighs classes. */
  readonly evaluationLoss?: Loss;
  /** A loader, or a data set to shuffle into batches of `batchSize`. */
  readonly train: DataLoader | Dataset;
  /** Looked at after each epoch, to watch and to stop by. */
  readonly validation?: DataLoader | Dataset;
  /** Stands in for `validation` where there is none. */
  readonly test?: DataLoader | Dataset;
  readonly epochs?: number;
  /** For data sets; loaders have their own. */
  readonly batchSize?: number;
  /** Decides shuffles of data sets, dropout and everything random in the model's forward. */
  readonly seed?: number;
  /** How pictures become numbers. Left out, bytes are divided by 255 and floats taken as they are. */
  readonly normalize?: Normalization;
  readonly scheduler?: LRScheduler | ReduceLROnPlateau;
  /** When the scheduler takes its steps. */
  readonly scheduleEvery?: 'epoch' | 'step';
  /** In place of `scheduler`: makes one for all steps of the training, and it counts steps. */
  readonly schedule?: ScheduleBuilder;
  /** What learns when, and how fast: the head first, then everything. `epochs` left out is the sum of theirs. */
  readonly phases?: readonly Phase[];
  /** Batches in a step: so many small ones make the step of a large one, batch norms apart. The last step of an epoch takes those that are left. */
  readonly accumulate?: number;
  /** Keeps a moving average of the weights, which is what is evaluated, predicts and is saved as the model. */
  readonly ema?: EMAOptions;
  /** Learns from another network as well. */
  readonly distillation?: Distillation;
  /** Scales all gradients down together when their norm is larger. */
  readonly clipGradNorm?: number;
  readonly callbacks?: readonly Callback[];
}

export interface FitResult {
  readonly epochs: readonly EpochReport[];
  readonly steps: number;
  /** Why training ended before the last epoch, or null. */
  readonly stopped: string | null;
  /** Stopped in the middle of an epoch; `fit()` goes on from there. */
  readonly interrupted: boolean;
  /** All of training, earlier parts of a resumed run included. */
  readonly seconds: number;
}

/** A run at one moment: what a checkpoint holds. */
export interface TrainerState {
  /** `model.…`, `optimizer.…` and, where the weights are averaged, `ema.…`. */
  readonly tensors: Map<string, HostTensor>;
  readonly state: JsonObject;
}

/**
 * The training loop: epochs over a loader, one program run a step, an evaluation after each epoch.
 *
 * A step's randomness (dropout) follows from (seed, step) and the order of pictures from (seed, epoch), so that weights, optimiser state
 * and the position are all that resuming needs: `state()` and `load()`. A run that goes on from a state ends with the same bits as one
 * that never stopped. When the loss of a step is not finite, its update does not take effect.
 */

import { batchTensors, type DataLoader, type Dataset, type LoadedBatch } from '../data/index.js';
import type { HostTensor, JsonObject } from '../io/index.js';
import type { AuxiliaryOutputs, Module } from '../nn/index.js';
import { clipGradNorm, type LRScheduler, type Optimizer, ReduceLROnPlateau } from '../optim/index.js';
import { assignOnlyIf, defaultGenerator, F, noGrad, realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Callback, EpochReport, StepReport } from './callbacks.js';
import { DivergenceError, findNonFinite } from './divergence.js';
import {
  applyLoss,
  asLoader,
  type Evaluation,
  evaluate,
  type Loss,
  type Normalization,
  type Prediction,
  predict,
  prepare,
  rowsOf,
} from './evaluate.js';

export interface TrainerOptions {
  readonly model: Module;
  // biome-ignore lint/suspicious/noExplicitAny: any optimiser will do, whatever options its groups have
  readonly optimizer: Optimizer<any>;
  readonly loss: Loss;
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
  /** When the schedule takes its steps. */
  readonly scheduleEvery?: 'epoch' | 'step';
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
  /** `model.…` and `optimizer.…`. */
  readonly tensors: Map<string, HostTensor>;
  readonly state: JsonObject;
}

/** Random streams set aside for each step: far more than calls of `rand` in one. */
const streamsPerStep = 2 ** 24;

export class Trainer {
  readonly model: Module;
  // biome-ignore lint/suspicious/noExplicitAny: see TrainerOptions
  readonly optimizer: Optimizer<any>;
  readonly train: DataLoader;
  readonly validation: DataLoader | null;
  readonly test: DataLoader | null;
  readonly epochs: number;
  readonly seed: number;
  readonly #options: TrainerOptions;
  readonly #callbacks: readonly Callback[];

  /** Steps taken. */
  step = 0;
  /** The epoch under way, or the next. */
  epoch = 0;
  /** Batches of it that are done. */
  batch = 0;
  /** Of finished epochs. */
  history: EpochReport[] = [];

  #sums = { loss: 0, correct: 0, count: 0 };
  #secondsBefore = 0;
  #epochSecondsBefore = 0;
  #startedAt: number | null = null;
  #epochStartedAt = 0;
  #stop: { reason: string; now: boolean } | null = null;

  constructor(options: TrainerOptions) {
    const { model, optimizer, train, validation, test, epochs = 1, batchSize = 64, seed = 0 } = options;
    if (!(Number.isInteger(epochs) && epochs >= 0)) {
      throw new ConfigError(`Trainer: epochs is a whole number from 0 up, not ${epochs}`);
    }
    if (!(Number.isSafeInteger(seed) && seed >= 0)) {
      throw new ConfigError(`Trainer: seed is a whole number from 0 to 2⁵³ − 1, not ${seed}`);
    }
    this.model = model;
    this.optimizer = optimizer;
    this.train = asLoader(train, { batchSize, seed, shuffle: true });
    this.validation = validation === undefined ? null : asLoader(validation, { batchSize });
    this.test = test === undefined ? null : asLoader(test, { batchSize });
    if (this.train.length === 0) {
      throw new ConfigError(
        `Trainer: there is nothing to train on: ${this.train.dataset.length} pictures make no batch`,
      );
    }
    this.epochs = epochs;
    this.seed = seed;
    this.#options = options;
    this.#callbacks = options.callbacks ?? [];
  }

  get lr(): number {
    return this.optimizer.paramGroups[0].lr;
  }

  /** Seconds of training so far, earlier parts of a resumed run included. */
  get seconds(): number {
    return this.#secondsBefore + since(this.#startedAt);
  }

  /**
   * Trains up to the last epoch, or until somebody calls `stop`. Called again, it goes on where it stopped.
   * @throws {DivergenceError} when the loss is not finite any more
   */
  async fit(): Promise<FitResult> {
    if (this.#startedAt !== null) throw new ConfigError('Trainer: fit() is already running');
    const generator = defaultGenerator();
    const userRandom = generator.state();
    this.#startedAt = performance.now();
    try {
      await this.#each('onFitStart');
      while (this.epoch < this.epochs && this.#stop === null) await this.#runEpoch();
      const stop = this.#stop as { reason: string; now: boolean } | null;
      const result: FitResult = {
        epochs: this.history,
        steps: this.step,
        stopped: stop?.reason ?? null,
        interrupted: stop?.now === true && this.epoch < this.epochs,
        seconds: this.seconds,
      };
      await this.#each('onFitEnd', result);
      return result;
    } finally {
      generator.setState(userRandom);
      this.#secondsBefore = this.seconds;
      this.#startedAt = null;
      this.#stop = null;
    }
  }

  /** Ends training after the epoch under way, or after the step under way with `now`. Before `fit()`, it keeps that from starting. */
  stop(reason: string, { now = false }: { now?: boolean } = {}): void {
    this.#stop = { reason, now: now || this.#stop?.now === true };
  }

  /** Measures the model on the test pictures, or on other ones. */
  evaluate(data: DataLoader | Dataset | null = this.test): Promise<Evaluation> {
    if (data === null)
      throw new ConfigError('Trainer: evaluate needs pictures: pass some, or give the Trainer test pictures.');
    const { loss, normalize = null } = this.#options;
    return evaluate(this.model, data, {
      loss,
      normalize,
      batchSize: this.train.batchSize,
      onBatch: (done, total) => {
        for (const callback of this.#callbacks) callback.onEvaluate?.(this, done, total);
        return this.#stop?.now !== true;
      },
    });
  }

  /** The likeliest classes of each picture of a batch. */
  predict(batch: Parameters<typeof predict>[1], { top }: { top?: number } = {}): Promise<Prediction[][]> {
    const { normalize = null } = this.#options;
    return predict(this.model, batch, { classes: this.train.dataset.classes, normalize, top });
  }

  /** All that going on needs. The tensors are copies. */
  async state(): Promise<TrainerState> {
    const optimizer = this.optimizer.stateDict();
    const live = [
      ...Object.entries(this.model.stateDict()).map(([name, t]) => [`model.${name}`, t] as const),
      ...Object.entries(optimizer.state).map(([name, t]) => [`optimizer.${name}`, t] as const),
    ];
    const tensors = new Map<string, HostTensor>();
    for (const [name, t] of live) tensors.set(name, { dtype: t.dtype, shape: t.shape, data: await t.data() });
    const callbacks: JsonObject = {};
    for (const { name, stateDict } of this.#named()) callbacks[name] = stateDict();
    const state = {
      version: 1,
      seed: this.seed,
      step: this.step,
      epoch: this.epoch,
      batch: this.batch,
      batches: this.train.length,
      sums: this.#sums,
      seconds: this.seconds,
      epochSeconds: this.batch === 0 ? 0 : this.#epochSeconds,
      history: this.history,
      optimizer: { steps: optimizer.steps, paramGroups: optimizer.paramGroups },
      scheduler: this.#options.scheduler?.stateDict() ?? null,
      callbacks,
    };
    return { tensors, state: JSON.parse(JSON.stringify(state)) as JsonObject };
  }

  /** Goes on from a state. @throws {ConfigError} when it belongs to another training. */
  load({ tensors, state }: TrainerState): void {
    const saved = state as unknown as SavedState;
    if (saved.version !== 1)
      throw new ConfigError(`Trainer: this state has version ${saved.version}; this fovea reads 1`);
    if (saved.seed !== this.seed || saved.batches !== this.train.length) {
      throw new ConfigError(
        `Trainer: the state is from seed ${saved.seed} and ${saved.batches} batches an epoch, this training has seed ${this.seed} and ` +
          `${this.train.length}: it would not go on as it began.`,
      );
    }
    this.model.loadStateDict(part(tensors, 'model.'));
    this.optimizer.loadStateDict({ state: Object.fromEntries(part(tensors, 'optimizer.')), ...saved.optimizer });
    if (saved.scheduler !== null) this.#options.scheduler?.loadStateDict(saved.scheduler as never);
    for (const { name, loadStateDict } of this.#named()) {
      const own = saved.callbacks[name];
      if (own !== undefined) loadStateDict(own as JsonObject);
    }
    this.step = saved.step;
    this.epoch = saved.epoch;
    this.batch = saved.batch;
    this.history = [...saved.history];
    this.#sums = { ...saved.sums };
    this.#secondsBefore = saved.seconds;
    this.#epochSecondsBefore = saved.epochSeconds;
  }

  async #runEpoch(): Promise<void> {
    this.#epochStartedAt = performance.now();
    this.model.train();
    await this.#each('onEpochStart', this.epoch);
    for await (const batch of this.train.epoch(this.epoch, this.batch)) {
      const report = await this.#runStep(batch);
      await this.#each('onStepEnd', report);
      if (this.#stop?.now) return this.#leaveEpoch();
    }
    const watched = this.validation ?? this.test;
    const evaluation = watched === null ? null : await this.evaluate(watched);
    if (evaluation?.complete === false) return this.#leaveEpoch();
    const report: EpochReport = {
      epoch: this.epoch,
      step: this.step,
      trainLoss: this.#sums.loss / this.#sums.count,
      trainAccuracy: this.#sums.correct / this.#sums.count,
      loss: evaluation?.loss ?? null,
      accuracy: evaluation?.accuracy ?? null,
      lr: this.lr,
      seconds: this.#epochSeconds,
    };
    this.#scheduleEpoch(report);
    this.history = [...this.history, report];
    this.epoch++;
    this.batch = 0;
    this.#sums = { loss: 0, correct: 0, count: 0 };
    this.#epochSecondsBefore = 0;
    await this.#each('onEpochEnd', report, evaluation);
  }

  #leaveEpoch(): void {
    this.#epochSecondsBefore = this.#epochSeconds;
  }

  /** One program: forward, gradients, update, and the two numbers that are read back. */
  async #runStep(batch: LoadedBatch): Promise<StepReport> {
    const { loss: lossOf, normalize = null, scheduler, scheduleEvery = 'epoch', clipGradNorm: limit } = this.#options;
    const { lr } = this;
    this.#seedStep();
    const { inputs, labels, target } = batchTensors(batch);
    const outputs = this.model.forward(prepare(inputs, normalize)) as Tensor | AuxiliaryOutputs;
    const scores = rowsOf(outputs);
    const loss = applyLoss(lossOf, outputs, target);
    const correct = noGrad(() => scores.argmax(1).eq(labels).sum());
    this.optimizer.zeroGrad();
    loss.backward();
    if (limit !== undefined) clipGradNorm(this.model.parameters(), limit);
    await this.#each('onGradients');
    this.optimizer.update();
    assignOnlyIf(noGrad(() => F.isFinite(loss)));
    await realize(loss, correct);
    const lossValue = await loss.item();
    if (!Number.isFinite(lossValue)) throw await this.#diverged(batch, lossValue, lr);
    const right = await correct.item();

    const count = batch.labels.length;
    this.#sums.loss += lossValue * count;
    this.#sums.correct += right;
    this.#sums.count += count;
    this.step++;
    this.batch = batch.batch + 1;
    if (scheduleEvery === 'step') {
      if (scheduler instanceof ReduceLROnPlateau) scheduler.step(lossValue);
      else scheduler?.step();
    }
    return {
      step: this.step,
      epoch: this.epoch,
      batch: this.batch,
      batches: this.train.length,
      count,
      loss: lossValue,
      accuracy: right / count,
      epochLoss: this.#sums.loss / this.#sums.count,
      epochAccuracy: this.#sums.correct / this.#sums.count,
      lr,
    };
  }

  /** Gives the step its own random streams, whatever was drawn before it. */
  #seedStep(): void {
    defaultGenerator().setState({ seed: this.seed, stream: (this.step + 1) * streamsPerStep });
  }

  async #diverged(batch: LoadedBatch, loss: number, lr: number): Promise<DivergenceError> {
    this.#seedStep();
    const { inputs } = batchTensors(batch);
    const input = prepare(inputs, this.#options.normalize ?? null);
    const { layer, where } = await findNonFinite(this.model, input);
    return new DivergenceError(this.step + 1, layer, lr, loss, where);
  }

  #scheduleEpoch(report: EpochReport): void {
    const { scheduler, scheduleEvery = 'epoch' } = this.#options;
    if (scheduleEvery !== 'epoch') return;
    if (scheduler instanceof ReduceLROnPlateau) scheduler.step(report.loss ?? report.trainLoss);
    else scheduler?.step();
  }

  get #epochSeconds(): number {
    return this.#epochSecondsBefore + since(this.#epochStartedAt);
  }

  async #each<H extends 'onFitStart' | 'onEpochStart' | 'onGradients' | 'onStepEnd' | 'onEpochEnd' | 'onFitEnd'>(
    hook: H,
    ...args: Parameters<NonNullable<Callback[H]>> extends [Trainer, ...infer Rest] ? Rest : never
  ): Promise<void> {
    for (const callback of this.#callbacks) {
      await (callback[hook] as ((trainer: Trainer, ...rest: unknown[]) => unknown) | undefined)?.call(
        callback,
        this,
        ...args,
      );
    }
  }

  *#named() {
    for (const callback of this.#callbacks) {
      const { name } = callback;
      if (name === undefined || !callback.stateDict || !callback.loadStateDict) continue;
      yield {
        name,
        stateDict: () => callback.stateDict!(),
        loadStateDict: (state: JsonObject) => callback.loadStateDict!(state),
      };
    }
  }
}

interface SavedState {
  version: number;
  seed: number;
  step: number;
  epoch: number;
  batch: number;
  batches: number;
  sums: { loss: number; correct: number; count: number };
  seconds: number;
  epochSeconds: number;
  history: EpochReport[];
  optimizer: { steps: number[]; paramGroups: Record<string, unknown>[] };
  scheduler: unknown;
  callbacks: JsonObject;
}

function part(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
  return new Map(
    [...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, t]) => [name.slice(prefix.length), t]),
  );
}

function since(start: number | null): number {
  return start === null ? 0 : (performance.now() - start) / 1000;
}

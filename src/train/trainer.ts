/**
 * The training loop: epochs over a loader, one program run a batch (step.ts), an evaluation after each epoch.
 *
 * A step's randomness (dropout) follows from (seed, step) and the order of pictures from (seed, epoch), so that weights, optimiser state
 * and the position are all that resuming needs: `state()` and `load()`. A run that goes on from a state ends with the same bits as one
 * that never stopped. When the loss of a step is not finite, its update does not take effect.
 *
 * A step is one update of the weights; with `accumulate` it takes several batches. Between steps no gradients are kept.
 */

import { batchTensors, type DataLoader, type Dataset, type LoadedBatch } from '../data/index.js';
import type { HostTensor, JsonObject } from '../io/index.js';
import type { Module } from '../nn/index.js';
import { clipGradNorm, EMA, type LRScheduler, ReduceLROnPlateau } from '../optim/index.js';
import { assignOnlyIf, defaultGenerator, F, noGrad, type Parameter, realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Callback, EpochReport, StepReport } from './callbacks.js';
import { checkDistillation } from './distillation.js';
import { DivergenceError, findNonFinite } from './divergence.js';
import { asLoader, type Evaluation, evaluate, type Prediction, predict, prepare } from './evaluate.js';
import { type AnyOptimizer, driveRates, Phases } from './phases.js';
import { checkAccumulate, forward, GradientSum, type Objective, type Outcome } from './step.js';
import type { FitResult, TrainerOptions, TrainerState } from './trainer-options.js';
import { checkSaved, hostTensors, type SavedState, underPrefix } from './trainer-state.js';

export type { FitResult, TrainerOptions, TrainerState } from './trainer-options.js';

/** Random streams set aside for each step: far more than calls of `rand` in one. */
const streamsPerStep = 2 ** 24;

export class Trainer {
  readonly model: Module;
  readonly optimizer: AnyOptimizer;
  readonly train: DataLoader;
  readonly validation: DataLoader | null;
  readonly test: DataLoader | null;
  readonly epochs: number;
  readonly seed: number;
  /** Batches in a step. */
  readonly accumulate: number;
  readonly #options: TrainerOptions;
  readonly #objective: Objective;
  readonly #callbacks: readonly Callback[];
  readonly #phases: Phases;
  readonly #gradients = new GradientSum();
  #ema: EMA | null = null;

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
    const { model, optimizer, train, validation, test, batchSize = 64, seed = 0 } = options;
    const { loss, normalize = null, distillation = null, schedule, accumulate = 1 } = options;
    const { epochs = options.phases?.reduce((sum, phase) => sum + phase.epochs, 0) ?? 1 } = options;
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
    this.accumulate = checkAccumulate(accumulate);
    if (distillation !== null) checkDistillation(distillation);
    this.#options = options;
    this.#objective = { loss, normalize, distillation };
    this.#callbacks = options.callbacks ?? [];
    const phases = options.phases ?? [{ epochs, schedule }];
    if (options.scheduler !== undefined && driveRates(phases)) {
      throw new ConfigError('Trainer: give a scheduler, or a schedule (of its own or of its phases), not both');
    }
    if (options.phases !== undefined && schedule !== undefined) {
      throw new ConfigError('Trainer: phases have a schedule each; give it to them');
    }
    this.#phases = new Phases(model, optimizer, phases, { epochs, stepsPerEpoch: this.stepsPerEpoch });
  }

  get stepsPerEpoch(): number {
    return Math.ceil(this.train.length / this.accumulate);
  }

  /** The moving average of the weights, from the first `fit()` or `load()` on; null without `ema`. */
  get ema(): EMA | null {
    return this.#ema;
  }

  /** Of the fastest parameter group: the rate one gives, where `paramGroups` slows down some. */
  get lr(): number {
    return Math.max(...this.optimizer.paramGroups.map((group) => group.lr));
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
    this.#gradients.reset();
    try {
      this.#startAverage();
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

  /** Measures the model, or the average of its weights, on the test pictures or on other ones. */
  evaluate(data: DataLoader | Dataset | null = this.test): Promise<Evaluation> {
    if (data === null)
      throw new ConfigError('Trainer: evaluate needs pictures: pass some, or give the Trainer test pictures.');
    const { loss, normalize } = this.#objective;
    const measure = () =>
      evaluate(this.model, data, {
        loss: this.#options.evaluationLoss ?? loss,
        normalize,
        batchSize: this.train.batchSize,
        onBatch: (done, total) => {
          for (const callback of this.#callbacks) callback.onEvaluate?.(this, done, total);
          return this.#stop?.now !== true;
        },
      });
    return this.#ema === null ? measure() : this.#ema.use(measure);
  }

  /** The likeliest classes of each picture of a batch. */
  predict(batch: Parameters<typeof predict>[1], { top }: { top?: number } = {}): Promise<Prediction[][]> {
    const { normalize } = this.#objective;
    const ask = () => predict(this.model, batch, { classes: this.train.dataset.classes, normalize, top });
    return this.#ema === null ? ask() : this.#ema.use(ask);
  }

  /** Ends with these weights: those of the best epoch, say. They take the place of the average too. */
  adopt(weights: ReadonlyMap<string, HostTensor>): void {
    this.model.loadStateDict(weights);
    this.#ema?.loadStateDict(weights, this.#ema.updates);
  }

  /** All that going on needs. The tensors are copies. */
  async state(): Promise<TrainerState> {
    this.#startAverage();
    const optimizer = this.optimizer.stateDict();
    const tensors = new Map([
      ...(await hostTensors('model.', this.model.stateDict())),
      ...(await hostTensors('ema.', this.#ema?.stateDict() ?? {})),
      ...(await hostTensors('optimizer.', optimizer.state)),
    ]);
    const callbacks: JsonObject = {};
    for (const { name, stateDict } of this.#named()) callbacks[name] = stateDict();
    const state = {
      version: 1,
      seed: this.seed,
      step: this.step,
      epoch: this.epoch,
      batch: this.batch,
      batches: this.train.length,
      accumulate: this.accumulate,
      sums: this.#sums,
      seconds: this.seconds,
      epochSeconds: this.batch === 0 ? 0 : this.#epochSeconds,
      history: this.history,
      optimizer: { steps: optimizer.steps, paramGroups: optimizer.paramGroups },
      scheduler: this.#scheduler?.stateDict() ?? null,
      ema: this.#ema === null ? null : { updates: this.#ema.updates },
      callbacks,
    };
    return { tensors, state: JSON.parse(JSON.stringify(state)) as JsonObject };
  }

  /** Goes on from a state. @throws {ConfigError} when it belongs to another training. */
  load({ tensors, state }: TrainerState): void {
    const saved = state as unknown as SavedState;
    const { seed, accumulate } = this;
    checkSaved(saved, { seed, accumulate, batches: this.train.length, averages: this.#options.ema !== undefined });
    this.model.loadStateDict(underPrefix(tensors, 'model.'));
    this.#startAverage();
    this.#ema?.loadStateDict(underPrefix(tensors, 'ema.'), saved.ema!.updates);
    this.#phases.enter(saved.epoch);
    this.optimizer.loadStateDict({ state: Object.fromEntries(underPrefix(tensors, 'optimizer.')), ...saved.optimizer });
    if (saved.scheduler !== null) this.#scheduler?.loadStateDict(saved.scheduler as never);
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
    let done: BatchResult[] = []; // of the step under way
    for await (const batch of this.train.epoch(this.epoch, this.batch)) {
      const ends = done.length + 1 === this.accumulate || batch.batch + 1 === this.train.length;
      done.push(await this.#runBatch(batch, done.length, ends));
      if (!ends) continue;
      const report = this.#endStep(done, batch);
      done = [];
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
    if (!this.#countsSteps) this.#schedule(report.loss ?? report.trainLoss);
    this.history = [...this.history, report];
    this.epoch++;
    this.batch = 0;
    this.#sums = { loss: 0, correct: 0, count: 0 };
    this.#epochSecondsBefore = 0;
    if (this.epoch < this.epochs) this.#phases.enter(this.epoch); // now, so that a checkpoint of this moment holds its rates
    await this.#each('onEpochEnd', report, evaluation);
  }

  #leaveEpoch(): void {
    this.#epochSecondsBefore = this.#epochSeconds;
  }

  /**
   * One program: forward, gradients, and the two numbers that are read back. The batch that ends its step brings the update along; those before it leave
   * their gradients to it.
   */
  async #runBatch(batch: LoadedBatch, index: number, ends: boolean): Promise<BatchResult> {
    const count = batch.labels.length;
    this.#seedBatch(index);
    const outcome = forward(this.model, batch, this.#objective);
    const { loss, correct } = outcome;
    const parameters: Parameter[] = this.optimizer.paramGroups.flatMap((group) => group.params);
    const also: Tensor[] = [];
    this.optimizer.zeroGrad();
    if (!ends) this.#gradients.add(parameters, loss, count);
    else {
      this.#gradients.finish(parameters, loss, count);
      await this.#update(outcome, also);
    }
    assignOnlyIf(noGrad(() => F.isFinite(loss)));
    await realize(loss, correct, ...also);
    const lossValue = await loss.item();
    if (!Number.isFinite(lossValue)) throw await this.#diverged(batch, index, lossValue);
    return { count, loss: lossValue, correct: await correct.item() };
  }

  async #update(outcome: Outcome, also: Tensor[]): Promise<void> {
    const { clipGradNorm: limit } = this.#options;
    if (limit !== undefined) clipGradNorm(this.model.parameters(), limit);
    await this.#each('onGradients', { ...outcome, compute: (...tensors) => void also.push(...tensors) });
    this.optimizer.update();
    this.#ema?.update();
  }

  #endStep(results: readonly BatchResult[], { batch }: LoadedBatch): StepReport {
    const { lr } = this;
    const sum = (of: (result: BatchResult) => number) => results.reduce((total, result) => total + of(result), 0);
    const count = sum((r) => r.count);
    const loss = sum((r) => r.loss * r.count);
    const correct = sum((r) => r.correct);
    this.#sums.loss += loss;
    this.#sums.correct += correct;
    this.#sums.count += count;
    this.step++;
    this.batch = batch + 1;
    if (this.#countsSteps) this.#schedule(loss / count);
    return {
      step: this.step,
      epoch: this.epoch,
      batch: this.batch,
      batches: this.train.length,
      count,
      loss: loss / count,
      accuracy: correct / count,
      epochLoss: this.#sums.loss / this.#sums.count,
      epochAccuracy: this.#sums.correct / this.#sums.count,
      lr,
    };
  }

  /** Gives each batch its own random streams, whatever was drawn before it. */
  #seedBatch(index: number): void {
    const within = index * Math.floor(streamsPerStep / this.accumulate);
    defaultGenerator().setState({ seed: this.seed, stream: (this.step + 1) * streamsPerStep + within });
  }

  /** The average begins with the weights as they are. */
  #startAverage(): void {
    const { ema } = this.#options;
    if (ema !== undefined) this.#ema ??= new EMA(this.model, ema);
  }

  async #diverged(batch: LoadedBatch, index: number, loss: number): Promise<DivergenceError> {
    this.#seedBatch(index);
    const { inputs } = batchTensors(batch);
    const input = prepare(inputs, this.#objective.normalize);
    const { layer, where } = await findNonFinite(this.model, input);
    return new DivergenceError(this.step + 1, layer, this.lr, loss, where);
  }

  get #scheduler(): LRScheduler | ReduceLROnPlateau | null {
    return this.#phases.scheduler ?? this.#options.scheduler ?? null;
  }

  get #countsSteps(): boolean {
    return this.#phases.scheduler !== null || this.#options.scheduleEvery === 'step';
  }

  #schedule(loss: number): void {
    const scheduler = this.#scheduler;
    if (scheduler instanceof ReduceLROnPlateau) scheduler.step(loss);
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

/** Of one batch, read back. */
interface BatchResult {
  readonly count: number;
  readonly loss: number;
  readonly correct: number;
}

function since(start: number | null): number {
  return start === null ? 0 : (performance.now() - start) / 1000;
}

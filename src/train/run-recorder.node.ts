/**
 * Keeps a training in a run folder: a line of metrics now and then, checkpoints in the background, the weights at the end.
 *
 * A checkpoint is a copy of the trainer's state, made between two steps and written while the next ones run. Without `every`, checkpoints
 * are spaced so that making them takes less than one percent of the time.
 */

import type { JsonObject } from '../io/index.js';
import type { CheckpointName, RunFolder } from '../io/index.node.js';
import { ConfigError } from '../util/errors.js';
import { type Callback, type EpochReport, goodness, type Monitor, type StepReport } from './callbacks.js';
import type { Evaluation } from './evaluate.js';
import type { FitResult, Trainer, TrainerState } from './trainer.js';
import { underPrefix } from './trainer-state.js';

export interface RunRecorderOptions {
  /** Steps between checkpoints. Left out, they come as often as they cost nothing. */
  readonly every?: number;
  /** What makes an epoch the best one; left out, the accuracy, or the loss where there is none. Of equal ones the loss decides. */
  readonly monitor?: Monitor;
  /** Called when a checkpoint is on the disk. */
  readonly onCheckpoint?: (name: CheckpointName, step: number) => void;
}

/** Steps between lines in metrics.jsonl. */
const stepsPerLine = 20;
const shareOfTime = 0.01;
const leastSeconds = 5;

export class RunRecorder implements Callback {
  readonly name = 'runRecorder';
  readonly #options: RunRecorderOptions;
  #best: Best | null = null;
  #lastAt = performance.now();
  /** Of making and writing the latest checkpoint. */
  #costSeconds = 0;
  #writing: Promise<void> = Promise.resolve();
  #busy = false;
  #failure: unknown = null;
  /** Where the latest checkpoint stands. */
  #saved = '';

  constructor(
    readonly folder: RunFolder,
    options: RunRecorderOptions = {},
  ) {
    const { every } = options;
    if (every !== undefined && !(Number.isInteger(every) && every >= 1)) {
      throw new ConfigError(`checkpoints come every so many steps, a whole number from 1 up, not ${every}`);
    }
    this.#options = options;
  }

  /** The epoch whose weights were best on the pictures watched, or null before the first. */
  get bestEpoch(): number | null {
    return this.#best?.epoch ?? null;
  }

  /** Takes up the run where its last checkpoint left it; false when there is none yet. Call it before `fit()`. */
  async resume(trainer: Trainer): Promise<boolean> {
    const checkpoint = await this.folder.loadCheckpoint('last');
    if (checkpoint === null) {
      await this.folder.rewindMetrics(() => false);
      return false;
    }
    trainer.load(checkpoint);
    // What was logged after the checkpoint will be logged again.
    await this.folder.rewindMetrics((line) =>
      line.event === 'epoch' ? (line.epoch as number) < trainer.epoch : (line.step as number) <= trainer.step,
    );
    return true;
  }

  onFitStart(): void {
    this.#lastAt = performance.now();
  }

  async onStepEnd(trainer: Trainer, { step, epoch, loss, accuracy, lr, batch, batches }: StepReport): Promise<void> {
    this.#rethrow();
    if (step % stepsPerLine === 0) await this.folder.appendMetrics({ event: 'step', step, epoch, loss, accuracy, lr });
    if (batch < batches && this.#isDue(step)) await this.#save(trainer, ['last']);
  }

  async onEpochEnd(trainer: Trainer, report: EpochReport, evaluation: Evaluation | null): Promise<void> {
    await this.folder.appendMetrics({ event: 'epoch', ...report });
    const names: CheckpointName[] = ['last'];
    const { monitor = report.accuracy === null ? 'loss' : 'accuracy' } = this.#options;
    const value = goodness(monitor, report, evaluation);
    if (value !== null && isBetter(value, report.loss, this.#best)) {
      this.#best = { epoch: report.epoch, value, loss: report.loss };
      names.unshift('best');
    }
    await this.#save(trainer, names);
  }

  /** Writes what is pending; the model too, when training is over. Its weights are the best ones where validation pictures chose them. */
  async onFitEnd(trainer: Trainer, { interrupted }: FitResult): Promise<void> {
    if (this.#saved !== place(trainer)) await this.#save(trainer, ['last']);
    await this.flush();
    if (interrupted) return;
    if (trainer.validation !== null) {
      const best = await this.folder.loadCheckpoint('best');
      if (best !== null) trainer.adopt(modelTensors(best));
    }
    await this.folder.writeModel(modelTensors(await trainer.state()));
  }

  /** Waits until what was saved is on the disk. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#rethrow();
  }

  stateDict(): JsonObject {
    return { best: this.#best };
  }

  loadStateDict({ best }: JsonObject): void {
    this.#best = best as Best | null;
  }

  #isDue(step: number): boolean {
    const { every } = this.#options;
    if (every !== undefined) return step % every === 0;
    if (this.#busy) return false;
    return seconds(this.#lastAt) >= Math.max(leastSeconds, this.#costSeconds / shareOfTime);
  }

  /** Copies the state now; the disk gets it in the background, one checkpoint after another. */
  async #save(trainer: Trainer, names: readonly CheckpointName[]): Promise<void> {
    await this.#writing;
    this.#rethrow();
    const start = performance.now();
    const { tensors, state } = await trainer.state();
    const step = trainer.step;
    this.#saved = place(trainer);
    this.#lastAt = start;
    this.#busy = true;
    this.#writing = (async () => {
      try {
        for (const name of names) {
          await this.folder.saveCheckpoint(name, tensors, state);
          this.#options.onCheckpoint?.(name, step);
        }
      } catch (error) {
        this.#failure ??= error;
      } finally {
        this.#busy = false;
        this.#costSeconds = seconds(start) / names.length;
      }
    })();
  }

  #rethrow(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}

type Best = {
  readonly epoch: number;
  readonly value: number;
  /** Older checkpoints have none. */
  readonly loss?: number | null;
};

/** A few pictures to choose by are soon all right, and the first of many such epochs is the least certain: then the smaller loss is better. */
function isBetter(value: number, loss: number | null, best: Best | null): boolean {
  if (best === null || value !== best.value) return best === null || value > best.value;
  return loss !== null && typeof best.loss === 'number' && loss < best.loss;
}

/** The weights out of a trainer's state or a checkpoint, by the model's names: their average where the training kept one. */
export function modelTensors({ tensors }: Pick<TrainerState, 'tensors'>): TrainerState['tensors'] {
  const averages = underPrefix(tensors, 'ema.');
  return averages.size > 0 ? averages : underPrefix(tensors, 'model.');
}

function place({ step, epoch, batch }: Trainer): string {
  return `${step} ${epoch} ${batch}`;
}

function seconds(since: number): number {
  return (performance.now() - since) / 1000;
}

/**
 * Logs of a training for other programs, beside metrics.jsonl: metrics.csv for spreadsheets, event files for TensorBoard. What a resumed run logs
 * again is logged once: the table is written anew from the history, and TensorBoard is told where the session begins.
 */

import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, writeFileAtomic } from '../io/atomic.node.js';
import { fileError } from '../io/file-error.node.js';
import type { JsonObject } from '../io/index.js';
import { scalarsEvent, startEvent, textEvent, versionEvent } from '../io/tensorboard/events.js';
import { ConfigError } from '../util/errors.js';
import type { Callback, EpochReport, StepReport } from './callbacks.js';
import type { Trainer } from './trainer.js';

/** The columns of metrics.csv, in this order. `loss` and `accuracy` are those of the validation (or test) pictures. */
const columns = [
  'epoch',
  'step',
  'trainLoss',
  'trainAccuracy',
  'loss',
  'accuracy',
  'lr',
  'seconds',
] as const satisfies readonly (keyof EpochReport)[];

/** metrics.csv in `folder`: a line an epoch, empty where nothing was measured. */
export class CsvLog implements Callback {
  readonly path: string;

  constructor(folder: string) {
    this.path = join(folder, 'metrics.csv');
  }

  /** Leaves out what a run that is resumed will log again. */
  onFitStart(trainer: Trainer): Promise<void> {
    return this.#write(trainer);
  }

  onEpochEnd(trainer: Trainer): Promise<void> {
    return this.#write(trainer);
  }

  #write({ history }: Trainer): Promise<void> {
    const lines = history.map((epoch) => columns.map((column) => epoch[column] ?? '').join(','));
    return writeFileAtomic(this.path, [columns.join(','), ...lines, ''].join('\n'));
  }
}

export interface TensorBoardOptions {
  /** Steps between points of loss, accuracy and rate; epochs have points of their own. */
  readonly every?: number;
  /** What the run was begun with: shown as a table. */
  readonly hparams?: JsonObject;
}

/** Waiting bytes are written when there are so many, or when so much time has gone by. */
const mostBytes = 1 << 16;
const mostSeconds = 5;

/** Event files in `folder`, one for each call of `fit()`: `tensorboard --logdir folder`. */
export class TensorBoardLog implements Callback {
  readonly #folder: string;
  readonly #every: number;
  readonly #hparams: JsonObject | null;
  #path = '';
  #waiting: Uint8Array[] = [];
  #writtenAt = 0;

  constructor(folder: string, { every = 10, hparams }: TensorBoardOptions = {}) {
    if (!(Number.isInteger(every) && every >= 1)) {
      throw new ConfigError(`TensorBoardLog: every is a number of steps from 1 up, not ${every}`);
    }
    this.#folder = folder;
    this.#every = every;
    this.#hparams = hparams ?? null;
  }

  async onFitStart({ step }: Trainer): Promise<void> {
    await makeFolder(this.#folder);
    const wallTime = now();
    this.#path = join(this.#folder, fileName(wallTime));
    this.#waiting = [versionEvent(wallTime), startEvent({ step: step + 1, wallTime })];
    if (step === 0 && this.#hparams !== null) {
      this.#waiting.push(textEvent({ step, wallTime }, 'hparams', table(this.#hparams)));
    }
    await this.#write();
  }

  async onStepEnd(_: Trainer, { step, loss, accuracy, lr }: StepReport): Promise<void> {
    if (step % this.#every !== 0) return;
    this.log(step, { 'step/loss': loss, 'step/accuracy': accuracy, 'step/lr': lr });
    const bytes = this.#waiting.reduce((sum, event) => sum + event.length, 0);
    if (bytes >= mostBytes || now() - this.#writtenAt >= mostSeconds) await this.#write();
  }

  async onEpochEnd(trainer: Trainer, report: EpochReport): Promise<void> {
    const watched = trainer.validation === null ? 'test' : 'validation';
    const { step, trainLoss, trainAccuracy, loss, accuracy, lr } = report;
    this.log(step, {
      'loss/train': trainLoss,
      ...(loss === null ? {} : { [`loss/${watched}`]: loss }),
      'accuracy/train': trainAccuracy,
      ...(accuracy === null ? {} : { [`accuracy/${watched}`]: accuracy }),
      lr,
    });
    await this.#write();
  }

  onFitEnd(): Promise<void> {
    return this.#write();
  }

  /** Logs numbers of your own, such as the norms of `GradientNorms`; they are written with the next ones. */
  log(step: number, scalars: Readonly<Record<string, number>>): void {
    this.#waiting.push(scalarsEvent({ step, wallTime: now() }, scalars));
  }

  async #write(): Promise<void> {
    this.#writtenAt = now();
    if (this.#waiting.length === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    try {
      await appendFile(this.#path, bytes);
    } catch (error) {
      throw fileError('append to', this.#path, error);
    }
  }
}

let files = 0;

/** Readers take a folder's files in the order of their names. */
function fileName(wallTime: number): string {
  const part = (n: number, digits: number) => String(n).padStart(digits, '0');
  return `events.out.tfevents.${part(Math.floor(wallTime), 10)}.fovea.${process.pid}.${part(files++, 6)}`;
}

/** A table in Markdown; nested objects as JSON. */
function table(values: JsonObject): string {
  const cell = (value: unknown) =>
    String(typeof value === 'object' ? JSON.stringify(value) : value).replaceAll('|', '\\|');
  const rows = Object.entries(values).map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`);
  return ['| name | value |', '| --- | --- |', ...rows].join('\n');
}

function now(): number {
  return Date.now() / 1000;
}

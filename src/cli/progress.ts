/**
 * A training as it happens: a live bar on a terminal, a line now and then elsewhere, JSON objects for programs. Time left is estimated from
 * the steps of the last seconds, the evaluations still to come included.
 */

import type { SingleBar } from 'cli-progress';
import pc from 'picocolors';
import type { Callback, EpochReport, Evaluation, StepReport, Trainer } from '../train/index.js';
import { grouped } from '../util/counts.js';
import { nounOf } from './data/kinds.js';
import { duration, percent, print, printJson } from './output.js';

export interface ProgressOptions {
  readonly json: boolean;
  /** A bar that is drawn over and over. */
  readonly live: boolean;
}

/** Lines per epoch where there is no bar. */
const linesPerEpoch = 10;
const jsonEverySeconds = 1;

export class Progress implements Callback {
  readonly #options: ProgressOptions;
  readonly #rate = new Rate();
  readonly #evaluationRate = new Rate();
  #bar: SingleBar | null = null;
  #text = '';
  #lastLine = -1;
  #lastJson = 0;
  #latest: StepReport | null = null;
  /** Of the latest evaluation that ran to its end. */
  evaluation: Evaluation | null = null;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  get picturesPerSecond(): number | null {
    return this.#rate.mean;
  }

  async onEpochStart(trainer: Trainer, epoch: number): Promise<void> {
    this.#rate.begin();
    this.#lastLine = Math.floor((trainer.batch / trainer.train.length) * linesPerEpoch);
    if (!this.#options.live) return;
    const { SingleBar } = await import('cli-progress');
    this.#text = `epoch ${epoch + 1}/${trainer.epochs}  preparing`;
    this.#bar = new SingleBar({
      format: (_options, { progress }) => `${drawBar(progress)} ${this.#text}`,
      hideCursor: true,
      clearOnComplete: true,
      fps: 10,
      linewrap: false,
      gracefulExit: false, // we have a handler of our own
      stream: process.stdout,
    });
    this.#bar.start(trainer.train.length, trainer.batch);
  }

  onStepEnd(trainer: Trainer, report: StepReport): void {
    this.#latest = report;
    this.#rate.add(report.count);
    const { epoch, batch, batches, step, loss, accuracy, epochLoss, epochAccuracy, lr } = report;
    const perSecond = this.#rate.now;
    const secondsLeft = perSecond === null ? null : this.#secondsLeft(trainer, perSecond);
    if (this.#options.json) {
      if (performance.now() - this.#lastJson < 1000 * jsonEverySeconds && batch < batches) return;
      this.#lastJson = performance.now();
      printJson({
        event: 'step',
        step,
        epoch: epoch + 1,
        batch,
        batches,
        loss,
        accuracy,
        epochLoss,
        epochAccuracy,
        lr,
        picturesPerSecond: round(perSecond),
        secondsLeft: round(secondsLeft),
      });
      return;
    }
    const numbers = [
      `epoch ${epoch + 1}/${trainer.epochs}`,
      `${String(Math.floor((100 * batch) / batches)).padStart(3)} %`,
      ...(perSecond === null ? [] : [`${grouped(Math.round(perSecond))} ${nounOf(trainer.train.dataset.shape)}/s`]),
      `loss ${epochLoss.toFixed(4)}`,
      `accuracy ${percent(epochAccuracy)}`,
      ...(secondsLeft === null ? [] : [`${duration(secondsLeft)} left`]),
    ];
    this.#text = numbers.join('  ');
    if (this.#bar !== null) this.#bar.update(batch);
    else {
      const line = Math.floor((batch / batches) * linesPerEpoch);
      if (line > this.#lastLine) print(this.#text);
      this.#lastLine = line;
    }
  }

  onEvaluate(trainer: Trainer, done: number, total: number): void {
    if (this.#evaluationRate.idle) this.#evaluationRate.begin();
    else this.#evaluationRate.add(1);
    if (this.#bar === null) return;
    this.#text = `evaluating  ${grouped(done)} of ${grouped(total)} ${nounOf(trainer.train.dataset.shape)}`;
    this.#bar.setTotal(total);
    this.#bar.update(done);
  }

  onEpochEnd(trainer: Trainer, report: EpochReport, evaluation: Evaluation | null): void {
    this.evaluation = evaluation;
    this.close();
    const { epoch, step, trainLoss, trainAccuracy, loss, accuracy, lr, seconds } = report;
    const watched = trainer.validation === null ? 'test' : 'validation';
    if (this.#options.json) {
      printJson({
        event: 'epoch',
        epoch: epoch + 1,
        epochs: trainer.epochs,
        step,
        trainLoss,
        trainAccuracy,
        [`${watched}Loss`]: loss,
        [`${watched}Accuracy`]: accuracy,
        lr,
        seconds: round(seconds),
      });
      return;
    }
    const parts = [
      pc.bold(`epoch ${epoch + 1}/${trainer.epochs}`),
      `loss ${trainLoss.toFixed(4)}`,
      `accuracy ${percent(trainAccuracy)}`,
      ...(loss === null || accuracy === null
        ? []
        : [`${watched} loss ${loss.toFixed(4)}`, pc.green(`${watched} accuracy ${percent(accuracy)}`)]),
      duration(seconds),
    ];
    print(parts.join('  '));
  }

  /** Takes the bar off the screen. */
  close(): void {
    this.#bar?.stop();
    this.#bar = null;
    this.#evaluationRate.end();
  }

  #secondsLeft(trainer: Trainer, picturesPerSecond: number): number {
    const { train } = trainer;
    const watched = trainer.validation ?? trainer.test;
    const epochsAfter = trainer.epochs - trainer.epoch - 1;
    const batches = train.length - (this.#latest?.batch ?? 0) + epochsAfter * train.length;
    const evaluations = watched === null ? 0 : epochsAfter + 1;
    // Before the first evaluation: forward alone takes about a third of a step.
    const perEvaluation =
      (watched?.length ?? 0) / (this.#evaluationRate.mean ?? (3 * picturesPerSecond) / train.batchSize);
    return (batches * train.batchSize) / picturesPerSecond + evaluations * perEvaluation;
  }
}

/** Things per second: over the last few seconds, and over all time between `begin` and `end`. */
class Rate {
  #recent: { at: number; count: number }[] = [];
  #previous: number | null = null;
  #first = true;
  #count = 0;
  #ms = 0;

  get idle(): boolean {
    return this.#previous === null;
  }

  begin(): void {
    this.#previous = performance.now();
    this.#recent = [];
    this.#first = true;
  }

  end(): void {
    this.#previous = null;
  }

  add(count: number): void {
    const at = performance.now();
    const ms = at - (this.#previous ?? at);
    this.#previous = at;
    if (this.#first) {
      this.#first = false; // most of it was compilation
      this.#recent.push({ at, count: 0 });
      return;
    }
    this.#count += count;
    this.#ms += ms;
    this.#recent.push({ at, count });
    while (this.#recent.length > 2 && at - this.#recent[0].at > 5000) this.#recent.shift();
  }

  get now(): number | null {
    if (this.#recent.length < 2) return null;
    const [first, ...rest] = this.#recent;
    return (1000 * rest.reduce((sum, { count }) => sum + count, 0)) / (rest[rest.length - 1].at - first.at);
  }

  get mean(): number | null {
    return this.#ms === 0 ? null : (1000 * this.#count) / this.#ms;
  }
}

function drawBar(share: number): string {
  const width = Math.max(8, Math.min(24, (process.stdout.columns ?? 80) - 84));
  const done = Math.round(Math.min(1, share) * width);
  return `${pc.cyan('━'.repeat(done))}${pc.dim('━'.repeat(width - done))}`;
}

function round(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(4));
}

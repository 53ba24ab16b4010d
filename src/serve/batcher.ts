/**
 * Pictures of many requests, computed together. Whoever asks gets a promise; a batch starts when nothing runs and either enough wait, or nobody else is
 * about to ask, or the first has waited long enough. Only batches of 1, 2, 4 … pictures are computed, so that few programs are needed. How long each of
 * them takes is known from warming up and kept up to date; of the sizes, the one that gives the most pictures a second is taken, and among those nearly
 * as good the smallest: where two at once take twice as long as one, nobody need wait for another. Sizes that gain nothing are dropped after warming
 * up, and with them the memory of their programs.
 */

import { ConfigError } from '../util/errors.js';
import type { Signal } from './cancellation.js';

/** The bytes of one prepared picture, and how its asker loses interest. */
export interface Job {
  readonly data: Uint8Array;
  readonly signal?: Signal;
}

export interface BatcherOptions {
  /** Probabilities [N, classes] of N pictures, one behind the other. N is a power of two. The bytes are read until then. */
  readonly score: (inputs: Uint8Array) => Promise<Float32Array>;
  /** Bytes of one picture. */
  readonly size: number;
  /** The most pictures at once; the largest power of two up to it is used. */
  readonly maxBatch?: number;
  /** How long the first of a batch waits for others that are on their way, at most: never longer than a quarter of what one picture takes. */
  readonly delayMs?: number;
  /** How many pictures are being read or decoded now. With none on their way, nobody is waited for. */
  readonly onTheirWay?: () => number;
  /** Batches of this size will not come again. */
  readonly onDrop?: (size: number) => void;
  readonly onBatch?: (batch: { pictures: number; size: number; milliseconds: number }) => void;
  readonly now?: () => number;
  /** Does something when what has arrived by now has been read. One batch is computed each time, so that new clients are heard between two. */
  readonly soon?: (task: () => void) => void;
}

interface Waiting {
  readonly job: Job;
  readonly since: number;
  readonly resolve: (row: Float32Array) => void;
  readonly reject: (error: unknown) => void;
}

/** Two sizes whose rates differ by less are the same: measurements on a busy machine do. */
const worthwhile = 0.9;
const forgetting = 0.1; // of a time known so far, with each new one

export class Batcher {
  private waiting: Waiting[] = [];
  private running: Promise<void> | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  /** Of each size, one batch's pictures: batches run one after another. */
  private readonly inputs = new Map<number, Uint8Array>();
  private readonly milliseconds = new Map<number, number>();
  private readonly options: Required<Omit<BatcherOptions, 'onBatch' | 'onDrop'>> &
    Pick<BatcherOptions, 'onBatch' | 'onDrop'>;
  /** 1, 2, 4 … up to `maxBatch`; after warming up, those of them that pay. */
  private used: readonly number[];

  constructor(options: BatcherOptions) {
    this.options = {
      maxBatch: 16,
      delayMs: 2,
      onTheirWay: () => 0,
      now: () => performance.now(),
      soon: queueMicrotask,
      ...options,
    };
    const { maxBatch, delayMs } = this.options;
    if (!Number.isSafeInteger(maxBatch) || maxBatch < 1 || !(delayMs >= 0)) {
      throw new ConfigError(
        `Batcher: maxBatch is a whole number from 1 up, delayMs at least 0; got ${maxBatch}, ${delayMs}`,
      );
    }
    this.used = Array.from({ length: Math.floor(Math.log2(maxBatch)) + 1 }, (_, i) => 2 ** i);
  }

  get sizes(): readonly number[] {
    return this.used;
  }

  /** Pictures that wait for their turn. */
  get queued(): number {
    return this.waiting.length;
  }

  /** Compiles the sizes that pay, and times them. Resolves to milliseconds by size. */
  async warmUp(): Promise<ReadonlyMap<number, number>> {
    const paying: number[] = [];
    let [best, useless] = [0, 0];
    for (const size of this.used) {
      if (useless === 2) break; // a third will gain nothing either; one alone may have met with a busy moment
      const milliseconds = await this.time(size);
      const rate = size / milliseconds;
      if (worthwhile * rate < best) {
        useless++;
        this.options.onDrop?.(size);
        continue;
      }
      paying.push(size);
      this.milliseconds.set(size, milliseconds);
      [best, useless] = [rate, 0];
    }
    this.used = paying;
    return this.milliseconds;
  }

  /** The probabilities of one picture. Rejects with the reason of its signal when that is aborted before the picture's turn. */
  ask(job: Job): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (job.signal?.aborted) return reject(job.signal.reason);
      const entry: Waiting = { job, since: this.options.now(), resolve, reject };
      job.signal?.addEventListener('abort', () => this.forget(entry), { once: true });
      this.waiting.push(entry);
      this.look();
    });
  }

  /** Looks whether a batch should start: called when one has been asked for, has ended, or fewer are on their way than before. */
  look(): void {
    if (this.running !== null || this.waiting.length === 0) return;
    const { maxBatch, onTheirWay, now } = this.options;
    const delayMs = this.patience();
    const waited = now() - this.waiting[0].since;
    if (this.waiting.length < maxBatch && onTheirWay() > 0 && waited < delayMs) {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        this.look();
      }, delayMs - waited);
      return;
    }
    this.running = new Promise<void>((resolve) => this.options.soon(resolve))
      .then(() => this.run())
      .finally(() => {
        this.running = null;
        this.look();
      });
  }

  /** Where one picture takes a millisecond, waiting two for another would be no gain to anybody. */
  private patience(): number {
    return Math.min(this.options.delayMs, (this.milliseconds.get(1) ?? Infinity) / 4);
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    while (this.running !== null || this.waiting.length > 0) {
      this.look();
      await (this.running ?? new Promise((resolve) => setTimeout(resolve, 1)));
    }
  }

  private async time(count: number): Promise<number> {
    const { score, size, now } = this.options;
    let best = Infinity;
    for (let round = 0; round < 6; round++) {
      const start = now();
      await score(new Uint8Array(count * size));
      if (round > 0) best = Math.min(best, now() - start); // the first compiles
    }
    return best;
  }

  private async run(): Promise<void> {
    const { score, size, now, onBatch } = this.options;
    if (this.waiting.length === 0) return; // who asked has left
    const count = this.bestSize(this.waiting.length);
    const batch = this.waiting.splice(0, count);
    const inputs = this.inputs.get(count) ?? new Uint8Array(count * size); // rows that nobody asked for hold what they held
    this.inputs.set(count, inputs);
    for (const [i, { job }] of batch.entries()) inputs.set(job.data, i * size);
    const start = now();
    try {
      const scores = await score(inputs);
      const classes = scores.length / count;
      for (const [i, { resolve }] of batch.entries()) resolve(scores.slice(i * classes, (i + 1) * classes));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    const took = now() - start;
    const known = this.milliseconds.get(count) ?? took;
    this.milliseconds.set(count, known + forgetting * (took - known));
    onBatch?.({ pictures: batch.length, size: count, milliseconds: took });
  }

  /** Which size serves `count` waiting pictures at the highest rate. */
  private bestSize(count: number): number {
    // Padding more than the next power of two cannot help.
    const candidates = this.used.filter((size) => size < 2 * count);
    const rate = (size: number) => Math.min(size, count) / this.expectedMs(size);
    const best = Math.max(...candidates.map(rate));
    return candidates.find((size) => rate(size) >= worthwhile * best)!;
  }

  /** No more than two of half the size would take: one unlucky measurement must not rule a size out for good. */
  private expectedMs(size: number): number {
    const known = this.milliseconds.get(size) ?? size;
    const half = this.milliseconds.has(size / 2) ? 2 * this.expectedMs(size / 2) : Infinity;
    return Math.min(known, half);
  }

  private forget(entry: Waiting): void {
    const at = this.waiting.indexOf(entry);
    if (at < 0) return; // its batch runs already
    this.waiting.splice(at, 1);
    entry.reject(entry.job.signal!.reason);
  }
}

/**
 * Batches of a data set, epoch after epoch. The order of an epoch follows from (seed, epoch) alone, so a loader can begin at any batch of any
 * epoch and go on exactly as one that came from the start. The next batches are prepared while the caller works on the current one.
 */

import { ConfigError } from '../util/errors.js';
import type { Batch, Dataset } from './dataset.js';
import type { Sampler } from './sampler.js';
import { permutation } from './shuffle.js';
import type { Transform } from './transforms/index.js';

export interface DataLoaderOptions {
  batchSize?: number;
  /** A new order each epoch. */
  shuffle?: boolean;
  /** Decides which samples an epoch takes, in place of all of them once. */
  sampler?: Sampler;
  seed?: number;
  /** Leaves out the last batch of an epoch when it is smaller than the others. */
  dropLast?: boolean;
  /** How many batches to prepare ahead; 0 prepares each when it is asked for. */
  prefetch?: number;
  transform?: Transform;
}

/** Where a loader stands: the batch that comes next. Plain JSON, for checkpoints. */
export interface LoaderPosition {
  epoch: number;
  batch: number;
}

/** A batch and its place. */
export interface LoadedBatch extends Batch, LoaderPosition {
  /** Which pictures of the data set these are. */
  readonly indices: Int32Array;
}

export class DataLoader implements AsyncIterable<LoadedBatch> {
  readonly batchSize: number;
  readonly seed: number;
  #position: LoaderPosition = { epoch: 0, batch: 0 };
  readonly #shuffle: boolean;
  readonly #sampler: Sampler | null;
  readonly #dropLast: boolean;
  readonly #prefetch: number;
  readonly #transform: Transform | null;

  constructor(
    readonly dataset: Dataset,
    {
      batchSize = 64,
      shuffle = false,
      sampler,
      seed = 0,
      dropLast = false,
      prefetch = 1,
      transform,
    }: DataLoaderOptions = {},
  ) {
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new ConfigError(`DataLoader: batchSize is a positive integer, not ${batchSize}`);
    }
    if (!Number.isInteger(prefetch) || prefetch < 0) {
      throw new ConfigError(`DataLoader: prefetch is a number of batches, 0 or more, not ${prefetch}`);
    }
    if (!Number.isSafeInteger(seed)) throw new ConfigError(`DataLoader: seed is an integer, not ${seed}`);
    if (sampler !== undefined && shuffle) {
      throw new ConfigError('DataLoader: a sampler decides the order itself; leave shuffle out');
    }
    this.batchSize = batchSize;
    this.seed = seed;
    this.#shuffle = shuffle;
    this.#sampler = sampler ?? null;
    this.#dropLast = dropLast;
    this.#prefetch = prefetch;
    this.#transform = transform ?? null;
  }

  /** Batches in one epoch. */
  get length(): number {
    const whole = this.samples / this.batchSize;
    return this.#dropLast ? Math.floor(whole) : Math.ceil(whole);
  }

  /** Samples in one epoch, a last batch that is left out included. */
  get samples(): number {
    return this.#sampler?.length ?? this.dataset.length;
  }

  /** The batch that a `for await` over the loader would hand out next. */
  get position(): LoaderPosition {
    return { ...this.#position };
  }

  /** Goes on from here, e.g. from a checkpoint's `position`. @throws {ConfigError} if there is no such batch. */
  seek({ epoch, batch }: LoaderPosition): void {
    this.#checkPosition(epoch, batch);
    this.#position = { epoch, batch };
  }

  /**
   * One epoch from `position` on; the next `for await` runs the next epoch. A loop that is left early goes on where it stopped: call
   * `seek({ epoch, batch: 0 })` to begin anew.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<LoadedBatch, void, undefined> {
    const { epoch, batch } = this.#position;
    for await (const loaded of this.epoch(epoch, batch)) {
      this.#position = { epoch, batch: loaded.batch + 1 };
      yield loaded;
    }
    this.#position = { epoch: epoch + 1, batch: 0 };
  }

  /** The batches of one epoch, from number `from` on. Independent of `position`, and of any other iteration under way. */
  async *epoch(epoch: number, from = 0): AsyncGenerator<LoadedBatch, void, undefined> {
    this.#checkPosition(epoch, from);
    const order = this.#order(epoch);
    const ahead: Promise<LoadedBatch>[] = [];
    let next = from;
    const end = this.length;
    for (let batch = from; batch < end; batch++) {
      // The wanted one, and `prefetch` more that are under way while the caller holds it.
      while (next < end && ahead.length <= this.#prefetch) ahead.push(this.#start(order, epoch, next++));
      yield await ahead.shift()!;
    }
  }

  /** Whoever leaves the loop early never looks at what was prepared: its failure must not count as unhandled. */
  #start(order: Int32Array, epoch: number, batch: number): Promise<LoadedBatch> {
    const loading = this.#load(order, epoch, batch);
    loading.catch(() => {});
    return loading;
  }

  async #load(order: Int32Array, epoch: number, batch: number): Promise<LoadedBatch> {
    const indices = order.slice(batch * this.batchSize, (batch + 1) * this.batchSize);
    const context = { seed: this.seed, epoch, batch, indices, classes: this.dataset.classes.length };
    const raw = await this.dataset.batch(indices, context);
    const ready = this.#transform === null ? raw : await this.#transform(raw, context);
    return { ...ready, epoch, batch, indices };
  }

  #order(epoch: number): Int32Array {
    if (this.#sampler !== null) return this.#sampler.order({ seed: this.seed, epoch });
    const n = this.dataset.length;
    if (this.#shuffle) return permutation(n, { seed: this.seed, step: epoch });
    return Int32Array.from({ length: n }, (_, i) => i);
  }

  #checkPosition(epoch: number, batch: number): void {
    if (!Number.isInteger(epoch) || epoch < 0 || !Number.isInteger(batch) || batch < 0 || batch > this.length) {
      throw new ConfigError(
        `DataLoader: there is no batch ${batch} in epoch ${epoch}: an epoch has ${this.length} batches`,
      );
    }
  }
}

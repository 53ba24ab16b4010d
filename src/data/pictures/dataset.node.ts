/**
 * Labelled pictures as a trainer sees them: read, decoded and transformed by a pool of threads, kept resized in memory as far as that reaches.
 *
 * A batch follows from (seed, epoch, picture) alone: not from the number of threads, not from what the cache holds, not from where training began. A picture
 * that cannot be read gives its place to the next of its class in the order of the samples.
 */

import { freemem } from 'node:os';
import { FileError } from '../../io/file-error.node.js';
import type { DecodeLimits } from '../../io/picture.node.js';
import type { Preprocessing } from '../../models/index.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { numel } from '../../util/shape.js';
import type { Batch, Dataset, TransformContext } from '../dataset.js';
import type { PictureTransform } from '../transforms/picture.js';
import { toJson } from '../transforms/registry.js';
import { PictureCache } from './cache.js';
import type { SentError } from './messages.js';
import { type CachedPlace, isWhole, type PictureItem, type PictureSpec } from './pipeline.node.js';
import { DecodePool, received } from './pool.node.js';
import type { PictureSample } from './sample.js';
import { sourceKey } from './source-key.js';

/** A picture that could not be read, and which one took its place. */
export interface SkippedPicture {
  readonly index: number;
  readonly name: string;
  readonly reason: string;
  readonly replacedBy: string;
}

export interface PictureDatasetOptions extends DecodeLimits {
  readonly samples: readonly PictureSample[];
  readonly classes: readonly string[];
  /** How pictures are brought to a model: what `predict` does. Its `mean` has as many entries as there are channels, 1 or 3. */
  readonly preprocessing: Preprocessing;
  /**
   * Random transforms of training, from the working size (the shorter side at `preprocessing.resize`) to `preprocessing.crop`. They are applied to batches that
   * are asked for with a context, as a DataLoader does; without one, and without transforms, pictures come as prediction sees them.
   */
  readonly augment?: readonly PictureTransform[];
  /** How much memory resized pictures may take: by default a quarter of what is free, at most 2 GiB. 0 keeps none. */
  readonly cacheBytes?: number;
  /** One that others fill or use too, in place of `cacheBytes`. */
  readonly cache?: PictureCache;
  /** Left out, the set has a pool of its own, which `close` ends. */
  readonly pool?: DecodePool;
  /** Of a pool of its own. */
  readonly workers?: number;
  /** The first picture that cannot be read ends it all. */
  readonly strict?: boolean;
  readonly onSkip?: (skipped: SkippedPicture) => void;
}

/** Pictures in a job: enough that messages cost nothing, few enough that all threads have some of a batch. */
const picturesPerJob = 8;
const mostCacheBytes = 2 ** 31;
/** Files lost in a row, before it is their folder that must be gone. */
const mostLost = 100;

export function defaultCacheBytes(): number {
  return Math.min(mostCacheBytes, Math.floor(freemem() / 4));
}

export class PictureDataset implements Dataset, AsyncDisposable {
  readonly length: number;
  readonly labels: Int32Array;
  readonly classes: readonly string[];
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly samples: readonly PictureSample[];
  readonly cache: PictureCache | null;
  readonly #pool: DecodePool;
  readonly #ownsPool: boolean;
  readonly #spec: number;
  readonly #augments: boolean;
  readonly #strict: boolean;
  readonly #onSkip: (skipped: SkippedPicture) => void;
  /** Of each class its samples in order; made when the first picture fails. */
  #byClass: number[][] | null = null;
  readonly #broken = new Map<number, SentError>();
  readonly #signature: string;
  /** Where workers write batches, while no batch is being made there. After an error a worker may still write: that memory is not used again. */
  readonly #free: SharedArrayBuffer[] = [];
  /** Files in a row that were not there or could not be opened. */
  #lost = 0;

  /** @throws {ConfigError} for labels beyond the classes, or channels other than 1 and 3 */
  constructor(options: PictureDatasetOptions) {
    const { samples, classes, preprocessing, augment = [], strict = false } = options;
    const channels = preprocessing.mean.length;
    if (channels !== 1 && channels !== 3) {
      throw new ConfigError(`PictureDataset: pictures have 1 or 3 channels, the preprocessing has ${channels} means`);
    }
    for (const { label, name } of samples) {
      if (Number.isInteger(label) && label >= 0 && label < classes.length) continue;
      throw new ConfigError(`PictureDataset: ${name} has label ${label}, there are ${classes.length} classes`);
    }
    this.samples = samples;
    this.classes = classes;
    this.length = samples.length;
    this.labels = Int32Array.from(samples, ({ label }) => label);
    this.shape = [channels, ...preprocessing.crop];
    const { cacheBytes = options.cache === undefined ? defaultCacheBytes() : 0 } = options;
    this.cache = options.cache ?? (cacheBytes > 0 ? new PictureCache(cacheBytes) : null);
    this.#pool = options.pool ?? new DecodePool({ workers: options.workers });
    this.#ownsPool = options.pool === undefined;
    this.#augments = augment.length > 0;
    this.#strict = strict;
    this.#onSkip = options.onSkip ?? (() => {});
    const spec: PictureSpec = {
      channels,
      preprocessing,
      augment: toJson(augment),
      ...limitsOf(options),
    };
    this.#signature = cacheSignature(spec);
    this.#spec = this.#pool.addSpec(spec, this.cache);
  }

  /** Names and reasons of the pictures that could not be read so far. */
  get unreadable(): { name: string; reason: string }[] {
    return [...this.#broken].map(([i, { message }]) => ({ name: this.samples[i].name, reason: message }));
  }

  /**
   * @throws {ConfigError} for transforms that do not fit the model @throws {FormatError} @throws {FileError} when no picture of a class can be read, a hundred files are gone, or with
   * `strict` for the first that cannot
   */
  async batch(indices: ArrayLike<number>, context?: TransformContext): Promise<Batch> {
    const own = Int32Array.from(indices, (i) => checkIndex(i, this.length));
    const size = numel(this.shape);
    const memory = this.#memory(own.length * size);
    const draws = this.#augments && context !== undefined ? ([context.seed, context.epoch] as const) : null;
    // Each place of the batch, and which sample it tries.
    let open = Array.from(own, (index, place) => ({ place, index, tried: this.#stand(index) }));
    while (open.length > 0) {
      const failed: typeof open = [];
      await Promise.all(
        chunks(open, picturesPerJob).map(async (part) => {
          const items = part.map(({ index, tried }) => this.#item(tried, draws === null ? null : [...draws, index]));
          const results = await this.#pool.run(this.#spec, 'load', items, {
            keep: true,
            into: { memory, offsets: part.map(({ place }) => place * size) },
          });
          for (const [i, result] of results.entries()) {
            const { tried } = part[i];
            if (result.ok) {
              this.#lost = 0;
              if (result.place !== null) this.cache?.put(this.#key(tried), result.place);
            } else {
              this.#note(tried, result.error);
              failed.push(part[i]);
            }
          }
        }),
      );
      open = failed.map(({ place, index }) => ({ place, index, tried: this.#stand(index) }));
    }
    const inputs = new Uint8Array(memory, 0, own.length * size).slice();
    this.#free.push(memory);
    return { inputs, labels: Int32Array.from(own, (i) => this.labels[i]), shape: [own.length, ...this.shape] };
  }

  /** Ends the pool if it is this set's own, and lets go of the cache if that is. */
  async close(): Promise<void> {
    if (this.#ownsPool) await this.#pool.close();
    else this.#pool.removeSpec(this.#spec);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #memory(bytes: number): SharedArrayBuffer {
    const fits = this.#free.findIndex(({ byteLength }) => byteLength >= bytes);
    return fits < 0 ? new SharedArrayBuffer(bytes) : this.#free.splice(fits, 1)[0];
  }

  #item(index: number, draw: PictureItem['draw']): PictureItem {
    const { name, source } = this.samples[index];
    return { name, source, draw, cached: this.#cached(index, draw !== null) };
  }

  /** Random transforms begin at the working size; else what is ready is better, and a whole working size does. */
  #cached(index: number, transformed: boolean): CachedPlace | null {
    if (this.cache === null) return null;
    const working = this.cache.place(this.#signature + workingKey(this.samples[index]));
    if (this.#augments && transformed) return working;
    const ready = this.#augments ? null : this.cache.place(this.#key(index));
    return ready ?? (working !== null && isWhole(working) ? working : null);
  }

  #key(index: number): string {
    return this.#augments
      ? this.#signature + workingKey(this.samples[index])
      : `${this.#signature}ready ${sourceKey(this.samples[index].source)}`;
  }

  /** The sample itself, or the next of its class that is not known to be unreadable. */
  #stand(index: number): number {
    if (!this.#broken.has(index)) return index;
    this.#byClass ??= this.#sortByClass();
    const same = this.#byClass[this.labels[index]];
    const at = same.indexOf(index);
    for (let k = 1; k < same.length; k++) {
      const other = same[(at + k) % same.length];
      if (!this.#broken.has(other)) return other;
    }
    const { message, name, path, code } = this.#broken.get(index)!;
    const all = `none of the ${same.length} pictures of the class '${this.classes[this.labels[index]]}' can be read: ${message}`;
    throw name === 'FileError' ? new FileError(all, path ?? '', code ?? null) : new FormatError(all);
  }

  #note(index: number, error: SentError): void {
    if (this.#strict) throw received(error);
    if (error.name === 'FileError' && ++this.#lost >= mostLost) {
      const all = `${mostLost} pictures one after the other cannot be read; are they still there? The last one: ${error.message}`;
      throw new FileError(all, error.path ?? '', error.code ?? null);
    }
    if (this.#broken.has(index)) return;
    this.#broken.set(index, error);
    const { name } = this.samples[index];
    this.#onSkip({ index, name, reason: error.message, replacedBy: this.samples[this.#stand(index)].name });
  }

  #sortByClass(): number[][] {
    const byClass = this.classes.map(() => [] as number[]);
    for (const [i, label] of this.labels.entries()) byClass[label].push(i);
    return byClass;
  }
}

/** What makes kept pictures usable for another set: how they were decoded and resized. */
export function cacheSignature({ channels, preprocessing: { resize, interpolation, crop } }: PictureSpec): string {
  return `${channels} ${JSON.stringify(resize)} ${JSON.stringify(crop)} ${interpolation} `;
}

export function workingKey({ source }: PictureSample): string {
  return `working ${sourceKey(source)}`;
}

export function limitsOf({ maxPixels, maxBytes, maxSeconds }: DecodeLimits): DecodeLimits {
  return { maxPixels, maxBytes, maxSeconds };
}

export function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

function checkIndex(i: number, length: number): number {
  if (Number.isInteger(i) && i >= 0 && i < length) return i;
  throw new ConfigError(`PictureDataset: there is no picture ${i}: it has ${length}, 0 … ${length - 1}`);
}

/**
 * Worker threads that read, decode and transform pictures. Jobs of a few pictures wait in one queue; each worker has at most two, so that it never waits for
 * the next and never hoards. A worker that dies or hangs is replaced, and the pictures it had are tried one by one to find the one that did it.
 *
 * Small plain PNGs, and plain JPEGs where libjpeg-turbo is installed, are decoded by the workers themselves. All else is decoded on the threads of Node's pool
 * (four, unless UV_THREADPOOL_SIZE says otherwise when the process starts), beside the workers'.
 */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FileError } from '../../io/file-error.node.js';
import { loadSharp } from '../../io/picture.node.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import type { PictureCache } from './cache.js';
import type { FromWorker, ItemResult, PictureJob, PictureTask, SentError, ToWorker } from './messages.js';
import type { PictureItem, PictureSpec } from './pipeline.node.js';
import { workerFile } from './worker-file.node.js';

export interface DecodePoolOptions {
  /** Threads; one per core unless told otherwise. */
  readonly workers?: number;
  /** How long a worker may be silent beyond the time its pictures may take, before it is replaced. */
  readonly graceSeconds?: number;
  /** Another module to run in them: tests let some die. */
  readonly worker?: URL;
}

export interface RunOptions {
  /** Whether resized pictures are to be kept in the spec's cache. */
  readonly keep?: boolean;
  /** What `load` needs: where the workers write the pictures, and for each item at which byte. */
  readonly into?: { readonly memory: SharedArrayBuffer; readonly offsets: readonly number[] };
}

/** Jobs that a worker has at most: one to work on and one to go on with. */
const depth = 2;
const defaultMaxSeconds = 60;
/** A worker that has not begun by then never will. */
const startSeconds = 60;

interface Waiting {
  readonly job: PictureJob;
  readonly seconds: number;
  /** With null when the worker that had it died. */
  resolve(results: readonly ItemResult[] | null): void;
  reject(error: Error): void;
}

export class DecodePool {
  readonly workers: number;
  readonly #file: URL | null;
  readonly #graceSeconds: number;
  readonly #seats: Seat[] = [];
  readonly #queue: Waiting[] = [];
  readonly #specs = new Map<number, { spec: PictureSpec; cache: PictureCache | null }>();
  #starting: Promise<void> | null = null;
  #closed = false;
  #broken: Error | null = null;
  #ids = 0;
  /** Workers that were replaced. */
  deaths = 0;

  /** Threads start with the first job. @throws {ConfigError} */
  constructor({ workers = availableParallelism(), graceSeconds = 30, worker }: DecodePoolOptions = {}) {
    if (!Number.isInteger(workers) || workers < 1 || workers > 1024) {
      throw new ConfigError(`DecodePool: workers is a whole number from 1 up, not ${workers}`);
    }
    this.workers = workers;
    this.#graceSeconds = graceSeconds;
    this.#file = worker ?? null;
  }

  /** What pictures go through, for the jobs to come. `cache` is where resized ones are kept. */
  addSpec(spec: PictureSpec, cache: PictureCache | null = null): number {
    const id = this.#ids++;
    this.#specs.set(id, { spec, cache });
    for (const seat of this.#seats) seat.introduce(id, spec, cache);
    return id;
  }

  /** `keepCache` leaves the cache's memory with the workers, for a spec that will use it. */
  removeSpec(id: number, { keepCache = false } = {}): void {
    const cache = this.#specs.get(id)?.cache ?? null;
    this.#specs.delete(id);
    const stillUsed = [...this.#specs.values()].some((other) => other.cache === cache);
    for (const seat of this.#seats) {
      seat.post({ kind: 'forget', id });
      if (cache !== null && !stillUsed && !keepCache)
        for (const slab of cache.slabs) seat.post({ kind: 'drop', id: slab.id });
    }
  }

  /**
   * Runs one job. Pictures that cannot be read are among the results; what is wrong with the job itself is thrown.
   * @throws {ConfigError} without sharp, for transforms that do not fit, or after `close`
   */
  async run(
    spec: number,
    task: PictureTask,
    items: readonly PictureItem[],
    { keep = false, into }: RunOptions = {},
  ): Promise<readonly ItemResult[]> {
    if (items.length === 0) return [];
    if (this.#closed) throw new ConfigError('DecodePool: it is closed');
    await (this.#starting ??= this.#start());
    const { cache, spec: about } = this.#specs.get(spec)!;
    const { maxSeconds = defaultMaxSeconds } = about;
    const job = { spec, task, keep: keep && cache !== null };
    const send = (part: readonly PictureItem[], first: number) =>
      this.#enqueue({
        job: {
          ...job,
          id: this.#ids++,
          items: part,
          out: into?.memory ?? null,
          offsets: into?.offsets.slice(first, first + part.length) ?? [],
        },
        seconds: this.#graceSeconds + maxSeconds * part.length,
      });
    const results = await send(items, 0);
    if (results !== null) return results;
    // After a death each picture alone. The one whose worker dies again is to blame.
    const alone: ItemResult[] = [];
    for (const [i, item] of items.entries()) {
      alone.push((await send([item], i))?.[0] ?? { ok: false, error: lethal(item) });
    }
    return alone;
  }

  /** Ends the workers. Jobs that wait are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new ConfigError('DecodePool: it was closed');
    for (const { reject } of this.#queue.splice(0)) reject(error);
    await Promise.all(this.#seats.splice(0).map((seat) => seat.end(error)));
    this.#specs.clear();
  }

  async #start(): Promise<void> {
    await loadSharp(); // the main thread first: sharp asks for that where workers use it
    const file = this.#file ?? (await workerFile());
    for (let i = 0; i < this.workers; i++) this.#hire(file);
  }

  #hire(file: URL): void {
    const seat: Seat = new Seat(file, {
      idle: () => this.#next(seat),
      full: (cache, bytes) => this.#grant(seat, cache, bytes),
      died: (error, wasReady) => {
        const at = this.#seats.indexOf(seat);
        if (at < 0 || this.#closed) return;
        this.deaths++;
        this.#seats.splice(at, 1);
        if (wasReady) this.#hire(file);
        else this.#giveUp(error); // the next one would not start either
      },
    });
    for (const [id, { spec, cache }] of this.#specs) seat.introduce(id, spec, cache);
    this.#seats.push(seat);
    this.#next(seat);
  }

  #giveUp(error: Error | null): void {
    this.#broken = new ConfigError(
      `the threads that decode pictures do not start: ${error?.message ?? 'they end at once'}`,
    );
    for (const { reject } of this.#queue.splice(0)) reject(this.#broken);
  }

  /** Null when the worker that had it died. */
  #enqueue(waiting: Omit<Waiting, 'resolve' | 'reject'>): Promise<readonly ItemResult[] | null> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...waiting, resolve, reject });
      for (const seat of this.#seats) this.#next(seat);
    });
  }

  #next(seat: Seat): void {
    while (seat.jobs < depth && this.#queue.length > 0) {
      const waiting = this.#queue.shift()!;
      const cache = waiting.job.keep ? this.#specs.get(waiting.job.spec)?.cache : undefined;
      if (cache != null && seat.fillsFirst(cache.id)) this.#grant(seat, cache.id, 1);
      seat.give(waiting);
    }
  }

  #grant(seat: Seat, id: number, bytes: number): void {
    const cache = [...this.#specs.values()].find((spec) => spec.cache?.id === id)?.cache;
    const slab = cache?.grant(bytes, this.workers) ?? null;
    if (slab === null) return; // the limit is reached: the worker asks no more
    for (const other of this.#seats) other.post({ kind: 'slab', ...slab, cache: id, own: other === seat });
  }
}

interface SeatEvents {
  idle(): void;
  full(cache: number, bytes: number): void;
  died(error: Error | null, wasReady: boolean): void;
}

/** One worker and the jobs it has. */
class Seat {
  readonly #worker: Worker;
  readonly #events: SeatEvents;
  readonly #jobs = new Map<number, Waiting>();
  readonly #fills = new Set<number>();
  #ready = false;
  #timer: NodeJS.Timeout | null = null;
  #dead = false;

  constructor(file: URL, events: SeatEvents) {
    this.#events = events;
    this.#worker = new Worker(file, { name: 'fovea-pictures', execArgv: [] });
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', () => this.#die(null));
    this.#worker.unref(); // a process that waits for nothing else may end
  }

  get jobs(): number {
    return this.#jobs.size;
  }

  post(message: ToWorker): void {
    if (!this.#dead) this.#worker.postMessage(message);
  }

  introduce(id: number, spec: PictureSpec, cache: PictureCache | null): void {
    this.post({ kind: 'spec', id, spec, cache: cache?.id ?? null });
    for (const slab of cache?.slabs ?? []) this.post({ kind: 'slab', ...slab, cache: cache!.id, own: false });
  }

  /** Whether it is the first time that this worker may fill this cache. */
  fillsFirst(cache: number): boolean {
    const isNew = !this.#fills.has(cache);
    this.#fills.add(cache);
    return isNew;
  }

  give(waiting: Waiting): void {
    if (this.#jobs.size === 0) this.#worker.ref();
    this.#jobs.set(waiting.job.id, waiting);
    this.post({ kind: 'job', ...waiting.job });
    this.#watch();
  }

  async end(error: Error): Promise<void> {
    this.#dead = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { reject } of this.#jobs.values()) reject(error);
    this.#jobs.clear();
    await this.#worker.terminate();
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'ready') {
      this.#ready = true;
      this.#watch();
      return;
    }
    if (message.kind === 'full') {
      this.#events.full(message.cache, message.bytes);
      return;
    }
    const waiting = this.#jobs.get(message.id);
    if (waiting === undefined) return; // it failed already
    this.#jobs.delete(message.id);
    if (this.#jobs.size === 0) this.#worker.unref();
    this.#watch();
    if (message.kind === 'failed') waiting.reject(received(message.error));
    else waiting.resolve(message.results);
    this.#events.idle();
  }

  /** The worker must answer one of its jobs before long. */
  #watch(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#jobs.size === 0) return;
    const allowed = [...this.#jobs.values()].map(({ seconds }) => seconds);
    const seconds = this.#ready ? Math.max(...allowed) : startSeconds;
    this.#timer = setTimeout(() => {
      void this.#worker.terminate();
      this.#die(null);
    }, 1000 * seconds);
  }

  #die(error: Error | null): void {
    if (this.#dead) return;
    this.#dead = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const lost = [...this.#jobs.values()];
    this.#jobs.clear();
    this.#events.died(error, this.#ready);
    for (const { resolve } of lost) resolve(null);
  }
}

function lethal({ name }: PictureItem): SentError {
  return { name: 'FormatError', message: `${name} cannot be decoded: the worker that tried it died or did not answer` };
}

/** The error that a worker sent, of its class again. */
export function received({ name, message, code, path }: SentError): Error {
  if (name === 'FormatError') return new FormatError(message);
  if (name === 'FileError') return new FileError(message, path ?? '', code ?? null);
  if (name === 'ConfigError') return new ConfigError(message);
  return Object.assign(new Error(message), { name });
}

/**
 * A few workers that decode, so that the event loop stays free whatever comes: a picture of 50 million pixels keeps its worker busy for seconds and
 * nobody else. A worker that takes too long over one picture is ended and another takes its place.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { encodePng } from '../io/picture.node.js';
import { FormatError } from '../util/errors.js';
import { type Decoded, type DecodeJob, decodeAndPrepare } from './decode.node.js';

export interface DecoderOptions extends DecodeJob {
  /** Pictures decoded at the same time. */
  readonly workers: number;
  /** For one picture. */
  readonly timeoutMs: number;
}

interface Task {
  readonly bytes: Uint8Array;
  readonly signal: AbortSignal;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

interface Seat {
  worker: Worker | null;
  task: (Task & { readonly id: number; readonly timer: NodeJS.Timeout }) | null;
}

export class Decoder {
  private readonly seats: Seat[];
  private readonly waiting: Task[] = [];
  private nextId = 1;
  private closed = false;

  constructor(private readonly options: DecoderOptions) {
    this.seats = Array.from({ length: options.workers }, () => ({ worker: null, task: null }));
  }

  /** Pictures that wait for a worker. */
  get queued(): number {
    return this.waiting.length;
  }

  /** Starts the workers and lets each decode something, so that the first request waits for nothing. */
  async start(): Promise<void> {
    const { default: sharp } = await import('sharp');
    sharp.concurrency(1); // requests are what runs side by side
    sharp.cache(false);
    const { channels } = this.options;
    const shape = [channels, 8, 8] as const;
    const picture = await encodePng({ data: new Uint8Array(channels * 64), shape });
    const { signal } = new AbortController();
    await Promise.all(this.seats.map(() => this.decode(picture.slice(), signal)));
  }

  /** [C, H, W] bytes as the model takes them. The bytes given belong to the decoder from then on. @throws {FormatError} for what is no picture */
  decode(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const task = { bytes, signal, resolve, reject };
      signal.addEventListener('abort', () => this.forget(task), { once: true });
      this.waiting.push(task);
      this.next();
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    const workers = this.seats.map(({ worker }) => worker?.terminate());
    await Promise.all(workers);
  }

  private next(): void {
    for (const seat of this.seats) {
      if (seat.task !== null || this.waiting.length === 0) continue;
      this.give(seat, this.waiting.shift()!);
    }
  }

  private give(seat: Seat, task: Task): void {
    const id = this.nextId++;
    const timer = setTimeout(() => this.giveUp(seat), this.options.timeoutMs);
    seat.task = { ...task, id, timer };
    if (workerFile === null) {
      decodeAndPrepare(task.bytes, this.options).then(
        (data) => this.take(seat, { id, data }),
        (error) => this.take(seat, { id, error }),
      );
      return;
    }
    seat.worker ??= this.hire(seat);
    seat.worker.postMessage({ id, bytes: task.bytes }, [task.bytes.buffer as ArrayBuffer]);
  }

  private take(seat: Seat, { id, data, error }: Decoded): void {
    const { task } = seat;
    if (task?.id !== id) return; // an answer that came too late
    clearTimeout(task.timer);
    seat.task = null;
    if (data !== undefined) task.resolve(data);
    else task.reject(error!.name === 'FormatError' ? new FormatError(error!.message) : new Error(error!.message));
    this.next();
  }

  private hire(seat: Seat): Worker {
    const { workers, timeoutMs, ...job } = this.options;
    const worker = new Worker(workerFile!, { workerData: job satisfies DecodeJob, execArgv: [], env: {} });
    worker.unref();
    worker.on('message', (answer: Decoded) => this.take(seat, answer));
    worker.on('error', () => {}); // `exit` follows
    worker.on('exit', () => {
      if (seat.worker !== worker) return;
      seat.worker = null;
      const { task } = seat;
      if (task === null || this.closed) return;
      clearTimeout(task.timer);
      seat.task = null;
      task.reject(new FormatError('the picture could not be decoded: it takes more memory than it should'));
      this.next();
    });
    return worker;
  }

  private giveUp(seat: Seat): void {
    const { task, worker } = seat;
    if (task === null) return;
    seat.task = null;
    seat.worker = null;
    void worker?.terminate();
    task.reject(new FormatError(`the picture could not be decoded within ${this.options.timeoutMs} ms`));
    this.next();
  }

  private forget(task: Task): void {
    const at = this.waiting.indexOf(task);
    if (at >= 0) this.waiting.splice(at, 1);
    task.reject(task.signal.reason); // if it is being decoded, nobody looks at the result
  }
}

/** Null where the library was bundled into other files: pictures are then decoded by sharp's threads and brought to size in this one. */
const workerFile: URL | null =
  [new URL('./decode-worker.node.js', import.meta.url)].find((url) => existsSync(fileURLToPath(url))) ?? null;

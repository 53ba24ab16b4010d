/**
 * A few workers that decode, so that the event loop stays free whatever comes: a picture of 50 million pixels keeps its worker busy for a while and
 * nobody else. A worker that takes too long over one picture is ended and another takes its place. Only what is decoded sooner than sent is decoded at once.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ConfigError, FormatError } from '../util/errors.js';
import type { Buffers } from './buffers.js';
import type { Signal } from './cancellation.js';
import {
  type Decoded,
  type DecodeJob,
  type DecodeTask,
  decodeAndPrepare,
  decodeNow,
  preparedBytes,
  warmUp,
} from './decode.node.js';

export interface DecoderOptions extends DecodeJob {
  /** Where memory for pictures comes from, and where that of bytes goes. */
  readonly buffers: Buffers;
  /** Pictures decoded at the same time. */
  readonly workers: number;
  /** For one picture. */
  readonly timeoutMs: number;
}

interface Task {
  readonly bytes: Uint8Array;
  readonly signal: Signal;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** A place for a worker, which may be between two of them. */
interface Seat {
  worker: Worker | null;
  ready: boolean;
  task: (Task & { readonly id: number; readonly timer: NodeJS.Timeout }) | null;
}

export class Decoder {
  private readonly seats: Seat[];
  private readonly waiting: Task[] = [];
  private nextId = 1;
  private closed = false;
  private readonly pictureBytes: number;

  constructor(private readonly options: DecoderOptions) {
    this.pictureBytes = preparedBytes(options);
    this.seats = Array.from({ length: options.workers }, () => ({ worker: null, ready: false, task: null }));
  }

  /** Pictures that wait for a worker. */
  get queued(): number {
    return this.waiting.length;
  }

  /** Starts the workers. @throws {ConfigError} if they cannot be started: sharp is not installed */
  async start(): Promise<void> {
    await warmUp(this.options); // here first: its error says what is wrong
    if (workerFile === null) for (const seat of this.seats) seat.ready = true;
    else await Promise.all(this.seats.map((seat) => this.hire(seat)));
  }

  /**
   * [C, H, W] bytes as the model takes them, in one of the buffers: give it back. The bytes given belong to the decoder from then on.
   * @throws {FormatError} for what is no picture
   */
  async decode(bytes: Uint8Array, signal: Signal): Promise<Uint8Array> {
    const { buffers } = this.options;
    if (!signal.aborted && bytes.length <= mostBytesHere) {
      const target = this.target();
      const now = decodeNow(bytes, this.options, target, mostPixelsHere);
      buffers.give(now === null ? target.buffer : bytes.buffer);
      if (now !== null) return now;
    }
    return this.decodeLater(bytes, signal);
  }

  private target(): Uint8Array {
    return new Uint8Array(this.options.buffers.take(this.pictureBytes), 0, this.pictureBytes);
  }

  private decodeLater(bytes: Uint8Array, signal: Signal): Promise<Uint8Array> {
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
    await Promise.all(this.seats.map(({ worker }) => worker?.terminate()));
  }

  private next(): void {
    for (const seat of this.seats) {
      if (!seat.ready || seat.task !== null || this.waiting.length === 0) continue;
      this.give(seat, this.waiting.shift()!);
    }
  }

  private give(seat: Seat, task: Task): void {
    const id = this.nextId++;
    seat.task = { ...task, id, timer: setTimeout(() => this.giveUp(seat), this.options.timeoutMs) };
    const sent: DecodeTask = { id, bytes: task.bytes, target: this.target() };
    if (seat.worker !== null) {
      seat.worker.postMessage(sent, [sent.bytes.buffer as ArrayBuffer, sent.target.buffer as ArrayBuffer]);
      return;
    }
    decodeAndPrepare(sent.bytes, this.options, sent.target).then(
      () => this.take(seat, sent),
      (error) => this.take(seat, { ...sent, error }),
    );
  }

  private take(seat: Seat, { id, bytes, target, error }: Decoded): void {
    const { buffers } = this.options;
    buffers.give(bytes.buffer);
    const task = this.release(seat, id);
    if (task === null || task.signal.aborted || error !== undefined) buffers.give(target.buffer);
    if (task === null) return; // an answer that came too late
    if (error === undefined) task.resolve(target);
    else task.reject(error.name === 'FormatError' ? new FormatError(error.message) : new Error(error.message));
    this.next();
  }

  /** Resolves when the worker is ready to decode. */
  private hire(seat: Seat): Promise<void> {
    const { workers, timeoutMs, buffers, ...job } = this.options;
    const worker = new Worker(workerFile!, { workerData: job satisfies DecodeJob, execArgv: [], env });
    seat.worker = worker;
    return new Promise((resolve, reject) => {
      worker.on('message', (answer: Decoded | 'ready') => {
        if (answer !== 'ready') return this.take(seat, answer);
        worker.unref();
        seat.ready = true;
        resolve();
        this.next();
      });
      worker.on('error', () => {}); // `exit` follows
      worker.on('exit', () => {
        reject(new ConfigError('serve: the threads that decode pictures do not start'));
        if (seat.worker === worker) this.replace(seat, 'it takes more memory than it should');
      });
    });
  }

  private giveUp(seat: Seat): void {
    const { worker } = seat;
    if (worker === null) this.release(seat, seat.task!.id)?.reject(this.undecodable(this.tooLong));
    else this.replace(seat, this.tooLong);
    void worker?.terminate();
    this.next();
  }

  private get tooLong(): string {
    return `it takes longer than ${this.options.timeoutMs} ms`;
  }

  /** Another worker for a seat whose worker is lost, and with it its picture. */
  private replace(seat: Seat, why: string): void {
    const neverWorked = !seat.ready;
    seat.worker = null;
    seat.ready = false;
    if (seat.task !== null) this.release(seat, seat.task.id)?.reject(this.undecodable(why));
    if (this.closed) return;
    const hire = () => void this.hire(seat).catch(() => {}); // its exit leads here again
    if (neverWorked) setTimeout(hire, 1000).unref();
    else hire();
  }

  private undecodable(why: string): FormatError {
    return new FormatError(`the picture could not be decoded: ${why}`);
  }

  private release(seat: Seat, id: number): Task | null {
    const { task } = seat;
    if (task?.id !== id) return null;
    clearTimeout(task.timer);
    seat.task = null;
    return task;
  }

  private forget(task: Task): void {
    const at = this.waiting.indexOf(task);
    if (at >= 0) this.waiting.splice(at, 1);
    task.reject(task.signal.reason); // if it is being decoded, nobody looks at the result
  }
}

/** Decoding so many takes about as long as sending them to another thread and back: a tenth of a millisecond. */
const mostPixelsHere = 2 ** 12;
/** What is longer has more pixels, or much else in it. */
const mostBytesHere = 2 ** 16;

/** All that workers learn of the environment. */
const { FOVEA_TURBOJPEG } = process.env;
const env = FOVEA_TURBOJPEG === undefined ? {} : { FOVEA_TURBOJPEG };

/** Null where the library was bundled into other files: pictures are then decoded by sharp's threads and brought to size in this one. */
const workerFile: URL | null =
  [new URL('./decode-worker.node.js', import.meta.url)].find((url) => existsSync(fileURLToPath(url))) ?? null;

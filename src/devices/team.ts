/**
 * A team of workers on one shared memory: worker_threads in Node, Web Workers in a browser. A run wakes the
 * workers; they walk the program side by side, meeting in barriers inside its code, and the last one out reports.
 *
 * A trap ends the run, not the team. When a worker itself dies the others are ended too, and the next run hires a new team.
 */

import { invariant } from '../util/errors.js';
import { type NodeWorkerConstructor, nodeModule, onExit } from './host.js';
import {
  BOARD,
  boardWords,
  type Call,
  SEAT,
  type WorkerMessage,
  type WorkerReply,
  workerSource,
} from './team-worker.js';

export interface TeamOptions {
  readonly threads: number;
  readonly memory: WebAssembly.Memory;
  /** Address of `boardBytes(threads)` of that memory for the team's own use. */
  readonly board: number;
  readonly binder: Binder;
}

/** How workers enter a device's programs. */
export interface Binder {
  /** Source of a function (memory, context) → (code, call) → Entry. */
  readonly source: string;
  /** Given to it in each worker: what a message can carry. */
  readonly context?: unknown;
}

export const boardBytes = (threads: number): number => 4 * boardWords(threads);

/** A kernel trapped, or a worker died. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}

export class Team<Code> {
  /** Resolves when every worker has answered. */
  static async start<Code>(options: TeamOptions): Promise<Team<Code>> {
    const team = new Team<Code>(options);
    await team.hire();
    return team;
  }

  get threads(): number {
    return this.options.threads;
  }

  private workers: TeamWorker[] = []; // empty between the death of one team and the hiring of the next
  private leaving: Promise<unknown> = Promise.resolve();
  private readonly programs = new Map<number, { readonly code: Code; readonly call: Call }>();
  private current: CurrentRun | null = null;

  private readonly board: Int32Array;
  /** Threads that were posted messages since they were last sent for. */
  private readonly unheard = new Set<number>();

  private constructor(private readonly options: TeamOptions) {
    const { memory, board, threads } = options;
    this.board = new Int32Array(memory.buffer, board, boardWords(threads));
  }

  load(code: Code, call: Call): void {
    this.programs.set(call.id, { code, call });
    this.tell({ kind: 'load', code, call });
  }

  unload(id: number): void {
    this.programs.delete(id);
    this.tell({ kind: 'unload', id });
  }

  /**
   * One run at a time. Keeps Node alive until it ends; then no worker is inside the program any more, however it ended.
   * @throws {DeviceError} when a kernel traps or a worker dies
   */
  async run(call: Call): Promise<void> {
    invariant(this.current === null, 'team: a run began before the last one ended');
    if (this.workers.length === 0) await this.hire();
    const { board, threads } = this;
    board[BOARD.left] = threads;
    board[BOARD.traps] = 0;
    board[BOARD.id] = call.id;
    board[BOARD.abort] = call.abort;
    board[BOARD.generation] = call.generation;
    const ended = new Promise<void>((resolve, reject) => {
      this.current = { call, resolve, reject, traps: [], expectedTraps: null };
    });
    const guard = this.workers[0];
    guard.keepAlive(true);
    // Who exits meanwhile waits for the workers. Some end at once; one that is inside machine code would wait for them in a barrier for ever.
    const stay = onExit(() => this.callOff(call));
    for (let thread = 0; thread < threads; thread++) this.callIn(thread);
    try {
      await ended;
    } catch (error) {
      await this.leaving;
      throw error;
    } finally {
      stay();
      this.current = null;
      guard.keepAlive(false);
    }
  }

  /** Ends the workers at once. */
  async stop(): Promise<void> {
    this.dismiss(new DeviceError('the team was stopped'));
    await this.leaving;
  }

  private async hire(): Promise<void> {
    await this.leaving;
    const { threads, memory, board, binder } = this.options;
    const source = workerSource(binder.source);
    const ready: Promise<void>[] = [];
    this.board.fill(0);
    try {
      for (let thread = 0; thread < threads; thread++) {
        const worker = spawnWorker(source);
        this.workers.push(worker);
        ready.push(this.listen(worker));
        worker.post({ kind: 'hire', memory, thread, threads, board, context: binder.context });
      }
      for (const program of this.programs.values()) this.tell({ kind: 'load', ...program });
      await Promise.all(ready);
    } catch (error) {
      this.dismiss(new DeviceError('the team did not start'));
      throw error;
    }
    for (const worker of this.workers) worker.keepAlive(false);
  }

  /** Resolves when the worker is ready. */
  private listen(worker: TeamWorker): Promise<void> {
    return new Promise((resolve, reject) => {
      const onDeath = (reason: string) => {
        reject(new DeviceError(reason));
        // The end of a worker that was dismissed before concerns nobody.
        if (this.workers.includes(worker)) this.dismiss(new DeviceError(reason));
      };
      worker.listen((reply) => (reply.kind === 'ready' ? resolve() : this.hear(reply)), onDeath);
    });
  }

  private tell(message: WorkerMessage<Code>): void {
    this.workers.forEach((worker, thread) => {
      // Out of its seat, so that it hears the message. One that has been called hears it when it is sent for.
      const seat = seatOf(thread);
      if (Atomics.compareExchange(this.board, seat, SEAT.asleep, SEAT.away) === SEAT.asleep) {
        Atomics.notify(this.board, seat);
      }
      this.unheard.add(thread);
      worker.post(message);
    });
  }

  /** Makes a worker take part in the run on the board: by its word, or behind the messages it has not heard. */
  private callIn(thread: number): void {
    const { asleep, called, sentFor } = SEAT;
    const seat = seatOf(thread);
    const heard = !this.unheard.delete(thread);
    if (heard && Atomics.compareExchange(this.board, seat, asleep, called) === asleep) {
      Atomics.notify(this.board, seat);
      return;
    }
    if (Atomics.exchange(this.board, seat, sentFor) === asleep) Atomics.notify(this.board, seat);
    this.workers[thread].post({ kind: 'run' });
  }

  private hear(reply: WorkerReply): void {
    const run = this.current;
    if (run === null) return;
    if (reply.kind === 'trap') run.traps.push(reply);
    if (reply.kind === 'done') run.expectedTraps = reply.traps;
    // Replies of different workers may overtake each other, so `done` can come before the trap it counts.
    if (run.expectedTraps !== run.traps.length) return;
    if (run.traps.length === 0) run.resolve();
    else run.reject(this.trapError(run.traps[0]));
  }

  private trapError({ thread, message, stack }: Trap): DeviceError {
    const frames = stack.split('\n').filter((line) => line.includes('wasm'));
    return new DeviceError([`${message} (thread ${thread} of ${this.threads})`, ...frames.slice(0, 3)].join('\n'));
  }

  private dismiss(reason: DeviceError): void {
    const workers = this.workers;
    this.workers = [];
    if (this.current) this.callOff(this.current.call);
    this.leaving = Promise.all([this.leaving, ...workers.map((worker) => worker.terminate())]);
    this.current?.reject(reason);
  }

  /** Lets workers leave a barrier that will never fill. */
  private callOff({ abort, generation }: Call): void {
    const words = new Int32Array(this.options.memory.buffer);
    Atomics.store(words, abort >>> 2, 1);
    Atomics.add(words, generation >>> 2, 1);
    Atomics.notify(words, generation >>> 2);
  }
}

const seatOf = (thread: number): number => BOARD.seats + thread * BOARD.seatStride;

type Trap = WorkerReply & { kind: 'trap' };

interface CurrentRun {
  readonly call: Call;
  readonly resolve: () => void;
  readonly reject: (error: DeviceError) => void;
  readonly traps: Trap[];
  /** Known once the last worker has left. */
  expectedTraps: number | null;
}

/** What Node's and the browser's workers have in common. */
interface TeamWorker {
  post(message: WorkerMessage): void;
  listen(onReply: (reply: WorkerReply) => void, onDeath: (reason: string) => void): void;
  /** Whether Node must stay alive for this worker; a browser has no such question. */
  keepAlive(on: boolean): void;
  terminate(): Promise<unknown>;
}

function spawnWorker(source: string): TeamWorker {
  const threads = nodeModule('node:worker_threads');
  return threads ? nodeWorker(threads.Worker, source) : webWorker(source);
}

function nodeWorker(Worker: NodeWorkerConstructor, source: string): TeamWorker {
  // No environment and no flags: a loader named there (`--import tsx`) would run in every worker, for nothing.
  const worker = new Worker(source, { eval: true, execArgv: [], env: {}, name: 'fovea' });
  return {
    post: (message) => worker.postMessage(message),
    listen(onReply, onDeath) {
      worker.on('message', onReply);
      worker.on('error', (error: Error) => onDeath(`a worker died: ${error.message}`));
      worker.on('exit', (code: number) => onDeath(`a worker ended with exit code ${code}`));
    },
    keepAlive: (on) => (on ? worker.ref() : worker.unref()),
    terminate: () => worker.terminate(),
  };
}

function webWorker(source: string): TeamWorker {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'fovea' });
  return {
    post: (message) => worker.postMessage(message),
    listen(onReply, onDeath) {
      worker.onmessage = ({ data }) => {
        if (data.kind === 'ready') URL.revokeObjectURL(url);
        onReply(data);
      };
      // A policy that forbids blob workers reports here, without a message.
      worker.onerror = (event) =>
        onDeath(`a worker did not start or died: ${event.message || 'does the page forbid blob: workers?'}`);
    },
    keepAlive() {},
    async terminate() {
      worker.terminate();
    },
  };
}

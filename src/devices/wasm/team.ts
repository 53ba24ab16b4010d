/**
 * A team of workers on one shared memory: worker_threads in Node, Web Workers in a browser. A run sends each worker one message; they
 * walk the program side by side, meeting in barriers inside WebAssembly, and the last one out reports.
 *
 * A trap ends the run, not the team. When a worker itself dies the others are ended too, and the next run hires a new team.
 */

import { invariant } from '../../util/errors.js';
import { type NodeWorkerConstructor, nodeModule } from './features.js';
import { type Call, WORKER_SOURCE, type WorkerMessage, type WorkerReply } from './team-worker.js';

export interface TeamOptions {
  readonly threads: number;
  readonly memory: WebAssembly.Memory;
  /** Address of 8 bytes of that memory for the team's own use. */
  readonly tally: number;
}

/** A kernel trapped, or a worker died. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}

export class Team {
  /** Resolves when every worker has answered. */
  static async start(options: TeamOptions): Promise<Team> {
    const team = new Team(options);
    await team.hire();
    return team;
  }

  get threads(): number {
    return this.options.threads;
  }

  private workers: TeamWorker[] = []; // empty between the death of one team and the hiring of the next
  private leaving: Promise<unknown> = Promise.resolve();
  private readonly modules = new Map<number, WebAssembly.Module>();
  private current: CurrentRun | null = null;

  private constructor(private readonly options: TeamOptions) {}

  load(id: number, module: WebAssembly.Module): void {
    this.modules.set(id, module);
    this.tell({ kind: 'load', id, module });
  }

  unload(id: number): void {
    this.modules.delete(id);
    this.tell({ kind: 'unload', id });
  }

  /** One run at a time. Keeps Node alive until it ends. @throws {DeviceError} when a kernel traps or a worker dies */
  async run(call: Call): Promise<void> {
    invariant(this.current === null, 'team: a run began before the last one ended');
    if (this.workers.length === 0) await this.hire();
    const { memory, tally, threads } = this.options;
    new Int32Array(memory.buffer, tally, 2).set([threads, 0]);
    const ended = new Promise<void>((resolve, reject) => {
      this.current = { call, resolve, reject, traps: [], expectedTraps: null };
    });
    const guard = this.workers[0];
    guard.keepAlive(true);
    this.tell({ kind: 'run', ...call });
    try {
      await ended;
    } finally {
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
    const { threads, memory, tally } = this.options;
    const ready: Promise<void>[] = [];
    try {
      for (let thread = 0; thread < threads; thread++) {
        const worker = spawnWorker();
        this.workers.push(worker);
        ready.push(this.listen(worker));
        worker.post({ kind: 'hire', memory, thread, threads, tally });
      }
      for (const [id, module] of this.modules) this.tell({ kind: 'load', id, module });
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

  private tell(message: WorkerMessage): void {
    for (const worker of this.workers) worker.post(message);
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

function spawnWorker(): TeamWorker {
  const threads = nodeModule('node:worker_threads');
  return threads ? nodeWorker(threads.Worker) : webWorker();
}

function nodeWorker(Worker: NodeWorkerConstructor): TeamWorker {
  // No environment and no flags: a loader named there (`--import tsx`) would run in every worker, for nothing.
  const worker = new Worker(WORKER_SOURCE, { eval: true, execArgv: [], env: {}, name: 'fovea' });
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

function webWorker(): TeamWorker {
  const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }));
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

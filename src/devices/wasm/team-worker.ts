/**
 * What a worker of the team runs: plain JavaScript kept as text, because it must start from a string both in Node (`eval: true`) and
 * in a browser (a Blob), whatever bundler packed the rest. It keeps one instance of each program and runs the one it is told to.
 *
 * Messages in: `WorkerMessage`. Messages out: `WorkerReply`. Only the last worker to leave a run reports, so a run costs one reply.
 */

export type WorkerMessage =
  | {
      readonly kind: 'hire';
      readonly memory: WebAssembly.Memory;
      readonly thread: number;
      readonly threads: number;
      /** Address of two words: workers still inside the run, and traps met in it. */
      readonly tally: number;
    }
  | { readonly kind: 'load'; readonly id: number; readonly module: WebAssembly.Module }
  | { readonly kind: 'unload'; readonly id: number }
  | ({ readonly kind: 'run' } & Call);

/** One run of a loaded module. All but `id` are addresses. */
export interface Call {
  readonly id: number;
  readonly slots: number;
  readonly control: number;
  /** Two words of the control block: the one that calls the run off, and the barrier's generation, which sleepers wait on. */
  readonly abort: number;
  readonly generation: number;
}

export type WorkerReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'trap'; readonly thread: number; readonly message: string; readonly stack: string }
  | { readonly kind: 'done'; readonly traps: number };

export const WORKER_SOURCE = `'use strict';
const port = globalThis.process?.getBuiltinModule?.('node:worker_threads').parentPort ?? globalThis;
const programs = new Map(); // id -> the instance's run, or the error that stands in its place
let team, tally;

const handle = {
  hire(message) {
    team = message;
    tally = new Int32Array(team.memory.buffer, team.tally, 2);
    port.postMessage({ kind: 'ready' });
  },
  load({ id, module }) {
    try {
      programs.set(id, new WebAssembly.Instance(module, { env: { memory: team.memory } }).exports.run);
    } catch (error) {
      programs.set(id, () => { throw error; });
    }
  },
  unload({ id }) {
    programs.delete(id);
  },
  run({ id, slots, control, abort, generation }) {
    try {
      programs.get(id)(team.thread, team.threads, slots, control);
    } catch (error) {
      Atomics.add(tally, 1, 1);
      // The others may sleep in a barrier this thread will never reach: raise the abort word, then end their wait.
      const words = new Int32Array(team.memory.buffer);
      Atomics.store(words, abort >>> 2, 1);
      Atomics.add(words, generation >>> 2, 1);
      Atomics.notify(words, generation >>> 2);
      port.postMessage({ kind: 'trap', thread: team.thread, message: String(error?.message), stack: String(error?.stack) });
    }
    if (Atomics.sub(tally, 0, 1) === 1) port.postMessage({ kind: 'done', traps: Atomics.load(tally, 1) });
  },
};
port.onmessage = ({ data }) => handle[data.kind](data);
`;

/**
 * What a worker of the team runs: plain JavaScript kept as text, because it must start from a string both in Node (`eval: true`) and
 * in a browser (a Blob), whatever bundler packed the rest. It keeps the entry of each program and calls the one it is told to.
 *
 * Between runs a worker sleeps on a word of its own (`Atomics.wait`): it costs nothing there and is awake sooner than a message would be
 * taken in (measured: 28 µs from call to answer against 33, and 55 against 120 after a pause of 2 ms). Asleep it hears no message, so who
 * posts one wakes it first. Watching the word instead of sleeping was worse: the watchers take the cores from the thread they wait for.
 *
 * Messages in: `WorkerMessage`. Messages out: `WorkerReply`. Only the last worker to leave a run reports, so a run costs one reply.
 */

/** `Code` is what a device's programs are made of: a module, or an address. */
export type WorkerMessage<Code = unknown> =
  | {
      readonly kind: 'hire';
      readonly memory: WebAssembly.Memory;
      readonly thread: number;
      readonly threads: number;
      /** Address of the team's words: see `BOARD`. */
      readonly board: number;
      /** What the device's binder asks for besides. */
      readonly context: unknown;
    }
  | { readonly kind: 'load'; readonly code: Code; readonly call: Call }
  | { readonly kind: 'unload'; readonly id: number }
  | { readonly kind: 'run' };

/** How a loaded program is called. All but `id` are addresses. */
export interface Call {
  readonly id: number;
  readonly slots: number;
  readonly control: number;
  /** Two words of the control block: the one that calls the run off, and the barrier's generation, which sleepers wait on. */
  readonly abort: number;
  readonly generation: number;
}

/** A thread's part in a run. Throws when it fails. */
export type Entry = (thread: number, threads: number) => void;

export type WorkerReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'trap'; readonly thread: number; readonly message: string; readonly stack: string }
  | { readonly kind: 'done'; readonly traps: number };

/** Words that the team shares: what runs, and a seat for each worker, on a cache line of its own. */
export const BOARD = {
  /** Workers still inside the run. */
  left: 0,
  /** Traps met in it. */
  traps: 1,
  id: 2,
  abort: 3,
  generation: 4,
  seats: 16,
  seatStride: 16,
} as const;

export const boardWords = (threads: number): number => BOARD.seats + threads * BOARD.seatStride;

/**
 * Where a worker is: in its event loop, where it hears messages; asleep on its word; called to a run on that word; sent for by message.
 * The team writes all but `asleep`, which the worker writes at the end of its part. A call is never taken back.
 */
export const SEAT = { away: 0, asleep: 1, called: 2, sentFor: 3 } as const;

/** `binder` is the source of a function (memory, context) → (code, call) → Entry: how the device's programs are entered. */
export const workerSource = (binder: string): string => `'use strict';
const port = globalThis.process?.getBuiltinModule?.('node:worker_threads').parentPort ?? globalThis;
const entries = new Map(); // id -> the program's entry, or one that throws why there is none
let team, board, seat, bind;

const handle = {
  hire(message) {
    team = message;
    board = new Int32Array(team.memory.buffer, team.board, ${BOARD.seats} + team.threads * ${BOARD.seatStride});
    seat = ${BOARD.seats} + team.thread * ${BOARD.seatStride};
    bind = (${binder})(team.memory, team.context);
    port.postMessage({ kind: 'ready' });
  },
  load({ code, call }) {
    try {
      entries.set(call.id, bind(code, call));
    } catch (error) {
      entries.set(call.id, () => { throw error; });
    }
  },
  unload({ id }) {
    entries.delete(id);
  },
  run() {
    do takePart();
    while (isCalledAgain());
  },
};

function takePart() {
  try {
    entries.get(Atomics.load(board, ${BOARD.id}))(team.thread, team.threads);
  } catch (error) {
    Atomics.add(board, ${BOARD.traps}, 1);
    // The others may wait in a barrier this thread will never reach: raise the abort word, then end their wait.
    const words = new Int32Array(team.memory.buffer);
    const generation = board[${BOARD.generation}] >>> 2;
    Atomics.store(words, board[${BOARD.abort}] >>> 2, 1);
    Atomics.add(words, generation, 1);
    Atomics.notify(words, generation);
    port.postMessage({ kind: 'trap', thread: team.thread, message: String(error?.message), stack: String(error?.stack) });
  }
  // In its seat before the run ends, for the next may follow at once.
  Atomics.store(board, seat, ${SEAT.asleep});
  if (Atomics.sub(board, ${BOARD.left}, 1) === 1) port.postMessage({ kind: 'done', traps: Atomics.load(board, ${BOARD.traps}) });
}

function isCalledAgain() {
  while (Atomics.load(board, seat) === ${SEAT.asleep}) Atomics.wait(board, seat, ${SEAT.asleep});
  return Atomics.load(board, seat) === ${SEAT.called};
}
port.onmessage = ({ data }) => handle[data.kind](data);
`;

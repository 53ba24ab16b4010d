/**
 * A program as one function `run(thread, threads, slots, control)`, called once by every thread of the team. For each
 * launch a thread takes chunks of tasks from a shared counter until none are left, then waits for the others. Launches
 * of one task are thread 0's, and a row of them needs one barrier. With one thread, or without shared memory, there are
 * straight calls and no atomics. The threads share nothing else: who does a task does not change its result.
 */
import type { Arg, Kernel, Program } from '../../ir/index.js';
import {
  type AssembledProgram,
  type AssembleOptions,
  CHUNKS,
  CONTROL,
  checkProgram,
  describeProgram,
  groupsOf,
  type IndexedLaunch,
  launchesOf,
  timesOffset,
} from '../program.js';
import { emitKernel } from './kernel.js';
import { emitModule, type WasmFeatures, type WasmFunction } from './module.js';
import { emitOp, WASM } from './opcodes.js';
import { ByteWriter } from './writer.js';

/** Looks at the generation before going to sleep: some ten microseconds, less than a wake-up takes. */
const SPINS = 10_000;
/** A sleeper looks at the abort word now and then even if nobody wakes it. */
const NAP_NS = 20_000_000;

export function assembleProgram(
  program: Program,
  features: WasmFeatures,
  { profile = false }: AssembleOptions = {},
): AssembledProgram {
  checkProgram(program);
  const functions: WasmFunction[] = [];
  const imported = profile ? 1 : 0; // imported functions are counted first
  const kernels = new Map<Kernel, number>(); // → function
  for (const { kernel } of program.launches) {
    if (kernels.has(kernel)) continue;
    kernels.set(kernel, imported + functions.length);
    functions.push({ params: kernel.params.length + 2, results: 0, body: emitKernel(kernel, features) });
  }
  const barrier = features.threads
    ? imported + functions.push({ params: 2, results: 1, body: emitBarrier() }) - 1
    : NO_BARRIER;
  functions.push({ params: 4, results: 1, body: emitRun(program, kernels, barrier, profile), exportAs: 'run' });
  return describeProgram(program, emitModule(functions, features, { clock: profile }), { profile });
}

const NO_BARRIER = -1;
const CLOCK = 0;

// Parameters and locals of `run`.
const THREAD = 0;
const THREADS = 1;
const SLOTS = 2;
const CONTROL_BLOCK = 3;
const ARENA = 4;
const CHUNK = 5;
const BEGIN = 6;
const END = 7;
const ARGS = 8;

function emitRun(
  program: Program,
  kernels: ReadonlyMap<Kernel, number>,
  barrier: number,
  profile: boolean,
): Uint8Array {
  const w = new Code();
  const launches = launchesOf(program);
  const argCount = launches.reduce((most, { args }) => Math.max(most, args.length), 0);

  w.u32(1); // one run of locals
  w.u32(ARGS - ARENA + argCount);
  w.u8(0x7f);
  w.get(SLOTS);
  w.memory(WASM.i32Load, 0);
  w.set(ARENA);

  /** The time at which launch `done` was over (0: the start). A launch without tasks leaves its word 0. */
  const note = (done: number): void => {
    if (!profile) return;
    w.get(CONTROL_BLOCK);
    w.call(CLOCK);
    w.u8(WASM.f64Store);
    w.u32(3);
    w.u32(timesOffset(program) + 8 * done);
  };
  const ofThread0 = (body: () => void): void => {
    w.get(THREAD);
    w.u8(WASM.i32Eqz);
    w.open(WASM.if);
    body();
    w.u8(WASM.end);
  };
  if (profile) {
    // By the first thread to come in, as far as threads see each other: one that is late must not hide what others have done.
    w.get(CONTROL_BLOCK);
    w.memory(WASM.i32Load, timesOffset(program) + 4); // the upper half of a time is never 0
    w.u8(WASM.i32Eqz);
    w.open(WASM.if);
    note(0);
    w.u8(WASM.end);
  }

  const alone = (): void => {
    for (const { kernel, args, index } of launches) {
      for (const arg of args) pushArg(w, arg);
      w.i32(0);
      w.i32(kernel.tasks);
      w.call(kernels.get(kernel)!);
      note(index + 1);
    }
  };
  if (barrier === NO_BARRIER) {
    alone();
  } else {
    w.get(THREADS);
    w.i32(1);
    w.u8(WASM.i32Eq);
    w.open(WASM.if);
    alone();
    w.u8(WASM.else);
    for (const group of groupsOf(launches, { profile })) {
      const single = group[0].kernel.tasks === 1;
      if (single) {
        ofThread0(() => {
          for (const { kernel, args } of group) {
            for (const arg of args) pushArg(w, arg);
            w.i32(0);
            w.i32(1);
            w.call(kernels.get(kernel)!);
          }
        });
      } else {
        for (const launch of group) share(w, launch, kernels.get(launch.kernel)!);
      }
      note(group[0].index + 1); // by every thread: the last to arrive has the last word
      w.get(THREADS);
      w.get(CONTROL_BLOCK);
      w.call(barrier);
      w.open(WASM.if);
      w.i32(1);
      w.u8(WASM.return);
      w.u8(WASM.end);
    }
    w.u8(WASM.end);
  }
  w.i32(0);
  w.u8(WASM.end);
  return w.written();
}

/** Takes chunks of the launch's tasks while there are any. */
function share(w: Code, { kernel, args, index }: IndexedLaunch, func: number): void {
  const { tasks } = kernel;
  const counter = CONTROL.counters + 4 * index;
  for (const [i, arg] of args.entries()) {
    pushArg(w, arg);
    w.set(ARGS + i);
  }
  // chunk = max(1, ⌊tasks / (threads · CHUNKS)⌋): rounded up, 18 tasks for two threads would be dealt out in pairs, 10 to 8
  w.i32(tasks);
  w.get(THREADS);
  w.i32(CHUNKS);
  w.u8(WASM.i32Mul);
  w.u8(WASM.i32DivU);
  w.u8(WASM.localTee);
  w.u32(CHUNK);
  w.get(CHUNK);
  w.u8(WASM.i32Eqz);
  w.u8(WASM.i32Add);
  w.set(CHUNK);

  w.open(WASM.block);
  w.open(WASM.loop);
  w.get(CONTROL_BLOCK);
  w.get(CHUNK);
  w.memory(WASM.i32AtomicRmwAdd, counter);
  w.u8(WASM.localTee);
  w.u32(BEGIN);
  w.i32(tasks);
  w.u8(WASM.i32GeS);
  w.u8(WASM.brIf);
  w.u8(1);
  for (let i = 0; i < args.length; i++) w.get(ARGS + i);
  w.get(BEGIN);
  // end = min(begin + chunk, tasks)
  w.get(BEGIN);
  w.get(CHUNK);
  w.u8(WASM.i32Add);
  w.u8(WASM.localTee);
  w.u32(END);
  w.i32(tasks);
  w.get(END);
  w.i32(tasks);
  w.u8(WASM.i32LtS);
  w.u8(WASM.select);
  w.call(func);
  w.u8(WASM.br);
  w.u8(0);
  w.u8(WASM.end);
  w.u8(WASM.end);
}

/**
 * (threads, control) → aborted. The last to arrive opens the barrier by raising the generation. A sleeper counts itself
 * before it sleeps and the opener looks at the count after raising: either it sees the sleeper, or the sleeper's wait
 * sees the new generation and returns.
 */
function emitBarrier(): Uint8Array {
  const [threads, control, generation, spins] = [0, 1, 2, 3];
  const w = new Code();
  w.u32(1);
  w.u32(2);
  w.u8(0x7f);

  w.get(control);
  w.memory(WASM.i32AtomicLoad, CONTROL.generation);
  w.set(generation);
  w.get(control);
  w.i32(1);
  w.memory(WASM.i32AtomicRmwAdd, CONTROL.arrived);
  w.i32(1);
  w.u8(WASM.i32Add);
  w.get(threads);
  w.u8(WASM.i32Eq);
  w.open(WASM.if);
  w.get(control);
  w.i32(0);
  w.memory(WASM.i32AtomicStore, CONTROL.arrived);
  w.get(control);
  w.i32(1);
  w.memory(WASM.i32AtomicRmwAdd, CONTROL.generation);
  w.u8(WASM.drop);
  w.get(control);
  w.memory(WASM.i32AtomicLoad, CONTROL.sleepers);
  w.open(WASM.if);
  w.get(control);
  w.i32(-1);
  w.memory(WASM.atomicNotify, CONTROL.generation);
  w.u8(WASM.drop);
  w.u8(WASM.end);
  w.u8(WASM.else);
  w.i32(SPINS);
  w.set(spins);
  w.open(WASM.block);
  w.open(WASM.loop);
  w.get(control);
  w.memory(WASM.i32AtomicLoad, CONTROL.generation);
  w.get(generation);
  w.u8(WASM.i32Ne);
  w.u8(WASM.brIf);
  w.u8(1);
  w.get(spins);
  w.open(WASM.if);
  w.get(spins);
  w.i32(-1);
  w.u8(WASM.i32Add);
  w.set(spins);
  w.u8(WASM.else);
  w.get(control);
  w.memory(WASM.i32AtomicLoad, CONTROL.abort);
  w.u8(WASM.brIf);
  w.u8(2);
  w.addTo(control, CONTROL.sleepers, 1);
  w.get(control);
  w.get(generation);
  w.u8(WASM.i64Const);
  w.s32(NAP_NS);
  w.memory(WASM.atomicWait32, CONTROL.generation);
  w.u8(WASM.drop);
  w.addTo(control, CONTROL.sleepers, -1);
  w.u8(WASM.end);
  w.u8(WASM.br);
  w.u8(0);
  w.u8(WASM.end);
  w.u8(WASM.end);
  w.u8(WASM.end);
  w.get(control);
  w.memory(WASM.i32AtomicLoad, CONTROL.abort);
  w.u8(WASM.end);
  return w.written();
}

function pushArg(w: Code, arg: Arg): void {
  const offset = 'arena' in arg ? arg.arena : (arg.offset ?? 0);
  if ('arena' in arg) {
    w.get(ARENA);
  } else {
    w.get(SLOTS);
    w.memory(WASM.i32Load, 4 * arg.slot);
  }
  if (offset === 0) return;
  w.i32(offset);
  w.u8(WASM.i32Add);
}

/** The few instructions a program needs, on words. */
class Code extends ByteWriter {
  get(local: number): void {
    this.u8(WASM.localGet);
    this.u32(local);
  }
  set(local: number): void {
    this.u8(WASM.localSet);
    this.u32(local);
  }
  i32(n: number): void {
    this.u8(WASM.i32Const);
    this.s32(n);
  }
  /** A block, loop or if without a result. */
  open(code: number): void {
    this.u8(code);
    this.u8(WASM.void);
  }
  call(func: number): void {
    this.u8(WASM.call);
    this.u32(func);
  }
  memory(code: number, offset: number): void {
    emitOp(this, code);
    this.u8(2);
    this.u32(offset);
  }
  addTo(base: number, offset: number, n: number): void {
    this.get(base);
    this.i32(n);
    this.memory(WASM.i32AtomicRmwAdd, offset);
    this.u8(WASM.drop);
  }
}

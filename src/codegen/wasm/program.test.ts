import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { mirror, relay, relayInput, relayOracle, TASKS } from '../../../test/program-cases.js';
import type { Arg } from '../../ir/index.js';
import { type AssembledProgram, CONTROL, controlBytes } from '../program.js';
import { assembleProgram } from './program.js';

type Run = (thread: number, threads: number, slots: number, control: number) => number;

const SLOTS = 64; // byte addresses in the test's memory
const ARENA = 1024;
const CONTROL_BLOCK = 60_000;

const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((w) => w.terminate()));
});

function memoryFor(shared: boolean): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 4, shared });
  new Int32Array(memory.buffer, SLOTS, 2).set([ARENA, 8192]);
  new Int32Array(memory.buffer, ARENA, TASKS).set(relayInput());
  return memory;
}

function instance({ bytes }: AssembledProgram, memory: WebAssembly.Memory): Run {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports.run as Run;
}

/** Runs the program as thread `thread` of `threads`. */
function work(program: AssembledProgram, memory: WebAssembly.Memory, thread: number, threads: number): Promise<number> {
  const source = `
    const { workerData: d, parentPort } = require('node:worker_threads');
    const { run } = new WebAssembly.Instance(new WebAssembly.Module(d.bytes), { env: { memory: d.memory } }).exports;
    parentPort.postMessage(run(d.thread, d.threads, d.slots, d.control));`;
  const workerData = { bytes: program.bytes, memory, thread, threads, slots: SLOTS, control: CONTROL_BLOCK };
  const worker = new Worker(source, { eval: true, workerData });
  workers.push(worker);
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

describe('a program gives the same result', () => {
  test('on one thread with memory that is not shared', () => {
    const memory = memoryFor(false);
    const program = assembleProgram(relay(4), { relaxedSimd: false, threads: false });
    expect(instance(program, memory)(0, 1, SLOTS, CONTROL_BLOCK)).toBe(0);
    expect(new Int32Array(memory.buffer, 8200, TASKS)).toEqual(relayOracle());
    expect(new Uint8Array(memory.buffer, CONTROL_BLOCK, program.control.bytes)).toEqual(
      new Uint8Array(program.control.bytes),
    );
  });

  test('on one thread with shared memory', () => {
    const memory = memoryFor(true);
    const program = assembleProgram(relay(4), { relaxedSimd: false, threads: true });
    expect(instance(program, memory)(0, 1, SLOTS, CONTROL_BLOCK)).toBe(0);
    expect(new Int32Array(memory.buffer, 8200, TASKS).slice()).toEqual(relayOracle());
  });

  test.each([2, 5])('on %i threads with shared memory', async (threads) => {
    const program = assembleProgram(relay(4), { relaxedSimd: false, threads: true });
    for (let i = 0; i < 3; i++) {
      const memory = memoryFor(true);
      expect(await Promise.all(Array.from({ length: threads }, (_, i) => work(program, memory, i, threads)))).toEqual(
        new Array(threads).fill(0),
      );
      expect(new Int32Array(memory.buffer, 8200, TASKS).slice()).toEqual(relayOracle());
      const [arrived, sleepers] = [CONTROL.arrived, CONTROL.sleepers].map((offset) => {
        return new Int32Array(memory.buffer, CONTROL_BLOCK + offset, 1)[0];
      });
      expect([arrived, sleepers]).toEqual([0, 0]);
    }
  });
});

describe('a profiled program', () => {
  const profiled = { profile: true };
  /** The relay with its launches timed by a clock that counts how often it was asked. */
  const runTimed = (threads: boolean): { times: Float64Array; values: Int32Array } => {
    const memory = memoryFor(threads);
    const program = assembleProgram(relay(4), { relaxedSimd: false, threads }, profiled);
    let asked = 0;
    const env = { memory, clock: () => ++asked };
    const run = new WebAssembly.Instance(new WebAssembly.Module(program.bytes), { env }).exports.run as Run;
    expect(run(0, 1, SLOTS, CONTROL_BLOCK)).toBe(0);
    const times = new Float64Array(memory.buffer, CONTROL_BLOCK + program.control.timesOffset!, 25).slice();
    return { times, values: new Int32Array(memory.buffer, 8200, TASKS).slice() };
  };

  test.each([false, true])('notes the time at the start and after each launch (shared memory: %s)', (threads) => {
    const { times, values } = runTimed(threads);
    expect(values).toEqual(relayOracle());
    const idle = 23; // counted from 1: the launch without tasks
    expect([...times]).toEqual([...Array.from({ length: idle }, (_, i) => i + 1), 0, idle + 1]);
  });

  test('keeps its times inside the control block, on whole words of eight bytes', () => {
    const { control } = assembleProgram(relay(4), { relaxedSimd: false, threads: true }, profiled);
    expect(control.timesOffset! % 8).toBe(0);
    expect(control.bytes).toBe(control.timesOffset! + 8 * 25);
  });
});

test('whoever waits for a thread that never comes leaves when the run is called off', async () => {
  const program = assembleProgram(relay(4), { relaxedSimd: false, threads: true });
  // Two of three threads: without the third no barrier opens.
  const stuck = memoryFor(true);
  const waiting = Promise.all([0, 1].map((thread) => work(program, stuck, thread, 3)));
  const words = new Int32Array(stuck.buffer);
  const arrived = (CONTROL_BLOCK + CONTROL.arrived) / 4;
  while (Atomics.load(words, arrived) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  Atomics.store(words, (CONTROL_BLOCK + program.control.abortOffset) / 4, 1);
  expect(await waiting).toEqual([1, 1]); // though nobody woke them
});

test('a kernel launched often is in the module once', () => {
  const kernel = mirror(8, 4);
  const launch = { kernel, args: [{ arena: 0 }, { arena: 32 }] };
  const size = (launches: number): number => {
    const program = { name: 'p', launches: new Array(launches).fill(launch), slots: 1, arenaBytes: 64 };
    return assembleProgram(program, { relaxedSimd: false, threads: false }).bytes.length;
  };
  expect(size(3) - size(2)).toBeLessThan(20);
});

test('arguments that do not fit are refused', () => {
  const assemble = (args: Arg[]) => {
    const program = { name: 'p', launches: [{ kernel: mirror(8, 4), args }], slots: 1, arenaBytes: 64 };
    return () => assembleProgram(program, { relaxedSimd: false, threads: false });
  };
  expect(assemble([{ arena: 0 }])).toThrow('program p, launch 0 (mirror_8): 1 arguments for 2 parameters');
  expect(assemble([{ arena: 0 }, { slot: 1 }])).toThrow('argument {"slot":1} with 1 slots, 64 arena bytes');
  expect(assemble([{ arena: 65 }, { slot: 0 }])).toThrow('argument {"arena":65} with 1 slots, 64 arena bytes');
});

test('the control block has a counter for each launch', () => {
  expect(controlBytes(relay(4))).toBe(CONTROL.counters + 4 * 24);
});

import { Worker } from 'node:worker_threads';
import koffi from 'koffi';
import { afterEach, describe, expect, test } from 'vitest';
import { mirror, relay, relayInput, relayOracle, TASKS } from '../../../test/program-cases.js';
import { LEVELS, Mapping, whyNot } from '../../../test/x64-runner.js';
import { type Kernel, KernelBuilder, type Program } from '../../ir/index.js';
import { assembleProgram, CONTROL, type X64Program } from './index.js';

const SLOTS = 64; // byte addresses in the test's heap
const ARENA = 1024;
const CONTROL_BLOCK = 16_384;
const HEAP = 65_536;

const workers: Worker[] = [];
const mappings: Mapping[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((w) => w.terminate()));
  for (const mapping of mappings.splice(0)) mapping.free();
});

/** Divides each element by its number: the first by 0. */
function divider(tasks: number): Kernel {
  const k = new KernelBuilder({ lanes: 8 });
  const p = k.param('p', 'i32');
  k.tasks(tasks, (t) => k.store(p, t, k.load(p, t, 1).div(t)));
  return k.finish(`divider_${tasks}`);
}

function heap(): Mapping {
  const mapping = new Mapping(HEAP);
  mappings.push(mapping);
  words(mapping, SLOTS, 2).set([ARENA, 8192]);
  words(mapping, ARENA, TASKS).set(relayInput());
  return mapping;
}

const words = ({ bytes }: Mapping, at: number, length: number): Int32Array =>
  new Int32Array(bytes.buffer, bytes.byteOffset + at, length);

function placed({ bytes }: X64Program): Mapping {
  const code = new Mapping(bytes.length);
  mappings.push(code);
  code.bytes.set(bytes);
  code.executable();
  return code;
}

const ENTER = `(koffi, { entry, call, thread, threads }) => {
  const libc = koffi.load(null);
  call[3] = call[4] = koffi.address(libc.symbol('sched_yield'));
  return koffi.call(entry, koffi.proto('int (int, int, void *)'), thread, threads, call);
}`;

function callOf(code: Mapping, program: X64Program, memory: Mapping, thread: number, threads: number) {
  const call = BigUint64Array.of(
    memory.address + BigInt(SLOTS),
    memory.address + BigInt(CONTROL_BLOCK),
    memory.address,
    0n,
    0n,
  );
  return { entry: code.address + BigInt(program.entry), call, thread, threads };
}

/** Enters the program as thread `thread` of `threads`, in this thread or one of its own. */
function enter(code: Mapping, program: X64Program, memory: Mapping, threads = 1): number {
  const run = new Function(`return ${ENTER}`)() as (...args: unknown[]) => number;
  return run(koffi, callOf(code, program, memory, 0, threads));
}

function work(code: Mapping, program: X64Program, memory: Mapping, thread: number, threads: number): Promise<number> {
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    parentPort.postMessage((${ENTER})(require('koffi'), workerData));`;
  const worker = new Worker(source, {
    eval: true,
    workerData: callOf(code, program, memory, thread, threads),
  });
  workers.push(worker);
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

describe.skipIf(whyNot('avx2') !== null)('a program gives the same result', () => {
  test.each(LEVELS)('on one thread, %s, with and without the code for more', (level) => {
    for (const threads of [false, true]) {
      const memory = heap();
      const program = assembleProgram(relay(8), { level, abi: 'sysv', threads });
      expect(enter(placed(program), program, memory)).toBe(0);
      expect(words(memory, 8200, TASKS)).toEqual(relayOracle());
      expect(words(memory, CONTROL_BLOCK, program.control.bytes / 4)).toEqual(
        new Int32Array(program.control.bytes / 4),
      );
    }
  });

  test.each([2, 5])('on %i threads', async (threads) => {
    const program = assembleProgram(relay(8), { level: LEVELS[0], abi: 'sysv', threads: true });
    const code = placed(program);
    for (let i = 0; i < 3; i++) {
      const memory = heap();
      const all = Array.from({ length: threads }, (_, thread) => work(code, program, memory, thread, threads));
      expect(await Promise.all(all)).toEqual(new Array(threads).fill(0));
      expect(words(memory, 8200, TASKS)).toEqual(relayOracle());
      expect(words(memory, CONTROL_BLOCK + CONTROL.arrived, 1)[0]).toBe(0);
    }
  });
});

describe.skipIf(whyNot('avx2') !== null)('a run is called off', () => {
  test('by whoever raises the abort word: threads that wait for one that never comes leave', async () => {
    const program = assembleProgram(relay(8), { level: LEVELS[0], abi: 'sysv', threads: true });
    const memory = heap();
    const code = placed(program);
    const waiting = Promise.all([0, 1].map((thread) => work(code, program, memory, thread, 3)));
    const arrived = words(memory, CONTROL_BLOCK + CONTROL.arrived, 1);
    while (Atomics.load(arrived, 0) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    Atomics.store(words(memory, CONTROL_BLOCK + program.control.abortOffset, 1), 0, 1);
    expect(await waiting).toEqual([1, 1]);
  });

  test.each([1, 2])('by a division by zero, on %i threads', async (threads) => {
    const source: Program = {
      name: 'division',
      launches: [
        { kernel: divider(TASKS), args: [{ arena: 0 }] },
        { kernel: mirror(TASKS, 8), args: [{ arena: 0 }, { slot: 1 }] },
      ],
      slots: 2,
      arenaBytes: 4 * TASKS,
    };
    const program = assembleProgram(source, { level: LEVELS[0], abi: 'sysv', threads: true });
    const code = placed(program);
    const memory = heap();
    const all = Array.from({ length: threads }, (_, thread) => work(code, program, memory, thread, threads));
    expect(await Promise.all(all)).toEqual(new Array(threads).fill(1));
    expect(words(memory, 8192, TASKS)).toEqual(new Int32Array(TASKS)); // the launch after it was not begun
    expect(words(memory, CONTROL_BLOCK, 1)[0]).toBe(1);
  });
});

test.skipIf(whyNot('avx2') !== null)(
  'a program to be profiled writes a time at the start and after each launch',
  () => {
    const program = assembleProgram(relay(8), { level: LEVELS[0], abi: 'sysv', threads: true }, { profile: true });
    const memory = heap();
    expect(enter(placed(program), program, memory)).toBe(0);
    expect(words(memory, 8200, TASKS)).toEqual(relayOracle());
    const at = CONTROL_BLOCK + program.control.timesOffset!;
    const times = [...new BigUint64Array(memory.bytes.buffer, memory.bytes.byteOffset + at, 25)];
    expect(program.control.bytes).toBe(program.control.timesOffset! + 8 * 25);
    expect(times[23]).toBe(0n); // of the launch without tasks
    const noted = times.filter((_, i) => i !== 23);
    expect(noted.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(noted);
    expect(new Set(noted).size).toBe(24);
  },
);

test('a kernel launched often is in the program once', () => {
  const kernel = mirror(8, 8);
  const launch = { kernel, args: [{ arena: 0 }, { arena: 32 }] };
  const size = (launches: number): number => {
    const program = { name: 'p', launches: new Array(launches).fill(launch), slots: 1, arenaBytes: 64 };
    return assembleProgram(program, { level: 'avx2', abi: 'sysv', threads: true }).bytes.length;
  };
  expect(size(40) - size(20)).toBeLessThan(20 * 120);
});

test('arguments that do not fit are refused', () => {
  const program = { name: 'p', launches: [{ kernel: mirror(8, 8), args: [] }], slots: 1, arenaBytes: 64 };
  expect(() => assembleProgram(program, { level: 'avx2', abi: 'sysv', threads: false })).toThrow(
    'program p, launch 0 (mirror_8): 0 arguments for 2 parameters',
  );
});

test('both conventions of C are assembled', () => {
  for (const level of ['avx2', 'avx512'] as const) {
    const bytes = (abi: 'sysv' | 'win64'): number =>
      assembleProgram(relay(8), { level, abi, threads: true }).bytes.length;
    expect(bytes('win64')).toBeGreaterThan(bytes('sysv'));
  }
});

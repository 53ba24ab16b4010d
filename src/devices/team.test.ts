import { afterEach, describe, expect, test, vi } from 'vitest';
import { DeviceError, Team } from './team.js';

// One page: a slot table at 128, a control block at 256, a word that programs work on at 512, the team's board at 1024.
const BOARD = 1024;
const SLOTS = 128;
const CONTROL = 256;
const WORD = 512;
const GENERATION_OFFSET = 64;
const call = (id: number) => ({ id, ...PLACES });
const PLACES = { slots: SLOTS, control: CONTROL, abort: CONTROL, generation: CONTROL + GENERATION_OFFSET };

const binder = {
  source: `(memory) => (module, { slots, control }) => {
    const { run } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    return (thread, threads) => run(thread, threads, slots, control);
  }`,
};

const teams: Team<WebAssembly.Module>[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(teams.splice(0).map((team) => team.stop()));
});

async function startTeam(threads: number): Promise<{ team: Team<WebAssembly.Module>; words: Int32Array }> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const words = new Int32Array(memory.buffer);
  words[SLOTS / 4 + 1] = WORD;
  const team = await Team.start<WebAssembly.Module>({ threads, memory, board: BOARD, binder });
  teams.push(team);
  return { team, words };
}

const resetControl = (words: Int32Array) => words.fill(0, CONTROL / 4, WORD / 4);

describe('team', () => {
  test('every thread runs the program once, with its own number, and the memory is theirs and ours', async () => {
    const { team, words } = await startTeam(3);
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(7));
    await team.run(call(7));
    expect(words[WORD / 4]).toBe(1 + 2 + 3);
    for (let i = 0; i < 200; i++) await team.run(call(7));
    expect(words[WORD / 4]).toBe(201 * 6);
  });

  test('a trap in one thread ends the wait of the others, rejects the run, and the next run works', async () => {
    const { team, words } = await startTeam(3);
    team.load(runModule(TRAP_OR_WAIT), call(1));
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(2));
    for (let round = 1; round <= 20; round++) {
      resetControl(words);
      const failed = team.run(call(1));
      await expect(failed).rejects.toThrow(DeviceError);
      await expect(failed).rejects.toThrow(/^unreachable \(thread 0 of 3\)\n.*wasm/);
      await team.run(call(2));
      expect(words[WORD / 4]).toBe(6 * round);
    }
  });

  test('traps in all threads at once are one rejection', async () => {
    const { team, words } = await startTeam(3);
    team.load(runModule(UNREACHABLE), call(1));
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(2));
    for (let round = 1; round <= 20; round++) {
      await expect(team.run(call(1))).rejects.toThrow('unreachable (thread');
      await team.run(call(2));
      expect(words[WORD / 4]).toBe(6 * round);
    }
  });

  test('a program that cannot be instantiated rejects its run', async () => {
    const { team } = await startTeam(2);
    team.load(runModule(UNREACHABLE, 'elsewhere'), call(1));
    await expect(team.run(call(1))).rejects.toThrow('elsewhere');
  });

  test('what is loaded while workers sleep between runs, or while they run, is there for the next run', async () => {
    const { team, words } = await startTeam(3);
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(1));
    for (let id = 2; id < 60; id++) {
      const run = team.run(call(id - 1));
      if (id % 3 === 0) team.load(runModule(ADD_THREAD_PLUS_ONE), call(id));
      await run;
      if (id % 3 !== 0) team.load(runModule(ADD_THREAD_PLUS_ONE), call(id));
      if (id % 5 === 0) team.unload(id - 2);
      if (id % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(words[WORD / 4]).toBe(58 * 6);
  });

  test('a message posted just behind a call does not undo the call', async () => {
    const { team, words } = await startTeam(3);
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(1));
    await team.run(call(1));
    for (let id = 2; id < 200; id++) {
      const run = team.run(call(1)); // every worker sleeps: they are called by their words
      team.unload(id); // as a finalizer may, at any time
      await run;
      team.load(runModule(ADD_THREAD_PLUS_ONE), call(id + 1));
      await team.run(call(id + 1));
      await team.run(call(id + 1));
    }
    expect(words[WORD / 4]).toBe((1 + 3 * 198) * 6);
  });

  test('an unloaded program is gone', async () => {
    const { team } = await startTeam(2);
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(1));
    team.unload(1);
    await expect(team.run(call(1))).rejects.toThrow('not a function');
  });

  test('the death of a worker rejects the run, even of a program that never ends, and the next run has a new team', async () => {
    const workers = spyOnWorkers();
    const { team, words } = await startTeam(2);
    team.load(runModule(FOREVER), call(1));
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(2));
    const run = team.run(call(1));
    const failed = expect(run).rejects.toThrow('a worker ended with exit code 1');
    await workers[1].terminate();
    await failed;
    await team.run(call(2));
    expect(words[WORD / 4]).toBe(3);
    expect(workers.length).toBe(4);
  });

  test('the death of an idle worker goes unnoticed', async () => {
    const workers = spyOnWorkers();
    const { team, words } = await startTeam(2);
    team.load(runModule(ADD_THREAD_PLUS_ONE), call(2));
    await workers[0].terminate();
    await team.run(call(2));
    expect(words[WORD / 4]).toBe(3);
  });

  test('a team whose workers cannot start says why', async () => {
    const threads = process.getBuiltinModule('node:worker_threads');
    vi.spyOn(threads, 'Worker').mockImplementation(function refuse(): never {
      throw new Error('workers are forbidden here');
    });
    await expect(startTeam(2)).rejects.toThrow('workers are forbidden here');
  });

  test('stopping rejects the run under way', async () => {
    const { team } = await startTeam(2);
    team.load(runModule(FOREVER), call(1));
    const failed = expect(team.run(call(1))).rejects.toThrow('the team was stopped');
    await team.stop();
    await failed;
  });
});

/** The workers started from here on, in order. */
function spyOnWorkers(): import('node:worker_threads').Worker[] {
  const threads = process.getBuiltinModule('node:worker_threads');
  const workers: import('node:worker_threads').Worker[] = [];
  const Real = threads.Worker;
  vi.spyOn(threads, 'Worker').mockImplementation(function spawn(...args: ConstructorParameters<typeof Real>) {
    const worker = new Real(...args);
    workers.push(worker);
    return worker;
  });
  return workers;
}

// Bodies of run(thread, threads, slots, control) → i32, by hand (WebAssembly core specification, section 5.4, and the threads proposal).
const ADD_THREAD_PLUS_ONE = [
  ...[0x20, 2, 0x28, 2, 4], // i32.load offset=4 (slots)
  ...[0x20, 0, 0x41, 1, 0x6a], // thread + 1
  ...[0xfe, 0x1e, 2, 0, 0x1a, 0x41, 0], // i32.atomic.rmw.add; drop; 0
];
const UNREACHABLE = [0x00];
const FOREVER = [0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 0]; // loop br 0 end
const TRAP_OR_WAIT = [
  ...[0x20, 0, 0x45, 0x04, 0x40, 0x00, 0x0b], // if thread == 0: unreachable
  ...[0x20, 3, 0x41, 0, 0x42, 0x7f, 0xfe, 0x01, 2, ...leb(GENERATION_OFFSET), 0x1a, 0x41, 1], // memory.atomic.wait32(generation, 0, forever)
];

function runModule(code: number[], importModule = 'env'): WebAssembly.Module {
  const section = (id: number, bytes: number[]) => [id, ...leb(bytes.length), ...bytes];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  const body = [0, ...code, 0x0b];
  return new WebAssembly.Module(
    Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      ...section(1, [1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f]),
      ...section(2, [1, ...name(importModule), ...name('memory'), 0x02, 0x03, 0, ...leb(65536)]),
      ...section(3, [1, 0]),
      ...section(7, [1, ...name('run'), 0, 0]),
      ...section(10, [1, ...leb(body.length), ...body]),
    ]),
  );
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

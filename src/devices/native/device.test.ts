/** Machine code in Node: what is particular to it. What every device does is in test/contract/devices.test.ts. */

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Assembler } from '../../codegen/x64/assembler.js';
import { eax, ecx, edi, esi, mem, memIndex, r8, r9, rax, rbx, rdi, rdx } from '../../codegen/x64/registers.js';
import { ConfigError } from '../../util/errors.js';
import type { AssembledProgram, LoadedProgram } from '../index.js';
import { identify } from './cpu.node.js';
import { NativeDevice, type NativeOptions, openMachine } from './device.node.js';
import { openForeign } from './foreign.node.js';
import { openPages, type Pages, placeCode } from './memory.node.js';

const noMachineCode = await openMachine().then(
  ({ cpu }) => (process.platform === 'linux' && cpu.level !== null ? null : 'these tests call Linux on x86-64'),
  (error: Error) => error.message,
);
if (noMachineCode !== null) console.warn(`tests of machine code are skipped: ${noMachineCode}`);

const devices: NativeDevice[] = [];
afterEach(async () => {
  vi.doUnmock('koffi');
  vi.restoreAllMocks();
  await Promise.all(devices.splice(0).map((device) => device.dispose()));
});

async function create(options?: NativeOptions): Promise<NativeDevice> {
  const device = await NativeDevice.create(options);
  devices.push(device);
  return device;
}

const CONTROL = { bytes: 256, abortOffset: 0, generationOffset: 64 };

/** A program written by hand: System V, so thread in edi, threads in esi, the call block at rdx; only registers that need no saving. */
function byHand(write: (asm: Assembler) => void, control: AssembledProgram['control'] = CONTROL): AssembledProgram {
  const asm = new Assembler('avx2');
  write(asm);
  return { name: 'by hand', bytes: asm.finish(), slots: 2, arenaBytes: 64, control, everyThread: true };
}

/** The word at slot 1 goes up by the thread's number plus one. */
const addThreadPlusOne = byHand((asm) => {
  asm.mov(r8, mem(rdx, 0)); // the slot table
  asm.mov(r9, mem(rdx, 16)); // the heap
  asm.mov(eax, mem(r8, 4));
  asm.add(edi, 1);
  asm.lockAdd(memIndex(r9, rax), edi);
  asm.xor(eax, eax);
  asm.ret();
});

/** Thread 0 calls the run off; the others wait for that, asleep between looks. */
const calledOff = byHand((asm) => {
  const [look, end] = [asm.label(), asm.label()];
  asm.push(rbx); // with it the stack is as calls want it
  asm.mov(rbx, rdx);
  asm.mov(r8, mem(rbx, 8)); // the control block
  asm.test(edi, edi);
  asm.jcc('ne', look);
  asm.mov32(mem(r8), 1);
  asm.bind(look);
  asm.mov(r8, mem(rbx, 8));
  asm.mov(eax, mem(r8));
  asm.test(eax, eax);
  asm.jcc('ne', end);
  asm.mov(rdi, mem(rbx, 8)); // wait on a word that nobody wakes
  asm.xor(esi, esi);
  asm.call(mem(rbx, 24));
  asm.jmp(look);
  asm.bind(end);
  asm.pop(rbx);
  asm.ret();
});

/** Thread 0 counts, then raises a word and wakes the others, who wait for that asleep. The stack is as calls want it. */
const awaited = byHand((asm) => {
  const [count, look, end] = [asm.label(), asm.label(), asm.label()];
  asm.push(rbx);
  asm.mov(rbx, rdx);
  asm.test(edi, edi);
  asm.jcc('ne', look);
  asm.mov(ecx, 400_000_000);
  asm.bind(count);
  asm.sub(ecx, 1);
  asm.jcc('ne', count);
  asm.mov(rdi, mem(rbx, 8));
  asm.add(rdi, 128);
  asm.lockInc32(mem(rdi));
  asm.call(mem(rbx, 32));
  asm.jmp(end);
  asm.bind(look);
  asm.mov(rdi, mem(rbx, 8));
  asm.add(rdi, 128);
  asm.cmp32(mem(rdi), 0);
  asm.jcc('ne', end);
  asm.xor(esi, esi);
  asm.call(mem(rbx, 24));
  asm.jmp(look);
  asm.bind(end);
  asm.xor(eax, eax);
  asm.pop(rbx);
  asm.ret();
});

/** Thread 0 notes the time, counts to a hundred million, notes the time, and again after nothing. */
const timed = byHand(
  (asm) => {
    const [count, end] = [asm.label(), asm.label()];
    asm.test(edi, edi);
    asm.jcc('ne', end);
    asm.mov(r8, mem(rdx, 8));
    const note = (at: number) => {
      asm.rdtsc();
      asm.shl(rdx, 32);
      asm.or(rax, rdx);
      asm.mov(mem(r8, at), rax);
    };
    note(256);
    asm.mov(ecx, 100_000_000);
    asm.bind(count);
    asm.sub(ecx, 1);
    asm.jcc('ne', count);
    note(264);
    note(272);
    asm.bind(end);
    asm.xor(eax, eax);
    asm.ret();
  },
  { ...CONTROL, bytes: 256 + 24, timesOffset: 256 },
);

/** What may be done with the page at this address of ours (`r-xp`), or null where there is none. Neighbours are listed as one. */
function permissions(address: number): string | null {
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const [range, flags] = line.split(' ');
    const [from, to] = range.split('-').map((hex) => Number.parseInt(hex, 16));
    if (from <= address && address < to) return flags;
  }
  return null;
}

describe.skipIf(noMachineCode !== null)('machine code', () => {
  test.each([1, 2, 3])('with %i threads, each runs it once, with its own number', async (threads) => {
    const device = await create({ threads });
    const program = await device.load(addThreadPlusOne);
    const word = device.alloc(64);
    device.i32(word, 1)[0] = 0;
    for (let i = 0; i < 100; i++) await device.run(program, Int32Array.of(0, word));
    expect(device.i32(word, 1)[0]).toBe((100 * threads * (threads + 1)) / 2);
    device.alloc(64 << 20); // the heap grows and stays where it is
    await device.run(program, Int32Array.of(0, word));
    expect(device.i32(word, 1)[0]).toBe((101 * threads * (threads + 1)) / 2);
  });

  test('threads that wait sleep', async () => {
    const device = await create({ threads: 3 });
    const program = await device.load(awaited);
    const [start, before] = [performance.now(), process.cpuUsage()];
    for (let i = 0; i < 3; i++) await device.run(program, new Int32Array(2));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1.5 * (performance.now() - start)); // of 3 threads, one computes
  });

  test.each([1, 3])('with %i threads a run called off is rejected, and the next one works', async (threads) => {
    const device = await create({ threads });
    const [bad, good] = [await device.load(calledOff), await device.load(addThreadPlusOne)];
    const word = device.alloc(64);
    device.i32(word, 1)[0] = 0;
    for (let round = 1; round <= 20; round++) {
      const slots = Int32Array.of(0, word);
      await expect(device.run(bad, slots)).rejects.toThrow(
        new RegExp(`^${device.name}: the run of by hand failed: divide by zero`),
      );
      await device.run(good, slots);
      expect(device.i32(word, 1)[0]).toBe((round * threads * (threads + 1)) / 2);
    }
  });

  test('the death of a worker ends the wait of the others, and the next run has a new team', async () => {
    const Real = process.getBuiltinModule('node:worker_threads').Worker;
    const workers: InstanceType<typeof Real>[] = [];
    vi.spyOn(process.getBuiltinModule('node:worker_threads'), 'Worker').mockImplementation(function spawn(
      ...args: ConstructorParameters<typeof Real>
    ) {
      workers.push(new Real(...args));
      return workers.at(-1)!;
    });
    const device = await create({ threads: 2 });
    const good = await device.load(addThreadPlusOne);
    // Thread 0 leaves at once, thread 1 waits for a word that only the device can raise.
    const waiting = await device.load(
      byHand((asm) => {
        const [look, end] = [asm.label(), asm.label()];
        asm.mov(r8, mem(rdx, 8));
        asm.test(edi, edi);
        asm.jcc('e', end);
        asm.bind(look);
        asm.pause();
        asm.mov(ecx, mem(r8));
        asm.test(ecx, ecx);
        asm.jcc('e', look);
        asm.bind(end);
        asm.xor(eax, eax);
        asm.ret();
      }),
    );
    const word = device.alloc(64);
    device.i32(word, 1)[0] = 0;
    const failed = expect(device.run(waiting, Int32Array.of(0, word))).rejects.toThrow(
      'a worker ended with exit code 1',
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    await workers[0].terminate();
    await failed;
    await device.unload(waiting); // nobody is inside: else this would end the process
    await device.run(good, Int32Array.of(0, word));
    expect(device.i32(word, 1)[0]).toBe(3);
    expect(workers.length).toBe(4);
  });

  test('a profile gives the milliseconds of each launch', async () => {
    const device = await create({ threads: 2 });
    const program = await device.load(timed);
    const start = performance.now();
    const [first, second] = await device.profile(program, new Int32Array(2));
    const whole = performance.now() - start;
    expect(first).toBeGreaterThan(5); // a hundred million turns at less than 20 GHz
    expect(first).toBeLessThan(whole);
    expect(second).toBeGreaterThanOrEqual(0);
    expect(second).toBeLessThan(first / 10);
    const other = await device.load(addThreadPlusOne);
    await expect(device.profile(other, Int32Array.of(0, device.alloc(64)))).rejects.toThrow('to be profiled');
  });
});

describe.skipIf(noMachineCode !== null)('executable memory', () => {
  test('is never writable and executable at once, and goes with the program, whichever way that ends', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { pages } = await openMachine();
    const placed: number[] = [];
    const { map, seal } = pages;
    vi.spyOn(pages, 'seal').mockImplementation((address, bytes) => {
      expect(permissions(address)).toBe('rw-p');
      seal(address, bytes);
    });
    vi.spyOn(pages, 'map').mockImplementation((bytes) => {
      placed.push(map(bytes));
      return placed.at(-1)!;
    });
    const device = await create({ threads: 2 });
    const unloaded = await device.load(addThreadPlusOne);
    let dropped: LoadedProgram | null = await device.load(addThreadPlusOne);
    const kept = await device.load(addThreadPlusOne);
    expect(placed.length).toBe(3);
    expect(placed.map(permissions)).toEqual(['r-xp', 'r-xp', 'r-xp']);
    await device.unload(unloaded);
    expect(placed.map(permissions)).toEqual([null, 'r-xp', 'r-xp']);
    dropped = null;
    await vi.waitFor(
      () => {
        collect();
        expect(dropped).toBeNull();
        expect(placed.map(permissions)).toEqual([null, null, 'r-xp']);
      },
      { timeout: 5000, interval: 20 },
    );
    expect(kept.device).toBe(device);
    await device.dispose();
    expect(placed.map(permissions)).toEqual([null, null, null]);
  });

  test('that cannot be protected is given back', async () => {
    const real = openPages(await openForeign());
    let address = 0;
    const refusing: Pages = {
      ...real,
      write(at, data) {
        address = at;
        real.write(at, data);
      },
      seal() {
        throw new ConfigError('no');
      },
    };
    expect(() => placeCode(refusing, Uint8Array.of(0xc3))).toThrow('no');
    expect(address).toBeGreaterThan(0);
    expect(permissions(address)).toBeNull();
  });

  test('that the system refuses is explained', async () => {
    const pages = openPages(await openForeign());
    expect(() => pages.map(2 ** 47)).toThrow('x64: the system refuses executable memory (mmap: ENOMEM)');
    expect(() => pages.seal(4096, 64)).toThrow('x64: the system refuses executable memory (mprotect: ENOMEM)');
  });

  test('is unknown on other systems', async () => {
    const foreign = await openForeign();
    expect(() => openPages(foreign, 'sunos')).toThrow(
      'x64: no way to executable memory is known on sunos; Linux, macOS and Windows have one.',
    );
  });
});

describe.skipIf(noMachineCode !== null)('the processor', () => {
  test('is what the system says it is', async () => {
    const { cpu } = await openMachine();
    const info = readFileSync('/proc/cpuinfo', 'utf8');
    const flags = new Set(/^flags\s*:(.*)$/m.exec(info)![1].split(' '));
    expect(cpu.brand).toBe(/^model name\s*:(.*)$/m.exec(info)![1].trim());
    expect(cpu.avx2).toBe(flags.has('avx2'));
    expect(cpu.fma).toBe(flags.has('fma'));
    expect(cpu.avx512).toBe(['avx512f', 'avx512vl', 'avx512dq', 'avx512bw'].every((flag) => flags.has(flag)));
    expect(cpu.level).toBe(cpu.avx512 ? 'avx512' : 'avx2');
  });

  test('has the caches the system reports', async () => {
    const { cpu } = await openMachine();
    const cache = (index: number) =>
      readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, 'utf8').trim();
    const kibibytes = (bytes: number | undefined) => `${bytes! / 1024}K`;
    expect([cpu.caches.L1d, cpu.caches.L2].map(kibibytes)).toEqual([cache(0), cache(2)]);
  });
});

describe('a processor', () => {
  // Leaf 1 ecx: FMA, OSXSAVE; leaf 7 ebx: AVX2, then AVX-512 F, DQ, BW, VL.
  const fake = (one: number[], seven: number[], kept: number) => {
    const word = (bits: number[]) => bits.reduce((sum, bit) => sum | (1 << bit), 0) >>> 0;
    return identify({
      cpuid: (leaf) => (leaf === 0 ? [7, 0, 0, 0] : [0, leaf === 7 ? word(seven) : 0, leaf === 1 ? word(one) : 0, 0]),
      xgetbv: () => kept,
    });
  };
  const all512 = [5, 16, 17, 30, 31];

  test.each([
    ['everything', [12, 27], all512, 0xe7, 'avx512'],
    ['no AVX-512 BW', [12, 27], [5, 16, 17, 31], 0xe7, 'avx2'],
    ['a system that does not keep zmm registers', [12, 27], all512, 0x07, 'avx2'],
    ['a system that keeps no wide registers', [12, 27], all512, 0x03, null],
    ['a system without XSAVE', [12], all512, 0xe7, null],
    ['no FMA', [27], all512, 0xe7, null],
    ['no AVX2', [12, 27], [], 0xe7, null],
  ] as const)('with %s', (_, one, seven, kept, level) => {
    expect(fake([...one], [...seven], kept)).toMatchObject({ level, brand: 'x86-64', caches: {} });
  });
});

describe.skipIf(noMachineCode !== null)('where machine code cannot run, it says why:', () => {
  test('koffi is missing', async () => {
    vi.resetModules();
    const load = () => {
      throw new Error('no build of it for this system');
    };
    vi.doMock('koffi', () => ({ default: { load } }));
    const { NativeDevice: Fresh } = await import('./device.node.js');
    await expect(Fresh.create()).rejects.toThrow(
      'x64: machine code is called through the optional package koffi, which does not load (no build of it for this system). npm install koffi',
    );
  });

  test('another processor', async () => {
    vi.resetModules();
    const { NativeDevice: Fresh } = await import('./device.node.js');
    vi.stubGlobal('process', new Proxy(process, { get: (p, key) => (key === 'arch' ? 'arm64' : Reflect.get(p, key)) }));
    try {
      await expect(Fresh.create()).rejects.toThrow(
        'x64: this process runs on arm64; machine code is written for x86-64',
      );
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test('a level is missing', async () => {
    const machine = await openMachine();
    const { cpu } = machine;
    const pretend = (level: 'avx2' | null) => Object.assign(machine, { cpu: { ...cpu, brand: 'An Old One', level } });
    try {
      pretend('avx2');
      await expect(NativeDevice.create({ level: 'avx512' })).rejects.toThrow(
        'x64-avx512: this processor (An Old One) lacks AVX-512 (F, VL, DQ, BW), or the system does not let it be used. x64-avx2 runs here.',
      );
      expect((await create({ threads: 1 })).name).toBe('x64-avx2');
      pretend(null);
      await expect(NativeDevice.create()).rejects.toThrow('x64: this processor (An Old One) lacks AVX2 with FMA');
    } finally {
      Object.assign(machine, { cpu });
    }
  });

  test('threads make no sense', async () => {
    await expect(NativeDevice.create({ threads: 0 })).rejects.toThrow(/^x64-avx\d+: threads is 0; pass a whole number/);
  });
});

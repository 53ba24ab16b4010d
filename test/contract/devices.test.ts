/** What every device does, whatever its machine code: runs, their order, failures, memory, the life of programs. */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { build } from 'esbuild';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Device, type DeviceOptions, type LoadedProgram, OutOfMemoryError } from '../../src/devices/index.js';
import type { Program } from '../../src/ir/index.js';
import { type DeviceHere, devicesHere } from '../devices-here.js';
import { divideProgram, relayInput, relayOracle, relayProgram } from '../platform/relay.js';

const devices: Device[] = [];
afterEach(async () => {
  await Promise.all(devices.splice(0).map((device) => device.dispose()));
});

async function open(here: DeviceHere, options?: DeviceOptions): Promise<Device> {
  const device = await here.create(options);
  devices.push(device);
  return device;
}

const load = (device: Device, program: Program) => device.load(device.assemble(program));

/** Loads a relay, gives it input and output, and knows what must come out. */
async function relay(device: Device, blocks: number, rounds: number) {
  const { lanes } = device;
  const program = await load(device, relayProgram({ blocks, rounds, lanes }));
  const input = relayInput(blocks, lanes);
  const slots = Int32Array.of(0, device.alloc(input.byteLength), device.alloc(input.byteLength));
  device.f32(slots[1], input.length).set(input);
  const expected = relayOracle(input, rounds, lanes);
  const result = () => device.f32(slots[2], input.length).slice();
  return { program, slots, expected, result, run: () => device.run(program, slots) };
}

describe.each(devicesHere)('$name', (here) => {
  const create = (options?: DeviceOptions) => open(here, options);

  describe('runs', () => {
    test.each([1, 2, 3, 8])('with %i threads, what one launch wrote the next one reads', async (threads) => {
      const device = await create({ threads });
      expect(device.threads).toBe(threads);
      expect(device.info).toMatchObject({ name: here.name, lanes: device.lanes, threads });
      for (const [blocks, rounds] of [
        [1, 3],
        [7, 4],
        [1000, 16],
      ]) {
        const { run, result, expected } = await relay(device, blocks, rounds);
        for (let i = 0; i < 20; i++) await run();
        expect(result()).toEqual(expected);
      }
    });

    test('by default there is a thread for each core', async () => {
      expect((await create()).threads).toBe(availableParallelism());
    });

    test('they take their turn, and keep the addresses they were called with', async () => {
      const device = await create({ threads: 2 });
      const { program, slots, expected } = await relay(device, 64, 8);
      const outputs = [0, 1, 2].map(() => device.alloc(64 * device.lanes * 4));
      const order: number[] = [];
      const runs = outputs.map((address, i) => {
        slots[2] = address;
        return device.run(program, slots).then(() => order.push(i));
      });
      slots.fill(0);
      await Promise.all(runs);
      expect(order).toEqual([0, 1, 2]);
      for (const address of outputs) expect(device.f32(address, expected.length)).toEqual(expected);
    });

    test('programs share one arena, as large as the largest needs', async () => {
      const device = await create({ threads: 2 });
      const small = await relay(device, 8, 3);
      const before = device.usedBytes;
      const large = await relay(device, 5000, 3);
      const growth = device.usedBytes - before;
      const bytes = 5000 * device.lanes * 4;
      const smallArena = 2 * 8 * device.lanes * 4; // which the large one takes the place of
      expect(growth).toBeGreaterThan(4 * bytes - smallArena - 1);
      expect(growth).toBeLessThan(4 * bytes + 4096); // input, output, twice the same in the arena, a few words
      for (const { run, result, expected } of [small, large, small]) {
        await run();
        expect(result()).toEqual(expected);
      }
    });

    test('hooks see the arena just before and just after their own run, whatever else is queued', async () => {
      const device = await create({ threads: 2 });
      // One round from the arena's first half to its second.
      const { launches, ...rest } = relayProgram({ blocks: 64, rounds: 1, lanes: device.lanes });
      const bytes = 64 * device.lanes * 4;
      const arenaOnly = { ...rest, launches: [{ ...launches[0], args: [{ arena: 0 }, { arena: bytes }] }] };
      const program = await load(device, arenaOnly);
      const other = await relay(device, 64, 7);
      const outcomes = [1, 2, 3].map(async (factor) => {
        const input = relayInput(64, device.lanes).map((x) => x * factor);
        let output: Float32Array | null = null;
        let filled = 0;
        const run = device.run(program, new Int32Array(3), {
          before: (arena) => {
            device.f32(arena, input.length).set(input);
            filled++;
          },
          after: (arena) => {
            output = device.f32(arena + bytes, input.length).slice();
          },
        });
        await Promise.all([run, other.run()]);
        expect(output).toEqual(relayOracle(input, 1, device.lanes));
        expect(filled).toBe(1);
      });
      await Promise.all(outcomes);
      const wrong = device.run(program, new Int32Array(3), {
        before: () => {
          throw new Error('no input');
        },
      });
      await expect(wrong).rejects.toThrow('no input');
      await other.run();
      expect(other.result()).toEqual(other.expected);
    });

    test('several devices live side by side', async () => {
      const all = await Promise.all([create({ threads: 2 }), create({ threads: 2 }), create({ threads: 1 })]);
      const relays = await Promise.all(all.map((device, i) => relay(device, 100 + i, 10)));
      await Promise.all(relays.flatMap(({ run }) => [run(), run(), run()]));
      for (const { result, expected } of relays) expect(result()).toEqual(expected);
      await all[0].dispose();
      await relays[1].run();
      expect(relays[1].result()).toEqual(relays[1].expected);
    });

    test('Node stays responsive while a team computes', async () => {
      const device = await create({ threads: 2 });
      const { run } = await relay(device, 100_000, 16);
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      for (let i = 0; i < 20; i++) await run();
      clearInterval(timer);
      expect(turns).toBeGreaterThan(3);
    });
  });

  describe('failures', () => {
    test.each([1, 3])(
      'with %i threads a trap rejects the run, names the program, and the device works again',
      async (threads) => {
        const device = await create({ threads });
        const good = await relay(device, 50, 5);
        const program = await load(device, divideProgram(device.lanes));
        const slots = Int32Array.of(0, device.alloc(256), device.alloc(256));
        device.i32(slots[1], 64).fill(8);
        for (let round = 0; round < 10; round++) {
          device.i32(slots[1], 64)[round * 6] = 0;
          await expect(device.run(program, slots)).rejects.toThrow(
            `${here.name}: the run of divide failed: divide by zero`,
          );
          await good.run();
          expect(good.result()).toEqual(good.expected);
          device.i32(slots[1], 64)[round * 6] = 8;
          await device.run(program, slots);
          expect(device.i32(slots[2], 64)).toEqual(new Int32Array(64).fill(125));
        }
      },
    );

    test('an arena that does not fit is refused when the program is loaded, and smaller ones still run', async () => {
      const device = await create({ threads: 2, maxBytes: 4 << 20 });
      const small = await relay(device, 100, 3);
      const refused = load(device, relayProgram({ blocks: (1 << 22) / device.lanes, rounds: 3, lanes: device.lanes }));
      await expect(refused).rejects.toThrow(OutOfMemoryError);
      await expect(refused).rejects.toThrow(
        /asked {4}33554432 bytes \(32.0 MiB\)[\s\S]*A smaller batch[\s\S]*relay \d+×3/,
      );
      await small.run();
      expect(small.result()).toEqual(small.expected);
    });

    test('calls that make no sense are refused', async () => {
      const device = await create({ threads: 1 });
      const other = await create({ threads: 1 });
      const { program, slots } = await relay(device, 8, 2);
      expect(() => other.run(program, slots)).toThrow('relay 8×2: loaded on another device');
      expect(() => device.run(program, slots.slice(1))).toThrow('relay 8×2: 3 slots, 2 addresses');
      await device.unload(program);
      await expect(device.run(program, slots)).rejects.toThrow('relay 8×2: run after unload');
      await expect(create({ threads: 0 })).rejects.toThrow('threads is 0; pass a whole number from 1 up');
      await expect(create({ threads: 1.5 })).rejects.toThrow('threads is 1.5');
    });

    test('after dispose() runs already queued end well, new ones are refused, and a late free() is let pass', async () => {
      const device = await create({ threads: 2 });
      const { run, result, expected, slots } = await relay(device, 500, 6);
      const runs = [run(), run()];
      const gone = device.dispose();
      expect(run).toThrow('the device was disposed');
      expect(() => device.alloc(64)).toThrow('the device was disposed');
      await Promise.all([...runs, gone]);
      expect(result()).toEqual(expected);
      device.free(slots[1]);
    });
  });

  describe('memory', () => {
    test('views see what kernels wrote, also after memory has grown', async () => {
      for (const threads of [1, 2]) {
        const device = await create({ threads });
        const { run, result, expected } = await relay(device, 100, 4);
        await run();
        const far = device.alloc(64 << 20);
        expect(result()).toEqual(expected);
        device.bytes(far, 64 << 20).fill(1, -1);
        await run();
        expect(result()).toEqual(expected);
        expect(device.peakBytes).toBeGreaterThan(64 << 20);
        device.free(far);
        expect(device.usedBytes).toBeLessThan(1 << 20);
      }
    });

    test('unloading gives back all but the arena', async () => {
      const device = await create({ threads: 2 });
      await load(device, relayProgram({ blocks: 8, rounds: 2, lanes: device.lanes }));
      const before = device.usedBytes;
      const program = await load(device, relayProgram({ blocks: 8, rounds: 200, lanes: device.lanes }));
      expect(device.usedBytes).toBeGreaterThan(before);
      await device.unload(program);
      expect(device.usedBytes).toBe(before);
    });

    test('so does forgetting a program', async () => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      const device = await create({ threads: 2 });
      let program: LoadedProgram | null = await load(
        device,
        relayProgram({ blocks: 8, rounds: 2, lanes: device.lanes }),
      );
      const before = device.usedBytes;
      program = null;
      await vi.waitFor(
        () => {
          collect();
          expect(program).toBeNull();
          expect(device.usedBytes).toBeLessThan(before);
        },
        { timeout: 5000, interval: 20 },
      );
    });
  });

  describe('the process', () => {
    test('stays alive while a run is pending, and ends by itself when the code has ended', async () => {
      const output = await runScript(
        here,
        `
        const { lanes } = device;
        const input = relayInput(100_000, lanes);
        const program = await device.load(device.assemble(relayProgram({ blocks: 100_000, rounds: 16, lanes })));
        const slots = Int32Array.of(0, device.alloc(input.byteLength), device.alloc(input.byteLength));
        device.f32(slots[1], input.length).set(input);
        // Nobody awaits this, and nothing else keeps Node alive.
        for (let i = 0; i < 5; i++) device.run(program, slots).then(() => console.log('run', i));`,
      );
      expect(output).toBe('run 0\nrun 1\nrun 2\nrun 3\nrun 4\n');
    });

    test('ends by itself with an idle team, without dispose(), and takes no time meanwhile', async () => {
      const output = await runScript(
        here,
        `
        const { lanes } = device;
        const program = await device.load(device.assemble(relayProgram({ blocks: 1, rounds: 3, lanes })));
        const slots = Int32Array.of(0, device.alloc(64), device.alloc(64));
        for (let i = 0; i < 20; i++) await device.run(program, slots);
        await new Promise((resolve) => setTimeout(resolve, 50));
        const before = process.cpuUsage();
        await new Promise((resolve) => setTimeout(resolve, 300));
        const { user, system } = process.cpuUsage(before);
        console.log(device.threads, user + system < 150_000);`,
      );
      expect(output).toBe('2 true\n');
    });

    test('ends when it is told to in the middle of a run: no worker waits for one that has ended', async () => {
      // A worker that was called, but has not begun, ends at once; the other would wait for it in a barrier: without help one in two of these.
      for (let attempt = 0; attempt < 6; attempt++) {
        const output = await runScript(
          here,
          `
          const { lanes } = device;
          const program = await device.load(device.assemble(relayProgram({ blocks: 64, rounds: 16, lanes })));
          const slots = Int32Array.of(0, device.alloc(4096), device.alloc(4096));
          setTimeout(() => {
            console.log('told');
            process.exit();
          }, 20);
          for (;;) await device.run(program, slots);`,
        );
        expect(output).toBe('told\n');
      }
    }, 60_000);
  });
});

/** Standard output of a script in a Node of its own, with `device` on two threads; it must end within ten seconds. */
async function runScript({ name }: DeviceHere, code: string): Promise<string> {
  const prologue = [
    `import { devicesHere } from '../devices-here.js';`,
    `import { relayInput, relayProgram } from '../platform/relay.js';`,
    `const device = await devicesHere.find((here) => here.name === '${name}').create({ threads: 2 });`,
  ];
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { outputFiles } = await build({
    stdin: { contents: [...prologue, code].join('\n'), resolveDir: join(root, 'test', 'contract'), loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    write: false,
  });
  // Where packages are found.
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'fovea-device-'));
  try {
    const file = join(folder, 'script.mjs');
    writeFileSync(file, outputFiles[0].contents);
    return (await promisify(execFile)(process.execPath, [file], { timeout: 10_000 })).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

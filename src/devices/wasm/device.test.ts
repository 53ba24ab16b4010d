import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { build } from 'esbuild';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { divideProgram, relayInput, relayOracle, relayProgram } from '../../../test/platform/relay.js';
import { assembleProgram } from '../../codegen/wasm/index.js';
import type { Program } from '../../ir/index.js';
import { type DeviceOptions, type LoadedProgram, OutOfMemoryError } from '../index.js';
import { WasmDevice } from './device.js';

const devices: WasmDevice[] = [];
afterEach(async () => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  await Promise.all(devices.splice(0).map((device) => device.dispose()));
});

async function create(options?: DeviceOptions): Promise<WasmDevice> {
  const device = await WasmDevice.create(options);
  devices.push(device);
  return device;
}

const load = (device: WasmDevice, program: Program) => device.load(assembleProgram(program, device.features));

/** Loads a relay, gives it input and output, and knows what must come out. */
async function relay(device: WasmDevice, blocks: number, rounds: number) {
  const program = await load(device, relayProgram({ blocks, rounds }));
  const input = relayInput(blocks);
  const slots = Int32Array.of(0, device.alloc(input.byteLength), device.alloc(input.byteLength));
  device.f32(slots[1], input.length).set(input);
  const expected = relayOracle(input, rounds);
  const result = () => device.f32(slots[2], input.length).slice();
  return { program, slots, expected, result, run: () => device.run(program, slots) };
}

describe('runs', () => {
  test.each([1, 2, 3, 8])('with %i threads, what one launch wrote the next one reads', async (threads) => {
    const device = await create({ threads });
    expect(device.threads).toBe(threads);
    expect(device.features).toEqual({ relaxedSimd: true, threads: threads > 1 });
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
    const outputs = [0, 1, 2].map(() => device.alloc(1024));
    const order: number[] = [];
    const runs = outputs.map((address, i) => {
      slots[2] = address;
      return device.run(program, slots).then(() => order.push(i));
    });
    slots.fill(0);
    await Promise.all(runs);
    expect(order).toEqual([0, 1, 2]);
    for (const address of outputs) expect(device.f32(address, 256)).toEqual(expected);
  });

  test('programs share one arena, as large as the largest needs', async () => {
    const device = await create({ threads: 2 });
    const small = await relay(device, 8, 3);
    const before = device.usedBytes;
    const large = await relay(device, 5000, 3);
    const growth = device.usedBytes - before;
    expect(growth).toBeGreaterThan(4 * 80_000 - 1);
    expect(growth).toBeLessThan(4 * 80_000 + 4096); // input, output, twice the same in the arena, a few words
    for (const { run, result, expected } of [small, large, small]) {
      await run();
      expect(result()).toEqual(expected);
    }
  });

  test('hooks see the arena just before and just after their own run, whatever else is queued', async () => {
    const device = await create({ threads: 2 });
    // One round from the arena's first half to its second.
    const { launches, ...rest } = relayProgram({ blocks: 64, rounds: 1 });
    const arenaOnly = { ...rest, launches: [{ ...launches[0], args: [{ arena: 0 }, { arena: 1024 }] }] };
    const program = await load(device, arenaOnly);
    const other = await relay(device, 64, 7);
    const outcomes = [1, 2, 3].map(async (factor) => {
      const input = relayInput(64).map((x) => x * factor);
      let output: Float32Array | null = null;
      let filled = 0;
      const run = device.run(program, new Int32Array(3), {
        before: (arena) => {
          device.f32(arena, input.length).set(input);
          filled++;
        },
        after: (arena) => {
          output = device.f32(arena + 1024, input.length).slice();
        },
      });
      await Promise.all([run, other.run()]);
      expect(output).toEqual(relayOracle(input, 1));
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
      const program = await load(device, divideProgram());
      const slots = Int32Array.of(0, device.alloc(256), device.alloc(256));
      device.i32(slots[1], 64).fill(8);
      for (let round = 0; round < 10; round++) {
        device.i32(slots[1], 64)[round * 6] = 0;
        await expect(device.run(program, slots)).rejects.toThrow(/^wasm: the run of divide failed: divide by zero/);
        await good.run();
        expect(good.result()).toEqual(good.expected);
        device.i32(slots[1], 64)[round * 6] = 8;
        await device.run(program, slots);
        expect(device.i32(slots[2], 64)).toEqual(new Int32Array(64).fill(125));
      }
    },
  );

  test('a wild address traps and is no worse than that', async () => {
    const device = await create({ threads: 2 });
    const { program, slots, run, result, expected } = await relay(device, 50, 5);
    await expect(device.run(program, Int32Array.of(0, -64, slots[2]))).rejects.toThrow('out of bounds');
    await run();
    expect(result()).toEqual(expected);
  });

  test('an arena that does not fit is refused when the program is loaded, and smaller ones still run', async () => {
    const device = await create({ threads: 2, maxBytes: 4 << 20 });
    const small = await relay(device, 100, 3);
    const refused = load(device, relayProgram({ blocks: 1 << 20, rounds: 3 }));
    await expect(refused).rejects.toThrow(OutOfMemoryError);
    await expect(refused).rejects.toThrow(
      /asked {4}33554432 bytes \(32.0 MiB\)[\s\S]*A smaller batch[\s\S]*relay 1048576×3/,
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
    await expect(WasmDevice.create({ threads: 0 })).rejects.toThrow('threads is 0; pass a whole number from 1 up');
    await expect(WasmDevice.create({ threads: 1.5 })).rejects.toThrow('threads is 1.5');
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
    await load(device, relayProgram({ blocks: 8, rounds: 2 }));
    const before = device.usedBytes;
    const program = await load(device, relayProgram({ blocks: 8, rounds: 200 }));
    expect(device.usedBytes).toBeGreaterThan(before);
    await device.unload(program);
    expect(device.usedBytes).toBe(before);
  });

  test('so does forgetting a program', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const device = await create({ threads: 2 });
    let program: LoadedProgram | null = await load(device, relayProgram({ blocks: 8, rounds: 2 }));
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

describe('where threads are missing', () => {
  test('without shared memory the calling thread computes, and the notes say why', async () => {
    vi.stubGlobal('process', undefined);
    const device = await WasmDevice.create({ threads: 4 });
    vi.unstubAllGlobals();
    devices.push(device);
    expect(device.threads).toBe(1);
    expect(device.notes[0]).toContain('this page is not cross-origin isolated');
    const { run, result, expected } = await relay(device, 100, 5);
    await run();
    expect(result()).toEqual(expected);
  });

  test('when workers do not start the calling thread computes, and the notes say why', async () => {
    vi.spyOn(process.getBuiltinModule('node:worker_threads'), 'Worker').mockImplementation(function refuse(): never {
      throw new Error('no more threads');
    });
    const device = await create({ threads: 4 });
    expect(device.notes[0]).toBe('1 thread, the calling one: the team did not start (no more threads)');
    const { run, result, expected } = await relay(device, 100, 5);
    await run();
    expect(result()).toEqual(expected);
  });
});

describe('the process', () => {
  test('stays alive while a run is pending, and ends by itself when the code has ended', async () => {
    const output = await runScript(`
      const device = await WasmDevice.create({ threads: 2 });
      const input = relayInput(100_000);
      const program = await device.load(assembleProgram(relayProgram({ blocks: 100_000, rounds: 16 }), device.features));
      const slots = Int32Array.of(0, device.alloc(input.byteLength), device.alloc(input.byteLength));
      device.f32(slots[1], input.length).set(input);
      // Nobody awaits this, and nothing else keeps Node alive.
      for (let i = 0; i < 5; i++) device.run(program, slots).then(() => console.log('run', i));
    `);
    expect(output).toBe('run 0\nrun 1\nrun 2\nrun 3\nrun 4\n');
  });

  test('ends by itself with an idle team, without dispose()', async () => {
    expect(
      await runScript(`const device = await WasmDevice.create({ threads: 2 }); console.log(device.threads);`),
    ).toBe('2\n');
  });
});

/** Standard output of a script in a Node of its own, which must end within ten seconds. */
async function runScript(code: string): Promise<string> {
  const imports = [
    `import { WasmDevice } from './index.js';`,
    `import { assembleProgram } from '../../codegen/wasm/index.js';`,
    `import { relayInput, relayProgram } from '../../../test/platform/relay.js';`,
  ];
  const { outputFiles } = await build({
    stdin: {
      contents: [...imports, code].join('\n'),
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      loader: 'ts',
    },
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
  });
  const folder = mkdtempSync(join(tmpdir(), 'fovea-device-'));
  try {
    const file = join(folder, 'script.mjs');
    writeFileSync(file, outputFiles[0].contents);
    return (await promisify(execFile)(process.execPath, [file], { timeout: 10_000 })).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

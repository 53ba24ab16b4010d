import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { relayInput, relayOracle, relayProgram } from '../../../test/platform/relay.js';
import { assembleProgram } from '../../codegen/wasm/index.js';
import type { Program } from '../../ir/index.js';
import type { DeviceOptions } from '../index.js';
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

describe('a wild address', () => {
  test('a wild address traps and is no worse than that', async () => {
    const device = await create({ threads: 2 });
    const { program, slots, run, result, expected } = await relay(device, 50, 5);
    await expect(device.run(program, Int32Array.of(0, -64, slots[2]))).rejects.toThrow('out of bounds');
    await run();
    expect(result()).toEqual(expected);
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

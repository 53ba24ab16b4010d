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

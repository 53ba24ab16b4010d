/** The WebAssembly device in a page: runs a relay and a program that traps, and reports what it saw. */

import { assembleProgram } from '../../src/codegen/wasm/index.js';
import { WasmDevice } from '../../src/devices/wasm/index.js';
import { divideProgram, relayInput, relayOracle, relayProgram } from './relay.js';

export interface DeviceReport {
  isolated: boolean;
  cores: number;
  threads: number;
  features: { relaxedSimd: boolean; threads: boolean };
  note: string;
  wrong: number;
  trap: string;
  wrongAfterTrap: number;
  medianRunMs: number;
}

export async function main({ threads }: { threads?: number }): Promise<DeviceReport> {
  const device = await WasmDevice.create({ threads });
  const rounds = 12;
  const input = relayInput(5000);
  const program = await device.load(assembleProgram(relayProgram({ blocks: 5000, rounds }), device.features));
  const slots = Int32Array.of(0, device.alloc(input.byteLength), device.alloc(input.byteLength));
  device.f32(slots[1], input.length).set(input);
  const expected = relayOracle(input, rounds);
  const wrong = async () => {
    device.f32(slots[2], input.length).fill(-1);
    await device.run(program, slots);
    const result = device.f32(slots[2], input.length);
    return expected.reduce((count, x, i) => count + Number(x !== result[i]), 0);
  };
  const wrongAtFirst = await wrong();

  const divide = await device.load(assembleProgram(divideProgram(), device.features));
  const divideSlots = Int32Array.of(0, device.alloc(256), device.alloc(256));
  device.i32(divideSlots[1], 64).fill(0);
  const trap = await device.run(divide, divideSlots).then(
    () => 'none',
    (error: Error) => error.message,
  );
  const wrongAfterTrap = await wrong();

  const report = {
    isolated: crossOriginIsolated,
    cores: navigator.hardwareConcurrency,
    threads: device.threads,
    features: device.features,
    note: device.notes[0],
    wrong: wrongAtFirst,
    trap,
    wrongAfterTrap,
    medianRunMs: await medianRunMs(device),
  };
  await device.dispose();
  return report;
}

/** What a run costs when there is next to nothing to compute. */
async function medianRunMs(device: WasmDevice): Promise<number> {
  const program = await device.load(assembleProgram(relayProgram({ blocks: 2, rounds: 1 }), device.features));
  const slots = Int32Array.of(0, device.alloc(64), device.alloc(64));
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    await device.run(program, slots);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[100];
}

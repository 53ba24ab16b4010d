/** The devices that compute on this machine, for tests that hold for each of them. What is missing is said once, with its reason. */

import type { Device, DeviceOptions } from '../src/devices/index.js';
import { NativeDevice, openMachine } from '../src/devices/native/index.node.js';
import { WasmDevice } from '../src/devices/wasm/index.js';

export interface DeviceHere {
  readonly name: 'wasm' | 'x64-avx2' | 'x64-avx512';
  create(options?: DeviceOptions): Promise<Device>;
}

const native = (level: 'avx2' | 'avx512'): DeviceHere => ({
  name: `x64-${level}`,
  create: (options) => NativeDevice.create({ ...options, level }),
});

export const nativeHere: readonly DeviceHere[] = await openMachine().then(
  ({ cpu }) => {
    if (cpu.level !== 'avx512') console.warn(`tests of x64-avx512 are left out: ${cpu.brand} has no AVX-512`);
    return cpu.level === 'avx512' ? [native('avx2'), native('avx512')] : cpu.level === 'avx2' ? [native('avx2')] : [];
  },
  (error: Error) => {
    console.warn(`tests of machine code are left out: ${error.message}`);
    return [];
  },
);

export const devicesHere: readonly DeviceHere[] = [
  { name: 'wasm', create: (o) => WasmDevice.create(o) },
  ...nativeHere,
];

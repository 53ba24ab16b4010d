/** What a device can do at most, found by running it flat out for a moment: the two ceilings a profile compares with. */

import type { Device } from '../devices/index.js';
import { type Kernel, KernelBuilder } from '../ir/index.js';
import { copyKernel, peakKernel } from '../kernels/peak.js';
import type { Peaks } from './profile.js';

/** Far more than a cache holds. */
const copiedElems = 2 ** 25;
const rounds = 5;

/** Takes a few tenths of a second and 256 MB. The best of several tries each: a busy machine must not pass for a slow one. */
export async function measurePeaks(device: Device): Promise<Peaks> {
  const { lanes, registers, threads } = device.info;
  const builder = () => new KernelBuilder({ lanes, registers });
  const { kernel, bytes, macs } = peakKernel(builder(), { tasks: 16 * threads, rounds: 20_000 });
  const flops = (2 * macs) / (await best(device, kernel, [bytes]));
  const copy = copyKernel(builder(), { elems: copiedElems, tasks: 64 });
  const copied = 4 * copiedElems;
  return { flops, bytes: (2 * copied) / (await best(device, copy, [copied, copied])) };
}

/** Seconds of the fastest run of `kernel` on operands of these sizes, all ones. */
async function best(device: Device, kernel: Kernel, operandBytes: readonly number[]): Promise<number> {
  const addresses = operandBytes.map((bytes) => device.alloc(bytes));
  try {
    for (const [i, address] of addresses.entries()) device.f32(address, operandBytes[i] / 4).fill(1);
    const args = addresses.map((_, i) => ({ slot: i + 1 }));
    const program = { name: kernel.name, launches: [{ kernel, args }], slots: addresses.length + 1, arenaBytes: 64 };
    const loaded = await device.load(device.assemble(program, { profile: true }));
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) times.push((await device.profile(loaded, Int32Array.of(0, ...addresses)))[0]);
    await device.unload(loaded);
    return Math.min(...times) / 1000;
  } finally {
    for (const address of addresses) device.free(address);
  }
}

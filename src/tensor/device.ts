/** Devices by name. Each is loaded when it is asked for, so that a program which only looks at shapes stays small and starts fast. */

import type { Target } from '../graph/target.js';
import { ConfigError, suggest } from '../util/errors.js';

/** `auto` takes the fastest there is. */
export type DeviceName = 'auto' | 'wasm' | 'reference';

export const deviceNames: readonly DeviceName[] = ['auto', 'wasm', 'reference'];

export interface DeviceOptions {
  /** Worker threads, where the device has any. Default: one per core. */
  readonly threads?: number;
}

export interface OpenedDevice {
  readonly target: Target;
  /** Threads that compute. */
  readonly threads: number;
  /** Why this one, in a sentence. */
  readonly reason: string;
  /** What it found on this machine, a sentence each. */
  readonly notes: readonly string[];
}

/** Opens a device; `setDevice((await openDevice('wasm', { threads: 1 })).target)` puts it to use. `dispose()` on the target ends its threads. */
export async function openDevice(name: DeviceName = 'auto', options: DeviceOptions = {}): Promise<OpenedDevice> {
  if (!deviceNames.includes(name)) {
    const near = suggest(name, deviceNames);
    throw new ConfigError(
      `There is no device '${name}'. ${near === null ? `The devices are ${deviceNames.join(', ')}.` : `Did you mean ${near}?`}`,
    );
  }
  if (name === 'reference') return openReference('asked for');
  if (name === 'wasm') return openWasm('asked for', options);
  try {
    return await openWasm('the fastest device there is on this machine', options);
  } catch (error) {
    if (error instanceof ConfigError && options.threads !== undefined) throw error; // it is the options that are wrong
    return openReference(`the wasm device did not start: ${error instanceof Error ? error.message : error}`);
  }
}

async function openWasm(reason: string, { threads }: DeviceOptions): Promise<OpenedDevice> {
  const { CompiledTarget } = await import('../compile/compiled-target.js');
  const target = await CompiledTarget.create({ threads });
  return { target, threads: target.device.threads, reason, notes: target.device.notes };
}

async function openReference(reason: string): Promise<OpenedDevice> {
  const { ReferenceTarget } = await import('../ops/reference/index.js');
  const notes = [
    'plain JavaScript in float64, one operation after another: for checking results, hundreds of times slower',
  ];
  return { target: new ReferenceTarget({ exact: false }), threads: 1, reason, notes };
}

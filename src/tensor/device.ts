/** Devices by name. Each is loaded when it is asked for, so that a program which only looks at shapes stays small and starts fast. */

import { checkThreads, nodeModule } from '../devices/host.js';
import type { Device } from '../devices/index.js';
import type { Target } from '../graph/target.js';
import { ConfigError, suggest } from '../util/errors.js';

/** `auto` takes the fastest there is, `x64` the best machine code that this processor runs. */
export type DeviceName = 'auto' | 'x64' | 'x64-avx512' | 'x64-avx2' | 'wasm' | 'reference';

export const deviceNames: readonly DeviceName[] = ['auto', 'x64', 'x64-avx512', 'x64-avx2', 'wasm', 'reference'];

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

/**
 * Opens a device; `setDevice((await openDevice('wasm', { threads: 1 })).target)` puts it to use. `dispose()` on the target ends its threads.
 * Without a name the environment's FOVEA_DEVICE decides, and without that it is `auto`.
 * @throws {ConfigError} when there is no such device, or it cannot run here
 */
export async function openDevice(name?: DeviceName, options: DeviceOptions = {}): Promise<OpenedDevice> {
  const preferred = name === undefined ? environment() : undefined;
  const wanted = name ?? preferred ?? 'auto';
  if (!isDeviceName(wanted)) {
    const near = suggest(wanted, deviceNames);
    throw new ConfigError(
      `${preferred === undefined ? 'There' : 'FOVEA_DEVICE: there'} is no device '${wanted}'. ` +
        `${near === null ? `The devices are ${deviceNames.join(', ')}.` : `Did you mean ${near}?`}`,
    );
  }
  if (options.threads !== undefined) checkThreads(wanted, options.threads);
  if (wanted === 'auto') return openFastest(options);
  const reason = preferred === undefined ? 'asked for' : `FOVEA_DEVICE=${preferred} in the environment`;
  if (wanted === 'reference') return openReference(reason);
  if (wanted === 'wasm') return openWasm(reason, options);
  return openNative(wanted, reason, options);
}

function isDeviceName(name: string): name is DeviceName {
  return (deviceNames as readonly string[]).includes(name);
}

function environment(): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.FOVEA_DEVICE || undefined;
}

async function openFastest(options: DeviceOptions): Promise<OpenedDevice> {
  const obstacles: string[] = [];
  for (const open of inNode() ? [openX64, openWasm] : [openWasm]) {
    try {
      return await open(['the fastest device there is on this machine', ...obstacles].join('; '), options);
    } catch (error) {
      obstacles.push(error instanceof Error ? error.message : String(error));
    }
  }
  return openReference(`no other device starts: ${obstacles.join('; ')}`);
}

const inNode = (): boolean => nodeModule('node:worker_threads') !== undefined;

const openX64 = (reason: string, options: DeviceOptions) => openNative('x64', reason, options);

async function openNative(
  name: 'x64' | 'x64-avx512' | 'x64-avx2',
  reason: string,
  { threads }: DeviceOptions,
): Promise<OpenedDevice> {
  if (!inNode()) {
    throw new ConfigError(`${name}: machine code runs in Node; in a page the fastest device is wasm.`);
  }
  // Bundles for pages leave this file out: the package's field "browser" says so.
  const { NativeDevice } = await import('../devices/native/index.node.js');
  const level = name === 'x64' ? undefined : name === 'x64-avx512' ? 'avx512' : 'avx2';
  return compiling(NativeDevice.create({ level, threads }), reason);
}

async function openWasm(reason: string, { threads }: DeviceOptions): Promise<OpenedDevice> {
  const { WasmDevice } = await import('../devices/wasm/index.js');
  return compiling(WasmDevice.create({ threads }), reason);
}

/** The compiler is loaded while the workers start. */
async function compiling(starting: Promise<Device>, reason: string): Promise<OpenedDevice> {
  const [device, { CompiledTarget }] = await Promise.all([starting, import('../compile/compiled-target.js')]);
  return { target: new CompiledTarget(device), threads: device.threads, reason, notes: device.notes };
}

async function openReference(reason: string): Promise<OpenedDevice> {
  const { ReferenceTarget } = await import('../ops/reference/index.js');
  const notes = [
    'plain JavaScript in float64, one operation after another: for checking results, hundreds of times slower',
  ];
  return { target: new ReferenceTarget({ exact: false }), threads: 1, reason, notes };
}

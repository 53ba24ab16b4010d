/** What devices on this processor have in common. */

export {
  type AssembledProgram,
  Device,
  type DeviceOptions,
  LoadedProgram,
  type RunHooks,
} from './device.js';
export { OutOfMemoryError } from './heap.js';
export { availableThreads } from './host.js';
export { DeviceError } from './team.js';

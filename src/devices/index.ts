/** What devices on this processor have in common. */

export type { AssembledProgram } from '../codegen/program.js';
export {
  Device,
  type DeviceOptions,
  LoadedProgram,
  type RunHooks,
} from './device.js';
export { OutOfMemoryError } from './heap.js';
export { availableThreads, checkThreads, nodeModule } from './host.js';
export { DeviceError } from './team.js';

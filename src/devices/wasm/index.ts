/** The WebAssembly device. */

export { type AssembledProgram, LoadedProgram, type RunHooks, WasmDevice, type WasmDeviceOptions } from './device.js';
export { availableThreads, type EngineFeatures, probeFeatures } from './features.js';
export { OutOfMemoryError } from './memory.js';
export { DeviceError } from './team.js';

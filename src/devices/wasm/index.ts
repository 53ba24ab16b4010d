/** The WebAssembly device. */

export { WasmDevice } from './device.js';
export { type EngineFeatures, probeFeatures } from './features.js';

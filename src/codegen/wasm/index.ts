/** Kernel IR to WebAssembly: one kernel, or a whole program with its thread barriers. */
import type { Kernel } from '../../ir/index.js';
import { emitKernel } from './kernel.js';
import { emitModule, type WasmFeatures } from './module.js';

export { type AssembledProgram, type AssembleOptions, CONTROL, controlBytes } from '../program.js';
export { MAX_PAGES, type WasmFeatures } from './module.js';
export { assembleProgram } from './program.js';

/** A module that exports `kernel(param addresses…, begin, end)` and imports `env.memory`. */
export function assembleKernel(kernel: Kernel, features: WasmFeatures): Uint8Array<ArrayBuffer> {
  const body = emitKernel(kernel, features);
  return emitModule([{ params: kernel.params.length + 2, results: 0, body, exportAs: 'kernel' }], features);
}

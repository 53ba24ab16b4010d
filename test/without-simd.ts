import { vi } from 'vitest';

/** `use` loads modules anew, in an engine that compiles no WebAssembly: what they do then is what an engine without SIMD does. */
export async function withoutSimd(use: () => Promise<void>): Promise<void> {
  vi.resetModules();
  vi.stubGlobal('WebAssembly', {
    Module: class {
      constructor() {
        throw new Error('no SIMD');
      }
    },
  });
  try {
    await use();
  } finally {
    vi.unstubAllGlobals();
  }
}

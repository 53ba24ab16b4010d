/**
 * What this JavaScript engine can do: SIMD, relaxed SIMD (fused multiply-add), threads on shared memory. Found by asking the engine to
 * validate a tiny module, never by its name or version. In Node the engine has switches of its own, which are set here.
 */

import { nodeModule, whyNoThreads } from '../host.js';

export interface EngineFeatures {
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /** Shared memory that can be sent to workers, and workers to send it to. */
  readonly threads: boolean;
  /** Why `threads` is false; empty otherwise. */
  readonly threadsNote: string;
}

export function probeFeatures(): EngineFeatures {
  // V8 before 11.4 (Node 20) has relaxed SIMD behind a switch. Newer engines do not know the switch and ignore it.
  setEngineFlags(['experimental-wasm-relaxed-simd']);
  const threadsNote = whyNoThreads();
  return {
    simd: WebAssembly.validate(moduleReturningVector([...VECTOR_OF_ZEROS])),
    relaxedSimd: WebAssembly.validate(
      moduleReturningVector([...VECTOR_OF_ZEROS, ...VECTOR_OF_ZEROS, ...VECTOR_OF_ZEROS, ...F32X4_RELAXED_MADD]),
    ),
    threads: threadsNote === '',
    threadsNote,
  };
}

/**
 * Compiles a module, in Node with the optimising compiler at once and all functions in parallel: V8 would otherwise start with slow
 * code, or compile each function when it is first called, with the whole team waiting. The switches are V8's, for the whole process,
 * so they are turned back when no compilation of ours is under way.
 */
export async function compileOptimised(bytes: Uint8Array): Promise<WebAssembly.Module> {
  if (compilations++ === 0) setEngineFlags(SLOW_START_FLAGS.map((flag) => `no-${flag}`));
  try {
    return await WebAssembly.compile(bytes as BufferSource);
  } finally {
    if (--compilations === 0) setEngineFlags(SLOW_START_FLAGS);
  }
}

const SLOW_START_FLAGS = ['liftoff', 'wasm-lazy-compilation'];
let compilations = 0;

function setEngineFlags(flags: readonly string[]): void {
  try {
    for (const flag of flags) nodeModule('node:v8')?.setFlagsFromString(`--${flag}`);
  } catch {
    // Runtimes that imitate Node may lack the call. The flags are for speed; what is missing shows when features are probed.
  }
}

// A module with one function () → v128, whose body is `code` (WebAssembly core specification 2.0, section 5).
function moduleReturningVector(code: number[]): Uint8Array<ArrayBuffer> {
  const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const types = [0x01, 5, 1, 0x60, 0, 1, 0x7b];
  const functions = [0x03, 2, 1, 0];
  const body = [0, ...code, 0x0b];
  return Uint8Array.from([...magic, ...types, ...functions, 0x0a, body.length + 2, 1, body.length, ...body]);
}

const VECTOR_OF_ZEROS = [0xfd, 0x0c, ...new Array<number>(16).fill(0)]; // v128.const
const F32X4_RELAXED_MADD = [0xfd, 0x85, 0x02];

/** The WebAssembly device: a program is a module, and each thread has an instance of it on the one memory. */

import type { AssembledProgram, AssembleOptions } from '../../codegen/program.js';
import { assembleProgram } from '../../codegen/wasm/index.js';
import type { Program } from '../../ir/index.js';
import { ConfigError } from '../../util/errors.js';
import { Device, type DeviceOptions, type Runtime, startThreads, type Threads } from '../device.js';
import type { Call, Entry } from '../team-worker.js';
import { compileOptimised, type EngineFeatures, probeFeatures } from './features.js';

export class WasmDevice extends Device<WebAssembly.Module> {
  static async create(options: DeviceOptions = {}): Promise<WasmDevice> {
    const engine = probeFeatures();
    if (!engine.simd) {
      throw new ConfigError(
        'wasm: this engine has no WebAssembly SIMD. Node 20, Chrome 91, Firefox 89 and Safari 16.4 and later have it.',
      );
    }
    return new WasmDevice(await startThreads('wasm', options, binder), engine);
  }

  /** What programs for this device may use. */
  readonly features: { readonly relaxedSimd: boolean; readonly threads: boolean };

  private constructor(threads: Threads<WebAssembly.Module>, { relaxedSimd }: EngineFeatures) {
    super(
      // Of 16 registers one serves V8 itself. A block of two vectors: a tile of 6 pixels fills the registers.
      { name: 'wasm', lanes: 4, registers: 15, block: 8, fma: relaxedSimd },
      runtimeOn(threads.memory),
      threads,
      [
        relaxedSimd
          ? 'relaxed SIMD: fused multiply-add'
          : 'no relaxed SIMD in this engine: multiply-add takes two instructions',
      ],
    );
    this.features = { relaxedSimd, threads: threads.team !== null };
  }

  assemble(program: Program, options?: AssembleOptions): AssembledProgram {
    return assembleProgram(program, this.features, options);
  }
}

/** What a program exports: it comes back with 1 when another thread has called the run off. */
type RunExport = (thread: number, threads: number, slots: number, control: number) => number;

/** What `enter` below does, for workers. Their clocks start when they do: times that threads compare count from one origin. */
const binder = {
  source: `(memory) => (module, { slots, control }) => {
  const env = { memory, clock: () => performance.timeOrigin + performance.now() };
  const { run } = new WebAssembly.Instance(module, { env }).exports;
  return (thread, threads) => run(thread, threads, slots, control);
}`,
};

const runtimeOn = (memory: WebAssembly.Memory): Runtime<WebAssembly.Module> => ({
  async prepare({ bytes }) {
    const module = await compileOptimised(bytes);
    return () => module;
  },
  enter(module: WebAssembly.Module, { slots, control }: Call): Entry {
    const env = { memory, clock: () => performance.timeOrigin + performance.now() };
    const run = new WebAssembly.Instance(module, { env }).exports.run as RunExport;
    return (thread, threads) => run(thread, threads, slots, control);
  },
  release() {},
  async milliseconds(times) {
    return new Float64Array(times.buffer, times.byteOffset, times.byteLength >>> 3);
  },
});

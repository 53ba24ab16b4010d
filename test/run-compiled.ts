/**
 * Runs a compiled step kernel by kernel, on one thread and without a device: for tests that look at the compiler alone. Four lanes run in the
 * WebAssembly sandbox, eight and sixteen as machine code between pages that may not be touched. Memory starts out full of NaN, so that a
 * kernel that reads what nobody wrote is seen; tasks run last to first, so that one that leans on an earlier one is seen; and what no launch
 * may write is looked at afterwards.
 */

import { assembleKernel } from '../src/codegen/wasm/index.js';
import type { X64Level } from '../src/codegen/x64/index.js';
import { pack, unpack } from '../src/compile/pack.js';
import { type CompiledStep, compile } from '../src/compile/pipeline.js';
import { traceRequest } from '../src/compile/trace.js';
import { type Layout, physicalSize } from '../src/graph/layout.js';
import type { Node } from '../src/graph/node.js';
import type { TargetInfo } from '../src/graph/op.js';
import type { Storage } from '../src/graph/storage.js';
import type { Assignment } from '../src/graph/target.js';
import type { Kernel } from '../src/ir/index.js';
import { allocate, type TypedArray } from '../src/util/dtype.js';
import { numel } from '../src/util/shape.js';
import { relaxedSimd, wasmTarget, wideTargets } from './lowering-runner.js';
import { LEVELS, Mapping, NativeKernel } from './x64-runner.js';

/** The targets whose kernels run on this machine. */
export const targetsHere: readonly TargetInfo[] = [
  wasmTarget,
  ...wideTargets.filter(({ lanes }) => LEVELS.includes(levelOf(lanes))),
];

export interface Ran {
  readonly step: CompiledStep;
  readonly results: TypedArray[];
  /** New values of assigned storages, row-major, in the order of `assigns`. */
  readonly assigned: TypedArray[];
}

export interface RunOptions {
  readonly target?: TargetInfo;
  /** How a persistent storage already lies in device memory; null: still on the host. */
  readonly resident?: (storage: Storage) => Layout | null;
}

/** @throws if a launch wrote to a storage that is not assigned, or behind one. */
export function runCompiled(
  roots: readonly Node[],
  assigns: readonly Assignment[] = [],
  { target = wasmTarget, resident = () => null }: RunOptions = {},
): Ran {
  const trace = traceRequest(roots, assigns, resident);
  const step = compile(trace, target, (i) => resident(trace.storages[i]), 'test');
  const layouts = new Map<number, Layout>(step.resident.map((r) => [r.storage, r.layout]));
  const addresses: number[] = [];
  // The last storage ends where memory does, but for what kernels may read behind a value: more than that traps.
  let end = lowGuardBytes + roundUp(step.program.arenaBytes);
  const packed = trace.storages.map((s, i) => {
    const layout = layouts.get(i);
    if (layout === undefined) return null;
    const data = pack(s.read(), s.shape, s.dtype, layout);
    addresses[i] = end;
    end += roundUp(Math.max(data.byteLength, 1)) + guardBytes;
    return data;
  });
  const size = Math.ceil(end / 65536) * 65536;
  const sandbox = target.lanes === 4 ? new WasmSandbox(size) : new NativeSandbox(size, levelOf(target.lanes));
  const arena = lowGuardBytes + size - end;
  for (let i = 0; i < addresses.length; i++) addresses[i] += size - end;
  new Float32Array(sandbox.buffer).fill(Number.NaN);
  const bytes = (address: number, length: number) => new Uint8Array(sandbox.buffer, address, length);
  packed.forEach((data, i) => {
    if (data !== null) bytes(addresses[i], data.byteLength).set(raw(data));
  });
  for (const { storage, offset } of step.staged) {
    const data = trace.storages[storage].read();
    bytes(arena + offset, data.byteLength).set(raw(data));
  }
  const before = new Uint8Array(sandbox.buffer.slice(0));

  for (const { kernel, args } of step.program.launches) {
    const at = args.map((a) => ('arena' in a ? arena + a.arena : addresses[a.slot - 1] + (a.offset ?? 0)));
    runBackwards(kernel, sandbox, at);
  }

  const assigned = new Set(step.assigned);
  packed.forEach((data, i) => {
    if (data === null) return;
    const from = assigned.has(i) ? addresses[i] + roundUp(data.byteLength) : addresses[i];
    const to = addresses[i] + roundUp(Math.max(data.byteLength, 1)) + guardBytes;
    // Whole vectors may be written into what rounding leaves behind a value, nothing else.
    for (let a = from; a < to; a++) {
      const changed = bytes(a, 1)[0] !== before[a];
      if (changed) throw new Error(`storage ${i} of ${data.byteLength} bytes: byte ${a - addresses[i]} was written`);
    }
  });
  const read = (address: number, dtype: Node['dtype'], elements: number): TypedArray => {
    const data = allocate(dtype, elements);
    raw(data).set(bytes(address, data.byteLength));
    return data;
  };
  const ran = {
    step,
    results: roots.map((r, i) => read(arena + step.results[i].offset, r.dtype, numel(r.shape))),
    assigned: step.assigned.map((slot) => {
      const s = trace.storages[slot];
      const layout = layouts.get(slot);
      if (layout === undefined) return s.read(); // untouched: assigned itself, or empty
      return unpack(read(addresses[slot], s.dtype, physicalSize(s.shape, layout)), s.shape, s.dtype, layout);
    }),
  };
  sandbox.free();
  return ran;
}

/** As on the device: a kernel may start from an address before its buffer and come back with an instruction's offset. */
const lowGuardBytes = 256 * 1024;
const guardBytes = 64;
const mostCalls = 64;

type Range = (args: readonly number[], begin: number, end: number) => void;

interface Sandbox {
  readonly buffer: ArrayBuffer;
  ready(kernel: Kernel): Range;
  free(): void;
}

function runBackwards(kernel: Kernel, sandbox: Sandbox, args: readonly number[]): void {
  const run = sandbox.ready(kernel);
  const chunk = Math.max(1, Math.ceil(kernel.tasks / mostCalls));
  for (let to = kernel.tasks; to > 0; to -= chunk) run(args, Math.max(0, to - chunk), to);
}

class WasmSandbox implements Sandbox {
  private readonly memory: WebAssembly.Memory;
  readonly buffer: ArrayBuffer;

  constructor(bytes: number) {
    this.memory = new WebAssembly.Memory({ initial: bytes / 65536 });
    this.buffer = this.memory.buffer;
  }

  ready(kernel: Kernel): Range {
    let module = modules.get(kernel);
    if (module === undefined) {
      module = new WebAssembly.Module(assembleKernel(kernel, { relaxedSimd: relaxedSimd(), threads: false }));
      modules.set(kernel, module);
    }
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory } });
    const call = instance.exports.kernel as (...args: number[]) => void;
    return (args, begin, end) => call(...args, begin, end);
  }

  free(): void {}
}

/** Kernels compile once, for the compiler keeps them too. */
const modules = new WeakMap<Kernel, WebAssembly.Module>();

class NativeSandbox implements Sandbox {
  private readonly heap: Mapping;
  private readonly kernels: NativeKernel[] = [];
  readonly buffer: ArrayBuffer;

  constructor(
    bytes: number,
    private readonly level: X64Level,
  ) {
    this.heap = new Mapping(bytes);
    this.buffer = this.heap.bytes.buffer as ArrayBuffer;
  }

  ready(kernel: Kernel): Range {
    const native = new NativeKernel(kernel, this.level);
    this.kernels.push(native);
    return (args, begin, end) => {
      const status = native.run(args, this.heap.address, begin, end);
      if (status !== 0) throw new Error(`${kernel.name}: called off`);
    };
  }

  free(): void {
    for (const kernel of this.kernels) kernel.free();
    this.heap.free();
  }
}

function levelOf(lanes: number): X64Level {
  return lanes === 8 ? 'avx2' : 'avx512';
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

function raw(data: TypedArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Runs a compiled step kernel by kernel in the WebAssembly sandbox, on one thread and without a device: for tests that look at the compiler alone.
 * The arena starts out full of NaN, so that a kernel that reads what nobody wrote is seen.
 */

import { assembleKernel } from '../src/codegen/wasm/index.js';
import { pack, unpack } from '../src/compile/pack.js';
import { type CompiledStep, compile } from '../src/compile/pipeline.js';
import { traceRequest } from '../src/compile/trace.js';
import { type Layout, plain } from '../src/graph/layout.js';
import type { Node } from '../src/graph/node.js';
import type { TargetInfo } from '../src/graph/op.js';
import type { Assignment } from '../src/graph/target.js';
import type { Kernel } from '../src/ir/index.js';
import { allocate, type TypedArray } from '../src/util/dtype.js';
import { numel } from '../src/util/shape.js';
import { relaxedSimd, wasmTarget } from './lowering-runner.js';

export interface Ran {
  readonly step: CompiledStep;
  readonly results: TypedArray[];
  /** New values of assigned storages, row-major, in the order of `assigns`. */
  readonly assigned: TypedArray[];
}

export function runCompiled(
  roots: readonly Node[],
  assigns: readonly Assignment[] = [],
  target: TargetInfo = wasmTarget,
): Ran {
  const trace = traceRequest(roots, assigns, () => null);
  const step = compile(trace, target, () => null, 'test');
  const features = { relaxedSimd: relaxedSimd(), threads: false };
  const layouts = new Map<number, Layout>(step.resident.map((r) => [r.storage, r.layout]));
  const addresses: number[] = [];
  let end = 64 + Math.ceil(step.program.arenaBytes / 64) * 64;
  const packed = trace.storages.map((s, i) => {
    const layout = layouts.get(i);
    if (layout === undefined) return null;
    const data = pack(s.read(), s.shape, s.dtype, layout);
    addresses[i] = end;
    end += Math.ceil(Math.max(data.byteLength, 1) / 64) * 64;
    return data;
  });
  const memory = new WebAssembly.Memory({ initial: Math.ceil((end + 4096) / 65536) });
  new Float32Array(memory.buffer).fill(Number.NaN);
  const bytes = (address: number, length: number) => new Uint8Array(memory.buffer, address, length);
  const raw = (data: TypedArray) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  packed.forEach((data, i) => {
    if (data !== null) bytes(addresses[i], data.byteLength).set(raw(data));
  });
  for (const { storage, offset } of step.staged) {
    const data = trace.storages[storage].read();
    bytes(64 + offset, data.byteLength).set(raw(data));
  }
  const compiled = new Map<Kernel, (...args: number[]) => void>();
  for (const { kernel, args } of step.program.launches) {
    if (!compiled.has(kernel)) {
      const module = new WebAssembly.Module(assembleKernel(kernel, features));
      compiled.set(kernel, new WebAssembly.Instance(module, { env: { memory } }).exports.kernel as never);
    }
    const at = args.map((a) => ('arena' in a ? 64 + a.arena : addresses[a.slot - 1] + (a.offset ?? 0)));
    compiled.get(kernel)!(...at, 0, kernel.tasks);
  }
  const read = (
    address: number,
    node: { shape: readonly number[]; dtype: Node['dtype'] },
    elements: number,
  ): TypedArray => {
    const data = allocate(node.dtype, elements);
    raw(data).set(bytes(address, data.byteLength));
    return data;
  };
  return {
    step,
    results: roots.map((r, i) => read(64 + step.results[i].offset, r, numel(r.shape))),
    assigned: step.assigned.map((slot) => {
      const s = trace.storages[slot];
      const layout = layouts.get(slot) ?? plain;
      const size = pack(allocate(s.dtype, numel(s.shape)), s.shape, s.dtype, layout).length;
      return unpack(read(addresses[slot], s, size), s.shape, s.dtype, layout);
    }),
  };
}

/**
 * Runs one lowering in a sandbox: packs logical arrays into the layouts it demands, puts NaN into lanes past the last channel and guard bytes past
 * every buffer, and stands in for the fused work behind the kernel. Kernels of four lanes run as WebAssembly; `interpreted` ones in the
 * IR's interpreter, which takes any number of lanes and holds each access to its own parameter's bytes, and after that as machine code,
 * where this machine has the instructions.
 */

import { assembleKernel, type WasmFeatures } from '../src/codegen/wasm/index.js';
import type { X64Level } from '../src/codegen/x64/index.js';
import { type Layout, physicalShape, physicalSize } from '../src/graph/layout.js';
import type { Epilogue, Lowering, TargetInfo } from '../src/graph/op.js';
import { affine, type Float, interpret, type Kernel, KernelBuilder, type Ptr } from '../src/ir/index.js';
import { storeLanes } from '../src/kernels/fused.js';
import { contiguousStrides, numel, type Shape } from '../src/util/shape.js';
import { LEVELS, Mapping, NativeKernel } from './x64-runner.js';

/** What assemblers of 256 and 512 bits will ask for. */
export const wideTargets: readonly TargetInfo[] = [
  { name: 'avx2', lanes: 8, registers: 16, block: 8, fma: true, threads: 2 },
  { name: 'avx512', lanes: 16, registers: 32, block: 16, fma: true, threads: 2 },
];

export const wasmTarget: TargetInfo = { name: 'wasm', lanes: 4, registers: 15, block: 8, fma: true, threads: 2 };

/** Stores what it gets; with `fused`, first max(0, value · 0.5 + other) with `other` read at the same place. */
export function standInEpilogue(coords: readonly number[], fused: boolean): Epilogue {
  const strides = contiguousStrides(coords);
  let out: Ptr | null = null;
  let other: Ptr<'f32'> | null = null;
  return {
    key: fused ? 'fused' : 'store',
    params(k) {
      if (fused) other = k.param('other', 'f32');
      out = k.param('out', 'f32');
    },
    emit(k, value, at, part) {
      let offset = affine(0);
      at.forEach((c, d) => {
        offset = offset.plus(affine(c).times(strides[d]));
      });
      let v = value as Float;
      if (other !== null) v = k.load(other, offset, v.width).add(v.mul(0.5)).max(0);
      storeLanes(k, out!.at(offset), 1, v, v.width, part);
    },
    output: () => out!,
  };
}

export function buildKernel(l: Lowering, target: TargetInfo, fused = false): Kernel {
  const k = new KernelBuilder({ lanes: target.lanes, registers: target.registers, fma: target.fma });
  return l.build(k, standInEpilogue(l.coords, fused));
}

export interface Compiled {
  readonly kernel: Kernel;
  readonly memory: WebAssembly.Memory;
  run(args: readonly number[], begin: number, end: number): void;
}

export function compile(kernel: Kernel, features: WasmFeatures, bytes: number): Compiled {
  const pages = Math.ceil(bytes / 65536);
  const memory = features.threads
    ? new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true })
    : new WebAssembly.Memory({ initial: pages });
  return compileIn(kernel, features, memory);
}

function compileIn(kernel: Kernel, features: WasmFeatures, memory: WebAssembly.Memory): Compiled {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(assembleKernel(kernel, features)), {
    env: { memory },
  });
  const call = instance.exports.kernel as (...args: number[]) => void;
  return { kernel, memory, run: (args, begin, end) => call(...args, begin, end) };
}

let relaxed: boolean | null = null;

/** Turns relaxed SIMD on where Node hides it behind a flag, and says whether it is there. */
export function relaxedSimd(): boolean {
  if (relaxed !== null) return relaxed;
  const v8 = (process as unknown as { getBuiltinModule(name: string): typeof import('node:v8') }).getBuiltinModule(
    'node:v8',
  );
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  v8.setFlagsFromString('--no-liftoff');
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'f32');
  k.tasks(1, () => k.store(p, 0, k.load(p).fma(k.load(p, 4), k.load(p, 8))));
  relaxed = WebAssembly.validate(assembleKernel(k.finish('probe'), { relaxedSimd: true, threads: false }));
  return relaxed;
}

/** Offset of a logical index in a layout. */
export function physicalIndexer(shape: Shape, l: Layout): (index: readonly number[]) => number {
  const strides = contiguousStrides(physicalShape(shape, l));
  if (l.order.length === 0) return (index) => index.reduce((sum, i, d) => sum + i * strides[d], 0);
  return (index) => {
    let at = 0;
    l.order.forEach((axis, d) => {
      at += strides[d] * (axis === l.blockAxis ? Math.floor(index[axis] / l.block) : index[axis]);
    });
    return l.blockAxis < 0 ? at : at + (index[l.blockAxis] % l.block);
  };
}

function eachIndex(shape: Shape, body: (index: readonly number[], flat: number) => void): void {
  const index = shape.map(() => 0);
  for (let flat = 0; flat < numel(shape); flat++) {
    body(index, flat);
    for (let d = shape.length - 1; d >= 0 && ++index[d] === shape[d]; d--) index[d] = 0;
  }
}

export function pack(data: ArrayLike<number>, shape: Shape, l: Layout): Float32Array {
  const out = new Float32Array(physicalSize(shape, l)).fill(Number.NaN);
  const at = physicalIndexer(shape, l);
  eachIndex(shape, (index, flat) => {
    out[at(index)] = data[flat];
  });
  return out;
}

export function unpack(data: ArrayLike<number>, shape: Shape, l: Layout): Float32Array {
  const out = new Float32Array(numel(shape));
  const at = physicalIndexer(shape, l);
  eachIndex(shape, (index, flat) => {
    out[flat] = data[at(index)];
  });
  return out;
}

const guardBytes = 256;
/** Four of them are a NaN, so that reading past a buffer shows in the result. */
const guard = 0xff;

export interface RunOptions {
  readonly fused?: boolean;
  /** Task ranges are handed out in pieces of this size, last piece first. */
  readonly chunk?: number;
  readonly target?: TargetInfo;
  /** In the interpreter instead of WebAssembly: slow. With 8 or 16 lanes as machine code too, which must give the same. */
  readonly interpreted?: boolean;
  /** As machine code of this level, without the interpreter's checks. */
  readonly native?: X64Level;
}

type Engine = 'wasm' | 'interpreter' | X64Level;

/** Computes `l` on logical arrays. With `fused`, the result is max(0, value · 0.5 + other). @throws if a guard byte changed. */
export function runLowering(
  l: Lowering,
  inputs: readonly { data: ArrayLike<number>; shape: Shape }[],
  outShape: Shape,
  other: ArrayLike<number>,
  options: RunOptions = {},
): Float32Array {
  if (!options.interpreted) return runOn(options.native ?? 'wasm', l, inputs, outShape, other, options);
  const result = runOn('interpreter', l, inputs, outShape, other, options);
  const level = ({ 8: 'avx2', 16: 'avx512' } as Partial<Record<number, X64Level>>)[options.target?.lanes ?? 4];
  if (level !== undefined && LEVELS.includes(level)) {
    compare(runOn(level, l, inputs, outShape, other, options), result, level);
  }
  return result;
}

/** The interpreter rounds a · b + c in float64 first, so that sums may differ in their last bit, rarely. */
function compare(machine: Float32Array, interpreted: Float32Array, level: X64Level): void {
  const largest = interpreted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  machine.forEach((x, i) => {
    const same = Object.is(x, interpreted[i]) || Math.abs(x - interpreted[i]) <= 2 ** -22 * largest;
    if (!same) throw new Error(`${level} gives ${x} for element ${i}, the interpreter ${interpreted[i]}`);
  });
}

function runOn(
  engine: Engine,
  l: Lowering,
  inputs: readonly { data: ArrayLike<number>; shape: Shape }[],
  outShape: Shape,
  other: ArrayLike<number>,
  { fused = false, chunk = 3, target = wasmTarget }: RunOptions,
): Float32Array {
  const kernel = buildKernel(l, target, fused);
  const buffers = inputs.map((input, i) => pack(input.data, input.shape, l.inputs[i]));
  if (l.scratchBytes) buffers.push(new Float32Array(l.scratchBytes / 4).fill(Number.NaN));
  if (fused) buffers.push(pack(other, outShape, l.output));
  buffers.push(new Float32Array(physicalSize(outShape, l.output)).fill(Number.NaN));
  if (kernel.params.length !== buffers.length)
    throw new Error(`${kernel.params.length} parameters for ${buffers.length} buffers`);
  if (numel(l.coords) !== physicalSize(outShape, l.output))
    throw new Error(`coords ${l.coords} do not cover the result`);

  let bytes = guardBytes;
  const addresses = buffers.map((buffer) => {
    const at = bytes;
    bytes = Math.ceil((at + buffer.byteLength + guardBytes) / 64) * 64;
    return at;
  });
  const native = engine === 'avx2' || engine === 'avx512';
  const memory = new WebAssembly.Memory({ initial: native ? 0 : Math.ceil(bytes / 65536) });
  const mapping = native ? new Mapping(bytes) : null;
  const heap = (mapping?.bytes ?? new Uint8Array(memory.buffer)).fill(guard);
  buffers.forEach((buffer, i) => {
    heap.set(new Uint8Array(buffer.buffer), addresses[i]);
  });
  const bounds = buffers.map((buffer, i) => ({ address: addresses[i], size: buffer.byteLength }));
  const before = l.before?.(new KernelBuilder({ lanes: target.lanes, registers: target.registers, fma: target.fma }));
  for (const one of before === undefined ? [kernel] : [before, kernel]) {
    const args = addresses.slice(0, one.params.length);
    const c = engine === 'wasm' ? compileIn(one, { relaxedSimd: relaxedSimd(), threads: false }, memory) : null;
    const machine = native ? new NativeKernel(one, engine) : null;
    for (let end = one.tasks; end > 0; end -= chunk) {
      const begin = Math.max(0, end - chunk);
      if (c) c.run(args, begin, end);
      else if (machine) machine.run(args, mapping!.address, begin, end);
      else interpret(one, memory.buffer, args, begin, end, bounds.slice(0, args.length));
    }
    machine?.free();
  }

  addresses.forEach((address, i) => {
    const from = address + buffers[i].byteLength;
    const to = i + 1 < addresses.length ? addresses[i + 1] : heap.length;
    for (let a = from; a < to; a++)
      if (heap[a] !== guard) throw new Error(`byte ${a - from} past ${kernel.params[i].name} was written`);
    if (i < inputs.length && !sameBytes(heap.subarray(address, from), new Uint8Array(buffers[i].buffer))) {
      throw new Error(`input ${kernel.params[i].name} was written`);
    }
  });
  const out = new Float32Array(
    heap.buffer,
    addresses[addresses.length - 1],
    buffers[buffers.length - 1].length,
  ).slice();
  mapping?.free();
  return unpack(out, outShape, l.output);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

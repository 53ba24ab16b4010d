/**
 * A row of numbers weighted and added to itself, shifted: the inner loop of blurs. In WebAssembly SIMD, in float32, products and sums
 * rounded one by one in a fixed order; where there is no SIMD, plain loops give the same bits.
 */

import { emitModule } from '../../codegen/wasm/module.js';
import { WASM } from '../../codegen/wasm/opcodes.js';
import { FunctionWriter } from '../function-writer.js';

/** The numbers of one filtering, in the memory that the kernel works on. */
export interface FilterSpace {
  /** [count + slack]: written by the caller. */
  readonly input: Float32Array;
  /** [count + slack]: written by the first pass, read by the second. */
  readonly middle: Float32Array;
  readonly output: Float32Array;
  /** to[i] = Σ from[i + k · step] · weights[k], for i below `count`, rounded up to 16. */
  convolve(from: 'input' | 'middle', to: 'middle' | 'output', count: number, weights: Float32Array, step: number): void;
}

/** Numbers behind the last that a convolution may read or write: rounding up to 16. */
const slack = 16;
const mostWeights = 256;
/** A larger memory than this is not kept for the next picture. */
const keptBytes = 64 * 2 ** 20;

/** Room for arrays of `size` numbers. The arrays are good until the next call. */
export function filterSpace(size: number): FilterSpace {
  const length = Math.ceil((size + slack) / 16) * 16;
  if (kernel === undefined) kernel = makeKernel();
  if (kernel === null) return plainSpace(length);
  const { memory, convolve } = kernel;
  const bytes = 4 * (mostWeights + 3 * length);
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / 65536);
  if (missing > 0) memory.grow(missing);
  if (bytes > keptBytes) kernel = undefined;
  const at = (i: number) => 4 * (mostWeights + i * length);
  const array = (i: number) => new Float32Array(memory.buffer, at(i), length);
  const space = { input: array(0), middle: array(1), output: array(2) };
  const place = { input: at(0), middle: at(1), output: at(2) };
  const table = new Float32Array(memory.buffer, 0, mostWeights);
  return {
    ...space,
    convolve: (from, to, count, weights, step) => {
      table.set(weights);
      convolve(place[from], place[to], Math.ceil(count / 16) * 64, weights.length, 4 * step);
    },
  };
}

function plainSpace(length: number): FilterSpace {
  const space = { input: new Float32Array(length), middle: new Float32Array(length), output: new Float32Array(length) };
  return {
    ...space,
    convolve: (from, to, count, weights, step) => {
      const [source, target] = [space[from], space[to]];
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum = Math.fround(sum + Math.fround(source[i + k * step] * weights[k]));
        }
        target[i] = sum;
      }
    },
  };
}

interface FilterKernel {
  readonly memory: WebAssembly.Memory;
  /** Weights lie at 0; `bytes` is a multiple of 64; `step` in bytes. */
  convolve(src: number, dst: number, bytes: number, taps: number, step: number): void;
}

let compiled: WebAssembly.Module | null = null;
let kernel: FilterKernel | null | undefined;

function makeKernel(): FilterKernel | null {
  try {
    compiled ??= new WebAssembly.Module(filterModule());
  } catch {
    return null;
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { convolve } = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Pick<
    FilterKernel,
    'convolve'
  >;
  return { memory, convolve };
}

function filterModule(): Uint8Array<ArrayBuffer> {
  const f = new FunctionWriter(5);
  const [src, dst, bytes, taps, step] = [0, 1, 2, 3, 4];
  const [i, tap, from, weight, to] = f.ints(5);
  const [each] = f.vectors(1);
  const sums = f.vectors(4);
  f.repeat(i, bytes, 64, () => {
    for (const sum of sums) f.set(sum, () => f.splat(0));
    f.set(from, () => f.sum(src, () => f.get(i)));
    f.set(weight, () => f.int(0));
    f.repeat(tap, taps, 1, () => {
      f.set(each, () => f.load(WASM.v128Load32Splat, weight, 2));
      for (const [part, sum] of sums.entries()) {
        f.set(sum, () => {
          f.get(sum);
          f.load(WASM.v128Load, from, 2, 16 * part);
          f.get(each);
          f.op(WASM.f32x4Mul);
          f.op(WASM.f32x4Add);
        });
      }
      f.advance(from, step);
      f.set(weight, () => f.sum(weight, () => f.int(4)));
    });
    f.set(to, () => f.sum(dst, () => f.get(i)));
    for (const [part, sum] of sums.entries()) f.store(to, sum, 16 * part);
  });
  const functions = [{ params: 5, results: 0 as const, body: f.finish(), exportAs: 'convolve' }];
  return emitModule(functions, { relaxedSimd: false, threads: false });
}

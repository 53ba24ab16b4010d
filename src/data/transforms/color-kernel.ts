/**
 * The loops of colours in WebAssembly: bytes looked up in a table, the grey of colours, and colours mixed with their grey. Sums are those of torchvision to the
 * bit: a float32 product, then products added as if unrounded and the sum rounded to float32, which here takes float64. Where there is no SIMD, color.ts's
 * plain loops give the same bytes.
 */

import { emitModule } from '../../codegen/wasm/module.js';
import { WASM } from '../../codegen/wasm/opcodes.js';
import { FunctionWriter } from '../function-writer.js';

export interface ColorKernel {
  /** table[x] of each byte. */
  look(data: Uint8Array, table: Uint8Array): Uint8Array;
  /** [3, n] → [n]: the grey of each pixel, by the shares of red, green and blue, cut off to bytes. */
  grey(data: Uint8Array, shares: readonly number[]): Uint8Array;
  /** [3, n] → [3, n]: own · x + rest · grey, cut off to bytes. */
  blendWithGrey(data: Uint8Array, shares: readonly number[], own: number, rest: number): Uint8Array;
}

/** Pixels of a step. */
const step = 16;
/** A larger memory than this is not kept for the next picture. */
const keptBytes = 64 * 2 ** 20;
/** The table or the factors lie at 0, pictures behind them. */
const factorBytes = 256;

let kernel: ColorKernel | null | undefined;

/** One for the thread: nothing here waits, so nobody else comes in between. Null where the engine has no SIMD. */
export function colorKernel(): ColorKernel | null {
  if (kernel === undefined) kernel = makeKernel();
  return kernel;
}

interface Exports {
  /** `count` bytes, a multiple of 16. */
  look(src: number, dst: number, count: number): void;
  /** `plane` is the distance of the planes of `src`, a multiple of 16. */
  grey(src: number, plane: number, dst: number): void;
  /** One plane of `count` bytes. */
  blend(src: number, grey: number, dst: number, count: number): void;
}

let compiled: WebAssembly.Module | null = null;

function makeKernel(): ColorKernel | null {
  try {
    compiled ??= new WebAssembly.Module(colorModule());
  } catch {
    return null;
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  const run = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Exports;

  /** Bytes of the memory, which holds `size` of them behind the factors. */
  const room = (size: number): Uint8Array => {
    const missing = Math.ceil((factorBytes + size - memory.buffer.byteLength) / 65536);
    if (missing > 0) memory.grow(missing);
    if (factorBytes + size > keptBytes) kernel = undefined;
    return new Uint8Array(memory.buffer);
  };
  /** Brings planes [3, n] in and their grey behind them; returns where planes lie, how far apart, and where the grey lies. */
  const makeGrey = (data: Uint8Array, shares: readonly number[], more: number) => {
    const n = data.length / 3;
    const plane = upTo(n);
    const bytes = room((4 + more) * plane);
    for (let c = 0; c < 3; c++) bytes.set(data.subarray(c * n, (c + 1) * n), factorBytes + c * plane);
    writeFactors(bytes, shares);
    const grey = factorBytes + 3 * plane;
    run.grey(factorBytes, plane, grey);
    return { bytes, n, plane, grey };
  };
  return {
    look: (data, table) => {
      const length = upTo(data.length);
      const bytes = room(2 * length);
      bytes.set(table);
      bytes.set(data, factorBytes);
      run.look(factorBytes, factorBytes + length, length);
      return bytes.slice(factorBytes + length, factorBytes + length + data.length);
    },
    grey: (data, shares) => {
      const { bytes, n, grey } = makeGrey(data, shares, 0);
      return bytes.slice(grey, grey + n);
    },
    blendWithGrey: (data, shares, own, rest) => {
      const { bytes, n, plane, grey } = makeGrey(data, shares, 1);
      writeFactors(bytes, [own, rest]);
      const made = grey + plane;
      const out = new Uint8Array(data.length);
      for (let c = 0; c < 3; c++) {
        run.blend(factorBytes + c * plane, grey, made, plane);
        out.set(bytes.subarray(made, made + n), c * n);
      }
      return out;
    },
  };
}

/** The first as float32, all others as float64, each in a place of 8 bytes. */
function writeFactors(bytes: Uint8Array, [first, ...others]: readonly number[]): void {
  const view = new DataView(bytes.buffer);
  view.setFloat32(0, first, true);
  for (const [i, factor] of others.entries()) view.setFloat64(8 * (i + 1), factor, true);
}

function upTo(n: number): number {
  return Math.ceil(n / step) * step;
}

function colorModule(): Uint8Array<ArrayBuffer> {
  const functions = [
    { params: 3, results: 0 as const, body: lookBody(), exportAs: 'look' },
    { params: 3, results: 0 as const, body: greyBody(), exportAs: 'grey' },
    { params: 4, results: 0 as const, body: blendBody(), exportAs: 'blend' },
  ];
  return emitModule(functions, { relaxedSimd: false, threads: false });
}

function lookBody(): Uint8Array {
  const f = new FunctionWriter(3);
  const [src, dst, count] = [0, 1, 2];
  const [i, from, to] = f.ints(3);
  f.repeat(i, count, step, () => {
    f.set(from, () => f.sum(src, () => f.get(i)));
    f.set(to, () => f.sum(dst, () => f.get(i)));
    for (let k = 0; k < step; k++) {
      f.storeByte(to, k, () => {
        f.loadByte(from, k);
        f.loadByteHere();
      });
    }
  });
  return f.finish();
}

/** 16 pixels at a time, four in a vector of float32 and two in one of float64. */
function greyBody(): Uint8Array {
  const f = new FunctionWriter(3);
  const [src, plane, dst] = [0, 1, 2];
  const [i, from, to, zero] = f.ints(4);
  const colours = f.vectors(3);
  const shares = f.vectors(3);
  const sum = new Sum(f);
  f.set(zero, () => f.int(0));
  f.set(shares[0], () => f.load(WASM.v128Load32Splat, zero, 2));
  for (const c of [1, 2]) f.set(shares[c], () => f.load(WASM.v128Load64Splat, zero, 3, 8 * c));
  f.repeat(i, plane, step, () => {
    f.set(from, () => f.sum(src, () => f.get(i)));
    for (const colour of colours) {
      f.set(colour, () => f.load(WASM.v128Load, from, 0));
      f.advance(from, plane);
    }
    sum.each((quarter) => {
      sum.start(colours[0], quarter, shares[0]);
      for (const c of [1, 2]) sum.add(colours[c], quarter, shares[c]);
    });
    f.set(to, () => f.sum(dst, () => f.get(i)));
    sum.store(to);
  });
  return f.finish();
}

function blendBody(): Uint8Array {
  const f = new FunctionWriter(4);
  const [src, greys, dst, count] = [0, 1, 2, 3];
  const [i, at, zero] = f.ints(3);
  const [colour, grey, own, rest] = f.vectors(4);
  const sum = new Sum(f);
  f.set(zero, () => f.int(0));
  f.set(own, () => f.load(WASM.v128Load32Splat, zero, 2));
  f.set(rest, () => f.load(WASM.v128Load64Splat, zero, 3, 8));
  f.repeat(i, count, step, () => {
    f.set(at, () => f.sum(src, () => f.get(i)));
    f.set(colour, () => f.load(WASM.v128Load, at, 0));
    f.set(at, () => f.sum(greys, () => f.get(i)));
    f.set(grey, () => f.load(WASM.v128Load, at, 0));
    sum.each((quarter) => {
      sum.start(colour, quarter, own);
      sum.add(grey, quarter, rest);
    });
    f.set(at, () => f.sum(dst, () => f.get(i)));
    sum.store(at);
  });
  return f.finish();
}

/** Sixteen sums of products of bytes, four at a time. */
class Sum {
  private readonly quarters: readonly number[];
  private readonly value: number;
  private readonly bytes: number;
  private readonly halves: readonly number[];

  constructor(private readonly f: FunctionWriter) {
    this.quarters = f.vectors(4);
    [this.value, this.bytes] = f.vectors(2);
    this.halves = f.vectors(2);
  }

  each(make: (quarter: number) => void): void {
    for (const [quarter, whole] of this.quarters.entries()) {
      make(quarter);
      this.f.set(whole, () => {
        this.f.get(this.value);
        this.f.op(WASM.i32x4TruncSatF32x4S);
      });
    }
  }

  /** A quarter of 16 bytes times a float32. */
  start(bytes: number, quarter: number, factor: number): void {
    const { f } = this;
    f.set(this.value, () => {
      f.widen(bytes, quarter);
      f.op(WASM.f32x4ConvertI32x4S);
      f.get(factor);
      f.op(WASM.f32x4Mul);
    });
  }

  /** Plus a quarter of 16 bytes times a float64, rounded to float32. */
  add(bytes: number, quarter: number, factor: number): void {
    const { f, value, halves } = this;
    f.set(this.bytes, () => f.widen(bytes, quarter));
    for (const [half, sum] of halves.entries()) {
      const push = (vector: number) => (half === 0 ? f.get(vector) : f.upper(vector));
      f.set(sum, () => {
        push(this.bytes);
        f.op(WASM.f64x2ConvertLowI32x4S);
        f.get(factor);
        f.op(WASM.f64x2Mul);
        push(value);
        f.op(WASM.f64x2PromoteLowF32x4);
        f.op(WASM.f64x2Add);
        f.op(WASM.f32x4DemoteF64x2Zero);
      });
    }
    f.set(value, () => f.interleave(halves[0], halves[1], 8, 'low'));
  }

  /** As bytes, cut off. */
  store(address: number): void {
    this.f.narrow(this.bytes, this.quarters);
    this.f.store(address, this.bytes);
  }
}

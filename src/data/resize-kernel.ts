/**
 * The two loops in which resizing spends its time, in WebAssembly SIMD: a matrix of bytes transposed, and rows made as weighted sums of
 * other rows. (Columns are resized as the rows of the transposed picture: reading along a row, neighbouring bytes share their weight, and
 * all lanes work.) A small module of its own: it runs at once, in any worker and any page, with no device open.
 *
 * The sums are those of Pillow to the bit: a weight w has 22 bits behind the point and does not fit the multiplier of 16-bit pairs, so it
 * comes as 2¹¹·high + low, and so does the sum.
 */

import { emitModule } from '../codegen/wasm/module.js';
import { WASM } from '../codegen/wasm/opcodes.js';
import { FunctionWriter } from './function-writer.js';

/** Bits behind the point of a weight. */
export const weightBits = 22;
const lowBits = 11;

export interface ResizeKernel {
  readonly memory: WebAssembly.Memory;
  /**
   * Bytes [rows, cols] at `src` → [cols, rows] at `dst`; the strides are bytes from row to row. Works in blocks of 16 rows and 8 columns:
   * what lies behind the last whole one is read and written too.
   */
  transpose(src: number, srcStride: number, dst: number, dstStride: number, rows: number, cols: number): void;
  /**
   * `count` rows of `bytes` bytes (a multiple of 16) at `dst`, each a weighted sum of successive rows at `src`, rounded and clamped.
   * `table` says which: see `writeTable`.
   */
  weigh(
    table: number,
    count: number,
    src: number,
    srcStride: number,
    dst: number,
    dstStride: number,
    bytes: number,
  ): void;
}

/** Weights of the input rows of each output row, as multiples of 2⁻²². */
export interface Taps {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array; // [output rows][longest]
  readonly longest: number;
}

/** Bytes of the table for `taps`. */
export function tableBytes({ counts }: Taps): number {
  let words = 0;
  for (const count of counts) words += 2 + 2 * ((count + 1) >> 1);
  return 4 * words;
}

/**
 * Of each output row: its first input row, how many pairs of them, and for each pair its high and its low halves. A last pair of one has a
 * weight of 0 for the row after it, which is therefore read.
 */
export function writeTable(
  words: Int32Array,
  { starts, counts, weights, longest }: Taps,
  from: number,
  to: number,
  origin: number,
): void {
  let at = 0;
  for (let o = from; o < to; o++) {
    const count = counts[o];
    words[at++] = starts[o] - origin;
    words[at++] = (count + 1) >> 1;
    for (let i = 0; i < count; i += 2) {
      const first = weights[o * longest + i];
      const second = i + 1 < count ? weights[o * longest + i + 1] : 0;
      const mask = (1 << lowBits) - 1;
      words[at++] = ((first >> lowBits) & 0xffff) | ((second >> lowBits) << 16);
      words[at++] = (first & mask) | ((second & mask) << 16);
    }
  }
}

let compiled: WebAssembly.Module | null = null;

/** An instance with a memory of its own; null where the engine has no SIMD. */
export function resizeKernel(): ResizeKernel | null {
  try {
    compiled ??= new WebAssembly.Module(resizeModule());
  } catch {
    return null;
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { transpose, weigh } = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Pick<
    ResizeKernel,
    'transpose' | 'weigh'
  >;
  return { memory, transpose, weigh };
}

function resizeModule(): Uint8Array<ArrayBuffer> {
  const functions = [
    { params: 6, results: 0 as const, body: transposeBody(), exportAs: 'transpose' },
    { params: 7, results: 0 as const, body: weighBody(), exportAs: 'weigh' },
  ];
  return emitModule(functions, { relaxedSimd: false, threads: false });
}

/** Four rounds of interleaving: bytes, then pairs, fours and eights of them. */
function transposeBody(): Uint8Array {
  const f = new FunctionWriter(6);
  const [src, srcStride, dst, dstStride, rows, cols] = [0, 1, 2, 3, 4, 5];
  const [y, x, from, to, walk] = f.ints(5);
  const v = f.vectors(16);

  f.repeat(y, rows, 16, () => {
    f.set(from, () => f.sum(src, () => f.product(y, srcStride)));
    f.set(to, () => f.sum(dst, () => f.get(y)));
    f.repeat(x, cols, 8, () => {
      f.set(walk, () => f.get(from));
      for (const row of v) {
        f.set(row, () => f.load(WASM.v128Load64Zero, walk, 3));
        f.advance(walk, srcStride);
      }
      let blocks = v.slice(0, 8);
      for (let i = 0; i < 8; i++) f.set(blocks[i], () => f.interleave(v[2 * i], v[2 * i + 1], 1, 'low'));
      // The upper eight are free now: each round writes there what it reads here.
      let free = v.slice(8);
      for (const size of [2, 4, 8]) {
        const apart = size / 2; // how many blocks show the same rows
        const made: number[] = [];
        for (let rowBlock = 0; rowBlock < 8 / size; rowBlock++) {
          for (let part = 0; part < apart; part++) {
            const first = blocks[2 * rowBlock * apart + part];
            const second = blocks[(2 * rowBlock + 1) * apart + part];
            for (const half of ['low', 'high'] as const) {
              const target = free[made.length];
              f.set(target, () => f.interleave(first, second, size, half));
              made.push(target);
            }
          }
        }
        [blocks, free] = [made, blocks];
      }
      f.set(walk, () => f.get(to));
      for (const column of blocks) {
        f.store(walk, column);
        f.advance(walk, dstStride);
      }
      f.set(to, () => f.get(walk));
      f.set(from, () => f.sum(from, () => f.int(8)));
    });
  });
  return f.finish();
}

/**
 * For each output row by how many pairs of input rows it takes: one or two, as most reductions and all bilinear enlargements have, without
 * a loop over them and with their weights in registers; any number otherwise.
 */
function weighBody(): Uint8Array {
  const f = new FunctionWriter(7);
  const [table, count, src, srcStride, dst, dstStride, bytes] = [0, 1, 2, 3, 4, 5, 6];
  const [o, x, first, from, weight, pair, pairs] = f.ints(7);
  const [a, b, both] = f.vectors(3);
  const wide = f.vectors(2);
  const [high, low] = [f.vectors(4), f.vectors(4)];
  const held = f.vectors(4); // high and low weights of the first pair, then of the second

  const loadPair = () => {
    for (const row of [a, b]) {
      f.set(row, () => f.load(WASM.v128Load, from, 0));
      f.advance(from, srcStride);
    }
  };
  /** The products of a pair of rows at `from`, which moves on; `weightOf` puts the high or the low weights on the stack. */
  const addPair = (isFirst: boolean, weightOf: (half: 0 | 1) => void) => {
    loadPair();
    for (let part = 0; part < 4; part++) {
      if (part % 2 === 0) f.set(both, () => f.interleave(a, b, 1, part === 0 ? 'low' : 'high'));
      f.set(wide[0], () => {
        f.get(both);
        f.op(part % 2 === 0 ? WASM.i16x8ExtendLowI8x16U : WASM.i16x8ExtendHighI8x16U);
      });
      for (const half of [0, 1] as const) {
        const sum = (half === 0 ? high : low)[part];
        f.set(sum, () => {
          f.get(wide[0]);
          weightOf(half);
          f.op(WASM.i32x4DotI16x8S);
          if (isFirst) return;
          f.get(sum);
          f.op(WASM.i32x4Add);
        });
      }
    }
  };
  const fromTable = (half: 0 | 1) => f.load(WASM.v128Load32Splat, weight, 2, 4 * half);

  /** (2¹¹ · high + low + a half) >> 22 */
  const whole = (sumOf: (half: 0 | 1) => void) => {
    sumOf(0);
    f.int(lowBits);
    f.op(WASM.i32x4Shl);
    sumOf(1);
    f.op(WASM.i32x4Add);
    f.splat(1 << (weightBits - 1));
    f.op(WASM.i32x4Add);
    f.int(weightBits);
    f.op(WASM.i32x4ShrS);
  };
  /** Four quarters of four, clamped. */
  const storeBytes = (quarter: (part: number) => void) => {
    f.set(a, () => {
      for (const part of [0, 2]) {
        quarter(part);
        quarter(part + 1);
        f.op(WASM.i16x8NarrowI32x4S);
      }
      f.op(WASM.i8x16NarrowI16x8U);
    });
    f.set(from, () => f.sum(dst, () => f.get(x)));
    f.store(from, a);
  };
  const startAt = () => f.set(from, () => f.sum(first, () => f.get(x)));

  /** Quarter by quarter of the 16 bytes, so that all that lives fits into 16 registers. */
  const few = (number: 1 | 2) => {
    for (let i = 0; i < 2 * number; i++) f.set(held[i], () => f.load(WASM.v128Load32Splat, table, 2, 4 * i));
    f.repeat(x, bytes, 16, () => {
      startAt();
      for (let p = 0; p < number; p++) {
        loadPair();
        f.set(high[p], () => f.interleave(a, b, 1, 'low'));
        f.set(low[p], () => f.interleave(a, b, 1, 'high'));
      }
      const quarter = (part: number) => {
        const pairsOf = part < 2 ? high : low;
        for (let p = 0; p < number; p++) {
          f.set(wide[p], () => {
            f.get(pairsOf[p]);
            f.op(part % 2 === 0 ? WASM.i16x8ExtendLowI8x16U : WASM.i16x8ExtendHighI8x16U);
          });
        }
        whole((half) => {
          for (let p = 0; p < number; p++) {
            f.get(wide[p]);
            f.get(held[2 * p + half]);
            f.op(WASM.i32x4DotI16x8S);
            if (p > 0) f.op(WASM.i32x4Add);
          }
        });
      };
      storeBytes(quarter);
    });
  };
  const many = () =>
    f.repeat(x, bytes, 16, () => {
      startAt();
      f.set(weight, () => f.get(table));
      addPair(true, fromTable);
      f.repeat(
        pair,
        pairs,
        1,
        () => {
          f.set(weight, () => f.sum(weight, () => f.int(8)));
          addPair(false, fromTable);
        },
        1,
      );
      storeBytes((part) => whole((half) => f.get((half === 0 ? high : low)[part])));
    });

  f.repeat(o, count, 1, () => {
    f.set(first, () =>
      f.sum(src, () => {
        f.load(WASM.i32Load, table, 2);
        f.get(srcStride);
        f.op(WASM.i32Mul);
      }),
    );
    f.set(pairs, () => f.load(WASM.i32Load, table, 2, 4));
    f.set(table, () => f.sum(table, () => f.int(8)));
    f.either(
      () => f.equals(pairs, 1),
      () => few(1),
      () =>
        f.either(
          () => f.equals(pairs, 2),
          () => few(2),
          many,
        ),
    );
    f.advance(dst, dstStride);
    f.set(table, () =>
      f.sum(table, () => {
        f.get(pairs);
        f.int(8);
        f.op(WASM.i32Mul);
      }),
    );
  });
  return f.finish();
}

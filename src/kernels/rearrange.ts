/** Kernels that lay tensors into a larger one: pad and concat, on plain memory, row by row; and the two sources that need a kernel: iota, random bits. */

import { plain } from '../graph/layout.js';
import type { Lowering } from '../graph/op.js';
import { affine, type F, type I32, type Int, type KernelBuilder } from '../ir/index.js';
import type { DType } from '../util/dtype.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import { elemOf } from './fused.js';
import { unravel } from './nest.js';

/** `value` around x. Tasks are rows of the result: all its axes but the last. */
export function padLowering(
  x: Shape,
  padding: readonly (readonly [number, number])[],
  value: number,
  dtype: DType,
): Lowering {
  const out = x.map((n, d) => n + padding[d][0] + padding[d][1]);
  const last = x.length - 1;
  const rows = out.slice(0, last);
  const strides = contiguousStrides(x);
  const [before] = padding[last] ?? [0, 0];
  const width = x[last] ?? 1;
  return {
    key: `pad_${x.join('x')}_${padding.join('_')}_${value}_${dtype}`,
    inputs: [plain],
    output: plain,
    coords: [numel(out)],
    epilogue: true,
    build(k, epilogue) {
      const source = k.param('x', elemOf(dtype));
      epilogue.params(k);
      const wide = dtype === 'float32' ? k.lanes : 1;
      const fill = (w: number) => (dtype === 'float32' ? k.f32(value, w) : k.int(value, w));
      k.tasks(numel(rows), (task) => {
        const m = unravel(k, task, rows);
        let inside: I32 = k.i32(1);
        let from: I32 = k.i32(0);
        m.forEach((c, d) => {
          const shifted = c.sub(padding[d][0]);
          if (padding[d][0] + padding[d][1] > 0) inside = inside.and(shifted.ltU(k.i32(x[d])) as I32);
          from = from.add(shifted.mul(strides[d]));
        });
        const start = task.mul(out[last]);
        const blank = (lo: number, hi: number) =>
          stretch(k, hi - lo, wide, (i, w) => epilogue.emit(k, fill(w), [affine(start).plus(lo).plus(i)]));
        k.if(
          inside,
          () => {
            blank(0, before);
            const row = source.at(from);
            stretch(k, width, wide, (i, w) =>
              epilogue.emit(k, k.load(row, i, w), [affine(start).plus(before).plus(i)]),
            );
            blank(before + width, out[last]);
          },
          () => blank(0, out[last]),
        );
      });
      return k.finish(`pad_${out.join('x')}`);
    },
  };
}

/** Tensors one after another along `axis`. Tasks are pieces of at most `piece` elements of one input's rows. */
export function concatLowering(shapes: readonly Shape[], axis: number, dtype: DType): Lowering {
  const piece = 8192;
  const inner = numel(shapes[0].slice(axis + 1));
  const outer = numel(shapes[0].slice(0, axis));
  const widths = shapes.map((s) => s[axis] * inner);
  const total = widths.reduce((a, b) => a + b, 0);
  const pieces = widths.map((w) => Math.ceil(w / piece));
  const piecesTotal = pieces.reduce((a, b) => a + b, 0);
  return {
    key: `concat_${shapes.map((s) => s.join('x')).join('_')}_${axis}_${dtype}`,
    inputs: shapes.map(() => plain),
    output: plain,
    coords: [outer * total],
    epilogue: true,
    build(k, epilogue) {
      const sources = shapes.map((_, i) => k.param(`x${i}`, elemOf(dtype)));
      epilogue.params(k);
      const wide = dtype === 'float32' ? k.lanes : 1;
      k.tasks(outer * piecesTotal, (task) => {
        const row = task.div(piecesTotal);
        const which = task.rem(piecesTotal);
        let firstPiece = 0;
        let start = 0;
        sources.forEach((source, i) => {
          const [lo, at, width] = [firstPiece, start, widths[i]];
          firstPiece += pieces[i];
          start += width;
          if (pieces[i] === 0) return;
          k.if(which.sub(lo).ltU(k.i32(pieces[i])) as I32, () => {
            const from = which.sub(lo).mul(piece);
            const to = row.mul(total).add(from).add(at);
            const head = source.at(row.mul(width).add(from));
            const copy = (n: number) =>
              stretch(k, n, wide, (e, w) => epilogue.emit(k, k.load(head, e, w), [affine(to).plus(e)]));
            const rest = width - (pieces[i] - 1) * piece;
            if (pieces[i] === 1 || rest === piece) copy(rest);
            else k.if(which.eq(lo + pieces[i] - 1), () => copy(rest), () => copy(piece)); // biome-ignore format: one thought
          });
        });
      });
      return k.finish(`concat_${outer}x${total}`);
    },
  };
}

/** 0, 1, … n − 1. */
export function iotaLowering(n: number): Lowering {
  return {
    key: `iota_${n}`,
    inputs: [],
    output: plain,
    coords: [n],
    epilogue: true,
    build(k, epilogue) {
      epilogue.params(k);
      k.tasks(1, () => k.loop(n, (i) => epilogue.emit(k, i, [i])));
      return k.finish(`iota_${n}`);
    },
  };
}

const blocksPerTask = 1024;

/**
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): lanes run over neighbouring counters, and the four words
 * of a block go to the four quarters of the result; see ops/source.ts.
 */
export function randomBitsLowering(n: number): Lowering {
  const blocks = Math.ceil(n / 4);
  return {
    key: `random_bits_${n}`,
    inputs: [plain],
    output: plain,
    coords: [n],
    epilogue: true,
    build(k, epilogue) {
      const key = k.param('key', 'i32');
      epilogue.params(k);
      k.tasks(Math.ceil(blocks / blocksPerTask), (task) => {
        const from = task.mul(blocksPerTask);
        const to = from.add(blocksPerTask).min(k.i32(blocks));
        const ramp = (k.lanesOf(Array.from({ length: k.lanes }, (_, i) => k.f32(i, 1)) as never) as F).toI();
        const whole = from.add(to.sub(from).div(k.lanes).mul(k.lanes));
        const words = (counter: Int, width: number): Int[] => {
          const spread = (i: number) => (width === 1 ? k.load(key, i, 1) : k.broadcast(key, i)) as Int;
          return philox(k, [counter, spread(2), spread(3), k.int(0, width)], [spread(0), spread(1)], width);
        };
        k.loop({ from, to: whole, step: k.lanes }, (block) => {
          words(splat(k, block).add(ramp as never) as Int, k.lanes).forEach((word, w) => {
            // The last word's quarter may be cut short inside this vector.
            const at = affine(block).plus(w * blocks);
            if ((w + 1) * blocks <= n) epilogue.emit(k, word, [at]);
            else
              for (let i = 0; i < k.lanes; i++)
                k.if(block.add(w * blocks + i).lt(n) as I32, () =>
                  epilogue.emit(k, (word as unknown as { lane(i: number): Int }).lane(i), [at.plus(i)]),
                );
          });
        });
        k.loop({ from: whole, to }, (block) => {
          words(block as unknown as Int, 1).forEach((word, w) => {
            const at = affine(block).plus(w * blocks);
            if ((w + 1) * blocks <= n) epilogue.emit(k, word, [at]);
            else k.if(block.add(w * blocks).lt(n) as I32, () => epilogue.emit(k, word, [at]));
          });
        });
      });
      return k.finish(`random_bits_${n}`);
    },
  };
}

export function philox(k: KernelBuilder, counter: Int[], key: Int[], width: number): Int[] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  const m0 = k.int(0xd2511f53 | 0, width);
  const m1 = k.int(0xcd9e8d57 | 0, width);
  for (let round = 0; round < 10; round++) {
    if (round > 0) {
      k0 = k0.add(k.int(0x9e3779b9 | 0, width)) as Int;
      k1 = k1.add(k.int(0xbb67ae85 | 0, width)) as Int;
    }
    const [hi0, lo0] = [c0.mulhiU(m0), c0.mul(m0)];
    const [hi1, lo1] = [c2.mulhiU(m1), c2.mul(m1)];
    [c0, c1, c2, c3] = [hi1.xor(c1).xor(k0), lo1, hi0.xor(c3).xor(k1), lo0] as Int[];
  }
  return [c0, c1, c2, c3];
}

/** A scalar in every lane. Exact for block numbers below 2²⁴ … and above: bits are copied, not converted. */
function splat(k: KernelBuilder, x: I32): Int {
  const bits = (x as unknown as { asF(): never }).asF();
  return (k.lanesOf(Array.from({ length: k.lanes }, () => bits) as never) as unknown as { asI(): Int }).asI();
}

/** `n` neighbouring elements in vectors of `wide`, then one by one. */
function stretch(k: KernelBuilder, n: number, wide: number, body: (i: I32 | number, width: number) => void): void {
  const whole = wide === 1 ? 0 : Math.floor(n / wide) * wide;
  if (whole > 0) k.loop({ to: whole, step: wide }, (i) => body(i, wide));
  if (n - whole > 8) k.loop({ from: whole, to: n }, (i) => body(i, 1));
  else for (let i = whole; i < n; i++) body(i, 1);
}

/** Kernels that lay tensors into a larger one: pad and concat, on plain memory or on blocks of channels; and the two sources that need a kernel: iota, random bits. */

import { blockedChannels, type Layout, layoutKey, physicalShape, plain } from '../graph/layout.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import { affine, type F, type I32, type Int, type KernelBuilder } from '../ir/index.js';
import type { DType } from '../util/dtype.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import { elemOf } from './fused.js';
import { unravel } from './nest.js';

type Padding = readonly (readonly [lo: number, hi: number])[];

/** `value` around x: on plain memory, or on blocks of channels where x begins with a block of its own. */
export function padLowerings(
  x: Shape,
  padding: Padding,
  value: number,
  dtype: DType,
  { block }: TargetInfo,
): Lowering[] {
  const ways = [padLowering(x, padding, value, dtype, plain)];
  if (!hasChannels(x)) return ways;
  const [before, after] = padding[1];
  if (before % block === 0 && (after === 0 || x[1] % block === 0)) {
    ways.push(padLowering(x, padding, value, dtype, blockedChannels(x.length, block)));
  }
  return ways;
}

/** Tasks are rows of the result: all its axes but the last, or in blocks of channels all but the last and the lanes of a block. */
function padLowering(x: Shape, padding: Padding, value: number, dtype: DType, layout: Layout): Lowering {
  const { blockAxis, block } = layout;
  const last = x.length - 1;
  const inside = physicalShape(x, layout).slice(0, x.length);
  const whole = x.map((n, d) => n + padding[d][0] + padding[d][1]);
  const out = physicalShape(whole, layout).slice(0, x.length);
  const first = padding.map(([lo], d) => (d === blockAxis ? lo / block : lo));
  const rows = out.slice(0, last);
  const strides = contiguousStrides([...inside, block]);
  const before = first[last] ?? 0;
  const width = inside[last] ?? 1;
  return {
    key: `pad_${x.join('x')}_${padding.join('_')}_${value}_${dtype}_${layoutKey(layout)}`,
    inputs: [layout],
    output: layout,
    coords: blockAxis < 0 ? [numel(out)] : [out[0], out[1], numel(out.slice(2)), block],
    epilogue: true,
    build(k, epilogue) {
      const source = k.param('x', elemOf(dtype));
      epilogue.params(k);
      const wide = dtype === 'float32' ? k.lanes : 1;
      const fill = (w: number) => (dtype === 'float32' ? k.f32(value, w) : k.int(value, w));
      k.tasks(numel(rows), (task) => {
        const m = unravel(k, task, rows);
        let filled: I32 = k.i32(1);
        let from: I32 = k.i32(0);
        m.forEach((c, d) => {
          const shifted = c.sub(first[d]);
          if (inside[d] < out[d]) filled = filled.and(shifted.ltU(k.i32(inside[d])) as I32);
          from = from.add(shifted.mul(strides[d]));
        });
        const row = source.at(from);
        /** The elements of a row from `lo` to `hi`, each a block of lanes; those of x, or else blank. */
        const put = (lo: number, hi: number, ofX: boolean) => {
          if (blockAxis < 0) {
            const start = task.mul(out[last] ?? 1);
            stretch(k, hi - lo, wide, (i, w) =>
              epilogue.emit(k, ofX ? k.load(row, i, w) : fill(w), [affine(start).plus(lo).plus(i)]),
            );
            return;
          }
          const start = m
            .slice(2)
            .reduce((at, c, d) => at.mul(out[d + 2]).add(c), k.i32(0))
            .mul(out[last]);
          k.loop(hi - lo, (i) => {
            for (let lane = 0; lane < block; lane += wide) {
              const v = ofX ? k.load(row, affine(i).times(block).plus(lane), wide) : fill(wide);
              epilogue.emit(k, v, [m[0], m[1], affine(start).plus(lo).plus(i), lane]);
            }
          });
        };
        k.if(
          filled,
          () => {
            put(0, before, false);
            put(before, before + width, true);
            put(before + width, out[last] ?? 1, false);
          },
          () => put(0, out[last] ?? 1, false),
        );
      });
      return k.finish(`pad_${out.join('x')}`);
    },
  };
}

/** Tensors one after another along `axis`: on plain memory, or on blocks of channels where every tensor begins with a block of its own. */
export function concatLowerings(
  shapes: readonly Shape[],
  axis: number,
  dtype: DType,
  { block }: TargetInfo,
): Lowering[] {
  const ways = [concatLowering(shapes, axis, dtype)];
  if (!hasChannels(shapes[0])) return ways;
  if (axis === 1 ? shapes.slice(0, -1).every((s) => s[1] % block === 0) : axis === 0) {
    ways.push(blockedConcat(shapes, axis, dtype, block));
  }
  return ways;
}

/** Tasks are pieces of at most this many elements of one input's rows. */
const piece = 8192;

function concatLowering(shapes: readonly Shape[], axis: number, dtype: DType): Lowering {
  const inner = numel(shapes[0].slice(axis + 1));
  const outer = numel(shapes[0].slice(0, axis));
  const widths = shapes.map((s) => s[axis] * inner);
  const total = widths.reduce((a, b) => a + b, 0);
  const pieces = widths.map((w) => Math.ceil(w / piece));
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
      inPieces(k, outer, pieces, (i, row, which) => {
        const start = widths.slice(0, i).reduce((a, b) => a + b, 0);
        const from = which.mul(piece);
        const to = row.mul(total).add(from).add(start);
        const head = sources[i].at(row.mul(widths[i]).add(from));
        const copy = (n: number) =>
          stretch(k, n, wide, (e, w) => epilogue.emit(k, k.load(head, e, w), [affine(to).plus(e)]));
        const rest = widths[i] - (pieces[i] - 1) * piece;
        if (pieces[i] === 1 || rest === piece) copy(rest);
        else k.if(which.eq(pieces[i] - 1), () => copy(rest), () => copy(piece)); // biome-ignore format: one thought
      });
      return k.finish(`concat_${outer}x${total}`);
    },
  };
}

/** N C/b pixels b: along the channels or along N. Its coordinates are those four, so that what is done to whole channels can follow at once. */
function blockedConcat(shapes: readonly Shape[], axis: number, dtype: DType, block: number): Lowering {
  const layout = blockedChannels(shapes[0].length, block);
  const pixels = numel(shapes[0].slice(2));
  const planes = shapes.map((s) => (axis === 1 ? 1 : s[0]) * Math.ceil(s[1] / block)); // of each input, in a row of the result
  const before = planes.map((_, i) => planes.slice(0, i).reduce((a, b) => a + b, 0));
  const total = planes.reduce((a, b) => a + b, 0);
  const blocks = axis === 1 ? total : Math.ceil(shapes[0][1] / block);
  const images = axis === 1 ? shapes[0][0] : total / blocks;
  const each = Math.max(1, Math.floor(piece / (pixels * block))); // planes of a task
  const name = `concat_${shapes.map((s) => s.join('x')).join('_')}_${axis}_${dtype}b${block}`;
  return {
    key: name,
    inputs: shapes.map(() => layout),
    output: layout,
    coords: [images, blocks, pixels, block],
    epilogue: true,
    build(k, epilogue) {
      const sources = shapes.map((_, i) => k.param(`x${i}`, elemOf(dtype)));
      epilogue.params(k);
      const wide = dtype === 'float32' ? k.lanes : 1;
      const outer = axis === 1 ? images : 1;
      inPieces(k, outer, planes.map((n) => Math.ceil(n / each)), (i, row, which) => {
        const from = which.mul(each);
        k.loop({ from, to: from.add(each).min(k.i32(planes[i])) }, (plane) => {
          const at = row.mul(total).add(plane).add(before[i]);
          const [image, channels] = [at.div(blocks), at.rem(blocks)];
          const head = sources[i].at(row.mul(planes[i]).add(plane).mul(pixels * block));
          k.loop(pixels, (pixel) => {
            for (let lane = 0; lane < block; lane += wide) {
              const value = k.load(head, affine(pixel).times(block).plus(lane), wide);
              epilogue.emit(k, value, [image, channels, pixel, lane]);
            }
          });
        });
      }); // biome-ignore format: one thought
      return k.finish(`concat_${images}x${blocks}x${pixels}x${block}`);
    },
  };
}

/** One task for each piece of each input in each of `outer` rows: `body(input, row, piece)`. */
function inPieces(
  k: KernelBuilder,
  outer: number,
  pieces: readonly number[],
  body: (input: number, row: I32, piece: I32) => void,
): void {
  const total = pieces.reduce((a, b) => a + b, 0);
  k.tasks(outer * total, (task) => {
    const row = task.div(total);
    const which = task.rem(total);
    let first = 0;
    pieces.forEach((count, i) => {
      const lo = first;
      first += count;
      if (count === 0) return;
      k.if(which.sub(lo).ltU(k.i32(count)) as I32, () => body(i, row, which.sub(lo)));
    });
  });
}

/** N C and one to three spatial axes. */
function hasChannels(shape: Shape): boolean {
  return shape.length >= 3 && shape.length <= 5;
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

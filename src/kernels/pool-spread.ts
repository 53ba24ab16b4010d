/**
 * The gradient of a maximum over windows that lie side by side (2×2 with stride 2): a window's elements are nobody else's, so as soon as its
 * first maximum is known, each of them gets the window's gradient or 0: from the last element on, what the maximum of the elements before it
 * does not keep. Elements behind the last window get 0.
 */

import {
  type Affine,
  affine,
  type Float,
  type I32,
  type Int,
  type KernelBuilder,
  type Ptr,
  type Value,
} from '../ir/index.js';
import { callAhead } from './ahead.js';
import { loadLanes } from './fused.js';
import type { Planes, PoolWindow } from './pool-shape.js';

export interface Spread {
  readonly window: PoolWindow;
  readonly planes: Planes;
  readonly dy: Ptr<'f32'>;
  readonly x: Ptr<'f32'>;
}

/** Windows of more elements are not written out. */
const mostTaps = 16;

/** True where windows of a flat input touch, do not overlap, and begin where it begins. */
export function tilesInput(w: PoolWindow): boolean {
  const [, kh, kw] = w.kernel;
  const flat = w.in[0] === 1 && w.out[0] === 1 && w.kernel[0] === 1;
  const inside = [1, 2].every(
    (i) => w.padLo[i] === 0 && w.kernel[i] === w.stride[i] && w.dilation[i] === 1 && w.out[i] * w.stride[i] <= w.in[i],
  );
  return flat && inside && kh * kw <= mostTaps;
}

type Emit = (pixel: I32 | Affine, v: number, value: Value) => void;

/** Spreads one row of windows, and zeros behind its last one. */
export function spreadRow(k: KernelBuilder, s: Spread, oh: I32, emit: Emit): void {
  const { window: w, planes } = s;
  const { block, width } = planes;
  const [, kh, kw] = w.kernel;
  const row = oh.mul(kh * w.in[2]);
  const windows = oh.mul(w.out[2]);
  /** One window, or with `lanes` as many side by side where pixels are single numbers. */
  const spread = (ow: I32, lanes: number) => {
    const origin = row.add(ow.mul(kw));
    const x = s.x.at(affine(origin).times(block));
    const dy = s.dy.at(affine(windows.add(ow)).times(block));
    const shift = (tap: number) => Math.floor(tap / kw) * w.in[2] + (tap % kw);
    const load = (tap: number, v: number): Float =>
      lanes === 1
        ? k.load(x, shift(tap) * block + v * width, width)
        : (loadLanes(k, x.at(shift(tap)), kw, lanes) as Float);
    // As much of the input as these windows leave behind, beyond the rows that they see.
    const seen = affine(row.add(ow.mul(kh * kw))).plus((kh - 1) * w.in[2]);
    callAhead(k, s.x, seen.times(block), kh * kw * block * lanes);
    callAhead(k, dy, 0, block * lanes);
    for (let v = 0; v < block / width; v++) {
      let best = load(0, v);
      // Where the maximum of all taps before stays the maximum.
      const stays: Int[] = [];
      for (let tap = 1; tap < kh * kw; tap++) {
        const value = load(tap, v);
        const keep = value.le(best).or(best.ne(best));
        stays.push(keep);
        best = k.select(keep, best, value);
      }
      let sent: Float = k.load(dy, v * width, Math.max(width, lanes));
      const parts: Float[] = [];
      for (let tap = kh * kw - 1; tap > 0; tap--) {
        parts.unshift(k.select<Float>(stays[tap - 1], 0, sent));
        sent = k.select<Float>(stays[tap - 1], sent, 0);
      }
      // Memory is written from its beginning to its end.
      const all = [sent, ...parts];
      // Rows have addresses of their own: with one for all, V8's code was 40 % slower out of the cache.
      if (lanes === 1) {
        for (const [tap, part] of all.entries()) {
          const column = tap % kw;
          emit(affine(origin.add(shift(tap - column))).plus(column), v, part);
        }
      } else
        for (let h = 0; h < kh; h++) {
          for (let i = 0; i < lanes * kw; i++) {
            const pixel = affine(origin).plus(h * w.in[2] + i);
            emit(pixel, 0, all[h * kw + (i % kw)].lane(Math.floor(i / kw)));
          }
        }
    }
  };
  const lanes = block === 1 ? k.lanes : 1;
  const along = lanes === 1 ? 0 : w.out[2] - (w.out[2] % lanes);
  k.loop({ from: 0, to: along, step: lanes }, (ow) => spread(ow, lanes));
  k.loop({ from: along, to: w.out[2] }, (ow) => spread(ow, 1));
  const covered = w.out[2] * kw;
  for (let h = 0; h < kh; h++) zeros(k, planes, row.add(h * w.in[2] + covered), w.in[2] - covered, emit);
}

/** Zeros in the rows behind the last window. */
export function spreadNothing(k: KernelBuilder, s: Spread, emit: Emit): void {
  const { window: w, planes } = s;
  const covered = w.out[1] * w.kernel[1] * w.in[2];
  zeros(k, planes, k.i32(covered), w.in[1] * w.in[2] - covered, emit);
}

function zeros(k: KernelBuilder, planes: Planes, from: I32, count: number, emit: Emit): void {
  k.loop(count, (i) => {
    for (let v = 0; v < planes.block / planes.width; v++) emit(from.add(i), v, k.f32(0, planes.width));
  });
}

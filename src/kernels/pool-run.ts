/**
 * Rows of windows with few taps, several neighbouring windows at a time. What is inside the input is known now along the row; a row of taps
 * above or below the input is replaced by the nearest inside, which changes no maximum. Sums and maxima are taken down each column first,
 * whose result serves all windows over it.
 */

import { affine, type Float, type I32, type Int, type KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import { callAhead } from './ahead.js';
import { loadLanes } from './fused.js';
import { type Planes, type PoolWindow, pixels, wide } from './pool-shape.js';

/** max: the maximum (−∞ of nothing). position: its place in the plane (−1). at: what `other` holds there (0). sum: of all taps. */
export type Looked = 'max' | 'position' | 'at' | 'sum';

/** Takes vector `v` of the block of window `first` + `shift` of the row. */
export type Scanned = (first: I32, shift: number, v: number, value: Value) => void;

/** A row of taps: where its first column lies. */
export interface TapRow {
  readonly place: I32;
  readonly x: Ptr<'f32'>;
  readonly other: Ptr<'f32'> | null;
}

interface Runs {
  readonly window: PoolWindow;
  readonly planes: Planes;
  readonly looked: Looked;
}

const mostTaps = 32;
const mostAtEdge = 4;

/** True where windows have few taps and few of them reach over an end of the row, none of them wholly. */
export function inRuns(w: PoolWindow): boolean {
  const { from, to } = columnsInside(w);
  if (pixels(w.kernel) > mostTaps || from > mostAtEdge || w.out[2] - to > mostAtEdge) return false;
  return Array.from({ length: w.out[2] }, (_, ow) => tapsOf(w, ow)).every((taps) => taps.length > 0);
}

/** True where a row of taps outside the input may be replaced by the nearest inside: that one is the window's too. */
export function clampable(w: PoolWindow, axis: number): boolean {
  const last = (w.out[axis] - 1) * w.stride[axis] - w.padLo[axis];
  return w.dilation[axis] === 1 && w.padLo[axis] < w.kernel[axis] && last < w.in[axis];
}

/** Windows of a row all of whose columns lie inside. */
export function columnsInside(w: PoolWindow): { from: number; to: number } {
  const span = (w.kernel[2] - 1) * w.dilation[2];
  const from = Math.min(w.out[2], Math.ceil(w.padLo[2] / w.stride[2]));
  const to = Math.floor((w.in[2] - 1 - span + w.padLo[2]) / w.stride[2]) + 1;
  return { from, to: Math.max(from, Math.min(w.out[2], to)) };
}

/** Scans a row of windows. Positions and what is there need an input without NaN. */
export function scanRuns(k: KernelBuilder, s: Runs, rows: readonly TapRow[], done: Scanned): void {
  const { window: w, looked } = s;
  const choosing = looked === 'position' || looked === 'at';
  const run = (first: I32, windows: readonly (readonly number[])[], lanes = 1) => {
    // As much as these windows leave behind, beyond the rows that they see; a look for NaN has been everywhere already.
    if (!choosing) {
      const [, sh, sw] = w.stride;
      const { block } = s.planes;
      const at = affine(first)
        .times(sh * sw * block)
        .plus((sh - 1) * w.in[2] * block);
      callAhead(k, rows[Math.max(0, rows.length - sh)].x, at, windows.length * sh * sw * block * lanes);
    }
    if (choosing) chooseRun(k, s, rows, first, windows, done, lanes);
    else foldRun(k, s, rows, first, windows, done, lanes);
  };
  const known = (from: number, to: number) => {
    const windows = Array.from({ length: to - from }, (_, j) => tapsOf(w, from + j));
    if (to > from) run(k.i32(from), windows);
  };
  const each = Math.max(1, Math.min(choosing ? 2 : 4, Math.floor((2 * mostTaps) / pixels(w.kernel))));
  const { from, to } = columnsInside(w);
  // Where pixels are single numbers, neighbouring windows fill the lanes. Collecting lanes from apart pays for no sum.
  const apart = w.stride[2] > 1;
  const lanes = s.planes.block === 1 && !(apart && looked !== 'max') ? k.lanes : 1;
  const along = lanes === 1 ? from : to - ((to - from) % lanes);
  const whole = to - ((to - along) % each);
  known(0, from);
  k.loop({ from, to: along, step: lanes }, (first) => run(first, [allTaps(w)], lanes));
  k.loop({ from: along, to: whole, step: each }, (first) => run(first, Array(each).fill(allTaps(w))));
  known(whole, w.out[2]);
}

const allTaps = (w: PoolWindow): number[] => Array.from({ length: w.kernel[2] }, (_, tw) => tw);

/** The taps of window `ow` inside the row. */
function tapsOf(w: PoolWindow, ow: number): number[] {
  const inside = (i: number) => i >= 0 && i < w.in[2];
  return allTaps(w).filter((tw) => inside(ow * w.stride[2] - w.padLo[2] + tw * w.dilation[2]));
}

type Load = (p: Ptr<'f32'>, column: number) => Float;

/** Loads vector `v` of a column counted from window `first`'s padding; with `lanes`, one number for each of as many windows. */
function loader(k: KernelBuilder, { window: w, planes }: Runs, first: I32, v: number, lanes = 1): Load {
  const start = affine(first).times(w.stride[2] * planes.block);
  return (p, column) => {
    const at = start.plus((column - w.padLo[2]) * planes.block + v * planes.width);
    return lanes === 1 ? k.load(p, at, planes.width) : (loadLanes(k, p.at(at), w.stride[2], lanes) as Float);
  };
}

/** Maxima or sums; with `lanes`, of as many windows as of the one. */
function foldRun(
  k: KernelBuilder,
  s: Runs,
  rows: readonly TapRow[],
  first: I32,
  windows: readonly (readonly number[])[],
  done: Scanned,
  lanes = 1,
): void {
  const { window: w, planes, looked } = s;
  for (let v = 0; v < planes.block / planes.width; v++) {
    const load = loader(k, s, first, v, lanes);
    const columns = new Map<number, Fold>();
    const column = (at: number): Fold => {
      let folded = columns.get(at);
      if (folded === undefined) {
        const taps = rows.map((r) => load(r.x, at));
        folded = looked === 'max' ? maximum(k, taps) : { value: taps.reduce((sum, x) => sum.add(x)), seen: null };
        columns.set(at, folded);
      }
      return folded;
    };
    windows.forEach((taps, j) => {
      const over = taps.map((tw) => column(j * w.stride[2] + tw * w.dilation[2]));
      if (looked === 'sum') {
        done(
          first,
          j,
          v,
          over.map((c) => c.value).reduce((sum, x) => sum.add(x)),
        );
        return;
      }
      const best = over.map((c) => c.value).reduce((most, x) => most.pmax(x));
      const seen = over.map((c) => c.seen!).reduce((sum, x) => sum.add(x));
      done(first, j, v, k.select(seen.ne(seen), seen, best));
    });
  }
}

interface Fold {
  readonly value: Float;
  /** 1 + Σ x²: NaN if and only if an x is. */
  readonly seen: Float | null;
}

function maximum(k: KernelBuilder, taps: readonly Float[]): Fold {
  return {
    value: taps.reduce((most, x) => most.pmax(x)),
    seen: taps.reduce((sum, x) => sum.fma(x, x), k.f32(1, taps[0].width)),
  };
}

/** First maxima, by their positions or by what another tensor holds there. */
function chooseRun(
  k: KernelBuilder,
  s: Runs,
  rows: readonly TapRow[],
  first: I32,
  windows: readonly (readonly number[])[],
  done: Scanned,
  lanes = 1,
): void {
  const { window: w, planes } = s;
  const width = Math.max(planes.width, lanes);
  const places =
    s.looked === 'position'
      ? rows.map((r) => allTaps(w).map((tw) => wide(k, r.place.add(tw * w.dilation[2] - w.padLo[2]), width)))
      : null;
  for (let v = 0; v < planes.block / planes.width; v++) {
    const load = loader(k, s, first, v, lanes);
    windows.forEach((taps, j) => {
      let best: Float | null = null;
      let chosen: Value | null = null;
      rows.forEach((r, i) => {
        for (const tw of taps) {
          const column = j * w.stride[2] + tw * w.dilation[2];
          const value = load(r.x, column);
          const found: Value = places === null ? load(r.other!, column) : places[i][tw];
          chosen = best === null ? found : k.select<Value>(value.gt(best), found, chosen!);
          best = best === null ? value : best.pmax(value);
        }
      });
      if (places === null) done(first, j, v, chosen!);
      else {
        const shift = wide(k, first.add(j).mul(w.stride[2]), width);
        const place = (chosen! as Int).add(shift);
        done(first, j, v, lanes === 1 ? place : place.add(k.iota().mul(w.stride[2])));
      }
    });
  }
}

/** Looks at pixels from `start` on, as far as it is called for, and says whether none of them was NaN so far. */
export function watchNaN(k: KernelBuilder, { block }: Planes, x: Ptr<'f32'>, start: I32): (end: I32) => I32 {
  const seen = k.var(start);
  const clean = k.var(k.i32(1));
  const width = k.lanes;
  const each = Math.max(1, (8 * width) / block);
  return (end) => {
    const sums = Array.from({ length: (each * block) / width }, () => k.var(k.f32(1, width)));
    const rest = k.var(k.f32(1, 1));
    const look = (from: I32, count: number) => {
      callAhead(k, x, affine(from).times(block), count * block);
      if (count * block < width) {
        const value = k.load(x, affine(from).times(block), 1);
        rest.fma(value, value);
        return;
      }
      for (let i = 0; i < (count * block) / width; i++) {
        const value = k.load(
          x,
          affine(from)
            .times(block)
            .plus(i * width),
          width,
        );
        sums[i].fma(value, value);
      }
    };
    const from = seen.value;
    const whole = from.add(end.sub(from).max(k.i32(0)).div(each).mul(each));
    k.loop({ from, to: whole, step: each }, (i) => look(i, each));
    k.loop({ from: whole, to: end }, (i) => look(i, 1));
    seen.set(end.max(from));
    const sum = sums.map((v) => v.value).reduce((a, b) => a.add(b));
    const all = block === 1 ? k.sumLanes(sum).add(rest.value) : k.sumLanes(sum);
    clean.set(clean.value.and(all.eq(all)));
    return clean.value;
  };
}

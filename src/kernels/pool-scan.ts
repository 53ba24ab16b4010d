/**
 * Looks through windows: their maximum, where it is, what another tensor holds there, or their sum. Taps are visited in row-major order;
 * the first maximum wins and NaN counts as the maximum. Windows that lie inside the input have their taps written out, the others loop over
 * the taps that remain.
 */

import type { Float, I32, Int, KernelBuilder, Ptr, Value, Var } from '../ir/index.js';
import { affine } from '../ir/index.js';
import {
  clampable,
  columnsInside,
  inRuns,
  type Looked,
  type Scanned,
  scanRuns,
  type TapRow,
  watchNaN,
} from './pool-run.js';
import {
  allTaps,
  combine,
  eachOf,
  indexValue,
  neverClipped,
  type Planes,
  type PoolWindow,
  type Range,
  tapsInside,
  wide,
} from './pool-shape.js';

export interface Scan {
  readonly window: PoolWindow;
  readonly planes: Planes;
  readonly looked: Looked;
  /** The plane looked through, and for 'at' the plane read. */
  readonly x: Ptr<'f32'>;
  readonly other: Ptr<'f32'> | null;
  /** See `watchNaN`; for what needs an input without NaN to be fast. */
  readonly watch: ((end: I32) => I32) | null;
}

/** A scan of the windows from row `firstRow` on. */
export function newScan(k: KernelBuilder, s: Omit<Scan, 'watch'>, firstRow: I32): Scan {
  const { window: w } = s;
  if ((s.looked !== 'position' && s.looked !== 'at') || !inRuns(w)) return { ...s, watch: null };
  const start = (o: I32, axis: number) => o.mul(w.stride[axis]).sub(w.padLo[axis]).max(k.i32(0));
  // With depth, later windows may reach back to the first row of the first plane.
  const row = w.out[0] === 1 ? start(firstRow, 1) : start(firstRow.div(w.out[1]), 0).mul(w.in[1]);
  return { ...s, watch: watchNaN(k, s.planes, s.x, row.mul(w.in[2])) };
}

/** More taps than this are looped over. */
const writtenTaps = 32;

/** Scans the windows of one row of the output. */
export function scanRow(k: KernelBuilder, s: Scan, od: I32, oh: I32, done: Scanned): void {
  const { window: w } = s;
  if (!inRuns(w)) {
    scanApart(k, s, od, oh, done);
    return;
  }
  // Rows outside are left out, unless the nearest ones can stand for them.
  const leftOut = [0, 1].filter((axis) => !neverClipped(w, axis) && (s.looked === 'sum' || !clampable(w, axis)));
  const inside = [od, oh].map((o, axis) => tapsInside(k, w, axis, o));
  const runs = (high: Range) => scanRuns(k, s, tapRows(k, s, od, oh, high), done);
  const apart = () => scanApart(k, s, od, oh, done);
  // Where one row of taps is missing, as in a padding of 1.
  const but1 = w.kernel[1] - 1;
  const otherwise = () => {
    if (s.watch !== null || leftOut.length !== 1 || leftOut[0] === 0 || but1 === 0) apart();
    else k.if(inside[1].count.eq(but1), () => runs({ from: inside[1].from, count: but1 }), apart);
  };
  let fast = s.watch?.(lastPixel(k, w, od, oh)) ?? k.i32(1);
  for (const axis of leftOut) fast = inside[axis].count.eq(w.kernel[axis]).and(fast);
  k.if(fast, () => runs({ from: 0, count: w.kernel[1] }), otherwise);
}

/** Behind the last pixel that windows of a row see. */
function lastPixel(k: KernelBuilder, w: PoolWindow, od: I32, oh: I32): I32 {
  const last = (o: I32, axis: number) =>
    o
      .mul(w.stride[axis])
      .add((w.kernel[axis] - 1) * w.dilation[axis] - w.padLo[axis])
      .min(k.i32(w.in[axis] - 1));
  return last(od, 0).mul(w.in[1]).add(last(oh, 1)).add(1).mul(w.in[2]);
}

/** The rows of taps of a row of windows, those outside replaced by the nearest. */
function tapRows(k: KernelBuilder, s: Scan, od: I32, oh: I32, high: Range): TapRow[] {
  const { window: w, planes } = s;
  const count = high.count as number;
  const row = (td: number, t: number): TapRow => {
    const th = typeof high.from === 'number' ? k.i32(high.from + t) : high.from.add(t);
    const [d, h] = [
      [od, k.i32(td)],
      [oh, th],
    ].map(([o, t], axis) => {
      const at = o.mul(w.stride[axis]).add(t.mul(w.dilation[axis]).sub(w.padLo[axis]));
      return neverClipped(w, axis) ? at : at.max(k.i32(0)).min(k.i32(w.in[axis] - 1));
    });
    const place = d.mul(w.in[1]).add(h).mul(w.in[2]);
    const start = affine(place).times(planes.block);
    return { place, x: s.x.at(start), other: s.other?.at(start) ?? null };
  };
  return Array.from({ length: w.kernel[0] * count }, (_, t) => row(Math.floor(t / count), t % count));
}

/** Scans the windows of a row one by one. */
function scanApart(k: KernelBuilder, s: Scan, od: I32, oh: I32, each: Scanned): void {
  const { window: w } = s;
  const done = (ow: I32, values: readonly Value[]) => {
    for (const [v, value] of values.entries()) each(ow, 0, v, value);
  };
  const [kd, kh, kw] = w.kernel;
  const writtenRows = kd * kh * kw <= writtenTaps;
  const writtenColumns = kw <= writtenTaps / 2;
  const rowsOf = [od, oh].map((o, axis) => (neverClipped(w, axis) ? null : tapsInside(k, w, axis, o)));
  const whole = [allTaps(k, kd, writtenRows), allTaps(k, kh, writtenRows)];
  const partial = rowsOf.map((r, axis) => r ?? whole[axis]);
  const origin = indexValue(
    k,
    combine([od, oh], [w.stride[0] * w.in[1] * w.in[2], w.stride[1] * w.in[2]]).plus(
      -((w.padLo[0] * w.in[1] + w.padLo[1]) * w.in[2] + w.padLo[2]),
    ),
  );

  if (inRuns(w)) {
    // Seldom run, so short.
    k.loop(w.out[2], (ow) => done(ow, scanWindow(k, s, origin, ow, [...partial, tapsInside(k, w, 2, ow)])));
    return;
  }
  const inside = columnsInside(w);
  const columns = (rows: readonly Range[]) => {
    const edge = (ow: I32) => done(ow, scanWindow(k, s, origin, ow, [...rows, tapsInside(k, w, 2, ow)]));
    const interior = (ow: I32) => done(ow, scanWindow(k, s, origin, ow, [...rows, allTaps(k, kw, writtenColumns)]));
    k.loop({ from: 0, to: inside.from }, edge);
    k.loop({ from: inside.from, to: inside.to }, interior);
    k.loop({ from: inside.to, to: w.out[2] }, edge);
  };
  let complete: I32 | null = null;
  rowsOf.forEach((r, axis) => {
    if (r === null) return;
    const all = r.count.eq(w.kernel[axis]);
    complete = complete === null ? all : complete.and(all);
  });
  if (complete === null || !writtenRows) columns(complete === null ? whole : partial);
  else
    k.if(
      complete,
      () => columns(whole),
      () => columns(partial),
    );
}

/** A tap: `shift` pixels behind one at `place` that is inside the plane. Shifts are known now and go into the instructions. */
interface Tap {
  readonly place: I32;
  readonly places: Int | null;
  readonly shift: number;
}

function scanWindow(k: KernelBuilder, s: Scan, rowOrigin: I32, ow: I32, taps: readonly Range[]): Value[] {
  const { looked } = s;
  const { width, block } = s.planes;
  const choosing = looked === 'position' || looked === 'at';
  // Written out, it is known now which tap is the first.
  const begins = taps.every((r) => typeof r.count === 'number');
  const begun = begins || !choosing ? null : k.var(k.int(0, width));
  const best: Var<Float>[] = [];
  const chosen: Var<Value>[] = [];
  const load = (p: Ptr<'f32'>, t: Tap, v: number) =>
    k.load(p.at(affine(t.place).times(block)), t.shift * block + v * width, width);
  const found = (t: Tap, v: number): Value => (looked === 'position' ? t.places!.add(t.shift) : load(s.other!, t, v));
  const take = (t: Tap, v: number) => {
    const value = load(s.x, t, v);
    const before = best[v].value;
    if (looked === 'sum') {
      best[v].addTo(value);
      return;
    }
    // Comparing and selecting is also twice as fast as a maximum that minds NaN and the sign of 0.
    let keep: Int = value.le(before).or(before.ne(before));
    if (begun !== null) keep = keep.and(begun.value);
    best[v].set(k.select(keep, before, value));
    if (choosing) chosen[v].set(k.select(keep, chosen[v].value, found(t, v)));
  };
  const begin = (v: number, value: Float, at: () => Value) => {
    best[v] = k.var(value);
    if (choosing) chosen[v] = k.var(at());
  };

  const vectors = Array.from({ length: block / width }, (_, v) => v);
  if (!begins) {
    const nothing = k.f32(looked === 'sum' ? 0 : Number.NEGATIVE_INFINITY, width);
    for (const v of vectors) begin(v, nothing, () => (looked === 'position' ? k.int(-1, width) : k.f32(0, width)));
  }
  let first = begins;
  eachTap(k, s, rowOrigin.add(ow.mul(s.window.stride[2])), taps, (tap) => {
    for (const v of vectors) {
      if (first) begin(v, load(s.x, tap, v), () => found(tap, v));
      else take(tap, v);
    }
    first = false;
    begun?.set(k.int(width === 1 ? 1 : -1, width));
  });
  return vectors.map((v) => (choosing ? chosen : best)[v].value);
}

/** Visits taps in row-major order. Places are sums at run time wherever a static part of them alone could point before the plane. */
function eachTap(k: KernelBuilder, s: Scan, origin: I32, taps: readonly Range[], visit: (tap: Tap) => void): void {
  const { window: w, planes, looked } = s;
  const steps = [w.dilation[0] * w.in[1] * w.in[2], w.dilation[1] * w.in[2], w.dilation[2]];
  const [rowsWritten, columnsWritten] = [taps.slice(0, 2), taps.slice(2)].map((axes) =>
    axes.every((r) => typeof r.count === 'number'),
  );
  const tapAt = (place: I32): Tap => ({
    place,
    places: looked === 'position' ? wide(k, place, planes.width) : null,
    shift: 0,
  });
  const start = rowsWritten && columnsWritten ? tapAt(origin) : null;
  eachOf(k, taps[0], (td) => {
    eachOf(k, taps[1], (th) => {
      const row = combine([td, th], steps);
      const inRow = start === null && columnsWritten ? tapAt(origin.add(indexValue(k, row))) : null;
      eachOf(k, taps[2], (tw) => {
        if (start !== null) visit({ ...start, shift: row.constant + (tw as number) * steps[2] });
        else if (inRow !== null) visit({ ...inRow, shift: (tw as number) * steps[2] });
        else visit(tapAt(origin.add(indexValue(k, row.plus(affine(tw).times(steps[2]))))));
      });
    });
  });
}

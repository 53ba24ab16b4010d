/**
 * The gradient of a maximum over windows that overlap (3×3 with stride 2), window by window: each sends its gradient to its first maximum, and
 * what neighbouring windows send to the same element is added on the way. Along a row, the columns that the next window sees too wait in
 * registers; the rows that the next row of windows sees too wait in scratch, `carry`. No positions are kept.
 *
 * Sums are added in the order of the windows, wherever rows are cut into tasks: a task begins with the rows of windows that reach into its own.
 */

import {
  type Affine,
  affine,
  type Float,
  type I32,
  type Int,
  type KernelBuilder,
  type Ptr,
  type VarF,
} from '../ir/index.js';
import { callAhead } from './ahead.js';
import { columnsInside, inRuns, watchNaN } from './pool-run.js';
import { type Planes, type PoolWindow, pixels } from './pool-shape.js';

export interface Overlap {
  readonly window: PoolWindow;
  readonly planes: Planes;
  readonly dy: Ptr<'f32'>;
  readonly x: Ptr<'f32'>;
  /** `carriedRows` rows of the input. */
  readonly carry: Ptr<'f32'>;
}

/** Takes the vector that begins at lane `lane` of a pixel. */
export type EmitLanes = (pixel: I32 | Affine, lane: I32, value: Float) => void;

const mostTaps = 16;
const mostBorderRows = 4;

/** True where windows of a flat input leave no gaps and are written out in few ways. */
export function overlapsInput(w: PoolWindow): boolean {
  const flat = w.in[0] === 1 && w.out[0] === 1 && w.kernel[0] === 1;
  const dense = [1, 2].every((i) => w.dilation[i] === 1 && w.kernel[i] >= w.stride[i]);
  if (!flat || !dense || pixels(w.kernel) > mostTaps || !inRuns(w)) return false;
  const rows = windowRows(w);
  return rows.borders.length <= mostBorderRows && rows.borders.every((b) => b.from < b.to);
}

/** Rows that a row of windows shares with later ones: what it carries on. */
export const carriedRows = (w: PoolWindow): number => w.kernel[1] - w.stride[1];

/** Rows of windows before a row that share elements with it. */
export const rowsBefore = (w: PoolWindow): number => Math.floor((w.kernel[1] - 1) / w.stride[1]);

interface BorderRow {
  readonly row: number;
  /** Its rows of taps inside the input. */
  readonly from: number;
  readonly to: number;
}

/** Rows of windows that reach over an end of the input. The others have all their rows of taps. */
function windowRows(w: PoolWindow): { borders: BorderRow[] } {
  const borders: BorderRow[] = [];
  for (let row = 0; row < w.out[1]; row++) {
    const start = row * w.stride[1] - w.padLo[1];
    const [from, to] = [Math.max(0, -start), Math.min(w.kernel[1], w.in[1] - start)];
    if (from > 0 || to < w.kernel[1]) borders.push({ row, from, to });
  }
  return { borders };
}

/** Everything that rows `from` … `to` − 1 of windows are the last to send to. */
export function sendRows(k: KernelBuilder, s: Overlap, from: I32, to: I32, emit: EmitLanes): void {
  const { window: w, planes } = s;
  const { block, width } = planes;
  const [, kh] = w.kernel;
  const [, sh] = w.stride;
  const rowElements = w.in[2] * block;
  const first = from.sub(rowsBefore(w)).max(k.i32(0));
  const firstInput = first.mul(sh).sub(w.padLo[1]).max(k.i32(0));
  const watch = watchNaN(k, planes, s.x, firstInput.mul(w.in[2]));
  k.loop({ to: carriedRows(w) * rowElements, step: width }, (i) => k.store(s.carry, i, k.f32(0, width)));
  const { borders } = windowRows(w);

  k.loop({ from: first, to }, (row) => {
    const start = row.mul(sh).sub(w.padLo[1]);
    const clean = watch(start.add(kh).min(k.i32(w.in[1])).mul(w.in[2]));
    const taps = (inside: { from: number; to: number }) => {
      const send = (hasNaN: boolean) => () =>
        k.loop({ to: block, step: width }, (lane) =>
          sendRow(k, s, { row, start, taps: inside, hasNaN, lane, writes: row.ge(from) }, emit),
        );
      k.if(clean, send(false), send(true));
    };
    const dispatch = ([border, ...rest]: readonly BorderRow[]): void => {
      if (border === undefined) taps({ from: 0, to: kh });
      else
        k.if(
          row.eq(border.row),
          () => taps(border),
          () => dispatch(rest),
        );
    };
    dispatch(borders);
  });
  k.if(to.eq(w.out[1]), () => sendRest(k, s, emit));
}

/** Columns that no window sees begin here. */
const coveredColumns = (w: PoolWindow): number =>
  Math.min(w.in[2], (w.out[2] - 1) * w.stride[2] - w.padLo[2] + w.kernel[2]);

/** What the last row of windows carries on, and the rows behind. */
function sendRest(k: KernelBuilder, s: Overlap, emit: EmitLanes): void {
  const { window: w, planes } = s;
  const { block, width } = planes;
  const next = w.out[1] * w.stride[1] - w.padLo[1];
  const covered = coveredColumns(w);
  const each = (columns: number, body: (column: I32, lane: I32) => void) =>
    k.loop(columns, (column) => k.loop({ to: block, step: width }, (lane) => body(column, lane)));
  for (let i = 0; i < carriedRows(w) && next + i < w.in[1]; i++) {
    const row = (next + i) * w.in[2];
    each(covered, (column, lane) => {
      const at = affine(column)
        .plus(i * w.in[2])
        .times(block)
        .plus(lane);
      emit(affine(column).plus(row), lane, k.load(s.carry, at, width));
    });
    each(w.in[2] - covered, (column, lane) => emit(affine(column).plus(row + covered), lane, k.f32(0, width)));
  }
  const behind = (next + carriedRows(w)) * w.in[2];
  each(pixels(w.in) - behind, (pixel, lane) => emit(affine(pixel).plus(behind), lane, k.f32(0, width)));
}

interface Row {
  readonly row: I32;
  /** The row of the input under the first row of taps. */
  readonly start: I32;
  readonly taps: { readonly from: number; readonly to: number };
  readonly hasNaN: boolean;
  readonly lane: I32;
  /** Whether its results are the task's to write. */
  readonly writes: I32;
}

/** One row of windows. */
function sendRow(k: KernelBuilder, s: Overlap, r: Row, emit: EmitLanes): void {
  const { window: w, planes } = s;
  const { block, width } = planes;
  const [, kh, kw] = w.kernel;
  const [, sh, sw] = w.stride;
  const rows = Array.from({ length: r.taps.to - r.taps.from }, (_, i) => r.taps.from + i);
  const line = (i: number) =>
    s.x.at(
      affine(r.start)
        .plus(i)
        .times(w.in[2] * block)
        .plus(r.lane),
    );
  const x = new Map(rows.map((i) => [i, line(i)]));
  const dy = s.dy.at(
    affine(r.row)
      .times(w.out[2] * block)
      .plus(r.lane),
  );
  const carryOf = (i: number) => s.carry.at(i * w.in[2] * block).at(r.lane);
  /** For each row of taps the columns that later windows see too. */
  const waiting = new Map<number, VarF[]>();
  for (const i of rows)
    waiting.set(
      i,
      Array.from({ length: kw - sw }, () => k.zero(width)),
    );

  /** The sum of what a row of windows sends to row `i` of its taps. */
  const done = (results: readonly { i: number; column: Affine; value: Float }[]) => {
    const written: { i: number; column: Affine; value: Float }[] = [];
    for (const { i, column, value } of results) {
      const at = column.times(block);
      const sum = i < kh - sh ? k.load(carryOf(i), at, width).add(value) : value;
      if (i < sh) written.push({ i, column, value: sum });
      else k.store(carryOf(i - sh), at, sum);
    }
    if (written.length === 0) return;
    k.if(r.writes, () => {
      const origin = r.start.mul(w.in[2]);
      for (const { i, column, value } of written)
        emit(
          affine(origin)
            .plus(i * w.in[2])
            .plus(column),
          r.lane,
          value,
        );
    });
  };

  const send = (first: I32, windows: readonly (readonly number[])[]) => {
    const start = affine(first).times(sw).plus(-w.padLo[2]);
    const load = (i: number, column: number) => k.load(x.get(i)!, start.plus(column).times(block), width);
    const maxima = new Map<number, Float>();
    const columnMaximum = (column: number): Float => {
      const known = maxima.get(column) ?? rows.map((i) => load(i, column)).reduce((a, b) => a.pmax(b));
      maxima.set(column, known);
      return known;
    };
    callAhead(k, dy, affine(first).times(block), windows.length * block);
    windows.forEach((columns, j) => {
      const taps = rows.flatMap((i) => columns.map((c) => ({ i, c })));
      const value = ({ i, c }: { i: number; c: number }) => load(i, j * sw + c);
      const best = r.hasNaN
        ? taps.map(value).reduce((a, b) => k.select<Float>(b.le(a).or(a.ne(a)), a, b))
        : columns.map((c) => columnMaximum(j * sw + c)).reduce((a, b) => a.pmax(b));
      let left: Float = k.load(dy, affine(first).plus(j).times(block), width);
      const parts = new Map<number, Float>();
      taps.forEach((tap, t) => {
        const key = tap.i * kw + tap.c;
        if (t === taps.length - 1) {
          parts.set(key, left);
          return;
        }
        const v = value(tap);
        const equal: Int = best.eq(v);
        const found = r.hasNaN ? equal.or(v.ne(v)) : equal;
        parts.set(key, k.select<Float>(found, left, 0));
        left = k.select<Float>(found, 0, left);
      });
      /** With what earlier windows have sent there. */
      const total = (i: number, c: number): Float | null => {
        const part = parts.get(i * kw + c) ?? null;
        if (c >= kw - sw) return part;
        const before = waiting.get(i)![c].value;
        return part === null ? before : before.add(part);
      };
      const results: { i: number; column: Affine; value: Float }[] = [];
      for (let c = 0; c < sw; c++) {
        if (!columns.includes(c)) continue;
        for (const i of rows) results.push({ i, column: start.plus(j * sw + c), value: total(i, c)! });
      }
      for (const i of rows) {
        waiting.get(i)!.forEach((v, c) => {
          v.set(total(i, c + sw) ?? 0);
        });
      }
      done(results);
    });
  };

  const inside = (ow: number) =>
    Array.from({ length: kw }, (_, c) => c).filter((c) => {
      const at = ow * sw - w.padLo[2] + c;
      return at >= 0 && at < w.in[2];
    });
  const known = (from: number, to: number) => {
    for (let ow = from; ow < to; ow++) send(k.i32(ow), [inside(ow)]);
  };
  const { from, to } = columnsInside(w);
  const each = r.hasNaN ? 1 : windowsEach;
  const whole = to - ((to - from) % each);
  known(0, from);
  k.loop({ from, to: whole, step: each }, (first) => send(first, Array(each).fill(inside(from))));
  known(whole, w.out[2]);
  const next = w.out[2] * sw - w.padLo[2];
  for (let c = 0; c < kw - sw && next + c < w.in[2]; c++)
    done(rows.map((i) => ({ i, column: affine(next + c), value: waiting.get(i)![c].value })));
  const covered = coveredColumns(w);
  const own = rows.filter((i) => i < sh);
  k.if(r.writes, () =>
    k.loop({ from: covered, to: w.in[2] }, (column) => {
      for (const i of own) emit(affine(r.start.add(i).mul(w.in[2])).plus(column), r.lane, k.f32(0, width));
    }),
  );
}

/** Windows written out in a turn. */
const windowsEach = 2;

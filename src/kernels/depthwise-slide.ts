/**
 * One row of a depthwise convolution whose neighbouring pixels read neighbouring columns. The weights stay in registers while columns of the
 * source pass by: each vector is loaded once and added to every pixel of the row that a tap joins it with. The pixel that the column is
 * the last of is then done, and its register goes to the next to begin. For 3×3 taps that is 3 loads, 9 multiply–adds and 1 store a pixel.
 */

import { type Affine, affine, type I32, type KernelBuilder, type Ptr, type VF } from '../ir/index.js';
import type { Columns } from './conv-shape.js';

/** Rows of source and of weights that meet a row of the result. */
export interface MeetingRows {
  readonly count: number;
  /** The first row's column 0. */
  readonly source: Ptr<'f32'>;
  readonly sourceStep: number;
  /** The first row's tap 0. */
  readonly weights: Ptr<'f32'>;
  readonly weightStep: number;
  /** Elements from column to column, from tap to tap. */
  readonly block: number;
}

/**
 * Pixels next to each other read columns next to each other, and weights, sums and one column fit the registers. Of every second pixel a
 * row would have little to slide over, and lines of the result would be filled in several passes.
 */
export function slides(c: Columns, rows: number, registers: number): boolean {
  const { lo, hi } = reach(c);
  const taps = c.taps.length;
  return (
    c.step === 1 && c.sourceStep === 1 && taps > 0 && hi - lo + 1 === taps && rows * taps + taps + rows <= registers
  );
}

/** Where the first and the last tap of a pixel read, relative to its own column. */
function reach(c: Columns): { lo: number; hi: number } {
  const offsets = c.taps.map((t) => t.offset);
  return { lo: Math.min(...offsets), hi: Math.max(...offsets) };
}

/** Columns of a turn of the loop, at least. */
const turnColumns = 3;

/**
 * `piece` keeps what it writes together: engines that order instructions anew would otherwise load many columns before they use any.
 * `emit` takes pixel `j` of the columns.
 */
export function slideRow(
  k: KernelBuilder,
  c: Columns,
  rows: MeetingRows,
  piece: (body: () => void) => void,
  emit: (value: VF, j: Affine) => void,
): void {
  const { lo, hi } = reach(c);
  const width = hi - lo + 1;
  const all = Array.from({ length: rows.count }, (_, r) => r);
  const weights = Array.from({ length: width }, (_, i) => {
    const { tap } = c.taps.find((t) => t.offset === lo + i)!;
    return all.map((r) => k.load(rows.weights, r * rows.weightStep + tap * rows.block));
  });
  const sums = Array.from({ length: width }, () => k.zero());
  const source = k.ptrVar(rows.source);
  const sumOf = (j: number) => sums[((j % width) + width) % width];

  /** Column `s`, which lies `at` columns after the pointer: what it adds to pixels s − hi … s − lo. */
  const add = (s: number, at: number) => {
    const lines = all.map((r) => k.load(source, r * rows.sourceStep + at * rows.block));
    const pixels = Array.from({ length: width }, (_, i) => s - hi + i).filter((j) => j >= 0 && j < c.count);
    const values = pixels.map((j) => {
      const begins = s === Math.max(0, j + lo);
      return lines.reduce<VF | null>(
        (sum, line, r) => (sum === null ? line.mul(weights[s - j - lo][r]) : sum.fma(line, weights[s - j - lo][r])),
        begins ? null : sumOf(j).value,
      );
    });
    pixels.forEach((j, i) => {
      sumOf(j).set(values[i] ?? 0);
    });
  };
  /** `base`: the column the pointer is at; `turned`: columns that turns of the loop have moved it on, `s` being that of the first turn. */
  const column = (s: number, base: number, turned: I32 | number = 0) => {
    if (s >= 0 && s < c.sourceCount) piece(() => add(s, s - base));
    const done = s - hi;
    if (done < 0 || done >= c.count) return;
    const unmet = s < 0 || done + lo >= c.sourceCount;
    emit(unmet ? k.f32(0) : sumOf(done).value, affine(turned).plus(done));
  };

  // Columns that meet all their pixels, and begin only the last of them, in turns of a loop.
  const from = Math.max(hi, 1);
  const to = Math.min(c.count - 1 + lo, c.sourceCount - 1) + 1;
  const turn = width * Math.ceil(turnColumns / width);
  const turns = Math.max(0, Math.floor((to - from) / turn));
  const rest = turns === 0 ? lo : from + turns * turn;
  if (turns > 0) {
    for (let s = lo; s < from; s++) column(s, 0);
    source.advance(from * rows.block);
    k.loop({ to: turns * turn, step: turn }, (i) => {
      for (let s = from; s < from + turn; s++) column(s, from, i);
      source.advance(turn * rows.block);
    });
  }
  for (let s = rest; s <= c.count - 1 + hi; s++) column(s, turns === 0 ? 0 : rest);
}

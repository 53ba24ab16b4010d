/**
 * Rows of a depthwise convolution whose neighbouring pixels read neighbouring columns. Columns of the source pass by, each vector is loaded
 * once and meets every pixel of the row that a tap joins it with; what belongs to a pixel stays in a register until the column that is its
 * last, and then makes room for the next pixel.
 */

import { type Affine, affine, type I32, type KernelBuilder, type Ptr, type VarF, type VF } from '../ir/index.js';
import { callAhead, lineElements } from './ahead.js';
import type { Columns } from './conv-shape.js';

/** Rows of source that meet a row of pixels. */
export interface MeetingRows {
  readonly count: number;
  /** The first row's column 0. */
  readonly source: Ptr<'f32'>;
  readonly sourceStep: number;
  /** Elements from column to column, from tap to tap. */
  readonly block: number;
}

/** What a pixel keeps, for each of the rows' taps and once more, and one vector of source fit the registers. */
export function slides(c: Columns, rows: number, registers: number): boolean {
  const { lo, hi } = reach(c);
  const taps = c.taps.length;
  return c.sourceStep === 1 && taps > 0 && hi - lo + 1 === taps && rows * taps + taps + 1 <= registers;
}

/** Terms of a sum, at most, for a row of results to slide: they follow one another, and of many pixels' terms too many would wait. */
const mostTerms = 12;

/** Whether a row of results slides over its source. */
export function slidesResults(c: Columns, rows: number, registers: number): boolean {
  return rows * c.taps.length <= mostTerms && slides(c, rows, registers);
}

/** Where the first and the last tap of a pixel read, relative to its own column. */
function reach(c: Columns): { lo: number; hi: number } {
  const offsets = c.taps.map((t) => t.offset);
  return { lo: Math.min(...offsets), hi: Math.max(...offsets) };
}

/** How a row is written out. */
export interface Writing {
  /**
   * Engines that order instructions anew would load many columns before they use any: what belongs to a column is kept together by a
   * condition, `piece`. Null where instructions stay as they are written.
   */
  readonly piece: ((body: () => void) => void) | null;
}

/**
 * One row of the result. Weights stay in registers; for 3×3 taps that leaves 3 loads, 9 multiply–adds and 1 store a pixel.
 * `weights` points to the first row's tap 0. `emit` takes pixel `j` of the columns.
 */
export function slideRow(
  k: KernelBuilder,
  c: Columns,
  rows: MeetingRows,
  weights: { readonly first: Ptr<'f32'>; readonly step: number },
  { piece }: Writing,
  emit: (value: VF, j: Affine) => void,
): void {
  const { lo, hi } = reach(c);
  const width = hi - lo + 1;
  const all = times(rows.count);
  const weight = times(width).map((i) => {
    const { tap } = c.taps.find((t) => t.offset === lo + i)!;
    return all.map((r) => k.load(weights.first, r * weights.step + tap * rows.block));
  });
  const sums = times(width).map(() => k.zero());
  const source = k.ptrVar(rows.source);
  const sumOf = (j: number) => slot(sums, j);

  /** Column `s`, which lies `at` columns after the pointer: what it adds to pixels s − hi … s − lo. */
  const add = (s: number, at: number) => {
    const load = (r: number) => k.load(source, r * rows.sourceStep + at * rows.block);
    const pixels = times(width)
      .map((i) => s - hi + i)
      .filter((j) => j >= 0 && j < c.count);
    const begins = (j: number) => s === Math.max(0, j + lo);
    if (piece === null) {
      callColumn(k, source, (rows.count - 1) * rows.sourceStep, at, rows.block);
      for (const r of all) {
        const line = load(r);
        for (const j of pixels) {
          if (r === 0 && begins(j)) sumOf(j).set(line.mul(weight[s - j - lo][r]));
          else sumOf(j).fma(line, weight[s - j - lo][r]);
        }
      }
      return;
    }
    piece(() => {
      const lines = all.map(load);
      const values = pixels.map((j) =>
        lines.reduce<VF | null>(
          (sum, line, r) => (sum === null ? line.mul(weight[s - j - lo][r]) : sum.fma(line, weight[s - j - lo][r])),
          begins(j) ? null : sumOf(j).value,
        ),
      );
      pixels.forEach((j, i) => {
        sumOf(j).set(values[i] ?? 0);
      });
    });
  };
  walkColumns(
    k,
    c,
    (s, base, turned) => {
      if (s >= 0 && s < c.sourceCount) add(s, s - base);
      const done = s - hi;
      if (done < 0 || done >= c.count) return;
      const unmet = s < 0 || done + lo >= c.sourceCount;
      emit(unmet ? k.f32(0) : sumOf(done).value, affine(turned).plus(done));
    },
    (columns) => source.advance(columns * rows.block),
  );
}

/**
 * Adds one row to sums[row][tap] of the gradient by weight, taps in the order of their columns. `pixels` points to the row's pixel 0.
 * For 3×3 taps a pixel takes 4 loads and 9 multiply–adds.
 */
export function slideSums(
  k: KernelBuilder,
  c: Columns,
  rows: MeetingRows,
  pixels: Ptr<'f32'>,
  sums: readonly (readonly VarF[])[],
): void {
  const { lo, hi } = reach(c);
  const width = hi - lo + 1;
  const source = k.ptrVar(rows.source);
  const pixel = k.ptrVar(pixels);
  const held = times(width).map(() => k.zero());
  walkColumns(
    k,
    c,
    (s, base) => {
      const begins = s - lo;
      if (begins < c.count) slot(held, begins).set(k.load(pixel, (begins - base) * rows.block));
      if (s < 0 || s >= c.sourceCount) return;
      const met = times(width).filter((t) => s - lo - t >= 0 && s - lo - t < c.count);
      callColumn(k, source, (rows.count - 1) * rows.sourceStep, s - base, rows.block);
      callColumn(k, pixel, 0, s - base, rows.block);
      for (let r = 0; r < rows.count; r++) {
        const line = k.load(source, r * rows.sourceStep + (s - base) * rows.block);
        for (const t of met) sums[r][t].fma(line, slot(held, s - lo - t).value);
      }
    },
    (columns) => {
      source.advance(columns * rows.block);
      pixel.advance(columns * rows.block);
    },
  );
}

/** Columns of a turn of the loop, at least. */
const turnColumns = 3;

/**
 * Every column that a pixel's taps may reach, inside the source or not, from left to right. Those that meet all their pixels, and begin
 * only the last of them, are turns of a loop. `base` is the column that pointers are at; in a loop `s` is the column of the first turn
 * and `turned` the columns that earlier turns have moved on.
 */
function walkColumns(
  k: KernelBuilder,
  c: Columns,
  column: (s: number, base: number, turned: I32 | number) => void,
  advance: (columns: number) => void,
): void {
  const { lo, hi } = reach(c);
  const from = Math.max(hi, 1);
  const to = Math.min(c.count - 1 + lo, c.sourceCount - 1) + 1;
  const width = hi - lo + 1;
  const turn = width * Math.ceil(turnColumns / width);
  const turns = Math.max(0, Math.floor((to - from) / turn));
  const rest = turns === 0 ? lo : from + turns * turn;
  if (turns > 0) {
    for (let s = lo; s < from; s++) column(s, 0, 0);
    advance(from);
    k.loop({ to: turns * turn, step: turn }, (i) => {
      for (let s = from; s < from + turn; s++) column(s, from, i);
      advance(turn);
    });
  }
  for (let s = rest; s <= c.count - 1 + hi; s++) column(s, turns === 0 ? 0 : rest, 0);
}

/** Calls for what lies ahead of column `at` of a row; narrow columns share cache lines with their neighbours. */
function callColumn(k: KernelBuilder, p: Ptr<'f32'>, row: number, at: number, block: number): void {
  if (block >= lineElements || at % 2 === 0) callAhead(k, p, row + at * block, 1);
}

const times = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** The register of pixel `j`. */
function slot(registers: readonly VarF[], j: number): VarF {
  const { length } = registers;
  return registers[((j % length) + length) % length];
}

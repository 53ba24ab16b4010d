/**
 * Depthwise convolution (one channel per group): forward and gradient by data. Lanes run over channels, so every operand is a plain
 * vector load and the kernel lives off the memory's speed. Small kernels slide along the row (see depthwise-slide.ts). Else a tile is a run
 * of pixels of one vector of channels; a step loads the columns that a few taps of one row need and adds them wherever they belong.
 *
 *   source, result  [N, C/b, D·H·W, b]     weights  [C/b, taps, b]
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { affine, type I32, type Kernel, type KernelBuilder, type Ptr, type VarF, type VF } from '../ir/index.js';
import { callAhead, pixelsAhead } from './ahead.js';
import {
  type Columns,
  type ColumnTap,
  cutColumns,
  meets,
  type RowTaps,
  type RowWindow,
  type TileRun,
} from './conv-shape.js';
import { slideRow, slidesResults } from './depthwise-slide.js';
import { unravel } from './nest.js';

export interface Depthwise {
  readonly name: string;
  readonly images: number;
  readonly channels: number;
  readonly depth: RowWindow;
  readonly height: RowWindow;
  readonly columns: readonly Columns[];
  readonly columnTaps: number;
  readonly sourceWidth: number;
  readonly resultWidth: number;
}

/** Rows of one task: some hundred kilobytes of source, or fewer, as long as tasks a thread are few. */
const taskBytes = 128 * 1024;
const tasksEach = 8;
const fewestRows = 4;

export function depthwiseKernel(k: KernelBuilder, c: Depthwise, target: TargetInfo, epilogue: Epilogue): Kernel {
  const x = k.param('x', 'f32');
  const w = k.param('w', 'f32');
  epilogue.params(k);
  const b = target.block;
  const vectors = b / k.lanes;
  k.budget({ vectors: target.registers });
  const blocks = Math.ceil(c.channels / b);
  const rows = c.depth.rows * c.height.rows;
  const sourceRow = c.sourceWidth * b;
  const plane = c.depth.sourceRows * c.height.sourceRows * sourceRow;
  const taps = c.depth.taps * c.height.taps * c.columnTaps;
  const wanted = Math.max(
    (4 * rows * c.resultWidth * b) / taskBytes,
    (target.threads * tasksEach) / (c.images * blocks),
  );
  const parts = Math.max(1, Math.min(Math.ceil(wanted), Math.floor(rows / fewestRows)));
  const rowsEach = Math.ceil(rows / parts);
  const rowGroups = Math.ceil(rows / rowsEach);

  k.tasks(c.images * blocks * rowGroups, (task) => {
    const [image, block, rowGroup] = unravel(k, task, [c.images, blocks, rowGroups]);
    const source = x.at(
      affine(image)
        .times(blocks * plane)
        .plus(affine(block).times(plane)),
    );
    const weights = w.at(affine(block).times(taps * b));
    let pieces = 0;
    const slide = (columns: Columns, row: I32, taps: RowTaps) => {
      // A condition that always holds, which no engine knows.
      const piece = target.name === 'wasm' ? (body: () => void) => k.if(task.ne(--pieces), body) : null;
      const meeting = ([count, ...fewer]: readonly number[]) => {
        const work = () => {
          for (let v = 0; v < vectors; v++) {
            const meeting = {
              count,
              source: source.at(affine(taps.source).times(sourceRow)).at(v * k.lanes),
              sourceStep: taps.sourceStep * sourceRow,
              block: b,
            };
            const panel = {
              first: weights.at(affine(taps.tap).times(c.columnTaps * b)).at(v * k.lanes),
              step: taps.tapStep * c.columnTaps * b,
            };
            slideRow(k, columns, meeting, panel, { piece }, (sum, j) => {
              const pixel = affine(row.mul(c.resultWidth)).plus(columns.first).plus(j.times(columns.step));
              epilogue.emit(k, sum, [image, block, pixel, v * k.lanes]);
            });
          }
        };
        if (typeof taps.count === 'number' || fewer.length === 0) work();
        else k.if(taps.count.eq(count), work, () => meeting(fewer));
      };
      meeting(c.height.counts);
    };
    const from = rowGroup.mul(rowsEach);
    k.loop({ from, to: from.add(rowsEach).min(k.i32(rows)) }, (row) => {
      const deep = c.depth.rows === 1 ? k.i32(0) : row.div(c.height.rows);
      const high = c.depth.rows === 1 ? row : row.rem(c.height.rows);
      const planes = {
        taps: c.depth.at(k, deep),
        source: c.height.sourceRows * sourceRow,
        weights: c.height.taps * c.columnTaps * b,
      };
      const lines = { taps: c.height.at(k, high), source: sourceRow, weights: c.columnTaps * b };
      const levels = c.depth.trivial ? [lines] : [planes, lines];
      c.columns.forEach((columns, pass) => {
        // Of every second pixel a row would be filled in several passes, with little to slide over.
        if (c.depth.trivial && columns.step === 1 && slidesResults(columns, c.height.counts[0], target.registers)) {
          slide(columns, row, lines.taps);
          return;
        }
        const sourcePixels = (c.height.sourceRows * c.sourceWidth) / (c.height.rows * columns.count);
        for (const run of columns.count === 0 ? [] : cutColumns(columns, tilePixels(columns, target.registers))) {
          const tile = (start: number | I32) => {
            if (c.depth.trivial && pass === 0) {
              // As much of the source as this part of the result stands for, beyond the rows that it sees.
              const rowsEach = Math.round(c.height.sourceRows / c.height.rows);
              const sourceStart = affine(start)
                .times(Math.round(sourcePixels * b))
                .plus(Math.max(0, rowsEach - 1) * sourceRow);
              const rowStart = row.mul(Math.round((c.height.sourceRows / c.height.rows) * sourceRow));
              callAhead(k, source.at(rowStart), sourceStart, Math.ceil(run.pixels * sourcePixels * b));
            }
            for (let v = 0; v < vectors; v++) {
              const sums = Array.from({ length: run.pixels }, () => k.zero());
              sumTile(k, b, source.at(v * k.lanes), weights.at(v * k.lanes), levels, columns, run, start, sums);
              const pixel = affine(row.mul(c.resultWidth)).plus(affine(start).times(columns.step)).plus(columns.first);
              sums.forEach((sum, j) => {
                epilogue.emit(k, sum.value, [image, block, pixel.plus(j * columns.step), v * k.lanes]);
                const next = pixel.plus(j * columns.step + pixelsAhead(b));
                if (sourcePixels < 1) epilogue.expect?.(k, [image, block, next, v * k.lanes]);
              });
            }
          };
          if (run.repeat === 1) tile(run.start);
          else k.loop({ from: run.start, to: run.start + run.repeat * run.pixels, step: run.pixels }, tile);
        }
      });
    });
  });
  return k.finish(`${c.name}_${epilogue.key}`);
}

/** One axis of rows to walk: which taps meet, and how far apart rows of source and weights lie. */
interface Level {
  readonly taps: RowTaps;
  readonly source: number;
  readonly weights: number;
}

/** Rows of taps written out at most. */
const writtenTaps = 5;

/** Taps of a row that a step takes together. */
const tapsEach = 3;

/** Pixels of a tile: their sums, the columns of a step and its weights share the registers. */
function tilePixels(c: Columns, registers: number): number {
  const taps = c.taps.slice(0, tapsEach);
  let most = 1;
  while (most + 1 + taps.length + columnsOf(c, most + 1, taps).length <= registers) most++;
  return most;
}

function columnsOf(c: Columns, pixels: number, taps: readonly ColumnTap[]): number[] {
  const all = taps.flatMap((t) => Array.from({ length: pixels }, (_, j) => j * c.sourceStep + t.offset));
  return [...new Set(all)];
}

function sumTile(
  k: KernelBuilder,
  b: number,
  source: Ptr<'f32'>,
  weights: Ptr<'f32'>,
  levels: readonly Level[],
  columns: Columns,
  run: TileRun,
  start: number | I32,
  sums: readonly VarF[],
): void {
  const used = columns.taps
    .map((tap) => ({
      tap,
      pixels: sums.map((_, j) => j).filter((j) => run.interior || meets(columns, run.start + j, tap)),
    }))
    .filter((u) => u.pixels.length > 0);
  if (used.length === 0) return;
  const column = (j: number, t: ColumnTap) => j * columns.sourceStep + t.offset;
  const leftmost = Math.min(...used.map((u) => column(u.pixels[0], u.tap)));
  const addLine = (xp: Ptr<'f32'>, wp: Ptr<'f32'>) => {
    for (let first = 0; first < used.length; first += tapsEach) {
      const loaded = new Map<number, VF>();
      for (const { tap, pixels } of used.slice(first, first + tapsEach)) {
        const weight = k.load(wp, tap.tap * b);
        for (const j of pixels) {
          const at = column(j, tap);
          const value = loaded.get(at) ?? k.load(xp, (at - leftmost) * b);
          loaded.set(at, value);
          sums[j].fma(value, weight);
        }
      }
    }
  };
  const walk = (level: readonly Level[], xp: Ptr<'f32'>, wp: Ptr<'f32'>) => {
    if (level.length === 0) {
      addLine(xp, wp);
      return;
    }
    const [{ taps, source: sourceStride, weights: weightStride }, ...inner] = level;
    const x0 = xp.at(affine(taps.source).times(sourceStride));
    const w0 = wp.at(affine(taps.tap).times(weightStride));
    const loop = () => {
      const xv = k.ptrVar(x0);
      const wv = k.ptrVar(w0);
      k.loop(taps.count, () => {
        walk(inner, xv, wv);
        xv.advance(taps.sourceStep * sourceStride);
        wv.advance(taps.tapStep * weightStride);
      });
    };
    const written = () => {
      for (let t = 0; t < taps.most; t++) {
        walk(inner, x0.at(t * taps.sourceStep * sourceStride), w0.at(t * taps.tapStep * weightStride));
      }
    };
    // Rows away from the border meet all taps; a loop of three turns would cost them a third of their time.
    if (inner.length > 0 || taps.most > writtenTaps) loop();
    else if (typeof taps.count === 'number') written();
    else k.if(taps.count.eq(taps.most), written, loop);
  };
  walk(
    levels,
    source.at(
      affine(start)
        .times(columns.sourceStep * b)
        .plus(leftmost * b),
    ),
    weights,
  );
}

/**
 * Gradient by weight of a depthwise convolution: dw[c, tap] = Σ over images and pixels of dy[n, c, pixel] · x[n, c, pixel under the tap].
 *
 *   dy, x  [N, C/b, D·H·W, b]     dw  [C/b, taps, 1, b]     scratch  [C/b, taps, b], each block on cache lines of its own
 *
 * A task has a block of channels. Rows of dy and x stream by once: a row meets the rows of x under its taps while both are in the first-level
 * cache, its sums stay in registers and are then added to the block's in scratch. The order of every sum is fixed by the shapes.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { affine, type I32, type Kernel, type KernelBuilder, type Ptr, type VarF } from '../ir/index.js';
import {
  type Columns,
  type ConvSizes,
  forwardColumns,
  forwardRows,
  inputPixels,
  meets,
  outputPixels,
  type RowTaps,
  tapCount,
} from './conv-shape.js';
import { type MeetingRows, slideSums, slides } from './depthwise-slide.js';

/** Elements between the sums of two blocks: two cache lines, for some processors fetch pairs. */
const scratchUnit = 32;

/** Columns of taps whose sums are kept together: as many as leave registers for as many pixels. */
const tapsTogether = 7;

/** Pixels written out in a turn where taps do not slide. */
const turnPixels = 2;

export function depthwiseWeightScratch(s: ConvSizes, { block }: TargetInfo): number {
  return 4 * Math.ceil(s.filters / block) * blockScratch(s, block);
}

function blockScratch(s: ConvSizes, b: number): number {
  return Math.ceil((tapCount(s) * b) / scratchUnit) * scratchUnit;
}

export function depthwiseWeightKernel(
  k: KernelBuilder,
  name: string,
  s: ConvSizes,
  target: TargetInfo,
  epilogue: Epilogue,
): Kernel {
  const dy = k.param('dy', 'f32');
  const x = k.param('x', 'f32');
  const scratch = k.param('scratch', 'f32');
  epilogue.params(k);
  k.budget({ vectors: target.registers });
  const b = target.block;
  const vectors = b / k.lanes;
  const blocks = Math.ceil(s.filters / b);
  const taps = tapCount(s);
  const depth = forwardRows(s.depth);
  const height = forwardRows(s.height);
  const groups = tapGroups(s);
  // The sums of several rows of taps, the pixel and what it meets.
  const rowsEach = Math.max(1, Math.floor((target.registers - 2) / groups[groups.length - 1].taps.length));
  const sourceRow = s.width.input * b;

  k.tasks(blocks, (block) => {
    const total = scratch.at(affine(block).times(blockScratch(s, b)));
    k.loop({ to: taps * b, step: k.lanes }, (i) => k.store(total, i, k.f32(0)));

    /** Rows of taps `taps` of one plane of taps, whose sums begin at `sums`, over a row of dy. */
    const addRow = (pixels: Ptr<'f32'>, plane: Ptr<'f32'>, sums: Ptr<'f32'>, taps: RowTaps) => {
      const rowsOfTaps = (t: number | I32, count: number) => {
        const source = affine(t).times(taps.sourceStep).plus(taps.source).times(sourceRow);
        const first = affine(t)
          .plus(taps.tap)
          .times(s.width.kernel * b);
        for (const columns of groups) {
          for (let v = 0; v < vectors; v++) {
            const rows: MeetingRows = {
              count,
              source: plane.at(source).at(v * k.lanes),
              sourceStep: taps.sourceStep * sourceRow,
              block: b,
            };
            const to = sums.at(first).at(v * k.lanes);
            sumRow(k, columns, rows, pixels.at(v * k.lanes), target, (r, tap) => to.at((r * s.width.kernel + tap) * b));
          }
        }
      };
      const count = typeof taps.count === 'number' ? k.i32(taps.count) : taps.count;
      const exactly = (t: number | I32, left: I32, [first, ...fewer]: readonly number[]) => {
        if (first === 0) return;
        const otherwise = fewer.length === 0 ? undefined : () => exactly(t, left, fewer);
        k.if(left.eq(first), () => rowsOfTaps(t, first), otherwise);
      };
      if (rowsEach >= taps.most) exactly(0, count, height.counts);
      else {
        const left = count.rem(rowsEach);
        const whole = count.sub(left);
        k.loop({ to: whole, step: rowsEach }, (t) => rowsOfTaps(t, rowsEach));
        exactly(
          whole,
          left,
          Array.from({ length: rowsEach }, (_, i) => rowsEach - 1 - i),
        );
      }
    };
    k.loop(s.images, (image) => {
      const plane = affine(image).times(blocks).plus(block);
      const dyImage = dy.at(plane.times(outputPixels(s) * b));
      const xImage = x.at(plane.times(inputPixels(s) * b));
      const row = (deep: I32, high: I32) => {
        const pixels = dyImage.at(
          affine(deep)
            .times(s.height.output)
            .plus(high)
            .times(s.width.output * b),
        );
        const lines = height.at(k, high);
        if (depth.trivial) {
          addRow(pixels, xImage, total, lines);
          return;
        }
        const planes = depth.at(k, deep);
        k.loop(planes.count, (t) => {
          const source = affine(t).times(planes.sourceStep).plus(planes.source);
          const tap = affine(t).plus(planes.tap);
          addRow(
            pixels,
            xImage.at(source.times(s.height.input * sourceRow)),
            total.at(tap.times(s.height.kernel * s.width.kernel * b)),
            lines,
          );
        });
      };
      k.loop(s.depth.output, (deep) => k.loop(s.height.output, (high) => row(deep, high)));
    });
    k.loop(taps, (tap) => {
      for (let v = 0; v < vectors; v++) {
        const sum = k.load(
          total,
          affine(tap)
            .times(b)
            .plus(v * k.lanes),
        );
        epilogue.emit(k, sum, [block, tap, 0, v * k.lanes]);
      }
    });
  });
  return k.finish(`${name}_${epilogue.key}`);
}

/** The columns of taps, cut evenly where there are many. */
function tapGroups(s: ConvSizes): Columns[] {
  const [all] = forwardColumns(s.width);
  const parts = Math.ceil(all.taps.length / tapsTogether);
  return Array.from({ length: parts }, (_, i) => {
    const [from, to] = [i, i + 1].map((n) => Math.floor((n * all.taps.length) / parts));
    return { ...all, taps: all.taps.slice(from, to) };
  });
}

/** Adds a row of pixels to the sums at `to(row, tap)`. */
function sumRow(
  k: KernelBuilder,
  c: Columns,
  rows: MeetingRows,
  pixels: Ptr<'f32'>,
  target: TargetInfo,
  to: (r: number, tap: number) => Ptr<'f32'>,
): void {
  const sums = Array.from({ length: rows.count }, () => c.taps.map(() => k.zero()));
  if (slides(c, rows.count, target.registers)) slideSums(k, c, rows, pixels, sums);
  else stepSums(k, c, rows, pixels, sums);
  sums.forEach((row, r) => {
    row.forEach((sum, t) => {
      const at = to(r, c.taps[t].tap);
      k.store(at, 0, k.load(at).add(sum.value));
    });
  });
}

/** The same for taps that lie apart: each pixel loads all that it meets. */
function stepSums(
  k: KernelBuilder,
  c: Columns,
  rows: MeetingRows,
  pixels: Ptr<'f32'>,
  sums: readonly (readonly VarF[])[],
): void {
  const source = k.ptrVar(rows.source);
  const pixel = k.ptrVar(pixels);
  const add = (j: number, base: number) => {
    const value = k.load(pixel, (j - base) * rows.block);
    for (let r = 0; r < rows.count; r++) {
      c.taps.forEach((tap, t) => {
        if (!meets(c, j, tap)) return;
        const at = ((j - base) * c.sourceStep + tap.offset) * rows.block;
        sums[r][t].fma(value, k.load(source, r * rows.sourceStep + at));
      });
    }
  };
  const advance = (count: number) => {
    source.advance(count * c.sourceStep * rows.block);
    pixel.advance(count * rows.block);
  };
  const meetsAll = (j: number) => c.taps.every((tap) => meets(c, j, tap));
  let from = 0;
  while (from < c.count && !meetsAll(from)) from++;
  let to = from;
  while (to < c.count && meetsAll(to)) to++;
  const turns = Math.floor((to - from) / turnPixels);
  const rest = from + turns * turnPixels;
  for (let j = 0; j < from; j++) add(j, 0);
  if (turns > 0) {
    advance(from);
    k.loop(turns, () => {
      for (let j = from; j < from + turnPixels; j++) add(j, from);
      advance(turnPixels);
    });
  }
  for (let j = rest; j < c.count; j++) add(j, turns > 0 ? rest : 0);
}

/**
 * Gradient by weight of a depthwise convolution: dw[c, tap] = Σ over images and pixels of dy[n, c, pixel] · x[n, c, pixel under the tap].
 *
 *   dy, x  [N, C/b, D·H·W, b]     dw  [C/b, taps, 1, b]     scratch  [C/b, parts, taps, b], each part on cache lines of its own
 *
 * A task has a part of one block's rows. Rows of dy and x stream by once: a row meets the rows of x under its taps while both are in the
 * first-level cache. Sums stay in registers for a row, or for all rows that meet all taps, and are then added to the part's in scratch. A
 * second kernel adds the parts. How many there are depends on shapes alone, so the order of every sum is the same for any number of threads.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { type Affine, affine, type I32, type Kernel, type KernelBuilder, type Ptr, type VarF } from '../ir/index.js';
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
import { unravel } from './nest.js';

/** Elements between the sums of two parts: two cache lines, for some processors fetch pairs. */
const scratchUnit = 32;

/** Columns of taps whose sums are kept together: as many as leave registers for as many pixels. */
const tapsTogether = 7;

/** Pixels written out in a turn where taps do not slide. */
const turnPixels = 2;

/** Tasks that keep eight threads busy. Not the number of threads itself, for sums must not depend on it. */
const enoughTasks = 24;

/** Bytes of dy and x that a part has at least: a scratch of its own must pay. */
const partBytes = 48 * 1024;

/** A block's images and rows, dealt out. */
interface Parts {
  readonly count: number;
  readonly images: number;
  /** Rows of the result's planes, D·H of them an image; whole images where a part has several. */
  readonly rows: number;
  readonly rowParts: number;
}

function partsOf(s: ConvSizes, { block }: TargetInfo): Parts {
  const blocks = Math.ceil(s.filters / block);
  const rows = s.depth.output * s.height.output;
  const bytes = 4 * block * s.images * (inputPixels(s) + outputPixels(s));
  const wanted = Math.max(1, Math.min(Math.ceil(enoughTasks / blocks), Math.floor(bytes / partBytes)));
  if (wanted <= s.images) {
    const images = Math.ceil(s.images / wanted);
    return { count: Math.ceil(s.images / images), images, rows, rowParts: 1 };
  }
  const each = Math.ceil(rows / Math.min(rows, Math.ceil(wanted / s.images)));
  const rowParts = Math.ceil(rows / each);
  return { count: s.images * rowParts, images: 1, rows: each, rowParts };
}

/** Two kernels where there are several parts. */
export function depthwiseWeightParts(s: ConvSizes, target: TargetInfo): number {
  return partsOf(s, target).count;
}

export function depthwiseWeightScratch(s: ConvSizes, target: TargetInfo): number {
  const { block } = target;
  return 4 * Math.ceil(s.filters / block) * partsOf(s, target).count * partScratch(s, block);
}

function partScratch(s: ConvSizes, b: number): number {
  return Math.ceil((tapCount(s) * b) / scratchUnit) * scratchUnit;
}

/** Leaves the sums of each part in scratch; without an epilogue, else there is one part and its sums are the result. */
export function depthwiseWeightKernel(
  k: KernelBuilder,
  name: string,
  s: ConvSizes,
  target: TargetInfo,
  epilogue: Epilogue | null,
): Kernel {
  const dy = k.param('dy', 'f32');
  const x = k.param('x', 'f32');
  const scratch = k.param('scratch', 'f32');
  epilogue?.params(k);
  k.budget({ vectors: target.registers });
  const b = target.block;
  const blocks = Math.ceil(s.filters / b);
  const taps = tapCount(s);
  const parts = partsOf(s, target);
  const depth = forwardRows(s.depth);
  const plane = s.height.kernel * s.width.kernel * b;

  k.tasks(blocks * parts.count, (task) => {
    const [block, imagePart, rowPart] = unravel(k, task, [blocks, parts.count / parts.rowParts, parts.rowParts]);
    const total = scratch.at(affine(task).times(partScratch(s, b)));
    k.loop({ to: taps * b, step: k.lanes }, (i) => k.store(total, i, k.f32(0)));
    k.loop(span(k, imagePart, parts.images, s.images), (image) => {
      const at = affine(image).times(blocks).plus(block);
      const dyImage = dy.at(at.times(outputPixels(s) * b));
      const xImage = x.at(at.times(inputPixels(s) * b));
      const rows = span(k, rowPart, parts.rows, s.depth.output * s.height.output);
      if (depth.trivial) {
        addRows(k, s, target, rows, dyImage, xImage, total);
        return;
      }
      k.loop(rows, (row) => {
        const deep = row.div(s.height.output);
        const high = row.rem(s.height.output);
        const dyDeep = dyImage.at(deep.mul(s.height.output * s.width.output * b));
        const planes = depth.at(k, deep);
        k.loop(planes.count, (t) => {
          const source = affine(t).times(planes.sourceStep).plus(planes.source);
          const sums = total.at(affine(t).plus(planes.tap).times(plane));
          const xDeep = xImage.at(source.times(s.height.input * s.width.input * b));
          addRow(k, s, target, high, dyDeep, xDeep, sums);
        });
      });
    });
    if (epilogue === null) return;
    k.loop(taps, (tap) => {
      for (let v = 0; v < b; v += k.lanes) {
        epilogue.emit(k, k.load(total, affine(tap).times(b).plus(v)), [block, tap, 0, v]);
      }
    });
  });
  return k.finish(epilogue === null ? `${name}_parts` : `${name}_${epilogue.key}`);
}

/** Adds the parts that `depthwiseWeightKernel` left in scratch. */
export function depthwiseWeightSum(
  k: KernelBuilder,
  name: string,
  s: ConvSizes,
  target: TargetInfo,
  epilogue: Epilogue,
): Kernel {
  k.param('dy', 'f32');
  k.param('x', 'f32');
  const scratch = k.param('scratch', 'f32');
  epilogue.params(k);
  const b = target.block;
  const { count } = partsOf(s, target);
  const each = partScratch(s, b);
  k.tasks(Math.ceil(s.filters / b), (block) => {
    const parts = scratch.at(affine(block).times(count * each));
    k.loop(tapCount(s), (tap) => {
      for (let v = 0; v < b; v += k.lanes) {
        const part = k.ptrVar(parts.at(affine(tap).times(b).plus(v)));
        const sum = k.var(k.load(part));
        k.loop(count - 1, () => {
          part.advance(each);
          sum.addTo(k.load(part));
        });
        epilogue.emit(k, sum.value, [block, tap, 0, v]);
      }
    });
  });
  return k.finish(`${name}_${epilogue.key}`);
}

interface Span {
  readonly from: I32;
  readonly to: I32;
}

/** Part `number` of 0 … size, `each` at a time. */
function span(k: KernelBuilder, number: I32, each: number, size: number): Span {
  const from = number.mul(each);
  return { from, to: size % each === 0 ? from.add(each) : from.add(each).min(k.i32(size)) };
}

/** Adds rows of a plane of dy to the sums of a plane of taps. */
function addRows(
  k: KernelBuilder,
  s: ConvSizes,
  target: TargetInfo,
  rows: Span,
  dy: Ptr<'f32'>,
  x: Ptr<'f32'>,
  total: Ptr<'f32'>,
): void {
  const b = target.block;
  const { height, width } = s;
  const groups = tapGroups(s);
  const single = (row: I32) => addRow(k, s, target, row, dy, x, total);
  // Rows that meet all taps, whose sums wait in registers for the next row.
  const first = Math.max(0, Math.ceil(height.before / height.stride));
  const end =
    Math.floor((height.input - 1 + height.before - (height.kernel - 1) * height.dilation) / height.stride) + 1;
  // Where a block has several vectors, each would walk all the rows by itself: too many for the first-level cache.
  const fits = b === k.lanes && groups.length === 1 && height.kernel <= rowsTogether(groups, target);
  if (!fits || end <= first) {
    k.loop(rows, single);
    return;
  }
  const from = rows.from.max(k.i32(first)).min(rows.to);
  const to = rows.to.min(k.i32(end)).max(from);
  if (first > 0) k.loop({ from: rows.from, to: from }, single);
  const sourceRow = width.input * b;
  const pixels = k.ptrVar(dy.at(affine(from).times(width.output * b)));
  const place = affine(from).times(height.stride).plus(-height.before);
  const source = k.ptrVar(x.at(place.times(sourceRow)));
  const meeting = { count: height.kernel, source, sourceStep: height.dilation * sourceRow, block: b };
  const at = (r: number, tap: number) => total.at((r * width.kernel + tap) * b);
  sumRows(k, groups[0], meeting, target, at, (row) => {
    k.loop({ from, to }, () => {
      row(pixels);
      pixels.advance(width.output * b);
      source.advance(height.stride * sourceRow);
    });
  });
  if (end < height.output) k.loop({ from: to, to: rows.to }, single);
}

/** Adds one row of a plane of dy, whatever taps it meets. */
function addRow(
  k: KernelBuilder,
  s: ConvSizes,
  target: TargetInfo,
  high: I32,
  dy: Ptr<'f32'>,
  x: Ptr<'f32'>,
  total: Ptr<'f32'>,
): void {
  const b = target.block;
  const height = forwardRows(s.height);
  const groups = tapGroups(s);
  const rowsEach = rowsTogether(groups, target);
  const sourceRow = s.width.input * b;
  const pixels = dy.at(affine(high).times(s.width.output * b));
  const taps: RowTaps = height.at(k, high);

  const rowsOfTaps = (t: number | I32, count: number) => {
    const source = affine(t).times(taps.sourceStep).plus(taps.source).times(sourceRow);
    const first: Affine = affine(t)
      .plus(taps.tap)
      .times(s.width.kernel * b);
    for (const columns of groups) {
      for (let v = 0; v < b; v += k.lanes) {
        const rows: MeetingRows = {
          count,
          source: x.at(source).at(v),
          sourceStep: taps.sourceStep * sourceRow,
          block: b,
        };
        const to = total.at(first).at(v);
        const at = (r: number, tap: number) => to.at((r * s.width.kernel + tap) * b);
        sumRows(k, columns, rows, target, at, (row) => row(pixels.at(v)));
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
}

/** Rows of taps whose sums fit the registers beside a pixel and what it meets. */
function rowsTogether(groups: readonly Columns[], { registers }: TargetInfo): number {
  return Math.max(1, Math.floor((registers - 2) / groups[groups.length - 1].taps.length));
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

/** Adds what `walk` walks, calling back for each row of pixels, to the sums at `to(row, tap)`. */
function sumRows(
  k: KernelBuilder,
  c: Columns,
  rows: MeetingRows,
  target: TargetInfo,
  to: (r: number, tap: number) => Ptr<'f32'>,
  walk: (row: (pixels: Ptr<'f32'>) => void) => void,
): void {
  const sums = Array.from({ length: rows.count }, () => c.taps.map(() => k.zero()));
  walk((pixels) => {
    if (slides(c, rows.count, target.registers)) slideSums(k, c, rows, pixels, sums);
    else stepSums(k, c, rows, pixels, sums);
  });
  sums.forEach((row, r) => {
    row.forEach((sum, t) => {
      const at = to(r, c.taps[t].tap);
      k.store(at, 0, k.load(at).add(sum.value));
    });
  });
}

/** A row of pixels for taps that lie apart: each pixel loads all that it meets. */
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

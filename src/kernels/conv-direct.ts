/**
 * Direct convolution on blocked layouts: the forward pass, the first layer on a plain picture, 1×1, and the gradient by data are one
 * loop nest that walks windows differently.
 *
 *   source   [N, C/b, D·H·W, b], or [N, C, D·H·W] plain for a picture of few channels
 *   weights  [O/b, taps, I, b] forward; [I/b, taps, O, b] for the gradient by data (b result channels side by side, summed channel before them)
 *   result   [N, blocks, D·H·W, b], handed to the epilogue
 *
 * A tile is a run of pixels of one row × two vectors of result channels; its sums stay in registers over all taps and channels:
 * for each tap and channel one broadcast of the source per pixel meets one load of weights per vector. Nothing is padded: rows
 * outside the source are skipped by the count of the row loop, columns by leaving out their multiplications while building.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { affine, type I32, type Kernel, type KernelBuilder, type Ptr, type VarF } from '../ir/index.js';
import {
  type Columns,
  type ColumnTap,
  cutColumns,
  meets,
  type RowTaps,
  type RowWindow,
  type TileRun,
} from './conv-shape.js';
import { unravel } from './nest.js';

export interface Direct {
  readonly name: string;
  readonly images: number;
  readonly groups: number;
  /** Result blocks in each group. */
  readonly blocks: number;
  /** Channels summed for each result. */
  readonly summed: number;
  readonly depth: RowWindow;
  readonly height: RowWindow;
  /** Columns of the result in classes that share their taps, and the width of both sides. */
  readonly columns: readonly Columns[];
  readonly columnTaps: number;
  readonly sourceWidth: number;
  readonly resultWidth: number;
  /** A picture in plain layout: channels are planes. */
  readonly plainSource: boolean;
  /** Channels of the whole source. */
  readonly sourceChannels: number;
  /** Source blocks from group to group. */
  readonly sourceGroup: number;
  /** Source blocks to move on for each result block: 1 where groups are narrower than a block, else 0. */
  readonly sourceBlockStep: number;
  /** Weights, in elements: from group to group, from result block to result block; channels a tap holds. */
  readonly weightGroup: number;
  readonly weightBlock: number;
  readonly weightRow: number;
  /** For vector v of a result block: where in the source block its channels start, and its weights relative to the block's. */
  vectorSource(v: number): number;
  vectorWeight(v: number): number;
}

/** Multiplications written out at most per kernel; bounds the machine code (about 20 bytes each). */
const unrollLimit = 6000;

/** Cuts the work into tasks: enough for every thread, each large enough to pay for being handed out. */
interface Share {
  readonly rowsEach: number;
  readonly rowGroups: number;
}

export function directKernel(k: KernelBuilder, c: Direct, target: TargetInfo, epilogue: Epilogue): Kernel {
  const x = k.param('x', 'f32');
  const w = k.param('w', 'f32');
  epilogue.params(k);
  const b = target.block;
  const perBlock = b / k.lanes;
  const diagonal = c.sourceBlockStep !== 0;
  const blocksPerTile = diagonal ? 1 : Math.min(Math.max(1, Math.floor(2 / perBlock)), c.blocks);
  const whole = Math.floor(c.blocks / blocksPerTile);
  const rest = c.blocks - whole * blocksPerTile;
  const blockTiles = whole + (rest > 0 ? 1 : 0);
  const rows = c.depth.rows * c.height.rows;
  const share = shareRows(c, target, rows, blockTiles * c.groups, blocksPerTile * b);
  const unroll = channelUnroll(c, target, blocksPerTile * perBlock);

  k.tasks(c.images * share.rowGroups * c.groups * blockTiles, (task) => {
    const [image, rowGroup, group, tile] = unravel(k, task, [c.images, share.rowGroups, c.groups, blockTiles]);
    const from = rowGroup.mul(share.rowsEach);
    const to =
      share.rowGroups * share.rowsEach === rows ? from.add(share.rowsEach) : from.add(share.rowsEach).min(k.i32(rows));
    const work = (blocks: number) => {
      const first = tile.mul(blocksPerTile);
      const each: BlockWork = { image, group, first, blocks, block: group.mul(c.blocks).add(first), unroll };
      k.loop({ from, to }, (row) => resultRow(k, c, target, x, w, epilogue, each, row));
    };
    if (rest === 0) work(blocksPerTile);
    else if (whole === 0) work(rest);
    else
      k.if(
        tile.lt(whole),
        () => work(blocksPerTile),
        () => work(rest),
      );
  });
  return k.finish(`${c.name}_${epilogue.key}`);
}

/** The result blocks a task makes: `blocks` of them from `first` of `group`, `block` of the whole result. */
interface BlockWork {
  readonly image: I32;
  readonly group: I32;
  readonly first: I32;
  readonly blocks: number;
  readonly block: I32;
  readonly unroll: number;
}

/** Pixels whose sums, times `vectors`, fit the registers beside one row of weights and one broadcast. */
export function tilePixels(registers: number, vectors: number): number {
  return Math.floor((registers - vectors - 1) / vectors);
}

function resultRow(
  k: KernelBuilder,
  c: Direct,
  target: TargetInfo,
  x: Ptr<'f32'>,
  w: Ptr<'f32'>,
  epilogue: Epilogue,
  work: BlockWork,
  row: I32,
): void {
  const b = target.block;
  const vectors = (work.blocks * b) / k.lanes;
  const most = tilePixels(target.registers, vectors);
  k.budget({ vectors: most * vectors + vectors + 1 });
  const plane = c.depth.sourceRows * c.height.sourceRows * c.sourceWidth;
  const deep = c.depth.rows === 1 ? k.i32(0) : row.div(c.height.rows);
  const high = c.depth.rows === 1 ? row : row.rem(c.height.rows);
  const windows: Windows = { depth: c.depth.at(k, deep), height: c.height.at(k, high) };
  const channels = c.plainSource ? c.sourceChannels : Math.ceil(c.sourceChannels / b) * b;
  const block = work.group.mul(c.sourceGroup).add(work.first.mul(c.sourceBlockStep));
  const source = x.at(
    affine(work.image)
      .times(channels * plane)
      .plus(affine(block).times(plane * b)),
  );
  const weights = w.at(affine(work.group).times(c.weightGroup).plus(affine(work.first).times(c.weightBlock)));
  for (const columns of c.columns) {
    if (columns.count === 0) continue;
    for (const run of cutColumns(columns, most)) {
      const emitTile = (start: number | I32) => {
        const sums = Array.from({ length: run.pixels }, () => Array.from({ length: vectors }, () => k.zero()));
        sumTile(k, c, source, weights, windows, columns, run, start, sums, target, work);
        const pixel = affine(row.mul(c.resultWidth)).plus(affine(start).times(columns.step)).plus(columns.first);
        sums.forEach((line, j) => {
          line.forEach((sum, v) => {
            const at = v * k.lanes;
            epilogue.emit(k, sum.value, [
              work.image,
              affine(work.block).plus(Math.floor(at / b)),
              pixel.plus(j * columns.step),
              at % b,
            ]);
          });
        });
      };
      if (run.repeat === 1) emitTile(run.start);
      else k.loop({ from: run.start, to: run.start + run.repeat * run.pixels, step: run.pixels }, emitTile);
    }
  }
}

interface Windows {
  readonly depth: RowTaps;
  readonly height: RowTaps;
}

/** Adds every tap and channel into the sums of one tile. */
function sumTile(
  k: KernelBuilder,
  c: Direct,
  source: Ptr<'f32'>,
  weights: Ptr<'f32'>,
  windows: Windows,
  columns: Columns,
  run: TileRun,
  start: number | I32,
  sums: VarF[][],
  target: TargetInfo,
  work: BlockWork,
): void {
  const b = target.block;
  const { unroll } = work;
  const meeting = (j: number, t: ColumnTap) => run.interior || meets(columns, run.start + j, t);
  const pairs = columns.taps.map((tap) => ({ tap, pixels: sums.map((_, j) => j).filter((j) => meeting(j, tap)) }));
  const used = pairs.filter((p) => p.pixels.length > 0);
  if (used.length === 0) return;
  const perBlock = b / k.lanes;
  const pixelStride = c.plainSource ? 1 : b;
  const plane = c.depth.sourceRows * c.height.sourceRows * c.sourceWidth;
  const channelStride = c.plainSource ? plane : 1;
  const sourceRow = c.sourceWidth * pixelStride;
  const weightRow = c.weightRow * b;
  const column = (j: number, t: ColumnTap) => j * columns.sourceStep + t.offset;
  // Offsets in memory instructions count upwards from the first element the tile touches.
  const leftmost = Math.min(...used.map((p) => column(p.pixels[0], p.tap)));
  const firstTap = Math.min(...used.map((p) => p.tap.tap));
  const x0 = source.at(
    affine(start)
      .times(columns.sourceStep * pixelStride)
      .plus(leftmost * pixelStride),
  );
  const w0 = weights.at(firstTap * weightRow);

  const multiply = (xp: Ptr<'f32'>, wp: Ptr<'f32'>, channels: number) => {
    for (const { tap, pixels } of used) {
      for (let i = 0; i < channels; i++) {
        const line = sums[0].map((_, v) => {
          const block = Math.floor(v / perBlock) * c.weightBlock + c.vectorWeight(v % perBlock);
          return k.load(wp, (tap.tap - firstTap) * weightRow + i * b + block);
        });
        for (const j of pixels) {
          const at = (column(j, tap) - leftmost) * pixelStride + i * channelStride;
          let shared = -1;
          let value = line[0];
          line.forEach((weight, v) => {
            const from = c.vectorSource(v % perBlock);
            if (from !== shared) value = k.broadcast(xp, at + from);
            shared = from;
            sums[j][v].fma(value, weight);
          });
        }
      }
    }
  };
  const walkTaps = (xp: Ptr<'f32'>, wp: Ptr<'f32'>, channels: number) => {
    const walk = (
      level: readonly { taps: RowTaps; source: number; weights: number }[],
      xs: Ptr<'f32'>,
      ws: Ptr<'f32'>,
    ) => {
      if (level.length === 0) {
        multiply(xs, ws, channels);
        return;
      }
      const [{ taps, source: stride, weights: weightStride }, ...inner] = level;
      const xr = xs.at(affine(taps.source).times(stride));
      const wr = ws.at(affine(taps.tap).times(weightStride));
      if (taps.count === 1) walk(inner, xr, wr);
      else {
        const xv = k.ptrVar(xr);
        const wv = k.ptrVar(wr);
        k.loop(taps.count, () => {
          walk(inner, xv, wv);
          xv.advance(taps.sourceStep * stride);
          wv.advance(taps.tapStep * weightStride);
        });
      }
    };
    const rows = { taps: windows.height, source: sourceRow, weights: c.columnTaps * weightRow };
    const planes = {
      taps: windows.depth,
      source: c.height.sourceRows * sourceRow,
      weights: c.height.taps * c.columnTaps * weightRow,
    };
    walk(c.depth.trivial ? [rows] : [planes, rows], xp, wp);
  };
  /** `count` channels that lie `channelStride` apart, `step` of them written out at a time. */
  const walkChannels = (xp: Ptr<'f32'>, wp: Ptr<'f32'>, count: number, step: number) => {
    const turns = Math.floor(count / step);
    if (turns > 1) {
      k.loop(turns, (i) =>
        walkTaps(xp.at(affine(i).times(step * channelStride)), wp.at(affine(i).times(step * b)), step),
      );
    } else if (turns === 1) walkTaps(xp, wp, step);
    const done = turns * step;
    if (done < count) walkTaps(xp.at(done * channelStride), wp.at(done * b), count - done);
  };

  const blocks = c.plainSource ? 0 : Math.floor(c.summed / b);
  const xv = k.ptrVar(x0);
  const wv = k.ptrVar(w0);
  k.loop(blocks, () => {
    walkChannels(xv, wv, b, unroll);
    xv.advance(plane * b);
    wv.advance(b * b);
  });
  const tail = c.summed - blocks * b;
  if (tail > 0) walkChannels(xv, wv, tail, Math.min(unroll, tail));
}

/** Channels written out in the innermost body, so that all bodies together stay within the limit. */
function channelUnroll(c: Direct, target: TargetInfo, vectors: number): number {
  const each = unrolledPerChannel(c, tilePixels(target.registers, vectors), vectors);
  let unroll = c.plainSource ? c.summed : target.block;
  const bodies = c.summed > target.block && c.summed % target.block !== 0 ? 2 : 1;
  while (unroll > 1 && unroll * each * bodies > unrollLimit) unroll = Math.ceil(unroll / 2);
  return unroll;
}

/** Multiplications written out for one channel over all kinds of tiles. */
function unrolledPerChannel(c: Direct, most: number, vectors: number): number {
  let total = 0;
  for (const columns of c.columns) {
    if (columns.count === 0) continue;
    for (const run of cutColumns(columns, most)) {
      for (const t of columns.taps) {
        for (let j = 0; j < run.pixels; j++) if (run.interior || meets(columns, run.start + j, t)) total += vectors;
      }
    }
  }
  return total;
}

/** True if the kernel's code stays of a sane size. */
export function directFits(c: Direct, target: TargetInfo): boolean {
  const vectors = Math.max(2, target.block / target.lanes);
  return unrolledPerChannel(c, tilePixels(target.registers, vectors), vectors) <= 2 * unrollLimit;
}

function shareRows(c: Direct, target: TargetInfo, rows: number, blockTasks: number, channels: number): Share {
  const taps = c.depth.taps * c.height.taps * c.columnTaps;
  const stride = c.columns[0].step;
  const rowMacs = (c.resultWidth * taps * c.summed * channels) / (stride * stride);
  const rowBytes = 4 * c.sourceWidth * (c.plainSource ? c.sourceChannels : c.summed) * (c.columns[0].sourceStep || 1);
  // A task's source rows should stay in the second-level cache while the next blocks of channels read them again.
  const cached = Math.max(4, Math.floor((256 * 1024) / rowBytes));
  // Tasks of 200 000 multiply–adds take some tens of microseconds: long beside the price of handing one out.
  const worth = Math.ceil(200_000 / rowMacs);
  const wanted = Math.ceil((target.threads * 8) / (c.images * blockTasks));
  const rowsEach = Math.min(rows, Math.max(worth, Math.min(cached, Math.ceil(rows / wanted))));
  const rowGroups = Math.ceil(rows / rowsEach);
  return { rowsEach: Math.ceil(rows / rowGroups), rowGroups: Math.ceil(rows / Math.ceil(rows / rowGroups)) };
}

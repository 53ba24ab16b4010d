/**
 * Direct convolution on blocked layouts: the forward pass, the first layer on a plain picture, 1×1, and the gradient by data are one
 * loop nest that walks windows differently.
 *
 *   source   [N, C/b, D·H·W, b], or [N, C, D·H·W] plain for a picture of few channels
 *   weights  [O/b, I, taps, b] forward; [I/b, O, taps, b] for the gradient by data: what a tile reads next lies next
 *   result   [N, blocks, D·H·W, b], handed to the epilogue
 *
 * A tile is a run of pixels of one row × some vectors of result channels; its sums stay in registers over all taps and channels:
 * for each tap and channel one broadcast of the source per pixel meets one load of weights per vector. Nothing is padded: rows
 * outside the source are skipped by the count of the row loop, columns by leaving out their multiplications while building.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import {
  type Affine,
  affine,
  type I32,
  type Kernel,
  type KernelBuilder,
  type Ptr,
  type PtrVar,
  type VarF,
  type VI,
} from '../ir/index.js';
import { type BlockCut, type DirectPlan, freeRegisters, planDirect, tapsOf, tilePixels } from './conv-plan.js';
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
  /** Weights, in elements: from group to group, from result block to result block. */
  readonly weightGroup: number;
  readonly weightBlock: number;
  /** For vector v of a result block: where in the source block its channels start, and its weights relative to the block's. */
  vectorSource(v: number): number;
  vectorWeight(v: number): number;
  /** Several groups share a vector: each is multiplied in a turn of its own, with the weights of the others masked. */
  readonly narrow: Narrow | null;
}

export interface Narrow {
  /** Groups in a vector. */
  readonly groups: number;
  /** From group to group: source channels, and weights in elements. */
  readonly source: number;
  readonly weights: number;
}

/**
 * Parameters: x, w, then scratch for the sums between chunks if `directScratch` asks for it.
 */
export function directKernel(k: KernelBuilder, c: Direct, target: TargetInfo, epilogue: Epilogue): Kernel {
  const plan = planDirect(c, target);
  const x = k.param('x', 'f32');
  const w = k.param('w', 'f32');
  const scratch = plan.chunks > 1 ? k.param('scratch', 'f32') : null;
  epilogue.params(k);
  const tiles = plan.cuts.reduce((sum, cut) => sum + cut.tiles, 0);
  const lines = c.images * c.depth.rows * c.height.rows;
  const order = plan.weightsFirst ? [c.groups, tiles, plan.lineGroups] : [plan.lineGroups, c.groups, tiles];

  k.tasks(plan.lineGroups * c.groups * tiles, (task) => {
    const at = unravel(k, task, order);
    const [lineGroup, group, tile] = plan.weightsFirst ? [at[2], at[0], at[1]] : at;
    const bound = (group: I32) => group.mul(lines).div(plan.lineGroups);
    const [from, to] = [bound(lineGroup), bound(lineGroup.add(1))];
    const masks = Array.from({ length: c.narrow?.groups ?? 0 }, (_, q) =>
      k.lanesOf(Array.from({ length: k.lanes }, (_, l) => k.i32(Math.floor(l / c.narrow!.source) === q ? -1 : 0))),
    );
    const emitter: Emitter = { k, c, target, plan, x, w, scratch, masks, epilogue };
    eachCut(k, plan.cuts, tile, (first, blocks) =>
      k.loop(plan.chunks, (chunk) =>
        k.loop({ from, to }, (line) =>
          resultLine(emitter, { from, group, first, blocks, block: group.mul(c.blocks).add(first), chunk }, line),
        ),
      ),
    );
  });
  return k.finish(`${c.name}_${epilogue.key}`);
}

/** Bytes of scratch the kernel needs: room for the whole result where sums wait between chunks. */
export function directScratch(c: Direct, target: TargetInfo): number {
  if (planDirect(c, target).chunks === 1) return 0;
  return 4 * c.images * c.groups * c.blocks * c.depth.rows * c.height.rows * c.resultWidth * target.block;
}

/** Finds the blocks of tile `tile`: `blocks` of them from `first`. */
function eachCut(
  k: KernelBuilder,
  [cut, ...rest]: readonly BlockCut[],
  tile: I32,
  body: (first: I32, blocks: number) => void,
  before = { tiles: 0, blocks: 0 },
): void {
  const first = () => body(tile.sub(before.tiles).mul(cut.blocks).add(before.blocks), cut.blocks);
  const next = { tiles: before.tiles + cut.tiles, blocks: before.blocks + cut.tiles * cut.blocks };
  if (rest.length === 0) first();
  else k.if(tile.lt(next.tiles), first, () => eachCut(k, rest, tile, body, next));
}

interface Emitter {
  readonly k: KernelBuilder;
  readonly c: Direct;
  readonly target: TargetInfo;
  readonly plan: DirectPlan;
  readonly x: Ptr<'f32'>;
  readonly w: Ptr<'f32'>;
  readonly scratch: Ptr<'f32'> | null;
  /** Lanes of each narrow group. */
  readonly masks: readonly VI[];
  readonly epilogue: Epilogue;
}

/** Floats in a line of the cache. */
const cacheLine = 16;

/** The result blocks a task makes: `blocks` of them from `first` of `group`, `block` of the whole result; its first line; and the chunk it has come to. */
interface BlockWork {
  readonly from: I32;
  readonly group: I32;
  readonly first: I32;
  readonly blocks: number;
  readonly block: I32;
  readonly chunk: I32;
}

function resultLine(e: Emitter, work: BlockWork, line: I32): void {
  const { k, c, target, plan } = e;
  const b = target.block;
  const vectors = (work.blocks * b) / k.lanes;
  const most = tilePixels(freeRegisters(c, target), vectors);
  k.budget({ vectors: most * vectors + vectors + 1 + target.registers - freeRegisters(c, target) });
  const rows = c.depth.rows * c.height.rows;
  const [image, row] = unravel(k, line, [c.images, rows]);
  const [deep, high] = unravel(k, row, [c.depth.rows, c.height.rows]);
  const windows: Windows = { depth: c.depth.at(k, deep), height: c.height.at(k, high) };
  const plane = c.depth.sourceRows * c.height.sourceRows * c.sourceWidth;
  const channels = c.plainSource ? c.sourceChannels : Math.ceil(c.sourceChannels / b) * b;
  const sourceBlock = affine(work.group.mul(c.sourceGroup).add(work.first.mul(c.sourceBlockStep))).plus(
    affine(work.chunk).times(plan.chunkBlocks),
  );
  const source = e.x.at(
    affine(image)
      .times(channels * plane)
      .plus(sourceBlock.times(plane * b)),
  );
  const weights = e.w.at(
    affine(work.group)
      .times(c.weightGroup)
      .plus(affine(work.first).times(c.weightBlock))
      .plus(affine(work.chunk).times(plan.chunkBlocks * b * tapsOf(c) * b)),
  );
  for (const columns of c.columns) {
    if (columns.count === 0) continue;
    for (const run of cutColumns(columns, most)) {
      const emitTile = (start: number | I32) => {
        const sums = Array.from({ length: run.pixels }, () => Array.from({ length: vectors }, () => k.zero()));
        const ahead = plan.ahead ? weightsAhead(e, work, weights, line, start, run.pixels) : null;
        sumTile(e, work, source, weights, windows, columns, run, start, sums, ahead);
        const pixel = affine(row.mul(c.resultWidth)).plus(affine(start).times(columns.step)).plus(columns.first);
        finishTile(e, work, sums, image, (j) => pixel.plus(j * columns.step));
      };
      if (run.repeat === 1) emitTile(run.start);
      else k.loop({ from: run.start, to: run.start + run.repeat * run.pixels, step: run.pixels }, emitTile);
    }
  }
}

/** Weights that a tile calls for ahead of their use: from `pointer` on, `lines` of each block in each turn of its innermost loop. */
interface Ahead {
  readonly pointer: PtrVar<'f32'>;
  readonly lines: number;
}

/**
 * A tile's share of the weights that are needed next, of the next chunk or of the next tile of blocks: what comes from memory comes evenly,
 * while the multipliers work.
 */
function weightsAhead(
  { k, c, target, plan }: Emitter,
  work: BlockWork,
  weights: Ptr<'f32'>,
  line: I32,
  start: number | I32,
  pixels: number,
): Ahead {
  const b = target.block;
  const channels = Math.min(plan.chunkBlocks * b, c.summed);
  const chunk = channels * tapsOf(c) * b;
  const chunkLines = Math.ceil(chunk / cacheLine);
  const all = Math.ceil((c.images * c.depth.rows * c.height.rows) / plan.lineGroups) * c.resultWidth;
  const before = line.sub(work.from).mul(c.resultWidth).add(start);
  const toNext = k.select(
    work.chunk.eq(plan.chunks - 1),
    k.i32(work.blocks * c.weightBlock - (plan.chunks - 1) * chunk),
    k.i32(chunk),
  );
  const next = weights.at(affine(before.mul(chunkLines).div(all)).times(cacheLine).plus(toNext));
  const turns = Math.ceil(channels / plan.unroll);
  return { pointer: k.ptrVar(next), lines: Math.ceil((chunkLines * pixels) / all / turns) };
}

/** Hands a tile's sums to the epilogue; those of a chunk wait in scratch for the next one. */
function finishTile(
  { k, c, target, plan, scratch, epilogue }: Emitter,
  work: BlockWork,
  sums: VarF[][],
  image: I32,
  pixel: (j: number) => Affine,
): void {
  const b = target.block;
  const each = (body: (sum: VarF, coords: [I32, Affine, Affine, number]) => void) => {
    sums.forEach((line, j) => {
      line.forEach((sum, v) => {
        const at = v * k.lanes;
        body(sum, [image, affine(work.block).plus(Math.floor(at / b)), pixel(j), at % b]);
      });
    });
  };
  const emit = () => each((sum, coords) => epilogue.emit(k, sum.value, coords));
  if (scratch === null) {
    emit();
    return;
  }
  const plane = c.depth.rows * c.height.rows * c.resultWidth;
  const place = ([n, block, at, lane]: [I32, Affine, Affine, number]) =>
    affine(n)
      .times(c.groups * c.blocks * plane)
      .plus(block.times(plane))
      .plus(at)
      .times(b)
      .plus(lane);
  k.if(work.chunk.gt(0), () => each((sum, coords) => sum.addTo(k.load(scratch, place(coords)))));
  k.if(work.chunk.eq(plan.chunks - 1), emit, () => each((sum, coords) => k.store(scratch, place(coords), sum.value)));
}

interface Windows {
  readonly depth: RowTaps;
  readonly height: RowTaps;
}

/** Adds every tap and channel into the sums of one tile. */
function sumTile(
  { k, c, target, plan, masks }: Emitter,
  work: BlockWork,
  source: Ptr<'f32'>,
  weights: Ptr<'f32'>,
  windows: Windows,
  columns: Columns,
  run: TileRun,
  start: number | I32,
  sums: VarF[][],
  ahead: Ahead | null,
): void {
  const b = target.block;
  const { unroll } = plan;
  const meeting = (j: number, t: ColumnTap) => run.interior || meets(columns, run.start + j, t);
  const pairs = columns.taps.map((tap) => ({ tap, pixels: sums.map((_, j) => j).filter((j) => meeting(j, tap)) }));
  const used = pairs.filter((p) => p.pixels.length > 0);
  if (used.length === 0) return;
  const perBlock = b / k.lanes;
  const pixelStride = c.plainSource ? 1 : b;
  const plane = c.depth.sourceRows * c.height.sourceRows * c.sourceWidth;
  const channelStride = c.plainSource ? plane : 1;
  const sourceRow = c.sourceWidth * pixelStride;
  const weightChannel = tapsOf(c) * b;
  const column = (j: number, t: ColumnTap) => j * columns.sourceStep + t.offset;
  // Offsets in memory instructions count upwards from the first element the tile touches.
  const leftmost = Math.min(...used.map((p) => column(p.pixels[0], p.tap)));
  const firstTap = Math.min(...used.map((p) => p.tap.tap));
  const x0 = source.at(
    affine(start)
      .times(columns.sourceStep * pixelStride)
      .plus(leftmost * pixelStride),
  );
  const w0 = weights.at(firstTap * b);

  /** Channel i of each group in a vector, one group after the other. */
  const multiplyNarrow = (
    narrow: Narrow,
    xp: Ptr<'f32'>,
    wp: Ptr<'f32'>,
    tap: ColumnTap,
    pixels: readonly number[],
    i: number,
  ) => {
    for (let v = 0; v < sums[0].length; v++) {
      const at = (tap.tap - firstTap) * b + i * weightChannel + c.vectorWeight(v);
      const shared = narrow.weights === 0 ? k.load(wp, at) : null;
      masks.forEach((mask, q) => {
        const weight = (shared ?? k.load(wp, at + q * narrow.weights)).asI().and(mask).asF();
        for (const j of pixels) {
          const from = (column(j, tap) - leftmost) * b + c.vectorSource(v) + q * narrow.source + i;
          sums[j][v].fma(k.broadcast(xp, from), weight);
        }
      });
    }
  };
  const multiply = (xp: Ptr<'f32'>, wp: Ptr<'f32'>, channels: number) => {
    for (const { tap, pixels } of used) {
      for (let i = 0; i < channels; i++) {
        if (c.narrow !== null) {
          multiplyNarrow(c.narrow, xp, wp, tap, pixels, i);
          continue;
        }
        const line = sums[0].map((_, v) => {
          const block = Math.floor(v / perBlock) * c.weightBlock + c.vectorWeight(v % perBlock);
          return k.load(wp, (tap.tap - firstTap) * b + i * weightChannel + block);
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
    const rows = { taps: windows.height, source: sourceRow, weights: c.columnTaps * b };
    const planes = {
      taps: windows.depth,
      source: c.height.sourceRows * sourceRow,
      weights: c.height.taps * c.columnTaps * b,
    };
    walk(c.depth.trivial ? [rows] : [planes, rows], xp, wp);
  };
  const callAhead = () => {
    if (ahead === null) return;
    for (let v = 0; v < work.blocks; v++) {
      for (let i = 0; i < ahead.lines; i++) k.prefetch(ahead.pointer, v * c.weightBlock + i * cacheLine, 1);
    }
    ahead.pointer.advance(ahead.lines * cacheLine);
  };
  /** `count` channels that lie `channelStride` apart, `step` of them written out at a time. */
  const walkChannels = (xp: Ptr<'f32'>, wp: Ptr<'f32'>, count: number, step: number) => {
    const turns = Math.floor(count / step);
    if (turns > 1) {
      k.loop(turns, (i) => {
        callAhead();
        walkTaps(xp.at(affine(i).times(step * channelStride)), wp.at(affine(i).times(step * weightChannel)), step);
      });
    } else if (turns === 1) {
      callAhead();
      walkTaps(xp, wp, step);
    }
    const done = turns * step;
    if (done < count) walkTaps(xp.at(done * channelStride), wp.at(done * weightChannel), count - done);
  };

  const blocks = c.plainSource ? 0 : Math.floor(c.summed / b);
  const tail = c.summed - blocks * b;
  const last = work.chunk.eq(plan.chunks - 1);
  const lastBlocks = blocks - (plan.chunks - 1) * plan.chunkBlocks;
  const count =
    plan.chunks === 1
      ? blocks
      : lastBlocks === plan.chunkBlocks
        ? lastBlocks
        : k.select(last, k.i32(lastBlocks), k.i32(plan.chunkBlocks));
  const xv = k.ptrVar(x0);
  const wv = k.ptrVar(w0);
  k.loop(count, () => {
    walkChannels(xv, wv, b, unroll);
    xv.advance(plane * b);
    wv.advance(b * weightChannel);
  });
  if (tail > 0) k.if(last, () => walkChannels(xv, wv, tail, Math.min(unroll, tail)));
}

/**
 * The inner tile of the gradient by weight: which sums to keep in registers together, and how a row of pixels is added to them.
 * The pixels of a group (one per set of sums) load their dy, then every x they need meets all the sums that want it.
 */

import type { TargetInfo } from '../graph/op.js';
import type { KernelBuilder, Ptr, VarF, VF } from '../ir/index.js';
import type { ConvAxis } from './conv-shape.js';

/** Columns of taps × input channels × vectors of output channels; `sets` copies take turns where one is too few to hide the latency of a sum. */
export interface WeightTile {
  readonly taps: readonly number[];
  readonly channels: number;
  /** Vectors of the output channels' blocks. */
  readonly vectors: readonly number[];
  readonly sets: number;
}

/** sums[set][tap][channel][vector] */
export type TileSums = readonly (readonly (readonly (readonly VarF[])[])[])[];

export interface TileOptions {
  readonly channels: readonly number[];
  readonly vectors: readonly number[];
}

/** Cycles until a sum can be added to again, and multiply–adds a cycle. */
const latency = 4;
const multipliers = 2;

/** Cuts a row of taps into tiles, at the least cost for each pixel. */
export function cutTaps(width: ConvAxis, target: TargetInfo, o: TileOptions): WeightTile[] {
  let best: WeightTile[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (let most = 1; most <= width.kernel; most++) {
    for (const channels of o.channels) {
      for (const sets of [1, 2, 3, 4]) {
        const tiles = evenly(width.kernel, most).map((taps) => ({ taps, channels, vectors: o.vectors, sets }));
        const cost = tiles.reduce((sum, tile) => sum + groupCost(tile, width, target) / sets / channels, 0);
        if (cost < least) {
          best = tiles;
          least = cost;
        }
      }
    }
  }
  return best;
}

function evenly(count: number, most: number): number[][] {
  const parts = Math.ceil(count / most);
  const ends = Array.from({ length: parts + 1 }, (_, i) => Math.floor((i * count) / parts));
  return ends.slice(1).map((end, i) => Array.from({ length: end - ends[i] }, (_, t) => ends[i] + t));
}

/** Operands of one group of pixels. */
function groupSizes(tile: WeightTile, width: ConvAxis) {
  const columns = new Set(
    Array.from({ length: tile.sets }, (_, j) => tile.taps.map((t) => j * width.stride + t * width.dilation)).flat(),
  );
  const vectors = tile.vectors.length;
  return {
    sums: tile.taps.length * tile.channels * tile.sets * vectors,
    dy: tile.sets * vectors,
    x: columns.size * tile.channels,
  };
}

/** Cycles a group of pixels takes: bound by multipliers, by latency or by loads (two a cycle); each instruction costs a little besides. */
function groupCost(tile: WeightTile, width: ConvAxis, target: TargetInfo): number {
  const { sums, dy, x } = groupSizes(tile, width);
  if (sums + dy + 1 > target.registers) return Number.POSITIVE_INFINITY;
  return Math.max(sums / multipliers, latency, (dy + x) / 2) + (dy + x) / 16;
}

export interface RowFacts {
  readonly width: ConvAxis;
  readonly target: TargetInfo;
  readonly pixelStride: number;
  readonly channelStride: number;
  readonly outPlane: number;
  readonly inPlane: number;
  /** Where in its block the channels of x start that belong to a vector of dy. */
  vectorSource(v: number): number;
}

/** Groups written out at most in a row; longer rows get a loop. */
const unrolledGroups = 16;

/** One row of output pixels: borders written out with the taps they meet, the interior as a loop. */
export function addRow(
  k: KernelBuilder,
  dyRow: Ptr<'f32'>,
  xRow: Ptr<'f32'>,
  tile: WeightTile,
  sums: TileSums,
  f: RowFacts,
): void {
  const { input, output, stride, dilation, before } = f.width;
  const offsets = tile.taps.map((t) => t * dilation - before);
  const meets = (j: number, t: number) => j * stride + offsets[t] >= 0 && j * stride + offsets[t] < input;
  const all = offsets.map((_, t) => t);
  const b = f.target.block;
  const perBlock = b / k.lanes;

  /** Adds the pixels `from` … `to`, each with the taps it meets; dy points to pixel `shift` of its row, x to column `leftmost`. */
  const group = (
    dy: Ptr<'f32'>,
    x: Ptr<'f32'>,
    [from, to]: readonly [number, number],
    [shift, leftmost]: readonly [number, number],
    taps: (j: number) => number[],
  ) => {
    const lines = new Map<number, VF[]>();
    const wanted = new Map<number, { pixel: number; tap: number }[]>();
    for (let j = from; j < to; j++) {
      for (const t of taps(j)) {
        const column = j * stride + offsets[t];
        wanted.set(column, [...(wanted.get(column) ?? []), { pixel: j, tap: t }]);
        if (lines.has(j)) continue;
        const line = tile.vectors.map((v) =>
          k.load(dy, (j - shift) * b + Math.floor(v / perBlock) * f.outPlane * b + (v % perBlock) * k.lanes),
        );
        lines.set(j, line);
      }
    }
    for (const [column, uses] of wanted) {
      for (let i = 0; i < sums[0][0].length; i++) {
        const at = (column - leftmost) * f.pixelStride + i * f.channelStride;
        let shared = -1;
        let value: VF | null = null;
        tile.vectors.forEach((v, n) => {
          const from = f.vectorSource(v);
          if (value === null || from !== shared) value = k.broadcast(x, at + from);
          shared = from;
          for (const { pixel, tap } of uses) {
            sums[pixel % sums.length][tap][i][n].fma(value, (lines.get(pixel) as VF[])[n]);
          }
        });
      }
    }
  };

  const size = sums.length;
  const met = (j: number) => all.filter((t) => meets(j, t));
  const written = (from: number, to: number) => {
    for (let j = from; j < to; j += size) group(dyRow, xRow, [j, Math.min(to, j + size)], [0, 0], met);
  };
  let from = 0;
  while (from < output && met(from).length < all.length) from += size;
  let to = from;
  while (to + size <= output && met(to + size - 1).length === all.length) to += size;
  const groups = (to - from) / size;
  const turn = Math.max(1, Math.floor(4 / size));
  if (output <= unrolledGroups * size || groups < 2 * turn) {
    written(0, output);
    return;
  }
  const turns = Math.floor(groups / turn);
  to = from + turns * turn * size;
  written(0, from);
  const leftmost = Math.min(...offsets);
  const dy = k.ptrVar(dyRow.at(from * b));
  const x = k.ptrVar(xRow.at((from * stride + leftmost) * f.pixelStride));
  k.loop(turns, () => {
    for (let g = 0; g < turn; g++) {
      group(dy, x, [from + g * size, from + (g + 1) * size], [from, from * stride + leftmost], () => all);
    }
    if (f.target.lanes >= 8) callNext(k, dy, x, tile, f, turn * size);
    dy.advance(turn * size * b);
    x.advance(turn * size * stride * f.pixelStride);
  });
  written(to, output);
}

/** Calls for what the next tile and the next source block read at these pixels: they come from memory while this tile multiplies. */
function callNext(
  k: KernelBuilder,
  dy: Ptr<'f32'>,
  x: Ptr<'f32'>,
  tile: WeightTile,
  { width, target, outPlane, inPlane, channelStride }: RowFacts,
  pixels: number,
): void {
  const b = target.block;
  for (let j = 0; j < pixels; j++) {
    if (channelStride === 1) k.prefetch(x, inPlane * b + j * width.stride * b, 1);
    for (let v = 0; v < tile.vectors.length; v++) {
      k.prefetch(dy, (tile.vectors.length + v) * target.lanes * outPlane + j * b, 1);
    }
  }
}

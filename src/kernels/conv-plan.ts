/**
 * How a direct convolution is cut: result blocks into tiles whose sums fill the registers, lines of the result and tiles into tasks, source
 * channels into chunks whose weights stay in the first-level cache while all lines of a task pass. Costs are counted in cycles of a core
 * with two multipliers and two loads a cycle. How many threads there are decides into how many tasks the work is cut and nothing else: the
 * order in which a sum is added up must not depend on it.
 */

import type { TargetInfo } from '../graph/op.js';
import type { Direct } from './conv-direct.js';
import { type Columns, cutColumns, meets } from './conv-shape.js';

/** Tiles of `blocks` result blocks each, `tiles` of them side by side. */
export interface BlockCut {
  readonly blocks: number;
  readonly tiles: number;
}

export interface DirectPlan {
  /** One or two sizes of tiles, in the order in which they cover the result blocks of a group. */
  readonly cuts: readonly BlockCut[];
  /** Parts of nearly equal size into which the lines (rows of all images) are cut. */
  readonly lineGroups: number;
  /** A tile's tasks follow each other, so that its weights are read once; else a line group's do, and its source is. */
  readonly weightsFirst: boolean;
  /** Source blocks of a chunk; one chunk holds all of them unless the weights of a tile are too many. */
  readonly chunkBlocks: number;
  readonly chunks: number;
  /** Weights are called for ahead of time: they come from memory, in the order in which they lie. */
  readonly ahead: boolean;
  /** Channels written out in the innermost body. */
  readonly unroll: number;
}

/** Threads that tiles and chunks, and with them the order of sums, count on, however many there are. */
const threadsPlanned = 2;

/** Cycles until a sum can be added to again; multiply–adds and loads a cycle. */
const latency = 4;
const multipliers = 2;
const loads = 2;

/**
 * Multiplications written out at most. In WebAssembly: in all bodies of a kernel. In machine code: in one body, for a short one reads the
 * weights nearly in the order in which they lie, and the processor fetches ahead what is read in order: 3×3 on 7×7 pixels went from 70 to
 * 110 % of the peak with bodies of 1 or 2 channels instead of 8.
 */
const totalLimit = 6000;
const bodyLimit = 100;

/** Weights of a chunk: less than half a first-level cache, beside the pixels that pass. */
const chunkBytes = 20 * 1024;

/** Registers for sums, weights and a broadcast: masks of narrow groups and a masked row of weights stay beside them. */
export const freeRegisters = (c: Direct, target: TargetInfo): number =>
  target.registers - (c.narrow === null ? 0 : c.narrow.groups + 1);

/** Pixels whose sums, times `vectors`, fit the registers beside one row of weights and one broadcast. */
export function tilePixels(registers: number, vectors: number): number {
  return Math.floor((registers - vectors - 1) / vectors);
}

export const tapsOf = (c: Direct): number => c.depth.taps * c.height.taps * c.columnTaps;

export function planDirect(c: Direct, target: TargetInfo): DirectPlan {
  const { block: b } = target;
  const diagonal = c.sourceBlockStep !== 0;
  const lines = c.images * c.depth.rows * c.height.rows;
  const pixels = lines * c.resultWidth;
  const sourcePixels = c.depth.sourceRows * c.height.sourceRows * c.sourceWidth * c.images;
  const weightsFirst = tapsOf(c) * c.summed * c.blocks * b > sourcePixels * c.summed && c.images * c.resultWidth > 0;
  const cuts = diagonal ? [{ blocks: 1, tiles: c.blocks }] : cutBlocks(c, target, weightsFirst);
  const tiles = c.groups * cuts.reduce((sum, cut) => sum + cut.tiles, 0);
  const widest = cuts[0].blocks;

  const stride = c.columns[0].step;
  const lineMacs = (c.resultWidth * tapsOf(c) * c.summed * widest * b) / (stride * stride);
  const lineBytes = 4 * c.sourceWidth * (c.plainSource ? c.sourceChannels : c.summed) * (c.columns[0].sourceStep || 1);
  // A task's source lines should stay in the second-level cache while the next tiles read them again.
  const cached = weightsFirst ? lines : Math.max(4, Math.floor((256 * 1024) / lineBytes));
  // Tasks of 200 000 multiply–adds take microseconds at least: long beside the price of handing one out.
  const worth = Math.ceil(200_000 / lineMacs);
  const groupsFor = (threads: number): number => {
    const wanted = Math.ceil((threads * 8) / tiles);
    return Math.ceil(lines / Math.max(worth, Math.min(cached, Math.ceil(lines / wanted))));
  };

  const sourceBlocks = Math.ceil(c.summed / b);
  const chunkBlocks = chunkOf(c, target, widest, sourceBlocks, pixels / groupsFor(threadsPlanned));
  return {
    cuts,
    lineGroups: groupsFor(target.threads),
    weightsFirst,
    chunkBlocks,
    chunks: Math.ceil(sourceBlocks / chunkBlocks),
    ahead: target.lanes >= 8 && weightsFirst && !diagonal && !c.plainSource,
    unroll: unrollOf(c, target, cuts),
  };
}

/** The one or two sizes of tiles that cover a group's blocks in the fewest cycles. */
function cutBlocks(c: Direct, target: TargetInfo, weightsFirst: boolean): BlockCut[] {
  const perBlock = target.block / target.lanes;
  const costs: number[] = [];
  for (let blocks = 1; blocks <= c.blocks && tilePixels(target.registers, blocks * perBlock) >= 2; blocks++) {
    costs.push(tileCost(c.columns, blocks * perBlock, target));
  }
  let best: BlockCut[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (let large = costs.length; large > 0; large--) {
    for (let small = large; small > 0; small--) {
      const rest = small === large ? 0 : restTiles(c.blocks, large, small);
      if (rest * small > c.blocks || (c.blocks - rest * small) % large !== 0) continue;
      const tiles = (c.blocks - rest * small) / large;
      if (small !== large && (rest === 0 || tiles === 0)) continue;
      let cost = tiles * costs[large - 1] + rest * costs[small - 1];
      // Tiles of two sizes are twice the code; and where weights are read once, whole tiles have to come out even among the threads.
      if (rest > 0) cost *= 1.02;
      const all = c.groups * (tiles + rest);
      if (weightsFirst) cost *= (Math.ceil(all / threadsPlanned) * threadsPlanned) / all;
      if (cost < least) {
        least = cost;
        best = [{ blocks: large, tiles }, ...(rest > 0 ? [{ blocks: small, tiles: rest }] : [])];
      }
    }
  }
  return best;
}

/** The fewest tiles of `small` blocks that leave a multiple of `large`. */
function restTiles(blocks: number, large: number, small: number): number {
  for (let rest = 1; rest * small <= blocks; rest++) if ((blocks - rest * small) % large === 0) return rest;
  return 0;
}

/** Cycles per channel and row of taps for a line of the result. */
function tileCost(columns: readonly Columns[], vectors: number, target: TargetInfo): number {
  const most = tilePixels(target.registers, vectors);
  let cycles = 0;
  for (const side of columns) {
    for (const run of side.count === 0 ? [] : cutColumns(side, most)) {
      for (const tap of side.taps) {
        let pixels = 0;
        for (let j = 0; j < run.pixels; j++) if (run.interior || meets(side, run.start + j, tap)) pixels++;
        if (pixels === 0) continue;
        const bound = Math.max((pixels * vectors) / multipliers, latency, (pixels + vectors) / loads);
        // Every instruction costs a little, and weights come from further away than pixels.
        cycles += run.repeat * (bound + (pixels + 3 * vectors) / 16);
      }
    }
  }
  return cycles;
}

/** Source blocks whose weights stay in the first-level cache while `pixels` pixels of a task pass. */
function chunkOf(c: Direct, target: TargetInfo, blocks: number, sourceBlocks: number, pixels: number): number {
  const { block: b, lanes, registers } = target;
  const vectors = (blocks * b) / lanes;
  const bytes = 4 * tapsOf(c) * b * b * blocks;
  const passes = pixels / tilePixels(registers, vectors);
  if (lanes < 8 || c.plainSource || c.sourceBlockStep !== 0 || passes < 3) return sourceBlocks;
  if (bytes * sourceBlocks <= 2 * chunkBytes) return sourceBlocks;
  // Sums go to memory and back after each chunk: worth it after some hundred multiplications each.
  const fewest = Math.ceil(128 / (tapsOf(c) * b));
  const most = Math.max(1, fewest, Math.floor(chunkBytes / bytes));
  return Math.ceil(sourceBlocks / Math.ceil(sourceBlocks / most));
}

/** Channels written out in the innermost body, so that all bodies together stay within the limits. */
function unrollOf(c: Direct, target: TargetInfo, cuts: readonly BlockCut[]): number {
  const { block: b, lanes } = target;
  const bodies = c.summed > b && c.summed % b !== 0 ? 2 : 1;
  let total = 0;
  let largest = 0;
  for (const { blocks } of cuts) {
    const sizes = bodySizes(c, tilePixels(freeRegisters(c, target), (blocks * b) / lanes), (blocks * b) / lanes);
    total += bodies * sizes.reduce((sum, n) => sum + n, 0);
    largest = Math.max(largest, ...sizes);
  }
  const fits = (unroll: number) => (lanes < 8 ? unroll * total <= totalLimit : unroll * largest <= bodyLimit);
  let unroll = c.plainSource ? c.summed : b;
  while (unroll > 1 && !fits(unroll)) unroll = Math.ceil(unroll / 2);
  return unroll;
}

/** Multiplications of vectors written out for one channel, for each kind of tile in a line. */
function bodySizes(c: Direct, most: number, vectors: number): number[] {
  const sizes: number[] = [];
  for (const columns of c.columns) {
    for (const run of columns.count === 0 ? [] : cutColumns(columns, most)) {
      let size = 0;
      for (const t of columns.taps) {
        for (let j = 0; j < run.pixels; j++) if (run.interior || meets(columns, run.start + j, t)) size += vectors;
      }
      sizes.push(size * (c.narrow?.groups ?? 1));
    }
  }
  return sizes;
}

/** True if the kernel's code stays of a sane size. */
export function directFits(c: Direct, target: TargetInfo): boolean {
  const vectors = Math.max(2, target.block / target.lanes);
  const sizes = bodySizes(c, tilePixels(freeRegisters(c, target), vectors), vectors);
  return sizes.reduce((sum, n) => sum + n, 0) <= 2 * totalLimit;
}

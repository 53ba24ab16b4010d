/**
 * Winograd's convolution F(4×4, 3×3): a 3×3 convolution of stride 1 as 36 small matrix products, one for each place of a 6×6 patch, with a
 * quarter of the multiplications. Lavin & Gray 2015, arXiv:1509.09308; the points are 0, ±3/4, ±3/2, ∞ instead of 0, ±1, ±2, ∞, whose
 * rounding errors are 3 to 6 times as large (Barabasz et al. 2018, arXiv:1803.10986).
 *
 *   weights  u [O/b, 36, C, b]      G w Gᵀ of each filter and channel, computed ahead (ops/winograd.ts)
 *   patches  [36, C/b, tiles, b]    Bᵀ d B of each patch: of all before, where they are fewer than the weights, else range by range
 *   sums     [36, tiles, blocks, b] of each task: products of patches and weights over channels, then Aᵀ m A goes to the epilogue
 *
 * Error: below 1e-5 of the results' root mean square for 512 channels of even random numbers.
 */

import { blocked, blockedChannels } from '../graph/layout.js';
import type { Epilogue, Lowering, TargetInfo } from '../graph/op.js';
import { affine, type I32, type Kernel, type KernelBuilder, type Ptr, type VF } from '../ir/index.js';
import type { Shape } from '../util/shape.js';
import { tilePixels } from './conv-plan.js';
import { type ConvParams, type ConvSizes, convSizes, outputPixels, sizesKey } from './conv-shape.js';
import { unravel } from './nest.js';

/** Results and patch of a tile, per axis. */
const side = 4;
const patch = 6;
export const places = patch * patch;

/** The finite points besides 0 are ±a and ±b. */
const a = 3 / 4;
const b = 3 / 2;
const [a2, b2] = [a ** 2, b ** 2];

/** The transforms as matrices: what the kernels compute with fewer operations. */
export const matrices = {
  /** G, of the weights. */
  weights: [
    [1 / (a2 * b2), 0, 0],
    ...[a, -a].map((p) => [1, p, a2].map((x) => x / (2 * a2 * (a2 - b2)))),
    ...[b, -b].map((p) => [1, p, b2].map((x) => x / (2 * b2 * (b2 - a2)))),
    [0, 0, 1],
  ],
  /** Bᵀ, of the patches. */
  patches: [
    [a2 * b2, 0, -(a2 + b2), 0, 1, 0],
    ...[a, -a].map((p) => [0, -p * b2, -b2, p, 1, 0]),
    ...[b, -b].map((p) => [0, -p * a2, -a2, p, 1, 0]),
    [0, a2 * b2, 0, -(a2 + b2), 0, 1],
  ],
  /** Aᵀ, of the sums. */
  sums: [0, 1, 2, 3].map((i) => [i === 0 ? 1 : 0, a ** i, (-a) ** i, b ** i, (-b) ** i, i === 3 ? 1 : 0]),
};

/** Tiles along an axis of the result. */
export const tilesOf = (size: number): number => Math.ceil(size / side);

/** Tiles that a task takes at a time: the fewest that share a reading of the weights, and the most whose sums stay in a cache. */
const [fewTiles, manyTiles] = [28, 56];

/** Patches that a task keeps at a time: half of a second-level cache. */
const patchBytes = 512 * 1024;

interface Plan {
  readonly tileRows: number;
  readonly tileColumns: number;
  readonly tiles: number;
  /** Tiles multiplied together, in registers; how many such runs there are, and how many of them a task takes at a time. */
  readonly run: number;
  readonly runs: number;
  readonly runsEach: number;
  readonly ranges: number;
  /** Result blocks of a task's tile. */
  readonly blocks: number;
  readonly blockTiles: number;
  readonly tasks: number;
  /**
   * The weights are more than the patches: a kernel before makes all patches, then each tile of blocks meets them. Else each task makes the
   * patches of a range and multiplies them by all weights while they are in its cache.
   */
  readonly weightsFirst: boolean;
}

export interface Winograd {
  readonly name: string;
  readonly sizes: ConvSizes;
}

/** inputs (x [N, C, H, W], u [O, 36, C]) → y [N, O, H', W']; both counts of channels fill their blocks. */
export function winogradLowering(x: Shape, u: Shape, padding: ConvParams['padding'], target: TargetInfo): Lowering {
  const sizes = convSizes(x, [u[0], u[2], 3, 3], { stride: [1, 1], dilation: [1, 1], groups: 1, padding });
  const c: Winograd = { name: `conv_winograd_${sizesKey(sizes)}`, sizes };
  const activations = blockedChannels(4, target.block);
  return {
    key: c.name,
    inputs: [activations, blocked([0, 1, 2], 0, target.block)],
    output: activations,
    coords: [sizes.images, sizes.filters / target.block, outputPixels(sizes), target.block],
    epilogue: true,
    scratchBytes: winogradScratch(c, target),
    ...(plan(c, target).weightsFirst ? { prepares: true, before: (k) => winogradPatches(k, c, target) } : {}),
    build: (k, epilogue) => winogradKernel(k, c, target, epilogue),
  };
}

/** Result blocks multiplied together: two vectors' worth, where they come out even. */
const blocksPerTile = ({ filters }: ConvSizes, { block, lanes }: TargetInfo): number =>
  block === lanes && (filters / block) % 2 === 0 ? 2 : 1;

function plan({ sizes: s }: Winograd, target: TargetInfo): Plan {
  const [tileRows, tileColumns] = [tilesOf(s.height.output), tilesOf(s.width.output)];
  const tiles = s.images * tileRows * tileColumns;
  const blocks = blocksPerTile(s, target);
  const vectors = (blocks * target.block) / target.lanes;
  let run = 1;
  let least = Number.POSITIVE_INFINITY;
  for (let size = tilePixels(target.registers, vectors); size > 1; size--) {
    const cost = Math.ceil(tiles / size) * ((size * vectors) / 2 + (size + 3 * vectors) / 16);
    if (cost < least) [least, run] = [cost, size];
  }
  const runs = Math.ceil(tiles / run);
  const blockTiles = s.filters / target.block / blocks;
  const weightsFirst = s.filters > tiles;
  const cached = Math.floor(patchBytes / (4 * places * s.channels));
  const most = weightsFirst ? manyTiles : Math.max(fewTiles, Math.min(manyTiles, cached));
  const wanted = weightsFirst ? Math.ceil((2 * target.threads) / blockTiles) : 4 * target.threads;
  const ranges = Math.max(Math.ceil((runs * run) / most), Math.min(runs, wanted));
  return {
    tileRows,
    tileColumns,
    tiles,
    run,
    runs,
    runsEach: Math.ceil(runs / ranges),
    ranges,
    blocks,
    blockTiles,
    tasks: Math.min(weightsFirst ? ranges * blockTiles : ranges, target.threads * 8),
    weightsFirst,
  };
}

/** Tiles for which there is room side by side: all, or those of a range. */
const patchTiles = (p: Plan): number => (p.weightsFirst ? p.runs : p.runsEach) * p.run;
const patchElems = ({ sizes: s }: Winograd, p: Plan): number => places * s.channels * patchTiles(p);
const sumElems = (p: Plan, block: number): number => places * p.runsEach * p.run * p.blocks * block;

/** Scratch for patches, of all tiles or of each task, then for the sums of each task. */
function winogradScratch(c: Winograd, target: TargetInfo): number {
  const p = plan(c, target);
  return 4 * ((p.weightsFirst ? 1 : p.tasks) * patchElems(c, p) + p.tasks * sumElems(p, target.block));
}

/** All patches. Parameters as those of `winogradKernel`, up to scratch. */
function winogradPatches(k: KernelBuilder, c: Winograd, target: TargetInfo): Kernel {
  const p = plan(c, target);
  const x = k.param('x', 'f32');
  k.param('u', 'f32');
  const scratch = k.param('scratch', 'f32');
  const rows = p.tiles / p.tileColumns;
  k.tasks((c.sizes.channels / target.block) * rows, (task) => {
    const [channels, row] = unravel(k, task, [c.sizes.channels / target.block, rows]);
    const tiles = { from: row.mul(p.tileColumns), to: row.add(1).mul(p.tileColumns) };
    makePatches(k, c, target, p, x, scratch, channels, tiles, k.i32(0));
  });
  return k.finish(`${c.name}_patches`);
}

/** The patches of some tiles and a block of channels, from x [N, C/b, H·W, b]; `start` is the first tile that has a place in `patches`. */
function makePatches(
  k: KernelBuilder,
  { sizes: s }: Winograd,
  target: TargetInfo,
  p: Plan,
  x: Ptr<'f32'>,
  patches: Ptr<'f32'>,
  channels: I32,
  tiles: { from: I32; to: I32 },
  start: I32,
): void {
  const block = target.block;
  const blocks = s.channels / block;
  const plane = s.height.input * s.width.input;
  const place = blocks * patchTiles(p) * block;
  const rowKinds = kindsOf(p.tileRows, s.height.before, s.height.input);
  const columnKinds = kindsOf(p.tileColumns, s.width.before, s.width.input);
  const out = patches.at(affine(channels).times(patchTiles(p) * block));
  k.loop(tiles, (tile) => {
    const [image, row, column] = unravel(k, tile, [s.images, p.tileRows, p.tileColumns]);
    const pixel = affine(row).times(s.width.input).plus(column).times(side);
    const corner = -s.height.before * s.width.input - s.width.before;
    const from = x.at(affine(image).times(blocks).plus(channels).times(plane).plus(pixel).plus(corner).times(block));
    const to = out.at(affine(tile.sub(start)).times(block));
    kindOf(k, rowKinds, row, (rows) =>
      kindOf(k, columnKinds, column, (columns) => {
        for (let v = 0; v < block; v += k.lanes)
          transformPatch(k, rows, columns, from.at(v), to.at(v), s.width.input * block, block, place);
      }),
    );
  });
}

function kindOf(k: KernelBuilder, [kind, ...rest]: readonly Kind[], at: I32, body: (kind: Kind) => void): void {
  if (rest.length === 0) body(kind);
  else
    k.if(
      at.lt(kind.to),
      () => body(kind),
      () => kindOf(k, rest, at, body),
    );
}

/** Tiles `from` … `to` of an axis, whose patches lie inside the source at the same places. */
interface Kind {
  readonly from: number;
  readonly to: number;
  readonly inside: readonly boolean[];
}

function kindsOf(tiles: number, before: number, input: number): Kind[] {
  const kinds: Kind[] = [];
  for (let t = 0; t < tiles; t++) {
    const inside = Array.from({ length: patch }, (_, i) => {
      const at = side * t - before + i;
      return at >= 0 && at < input;
    });
    const last = kinds.at(-1);
    if (last?.inside.every((x, i) => x === inside[i])) kinds[kinds.length - 1] = { ...last, to: t + 1 };
    else kinds.push({ from: t, to: t + 1, inside });
  }
  return kinds;
}

/** Bᵀ d B. Rows come in pairs, ±a and ±b, which share their even and odd parts; each reads what it needs again, for registers are few. */
function transformPatch(
  k: KernelBuilder,
  rows: Kind,
  columns: Kind,
  from: Ptr<'f32'>,
  to: Ptr<'f32'>,
  row: number,
  pixel: number,
  place: number,
): void {
  const inside = (i: number, j: number) => rows.inside[i] && columns.inside[j];
  const column = (j: number, is: readonly number[]) =>
    Array.from({ length: patch }, (_, i) =>
      is.includes(i) && inside(i, j) ? k.load(from, i * row + j * pixel) : null,
    );
  const store = (i: number, line: readonly (VF | null)[]) => {
    gatherLine(k, line).forEach((value, j) => {
      k.store(to, (patch * i + j) * place, value ?? k.f32(0));
    });
  };
  const all = [0, 1, 2, 3, 4, 5];
  store(
    0,
    all.map((j) => first(k, column(j, [0, 2, 4]))),
  );
  for (const [i, p, q2] of [
    [1, a, b2],
    [3, b, a2],
  ]) {
    const pairs = all.map((j) => pair(k, column(j, [1, 2, 3, 4]), p, q2));
    store(
      i,
      pairs.map(([plus]) => plus),
    );
    store(
      i + 1,
      pairs.map(([, minus]) => minus),
    );
  }
  store(
    5,
    all.map((j) => last(k, column(j, [1, 3, 5]))),
  );
}

type Six = readonly (VF | null)[];

/** Bᵀ d of a line: 6 numbers to 6. null stands for 0. */
function gatherLine(k: KernelBuilder, d: Six): (VF | null)[] {
  return [first(k, d), ...pair(k, d, a, b2), ...pair(k, d, b, a2), last(k, d)];
}

const first = (k: KernelBuilder, d: Six) =>
  combine(k, [
    [1, d[4]],
    [a2 * b2, d[0]],
    [-(a2 + b2), d[2]],
  ]);
const last = (k: KernelBuilder, d: Six) =>
  combine(k, [
    [1, d[5]],
    [a2 * b2, d[1]],
    [-(a2 + b2), d[3]],
  ]);

/** The rows of points ±p, where q2 is the square of the other pair. */
function pair(k: KernelBuilder, d: Six, p: number, q2: number): [VF | null, VF | null] {
  const even = combine(k, [
    [1, d[4]],
    [-q2, d[2]],
  ]);
  const odd = combine(k, [
    [1, d[3]],
    [-q2, d[1]],
  ]);
  return [
    combine(k, [
      [1, even],
      [p, odd],
    ]),
    combine(k, [
      [1, even],
      [-p, odd],
    ]),
  ];
}

/** Σ cᵢ · xᵢ, without those that are 0. */
function combine(k: KernelBuilder, terms: readonly (readonly [number, VF | null])[]): VF | null {
  const used = terms.filter((t): t is readonly [number, VF] => t[1] !== null);
  return used.length === 0 ? null : sumOf(k, used);
}

function sumOf(k: KernelBuilder, [[c, x], ...rest]: readonly (readonly [number, VF])[]): VF {
  return rest.reduce((sum, [f, y]) => sum.fma(y, k.f32(f)), c === 1 ? x : x.mul(c));
}

/** Parameters: x, u, scratch, then the epilogue's. */
function winogradKernel(k: KernelBuilder, c: Winograd, target: TargetInfo, epilogue: Epilogue): Kernel {
  const p = plan(c, target);
  const x = k.param('x', 'f32');
  const u = k.param('u', 'f32');
  const scratch = k.param('scratch', 'f32');
  epilogue.params(k);
  const shared = p.weightsFirst ? patchElems(c, p) : 0;
  const own = sumElems(p, target.block) + patchElems(c, p) - shared;
  const units = p.weightsFirst ? p.blockTiles * p.ranges : p.ranges;

  k.tasks(p.tasks, (task) => {
    const sums = scratch.at(affine(task).times(own).plus(shared));
    const patches = p.weightsFirst ? scratch : sums.at(sumElems(p, target.block));
    const bound = (t: I32) => t.mul(units).div(p.tasks);
    const multiply = (blockTile: I32, from: I32, to: I32, first: I32) => {
      const work = { blockTile, from, to, first };
      multiplyPlaces(k, c, target, p, { u, patches, sums }, work);
      const tiles = { from: from.mul(p.run), to: to.mul(p.run).min(k.i32(p.tiles)) };
      k.loop(tiles, (tile) => finishTile(k, c, target, p, sums, work, tile, epilogue));
    };
    k.loop({ from: bound(task), to: bound(task.add(1)) }, (unit) => {
      const [blockTile, range] = p.weightsFirst ? unravel(k, unit, [p.blockTiles, p.ranges]) : [k.i32(0), unit];
      const [from, to] = [range, range.add(1)].map((r) => r.mul(p.runs).div(p.ranges));
      if (p.weightsFirst) {
        multiply(blockTile, from, to, k.i32(0));
        return;
      }
      const tiles = { from: from.mul(p.run), to: to.mul(p.run).min(k.i32(p.tiles)) };
      k.loop(c.sizes.channels / target.block, (channels) =>
        makePatches(k, c, target, p, x, patches, channels, tiles, tiles.from),
      );
      k.loop(p.blockTiles, (tile) => multiply(tile, from, to, from));
    });
  });
  return k.finish(`${c.name}_${epilogue.key}`);
}

interface Pointers {
  readonly u: Ptr<'f32'>;
  readonly patches: Ptr<'f32'>;
  readonly sums: Ptr<'f32'>;
}

/** A tile of blocks and runs of tiles. */
interface Work {
  readonly blockTile: I32;
  readonly from: I32;
  readonly to: I32;
  /** The run whose patches come first in memory. */
  readonly first: I32;
}

/** For each of the 36 places: runs of tiles × vectors of results, summed over channels. */
function multiplyPlaces(k: KernelBuilder, c: Winograd, target: TargetInfo, p: Plan, ptr: Pointers, work: Work): void {
  const { sizes: s } = c;
  const block = target.block;
  const vectors = (p.blocks * block) / k.lanes;
  k.budget({ vectors: p.run * vectors + vectors + 1 });
  const sourceBlocks = s.channels / block;
  const plane = patchTiles(p) * block;
  const weightBlock = places * s.channels * block;
  const vectorWeight = (v: number) => Math.floor((v * k.lanes) / block) * weightBlock + ((v * k.lanes) % block);
  const wide = k.lanes >= 8;
  const unroll = wide ? 2 : block;
  // The next place's weights are called for while the runs of this place are multiplied, in equal shares.
  const share = Math.ceil((block * block) / 16 / p.runsEach);

  const weights = k.ptrVar(ptr.u.at(affine(work.blockTile).times(p.blocks * weightBlock)));
  const patches = k.ptrVar(ptr.patches.at(affine(work.from.sub(work.first)).times(p.run * block)));
  const sums = k.ptrVar(ptr.sums);
  k.loop(places, () => {
    const ahead = k.ptrVar(weights.at(s.channels * block));
    const x0 = k.ptrVar(patches);
    const out = k.ptrVar(sums);
    k.loop({ from: work.from, to: work.to }, () => {
      const acc = Array.from({ length: p.run }, () => Array.from({ length: vectors }, () => k.zero()));
      const x = k.ptrVar(x0);
      const w = k.ptrVar(weights);
      k.loop(sourceBlocks, () => {
        if (wide) {
          for (let n = 0; n < p.blocks; n++)
            for (let i = 0; i < share; i++) k.prefetch(ahead, n * weightBlock + i * 16, 1);
          ahead.advance(share * 16);
        }
        const xi = k.ptrVar(x);
        k.loop(block / unroll, () => {
          for (let i = 0; i < unroll; i++) {
            const line = acc[0].map((_, v) => k.load(w, vectorWeight(v) + i * block));
            for (let j = 0; j < p.run; j++) {
              const value = k.broadcast(xi, j * block + i);
              line.forEach((weight, v) => {
                acc[j][v].fma(value, weight);
              });
            }
          }
          xi.advance(unroll);
          w.advance(unroll * block);
        });
        x.advance(plane);
      });
      acc.forEach((line, j) => {
        line.forEach((sum, v) => {
          k.store(out, (j * vectors + v) * k.lanes, sum.value);
        });
      });
      x0.advance(p.run * block);
      out.advance(p.run * vectors * k.lanes);
    });
    weights.advance(s.channels * block);
    patches.advance(sourceBlocks * plane);
    sums.advance(p.runsEach * p.run * vectors * k.lanes);
  });
}

/** Aᵀ m A of one tile; results past the last row or column are dropped. */
function finishTile(
  k: KernelBuilder,
  { sizes: s }: Winograd,
  target: TargetInfo,
  p: Plan,
  sums: Ptr<'f32'>,
  work: Work,
  tile: I32,
  epilogue: Epilogue,
): void {
  const block = target.block;
  const vectors = (p.blocks * block) / k.lanes;
  const place = p.runsEach * p.run * vectors * k.lanes;
  const [image, row, column] = unravel(k, tile, [s.images, p.tileRows, p.tileColumns]);
  const from = sums.at(affine(tile.sub(work.from.mul(p.run))).times(vectors * k.lanes));
  const width = s.width.output;
  const pixel = affine(row)
    .times(side * width)
    .plus(affine(column).times(side));
  const [restRows, restColumns] = [s.height.output % side, width % side];
  const within = (i: number, rest: number, at: I32, tiles: number, body: () => void) => {
    if (rest === 0 || i < rest) body();
    else k.if(at.lt(tiles - 1), body);
  };
  k.loop(vectors, (v) => {
    const m = from.at(affine(v).times(k.lanes));
    const columns = Array.from({ length: patch }, (_, j) =>
      collect(
        k,
        Array.from({ length: patch }, (_, i) => k.load(m, (patch * i + j) * place)),
      ),
    );
    const perBlock = block / k.lanes;
    const lane = perBlock === 1 ? k.i32(0) : v.rem(perBlock).mul(k.lanes);
    const resultBlock = affine(work.blockTile)
      .times(p.blocks)
      .plus(perBlock === 1 ? v : v.div(perBlock));
    for (let i = 0; i < side; i++) {
      within(i, restRows, row, p.tileRows, () => {
        const line = collect(
          k,
          columns.map((values) => values[i]),
        );
        line.forEach((value, j) => {
          within(j, restColumns, column, p.tileColumns, () =>
            epilogue.emit(k, value, [image, resultBlock, pixel.plus(i * width + j), lane]),
          );
        });
      });
    }
  });
}

/** Aᵀ m: 6 numbers to 4. */
function collect(k: KernelBuilder, m: readonly VF[]): VF[] {
  const [pa, pb] = [m[1].add(m[2]), m[3].add(m[4])];
  const [qa, qb] = [m[1].sub(m[2]), m[3].sub(m[4])];
  return [
    m[0].add(pa).add(pb),
    sumOf(k, [
      [a, qa],
      [b, qb],
    ]),
    sumOf(k, [
      [a2, pa],
      [b2, pb],
    ]),
    sumOf(k, [
      [1, m[5]],
      [a * a2, qa],
      [b * b2, qb],
    ]),
  ];
}

/**
 * Matrix product as dot products: a [M, K] and b [N, K], both with K contiguous, so that vectors run along K and nothing is packed.
 * A tile is a few rows of a × a few rows of b; each pair has a vector of partial sums, folded once K is done. The last K mod lanes
 * products are added one by one after the fold.
 * Where a is too large for the second-level cache, K is walked in chunks: a few tiles side by side and all rows of a take their turns on a
 * chunk, sums waiting in scratch, so that a comes from afar once for these tiles and b once at all.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { type Affine, affine, type I32, type Kernel, type KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import { coverEvenly, type GemmSizes, operands, share } from './gemm-shape.js';
import { unravel } from './nest.js';

export interface DotPlan {
  readonly key: string;
  /** Rows of a and rows of b (columns of y) in a tile. */
  readonly mr: number;
  readonly nr: number;
  /** Elements of K between visits to the same tile: all, or a chunk. */
  readonly depth: number;
  /** Tiles along N that take turns on a chunk. */
  readonly groupTiles: number;
  /** Tiles per task along N, and tasks. */
  readonly tilesEach: number;
  readonly columnTasks: number;
  readonly rowTilesEach: number;
  readonly rowTasks: number;
  /** Floats in which the sums of one task's group of tiles wait, and of all tasks. */
  readonly taskFloats: number;
  readonly scratchBytes: number;
}

export function planDot(g: GemmSizes, target: TargetInfo): DotPlan {
  const [mr, nr] = tile(g, target);
  const tiles = Math.max(1, Math.ceil(g.n / nr));
  const rowTiles = Math.max(1, Math.ceil(g.m / mr));
  const tileWork = mr * nr * g.k;
  const chunked = target.registers > 16 && rowTiles >= 2 && g.m * g.k * 4 > nearBytes;
  const depth = chunked ? Math.floor(tileBytes / (4 * (mr + nr) * target.lanes)) * target.lanes : g.k;
  const groupTiles = chunked ? 4 : 1;
  // About 100 000 multiply–adds pay for handing out a task; sixteen tasks a thread even out, for nothing is packed twice.
  const worth = Math.max(1, (g.batch * tiles * rowTiles * tileWork) / 100_000);
  const wanted = Math.min(worth, target.threads * 16) / Math.max(1, g.batch);
  const columnTasks = Math.max(1, Math.min(tiles, Math.round(wanted)));
  const tilesEach = Math.ceil(tiles / columnTasks / groupTiles) * groupTiles;
  const rowTasks = chunked ? 1 : Math.max(1, Math.min(Math.ceil(rowTiles / 4), Math.floor(wanted / columnTasks)));
  const rowTilesEach = Math.ceil(rowTiles / rowTasks);
  const plan = {
    mr,
    nr,
    depth,
    groupTiles,
    tilesEach,
    columnTasks: Math.ceil(tiles / tilesEach),
    rowTilesEach,
    rowTasks: Math.ceil(rowTiles / rowTilesEach),
  };
  const taskFloats = chunked ? groupTiles * rowTiles * mr * nr * target.lanes : 0;
  return {
    ...plan,
    taskFloats,
    scratchBytes: g.batch * plan.columnTasks * taskFloats * 4,
    key: `dot${mr}x${nr}${chunked ? `c${depth}` : ''}_${tilesEach}x${rowTilesEach}`,
  };
}

/** What of a stays near while all of b passes: half of a second-level cache. */
const nearBytes = 512 * 1024;
/** What a tile reads of a chunk: most of a first-level cache. */
const tileBytes = 40 * 1024;
/** A line of the cache. */
const lineFloats = 16;

/** Sums, one side's vectors and one more fit the registers; loads are few for what they feed. */
function tile(g: GemmSizes, target: TargetInfo): [mr: number, nr: number] {
  const fits = (mr: number, nr: number) => mr * nr + Math.min(mr, nr) + 1 <= target.registers;
  const wide = target.registers > 16;
  const mr = Math.max(1, Math.min(g.m, wide ? 4 : 2));
  let nr = mr === 1 || wide ? 8 : 6;
  while (nr > 1 && !fits(mr, nr)) nr--;
  return [mr, Math.max(1, Math.min(nr, g.n))];
}

export function dotKernel(k: KernelBuilder, g: GemmSizes, plan: DotPlan, epilogue: Epilogue): Kernel {
  const { a, b } = operands(k, g);
  const scratch = plan.scratchBytes > 0 ? k.param('sums', 'f32') : null;
  epilogue.params(k);
  const { mr, nr } = plan;
  k.budget({ vectors: mr * nr + Math.min(mr, nr) + 1 });
  const columns = coverEvenly(g.n, nr);
  const rows = coverEvenly(g.m, mr);

  k.tasks(g.m === 0 || g.n === 0 ? 0 : g.batch * plan.rowTasks * plan.columnTasks, (task) => {
    const [batch, rowTask, columnTask] = unravel(k, task, [g.batch, plan.rowTasks, plan.columnTasks]);
    const left = a.at(affine(batch).times(g.m * g.k));
    const right = b.at(affine(batch).times(g.n * g.k));
    const rowShare = share(k, rowTask, plan.rowTilesEach, rows.whole.count);
    const columnShare = share(k, columnTask, plan.tilesEach, columns.whole.count);
    const tileAt = (row: Affine, column: Affine, m: number, n: number, from: Affine, depth: number, ends: Ends) => {
      const emit = (i: number, j: number, value: Value) =>
        epilogue.emit(k, value, [batch, row.plus(i), column.plus(j)]);
      const at = (p: Ptr<'f32'>, line: Affine) => p.at(line.times(g.k).plus(from));
      dotTile(k, at(left, row), at(right, column), g.k, depth, m, n, ends, emit);
    };
    /** All the task's row tiles; `body` gets the first row, the number of rows and the tile's number. */
    const eachRowTile = (body: (row: Affine, m: number, tile: Affine) => void) => {
      k.loop(rowShare, (t) => body(affine(t).times(mr), mr, affine(t)));
      const rest = () => {
        rows.rest.forEach((r, i) => {
          body(affine(r.start), r.size, affine(rows.whole.count + i));
        });
      };
      lastOnly(k, rowTask, plan.rowTasks, rows.rest.length, rest);
    };

    if (scratch === null) {
      const column = (at: Affine, n: number) =>
        eachRowTile((row, m) => tileAt(row, at, m, n, affine(0), g.k, { sums: null, first: k.i32(1), done: true }));
      k.loop(columnShare, (t) => column(affine(t).times(nr), nr));
      lastOnly(k, columnTask, plan.columnTasks, columns.rest.length, () => {
        for (const c of columns.rest) column(affine(c.start), c.size);
      });
      return;
    }

    const own = scratch.at(affine(task).times(plan.taskFloats));
    const waiting = plan.taskFloats / plan.groupTiles;
    const chunks = Math.ceil(g.k / plan.depth) - 1;
    const onChunk = (column: Affine, n: number, slot: I32, from: Affine, depth: number, first: I32, done: boolean) =>
      eachRowTile((row, m, tile) => {
        // A part of what the same tiles will read of the next chunk, so that memory is at work all the time.
        const lines = Math.ceil(plan.depth / lineFloats / plan.rowTilesEach);
        const next = right.at(
          column
            .times(g.k)
            .plus(from)
            .plus(plan.depth)
            .plus(tile.times(lines * lineFloats)),
        );
        for (let j = 0; j < n; j++) for (let l = 0; l < lines; l++) k.prefetch(next, j * g.k + l * lineFloats, 1);
        const sums = own.at(
          affine(slot)
            .times(waiting)
            .plus(tile.times(mr * nr * k.lanes)),
        );
        tileAt(row, column, m, n, from, depth, { sums, first, done });
      });
    /** Tiles of one width, `count` of them, all rows, over all of K. */
    const group = (first: I32, column: (t: I32) => Affine, n: number, count: I32) => {
      const tiles = (from: Affine, depth: number, begins: I32, done: boolean) =>
        k.loop(count, (t) => onChunk(column(first.add(t)), n, t, from, depth, begins, done));
      k.loop(chunks, (c) => tiles(affine(c).times(plan.depth), plan.depth, c.eq(0), false));
      tiles(affine(chunks * plan.depth), g.k - chunks * plan.depth, k.i32(chunks === 0 ? 1 : 0), true);
    };
    k.loop({ ...columnShare, step: plan.groupTiles }, (first) => {
      const count = columnShare.to.sub(first).min(k.i32(plan.groupTiles));
      group(first, (t) => affine(t).times(nr), nr, count);
    });
    lastOnly(k, columnTask, plan.columnTasks, columns.rest.length, () => {
      for (const c of columns.rest) group(k.i32(0), () => affine(c.start), c.size, k.i32(1));
    });
  });
  return k.finish(`gemm_${plan.key}_${g.m}x${g.n}x${g.k}_${epilogue.key}`);
}

/** How a tile begins and ends: with sums that waited in scratch, if it is not the first; by handing results on, or by leaving sums there. */
interface Ends {
  readonly sums: Ptr<'f32'> | null;
  readonly first: I32;
  readonly done: boolean;
}

/** The last part also does what is left over. */
function lastOnly(k: KernelBuilder, part: I32, parts: number, left: number, body: () => void): void {
  if (left === 0) return;
  if (parts === 1) body();
  else k.if(part.eq(parts - 1), body);
}

/** `depth` elements of m rows of a and n rows of b, which lie `stride` apart. */
function dotTile(
  k: KernelBuilder,
  a: Ptr<'f32'>,
  b: Ptr<'f32'>,
  stride: number,
  depth: number,
  m: number,
  n: number,
  ends: Ends,
  emit: (i: number, j: number, value: Value) => void,
): void {
  const { lanes } = k;
  const waiting = (i: number, j: number) => (j * m + i) * lanes;
  const sums = Array.from({ length: m }, () => Array.from({ length: n }, () => k.zero()));
  const before = ends.sums;
  if (before !== null) {
    k.if(ends.first.eq(0), () => {
      for (let j = 0; j < n; j++) for (let i = 0; i < m; i++) sums[i][j].set(k.load(before, waiting(i, j)));
    });
  }
  const vectors = Math.floor(depth / lanes);
  const step = (pa: Ptr<'f32'>, pb: Ptr<'f32'>, at: number) => {
    const rows = sums.map((_, i) => k.load(pa, i * stride + at));
    for (let j = 0; j < n; j++) {
      const column = k.load(pb, j * stride + at);
      for (let i = 0; i < m; i++) sums[i][j].fma(rows[i], column);
    }
  };
  const unroll = Math.min(2, Math.max(1, vectors));
  const turns = Math.floor(vectors / unroll);
  const pa = k.ptrVar(a);
  const pb = k.ptrVar(b);
  k.loop(turns, () => {
    for (let u = 0; u < unroll; u++) step(pa, pb, u * lanes);
    pa.advance(unroll * lanes);
    pb.advance(unroll * lanes);
  });
  for (let v = turns * unroll; v < vectors; v++) step(a, b, v * lanes);
  // In the order in which the tile should use its operands: the shorter side held, the longer one passing.
  if (ends.sums !== null && !ends.done) {
    for (let j = 0; j < n; j++) for (let i = 0; i < m; i++) k.store(ends.sums, waiting(i, j), sums[i][j].value);
    return;
  }
  const folded = Array.from({ length: n }, (_, j) => sums.map((line) => k.sumLanes(line[j].value)));
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < m; i++) {
      let sum = folded[j][i];
      for (let e = vectors * lanes; e < depth; e++)
        sum = sum.fma(k.load(a, i * stride + e, 1), k.load(b, j * stride + e, 1));
      emit(i, j, sum);
    }
  }
}

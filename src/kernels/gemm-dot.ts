/**
 * Matrix product as dot products: a [M, K] and b [N, K], both with K contiguous, so that vectors run along K and nothing is packed.
 * A tile is a few rows of a × a few rows of b; each pair has a vector of partial sums, folded once K is done. The last K mod lanes
 * products are added one by one after the fold.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { type Affine, affine, type I32, type Kernel, type KernelBuilder, type Ptr } from '../ir/index.js';
import { coverEvenly, type GemmSizes, operands, share } from './gemm-shape.js';
import { unravel } from './nest.js';

export interface DotPlan {
  readonly key: string;
  /** Rows of a and rows of b (columns of y) in a tile. */
  readonly mr: number;
  readonly nr: number;
  /** Elements of K between visits to the same tile. */
  readonly depth: number;
  /** Tiles per task along N, and tasks. */
  readonly tilesEach: number;
  readonly columnTasks: number;
  readonly rowTilesEach: number;
  readonly rowTasks: number;
  readonly scratchBytes: number;
}

export function planDot(g: GemmSizes, target: TargetInfo): DotPlan {
  const [mr, nr] = tile(g, target);
  const tiles = Math.max(1, Math.ceil(g.n / nr));
  const rowTiles = Math.max(1, Math.ceil(g.m / mr));
  const tileWork = mr * nr * g.k;
  // About 100 000 multiply–adds pay for handing out a task; sixteen tasks a thread even out, for nothing is packed twice.
  const worth = Math.max(1, (g.batch * tiles * rowTiles * tileWork) / 100_000);
  const wanted = Math.min(worth, target.threads * 16) / Math.max(1, g.batch);
  const columnTasks = Math.max(1, Math.min(tiles, Math.round(wanted)));
  const tilesEach = Math.ceil(tiles / columnTasks);
  const rowTasks = Math.max(1, Math.min(Math.ceil(rowTiles / 4), Math.floor(wanted / columnTasks)));
  const rowTilesEach = Math.ceil(rowTiles / rowTasks);
  const plan = {
    mr,
    nr,
    depth: g.k,
    tilesEach,
    columnTasks: Math.ceil(tiles / tilesEach),
    rowTilesEach,
    rowTasks: Math.ceil(rowTiles / rowTilesEach),
    scratchBytes: 0,
  };
  return { ...plan, key: `dot${mr}x${nr}_${tilesEach}x${rowTilesEach}` };
}

/** Sums, one side's vectors and one more fit the registers; loads are few for what they feed. */
function tile(g: GemmSizes, target: TargetInfo): [mr: number, nr: number] {
  const fits = (mr: number, nr: number) => mr * nr + Math.min(mr, nr) + 1 <= target.registers;
  const mr = Math.max(1, Math.min(g.m, 2));
  let nr = mr === 1 ? 8 : 6;
  while (nr > 1 && !fits(mr, nr)) nr--;
  return [mr, Math.max(1, Math.min(nr, g.n))];
}

export function dotKernel(k: KernelBuilder, g: GemmSizes, plan: DotPlan, epilogue: Epilogue): Kernel {
  const { a, b } = operands(k, g);
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
    const tileAt = (row: Affine, column: Affine, m: number, n: number) => {
      const emit = (i: number, j: number, value: Parameters<Epilogue['emit']>[1]) =>
        epilogue.emit(k, value, [batch, row.plus(i), column.plus(j)]);
      dotTile(k, left.at(row.times(g.k)), right.at(column.times(g.k)), g.k, m, n, emit);
    };
    const rowsOf = (column: Affine, n: number) => {
      k.loop(rowShare, (t) => tileAt(affine(t).times(mr), column, mr, n));
      const rest = () => {
        for (const r of rows.rest) tileAt(affine(r.start), column, r.size, n);
      };
      lastOnly(k, rowTask, plan.rowTasks, rows.rest.length, rest);
    };
    k.loop(columnShare, (t) => rowsOf(affine(t).times(nr), nr));
    lastOnly(k, columnTask, plan.columnTasks, columns.rest.length, () => {
      for (const c of columns.rest) rowsOf(affine(c.start), c.size);
    });
  });
  return k.finish(`gemm_${plan.key}_${g.m}x${g.n}x${g.k}_${epilogue.key}`);
}

/** The last part also does what is left over. */
function lastOnly(k: KernelBuilder, part: I32, parts: number, left: number, body: () => void): void {
  if (left === 0) return;
  if (parts === 1) body();
  else k.if(part.eq(parts - 1), body);
}

function dotTile(
  k: KernelBuilder,
  a: Ptr<'f32'>,
  b: Ptr<'f32'>,
  depth: number,
  m: number,
  n: number,
  emit: (i: number, j: number, value: Parameters<Epilogue['emit']>[1]) => void,
): void {
  const { lanes } = k;
  const sums = Array.from({ length: m }, () => Array.from({ length: n }, () => k.zero()));
  const vectors = Math.floor(depth / lanes);
  const step = (pa: Ptr<'f32'>, pb: Ptr<'f32'>, at: number) => {
    const rows = sums.map((_, i) => k.load(pa, i * depth + at));
    for (let j = 0; j < n; j++) {
      const column = k.load(pb, j * depth + at);
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
  const folded = Array.from({ length: n }, (_, j) => sums.map((line) => k.sumLanes(line[j].value)));
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < m; i++) {
      let sum = folded[j][i];
      for (let e = vectors * lanes; e < depth; e++)
        sum = sum.fma(k.load(a, i * depth + e, 1), k.load(b, j * depth + e, 1));
      emit(i, j, sum);
    }
  }
}

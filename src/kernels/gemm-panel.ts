/**
 * Matrix product by register tiles with vectors along N: for each k one row of b meets one broadcast of a per row of the tile.
 *
 *   a        [M, K] in place or, where its rows compete for the cache, a tile at a time copied into scratch with rows a line further apart;
 *            [K, M] in place or, where its lines are many, a few tiles at a time copied into scratch as [tiles][K][mr]
 *   b        [K, N] in place when it is small or few rows use it; else each task packs its columns into scratch as panels
 *            [panels][K][nr], nr = nv · lanes, the last one padded with zeros to whole vectors
 *   y        [M, N], handed to the epilogue; a task makes a block of whole panels × whole row tiles, rows outermost, so that what
 *            it writes runs along rows
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import {
  type Affine,
  affine,
  type F,
  type I32,
  type Index,
  type Kernel,
  type KernelBuilder,
  type Ptr,
} from '../ir/index.js';
import { coverEvenly, type GemmSizes, operands, share } from './gemm-shape.js';
import { unravel } from './nest.js';

export interface PanelPlan {
  readonly key: string;
  /** Rows of a tile, and vectors of its width. */
  readonly mr: number;
  readonly nv: number;
  readonly packed: boolean;
  /** Row tiles whose rows of a are packed together, or 0. */
  readonly groupTiles: number;
  /** Panels and row tiles per task; how many tasks that makes along each axis. */
  readonly panelsEach: number;
  readonly columnTasks: number;
  readonly rowTilesEach: number;
  readonly rowTasks: number;
  /** Floats of one task's packed b, and of all it packs. */
  readonly blockFloats: number;
  readonly taskFloats: number;
  readonly scratchBytes: number;
}

export function planPanel(g: GemmSizes, target: TargetInfo): PanelPlan {
  const { lanes } = target;
  // Bytes of packed b a task works on at a time: its share of a second-level cache, which is larger where registers are.
  const blockBytes = (lanes === 16 ? 512 : 256) * 1024;
  const [mr, nv] = tile(g, target);
  const nr = nv * lanes;
  const panels = Math.max(1, Math.ceil(g.n / nr));
  const rowTiles = Math.max(1, Math.ceil(g.m / mr));
  const packed = g.transB || g.n < lanes || (g.m > 2 * mr && g.n * g.k * 4 > blockBytes / 8);

  // About 200 000 multiply–adds pay for handing out a task; eight tasks a thread even out.
  const worth = Math.max(1, (g.batch * g.m * g.n * g.k) / 200_000);
  const wanted = Math.min(worth, target.threads * 8) / Math.max(1, g.batch);
  const cached = Math.max(1, Math.floor(blockBytes / (4 * Math.max(1, g.k) * nr)));
  // Narrow blocks read a again and again: split rows rather than go below sixteen panels, where there are enough of both.
  const least = (rowTiles / 8) * (panels / 16) >= wanted ? 16 : 4;
  const narrow = Math.max(Math.ceil(panels / wanted), Math.min(least, panels));
  const panelsEach = evenly(panels, Math.min(cached, narrow));
  const columnTasks = Math.ceil(panels / panelsEach);
  const splits = Math.max(1, Math.round(wanted / columnTasks));
  // Each of the row tasks packs the same columns: eight tiles make that cheap.
  const rowTilesEach = evenly(rowTiles, Math.max(Math.ceil(rowTiles / splits), packed ? Math.min(8, rowTiles) : 1));
  const rowTasks = Math.ceil(rowTiles / rowTilesEach);
  // A tile of six rows uses a third of each line of a transposed a; with many lines, they are gone when the next tile wants its third.
  // Rows that lie half a page or a whole one apart compete for few places of the first-level cache.
  const scattered = g.transA && g.k >= 256 && panelsEach >= 4;
  const collides = !g.transA && mr > 8 && (g.k * 4) % 2048 === 0 && panelsEach >= 2;
  const groupTiles = scattered ? Math.max(1, Math.min(4, Math.floor(blockBytes / (4 * mr * g.k)))) : collides ? 1 : 0;
  const blockFloats = packed ? panelsEach * nr * g.k : 0;
  const taskFloats = blockFloats + Math.ceil((groupTiles * mr * (g.k + apart(g))) / 16) * 16;
  return {
    key: `panel${mr}x${nr}${packed ? 'p' : ''}${groupTiles > 0 ? 'a' : ''}_${panelsEach}x${rowTilesEach}`,
    mr,
    nv,
    packed,
    groupTiles,
    panelsEach,
    columnTasks,
    rowTilesEach,
    rowTasks,
    blockFloats,
    taskFloats,
    scratchBytes: g.batch * columnTasks * rowTasks * taskFloats * 4,
  };
}

/** Parts of at most `each`, made as even as can be. */
function evenly(count: number, each: number): number {
  return Math.ceil(count / Math.ceil(count / each));
}

/** Elements between the rows of a copied with their order kept: a line of the cache. */
const apart = (g: GemmSizes): number => (g.transA ? 0 : 16);

function tile(g: GemmSizes, target: TargetInfo): [mr: number, nv: number] {
  const vectors = Math.max(1, Math.ceil(g.n / target.lanes));
  const fits = (mr: number, nv: number) => mr * nv + Math.min(mr, nv) + 1 <= target.registers;
  if (target.registers > 16) {
    const tiles = [14, 9, 6].map((rows, i): [number, number] => [Math.min(rows, Math.max(1, g.m)), i + 2]);
    // Loads that a multiply–add costs, whole tiles counted: two of either can start at a time.
    const cost = ([mr, nv]: [number, number]) => {
      const each = Math.max(mr * nv, mr + nv);
      return each * Math.ceil(g.m / mr) * Math.ceil(vectors / nv) * (1 + 1 / mr);
    };
    if (vectors === 1) return [Math.max(1, Math.min(g.m, 12)), 1];
    if (g.m <= 4) return [Math.max(1, g.m), Math.min(vectors, [12, 12, 8, 8, 6][g.m])];
    return tiles.filter(([mr, nv]) => nv <= vectors && fits(mr, nv)).reduce((a, b) => (cost(b) < cost(a) ? b : a));
  }
  let mr = Math.max(1, Math.min(g.m, vectors === 1 ? 8 : vectors === 3 ? 3 : 6));
  while (!fits(mr, Math.min(vectors, 2))) mr--;
  let nv = Math.min(vectors, 12);
  while (!fits(mr, nv)) nv--;
  return [mr, nv];
}

export function panelKernel(k: KernelBuilder, g: GemmSizes, plan: PanelPlan, epilogue: Epilogue): Kernel {
  const { a, b } = operands(k, g);
  const scratch = plan.scratchBytes > 0 ? k.param('packed', 'f32') : null;
  epilogue.params(k);
  const { lanes } = k;
  const { mr, nv } = plan;
  const nr = nv * lanes;
  k.budget({ vectors: mr * nv + Math.min(mr, nv) + 1 });
  const wholePanels = Math.floor(g.n / nr);
  const restColumns = g.n - wholePanels * nr;
  const rows = coverEvenly(g.m, mr);

  k.tasks(g.m === 0 || g.n === 0 ? 0 : g.batch * plan.columnTasks * plan.rowTasks, (task) => {
    const [batch, columnTask, rowTask] = unravel(k, task, [g.batch, plan.columnTasks, plan.rowTasks]);
    const left = a.at(affine(batch).times(g.m * g.k));
    const right = b.at(affine(batch).times(g.n * g.k));
    const own = scratch?.at(affine(task).times(plan.taskFloats)) ?? null;
    const block = plan.packed ? own : null;
    const panelShare = share(k, columnTask, plan.panelsEach, wholePanels);
    const rowShare = share(k, rowTask, plan.rowTilesEach, rows.whole.count);
    const restPanel = (body: () => void) => {
      if (restColumns === 0) return;
      if (plan.columnTasks === 1) body();
      else k.if(columnTask.eq(plan.columnTasks - 1), body);
    };
    const panelIn = (panel: I32) => affine(panel.sub(panelShare.from)).times(nr * g.k);
    if (block !== null) {
      packWhole(k, g, right, block, panelShare, nv);
      restPanel(() => packRest(k, g, right, block.at(panelIn(k.i32(wholePanels))), wholePanels * nr, restColumns));
    }

    const group = plan.groupTiles > 0 && own !== null ? own.at(plan.blockFloats) : null;
    const rowTile = (row: Affine, m: number, tile: Ptr<'f32'> | null) => {
      const inPlace = left.at(row.times(g.transA ? 1 : g.k));
      const source: Source =
        tile !== null
          ? g.transA
            ? { at: tile, row: 1, step: m }
            : { at: tile, row: g.k + apart(g), step: 1 }
          : { at: inPlace, row: g.transA ? 1 : g.k, step: g.transA ? g.m : 1 };
      const onPanel = (panel: I32, width: readonly Span[]) => {
        const column = affine(panel).times(nr);
        const from = block === null ? right.at(column) : block.at(panelIn(panel));
        const stride = block === null ? g.n : width.length * lanes;
        multiplyTile(k, g, source, from, stride, block !== null, m, width, (i, value, span) => {
          if (span.count === lanes) epilogue.emit(k, value, [batch, row.plus(i), column.plus(span.column)]);
          else if (g.n >= lanes) {
            epilogue.emit(k, value, [batch, row.plus(i), column.plus(span.column - span.first)], span);
          } else {
            for (let l = 0; l < span.count; l++) {
              epilogue.emit(k, value.lane(span.first + l), [batch, row.plus(i), column.plus(span.column + l)]);
            }
          }
        });
      };
      const whole = spans(g, nr, lanes);
      k.loop(panelShare, (panel) => onPanel(panel, whole));
      restPanel(() => onPanel(k.i32(wholePanels), spans(g, restColumns, lanes)));
    };
    if (group === null) k.loop(rowShare, (t) => rowTile(affine(t).times(mr), mr, null));
    else {
      k.loop({ ...rowShare, step: plan.groupTiles }, (first) => {
        const count = rowShare.to.sub(first).min(k.i32(plan.groupTiles));
        packRows(k, g, left.at(affine(first).times(mr * (g.transA ? 1 : g.k))), group, mr, count);
        k.loop(count, (t) =>
          rowTile(affine(first.add(t)).times(mr), mr, group.at(affine(t).times(mr * (g.k + apart(g))))),
        );
      });
    }
    if (rows.rest.length > 0) {
      const rest = () => {
        for (const r of rows.rest) {
          if (group !== null) packRows(k, g, left.at(r.start * (g.transA ? 1 : g.k)), group, r.size, k.i32(1));
          rowTile(affine(r.start), r.size, group);
        }
      };
      if (plan.rowTasks === 1) rest();
      else k.if(rowTask.eq(plan.rowTasks - 1), rest);
    }
  });
  return k.finish(`gemm_${plan.key}_${g.m}x${g.n}x${g.k}_${epilogue.key}`);
}

/** A vector of a panel, of whose lanes `count` from `first` on are the panel's elements from `column` on. */
interface Span {
  readonly first: number;
  readonly count: number;
  readonly column: number;
}

/** Vectors over the last `columns` of b. Where a row is long enough, the last one ends with it and shares lanes with the one before. */
function spans(g: GemmSizes, columns: number, lanes: number): Span[] {
  return Array.from({ length: Math.ceil(columns / lanes) }, (_, v) => {
    const column = v * lanes;
    const count = Math.min(lanes, columns - column);
    return { first: g.n >= lanes ? lanes - count : 0, count, column };
  });
}

/** The rows of a tile: elements from row to row, and from k to k. */
interface Source {
  readonly at: Ptr<'f32'>;
  readonly row: number;
  readonly step: number;
}

/** Sums of m rows × the vectors of a panel over all of K. */
function multiplyTile(
  k: KernelBuilder,
  g: GemmSizes,
  a: Source,
  b: Ptr<'f32'>,
  bStride: number,
  packed: boolean,
  m: number,
  width: readonly Span[],
  emit: (row: number, value: F, span: Span) => void,
): void {
  const sums = Array.from({ length: m }, () => width.map(() => k.zero()));
  const step = (pa: Ptr<'f32'>, pb: Ptr<'f32'>, u: number) => {
    const line = width.map((s) => k.load(pb, u * bStride + s.column - (packed ? 0 : s.first)));
    for (let i = 0; i < m; i++) {
      const value = k.broadcast(pa, i * a.row + u * a.step);
      line.forEach((vector, v) => {
        sums[i][v].fma(value, vector);
      });
    }
  };
  const unroll = Math.min(4, Math.max(1, g.k));
  const turns = Math.floor(g.k / unroll);
  const pa = k.ptrVar(a.at);
  const pb = k.ptrVar(b);
  k.loop(turns, () => {
    for (let u = 0; u < unroll; u++) step(pa, pb, u);
    pa.advance(unroll * a.step);
    pb.advance(unroll * bStride);
  });
  const left = g.k - turns * unroll;
  for (let u = 0; u < left; u++) step(pa, pb, u);
  // Results are read in the order in which a step should take its operands: the shorter side held in registers, the longer one passing.
  const [outer, inner] = m >= width.length ? [m, width.length] : [width.length, m];
  for (let o = 0; o < outer; o++) {
    for (let p = 0; p < inner; p++) {
      const [i, v] = m >= width.length ? [o, p] : [p, o];
      emit(i, sums[i][v].value, width[v]);
    }
  }
}

/** Copies `count` tiles of m rows of a: a transposed one as [tiles][K][m], else row by row. */
function packRows(k: KernelBuilder, g: GemmSizes, a: Ptr<'f32'>, group: Ptr<'f32'>, m: number, count: I32): void {
  const { lanes } = k;
  if (!g.transA) {
    const step = 4 * lanes;
    const from = k.ptrVar(a);
    const to = k.ptrVar(group);
    k.loop(count.mul(m), () => {
      const copy = (i: Index) => k.store(to, i, k.load(from, i));
      const bulk = g.k - (g.k % step);
      k.loop({ to: bulk, step }, (i) => {
        for (let v = 0; v < step; v += lanes) copy(affine(i).plus(v));
      });
      for (let i = bulk; i < g.k; i += lanes) copy(Math.min(i, g.k - lanes));
      from.advance(g.k);
      to.advance(g.k + apart(g));
    });
    return;
  }
  const row = k.ptrVar(a);
  const out = k.ptrVar(group);
  k.loop(g.k, () => {
    const from = k.ptrVar(row);
    const to = k.ptrVar(out);
    k.loop(count, () => {
      // The last vector may cover part of the one before it.
      for (let i = 0; i < m && m >= lanes; i += lanes) {
        const at = Math.min(i, m - lanes);
        k.store(to, at, k.load(from, at));
      }
      for (let i = 0; i < m && m < lanes; i++) k.store(to, i, k.load(from, i, 1));
      from.advance(m);
      to.advance(m * g.k);
    });
    row.advance(g.m);
    out.advance(m);
  });
}

/** Copies the task's whole panels, four k at a time so that lines of the cache are filled at once. */
function packWhole(
  k: KernelBuilder,
  g: GemmSizes,
  b: Ptr<'f32'>,
  block: Ptr<'f32'>,
  panels: { from: I32; to: I32 },
  nv: number,
): void {
  const { lanes } = k;
  const nr = nv * lanes;
  const rowStride = g.transB ? 1 : g.n;
  const columnStride = g.transB ? g.k : 1;
  const copy = (from: Ptr<'f32'>, to: Ptr<'f32'>, deep: number) => {
    for (let u = 0; u < deep; u++) {
      for (let v = 0; v < nv; v++) {
        const at = u * rowStride + v * lanes * columnStride;
        k.store(to, u * nr + v * lanes, g.transB ? gather(k, from, at, columnStride) : k.load(from, at));
      }
    }
  };
  const unroll = Math.min(4, g.k);
  if (unroll === 0) return;
  const turns = Math.floor(g.k / unroll);
  const count = panels.to.sub(panels.from);
  const start = affine(panels.from).times(nr * columnStride);
  if (g.transB) {
    const to = k.ptrVar(block);
    const from = k.ptrVar(b.at(start));
    k.loop(count, () => {
      const along = k.ptrVar(from);
      const out = k.ptrVar(to);
      k.loop(turns, () => {
        copy(along, out, unroll);
        along.advance(unroll);
        out.advance(unroll * nr);
      });
      copy(along, out, g.k - turns * unroll);
      from.advance(nr * g.k);
      to.advance(nr * g.k);
    });
    return;
  }
  const rows = (from: Ptr<'f32'>, to: Ptr<'f32'>, deep: number) => {
    const along = k.ptrVar(from);
    const out = k.ptrVar(to);
    k.loop(count, () => {
      copy(along, out, deep);
      along.advance(nr);
      out.advance(nr * g.k);
    });
  };
  k.loop(turns, (t) =>
    rows(b.at(start.plus(affine(t).times(unroll * g.n))), block.at(affine(t).times(unroll * nr)), unroll),
  );
  const left = g.k - turns * unroll;
  if (left > 0) rows(b.at(start.plus(turns * unroll * g.n)), block.at(turns * unroll * nr), left);
}

/** Copies the columns behind the last whole panel. Rows shorter than a vector get zeros in the lanes past the last. */
function packRest(
  k: KernelBuilder,
  g: GemmSizes,
  b: Ptr<'f32'>,
  block: Ptr<'f32'>,
  start: number,
  columns: number,
): void {
  const { lanes } = k;
  const width = spans(g, columns, lanes);
  const [rowStride, columnStride] = g.transB ? [1, g.k] : [g.n, 1];
  const from = k.ptrVar(b.at(start * columnStride));
  const to = k.ptrVar(block);
  k.loop(g.k, () => {
    for (const { column, first, count } of width) {
      const at = (column - first) * columnStride;
      const whole = g.n >= lanes;
      const vector = whole && !g.transB ? k.load(from, at) : gather(k, from, at, columnStride, whole ? lanes : count);
      k.store(to, column, vector);
    }
    from.advance(rowStride);
    to.advance(width.length * lanes);
  });
}

/** `valid` elements `stride` apart as a vector, zeros behind them. */
function gather(k: KernelBuilder, p: Ptr<'f32'>, at: number, stride: number, valid = k.lanes): F {
  return k.lanesOf(
    Array.from({ length: k.lanes }, (_, l) => (l < valid ? k.load(p, at + l * stride, 1) : k.f32(0, 1))),
  );
}

/**
 * Matrix product by register tiles with vectors along N: for each k one row of b meets one broadcast of a per row of the tile.
 * K is walked in blocks; a task takes a group of panels, and for each block of K all its row tiles pass over them.
 *
 *   a        [M, K] or [K, M]: in place, or a tile and block at a time copied into scratch, with rows a line further apart ([M, K], where they
 *            would compete for the cache) or as [block][lanes] (a transposed one, of whose lines a tile uses but a part)
 *   b        [K, N] in place when it is small or few rows use it; else packed, group by group and block by block, as panels
 *            [panels][block][nr], nr = nv · lanes, the last one padded with zeros to whole vectors
 *   y        [M, N], handed to the epilogue; rows outermost, so that what a task writes runs along rows. Between two blocks of K the sums
 *            of a group wait in scratch
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
import { coverEvenly, type GemmSizes, operands, share, type Tiles } from './gemm-shape.js';
import { unravel } from './nest.js';

export interface PanelPlan {
  readonly key: string;
  /** Rows of a tile, and vectors of its width. */
  readonly mr: number;
  readonly nv: number;
  /** Elements of K in a block, a multiple of four vectors unless there is but one, and how many blocks. */
  readonly depth: number;
  readonly blocks: number;
  readonly packsB: boolean;
  readonly copiesA: boolean;
  /** Panels whose b is near at a time. */
  readonly groupPanels: number;
  /** Panels and row tiles per task; how many tasks that makes along each axis. */
  readonly panelsEach: number;
  readonly columnTasks: number;
  readonly rowTilesEach: number;
  readonly rowTasks: number;
  /** Floats of one task's scratch: b, a, sums. */
  readonly floatsB: number;
  readonly floatsA: number;
  readonly taskFloats: number;
  readonly scratchBytes: number;
}

export function planPanel(g: GemmSizes, target: TargetInfo): PanelPlan {
  const { lanes } = target;
  const [mr, nv] = tile(g, target);
  const wide = target.registers > 16;
  const nr = nv * lanes;
  const panels = Math.max(1, Math.ceil(g.n / nr));
  const rowTiles = Math.max(1, Math.ceil(g.m / mr));
  const blocks = lanes === 4 ? 1 : Math.max(1, Math.ceil(g.k / blockDepth));
  const depth = blocks === 1 ? g.k : 4 * lanes * Math.ceil(g.k / blocks / (4 * lanes));
  // Rows of b within a page of each other can be read where they lie, until there are many to use what is packed.
  const near = wide && g.m <= 128 && g.n * 4 <= 2048;
  const packsB = g.transB || g.n < lanes || (rowTiles > 2 && !near && g.n * g.k * 4 > 32 * 1024);
  // What is read again and again should stay in the second-level cache, which is larger where registers are.
  const cached = Math.max(1, Math.floor(((wide ? 512 : 256) * 1024) / (4 * Math.max(1, depth) * nr)));

  // About 200 000 multiply–adds pay for handing out a task; some tasks a thread even out.
  const worth = Math.max(1, (g.batch * g.m * g.n * g.k) / 200_000);
  const wanted = Math.min(worth, target.threads * (wide ? 4 : 8)) / Math.max(1, g.batch);
  const { columnTasks, rowTasks } = cut(g, packsB, panels, rowTiles, wanted);
  const panelsEach = Math.ceil(panels / columnTasks);
  const rowTilesEach = Math.ceil(rowTiles / rowTasks);
  const groupPanels = evenly(panelsEach, cached);
  // Rows half a page or a whole one apart compete for few places of the first-level cache.
  const competes = g.transA ? g.k >= 64 : mr > 8 && (g.k * 4) % 2048 === 0;
  const copiesA = competes && groupPanels >= 4;
  const floatsB = packsB ? groupPanels * nr * depth : 0;
  const floatsA = copiesA ? (g.transA ? depth * Math.max(mr, lanes) : mr * (depth + apart)) : 0;
  // The last task may have a tile more: what is left of rows is spread over smaller ones.
  const floatsC = blocks > 1 ? (rowTilesEach + 2) * groupPanels * mr * nr : 0;
  const taskFloats = Math.ceil((floatsB + floatsA + floatsC) / 16) * 16;
  const marks = `${packsB ? 'p' : ''}${copiesA ? 'a' : ''}${blocks > 1 ? `k${depth}` : ''}`;
  return {
    key: `panel${mr}x${nr}${marks}_${panelsEach}x${rowTilesEach}_${groupPanels}`,
    mr,
    nv,
    depth,
    blocks,
    packsB,
    copiesA,
    groupPanels,
    panelsEach,
    columnTasks: Math.ceil(panels / panelsEach),
    rowTilesEach,
    rowTasks: Math.ceil(rowTiles / rowTilesEach),
    floatsB,
    floatsA,
    taskFloats,
    scratchBytes: g.batch * Math.ceil(panels / panelsEach) * Math.ceil(rowTiles / rowTilesEach) * taskFloats * 4,
  };
}

/** The longest block of K: a tile of a then stays in the first-level cache while panels of b pass. Narrow vectors can wait for the second. */
const blockDepth = 512;
/** Elements between copied rows of a: a line of the cache. */
const apart = 16;

/** Tasks along each axis: at least `wanted` where there are, with as little packed and read more than once as can be. */
function cut(
  g: GemmSizes,
  packsB: boolean,
  panels: number,
  rowTiles: number,
  wanted: number,
): { columnTasks: number; rowTasks: number } {
  // biome-ignore format: one thought
  let best = { columnTasks: 1, rowTasks: 1, cost: Number.POSITIVE_INFINITY };
  for (let columnTasks = 1; columnTasks <= Math.min(panels, Math.max(1, Math.ceil(wanted))); columnTasks++) {
    const rowTasks = Math.min(rowTiles, Math.max(1, Math.ceil(wanted / columnTasks)));
    const idle = Math.max(0, wanted / (columnTasks * rowTasks) - 1); // threads without work
    const cost = rowTasks * g.n * (packsB ? 2 : 1) + columnTasks * g.m + idle * g.m * g.n;
    if (cost < best.cost) best = { columnTasks, rowTasks, cost };
  }
  return best;
}

/** Parts of at most `each`, made as even as can be. */
function evenly(count: number, each: number): number {
  return Math.ceil(count / Math.ceil(count / each));
}

function tile(g: GemmSizes, target: TargetInfo): [mr: number, nv: number] {
  const vectors = Math.max(1, Math.ceil(g.n / target.lanes));
  const fits = (mr: number, nv: number) => mr * nv + Math.min(mr, nv) + 1 <= target.registers;
  if (target.registers > 16) {
    if (vectors === 1) return [Math.max(1, Math.min(g.m, 12)), 1];
    if (g.m <= 4) return [Math.max(1, g.m), Math.min(vectors, [12, 12, 8, 8, 6][g.m])];
    const tiles = [14, 9, 6].map((rows, i): [number, number] => [Math.min(rows, g.m), i + 2]);
    const fitting = tiles.filter(([mr, nv]) => nv <= vectors && fits(mr, nv));
    return fitting.reduce((a, b) => (slots(g, vectors, b) < slots(g, vectors, a) ? b : a));
  }
  let mr = Math.max(1, Math.min(g.m, vectors === 1 ? 8 : vectors === 3 ? 3 : 6));
  while (!fits(mr, Math.min(vectors, 2))) mr--;
  let nv = Math.min(vectors, 12);
  while (!fits(mr, nv)) nv--;
  return [mr, nv];
}

/** What one k costs in all tiles: multiply–adds or loads, two of either can start at a time; eight cover a multiply–add's latency. */
function slots(g: GemmSizes, vectors: number, [mr, nv]: [number, number]): number {
  const { whole, rest } = coverEvenly(g.m, mr);
  const panel = (width: number) =>
    [whole, ...rest].reduce((sum, t) => sum + t.count * Math.max(t.size * width, t.size + width, 8), 0);
  return Math.floor(vectors / nv) * panel(nv) + (vectors % nv > 0 ? panel(vectors % nv) : 0);
}

export function panelKernel(k: KernelBuilder, g: GemmSizes, plan: PanelPlan, epilogue: Epilogue): Kernel {
  const { a, b } = operands(k, g);
  const scratch = plan.scratchBytes > 0 ? k.param('packed', 'f32') : null;
  epilogue.params(k);
  const { lanes } = k;
  const { mr, nv, blocks, depth } = plan;
  const nr = nv * lanes;
  k.budget({ vectors: mr * nv + Math.min(mr, nv) + 1 });
  const wholePanels = Math.floor(g.n / nr);
  const restColumns = g.n - wholePanels * nr;
  const rows = rowTiles(g, plan, lanes);

  k.tasks(g.m === 0 || g.n === 0 ? 0 : g.batch * plan.columnTasks * plan.rowTasks, (task) => {
    const [batch, columnTask, rowTask] = unravel(k, task, [g.batch, plan.columnTasks, plan.rowTasks]);
    const left = a.at(affine(batch).times(g.m * g.k));
    const right = b.at(affine(batch).times(g.n * g.k));
    const own = scratch?.at(affine(task).times(plan.taskFloats)) ?? null;
    const packedB = plan.packsB ? own : null;
    const copiedA = plan.copiesA && own !== null ? own.at(plan.floatsB) : null;
    const sums = blocks > 1 && own !== null ? own.at(plan.floatsB + plan.floatsA) : null;
    const panelShare = share(k, columnTask, plan.panelsEach, wholePanels);
    const rowShare = share(k, rowTask, plan.rowTilesEach, rows.whole.count);

    /** All row tiles on `count` panels from `first` on, over all of K. */
    const group = (first: I32, count: I32, width: readonly Span[]) =>
      k.loop(blocks, (block) => {
        const from = affine(block).times(depth);
        const last = block.eq(blocks - 1);
        const run: Run = { turns: k.select(last, k.i32((g.k - (blocks - 1) * depth) >> 2), k.i32(depth >> 2)), last };
        if (packedB !== null) {
          const source = right.at(from.times(g.transB ? 1 : g.n));
          const column = affine(first).times(nr * (g.transB ? g.k : 1));
          packPanels(k, g, source.at(column), packedB, depth, run, count, width);
        }
        const rowTile = (row: Affine, m: number, t: Index, shift: number) => {
          const inPlace = left.at(row.times(g.transA ? 1 : g.k).plus(from.times(g.transA ? g.m : 1)));
          let source: Source = { at: inPlace, row: g.transA ? 1 : g.k, step: g.transA ? g.m : 1 };
          if (copiedA !== null) source = copyRows(k, g, inPlace, copiedA, m, depth, run, shift);
          k.loop(count, (p) => {
            const panel = first.add(p);
            const column = affine(panel).times(nr);
            const at =
              packedB === null ? right.at(from.times(g.n).plus(column)) : packedB.at(affine(p).times(nr * depth));
            const stride = packedB === null ? g.n : width.length * lanes;
            const waiting =
              sums?.at(
                affine(t)
                  .times(plan.groupPanels)
                  .plus(p)
                  .times(mr * nr),
              ) ?? null;
            const tile: Tile = { run, block, sums: waiting, m, width, packed: packedB !== null };
            multiplyTile(k, g, source, at, stride, tile, (i, value, span) => {
              if (span.count === lanes) epilogue.emit(k, value, [batch, row.plus(i), column.plus(span.column)]);
              else if (g.n >= lanes) {
                epilogue.emit(k, value, [batch, row.plus(i), column.plus(span.column - span.first)], span);
              } else {
                for (let l = 0; l < span.count; l++) {
                  epilogue.emit(k, value.lane(span.first + l), [batch, row.plus(i), column.plus(span.column + l)]);
                }
              }
            });
          });
        };
        k.loop(rowShare, (t) => rowTile(affine(t).times(mr), mr, t.sub(rowShare.from), 0));
        onlyLast(k, rowTask, plan.rowTasks, rows.rest.length > 0, () => {
          const done = k.i32(rows.whole.count).sub(rowShare.from).max(0);
          rows.rest.forEach((r, i) => {
            rowTile(affine(r.start), r.size, done.add(i), g.transA ? Math.max(0, r.start + lanes - g.m) : 0);
          });
        });
      });

    k.loop({ ...panelShare, step: plan.groupPanels }, (first) => {
      group(first, panelShare.to.sub(first).min(k.i32(plan.groupPanels)), spans(g, nr, lanes));
    });
    onlyLast(k, columnTask, plan.columnTasks, restColumns > 0, () => {
      group(k.i32(wholePanels), k.i32(1), spans(g, restColumns, lanes));
    });
  });
  return k.finish(`gemm_${plan.key}_${g.m}x${g.n}x${g.k}_${epilogue.key}`);
}

/** The last part of a cut also does what is left over. */
function onlyLast(k: KernelBuilder, part: I32, parts: number, some: boolean, body: () => void): void {
  if (!some) return;
  if (parts === 1) body();
  else k.if(part.eq(parts - 1), body);
}

/** Row tiles. Where a copied tile is shorter than a vector, those in the loop leave room behind them for a whole one. */
function rowTiles(g: GemmSizes, plan: PanelPlan, lanes: number): { whole: Tiles; rest: Tiles[] } {
  const rows = coverEvenly(g.m, plan.mr);
  const { whole, rest } = rows;
  const reads = plan.copiesA && g.transA ? Math.max(plan.mr, lanes) : plan.mr;
  if (whole.count === 0 || (whole.count - 1) * plan.mr + reads <= g.m) return rows;
  const start = (whole.count - 1) * plan.mr;
  return { whole: { ...whole, count: whole.count - 1 }, rest: [{ start, size: plan.mr, count: 1 }, ...rest] };
}

/** A block of K: fours of it, and whether it is the last, which also has the K mod 4 behind them. */
interface Run {
  readonly turns: I32;
  readonly last: I32;
}

/** `step(u)` for each k of a block, `advance` after each four. */
function alongBlock(k: KernelBuilder, g: GemmSizes, run: Run, step: (u: number) => void, advance: () => void): void {
  k.loop(run.turns, () => {
    for (let u = 0; u < 4; u++) step(u);
    advance();
  });
  const left = g.k % 4;
  if (left > 0) {
    k.if(run.last, () => {
      for (let u = 0; u < left; u++) step(u);
    });
  }
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

interface Tile {
  readonly run: Run;
  readonly block: I32;
  /** Where sums wait between blocks. */
  readonly sums: Ptr<'f32'> | null;
  readonly m: number;
  readonly width: readonly Span[];
  readonly packed: boolean;
}

/** Sums of m rows × the vectors of a panel over a block of K; the last block hands them on. */
function multiplyTile(
  k: KernelBuilder,
  g: GemmSizes,
  a: Source,
  b: Ptr<'f32'>,
  bStride: number,
  { run, block, sums: waiting, m, width, packed }: Tile,
  emit: (row: number, value: F, span: Span) => void,
): void {
  const { lanes } = k;
  const sums = Array.from({ length: m }, () => width.map(() => k.zero()));
  // Sums are taken in the order in which a step should take its operands: the shorter side held in registers, the longer one passing.
  const [outer, inner] = m >= width.length ? [m, width.length] : [width.length, m];
  const each = (body: (i: number, v: number, at: number) => void) => {
    for (let n = 0; n < outer * inner; n++) {
      const [o, p] = [Math.floor(n / inner), n % inner];
      if (m >= width.length) body(o, p, n * lanes);
      else body(p, o, n * lanes);
    }
  };
  if (waiting !== null) {
    k.if(block.gt(0), () =>
      each((i, v, at) => {
        sums[i][v].set(k.load(waiting, at));
      }),
    );
  }
  const pa = k.ptrVar(a.at);
  const pb = k.ptrVar(b);
  const step = (u: number) => {
    const line = width.map((s) => k.load(pb, u * bStride + s.column - (packed ? 0 : s.first)));
    for (let i = 0; i < m; i++) {
      const value = k.broadcast(pa, i * a.row + u * a.step);
      line.forEach((vector, v) => {
        sums[i][v].fma(value, vector);
      });
    }
  };
  alongBlock(k, g, run, step, () => {
    pa.advance(4 * a.step);
    pb.advance(4 * bStride);
  });
  const finish = () => each((i, v) => emit(i, sums[i][v].value, width[v]));
  if (waiting === null) finish();
  else k.if(run.last, finish, () => each((i, v, at) => k.store(waiting, at, sums[i][v].value)));
}

/** Copies m rows of a block of a: a transposed one as [block][vectors], else row by row. */
function copyRows(
  k: KernelBuilder,
  g: GemmSizes,
  a: Ptr<'f32'>,
  to: Ptr<'f32'>,
  m: number,
  depth: number,
  run: Run,
  shift: number,
): Source {
  const { lanes } = k;
  if (!g.transA) {
    const from = k.ptrVar(a);
    const out = k.ptrVar(to);
    const copy = (i: Index, width = lanes) => k.store(out, i, k.load(from, i, width));
    const step = 4 * lanes;
    k.loop(m, () => {
      const bulk = run.turns.mul(4).div(step).mul(step);
      k.loop({ to: bulk, step }, (i) => {
        for (let v = 0; v < step; v += lanes) {
          k.prefetch(from, affine(i).plus(v + m * g.k), 1); // the same row of the tile after this one
          copy(affine(i).plus(v));
        }
      });
      k.loop({ from: bulk, to: run.turns.mul(4) }, (i) => copy(i, 1));
      if (g.k % 4 > 0) {
        k.if(run.last, () => {
          for (let u = 0; u < g.k % 4; u++) copy(affine(run.turns).times(4).plus(u), 1);
        });
      }
      from.advance(g.k);
      out.advance(depth + apart);
    });
    return { at: to, row: depth + apart, step: 1 };
  }
  // A tile shorter than a vector is read with what lies beside it: behind it, or, at the end of a line, before it.
  const wide = Math.max(m, lanes);
  const from = k.ptrVar(a.at(m < lanes && g.m >= lanes ? -shift : 0));
  const out = k.ptrVar(to);
  const copy = (u: number) => {
    if (g.m < lanes) {
      for (let i = 0; i < m; i++) k.store(out, u * wide + i, k.load(from, u * g.m + i, 1));
      return;
    }
    for (let i = 0; i < wide; i += lanes) {
      const at = Math.min(i, wide - lanes); // the last vector may cover part of the one before it
      k.store(out, u * wide + at, k.load(from, u * g.m + at));
    }
  };
  alongBlock(k, g, run, copy, () => {
    from.advance(4 * g.m);
    out.advance(4 * wide);
  });
  return { at: to.at(m < lanes && g.m >= lanes ? shift : 0), row: 1, step: wide };
}

/** Copies a block of `count` panels: [panels][depth][vectors]. Four k at a time, so that lines of the cache are filled at once. */
function packPanels(
  k: KernelBuilder,
  g: GemmSizes,
  b: Ptr<'f32'>,
  to: Ptr<'f32'>,
  depth: number,
  run: Run,
  count: I32,
  width: readonly Span[],
): void {
  const { lanes } = k;
  const nr = width.length * lanes;
  const [rowStride, columnStride] = g.transB ? [1, g.k] : [g.n, 1];
  const copy = (from: Ptr<'f32'>, out: Ptr<'f32'>, u: number) => {
    for (const { column, first, count: lanesUsed } of width) {
      const at = u * rowStride + (column - first) * columnStride;
      const whole = g.n >= lanes;
      const vector =
        whole && !g.transB ? k.load(from, at) : gather(k, from, at, columnStride, whole ? lanes : lanesUsed);
      k.store(out, u * nr + column, vector);
    }
  };
  const panels = (from: Ptr<'f32'>, out: Ptr<'f32'>, body: (from: Ptr<'f32'>, out: Ptr<'f32'>) => void) => {
    const along = k.ptrVar(from);
    const into = k.ptrVar(out);
    k.loop(count, () => {
      body(along, into);
      along.advance(nr * columnStride);
      into.advance(nr * depth);
    });
  };
  if (g.transB) {
    panels(b, to, (from, out) => {
      const along = k.ptrVar(from);
      const into = k.ptrVar(out);
      alongBlock(k, g, run, (u) => copy(along, into, u), () => {
        along.advance(4);
        into.advance(4 * nr);
      }); // biome-ignore format: one thought
    });
    return;
  }
  const line = k.ptrVar(b);
  const out = k.ptrVar(to);
  const some = (deep: number) =>
    panels(line, out, (from, into) => {
      for (let u = 0; u < deep; u++) {
        for (const { column } of width) k.prefetch(from, (u + 8) * g.n + column, 1);
        copy(from, into, u);
      }
    });
  k.loop(run.turns, () => {
    some(4);
    line.advance(4 * g.n);
    out.advance(4 * nr);
  });
  if (g.k % 4 > 0) k.if(run.last, () => some(g.k % 4));
}

/** `valid` elements `stride` apart as a vector, zeros behind them. */
function gather(k: KernelBuilder, p: Ptr<'f32'>, at: number, stride: number, valid = k.lanes): F {
  return k.lanesOf(
    Array.from({ length: k.lanes }, (_, l) => (l < valid ? k.load(p, at + l * stride, 1) : k.f32(0, 1))),
  );
}

/**
 * Reductions over strided operands of any rank: elementwise work before, one or more accumulations in one pass, elementwise work behind.
 * Lanes run along the innermost axis, whether it is kept (nothing to fold) or reduced (folded at the end).
 */

import type { LanePart } from '../graph/op.js';
import { type Affine, affine, type I32, type Kernel, type KernelBuilder, type Value } from '../ir/index.js';
import { contiguousStrides } from '../util/shape.js';
import {
  type Body,
  declareBody,
  emitBody,
  evaluateSteps,
  loadLanes,
  type Operand,
  offsetAt,
  startOf,
} from './fused.js';
import { isUnitWalk, merge, unravel } from './nest.js';

/** One accumulation of a reduction kernel. */
export interface Accumulation {
  readonly init: number;
  readonly float: boolean;
  combine(k: KernelBuilder, acc: Value, x: Value): Value;
  fold(k: KernelBuilder, v: Value): Value;
}

/** About a `wanted`-th of `size`, in whole steps; preferably such that nothing is left over. 0 if there are not as many steps. */
function partSize(size: number, wanted: number, step: number): number {
  const most = Math.floor(size / wanted / step) * step;
  for (let part = most; 2 * part > most; part -= step) if (size % part === 0) return part;
  return most;
}

/** Numbers that are added one after another before their sum is added to others. */
const pieceTurns = 64;

/** How a reduction is computed: by one kernel, or by several that leave partial results for a last one. */
export interface ReductionPlan {
  /** Elements of the partial results of each accumulation; 0 when the last kernel does everything. */
  readonly partials: number;
  /** Kernels that take the body's operands and write partial results, a pointer per accumulation. */
  readonly first: readonly ReductionStage[];
  /** Takes the body's operands, or else the partial results; then what `after` reads and writes. */
  readonly last: ReductionStage;
}

export interface ReductionStage {
  readonly name: string;
  build(k: KernelBuilder): Kernel;
}

/** Fewer tasks than this leave threads idle, so what they have to do is split if there is much of it. */
const fewTasks = 16;
const partElements = 32768;

/**
 * Splits reductions of many elements to few results in two: parts of the longest reduced axis first, then the sum of the parts. Where to cut
 * depends on shapes alone, so every number of threads adds in the same order.
 */
export function planReduction(
  lanes: number,
  name: string,
  sizes: readonly number[],
  reduced: readonly boolean[],
  body: Body,
  accumulations: readonly Accumulation[],
  after: Body,
): ReductionPlan {
  const whole: ReductionPlan = {
    partials: 0,
    first: [],
    last: { name, build: (k) => reduceKernel(k, name, sizes, reduced, body, accumulations, after) },
  };
  const outputs = after.outputs.map((o) => o.to);
  const space = merge(sizes, [...body.operands, ...after.operands, ...outputs], reduced);
  const { sizes: dims, marks } = space;
  const count = (mark: boolean) => dims.reduce((n, size, d) => (marks[d] === mark ? n * size : n), 1);
  const results = count(false);
  const tasks = marks[dims.length - 1] ? results : Math.ceil(results / (4 * lanes));
  const wanted = Math.min(
    Math.ceil((2 * fewTasks) / tasks),
    Math.floor((results * count(true)) / (tasks * partElements)),
  );
  if (tasks >= fewTasks || wanted < 2) return whole;

  const axis = dims.reduce((best, size, d) => (marks[d] && (best < 0 || size > dims[best]) ? d : best), -1);
  const step = axis === dims.length - 1 ? 4 * lanes : 1; // whole turns of the inner loop
  const part = partSize(dims[axis], wanted, step);
  if (part === 0) return whole;
  const parts = Math.floor(dims[axis] / part);
  const rest = dims[axis] - parts * part;

  const kept = dims.flatMap((_, d) => (marks[d] ? [] : [d]));
  const keptSizes = kept.map((d) => dims[d]);
  const rowStrides = contiguousStrides(keptSizes);
  const partialAt = (a: Accumulation, row: number, rowStride: number, onto: readonly number[]): Operand => {
    const strides = onto.map((d) => (kept.includes(d) ? rowStrides[kept.indexOf(d)] : 0));
    return { elem: a.float ? 'f32' : 'i32', strides: [rowStride, ...strides], offset: row * results };
  };
  /** `count` parts of `size` from part `row` on. */
  const stage = (row: number, count: number, size: number): ReductionStage => {
    const name_ = `${name}_part${row > 0 ? '_rest' : ''}`;
    const operands = space.operands.slice(0, body.operands.length).map((o) => ({
      ...o,
      strides: [o.strides[axis] * size, ...o.strides],
      offset: o.offset + row * part * o.strides[axis],
    }));
    const store: Body = {
      steps: accumulations.map((_, index) => ({ kind: 'anchor', index })),
      operands: [],
      outputs: accumulations.map((a, j) => ({ step: j, to: partialAt(a, row, results, dims.map((_, d) => d)) })), // biome-ignore format: one thought
    };
    const build = (k: KernelBuilder) =>
      reduceKernel(k, name_, [count, ...dims.with(axis, size)], [false, ...marks], { ...body, operands }, accumulations, store); // biome-ignore format: one thought
    return { name: name_, build };
  };
  const rows = parts + (rest > 0 ? 1 : 0);
  const gather: Body = {
    steps: accumulations.map((_, operand) => ({ kind: 'load', operand })),
    operands: accumulations.map((a) => partialAt(a, 0, results, kept)),
    outputs: accumulations.map((a, j) => ({ step: j, to: partialAt(a, 0, results, kept) })),
  };
  const onKept = (o: Operand): Operand => ({ ...o, strides: [0, ...kept.map((d) => o.strides[d])] });
  const behind = space.operands.slice(body.operands.length).map(onKept);
  const finish: Body = {
    steps: after.steps,
    operands: behind.slice(0, after.operands.length),
    outputs: after.outputs.map((o, i) => ({ step: o.step, to: behind[after.operands.length + i] })),
  };
  const lastName = `${name}_parts`;
  return {
    partials: rows * results,
    first: [stage(0, parts, part), ...(rest > 0 ? [stage(parts, 1, rest)] : [])],
    last: {
      name: lastName,
      build: (k) =>
        reduceKernel(k, lastName, [rows, ...keptSizes], [true, ...kept.map(() => false)], gather, accumulations, finish), // biome-ignore format: one thought
    },
  };
}

/**
 * Writes the kernel of one or more reductions over the same index space. `body.outputs` are not stored but accumulated (their `to` is ignored);
 * `after` runs on the results: its anchors are the accumulations, its operands and outputs have stride 0 along reduced axes.
 * The order of every sum is fixed by the shapes alone.
 */
export function reduceKernel(
  k: KernelBuilder,
  name: string,
  sizes: readonly number[],
  reduced: readonly boolean[],
  body: Body,
  accumulations: readonly Accumulation[],
  after: Body,
): Kernel {
  const all = [...body.operands, ...after.operands, ...after.outputs.map((o) => o.to)];
  const space = merge(sizes, all, reduced);
  const before: Body = { ...body, operands: space.operands.slice(0, body.operands.length) };
  const finish: Body = {
    steps: after.steps,
    operands: space.operands.slice(body.operands.length, body.operands.length + after.operands.length),
    outputs: after.outputs.map((o, i) => ({
      step: o.step,
      to: space.operands[body.operands.length + after.operands.length + i],
    })),
  };
  const ins = before.operands.map((o, i) => k.param(`x${i}`, o.elem)).map((p, i) => startOf(k, p, before.operands[i]));
  const pointers = declareBody(k, finish);
  const { sizes: dims, marks } = space;
  const innerAxis = dims.length - 1;
  const innerKept = !marks[innerAxis];
  const keptAxes = dims.map((_, d) => d).filter((d) => !marks[d]);
  const loopAxes = dims.map((_, d) => d).filter((d) => marks[d]);
  const size = dims[innerAxis];

  const load = (width: number, at: readonly Coordinate[], part?: LanePart) => (i: number) => {
    const o = before.operands[i];
    return loadLanes(k, ins[i].at(offsetAt(o, at)), o.strides[innerAxis], width, part);
  };
  const neutral = (width: number) => accumulations.map((a) => (a.float ? k.f32(a.init, width) : k.int(a.init, width)));
  const start = (width: number): Sums => neutral(width).map((x) => k.var<Value>(x));
  const add = (sums: Sums, xs: readonly Value[]) =>
    accumulations.forEach((a, j) => {
      sums[j].set(a.combine(k, sums[j].value, xs[j]));
    });
  const combine = (x: readonly Value[], y: readonly Value[]) => accumulations.map((a, j) => a.combine(k, x[j], y[j]));
  /** What is accumulated of one place. */
  const terms = (width: number, at: readonly Coordinate[], part?: LanePart): Value[] => {
    const values = evaluateSteps(k, before, width, load(width, at, part), []);
    return before.outputs.map((o) => values[o.step]);
  };
  const loops = (axes: readonly number[], at: Coordinate[], body: (at: Coordinate[]) => void): void => {
    if (axes.length === 0) {
      body(at);
      return;
    }
    k.loop(dims[axes[0]], (i) => loops(axes.slice(1), at.with(axes[0], i), body));
  };
  // Long sums are sums of sums: the error of an addition is in proportion to what has been added up, and one constant channel after
  // another would be wrong by as many roundings as it has pixels (Higham 1993, "The accuracy of floating point summation").
  const summed = loopAxes.reduce((n, d) => n * dims[d], 1) / (innerKept ? 1 : k.lanes);
  const cascade = summed > 2 * pieceTurns && accumulations.some((a) => a.float && a.init === 0);
  /** Steps 0 … `total` − 1, `chains` at a time: pieces of them from … to, and those that make no full turn, which come with the last piece. */
  const inPieces = (
    total: number,
    chains: number,
    body: (from: number | I32, to: number | I32, rest: readonly number[]) => void,
  ): void => {
    const bulk = total - (total % chains);
    const rest = Array.from({ length: total - bulk }, (_, i) => bulk + i);
    const piece = pieceTurns * chains;
    const pieces = cascade ? Math.max(0, Math.ceil(bulk / piece) - 1) : 0;
    k.loop({ to: pieces * piece, step: piece }, (from) => body(from, from.add(piece), []));
    body(pieces * piece, bulk, rest);
  };
  const origin: Coordinate[] = dims.map(() => 0);
  const heavy = before.steps.length > 24;

  if (innerKept) {
    // Lanes run along the kept inner axis: no folding at the end.
    const outerKept = keptAxes.slice(0, -1);
    const whole = Math.floor(size / k.lanes);
    // The last part of a row may run into the buffer's padding only when nothing else follows the row.
    const padded = outerKept.length === 0 && all.every((_, i) => isUnitWalk(space.operands[i].strides[innerAxis]));
    const vectors = padded ? Math.ceil(size / k.lanes) : whole;
    const tail = padded ? 0 : size - whole * k.lanes;
    const group = Math.min(4, Math.max(vectors, 1));
    const tiles = Math.floor(vectors / group);
    const rest = vectors - tiles * group;
    // Sums of few vectors take turns, so that an addition need not wait for the one before it.
    const along = loopAxes[loopAxes.length - 1];
    const turns = loopAxes.length === 0 ? 1 : dims[along];
    const chains = heavy
      ? 1
      : Math.min(Math.max(turns, 1), Math.max(1, Math.floor(8 / (group * accumulations.length))));

    /** The results of `count` vectors side by side. */
    const accumulate = (coords: Coordinate[], count: number, part?: LanePart): Value[][] => {
      const fresh = () => Array.from({ length: chains }, () => Array.from({ length: count }, () => start(k.lanes)));
      const sums = fresh();
      const step = (into: Sums[][], at: readonly Coordinate[], chain: number) => {
        for (let v = 0; v < count; v++) {
          const here = at.with(innerAxis, affine(at[innerAxis]).plus(v * k.lanes));
          add(into[chain][v], terms(k.lanes, here, part));
        }
      };
      loops(loopAxes.slice(0, -1), coords, (at) => {
        const onward = (i: Coordinate) => (loopAxes.length === 0 ? at : at.with(along, i));
        inPieces(turns, chains, (from, to, rest) => {
          const into = cascade ? fresh() : sums;
          k.loop({ from, to, step: chains }, (i) => {
            for (let c = 0; c < chains; c++) step(into, onward(affine(i).plus(c)), c);
          });
          rest.forEach((i, c) => void step(into, onward(i), c));
          if (!cascade) return;
          for (const [c, chain] of into.entries()) {
            for (const [v, line] of chain.entries()) add(sums[c][v], line.map((sum) => sum.value)); // biome-ignore format: one thought
          }
        });
      });
      const values = sums.map((chain) => chain.map((line) => line.map((sum) => sum.value)));
      return values[0].map((_, v) => values.map((chain) => chain[v]).reduce(combine));
    };
    const finishAt = (coords: Coordinate[], count: number, part?: LanePart) => {
      accumulate(coords, count, part).forEach((results, v) => {
        const at = coords.with(innerAxis, affine(coords[innerAxis]).plus(v * k.lanes));
        emitBody(k, finish, pointers, k.lanes, results, at, part);
      });
    };

    const parts = tiles + (rest > 0 ? 1 : 0) + (tail > 0 ? 1 : 0);
    k.tasks(outerKept.reduce((n, d) => n * dims[d], 1) * parts, (task) => {
      const index = unravel(k, task, [...outerKept.map((d) => dims[d]), parts]);
      const coords = [...origin];
      outerKept.forEach((d, i) => {
        coords[d] = index[i];
      });
      const tile = index[index.length - 1];
      const cases: (() => void)[] = [];
      if (tiles > 0) cases.push(() => finishAt(coords.with(innerAxis, affine(tile).times(group * k.lanes)), group));
      if (rest > 0) cases.push(() => finishAt(coords.with(innerAxis, tiles * group * k.lanes), rest));
      if (tail > 0) {
        // A vector that ends where the row ends, or one longer than the row.
        const part = { first: whole > 0 ? k.lanes - tail : 0, count: tail };
        cases.push(() => finishAt(coords.with(innerAxis, whole * k.lanes - part.first), 1, part));
      }
      const choose = (i: number): void => {
        if (i === cases.length - 1) cases[i]();
        else k.if(tile.lt(parts - cases.length + i + 1), cases[i], () => choose(i + 1));
      };
      if (cases.length > 0) choose(0);
    });
    return k.finish(name);
  }

  // Lanes run along the reduced inner axis and are folded at the end; several accumulators hide the latency of each addition.
  const outerLoops = loopAxes.slice(0, -1);
  const whole = Math.floor(size / k.lanes);
  const tail = size - whole * k.lanes;
  const chains = whole >= 8 && !heavy ? Math.max(1, Math.floor(4 / Math.ceil(accumulations.length / 2))) : 1;
  // What is left of a row is a vector as well, with neutral elements in the lanes that do not count: it ends where the row ends, or,
  // where the row is shorter than a vector, runs past it.
  const scalars = tail < (whole > 0 ? 2 : 4);
  const part = { first: whole > 0 ? k.lanes - tail : 0, count: tail };
  const counts = scalars ? null : whole > 0 ? k.iota().ge(part.first) : k.iota().lt(part.count);
  k.tasks(
    keptAxes.reduce((n, d) => n * dims[d], 1),
    (task) => {
      const index = unravel(
        k,
        task,
        keptAxes.map((d) => dims[d]),
      );
      const coords = [...origin];
      keptAxes.forEach((d, i) => {
        coords[d] = index[i];
      });
      const wide = Array.from({ length: whole > 0 || !scalars ? chains : 0 }, () => start(k.lanes));
      const single = start(1);
      loops(outerLoops, coords, (at) => {
        const place = (x: Coordinate) => at.with(innerAxis, x);
        inPieces(whole, chains, (from, to, rest) => {
          const into = cascade ? wide.map(() => start(k.lanes)) : wide;
          k.loop({ from, to, step: chains }, (v) => {
            for (let c = 0; c < chains; c++) add(into[c], terms(k.lanes, place(affine(v).plus(c).times(k.lanes))));
          });
          rest.forEach((v, c) => void add(into[c], terms(k.lanes, place(v * k.lanes))));
          if (cascade) into.forEach((line, c) => void add(wide[c], line.map((sum) => sum.value))); // biome-ignore format: one thought
        });
        if (counts !== null) {
          const xs = terms(k.lanes, place(whole * k.lanes - part.first), part);
          const idle = neutral(k.lanes);
          add(wide[whole % chains], xs.map((x, j) => k.select(counts, x, idle[j]))); // biome-ignore format: one thought
        } else for (let t = whole * k.lanes; t < size; t++) add(single, terms(1, place(t)));
      });
      const rest = single.map((sum) => sum.value);
      const folded = wide.map((line) => line.map((sum) => sum.value));
      const results =
        wide.length === 0 ? rest : combine(folded.reduce(combine).map((x, j) => accumulations[j].fold(k, x)), rest); // biome-ignore format: one thought
      emitBody(k, finish, pointers, 1, results, coords);
    },
  );
  return k.finish(name);
}

type Coordinate = number | I32 | Affine;
type Sums = { readonly value: Value; set(v: Value): void }[];

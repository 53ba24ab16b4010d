/**
 * Reductions over strided operands of any rank: elementwise work before, one or more accumulations in one pass, elementwise work behind.
 * Lanes run along the innermost axis, whether it is kept (nothing to fold) or reduced (folded at the end).
 */

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

  /** Accumulates over all reduced axes at the given kept coordinates, `vectors` × `width` elements side by side along a kept inner axis. */
  const accumulate = (coords: (number | I32 | Affine)[], vectors: number, width: number): Value[][] => {
    const sums = Array.from({ length: vectors }, () =>
      accumulations.map((a) => k.var(a.float ? k.f32(a.init, width) : k.int(a.init, width))),
    );
    const walk = (level: number, at: (number | I32 | Affine)[]) => {
      if (level === loopAxes.length) {
        for (let v = 0; v < vectors; v++) {
          const here = [...at];
          if (vectors > 1) here[innerAxis] = affine(here[innerAxis]).plus(v * width);
          const values = evaluateSteps(
            k,
            before,
            width,
            (i) =>
              loadLanes(k, ins[i].at(offsetAt(before.operands[i], here)), before.operands[i].strides[innerAxis], width),
            [],
          );
          accumulations.forEach((a, j) => {
            const sum = sums[v][j];
            sum.set(a.combine(k, sum.value, values[before.outputs[j].step]) as never);
          });
        }
        return;
      }
      k.loop(dims[loopAxes[level]], (i) => {
        const here = [...at];
        here[loopAxes[level]] = i;
        walk(level + 1, here);
      });
    };
    walk(0, coords);
    return sums.map((s) => s.map((v) => v.value));
  };

  if (innerKept) {
    // Lanes run along the kept inner axis: no folding at the end.
    const outerKept = keptAxes.slice(0, -1);
    const whole = Math.floor(size / k.lanes);
    // The last part of a row may run into the buffer's padding only when nothing else follows the row.
    const padded = outerKept.length === 0 && all.every((_, i) => isUnitWalk(space.operands[i].strides[innerAxis]));
    const vectors = padded ? Math.ceil(size / k.lanes) : whole;
    const tail = padded ? 0 : size - whole * k.lanes;
    const group = vectors % 4 === 0 ? 4 : vectors % 2 === 0 ? 2 : 1;
    const tiles = vectors / group + tail;
    k.tasks(outerKept.reduce((n, d) => n * dims[d], 1) * Math.max(tiles, 1), (task) => {
      const coords: (number | I32 | Affine)[] = dims.map(() => 0);
      const index = unravel(k, task, [...outerKept.map((d) => dims[d]), Math.max(tiles, 1)]);
      outerKept.forEach((d, i) => {
        coords[d] = index[i];
      });
      const tile = index[index.length - 1];
      const wide = () => {
        coords[innerAxis] = affine(tile).times(group * k.lanes);
        const results = accumulate(coords, group, k.lanes);
        results.forEach((r, v) => {
          const at = [...coords];
          at[innerAxis] = affine(coords[innerAxis]).plus(v * k.lanes);
          emitBody(k, finish, pointers, k.lanes, r, at);
        });
      };
      const narrow = () => {
        coords[innerAxis] = affine(tile).plus(vectors * k.lanes - vectors / group);
        emitBody(k, finish, pointers, 1, accumulate(coords, 1, 1)[0], coords);
      };
      if (tail === 0) wide();
      else if (vectors === 0) narrow();
      else k.if(tile.lt(vectors / group), wide, narrow);
    });
    return k.finish(name);
  }

  // Lanes run along the reduced inner axis and are folded at the end; several accumulators hide the latency of each addition.
  const outerLoops = loopAxes.slice(0, -1);
  const whole = Math.floor(size / k.lanes);
  const chains = whole >= 8 ? 4 : 1;
  k.tasks(
    keptAxes.reduce((n, d) => n * dims[d], 1),
    (task) => {
      const coords: (number | I32 | Affine)[] = dims.map(() => 0);
      const index = unravel(
        k,
        task,
        keptAxes.map((d) => dims[d]),
      );
      keptAxes.forEach((d, i) => {
        coords[d] = index[i];
      });
      const wideSums = Array.from({ length: whole > 0 ? chains : 0 }, () =>
        accumulations.map((a) => k.var(a.float ? k.f32(a.init, k.lanes) : k.int(a.init, k.lanes))),
      );
      const restSums = accumulations.map((a) => k.var(a.float ? k.f32(a.init, 1) : k.int(a.init, 1)));
      const add = (
        sums: { value: Value; set(v: never): void }[],
        at: readonly (number | I32 | Affine)[],
        width: number,
      ) => {
        const values = evaluateSteps(
          k,
          before,
          width,
          (i) =>
            loadLanes(k, ins[i].at(offsetAt(before.operands[i], at)), before.operands[i].strides[innerAxis], width),
          [],
        );
        accumulations.forEach((a, j) => {
          sums[j].set(a.combine(k, sums[j].value, values[before.outputs[j].step]) as never);
        });
      };
      const row = (at: readonly (number | I32 | Affine)[]) => {
        const place = (x: number | I32 | Affine) => [...at.slice(0, innerAxis), x];
        const turns = Math.floor(whole / chains);
        if (turns > 0) {
          k.loop(turns, (i) => {
            for (let c = 0; c < chains; c++)
              add(
                wideSums[c],
                place(
                  affine(i)
                    .times(chains * k.lanes)
                    .plus(c * k.lanes),
                ),
                k.lanes,
              );
          });
        }
        for (let c = turns * chains; c < whole; c++) add(wideSums[c % chains], place(c * k.lanes), k.lanes);
        for (let t = whole * k.lanes; t < size; t++) add(restSums, place(t), 1);
      };
      const walk = (level: number, at: readonly (number | I32 | Affine)[]) => {
        if (level === outerLoops.length) {
          row(at);
          return;
        }
        k.loop(dims[outerLoops[level]], (i) => {
          const here = [...at];
          here[outerLoops[level]] = i;
          walk(level + 1, here);
        });
      };
      walk(0, coords);
      const results = accumulations.map((a, j) => {
        let total = restSums[j].value;
        if (wideSums.length > 0) {
          let wide = wideSums[0][j].value;
          for (let c = 1; c < chains; c++) wide = a.combine(k, wide, wideSums[c][j].value);
          total = a.combine(k, a.fold(k, wide), total);
        }
        return total;
      });
      emitBody(k, finish, pointers, 1, results, coords);
    },
  );
  return k.finish(name);
}

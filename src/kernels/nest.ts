/**
 * Loop nests for work without a structure of its own: elementwise bodies and reductions over strided operands of any rank.
 * Axes that every operand walks alike are merged first, so contiguous tensors become one flat loop and blocked layouts a loop over vectors.
 * Buffers are padded to whole vectors, so a flat loop needs no tail; rows inside a larger tensor finish their tail one element at a time.
 */

import { type Affine, affine, type I32, type Kernel, type KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import { contiguousStrides } from '../util/shape.js';
import {
  type Body,
  type BodyPointers,
  declareBody,
  emitBody,
  evaluateStep,
  evaluateSteps,
  loadLanes,
  type Operand,
  offsetAt,
  type StepValues,
  startOf,
  storeLanes,
} from './fused.js';

/** Elements one task should handle, so that sharing out costs little and threads still balance. */
const taskElements = 8192;

/** Writes the kernel of an elementwise body over an index space of the given sizes. */
export function pointwiseKernel(k: KernelBuilder, name: string, sizes: readonly number[], body: Body): Kernel {
  const space = merge(sizes, [...body.operands, ...body.outputs.map((o) => o.to)]);
  const merged: Body = {
    steps: body.steps,
    operands: space.operands.slice(0, body.operands.length),
    outputs: body.outputs.map((o, i) => ({ step: o.step, to: space.operands[body.operands.length + i] })),
  };
  const pointers = declareBody(k, merged);
  const dims = space.sizes;
  const inner = dims[dims.length - 1];
  const unrolledVectors = dims.length > 1 && inner <= 4 * k.lanes && inner % k.lanes === 0 ? inner / k.lanes : 0;
  if (unrolledVectors > 0) blockLoop(k, merged, pointers, dims, unrolledVectors);
  else rowLoop(k, merged, pointers, dims);
  return k.finish(name);
}

/** The last axis is a block of a few vectors, written out; the loop runs over the axis before it. */
function blockLoop(
  k: KernelBuilder,
  body: Body,
  pointers: BodyPointers,
  dims: readonly number[],
  vectors: number,
): void {
  const loopAxis = dims.length - 2;
  shareOut(k, dims.slice(0, loopAxis), dims[loopAxis], vectors * k.lanes, (outer, from, to) => {
    const start = (o: Operand, p: Ptr) => p.at(offsetAt(o, [...outer, from]));
    const ins = body.operands.map((o, i) => start(o, pointers.operands[i]));
    const outs = body.outputs.map((o, i) => start(o.to, pointers.outputs[i]));
    const fixed = body.operands.map((o) => o.strides[loopAxis] === 0);
    const lane = (i: number) => body.operands[i].strides[loopAxis + 1];
    const read = (p: readonly Ptr[], v: number) => (i: number) =>
      loadLanes(k, p[i].at(v * k.lanes * lane(i)), lane(i), k.lanes);
    const known = Array.from({ length: vectors }, (_, v) => hoist(k, body, fixed, k.lanes, read(ins, v)));
    const inVars = ins.map((p, i) => (fixed[i] ? p : k.ptrVar(p)));
    const outVars = outs.map((p) => k.ptrVar(p));
    k.loop({ from, to }, () => {
      for (let v = 0; v < vectors; v++) {
        const values = evaluateSteps(k, body, k.lanes, read(inVars, v), [], known[v]);
        body.outputs.forEach((o, i) => {
          const s = o.to.strides[loopAxis + 1];
          storeLanes(k, outVars[i].at(v * k.lanes * s), s, values[o.step], k.lanes);
        });
      }
      inVars.forEach((p, i) => {
        if (!fixed[i]) (p as ReturnType<KernelBuilder['ptrVar']>).advance(body.operands[i].strides[loopAxis]);
      });
      outVars.forEach((p, i) => {
        p.advance(body.outputs[i].to.strides[loopAxis]);
      });
    });
  });
}

/** The loop runs along the last axis, several vectors a turn. */
function rowLoop(k: KernelBuilder, body: Body, pointers: BodyPointers, dims: readonly number[]): void {
  const axis = dims.length - 1;
  // Only whole buffers, walked element after element, have padding that the last vector may run into.
  const flat =
    axis === 0 &&
    body.outputs.every((o) => o.to.strides[axis] === 1 && o.to.offset === 0) &&
    body.operands.every((o) => isUnitWalk(o.strides[axis]));
  const size = dims[axis];
  const vectors = flat ? Math.ceil(size / k.lanes) : Math.floor(size / k.lanes);
  const unroll = body.steps.length > 24 ? 1 : body.steps.length > 10 ? 2 : 4;
  const tail = flat ? 0 : size - vectors * k.lanes;
  shareOut(k, dims.slice(0, axis), Math.max(vectors, 1), k.lanes, (outer, from, to, last) => {
    const start = (o: Operand, p: Ptr) => p.at(offsetAt(o, outer));
    const ins = body.operands.map((o, i) => start(o, pointers.operands[i]));
    const outs = body.outputs.map((o, i) => start(o.to, pointers.outputs[i]));
    const fixed = body.operands.map((o) => o.strides[axis] === 0);
    const run = (at: Affine, width: number, turns: number, known: readonly StepValues[]) => {
      for (let u = 0; u < turns; u++) {
        const here = at.plus(u * width);
        const values = evaluateSteps(
          k,
          body,
          width,
          (i) =>
            loadLanes(k, ins[i].at(here.times(body.operands[i].strides[axis])), body.operands[i].strides[axis], width),
          [],
          known[0],
        );
        body.outputs.forEach((o, i) => {
          const s = o.to.strides[axis];
          storeLanes(k, outs[i].at(here.times(s)), s, values[o.step], width);
        });
      }
    };
    if (vectors > 0) {
      const known = [hoist(k, body, fixed, k.lanes, (i) => loadLanes(k, ins[i], 0, k.lanes))];
      const elements = (i: I32) => affine(i).times(k.lanes);
      if (unroll === 1 || vectors < unroll) {
        k.loop({ from, to }, (i) => run(elements(i), k.lanes, 1, known));
      } else {
        const span = (typeof to === 'number' ? k.i32(to) : to).sub(typeof from === 'number' ? k.i32(from) : from);
        const bulk = span.sub(span.rem(unroll)).add(from as never);
        k.loop({ from, to: bulk, step: unroll }, (i) => run(elements(i), k.lanes, unroll, known));
        k.loop({ from: bulk, to }, (i) => run(elements(i), k.lanes, 1, known));
      }
    }
    if (tail > 0) {
      const finish = () => {
        for (let t = 0; t < tail; t++) run(affine(vectors * k.lanes + t), 1, 1, [[]]);
      };
      if (last === true) finish();
      else k.if(last, finish);
    }
  });
}

/** Values that do not change along the loop, computed once before it. */
function hoist(
  k: KernelBuilder,
  body: Body,
  fixed: readonly boolean[],
  width: number,
  load: (i: number) => Value,
): StepValues {
  const known: StepValues = [];
  for (const s of body.steps) {
    const constant =
      s.kind === 'constant' ||
      (s.kind === 'load' && fixed[s.operand]) ||
      (s.kind === 'apply' && s.args.every((a) => known[a] !== null));
    known.push(constant ? evaluateStep(k, s, width, load, [], known as Value[]) : null);
  }
  return known;
}

/**
 * Cuts outer × inner iterations into tasks of about `taskElements`: either several outer indices a task, or a part of one inner range.
 * `body(outer, from, to, last)`: indices of the outer axes, the inner range, and whether the range reaches the end.
 */
function shareOut(
  k: KernelBuilder,
  outer: readonly number[],
  inner: number,
  elementsEach: number,
  body: (outer: I32[], from: number | I32, to: number | I32, last: true | I32) => void,
): void {
  const outerCount = outer.reduce((a, b) => a * b, 1);
  const rowElements = inner * elementsEach;
  if (rowElements >= taskElements || outerCount === 1) {
    const parts = Math.max(1, Math.round(rowElements / taskElements));
    const chunk = Math.ceil(inner / parts);
    const used = Math.ceil(inner / chunk);
    k.tasks(outerCount * used, (task) => {
      if (used === 1) {
        body(unravel(k, task, outer), 0, inner, true);
        return;
      }
      const part = task.rem(used);
      const from = part.mul(chunk);
      const to = from.add(chunk).min(k.i32(inner));
      body(unravel(k, outerCount === 1 ? k.i32(0) : task.div(used), outer), from, to, part.eq(used - 1));
    });
    return;
  }
  const group = Math.max(1, Math.floor(taskElements / rowElements));
  k.tasks(Math.ceil(outerCount / group), (task) => {
    const first = task.mul(group);
    k.loop({ from: first, to: first.add(group).min(k.i32(outerCount)) }, (o) =>
      body(unravel(k, o, outer), 0, inner, true),
    );
  });
}

/** A flat index → one index per axis. */
export function unravel(k: KernelBuilder, flat: I32, sizes: readonly number[]): I32[] {
  const out: I32[] = [];
  let rest = flat;
  for (let d = sizes.length - 1; d >= 0; d--) {
    if (sizes[d] === 1) out.unshift(k.i32(0));
    else if (d === 0) out.unshift(rest);
    else {
      out.unshift(rest.rem(sizes[d]));
      rest = rest.div(sizes[d]);
    }
  }
  return out;
}

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

/** Element after element, or one element again and again: a vector too many reads only padding. */
const isUnitWalk = (stride: number): boolean => stride === 0 || stride === 1;

interface Space {
  readonly sizes: number[];
  readonly operands: Operand[];
  readonly marks: boolean[];
}

/** Drops axes of size 1 and merges neighbours that every operand walks as one (and that carry the same mark). */
function merge(
  sizes: readonly number[],
  operands: readonly Operand[],
  marks: readonly boolean[] = sizes.map(() => false),
): Space {
  const keep: number[] = [];
  sizes.forEach((n, d) => {
    if (n !== 1) keep.push(d);
  });
  const outSizes: number[] = [];
  const outMarks: boolean[] = [];
  const strides: number[][] = operands.map(() => []);
  for (const d of keep) {
    const last = outSizes.length - 1;
    const joins =
      last >= 0 &&
      outMarks[last] === marks[d] &&
      operands.every((o, i) => strides[i][last] === o.strides[d] * sizes[d]);
    if (joins) {
      outSizes[last] *= sizes[d];
      operands.forEach((o, i) => {
        strides[i][last] = o.strides[d];
      });
    } else {
      outSizes.push(sizes[d]);
      outMarks.push(marks[d]);
      operands.forEach((o, i) => {
        strides[i].push(o.strides[d]);
      });
    }
  }
  if (outSizes.length === 0) {
    outSizes.push(1);
    outMarks.push(marks.some(Boolean) && marks.every(Boolean));
    operands.forEach((_, i) => {
      strides[i].push(0);
    });
    // A single element: stride 1 lets whole vectors be read and written inside the padding.
    return { sizes: outSizes, marks: outMarks, operands: operands.map((o) => ({ ...o, strides: [1] })) };
  }
  return { sizes: outSizes, marks: outMarks, operands: operands.map((o, i) => ({ ...o, strides: strides[i] })) };
}

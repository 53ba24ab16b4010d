/**
 * Loop nests for work without a structure of its own: elementwise bodies over strided operands of any rank (reductions: reduce.ts).
 * Axes that every operand walks alike are merged first, so contiguous tensors become one flat loop and blocked layouts a loop over vectors.
 * Buffers are padded to whole vectors, so a flat loop needs no tail; rows inside a larger tensor finish their tail with a
 * vector that ends where the row ends.
 */

import type { LanePart } from '../graph/op.js';
import {
  type Affine,
  affine,
  ELEM_BYTES,
  type I32,
  type Kernel,
  type KernelBuilder,
  type Ptr,
  PtrVar,
  type Value,
} from '../ir/index.js';
import {
  type Body,
  type BodyPointers,
  declareBody,
  evaluateStep,
  evaluateSteps,
  loadLanes,
  type Operand,
  offsetAt,
  type StepValues,
  storeLanes,
} from './fused.js';

/** Elements one task should handle, so that sharing out costs little and threads still balance. */
const taskElements = 8192;
/** A kernel that touches more than this leaves nothing of use in a third-level cache. */
const cachedBytes = 32 * 2 ** 20;

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
  const crossing = crossedAxis(k, merged, dims);
  if (crossing !== null && unrolledVectors === 0) crossLoop(k, merged, pointers, dims, crossing);
  else if (unrolledVectors > 0) blockLoop(k, merged, pointers, dims, unrolledVectors);
  else rowLoop(k, merged, pointers, dims);
  return k.finish(name);
}

/**
 * Whether results go past the caches: where they will have been pushed out of them before anybody reads them, and the reading of each line
 * that a store begins with is in vain. Bodies of several results update in place what they have just read.
 */
function streams(k: KernelBuilder, body: Body, dims: readonly number[]): boolean {
  if (body.outputs.length !== 1) return false;
  const { to } = body.outputs[0];
  const last = dims.length - 1;
  const aligned = to.offset % k.lanes === 0 && to.strides.every((s, d) => d === last || s % k.lanes === 0);
  if (to.elem === 'u8' || to.strides[last] !== 1 || !aligned) return false;
  const bytes = (o: Operand) => dims.reduce((n, size, d) => (o.strides[d] === 0 ? n : n * size), ELEM_BYTES[o.elem]);
  return [...body.operands, to].reduce((sum, o) => sum + bytes(o), 0) >= cachedBytes;
}

/** Elements of a line of the cache. */
const lineElements = 16;

/**
 * The axis along which an operand's elements lie side by side, where that is not the last: one that is transposed. Going along the last axis
 * alone would fetch a line for each element.
 */
function crossedAxis(k: KernelBuilder, body: Body, dims: readonly number[]): number | null {
  const axis = dims.length - 1;
  if (dims[axis] < k.lanes || body.outputs.some((o) => o.to.strides[axis] !== 1)) return null;
  for (const { strides } of body.operands) {
    if (Math.abs(strides[axis]) < lineElements) continue;
    const beside = strides.findIndex((s, d) => Math.abs(s) === 1 && dims[d] >= 4);
    if (beside >= 0) return beside;
  }
  return null;
}

/** Vectors run along the last axis; a few rows of the crossed axis take their turns on each, so that the lines read for one serve all. */
function crossLoop(
  k: KernelBuilder,
  body: Body,
  pointers: BodyPointers,
  dims: readonly number[],
  crossed: number,
): void {
  const axis = dims.length - 1;
  const vectors = Math.floor(dims[axis] / k.lanes);
  const tail = dims[axis] - vectors * k.lanes;
  const others = dims.slice(0, axis).map((n, d) => (d === crossed ? Math.ceil(n / lineElements) : n));
  shareOut(k, others, vectors, k.lanes * Math.min(lineElements, dims[crossed]), (outer, from, to, last) => {
    const firstRow = outer[crossed].mul(lineElements);
    const lastRow = firstRow.add(lineElements).min(k.i32(dims[crossed]));
    const onRows = (at: Affine, part?: LanePart) => {
      const coords = [...outer.with(crossed, k.i32(0)), at];
      const ins = body.operands.map((o, i) => pointers.operands[i].at(offsetAt(o, coords)));
      const outs = body.outputs.map((o, i) => pointers.outputs[i].at(offsetAt(o.to, coords)));
      k.loop({ from: firstRow, to: lastRow }, (row) => {
        const read = (i: number) => {
          const { strides } = body.operands[i];
          return loadLanes(k, ins[i].at(affine(row).times(strides[crossed])), strides[axis], k.lanes, part);
        };
        const values = evaluateSteps(k, body, k.lanes, read, []);
        body.outputs.forEach((o, i) => {
          storeLanes(k, outs[i].at(affine(row).times(o.to.strides[crossed])), 1, values[o.step], k.lanes, part);
        });
      });
    };
    k.loop({ from, to }, (v) => onRows(affine(v).times(k.lanes)));
    if (tail === 0) return;
    const finish = () => onRows(affine(dims[axis] - k.lanes), { first: k.lanes - tail, count: tail });
    if (last === true) finish();
    else k.if(last, finish);
  });
}

/** The last axis is a block of a few vectors, written out; the loop runs over the axis before it, a few blocks a turn. */
function blockLoop(
  k: KernelBuilder,
  body: Body,
  pointers: BodyPointers,
  dims: readonly number[],
  vectors: number,
): void {
  const loopAxis = dims.length - 2;
  const unroll = Math.max(1, Math.floor(vectorsPerTurn(body) / vectors));
  const past = { streams: streams(k, body, dims) };
  shareOut(k, dims.slice(0, loopAxis), dims[loopAxis], vectors * k.lanes, (outer, from, to) => {
    const start = (o: Operand, p: Ptr) => p.at(offsetAt(o, [...outer, from]));
    const ins = body.operands.map((o, i) => start(o, pointers.operands[i]));
    const outs = body.outputs.map((o, i) => start(o.to, pointers.outputs[i]));
    const fixed = body.operands.map((o) => o.strides[loopAxis] === 0);
    const read = (p: readonly Ptr[], v: number, u: number) => (i: number) => {
      const { strides } = body.operands[i];
      const lane = strides[loopAxis + 1];
      return loadLanes(k, p[i].at(u * strides[loopAxis] + v * k.lanes * lane), lane, k.lanes);
    };
    const known = Array.from({ length: vectors }, (_, v) => hoist(k, body, fixed, k.lanes, read(ins, v, 0)));
    const inVars = ins.map((p, i) => (fixed[i] ? p : k.ptrVar(p)));
    const outVars = outs.map((p) => k.ptrVar(p));
    const turn = (blocks: number) => {
      for (let u = 0; u < blocks; u++) {
        for (let v = 0; v < vectors; v++) {
          const values = evaluateSteps(k, body, k.lanes, read(inVars, v, u), [], known[v]);
          body.outputs.forEach((o, i) => {
            const s = o.to.strides[loopAxis + 1];
            const at = u * o.to.strides[loopAxis] + v * k.lanes * s;
            if (s === 1) k.store(outVars[i], at, values[o.step], past);
            else storeLanes(k, outVars[i].at(at), s, values[o.step], k.lanes);
          });
        }
      }
      inVars.forEach((p, i) => {
        if (p instanceof PtrVar) p.advance(blocks * body.operands[i].strides[loopAxis]);
      });
      outVars.forEach((p, i) => {
        p.advance(blocks * body.outputs[i].to.strides[loopAxis]);
      });
    };
    inTurns(k, from, to, unroll, (_, blocks) => turn(blocks));
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
  const tail = flat ? 0 : size - vectors * k.lanes;
  const past = { streams: tail === 0 && streams(k, body, dims) };
  shareOut(k, dims.slice(0, axis), Math.max(vectors, 1), k.lanes, (outer, from, to, last) => {
    const start = (o: Operand, p: Ptr) => p.at(offsetAt(o, outer));
    const ins = body.operands.map((o, i) => start(o, pointers.operands[i]));
    const outs = body.outputs.map((o, i) => start(o.to, pointers.outputs[i]));
    const fixed = body.operands.map((o) => o.strides[axis] === 0);
    const evaluate = (at: Affine, width: number, known: StepValues, part?: LanePart) =>
      evaluateSteps(
        k,
        body,
        width,
        (i) => {
          const s = body.operands[i].strides[axis];
          return loadLanes(k, ins[i].at(at.times(s)), s, width, part);
        },
        [],
        known,
      );
    const store = (values: readonly Value[], at: Affine, width: number, part?: LanePart) => {
      body.outputs.forEach((o, i) => {
        const s = o.to.strides[axis];
        if (s === 1 && width > 1 && part === undefined) k.store(outs[i], at, values[o.step], past);
        else storeLanes(k, outs[i].at(at.times(s)), s, values[o.step], width, part);
      });
    };
    if (vectors === 0) {
      // A row shorter than a vector: what is computed is computed for all its elements at once.
      const computes = body.steps.some((s) => s.kind === 'apply');
      const part = { first: 0, count: tail };
      if (computes && tail > 1) store(evaluate(affine(0), k.lanes, [], part), affine(0), k.lanes, part);
      else for (let t = 0; t < tail; t++) store(evaluate(affine(t), 1, []), affine(t), 1);
      return;
    }
    const known = hoist(k, body, fixed, k.lanes, (i) => loadLanes(k, ins[i], 0, k.lanes));
    // The last vector ends where the row ends and shares lanes with the one before it. Where a result replaces an operand it has to be computed
    // before those lanes are written; where it could not be stored whole anyway, or its row is shared out, its own lanes follow one by one.
    const lastAt = affine(size - k.lanes);
    const whole = last === true && body.outputs.every((o) => o.to.strides[axis] === 1);
    const lastValues = tail > 0 && whole ? evaluate(lastAt, k.lanes, known) : null;
    inTurns(k, from, to, Math.min(vectorsPerTurn(body), vectors), (i, turns) => {
      for (let u = 0; u < turns; u++) {
        const here = affine(i).plus(u).times(k.lanes);
        store(evaluate(here, k.lanes, known), here, k.lanes);
      }
    });
    if (lastValues !== null) store(lastValues, lastAt, k.lanes);
    else if (tail > 0) {
      const part = { first: k.lanes - tail, count: tail };
      const finish = () => store(evaluate(lastAt, k.lanes, known, part), lastAt, k.lanes, part);
      if (last === true) finish();
      else k.if(last, finish);
    }
  });
}

/** Vectors of a body that are worth writing out, so that loops cost little and latencies overlap. */
function vectorsPerTurn(body: Body): number {
  return body.steps.length > 24 ? 1 : body.steps.length > 10 ? 2 : 4;
}

/** Turns of `unroll` while there are enough, then single ones. */
function inTurns(
  k: KernelBuilder,
  from: number | I32,
  to: number | I32,
  unroll: number,
  turn: (first: number | I32, count: number) => void,
): void {
  if (unroll === 1) {
    k.loop({ from, to }, (i) => turn(i, 1));
    return;
  }
  if (typeof from === 'number' && typeof to === 'number') {
    const bulk = to - ((to - from) % unroll);
    k.loop({ from, to: bulk, step: unroll }, (i) => turn(i, unroll));
    if (to > bulk) turn(bulk, to - bulk);
    return;
  }
  const [first, end] = [from, to].map((x) => (typeof x === 'number' ? k.i32(x) : x));
  const span = end.sub(first);
  const bulk = span.sub(span.rem(unroll)).add(first);
  k.loop({ from: first, to: bulk, step: unroll }, (i) => turn(i, unroll));
  k.loop({ from: bulk, to: end }, (i) => turn(i, 1));
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

/** Element after element, or one element again and again: a vector too many reads only padding. */
export const isUnitWalk = (stride: number): boolean => stride === 0 || stride === 1;

export interface Space {
  readonly sizes: number[];
  readonly operands: Operand[];
  readonly marks: boolean[];
}

/** Drops axes of size 1 and merges neighbours that every operand walks as one (and that carry the same mark). */
export function merge(
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

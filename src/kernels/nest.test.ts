/** Elementwise kernels and reductions over strided operands, in the IR's interpreter at every number of lanes, against plain loops. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Float, interpret, type Kernel, KernelBuilder, print } from '../ir/index.js';
import { contiguousStrides, numel } from '../util/shape.js';
import type { Body, Operand, Pointwise, Step } from './fused.js';
import { pointwiseKernel } from './nest.js';
import { type Accumulation, planReduction, reduceKernel } from './reduce.js';

const allLanes = [4, 8, 16];
/** What a kernel may read behind a value; the last bytes of a value's own cache line it may also write. */
const readAheadBytes = 64;
const nan = Number.NaN;

function numbers(n: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >> 8) / 2 ** 23;
  });
}

/** Runs a kernel on buffers, NaN behind each, in pieces of tasks, the last piece first. Returns the buffers as they are then. */
function run(kernel: Kernel, buffers: readonly Float32Array[], alias?: readonly [number, number]): Float32Array[] {
  const sizes = buffers.map((b) => Math.ceil(b.byteLength / 64) * 64);
  let bytes = 64;
  const addresses = sizes.map((size) => {
    const at = bytes;
    bytes += size + readAheadBytes;
    return at;
  });
  if (alias !== undefined) addresses[alias[1]] = addresses[alias[0]];
  const memory = new Float32Array(bytes / 4).fill(nan);
  buffers.forEach((b, i) => {
    if (i !== alias?.[1]) memory.set(b, addresses[i] / 4);
  });
  const bounds = addresses.map((address, i) => ({ address, size: sizes[i] + readAheadBytes }));
  const piece = Math.max(1, Math.ceil(kernel.tasks / 3));
  for (let end = kernel.tasks; end > 0; end -= piece) {
    interpret(kernel, memory.buffer, addresses, Math.max(0, end - piece), end, bounds);
  }
  addresses.forEach((address, i) => {
    const behind = memory.subarray((address + sizes[i]) / 4, (address + sizes[i] + readAheadBytes) / 4);
    if (!behind.every(Number.isNaN)) throw new Error(`written behind ${kernel.params[i].name}`);
  });
  return buffers.map((b, i) => memory.slice(addresses[i] / 4, addresses[i] / 4 + b.length));
}

function eachIndex(sizes: readonly number[], body: (index: readonly number[]) => void): void {
  const index = sizes.map(() => 0);
  for (let n = numel(sizes); n > 0; n--) {
    body(index);
    for (let d = sizes.length - 1; d >= 0 && ++index[d] === sizes[d]; d--) index[d] = 0;
  }
}

const at = (o: Operand, index: readonly number[]) => index.reduce((sum, i, d) => sum + i * o.strides[d], o.offset);
const elementsOf = (o: Operand, sizes: readonly number[]) => 1 + at(o, sizes.map((n, d) => (o.strides[d] > 0 ? n - 1 : 0))); // biome-ignore format: one thought

const emits: Record<string, Pointwise> = {
  add: (_, [a, b]) => (a as Float).add(b as Float),
  twiceLess: (_, [a, b]) => (a as Float).sub((b as Float).mul(2)),
};
const apply = (op: string, ...args: number[]): Step => ({ kind: 'apply', op, emit: emits[op], attrs: {}, args });
const load = (operand: number): Step => ({ kind: 'load', operand });

/** y = (a − 2b) + 1 and z = a − 2b. */
function bodyOf(a: Operand, b: Operand, y: Operand, z: Operand): Body {
  const one: Step = { kind: 'constant', value: 1, dtype: 'float32' };
  const steps = [load(0), load(1), apply('twiceLess', 0, 1), one, apply('add', 2, 3)];
  return { steps, operands: [a, b], outputs: [{ step: 4, to: y }, { step: 2, to: z }] }; // biome-ignore format: one thought
}

/** Sizes, an order of axes for an operand's memory, a step between its innermost elements, axes it does not have. */
const walks = fc
  .array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(7, 8, 15, 16, 17, 33, 49, 70)), {
    minLength: 1,
    maxLength: 4,
  })
  .filter((sizes) => numel(sizes) <= 6000)
  .chain((sizes) => {
    const axes = sizes.map((_, d) => d);
    const operand = (keepsAll: boolean) =>
      fc
        .record({
          order: fc.oneof(fc.constant(axes), fc.shuffledSubarray(axes, { minLength: axes.length })),
          missing: keepsAll ? fc.constant([]) : fc.subarray(axes),
          gap: keepsAll ? fc.constant(0) : fc.constantFrom(0, 0, 3),
          offset: keepsAll ? fc.constant(0) : fc.constantFrom(0, 0, 5),
        })
        .map(({ order, missing, gap, offset }): Operand => {
          const strides = sizes.map(() => 0);
          let step = 1;
          for (const axis of [...order].reverse()) {
            if ((missing as number[]).includes(axis)) continue;
            strides[axis] = step;
            step *= sizes[axis];
            step += gap;
          }
          return { elem: 'f32', strides, offset };
        });
    return fc.record({
      sizes: fc.constant(sizes),
      ins: fc.tuple(operand(false), operand(false)),
      outs: fc.tuple(operand(true), operand(true)),
      reduced: fc.tuple(...sizes.map(() => fc.boolean())),
    });
  });

describe.each(allLanes)('%i lanes', (lanes) => {
  const builder = () => new KernelBuilder({ lanes, registers: lanes === 16 ? 32 : 15 });

  test('elementwise bodies over operands in any order of axes', () => {
    const property = fc.property(walks, ({ sizes, ins: [a, b], outs: [y, z] }) => {
      const kernel = pointwiseKernel(builder(), 'test', sizes, bodyOf(a, b, y, z));
      const [xa, xb] = [a, b].map((o, i) => numbers(elementsOf(o, sizes), i + 1));
      const [, , gotY, gotZ] = run(kernel, [xa, xb, new Float32Array(numel(sizes)), new Float32Array(numel(sizes))]);
      const [wantY, wantZ] = [gotY.slice().fill(nan), gotZ.slice().fill(nan)];
      eachIndex(sizes, (index) => {
        const value = Math.fround(xa[at(a, index)] - Math.fround(2 * xb[at(b, index)]));
        wantY[at(y, index)] = Math.fround(value + 1);
        wantZ[at(z, index)] = value;
      });
      expect(gotY).toEqual(wantY);
      expect(gotZ).toEqual(wantZ);
    });
    fc.assert(property, { numRuns: 60, seed: 3 });
  });

  test.each([[[3, 50]], [[3, 70]], [[2, 7]], [[20003]], [[2, 14001]]])(
    'a result in place of an operand, %j',
    (sizes) => {
      // The second operand differs from row to row or has gaps, so rows do not merge.
      const own: Operand = { elem: 'f32', strides: contiguousStrides(sizes), offset: 0 };
      const other: Operand = { elem: 'f32', strides: sizes.map((_, d) => (d === 0 ? 1 : 0)), offset: 0 };
      const body: Body = {
        steps: [load(0), load(1), apply('twiceLess', 0, 1)],
        operands: [own, other],
        outputs: [{ step: 2, to: own }],
      };
      const [x, b] = [numbers(numel(sizes), 1), numbers(sizes[0], 2)];
      const [got] = run(pointwiseKernel(builder(), 'test', sizes, body), [x, b, x], [0, 2]);
      const want = x.slice();
      eachIndex(sizes, (index) => {
        want[at(own, index)] = Math.fround(x[at(own, index)] - Math.fround(2 * b[index[0]]));
      });
      expect(got).toEqual(want);
    },
  );

  test('results that no cache would hold until they are read stream, others do not', () => {
    const kernelOf = (sizes: readonly number[], offset: number, outputs = 1) => {
      const whole: Operand = { elem: 'f32', strides: contiguousStrides(sizes), offset: 0 };
      const row: Operand = { ...whole, strides: [0, 1] };
      const to = { step: 2, to: { ...whole, offset } };
      const body: Body = {
        steps: [load(0), load(1), apply('add', 0, 1)],
        operands: [whole, row],
        outputs: Array.from({ length: outputs }, () => to),
      };
      return print(pointwiseKernel(builder(), 'test', sizes, body));
    };
    expect(kernelOf([5000, 1024], 0)).toContain('stream f32');
    expect(kernelOf([100_000, 16], 0)).not.toContain('stream'); // small
    expect(kernelOf([5000, 1024], 0, 2)).not.toContain('stream'); // an update in place, perhaps
    expect(kernelOf([5000, 1024], 3)).not.toContain('stream'); // not aligned
    expect(kernelOf([5000, 1027], 0)).not.toContain('stream');
  });

  const sum: Accumulation = {
    init: 0,
    float: true,
    combine: (_, a, x) => (a as Float).add(x as Float),
    fold: (k, v) => k.sumLanes(v as Float),
  };
  const max: Accumulation = {
    init: Number.NEGATIVE_INFINITY,
    float: true,
    combine: (_, a, x) => (a as Float).max(x as Float),
    fold: (k, v) => k.maxLanes(v as Float),
  };

  /** Sums of a − 2b and maxima of a: s and m + s are stored, by one kernel or by the stages of a plan. */
  function reduce(sizes: readonly number[], reduced: readonly boolean[], a: Operand, b: Operand, planned: boolean) {
    const kept = sizes.map((n, d) => (reduced[d] ? 1 : n));
    const to: Operand = { elem: 'f32', strides: contiguousStrides(kept).map((s, d) => (reduced[d] ? 0 : s)), offset: 0 }; // biome-ignore format: one thought
    const before: Body = {
      steps: [load(0), load(1), apply('twiceLess', 0, 1)],
      operands: [a, b],
      outputs: [2, 0].map((step) => ({ step, to })),
    };
    const anchors: Step[] = [0, 1].map((index) => ({ kind: 'anchor', index }));
    const after: Body = {
      steps: [...anchors, apply('add', 0, 1)],
      operands: [],
      outputs: [{ step: 0, to }, { step: 2, to }], // biome-ignore format: one thought
    };
    const [xa, xb] = [a, b].map((o, i) => numbers(elementsOf(o, sizes), i + 1));
    const result = () => new Float32Array(numel(kept));
    let got: ArrayLike<number>[];
    let stages = 1;
    if (planned) {
      const plan = planReduction(lanes, 'test', sizes, reduced, before, [sum, max], after);
      stages += plan.first.length;
      let partials: Float32Array[] = [
        new Float32Array(plan.partials).fill(nan),
        new Float32Array(plan.partials).fill(nan),
      ];
      for (const stage of plan.first) partials = run(stage.build(builder()), [xa, xb, ...partials]).slice(2);
      got = run(plan.last.build(builder()), [...(plan.partials > 0 ? partials : [xa, xb]), result(), result()]).slice(
        2,
      );
    } else {
      const kernel = reduceKernel(builder(), 'test', sizes, reduced, before, [sum, max], after);
      got = run(kernel, [xa, xb, result(), result()]).slice(2);
    }
    const sums = new Float64Array(numel(kept));
    const magnitude = new Float64Array(numel(kept));
    const maxima = new Float64Array(numel(kept)).fill(Number.NEGATIVE_INFINITY);
    eachIndex(sizes, (index) => {
      const i = at(to, index);
      const [u, v] = [xa[at(a, index)], xb[at(b, index)]];
      sums[i] += u - 2 * v;
      magnitude[i] += Math.abs(u) + 2 * Math.abs(v);
      maxima[i] = Math.max(maxima[i], u);
    });
    const terms = numel(sizes) / numel(kept) + 3;
    for (let i = 0; i < sums.length; i++) {
      const tolerance = terms * 2 ** -24 * (magnitude[i] + Math.abs(maxima[i]));
      expect(Math.abs(got[0][i] - sums[i])).toBeLessThanOrEqual(tolerance);
      expect(Math.abs(got[1][i] - sums[i] - maxima[i])).toBeLessThanOrEqual(tolerance);
    }
    return { got, stages };
  }

  test('reductions along any axes of operands in any order', () => {
    const property = fc.property(walks, ({ sizes, ins: [a, b], reduced }) => {
      reduce(sizes, reduced, a, b, false);
    });
    fc.assert(property, { numRuns: 60, seed: 4 });
  });

  test.each<[string, number[], boolean[]]>([
    ['few rows', [2, 66_021], [false, true]],
    ['one number', [70_001], [true]],
    ['channels in blocks', [4, 2, 1301, 16], [true, false, true, false]],
    ['columns', [20_011, 5], [true, false]],
  ])('long sums in two stages: %s', (_, sizes, reduced) => {
    const contiguous: Operand = { elem: 'f32', strides: contiguousStrides(sizes), offset: 0 };
    const { stages } = reduce(sizes, reduced, contiguous, contiguous, true);
    expect(stages).toBeGreaterThan(1);
  });
});

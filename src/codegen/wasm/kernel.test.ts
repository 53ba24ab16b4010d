import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  anyFloat,
  anyInt,
  anyKernelCode,
  contents,
  EDGE_FLOATS,
  EDGE_INTS,
  kernelOf,
  memoryOf,
  REGION_ARGS,
  runInterpreter,
  runWasm,
} from '../../../test/kernel-fuzz.js';
import { type ElemType, type Float, type Int, type Kernel, KernelBuilder, print, type Value } from '../../ir/index.js';
import { assembleKernel } from './index.js';

setFlagsFromString('--experimental-wasm-relaxed-simd'); // Node 20 has it behind a switch

const FLOAT_UNARY = ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'nearest', 'trunc', 'toI'] as const;
const FLOAT_BINARY = [
  ...(['add', 'sub', 'mul', 'div', 'min', 'max', 'pmin', 'pmax'] as const),
  ...(['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const),
];
const INT_UNARY = ['neg', 'not', 'toF', 'toFU'] as const;
const INT_BINARY = [
  ...(['add', 'sub', 'mul', 'and', 'or', 'xor', 'min', 'max', 'mulhiU'] as const),
  ...(['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'ltU'] as const),
];

/** A kernel out[t] = f(a[t], b[t], c[t]) for all elements, `width` at a time. */
function pointwise(elem: ElemType, width: number, count: number, f: (...values: never[]) => Value): Kernel {
  const k = new KernelBuilder({ lanes: 4 });
  const [a, b, c] = ['a', 'b', 'c'].map((name) => k.param(name, elem));
  const outF = k.param('outF', 'f32');
  const outI = k.param('outI', 'i32');
  k.tasks(count / width, (task) => {
    const at = task.mul(width);
    const result = (f as (...values: Value[]) => Value)(...[a, b, c].map((p) => k.load(p, at, width)));
    k.store(result.expr.type === 'f32' || result.expr.type === 'vf' ? outF : outI, at, result);
  });
  return k.finish('pointwise');
}

/** Runs it on all pairs of the values (and a third beside) both ways. */
function bothWays(elem: ElemType, width: number, values: readonly number[], f: (...values: never[]) => Value): void {
  const pairs = values.flatMap((x) => values.map((y) => [x, y]));
  while (pairs.length % 4 !== 0) pairs.push([1, 1]);
  const n = pairs.length;
  const memory = new Uint8Array(20 * n);
  const array = elem === 'f32' ? new Float32Array(memory.buffer) : new Int32Array(memory.buffer);
  for (const [i, [x, y]] of pairs.entries()) {
    array[i] = x;
    array[n + i] = y;
    array[2 * n + i] = pairs[(i * 7 + 3) % n][1];
  }
  const kernel = pointwise(elem, width, n, f);
  const args = [0, 4 * n, 8 * n, 12 * n, 16 * n];
  const [wasm, interpreted] = [runWasm, runInterpreter].map((run) => run(kernel, memory, args));
  expect(new Float32Array(wasm.buffer, 12 * n, n)).toEqual(new Float32Array(interpreted.buffer, 12 * n, n));
  expect(new Int32Array(wasm.buffer, 16 * n, n)).toEqual(new Int32Array(interpreted.buffer, 16 * n, n));
}

describe.each([1, 4])('at width %i WebAssembly agrees with the interpreter, special values included:', (width) => {
  const floats = [...EDGE_FLOATS, ...fc.sample(anyFloat, { numRuns: 20, seed: 1 })];
  const ints = [...EDGE_INTS, ...fc.sample(anyInt, { numRuns: 20, seed: 1 })];

  test.each(FLOAT_UNARY)('float %s', (op) => bothWays('f32', width, floats, (a: Float) => a[op]()));
  test.each(FLOAT_BINARY)('float %s', (op) => bothWays('f32', width, floats, (a: Float, b: Float) => a[op](b)));
  test.each(['min', 'max'] as const)('float %s with a constant', (op) => {
    for (const c of EDGE_FLOATS) bothWays('f32', width, floats, (a: Float) => a[op](c));
  });
  test.each(INT_UNARY)('int %s', (op) => bothWays('i32', width, ints, (a: Int) => a[op]()));
  test.each(INT_BINARY)('int %s', (op) => bothWays('i32', width, ints, (a: Int, b: Int) => a[op](b)));
  test.each(['shl', 'shr', 'shrU'] as const)('int %s', (op) => {
    for (const count of [0, 1, 13, 31]) bothWays('i32', width, ints, (a: Int) => a[op](count));
  });
  test('select', () => {
    const k = new KernelBuilder({ lanes: 4 });
    expect(() => k.select<Float>(k.i32(1), k.f32(0), k.f32(1))).toThrow(/select: the operands are i32, vf, vf/);
    bothWays('f32', width, floats, (a: Float, b: Float, c: Float) => select(a.lt(b), b, c));
    bothWays('i32', width, ints, (a: Int, b: Int, c: Int) => select(a.lt(b), b, c));
    bothWays('f32', width, floats, (a: Float, b: Float, c: Float) => select(a.lt(b), c, zeroLike(c)));
    bothWays('f32', width, floats, (a: Float, b: Float, c: Float) => select(a.lt(b), zeroLike(c), c));
  });
  test('bits of a float and back', () => {
    bothWays(
      'f32',
      width,
      floats.filter((x) => !Number.isNaN(x)),
      (a: Float) => a.asI(),
    );
    bothWays('i32', width, ints, (a: Int) => a.and(0x7f7fffff).asF());
  });
});

/** A constant 0 as wide as `v`. */
function zeroLike(v: Float): Float {
  const { k } = v as unknown as { k: KernelBuilder };
  return k.f32(0, v.width);
}

/** `k.select` on handles of any builder. */
function select<T extends Value>(cond: Int, a: T, b: T): T {
  return (cond as unknown as { k: KernelBuilder }).k.select<T>(cond, a, b);
}

test('scalar div and rem agree, and division by zero traps on both', () => {
  const safe = (b: Int): Int => b.and(0xff).add(1);
  const ints = [...EDGE_INTS, 12345, -98765];
  bothWays('i32', 1, ints, (a: Int, b: Int) => a.div(safe(b)));
  bothWays('i32', 1, ints, (a: Int, b: Int) => a.rem(safe(b)));
  const kernel = pointwise('i32', 1, 4, (a: Int, b: Int) => a.div(b));
  const memory = new Uint8Array(80);
  expect(() => runWasm(kernel, memory, [0, 16, 32, 48, 64])).toThrow(WebAssembly.RuntimeError);
  expect(() => runInterpreter(kernel, memory, [0, 16, 32, 48, 64])).toThrow(/div of 0 and 0 traps/);
});

test('fma is fused with relaxed SIMD and rounded twice without', () => {
  fc.assert(
    fc.property(fc.array(anyFloat, { minLength: 12, maxLength: 12 }), (values) => {
      const k = new KernelBuilder({ lanes: 4 });
      const p = k.param('p', 'f32');
      k.tasks(1, () => k.store(p, 12, k.load(p, 0).fma(k.load(p, 4), k.load(p, 8))));
      const kernel = k.finish('fma');
      const memory = new Uint8Array(64);
      new Float32Array(memory.buffer).set(values);
      const fused = runWasm(kernel, memory, [0], [0, 1], { relaxedSimd: true, threads: false });
      const twice = runWasm(kernel, memory, [0]);
      const result = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, 48, 4);
      expect(result(fused)).toEqual(result(runInterpreter(kernel, memory, [0])));
      const [c, a, b] = [0, 4, 8].map((i) => Float32Array.from(values.slice(i, i + 4)));
      expect(result(twice)).toEqual(c.map((x, i) => Math.fround(Math.fround(a[i] * b[i]) + x)));
    }),
    { seed: 5 }, // the interpreter's fma is rounded in float64 first: one case in millions differs
  );
});

test('random kernels with loops, branches, variables and stores do the same to memory', () => {
  const memory = memoryOf(fc.sample(anyFloat, { numRuns: 60, seed: 3 }), fc.sample(anyInt, { numRuns: 60, seed: 3 }));
  fc.assert(
    fc.property(anyKernelCode, (code) => {
      const kernel = kernelOf(code);
      const [wasm, interpreted] = [runWasm, runInterpreter].map((run) => run(kernel, memory, REGION_ARGS));
      expect(contents(wasm), print(kernel)).toEqual(contents(interpreted));
    }),
    { numRuns: 300 },
  );
});

test('sums over lanes fold halves: (0 + 2) + (1 + 3)', () => {
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'f32');
  k.tasks(1, () => k.store(p, 4, k.sumLanes(k.load(p, 0))));
  const memory = new Uint8Array(20);
  new Float32Array(memory.buffer).set([1e8, 1, -1e8, 1]);
  expect(new Float32Array(runWasm(k.finish('sum'), memory, [0]).buffer)[4]).toBe(2); // in order it would be 1
});

test('bytes load as 0 to 255 and store the low byte', () => {
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'u8');
  k.tasks(1, () => {
    k.store(p, 4, k.load(p, 0).add(250));
    k.store(p, 8, k.load(p, 1, 1).add(1));
    k.store(p, 12, k.broadcast(p, 3));
  });
  const memory = Uint8Array.of(1, 255, 3, 200, 0, 0, 0, 0, 0, 7, 7, 7, 0, 0, 0, 0);
  const expected = Uint8Array.of(1, 255, 3, 200, 251, 249, 253, 194, 0, 7, 7, 7, 200, 200, 200, 200);
  expect(runWasm(k.finish('bytes'), memory, [0])).toEqual(expected);
});

test('accesses below the pointer work down to address 0, where the base itself may not be', () => {
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'i32');
  k.tasks(1, () => {
    k.if(k.load(p, -1, 1).eq(0), () => k.store(p, -2, k.load(p, -4, 1)));
    k.if(k.load(p, -1, 1).ne(0), () => k.store(p, -1000, k.i32(1)));
  });
  const memory = new Uint8Array(Int32Array.of(42, 0, 0, 0).buffer);
  expect(new Int32Array(runWasm(k.finish('below'), memory, [16]).buffer)).toEqual(Int32Array.of(42, 0, 42, 0));
});

test('a read of a variable is its value then, not later', () => {
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'i32');
  k.tasks(1, () => {
    const v = k.var(k.load(p, 0, 1));
    const before = v.value;
    k.loop(3, () => v.addTo(10));
    const after = v.value;
    v.set(before);
    k.store(p, 1, before);
    k.store(p, 2, after);
    k.store(p, 3, v.value.add(after));
  });
  const memory = new Uint8Array(Int32Array.of(7, 0, 0, 0).buffer);
  expect(new Int32Array(runWasm(k.finish('reads'), memory, [0]).buffer)).toEqual(Int32Array.of(7, 7, 37, 44));
});

test('a load keeps its place before a store', () => {
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'i32');
  k.tasks(1, () => {
    const old = k.load(p, 0, 1);
    k.store(p, 0, k.i32(99));
    k.store(p, 1, old);
  });
  const memory = new Uint8Array(Int32Array.of(5, 0).buffer);
  expect(new Int32Array(runWasm(k.finish('order'), memory, [0]).buffer)).toEqual(Int32Array.of(99, 5));
});

test('prefetches leave no trace, nor does the arithmetic of their addresses', () => {
  const make = (prefetch: boolean): Kernel => {
    const k = new KernelBuilder({ lanes: 4 });
    const p = k.param('p', 'f32');
    k.tasks(2, (task) => {
      const at = p.at(task.mul(64));
      const sums = Array.from({ length: 6 }, () => k.zero());
      k.loop(9, (i) => {
        for (const [j, sum] of sums.entries()) {
          sum.fma(k.load(at, i.mul(4)), k.load(at, 4 * j));
          if (prefetch) k.prefetch(at, i.mul(28).add(j));
        }
      });
      for (const [j, sum] of sums.entries()) k.store(at, 4 * j, sum.value);
    });
    return k.finish('fetching');
  };
  const features = { relaxedSimd: false, threads: false };
  expect(assembleKernel(make(true), features)).toEqual(assembleKernel(make(false), features));
});

test('only tasks begin … end are done', () => {
  const k = new KernelBuilder({ lanes: 4 });
  const p = k.param('p', 'i32');
  k.tasks(8, (task) => k.store(p, task, task.add(1)));
  const kernel = k.finish('range');
  expect(new Int32Array(runWasm(kernel, new Uint8Array(32), [0], [2, 5]).buffer)).toEqual(
    Int32Array.of(0, 0, 3, 4, 5, 0, 0, 0),
  );
  expect(new Int32Array(runWasm(kernel, new Uint8Array(32), [0], [5, 5]).buffer)).toEqual(new Int32Array(8));
});

test('a kernel of other widths is refused', () => {
  const k = new KernelBuilder({ lanes: 8 });
  k.tasks(1, () => {});
  expect(() => runWasm(k.finish('wide'), new Uint8Array(0), [])).toThrow(/kernel wide: has 8 lanes, WebAssembly 4/);
});

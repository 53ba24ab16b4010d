/** Elementary functions on the machine (WebAssembly, with and without fused multiply–add, vectors and scalars) against float64, and at their edges. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile, relaxedSimd } from '../../test/lowering-runner.js';
import { type Float, type Int, interpret, KernelBuilder, type Value } from '../ir/index.js';
import { erf, floorMod, intPow, toInt32 } from '../ops/special.js';
import * as math from './math.js';

const targets = [{ fused: false }, ...(relaxedSimd() ? [{ fused: true }] : [])];
const ulp = 2 ** -23;
const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

type FloatEmit = (k: KernelBuilder, x: Float, y: Float) => Value;
type IntEmit = (k: KernelBuilder, x: Int, y: Int) => Int;

/** `emit` over whole arrays, by vectors as far as they go, the rest (`scalars` elements at least) by scalars. Wide vectors are interpreted. */
function run<T extends Float32Array | Int32Array>(
  emit: T extends Float32Array ? FloatEmit : IntEmit,
  x: T,
  y: T,
  fused: boolean,
  scalars = 0,
  lanes = 4,
): T {
  const n = x.length;
  const vectors = Math.floor((n - Math.min(n, scalars)) / lanes) * lanes;
  const elem = x instanceof Float32Array ? 'f32' : 'i32';
  const k = new KernelBuilder({ lanes });
  const [px, py, out] = ['x', 'y', 'out'].map((name) => k.param(name, elem));
  k.tasks(1, () => {
    const part = (width: number, from: number, to: number) =>
      k.loop({ from, to, step: width }, (i) => {
        k.store(out, i, (emit as FloatEmit)(k, k.load(px, i, width) as Float, k.load(py, i, width) as Float));
      });
    part(lanes, 0, vectors);
    part(1, vectors, n);
  });
  const kernel = k.finish('math');
  const compiled = lanes === 4 ? compile(kernel, { relaxedSimd: fused, threads: false }, n * 12 + 64) : null;
  const memory = compiled?.memory.buffer ?? new ArrayBuffer(n * 12 + 64);
  const kind = x.constructor as new (buffer: ArrayBuffer) => T;
  const view = new kind(memory as ArrayBuffer);
  view.set(x, 0);
  view.set(y, n);
  if (compiled) compiled.run([0, n * 4, n * 8], 0, 1);
  else interpret(kernel, memory, [0, n * 4, n * 8], 0, 1);
  return view.slice(2 * n, 3 * n) as T;
}

/** `n` floats from low to high, evenly spread over the bit patterns: as many in each power of two. */
function spread(low: number, high: number, n = 100_003): Float32Array {
  const ordered = (bits: number) => (bits < 0 ? -(bits & 0x7fffffff) : bits);
  const [a, b] = Array.from(new Int32Array(Float32Array.of(low, high).buffer), ordered);
  const bits = Int32Array.from({ length: n }, (_, i) => {
    const at = Math.round(a + ((b - a) * i) / (n - 1));
    return at < 0 ? -at | 0x80000000 : at;
  });
  return new Float32Array(bits.buffer);
}

/** The largest error in units of 2⁻²³ of the true value; below the normal range, of the smallest normal number. NaN where one side is NaN or ∞ alone. */
function worstUlps(got: Float32Array, want: (i: number) => number): number {
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const value = want(i);
    if (Object.is(got[i], Math.fround(value))) continue;
    const error = Math.abs(got[i] - value) / (Math.max(Math.abs(value), 2 ** -126) * ulp);
    if (!(error <= worst)) worst = error;
    if (Number.isNaN(error)) return error;
  }
  return worst;
}

const sigmoid64 = (x: number) => 1 / (1 + Math.exp(-x));

describe.each(targets)('with fused multiply–add: $fused', ({ fused }) => {
  // Range, and the error allowed in ulp; 8.4 ulp are the 1e-6 promised for every function.
  test.each<[string, FloatEmit, (x: number) => number, [number, number], number]>([
    ['exp', math.exp, Math.exp, [-110, 95], 1],
    ['exp of what is not positive', math.expOfNegative, Math.exp, [-87, -0], 1],
    ['expm1', math.expm1, Math.expm1, [-110, 95], 1.5],
    ['log', math.log, Math.log, [0, 3.4e38], 1],
    ['log around 1', math.log, Math.log, [0.5, 2], 1],
    ['log1p', math.log1p, Math.log1p, [-0.99999, 3.4e38], 2],
    ['tanh', math.tanh, Math.tanh, [-20, 20], 3],
    ['sigmoid', math.sigmoid, sigmoid64, [-87, 90], 1.5],
    ['erf', math.erf, erf, [-10, 10], 1],
    ['sin', math.sin, Math.sin, [-65536, 65536], 1.5],
    ['cos', math.cos, Math.cos, [-65536, 65536], 1.5],
    ['tan', math.tan, Math.tan, [-65536, 65536], 3],
  ])('%s', (_, emit, f, [low, high], allowed) => {
    const x = spread(low, high);
    expect(worstUlps(run(emit, x, x, fused), (i) => f(x[i]))).toBeLessThanOrEqual(allowed);
  });

  test.each<[string, Float32Array, number, number]>([
    ['of any base, results near 1', spread(1e-38, 3e38), 3, 1],
    ['of any base, results from e⁻²⁰ to e²⁰', spread(1e-38, 3e38), 20, 3],
    ['of bases near 1, results from e⁻⁸⁰ to e⁸⁰', spread(0.5, 2), 80, 8.4],
    ['of negative bases to whole powers', spread(-3, -0.3), 0, 4],
  ])('pow %s', (_, base, logOfResult, allowed) => {
    const power = base.map((v, i) => (v < 0 || v === 1 ? (i % 41) - 20 : (logOfResult * Math.sin(i)) / Math.log(v)));
    expect(worstUlps(run(math.pow as FloatEmit, base, power, fused), (i) => base[i] ** power[i])).toBeLessThanOrEqual(
      allowed,
    );
  });

  test('mod is exact up to the last rounding while the quotient is below 2²⁴', () => {
    const a = Float32Array.from({ length: 100_003 }, (_, i) => Math.sin(i * 1.7) * 10 ** (i % 5));
    const b = Float32Array.from({ length: 100_003 }, (_, i) => Math.sin(i * 2.9 + 1) + (i % 3) - 1);
    const quotients = a.map((v, i) => Math.abs(v / b[i]));
    const got = run(math.mod as FloatEmit, a, b, fused);
    const kept = got.map((v, i) => (quotients[i] < 2 ** 24 ? v : Math.fround(floorMod(a[i], b[i]))));
    expect(worstUlps(kept, (i) => floorMod(a[i], b[i]))).toBeLessThanOrEqual(1);
  });
});

test.each<[string, FloatEmit]>([
  ['exp', math.exp],
  ['log', math.log],
  ['tanh', math.tanh],
  ['sigmoid', math.sigmoid],
  ['erf', math.erf],
])('%s of 8 and of 16 lanes is what it is of one', (_, emit) => {
  const x = spread(-95, 95, 1003);
  for (const lanes of [8, 16]) expect(run(emit, x, x, true, 0, lanes)).toEqual(run(emit, x, x, true, x.length, lanes));
});

describe('at the edges', () => {
  const edge = (emit: FloatEmit, x: number[], y: number[] = x) => {
    const [a, b] = [Float32Array.from(x), Float32Array.from(y)];
    const vector = run(emit, pad(a), pad(b), false).slice(0, a.length);
    const scalar = run(emit, a, b, false, a.length);
    expect(vector, 'vectors and scalars agree').toEqual(scalar);
    return Array.from(scalar);
  };
  const pad = (a: Float32Array) => Float32Array.from({ length: a.length + (-a.length & 3) }, (_, i) => a[i] ?? 1);

  test.each<[string, FloatEmit, number[], number[]]>([
    [
      'exp',
      math.exp,
      [0, -0, inf, -inf, nan, 89, -104, 88.5, 1000],
      [1, 1, inf, 0, nan, inf, 0, Math.fround(Math.exp(88.5)), inf],
    ],
    ['exp of what is not positive', math.expOfNegative, [0, -0, -inf, nan, -88.03, -1000], [1, 1, 0, nan, 0, 0]],
    ['expm1', math.expm1, [0, inf, -inf, nan, 1e-40, 89], [0, inf, -1, nan, Math.fround(1e-40), inf]],
    ['log', math.log, [0, -0, 1, inf, -inf, -1, nan], [-inf, -inf, 0, inf, nan, nan, nan]],
    ['log1p', math.log1p, [0, -0, -1, inf, -2, nan, 1e-30], [0, -0, -inf, inf, nan, nan, Math.fround(1e-30)]],
    ['tanh', math.tanh, [0, -0, inf, -inf, nan, 1e-30], [0, -0, 1, -1, nan, Math.fround(1e-30)]],
    ['sigmoid', math.sigmoid, [0, inf, -inf, nan, -200], [0.5, 1, 0, nan, 0]],
    ['erf', math.erf, [0, -0, inf, -inf, nan, 4, -4], [0, -0, 1, -1, nan, 1, -1]],
    ['sin', math.sin, [0, inf, nan], [0, nan, nan]],
    ['cos', math.cos, [0, -0, -inf, nan], [1, 1, nan, nan]],
    ['sign', math.sign, [3, -0.5, 0, -0, nan, -inf], [1, -1, 0, -0, nan, -1]],
    ['clamp', (_, x) => math.clamp(x, -1, 6), [-2, 7, 3, nan, inf], [-1, 6, 3, nan, 6]],
  ])('%s', (_, emit, x, want) => {
    expect(edge(emit, x)).toEqual(want);
  });

  test('pow, as IEEE 754 has it', () => {
    const bases = [0, -0, 1, -1, 2, -2, 0.5, -0.5, inf, -inf, nan];
    const powers = [0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, inf, -inf, nan, 1e30, -1e30, 200, -200, 201];
    const cases = bases.flatMap((a) => powers.map((b) => [a, b]));
    // JavaScript alone says NaN for 1 and −1 to the power of ±∞ and 1 to the power of NaN.
    const want = cases.map(([a, b]) =>
      a === 1 || (a === -1 && Math.abs(b) === inf) ? 1 : Math.fround(Math.fround(a) ** Math.fround(b)),
    );
    const got = edge(math.pow as FloatEmit, cases.map(([a]) => a), cases.map(([, b]) => b)); // biome-ignore format: one thought
    expect(got.map((v, i) => `${cases[i]}: ${v}`)).toEqual(want.map((v, i) => `${cases[i]}: ${v}`));
  });

  test('mod, as torch.remainder', () => {
    const a = [5, -5, 5, -5, 0, 6, -6, inf, nan, 5, 5, -5, 5];
    const b = [3, 3, -3, -3, 3, 3, 3, 2, 2, nan, inf, inf, 0];
    expect(edge(math.mod as FloatEmit, a, b)).toEqual([2, 1, -1, -2, 0, 0, 0, nan, nan, nan, 5, inf, nan]);
  });
});

describe('integers', () => {
  const int32 = fc.oneof(
    fc.integer(),
    fc.integer({ min: -20, max: 20 }),
    fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 0, 1, -1, 2 ** 30, -(2 ** 30)),
  );
  const pairs = fc.array(fc.tuple(int32, int32), { minLength: 9, maxLength: 400 });
  const check = (emit: IntEmit, f: (a: number, b: number) => number) =>
    fc.assert(
      fc.property(pairs, (list) => {
        const [a, b] = [0, 1].map((side) => Int32Array.from(list, (pair) => pair[side]));
        expect(run(emit, a, b, false, 3)).toEqual(Int32Array.from(list, ([x, y]) => f(x, y)));
      }),
      { numRuns: 60 },
    );

  test('mod has the sign of the divisor, for all of int32', () => {
    check(math.mod as IntEmit, (a, b) => (b === 0 ? 0 : floorMod(a, b)));
  });
  test('pow wraps', () => {
    check(math.pow as IntEmit, intPow);
  });
  test('sign, abs and clamp', () => {
    check(math.sign as IntEmit, Math.sign);
    check((_, x) => math.abs(x) as Int, (x) => Math.abs(x) | 0); // biome-ignore format: one thought
    check((_, x) => math.clamp(x, -3.5e9, 7) as Int, (x) => Math.min(x, 7)); // biome-ignore format: one thought
  });
  test('casts truncate and saturate', () => {
    const x = Float32Array.of(1.9, -1.9, 3e9, -3e9, nan, inf, 257, -1, 0.2);
    const through = (dtype: 'int32' | 'uint8' | 'bool') =>
      Array.from(run((_, v) => (math.cast(v, dtype) as Int).toF(), x, x, false, 3));
    expect(through('int32')).toEqual(Array.from(x, (v) => Math.fround(toInt32(v))));
    expect(through('uint8')).toEqual(Array.from(x, (v) => toInt32(v) & 255));
    expect(through('bool')).toEqual(Array.from(x, (v) => Number(v !== 0)));
  });
});

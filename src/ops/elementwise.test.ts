/** Elementwise operations: values against naive loops, gradients against differences, kernels against the reference, types and messages. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { floats, gradcheck, gradientsOf, leaf, randomNumbers, valuesOf } from '../../test/gradcheck.js';
import { compile, relaxedSimd } from '../../test/lowering-runner.js';
import type { Node } from '../graph/node.js';
import { type NdArray, Op } from '../graph/op.js';
import { type ElemType, type Float, KernelBuilder, type Value } from '../ir/index.js';
import { type DType, promote } from '../util/dtype.js';
import { ShapeError } from '../util/errors.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import * as e from './elementwise.js';
import { referenceArray } from './reference/arrays.js';
import { meaningOf } from './reference/meanings.js';
import { constant } from './source.js';
import { erf, floorMod, intPow, roundHalfEven, toInt32 } from './special.js';

const nan = Number.NaN;
const inf = Number.POSITIVE_INFINITY;

type Unary = (x: Node) => Node;
type Binary = (a: e.Operand, b: e.Operand) => Node;

/** Domain to sample, and how far from these points to stay (kinks, poles). */
const smooth: Record<string, { f: Unary; low: number; high: number; kinks?: number[] }> = {
  neg: { f: e.neg, low: -3, high: 3 },
  abs: { f: e.abs, low: -3, high: 3, kinks: [0] },
  sign: { f: e.sign, low: -3, high: 3, kinks: [0] },
  exp: { f: e.exp, low: -3, high: 3 },
  expm1: { f: e.expm1, low: -3, high: 3 },
  log: { f: e.log, low: 0.2, high: 5 },
  log1p: { f: e.log1p, low: -0.7, high: 5 },
  sqrt: { f: e.sqrt, low: 0.2, high: 5 },
  rsqrt: { f: e.rsqrt, low: 0.2, high: 5 },
  reciprocal: { f: e.reciprocal, low: -3, high: 3, kinks: [0] },
  sin: { f: e.sin, low: -6, high: 6 },
  cos: { f: e.cos, low: -6, high: 6 },
  tan: { f: e.tan, low: -1.3, high: 1.3 },
  tanh: { f: e.tanh, low: -3, high: 3 },
  sigmoid: { f: e.sigmoid, low: -5, high: 5 },
  erf: { f: e.erf, low: -2.5, high: 2.5 },
  relu: { f: e.relu, low: -3, high: 3, kinks: [0] },
  clamp: { f: (x) => e.clamp(x, { min: -1, max: 2 }), low: -3, high: 4, kinks: [-1, 2] },
  floor: { f: e.floor, low: 0.2, high: 0.8 },
  ceil: { f: e.ceil, low: 0.2, high: 0.8 },
  round: { f: e.round, low: 0.6, high: 1.4 },
  trunc: { f: e.trunc, low: 0.2, high: 0.8 },
  'pow to 3': { f: (x) => e.pow(x, 3), low: -2, high: 2 },
  'pow to 2.5': { f: (x) => e.pow(x, 2.5), low: 0.2, high: 3 },
  'pow to −2': { f: (x) => e.pow(x, -2), low: -2, high: 2, kinks: [0] },
  'pow of 2': { f: (x) => e.pow(2, x), low: -3, high: 3 },
};

function sampler(low: number, high: number, kinks: readonly number[] = [], seed = 7): () => number {
  const random = randomNumbers(seed);
  const draw = (): number => {
    const x = low + (high - low) * random();
    return kinks.some((kink) => Math.abs(x - kink) < 0.05) ? draw() : x;
  };
  return draw;
}

describe('gradients, first and second, meet central differences', () => {
  test.each(Object.entries(smooth))('%s', (_, { f, low, high, kinks }) => {
    gradcheck(f, [floats([3, 5], sampler(low, high, kinks))], { order: 2 });
  });

  test.each<[string, Binary, [number, number], [number, number]]>([
    ['add', e.add, [-2, 2], [-2, 2]],
    ['sub', e.sub, [-2, 2], [-2, 2]],
    ['mul', e.mul, [-2, 2], [-2, 2]],
    ['div', e.div, [-2, 2], [0.5, 3]],
    ['pow', e.pow, [0.3, 3], [-2, 2]],
    ['max', e.max, [-2, -0.1], [0.1, 2]],
    ['min', e.min, [-2, -0.1], [0.1, 2]],
    ['mod', e.mod, [2.2, 2.8], [0.95, 1.04]],
  ])('%s, broadcast both ways', (_, f, a, b) => {
    const left = floats([4, 1, 3], sampler(...a));
    const right = floats([2, 1], sampler(...b, [], 9));
    gradcheck(f, [left, right], { order: 2 });
    gradcheck((x, y) => f(y, x), [floats([2, 1], sampler(...b)), floats([4, 1, 3], sampler(...a, [], 9))], {
      order: 2,
    });
  });

  test('where', () => {
    const cond: NdArray = { shape: [2, 3], dtype: 'bool', data: Uint8Array.of(1, 0, 1, 0, 0, 1) };
    const operands = [cond, floats([3], sampler(-2, 2)), floats([2, 1], sampler(-2, 2, [], 9))];
    gradcheck((c, a, b) => e.where(c, e.exp(a), e.mul(b, b)), operands, { order: 2 });
  });

  test('every differentiable primitive of the family is in a table above', () => {
    const families = [
      ...Object.keys(smooth).map((name) => name.split(' ')[0]),
      'add',
      'sub',
      'mul',
      'div',
      'max',
      'min',
      'mod',
    ];
    const missing = primitives().filter((op) => op.facts.vjp !== undefined && !families.includes(op.name));
    // These give no float, or pass nothing back, or are checked by name.
    const known = ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'isNaN', 'logicalNot', 'logicalAnd', 'logicalOr', 'logicalXor'];
    const named = ['where', 'cast', 'bitsToUniform', 'stopGradient'];
    expect(missing.map((op) => op.name).sort()).toEqual([...known, ...named].sort());
  });
});

describe('gradients at ties and beside infinities', () => {
  const x = (...values: number[]) => leaf([values.length], values);

  test('max and min share a tie in halves', () => {
    const [a, b] = [x(1, 2, 3), x(3, 2, 1)];
    expect(gradientsOf(e.max(a, b), [a, b]).map(valuesOf)).toEqual([[0, 0.5, 1], [1, 0.5, 0]]); // biome-ignore format: one thought
    expect(gradientsOf(e.min(a, b), [a, b]).map(valuesOf)).toEqual([[1, 0.5, 0], [0, 0.5, 1]]); // biome-ignore format: one thought
  });

  test('relu passes nothing at 0, clamp everything at its limits', () => {
    const a = x(-1, 0, 2);
    expect(valuesOf(gradientsOf(e.relu(a), [a])[0])).toEqual([0, 0, 1]);
    const b = x(-1.5, -1, 0, 2, 2.5);
    expect(valuesOf(gradientsOf(e.clamp(b, { min: -1, max: 2 }), [b])[0])).toEqual([0, 1, 1, 1, 0]);
  });

  test('where hides NaN and infinity of the branch that was not chosen, in value and gradients of any order', () => {
    const cond = leaf([4], [1, 0, 1, 0], 'bool');
    const [a, b] = [x(1, nan, 2, inf), x(nan, 3, -inf, 4)];
    const y = e.where(cond, e.mul(a, a), e.mul(b, b));
    expect(valuesOf(y)).toEqual([1, 9, 4, 16]);
    const [da] = gradientsOf(e.where(cond, a, b), [a]);
    expect(valuesOf(da)).toEqual([1, 0, 1, 0]);
    const dy = x(1, nan, 1, inf);
    expect(valuesOf(gradientsOf(e.where(cond, a, b), [a], dy)[0])).toEqual([1, 0, 1, 0]);
  });

  test('max hides what its smaller operand makes of an infinite gradient', () => {
    const [a, b] = [x(1, 5), x(2, 4)];
    const [da, db] = gradientsOf(e.max(a, b), [a, b], x(inf, 1));
    expect([valuesOf(da), valuesOf(db)]).toEqual([[0, 1], [inf, 0]]); // biome-ignore format: one thought
  });

  test('pow at base 0 has the slopes of the power, not NaN', () => {
    const [a, b] = [x(0, 0, 0, 0), x(0, 1, 2, 3)];
    const [da, db] = gradientsOf(e.pow(a, b), [a, b]);
    expect(valuesOf(da)).toEqual([0, 1, 0, 0]);
    expect(valuesOf(db)).toEqual([0, 0, 0, 0]);
  });

  test('stopGradient lets the value through and nothing back', () => {
    const a = x(2, 3);
    const y = e.mul(a, e.stopGradient(a));
    expect(valuesOf(y)).toEqual([4, 9]);
    expect(valuesOf(gradientsOf(y, [a])[0])).toEqual([2, 3]);
  });

  test('gradients pass a cast between floats of equal type only; integers end the way', () => {
    const a = x(1.5, 2.5);
    const y = e.mul(a, e.cast(e.cast(a, 'int32'), 'float32'));
    expect(valuesOf(gradientsOf(y, [a])[0])).toEqual([1, 2]);
  });
});

describe('broadcasting', () => {
  /** Two shapes that broadcast, of up to four axes. */
  const shapes = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom('both', 'left', 'right')), { maxLength: 4 })
    .chain((axes) =>
      fc.record({
        a: fc.constant(axes.map(([size, side]) => (side === 'right' ? 1 : size))),
        b: fc.constant(axes.map(([size, side]) => (side === 'left' ? 1 : size))),
        dropA: fc.integer({ min: 0, max: axes.length }),
        dropB: fc.integer({ min: 0, max: axes.length }),
      }),
    )
    .map(({ a, b, dropA, dropB }) => {
      const drop = (shape: number[], count: number) => {
        let cut = 0;
        while (cut < count && shape[cut] === 1) cut++;
        return shape.slice(cut);
      };
      return [drop(a, dropA), drop(b, dropB)] as const;
    });

  const at = (shape: Shape, index: readonly number[]) => {
    const own = index.slice(index.length - shape.length);
    const strides = contiguousStrides(shape);
    return own.reduce((sum, i, axis) => sum + (shape[axis] === 1 ? 0 : i * strides[axis]), 0);
  };
  const indices = (shape: Shape): number[][] =>
    shape.reduce<number[][]>((list, n) => list.flatMap((i) => Array.from({ length: n }, (_, j) => [...i, j])), [[]]);

  test('pairs elements as NumPy does', () => {
    fc.assert(
      fc.property(shapes, ([a, b]) => {
        const [x, y] = [a, b].map((shape, side) =>
          Array.from({ length: numel(shape) }, (_, i) => i * (side ? 10 : 1) + 1),
        );
        const z = e.sub(leaf(a, x), leaf(b, y));
        const rank = Math.max(a.length, b.length);
        const size = (i: number, s: Shape) => s[i - rank + s.length] ?? 1;
        const want = Array.from({ length: rank }, (_, i) => (size(i, a) === 1 ? size(i, b) : size(i, a)));
        expect(z.shape).toEqual(want);
        expect(valuesOf(z)).toEqual(indices(want).map((i) => x[at(a, i)] - y[at(b, i)]));
      }),
    );
  });

  test('where pairs three operands', () => {
    const y = e.where(leaf([2, 1], [1, 0], 'bool'), leaf([3], [1, 2, 3]), 9);
    expect(y.shape).toEqual([2, 3]);
    expect(valuesOf(y)).toEqual([1, 2, 3, 9, 9, 9]);
  });

  test('shapes that clash are refused, and one value per channel is told where to go', () => {
    const call = () => e.add(constant(0, [32, 64, 56, 56]), constant(0, [64]));
    expect(call).toThrow(ShapeError);
    expect(call).toThrow(
      [
        'add: shapes do not broadcast',
        '  left   [32, 64, 56, 56]',
        '  right  [64]',
        '  Aligned on the right, axis -1 is 56 on the left and 64 on the right; sizes must be equal or one of them 1.' +
          ' To pair it with axis 1, pass the right operand as reshape([64, 1, 1]).',
      ].join('\n'),
    );
  });
});

describe('types', () => {
  const of = (dtype: DType) => leaf([2], [1, 0], dtype);
  const all: DType[] = ['bool', 'uint8', 'int32', 'float32'];

  test('arithmetic promotes, counts truth values in int32 and keeps bytes', () => {
    for (const a of all) {
      for (const b of all) {
        const wider = promote(a, b);
        expect(e.add(of(a), of(b)).dtype).toBe(wider === 'bool' ? 'int32' : wider);
        expect(e.max(of(a), of(b)).dtype).toBe(wider);
        expect(e.lt(of(a), of(b)).dtype).toBe('bool');
        expect(e.div(of(a), of(b)).dtype).toBe('float32');
        expect(e.where(of('bool'), of(a), of(b)).dtype).toBe(wider);
      }
    }
  });

  test('a number takes the type beside it; a fraction makes float32', () => {
    expect(e.mul(of('int32'), 2).dtype).toBe('int32');
    expect(e.mul(of('uint8'), 2).dtype).toBe('uint8');
    expect(e.sub(of('uint8'), 300).dtype).toBe('int32');
    expect(e.add(of('bool'), 1).dtype).toBe('int32');
    expect(e.mul(of('int32'), 0.5).dtype).toBe('float32');
    expect(e.mul(of('float32'), 2).dtype).toBe('float32');
  });

  test('float functions take integers as floats, rounding leaves them alone', () => {
    expect(e.exp(of('int32')).dtype).toBe('float32');
    expect(e.floor(of('int32')).dtype).toBe('int32');
    expect(e.isNaN(of('uint8')).dtype).toBe('bool');
  });

  test('integers wrap, bytes stay bytes', () => {
    const big = leaf([2], [2 ** 31 - 1, 123456789], 'int32');
    expect(valuesOf(e.add(big, 1))).toEqual([-(2 ** 31), 123456790]);
    expect(valuesOf(e.mul(big, 987654321))).toEqual([
      Math.imul(2 ** 31 - 1, 987654321),
      Math.imul(123456789, 987654321),
    ]);
    expect(valuesOf(e.add(leaf([2], [250, 1], 'uint8'), 10))).toEqual([4, 11]);
    expect(valuesOf(e.neg(leaf([2], [1, 0], 'uint8')))).toEqual([255, 0]);
    expect(valuesOf(e.pow(leaf([3], [-2, 3, -1], 'int32'), leaf([3], [5, -1, -3], 'int32')))).toEqual([-32, 0, -1]);
    expect(valuesOf(e.mod(leaf([4], [7, -7, 7, 7], 'int32'), leaf([4], [3, 3, -3, 0], 'int32')))).toEqual([
      1, 2, -2, 0,
    ]);
  });

  test('casts', () => {
    const x = leaf([7], [1.9, -1.9, 3e9, nan, 257, 0, -inf]);
    expect(valuesOf(e.cast(x, 'int32'))).toEqual([1, -1, 2 ** 31 - 1, 0, 257, 0, -(2 ** 31)]);
    expect(valuesOf(e.cast(x, 'uint8'))).toEqual([1, 255, 255, 0, 1, 0, 0]);
    expect(valuesOf(e.cast(x, 'bool'))).toEqual([1, 1, 1, 1, 1, 0, 1]);
  });

  test('any type serves as truth', () => {
    const x = leaf([3], [0, 0.5, nan]);
    expect(valuesOf(e.logicalNot(x))).toEqual([1, 0, 0]);
    expect(valuesOf(e.logicalAnd(x, 1))).toEqual([0, 1, 1]);
    expect(valuesOf(e.logicalXor(x, leaf([3], [1, 0, 1], 'int32')))).toEqual([1, 1, 0]);
  });

  test('a primitive refuses what its function would have converted', () => {
    expect(() => e.addOp.facts.infer([of('int32'), of('float32')], {})).toThrow(
      'add: the primitive takes equal shapes and one type (number)\n  0 int32    [2]\n  1 float32  [2]\n' +
        '  Call the function add() of ops/, which broadcasts and converts.',
    );
  });
});

describe('meaning of single functions', () => {
  test('round halves to even, mod follows the divisor, NaN spreads through max', () => {
    expect(valuesOf(e.round(leaf([6], [0.5, 1.5, 2.5, -0.5, -1.5, 2.6])))).toEqual([0, 2, 2, -0, -2, 3]);
    expect(valuesOf(e.mod(leaf([4], [5, -5, 5, -5]), leaf([4], [3, 3, -3, -3])))).toEqual([2, 1, -1, -2]);
    expect(valuesOf(e.max(leaf([2], [nan, 1]), leaf([2], [1, nan])))).toEqual([nan, nan]);
    expect(valuesOf(e.pow(leaf([4], [1, -1, 0, nan]), leaf([4], [nan, inf, -1, 0])))).toEqual([1, 1, inf, 1]);
  });

  test('float64 erf meets tabulated values', () => {
    // Abramowitz & Stegun, table 7.1, and 1 − erfc(3) with erfc(3) = 2.209049699858544e-5.
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 15);
    expect(erf(1)).toBeCloseTo(0.8427007929497149, 15);
    expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 15);
    expect(erf(3)).toBeCloseTo(1 - 2.209049699858544e-5, 15);
    expect([erf(0), erf(7), Number.isNaN(erf(nan))]).toEqual([0, 1, true]);
  });

  test('special functions on numbers', () => {
    expect([0.5, 1.5, -0.5, -2.5, 3.2, -0].map(roundHalfEven)).toEqual([0, 2, -0, -2, 3, -0]);
    expect([intPow(3, 40), intPow(2, 31), intPow(7, 0)]).toEqual([Number(BigInt.asIntN(32, 3n ** 40n)), -(2 ** 31), 1]);
    expect([floorMod(-1, 3), floorMod(1, -3), floorMod(-6, 3)]).toEqual([2, -2, -0]);
    expect([2.9, -2.9, 1e10, nan].map(toInt32)).toEqual([2, -2, 2 ** 31 - 1, 0]);
  });

  test('bits become multiples of 2⁻²⁴ in [0, 1)', () => {
    const y = valuesOf(e.bitsToUniform(leaf([4], [0, -1, 256, -(2 ** 31)], 'int32')));
    expect(y).toEqual([0, 1 - 2 ** -24, 2 ** -24, 0.5]);
  });

  test('constants and usual exponents are simplified as they are recorded', () => {
    const x = leaf([2], [2, 3]);
    expect(e.pow(x, 2).op.name).toBe('mul');
    expect(e.pow(x, -0.5).op.name).toBe('rsqrt');
    expect(e.pow(x, 1)).toBe(x);
    expect(e.cast(constant(2.5, [3]), 'int32').attrs).toEqual({ value: 2, shape: [3], dtype: 'int32' });
  });

  test('a neutral operand drops out when the compiler asks', () => {
    const x = leaf([2], [2, 3]);
    const simpler = (node: Node) => node.op.facts.simplify?.(node);
    expect([e.add(x, 0), e.add(0, x), e.sub(x, 0), e.mul(1, x), e.div(x, 1), e.neg(e.neg(x))].map(simpler)).toEqual(
      Array.from({ length: 6 }, () => x),
    );
    expect([e.sub(0, x), e.div(1, x), e.mul(x, 0)].map((n) => simpler(n) ?? null)).toEqual([null, null, null]);
    expect(simpler(e.where(constant(false, [2]), constant(1, [2]), x))).toBe(x);
    expect(simpler(e.stopGradient(x))).toBe(x);
  });
});

describe('kernels say what the reference says', () => {
  const interesting = [0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -3, 0.1, 10, -10, 100.25, 1e-3, inf, -inf, nan, 2, 255];

  test.each(primitives().map((op) => [op.name, op] as const))('%s', (_, op) => {
    let checked = 0;
    for (const types of operandTypes(op)) {
      const inputs = types.map((dtype, i) => sample(dtype, i));
      const nodes = inputs.map((x) => leaf(x.shape, x.data, x.dtype));
      const attrs = attributesOf(op);
      const out = inferred(op, nodes, attrs);
      if (out === null) continue;
      checked++;
      const want = meaningOf(op)(inputs, attrs, out);
      for (const scalars of [0, inputs[0].data.length]) {
        const got = runPointwise(op, inputs, attrs, out.dtype, scalars);
        for (let i = 0; i < want.length; i++) {
          const w = Math.fround(want[i]);
          if (Object.is(w, got[i]) || w === got[i]) continue;
          const where = `${op.name}(${inputs.map((x) => `${x.dtype} ${x.data[i]}`).join(', ')}) = ${want[i]}, kernel: ${got[i]}`;
          expect(Math.abs(got[i] - want[i]) <= 1e-6 * Math.abs(want[i]), where).toBe(true);
        }
      }
    }
    expect(checked).toBeGreaterThan(0);
  });

  function sample(dtype: DType, side: number): NdArray {
    const n = interesting.length ** 2;
    const pick = (i: number) => interesting[side === 0 ? i % interesting.length : Math.floor(i / interesting.length)];
    const values = Array.from({ length: n }, (_, i) => Math.fround(pick(i)));
    const data = referenceArray(dtype, n);
    data.set(dtype === 'bool' ? values.map((v) => Number(v > 0)) : values);
    return { shape: [n], dtype, data };
  }
});

/** All elementwise primitives this module exports. */
function primitives(): Op<unknown>[] {
  return Object.values(e).filter((value) => value instanceof Op) as Op<unknown>[];
}

function operandTypes(op: Op<unknown>): DType[][] {
  if (op === (e.whereOp as Op<unknown>)) return [['bool', 'float32', 'float32'], ['bool', 'int32', 'int32']]; // biome-ignore format: one thought
  const all: DType[] = ['float32', 'int32', 'uint8', 'bool'];
  const counts = [1, 2].filter((n) => arity(op) === n);
  return counts.flatMap((n) => all.map((dtype) => new Array<DType>(n).fill(dtype)));
}

function arity(op: Op<unknown>): number {
  const x = constant(0, [1]);
  const pair = [op.name === 'where' ? constant(true, [1]) : x, x];
  const binary = ['add', 'sub', 'mul', 'div', 'pow', 'max', 'min', 'mod', 'eq', 'ne', 'lt', 'le', 'gt', 'ge'];
  return binary.includes(op.name) || op.name.startsWith('logicalA') || /logical(Or|Xor)/.test(op.name)
    ? pair.length
    : 1;
}

function attributesOf(op: Op<unknown>): unknown {
  if (op.name === 'clamp') return { min: -1, max: 2 };
  return op.name === 'cast' ? { dtype: 'int32' } : {};
}

function inferred(op: Op<unknown>, nodes: Node[], attrs: unknown) {
  try {
    return op.facts.infer(nodes, attrs);
  } catch (error) {
    if (error instanceof ShapeError) return null;
    throw error;
  }
}

function runPointwise(
  op: Op<unknown>,
  inputs: readonly NdArray[],
  attrs: unknown,
  out: DType,
  scalars: number,
): number[] {
  const elem = (dtype: DType): ElemType => (dtype === 'float32' ? 'f32' : dtype === 'int32' ? 'i32' : 'u8');
  const n = inputs[0].data.length;
  const k = new KernelBuilder({ lanes: 4 });
  const sources = inputs.map((x, i) => k.param(`x${i}`, elem(x.dtype)));
  const target = k.param('out', elem(out));
  k.tasks(1, () => {
    const part = (width: number, from: number, to: number) =>
      k.loop({ from, to, step: width }, (i) => {
        const args = sources.map((p) => k.load(p, i, width) as Value);
        k.store(target, i, op.facts.pointwise!(k, args, attrs) as Float);
      });
    part(4, 0, n - scalars);
    part(1, n - scalars, n);
  });
  const bytes = Math.ceil((n * 4) / 64) * 64;
  const { memory, run } = compile(k.finish('pointwise'), { relaxedSimd: relaxedSimd(), threads: false }, bytes * 5);
  const view = (dtype: DType, slot: number) => {
    const at = [memory.buffer as ArrayBuffer, slot * bytes, n] as const;
    return dtype === 'float32'
      ? new Float32Array(...at)
      : dtype === 'int32'
        ? new Int32Array(...at)
        : new Uint8Array(...at);
  };
  inputs.forEach((x, i) => {
    view(x.dtype, i).set(x.data);
  });
  run([...inputs.map((_, i) => i * bytes), 4 * bytes], 0, 1);
  return Array.from(view(out, 4));
}

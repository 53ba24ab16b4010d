/** Where arithmetic has edges — NaN, infinities, zeros with signs, the ends of int32 — compiled steps give what the reference gives. */

import { describe, expect, test } from 'vitest';
import type { Node } from '../../src/graph/node.js';
import type { TargetInfo } from '../../src/graph/op.js';
import { Storage } from '../../src/graph/storage.js';
import * as ops from '../../src/ops/index.js';
import { ReferenceTarget } from '../../src/ops/reference/index.js';
import type { DType } from '../../src/util/dtype.js';
import { runCompiled, targetsHere } from '../run-compiled.js';

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const floats = [
  nan,
  inf,
  -inf,
  0,
  -0,
  1,
  -1,
  0.5,
  -2.5,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  1e-45,
  2 ** 24,
  7,
];
const ints = [0, 1, -1, 2, -3, 7, 255, 2 ** 31 - 1, -(2 ** 31), 2 ** 30, 65536, -65536];

const float = (values: readonly number[], shape = [values.length]) =>
  ops.buffer(new Storage(shape, 'float32', Float32Array.from(values)));
const int = (values: readonly number[], shape = [values.length]) =>
  ops.buffer(new Storage(shape, 'int32', Int32Array.from(values)));

/** All pairs of two lists, as operands. */
function pairs(list: readonly number[], make: (v: number[]) => Node): [Node, Node] {
  return [make(list.flatMap((a) => list.map(() => a))), make(list.flatMap(() => list))];
}

/** Compiled and reference agree: to the bit, the sign of 0 included, or where `relative` is given within that. */
function agreeOn(target: TargetInfo, roots: readonly Node[], relative = 0): number[][] {
  const wanted = new ReferenceTarget().evaluateAll(roots);
  const { results } = runCompiled(roots, [], { target });
  results.forEach((got, r) => {
    for (let i = 0; i < got.length; i++) {
      const want = roots[r].dtype === 'float32' ? Math.fround(wanted[r].data[i]) : wanted[r].data[i];
      const near = relative > 0 && Math.abs(got[i] - want) <= relative * Math.abs(want) + 1e-44;
      if (!Object.is(got[i], want) && !near) expect.fail(`${roots[r].op.name}: element ${i} is ${got[i]}, not ${want}`);
    }
  });
  return results.map((r) => [...r]);
}

describe.each(targetsHere)('compiled for $name,', (target) => {
  const agree = (roots: readonly Node[], relative?: number) => agreeOn(target, roots, relative);

  describe('floats', () => {
    const [a, b] = pairs(floats, float);
    test('add, subtract, multiply and divide as IEEE 754 says', () => {
      agree([ops.add(a, b), ops.sub(a, b), ops.mul(a, b), ops.div(a, b)]);
    });

    test('compare: nothing equals NaN, 0 equals −0', () => {
      agree([ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge].map((f) => f(a, b)));
      agree([ops.logicalAnd(a, b), ops.logicalOr(a, b), ops.logicalNot(a), ops.isNaN(a)]);
    });

    test('max, min and clamp let NaN through', () => {
      agree([ops.max(a, b), ops.min(a, b), ops.clamp(a, { min: -1, max: 2 }), ops.clamp(a, { min: 0 }), ops.relu(a)]);
    });

    test('x − x is 0, or NaN where x is infinite or NaN', () => {
      const x = float(floats);
      expect(agree([ops.sub(x, x)])[0]).toEqual([nan, nan, nan, ...floats.slice(3).map(() => 0)]);
      expect(agree([ops.mul(x, 0)])[0].slice(0, 3)).toEqual([nan, nan, nan]);
    });

    test('nothing of the branch that `where` leaves out arrives', () => {
      const x = float(floats);
      const safe = ops.where(ops.gt(x, 0), ops.log(ops.where(ops.gt(x, 0), x, 1)), 0);
      expect(agree([ops.where(ops.gt(x, 0), ops.log(x), 0)], 1e-6)[0].slice(2, 5)).toEqual([0, 0, 0]);
      agree([safe, ops.where(ops.isNaN(x), 0, x), ops.where(ops.eq(x, 0), ops.div(1, x), ops.sub(x, x))], 1e-6);
    });

    test('round, and keep the sign of 0', () => {
      const x = float([...floats, 1.5, 2.5, -0.4, -0.5, -1.5, 0.49999997]);
      agree([ops.floor(x), ops.ceil(x), ops.round(x), ops.trunc(x), ops.neg(x), ops.abs(x), ops.sqrt(ops.abs(x))]);
      agree([ops.sign(x)]);
    });

    test('become integers by truncating, saturating, and 0 for NaN', () => {
      const x = float([...floats, 300.7, -300.7, 2 ** 31, -(2 ** 31), 2 ** 31 - 200]);
      agree((['int32', 'uint8', 'bool'] as DType[]).map((t) => ops.cast(x, t)));
    });

    test('exp, log and their kind at the edges', () => {
      const x = float([...floats, 88, 89, -87, -104, 1e-30]);
      agree(
        [ops.exp, ops.expm1, ops.log, ops.log1p, ops.tanh, ops.sigmoid, ops.erf].map((f) => f(x)),
        1e-6,
      );
    });
  });

  describe('integers', () => {
    const [a, b] = pairs(ints, int);
    test('wrap around', () => {
      agree([ops.add(a, b), ops.sub(a, b), ops.mul(a, b), ops.neg(a), ops.abs(a)]);
      agree([
        ops.sum(int([2 ** 31 - 1, 1, 5])),
        ops.prod(int([65536, 65536, 3])),
        ops.cumsum(int([2 ** 31 - 1, 2, 3]), 0),
      ]);
    });

    test('compare and choose over their whole range', () => {
      agree([
        ops.max(a, b),
        ops.min(a, b),
        ops.lt(a, b),
        ops.ge(a, b),
        ops.eq(a, b),
        ops.clamp(a, { min: -1, max: 300 }),
      ]);
      agree([ops.mod(a, b)]);
    });

    test('bytes wrap at 256', () => {
      const bytes = ops.buffer(new Storage([6], 'uint8', Uint8Array.of(0, 1, 127, 128, 254, 255)));
      agree([ops.add(bytes, 200), ops.sub(bytes, 3), ops.mul(bytes, 7), ops.cast(int(ints), 'uint8')]);
      agree([ops.sum(bytes), ops.amax(bytes), ops.amin(bytes, [0], true), ops.mean(bytes)], 1e-6);
    });
  });

  describe('reductions', () => {
    /** Rows long enough for every part of a kernel, with one odd number at one place. */
    const rows = (odd: readonly number[], n: number, fill = 1) =>
      float(
        odd.flatMap((v, r) => Array.from({ length: n }, (_, i) => (i === (r * 7) % n ? v : fill))),
        [odd.length, n],
      );

    test.each([1, 3, 4, 5, 8, 33, 70])('of rows of %i with NaN or an infinity', (n) => {
      const x = rows([nan, inf, -inf, -0, 5], n);
      agree([ops.sum(x, [1]), ops.amax(x, [1]), ops.amin(x, [1]), ops.prod(x, [1]), ops.any(ops.isNaN(x), [1])]);
      agree([ops.argmax(x, 1), ops.argmin(x, 1)]);
      const down = ops.permute(x, [1, 0]);
      agree([ops.sum(down, [0]), ops.amax(down, [0]), ops.amin(down, [0])]);
    });

    test('∞ − ∞ is NaN, wherever the two stand', () => {
      const x = float([inf, ...new Array(40).fill(1), -inf], [1, 42]);
      expect(agree([ops.sum(x)])[0]).toEqual([nan]);
    });

    test('of one sign and all −∞ keep to it', () => {
      agree([
        ops.amax(float([-inf, -inf, -inf])),
        ops.amin(float(new Array(9).fill(inf))),
        ops.amax(float([-5, -7, -6])),
      ]);
    });

    test('of integers reach the ends of their range', () => {
      agree([
        ops.amax(int(ints)),
        ops.amin(int(ints)),
        ops.amax(int([-5, -(2 ** 31)])),
        ops.amin(int([5, 2 ** 31 - 1])),
      ]);
      const grid = int(new Array(5).fill(ints).flat(), [5, 12]);
      agree([ops.amax(grid, [0]), ops.amin(grid, [1]), ops.argmax(grid, 1), ops.argmin(grid, 0)]);
    });

    test('softmax of −∞ is 0, of rows that are −∞ altogether NaN; logsumexp of those −∞', () => {
      const x = float([1, -inf, 2, 3, -inf, -inf, -inf, -inf], [2, 4]);
      const [soft, , sums] = agree([ops.softmax(x, 1), ops.logSoftmax(x, 1), ops.logsumexp(x, [1])], 1e-6);
      expect(soft[1]).toBe(0);
      expect(soft.slice(4)).toEqual([nan, nan, nan, nan]);
      expect(sums[1]).toBe(-inf);
    });

    test('of many equal numbers lose no digits: roundings of one sign would add up', () => {
      const fill = (shape: number[]) => float(new Array(shape.reduce((n, size) => n * size)).fill(0.0050123), shape);
      // Lanes along the sum, along what is kept, and across both; 16 roundings of 2^-24, however long the sum.
      for (const [shape, axes] of [
        [[3, 20_011], [1]],
        [[20_011, 3], [0]],
        [[20_011, 40], [0]],
        [
          [4, 24, 45, 45],
          [0, 2, 3],
        ],
      ]) {
        agree([ops.sum(fill(shape), axes)], 2 ** -20);
      }
    });

    test('in two stages let NaN through from any part', () => {
      const n = 150_000;
      for (const at of [0, n / 2, n - 1]) {
        const x = float(Float32Array.from({ length: n }, (_, i) => (i === at ? nan : 1)) as never);
        const roots = [ops.sum(x), ops.amax(x)];
        expect(runCompiled(roots).results.map((r) => r[0])).toEqual([nan, nan]);
      }
    });
  });

  test('sorting puts NaN last, in front when descending; −0 beside 0', () => {
    const x = float([3, nan, -inf, 0, -0, inf, nan, -1]);
    agree([ops.sortIndices(x, 0), ops.sortIndices(x, 0, true), ...ops.topk(x, 3, 0)]);
  });
});

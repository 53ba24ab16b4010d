/** Reductions and their compositions against naive loops, gradients against differences, and the edges: ties, zeros, NaN, nothing at all. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { floats, gradcheck, gradientsOf, leaf, randomNumbers, valuesOf } from '../../test/gradcheck.js';
import { wasmTarget } from '../../test/lowering-runner.js';
import type { Node } from '../graph/node.js';
import { print } from '../graph/print.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import * as r from './reduce.js';
import { constant } from './source.js';

const nan = Number.NaN;
const inf = Number.POSITIVE_INFINITY;

/** A shape, some of its axes, keepDims and values. */
const cases = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.option(fc.subarray(shape.map((_, i) => i)), { nil: undefined }),
    keepDims: fc.boolean(),
    values: fc.array(fc.integer({ min: -4, max: 4 }), { minLength: numel(shape), maxLength: numel(shape) }),
  }),
);

/** The elements behind each element of the result, in order. */
function groups(shape: Shape, axes: readonly number[], values: readonly number[]): number[][] {
  const kept = shape.map((n, i) => (axes.includes(i) ? 1 : n));
  const [from, to] = [contiguousStrides(shape), contiguousStrides(kept)];
  const out = Array.from({ length: numel(kept) }, (): number[] => []);
  values.forEach((value, flat) => {
    const index = shape.map((n, i) => Math.floor(flat / from[i]) % n);
    out[index.reduce((at, j, i) => at + (axes.includes(i) ? 0 : j * to[i]), 0)].push(value);
  });
  return out;
}

const total = (xs: number[]) => xs.reduce((a, b) => a + b, 0);
const average = (xs: number[]) => total(xs) / xs.length;

describe('values meet naive loops', () => {
  type Reduce = (x: Node, axes?: r.Axes, keepDims?: boolean) => Node;
  test.each<[string, Reduce, (xs: number[]) => number]>([
    ['sum', r.sum, total],
    ['prod', r.prod, (xs) => xs.reduce((a, b) => a * b, 1)],
    ['max', r.max, (xs) => Math.max(...xs)],
    ['min', r.min, (xs) => Math.min(...xs)],
    ['mean', r.mean, average],
    ['any', r.any, (xs) => Number(xs.some((x) => x !== 0))],
    ['all', r.all, (xs) => Number(xs.every((x) => x !== 0))],
    ['logsumexp', r.logsumexp, (xs) => Math.log(total(xs.map(Math.exp)))],
    [
      'variance, correction 0',
      (x, axes, keepDims) => r.variance(x, axes, { correction: 0, keepDims }),
      (xs) => average(xs.map((x) => (x - average(xs)) ** 2)),
    ],
  ])('%s', (_, f, naive) => {
    fc.assert(
      fc.property(cases, ({ shape, axes, keepDims, values }) => {
        const y = f(leaf(shape, values), axes, keepDims);
        const list = axes ?? shape.map((_, i) => i);
        const want = shape.map((n, i) => (list.includes(i) ? 1 : n));
        expect(y.shape).toEqual(keepDims ? want : shape.filter((_, i) => !list.includes(i)));
        const expected = groups(shape, list, values).map(naive);
        valuesOf(y).forEach((v, i) => {
          expect(v).toBeCloseTo(expected[i], 9);
        });
      }),
    );
  });

  test('variance divides by n − 1 unless told otherwise; one element has none', () => {
    const x = leaf([2, 2], [1, 3, 2, 8]);
    expect(valuesOf(r.variance(x, 1))).toEqual([2, 18]);
    expect(valuesOf(r.variance(leaf([1], [5])))).toEqual([nan]);
  });

  test('softmax and logSoftmax add up to 1 along their axis, however large the numbers', () => {
    const x = leaf([2, 3], [1, 2, 3, 1000, 1001, -inf]);
    const y = valuesOf(r.softmax(x, -1));
    const e = [1, 2, 3].map(Math.exp);
    [...e.map((v) => v / total(e)), 1 / (1 + Math.E), Math.E / (1 + Math.E), 0].forEach((want, i) => {
      expect(y[i]).toBeCloseTo(want, 12);
    });
    const logs = valuesOf(r.logSoftmax(x, 1));
    y.forEach((p, i) => {
      expect(Math.exp(logs[i])).toBeCloseTo(p, 12);
    });
  });

  test('logsumexp of no mass is −∞, of ∞ is ∞', () => {
    expect(valuesOf(r.logsumexp(leaf([2, 2], [-inf, -inf, 1, inf]), 1))).toEqual([-inf, inf]);
  });

  test('argmax and argmin give the first of equals, along an axis or over all; NaN wins', () => {
    const x = leaf([3, 4], [1, 7, 7, 0, 5, nan, 9, nan, -2, -2, -3, -3]);
    expect(valuesOf(r.argmax(x, 1))).toEqual([1, 1, 0]);
    expect(valuesOf(r.argmin(x, -1))).toEqual([3, 1, 2]);
    expect(r.argmax(x, 0, true).shape).toEqual([1, 4]);
    expect(valuesOf(r.argmax(x))).toEqual([5]);
    expect(r.argmax(x, undefined, true).shape).toEqual([1, 1]);
    expect(r.argmax(x, 1).dtype).toBe('int32');
  });

  test('what argmax and argmin decompose into finds the same places', () => {
    fc.assert(
      fc.property(cases, fc.boolean(), fc.boolean(), ({ shape, values, keepDims }, largest, withNaN) => {
        const x = leaf(shape, values.map((v) => (withNaN && v === 4 ? nan : v))); // biome-ignore format: one thought
        const y = (largest ? r.argmax : r.argmin)(x, 0, keepDims);
        expect(valuesOf(y.op.facts.decompose!(y, wasmTarget)!)).toEqual(valuesOf(y));
      }),
    );
  });
});

describe('types', () => {
  test('sum and prod of integers and truth values are int32 and wrap, max keeps the type', () => {
    expect(r.sum(leaf([2], [1, 1], 'bool')).dtype).toBe('int32');
    expect(valuesOf(r.sum(leaf([3], [255, 255, 255], 'uint8')))).toEqual([765]);
    expect(valuesOf(r.sum(leaf([2], [2 ** 31 - 1, 1], 'int32')))).toEqual([-(2 ** 31)]);
    expect(valuesOf(r.prod(leaf([3], [65537, 65537, 3], 'int32')))).toEqual([Math.imul(Math.imul(65537, 65537), 3)]);
    expect(r.max(leaf([2], [3, 9], 'uint8')).dtype).toBe('uint8');
    expect(valuesOf(r.max(leaf([2], [-7, -9], 'int32')))).toEqual([-7]);
    expect(r.mean(leaf([2], [3, 4], 'int32')).dtype).toBe('float32');
  });
});

describe('gradients', () => {
  const random = randomNumbers(3);
  const x = (...shape: number[]) => floats(shape, () => random() * 4 - 2);

  test.each<[string, (x: Node) => Node]>([
    ['sum', (v) => r.sum(v, [0, 2])],
    ['mean', (v) => r.mean(v, 1, true)],
    ['variance', (v) => r.variance(v, [0, 2])],
    ['max', (v) => r.max(v, 1)],
    ['min over all', (v) => r.min(v)],
    ['prod', (v) => r.prod(v, [0, 2])],
    ['prod over all', (v) => r.prod(v)],
    ['logsumexp', (v) => r.logsumexp(v, [1, 2])],
    ['softmax', (v) => r.softmax(v, 1)],
    ['logSoftmax', (v) => r.logSoftmax(v, -1)],
  ])('%s, first and second, meet differences', (_, f) => {
    gradcheck(f, [x(3, 4, 2)], { order: 2 });
  });

  test('prod is exact where elements are 0, in second derivatives too', () => {
    for (const values of [
      [2, 0, 3, 5, 7],
      [2, 0, 3, 0, 7],
      [0, 0, 3, 0, 7],
    ]) {
      const rest = [...values];
      gradcheck((v) => r.prod(v), [floats([5], () => rest.shift()!)], { order: 2 });
    }
  });

  test('max and min share the gradient evenly among ties, per row', () => {
    const v = leaf([2, 4], [3, 1, 3, 3, 2, 2, 1, 0]);
    const third = 1 / 3;
    expect(valuesOf(gradientsOf(r.max(v, 1), [v])[0])).toEqual([third, 0, third, third, 0.5, 0.5, 0, 0]);
    expect(valuesOf(gradientsOf(r.min(v, 1, true), [v])[0])).toEqual([0, 1, 0, 0, 0, 0, 0, 1]);
  });

  test('max sends no NaN to elements that were not chosen, nor to any of a row of NaN', () => {
    const v = leaf([2, 2], [-inf, 1, nan, 1]);
    expect(valuesOf(gradientsOf(r.max(v, 1), [v])[0])).toEqual([0, 1, 0, 0]);
  });

  test('the shift inside softmax leaves no trace in the gradient', () => {
    const v = leaf([1, 3], [1, 2, 3]);
    const text = print(gradientsOf(r.logSoftmax(v, 1), [v]));
    expect(text).not.toContain('eq(');
  });
});

describe('nothing to reduce', () => {
  test('sums of nothing are 0, products 1, any false, all true', () => {
    const none = constant(5, [2, 0]);
    expect(valuesOf(r.sum(none, 1))).toEqual([0, 0]);
    expect(valuesOf(r.prod(none, 1))).toEqual([1, 1]);
    expect(valuesOf(r.any(none, 1))).toEqual([0, 0]);
    expect(valuesOf(r.all(none, 1))).toEqual([1, 1]);
    expect(valuesOf(r.mean(none, 1))).toEqual([nan, nan]);
  });

  test('a maximum of nothing is refused', () => {
    expect(() => r.max(constant(5, [2, 0]), 1)).toThrow(
      'max: there is nothing to choose from\n  x  [2, 0]\n  Axis 1 has no elements, and nothing has no max.',
    );
    expect(() => r.argmin(constant(5, [2, 0]), 1)).toThrow('argmin: there is nothing to choose from');
  });

  test('along axes of size 1 nothing is recorded but a reshape', () => {
    const v = leaf([3, 1], [1, 2, 3]);
    expect(r.sum(v, 1).op.name).toBe('reshape');
    expect(r.sum(v, 1, true)).toBe(v);
    expect(r.max(v, [])).toBe(v);
  });

  test('axes that are not there are refused', () => {
    expect(() => r.sum(constant(0, [2, 3]), 2)).toThrow(
      'sum: axis 2 does not exist\n  x  [2, 3]\n  With 2 axes it takes -2 … 1.',
    );
    expect(() => r.max(constant(0, [2, 3]), [1, -1])).toThrow(
      'max: axis 1 is named twice\n  x  [2, 3]\n  The axes were [1,-1].',
    );
    expect(() => r.mean(constant(0), 0)).toThrow(
      'mean: axis 0 does not exist\n  x  []\n  A single number has no axes.',
    );
  });
});

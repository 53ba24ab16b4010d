import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkGradients, dot, evaluate, ints, messageOf, random, spread, tensor, values } from '../../test/leaves.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import { cast } from './elementwise.js';
import {
  cumsum,
  gather,
  indexedStrides,
  indexSelect,
  lineGeometry,
  oneHot,
  scatterAdd,
  sort,
  sortIndices,
  topk,
} from './indexing.js';
import { constant } from './source.js';

const zeros = (...shape: number[]) => constant(0, shape);

/** A tensor, an axis, and an index that fits: up to as large on the other axes, any size on its own; some entries lie outside. */
const cases = fc
  .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 })
  .chain((shape) =>
    fc
      .record({
        axis: fc.nat(shape.length - 1),
        cut: fc.array(fc.nat(1), { minLength: 3, maxLength: 3 }),
        own: fc.nat(5),
      })
      .map(({ axis, cut, own }) => ({ shape, axis, indexShape: shape.map((n, i) => (i === axis ? own : n - cut[i])) })),
  )
  .chain(({ shape, axis, indexShape }) =>
    fc
      .array(fc.integer({ min: -1, max: shape[axis] }), { minLength: numel(indexShape), maxLength: numel(indexShape) })
      .map((index) => ({ shape, axis, index: ints(indexShape, index) })),
  );

describe('gather and scatterAdd', () => {
  test('gather reads x at the index, 0 outside', () => {
    fc.assert(
      fc.property(cases, ({ shape, axis, index }) => {
        const x = evaluate(random(shape, 1)).data;
        const y = evaluate(gather(random(shape, 1), axis, index));
        const strides = contiguousStrides(shape);
        coordinates(index.shape).forEach((at, i) => {
          const k = evaluate(index).data[i];
          const position = at.with(axis, k).reduce((sum, v, a) => sum + v * strides[a], 0);
          expect(y.data[i]).toBe(k >= 0 && k < shape[axis] ? x[position] : 0);
        });
      }),
    );
  });

  test('are adjoint: <gather(x), src> = <x, scatterAdd(0, src)>', () => {
    fc.assert(
      fc.property(cases, ({ shape, axis, index }) => {
        const [x, src] = [random(shape, 1), random(index.shape, 2)];
        const [left, right] = [dot(gather(x, axis, index), src), dot(x, scatterAdd(zeros(...shape), axis, index, src))];
        expect(Math.abs(left - right)).toBeLessThanOrEqual(numel(index.shape) ** 2 * 2 ** -53);
      }),
    );
  });

  test('have first and second derivatives', () => {
    fc.assert(
      fc.property(cases, ({ shape, axis, index }) => {
        checkGradients((x) => gather(x, axis, index), [random(shape, 1)]);
        checkGradients((base, src) => scatterAdd(base, axis, index, src), [random(shape, 1), random(index.shape, 2)]);
      }),
      { numRuns: 50 },
    );
  });

  test('scatterAdd adds up repeated places, leaves its base alone and ignores the surplus of src', () => {
    const base = ints([4], [1, 2, 3, 4]);
    expect(values(scatterAdd(base, 0, ints([3], [1, 1, 3]), ints([5], [10, 20, 30, 40, 50])))).toEqual([1, 32, 3, 34]);
    expect(values(base)).toEqual([1, 2, 3, 4]);
  });

  test('gather keeps the type of x', () => {
    const mask = cast(tensor([3], [1, 0, 1]), 'bool');
    expect(evaluate(gather(mask, 0, ints([2], [2, 1])))).toMatchObject({ dtype: 'bool', data: Uint8Array.of(1, 0) });
  });

  test('indexSelect picks slices along a negative axis too, and has two derivatives', () => {
    const x = random([2, 3], 1);
    const [a, b, c, d, e, f] = evaluate(x).data;
    expect(values(indexSelect(x, -1, ints([4], [2, 0, 0, 1])))).toEqual([c, a, a, b, f, d, d, e]);
    checkGradients((v) => indexSelect(v, 0, ints([3], [1, 1, 0])), [x]);
  });

  test('oneHot marks the index; outside, nothing', () => {
    const y = evaluate(oneHot(ints([2, 2], [2, 0, -100, 3]), 3));
    expect(y).toMatchObject({ shape: [2, 2, 3], dtype: 'float32' });
    expect([...y.data]).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(oneHot(ints([2], [0, 1]), 2, 'bool').dtype).toBe('bool');
  });

  test('geometry for kernels', () => {
    expect(indexedStrides([2, 3, 4], 1)).toEqual({ strides: [12, 0, 1], axisStride: 4 });
    expect(lineGeometry([2, 3, 4, 5], 2)).toEqual({ outer: 6, size: 4, inner: 5 });
  });
});

describe('order', () => {
  const lines = fc.array(
    fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(Number.NaN, Infinity, -Infinity, -0)),
    {
      minLength: 1,
      maxLength: 12,
    },
  );

  test('sorting is stable in both directions, NaN the largest', () => {
    fc.assert(
      fc.property(lines, fc.boolean(), (line, descending) => {
        const [sorted, indices] = sort(tensor([line.length], line), 0, descending).map(values);
        expect([...indices].sort((a, b) => a - b)).toEqual(line.map((_, i) => i));
        expect(sorted).toEqual(indices.map((i) => line[i]));
        const less = (a: number, b: number) => a < b || (Number.isNaN(b) && !Number.isNaN(a));
        for (let i = 1; i < line.length; i++) {
          const [first, second] = descending ? [sorted[i], sorted[i - 1]] : [sorted[i - 1], sorted[i]];
          expect(less(second, first)).toBe(false);
          if (!less(first, second)) expect(indices[i]).toBeGreaterThan(indices[i - 1]);
        }
      }),
    );
  });

  test('topk is the start of the sorted line, along any axis', () => {
    const x = tensor([3, 2], [5, 1, 7, 3, 6, 2]);
    expect(topk(x, 2, 0).map(values)).toEqual([
      [7, 3, 6, 2],
      [1, 1, 2, 2],
    ]);
    expect(topk(x, 1, 1, false).map(values)).toEqual([
      [1, 3, 2],
      [1, 1, 1],
    ]);
    expect(topk(x, 0, 1)[0].shape).toEqual([3, 0]);
  });

  test('gradients of sorted values go back to where they came from', () => {
    const x = spread([3, 4], 1);
    checkGradients((v) => sort(v, 1, true)[0], [x]);
    checkGradients((v) => topk(v, 2, 0)[0], [x]);
  });

  test('integers sort too', () => {
    expect(values(sortIndices(ints([3], [3, -1, 2])))).toEqual([1, 2, 0]);
  });
});

describe('cumsum', () => {
  test('runs forwards, or from the end', () => {
    const x = ints([2, 3], [1, 2, 3, 4, 5, 6]);
    expect(values(cumsum(x, 1))).toEqual([1, 3, 6, 4, 9, 15]);
    expect(values(cumsum(x, 0))).toEqual([1, 2, 3, 5, 7, 9]);
    expect(values(cumsum(x, -1, true))).toEqual([6, 5, 3, 15, 11, 6]);
  });

  test('counts booleans', () => {
    const y = evaluate(cumsum(cast(ints([3], [1, 0, 1]), 'bool'), 0));
    expect(y).toMatchObject({ dtype: 'int32', data: Int32Array.of(1, 1, 2) });
  });

  test('has first and second derivatives', () => {
    checkGradients((x) => cumsum(x, 1), [random([2, 4, 3], 1)]);
    checkGradients((x) => cumsum(x, 0, true), [random([3, 2], 1)]);
  });
});

describe('messages', () => {
  test.each<[string, () => unknown, string]>([
    [
      'another number of axes',
      () => gather(zeros(2, 3), 1, ints([2], [0, 1])),
      'gather: index and x differ in their number of axes\n' +
        '  x      [2, 3]\n' +
        '  index  [2]\n' +
        '  index must have the 2 axes of x. To pick whole slices along axis 1, use indexSelect.',
    ],
    [
      'an index larger than x',
      () => gather(zeros(2, 3), 1, ints([3, 1], [0, 1, 2])),
      'gather: index is larger than x\n' +
        '  x      [2, 3]\n' +
        '  index  [3, 1]\n' +
        '  Along axis 0 index has 3, x only 2; only along axis 1 may index be larger.',
    ],
    [
      'a float index',
      () => gather(zeros(2), 0, zeros(2)),
      'gather: index is float32; it must be int32. Cast it first.',
    ],
    [
      'src smaller than index',
      () => scatterAdd(zeros(4), 0, ints([3], [0, 1, 2]), zeros(2)),
      'scatterAdd: src does not cover index\n' +
        '  base   [4]\n' +
        '  index  [3]\n' +
        '  src    [2]\n' +
        '  Each element of index needs one of src: pass a src of shape [3] or larger.',
    ],
    [
      'an index with axes for indexSelect',
      () => indexSelect(zeros(4), 0, ints([1, 1], [0])),
      'indexSelect: index has the wrong number of axes\n' +
        '  x      [4]\n' +
        '  index  [1, 1]\n' +
        '  index must have one axis. For an index of the shape of x, use gather.',
    ],
    [
      'k too large',
      () => topk(zeros(2, 3), 4),
      'topk: cannot take 4 elements\n  x  [2, 3]\n  Axis 1 has 3 elements; pass a k of 0 … 3.',
    ],
    [
      'no classes',
      () => oneHot(ints([1], [0]), 0),
      'oneHot: the number of classes must be an integer of at least 1; got 0',
    ],
  ])('%s', (_, call, message) => {
    expect(messageOf(call)).toBe(message);
  });
});

function coordinates(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (all, n) => all.flatMap((head) => Array.from({ length: n }, (_, i) => [...head, i])),
    [[]],
  );
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { algebra } from '../../test/gradcheck.js';
import { checkGradients, dot, evaluate, messageOf, random, spread, tensor, values } from '../../test/leaves.js';
import { poolCases } from '../../test/window-cases.js';
import { gradient } from '../grad/reverse.js';
import type { Node } from '../graph/node.js';
import { numel, type Shape } from '../util/shape.js';
import { cast } from './elementwise.js';
import { gather } from './indexing.js';
import { reshape } from './movement.js';
import {
  adaptiveAvgPool,
  adaptiveMaxPool,
  adaptiveMaxPoolIndices,
  avgPool,
  globalAvgPool,
  globalMaxPool,
  maxPool,
  maxPoolAt,
  maxPoolGrad,
  maxPoolIndices,
  poolGeometry,
  sumPool,
  sumPoolGrad,
} from './pool.js';
import { constant } from './source.js';
import { poolParams } from './window.js';

const zeros = (...shape: number[]) => constant(0, shape);
const roundOff = (terms: number) => terms * terms * 2 ** -53;

describe('sums', () => {
  test('sumPool and sumPoolGrad are adjoint and have two derivatives', () => {
    fc.assert(
      fc.property(poolCases(), ({ xShape, yShape, w }) => {
        const [x, y] = [random(xShape, 1), random(yShape, 2)];
        expect(sumPool(x, w).shape).toEqual(yShape);
        const [left, right] = [dot(sumPool(x, w), y), dot(x, sumPoolGrad(y, xShape, w))];
        expect(Math.abs(left - right)).toBeLessThanOrEqual(roundOff(numel(yShape) * numel(w.kernelSize)));
        checkGradients((a) => sumPool(a, w), [x]);
        checkGradients((a) => sumPoolGrad(a, xShape, w), [y]);
      }),
      { numRuns: 40 },
    );
  });

  test('the mean of ones is one, in every window, unless padding counts', () => {
    fc.assert(
      fc.property(poolCases(), fc.boolean(), ({ xShape, w: { dilation: _, ...w } }, ceilMode) => {
        if (w.padding.some(([lo, hi], i) => 2 * Math.max(lo, hi) > w.kernelSize[i])) return; // half of the dilated window
        if (w.kernelSize.some((k, i) => k > xShape[i + 2])) return;
        const means = values(avgPool(constant(1, xShape), { ...w, ceilMode, countIncludePad: false }));
        for (const mean of means) expect(mean).toBeCloseTo(1, 14);
        const counted = values(avgPool(constant(1, xShape), { ...w, ceilMode }));
        for (const mean of counted) expect(mean).toBeLessThanOrEqual(1 + 1e-14);
      }),
    );
  });

  test('avgPool has two derivatives in each of its modes', () => {
    const x = random([2, 2, 5, 6], 1);
    const window = { kernelSize: [3, 2], stride: 2, padding: [1, 0], ceilMode: true };
    checkGradients((a) => avgPool(a, { kernelSize: 2 }), [x]);
    checkGradients((a) => avgPool(a, window), [x]);
    checkGradients((a) => avgPool(a, { ...window, countIncludePad: false }), [x]);
    checkGradients((a) => avgPool(a, { ...window, divisorOverride: 7 }), [x]);
  });
});

describe('maxima', () => {
  test('maxPoolAt reads where maxPoolIndices points; maxPoolGrad is its adjoint', () => {
    fc.assert(
      fc.property(poolCases(), ({ xShape, yShape, w }) => {
        const [x, y, g] = [random(xShape, 1), random(yShape, 2), random(xShape, 3)];
        expect(maxPool(x, w).shape).toEqual(yShape);
        const plane = (a: Node) => reshape(a, [xShape[0], xShape[1], numel(a.shape.slice(2))]);
        const picked = gather(plane(g), 2, plane(maxPoolIndices(x, w)));
        expect(values(picked)).toEqual(values(maxPoolAt(g, x, w)));
        const [left, right] = [dot(maxPoolAt(g, x, w), y), dot(g, maxPoolGrad(y, x, w))];
        expect(Math.abs(left - right)).toBeLessThanOrEqual(roundOff(numel(yShape)));
      }),
    );
  });

  test('have first and second derivatives', () => {
    fc.assert(
      fc.property(poolCases(), ({ xShape, yShape, w }) => {
        const [x, y, g] = [spread(xShape, 1), random(yShape, 2), random(xShape, 3)];
        const full = values(maxPool(x, w)).every(Number.isFinite);
        if (full) checkGradients((a) => maxPool(a, w), [x]);
        checkGradients((a, b) => maxPoolGrad(a, b, w), [y, x]);
        checkGradients((a, b) => maxPoolAt(a, b, w), [g, x]);
      }),
      { numRuns: 40 },
    );
  });

  test('the first of equal maxima is chosen, also among −∞', () => {
    const x = tensor([1, 1, 2, 4], [1, 3, -Infinity, -Infinity, 3, 3, -Infinity, -Infinity]);
    expect(values(maxPoolIndices(x, { kernelSize: 2 }))).toEqual([1, 2]);
    const w = poolParams('maxPool2d', { kernelSize: 2 }, 2);
    expect(values(maxPoolGrad(tensor([1, 1, 1, 2], [5, 7]), x, w))).toEqual([0, 5, 7, 0, 0, 0, 0, 0]);
  });

  test('NaN counts as the maximum', () => {
    const x = tensor([1, 1, 4], [Number.NaN, 1, 9, Number.NaN]);
    expect(values(maxPool(x, { kernelSize: 2 }))).toEqual([Number.NaN, Number.NaN]);
    expect(values(maxPoolIndices(x, { kernelSize: 2 }))).toEqual([0, 3]);
  });

  test('padding never wins, and a dilated window that sees only padding is −∞ at −1', () => {
    const x = tensor([1, 1, 1], [-5]);
    expect(values(maxPool(x, { kernelSize: 3, stride: 1, padding: 1 }))).toEqual([-5]);
    const lost = { kernelSize: 2, stride: 1, padding: 2, dilation: 4 };
    expect(values(maxPool(x, lost))).toEqual([-Infinity]);
    expect(values(maxPoolIndices(x, lost))).toEqual([-1]);
  });
});

describe('adaptive', () => {
  const shapes = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 })), { minLength: 1, maxLength: 3 })
    .map((axes) => ({ spatial: axes.map((a) => a[0]), outputs: axes.map((a) => a[1]) }));

  test('pooling covers ⌊o·H/n⌋ … ⌈(o + 1)·H/n⌉', () => {
    fc.assert(
      fc.property(shapes, ({ spatial, outputs }) => {
        const x = random([1, 2, ...spatial], 1);
        const [mean, max, indices] = [
          adaptiveAvgPool(x, outputs),
          adaptiveMaxPool(x, outputs),
          adaptiveMaxPoolIndices(x, outputs),
        ].map(evaluate);
        expect([mean.shape, max.shape, indices.shape]).toEqual(new Array(3).fill([1, 2, ...outputs]));
        const plane = numel(spatial);
        windows(spatial, outputs).forEach((window, o) => {
          for (const channel of [0, 1]) {
            const own = window.map((at) => evaluate(x).data[channel * plane + at]);
            const at = channel * numel(outputs) + o;
            expect(mean.data[at]).toBeCloseTo(own.reduce((a, b) => a + b, 0) / own.length, 13);
            expect(max.data[at]).toBe(Math.max(...own));
            expect(indices.data[at]).toBe(window[own.indexOf(Math.max(...own))]);
          }
        });
      }),
    );
  });

  test('the first of equal maxima is chosen where windows are uneven', () => {
    fc.assert(
      fc.property(shapes, ({ spatial, outputs }) => {
        const leaf = tensor([1, 1, ...spatial], new Array(numel(spatial)).fill(0));
        const firsts = windows(spatial, outputs).map((window) => window[0]);
        expect(values(adaptiveMaxPoolIndices(leaf, outputs))).toEqual(firsts);
        const ones = constant(1, [1, 1, ...outputs]);
        const counts = new Array(numel(spatial)).fill(0);
        for (const at of firsts) counts[at]++;
        expect(values(gradient([adaptiveMaxPool(leaf, outputs)], [ones], [leaf], algebra)[0])).toEqual(counts);
      }),
    );
  });

  test('pooling has two derivatives', () => {
    const x = spread([2, 2, 5, 6], 1);
    checkGradients((a) => adaptiveAvgPool(a, [3, 4]), [x]);
    checkGradients((a) => adaptiveMaxPool(a, [3, null]), [x]);
  });

  test('even windows are one pooling, whatever their overlap', () => {
    expect(adaptiveMaxPool(zeros(1, 1, 7, 8), [3, 4])).toMatchObject({
      op: { name: 'maxPool' },
      attrs: { kernelSize: [3, 2], stride: [2, 2] },
    });
  });

  test('global pooling keeps the axes', () => {
    const x = random([2, 3, 4, 5], 1);
    expect(globalAvgPool(x).shape).toEqual([2, 3, 1, 1]);
    expect(values(globalAvgPool(x))).toEqual(values(adaptiveAvgPool(x, 1)));
    const planes = Array.from({ length: 6 }, (_, p) => Math.max(...evaluate(x).data.slice(p * 20, p * 20 + 20)));
    expect(values(globalMaxPool(x))).toEqual(planes);
  });
});

test('the geometry has planes and three spatial axes', () => {
  const w = { kernelSize: [3, 2], stride: [2, 1], padding: [[1, 1] as const, [0, 1] as const], dilation: [1, 2] };
  expect(poolGeometry([2, 5, 7, 6], w)).toEqual({
    planes: 10,
    in: [1, 7, 6],
    out: [1, 4, 5],
    kernel: [1, 3, 2],
    stride: [1, 2, 1],
    padLo: [0, 1, 0],
    padHi: [0, 1, 1],
    dilation: [1, 1, 2],
  });
});

describe('messages', () => {
  test.each<[string, () => unknown, string]>([
    [
      'kernel larger than the input',
      () => avgPool(zeros(1, 16, 5, 5), { kernelSize: 7 }),
      'avgPool2d: the kernel is larger than the padded input\n' +
        '  x           [1, 16, 5, 5]   N C H W\n' +
        '  kernelSize  [7, 7]          H W\n' +
        "  H' = ⌊(H + lo + hi − dilation·(kH − 1) − 1) / stride⌋ + 1 = ⌊(5 + 0 + 0 − 1·(7 − 1) − 1) / 7⌋ + 1 = 0, " +
        'and must be at least 1. Pad H by 2 or more in all, or pass a kernel with kH ≤ 5.',
    ],
    [
      'no spatial axes',
      () => maxPool(zeros(4, 10), { kernelSize: 2 }),
      'maxPool: x has the wrong number of axes\n' +
        '  x  [4, 10]\n' +
        '  x has 2 axes; pooling takes N C and one to three spatial axes: 3, 4 or 5. Add the axes that are missing: x.unsqueeze(0).',
    ],
    [
      'integers',
      () => maxPool(cast(zeros(1, 1, 4), 'int32'), { kernelSize: 2 }),
      'maxPool1d: x is int32; it must be float32. Cast it first.',
    ],
    [
      'adaptive sizes',
      () => adaptiveAvgPool(zeros(1, 1, 4, 4), [2, 2, 2]),
      'adaptiveAvgPool2d: outputSize must be an integer of at least 1, or 2 of them (H W; null keeps an axis); got [2,2,2]',
    ],
    [
      'a divisor of 0',
      () => avgPool(zeros(1, 1, 4), { kernelSize: 2, divisorOverride: 0 }),
      'avgPool1d: divisorOverride must be an integer other than 0; got 0',
    ],
    [
      'dy of another shape',
      () => sumPoolGrad(zeros(1, 1, 3), [1, 1, 4], { kernelSize: [2], stride: [2], padding: [[0, 0]], dilation: [1] }),
      "sumPool1dGrad: dy does not have the shape of the pooling's output\n" +
        '  dy          [1, 1, 3]\n' +
        '  x           [1, 1, 4]   N C L\n' +
        '  kernelSize  [2]         L\n' +
        '  Pooling x gives [1, 1, 2]. Pass a dy of that shape.',
    ],
  ])('%s', (_, call, message) => {
    expect(messageOf(call)).toBe(message);
  });
});

/** The positions each adaptive window covers, row-major. */
function windows(spatial: Shape, outputs: Shape): number[][] {
  return spatial.reduce<number[][]>(
    (all, size, i) =>
      all.flatMap((taken) =>
        Array.from({ length: outputs[i] }, (_, o) => {
          const start = Math.floor((o * size) / outputs[i]);
          const end = Math.ceil(((o + 1) * size) / outputs[i]);
          return taken.flatMap((at) => Array.from({ length: end - start }, (_, k) => at * size + start + k));
        }),
      ),
    [[0]],
  );
}

import { describe, expect, test } from 'vitest';
import { runLowering, wasmTarget, wideTargets } from '../../test/lowering-runner.js';
import { numel, type Shape } from '../util/shape.js';
import { softmaxLowering } from './softmax.js';

function oracle(x: Float32Array, shape: Shape, axis: number, log: boolean): Float64Array {
  const [size, inner] = [shape[axis], numel(shape.slice(axis + 1))];
  const y = new Float64Array(x.length);
  for (let line = 0; line < x.length / size; line++) {
    const start = Math.floor(line / inner) * size * inner + (line % inner);
    const places = Array.from({ length: size }, (_, i) => start + i * inner);
    const max = Math.max(...places.map((i) => x[i]));
    const total = places.reduce((sum, i) => sum + Math.exp(x[i] - max), 0);
    for (const i of places) y[i] = log ? x[i] - max - Math.log(total) : Math.exp(x[i] - max) / total;
  }
  return y;
}

const lines: [Shape, number][] = [
  [[3, 10], 1],
  [[5, 1], 1],
  [[2, 16], 1],
  [[4, 75], 1],
  [[1, 1003], 1],
  [[700, 17], 1],
  [[2, 5, 3], 1],
  [[2, 3, 16], 1],
  [[3, 4, 37], 1],
  [[6, 90], 0],
  [[1200, 9], 0],
];

describe.each([wasmTarget, ...wideTargets])('softmax and its logarithm for $name', (target) => {
  test.each(lines)('%j along axis %i', (shape, axis) => {
    const x = Float32Array.from({ length: numel(shape) }, (_, i) => 20 * Math.sin(i * 1.7));
    const other = x.map((v) => Math.cos(v));
    for (const log of [false, true]) {
      const way = softmaxLowering(shape, axis, log);
      const want = oracle(x, shape, axis, log);
      for (const fused of [false, true]) {
        const got = runLowering(way, [{ data: x, shape }], shape, other, {
          target,
          fused,
          interpreted: target.lanes > 4,
        });
        const worst = got.reduce((most, v, i) => {
          const y = fused ? Math.max(0, want[i] * 0.5 + other[i]) : want[i];
          return Math.max(
            most,
            Math.abs(v - y) / ((log ? 40 : Math.abs(want[i])) + 2 ** -126 + (fused ? Math.abs(other[i]) : 0)),
          );
        }, 0);
        // Shifting by the maximum rounds what is at most 40; e makes of that a relative error.
        expect(worst).toBeLessThanOrEqual(40 * 2 ** -24 + shape[axis] * 2 ** -24);
      }
    }
  });

  test('infinities and NaN', () => {
    const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
    const rows = [[1, -inf, 1, -inf], [nan, 0, 0, 0], [inf, 0, 0, 0], [-inf, -inf, -inf, -inf]]; // biome-ignore format: a table
    const data = rows.flatMap((row) => Array.from({ length: 20 }, (_, i) => row[i % 4]));
    const got = runLowering(softmaxLowering([4, 20], 1, false), [{ data, shape: [4, 20] }], [4, 20], [], { target, interpreted: target.lanes > 4 }); // biome-ignore format: one thought
    expect(Array.from(got.slice(0, 4))).toEqual([Math.fround(0.1), 0, Math.fround(0.1), 0]);
    expect(got.slice(20).every(Number.isNaN)).toBe(true);
  });
});

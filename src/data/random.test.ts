import { describe, expect, it } from 'vitest';
import { philoxFill } from '../util/philox.js';
import { Random } from './random.js';

const many = 20_000;
const draws = (of: (random: Random) => number, random = new Random(7, 3, 11)) =>
  Array.from({ length: many }, () => of(random));
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const variance = (values: readonly number[]) => mean(values.map((x) => (x - mean(values)) ** 2));

describe('Random', () => {
  it('depends on each of seed, epoch, picture and stream, and on nothing else', () => {
    const key = (...args: [number, number?, number?, number?]) =>
      Array.from(
        { length: 40 },
        (
          (random) => () =>
            random.uniform()
        )(new Random(...args)),
      ).join();
    expect(key(1, 2, 3, 4)).toBe(key(1, 2, 3, 4));
    const all = [
      key(1, 2, 3, 4),
      key(2, 2, 3, 4),
      key(1 + 2 ** 40, 2, 3, 4),
      key(1, 3, 3, 4),
      key(1, 2, 4, 4),
      key(1, 2, 3, 5),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it('forks depend on the step alone, and differ from each other, from their own and from the whole', () => {
    const first = (random: Random) => random.uniform();
    const used = new Random(1, 2, 3);
    used.uniform();
    expect(first(used.fork(4))).toBe(first(new Random(1, 2, 3).fork(4)));
    const steps = Array.from({ length: 63 }, (_, i) => new Random(1, 2, 3).fork(i));
    const all = [new Random(1, 2, 3), ...steps, ...steps.flatMap((s) => [s.fork(0), s.fork(1), s.fork(62)])];
    expect(new Set(all.map(first)).size).toBe(all.length);
  });

  it('never repeats a block', () => {
    const seen = draws((r) => r.uniform());
    expect(new Set(seen).size).toBe(many);
  });

  it('draws evenly, within its bounds', () => {
    const values = draws((r) => r.uniform(-2, 4));
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-2);
    expect(Math.max(...values)).toBeLessThan(4);
    expect(mean(values)).toBeCloseTo(1, 1);
    expect(variance(values)).toBeCloseTo(3, 0);
    const counts = [0, 0, 0];
    for (const i of draws((r) => r.integer(5, 8))) counts[i - 5]++;
    for (const count of counts) expect(Math.abs(count - many / 3)).toBeLessThan(4 * Math.sqrt(many / 3));
  });

  it('draws from the distributions it names', () => {
    const normal = draws((r) => r.normal(3, 2));
    expect(Math.abs(mean(normal) - 3)).toBeLessThan(0.06);
    expect(Math.abs(variance(normal) - 4)).toBeLessThan(0.16);
    for (const [a, b] of [
      [0.2, 0.2],
      [1, 1],
      [2, 5],
    ] as const) {
      // biome-ignore format: a table
      const beta = draws((r) => r.beta(a, b));
      expect(beta.every((x) => x >= 0 && x <= 1)).toBe(true);
      expect(Math.abs(mean(beta) - a / (a + b))).toBeLessThan(0.015);
      expect(Math.abs(variance(beta) - (a * b) / ((a + b) ** 2 * (a + b + 1)))).toBeLessThan(0.01);
    }
    expect(Math.abs(mean(draws((r) => Number(r.chance(0.3)))) - 0.3)).toBeLessThan(0.02);
  });

  it('says when there is nothing to choose from', () => {
    expect(() => new Random(1).choice([])).toThrow('Random.integer: there is no whole number from 0 to below 0');
  });

  it('leaves the older streams of Philox as they were', () => {
    const [four, five] = [new Int32Array(8), new Int32Array(8)];
    philoxFill(four, [1, 2, 3, 4]);
    philoxFill(five, [1, 2, 3, 4, 0]);
    expect(five).toEqual(four);
  });
});

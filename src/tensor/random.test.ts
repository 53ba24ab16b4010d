/** Random numbers: repeatable, independent of each other, with the right distribution. Bounds are 5 standard deviations of the statistic. */

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import {
  bernoulli,
  Generator,
  manualSeed,
  multinomial,
  rand,
  randint,
  randn,
  randperm,
  setDevice,
  tensor,
} from './index.js';

beforeAll(() => setDevice(new ReferenceTarget()));

beforeEach(() => void manualSeed(1));

const n = 20_000;

describe('generators', () => {
  it('repeat from a seed, and differ between seeds and calls', async () => {
    const draw = async () => [await rand([4]).toArray<number[]>(), await rand([4]).toArray<number[]>()];
    manualSeed(7);
    const first = await draw();
    manualSeed(7);
    expect(await draw()).toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
    manualSeed(8);
    expect((await draw())[0]).not.toEqual(first[0]);
  });

  it('pin the numbers of a seed', async () => {
    const g = new Generator(1234);
    expect([...g.bits(5)]).toMatchInlineSnapshot(`
      [
        546353992,
        -1628512715,
        -629346133,
        482218876,
        1140953199,
      ]
    `);
    expect(await rand([3], { generator: g }).toArray()).toMatchInlineSnapshot(`
      [
        0.44050759077072144,
        0.24900680780410767,
        0.22734910249710083,
      ]
    `);
    expect([...g.permutation(8)]).toMatchInlineSnapshot(`
      [
        4,
        3,
        2,
        6,
        0,
        7,
        5,
        1,
      ]
    `);
  });

  it('draw the same bits on the host and in the graph', async () => {
    const host = new Generator(5).bits(11);
    const graph = await rand([11], { generator: new Generator(5) }).data();
    expect([...graph]).toEqual(Array.from(host, (b) => (b >>> 8) * 2 ** -24));
  });

  it('go on from a saved state', async () => {
    const g = new Generator(3);
    g.random();
    const state = g.state();
    const ahead = [g.random(), g.integer(100), await rand([2], { generator: g }).toArray()];
    g.setState(state);
    expect([g.random(), g.integer(100), await rand([2], { generator: g }).toArray()]).toEqual(ahead);
  });

  it('fork into streams of their own', () => {
    const g = new Generator(3);
    const [a, b] = [g.fork(), g.fork()];
    expect(a.seed).not.toBe(b.seed);
    expect(new Generator(3).fork().random()).toBe(a.random());
  });

  it('take large seeds whole and refuse others', () => {
    expect([...new Generator(2 ** 40 + 1).bits(2)]).not.toEqual([...new Generator(1).bits(2)]);
    expect(() => new Generator(-1)).toThrow('a seed is a whole number from 0 to 2⁵³ − 1, not -1');
  });
});

describe('distributions', () => {
  it('rand is uniform in [0, 1)', async () => {
    const x = await rand([n]).data();
    expect(Math.min(...x)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...x)).toBeLessThan(1);
    expect(Math.abs(mean(x) - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    // Kolmogorov–Smirnov: the largest gap between the sorted numbers and the diagonal; 1.95/√n is exceeded once in a thousand.
    const gap = Math.max(...x.slice().sort().map((v, i) => Math.abs(v - (i + 0.5) / n))); // biome-ignore format: one thought
    expect(gap).toBeLessThan(1.95 / Math.sqrt(n));
  });

  it('randn is normal: moments and tails', async () => {
    const x = await randn([n]).data();
    expect(Math.abs(mean(x))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(mean(x.map((v) => v * v)) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(mean(x.map((v) => v ** 3)))).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(mean(x.map((v) => v ** 4)) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    expect(x.every(Number.isFinite)).toBe(true);
  });

  it('randint covers its range evenly', async () => {
    const x = await randint(-2, 3, [n]).data();
    const counts = [-2, -1, 0, 1, 2].map((v) => x.filter((e) => e === v).length);
    expect(counts.reduce((a, b) => a + b)).toBe(n);
    for (const c of counts) expect(Math.abs(c - n / 5)).toBeLessThan(5 * Math.sqrt(n * 0.2 * 0.8));
    expect(() => randint(3, 3, [1])).toThrow('randint: needs whole numbers low < high');
  });

  it('randperm is a permutation, integers on the host are even', async () => {
    const p = await randperm(50).data();
    expect([...p].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const g = new Generator(2);
    const counts = [0, 0, 0];
    for (let i = 0; i < 3000; i++) counts[g.integer(3)]++;
    for (const c of counts) expect(Math.abs(c - 1000)).toBeLessThan(5 * Math.sqrt(3000 * (2 / 9)));
  });

  it('bernoulli and multinomial follow their probabilities', async () => {
    const b = await bernoulli(tensor([0, 1, 0.25]).expand(n, 3))
      .mean(0)
      .data();
    expect([b[0], b[1]]).toEqual([0, 1]);
    expect(Math.abs(b[2] - 0.25)).toBeLessThan(5 * Math.sqrt(0.1875 / n));
    const m = await multinomial(tensor([[1, 0, 3]]), n).data();
    expect(m.filter((v) => v === 1).length).toBe(0);
    expect(Math.abs(m.filter((v) => v === 2).length / n - 0.75)).toBeLessThan(5 * Math.sqrt(0.1875 / n));
  });
});

function mean(x: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += x[i];
  return total / x.length;
}

import { describe, expect, it } from 'vitest';
import { manualSeed, Parameter, zeros } from '../tensor/index.js';
import * as nn from './index.js';
import { init } from './index.js';

const values = async (shape: number[], fill: (p: Parameter) => unknown): Promise<Float32Array> => {
  const p = new Parameter(zeros(shape));
  fill(p);
  return (await p.data()) as Float32Array;
};

/** Mean and standard deviation, and the tolerance that five standard errors of them allow for n values. */
function moments(x: Float32Array) {
  const mean = x.reduce((s, v) => s + v, 0) / x.length;
  const std = Math.sqrt(x.reduce((s, v) => s + (v - mean) ** 2, 0) / x.length);
  return { mean, std, min: Math.min(...x), max: Math.max(...x), error: 5 / Math.sqrt(x.length) };
}

describe('initialisers', () => {
  it('draw from the distributions they name', async () => {
    manualSeed(1);
    const cases: [string, Float32Array, number, number][] = [
      ['uniform', await values([100, 100], (p) => init.uniform(p, -1, 3)), 1, 4 / Math.sqrt(12)],
      ['normal', await values([100, 100], (p) => init.normal(p, 2, 0.5)), 2, 0.5],
      [
        'kaimingUniform',
        await values([100, 100], (p) => init.kaimingUniform(p, { nonlinearity: 'relu' })),
        0,
        Math.sqrt(2 / 100),
      ],
      [
        'kaimingUniform √5',
        await values([100, 100], (p) => init.kaimingUniform(p, { a: Math.sqrt(5) })),
        0,
        1 / Math.sqrt(300),
      ],
      [
        'kaimingNormal fanOut',
        await values([50, 20, 3, 3], (p) => init.kaimingNormal(p, { mode: 'fanOut', nonlinearity: 'relu' })),
        0,
        Math.sqrt(2 / 450),
      ],
      ['xavierUniform', await values([150, 50], (p) => init.xavierUniform(p)), 0, Math.sqrt(2 / 200)],
      ['xavierNormal', await values([150, 50], (p) => init.xavierNormal(p, { gain: 2 })), 0, 2 * Math.sqrt(2 / 200)],
    ];
    for (const [name, x, mean, std] of cases) {
      const m = moments(x);
      expect(Math.abs(m.mean - mean), name).toBeLessThan(m.error * std);
      expect(Math.abs(m.std - std), name).toBeLessThan(m.error * std);
    }
  });

  it('keep to the bounds of uniform and truncated distributions', async () => {
    manualSeed(2);
    const u = moments(await values([100, 100], (p) => init.uniform(p, -1, 3)));
    expect([u.min >= -1, u.min < -0.99, u.max < 3, u.max > 2.99]).toEqual([true, true, true, true]);
    const t = moments(await values([100, 100], (p) => init.truncNormal(p, { std: 1, low: -1, high: 2 })));
    expect([t.min >= -1, t.max <= 2, t.min < -0.99, t.max > 1.9]).toEqual([true, true, true, true]);
    // Mean of the standard normal cut to (−1, 2): (φ(−1) − φ(2)) / (Φ(2) − Φ(−1)).
    expect(Math.abs(t.mean - 0.229637)).toBeLessThan(t.error);
  });

  it('invert the normal distribution exactly', () => {
    // statistics.NormalDist().inv_cdf of Python 3.11
    const known: [number, number][] = [
      [0.5, 0],
      [0.975, 1.9599639845400536],
      [0.1, -1.2815515655446008],
      [0.925, 1.439531470938456],
      [1e-10, -6.361340902404056],
      [0.3, -0.5244005127080407],
    ];
    for (const [p, x] of known) expect(init.normalQuantile(p)).toBeCloseTo(x, 13);
  });

  it('draw normal values that are the quantiles of uniform ones to 2e-6', async () => {
    const words = manualSeed(6).bits(10_000);
    manualSeed(6);
    const x = await values([100, 100], (p) => init.normal(p));
    const exact = Array.from(words, (word) => init.normalQuantile((word + 0.5) / 2 ** 32 + 0.5));
    for (const [i, z] of exact.entries()) expect(Math.abs(x[i] - z)).toBeLessThan(2e-6);
  });

  it('make orthogonal rows or columns', async () => {
    manualSeed(4);
    for (const [rows, cols] of [
      [5, 12],
      [12, 5],
      [6, 6],
    ]) {
      const x = await values([rows, cols], (p) => init.orthogonal(p, { gain: 2 }));
      const n = Math.min(rows, cols);
      const at = (i: number, k: number) => (rows <= cols ? x[i * cols + k] : x[k * cols + i]);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          let dot = 0;
          for (let k = 0; k < Math.max(rows, cols); k++) dot += at(i, k) * at(j, k);
          expect(Math.abs(dot - (i === j ? 4 : 0))).toBeLessThan(1e-6);
        }
      }
    }
  });

  it('make a convolution pass its input through', async () => {
    const conv = new nn.Conv2d(3, 3, 3, { padding: 1, bias: false });
    init.dirac(conv.weight);
    const x = (await import('../tensor/index.js')).randn([1, 3, 4, 4]);
    expect(await conv.forward(x).data()).toEqual(await x.data());
  });

  it('refuse results, and shapes they have no meaning for', () => {
    expect(() => init.zeros(zeros([2]).add(1))).toThrow(
      'init: only float32 parameters and buffers can be initialised; got an intermediate result',
    );
    expect(() => init.kaimingNormal(new Parameter(zeros([2])))).toThrow(
      'kaimingNormal: needs a weight with two axes or more; got [2]',
    );
    expect(() => init.truncNormal(new Parameter(zeros([2])), { low: 1, high: 0 })).toThrow(
      'truncNormal: low must lie below high; got [1, 0]',
    );
  });
});

describe('weights', () => {
  it('start as in PyTorch', async () => {
    manualSeed(7);
    const conv = new nn.Conv2d(8, 16, 3, { groups: 2 });
    const bound = 1 / Math.sqrt(4 * 9);
    for (const p of conv.parameters()) {
      const m = moments((await p.data()) as Float32Array);
      expect(Math.max(-m.min, m.max)).toBeLessThanOrEqual(bound);
      expect(Math.abs(m.std - bound / Math.sqrt(3))).toBeLessThan(m.error * bound);
    }
    const embedding = new nn.Embedding(100, 30, { paddingIdx: -1 });
    const rows = (await embedding.weight.data()) as Float32Array;
    expect(rows.subarray(99 * 30).every((v) => v === 0)).toBe(true);
    expect(moments(rows.subarray(0, 99 * 30)).std).toBeCloseTo(1, 1);
  });

  it('repeat from a seed, also when looked at in another order', async () => {
    const build = () => {
      manualSeed(42);
      return [new nn.Linear(3, 4), new nn.Linear(3, 4)];
    };
    const [a1, b1] = build();
    const [a2, b2] = build();
    const late = await b2.weight.data();
    expect(await a1.weight.data()).toEqual(await a2.weight.data());
    expect(await b1.weight.data()).toEqual(late);
    expect(await a1.weight.data()).not.toEqual(late);
  });

  it('cost nothing until somebody looks', () => {
    const start = performance.now();
    const model = new nn.Sequential(...Array.from({ length: 100 }, () => new nn.Linear(500, 500)));
    const elapsed = performance.now() - start;
    expect(model.parameterCount()).toBe(100 * (250_000 + 500));
    expect(elapsed).toBeLessThan(100); // 25 million values
  });
});

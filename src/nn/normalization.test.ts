import { describe, expect, it } from 'vitest';
import { manualSeed, randn, tensor } from '../tensor/index.js';
import { BatchNorm2d, GlobalResponseNorm } from './normalization.js';

describe('batch statistics in one pass, about the running mean', () => {
  it('keep their digits where the running mean is still far away', async () => {
    manualSeed(3);
    const x = randn([4, 2, 8, 8]).mul(2).add(50); // 25 standard deviations from the first running mean, 0
    const values = await x.data();
    const got = await new BatchNorm2d(2).forward(x).data();
    for (const channel of [0, 1]) {
      const at = [...values.keys()].filter((i) => Math.floor(i / 64) % 2 === channel);
      const mean = at.reduce((sum, i) => sum + values[i], 0) / at.length;
      const variance = at.reduce((sum, i) => sum + (values[i] - mean) ** 2, 0) / at.length;
      // E(x²) − (E x)² loses a factor of (1 + 25²) in the variance's 2⁻²⁴, half of it in the standard deviation; values reach 4.
      for (const i of at) {
        expect(Math.abs(got[i] - (values[i] - mean) / Math.sqrt(variance + 1e-5))).toBeLessThan(4 * 313 * 2 ** -23);
      }
    }
  });

  it('give 0, not NaN, for a constant channel', async () => {
    const x = tensor(new Float32Array(36).fill(100)).reshape([2, 2, 3, 3]);
    const y = await new BatchNorm2d(2).forward(x).data();
    expect(Math.max(...y.map(Math.abs))).toBeLessThan(100 * 2 ** -22 * 320); // the mean's rounding, over √eps
  });
});

describe('GlobalResponseNorm', () => {
  // Norms over the pixels: 5 and 10, mean 7.5.
  const x = [[[[3, 4]], [[6, -8]]]];

  it('starts as the identity', async () => {
    expect(await new GlobalResponseNorm(2).forward(tensor(x)).toArray()).toEqual(x);
  });

  it('adds each channel scaled by its norm beside the mean norm', async () => {
    const norm = new GlobalResponseNorm(2);
    norm.weight.assign(Float32Array.of(3, 1.5));
    norm.bias.assign(Float32Array.of(0, 1));
    const wanted = [
      3 + 3 * 3 * (5 / 7.5),
      4 + 3 * 4 * (5 / 7.5),
      6 + 1 + 1.5 * 6 * (10 / 7.5),
      -8 + 1 - 1.5 * 8 * (10 / 7.5),
    ];
    const got = await norm.forward(tensor(x)).data();
    wanted.forEach((v, i) => void expect(got[i]).toBeCloseTo(v, 4));

    const last = new GlobalResponseNorm(2, { channelsLast: true });
    last.weight.assign(Float32Array.of(3, 1.5));
    last.bias.assign(Float32Array.of(0, 1));
    const moved = await last
      .forward(tensor(x).permute([0, 2, 3, 1]))
      .permute([0, 3, 1, 2])
      .data();
    expect([...moved]).toEqual([...got]);
  });
});

/** gridSample where no golden file reaches: compiled kernels, and what it says of wrong calls. Its values: test/golden/tensor.py. */

import { describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { ConfigError } from '../util/errors.js';
import {
  device,
  F,
  type GridSampleOptions,
  grad,
  manualSeed,
  rand,
  setDevice,
  type Tensor,
  tensor,
  zeros,
} from './index.js';

const every = (['bilinear', 'nearest', 'bicubic'] as const).flatMap((mode) =>
  (['zeros', 'border', 'reflection'] as const).map((paddingMode) => ({ mode, paddingMode })),
);

describe('gridSample', () => {
  it.each(every)('$mode, $paddingMode: compiled as in float64, with its gradients', async (options) => {
    const compiled = await device();
    const reference = new ReferenceTarget();
    manualSeed(4);
    const picture = Float32Array.from((await rand([2 * 3 * 9 * 11]).data()) as Float32Array);
    const places = Float32Array.from((await rand([2 * 6 * 5 * 2]).data()) as Float32Array, (v) => 3 * v - 1.5);
    const run = async (target: typeof compiled | ReferenceTarget): Promise<number[][]> => {
      setDevice(target);
      const x = tensor(picture, { shape: [2, 3, 9, 11], requiresGrad: true });
      const grid = tensor(places, { shape: [2, 6, 5, 2], requiresGrad: true });
      const y = F.gridSample(x, grid, options satisfies GridSampleOptions);
      const gradients = grad(y.mul(y).sum(), [x, grid], { allowUnused: true });
      return Promise.all([y, ...gradients].map(async (t: Tensor) => Array.from(await t.data(), Number)));
    };
    const wanted = await run(reference);
    const got = await run(compiled);
    for (const [i, values] of wanted.entries()) {
      // Places up to 10 in float32 are off by 2⁻²¹, and differences of pixels times a size of 11 scale that for the grid's gradient.
      const largest = values.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
      for (const [j, v] of values.entries()) expect(Math.abs(got[i][j] - v)).toBeLessThan(2 ** -17 * largest);
    }
  });

  it('gives the picture itself at the centres of its pixels', async () => {
    setDevice(await device());
    const [h, w] = [3, 4];
    const places = Array.from({ length: h * w }, (_, i) => [
      ((i % w) * 2 + 1) / w - 1,
      (Math.floor(i / w) * 2 + 1) / h - 1,
    ]);
    const picture = rand([1, 2, h, w]);
    const y = F.gridSample(picture, tensor(places).reshape([1, h, w, 2]), { mode: 'nearest' });
    expect(await y.data()).toEqual(await picture.data());
  });

  it('says what does not fit', () => {
    expect(() => F.gridSample(zeros([2, 3, 4, 5]), zeros([1, 4, 5, 2]))).toThrow(
      "gridSample: the grid does not fit the pictures\n  x     [2, 3, 4, 5]   N C H W\n  grid  [1, 4, 5, 2]   N H' W' 2\n" +
        "  Both need the same N, and the grid's last axis holds (across, down).",
    );
    const mode = 'cubic' as 'bicubic';
    expect(() => F.gridSample(zeros([1, 1, 2, 2]), zeros([1, 2, 2, 2]), { mode })).toThrow(
      new ConfigError("gridSample: mode is 'bilinear', 'nearest', 'bicubic'; got 'cubic'"),
    );
  });
});

import { expect, it } from 'vitest';
import { filled } from '../../../test/golden/counter.js';
import { withoutSimd } from '../../../test/without-simd.js';
import { gaussianKernel, separable } from './filters.js';

const shapes = [
  [1, 1, 9, 3],
  [5, 3, 3, 3],
  [17, 31, 7, 13],
  [40, 9, 41, 1],
  [3, 64, 1, 25],
] as const;
const plane = (height: number, width: number) => filled(`plane ${height}x${width}`, [height, width], { scale: 100 });
const mirrored = (i: number, n: number) => {
  if (n === 1) return 0;
  const within = ((i % (2 * n - 2)) + 2 * n - 2) % (2 * n - 2);
  return within < n ? within : 2 * n - 2 - within;
};

it.each(shapes)('%i × %i blurred by %i × %i is the weighted sum over the mirrored plane', (height, width, kx, ky) => {
  const values = plane(height, width);
  const [kernelX, kernelY] = [gaussianKernel(kx, 2), gaussianKernel(ky, 1.5)];
  const made = separable(values, height, width, kernelX, kernelY);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let j = 0; j < ky; j++) {
        for (let i = 0; i < kx; i++) {
          const at = mirrored(y + j - (ky >> 1), height) * width + mirrored(x + i - (kx >> 1), width);
          sum += values[at] * kernelX[i] * kernelY[j];
        }
      }
      // kx + ky roundings of sums below 100 in float32.
      expect(Math.abs(made.values[y * made.stride + x] - sum)).toBeLessThan((kx + ky + 4) * 100 * 2 ** -24);
    }
  }
});

it('is the same to the bit without SIMD', () =>
  withoutSimd(async () => {
    const without = await import('./filters.js');
    for (const [height, width, kx, ky] of shapes) {
      const args = [plane(height, width), height, width, gaussianKernel(kx, 2), gaussianKernel(ky, 1.5)] as const;
      const [fast, plain] = [separable(...args), without.separable(...args)];
      expect(plain.stride).toBe(fast.stride);
      for (let y = 0; y < height; y++) {
        const line = y * fast.stride;
        expect(plain.values.subarray(line, line + width)).toEqual(fast.values.subarray(line, line + width));
      }
    }
  }));

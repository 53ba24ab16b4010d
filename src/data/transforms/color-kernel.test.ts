import { expect, it } from 'vitest';
import { words } from '../../../test/golden/counter.js';
import { withoutSimd } from '../../../test/without-simd.js';
import * as colors from './color.js';
import { colorKernel } from './color-kernel.js';

const withSimd = { ...colors };
const shapes = [[3, 1, 1], [3, 4, 4], [3, 5, 7], [1, 9, 3], [3, 64, 61]] as const; // biome-ignore format: one line
const factors = [0, 0.2, 0.73, 1, 1.2, 1.999, 2.5, 40];
const picture = (shape: (typeof shapes)[number]) => ({
  data: Uint8Array.from(words(`colours ${shape}`, shape[0] * shape[1] * shape[2]), (w) => w >>> 24),
  shape,
});

it('is there: this engine has SIMD', () => {
  expect(colorKernel()).not.toBeNull();
});

it('is the same to the byte without SIMD', () =>
  withoutSimd(async () => {
    const plain = { ...(await import('./color.js')) };
    expect((await import('./color-kernel.js')).colorKernel()).toBeNull();
    for (const shape of shapes) {
      const planes = picture(shape);
      for (const name of ['adjustBrightness', 'adjustContrast', 'adjustSaturation'] as const) {
        for (const factor of factors) {
          expect(withSimd[name](planes, factor), `${name} ${factor} of ${shape}`).toEqual(plain[name](planes, factor));
        }
      }
      for (const name of ['rgbToGrayscale', 'invert', 'equalize', 'autocontrast'] as const) {
        expect(withSimd[name](planes), name).toEqual(plain[name](planes));
      }
    }
  }));

it('makes the grey of every colour as the plain loop does', async () => {
  // All pairs of red and green beside some blues: sums that are whole numbers, where rounding decides, are among them.
  const f32 = Math.fround;
  const [r, g, b] = [0.2989, 0.587, 0.114].map(f32);
  const data = new Uint8Array(3 * 65536);
  for (const blue of [0, 50, 100, 150, 200, 250, 255]) {
    for (let i = 0; i < 65536; i++) {
      data[i] = i & 255;
      data[65536 + i] = i >> 8;
      data[131072 + i] = blue;
    }
    const made = withSimd.rgbToGrayscale({ data, shape: [3, 256, 256] }).data;
    const wanted = Uint8Array.from({ length: 65536 }, (_, i) => f32(f32(f32((i & 255) * r) + (i >> 8) * g) + blue * b));
    expect(Buffer.compare(made, wanted)).toBe(0);
  }
});

/** LeNet-5 against the numbers of its paper. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../compile/compiled-target.js';
import { noGrad, rand, setDevice, tensor, zeros } from '../tensor/index.js';
import { BitmapDistance, lenet5_1998, PartialConvolution } from './index.js';

let target: CompiledTarget;
beforeAll(async () => {
  target = await CompiledTarget.create({ threads: 1 });
  setDevice(target);
});
afterAll(() => target.dispose());

describe('lenet5_1998', () => {
  it('trains as many numbers in each layer as the paper counts, 60,000 together', () => {
    const model = lenet5_1998();
    const layers = ['c1', 's2', 'c3', 's4', 'c5', 'f6', 'output'].map((path) => model.get(path).parameterCount());
    expect(layers).toEqual([156, 12, 1516, 32, 48_120, 10_164, 0]);
    expect(model.parameterCount()).toBe(60_000);
  });

  it('has the sizes of figure 2', () => {
    const shapes = lenet5_1998().activations(zeros([1, 1, 32, 32]), ['c1', 's2', 'c3', 's4', 'c5', 'f6']);
    expect(Object.values(shapes).map((t) => t.shape.slice(1))).toEqual([
      [6, 28, 28],
      [6, 14, 14],
      [16, 10, 10],
      [16, 5, 5],
      [120, 1, 1],
      [84],
    ]);
  });

  it('sees a picture of 28 × 28 on a field of 32 × 32 that continues its border', async () => {
    const model = lenet5_1998().eval();
    const digit = rand([2, 1, 28, 28]).sub(0.4);
    const field = digit.pad([2, 2, 2, 2], { mode: 'replicate' });
    const [small, large] = noGrad(() => [model.forward(digit), model.forward(field)]);
    expect(await small.data()).toEqual(await large.data());
  });

  it('connects each map of C3 with those that table I marks', async () => {
    const c3 = new PartialConvolution();
    const seen: string[] = [];
    for (let map = 0; map < 6; map++) {
      const spot = zeros([1, 6, 5, 5]).add(tensor([0, 1, 2, 3, 4, 5]).eq(map).to('float32').reshape([6, 1, 1]));
      const change = noGrad(() => c3.forward(spot).sub(c3.forward(zeros([1, 6, 5, 5]))));
      seen.push(Array.from(await change.abs().gt(1e-6).data(), (moved) => (moved ? 'X' : '.')).join(''));
    }
    expect(seen).toEqual([
      'X...XXX..XXXX.XX', // columns 0 … 15
      'XX...XXX..XXXX.X',
      'XXX...XXX..X.XXX',
      '.XXX..XXXX..X.XX',
      '..XXX..XXXX.XX.X',
      '...XXX..XXXX.XXX',
    ]);
  });

  it('scores highest the class whose drawing F6 shows', async () => {
    for (const classes of [10, 26]) {
      const output = new BitmapDistance(classes);
      // Distances from 0 to one more than a code's element in each place give the codes back: −(x − w)² summed = −84 at 0.
      const atZero = await output.forward(zeros([1, 84])).data();
      expect(Array.from(atZero)).toEqual(new Array(classes).fill(-84));
      const steps = await output.forward(tensor(Float32Array.from({ length: 84 * 84 }, (_, i) => (i % 85 === 0 ? 0.25 : 0)), { shape: [84, 84] })).data(); // biome-ignore format: one call
      const codes = Float32Array.from({ length: classes * 84 }, (_, i) => {
        const [c, j] = [Math.floor(i / 84), i % 84];
        return (Number(steps[j * classes + c]) + 84 + 0.0625) / 0.5;
      });
      const own = await output.forward(tensor(codes, { shape: [classes, 84] })).argmax(1).data(); // biome-ignore format: one call
      expect(Array.from(own)).toEqual(Array.from({ length: classes }, (_, c) => c));
      expect(new Set(Array.from(codes, Math.abs))).toEqual(new Set([1]));
    }
  });
});

/** Padding that depends on the input's size. The layers' numbers are compared with PyTorch's in layers.test.ts. */

import { describe, expect, it } from 'vitest';
import { rand, zeros } from '../tensor/index.js';
import { Conv2d, Conv2dSame } from './conv.js';

describe('Conv2dSame', () => {
  const cases = [1, 2, 3].flatMap((stride) =>
    [1, 2, 3, 5].flatMap((kernel) => [1, 2].map((dilation) => ({ stride, kernel, dilation }))),
  );

  it.each(cases)('makes ⌈size / stride⌉ places: stride $stride, kernel $kernel, dilation $dilation', (c) => {
    const layer = new Conv2dSame(1, 1, c.kernel, { stride: c.stride, dilation: c.dilation });
    for (let size = 1; size <= 12; size++) {
      const wanted = Math.ceil(size / c.stride);
      expect(layer.forward(zeros([1, 1, size, 13 - size])).shape).toEqual([
        1,
        1,
        wanted,
        Math.ceil((13 - size) / c.stride),
      ]);
    }
  });

  it('gives the odd pixel to the end, as TensorFlow does', async () => {
    const layer = new Conv2dSame(1, 1, 3, { stride: 2 });
    const x = rand([1, 1, 6, 7]); // one row too few, at the end; a column on either side
    const symmetric = new Conv2d(1, 1, 3, {
      stride: 2,
      padding: [
        [0, 1],
        [1, 1],
      ],
    });
    symmetric.loadStateDict(layer.stateDict());
    expect(await layer.forward(x).data()).toEqual(await symmetric.forward(x).data());
  });

  it('is like any convolution that keeps the size where the stride is 1', async () => {
    const layer = new Conv2dSame(2, 3, 5);
    const keeps = new Conv2d(2, 3, 5, { padding: 'same' });
    keeps.loadStateDict(layer.stateDict());
    const x = rand([1, 2, 6, 7]);
    expect(await layer.forward(x).data()).toEqual(await keeps.forward(x).data());
  });
});

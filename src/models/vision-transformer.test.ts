/** What golden files do not show of vision transformers: weights for other pictures. */

import { describe, expect, it } from 'vitest';
import { randn, zeros } from '../tensor/index.js';
import { resizePosEmbed, vit_small_patch32_224, vit_tiny_patch16_224 } from './vision-transformer.js';

describe('vision transformers for pictures of other sizes', () => {
  it('resize stored position embeddings as the network resamples its own', async () => {
    const stored = randn([1, 1 + 49, 8]);
    const grid = stored.narrow(1, 1, 49).reshape([1, 7, 7, 8]).permute([0, 3, 1, 2]);
    const wanted = grid
      .interpolate({ size: [3, 9], mode: 'bicubic', antialias: true })
      .flatten(2)
      .transpose(1, 2);
    const { shape, data } = resizePosEmbed(
      { shape: stored.shape, data: (await stored.data()) as Float32Array },
      [3, 9],
    );
    expect(shape).toEqual([1, 28, 8]);
    const values = [...(await stored.narrow(1, 0, 1).data()), ...(await wanted.data())];
    values.forEach((value, i) => void expect(data[i]).toBeCloseTo(Number(value), 5));
  });

  it('refuse embeddings of no square grid', () => {
    expect(() => resizePosEmbed({ shape: [1, 8, 4], data: [] }, [2, 2])).toThrow(
      'resizePosEmbed: [1,8,4] is not [1, 1 + a square number, dim]',
    );
  });

  it('are built for them, or take what divides into patches', () => {
    expect(vit_tiny_patch16_224({ imageSize: 64 }).pos_embed.shape).toEqual([1, 17, 192]);
    expect(vit_small_patch32_224({ depth: 1 }).forward(zeros([2, 3, 32, 96])).shape).toEqual([2, 1000]);
    expect(() => vit_tiny_patch16_224({ imageSize: 100 })).toThrow(
      'VisionTransformer: imageSize = 100 must be a multiple of the patch, 16',
    );
  });
});

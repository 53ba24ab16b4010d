import { describe, expect, it } from 'vitest';
import { randn, tensor } from '../tensor/index.js';
import { Attention, MultiheadAttention, RelativePositionBias } from './attention.js';

describe('Attention', () => {
  it('is multi-head self-attention under the names of timm', async () => {
    const attention = new Attention(8, 2).eval();
    const other = new MultiheadAttention(8, 2, { batchFirst: true }).eval();
    other.loadStateDict({
      in_proj_weight: attention.qkv.weight,
      in_proj_bias: attention.qkv.bias!,
      'out_proj.weight': attention.proj.weight,
      'out_proj.bias': attention.proj.bias!,
    });
    const x = randn([3, 5, 8]);
    const wanted = await other.forward(x)[0].data();
    const got = await attention.forward(x).data();
    wanted.forEach((v, i) => void expect(got[i]).toBeCloseTo(Number(v), 5));
    expect(Object.keys(attention.stateDict())).toEqual(['qkv.weight', 'qkv.bias', 'proj.weight', 'proj.bias']);
  });

  it('adds a bias to the scores: −∞ hides a token', async () => {
    const attention = new Attention(4, 2).eval();
    const x = randn([1, 3, 4]);
    const hidden = tensor([[[0, 0, -Infinity]]]);
    const without = await attention.forward(x.narrow(1, 0, 2)).data();
    const masked = await attention.forward(x, hidden).narrow(1, 0, 2).data();
    without.forEach((v, i) => void expect(masked[i]).toBeCloseTo(Number(v), 5));
  });

  it('refuses heads that do not divide', () => {
    expect(() => new Attention(10, 4)).toThrow('Attention: numHeads = 4 must divide dim = 10');
  });
});

describe('RelativePositionBias', () => {
  /** A table whose entry names its distance: 10 · (dy + height − 1) + dx + width − 1, for one head. */
  const named = ([height, width]: readonly [number, number]) => {
    const bias = new RelativePositionBias([height, width], 1);
    const table = Float32Array.from({ length: (2 * height - 1) * (2 * width - 1) }, (_, i) => {
      return 10 * Math.floor(i / (2 * width - 1)) + (i % (2 * width - 1));
    });
    bias.relative_position_bias_table.assign(table);
    return bias;
  };

  it('has a number for each pair of places, the same for the same distance', async () => {
    // Places 0 1 / 2 3; no distance is 11, one to the left 12, one up 21.
    expect(await named([2, 2]).forward().toArray()).toEqual([
      [
        [11, 10, 1, 0],
        [12, 11, 2, 1],
        [21, 20, 11, 10],
        [22, 21, 12, 11],
      ],
    ]);
  });

  it('serves smaller windows with the same numbers, and refuses larger ones', async () => {
    const bias = named([2, 4]);
    expect(await bias.forward([1, 2]).toArray()).toEqual([
      [
        [13, 12],
        [14, 13],
      ],
    ]);
    expect(() => bias.forward([3, 4])).toThrow(
      'RelativePositionBias: a window of 3 × 4 is larger than the table\n' +
        '  relative_position_bias_table is for 2 × 4 places. Build the model for larger pictures: { imageSize }.',
    );
  });
});

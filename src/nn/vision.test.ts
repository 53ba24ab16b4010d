import { describe, expect, it } from 'vitest';
import { randn, tensor } from '../tensor/index.js';
import { LayerScale, Mlp, PatchEmbed } from './vision.js';

describe('PatchEmbed', () => {
  it('gives one token for each patch, row by row', async () => {
    const embed = new PatchEmbed({ patchSize: 2, inChannels: 1, embedDim: 1 });
    embed.proj.weight.assign(Float32Array.of(1, 1, 1, 1));
    embed.proj.bias!.assign(Float32Array.of(0));
    const x = tensor(Float32Array.from({ length: 24 }, (_, i) => i)).reshape([1, 1, 4, 6]);
    // The patch at (r, c) begins at 12 r + 2 c; its four pixels are that, the next, and the two six further on.
    const sums = [0, 2, 4, 12, 14, 16].map((first) => 4 * first + 14);
    expect(await embed.forward(x).toArray()).toEqual([sums.map((s) => [s])]);
    expect(Object.keys(embed.stateDict())).toEqual(['proj.weight', 'proj.bias']);
  });

  it('refuses a picture that does not divide', () => {
    expect(() => new PatchEmbed().forward(randn([1, 3, 30, 32]))).toThrow(
      'PatchEmbed: the picture does not divide into patches\n  x  [1, 3, 30, 32]   N C H W\n' +
        '  H and W must be multiples of patchSize = 16. Resize or pad the picture.',
    );
  });
});

describe('LayerScale', () => {
  it('scales the last axis, or the channels of maps', async () => {
    const tokens = new LayerScale(2, { initValues: 0.5 });
    expect(await tokens.forward(tensor([[[2, 4]]])).toArray()).toEqual([[[1, 2]]]);
    const maps = new LayerScale(2, { axis: 1 });
    maps.gamma.assign(Float32Array.of(1, 10));
    expect(await maps.forward(tensor([[[[1, 2]], [[3, 4]]]])).toArray()).toEqual([[[[1, 2]], [[30, 40]]]]);
  });
});

describe('Mlp', () => {
  it('computes the same by linear layers on tokens and by 1×1 convolutions on maps', async () => {
    const tokens = new Mlp(3, { hiddenFeatures: 5, activation: (x) => x.relu() });
    const maps = new Mlp(3, { hiddenFeatures: 5, activation: (x) => x.relu(), conv: true });
    for (const name of ['fc1', 'fc2'] as const) {
      maps[name].weight.assign((await tokens[name].weight.data()) as Float32Array);
      maps[name].bias!.assign((await tokens[name].bias!.data()) as Float32Array);
    }
    const x = randn([2, 3, 4, 5]);
    const wanted = await tokens
      .forward(x.permute([0, 2, 3, 1]))
      .permute([0, 3, 1, 2])
      .data();
    const got = await maps.forward(x).data();
    wanted.forEach((v, i) => void expect(got[i]).toBeCloseTo(Number(v), 5));
    expect(new Mlp(3).fc1.weight.shape).toEqual([12, 3]);
  });
});

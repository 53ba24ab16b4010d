import { describe, expect, it } from 'vitest';
import { noGrad, rand } from '../tensor/index.js';
import { findModel, remap, remapFor, resnet20, resnet50, resnet50d, seresnet50, wide_resnet50_2 } from './index.js';

describe('ResNets for CIFAR', () => {
  it('have the numbers of parameters in table 6 of the paper: 0.27, 0.46 and 0.85 million', () => {
    const millions = ['resnet20', 'resnet32', 'resnet56'].map((name) => findModel(name)().parameterCount() / 1e6);
    expect(millions.map((m) => m.toFixed(2))).toEqual(['0.27', '0.46', '0.85']);
  });

  it('take files whose last layer is called linear', () => {
    const model = resnet20();
    const entry = (name: string, shape: readonly number[]) => [name, { shape, data: [] }] as const;
    const file = new Map(
      Object.entries(model.stateDict()).map(([name, { shape }]) => entry(name.replace('fc.', 'linear.'), shape)),
    );
    const renamed = remap(file, remapFor(file.keys(), resnet20.remaps ?? []));
    expect([...renamed.keys()]).toEqual(Object.keys(model.stateDict()));
  });

  it('have no parameters in their shortcuts, which pass every other pixel between channels of zeros', async () => {
    const model = resnet20().eval();
    expect(Object.keys(model.stateDict()).filter((name) => name.includes('downsample'))).toEqual([]);
    const x = rand([1, 16, 4, 4]);
    const y = noGrad(() => model.get('layer2.0.downsample').forward(x));
    expect(y.shape).toEqual([1, 32, 2, 2]);
    const [pixels, passed] = [await x.toArray(), await y.toArray()] as number[][][][][];
    for (let c = 0; c < 32; c++) {
      const wanted = c < 8 || c >= 24 ? [0, 0, 0, 0] : [0, 2].flatMap((r) => [0, 2].map((q) => pixels[0][c - 8][r][q]));
      expect(passed[0][c].flat()).toEqual(wanted);
    }
  });
});

describe('options of ResNets', () => {
  it('change the depth: { layers }', () => {
    const names = Object.keys(resnet50({ layers: [1, 1, 2, 1] }).stateDict());
    expect(names).toContain('layer3.1.conv3.weight');
    expect(names.some((name) => /^layer(1|2|4)\.1\./.test(name))).toBe(false);
  });

  it('change the stem of any of them: { stem }', () => {
    const shape = (options: object) =>
      seresnet50(options)
        .eval()
        .activations(rand([1, 3, 32, 32]), ['layer1']).layer1.shape;
    expect(shape({})).toEqual([1, 256, 8, 8]);
    expect(shape({ stem: 'cifar' })).toEqual([1, 256, 32, 32]);
    expect(Object.keys(wide_resnet50_2({ stem: 'deep', layers: [1, 1, 1, 1] }).stateDict())[1]).toBe('conv1.1.weight');
  });

  it('start the blocks as the identity: { zeroInitResidual }', async () => {
    const state = resnet50d({ zeroInitResidual: true, layers: [1, 1, 1, 1] }).stateDict();
    for (const stage of [1, 2, 3, 4]) {
      const [first] = await state[`layer${stage}.0.bn3.weight`].data();
      expect(first).toBe(0);
    }
  });
});

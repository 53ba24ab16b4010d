/** What TextCNN does beside its convolutions: short texts, given vectors, other versions' weights. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../compile/compiled-target.js';
import { concat, F, noGrad, setDevice, type Tensor, tensor, zeros } from '../tensor/index.js';
import { remap, remapFor, type Stored, textcnn } from './index.js';

let target: CompiledTarget;
beforeAll(async () => {
  target = await CompiledTarget.create({ threads: 1 });
  setDevice(target);
});
afterAll(() => target.dispose());

const small = { inChannels: 20, embedDim: 4, maps: 3 };

describe('textcnn', () => {
  it('has the sizes of its layers in the published order', () => {
    const shapes = Object.entries(textcnn().stateDict()).map(([path, t]) => `${path} [${t.shape}]`);
    expect(shapes).toEqual([
      'embed.weight [18765,300]',
      'convs.0.weight [100,1,3,300]',
      'convs.0.bias [100]',
      'convs.1.weight [100,1,4,300]',
      'convs.1.bias [100]',
      'convs.2.weight [100,1,5,300]',
      'convs.2.bias [100]',
      'fc1.weight [2,300]',
      'fc1.bias [2]',
    ]);
  });

  it('fills short texts up to its largest window, with token 0 or by itself', async () => {
    const model = textcnn(small).eval();
    const [short, filled] = noGrad(() => [
      model.forward(tensor([[7, 3]], { dtype: 'int32' })),
      model.forward(tensor([[7, 3, 0, 0, 0]], { dtype: 'int32' })),
    ]);
    expect(await short.data()).toEqual(await filled.data());
  });

  it('starts from given vectors, and leaves them as they are when static', () => {
    const vectors = { shape: [20, 4], data: Float32Array.from({ length: 80 }, (_, i) => i) };
    const trained = (model: ReturnType<typeof textcnn>) => model.embed.weight.requiresGrad;
    expect(trained(textcnn(small))).toBe(true);
    expect(trained(textcnn({ ...small, vectors }))).toBe(true);
    const still = textcnn({ ...small, vectors, embeddings: 'static' });
    expect(trained(still)).toBe(false);
    expect(still.parameterCount({ trainable: true })).toBe(still.parameterCount() - 80);
    expect(() => textcnn({ ...small, vectors: { shape: [19, 4], data: new Float32Array(76) } })).toThrow(
      /weight: the model has \[20, 4\], the state has \[19, 4\]/,
    );
  });

  it('takes the vectors it is given', async () => {
    const vectors = { shape: [20, 4], data: Float32Array.from({ length: 80 }, (_, i) => i) };
    expect(await textcnn({ ...small, vectors }).embed.weight.data()).toEqual(vectors.data);
  });

  it('reads versions with Conv1d to the same numbers', async () => {
    const theirs = new Map<string, Stored>([
      ['embedding.weight', ramp([20, 4])],
      ['convs.0.weight', ramp([3, 4, 3])],
      ['convs.0.bias', ramp([3])],
      ['convs.1.weight', ramp([3, 4, 4])],
      ['convs.1.bias', ramp([3])],
      ['convs.2.weight', ramp([3, 4, 5])],
      ['convs.2.bias', ramp([3])],
      ['fc.weight', ramp([2, 9])],
      ['fc.bias', ramp([2])],
    ]);
    const model = textcnn(small).eval();
    const renamed = remap(theirs, remapFor(theirs.keys(), textcnn.remaps!));
    model.loadStateDict(renamed);

    const tokens = tensor([[1, 5, 9, 2, 2, 17]], { dtype: 'int32' });
    const value = (name: string): Tensor => {
      const { shape, data } = theirs.get(name)!;
      return tensor(Float32Array.from(data), { shape });
    };
    const words = value('embedding.weight')
      .indexSelect(0, tokens.reshape([6]))
      .t()
      .unsqueeze(0);
    const strongest = [0, 1, 2].map((i) =>
      F.conv1d(words, value(`convs.${i}.weight`), { bias: value(`convs.${i}.bias`) }).relu().amax(2),
    ); // biome-ignore format: one expression
    const wanted = F.linear(concat(strongest, 1), value('fc.weight'), value('fc.bias'));
    const got = Array.from(await noGrad(() => model.forward(tokens)).data(), Number);
    for (const [i, v] of Array.from(await wanted.data(), Number).entries()) expect(got[i]).toBeCloseTo(v, 4);
    expect(Math.abs(got[0])).toBeGreaterThan(0.1);

    const ours = remap(
      new Map([['convs.0.weight', { shape: [3, 1, 3, 4], data: new Float32Array(36) }]]),
      textcnn.remaps![0],
    );
    expect(ours.get('convs.0.weight')!.shape).toEqual([3, 1, 3, 4]);
  });

  it('maps a batch of texts to a row each', () => {
    expect(
      textcnn(small)
        .eval()
        .forward(zeros([3, 8], { dtype: 'int32' })).shape,
    ).toEqual([3, 2]);
  });
});

/** Numbers between −1 and 1 that differ. */
function ramp(shape: readonly number[]): Stored {
  const count = shape.reduce((product, n) => product * n, 1);
  return { shape, data: Float32Array.from({ length: count }, (_, i) => ((i * 37) % 101) / 50 - 1) };
}

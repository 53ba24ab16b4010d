/** What GoogLeNet and Inception v3 do besides what the golden files show: their two forms, and their pictures. */

import { beforeAll, describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { setDevice, Tensor, tensor, zeros } from '../tensor/index.js';
import { fromImageNetStatistics, googlenet } from './googlenet.js';
import { inception_v3 } from './inception-v3.js';
import { preprocessing } from './preprocessing.js';

beforeAll(() => setDevice(new ReferenceTarget()));

// First, because the forwards below leave running statistics that the next value read would compute.
describe('transformInput', () => {
  it("turns ImageNet's statistics into those that the published weights want", async () => {
    const { mean, std } = preprocessing(224);
    const wanted = googlenet.preprocessing!;
    const pixels = [0.1, 0.6, 0.9];
    const normalized = pixels.map((p, c) => (p - mean[c]) / std[c]);
    const got = await fromImageNetStatistics(tensor(normalized, { shape: [1, 3, 1, 1] })).data();
    for (const [c, p] of pixels.entries()) expect(got[c]).toBeCloseTo((p - wanted.mean[c]) / wanted.std[c], 6);
  });
});

describe.each([
  ['googlenet', googlenet, 6_624_904, 13_004_888, [3, 64, 64]],
  ['inception_v3', inception_v3, 23_834_568, 27_161_264, [3, 299, 299]],
] as const)('%s', (_name, build, without, withHeads, picture) => {
  const names = (auxLogits: boolean) => Object.keys(build({ auxLogits }).stateDict());

  it('has its auxiliary heads where they are asked for, under names of their own', () => {
    expect(build({ auxLogits: false }).parameterCount()).toBe(without);
    expect(build({ auxLogits: true }).parameterCount()).toBe(withHeads);
    expect(names(true).filter((name) => !build.trainingOnly!.test(name))).toEqual(names(false));
  });

  it('returns what they say while training, and the class scores alone otherwise', () => {
    const model = build({ auxLogits: true, numClasses: 7 });
    const outputs = model.forward(zeros([2, ...picture]));
    if (outputs instanceof Tensor) throw new Error('in training, a record');
    const heads = Object.values(outputs.auxiliary);
    expect([outputs.logits, ...heads].map((y) => y.shape)).toEqual(new Array(1 + heads.length).fill([2, 7]));
    expect(model.eval().forward(zeros([2, ...picture]))).toBeInstanceOf(Tensor);
    expect(build({ auxLogits: false }).forward(zeros([2, ...picture]))).toBeInstanceOf(Tensor);
  });

  it('has names of heads that are sized by the number of classes', () => {
    const sizes = (numClasses: number) => {
      const model = build({ auxLogits: true, numClasses });
      return build.heads.map((head) => model.get(head).parameters()[0].shape[0]);
    };
    expect(sizes(5)).toEqual(build.heads.map(() => 5));
  });
});

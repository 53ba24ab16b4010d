/** Every model of the registry against its own facts: parameters, multiply–adds, shapes, and that gradients reach all of it. */

import { describe, expect, it } from 'vitest';
import { nll } from '../nn/loss.js';
import { summary } from '../nn/summary.js';
import { ReferenceTarget } from '../ops/reference/index.js';
import { grad, rand, setDevice, type Tensor, tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { classic, findModel, registry } from './index.js';

setDevice(new ReferenceTarget());

describe.each(registry.map((model) => [model.modelName, model] as const))('%s', (_name, build) => {
  it('has the parameters and multiply–adds it states', () => {
    const counted = summary(build(), build.input);
    expect(counted.totalParams).toBe(build.params);
    expect(counted.totalMacs).toBe(build.macs);
  });

  it('maps a batch to one row of outputs per picture, for any number of classes', () => {
    expect(build().forward(zeros([3, ...build.input])).shape).toEqual([3, 10]);
    expect(build({ numClasses: 7 }).forward(zeros([3, ...build.input])).shape).toEqual([3, 7]);
  });

  it('lets the gradient of the loss reach every parameter', async () => {
    const model = build().eval();
    const named = [...model.namedParameters()];
    const output = model.forward(rand([2, ...build.input]));
    const gradients = grad(
      nll(output.logSoftmax(1), tensor([3, 7], { dtype: 'int32' })),
      named.map(([, p]) => p),
    );
    for (const [i, [path]] of named.entries()) {
      expect(await gradients[i].abs().sum().item(), path).toBeGreaterThan(0);
    }
  });

  it('gives log-probabilities exactly where it says so', async () => {
    const output = build()
      .eval()
      .forward(rand([2, ...build.input]));
    const sums = Array.from(await (output as Tensor).exp().sum(1).data());
    const areOne = sums.every((s) => Math.abs(s - 1) < 1e-5);
    expect(areOne).toBe(build.output === 'logProbabilities');
  });
});

describe('classic', () => {
  it("has the names and shapes of PyTorch's example", () => {
    const shapes = Object.entries(classic().stateDict()).map(([name, t]) => `${name} [${t.shape}]`);
    expect(shapes).toEqual([
      'conv1.weight [32,1,3,3]',
      'conv1.bias [32]',
      'conv2.weight [64,32,3,3]',
      'conv2.bias [64]',
      'fc1.weight [128,9216]',
      'fc1.bias [128]',
      'fc2.weight [10,128]',
      'fc2.bias [10]',
    ]);
  });
});

describe('findModel', () => {
  it('suggests the nearest name', () => {
    expect(findModel('classic')).toBe(classic);
    expect(() => findModel('clasic')).toThrow(new ConfigError("There is no model 'clasic'. Did you mean classic?"));
    expect(() => findModel('transformer')).toThrow('The models are classic, lenet5.');
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../compile/compiled-target.js';
import { manualSeed, noGrad, rand, realize, setDevice, type Tensor } from '../tensor/index.js';
import * as nn from './index.js';
import { init } from './index.js';

let target: CompiledTarget;
beforeAll(async () => {
  target = await CompiledTarget.create({ threads: 1 });
  setDevice(target);
});
afterAll(() => target.dispose());

/** Statistics and weights of batch norms as training leaves them: no two channels alike. */
function asTrained<M extends nn.Module>(model: M): M {
  for (const [path, buffer] of model.namedBuffers()) {
    if (path.endsWith('running_mean')) init.normal(buffer);
    if (path.endsWith('running_var')) init.uniform(buffer, 0.2, 3);
  }
  for (const module of model.modules()) {
    if (!(module instanceof nn.BatchNorm1d || module instanceof nn.BatchNorm2d) || module.weight === null) continue;
    init.uniform(module.weight, -2, 2);
    init.normal(module.bias!);
  }
  return model;
}

const norms = (model: nn.Module) =>
  Array.from(model.namedModules()).flatMap(([path, m]) => (m.constructor.name.startsWith('BatchNorm') ? [path] : []));

/** The paths of the batch norms that are left, after checking that the outputs stay what they were. */
async function remaining(model: nn.Module, inputShape: number[]): Promise<string[]> {
  const x = rand([3, ...inputShape]);
  asTrained(model).eval();
  const before = noGrad(() => model.forward(x)) as Tensor;
  await realize(x, before);
  expect(nn.foldBatchNorm(model, inputShape)).toBe(model);
  const after = (await noGrad(() => model.forward(x)).data()) as Float32Array;
  const wanted = (await before.data()) as Float32Array;
  const size = Math.max(...wanted.map(Math.abs));
  for (const [i, v] of after.entries()) expect(Math.abs(v - wanted[i]) / size).toBeLessThan(1e-5);
  return norms(model);
}

describe('foldBatchNorm', () => {
  manualSeed(1);

  it('folds convolutions of any kind and linear layers, with and without bias or weights', async () => {
    const model = new nn.Sequential(
      new nn.Conv2d(3, 8, 3, { padding: 1, bias: false }),
      new nn.BatchNorm2d(8),
      new nn.ReLU(),
      new nn.Conv2d(8, 8, 3, { stride: 2, groups: 4, paddingMode: 'reflect', padding: 1 }),
      new nn.BatchNorm2d(8, { affine: false }),
      new nn.Flatten(),
      new nn.Linear(8 * 4 * 4, 6),
      new nn.BatchNorm1d(6, { eps: 0.1 }),
    );
    expect(await remaining(model, [3, 8, 8])).toEqual([]);
    expect(model.get('1')).toBeInstanceOf(nn.Identity);
    expect(Object.keys(model.stateDict())).toEqual(['0.weight', '0.bias', '3.weight', '3.bias', '6.weight', '6.bias']);
    expect(model.training).toBe(false);
  });

  it('finds pairs however forward calls them, and in arrays', async () => {
    class Net extends nn.Module {
      norms = [new nn.BatchNorm2d(4), new nn.BatchNorm2d(4)];
      first = new nn.Conv2d(2, 4, 1);
      second = new nn.Conv2d(2, 4, 3, { padding: 1 });
      override forward(x: Tensor): Tensor {
        const y = this.norms[1].forward(this.first.forward(x));
        return y.relu().add(this.norms[0].forward(this.second.forward(x)));
      }
    }
    expect(await remaining(new Net(), [2, 5, 5])).toEqual([]);
  });

  it('leaves what is not one linear layer: results read twice, shared layers and weights, no running statistics', async () => {
    class Net extends nn.Module {
      twice = new nn.Conv2d(2, 2, 1);
      readByTwo = new nn.Conv2d(2, 2, 1);
      tied = new nn.Conv2d(2, 2, 1);
      tiedToo = new nn.Conv2d(2, 2, 1);
      own = new nn.Conv2d(2, 2, 1);
      bn1 = new nn.BatchNorm2d(2);
      bn2 = new nn.BatchNorm2d(2);
      bn3 = new nn.BatchNorm2d(2);
      bn4 = new nn.BatchNorm2d(2, { trackRunningStats: false });
      bn5 = new nn.BatchNorm2d(2);
      constructor() {
        super();
        this.tiedToo.weight = this.tied.weight;
      }
      override forward(x: Tensor): Tensor {
        x = this.bn1.forward(this.twice.forward(this.twice.forward(x)));
        const y = this.readByTwo.forward(x);
        x = this.bn2.forward(y).add(y);
        x = this.tiedToo.forward(this.bn3.forward(this.tied.forward(x)));
        x = this.bn4.forward(this.own.forward(x));
        return this.bn5.forward(x.relu());
      }
    }
    expect(await remaining(new Net(), [2, 4, 4])).toEqual(['bn1', 'bn2', 'bn3', 'bn4', 'bn5']);
  });

  it('keeps a result that the model also returns', () => {
    class Net extends nn.Module {
      conv = new nn.Conv2d(2, 2, 1);
      bn = new nn.BatchNorm2d(2);
      override forward(x: Tensor): { features: Tensor; out: Tensor[] } {
        const features = this.conv.forward(x);
        return { features, out: [this.bn.forward(features)] };
      }
    }
    const model = new Net();
    nn.foldBatchNorm(model, [2, 4, 4]);
    expect(norms(model)).toEqual(['bn']);
  });

  it('goes on from statistics that training has just changed', async () => {
    const model = new nn.Sequential(new nn.Conv2d(1, 3, 3), new nn.BatchNorm2d(3));
    noGrad(() => model.forward(rand([8, 1, 6, 6]))); // its new statistics are still to be computed
    const x = rand([2, 1, 6, 6]);
    model.eval();
    const before = noGrad(() => model.forward(x)) as Tensor;
    nn.foldBatchNorm(model, [1, 6, 6]);
    const after = noGrad(() => model.forward(x)) as Tensor;
    await realize(before, after);
    const wanted = await before.data();
    const values = Array.from((await after.data()) as Float32Array);
    for (const [i, v] of values.entries()) expect(Math.abs(v - Number(wanted[i]))).toBeLessThan(1e-5);
  });
});

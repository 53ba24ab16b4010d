/** Freezing by pattern: what stays keeps its very bits through training, statistics of batch norm included, and the rest moves. */

import { describe, expect, it } from 'vitest';
import { SGD } from '../optim/index.js';
import { manualSeed, randn, realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import {
  BatchNorm2d,
  Conv2d,
  Dropout,
  freeze,
  InstanceNorm2d,
  Linear,
  Module,
  ReLU,
  Sequential,
  unfreeze,
} from './index.js';

class Net extends Module {
  conv1 = new Conv2d(2, 3, 3, { bias: false });
  bn1 = new BatchNorm2d(3);
  layer1 = new Sequential(new Conv2d(3, 4, 3), new BatchNorm2d(4), new ReLU(), new Dropout(0.1));
  fc = new Linear(4, 2);

  override forward(x: Tensor): Tensor {
    x = this.bn1.forward(this.conv1.forward(x)).relu();
    return this.fc.forward(this.layer1.forward(x).mean([2, 3]));
  }
}

const bits = async (model: Module) => {
  const entries = Object.entries(model.stateDict());
  await realize(...entries.map(([, t]) => t));
  const values = await Promise.all(entries.map(([, t]) => t.data()));
  return new Map(entries.map(([name], i) => [name, Buffer.from(values[i].buffer).toString('hex')]));
};

async function train(model: Module, steps: number): Promise<void> {
  model.train();
  const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, weightDecay: 0.01 });
  for (let step = 0; step < steps; step++) {
    model.zeroGrad();
    const y = model.forward(randn([4, 2, 8, 8]).add(3)) as Tensor;
    y.square().sum().backward();
    await optimizer.step();
  }
}

describe('freeze', () => {
  it('keeps the bits of weights and statistics through training, and lets the rest move', async () => {
    manualSeed(1);
    const model = new Net();
    await train(model, 1); // statistics that are not the first ones
    const frozen = freeze(model, ['conv1', 'bn1']);
    expect(frozen).toEqual(['conv1.weight', 'bn1.weight', 'bn1.bias']);
    const before = await bits(model);
    await train(model, 3);
    const after = await bits(model);
    const changed = [...before].filter(([name, value]) => after.get(name) !== value).map(([name]) => name);
    const moving = [...before.keys()].filter((name) => !/^(conv1|bn1)\./.test(name));
    expect(changed).toEqual(moving);
    expect(moving).toContain('layer1.1.running_mean');
  });

  it('normalises by the running statistics while training, so frozen layers compute what they do in evaluation', async () => {
    manualSeed(2);
    const model = new Sequential(new Conv2d(2, 3, 3), new BatchNorm2d(3), new ReLU());
    await train(model, 2);
    freeze(model, '**');
    const x = randn([2, 2, 5, 5]);
    const training = model.train().forward(x);
    const evaluating = model.eval().forward(x);
    expect([...(await training.data())]).toEqual([...(await evaluating.data())]);
    unfreeze(model, '1');
    const again = model.train().forward(x);
    expect([...(await again.data())]).not.toEqual([...(await evaluating.data())]);
  });

  it('lets a batch norm keep learning its statistics while some of its weights train', () => {
    const model = new Net();
    freeze(model, 'bn1.weight');
    expect(model.bn1.frozen).toBe(false);
    freeze(model, 'bn1.bias');
    expect(model.bn1.frozen).toBe(true);
    expect(model.train().bn1.frozen).toBe(true);
    unfreeze(model, /bn1/);
    expect(model.bn1.frozen).toBe(false);
  });

  it('names layers without weights by their statistics', () => {
    const model = new Sequential(new Conv2d(1, 2, 1), new BatchNorm2d(2, { affine: false }));
    freeze(model, '1');
    expect((model.get('1') as BatchNorm2d).frozen).toBe(true);
    const instance = new Sequential(new InstanceNorm2d(2, { trackRunningStats: true }));
    expect(freeze(instance, '0')).toEqual([]);
    expect((instance.get('0') as InstanceNorm2d).frozen).toBe(true);
  });

  it.each<[string | RegExp | (string | RegExp)[], string[]]>([
    ['layer1', ['layer1.0.weight', 'layer1.0.bias', 'layer1.1.weight', 'layer1.1.bias']],
    ['layer1.**', ['layer1.0.weight', 'layer1.0.bias', 'layer1.1.weight', 'layer1.1.bias']],
    ['layer*.1', ['layer1.1.weight', 'layer1.1.bias']],
    ['*1.weight', ['conv1.weight', 'bn1.weight']],
    ['**.bias', ['bn1.bias', 'layer1.0.bias', 'layer1.1.bias', 'fc.bias']],
    ['layer1.**.bias', ['layer1.0.bias', 'layer1.1.bias']],
    ['*.*.weight', ['layer1.0.weight', 'layer1.1.weight']],
    [/bn|^fc\.w/g, ['bn1.weight', 'bn1.bias', 'fc.weight']],
    [
      ['conv1', /^fc/],
      ['conv1.weight', 'fc.weight', 'fc.bias'],
    ],
  ])('%j names %j', (pattern, paths) => {
    const model = new Net();
    expect(freeze(model, pattern)).toEqual(paths);
    expect([...model.namedParameters()].filter(([, p]) => !p.requiresGrad).map(([path]) => path)).toEqual(paths);
    expect(unfreeze(model, pattern)).toEqual(paths);
    expect(model.parameters().every((p) => p.requiresGrad)).toBe(true);
  });

  it('refuses a pattern that names nothing, and then freezes nothing', () => {
    const model = new Net();
    expect(() => freeze(model, ['conv1', 'layer2'])).toThrow(
      new ConfigError('freeze: layer2 names no parameter of Net: did you mean layer1?'),
    );
    expect(() => freeze(model, /transformer/)).toThrow(
      new ConfigError('freeze: /transformer/ names no parameter of Net: its parts are conv1, bn1, layer1, fc'),
    );
    expect(model.parameters().every((p) => p.requiresGrad)).toBe(true);
  });
});

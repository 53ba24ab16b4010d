/** Watchers on networks whose dead units and gradients are known. */

import { describe, expect, it } from 'vitest';
import { network, plainNetwork, stripes, throughJson, weights } from '../../test/training-problem.js';
import { Linear, Module } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { SGD } from '../optim/index.js';
import { noGrad, type Tensor } from '../tensor/index.js';
import type { Callback } from './callbacks.js';
import { Trainer, type TrainerOptions, type TrainerState } from './trainer.js';
import { DeadUnits, GradientNorms } from './watchers.js';

function trainer(options: Partial<TrainerOptions>): Trainer {
  const model = options.model ?? plainNetwork();
  const optimizer = new SGD(model.parameters(), { lr: 0.01 });
  return new Trainer({ model, optimizer, loss: crossEntropy, train: stripes(16), batchSize: 4, ...options });
}

/** Two ReLUs, as a module and as a method; three of five units of the first have a bias far below anything. */
class Half extends Module {
  readonly fc1 = new Linear(4, 5);
  readonly fc2 = new Linear(5, 4);
  readonly fc3 = new Linear(4, 2);
  override forward(x: Tensor): Tensor {
    const y = this.fc1.forward(x.flatten(1)).relu();
    return this.fc3.forward(this.fc2.forward(y).relu());
  }
}

function half(): Half {
  const model = new Half();
  noGrad(() => {
    model.fc1.bias!.assign(new Float32Array([-100, 100, -100, -100, 100]));
    model.fc2.bias!.assign(new Float32Array([100, 100, 100, 100]));
  });
  return model;
}

describe('DeadUnits', () => {
  it('counts the units of each ReLU that are 0 for all pictures of an epoch, and warns', async () => {
    const warnings: string[] = [];
    const watch = new DeadUnits({ every: 2, onWarning: (text) => void warnings.push(text) });
    await trainer({ model: half(), callbacks: [watch] }).fit();
    expect(watch.latest).toEqual([
      { layer: 'the model', units: 5, dead: 3 },
      { layer: 'the model #2', units: 4, dead: 0 },
    ]);
    expect(warnings).toEqual([
      'dead units: in epoch 1, ReLU units of the model (3 of 5) gave 0 for every picture looked at. They hardly learn any more: a smaller ' +
        'learning rate, batch norms or LeakyReLU keep units alive.',
    ]);
  });

  it('forgives a unit that fires once, and can be strict', async () => {
    const model = plainNetwork();
    const warnings: string[] = [];
    const watch = new DeadUnits({ every: 1, share: 0, onWarning: (text) => void warnings.push(text) });
    await trainer({ model, callbacks: [watch] }).fit();
    const alive = await countAlive(model);
    expect(watch.latest).toEqual([{ layer: '2', units: 6, dead: 6 - alive }]);
    expect(warnings.length).toBe(alive < 6 ? 1 : 0);
  });

  it('goes on from a state in the middle of an epoch', async () => {
    const states: TrainerState[] = [];
    const keep: Callback = { onStepEnd: async (t) => void states.push(await t.state()) };
    const whole = new DeadUnits({ every: 1, onWarning: () => {} });
    await trainer({ model: half(), callbacks: [whole, keep] }).fit();
    const again = new DeadUnits({ every: 5, onWarning: () => {} }); // looks at none of the steps that are left
    const resumed = trainer({ model: half(), callbacks: [again] });
    resumed.load(throughJson(states[1]));
    await resumed.fit();
    expect(again.latest).toEqual(whole.latest);
  });
});

describe('GradientNorms', () => {
  it('measures each layer in every nth step', async () => {
    const seen: number[] = [];
    const watch = new GradientNorms({ every: 3, onPoint: ({ step }) => void seen.push(step) });
    const model = plainNetwork();
    const wanted: Record<string, number>[] = [];
    const hand: Callback = {
      onGradients: (t, { compute }) => {
        if (t.step % 3 !== 0) return;
        const grads = [...t.model.namedParameters()].map(([path, p]) => [path, p.grad!.square().sum()] as const);
        compute(...grads.map(([, sum]) => sum));
        pending = grads;
      },
      onStepEnd: async () => {
        const sums: Record<string, number> = {};
        for (const [path, sum] of pending) {
          const layer = path.split('.')[0];
          sums[layer] = (sums[layer] ?? 0) + (await sum.item());
        }
        if (pending.length > 0) wanted.push(sums);
        pending = [];
      },
    };
    let pending: (readonly [string, Tensor])[] = [];
    await trainer({ model, callbacks: [watch, hand] }).fit();
    expect(seen).toEqual([1, 4]);
    expect(watch.points.map(({ step }) => step)).toEqual([1, 4]);
    watch.points.forEach(({ norms }, i) => {
      expect(Object.keys(norms)).toEqual(['1', '3']);
      for (const layer of ['1', '3']) expect(norms[layer] / Math.sqrt(wanted[i][layer])).toBeCloseTo(1, 5);
    });
  });

  it('says where no gradient arrives', async () => {
    const warnings: string[] = [];
    const model = plainNetwork();
    noGrad(() => model.stateDict()['1.bias'].assign(new Float32Array(6).fill(-100)));
    const watch = new GradientNorms({ every: 1, onWarning: (text) => void warnings.push(text) });
    await trainer({ model, callbacks: [watch] }).fit();
    expect(warnings).toEqual(['gradients: in epoch 1, every gradient of 1 was 0: nothing is learned there.']);
  });
});

describe('watchers', () => {
  it('leave the training as it is, frozen layers and accumulation included', async () => {
    const run = async (callbacks: Callback[]) => {
      const model = network();
      const made = trainer({ model, accumulate: 2, phases: [{ epochs: 1, train: '5' }, { epochs: 1 }], callbacks });
      await made.fit();
      return weights(model);
    };
    const [dead, norms] = [new DeadUnits({ every: 2, onWarning: () => {} }), new GradientNorms({ every: 2 })];
    const watched = await run([dead, norms]);
    for (const [name, values] of Object.entries(await run([]))) {
      // Another program may fuse otherwise, and round otherwise.
      values.forEach((v, i) => void expect(Math.abs(v - watched[name][i]), name).toBeLessThan(1e-6));
    }
    expect(norms.points.map((p) => Object.keys(p.norms))).toEqual([['5'], ['1', '2', '5']]);
  });

  it('are asked for steps, not for fractions of them', () => {
    expect(() => new DeadUnits({ every: 0.5 })).toThrow('DeadUnits: every is a number of steps from 1 up, not 0.5');
    expect(() => new GradientNorms({ every: 0 })).toThrow('GradientNorms: every is a number of steps from 1 up, not 0');
    expect(() => new DeadUnits({ share: 2 })).toThrow('DeadUnits: share lies within 0 … 1, not 2');
  });
});

/** Units of the hidden layer that fire for some picture; the small rate of these tests moves none over the edge. */
async function countAlive(model: Module): Promise<number> {
  const { '1.weight': w, '1.bias': b } = await weights(model);
  const { inputs } = stripes(16);
  let alive = 0;
  for (let unit = 0; unit < 6; unit++) {
    const fires = (picture: number) => {
      const pixels = Array.from(inputs.subarray(4 * picture, 4 * picture + 4));
      return pixels.reduce((sum, x, i) => sum + (x / 255) * w[4 * unit + i], b[unit]) > 0;
    };
    if (Array.from({ length: 16 }, (_, i) => i).some(fires)) alive++;
  }
  return alive;
}

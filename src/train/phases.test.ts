/** Phases on a small network: what moves in which epoch, and how fast. */

import { describe, expect, it } from 'vitest';
import { network, stripes, weights } from '../../test/training-problem.js';
import type { BatchNorm1d } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam, LinearLR, OneCycleLR, paramGroups, SGD, StepLR } from '../optim/index.js';
import { ConfigError } from '../util/errors.js';
import type { Callback } from './callbacks.js';
import { type ScheduleBuilder, transferPhases } from './phases.js';
import { Trainer, type TrainerOptions } from './trainer.js';

function trainer(options: Partial<TrainerOptions>): Trainer {
  const model = options.model ?? network();
  const optimizer = options.optimizer ?? new Adam(model.parameters(), { lr: 0.01 });
  return new Trainer({ model, optimizer, loss: crossEntropy, train: stripes(16), batchSize: 4, ...options });
}

/** The weights after each epoch, and the rates of its steps. */
async function follow(options: Partial<TrainerOptions>) {
  const epochs: Record<string, number[]>[] = [];
  const rates: number[][] = [];
  const watch: Callback = {
    onEpochStart: () => void rates.push([]),
    onStepEnd: (_, { lr }) => void rates.at(-1)!.push(lr),
    onEpochEnd: async (t) => void epochs.push(await weights(t.model)),
  };
  const made = trainer({ ...options, callbacks: [watch] });
  const before = await weights(made.model);
  await made.fit();
  return { made, epochs: [before, ...epochs], rates };
}

describe('phases', () => {
  it('train the head alone, batch norms at rest, and then everything', async () => {
    const model = network();
    const { made, epochs } = await follow({ model, phases: [{ epochs: 2, train: '5' }, { epochs: 1 }] });
    expect(made.epochs).toBe(3);
    const [before, , second, third] = epochs;
    for (const name of Object.keys(before)) {
      if (name.startsWith('5.')) expect(second[name], name).not.toEqual(before[name]);
      else expect(second[name], name).toEqual(before[name]);
      expect(third[name], name).not.toEqual(second[name]);
    }
    expect(model.parameters().every((p) => p.requiresGrad)).toBe(true);
    expect((model.get('2') as BatchNorm1d).frozen).toBe(false);
  });

  it('keep what the optimiser knows of a parameter while it is frozen', async () => {
    const model = network();
    const optimizer = new Adam(model.parameters(), { lr: 0.01 });
    const moments: number[][] = [];
    const steps: number[][] = [];
    const watch: Callback = {
      onEpochEnd: async () => {
        const { state, steps: taken } = optimizer.stateDict();
        steps.push([...taken]);
        moments.push(Array.from(await state['0.exp_avg'].data()));
      },
    };
    const phases = [{ epochs: 1 }, { epochs: 1, freeze: '1' }, { epochs: 1 }];
    await trainer({ model, optimizer, phases, callbacks: [watch] }).fit();
    expect(steps.map((s) => [s[0], s[5]])).toEqual([
      [4, 4],
      [4, 8],
      [8, 12],
    ]);
    expect(moments[0].some((m) => m !== 0)).toBe(true);
    expect(moments[1]).toEqual(moments[0]);
    expect(moments[2]).not.toEqual(moments[1]);
  });

  it('leave frozen what was frozen before, unless they say otherwise', async () => {
    const model = network();
    model.get('1').requiresGrad(false);
    const { epochs } = await follow({
      model,
      phases: [{ epochs: 1, freeze: '5' }, { epochs: 1 }, { epochs: 1, train: '**' }],
    });
    const moved = (name: string) => [1, 2, 3].map((e) => epochs[e][name].some((w, i) => w !== epochs[e - 1][name][i]));
    expect(moved('1.weight')).toEqual([false, false, true]);
    expect(moved('5.weight')).toEqual([false, true, true]);
  });

  it('have a rate and a schedule each, groups in proportion', async () => {
    const model = network();
    const optimizer = new SGD(
      paramGroups(model, {
        lr: 0.1,
        rates: [
          ['5', 1],
          ['**', 0.5],
        ],
      }),
      { momentum: 0.9 },
    );
    const seen: number[][] = [];
    const { rates } = await follow({
      model,
      optimizer,
      phases: [
        { epochs: 1, lr: 0.4 },
        {
          epochs: 2,
          lr: 0.2,
          schedule: (o, steps) => {
            seen.push([steps, ...o.paramGroups.map((g) => g.lr)]);
            return new LinearLR(o, { startFactor: 1, endFactor: 0, totalIters: steps });
          },
        },
        { epochs: 1 },
      ],
    });
    expect(seen).toEqual([[8, 0.1, 0.2]]);
    expect(rates.map((epoch) => epoch.map((lr) => Number(lr.toFixed(6))))).toEqual([
      [0.4, 0.4, 0.4, 0.4],
      [0.2, 0.175, 0.15, 0.125],
      [0.1, 0.075, 0.05, 0.025],
      [0.1, 0.1, 0.1, 0.1],
    ]);
    expect(optimizer.paramGroups.map((g) => g.lr)).toEqual([0.05, 0.1]);
  });

  it('put back the momentum that a cycle moved', async () => {
    const model = network();
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    const cycle: ScheduleBuilder = (o, steps) => new OneCycleLR(o, 0.1, { totalSteps: steps });
    const momenta: (number | undefined)[] = [];
    await trainer({
      model,
      optimizer,
      phases: [{ epochs: 1, schedule: cycle }, { epochs: 1 }],
      callbacks: [{ onStepEnd: () => void momenta.push(optimizer.paramGroups[0].momentum) }],
    }).fit();
    expect(momenta.slice(0, 3)).not.toContain(0.9);
    expect(momenta.slice(4)).toEqual([0.9, 0.9, 0.9, 0.9]);
  });

  it('last as long as training does', async () => {
    const { made, rates } = await follow({
      epochs: 3,
      phases: [
        { epochs: 1, lr: 0.5 },
        { epochs: 1, lr: 0.25 },
      ],
    });
    expect([made.step, rates.map((r) => r[0])]).toEqual([12, [0.5, 0.25, 0.25]]);
    const short = await follow({
      epochs: 1,
      phases: [
        { epochs: 2, lr: 0.5 },
        { epochs: 1, lr: 0.25 },
      ],
    });
    expect(short.rates.map((r) => r[0])).toEqual([0.5]);
  });

  it('of transfer learning are the head and then everything', async () => {
    const schedule: ScheduleBuilder = (o, steps) => new LinearLR(o, { totalIters: steps });
    expect(transferPhases({ epochs: 5, heads: ['5'], schedule })).toEqual([
      { epochs: 1, train: ['5'], schedule },
      { epochs: 4, schedule },
    ]);
    expect(transferPhases({ epochs: 4, heads: ['5'], lr: 0.1 })).toEqual([{ epochs: 4, lr: 0.1 }]);
    expect(() => transferPhases({ epochs: 2, heads: ['5'], headEpochs: 2 })).toThrow(
      new ConfigError('transferPhases: headEpochs lies within 0 … epochs − 1; got 2 of 2'),
    );
    const { epochs } = await follow({ phases: transferPhases({ epochs: 2, heads: ['5'], headEpochs: 1 }) });
    expect(epochs[1]['1.weight']).toEqual(epochs[0]['1.weight']);
    expect(epochs[1]['5.weight']).not.toEqual(epochs[0]['5.weight']);
    expect(epochs[2]['1.weight']).not.toEqual(epochs[1]['1.weight']);
  });

  it('say at once what they cannot do', () => {
    const model = network();
    const optimizer = new Adam(model.parameters(), { lr: 0.01 });
    const make = (options: Partial<TrainerOptions>) => () => trainer({ model, optimizer, ...options });
    expect(make({ phases: [{ epochs: 1 }, { epochs: 1, train: 'fc' }] })).toThrow(
      'fc names no parameter of Sequential',
    );
    expect(model.parameters().every((p) => p.requiresGrad)).toBe(true);
    expect(make({ phases: [] })).toThrow(new ConfigError('phases: at least one is needed'));
    expect(make({ epochs: 3, phases: [{ epochs: -1 }] })).toThrow(
      new ConfigError('phases: epochs is a whole number from 0 up, not -1 (phase 0)'),
    );
    expect(make({ phases: [{ epochs: 1, lr: 0 }] })).toThrow(new ConfigError('phases: lr is above 0, not 0'));
    expect(make({ phases: [{ epochs: 1, freeze: '**' }] })).toThrow(
      new ConfigError('phases: phase 0 leaves the optimiser nothing to train'),
    );
    expect(make({ phases: [{ epochs: 1, lr: 1 }], scheduler: new StepLR(optimizer, 1) })).toThrow(
      new ConfigError('Trainer: give a scheduler, or a schedule (of its own or of its phases), not both'),
    );
    expect(make({ phases: [{ epochs: 1 }], schedule: (o) => new StepLR(o, 1) })).toThrow(
      new ConfigError('Trainer: phases have a schedule each; give it to them'),
    );
  });
});

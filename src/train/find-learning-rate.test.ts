/** Curves whose answers are known, and searches that leave no trace. */

import { describe, expect, it } from 'vitest';
import { network, plainNetwork, stripes, weights } from '../../test/training-problem.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam, paramGroups, SGD } from '../optim/index.js';
import { defaultGenerator, manualSeed } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { findLearningRate, type RatePoint, suggestRates } from './find-learning-rate.js';
import { Trainer } from './trainer.js';

const base = { loss: crossEntropy, train: stripes(22), batchSize: 4, seed: 5 };

describe('suggestRates', () => {
  /** 101 rates from 1e-6 to 1e4, ten to a decade; the loss falls from 1e-3 to 1 along half a cosine, and explodes after 10. */
  const curve = (fall: (t: number) => number): RatePoint[] =>
    Array.from({ length: 101 }, (_, i) => {
      const decade = -6 + i / 10;
      const loss = decade < -3 ? 2 : decade < 0 ? 2 - fall((decade + 3) / 3) : 1 + Math.max(0, decade) ** 3;
      return { lr: 10 ** decade, loss, smoothed: loss };
    });

  it('takes the middle of the decline, and where it is steepest', () => {
    const half = suggestRates(curve((t) => (1 - Math.cos(Math.PI * t)) / 2));
    expect(Math.log10(half.valley!)).toBeCloseTo(-1.5, 0);
    expect(Math.abs(Math.log10(half.steepest!) + 1.5)).toBeLessThanOrEqual(0.11);
    const late = suggestRates(curve((t) => t ** 4));
    expect(Math.log10(late.steepest!)).toBeCloseTo(-0.1, 6);
    expect(late.suggestion).toBe(late.valley);
  });

  it('suggests nothing where the loss never fell', () => {
    const rising = Array.from({ length: 40 }, (_, i) => ({ lr: 10 ** (i / 10), loss: i, smoothed: i }));
    expect(suggestRates(rising)).toEqual({ valley: null, steepest: null, suggestion: null });
    expect(suggestRates([])).toEqual({ valley: null, steepest: null, suggestion: null });
  });
});

describe('findLearningRate', () => {
  it('raises the rate by a factor each step, over epochs, and ends when the loss explodes', async () => {
    const model = plainNetwork();
    const optimizer = new SGD(model.parameters(), { lr: 0.3 });
    const seen: number[] = [];
    const search = await findLearningRate(
      { ...base, model, optimizer },
      { from: 1e-4, to: 1e4, steps: 41, onStep: (_, step, steps) => void seen.push(step / steps) },
    );
    expect(search.ended).toBe('exploded');
    expect(search.points.length).toBeGreaterThan(12);
    expect(search.points.length).toBeLessThan(41);
    search.points.forEach(({ lr }, i) => void expect(lr / (1e-4 * 10 ** (i / 5))).toBeCloseTo(1, 9));
    expect(search.points[0].smoothed).toBeCloseTo(search.points[0].loss, 9);
    expect(seen[0]).toBeCloseTo(1 / 41, 12);
  });

  it('suggests a rate that trains', async () => {
    const search = async () => {
      const model = plainNetwork();
      return findLearningRate({ ...base, model, optimizer: new SGD(model.parameters()) }, { from: 1e-5, to: 100 });
    };
    const { suggestion, points } = await search();
    expect((await search()).points).toEqual(points);
    const model = plainNetwork();
    const optimizer = new SGD(model.parameters(), { lr: suggestion! });
    const { epochs } = await new Trainer({ ...base, model, optimizer, epochs: 10 }).fit();
    expect(epochs[9].trainLoss).toBeLessThan(0.6 * epochs[0].trainLoss);
  });

  it('leaves weights, statistics, optimiser, rates, modes and random numbers as they were', async () => {
    const make = async (searched: boolean) => {
      const model = network();
      const groups = paramGroups(model, { lr: 0.02, rates: [['5', 1], ['**', 0.5]] }); // biome-ignore format: one thought
      const optimizer = new Adam(groups);
      const first = new Trainer({ ...base, model, optimizer, epochs: 1 });
      await first.fit(); // so that there are moments to lose
      if (searched) {
        model.eval();
        manualSeed(99);
        const before = { ...optimizer.paramGroups[1] };
        const { ended, points } = await findLearningRate(
          { ...base, model, optimizer },
          { steps: 15, from: 1e-3, to: 1 },
        );
        expect([ended, points.length]).toEqual(['finished', 15]);
        expect(defaultGenerator().state()).toEqual({ seed: 99, stream: 0 });
        expect(optimizer.paramGroups[1]).toEqual(before);
        expect(Object.keys(optimizer.paramGroups[1])).toEqual(Object.keys(before));
        expect(model.modules().every((m) => !m.training)).toBe(true);
        expect(model.parameters().every((p) => p.grad === null)).toBe(true);
      }
      const second = new Trainer({ ...base, model, optimizer, epochs: 2 });
      await second.fit();
      return weights(model);
    };
    expect(await make(true)).toEqual(await make(false));
  });

  it('takes the options of a whole training, and of those what makes a step', async () => {
    const model = plainNetwork();
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const never = () => {
      throw new Error('not for a search');
    };
    const callbacks = [{ onFitStart: never, onEvaluate: never }];
    const whole = { phases: [{ epochs: 1, train: '3' }, { epochs: 2 }], validation: stripes(4), ema: {}, epochs: 3 };
    const options = { ...base, model, optimizer, accumulate: 2 };
    const plain = await findLearningRate(options, { steps: 12 });
    const found = await findLearningRate({ ...options, ...whole, callbacks } as typeof options, { steps: 12 });
    expect(found).toEqual(plain);
    expect(model.parameters().every((p) => p.requiresGrad)).toBe(true);
  });

  it('brings everything back when the loss is no number any more, and when it is stopped', async () => {
    const model = plainNetwork();
    const before = await weights(model);
    const optimizer = new SGD(model.parameters(), { lr: 1, momentum: 0.9 });
    const options = { ...base, model, optimizer };
    const wild = await findLearningRate(options, { from: 1e20, to: 1e38, steps: 30, explodes: Infinity });
    expect(wild.ended).toBe('exploded');
    const short = await findLearningRate(options, { onStep: (_, step) => step < 3 });
    expect([short.ended, short.points.length, short.suggestion]).toEqual(['stopped', 3, null]);
    expect(await weights(model)).toEqual(before);
    expect([optimizer.paramGroups[0].lr, Object.keys(optimizer.stateDict().state).length]).toEqual([1, 0]);
  });

  it('refuses ranges that are none', async () => {
    const model = plainNetwork();
    const options = { ...base, model, optimizer: new SGD(model.parameters()) };
    await expect(findLearningRate(options, { from: 1, to: 0.1 })).rejects.toThrow(
      new ConfigError('findLearningRate: needs 0 < from < to; got 1 and 0.1'),
    );
    await expect(findLearningRate(options, { steps: 1 })).rejects.toThrow('steps is a whole number from 2 up, not 1');
  });
});

/** Draws against their probabilities, weights against scikit-learn (test/golden/training.py), and orders that need no epoch before them. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../util/errors.js';
import { ArrayDataset } from './dataset.js';
import { DataLoader } from './loader.js';
import { balancedSampler, classWeights, WeightedSampler } from './sampler.js';

const golden = JSON.parse(readFileSync(new URL('../../test/golden/data/training.json', import.meta.url), 'utf8'));

function counts(order: Int32Array, n: number): number[] {
  const out = new Array<number>(n).fill(0);
  for (const i of order) out[i]++;
  return out;
}

/** Five standard deviations of a binomial count. */
function expectNear(count: number, draws: number, p: number): void {
  expect(Math.abs(count - draws * p)).toBeLessThanOrEqual(5 * Math.sqrt(draws * p * (1 - p)) + 1e-9);
}

describe('WeightedSampler', () => {
  it('draws each sample as often as its weight says, those of weight 0 never', () => {
    const weights = [1, 0, 3, 4, 0];
    const draws = 20_000;
    const found = counts(new WeightedSampler(weights, { numSamples: draws }).order({ seed: 4, epoch: 0 }), 5);
    expect(found.reduce((a, b) => a + b)).toBe(draws);
    weights.forEach((w, i) => void expectNear(found[i], draws, w / 8));
  });

  it('draws without replacement each at most once, the first one by its weight', () => {
    const first = [0, 0, 0];
    const sampler = new WeightedSampler([1, 2, 5, 0], { numSamples: 3, replacement: false });
    for (let epoch = 0; epoch < 4000; epoch++) {
      const order = sampler.order({ seed: 1, epoch });
      expect([...order].sort()).toEqual([0, 1, 2]);
      first[order[0]]++;
    }
    [1, 2, 5].forEach((w, i) => void expectNear(first[i], 4000, w / 8));
  });

  it('gives every (seed, epoch) an order of its own, always the same', () => {
    const sampler = new WeightedSampler(new Array(40).fill(1));
    const order = (seed: number, epoch: number) => sampler.order({ seed, epoch }).join();
    expect(order(3, 7)).toBe(order(3, 7));
    expect(new Set([order(3, 7), order(3, 8), order(4, 7), order(2 ** 32 + 3, 7)]).size).toBe(4);
  });

  it('refuses weights and numbers that mean nothing', () => {
    expect(() => new WeightedSampler([1, -1])).toThrow(
      new ConfigError('WeightedSampler: weights are not negative; weight 1 is -1'),
    );
    expect(() => new WeightedSampler([0, 0])).toThrow('at least one weight must be above 0');
    expect(() => new WeightedSampler([1], { numSamples: 0 })).toThrow('numSamples is a whole number from 1 up, not 0');
    expect(() => new WeightedSampler([1, 0], { replacement: false })).toThrow(
      'WeightedSampler: without replacement there are 1 samples to draw (those with a weight above 0), not 2',
    );
  });
});

describe('balancedSampler', () => {
  it('draws every class equally often', () => {
    const labels = Array.from({ length: 100 }, (_, i) => (i < 90 ? 0 : i < 98 ? 1 : 2));
    const order = balancedSampler(labels, { numSamples: 30_000 }).order({ seed: 0, epoch: 0 });
    const found = counts(
      order.map((i) => labels[i]),
      3,
    );
    for (const count of found) expectNear(count, 30_000, 1 / 3);
  });
});

describe('a loader with a sampler', () => {
  const dataset = new ArrayDataset({
    inputs: Uint8Array.from({ length: 10 }, (_, i) => i),
    labels: Array.from({ length: 10 }, (_, i) => (i === 9 ? 1 : 0)),
    shape: [1],
    classes: ['many', 'one'],
  });
  const sampler = balancedSampler(dataset.labels, { numSamples: 25 });
  const make = () => new DataLoader(dataset, { batchSize: 4, sampler, seed: 6 });
  const read = async (loader: DataLoader, epoch: number, from = 0) => {
    const out: number[][] = [];
    for await (const { inputs, indices } of loader.epoch(epoch, from)) {
      expect([...inputs]).toEqual([...indices]);
      out.push([...indices]);
    }
    return out;
  };

  it('takes an epoch as long as the sampler says, in its order, and begins anywhere', async () => {
    const loader = make();
    expect([loader.length, loader.samples]).toEqual([7, 25]);
    const batches = await read(loader, 3);
    expect(batches.map((b) => b.length)).toEqual([4, 4, 4, 4, 4, 4, 1]);
    expect(batches.flat()).toEqual([...sampler.order({ seed: 6, epoch: 3 })]);
    expect(await read(make(), 3, 5)).toEqual(batches.slice(5));
    expect(await read(make(), 4)).not.toEqual(batches);
  });

  it('does not shuffle as well', () => {
    expect(() => new DataLoader(dataset, { sampler, shuffle: true })).toThrow(
      new ConfigError('DataLoader: a sampler decides the order itself; leave shuffle out'),
    );
  });
});

describe('classWeights', () => {
  it("equals scikit-learn's balanced weights, and gives 0 to classes that do not occur", () => {
    const { labels, classes, balanced } = golden.weights;
    const weights = classWeights(labels, 'balanced', { classes: 7 });
    expect(weights.length).toBe(7);
    classes.forEach((c: number, i: number) => void expect(weights[c]).toBe(Math.fround(balanced[i])));
    expect([weights[3], weights[5], weights[6]]).toEqual([0, 0, 0]);
  });

  it('makes a sample weigh 1 on average', () => {
    const labels = [0, 0, 0, 0, 1, 2, 2];
    const weights = classWeights(labels);
    expect(labels.reduce((sum, label) => sum + weights[label], 0)).toBeCloseTo(labels.length, 5);
  });
});

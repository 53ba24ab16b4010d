/** Data sets, splits, shuffles, the loader and transforms. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../util/errors.js';
import { ArrayDataset, type Batch, type Dataset, Subset, split, take } from './dataset.js';
import { DataLoader, type LoadedBatch } from './loader.js';
import { permutation, shuffled } from './shuffle.js';
import { compose, computeMeanStd, normalize, oneHot, toTensor } from './transforms/index.js';

/** Picture i holds i in its first byte and 255 − c in channel c's last one. */
function numbered(count: number, classes = 3): ArrayDataset {
  const inputs = new Uint8Array(count * 2 * 3);
  for (let i = 0; i < count; i++) inputs.set([i, 0, 255, i, 0, 254], i * 6);
  return new ArrayDataset({
    inputs,
    labels: Array.from({ length: count }, (_, i) => (i * i) % classes),
    shape: [2, 1, 3],
    classes: Array.from({ length: classes }, (_, c) => `class ${c}`),
  });
}

describe('ArrayDataset', () => {
  it('holds samples of any rank and type: tokens stay whole numbers', () => {
    const texts = new ArrayDataset({
      inputs: Int32Array.of(7, 70_000, 9, 1),
      labels: [0, 1],
      shape: [2],
      classes: ['a', 'b'],
    });
    expect(texts.batch([1, 0])).toEqual({
      inputs: Int32Array.of(9, 1, 7, 70_000),
      shape: [2, 2],
      labels: Int32Array.of(1, 0),
    });
    const clips = new ArrayDataset({
      inputs: new Float32Array(8).fill(0.5),
      labels: [0],
      shape: [1, 2, 2, 2],
      classes: ['a'],
    });
    expect(clips.batch([0]).shape).toEqual([1, 1, 2, 2, 2]);
  });

  it('hands out any pictures in any order, as copies', () => {
    const dataset = numbered(5);
    const batch = dataset.batch([4, 0, 4]);
    expect(batch.shape).toEqual([3, 2, 1, 3]);
    expect([...batch.inputs]).toEqual([4, 0, 255, 4, 0, 254, 0, 0, 255, 0, 0, 254, 4, 0, 255, 4, 0, 254]);
    expect([...batch.labels]).toEqual([1, 0, 1]);
    batch.inputs.fill(9);
    expect(dataset.batch([4]).inputs[0]).toBe(4);
  });

  it('refuses sizes, labels and indices that do not fit', () => {
    const good = { inputs: new Uint8Array(12), labels: [0, 1], shape: [2, 1, 3] as const, classes: ['a', 'b'] };
    expect(() => new ArrayDataset({ ...good, inputs: new Uint8Array(11) })).toThrow(
      'ArrayDataset: 2 labels and samples of [2, 1, 3] ask for 12 values, inputs has 11',
    );
    expect(() => new ArrayDataset({ ...good, labels: [0, 2] })).toThrow(
      'ArrayDataset: label 2 of sample 1 names no class: there are 2, 0 … 1',
    );
    expect(() => new ArrayDataset(good).batch([2])).toThrow('dataset: there is no sample 2: it has 2, 0 … 1');
    expect(() => new Subset(new ArrayDataset(good), [0, 5])).toThrow('there is no sample 5');
  });
});

describe('Subset, take and split', () => {
  it('looks through to the data set below', async () => {
    const inner = new Subset(numbered(10), [9, 7, 5]);
    const outer = new Subset(inner, [2, 0]);
    expect([...(await outer.batch([0, 1])).inputs].filter((_, i) => i % 6 === 0)).toEqual([5, 9]);
    expect([...outer.labels]).toEqual([25 % 3, 81 % 3]);
    expect([outer.classes.length, outer.shape, take(inner, 99).length]).toEqual([3, [2, 1, 3], 3]);
  });

  it('cuts into disjoint parts that cover everything when the fractions make 1', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.nat(),
        (n, weights, stratified, seed) => {
          const total = weights.reduce((a, b) => a + b, 0);
          fc.pre(total > 0);
          const parts = split(
            numbered(n),
            weights.map((w) => w / total),
            { seed, stratified },
          );
          const all = parts.flatMap((part) => Array.from(part.indices));
          expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
        },
      ),
    );
  });

  it('keeps the classes in proportion when stratified', () => {
    const dataset = numbered(300, 7);
    for (const part of split(dataset, [0.5, 0.2], { seed: 3, stratified: true })) {
      const fraction = part.length / 300;
      dataset.classes.forEach((_, c) => {
        const inPart = part.labels.filter((label) => label === c).length;
        const inAll = dataset.labels.filter((label) => label === c).length;
        expect(Math.abs(inPart - (inAll * Math.round(fraction * 10)) / 10)).toBeLessThanOrEqual(1);
      });
      const sorted = [...part.labels].sort();
      expect([...part.labels]).not.toEqual(sorted); // mixed, not class after class
    }
  });

  it('is the same for the same seed and another for another', () => {
    const indices = (seed: number) => split(numbered(50), [0.5], { seed }).map((part) => [...Array.from(part.indices)]);
    expect(indices(1)).toEqual(indices(1));
    expect(indices(1)).not.toEqual(indices(2));
  });

  it('refuses fractions beyond the whole', () => {
    expect(() => split(numbered(5), [0.7, 0.5])).toThrow(
      'split: fractions are not negative and add up to at most 1; [0.7, 0.5] make 1.2',
    );
    expect(() => split(numbered(5), [-0.1])).toThrow(ConfigError);
  });
});

describe('permutation', () => {
  it('holds every number once and depends on every part of its name', () => {
    const orders = [{ seed: 1 }, { seed: 2 }, { seed: 1, stream: 1 }, { seed: 1, step: 1 }, { seed: 1 + 2 ** 32 }].map(
      (key) => permutation(100, key),
    );
    for (const order of orders)
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(new Set(orders.map(String)).size).toBe(5);
    expect([...permutation(8, { seed: 0 })]).toMatchInlineSnapshot(`
      [
        0,
        2,
        3,
        7,
        4,
        6,
        1,
        5,
      ]
    `);
  });

  it('makes every order of four equally often', () => {
    const counts = new Map<string, number>();
    const draws = 24_000;
    for (let step = 0; step < draws; step++) {
      const order = String(shuffled(Int32Array.of(0, 1, 2, 3), { seed: 42, step }));
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const chi2 = [...counts.values()].reduce((sum, n) => sum + (n - draws / 24) ** 2 / (draws / 24), 0);
    expect(chi2).toBeLessThan(49.7); // 23 degrees of freedom, p = 0.001; the seed is fixed, so this is no lottery
  });
});

describe('DataLoader', () => {
  const ids = (batch: LoadedBatch) => Array.from(batch.inputs).filter((_, i) => i % 6 === 0);
  const collect = async (batches: AsyncIterable<LoadedBatch>) => {
    const out: number[][] = [];
    for await (const batch of batches) out.push(ids(batch));
    return out;
  };

  it('covers the data set in order, the last batch smaller', async () => {
    const loader = new DataLoader(numbered(7), { batchSize: 3 });
    expect(loader.length).toBe(3);
    expect(await collect(loader)).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    const whole = new DataLoader(numbered(7), { batchSize: 3, dropLast: true });
    expect(whole.length).toBe(2);
    expect(await collect(whole)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
  });

  it('shuffles each epoch anew, the same for the same (seed, epoch), whatever came before', async () => {
    const options = { batchSize: 4, shuffle: true, seed: 5 };
    const one = new DataLoader(numbered(10), options);
    const epochs = [await collect(one), await collect(one), await collect(one)];
    expect(new Set(epochs.map(String)).size).toBe(3);
    for (const epoch of epochs) expect(epoch.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await collect(new DataLoader(numbered(10), options).epoch(2))).toEqual(epochs[2]);
    expect(await collect(new DataLoader(numbered(10), { ...options, seed: 6 }).epoch(2))).not.toEqual(epochs[2]);
  });

  it('goes on exactly from any position, with any prefetch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 7 }),
        fc.nat(4),
        fc.nat(3),
        fc.nat(40),
        async (n, batchSize, prefetch, epoch, stop) => {
          const make = () => new DataLoader(numbered(n), { batchSize, shuffle: true, seed: 9, prefetch });
          const whole = await collect(make().epoch(epoch));
          const first = make();
          const at = stop % (first.length + 1);
          first.seek({ epoch, batch: 0 });
          const before: number[][] = [];
          if (at > 0) {
            for await (const batch of first) {
              before.push(ids(batch));
              if (before.length === at) break;
            }
          }
          const saved = JSON.parse(JSON.stringify(first.position));
          expect(saved).toEqual({ epoch, batch: at });
          const second = make();
          second.seek(saved);
          expect([...before, ...(await collect(second))]).toEqual(whole);
          expect(second.position).toEqual({ epoch: epoch + 1, batch: 0 });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('prepares the next batches while the current one is held, and no more than asked', async () => {
    const started: number[] = [];
    const slow: Dataset = {
      ...asyncView(numbered(12)),
      batch: async (indices) => {
        started.push(indices[0] / 2);
        return numbered(12).batch(indices);
      },
    };
    for (const [prefetch, expected] of [
      [0, [0]],
      [1, [0, 1]],
      [3, [0, 1, 2, 3]],
    ] as const) {
      started.length = 0;
      const batches = new DataLoader(slow, { batchSize: 2, prefetch }).epoch(0);
      await batches.next();
      expect(started).toEqual(expected);
      await batches.return();
    }
  });

  it('reports a failing data set at the batch that failed, and leaves no unhandled rejection when the loop ends early', async () => {
    const failing: Dataset = {
      ...asyncView(numbered(6)),
      batch: async (indices) => {
        if (indices[0] >= 2) throw new Error(`picture ${indices[0]} is broken`);
        return numbered(6).batch(indices);
      },
    };
    const seen: number[][] = [];
    const loop = async () => {
      for await (const batch of new DataLoader(failing, { batchSize: 2, prefetch: 2 })) seen.push(ids(batch));
    };
    await expect(loop()).rejects.toThrow('picture 2 is broken');
    expect(seen).toEqual([[0, 1]]);
    for await (const _ of new DataLoader(failing, { batchSize: 2, prefetch: 2 })) break;
    await new Promise((resolve) => setTimeout(resolve, 5)); // vitest fails the run on an unhandled rejection
  });

  it('gives transforms the place of the batch', async () => {
    const contexts: object[] = [];
    const transform = (batch: Batch, context: object) => {
      contexts.push(context);
      return batch;
    };
    for await (const _ of new DataLoader(numbered(3), { batchSize: 2, seed: 8, transform }).epoch(4));
    expect(contexts).toEqual([
      { seed: 8, epoch: 4, batch: 0, classes: 3, indices: Int32Array.of(0, 1) },
      { seed: 8, epoch: 4, batch: 1, classes: 3, indices: Int32Array.of(2) },
    ]);
  });

  it('refuses options and positions that make no sense', () => {
    expect(() => new DataLoader(numbered(3), { batchSize: 0 })).toThrow(
      'DataLoader: batchSize is a positive integer, not 0',
    );
    expect(() => new DataLoader(numbered(3), { prefetch: -1 })).toThrow(ConfigError);
    expect(() => new DataLoader(numbered(3), { seed: 0.5 })).toThrow('DataLoader: seed is an integer, not 0.5');
    expect(() => new DataLoader(numbered(3), { batchSize: 2 }).seek({ epoch: 0, batch: 3 })).toThrow(
      'DataLoader: there is no batch 3 in epoch 0: an epoch has 2 batches',
    );
  });
});

describe('transforms', () => {
  const context = { seed: 0, epoch: 0, batch: 0, indices: new Int32Array() };

  it('makes 0 … 1 of bytes, exactly as float32 division does', async () => {
    const batch = numbered(200).batch(Int32Array.from({ length: 200 }, (_, i) => i));
    const { inputs } = toTensor()(batch);
    expect(inputs).toEqual(Float32Array.from(batch.inputs, (x) => x / 255));
    expect((await compose(toTensor(), toTensor())(batch, context)).inputs).toEqual(inputs);
  });

  it.each([1, 200])('normalises %i pictures per channel, from bytes or from floats', async (count) => {
    const batch = numbered(count).batch(Int32Array.from({ length: count }, (_, i) => i));
    const [mean, std] = [
      [0.5, 0.25],
      [0.1, 2],
    ];
    const want = Float32Array.from(batch.inputs, (x, i) => {
      const c = Math.floor(i / 3) % 2;
      return (x / 255 - mean[c]) / std[c];
    });
    expect(normalize(mean, std)(batch).inputs).toEqual(want);
    const twoSteps = await compose(toTensor(), normalize(mean, std))(batch, context);
    twoSteps.inputs.forEach((x, i) => {
      expect(Math.abs(x - want[i])).toBeLessThanOrEqual(
        2 ** -24 / std[Math.floor(i / 3) % 2] + Math.abs(want[i]) * 2 ** -23,
      );
    });
    expect(batch.inputs).toBeInstanceOf(Uint8Array);
  });

  it('refuses another number of channels', () => {
    expect(() => normalize([0.5], [0.5])(numbered(2).batch([0]))).toThrow(
      'normalize: 1 means for pictures of 2 channels, shape [1, 2, 1, 3]',
    );
    expect(() => normalize([0.5], [0])).toThrow(ConfigError);
  });

  it('computes mean and std per channel', async () => {
    const dataset = numbered(9);
    for (const batchSize of [2, 100]) {
      const { mean, std } = await computeMeanStd(dataset, { batchSize });
      for (const c of [0, 1]) {
        const values = Array.from(dataset.inputs)
          .filter((_, i) => Math.floor(i / 3) % 2 === c)
          .map((x) => x / 255);
        const m = values.reduce((a, b) => a + b) / values.length;
        expect(mean[c]).toBeCloseTo(m, 12);
        expect(std[c]).toBeCloseTo(Math.sqrt(values.reduce((a, x) => a + (x - m) ** 2, 0) / values.length), 12);
      }
    }
  });

  it('makes one-hot rows', () => {
    expect([...oneHot([2, 0], 3)]).toEqual([0, 0, 1, 1, 0, 0]);
    expect(() => oneHot([3], 3)).toThrow('oneHot: label 3 at 0 is not one of 0 … 2');
  });
});

function asyncView({ length, classes, shape, labels }: Dataset) {
  return { length, classes, shape, labels };
}

import { describe, expect, it } from 'vitest';
import { words } from '../../../test/golden/counter.js';
import { ConfigError } from '../../util/errors.js';
import { ArrayDataset, type Batch, type TransformContext } from '../dataset.js';
import { DataLoader } from '../loader.js';
import { cutMix, mixUp, randomBatchChoice } from './index.js';

const [count, channels, height, width, classes] = [5, 2, 12, 16, 4];
const size = channels * height * width;
const bytes = Uint8Array.from(words('mix', count * size), (w) => w >>> 24);
const batch: Batch = { inputs: bytes, shape: [count, channels, height, width], labels: Int32Array.of(0, 1, 2, 3, 3) };
const context = (number: number): TransformContext => ({
  seed: 4,
  epoch: 2,
  batch: number,
  indices: Int32Array.of(9, 8, 7, 6, 5),
});
const previous = (i: number) => (i + count - 1) % count;

/** λ, read from the row of a picture whose partner has another label. */
function shareIn(mixed: Batch): number {
  return (mixed.targets as Float32Array)[batch.labels[1] + classes];
}

function expectTargets(mixed: Batch, share: number): void {
  const targets = mixed.targets as Float32Array;
  expect(targets.length).toBe(count * classes);
  for (let i = 0; i < count; i++) {
    const wanted = new Array<number>(classes).fill(0);
    wanted[batch.labels[i]] += share;
    wanted[batch.labels[previous(i)]] += 1 - share;
    const row = targets.subarray(i * classes, (i + 1) * classes);
    row.forEach((x, k) => {
      expect(x).toBeCloseTo(wanted[k], 6);
    });
    expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
  }
}

describe('mixUp', () => {
  it('blends each picture with the one before it, and the labels alike', async () => {
    for (let b = 0; b < 10; b++) {
      const mixed = await mixUp({ classes })(batch, context(b));
      const share = shareIn(mixed);
      expectTargets(mixed, share);
      expect(mixed.inputs).toBeInstanceOf(Uint8Array);
      for (let i = 0; i < count * size; i++) {
        const blend = bytes[i] * share + bytes[previous(Math.floor(i / size)) * size + (i % size)] * (1 - share);
        expect(Math.abs(mixed.inputs[i] - blend)).toBeLessThan(0.5001);
      }
      expect(mixed.labels).toBe(batch.labels);
      expect(batch.inputs).toEqual(bytes);
    }
  });

  it('leaves floats unrounded', async () => {
    const floats = { ...batch, inputs: Float32Array.from(bytes, (x) => x / 255) };
    const mixed = await mixUp({ classes })(floats, context(1));
    const share = shareIn(mixed);
    for (const i of [0, 100, size + 7, count * size - 1]) {
      const other = floats.inputs[previous(Math.floor(i / size)) * size + (i % size)];
      expect(mixed.inputs[i]).toBeCloseTo(floats.inputs[i] * share + other * (1 - share), 6);
    }
  });

  it('draws λ from Beta(α, α), anew for each batch, again for the same one', async () => {
    const of = async (alpha: number, b: number) => shareIn(await mixUp({ alpha, classes })(batch, context(b)));
    const draws = (alpha: number) => Promise.all(Array.from({ length: 300 }, (_, b) => of(alpha, b)));
    const [even, extreme] = [await draws(1), await draws(0.1)];
    expect(new Set(even).size).toBeGreaterThan(290);
    expect(await of(1, 7)).toBe(even[7]);
    const variance = (x: number[]) => x.reduce((sum, v) => sum + (v - 0.5) ** 2, 0) / x.length;
    // Of Beta(α, α): 1 / (4 (2α + 1)).
    expect(Math.abs(variance(even) - 1 / 12)).toBeLessThan(0.015);
    expect(Math.abs(variance(extreme) - 1 / 4.8)).toBeLessThan(0.03);
  });

  it('mixes targets that are soft already', async () => {
    const once = await mixUp({ classes })(batch, context(1));
    const twice = await mixUp()(once, context(2));
    const rows = Array.from({ length: count }, (_, i) =>
      (twice.targets as Float32Array).slice(i * classes, (i + 1) * classes),
    );
    for (const row of rows) expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
  });
});

describe('cutMix', () => {
  it('cuts a box out of the previous picture, whose share of the area is that of the label', async () => {
    const areas: number[] = [];
    for (let b = 0; b < 60; b++) {
      const mixed = await cutMix({ classes })(batch, context(b));
      const share = shareIn(mixed);
      expectTargets(mixed, share);
      const area = Math.round((1 - share) * height * width);
      areas.push(area);
      // Where a pixel is not the picture's own in any plane of any picture, it lies in the box.
      const foreign = Array.from({ length: height * width }, (_, at) =>
        Array.from({ length: count * channels }, (_, p) => p * height * width + at).some(
          (i) => mixed.inputs[i] !== bytes[i],
        ),
      );
      const places = foreign.flatMap((is, at) => (is ? [at] : []));
      if (area === 0) {
        expect(places).toEqual([]);
        continue;
      }
      const [rows, columns] = [places.map((at) => Math.floor(at / width)), places.map((at) => at % width)];
      const [top, left] = [Math.min(...rows), Math.min(...columns)];
      const [bottom, right] = [Math.max(...rows) + 1, Math.max(...columns) + 1];
      expect((bottom - top) * (right - left)).toBe(area);
      expect(places).toHaveLength(area);
      for (const at of places) {
        for (let p = 0; p < count * channels; p++) {
          const [i, c] = [Math.floor(p / channels), p % channels];
          expect(mixed.inputs[p * height * width + at]).toBe(bytes[(previous(i) * channels + c) * height * width + at]);
        }
      }
    }
    expect(Math.max(...areas)).toBeGreaterThan(0.6 * height * width);
    expect(new Set(areas).size).toBeGreaterThan(25);
  });

  it('takes pictures only', () => {
    expect(() => cutMix({ classes })({ ...batch, shape: [count, size] }, context(1))).toThrow(
      'cutMix: takes pictures [N, C, H, W]; the batch is [5, 384]',
    );
  });
});

it('randomBatchChoice takes one for each batch, as often as weighed, with the numbers it would have alone', async () => {
  const both = randomBatchChoice([mixUp({ classes }), cutMix({ classes })], { p: [1, 3] });
  const [up, cut] = [mixUp({ classes }), cutMix({ classes })];
  let mixes = 0;
  for (let b = 0; b < 200; b++) {
    const { targets } = await both(batch, context(b));
    if (String(targets) === String((await up(batch, context(b))).targets)) mixes++;
    else expect(targets).toEqual((await cut(batch, context(b))).targets);
  }
  expect(Math.abs(mixes / 200 - 0.25)).toBeLessThan(0.12);
});

it('the number of classes comes from the loader, where there is one', async () => {
  const dataset = new ArrayDataset({
    ...batch,
    inputs: bytes,
    shape: [channels, height, width],
    classes: ['a', 'b', 'c', 'd'],
  });
  for await (const { targets, labels } of new DataLoader(dataset, { batchSize: 5, seed: 1, transform: mixUp() }).epoch(
    0,
  )) {
    expect(targets).toHaveLength(labels.length * classes);
  }
  expect(() => mixUp()(batch, context(1))).toThrow(
    'mixUp: how many classes are there? Pass { classes: dataset.classes.length }',
  );
});

it.each<[() => unknown, string]>([
  [() => mixUp({ alpha: 0 }), 'mixUp: alpha is positive, not 0'],
  [() => cutMix({ classes: 2 })(batch, context(0)), 'cutMix: label 2 at 2 is not one of 0 … 1'],
  [
    () => mixUp({ classes })({ ...batch, inputs: new Int32Array(count * size) }, context(0)),
    'mixUp: tokens cannot be mixed',
  ],
  [() => randomBatchChoice([]), 'randomBatchChoice: there is nothing to choose from'],
])('says what is wrong: %o', (call, message) => {
  expect(call).toThrow(ConfigError);
  expect(call).toThrow(message);
});

import { describe, expect, it } from 'vitest';
import { filled } from '../../test/golden/counter.js';
import { FormatError } from '../util/errors.js';
import { ArrayDataset } from './dataset.js';
import { MinMaxScaler, StandardScaler, scalerFromJson } from './scaler.js';
import { computeMeanStd, normalize } from './transforms/index.js';

const close = (made: ArrayLike<number>, wanted: ArrayLike<number>, digits = 6) => {
  expect(made.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) expect(made[i]).toBeCloseTo(wanted[i], digits);
};

describe('StandardScaler', () => {
  it('standardises columns, as by hand', () => {
    const table = [1, 10, 7, 2, 20, 7, 3, 60, 7]; // three rows of three
    const scaler = StandardScaler.fitArrays(table, [3, 3]);
    close(scaler.mean, [2, 30, 7]);
    close(scaler.std, [Math.sqrt(2 / 3), Math.sqrt(1400 / 3), 1]); // the last has none, and stays whole
    const scaled = scaler.transform(table, [3, 3]);
    const z = Math.sqrt(1.5);
    close(scaled, [-z, -20 / Math.sqrt(1400 / 3), 0, 0, -10 / Math.sqrt(1400 / 3), 0, z, 30 / Math.sqrt(1400 / 3), 0]);
    close(scaler.inverse(scaled, [3, 3]), table, 4);
    // Of another part: with the first one's numbers.
    close(scaler.transform([2, 30, 8], [1, 3]), [0, 0, 1]);
  });

  it('is what normalize takes: per channel, bytes in units of 0 … 1', async () => {
    const inputs = Uint8Array.from(filled('pictures', [300 * 2 * 12]), (x) => 128 + 100 * x);
    const dataset = new ArrayDataset({ inputs, labels: new Int32Array(300), shape: [2, 3, 4], classes: ['a'] });
    const scaler = await StandardScaler.fit(dataset);
    const { mean, std } = await computeMeanStd(dataset);
    close(scaler.mean, mean, 12);
    close(scaler.std, std, 12);
    const batch = dataset.batch([5, 7]);
    expect(scaler.transform(batch.inputs, batch.shape)).toEqual(normalize(scaler.mean, scaler.std)(batch).inputs);
  });

  it('loses no digits far from 0, nor over batches', async () => {
    const values = filled('column', [1000]).map((x) => x + 4096);
    const dataset = new ArrayDataset({ inputs: values, labels: new Int32Array(1000), shape: [1], classes: ['a'] });
    const { mean, std } = await StandardScaler.fit(dataset);
    const exact = [...values].reduce((a, b) => a + b, 0) / 1000;
    expect(mean[0]).toBeCloseTo(exact, 9);
    expect(std[0]).toBeCloseTo(Math.sqrt([...values].reduce((a, b) => a + (b - exact) ** 2, 0) / 1000), 9);
  });
});

describe('MinMaxScaler', () => {
  const table = [0, 5, -3, 10, 5, 1, 5, 5, 3];

  it.each([
    [undefined, [0, 0, 0, 1, 0, 2 / 3, 0.5, 0, 1]],
    [[-1, 1] as const, [-1, -1, -1, 1, -1, 1 / 3, 0, -1, 1]],
  ])('brings columns to the range %o, and back', (range, wanted) => {
    const scaler = MinMaxScaler.fitArrays(table, [3, 3], { ...(range && { range }) });
    const scaled = scaler.transform(table, [3, 3]);
    close(scaled, wanted);
    close(scaler.inverse(scaled, [3, 3]), table);
  });

  it('of a data set of pictures goes by its darkest and brightest byte', async () => {
    const inputs = Uint8Array.of(51, 102, 0, 204, 102, 153, 102, 255);
    const dataset = new ArrayDataset({ inputs, labels: [0, 0], shape: [2, 1, 2], classes: ['a'] });
    const scaler = await MinMaxScaler.fit(dataset);
    close(scaler.low, [0.2, 0]);
    close(scaler.high, [0.6, 1]);
    close(scaler.transform(inputs, [2, 2, 1, 2]), [0, 0.5, 0, 0.8, 0.5, 1, 0.4, 1]);
  });
});

describe('scalers as JSON', () => {
  it.each([
    ['standard', StandardScaler.fitArrays([1, 2, 3, 5], [2, 2])],
    ['min-max', MinMaxScaler.fitArrays([1, 2, 3, 5], [2, 2], { range: [-1, 1] })],
  ])('come back: %s', (_, scaler) => {
    const again = scalerFromJson(JSON.parse(JSON.stringify(scaler.toJson())));
    expect(again).toEqual(scaler);
    expect(again.transform([4, 4], [1, 2])).toEqual(scaler.transform([4, 4], [1, 2]));
  });

  it.each<[unknown, string]>([
    [{ kind: 'robust' }, 'scaler: kind must be "standard" or "minMax", is "robust"'],
    [{ kind: 'standard', mean: [1], std: [0] }, 'scaler: std[0] must be a number of at least 1e-300, is 0'],
    [{ kind: 'standard', mean: [1, 2], std: [1] }, 'two lists of one length, not 2 and 1'],
    [{ kind: 'minMax', low: [0], high: [1], range: [0] }, 'scaler: range must be a list of 2, is [0]'],
    [7, 'the content must be an object, is 7'],
  ])('refuse %o', (json, message) => {
    expect(() => scalerFromJson(json)).toThrow(FormatError);
    expect(() => scalerFromJson(json)).toThrow(message);
  });
});

it.each<[() => unknown, string]>([
  [() => StandardScaler.fitArrays([1, 2, 3], [2, 2]), 'got 3 for the shape [2, 2]'],
  [() => StandardScaler.fitArrays([1, Number.NaN], [1, 2]), 'channel or column 1 has values that are no numbers'],
  [
    () => MinMaxScaler.fitArrays([1, 2], [1, 2], { range: [1, 1] }),
    'MinMaxScaler: range is [least, greatest], not [1, 1]',
  ],
  [
    () => StandardScaler.fitArrays([1, 2], [1, 2]).transform([1, 2, 3], [1, 3]),
    'fitted on 2 channels or columns, the values [1, 3] have 3',
  ],
])('says what is wrong: %o', (call, message) => {
  expect(call).toThrow(message);
});

/** Evaluations against scikit-learn, against values counted by hand, and at their edges. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArrayDataset, type Batch, DataLoader } from '../data/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import { Module } from '../nn/module.js';
import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { calibration } from './calibration.js';
import { evaluate } from './evaluate.js';
import { probabilitiesOf } from './metrics.js';
import { rocAuc } from './roc-auc.js';
import { SampleResults } from './sample-results.js';
import { testTimeViews } from './views.js';

interface GoldenCase {
  classes: number;
  scores: number[];
  labels: number[];
  rounded: number[];
  accuracy: number;
  logLoss: number;
  confusion: number[];
  precision: number[];
  recall: number[];
  f1: number[];
  support: number[];
  macro: number[];
  weighted: number[];
  areas: number[];
  areaMacro: number;
  areaWeighted: number;
  ece: number;
  bins: [count: number, accuracy: number, confidence: number][];
  meanConfidence: number;
}

const { cases } = JSON.parse(readFileSync(new URL('../../test/golden/data/metrics.json', import.meta.url), 'utf8')) as {
  cases: GoldenCase[];
};

/** Its inputs are its scores. */
class Echo extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

function dataOf(scores: readonly number[], labels: readonly number[], classes: number): ArrayDataset {
  const names = Array.from({ length: classes }, (_, c) => `c${c}`);
  return new ArrayDataset({ inputs: Float32Array.from(scores), labels, shape: [classes], classes: names });
}

describe('evaluate', () => {
  it.each(cases.map((c) => [c.classes, c] as const))('agrees with scikit-learn, %i classes', async (_, golden) => {
    const data = dataOf(golden.scores, golden.labels, golden.classes);
    const found = await evaluate(new Echo(), data, { loss: crossEntropy, batchSize: 17, probabilities: true });
    expect(found.count).toBe(golden.labels.length);
    expect(found.accuracy).toBeCloseTo(golden.accuracy, 12);
    expect(found.loss).toBeCloseTo(golden.logLoss, 5); // float32 on the device
    expect([...found.confusion.counts]).toEqual(golden.confusion);
    for (const [c, row] of found.confusion.perClass().entries()) {
      expect(row.precision).toBeCloseTo(golden.precision[c], 12);
      expect(row.recall).toBeCloseTo(golden.recall[c], 12);
      expect(row.f1).toBeCloseTo(golden.f1[c], 12);
      expect(row.support).toBe(golden.support[c]);
    }
    for (const [kind, means] of [
      ['macro', found.confusion.macro()],
      ['weighted', found.confusion.weighted()],
    ] as const) {
      for (const [i, name] of (['precision', 'recall', 'f1'] as const).entries()) {
        expect(means[name]).toBeCloseTo(golden[kind][i], 12);
      }
    }
    expect(found.calibration.ece).toBeCloseTo(golden.ece, 6); // confidences are kept as float32
    expect(found.calibration.meanConfidence).toBeCloseTo(golden.meanConfidence, 6);
    expect(found.calibration.bins.map((bin) => bin.count)).toEqual(golden.bins.map(([count]) => count));
    for (const [i, [, accuracy, confidence]] of golden.bins.entries()) {
      expect(found.calibration.bins[i].accuracy).toBeCloseTo(accuracy, 12);
      expect(found.calibration.bins[i].confidence).toBeCloseTo(confidence, 6);
    }
    const areas = rocAuc(golden.rounded, golden.labels, golden.classes);
    for (const [c, area] of areas.perClass.entries()) expect(area).toBeCloseTo(golden.areas[c], 12);
    expect(areas.macro).toBeCloseTo(golden.areaMacro, 12);
    expect(areas.weighted).toBeCloseTo(golden.areaWeighted, 12);
    // Rounding parts what is equal there: a pair in a tie counts ½ more or less.
    for (const [c, area] of found.rocAuc!.perClass.entries()) expect(area).toBeCloseTo(golden.areas[c], 1);
    for (const [i, p] of golden.rounded.entries()) expect(found.probabilities![i]).toBeCloseTo(p, 11);
  });

  it('keeps what was said about each picture, by its place in the data set', async () => {
    const data = dataOf([4, 0, 0, 3, 1, 0, 0, 0.5], [0, 0, 1, 1], 2);
    const { samples } = await evaluate(new Echo(), new DataLoader(data, { batchSize: 3, shuffle: true, seed: 3 }));
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    expect(Array.from(samples, (s) => s.index).sort()).toEqual([0, 1, 2, 3]);
    expect(samples.worstMistakes(5).map((s) => [s.index, s.actual, s.predicted])).toEqual([
      [1, 0, 1],
      [2, 1, 0],
    ]);
    const [worst] = samples.worstMistakes(1);
    expect(worst.confidence).toBeCloseTo(sigmoid(3), 6);
    expect(worst.probability).toBeCloseTo(sigmoid(-3), 6);
    expect(samples.leastConfident(5).map((s) => s.index)).toEqual([3, 0]);
    expect(samples.ofPair(1, 0, 5).map((s) => s.index)).toEqual([2]);
  });

  it('averages the probabilities of views, and the loss is that of the mean', async () => {
    const data = dataOf([2, 0, 0, 1], [0, 0], 2);
    const swapped = (batch: Batch): Batch => {
      const inputs = Float32Array.from(batch.inputs, (_, i) => batch.inputs[i ^ 1]);
      return { ...batch, inputs };
    };
    const views = (batch: Batch) => [batch, batch, swapped(batch)];
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    const expected = [(2 * sigmoid(2) + sigmoid(-2)) / 3, (2 * sigmoid(-1) + sigmoid(1)) / 3];
    for (const loss of [crossEntropy, nll]) {
      const found = await evaluate(new Echo(), data, { views, loss });
      expect(found.accuracy).toBe(0.5);
      for (const [i, s] of [...found.samples].entries()) expect(s.probability).toBeCloseTo(expected[i], 6);
      expect(found.loss).toBeCloseTo(-(Math.log(expected[0]) + Math.log(expected[1])) / 2, 6);
    }
    await expect(evaluate(new Echo(), data, { views: () => [] })).rejects.toThrow(
      new ConfigError('evaluate: views gave no batch; at least one is needed'),
    );
  });

  it('ended early, it counts what it saw', async () => {
    const data = dataOf([1, 0, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0], 2);
    const found = await evaluate(new Echo(), data, { batchSize: 2, onBatch: () => false, probabilities: true });
    expect([found.complete, found.count, found.samples.length, found.accuracy]).toEqual([false, 2, 2, 1]);
    expect(found.probabilities!.length).toBe(4);
    expect(found.calibration.bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(2);
  });

  it('keeps no ranks of all classes where there are too many', async () => {
    const classes = 101;
    const scores = Array.from({ length: 2 * classes }, (_, i) => i % 7);
    const found = await evaluate(new Echo(), dataOf(scores, [3, 100], classes));
    expect(found.rocAuc).toBeNull();
    expect(found.probabilities).toBeNull();
    expect(found.topK).toEqual({ k: 5, accuracy: 0 });
  });
});

describe('probabilitiesOf', () => {
  it('of large scores and logarithms, with rows of zeros where nothing can be said', () => {
    const rows = [1e30, 0, Math.log(0.25), Math.log(0.75), Infinity, 1, Number.NaN, 5, -Infinity, -Infinity];
    const found = [...probabilitiesOf(rows, 2)];
    expect(found[2]).toBeCloseTo(0.25, 15);
    expect(found.filter((_, i) => i !== 2 && i !== 3)).toEqual([1, 0, 1, 0, 0, 0, 0, 0]);
  });
});

describe('calibration', () => {
  it('of counts done by hand', () => {
    // Two bins: 0.5 belongs to the lower one. Below: confidences 0.4, 0.5, one of two right. Above: 0.9, 0.9, 0.6, all right.
    const found = calibration([0.4, 0.9, 0.5, 0.9, 0.6], [true, true, false, true, true], { bins: 2 });
    expect(found.bins.map((bin) => bin.count)).toEqual([2, 3]);
    expect(found.bins.map((bin) => bin.accuracy)).toEqual([0.5, 1]);
    expect(found.ece).toBeCloseTo((2 * 0.05 + 3 * 0.2) / 5, 12);
    expect(found.mce).toBeCloseTo(0.2, 12);
    expect(found.meanConfidence).toBeCloseTo(0.66, 12);
  });

  it('takes 0, 1 and what is no number; nothing at all is calibrated', () => {
    const found = calibration([0, 1, Number.NaN], [false, true, false], { bins: 15 });
    expect([found.bins[0].count, found.bins[14].count, found.ece]).toEqual([2, 1, 0]);
    expect(calibration([], []).ece).toBe(0);
    expect(() => calibration([1], [])).toThrow('calibration: 1 confidences, 0 answers');
    expect(() => calibration([1], [true], { bins: 0 })).toThrow('calibration: bins is a whole number, not 0');
  });
});

describe('rocAuc', () => {
  it('is the share of pairs in the right order, ties half', () => {
    const p = fc.constantFrom(0, 0.1, 0.5, 0.5001, 1);
    fc.assert(
      fc.property(fc.array(fc.tuple(p, fc.nat(1)), { minLength: 2, maxLength: 30 }), (rows) => {
        const [own, rest] = [rows.filter(([, y]) => y === 1), rows.filter(([, y]) => y === 0)];
        const pairs = own.flatMap(([a]) => rest.map(([b]) => (a > b ? 1 : a === b ? 0.5 : 0)) as number[]);
        const expected = pairs.length === 0 ? null : pairs.reduce((x, y) => x + y, 0) / pairs.length;
        const { perClass } = rocAuc(
          rows.flatMap(([a]) => [1 - a, a]),
          rows.map(([, y]) => y),
          2,
        );
        if (expected === null) expect(perClass[1]).toBeNull();
        else expect(perClass[1]).toBeCloseTo(expected, 12);
      }),
    );
  });

  it('leaves classes without pictures out of the means', () => {
    const found = rocAuc([0.8, 0.2, 0, 0.3, 0.7, 0], [0, 1], 3);
    expect(found).toEqual({ perClass: [1, 1, null], macro: 1, weighted: 1 });
    expect(rocAuc([1, 0], [0], 2)).toEqual({ perClass: [null, null], macro: null, weighted: null });
    expect(() => rocAuc([1], [0], 2)).toThrow('rocAuc: 1 labels of 2 classes ask for 2 probabilities, there are 1');
  });
});

describe('SampleResults', () => {
  it('finds the same as sorting all, equals in their order, beyond the capacity promised', () => {
    const rows = fc.array(fc.tuple(fc.nat(2), fc.nat(2), fc.constantFrom(0.25, 0.5, 0.75, 1)), { maxLength: 80 });
    fc.assert(
      fc.property(rows, fc.nat(6), (list, count) => {
        const results = new SampleResults(0);
        const all = list.map(([actual, predicted, confidence], index) => {
          const row = { index, actual, predicted, confidence, probability: 1 - confidence };
          results.add(row);
          return row;
        });
        const wrong = all.filter((s) => s.actual !== s.predicted).sort((a, b) => b.confidence - a.confidence);
        const right = all.filter((s) => s.actual === s.predicted).sort((a, b) => a.confidence - b.confidence);
        expect(results.worstMistakes(count)).toEqual(wrong.slice(0, count));
        expect(results.leastConfident(count)).toEqual(right.slice(0, count));
        expect(results.ofPair(0, 1, count)).toEqual(
          wrong.filter((s) => s.actual === 0 && s.predicted === 1).slice(0, count),
        );
        expect([...results]).toEqual(all);
      }),
    );
  });
});

describe('testTimeViews', () => {
  const batch: Batch = {
    inputs: Uint8Array.from({ length: 8 }, (_, i) => i),
    shape: [1, 2, 2, 2],
    labels: Int32Array.of(0),
  };
  const inputsOf = (kind: Parameters<typeof testTimeViews>[0]) =>
    (testTimeViews(kind)(batch) as Batch[]).map((view) => [...view.inputs]);

  it('are the picture, its mirror image, and both moved', () => {
    expect(inputsOf('flip')).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [1, 0, 3, 2, 5, 4, 7, 6],
    ]);
    expect(inputsOf('shifts')).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [0, 1, 0, 1, 4, 5, 4, 5],
      [2, 3, 2, 3, 6, 7, 6, 7],
      [0, 0, 2, 2, 4, 4, 6, 6],
      [1, 1, 3, 3, 5, 5, 7, 7],
    ]);
    expect(inputsOf('flip-shifts').length).toBe(10);
    expect([...batch.inputs]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('are of pictures', () => {
    expect(() => testTimeViews('flip')({ ...batch, shape: [1, 8] })).toThrow(
      'testTimeViews: views are of pictures, [N, C, H, W]; this batch is [1, 8]',
    );
  });
});

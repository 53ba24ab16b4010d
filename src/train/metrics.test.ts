/** Metrics against counts done by hand, against naive definitions, and at their edges. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../util/errors.js';
import { accuracy, ConfusionMatrix, countTopK, predictedClasses } from './metrics.js';

describe('predictedClasses', () => {
  it('takes the first of equals, and NaN as the largest', () => {
    const scores = [1, 3, 3, Number.NaN, 0, 9, -1, -2, -1];
    expect([...predictedClasses(scores, 3)]).toEqual([1, 0, 0]);
    expect(() => predictedClasses([1, 2, 3], 2)).toThrow(new ConfigError('3 scores do not make rows of 2 classes'));
  });
});

describe('countTopK', () => {
  const scores = fc.array(fc.constantFrom(-1, 0, 0.5, 2, Number.NaN), { minLength: 5, maxLength: 5 });

  it('is the place of the label in the stable descending order', () => {
    fc.assert(
      fc.property(scores, fc.nat(4), fc.integer({ min: 1, max: 5 }), (row, label, k) => {
        fc.pre(!Number.isNaN(row[label]));
        const value = (c: number) => (Number.isNaN(row[c]) ? Infinity : row[c]);
        const order = [0, 1, 2, 3, 4].sort((a, b) => value(b) - value(a) || a - b);
        const nans = row.filter(Number.isNaN).length;
        const place = order.filter((c) => !Number.isNaN(row[c])).indexOf(label) + nans;
        expect(countTopK(row, [label], 5, k)).toBe(place < k ? 1 : 0);
      }),
    );
  });

  it('for k = 1 agrees with the accuracy of the predicted classes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(fc.float({ noNaN: true }), { minLength: 4, maxLength: 4 }), fc.nat(3)), {
          minLength: 1,
        }),
        (rows) => {
          const flat = rows.flatMap(([row]) => row);
          const labels = rows.map(([, label]) => label);
          expect(countTopK(flat, labels, 4, 1)).toBeCloseTo(
            accuracy(predictedClasses(flat, 4), labels) * labels.length,
            9,
          );
        },
      ),
    );
  });

  it('never counts a label whose score is NaN', () => {
    expect(countTopK([Number.NaN, 1], [0], 2, 2)).toBe(0);
  });
});

describe('ConfusionMatrix', () => {
  // 3 cats: 2 right, 1 taken for a dog. 2 dogs: 1 right, 1 taken for a cat. No birds; none predicted.
  const matrix = new ConfusionMatrix(['cat', 'dog', 'bird']).add([0, 0, 1], [0, 0, 0]).add([1, 0], [1, 1]);

  it('counts', () => {
    expect([...matrix.counts]).toEqual([2, 1, 0, 1, 1, 0, 0, 0, 0]);
    expect([matrix.total, matrix.correct, matrix.accuracy]).toEqual([5, 3, 0.6]);
    expect(matrix.worst(2)).toEqual([
      { actual: 0, predicted: 1, count: 1 },
      { actual: 1, predicted: 0, count: 1 },
    ]);
  });

  it('gives precision, recall and F1 by class; 0 where nothing can be said', () => {
    const [cat, dog, bird] = matrix.perClass();
    expect(cat).toEqual({ name: 'cat', support: 3, precision: 2 / 3, recall: 2 / 3, f1: 4 / 6 });
    expect(dog).toEqual({ name: 'dog', support: 2, precision: 0.5, recall: 0.5, f1: 0.5 });
    expect(bird).toEqual({ name: 'bird', support: 0, precision: 0, recall: 0, f1: 0 });
    expect(matrix.macro().recall).toBeCloseTo((2 / 3 + 0.5) / 3, 12);
  });

  it('F1 is the harmonic mean of precision and recall', () => {
    const labels = fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(labels, (pairs) => {
        const m = new ConfusionMatrix(['a', 'b', 'c', 'd']).add(
          pairs.map(([p]) => p),
          pairs.map(([, a]) => a),
        );
        for (const { precision: p, recall: r, f1 } of m.perClass()) {
          expect(f1).toBeCloseTo(p + r === 0 ? 0 : (2 * p * r) / (p + r), 12);
        }
      }),
    );
  });

  it('refuses what is no class', () => {
    expect(() => matrix.add([3], [0])).toThrow('ConfusionMatrix: class 3 at 0 is not one of 0 … 2');
    expect(() => matrix.add([0], [0, 1])).toThrow('ConfusionMatrix: 1 predictions, 2 labels');
  });
});

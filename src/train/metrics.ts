/**
 * How good predictions are, counted on the host from scores [N, classes] and labels [N]: accuracy, top-k, and the confusion matrix with
 * what follows from it. Sums are of whole numbers, so the order of batches does not matter.
 */

import { ConfigError } from '../util/errors.js';

/** The best class of each row: the first of equals, and NaN wins, as in `argmax`. */
export function predictedClasses(scores: ArrayLike<number>, classes: number): Int32Array {
  const rows = rowsOf(scores, classes);
  const out = new Int32Array(rows);
  for (let r = 0; r < rows; r++) {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      const [score, top] = [scores[r * classes + c], scores[r * classes + best]];
      if (score > top || (Number.isNaN(score) && !Number.isNaN(top))) best = c;
    }
    out[r] = best;
  }
  return out;
}

/**
 * Scores, or logarithms of probabilities, [N, classes] → probabilities, in float64. A row in which one score is NaN, or all are −∞, has no
 * probabilities: it becomes zeros.
 */
export function probabilitiesOf(scores: ArrayLike<number>, classes: number): Float64Array {
  const rows = rowsOf(scores, classes);
  const out = new Float64Array(scores.length);
  for (let from = 0; from < rows * classes; from += classes) {
    let most = -Infinity;
    for (let i = from; i < from + classes; i++) most = Math.max(most, scores[i]); // NaN wins
    if (Number.isNaN(most) || most === -Infinity) continue;
    let sum = 0;
    for (let i = from; i < from + classes; i++) {
      out[i] = scores[i] === most ? 1 : Math.exp(scores[i] - most); // +∞ − +∞ is NaN
      sum += out[i];
    }
    for (let i = from; i < from + classes; i++) out[i] /= sum;
  }
  return out;
}

/** Share of positions where the two agree. */
export function accuracy(predicted: ArrayLike<number>, labels: ArrayLike<number>): number {
  requireSameLength('accuracy', predicted, labels);
  let correct = 0;
  for (let i = 0; i < labels.length; i++) if (predicted[i] === labels[i]) correct++;
  return correct / labels.length;
}

/** How many labels are among the `k` best classes of their row. Of equal scores the first class counts as better; NaN beats everything. */
export function countTopK(scores: ArrayLike<number>, labels: ArrayLike<number>, classes: number, k: number): number {
  if (!(Number.isInteger(k) && k >= 1)) throw new ConfigError(`top-k: k is a whole number from 1 up, not ${k}`);
  const rows = rowsOf(scores, classes);
  if (rows !== labels.length) throw new ConfigError(`top-k: ${rows} rows of scores, ${labels.length} labels`);
  let hits = 0;
  for (let r = 0; r < rows; r++) {
    const own = scores[r * classes + labels[r]];
    let better = 0;
    for (let c = 0; c < classes; c++) {
      const score = scores[r * classes + c];
      if (score > own || Number.isNaN(score) || (score === own && c < labels[r])) better++;
    }
    if (better < k && !Number.isNaN(own)) hits++;
  }
  return hits;
}

export interface ClassReport {
  readonly name: string;
  /** Pictures of this class. */
  readonly support: number;
  /** Of those predicted to be this class, how many are. 0 when none was predicted. */
  readonly precision: number;
  /** Of those that are, how many were predicted to be. 0 when there are none. */
  readonly recall: number;
  /** Harmonic mean of precision and recall. */
  readonly f1: number;
}

/** Counts of (actual, predicted) pairs. */
export class ConfusionMatrix {
  /** Row-major [actual][predicted]. */
  readonly counts: Int32Array;

  constructor(readonly classes: readonly string[]) {
    this.counts = new Int32Array(classes.length ** 2);
  }

  add(predicted: ArrayLike<number>, actual: ArrayLike<number>): this {
    requireSameLength('ConfusionMatrix', predicted, actual);
    const n = this.classes.length;
    for (let i = 0; i < actual.length; i++) {
      for (const c of [predicted[i], actual[i]]) {
        if (!(Number.isInteger(c) && c >= 0 && c < n)) {
          throw new ConfigError(`ConfusionMatrix: class ${c} at ${i} is not one of 0 … ${n - 1}`);
        }
      }
      this.counts[actual[i] * n + predicted[i]]++;
    }
    return this;
  }

  at(actual: number, predicted: number): number {
    return this.counts[actual * this.classes.length + predicted];
  }

  get total(): number {
    return this.counts.reduce((sum, n) => sum + n, 0);
  }

  get correct(): number {
    return this.classes.reduce((sum, _, c) => sum + this.at(c, c), 0);
  }

  get accuracy(): number {
    return ratio(this.correct, this.total);
  }

  perClass(): ClassReport[] {
    const sum = (at: (other: number) => number) => this.classes.reduce((total, _, other) => total + at(other), 0);
    return this.classes.map((name, c) => {
      const hits = this.at(c, c);
      const support = sum((other) => this.at(c, other));
      const predicted = sum((other) => this.at(other, c));
      // Equal to the harmonic mean, and defined where one of the two is 0.
      return {
        name,
        support,
        precision: ratio(hits, predicted),
        recall: ratio(hits, support),
        f1: ratio(2 * hits, support + predicted),
      };
    });
  }

  /** Plain means over the classes, each counting alike. */
  macro(): ClassMeans {
    return meansOf(this.perClass(), () => 1);
  }

  /** Means over the classes, each counting by how many pictures it has; the weighted recall is the accuracy. */
  weighted(): ClassMeans {
    return meansOf(this.perClass(), ({ support }) => support);
  }

  /** The pairs that are mixed up most often, most first. */
  worst(count: number): { actual: number; predicted: number; count: number }[] {
    const n = this.classes.length;
    const pairs: { actual: number; predicted: number; count: number }[] = [];
    for (const [i, found] of this.counts.entries()) {
      const [actual, predicted] = [Math.floor(i / n), i % n];
      if (found > 0 && actual !== predicted) pairs.push({ actual, predicted, count: found });
    }
    return pairs.sort((a, b) => b.count - a.count).slice(0, count);
  }
}

export type ClassMeans = Pick<ClassReport, 'precision' | 'recall' | 'f1'>;

function meansOf(rows: readonly ClassReport[], weight: (row: ClassReport) => number): ClassMeans {
  const total = rows.reduce((sum, row) => sum + weight(row), 0);
  const mean = (of: (row: ClassReport) => number) =>
    ratio(
      rows.reduce((sum, row) => sum + weight(row) * of(row), 0),
      total,
    );
  return { precision: mean((r) => r.precision), recall: mean((r) => r.recall), f1: mean((r) => r.f1) };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

function rowsOf(scores: ArrayLike<number>, classes: number): number {
  const rows = scores.length / classes;
  if (!(classes >= 1 && Number.isInteger(rows))) {
    throw new ConfigError(`${scores.length} scores do not make rows of ${classes} classes`);
  }
  return rows;
}

function requireSameLength(what: string, a: ArrayLike<number>, b: ArrayLike<number>): void {
  if (a.length !== b.length) throw new ConfigError(`${what}: ${a.length} predictions, ${b.length} labels`);
}

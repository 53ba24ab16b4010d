/**
 * Whether a model's confidence can be believed: of the pictures it is 80 % sure of, are 80 % right? Predictions are put into bins of equal width by
 * the probability of the predicted class; the expected calibration error is the mean gap between confidence and accuracy, weighted by how many fell
 * into each bin. Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599 (15 bins, open below and closed above).
 */

import { ConfigError } from '../util/errors.js';

/** One bar of the reliability diagram. */
export interface CalibrationBin {
  /** Confidences above `low`, up to and with `high`; the first bin takes 0 too. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** Share of them that were right; 0 in an empty bin. */
  readonly accuracy: number;
  /** Mean of their confidences; 0 in an empty bin. */
  readonly confidence: number;
}

export interface Calibration {
  readonly bins: readonly CalibrationBin[];
  /** Expected calibration error, 0 … 1. */
  readonly ece: number;
  /** The largest gap of any bin that is not empty. */
  readonly mce: number;
  /** Of all predictions. Above the accuracy, the model is overconfident. */
  readonly meanConfidence: number;
}

/** From the probability of each predicted class and whether it was right. A confidence that is no number counts as 0. */
export function calibration(
  confidence: ArrayLike<number>,
  correct: ArrayLike<boolean | number>,
  { bins = 15 }: { bins?: number } = {},
): Calibration {
  if (confidence.length !== correct.length) {
    throw new ConfigError(`calibration: ${confidence.length} confidences, ${correct.length} answers`);
  }
  if (!(Number.isInteger(bins) && bins >= 1)) throw new ConfigError(`calibration: bins is a whole number, not ${bins}`);
  const sums = Array.from({ length: bins }, () => ({ count: 0, hits: 0, confidence: 0 }));
  let total = 0;
  for (let i = 0; i < confidence.length; i++) {
    const p = Number.isNaN(confidence[i]) ? 0 : Math.min(1, Math.max(0, confidence[i]));
    const bin = sums[Math.max(0, Math.ceil(p * bins) - 1)];
    bin.count++;
    bin.hits += Number(correct[i]);
    bin.confidence += p;
    total += p;
  }
  const n = confidence.length;
  const rows = sums.map(({ count, hits, confidence: sum }, i) => ({
    low: i / bins,
    high: (i + 1) / bins,
    count,
    accuracy: ratio(hits, count),
    confidence: ratio(sum, count),
  }));
  const gaps = rows.map(({ accuracy, confidence: mean }) => Math.abs(accuracy - mean));
  return {
    bins: rows,
    ece: rows.reduce((sum, { count }, i) => sum + ratio(count, n) * gaps[i], 0),
    mce: Math.max(...gaps),
    meanConfidence: ratio(total, n),
  };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

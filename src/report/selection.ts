/** Which samples of an evaluation a report shows, and in which order their pictures are worth room in the file. */

import type { Evaluation, SampleResult } from '../train/index.js';

export interface PairSelection {
  readonly actual: number;
  readonly predicted: number;
  /** How many there are; `samples` are the surest of them. */
  readonly count: number;
  readonly samples: readonly SampleResult[];
}

export interface Selection {
  readonly worst: readonly SampleResult[];
  readonly unsure: readonly SampleResult[];
  /** Most frequent first. */
  readonly pairs: readonly PairSelection[];
}

/** Up to this many classes, the whole confusion matrix is a table of numbers. */
export const mostTableClasses = 25;
const mostPairs = 40;
const mostPairSamples = 320;

export function select({ confusion, samples }: Evaluation): Selection {
  const classes = confusion.classes.length;
  const pairs = confusion.worst(classes <= mostTableClasses ? classes ** 2 : mostPairs);
  const each = Math.min(8, Math.max(1, Math.floor(mostPairSamples / Math.max(1, pairs.length))));
  return {
    worst: samples.worstMistakes(24),
    unsure: samples.leastConfident(12),
    pairs: pairs.map((pair) => ({ ...pair, samples: samples.ofPair(pair.actual, pair.predicted, each) })),
  };
}

/** Places in the data set, each once: what a reader meets first comes first, and every pair gets one picture before any gets a second. */
export function picturesWanted({ worst, unsure, pairs }: Selection): number[] {
  const wanted = new Set([...worst, ...unsure].map(({ index }) => index));
  const rounds = Math.max(0, ...pairs.map(({ samples }) => samples.length));
  for (let round = 0; round < rounds; round++) {
    for (const { samples } of pairs) if (round < samples.length) wanted.add(samples[round].index);
  }
  return [...wanted];
}

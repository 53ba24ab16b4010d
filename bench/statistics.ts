/**
 * The arithmetic of the bench. A machine is never quiet: other programs come and go, and cores change their clock. So work and its reference
 * (the FMA loop, a memcpy) take turns, each piece of work is compared with the reference just before and just after it, and what is reported
 * is the median of these ratios. Spread is the range that holds the middle half of the samples.
 */

export interface Spread {
  readonly median: number;
  /** Quartiles: half of the samples lie between them. */
  readonly low: number;
  readonly high: number;
  readonly samples: number;
}

/** The value below which a share `q` of the samples lies, interpolated between neighbours. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = [...samples].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

export function spread(samples: readonly number[]): Spread {
  return {
    median: quantile(samples, 0.5),
    low: quantile(samples, 0.25),
    high: quantile(samples, 0.75),
    samples: samples.length,
  };
}

/** Half the distance between the quartiles, as a share of the median. */
export function relativeSpread({ median, low, high }: Spread): number {
  return (high - low) / 2 / median;
}

/**
 * Work over reference, pair by pair. `reference` holds one sample more than `work`: before the first, between each two, and after the last;
 * each sample of work is compared with the mean of its two neighbours. @throws when the counts do not fit.
 */
export function alternatingRatios(work: readonly number[], reference: readonly number[]): number[] {
  if (reference.length !== work.length + 1) {
    throw new Error(
      `alternatingRatios: ${work.length} samples need ${work.length + 1} of the reference, not ${reference.length}`,
    );
  }
  return work.map((w, i) => w / ((reference[i] + reference[i + 1]) / 2));
}

/** How often a piece of work must be repeated to last about `targetMs`. */
export function repeatsFor(onceMs: number, targetMs: number, most: number): number {
  return Math.min(most, Math.max(1, Math.round(targetMs / onceMs)));
}

export interface Aim {
  readonly kind: 'at least' | 'at most';
  readonly value: number;
}

export function meets(aim: Aim, value: number): boolean {
  return aim.kind === 'at least' ? value >= aim.value : value <= aim.value;
}

/** Mean and deviation of each channel, fitted to training samples. */

import { computeMeanStd, type Dataset, StandardScaler, take } from '../../data/all.node.js';
import type { Normalization } from '../../train/index.js';
import { FormatError } from '../../util/errors.js';

/** Statistics are taken from at most so many samples. */
const mostSamples = 5000;

/** Bytes count in units of 0 … 1; numbers are taken as they are, of whatever size. @throws {FormatError} for what is not finite */
export async function fittedStatistics(train: Dataset, source: string): Promise<Normalization> {
  const { mean, std } = await StandardScaler.fit(take(train, mostSamples));
  if (![...mean, ...std].every(Number.isFinite)) {
    throw new FormatError(`${source}: not all samples are finite numbers (NaN or infinity among them)`);
  }
  const digits = (values: readonly number[]) => values.map((v) => Number(v.toPrecision(6)));
  return { mean: digits(mean), std: digits(std).map((s) => (s > 1e-12 ? s : 1)) };
}

/** Of pictures, which are bytes: exact sums, to four digits; of the first `most` of them. */
export async function pictureStatistics(
  pictures: Dataset,
  { most = pictures.length, batchSize }: { most?: number; batchSize?: number } = {},
): Promise<Normalization> {
  const { mean, std } = await computeMeanStd(take(pictures, most), { batchSize });
  const four = (values: readonly number[]) => values.map((v) => Number(v.toFixed(4)));
  return { mean: four(mean), std: four(std).map((s) => s || 1) };
}

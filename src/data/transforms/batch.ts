/**
 * What happens to a batch between the data set and the model. A transform is a function from batch to batch; the context says which batch
 * of which epoch it is, so that random ones draw from (seed, epoch, picture) and a resumed run repeats them exactly.
 */

import { ConfigError } from '../../util/errors.js';
import { numel } from '../../util/shape.js';
import type { Batch, Dataset, TransformContext } from '../dataset.js';

export type Transform = (batch: Batch, context: TransformContext) => Batch | Promise<Batch>;

/** One after the other. */
export function compose(...transforms: readonly Transform[]): Transform {
  return async (batch, context) => {
    let current = batch;
    for (const transform of transforms) current = await transform(current, context);
    return current;
  };
}

/** Bytes 0 … 255 → float32 0 … 1; floats stay as they are. */
export function toTensor(): (batch: Batch) => Batch {
  return (batch) =>
    batch.inputs instanceof Float32Array ? batch : { ...batch, inputs: perChannel(batch, (x) => x / 255) };
}

/** (x − mean) / std per channel, in units of 0 … 1: bytes are divided by 255 on the way, so `toTensor` need not come first. */
export function normalize(mean: readonly number[], std: readonly number[]): (batch: Batch) => Batch {
  if (mean.length !== std.length || std.some((s) => !(s > 0))) {
    throw new ConfigError(
      `normalize: one mean and one positive std per channel; got mean [${mean.join(', ')}], std [${std.join(', ')}]`,
    );
  }
  return (batch) => {
    const channels = batch.shape[1];
    if (channels !== mean.length) {
      throw new ConfigError(
        `normalize: ${mean.length} means for pictures of ${channels} channels, shape [${batch.shape.join(', ')}]`,
      );
    }
    const unit = batch.inputs instanceof Float32Array ? 1 : 255;
    return { ...batch, inputs: perChannel(batch, (x, c) => (x / unit - mean[c]) / std[c]) };
  };
}

/** Mean and standard deviation of every channel over a whole data set, in units of 0 … 1 — what `normalize` takes. Exact integer sums. */
export async function computeMeanStd(
  dataset: Dataset,
  { batchSize = 1000 } = {},
): Promise<{ mean: number[]; std: number[] }> {
  const [channels, ...extent] = dataset.shape;
  const plane = numel(extent);
  const counts = Array.from({ length: channels }, () => new Float64Array(256));
  for (let from = 0; from < dataset.length; from += batchSize) {
    const size = Math.min(batchSize, dataset.length - from);
    const { inputs } = await dataset.batch(Int32Array.from({ length: size }, (_, i) => from + i));
    if (!(inputs instanceof Uint8Array))
      throw new ConfigError('computeMeanStd: the data set hands out numbers; it takes one of bytes');
    for (let p = 0; p < size * channels; p++) {
      const histogram = counts[p % channels];
      for (let i = p * plane; i < (p + 1) * plane; i++) histogram[inputs[i]]++;
    }
  }
  const mean = counts.map((histogram) => moment(histogram, (x) => x));
  const std = counts.map((histogram, c) => Math.sqrt(moment(histogram, (x) => (x - mean[c]) ** 2)));
  return { mean, std };
}

/** Labels → rows [N, classes] of zeros with one 1. */
export function oneHot(labels: ArrayLike<number>, classes: number): Float32Array {
  const out = new Float32Array(labels.length * classes);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new ConfigError(`oneHot: label ${label} at ${i} is not one of 0 … ${classes - 1}`);
    }
    out[i * classes + label] = 1;
  }
  return out;
}

/** A byte has 256 values: the function is applied to those, not to every pixel. */
function perChannel(
  { inputs, shape: [count, channels, ...extent] }: Batch,
  f: (x: number, c: number) => number,
): Float32Array {
  const plane = numel(extent);
  const out = new Float32Array(inputs.length);
  const tables =
    inputs instanceof Uint8Array && inputs.length > 256 * channels
      ? Array.from({ length: channels }, (_, c) => Float32Array.from({ length: 256 }, (_, x) => f(x, c)))
      : null;
  for (let p = 0; p < count * channels; p++) {
    const c = p % channels;
    const [from, to] = [p * plane, (p + 1) * plane];
    if (tables !== null) {
      const table = tables[c];
      for (let i = from; i < to; i++) out[i] = table[inputs[i]];
    } else {
      for (let i = from; i < to; i++) out[i] = f(inputs[i], c);
    }
  }
  return out;
}

function moment(histogram: Float64Array, f: (x: number) => number): number {
  let sum = 0;
  let count = 0;
  for (let x = 0; x < 256; x++) {
    sum += histogram[x] * f(x / 255);
    count += histogram[x];
  }
  return count === 0 ? 0 : sum / count;
}

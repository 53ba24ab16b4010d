/**
 * Scales fitted on data: every channel of pictures [N, C, H, W] and signals [N, C, L], every column of tables [N, columns], brought to mean
 * 0 and deviation 1, or to a range. Fit on the training part, use on all parts, keep with the model (`toJson`). Bytes count in units of 0 …
 * 1, as everywhere, so that `mean` and `std` are what `normalize` and `normalizeTensor` take — of both scalers.
 */

import { anyObject, array, literal, number, object } from '../io/schema.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import type { Dataset, Samples } from './dataset.js';

type Numbers = Samples | Float64Array | readonly number[];

export type ScalerJson =
  | { kind: 'standard'; mean: number[]; std: number[] }
  | { kind: 'minMax'; low: number[]; high: number[]; range: [number, number] };

/** (x − mean) / std for each channel or column. */
abstract class Scaler {
  constructor(
    readonly mean: readonly number[],
    /** Positive. */
    readonly std: readonly number[],
  ) {}

  abstract toJson(): ScalerJson;

  /** Values of `shape` [N, C, …] → the same, scaled. @throws {ConfigError} for another number of channels */
  transform(values: Numbers, shape: Shape): Float32Array {
    const unit = values instanceof Uint8Array ? 255 : 1;
    return this.#each(values, shape, (x, c) => (x / unit - this.mean[c]) / this.std[c]);
  }

  /** Scaled values as they were (bytes in units of 0 … 1). */
  inverse(values: Numbers, shape: Shape): Float32Array {
    return this.#each(values, shape, (x, c) => x * this.std[c] + this.mean[c]);
  }

  #each(values: Numbers, shape: Shape, f: (x: number, c: number) => number): Float32Array {
    const { channels, plane } = layout(values, shape);
    if (channels !== this.mean.length) {
      throw new ConfigError(
        `scaler: fitted on ${this.mean.length} channels or columns, the values ${formatShape(shape)} have ${channels}`,
      );
    }
    const out = new Float32Array(values.length);
    for (let i = 0; i < out.length; i++) out[i] = f(values[i], Math.floor(i / plane) % channels);
    return out;
  }
}

/** To mean 0 and standard deviation 1. What is the same everywhere becomes 0. */
export class StandardScaler extends Scaler {
  /** Over all samples of a data set, in batches. */
  static async fit(dataset: Dataset): Promise<StandardScaler> {
    return StandardScaler.#of(await momentsOf(dataset));
  }

  /** Values of `shape` [N, columns] or [N, C, …]. */
  static fitArrays(values: Numbers, shape: Shape): StandardScaler {
    return StandardScaler.#of(moments(values, shape));
  }

  static #of(channels: readonly Moments[]): StandardScaler {
    const std = channels.map(({ count, squares }) => Math.sqrt(squares / count));
    return new StandardScaler(
      channels.map(({ mean }) => mean),
      std.map((s) => (s > 0 ? s : 1)),
    );
  }

  toJson(): ScalerJson {
    return { kind: 'standard', mean: [...this.mean], std: [...this.std] };
  }
}

/** The least value to range[0], the greatest to range[1]. What is the same everywhere becomes range[0]. */
export class MinMaxScaler extends Scaler {
  constructor(
    readonly low: readonly number[],
    readonly high: readonly number[],
    readonly range: readonly [least: number, greatest: number] = [0, 1],
  ) {
    const [least, greatest] = range;
    if (!(least < greatest))
      throw new ConfigError(`MinMaxScaler: range is [least, greatest], not [${range.join(', ')}]`);
    const std = low.map((from, c) => (high[c] > from ? (high[c] - from) / (greatest - least) : 1));
    super(
      low.map((from, c) => from - least * std[c]),
      std,
    );
  }

  static async fit(dataset: Dataset, { range = [0, 1] }: MinMaxOptions = {}): Promise<MinMaxScaler> {
    return MinMaxScaler.#of(await momentsOf(dataset), range);
  }

  static fitArrays(values: Numbers, shape: Shape, { range = [0, 1] }: MinMaxOptions = {}): MinMaxScaler {
    return MinMaxScaler.#of(moments(values, shape), range);
  }

  static #of(channels: readonly Moments[], range: readonly [number, number]): MinMaxScaler {
    return new MinMaxScaler(
      channels.map(({ low }) => low),
      channels.map(({ high }) => high),
      range,
    );
  }

  toJson(): ScalerJson {
    return { kind: 'minMax', low: [...this.low], high: [...this.high], range: [this.range[0], this.range[1]] };
  }
}

export interface MinMaxOptions {
  /** What values become. Left out: [0, 1]. */
  readonly range?: readonly [least: number, greatest: number];
}

const standardSchema = object({
  kind: literal('standard'),
  mean: array(number()),
  std: array(number({ min: 1e-300 })),
});
const minMaxSchema = object({
  kind: literal('minMax'),
  low: array(number()),
  high: array(number()),
  range: array(number(), { length: 2 }),
});

/** What `toJson` wrote. @throws {FormatError} */
export function scalerFromJson(json: unknown, where = 'scaler:'): StandardScaler | MinMaxScaler {
  const { kind } = anyObject(json, where);
  if (literal('standard', 'minMax')(kind, `${where} kind`) === 'minMax') {
    const { low, high, range } = minMaxSchema(json, where);
    sameLength(where, low, high);
    return new MinMaxScaler(low, high, [range[0], range[1]]);
  }
  const { mean, std } = standardSchema(json, where);
  sameLength(where, mean, std);
  return new StandardScaler(mean, std);
}

function sameLength(where: string, a: readonly number[], b: readonly number[]): void {
  if (a.length !== b.length) throw new FormatError(`${where} two lists of one length, not ${a.length} and ${b.length}`);
}

/** Of the values of one channel: how many, their mean, the sum of squared distances from it, and the extremes. */
interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
  readonly low: number;
  readonly high: number;
}

async function momentsOf(dataset: Dataset, batchSize = 256): Promise<Moments[]> {
  if (dataset.length === 0) throw new ConfigError('scaler: the data set has no samples to fit on');
  let all: Moments[] | null = null;
  for (let from = 0; from < dataset.length; from += batchSize) {
    const count = Math.min(batchSize, dataset.length - from);
    const { inputs, shape } = await dataset.batch(Int32Array.from({ length: count }, (_, i) => from + i));
    const part = moments(inputs, shape);
    all = all === null ? part : all.map((channel, c) => together(channel, part[c]));
  }
  return all ?? [];
}

/** Two passes: the differences from the mean lose no digits, however far from 0 the values are. */
function moments(values: Numbers, shape: Shape): Moments[] {
  const { count, channels, plane } = layout(values, shape);
  const unit = values instanceof Uint8Array ? 255 : 1;
  return Array.from({ length: channels }, (_, c) => {
    let [sum, low, high] = [0, Infinity, -Infinity];
    const each = (f: (x: number) => void) => {
      for (let n = 0; n < count; n++) {
        const from = (n * channels + c) * plane;
        for (let i = from; i < from + plane; i++) f(values[i] / unit);
      }
    };
    each((x) => {
      sum += x;
      if (x < low) low = x;
      if (x > high) high = x;
    });
    if (!Number.isFinite(sum)) {
      throw new ConfigError(`scaler: channel or column ${c} has values that are no numbers, or infinite`);
    }
    const mean = sum / (count * plane);
    let squares = 0;
    each((x) => {
      squares += (x - mean) ** 2;
    });
    return { count: count * plane, mean, squares, low, high };
  });
}

/** Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances". */
function together(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  const apart = b.mean - a.mean;
  return {
    count,
    mean: a.mean + (apart * b.count) / count,
    squares: a.squares + b.squares + (apart * apart * a.count * b.count) / count,
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
  };
}

function layout(values: Numbers, shape: Shape): { count: number; channels: number; plane: number } {
  if (shape.length < 2 || numel(shape) !== values.length || values.length === 0) {
    throw new ConfigError(
      `scaler: values are [N, columns] or [N, C, …] and at least one; got ${values.length} for the shape ${formatShape(shape)}`,
    );
  }
  const [count, channels, ...extent] = shape;
  return { count, channels, plane: numel(extent) };
}

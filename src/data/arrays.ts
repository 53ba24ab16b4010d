/**
 * Data sets out of named arrays, as `.npz` files hold them: Keras' `x_train, y_train, x_test, y_test`, MedMNIST's `train_images, train_labels, val_images …`,
 * or `x, y`. Labels may be numbers or one-hot rows; pictures may have their channels first or last, or none.
 */

import type { HostTensor } from '../io/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, numel } from '../util/shape.js';
import { ArrayDataset, type Samples } from './dataset.js';

/** The axes of samples in memory, with N in front: `NHWC` is Keras', `NCHW` PyTorch's; `NHW` and `NDHW` have one channel. */
export type ArrayLayout = 'NHWC' | 'NCHW' | 'NHW' | 'NDHWC' | 'NCDHW' | 'NDHW' | 'NCL' | 'NLC' | 'NF';

export interface ArrayDatasetOptions {
  /** Left out, it is told from the shape: an axis of 1, 3 or 4 at either end is the channels. */
  readonly layout?: ArrayLayout;
  /** Left out, classes are called by their numbers. */
  readonly classes?: readonly string[];
}

export interface ArrayParts {
  readonly train: ArrayDataset;
  readonly validation: ArrayDataset | null;
  readonly test: ArrayDataset | null;
}

const parts = { train: /^train(ing)?$/, validation: /^val(id|idation)?$|^dev$/, test: /^test(ing)?$|^eval$/ } as const;
const sampleNames = /^(x|images?|data|samples?|inputs?|features?|arr_0)$/;
const labelNames = /^(y|labels?|targets?|classes|arr_1)$/;

/** What an array is by its name: samples or labels, of which part. Null for others. */
function roleOf(name: string): { part: keyof ArrayParts; is: 'samples' | 'labels' } | null {
  const lower = name.toLowerCase();
  const pieces = /^arr_[01]$/.test(lower) ? [lower] : lower.split(/[_\-./]/);
  let part: keyof ArrayParts = 'train';
  let is: 'samples' | 'labels' | null = null;
  for (const piece of pieces) {
    const found = (Object.keys(parts) as (keyof ArrayParts)[]).find((key) => parts[key].test(piece));
    if (found !== undefined) part = found;
    else if (is === null && sampleNames.test(piece)) is = 'samples';
    else if (is === null && labelNames.test(piece)) is = 'labels';
    else return null;
  }
  return is === null ? null : { part, is };
}

/**
 * Training samples, and those of validation and test where there are some. `read` is called for the arrays that are used.
 * @throws {ConfigError} where there are no samples with labels, or sizes do not fit
 */
export function arrayDatasets(
  names: readonly string[],
  read: (name: string) => HostTensor,
  { layout, classes }: ArrayDatasetOptions = {},
): ArrayParts {
  const found = new Map<string, string>();
  for (const name of names) {
    const role = roleOf(name);
    if (role === null) continue;
    const key = `${role.part} ${role.is}`;
    if (found.has(key)) throw new ConfigError(`arrays: both '${found.get(key)}' and '${name}' are ${key}: rename one`);
    found.set(key, name);
  }
  const pairs = new Map<keyof ArrayParts, { samples: HostTensor; labels: Int32Array; of: string }>();
  for (const part of ['train', 'validation', 'test'] as const) {
    const [x, y] = [found.get(`${part} samples`), found.get(`${part} labels`)];
    if (x === undefined && y === undefined) continue;
    if (x === undefined || y === undefined) {
      throw new ConfigError(
        `arrays: '${x ?? y}' has no ${x === undefined ? 'samples' : 'labels'} beside it, among ${list(names)}`,
      );
    }
    pairs.set(part, { samples: read(x), labels: labelsOf(read(y), y), of: x });
  }
  if (!pairs.has('train')) {
    throw new ConfigError(
      `arrays: there are no training samples with labels among ${list(names)}. Name them x_train, y_train, x_test, y_test, or x and y.`,
    );
  }
  const most = Math.max(-1, ...Array.from(pairs.values(), ({ labels }) => largest(labels)));
  const known = classes ?? Array.from({ length: most + 1 }, (_, c) => String(c));
  const made = (part: keyof ArrayParts) => {
    const pair = pairs.get(part);
    return pair === undefined ? null : datasetOf(pair, layout, known);
  };
  return { train: made('train')!, validation: made('validation'), test: made('test') };
}

function datasetOf(
  { samples, labels, of }: { samples: HostTensor; labels: Int32Array; of: string },
  layout: ArrayLayout | undefined,
  classes: readonly string[],
): ArrayDataset {
  if (samples.shape.length < 2 || samples.shape[0] !== labels.length) {
    throw new ConfigError(
      `arrays: '${of}' is ${formatShape(samples.shape)}; for ${labels.length} labels it is [${labels.length}, …]`,
    );
  }
  const chosen = layout ?? guessLayout(samples.shape, of);
  const { shape, inputs } = channelsFirst(samples, chosen, of);
  return new ArrayDataset({ inputs, labels, shape, classes });
}

/** @throws {ConfigError} for a shape that could be several things */
export function guessLayout(shape: readonly number[], name = 'the array'): ArrayLayout {
  const isChannels = (size: number) => size === 1 || size === 3 || size === 4;
  const [first, last] = [isChannels(shape[1]), isChannels(shape.at(-1)!)];
  switch (shape.length) {
    case 2:
      return 'NF';
    case 3:
      return 'NHW';
    case 4:
      if (last) return 'NHWC'; // also where both are: whoever has pictures three pixels high says so
      if (first) return 'NCHW';
      return 'NDHW';
    case 5:
      if (last) return 'NDHWC';
      if (first) return 'NCDHW';
  }
  throw new ConfigError(
    `arrays: which axis of '${name}', ${formatShape(shape)}, are the channels? Pass layout, such as 'NHWC' or 'NCDHW'.`,
  );
}

function channelsFirst(
  { data, shape, dtype }: HostTensor,
  layout: ArrayLayout,
  name: string,
): { inputs: Samples; shape: number[] } {
  if (shape.length !== layout.length) {
    throw new ConfigError(`arrays: '${name}' is ${formatShape(shape)}, layout ${layout} has ${layout.length} axes`);
  }
  const [count, ...sample] = shape;
  const values = samplesOf(data, dtype, layout);
  if (layout === 'NF') return { inputs: values, shape: sample };
  if (!layout.includes('C')) return { inputs: values, shape: [1, ...sample] };
  if (layout[1] === 'C') return { inputs: values, shape: sample };
  const channels = sample.at(-1)!;
  const extent = sample.slice(0, -1);
  const plane = numel(extent);
  if (channels === 1) return { inputs: values, shape: [1, ...extent] };
  const inputs = values.slice() as Samples;
  for (let n = 0; n < count; n++) {
    const from = n * plane * channels;
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < plane; i++) inputs[from + c * plane + i] = values[from + i * channels + c];
    }
  }
  return { inputs, shape: [channels, ...extent] };
}

/** Pixels that were stored as wider integers become bytes if they are some; other integers of pictures become floats. Integers of rows are tokens. */
function samplesOf(data: HostTensor['data'], dtype: HostTensor['dtype'], layout: ArrayLayout): Samples {
  if (data instanceof Float32Array) return data;
  if (data instanceof Uint8Array) return dtype === 'bool' ? data.map((v) => (v === 0 ? 0 : 255)) : data;
  if (layout === 'NF') return data as Int32Array;
  const isBytes = (data as Int32Array).every((v) => v >= 0 && v <= 255);
  return isBytes ? Uint8Array.from(data) : Float32Array.from(data);
}

/** [N], [N, 1], or one-hot [N, classes]. */
function labelsOf({ data, shape }: HostTensor, name: string): Int32Array {
  const columns = shape.length === 1 ? 1 : shape[1];
  if (shape.length < 1 || shape.length > 2 || columns === 0) {
    throw new ConfigError(
      `arrays: labels '${name}' are ${formatShape(shape)}; they are [N], [N, 1] or one-hot [N, classes]`,
    );
  }
  if (columns === 1) {
    const odd = data.findIndex((v) => !Number.isInteger(v) || v < 0);
    if (odd !== -1)
      throw new ConfigError(`arrays: label ${data[odd]} at ${odd} of '${name}' is no class: classes are 0, 1, 2 …`);
    return Int32Array.from(data);
  }
  return Int32Array.from({ length: shape[0] }, (_, n) => {
    const row = data.subarray(n * columns, (n + 1) * columns);
    const one = row.indexOf(1);
    if (one === -1 || row.some((v, c) => v !== (c === one ? 1 : 0))) {
      throw new ConfigError(`arrays: row ${n} of '${name}', ${formatShape(shape)}, is not one-hot: one 1 among zeros`);
    }
    return one;
  });
}

function largest(values: Int32Array): number {
  let most = -1;
  for (const v of values) if (v > most) most = v;
  if (most > 1e6) throw new ConfigError(`arrays: a label of ${most}: labels are classes, counted from 0`);
  return most;
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 12).join(', ');
  return names.length > 12 ? `${shown}, …` : shown || 'no arrays';
}

/** A data set as points: what a late layer answers to each sample, to be drawn in two dimensions or searched for neighbours. */

import { batchTensors, type Dataset, normalizeTensor } from '../data/index.js';
import type { Module } from '../nn/index.js';
import { compile, Tensor } from '../tensor/index.js';
import type { Normalization } from '../train/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { asking, listen } from './ask.js';

export interface EmbedOptions {
  /** Path of the layer whose output is taken. Default 'auto': what goes into the last layer with parameters, the classifier. */
  readonly layer?: string;
  /** As in training. Left out, bytes become 0 … 1. */
  readonly normalize?: Normalization | null;
  readonly batchSize?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Embedding {
  /** [samples, features]; of maps their mean over all places. */
  readonly features: Float32Array;
  readonly shape: readonly [samples: number, features: number];
  readonly labels: Int32Array;
  readonly layer: string;
}

/** @throws {ConfigError} for a layer that the model never calls, or that gives nothing for each sample */
export async function embed(
  model: Module,
  dataset: Dataset,
  { layer = 'auto', normalize = null, batchSize = 64, onProgress }: EmbedOptions = {},
): Promise<Embedding> {
  if (dataset.length === 0) throw new ConfigError('embed: the data set is empty');
  let found = '';
  const run = compile((inputs: Tensor) =>
    asking(model, () => {
      const { path, output } = featuresOf(model, ready(inputs, normalize), layer);
      found = path;
      return output;
    }),
  );
  let features = new Float32Array(0);
  let width = 0;
  for await (const { inputs, from, count } of equalBatches(dataset, batchSize)) {
    const rows = await run(inputs);
    width = rows.shape[1];
    if (from === 0) features = new Float32Array(dataset.length * width);
    features.set(((await rows.data()) as Float32Array).subarray(0, count * width), from * width);
    onProgress?.(from + count, dataset.length);
  }
  return { features, shape: [dataset.length, width], labels: dataset.labels, layer: found };
}

/** All samples in order, in batches of one size (the last one is filled up with its last sample), so that all of them are one program. */
export async function* equalBatches(
  dataset: Dataset,
  batchSize: number,
): AsyncGenerator<{ inputs: Tensor; from: number; count: number }> {
  const size = Math.min(batchSize, dataset.length);
  for (let from = 0; from < dataset.length; from += size) {
    const count = Math.min(size, dataset.length - from);
    const indices = Int32Array.from({ length: size }, (_, i) => Math.min(from + i, dataset.length - 1));
    const { inputs } = batchTensors(await dataset.batch(indices));
    yield { inputs, from, count };
  }
}

/** Samples as the model takes them. */
export function ready(inputs: Tensor, normalize: Normalization | null): Tensor {
  if (inputs.dtype === 'int32') return inputs;
  if (normalize !== null) return normalizeTensor(inputs, normalize.mean, normalize.std);
  return inputs.dtype === 'uint8' ? inputs.float().div(255) : inputs;
}

function featuresOf(model: Module, x: Tensor, layer: string): { path: string; output: Tensor } {
  const { answers } = listen(model, x);
  const answer =
    layer === 'auto'
      ? answers.findLast(({ module }) => module.children().length === 0 && module.parameters().length > 0)
      : answers.findLast(({ path }) => path === layer);
  if (answer === undefined) throw new ConfigError(`embed: the model never called ${layer}`);
  const features = layer === 'auto' ? answer.inputs[0] : answer.output;
  if (!(features instanceof Tensor) || features.ndim < 2 || features.shape[0] !== x.shape[0]) {
    const given = features instanceof Tensor ? formatShape(features.shape) : 'no tensor';
    throw new ConfigError(
      `embed: ${answer.path} gives ${given} for inputs ${formatShape(x.shape)}; features are [N, …]`,
    );
  }
  const rows = features.ndim > 3 ? features.mean(features.shape.map((_, i) => i).slice(2)) : features.flatten(1);
  return { path: answer.path, output: rows.float() };
}

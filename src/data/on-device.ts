/**
 * A batch as tensors, and its normalisation as part of the graph: bytes travel to the device (a quarter of the floats they stand for),
 * and the division and subtraction fuse into whatever reads the pictures first.
 */

import { fromOwned, type Tensor, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import type { Batch } from './dataset.js';

/**
 * Samples [N, …] (uint8, float32 after a transform, int32 tokens), labels [N] (int32), and what the loss compares with: the labels, or shares of classes
 * [N, classes] where samples were mixed. The tensors take the batch's arrays over.
 */
export function batchTensors({
  inputs,
  shape,
  labels,
  targets,
}: Batch): Record<'inputs' | 'labels' | 'target', Tensor> {
  const dtype = inputs instanceof Uint8Array ? 'uint8' : inputs instanceof Float32Array ? 'float32' : 'int32';
  const numbers = fromOwned(labels, [labels.length], 'int32');
  const shares =
    targets === undefined ? numbers : fromOwned(targets, [labels.length, targets.length / labels.length], 'float32');
  return { inputs: fromOwned(inputs, shape, dtype), labels: numbers, target: shares };
}

/**
 * What the transform `normalize` does, recorded in the graph: (x − mean) / std per channel of samples [N, C, …], in units of 0 … 1;
 * bytes are divided by 255 on the way. @throws {ConfigError} unless there is one mean and one positive std per channel.
 */
export function normalizeTensor(inputs: Tensor, mean: readonly number[], std: readonly number[]): Tensor {
  const channels = inputs.shape[1];
  const rank = inputs.shape.length;
  if (rank < 2 || mean.length !== channels || std.length !== channels || std.some((s) => !(s > 0))) {
    const given = `mean [${mean.join(', ')}], std [${std.join(', ')}]`;
    throw new ConfigError(
      `normalizeTensor: one mean and one positive std per channel; got ${given} for inputs ${formatShape(inputs.shape)} N C …`,
    );
  }
  const unit = inputs.dtype === 'uint8' ? 255 : 1;
  const scale = std.map((s) => 1 / (unit * s));
  const shift = std.map((s, c) => -mean[c] / s);
  if (channels === 1) return inputs.float().mul(scale[0]).add(shift[0]);
  const perChannel = (values: number[]) => tensor(values, { shape: [1, channels, ...new Array(rank - 2).fill(1)] });
  return inputs.float().mul(perChannel(scale)).add(perChannel(shift));
}

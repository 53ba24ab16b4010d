/**
 * A batch as tensors, and its normalisation as part of the graph: bytes travel to the device (a quarter of the floats they stand for),
 * and the division and subtraction fuse into whatever reads the pictures first.
 */

import { fromOwned, type Tensor, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import type { Batch } from './dataset.js';

/** Pictures [N, C, H, W] (uint8, or float32 after a transform) and labels [N] (int32). The tensors take the batch's arrays over. */
export function batchTensors({ images, shape, labels }: Batch): { images: Tensor; labels: Tensor } {
  const dtype = images instanceof Uint8Array ? 'uint8' : 'float32';
  return { images: fromOwned(images, shape, dtype), labels: fromOwned(labels, [labels.length], 'int32') };
}

/**
 * What the transform `normalize` does, recorded in the graph: (x − mean) / std per channel of pictures [N, C, H, W], in units of 0 … 1;
 * uint8 pictures are divided by 255 on the way. @throws {ConfigError} unless there is one mean and one positive std per channel.
 */
export function normalizeTensor(images: Tensor, mean: readonly number[], std: readonly number[]): Tensor {
  const channels = images.shape[1];
  if (images.shape.length !== 4 || mean.length !== channels || std.length !== channels || std.some((s) => !(s > 0))) {
    const given = `mean [${mean.join(', ')}], std [${std.join(', ')}]`;
    throw new ConfigError(
      `normalizeTensor: one mean and one positive std per channel; got ${given} for images ${formatShape(images.shape)} N C H W`,
    );
  }
  const unit = images.dtype === 'uint8' ? 255 : 1;
  const scale = std.map((s) => 1 / (unit * s));
  const shift = std.map((s, c) => -mean[c] / s);
  if (channels === 1) return images.float().mul(scale[0]).add(shift[0]);
  const perChannel = (values: number[]) => tensor(values, { shape: [1, channels, 1, 1] });
  return images.float().mul(perChannel(scale)).add(perChannel(shift));
}

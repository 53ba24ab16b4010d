/** Bringing a picture to what a model's weights were trained on: resize, crop, and the numbers that normalise it. */

import type { Preprocessing } from '../models/index.js';
import { ConfigError } from '../util/errors.js';
import { centerCrop, type Planes, resizeShorterSide } from './resize.js';

/**
 * The middle of a picture at the size the weights want, still as bytes: [C, H, W] → [C, crop height, crop width]. A grey picture serves a model
 * of colours with the same plane three times. Divide by 255 and take out `mean` and `std` afterwards (`data.normalizeTensor`, `predict`).
 * @throws {ConfigError} if the channels do not fit the statistics.
 */
export function preprocess(picture: Planes, { resize, crop, interpolation, mean }: Preprocessing): Planes {
  const fitted = centerCrop(resizeShorterSide(picture, resize, interpolation), ...crop);
  const [channels, height, width] = fitted.shape;
  if (channels === mean.length) return fitted;
  if (channels !== 1) {
    throw new ConfigError(
      `preprocess: a picture of ${channels} channels for weights of ${mean.length}: decode it with channels: ${mean.length}`,
    );
  }
  const data = new Uint8Array(mean.length * height * width);
  for (let c = 0; c < mean.length; c++) data.set(fitted.data, c * height * width);
  return { data, shape: [mean.length, height, width] };
}

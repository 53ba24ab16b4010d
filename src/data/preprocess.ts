/** Bringing a picture to what a model's weights were trained on: resize, crop, and the numbers that normalise it. */

import type { Preprocessing } from '../models/index.js';
import { ConfigError } from '../util/errors.js';
import { centerCrop, type Interleaved, type Planes, resizeAndCrop, resize as resizeTo } from './resize.js';

/**
 * The middle of a picture at the size the weights want, still as bytes: [C, H, W] → [C, crop height, crop width]. A grey picture serves a model
 * of colours with the same plane three times. Divide by 255 and take out `mean` and `std` afterwards (`data.normalizeTensor`, `predict`).
 * `target`, of as many bytes, takes the result in place of new memory. @throws {ConfigError} if the channels do not fit the statistics.
 */
export function preprocess(
  picture: Planes | Interleaved,
  { resize, crop, interpolation, mean }: Preprocessing,
  target?: Uint8Array,
): Planes {
  const channels = 'shape' in picture ? picture.shape[0] : picture.channels;
  if (channels === mean.length) return resizeAndCrop(picture, resize, crop, interpolation, target);
  const { data, shape } = withChannels(resizeAndCrop(picture, resize, crop, interpolation), mean.length);
  target?.set(data);
  return { data: target ?? data, shape };
}

/**
 * All of a picture, as large as fits, in the middle of black bars where its aspect ratio is another: for models that learned from whole pictures,
 * such as MNIST's. Shapes and errors are those of `preprocess`.
 */
export function contain(picture: Planes, { crop, interpolation, mean }: Preprocessing): Planes {
  const [, height, width] = picture.shape;
  const scale = Math.min(crop[0] / height, crop[1] / width);
  const scaled = (size: number) => Math.max(1, Math.round(size * scale));
  return withChannels(
    centerCrop(resizeTo(picture, scaled(height), scaled(width), interpolation), ...crop),
    mean.length,
  );
}

/** A grey picture's plane as many times as there are channels. */
function withChannels(picture: Planes, wanted: number): Planes {
  const [channels, height, width] = picture.shape;
  if (channels === wanted) return picture;
  if (channels !== 1) {
    throw new ConfigError(
      `preprocess: a picture of ${channels} channels for weights of ${wanted}: decode it with channels: ${wanted}`,
    );
  }
  const data = new Uint8Array(wanted * height * width);
  for (let c = 0; c < wanted; c++) data.set(picture.data, c * height * width);
  return { data, shape: [wanted, height, width] };
}

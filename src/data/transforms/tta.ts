/**
 * Test-time augmentation: a model's answer averaged over several views of one picture. Krizhevsky et al. 2012, "ImageNet classification
 * with deep convolutional neural networks", section 4.1.
 */

import { ConfigError } from '../../util/errors.js';
import { centerCrop, type Planes, resize } from '../resize.js';
import { fiveCrop, horizontalFlip, tenCrop } from './geometry.js';

/** 'flip': the picture and its mirror image; 'fiveCrop': corners and middle; 'tenCrop': those of both. */
export type TtaViews = 'identity' | 'flip' | 'fiveCrop' | 'tenCrop';

/**
 * Views of a picture, all of its own shape so that they make one batch. Corners are crops of 7/8 of each side (what remains of 256 → 224),
 * enlarged again; pass `crop` to cut that size out of a larger picture and keep it as it is. @throws {ConfigError} for a crop larger than
 * the picture
 */
export function tta(
  picture: Planes,
  views: TtaViews = 'flip',
  { crop }: { crop?: readonly [height: number, width: number] } = {},
): Planes[] {
  const [, height, width] = picture.shape;
  const own = (side: number) => Math.max(1, Math.round((side * 7) / 8));
  const size = crop ?? ([own(height), own(width)] as const);
  switch (views) {
    case 'identity':
    case 'flip': {
      const whole = crop === undefined ? picture : centerCrop(picture, ...crop);
      return views === 'identity' ? [whole] : [whole, horizontalFlip(whole)];
    }
    case 'fiveCrop':
    case 'tenCrop': {
      const parts = views === 'fiveCrop' ? fiveCrop(picture, size) : tenCrop(picture, size);
      return crop === undefined ? parts.map((part) => resize(part, height, width)) : parts;
    }
    default:
      views satisfies never;
      throw new ConfigError(`tta: views are identity, flip, fiveCrop or tenCrop, not '${views}'`);
  }
}

/**
 * The mean over the views of each picture: rows [pictures · views, classes], those of one picture one after the other → [pictures,
 * classes]. Average probabilities, not logits.
 */
export function averageViews(rows: ArrayLike<number>, views: number, classes: number): Float32Array {
  const pictures = rows.length / (views * classes);
  if (!Number.isInteger(pictures)) {
    throw new ConfigError(
      `averageViews: ${rows.length} numbers are no whole number of pictures of ${views} × ${classes}`,
    );
  }
  const out = new Float32Array(pictures * classes);
  for (let p = 0; p < pictures; p++) {
    for (let k = 0; k < classes; k++) {
      let sum = 0;
      for (let v = 0; v < views; v++) sum += rows[(p * views + v) * classes + k];
      out[p * classes + k] = sum / views;
    }
  }
  return out;
}

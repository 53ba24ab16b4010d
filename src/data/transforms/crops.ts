/** Random crops, flips and the like: transforms that move pixels, and the resizes. Defaults are torchvision's. */

import { ConfigError } from '../../util/errors.js';
import type { Random } from '../random.js';
import { type Box, centerCrop as centerCropOf, type Planes, resizedSize, resize as resizeTo } from '../resize.js';
import { erase, horizontalFlip, pad as padOf, resizedCrop, verticalFlip } from './geometry.js';
import { define, defineOf, left, needed } from './picture.js';
import {
  either,
  fill,
  flag,
  interval,
  maxSide,
  oneOf,
  orNull,
  type Pair,
  probability,
  type Rule,
  real,
  refuse,
  side,
  size,
  whole,
} from './rules.js';

const interpolation = oneOf('bilinear', 'bicubic', 'nearest');
const paddingMode = oneOf('constant', 'edge', 'reflect', 'symmetric');

/** One number for all sides, [left and right, top and bottom], or [left, top, right, bottom]. */
const padding: Rule<readonly number[], number | readonly number[]> = (value, where) => {
  const pixels = whole({ min: 0, max: maxSide });
  if (!Array.isArray(value)) return new Array<number>(4).fill(pixels(value, where));
  const sides = value.map((v, i) => pixels(v, `${where}[${i}]`));
  if (sides.length === 4) return sides;
  return sides.length === 2 ? [...sides, ...sides] : refuse(where, 'a number, or a list of 2 or 4', value);
};

/**
 * The shorter side to `size`, or the picture to exactly [height, width]; antialiased, Pillow's filters. `maxSize`: the longer side is at
 * most that, and the shorter one smaller in proportion.
 */
export const resize = defineOf(
  'resize',
  'size',
  {
    size: needed(either(Array.isArray, size, side)),
    interpolation: left(interpolation, 'bilinear'),
    maxSize: left(orNull(side), null),
  },
  (o) => (picture) => {
    const [, h, w] = picture.shape;
    const [height, width] = resizedSize(h, w, o.size);
    const longer = Math.max(height, width);
    if (typeof o.size !== 'number' || o.maxSize === null || longer <= o.maxSize) {
      return resizeTo(picture, height, width, o.interpolation);
    }
    const shorter = Math.max(1, Math.trunc((o.maxSize * o.size) / longer));
    return h <= w
      ? resizeTo(picture, shorter, o.maxSize, o.interpolation)
      : resizeTo(picture, o.maxSize, shorter, o.interpolation);
  },
);

/** The middle; black where the picture is smaller. */
export const centerCrop = defineOf(
  'centerCrop',
  'size',
  { size: needed(size) },
  (o) => (picture) => centerCropOf(picture, ...o.size),
);

/** `padding` more pixels: on all sides, [left and right, top and bottom], or [left, top, right, bottom]. */
export const pad = defineOf(
  'pad',
  'padding',
  { padding: needed(padding), fill: left(fill, 0), paddingMode: left(paddingMode, 'constant') },
  (o) => (picture) => padOf(picture, sidesOf(o.padding), { mode: o.paddingMode, fill: o.fill }),
);

/**
 * A part of that size from anywhere, after padding. `padIfNeeded` pads pictures that are too small, on both sides. @throws {ConfigError}
 * when applied to a picture that is smaller, otherwise
 */
export const randomCrop = defineOf(
  'randomCrop',
  'size',
  {
    size: needed(size),
    padding: left(orNull(padding), null),
    padIfNeeded: left(flag, false),
    fill: left(fill, 0),
    paddingMode: left(paddingMode, 'constant'),
  },
  (o) => (picture, random) => {
    const [height, width] = o.size;
    const [, h, w] = picture.shape;
    let { left: l, top: t, right: r, bottom: b } = sidesOf(o.padding ?? [0, 0, 0, 0]);
    if (o.padIfNeeded) {
      const [missingY, missingX] = [Math.max(0, height - h - t - b), Math.max(0, width - w - l - r)];
      [l, t, r, b] = [l + missingX, t + missingY, r + missingX, b + missingY];
    }
    const [moreY, moreX] = [h + t + b - height, w + l + r - width];
    if (moreY < 0 || moreX < 0) {
      throw new ConfigError(
        `randomCrop: ${height} × ${width} is larger than the picture, ${h + t + b} × ${w + l + r} with its padding. Pass padIfNeeded: true, or resize first`,
      );
    }
    const [top, across] = [random.integer(0, moreY + 1) - t, random.integer(0, moreX + 1) - l];
    // One step: what is cut away is not padded first.
    const sides = { top: -top, left: -across, bottom: top + height - h, right: across + width - w };
    return padOf(picture, sides, { mode: o.paddingMode, fill: o.fill });
  },
);

/** A part of a random share of the area (`scale`) and aspect ratio (`ratio`, evenly in its logarithm), resized to `size`. */
export const randomResizedCrop = defineOf(
  'randomResizedCrop',
  'size',
  {
    size: needed(size),
    scale: left(interval(real({ min: 0, max: 1 })), [0.08, 1]),
    ratio: left(interval(real({ min: 1e-3, max: 1e3 })), [3 / 4, 4 / 3]),
    interpolation: left(interpolation, 'bilinear'),
  },
  (o) => (picture, random) =>
    resizedCrop(picture, randomPart(picture, o.scale, o.ratio, random), o.size, o.interpolation),
);

export const randomHorizontalFlip = define(
  'randomHorizontalFlip',
  { p: left(probability, 0.5) },
  (o) => (picture, random) => (random.chance(o.p) ? horizontalFlip(picture) : picture),
);

export const randomVerticalFlip = define(
  'randomVerticalFlip',
  { p: left(probability, 0.5) },
  (o) => (picture, random) => (random.chance(o.p) ? verticalFlip(picture) : picture),
);

/**
 * A rectangle of a random share of the area and aspect ratio is overwritten: by `value` (one, or one for each channel) or by 'random'
 * bytes. Zhong et al. 2017, arXiv:1708.04896.
 */
export const randomErasing = define(
  'randomErasing',
  {
    p: left(probability, 0.5),
    scale: left(interval(real({ min: 0, max: 1 })), [0.02, 0.33]),
    ratio: left(interval(real({ min: 1e-3, max: 1e3 })), [0.3, 3.3]),
    value: left(
      either((v) => typeof v === 'string', oneOf('random'), fill),
      0,
    ),
  },
  (o) => (picture, random) => {
    if (!random.chance(o.p)) return picture;
    const [channels, h, w] = picture.shape;
    const area = h * w;
    for (let attempt = 0; attempt < 10; attempt++) {
      const erased = area * random.uniform(...o.scale);
      const ratio = randomRatio(o.ratio, random); // height to width, here
      const [height, width] = [Math.round(Math.sqrt(erased * ratio)), Math.round(Math.sqrt(erased / ratio))];
      if (height >= h || width >= w) continue;
      const box = { top: random.integer(0, h - height + 1), left: random.integer(0, w - width + 1), height, width };
      if (o.value !== 'random') return erase(picture, box, o.value);
      const bytes = Uint8Array.from({ length: channels * height * width }, () => random.integer(0, 256));
      return erase(picture, box, bytes);
    }
    return picture;
  },
);

/** Ten attempts; then the largest middle part whose aspect ratio is allowed. */
function randomPart({ shape: [, h, w] }: Planes, scale: Pair, ratios: Pair, random: Random): Box {
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = h * w * random.uniform(...scale);
    const ratio = randomRatio(ratios, random);
    const [height, width] = [Math.round(Math.sqrt(area / ratio)), Math.round(Math.sqrt(area * ratio))];
    if (height < 1 || height > h || width < 1 || width > w) continue;
    return { top: random.integer(0, h - height + 1), left: random.integer(0, w - width + 1), height, width };
  }
  const own = w / h;
  const height = own < ratios[0] ? Math.max(1, Math.min(h, Math.round(w / ratios[0]))) : h;
  const width = own > ratios[1] ? Math.max(1, Math.min(w, Math.round(h * ratios[1]))) : w;
  return { top: (h - height) >> 1, left: (w - width) >> 1, height, width };
}

function randomRatio([least, most]: Pair, random: Random): number {
  return Math.exp(random.uniform(Math.log(least), Math.log(most)));
}

function sidesOf([l, top, right, bottom]: readonly number[]) {
  return { left: l, top, right, bottom };
}

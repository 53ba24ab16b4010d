/** Random colours, sharpness and the like. Defaults are torchvision's. */

import type { Random } from '../random.js';
import type { Planes } from '../resize.js';
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  autocontrast,
  equalize,
  invert,
  posterize,
  rgbToGrayscale,
  solarize,
} from './color.js';
import { adjustSharpness, gaussianBlur as blurOf } from './filters.js';
import { define, defineOf, left, needed } from './picture.js';
import { interval, odd, orNull, type Pair, probability, type Rule, real, same, whole } from './rules.js';

/** a: factors from max(0, 1 − a) to 1 + a; or [least, most]. */
const factors: Rule<Pair, number | Pair> = (value, where) => {
  if (Array.isArray(value)) return interval(real({ min: 0 }))(value, where);
  const most = real({ min: 0 })(value, where);
  return [Math.max(0, 1 - most), 1 + most];
};

/** a: from −a to a; or [least, most]. In turns of the colour circle. */
const hues: Rule<Pair, number | Pair> = (value, where) => {
  if (Array.isArray(value)) return interval(real({ min: -0.5, max: 0.5 }))(value, where);
  const most = real({ min: 0, max: 0.5 })(value, where);
  return [-most, most];
};

/** Brightness, contrast, saturation and hue, each by a random factor, in random order. What is left out is left alone. */
export const colorJitter = define(
  'colorJitter',
  {
    brightness: left(orNull(factors), null),
    contrast: left(orNull(factors), null),
    saturation: left(orNull(factors), null),
    hue: left(orNull(hues), null),
  },
  (o) => {
    const steps: { range: Pair; adjust: (picture: Planes, factor: number) => Planes }[] = [];
    if (o.brightness !== null) steps.push({ range: o.brightness, adjust: adjustBrightness });
    if (o.contrast !== null) steps.push({ range: o.contrast, adjust: adjustContrast });
    if (o.saturation !== null) steps.push({ range: o.saturation, adjust: adjustSaturation });
    if (o.hue !== null) steps.push({ range: o.hue, adjust: adjustHue });
    return (picture, random) => {
      const drawn = steps.map(({ range, adjust }) => ({ adjust, factor: random.uniform(...range) }));
      return inRandomOrder(drawn, random).reduce((current, { adjust, factor }) => adjust(current, factor), picture);
    };
  },
);

/** Grey, in as many channels as asked for. */
export const grayscale = define(
  'grayscale',
  { channels: left(whole({ min: 1, max: 3 }), 1) },
  (o) => (picture) => rgbToGrayscale(picture, o.channels === 3 ? 3 : 1),
);

/** Grey, in as many channels as before. */
export const randomGrayscale = define(
  'randomGrayscale',
  { p: left(probability, 0.1) },
  (o) => (picture, random) => (random.chance(o.p) ? rgbToGrayscale(picture, picture.shape[0] === 3 ? 3 : 1) : picture),
);

/** Blurred by a random sigma of [least, most] pixels; `kernelSize` is odd, one number or [x, y]. */
export const gaussianBlur = defineOf(
  'gaussianBlur',
  'kernelSize',
  { kernelSize: needed(same(odd)), sigma: left(sigmas(), [0.1, 2]) },
  (o) => (picture, random) => blurOf(picture, o.kernelSize, random.uniform(...o.sigma)),
);

/** 0 is a little blurred, 1 as it is, 2 sharper. */
export const randomAdjustSharpness = defineOf(
  'randomAdjustSharpness',
  'factor',
  { factor: needed(real({ min: 0 })), p: left(probability, 0.5) },
  (o) => sometimes(o.p, (picture) => adjustSharpness(picture, o.factor)),
);

/** Values from `threshold` on inverted. */
export const randomSolarize = defineOf(
  'randomSolarize',
  'threshold',
  { threshold: needed(real({ min: 0, max: 255 })), p: left(probability, 0.5) },
  (o) => sometimes(o.p, (picture) => solarize(picture, o.threshold)),
);

/** Only the first `bits` bits of each byte. */
export const randomPosterize = defineOf(
  'randomPosterize',
  'bits',
  { bits: needed(whole({ min: 0, max: 8 })), p: left(probability, 0.5) },
  (o) => sometimes(o.p, (picture) => posterize(picture, o.bits)),
);

export const randomEqualize = define('randomEqualize', { p: left(probability, 0.5) }, (o) => sometimes(o.p, equalize));

export const randomAutocontrast = define('randomAutocontrast', { p: left(probability, 0.5) }, (o) =>
  sometimes(o.p, autocontrast),
);

export const randomInvert = define('randomInvert', { p: left(probability, 0.5) }, (o) => sometimes(o.p, invert));

function sigmas(): Rule<Pair, number | Pair> {
  const positive = real({ min: 1e-3, max: 100 });
  return (value, where) => {
    if (Array.isArray(value)) return interval(positive)(value, where);
    const one = positive(value, where);
    return [one, one];
  };
}

function sometimes(p: number, change: (picture: Planes) => Planes) {
  return (picture: Planes, random: Random): Planes => (random.chance(p) ? change(picture) : picture);
}

function inRandomOrder<T>(list: readonly T[], random: Random): T[] {
  const order = [...list];
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.integer(0, i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/**
 * Policies that were searched for, or need no search: RandAugment (Cubuk et al. 2019, arXiv:1909.13719), TrivialAugment Wide (Müller &
 * Hutter 2021, arXiv:2103.10158) and AutoAugment (Cubuk et al. 2018, arXiv:1805.09501). All draw from one table of operations, whose
 * strengths are torchvision's.
 */

import { ConfigError } from '../../util/errors.js';
import type { Random } from '../random.js';
import type { Planes } from '../resize.js';
import {
  adjustBrightness,
  adjustContrast,
  adjustSaturation,
  autocontrast,
  equalize,
  invert,
  posterize,
  solarize,
} from './color.js';
import { adjustSharpness } from './filters.js';
import { define, left } from './picture.js';
import { fill, oneOf, orNull, whole } from './rules.js';
import { affine, rotate, type WarpOptions } from './warp.js';

/** How strong each operation is at its strongest. */
interface Space {
  readonly shear: number;
  readonly rotate: number;
  readonly color: number;
  /** Bits that posterising takes away. */
  readonly posterize: number;
  /** In pixels of a side. */
  readonly translate: (side: number) => number;
}

const standard: Space = {
  shear: 0.3,
  rotate: 30,
  color: 0.9,
  posterize: 4,
  translate: (side) => (150 / 331) * side,
};
const wide: Space = { shear: 0.99, rotate: 135, color: 0.99, posterize: 6, translate: () => 32 };

interface Operation {
  /** Goes both ways: the strength is negative half of the time. */
  readonly signed: boolean;
  /** `level` gives the strength between none and the most that the space allows, with its sign. */
  apply(picture: Planes, level: Level, space: Space, options: WarpOptions): Planes;
}

type Level = (most: number, none?: number) => number;

/** tan of the angle is the shear; about the upper left corner, as the paper's pictures were. */
const degreesOf = (shear: number) => (Math.atan(shear) * 180) / Math.PI;

const operations = {
  identity: { signed: false, apply: (picture) => picture },
  shearX: {
    signed: true,
    apply: (p, level, space, o) => affine(p, { shear: [degreesOf(level(space.shear)), 0], center: [0, 0], ...o }),
  },
  shearY: {
    signed: true,
    apply: (p, level, space, o) => affine(p, { shear: [0, degreesOf(level(space.shear))], center: [0, 0], ...o }),
  },
  translateX: {
    signed: true,
    apply: (p, level, space, o) => affine(p, { translate: [Math.trunc(level(space.translate(p.shape[2]))), 0], ...o }),
  },
  translateY: {
    signed: true,
    apply: (p, level, space, o) => affine(p, { translate: [0, Math.trunc(level(space.translate(p.shape[1])))], ...o }),
  },
  rotate: { signed: true, apply: (p, level, space, o) => rotate(p, level(space.rotate), o) },
  brightness: { signed: true, apply: (p, level, space) => adjustBrightness(p, 1 + level(space.color)) },
  color: { signed: true, apply: (p, level, space) => adjustSaturation(p, 1 + level(space.color)) },
  contrast: { signed: true, apply: (p, level, space) => adjustContrast(p, 1 + level(space.color)) },
  sharpness: { signed: true, apply: (p, level, space) => adjustSharpness(p, 1 + level(space.color)) },
  posterize: { signed: false, apply: (p, level, space) => posterize(p, Math.round(8 - level(space.posterize))) },
  solarize: { signed: false, apply: (p, level) => solarize(p, 255 * level(0, 1)) },
  autoContrast: { signed: false, apply: (p) => autocontrast(p) },
  equalize: { signed: false, apply: (p) => equalize(p) },
  invert: { signed: false, apply: (p) => invert(p) },
} satisfies Record<string, Operation>;

type OperationName = keyof typeof operations;

/** Those RandAugment and TrivialAugment draw from. */
const drawn = (Object.keys(operations) as OperationName[]).filter((name) => name !== 'invert');

/** The operation with number `magnitude` of `bins` strengths. */
function perform(
  picture: Planes,
  name: OperationName,
  [magnitude, bins]: readonly [magnitude: number, bins: number],
  space: Space,
  random: Random,
  options: WarpOptions,
): Planes {
  const operation: Operation = operations[name];
  const sign = operation.signed && random.chance(0.5) ? -1 : 1;
  const level: Level = (most, none = 0) => sign * evenly(none, most, magnitude, bins);
  return operation.apply(picture, level, space, options);
}

/**
 * Number i of n from `first` to `last`, in float32 and counted from the nearer end, as PyTorch's linspace is: where bytes are cut off, that
 * decides.
 */
function evenly(first: number, last: number, i: number, n: number): number {
  const f32 = Math.fround;
  const step = f32(f32(f32(last) - f32(first)) / (n - 1));
  return i < n / 2 ? f32(f32(first) + step * i) : f32(f32(last) - step * (n - 1 - i));
}

const appearance = {
  interpolation: left(oneOf('nearest', 'bilinear'), 'nearest'),
  fill: left(orNull(fill), null),
};

function warpOptions(o: {
  interpolation: 'nearest' | 'bilinear';
  fill: number | readonly number[] | null;
}): WarpOptions {
  return { interpolation: o.interpolation, ...(o.fill !== null && { fill: o.fill }) };
}

/** `numOps` operations one after the other, each drawn evenly, all of strength `magnitude` of `numMagnitudeBins`. */
export const randAugment = define(
  'randAugment',
  {
    numOps: left(whole({ min: 0, max: 64 }), 2),
    magnitude: left(whole({ min: 0, max: 1000 }), 9),
    numMagnitudeBins: left(whole({ min: 2, max: 1001 }), 31),
    ...appearance,
  },
  (o) => {
    if (o.magnitude >= o.numMagnitudeBins) {
      throw new ConfigError(
        `randAugment: magnitude ${o.magnitude} is beyond the last of ${o.numMagnitudeBins} bins, ${o.numMagnitudeBins - 1}`,
      );
    }
    const strength = [o.magnitude, o.numMagnitudeBins] as const;
    return (picture, random) => {
      let current = picture;
      for (let i = 0; i < o.numOps; i++) {
        current = perform(current, random.choice(drawn), strength, standard, random, warpOptions(o));
      }
      return current;
    };
  },
);

/** One operation, drawn evenly, of a strength drawn evenly from a wide range. Nothing to tune. */
export const trivialAugmentWide = define(
  'trivialAugmentWide',
  { numMagnitudeBins: left(whole({ min: 2, max: 1001 }), 31), ...appearance },
  (o) => (picture, random) => {
    const name = random.choice(drawn);
    const strength = [random.integer(0, o.numMagnitudeBins), o.numMagnitudeBins] as const;
    return perform(picture, name, strength, wide, random, warpOptions(o));
  },
);

type Step = readonly [name: OperationName, probability: number, magnitude: number];
type Policy = readonly (readonly [Step, Step])[];

/** "posterize 0.4 8, rotate 0.6 9": two operations, each with its probability and its strength of 0 … 9. Tables 9 and 7 of the paper. */
const policies: Record<'imagenet' | 'cifar10', Policy> = {
  imagenet: policy(`
    posterize 0.4 8, rotate 0.6 9
    solarize 0.6 5, autoContrast 0.6 5
    equalize 0.8 8, equalize 0.6 3
    posterize 0.6 7, posterize 0.6 6
    equalize 0.4 7, solarize 0.2 4
    equalize 0.4 4, rotate 0.8 8
    solarize 0.6 3, equalize 0.6 7
    posterize 0.8 5, equalize 1.0 2
    rotate 0.2 3, solarize 0.6 8
    equalize 0.6 8, posterize 0.4 6
    rotate 0.8 8, color 0.4 0
    rotate 0.4 9, equalize 0.6 2
    equalize 0.0 7, equalize 0.8 8
    invert 0.6 4, equalize 1.0 8
    color 0.6 4, contrast 1.0 8
    rotate 0.8 8, color 1.0 2
    color 0.8 8, solarize 0.8 7
    sharpness 0.4 7, invert 0.6 8
    shearX 0.6 5, equalize 1.0 9
    color 0.4 0, equalize 0.6 3
    equalize 0.4 7, solarize 0.2 4
    solarize 0.6 5, autoContrast 0.6 5
    invert 0.6 4, equalize 1.0 8
    color 0.6 4, contrast 1.0 8
    equalize 0.8 8, equalize 0.6 3`),
  cifar10: policy(`
    invert 0.1 7, contrast 0.2 6
    rotate 0.7 2, translateX 0.3 9
    sharpness 0.8 1, sharpness 0.9 3
    shearY 0.5 8, translateY 0.7 9
    autoContrast 0.5 8, equalize 0.9 2
    shearY 0.2 7, posterize 0.3 7
    color 0.4 3, brightness 0.6 7
    sharpness 0.3 9, brightness 0.7 9
    equalize 0.6 5, equalize 0.5 1
    contrast 0.6 7, sharpness 0.6 5
    color 0.7 7, translateX 0.5 8
    equalize 0.3 7, autoContrast 0.4 8
    translateY 0.4 3, sharpness 0.2 6
    brightness 0.9 6, color 0.2 8
    solarize 0.5 2, invert 0.0 3
    equalize 0.2 0, autoContrast 0.6 0
    equalize 0.2 8, equalize 0.6 4
    color 0.9 9, equalize 0.6 6
    autoContrast 0.8 4, solarize 0.2 8
    brightness 0.1 3, color 0.7 0
    solarize 0.4 5, autoContrast 0.9 3
    translateY 0.9 9, translateY 0.7 9
    autoContrast 0.9 2, solarize 0.8 3
    equalize 0.8 8, invert 0.1 3
    translateY 0.7 9, autoContrast 0.9 1`),
};

/** One of 25 pairs of operations that a search found for ImageNet, or for CIFAR-10. */
export const autoAugment = define(
  'autoAugment',
  { policy: left(oneOf('imagenet', 'cifar10'), 'imagenet'), ...appearance },
  (o) => (picture, random) => {
    let current = picture;
    for (const [name, probability, magnitude] of random.choice(policies[o.policy])) {
      if (random.chance(probability)) {
        current = perform(current, name, [magnitude, 10], standard, random, warpOptions(o));
      }
    }
    return current;
  },
);

function policy(text: string): Policy {
  const step = (words: string): Step => {
    const [name, probability, magnitude] = words.trim().split(' ');
    return [name as OperationName, Number(probability), Number(magnitude)];
  };
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [first, second] = line.split(',');
      return [step(first), step(second)];
    });
}

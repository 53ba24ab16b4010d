/** Random rotations, shears, tilts and bends. Defaults are torchvision's. */

import type { Random } from '../random.js';
import type { Planes } from '../resize.js';
import { gaussianKernel, separable } from './filters.js';
import { define, defineOf, left, needed } from './picture.js';
import {
  around,
  fill,
  flag,
  interval,
  oneOf,
  orNull,
  type Pair,
  pairOf,
  probability,
  type Rule,
  real,
  refuse,
  same,
} from './rules.js';
import { affine, elastic, perspective, rotate, threeOnOneLine } from './warp.js';

const interpolation = oneOf('nearest', 'bilinear');

/** Turned by `degrees`: a number a for −a … a, or [least, most], to the left. */
export const randomRotation = defineOf(
  'randomRotation',
  'degrees',
  {
    degrees: needed(around),
    interpolation: left(interpolation, 'nearest'),
    expand: left(flag, false),
    center: left(orNull(pairOf(real())), null),
    fill: left(fill, 0),
  },
  ({ degrees, center, ...options }) =>
    (picture, random) =>
      rotate(picture, random.uniform(...degrees), { ...options, ...(center !== null && { center }) }),
);

/** Shears along x: a for −a … a, or [least, most]; along y too with two more numbers. In degrees. */
const shear: Rule<readonly number[], number | readonly number[]> = (value, where) => {
  if (!Array.isArray(value) || value.length === 2) return around(value, where);
  if (value.length !== 4) return refuse(where, 'a number, or a list of 2 or 4', value);
  return [...around(value.slice(0, 2), where), ...around(value.slice(2), where)];
};

/**
 * Turned by `degrees` (a number a for −a … a, or [least, most], to the right), moved by up to `translate` (shares of width and height),
 * scaled by `scale` [least, most] and sheared.
 */
export const randomAffine = defineOf(
  'randomAffine',
  'degrees',
  {
    degrees: needed(around),
    translate: left(orNull(pairOf(probability)), null),
    scale: left(orNull(interval(real({ min: 1e-3 }))), null),
    shear: left(orNull(shear), null),
    interpolation: left(interpolation, 'nearest'),
    fill: left(fill, 0),
    center: left(orNull(pairOf(real())), null),
  },
  (o) => (picture, random) => {
    const [, height, width] = picture.shape;
    const degrees = random.uniform(...o.degrees);
    const moved = (share: number, side: number) => Math.round(random.uniform(-share * side, share * side));
    const translate: Pair = o.translate ? [moved(o.translate[0], width), moved(o.translate[1], height)] : [0, 0];
    const scale = o.scale ? random.uniform(...o.scale) : 1;
    const shearX = o.shear ? random.uniform(o.shear[0], o.shear[1]) : 0;
    const shearY = o.shear?.length === 4 ? random.uniform(o.shear[2], o.shear[3]) : 0;
    return affine(picture, {
      degrees,
      translate,
      scale,
      shear: [shearX, shearY],
      interpolation: o.interpolation,
      fill: o.fill,
      ...(o.center !== null && { center: o.center }),
    });
  },
);

/** Each corner moved inwards by up to `distortionScale` of half the picture. */
export const randomPerspective = define(
  'randomPerspective',
  {
    distortionScale: left(probability, 0.5),
    p: left(probability, 0.5),
    interpolation: left(interpolation, 'bilinear'),
    fill: left(fill, 0),
  },
  (o) => (picture, random) => {
    if (!random.chance(o.p)) return picture;
    const [, height, width] = picture.shape;
    // A picture of one row or column has no corners to move.
    if (height < 2 || width < 2) return picture;
    const inwards = (side: number) => random.integer(0, Math.trunc(o.distortionScale * Math.trunc(side / 2)) + 1);
    const [right, bottom] = [width - 1, height - 1];
    const from: Pair[] = [
      [0, 0],
      [right, 0],
      [right, bottom],
      [0, bottom],
    ];
    const to: Pair[] = [
      [inwards(width), inwards(height)],
      [right - inwards(width), inwards(height)],
      [right - inwards(width), bottom - inwards(height)],
      [inwards(width), bottom - inwards(height)],
    ];
    return threeOnOneLine(to) ? picture : perspective(picture, from, to, o);
  },
);

/**
 * Bent like rubber: each pixel from up to `alpha` pixels away, neighbours alike by a blur of `sigma`; a number or [x, y]. Simard et al.
 * 2003, "Best practices for convolutional neural networks applied to visual document analysis".
 */
export const elasticTransform = define(
  'elasticTransform',
  {
    alpha: left(same(real({ min: 0, max: 1e4 })), 50),
    sigma: left(same(real({ min: 0, max: 30 })), 5),
    interpolation: left(interpolation, 'bilinear'),
    fill: left(fill, 0),
  },
  (o) => (picture, random) => elastic(picture, randomDisplacement(picture, o.alpha, o.sigma, random), o),
);

function randomDisplacement(
  { shape: [, height, width] }: Planes,
  alpha: Pair,
  sigma: Pair,
  random: Random,
): Float32Array {
  const out = new Float32Array(2 * height * width);
  for (const axis of [0, 1]) {
    const noise = Float32Array.from({ length: height * width }, () => random.uniform(-1, 1));
    // The size of the kernel follows this axis' sigma, its two widths are sigma along x and y.
    const kernelSize = Math.trunc(8 * sigma[axis] + 1) | 1;
    const kernel = (s: number) => gaussianKernel(s > 0 ? kernelSize : 1, s > 0 ? s : 1);
    const field =
      sigma[axis] > 0
        ? separable(noise, height, width, kernel(sigma[0]), kernel(sigma[1]))
        : { values: noise, stride: width };
    const scale = alpha[axis] / (axis === 0 ? width : height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) out[2 * (y * width + x) + axis] = field.values[y * field.stride + x] * scale;
    }
  }
  return out;
}

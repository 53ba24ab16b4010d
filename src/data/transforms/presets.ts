/**
 * Lists of transforms that a user picks by one word, from none at all to the strongest. Each begins from a picture at least as large as the
 * model wants (a data set hands it out at its working size, the shorter side a little longer) and ends at exactly that size.
 */

import { ConfigError, suggest } from '../../util/errors.js';
import { autoAugment, randAugment, trivialAugmentWide } from './auto-augment.js';
import { colorJitter } from './colors.js';
import { centerCrop, randomCrop, randomHorizontalFlip, randomResizedCrop, resize } from './crops.js';
import type { PictureTransform } from './picture.js';

export interface PresetOptions {
  /** Whether a mirrored picture is still of its class: not for digits and letters. Left out: true. */
  readonly flip?: boolean;
}

export type Preset = (
  size: number | readonly [height: number, width: number],
  options?: PresetOptions,
) => PictureTransform[];

export type PresetName = 'none' | 'light' | 'standard' | 'rand' | 'trivial' | 'auto';

/** Pictures up to this size are cropped from a padded frame rather than zoomed into: they have no pixels to spare. */
const smallSide = 64;

export const presets: Readonly<Record<PresetName, Preset>> = {
  /** What prediction sees. */
  none: (size) => [resize(shorterOf(size)), centerCrop(size)],

  /** A small shift or zoom, and flips: for few epochs, fine-tuning, small pictures. */
  light: (size, options) => {
    const [height, width] = pairOf(size);
    const zoom = randomResizedCrop(size, { scale: [0.7, 1], ratio: [0.9, 1.1] });
    const shift = [
      resize(shorterOf(size)),
      centerCrop(size),
      randomCrop(size, { padding: [eighth(width), eighth(height)] }),
    ];
    return [...(Math.max(height, width) <= smallSide ? shift : [zoom]), ...flips(options)];
  },

  /** As ImageNet's networks were trained: any part of at least an eighth of the picture's area, colours a little other. */
  standard: (size, options) => [
    randomResizedCrop(size, { scale: Math.max(...pairOf(size)) <= smallSide ? [0.4, 1] : [0.08, 1] }),
    ...flips(options),
    colorJitter({ brightness: 0.2, contrast: 0.2, saturation: 0.2 }),
  ],

  rand: (size, options) => [...geometry(size, options), randAugment()],
  trivial: (size, options) => [...geometry(size, options), trivialAugmentWide()],
  auto: (size, options) => [
    ...geometry(size, options),
    autoAugment({ policy: Math.max(...pairOf(size)) <= smallSide ? 'cifar10' : 'imagenet' }),
  ],
};

/** @throws {ConfigError} with the nearest name */
export function presetOf(name: string): Preset {
  if (Object.hasOwn(presets, name)) return presets[name as PresetName];
  const near = suggest(name, Object.keys(presets));
  const hint = near === null ? '' : `. Did you mean '${near}'?`;
  throw new ConfigError(
    `there is no preset '${name}' of transforms${hint} They are ${Object.keys(presets).join(', ')}`,
  );
}

/** The crop and flip that the searched policies were found with: those of small pictures, or ImageNet's. */
function geometry(size: number | readonly [number, number], options: PresetOptions = {}): PictureTransform[] {
  if (Math.max(...pairOf(size)) <= smallSide) return presets.light(size, options);
  return [randomResizedCrop(size), ...flips(options)];
}

function flips({ flip = true }: PresetOptions = {}): PictureTransform[] {
  return flip ? [randomHorizontalFlip()] : [];
}

function pairOf(size: number | readonly [number, number]): readonly [number, number] {
  return typeof size === 'number' ? [size, size] : size;
}

/** Of a frame of 32 pixels, 4: as He et al. 2015 trained on CIFAR-10. */
function eighth(side: number): number {
  return Math.max(1, Math.round(side / 8));
}

/** A shorter side that fills the size; a stretched picture where it is not a square. */
function shorterOf(size: number | readonly [number, number]): number | readonly [number, number] {
  const [height, width] = pairOf(size);
  return height === width ? height : [height, width];
}

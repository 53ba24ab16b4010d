/** How files of pictures are brought to a model, where the user leaves it open: size, statistics, random transforms. */

import { transforms } from '../../data/index.js';
import type { JsonObject } from '../../io/index.js';
import type { ModelBuilder, Preprocessing } from '../../models/index.js';
import { UsageError } from '../usage.js';
import type { Flags } from './flags.js';

/** `fitted`: mean and deviation are still to be taken from the training pictures. */
export type ChosenPreprocessing = Preprocessing & { readonly fitted: boolean };

/** Pictures of at most so many pixels a side are shown whole: nothing is cut off that a label may depend on. */
const smallSide = 64;

export const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/**
 * What the weights want, else what the model's published ones do, else the model's own input size. Another `size` keeps the margin around the crop.
 */
export function preprocessingFor(
  { input, preprocessing, modelName }: ModelBuilder,
  wanted: Preprocessing | null,
  { channels, size, statistics }: { channels: 1 | 3; size?: number; statistics?: Flags['statistics'] },
): ChosenPreprocessing {
  const usual = wanted ?? preprocessing ?? null;
  const crop = size === undefined ? (usual?.crop ?? ([input[1], input[2]] as const)) : ([size, size] as const);
  const interpolation = usual?.interpolation ?? 'bilinear';
  const resize = resizeFor(crop, usual);
  if (statistics === 'imagenet') {
    if (channels !== 3) throw new UsageError('--statistics imagenet are of three colours; these pictures are grey.');
    return { resize, crop, interpolation, ...imagenet, fitted: false };
  }
  if (wanted !== null && statistics === undefined) {
    if (wanted.mean.length !== channels) {
      throw new UsageError(
        `The weights of ${modelName} want ${wanted.mean.length} channels; these pictures are read with ${channels}.`,
      );
    }
    return { resize, crop, interpolation, mean: wanted.mean, std: wanted.std, fitted: false };
  }
  const plain = new Array<number>(channels).fill(0);
  return { resize, crop, interpolation, mean: plain, std: plain.map(() => 1), fitted: true };
}

/** The shorter side before the crop. */
function resizeFor(crop: readonly [number, number], usual: Preprocessing | null): Preprocessing['resize'] {
  const side = Math.min(...crop);
  if (side <= smallSide) return side;
  if (usual === null) return Math.floor(side / 0.875);
  if (typeof usual.resize !== 'number') return [...crop];
  return Math.floor((side * usual.resize) / Math.min(...usual.crop));
}

/** The more often pictures are seen, the more they have to differ: Fashion-MNIST in 2 epochs reaches 91 % as it is and 85 % with 'light'. */
export const epochsForLight = 4;
export const epochsForStandard = 10;

/** As JSON. Left open: by the number of epochs; small pictures get no more than 'light', and pictures for weights to begin from no less. */
export function augmentation({ crop }: Preprocessing, { augment, flip = true, epochs, weights }: Flags): JsonObject[] {
  const small = Math.min(...crop) <= smallSide;
  const usual =
    epochs >= epochsForStandard && !small
      ? 'standard'
      : epochs >= epochsForLight || (weights !== undefined && !small)
        ? 'light'
        : 'none';
  const chosen = augment ?? usual;
  return chosen === 'none' ? [] : transforms.toJson(transforms.presets[chosen](crop, { flip }));
}

/**
 * Is a heat map right about the model? Deletion takes away pixels, hottest first, and watches the probability fall; insertion puts them back on a blurred
 * picture and watches it rise. A small area under the first curve and a large one under the second speak for the map.
 */

import type { Module } from '../nn/index.js';
import { fromOwned, type Tensor } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { type AskOptions, checkPictures, resolveClasses } from './ask.js';
import { type ApplyMasks, maskedModel } from './masked.js';
import { gaussianBlur } from './similarity.js';

export interface InsertionDeletionOptions extends AskOptions {
  /** Points of a curve besides the first, default 50. */
  readonly steps?: number;
  /** Standard deviation of the blur that insertion begins with, in pixels; default 5 for pictures of 224, smaller ones in proportion. */
  readonly blur?: number;
  /** How many pictures go through the model at once, default 32. */
  readonly batchSize?: number;
}

export interface Curve {
  /** Probability of the class after each step [steps + 1]. */
  readonly probabilities: Float32Array;
  /** Area under the curve with the pixels' share on the other axis, 0 … 1. */
  readonly auc: number;
}

/**
 * Both curves for each picture of x [N, C, H, W] and its heat map [N, H, W]. @throws {ShapeError} for maps of another size
 * Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421, section 4.3: deleted pixels become 0, inserted ones appear on a blurred picture.
 */
export async function insertionDeletion(
  model: Module,
  x: Tensor,
  maps: Tensor,
  { target, steps = 50, blur, batchSize = 32, onProgress }: InsertionDeletionOptions = {},
): Promise<{ deletion: Curve; insertion: Curve }[]> {
  checkPictures('insertionDeletion', x);
  const [count, channels, height, width] = x.shape;
  if (maps.ndim !== 3 || maps.shape[0] !== count || maps.shape[1] !== height || maps.shape[2] !== width) {
    throw new ShapeError(
      `insertionDeletion: one map for each picture\n  x     ${formatShape(x.shape)}   N C H W\n  maps  ${formatShape(maps.shape)}   N H W`,
    );
  }
  const size = height * width;
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= size)) {
    throw new ConfigError(`insertionDeletion: steps must be 1 … ${size}, not ${steps}`);
  }
  const classes = await resolveClasses(model, x, target);
  const asked = { target, ask: 'probability', batchSize } as const;
  const remove = maskedModel(model, (picture, masks) => picture.mul(masks.neg().add(1)), asked);
  const insert = maskedModel(model, overBlurred, asked);
  const heat = await maps.data();
  const values = (await x.data()) as Float32Array;
  const sigma = blur ?? (5 * Math.min(height, width)) / 224;
  const results: { deletion: Curve; insertion: Curve }[] = [];
  const total = 2 * count * (steps + 1);
  for (let n = 0; n < count; n++) {
    const masks = {
      count: steps + 1,
      shape: [1, height, width],
      fill: hottest(heat.subarray(n * size, (n + 1) * size) as Float32Array, steps),
    };
    const own = values.subarray(n * channels * size, (n + 1) * channels * size);
    const pair = new Float32Array(2 * own.length);
    pair.set(own);
    pair.set(gaussianBlur(own, [channels, height, width], sigma), own.length);
    const wanted = classes?.[n] ?? null;
    const before = 2 * n * (steps + 1);
    const deletion = await remove(x.narrow(0, n, 1), masks, wanted, (done) => onProgress?.(before + done, total));
    const both = fromOwned(pair, [2, channels, height, width], 'float32');
    const insertion = await insert(both, masks, wanted, (done) => onProgress?.(before + steps + 1 + done, total));
    results.push({ deletion: curve(deletion), insertion: curve(insertion) });
  }
  return results;
}

/** The picture where the mask is 1, its blurred copy elsewhere: [2, C, H, W] and masks [B, 1, H, W] → [B, C, H, W]. */
const overBlurred: ApplyMasks = (pair, masks) => {
  const blurred = pair.narrow(0, 1, 1);
  return pair.narrow(0, 0, 1).sub(blurred).mul(masks).add(blurred);
};

/** Mask i has 1 at the share i / steps of the pixels that are hottest. */
function hottest(heat: Float32Array, steps: number): (into: Float32Array, from: number, many: number) => void {
  const order = Uint32Array.from({ length: heat.length }, (_, i) => i).sort((a, b) => heat[b] - heat[a] || a - b);
  return (into, from, many) => {
    for (let i = 0; i < many; i++) {
      const shown = Math.round(((from + i) * heat.length) / steps);
      for (let r = 0; r < shown; r++) into[i * heat.length + order[r]] = 1;
    }
  };
}

function curve(probabilities: Float32Array): Curve {
  let sum = 0;
  for (let i = 1; i < probabilities.length; i++) sum += (probabilities[i - 1] + probabilities[i]) / 2;
  return { probabilities, auc: sum / (probabilities.length - 1) };
}

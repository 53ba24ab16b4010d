/** SmoothGrad: the gradient averaged over copies of the picture with a little noise, which cancels what fluctuates from pixel to pixel. */

import type { Module } from '../nn/index.js';
import { concat, Generator, randn, realize, type Tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type AskOptions, checkPictures, classTensor, type Explanation, resolveClasses } from './ask.js';
import { pixelGradients } from './gradients.js';
import { pixelHeat } from './heat.js';

export interface SmoothGradOptions extends AskOptions {
  /** Noisy copies, default 50. */
  readonly samples?: number;
  /** Standard deviation of the noise as a share of each picture's range (largest − smallest number), default 0.15. */
  readonly noise?: number;
  readonly seed?: number;
  /** How many pictures go through the model at once, default 16. */
  readonly batchSize?: number;
}

/**
 * Mean of ∂score/∂x over x + noise: x [N, C, H, W] → `raw` of that shape, with signs; `maps` [N, H, W] show the largest of the channels.
 * Source: Smilkov et al. 2017, arXiv:1706.03825.
 */
export async function smoothGrad(
  model: Module,
  x: Tensor,
  { samples = 50, noise = 0.15, seed = 0, batchSize = 16, ...options }: SmoothGradOptions = {},
): Promise<Explanation> {
  checkPictures('smoothGrad', x);
  if (!(Number.isInteger(samples) && samples >= 1))
    throw new ConfigError(`smoothGrad: samples must be 1 or more, not ${samples}`);
  const deviation = x
    .amax([1, 2, 3], { keepDims: true })
    .sub(x.amin([1, 2, 3], { keepDims: true }))
    .mul(noise);
  await realize(deviation);
  const generator = new Generator(seed);
  const draw = (copies: number) => randn([copies, ...x.shape], { generator }).mul(deviation.unsqueeze(0));
  return smoothed(model, x, { samples, draw, batchSize, ...options });
}

/** @internal With any noise: `draw(copies)` gives [copies, N, C, H, W]. */
export async function smoothed(
  model: Module,
  x: Tensor,
  {
    samples,
    draw,
    batchSize,
    target,
    onProgress,
  }: AskOptions & { samples: number; draw: (copies: number) => Tensor; batchSize: number },
): Promise<Explanation> {
  const classes = await resolveClasses(model, x, target);
  const count = x.shape[0];
  const together = Math.min(samples, Math.max(1, Math.floor(batchSize / count)));
  let sum = zeros(x.shape);
  for (let done = 0; done < samples; ) {
    const copies = Math.min(together, samples - done);
    const noisy = x.unsqueeze(0).add(draw(copies)).flatten(0, 1);
    const asked = classes === null ? null : concat(Array.from({ length: copies }, () => classTensor(classes)!));
    const gradients = pixelGradients(model, noisy, { classes: asked, target });
    sum = sum.add(gradients.reshape([copies, ...x.shape]).sum(0));
    await realize(sum);
    sum = sum.detach();
    done += copies;
    onProgress?.(done * count, samples * count);
  }
  const raw = sum.div(samples);
  await realize(raw);
  return { maps: await pixelHeat(raw, 'max'), raw: raw.detach(), classes };
}

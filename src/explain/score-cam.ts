/** Score-CAM: each map of a layer is laid on the picture as a mask, and weighs as much as the model still sees of the class. Needs no gradient. */

import type { Module } from '../nn/index.js';
import { fromOwned, realize, type Tensor } from '../tensor/index.js';
import { checkPictures, listen, resolveClasses } from './ask.js';
import { type CamExplanation, type CamOptions, camExplanation } from './cam.js';
import { findMapLayer, toMaps } from './layers.js';
import { type ApplyMasks, maskedModel } from './masked.js';

export interface ScoreCamOptions extends CamOptions {
  /** How many masked pictures go through the model at once, default 32. */
  readonly batchSize?: number;
}

/**
 * Σ_c α_c · A_c with α = softmax over channels of the score for x · mask_c; mask_c is A_c enlarged to the picture (bilinear with corners on corners)
 * and scaled to 0 … 1. One run of the model for each channel of the layer. x [N, C, H, W] → `raw` [N, h, w], `maps` [N, H, W].
 * @throws {ConfigError} for a layer without maps. Source: Wang et al. 2020, arXiv:1910.01279; details as in pytorch-grad-cam.
 */
export async function scoreCam(
  model: Module,
  x: Tensor,
  { target, layer = 'auto', batchSize = 32, onProgress }: ScoreCamOptions = {},
): Promise<CamExplanation> {
  checkPictures('scoreCam', x);
  const classes = await resolveClasses(model, x, target);
  const run = listen(model, x);
  const { path, output, form } = await findMapLayer(run, layer, x, { classes, target });
  const maps = toMaps(output, form);
  const count = x.shape[0];
  const { channels, height, width } = form;
  const values = (await maps.data()) as Float32Array;
  const ask = maskedModel(model, scaledMasks(x.shape[2], x.shape[3]), { target, ask: 'score', batchSize });
  const weights = new Float32Array(count * channels);
  const size = height * width;
  for (let n = 0; n < count; n++) {
    const own = values.subarray(n * channels * size, (n + 1) * channels * size);
    const masks = {
      count: channels,
      shape: [1, height, width],
      fill: (into: Float32Array, from: number) => into.set(own.subarray(from * size, from * size + into.length)),
    };
    const wanted = classes?.[n] ?? null;
    const scores = await ask(x.narrow(0, n, 1), masks, wanted, (done) =>
      onProgress?.(n * channels + done, count * channels),
    );
    weights.set(scores, n * channels);
  }
  const alpha = fromOwned(weights, [count, channels], 'float32').softmax(1);
  const raw = fromOwned(values, maps.shape, 'float32')
    .mul(alpha.reshape([count, channels, 1, 1]))
    .sum(1);
  await realize(raw);
  return camExplanation(raw, x, { classes, layer: path });
}

function scaledMasks(height: number, width: number): ApplyMasks {
  return (x, maps) => {
    const large = maps.interpolate({ size: [height, width], mode: 'bilinear', alignCorners: true });
    const low = large.amin([2, 3], { keepDims: true });
    const high = large.amax([2, 3], { keepDims: true });
    return x.mul(large.sub(low).div(high.sub(low).add(1e-8)));
  };
}

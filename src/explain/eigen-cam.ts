/** Eigen-CAM: what the maps of a layer have most in common, whatever the class: their first principal component. Needs no gradient. */

import type { Module } from '../nn/index.js';
import { fromOwned, type Tensor } from '../tensor/index.js';
import { checkPictures, listen, resolveClasses } from './ask.js';
import { type CamExplanation, type CamOptions, camExplanation } from './cam.js';
import { findMapLayer, toMaps } from './layers.js';
import { principalComponents } from './pca.js';

/**
 * Places as points in the space of the channels, centred, projected onto the direction in which they differ most. A direction has two signs: here the
 * one along which the channels' sum rises (pytorch-grad-cam leaves the sign to chance). `target` only names the classes.
 * x [N, C, H, W] → `raw` [N, h, w], `maps` [N, H, W]. @throws {ConfigError} for a layer without maps.
 * Source: Muhammad and Yeasin 2020, arXiv:2008.00299.
 */
export async function eigenCam(
  model: Module,
  x: Tensor,
  { target, layer = 'auto' }: CamOptions = {},
): Promise<CamExplanation> {
  checkPictures('eigenCam', x);
  const classes = await resolveClasses(model, x, target);
  const run = listen(model, x);
  const { path, output, form } = await findMapLayer(run, layer, x, { classes, target });
  const { channels, height, width } = form;
  const places = height * width;
  const points = await toMaps(output, form).permute([0, 2, 3, 1]).data(); // [N, h, w, C]
  const raw = new Float32Array(x.shape[0] * places);
  for (let n = 0; n < x.shape[0]; n++) {
    const own = points.subarray(n * places * channels, (n + 1) * places * channels) as Float32Array;
    raw.set(firstComponent(own, places, channels), n * places);
  }
  return camExplanation(fromOwned(raw, [x.shape[0], height, width], 'float32'), x, { classes, layer: path });
}

function firstComponent(points: Float32Array, places: number, channels: number): Float64Array {
  const { scores } = principalComponents(points, [places, channels], 1);
  let along = 0;
  for (let p = 0; p < places; p++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += points[p * channels + c];
    along += scores[p] * sum; // scores have mean 0, so this is their covariance with the sums
  }
  return along < 0 ? scores.map((s) => -s) : scores;
}

/** Input × gradient: how much each pixel adds to the score, were the model linear. */

import type { Module } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { type AskOptions, checkPictures, classTensor, type Explanation, resolveClasses } from './ask.js';
import { pixelGradients } from './gradients.js';
import { pixelHeat } from './heat.js';

/**
 * x · ∂score/∂x: x [N, C, H, W] → `raw` of that shape, with signs; `maps` [N, H, W] show the channels' sum.
 * Source: Shrikumar et al. 2016, arXiv:1605.01713.
 */
export async function inputXGradient(model: Module, x: Tensor, { target }: AskOptions = {}): Promise<Explanation> {
  checkPictures('inputXGradient', x);
  const classes = await resolveClasses(model, x, target);
  const raw = x.mul(pixelGradients(model, x, { classes: classTensor(classes), target }));
  await realize(raw);
  return { maps: await pixelHeat(raw, 'sum'), raw: raw.detach(), classes };
}

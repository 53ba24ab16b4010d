/** Saliency: how strongly the score reacts to each pixel. */

import type { Module } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { type AskOptions, checkPictures, classTensor, type Explanation, resolveClasses } from './ask.js';
import { pixelGradients } from './gradients.js';
import { pixelHeat } from './heat.js';

/**
 * |∂score/∂x|: x [N, C, H, W] → `raw` of that shape; `maps` [N, H, W] show the largest of the channels.
 * Source: Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034.
 */
export async function saliency(model: Module, x: Tensor, { target }: AskOptions = {}): Promise<Explanation> {
  checkPictures('saliency', x);
  const classes = await resolveClasses(model, x, target);
  const raw = pixelGradients(model, x, { classes: classTensor(classes), target }).abs();
  await realize(raw);
  return { maps: await pixelHeat(raw, 'max'), raw: raw.detach(), classes };
}

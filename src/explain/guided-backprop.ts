/** Guided backpropagation: the gradient by the pixels, with only positive gradients let through each relu. Draws sharp outlines. */

import type { Module } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { type AskOptions, checkPictures, classTensor, type Explanation, resolveClasses } from './ask.js';
import { pixelGradients } from './gradients.js';
import { pixelHeat } from './heat.js';

/**
 * x [N, C, H, W] → `raw` of that shape, with signs; `maps` [N, H, W] show the largest of the channels. Every relu is guided, those called as functions
 * too. It says more about the picture than about the class: see `sanityCheck`. Source: Springenberg et al. 2015, arXiv:1412.6806.
 */
export async function guidedBackprop(model: Module, x: Tensor, { target }: AskOptions = {}): Promise<Explanation> {
  checkPictures('guidedBackprop', x);
  const classes = await resolveClasses(model, x, target);
  const raw = pixelGradients(model, x, { classes: classTensor(classes), target, relu: 'guided' });
  await realize(raw);
  return { maps: await pixelHeat(raw, 'max'), raw: raw.detach(), classes };
}

/**
 * What all class activation maps share: one run of the model, the layer's maps A [N, C, h, w] and their gradients G of the explained scores, a rule that
 * makes one map [N, h, w] of them, and relu, scaling and enlarging after it. A method is its rule.
 */

import type { Module } from '../nn/index.js';
import { grad, realize, type Tensor } from '../tensor/index.js';
import {
  type AskOptions,
  checkPictures,
  classTensor,
  type Explanation,
  listen,
  resolveClasses,
  scoresOf,
} from './ask.js';
import { camHeat } from './heat.js';
import { findMapLayer, toMaps } from './layers.js';

export interface CamOptions extends AskOptions {
  /** Path of the layer, as in `model.get(path)`. Default 'auto': the last one with maps that the answer depends on. */
  readonly layer?: string;
}

export interface CamExplanation extends Explanation {
  /** The path of the layer that was looked at. */
  readonly layer: string;
}

/** Maps [N, C, h, w] and their gradients → [N, h, w]. */
export type CamRule = (maps: Tensor, gradients: Tensor) => Tensor;

/** The class activation map that `rule` makes, all pictures in one run. */
export async function gradientCam(
  method: string,
  model: Module,
  x: Tensor,
  { target, layer = 'auto' }: CamOptions,
  rule: CamRule,
): Promise<CamExplanation> {
  checkPictures(method, x);
  const classes = await resolveClasses(model, x, target);
  const run = listen(model, x);
  const found = await findMapLayer(run, layer, x, { classes, target });
  const scores = scoresOf(run.outputs, classTensor(classes), target);
  const gradients = grad(scores.sum(), found.output, { allowUnused: true });
  const raw = rule(toMaps(found.output, found.form), toMaps(gradients, found.form));
  return camExplanation(raw, x, { classes, layer: found.path });
}

/** The result of a method that has its maps [N, h, w]. */
export async function camExplanation(
  raw: Tensor,
  x: Tensor,
  { classes, layer }: Pick<CamExplanation, 'classes' | 'layer'>,
): Promise<CamExplanation> {
  const maps = camHeat(raw, x.shape[2], x.shape[3]);
  await realize(raw, maps);
  return { maps: maps.detach(), raw: raw.detach(), classes, layer };
}

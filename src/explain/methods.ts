/** The list of methods: what the command line offers, tests go through and tables show. A new method is one file and one row. */

import type { Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import type { AskOptions, Explanation } from './ask.js';
import type { CamOptions } from './cam.js';
import { eigenCam } from './eigen-cam.js';
import { gradCam } from './grad-cam.js';
import { gradCamPlusPlus } from './grad-cam-plus-plus.js';
import { guidedBackprop } from './guided-backprop.js';
import { hiResCam } from './hires-cam.js';
import { inputXGradient } from './input-x-gradient.js';
import { integratedGradients } from './integrated-gradients.js';
import { layerCam } from './layer-cam.js';
import { occlusion } from './occlusion.js';
import { rise } from './rise.js';
import { saliency } from './saliency.js';
import { scoreCam } from './score-cam.js';
import { smoothGrad } from './smooth-grad.js';

export interface ExplainMethod {
  /** As on the command line. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** What it looks at: maps of a layer, gradients by pixels, or answers to changed pictures. */
  readonly family: 'cam' | 'gradient' | 'perturbation';
  /** In a few words. */
  readonly summary: string;
  /** Runs the model many times, so that a bar is worth it. */
  readonly long: boolean;
  /** Whether the map depends on the class asked for. */
  readonly byClass: boolean;
  explain(model: Module, x: Tensor, options?: CamOptions & AskOptions): Promise<Explanation>;
}

export const methods: readonly ExplainMethod[] = [
  row('grad-cam', 'Grad-CAM', 'cam', gradCam, 'maps weighted by their mean gradient'),
  row('grad-cam++', 'Grad-CAM++', 'cam', gradCamPlusPlus, 'the same, fairer to small and repeated objects'),
  row('hires-cam', 'HiResCAM', 'cam', hiResCam, 'maps times gradients, place by place'),
  row('layer-cam', 'LayerCAM', 'cam', layerCam, 'maps times positive gradients; good for early layers'),
  row('score-cam', 'Score-CAM', 'cam', scoreCam, 'maps weighted by the score of the picture seen through them', {
    long: true,
  }),
  row('eigen-cam', 'Eigen-CAM', 'cam', eigenCam, 'what the maps have in common, whatever the class', {
    byClass: false,
  }),
  row('saliency', 'Saliency', 'gradient', saliency, 'how strongly the score reacts to each pixel'),
  row(
    'input-x-gradient',
    'Input × gradient',
    'gradient',
    inputXGradient,
    'what each pixel adds, were the model linear',
  ),
  row('guided-backprop', 'Guided backprop', 'gradient', guidedBackprop, 'positive gradients only: sharp outlines'),
  row(
    'integrated-gradients',
    'Integrated gradients',
    'gradient',
    integratedGradients,
    'gradients along the way from a blank picture',
    { long: true },
  ),
  row('smooth-grad', 'SmoothGrad', 'gradient', smoothGrad, 'gradients averaged over noisy copies', { long: true }),
  row('occlusion', 'Occlusion', 'perturbation', occlusion, 'how far the score falls when a window covers the pixel', {
    long: true,
  }),
  row('rise', 'RISE', 'perturbation', rise, 'thousands of random masks', { long: true }),
];

function row(
  name: string,
  title: string,
  family: ExplainMethod['family'],
  explain: ExplainMethod['explain'],
  summary: string,
  { long = false, byClass = true }: { long?: boolean; byClass?: boolean } = {},
): ExplainMethod {
  return { name, title, family, summary, long, byClass, explain };
}

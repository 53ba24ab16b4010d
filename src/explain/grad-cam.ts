/** Grad-CAM: the maps of a layer, each weighted by how much the score rises with it on average. */

import type { Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { type CamExplanation, type CamOptions, gradientCam } from './cam.js';

/**
 * Where a layer speaks for a class: Σ_c mean_{ij}(G_c) · A_c, G = ∂score/∂A. x [N, C, H, W] → `raw` [N, h, w], `maps` [N, H, W] after relu.
 * @throws {ConfigError} for a layer without maps. Source: Selvaraju et al. 2017, arXiv:1610.02391.
 */
export function gradCam(model: Module, x: Tensor, options: CamOptions = {}): Promise<CamExplanation> {
  return gradientCam('gradCam', model, x, options, (maps, gradients) =>
    maps.mul(gradients.mean([2, 3], { keepDims: true })).sum(1),
  );
}

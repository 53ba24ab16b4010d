/** Grad-CAM++: like Grad-CAM, with weights that do not fade where an object covers few places or comes several times. */

import type { Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { type CamExplanation, type CamOptions, gradientCam } from './cam.js';

/**
 * The weight of map A_c is Σ_ij α · relu(G_c) with α = G² / (2·G² + ΣA_c · G³), which follows from derivatives of exp(score).
 * x [N, C, H, W] → `raw` [N, h, w], `maps` [N, H, W]. @throws {ConfigError} for a layer without maps.
 * Source: Chattopadhay et al. 2018, arXiv:1710.11063, equation 19; 10⁻⁶ in the denominator as in pytorch-grad-cam.
 */
export function gradCamPlusPlus(model: Module, x: Tensor, options: CamOptions = {}): Promise<CamExplanation> {
  return gradientCam('gradCamPlusPlus', model, x, options, (maps, gradients) => {
    const square = gradients.square();
    const total = maps.sum([2, 3], { keepDims: true });
    const alpha = square.div(square.mul(2).add(total.mul(square).mul(gradients)).add(1e-6));
    const felt = gradients.ne(0).where(alpha, 0);
    const weights = gradients.relu().mul(felt).sum([2, 3], { keepDims: true });
    return maps.mul(weights).sum(1);
  });
}

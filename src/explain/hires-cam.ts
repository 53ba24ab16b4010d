/** HiResCAM: activation times gradient at every place, so that the map shows exactly what the model used. */

import type { Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { type CamExplanation, type CamOptions, gradientCam } from './cam.js';

/**
 * Σ_c A_c · G_c, place by place. If only a linear layer follows, the map adds up to the score without its bias.
 * x [N, C, H, W] → `raw` [N, h, w], `maps` [N, H, W]. @throws {ConfigError} for a layer without maps.
 * Source: Draelos and Carin 2020, arXiv:2011.08891.
 */
export function hiResCam(model: Module, x: Tensor, options: CamOptions = {}): Promise<CamExplanation> {
  return gradientCam('hiResCam', model, x, options, (maps, gradients) => maps.mul(gradients).sum(1));
}

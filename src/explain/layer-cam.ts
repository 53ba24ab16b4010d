/** LayerCAM: activations weighted by their own positive gradients; good for early layers too, whose maps are fine. */

import type { Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { type CamExplanation, type CamOptions, gradientCam } from './cam.js';

/**
 * Σ_c A_c · relu(G_c), place by place. x [N, C, H, W] → `raw` [N, h, w], `maps` [N, H, W].
 * @throws {ConfigError} for a layer without maps. Source: Jiang et al. 2021, "LayerCAM", IEEE Transactions on Image Processing 30.
 */
export function layerCam(model: Module, x: Tensor, options: CamOptions = {}): Promise<CamExplanation> {
  return gradientCam('layerCam', model, x, options, (maps, gradients) => maps.mul(gradients.relu()).sum(1));
}

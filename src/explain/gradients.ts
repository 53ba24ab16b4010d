/** The gradient of explained scores by the pixels: what saliency, guided backpropagation, integrated gradients and SmoothGrad are made of. */

import type { Module } from '../nn/index.js';
import { type GradOptions, grad, type Tensor } from '../tensor/index.js';
import { asking, scoresOf, type Target } from './ask.js';

/** ∂scores/∂x [N, C, H, W] for classes [N] (null where `target` is a function). Recorded only. */
export function pixelGradients(
  model: Module,
  x: Tensor,
  { classes, target, relu }: { classes: Tensor | null; target: Target | undefined } & Pick<GradOptions, 'relu'>,
): Tensor {
  return asking(model, () => {
    const scores = scoresOf(model.forward(x), classes, target);
    return grad(scores.sum(), x, { relu, allowUnused: true });
  });
}

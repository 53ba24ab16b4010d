/** The networks that classify pixels against PyTorch: see ../zoo.ts. */

import { type AuxiliaryOutputs, answerOf, totalLoss } from '../../../src/nn/index.js';
import { crossEntropy } from '../../../src/nn/loss.js';
import type { Tensor } from '../../../src/tensor/index.js';
import { goldenLabels, goldenModels } from '../zoo.js';

/** A class for each pixel. */
function loss(outputs: Tensor | AuxiliaryOutputs, step: number): Tensor {
  const [n, classes, h, w] = answerOf(outputs).shape;
  return totalLoss(crossEntropy, outputs, goldenLabels(step, n * h * w, classes).reshape([n, h, w]));
}

goldenModels(
  ['unet', { loss }],
  ['unet_bilinear', { loss }],
  ['fcn_resnet50', { loss }],
  ['lraspp_mobilenet_v3_large', { loss }],
);

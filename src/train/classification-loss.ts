/** The loss of a classifier by what its network gives, and how it treats classes: weights for unlike numbers of pictures, smoothing of labels. */

import { crossEntropy, nll } from '../nn/loss.js';
import { type Tensor, tensor } from '../tensor/index.js';

export interface ClassificationLossOptions {
  /** Mixes this much of the uniform distribution into the labels. */
  readonly labelSmoothing?: number;
  /** One for each class: see `data.classWeights`. */
  readonly classWeights?: ArrayLike<number> | null;
}

/** Cross-entropy of logits, or the negative log-likelihood where the network takes the softmax itself. Labels may be classes or shares of them. */
export function classificationLoss(
  output: 'logits' | 'logProbabilities',
  { labelSmoothing = 0, classWeights = null }: ClassificationLossOptions = {},
): (scores: Tensor, target: Tensor) => Tensor {
  const weight = classWeights === null ? null : tensor(Float32Array.from(classWeights));
  const loss = output === 'logits' ? crossEntropy : nll;
  return (scores, target) => loss(scores, target, { labelSmoothing, weight });
}

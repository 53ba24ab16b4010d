/** The end of timm's networks: features of a picture → class scores, under the path `head.fc`. */

import { Dropout, Linear, Module } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';

/** [N, features] → [N, numClasses]; `dropout` is the share of the features dropped while training. */
export class ClassifierHead extends Module {
  readonly fc: Linear;
  readonly #dropout: Dropout;

  constructor(features: number, numClasses: number, dropout = 0) {
    super();
    this.fc = new Linear(features, numClasses);
    this.#dropout = new Dropout(dropout);
  }

  override forward(x: Tensor): Tensor {
    this.#dropout.training = this.training;
    return this.fc.forward(this.#dropout.forward(x));
  }
}

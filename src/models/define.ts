/** How a model enters the registry: a builder, and the facts about it that `fovea models` prints and a test recomputes. */

import type { Module } from '../nn/index.js';

export interface ModelOptions {
  /** Outputs of the last layer. */
  readonly numClasses?: number;
  /** Channels of the pictures. */
  readonly inChannels?: number;
}

export interface ModelFacts {
  /** Parameters with the default options. */
  readonly params: number;
  /** Multiply–accumulates for one picture of the default size. */
  readonly macs: number;
  /** One picture as the default model takes it. */
  readonly input: readonly [channels: number, height: number, width: number];
  /** What comes out: class scores, or logarithms of probabilities. Decides the loss to train with. */
  readonly output: 'logits' | 'logProbabilities';
  /** One line for lists. */
  readonly summary: string;
  readonly source: string;
}

/** Builds the model with fresh weights; carries its name and facts. */
export interface ModelBuilder<M extends Module = Module> extends ModelFacts {
  (options?: ModelOptions): M;
  readonly modelName: string;
}

export function defineModel<M extends Module>(
  modelName: string,
  build: (options: Required<ModelOptions>) => M,
  facts: ModelFacts,
): ModelBuilder<M> {
  const builder = ({ numClasses = 10, inChannels = facts.input[0] }: ModelOptions = {}) =>
    build({ numClasses, inChannels });
  return Object.assign(builder, { modelName, ...facts });
}

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
  /** Outputs of the last layer unless the caller says otherwise. */
  readonly numClasses: number;
  /** What comes out: class scores, or logarithms of probabilities. Decides the loss to train with. */
  readonly output: 'logits' | 'logProbabilities';
  /** One line for lists. */
  readonly summary: string;
  readonly source: string;
  /** What the weights that are published for it score. */
  readonly published?: PublishedScore;
}

export interface PublishedScore {
  /** Percent of ImageNet-1k's validation pictures, one centre crop, whose class comes first, and among the first five. */
  readonly top1: number;
  readonly top5: number;
  /** The weights that score this. */
  readonly weights: string;
}

/** Builds the model with fresh weights; carries its name and facts. */
export interface ModelBuilder<M extends Module = Module, O extends ModelOptions = ModelOptions> extends ModelFacts {
  (options?: O): M;
  readonly modelName: string;
}

export function defineModel<M extends Module, O extends ModelOptions = ModelOptions>(
  modelName: string,
  build: (options: O & Required<ModelOptions>) => M,
  facts: ModelFacts,
): ModelBuilder<M, O> {
  const { numClasses, input } = facts;
  const builder = (options?: O) => build({ numClasses, inChannels: input[0], ...given(options) });
  return Object.assign(builder, { modelName, ...facts });
}

/** The options that are there: one passed on as `undefined` means the default. */
function given<O extends object>(options: O | undefined): O {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined)) as O;
}

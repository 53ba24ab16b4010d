/** How a model enters the registry: a builder, and the facts about it that `fovea models` prints and a test recomputes. */

import type { Module } from '../nn/index.js';
import { ConfigError } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import type { Preprocessing } from './preprocessing.js';
import type { RemapTable } from './remap.js';

export interface ModelOptions {
  /** Outputs of the last layer. */
  readonly numClasses?: number;
  /** Channels of the pictures, videos or signals; for text, how many different tokens there are. */
  readonly inChannels?: number;
}

/** What a model is given. */
export type InputKind = 'picture' | 'video' | 'signal' | 'tokens';

/** What it finds out: a class for each input, a class for each pixel, or boxes with classes. */
export type Task = 'classification' | 'segmentation' | 'detection';

export interface ModelFacts {
  /** Parameters with the default options. */
  readonly params: number;
  /** Multiply–accumulates for one input of the default size. */
  readonly macs: number;
  /** One input as the default model takes it, without the batch: [C, H, W], [C, T, H, W] of a video, [C, L] of a signal, [L] tokens. */
  readonly input: Shape;
  /** Left out: 'picture'. */
  readonly inputKind?: InputKind;
  /** Of text: how many different tokens the default model knows. */
  readonly vocabulary?: number;
  /** Left out: 'classification'. */
  readonly task?: Task;
  /** Outputs of the last layer unless the caller says otherwise. */
  readonly numClasses: number;
  /** What comes out: class scores, or logarithms of probabilities. Decides the loss to train with. */
  readonly output: 'logits' | 'logProbabilities';
  /** Of the paper. */
  readonly year: number;
  /** Its idea, in one line for lists. */
  readonly summary: string;
  readonly source: string;
  /** Other names it goes by. */
  readonly aliases?: readonly string[];
  /** What the weights that are published for it score. */
  readonly published?: PublishedScore;
  /** What the published weights want pictures to go through. Left out: ImageNet's mean and deviation, 256 → 224. */
  readonly preprocessing?: Preprocessing;
  /** Paths of the layers whose size is `numClasses`: replaced for other classes. Several where auxiliary heads train along. */
  readonly heads: readonly string[];
  /**
   * Names of weights that only training uses, auxiliary heads': a file may hold them where the model was built without, and a model may have
   * them where the file does not.
   */
  readonly trainingOnly?: RegExp;
  /** What to train it with from the start, Adam at 64 inputs a step. Left out: 10⁻³. */
  readonly learningRate?: number;
  /** How files with other names for the same weights are read. */
  readonly remaps?: readonly RemapTable[];
}

export interface PublishedScore {
  /** Percent of the validation items, one centre crop of each, whose class comes first, and among the first five. */
  readonly top1: number;
  readonly top5: number;
  /** The weights that score this. */
  readonly weights: string;
  /** What they were trained on and measured with. Left out: 'ImageNet-1k'. */
  readonly data?: string;
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
  const { numClasses, input, vocabulary } = facts;
  const builder: ModelBuilder<M, O> = Object.assign(
    (options?: O) => {
      const model = build({ numClasses, inChannels: vocabulary ?? input[0], ...given(options) });
      origins.set(model, { builder: builder as AnyBuilder, options: given(options) });
      return model;
    },
    { modelName, ...facts },
  );
  return builder;
}

/** Who built a model, and with which options. */
export interface Origin {
  readonly builder: ModelBuilder;
  readonly options: ModelOptions;
}

// biome-ignore lint/suspicious/noExplicitAny: which options a builder takes is its family's business
type AnyBuilder = ModelBuilder<Module, any>;

const origins = new WeakMap<Module, Origin>();

/** The builder that made `model`, with the options it was given; null for a model that no builder made. */
export function builderOf(model: Module): Origin | null {
  return origins.get(model) ?? null;
}

/** One picture as the model takes it. @throws {ConfigError} for a model of videos, signals or text. */
export function pictureShape({ modelName, input, inputKind = 'picture' }: ModelBuilder): [number, number, number] {
  const [channels, height, width] = input;
  if (inputKind === 'picture') return [channels, height, width];
  throw new ConfigError(`${modelName} takes ${inputKind === 'tokens' ? 'text' : `${inputKind}s`}, not pictures`);
}

/** The options that are there: one passed on as `undefined` means the default. */
function given<O extends object>(options: O | undefined): O {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined)) as O;
}

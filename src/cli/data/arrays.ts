/** Data sets in NumPy's files: pictures, volumes, signals or rows of tokens, by the shape of the array and by what the model takes. */

import {
  ArrayDataset,
  type ArrayLayout,
  type ArrayParts,
  type Dataset,
  openArrays,
  Subset,
} from '../../data/all.node.js';
import type { InputKind, ModelBuilder } from '../../models/index.js';
import type { Normalization } from '../../train/index.js';
import { UsageError } from '../usage.js';
import { arrayPair, type DataChoice } from './choice.js';
import { divide, limited, type Parts, placesOf, summaryOf } from './divide.js';
import { checkKind, kindOfShape, modelsFor } from './kinds.js';
import type { OpenedData } from './opened.js';
import { fittedStatistics } from './statistics.js';

export interface ReadArrays {
  readonly parts: ArrayParts;
  /** Kept where a model of signals decided it, so that other files are read alike. */
  readonly layout?: ArrayLayout;
}

type Model = Pick<ModelBuilder, 'modelName' | 'inputKind'>;

/**
 * The arrays of a choice as the model takes them. `classes` are given where labels count in those of a run.
 * @throws {UsageError} where samples are something else than the model takes
 */
export async function readArrays(
  { source, layout }: DataChoice,
  model: Model,
  classes?: readonly string[],
): Promise<ReadArrays> {
  const path = arrayPair(source) ?? source;
  const parts = await openArrays(path, { layout, classes });
  const read =
    model.inputKind === 'signal'
      ? await asSignals(parts, layout, (axes) => openArrays(path, { layout: axes, classes }))
      : { parts, layout };
  checkSamples(read.parts.train, model, source);
  return { ...read, parts: each(read.parts, (dataset) => inUsualNumbers(dataset, model.inputKind)) };
}

/** [N, C, L], [N, L, C] by which of the two is longer, or [N, L]. */
async function asSignals(
  parts: ArrayParts,
  layout: ArrayLayout | undefined,
  reopen: (layout: ArrayLayout) => Promise<ArrayParts>,
): Promise<ReadArrays> {
  const { shape } = parts.train;
  if (shape.length === 1) return { parts: each(parts, (dataset) => reshaped(dataset, [1, ...shape])), layout };
  if (layout !== undefined || shape.length !== 3 || shape[0] !== 1) return { parts, layout };
  const chosen = shape[1] <= shape[2] ? 'NCL' : 'NLC';
  return { parts: await reopen(chosen), layout: chosen };
}

function reshaped({ inputs, labels, classes }: ArrayDataset, shape: readonly number[]): ArrayDataset {
  return new ArrayDataset({
    inputs: inputs instanceof Int32Array ? Float32Array.from(inputs) : inputs,
    labels,
    classes,
    shape,
  });
}

function checkSamples({ shape, inputs }: ArrayDataset, model: Model, source: string): void {
  const kind = kindOfShape(shape);
  const isRow = kind === 'tokens' && model.inputKind !== 'tokens';
  if (kind === null || isRow || (kind === 'tokens' && inputs instanceof Float32Array)) {
    throw new UsageError(
      `${source} has samples of [${shape.join(', ')}]: rows of numbers are signals (for ${modelsFor('signal')}) or, whole numbers, texts as tokens (for ${modelsFor('tokens')}). ` +
        'For pictures give x the shape [N, H, W], [N, H, W, C] or [N, C, H, W].',
    );
  }
  checkKind(model, kind, source);
}

/** Grey levels that were stored as floats become bytes again; tokens are int32. */
function inUsualNumbers({ inputs, labels, classes, shape }: ArrayDataset, kind: InputKind = 'picture'): ArrayDataset {
  const made = (values: ArrayDataset['inputs']) => new ArrayDataset({ inputs: values, labels, classes, shape });
  if (kind === 'tokens') return made(Int32Array.from(inputs));
  if (kind === 'signal' || !(inputs instanceof Float32Array)) return made(inputs);
  const isByte = (value: number) => Number.isInteger(value) && value >= 0 && value <= 255;
  return inputs.every(isByte) && inputs.some((value) => value > 1) ? made(Uint8Array.from(inputs)) : made(inputs);
}

function each(parts: ArrayParts, change: (dataset: ArrayDataset) => ArrayDataset): ArrayParts {
  const { train, validation, test } = parts;
  return {
    train: change(train),
    validation: validation === null ? null : change(validation),
    test: test === null ? null : change(test),
  };
}

/** How many different tokens there are. @throws {UsageError} for negative ones */
export function tokenCount({ train, validation, test }: ArrayParts): number {
  let most = 0;
  for (const dataset of [train, validation, test]) {
    for (const token of dataset?.inputs ?? []) {
      if (token < 0)
        throw new UsageError(`There is a token ${token}; tokens are 0, 1, 2 …, and 0 fills up short texts`);
      if (token > most) most = token;
    }
  }
  return most + 1;
}

/** Divides what the files do not, as `divide` says. `normalize`: left out, the statistics of the training part. */
export async function divideArrays(
  { parts }: ReadArrays,
  choice: DataChoice,
  { seed, normalize }: { seed: number; normalize: Normalization | null },
): Promise<OpenedData> {
  const { train, validation, test } = parts;
  const given = { train: placesOf(train), validation: placesOf(validation), test: placesOf(test) };
  const divided = divide(given, choice, seed);
  const datasets = partsOf(parts, divided);
  const cut = partsOf(parts, limited(divided, choice, seed));
  const isTokens = train.inputs instanceof Int32Array;
  const none = { mean: [], std: [] };
  const { mean, std } = isTokens ? none : (normalize ?? (await fittedStatistics(datasets.train!, choice.source)));
  return {
    train: cut.train!,
    validation: cut.validation,
    test: cut.test,
    input: { shape: [...train.shape], mean: [...mean], std: [...std] },
    summary: summaryOf(train.classes, divided),
    parts: null,
    close: async () => {},
  };
}

/** A part that the files have not is one of the training samples. */
function partsOf(parts: ArrayParts, places: Parts<{ index: number }>) {
  const part = (name: 'train' | 'validation' | 'test'): Dataset | null => {
    const from = parts[name] ?? parts.train;
    return places[name].length === 0
      ? null
      : new Subset(
          from,
          Int32Array.from(places[name], ({ index }) => index),
        );
  };
  return { train: part('train'), validation: part('validation'), test: part('test') };
}

/** Arrays to measure with: their test part, where they have one, else all. */
export function testArrays({ parts: { train, test } }: ReadArrays, choice: DataChoice, seed: number): OpenedData {
  const dataset = test ?? train;
  const places = { train: [], validation: [], test: placesOf(dataset) };
  const { test: some } = limited(places, choice, seed);
  return {
    train: dataset,
    validation: null,
    test: new Subset(
      dataset,
      Int32Array.from(some, ({ index }) => index),
    ),
    input: { shape: [...dataset.shape], mean: [], std: [] },
    summary: summaryOf(dataset.classes, places),
    parts: null,
    close: async () => {},
  };
}

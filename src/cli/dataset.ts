/** The pictures a command works on, by what the user called them: `mnist`, or a folder with MNIST's four IDX files or CIFAR's binary ones. */

import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { cifar, computeMeanStd, type Dataset, isCifar, mnist, split, take } from '../data/all.node.js';
import type { JsonObject } from '../io/index.js';
import type { Normalization } from '../train/index.js';
import { suggest } from '../util/errors.js';
import { UsageError } from './usage.js';

/** What config.json keeps of it: enough to open the same pictures again. */
export interface DataChoice {
  /** `mnist`, or the absolute path of a folder. */
  readonly source: string;
  /** Only the first so many. */
  readonly limit?: number;
  readonly testLimit?: number;
  /** Share of the training pictures that is set aside to watch and choose by. */
  readonly validation?: number;
}

export interface OpenedData {
  readonly train: Dataset;
  readonly validation: Dataset | null;
  readonly test: Dataset;
  readonly normalize: Normalization;
}

const names = ['mnist'];

/** Checks the name. @throws {UsageError} for what is neither a name nor a folder. */
export async function chooseData(text: string): Promise<string> {
  if (names.includes(text)) return text;
  const found = await stat(text).catch(() => null);
  if (found?.isDirectory()) return resolve(text);
  const near = suggest(text, names);
  const hint = near === null ? "Pass mnist, or a folder with MNIST's four files or CIFAR's." : `Did you mean ${near}?`;
  throw new UsageError(found === null ? `There are no pictures '${text}'. ${hint}` : `${text} is a file. ${hint}`);
}

export async function openData(choice: DataChoice, seed: number): Promise<OpenedData> {
  const { source, limit, testLimit, validation } = choice;
  const all = await open(source);
  const most = limit === undefined ? all.train : take(all.train, limit);
  const [train, held] =
    validation === undefined ? [most] : split(most, [1 - validation, validation], { seed, stratified: true });
  return {
    train,
    validation: held ?? null,
    test: testLimit === undefined ? all.test : take(all.test, testLimit),
    normalize: source === 'mnist' ? { mean: [0.1307], std: [0.3081] } : await rounded(all.train),
  };
}

async function open(source: string): Promise<{ train: Dataset; test: Dataset }> {
  if (source === 'mnist') return mnist();
  return isCifar(await readdir(source)) ? cifar(source) : mnist({ folder: source });
}

export function toJson(choice: DataChoice): JsonObject {
  return JSON.parse(JSON.stringify(choice)) as JsonObject;
}

export function fromJson(json: JsonObject | undefined): DataChoice {
  if (typeof json?.source !== 'string')
    throw new UsageError('config.json does not say which pictures were used (data.source)');
  return json as unknown as DataChoice;
}

async function rounded(data: Dataset): Promise<Normalization> {
  const { mean, std } = await computeMeanStd(data);
  const four = (values: readonly number[]) => values.map((v) => Number(v.toFixed(4)));
  return { mean: four(mean), std: four(std).map((s) => s || 1) };
}

/** Which samples a command works on, by what the user called them, and what config.json keeps of that. */

import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isCifar } from '../../data/all.node.js';
import type { JsonObject } from '../../io/index.js';
import { suggest } from '../../util/errors.js';
import { UsageError } from '../usage.js';

/** `pictures`: what `data.openPictures` reads. The others are whole in memory. */
export type DataFormat = 'mnist' | 'idx' | 'cifar' | 'pictures';

export interface DataChoice {
  /** `mnist`, or an absolute path. */
  readonly source: string;
  /** Runs of older versions have none: it is told from the source again. */
  readonly format?: DataFormat;
  /** Only the first so many. */
  readonly limit?: number;
  readonly testLimit?: number;
  /** Shares of the training samples that are set aside: to watch and choose by, and to measure with at the end. */
  readonly validation?: number;
  readonly test?: number;
  /** Of pictures: the random ones of training, as `transforms.toJson` writes them. */
  readonly transforms?: readonly JsonObject[];
}

const names = ['mnist'];
const known =
  "Pass mnist, a folder of class folders, a table (.csv), a .parquet file, a .tar archive, or a folder with MNIST's or CIFAR's files.";

/** @throws {UsageError} for what is neither a name nor there */
export async function chooseData(text: string): Promise<Required<Pick<DataChoice, 'source' | 'format'>>> {
  if (text === 'mnist') return { source: text, format: 'mnist' };
  const found = await stat(text).catch(() => null);
  if (found !== null) return { source: resolve(text), format: await formatOf(text, found.isDirectory()) };
  const near = suggest(text, names);
  throw new UsageError(`There are no pictures '${text}'. ${near === null ? known : `Did you mean ${near}?`}`);
}

/** Of a choice that may be an older run's. */
export async function formatOfChoice({ source, format }: DataChoice): Promise<DataFormat> {
  return format ?? (await chooseData(source)).format;
}

async function formatOf(path: string, isFolder: boolean): Promise<DataFormat> {
  if (!isFolder) return 'pictures';
  const files = await readdir(path);
  if (isCifar(files)) return 'cifar';
  return files.some((file) => /-idx3-ubyte(\.gz)?$|\.idx3-ubyte(\.gz)?$/.test(file)) ? 'idx' : 'pictures';
}

export function toJson(choice: DataChoice): JsonObject {
  return JSON.parse(JSON.stringify(choice)) as JsonObject;
}

export function fromJson(json: JsonObject | undefined): DataChoice {
  if (typeof json?.source !== 'string')
    throw new UsageError('config.json does not say which pictures were used (data.source)');
  return json as unknown as DataChoice;
}

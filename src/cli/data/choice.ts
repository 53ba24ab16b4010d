/** Which samples a command works on, by what the user called them, and what config.json keeps of that. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  type ArrayLayout,
  type ClipAugment,
  hasArrays,
  isCifar,
  isTextTable,
  type OpenPicturesOptions,
} from '../../data/all.node.js';
import { isManifest } from '../../data/pictures/manifest.node.js';
import { fileError } from '../../io/file-error.node.js';
import type { JsonObject } from '../../io/index.js';
import { checkRegular } from '../../io/regular-file.node.js';
import type { InputKind } from '../../models/index.js';
import { suggest } from '../../util/errors.js';
import { UsageError } from '../usage.js';

/**
 * `pictures`: what `data.openPictures` reads. `clips`: what `data.openClips` does. `texts`: a table with a column of texts. `arrays`: NumPy's files. The
 * others are whole in memory.
 */
export type DataFormat = 'mnist' | 'idx' | 'cifar' | 'pictures' | 'clips' | 'arrays' | 'texts';

export interface DataChoice {
  /** `mnist`, an absolute path, or two of .npy files with a comma between them. */
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
  /** Of clips: random changes in training. */
  readonly augment?: ClipAugment | null;
  /** Of arrays: which axis is which, where their shape does not tell. */
  readonly layout?: ArrayLayout;
  /** Of tables and Parquet files: the columns, where they have other names than the usual ones. */
  readonly pictureColumn?: string;
  readonly textColumn?: string;
  readonly labelColumn?: string;
  /** Of files that are read whole: what was in them, so that a run never goes on with other samples than it was begun with. */
  readonly digest?: { readonly sha256: string };
}

const names = ['mnist'];
const known =
  "Pass mnist, a folder of class folders, a table (.csv), a .parquet file, a .tar archive, an .npz, or a folder with MNIST's or CIFAR's files.";

/**
 * `kind` is what the model takes, if one was named: a folder of folders of pictures is clips to a model of videos, and pictures to others.
 * @throws {UsageError} for what is neither a name nor there
 */
export async function chooseData(
  text: string,
  kind: InputKind | null = null,
): Promise<Required<Pick<DataChoice, 'source' | 'format'>>> {
  if (text === 'mnist') return { source: text, format: 'mnist' };
  const found = await stat(text).catch(() => null);
  if (found !== null) return { source: resolve(text), format: await formatOf(text, found.isDirectory(), kind) };
  const pair = arrayPair(text);
  if (pair !== null) return { source: `${resolve(pair.x)},${resolve(pair.y)}`, format: 'arrays' };
  const near = suggest(text, names);
  throw new UsageError(`There are no pictures '${text}'. ${near === null ? known : `Did you mean ${near}?`}`);
}

/** `x.npy,y.npy`: samples and labels. */
export function arrayPair(text: string): { x: string; y: string } | null {
  const [, x, y] = /^(.+\.npy),(.+\.npy)$/i.exec(text) ?? [];
  return x === undefined ? null : { x, y };
}

/** Of a choice that may be an older run's. */
export async function formatOfChoice({ source, format }: DataChoice): Promise<DataFormat> {
  return format ?? (await chooseData(source)).format;
}

async function formatOf(path: string, isFolder: boolean, kind: InputKind | null): Promise<DataFormat> {
  if (!isFolder) return formatOfFile(path, kind);
  const files = await readdir(path);
  if (isCifar(files)) return 'cifar';
  if (files.some((file) => /-idx3-ubyte(\.gz)?$|\.idx3-ubyte(\.gz)?$/.test(file))) return 'idx';
  if (hasArrays(files)) return 'arrays';
  return kind === 'video' ? 'clips' : 'pictures';
}

async function formatOfFile(path: string, kind: InputKind | null): Promise<DataFormat> {
  if (/\.npz$/i.test(path)) return 'arrays';
  if (/\.npy$/i.test(path)) {
    throw new UsageError(
      `${path} is one array; samples and labels are two. Name both, with a comma between them: fovea train x.npy,y.npy`,
    );
  }
  if (!/\.(csv|tsv)$/i.test(path)) return 'pictures';
  if (kind === 'tokens') return 'texts';
  return !(await isManifest(path)) && (await isTextTable(path)) ? 'texts' : 'pictures';
}

/** Of all files that are read for a choice of arrays or texts. @throws {FileError} */
export async function digestOf(source: string): Promise<{ sha256: string }> {
  const pair = arrayPair(source);
  const hash = createHash('sha256');
  for (const path of pair === null ? await filesOf(source) : [pair.x, pair.y]) {
    try {
      await checkRegular(path);
      await pipeline(createReadStream(path), hash, { end: false });
    } catch (error) {
      throw fileError('read', path, error);
    }
  }
  return { sha256: hash.digest('hex') };
}

async function filesOf(source: string): Promise<string[]> {
  const files = await readdir(source).catch(() => null); // null: not a folder, but the file itself
  if (files === null) return [source];
  return files
    .filter((file) => /\.npy$/i.test(file))
    .sort()
    .map((file) => join(source, file));
}

/** @throws {UsageError} where the files are not what they were when the run began */
export async function checkUnchanged({ source, digest }: DataChoice): Promise<void> {
  if (digest === undefined || (await digestOf(source)).sha256 === digest.sha256) return;
  throw new UsageError(
    `${source} has changed since the run was begun: its samples are no longer those that were divided then. Begin a new run, or name it as other data: fovea eval RUN ${source}`,
  );
}

/** What `openPictures` calls them: a table has files in its column of pictures. */
export function columnsOf({
  pictureColumn,
  labelColumn,
}: Pick<DataChoice, 'pictureColumn' | 'labelColumn'>): OpenPicturesOptions {
  return { pathColumn: pictureColumn, pictureColumn, labelColumn };
}

export function toJson(choice: DataChoice): JsonObject {
  return JSON.parse(JSON.stringify(choice)) as JsonObject;
}

export function fromJson(json: JsonObject | undefined): DataChoice {
  if (typeof json?.source !== 'string')
    throw new UsageError('config.json does not say which pictures were used (data.source)');
  return json as unknown as DataChoice;
}

/**
 * Finds labelled pictures in whatever a path leads to: folders of classes, a table, Parquet files, tar archives. Nothing is decoded yet, and nothing outside
 * the path is looked at.
 */

import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { fileError } from '../../io/file-error.node.js';
import { isPictureName } from '../../io/picture-format.js';
import { ConfigError } from '../../util/errors.js';
import { countClassFolders, type FoundFile, filesBelow, folderSet, layouts } from './folder.node.js';
import { isManifest, type ManifestOptions, manifestSet } from './manifest.node.js';
import { type ParquetOptions, parquetSet } from './parquet.node.js';
import { byCodePoint, LeftOutList, type PictureSet } from './sample.js';
import { isTarName, type WebDatasetOptions, webDatasetSet } from './webdataset.node.js';

/** Names of columns, where a table's or a Parquet file's are not the usual ones; limits of packed archives. */
export interface OpenPicturesOptions extends ManifestOptions, ParquetOptions, WebDatasetOptions {}

/**
 * The labelled pictures at `path`: a folder of class folders (also below train/, val/, test/), a CSV or TSV table, a Parquet file or a folder of them, a
 * tar archive or a folder of them. Samples come in the order of their names, the same on every system.
 * @throws {FileError} where nothing can be read @throws {FormatError} for damaged files @throws {ConfigError} that shows how pictures should lie
 */
export async function openPictures(path: string, options: OpenPicturesOptions = {}): Promise<PictureSet> {
  const whole = resolve(path);
  const found = await stat(whole).catch((error) => {
    throw fileError('read', path, error);
  });
  if (found.isDirectory()) return openFolder(whole, options);
  if (!found.isFile()) throw new ConfigError(`${path} is neither a file nor a folder`);
  const file = { path: whole, name: basename(whole) };
  if (isTable(file.name)) return manifestSet(whole, options);
  if (isParquet(file.name)) return parquetSet(whole, [file], options);
  if (isTarName(file.name)) return webDatasetSet(whole, [file], options);
  throw new ConfigError(
    `${path} is no set of labelled pictures: pass a folder, a table (.csv, .tsv), a .parquet file or a .tar archive. A folder looks like this:\n${layouts}`,
  );
}

async function openFolder(path: string, options: OpenPicturesOptions): Promise<PictureSet> {
  const leftOut = new LeftOutList();
  const files = await filesBelow(path, leftOut);
  const classFolders = countClassFolders(files);
  const tables = files.filter(({ parts }) => parts.length === 1 && isTable(parts[0]));
  // Pictures in one folder, beside a table that lists them: the table knows more.
  if (classFolders < 2 && tables.length > 0) {
    for (const { path: table } of tables) if (await isManifest(table)) return manifestSet(table, options);
  }
  if (files.some(({ parts }) => isPictureName(parts.at(-1)!))) return folderSet(path, files, leftOut);
  const parquet = files.filter(({ parts }) => isParquet(parts.at(-1)!));
  if (parquet.length > 0) return parquetSet(path, named(parquet), options);
  const archives = files.filter(({ parts }) => isTarName(parts.at(-1)!));
  if (archives.length > 0) return webDatasetSet(path, named(archives), options);
  return folderSet(path, files, leftOut); // which says what is missing
}

function isTable(name: string): boolean {
  return /\.(csv|tsv)$/i.test(name);
}

function isParquet(name: string): boolean {
  return /\.parquet$/i.test(name);
}

function named(files: readonly FoundFile[]): { path: string; name: string }[] {
  return files.map(({ parts, path }) => ({ path, name: parts.join('/') })).sort((a, b) => byCodePoint(a.name, b.name));
}

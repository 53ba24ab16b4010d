/**
 * Pictures listed in a table: CSV or TSV with a column of files and one of labels, and perhaps one of parts (train, val, test). Files are named relative
 * to the table's folder, or by their whole paths, and lie inside it.
 */

import { lstat, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileError } from '../../io/file-error.node.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { columnFinder, delimiterOf, hasColumns, listed, partOf, rowsOf, usualColumns } from '../table.node.js';
import { isInside } from './folder.node.js';
import { clip, LeftOutList, type NamedSample, type PictureSet, withLabels } from './sample.js';

export interface ManifestOptions {
  /** Names of the columns; left out, the usual ones are looked for, in any case of letters. */
  readonly pathColumn?: string;
  readonly labelColumn?: string;
  readonly splitColumn?: string;
}

const usual = {
  path: [
    'path',
    'file',
    'filename',
    'file_name',
    'filepath',
    'file_path',
    'image',
    'image_path',
    'image_id',
    'img',
    'picture',
  ],
  ...usualColumns,
} as const;

interface Columns {
  readonly path: number;
  readonly label: number;
  readonly split: number | null;
}

/** No line of a table of pictures is as long. */
const maxLineBytes = 1 << 16;
const maxRows = 50_000_000;

/** Whether a table begins like a list of pictures: its header names a file and a label. */
export async function isManifest(file: string): Promise<boolean> {
  return hasColumns(file, usual.path, usual.label);
}

/** @throws {ConfigError} for columns that are not there @throws {FormatError} for what is no table @throws {FileError} */
export async function manifestSet(file: string, options: ManifestOptions = {}): Promise<PictureSet> {
  const folder = dirname(file);
  const root = await realpath(folder).catch((error) => { throw fileError('read', folder, error); }); // biome-ignore format: one line
  const leftOut = new LeftOutList();
  const samples: NamedSample[] = [];
  const names = new Set<string>();
  const inside = insideOf(root, resolve(folder));
  let columns: Columns | null = null;
  let rows = 0;
  const delimiter = await delimiterOf(file);
  for await (const row of rowsOf(file, { delimiter, maxRecordBytes: maxLineBytes })) {
    if (columns === null) {
      columns = findColumns(file, row, options);
      continue;
    }
    if (++rows > maxRows) throw new FormatError(`${file}: more than ${maxRows} rows`);
    const { path, label, split } = columns;
    const [name, className] = [row[path]?.trim() ?? '', row[label]?.trim() ?? ''];
    if (name === '' || className === '') {
      leftOut.add(`line ${rows + 1}`, name === '' ? 'row without a file' : 'row without a label');
      continue;
    }
    if (names.has(name)) {
      leftOut.add(clip(name), 'listed twice');
      continue;
    }
    const found = await inside(name);
    if ('reason' in found) {
      leftOut.add(clip(name), found.reason);
      continue;
    }
    names.add(name);
    const part = split === null ? null : partOf(file, row[split], rows + 1);
    samples.push({
      name,
      className,
      ...(part === null ? {} : { split: part }),
      source: { kind: 'file', path: found.path },
    });
  }
  if (columns === null)
    throw new FormatError(`${file} is empty: its first line should name the columns, as in path,label`);
  if (samples.length === 0) {
    const why = Object.entries(leftOut.counts).map(([reason, count]) => `${count} ${reason}`).join(', '); // biome-ignore format: one chain
    throw new ConfigError(
      `${file} lists no picture that is there${why === '' ? '' : `: ${why}`}. Files are named relative to ${folder}.`,
    );
  }
  return {
    format: 'manifest',
    path: file,
    ...withLabels(samples, file),
    leftOut: leftOut.list,
    leftOutCounts: leftOut.counts,
  };
}

/**
 * A function that finds the file behind a name of the table, or says why it is not taken. Real paths of folders are looked up once each. `folder` is the
 * table's as the user knows it, `root` its real path: whole paths may begin with either.
 */
function insideOf(root: string, folder: string): (name: string) => Promise<{ path: string } | { reason: string }> {
  const folders = new Map<string, string | null>();
  return async (name) => {
    if (name.includes('\0')) return { reason: 'not a name of a file' };
    const relative = name.replaceAll('\\', '/');
    const outside = { reason: 'outside the folder of the table' };
    if (relative.split('/').includes('..')) return outside;
    const whole = isAbsolute(name);
    if (whole ? !isInside(name, root) && !isInside(name, folder) : /^(\/|[a-zA-Z]:)/.test(relative)) return outside;
    const path = whole ? name : join(root, relative);
    let real = folders.get(dirname(path));
    if (real === undefined) {
      real = await realpath(dirname(path)).catch(() => null);
      folders.set(dirname(path), real);
    }
    if (real === null) return { reason: 'not there' };
    if (!isInside(real, root)) return outside;
    try {
      const found = await lstat(path);
      if (found.isFile()) return { path };
      if (!found.isSymbolicLink()) return { reason: 'neither file nor link' };
      const target = await realpath(path);
      return isInside(target, root) ? { path: target } : { reason: 'link that leads out of the folder' };
    } catch {
      return { reason: 'not there' };
    }
  };
}

function findColumns(file: string, header: readonly string[], options: ManifestOptions): Columns {
  const find = columnFinder(file, header);
  const [path, label, split] = [
    find(usual.path, options.pathColumn),
    find(usual.label, options.labelColumn),
    find(usual.split, options.splitColumn),
  ];
  if (path === null || label === null) {
    const [missing, option] =
      path === null ? ['the files', 'pathColumn (--picture-column)'] : ['the labels', 'labelColumn (--label-column)'];
    throw new ConfigError(
      `${file}: which column holds ${missing}? It has ${listed(header)}. Call it ${path === null ? 'path' : 'label'}, or name it with ${option}.`,
    );
  }
  return { path, label, split: split === path || split === label ? null : split };
}

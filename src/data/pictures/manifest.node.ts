/**
 * Pictures listed in a table: CSV or TSV with a column of files and one of labels, and perhaps one of parts (train, val, test). Files are named relative
 * to the table's folder and lie inside it.
 */

import { createReadStream } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Parser, parse } from 'csv-parse';
import { fileError } from '../../io/file-error.node.js';
import { ConfigError, FormatError, suggest } from '../../util/errors.js';
import { isInside } from './folder.node.js';
import { clip, LeftOutList, type NamedSample, type PictureSet, splitNamed, withLabels } from './sample.js';

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
  label: ['label', 'labels', 'class', 'class_name', 'classname', 'target', 'category', 'y'],
  split: ['split', 'subset', 'set', 'part', 'fold', 'partition'],
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
  const header = (await firstLine(file)).split(/[,;\t]/).map((name) => plain(name));
  return usual.path.some((n) => header.includes(n)) && usual.label.some((n) => header.includes(n));
}

/** @throws {ConfigError} for columns that are not there @throws {FormatError} for what is no table @throws {FileError} */
export async function manifestSet(file: string, options: ManifestOptions = {}): Promise<PictureSet> {
  const folder = dirname(file);
  const root = await realpath(folder).catch((error) => { throw fileError('read', folder, error); }); // biome-ignore format: one line
  const leftOut = new LeftOutList();
  const samples: NamedSample[] = [];
  const names = new Set<string>();
  const inside = insideOf(root);
  let columns: Columns | null = null;
  let rows = 0;
  for await (const row of rowsOf(file, await delimiterOf(file))) {
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
    const part = split === null ? null : partOf(file, row[split], rows);
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

/** A function that finds the file behind a name of the table, or says why it is not taken. Real paths of folders are looked up once each. */
function insideOf(root: string): (name: string) => Promise<{ path: string } | { reason: string }> {
  const folders = new Map<string, string | null>();
  return async (name) => {
    if (name.includes('\0')) return { reason: 'not a name of a file' };
    const relative = name.replaceAll('\\', '/');
    if (relative.startsWith('/') || /^[a-zA-Z]:/.test(relative) || relative.split('/').includes('..')) {
      return { reason: 'outside the folder of the table' };
    }
    const path = join(root, relative);
    let folder = folders.get(dirname(path));
    if (folder === undefined) {
      folder = await realpath(dirname(path)).catch(() => null);
      folders.set(dirname(path), folder);
    }
    if (folder === null) return { reason: 'not there' };
    if (!isInside(folder, root)) return { reason: 'outside the folder of the table' };
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

async function* rowsOf(file: string, delimiter: string): AsyncGenerator<string[]> {
  const input = createReadStream(file);
  const parser: Parser = input
    .on('error', (error) => parser.destroy(error))
    .pipe(
      parse({
        bom: true,
        delimiter,
        relax_column_count: true,
        relax_quotes: true,
        record_delimiter: ['\r\n', '\n', '\r'], // tables are edited on all systems
        skip_empty_lines: true,
        max_record_size: maxLineBytes,
      }),
    );
  try {
    for await (const row of parser) yield row as string[];
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('CSV_')) throw new FormatError(`${file}: ${clip(message, 200)}`);
    throw fileError('read', file, error);
  } finally {
    input.destroy();
  }
}

function findColumns(file: string, header: readonly string[], options: ManifestOptions): Columns {
  const names = header.map(plain);
  const listed = clip(header.join(', '), 200);
  const find = (role: keyof typeof usual, given: string | undefined): number | null => {
    if (given !== undefined) {
      const at = names.indexOf(plain(given));
      if (at >= 0) return at;
      const near = suggest(given, header);
      throw new ConfigError(
        `${file} has no column '${given}'; it has ${listed}${near === null ? '' : `. Did you mean ${near}?`}`,
      );
    }
    const found = usual[role].map((name) => names.indexOf(name)).find((at) => at >= 0);
    return found ?? null;
  };
  const [path, label, split] = [
    find('path', options.pathColumn),
    find('label', options.labelColumn),
    find('split', options.splitColumn),
  ];
  if (path === null || label === null) {
    const [missing, option] = path === null ? ['the files', 'pathColumn'] : ['the labels', 'labelColumn'];
    throw new ConfigError(
      `${file}: which column holds ${missing}? It has ${listed}. Call it ${path === null ? 'path' : 'label'}, or name it with ${option}.`,
    );
  }
  return { path, label, split: split === path || split === label ? null : split };
}

function partOf(file: string, word: string | undefined, row: number) {
  const text = word?.trim() ?? '';
  if (text === '') return null;
  const part = splitNamed(text);
  if (part !== null) return part;
  throw new ConfigError(`${file}: line ${row + 1} is in the part '${clip(text)}'; parts are train, val and test`);
}

function plain(name: string): string {
  return name.trim().replace(/^\ufeff/, '').replace(/^"(.*)"$/, '$1').trim().toLowerCase(); // biome-ignore format: one chain
}

/** The character that stands most often in the header. */
async function delimiterOf(file: string): Promise<string> {
  const line = await firstLine(file);
  const count = (c: string) => line.split(c).length;
  return [',', '\t', ';'].reduce((best, c) => (count(c) > count(best) ? c : best));
}

async function firstLine(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxLineBytes), 0, maxLineBytes, 0);
      return buffer.toString('utf8', 0, bytesRead).split(/\r?\n/, 1)[0];
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('read', file, error);
  }
}

/**
 * Tables of labelled samples, CSV or TSV, as people and programs write them: the delimiter told from the first line, columns found by their usual names in any
 * case of letters, rows one by one, none longer than a limit. What pictures and texts have in common.
 */

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Parser, parse } from 'csv-parse';
import { fileError } from '../io/file-error.node.js';
import { checkRegular } from '../io/regular-file.node.js';
import { ConfigError, FormatError, suggest } from '../util/errors.js';
import { clip, type PictureSplit, splitNamed } from './pictures/sample.js';

/** What columns of labels and of parts are usually called. */
export const usualColumns = {
  label: ['label', 'labels', 'class', 'class_name', 'classname', 'category', 'target', 'sentiment', 'intent', 'y', '标签', '类别'], // biome-ignore format: a list of words
  split: ['split', 'subset', 'set', 'part', 'fold', 'partition'],
} as const;

const headBytes = 1 << 16;

export interface RowsOptions {
  readonly delimiter: string;
  /** Whether quotation marks hold values together; without, they are part of the text. */
  readonly quotes?: boolean;
  readonly maxRecordBytes: number;
}

/** @throws {FormatError} for what is no table @throws {FileError} */
export async function* rowsOf(
  file: string,
  { delimiter, quotes = true, maxRecordBytes }: RowsOptions,
): AsyncGenerator<string[]> {
  await checkRegular(file);
  const input = createReadStream(file);
  const parser: Parser = input
    .on('error', (error) => parser.destroy(error))
    .pipe(
      parse({
        bom: true,
        delimiter,
        quote: quotes ? '"' : false,
        relax_column_count: true,
        relax_quotes: true,
        record_delimiter: ['\r\n', '\n', '\r'], // tables are edited on all systems
        skip_empty_lines: true,
        max_record_size: maxRecordBytes,
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

/** Tab for .tsv, else the character that stands most often in the first line. */
export async function delimiterOf(file: string): Promise<string> {
  if (/\.tsv$/i.test(file)) return '\t';
  const line = await firstLine(file);
  const count = (c: string) => line.split(c).length;
  return [',', '\t', ';', '|'].reduce((best, c) => (count(c) > count(best) ? c : best));
}

/** Whether the first line names one of the columns of each list. */
export async function hasColumns(file: string, ...lists: readonly (readonly string[])[]): Promise<boolean> {
  const names = (await firstLine(file)).split(/[,;\t|]/).map(bareName);
  return lists.every((list) => list.some((name) => names.includes(name)));
}

/**
 * A function that finds columns of `header`: the one that is asked for, by name or by place from 0, else the first of the usual names that is there; null
 * where none is. @throws {ConfigError} for a column that is asked for and not there
 */
export function columnFinder(file: string, header: readonly string[]) {
  const names = header.map(bareName);
  return (usual: readonly string[], given: string | number | undefined): number | null => {
    if (given === undefined) return usual.map((name) => names.indexOf(name)).find((at) => at >= 0) ?? null;
    if (typeof given === 'number') {
      if (Number.isInteger(given) && given >= 0 && given < header.length) return given;
      throw new ConfigError(`${file} has no column ${given}: there are ${header.length}, 0 … ${header.length - 1}`);
    }
    const at = names.indexOf(bareName(given));
    if (at >= 0) return at;
    const near = suggest(given, header);
    throw new ConfigError(
      `${file} has no column '${given}'; it has ${listed(header)}${near === null ? '' : `. Did you mean ${clip(near)}?`}`,
    );
  };
}

/** Names of columns for a message. */
export function listed(header: readonly string[]): string {
  return clip(header.join(', '), 200);
}

/** The part that a cell names; null for an empty one. `line` counts from 1. @throws {ConfigError} for another word */
export function partOf(file: string, word: string | undefined, line: number): PictureSplit | null {
  const text = word?.trim() ?? '';
  if (text === '') return null;
  const part = splitNamed(text);
  if (part !== null) return part;
  throw new ConfigError(`${file}: line ${line} is in the part '${clip(text)}'; parts are train, val and test`);
}

/** Without the byte order mark, quotation marks and case that it may have in a file. */
function bareName(name: string): string {
  const bare = name.trim().replace(/^\ufeff/, '');
  return bare.replace(/^"(.*)"$/, '$1').trim().toLowerCase(); // biome-ignore format: one chain
}

async function firstLine(file: string): Promise<string> {
  try {
    await checkRegular(file);
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
      return buffer.toString('utf8', 0, bytesRead).split(/[\r\n]/, 1)[0];
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('read', file, error);
  }
}

/**
 * Labelled texts in tables: CSV or TSV with a column of texts and one of labels, and perhaps one of parts (train, val, test). The vocabulary is made of
 * the training part alone: a word that only the test has is one the model has never met.
 */

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Parser, parse } from 'csv-parse';
import { fileError } from '../io/file-error.node.js';
import { ConfigError, FormatError, suggest } from '../util/errors.js';
import { ArrayDataset, split } from './dataset.js';
import { byCodePoint, clip, splitNamed } from './pictures/sample.js';
import { TextDataset, Vocabulary, type VocabularyOptions } from './text.js';

export interface LabelledText {
  readonly text: string;
  readonly label: number;
}

export interface TextSet {
  readonly classes: readonly string[];
  readonly train: readonly LabelledText[];
  /** Empty where the table is not divided. */
  readonly validation: readonly LabelledText[];
  readonly test: readonly LabelledText[];
  /** Rows without a text or a label. */
  readonly leftOut: number;
}

export interface OpenTextsOptions {
  /** By name, or by place from 0. Left out, the usual names are looked for. */
  readonly textColumn?: string | number;
  readonly labelColumn?: string | number;
  readonly splitColumn?: string | number;
  /** Whether the first row names the columns. Left out: unless both columns are given by place. */
  readonly header?: boolean;
  /** Left out: tab for .tsv, else what stands most often in the first row. */
  readonly delimiter?: ',' | '\t' | ';' | '|';
}

const usual = {
  text: ['text', 'sentence', 'content', 'review', 'comment', 'message', 'body', 'tweet', 'document', 'phrase', 'headline', 'title', 'question', '文本', '内容', '评论', '句子'], // biome-ignore format: a list of words
  label: ['label', 'labels', 'class', 'class_name', 'category', 'target', 'sentiment', 'intent', 'y', '标签', '类别'],
  split: ['split', 'subset', 'set', 'part', 'fold', 'partition'],
} as const;

const mostRecordBytes = 16 << 20;
/** Of all texts together: they are held in memory. */
const mostCharacters = 1 << 30;

/** Whether a table begins like one of texts: its header names a text and a label. */
export async function isTextTable(file: string): Promise<boolean> {
  const line = await firstLine(file);
  const names = line.split(/[,;\t|]/).map(plain);
  return usual.text.some((n) => names.includes(n)) && usual.label.some((n) => names.includes(n));
}

/** @throws {ConfigError} for columns that are not there @throws {FormatError} for what is no table @throws {FileError} */
export async function openTexts(file: string, options: OpenTextsOptions = {}): Promise<TextSet> {
  const byPlace = typeof options.textColumn === 'number' && typeof options.labelColumn === 'number';
  const { header = !byPlace } = options;
  const found: { text: string; className: string; part: 'train' | 'validation' | 'test' }[] = [];
  let columns: Columns | null = null;
  let [rows, leftOut, characters] = [0, 0, 0];
  for await (const row of rowsOf(file, options.delimiter ?? (await delimiterOf(file)))) {
    rows++;
    if (columns === null) {
      columns = findColumns(file, header ? row : row.map((_, i) => String(i)), options);
      if (header) continue;
    }
    const [text, className] = [row[columns.text]?.trim() ?? '', row[columns.label]?.trim() ?? ''];
    if (text === '' || className === '') {
      leftOut++;
      continue;
    }
    characters += text.length;
    if (characters > mostCharacters) throw new FormatError(`${file}: more than ${mostCharacters} characters of text`);
    found.push({ text, className, part: partOf(file, columns.split === null ? '' : row[columns.split], rows) });
  }
  if (found.length === 0) throw new ConfigError(`${file} has no row with a text and a label`);
  const classes = classesOf(found.map(({ className }) => className));
  if (found.length > 50 && classes.length > found.length / 2) {
    throw new ConfigError(
      `${file}: ${found.length} texts have ${classes.length} different labels, such as '${clip(classes[0])}': nearly every text would be a class ` +
        'of its own. Name the column of the classes with labelColumn.',
    );
  }
  const indexOf = new Map(classes.map((name, i) => [name, i]));
  const part = (name: 'train' | 'validation' | 'test') =>
    found.filter((row) => row.part === name).map(({ text, className }) => ({ text, label: indexOf.get(className)! }));
  return { classes, train: part('train'), validation: part('validation'), test: part('test'), leftOut };
}

export interface TextDatasetsOptions extends VocabularyOptions {
  /** Shares of the training texts that are set aside, where the table has no such part. */
  readonly validation?: number;
  readonly test?: number;
  readonly seed?: number;
  /** Of an earlier training; left out, it is made of the training part. */
  readonly vocabulary?: Vocabulary;
}

export interface TextDatasets {
  readonly train: TextDataset;
  readonly validation: TextDataset | null;
  readonly test: TextDataset | null;
  readonly vocabulary: Vocabulary;
}

/** Divides (by seed and class) what the table does not, makes the vocabulary of the training part, and encodes all by it. @throws {ConfigError} */
export function textDatasets(set: TextSet, options: TextDatasetsOptions = {}): TextDatasets {
  const { validation = 0, test = 0, seed = 0 } = options;
  const { classes } = set;
  const shares = [set.validation.length > 0 ? 0 : validation, set.test.length > 0 ? 0 : test];
  // Only places and labels matter for dividing.
  const labels = set.train.map(({ label }) => label);
  const places = new ArrayDataset({ inputs: new Uint8Array(labels.length), labels, shape: [1], classes });
  const cut = split(places, [1 - shares[0] - shares[1], ...shares], { seed, stratified: true });
  const [train, held, tested] = cut.map(({ indices }) => Array.from(indices, (i) => set.train[i]));
  const parts = {
    train,
    validation: set.validation.length > 0 ? set.validation : held,
    test: set.test.length > 0 ? set.test : tested,
  };
  if (train.length === 0) throw new ConfigError('textDatasets: there is no text to train on');
  const vocabulary =
    options.vocabulary ??
    Vocabulary.build(
      train.map(({ text }) => text),
      options,
    );
  const made = (texts: readonly LabelledText[]) =>
    texts.length === 0
      ? null
      : new TextDataset({
          texts: texts.map(({ text }) => text),
          labels: texts.map(({ label }) => label),
          classes,
          vocabulary,
        });
  return { train: made(parts.train)!, validation: made(parts.validation), test: made(parts.test), vocabulary };
}

interface Columns {
  readonly text: number;
  readonly label: number;
  readonly split: number | null;
}

function findColumns(file: string, header: readonly string[], options: OpenTextsOptions): Columns {
  const names = header.map(plain);
  const listed = clip(header.join(', '), 200);
  const find = (role: keyof typeof usual, given: string | number | undefined): number | null => {
    if (typeof given === 'number') {
      if (Number.isInteger(given) && given >= 0 && given < header.length) return given;
      throw new ConfigError(`${file} has no column ${given}: there are ${header.length}, 0 … ${header.length - 1}`);
    }
    if (given === undefined) return usual[role].map((name) => names.indexOf(name)).find((at) => at >= 0) ?? null;
    const at = names.indexOf(plain(given));
    if (at >= 0) return at;
    const near = suggest(given, header);
    throw new ConfigError(
      `${file} has no column '${given}'; it has ${listed}${near === null ? '' : `. Did you mean ${clip(near)}?`}`,
    );
  };
  const [text, label, part] = [
    find('text', options.textColumn),
    find('label', options.labelColumn),
    find('split', options.splitColumn),
  ];
  if (text === null || label === null) {
    const [what, word] = text === null ? ['texts', 'text'] : ['labels', 'label'];
    throw new ConfigError(
      `${file}: which column holds the ${what}? It has ${listed}. Call it ${word}, or name it (or its place, from 0) with ${word}Column.`,
    );
  }
  return { text, label, split: part === text || part === label ? null : part };
}

function partOf(file: string, word: string | undefined, row: number): 'train' | 'validation' | 'test' {
  const name = word?.trim() ?? '';
  if (name === '') return 'train';
  const part = splitNamed(name);
  if (part === null)
    throw new ConfigError(`${file}: row ${row} is in the part '${clip(name)}'; parts are train, val and test`);
  return part;
}

/** Numbers by value, names by code point. */
function classesOf(names: readonly string[]): string[] {
  const distinct = [...new Set(names)];
  const numbers = distinct.every((name) => /^-?\d{1,15}$/.test(name));
  return distinct.sort(numbers ? (a, b) => Number(a) - Number(b) : byCodePoint);
}

async function* rowsOf(file: string, delimiter: string): AsyncGenerator<string[]> {
  const input = createReadStream(file);
  const quoted = delimiter !== '\t'; // in tables with tabs, quotation marks are part of the text
  const parser: Parser = input
    .on('error', (error) => parser.destroy(error))
    .pipe(
      parse({
        bom: true,
        delimiter,
        quote: quoted ? '"' : false,
        relax_column_count: true,
        relax_quotes: true,
        record_delimiter: ['\r\n', '\n', '\r'],
        skip_empty_lines: true,
        max_record_size: mostRecordBytes,
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

function plain(name: string): string {
  const bare = name.trim().replace(/^\ufeff/, '');
  return bare.replace(/^"(.*)"$/, '$1').trim().toLowerCase(); // biome-ignore format: one chain
}

async function delimiterOf(file: string): Promise<string> {
  if (/\.tsv$/i.test(file)) return '\t';
  const line = await firstLine(file);
  const count = (c: string) => line.split(c).length;
  return [',', '\t', ';', '|'].reduce((best, c) => (count(c) > count(best) ? c : best));
}

async function firstLine(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1 << 16), 0, 1 << 16, 0);
      return buffer.toString('utf8', 0, bytesRead).split(/[\r\n]/, 1)[0];
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('read', file, error);
  }
}

/**
 * Labelled texts in tables: CSV or TSV with a column of texts and one of labels, and perhaps one of parts (train, val, test). The vocabulary is made of
 * the training part alone: a word that only the test has is one the model has never met.
 */

import { ConfigError, FormatError } from '../util/errors.js';
import { ArrayDataset, split } from './dataset.js';
import { byCodePoint, clip } from './pictures/sample.js';
import { columnFinder, delimiterOf, hasColumns, listed, partOf, rowsOf, usualColumns } from './table.node.js';
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
  ...usualColumns,
} as const;

const mostRecordBytes = 16 << 20;
/** Of all texts together: they are held in memory. */
const mostCharacters = 1 << 30;

/** Whether a table begins like one of texts: its header names a text and a label. */
export async function isTextTable(file: string): Promise<boolean> {
  return hasColumns(file, usual.text, usual.label);
}

/** @throws {ConfigError} for columns that are not there @throws {FormatError} for what is no table @throws {FileError} */
export async function openTexts(file: string, options: OpenTextsOptions = {}): Promise<TextSet> {
  const byPlace = typeof options.textColumn === 'number' && typeof options.labelColumn === 'number';
  const { header = !byPlace } = options;
  const found: { text: string; className: string; part: 'train' | 'validation' | 'test' }[] = [];
  let columns: Columns | null = null;
  let [rows, leftOut, characters] = [0, 0, 0];
  const delimiter = options.delimiter ?? (await delimiterOf(file));
  // In tables with tabs, quotation marks are part of the text.
  const asWritten = { delimiter, quotes: delimiter !== '\t', maxRecordBytes: mostRecordBytes };
  for await (const row of rowsOf(file, asWritten)) {
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
    found.push({
      text,
      className,
      part: partOf(file, columns.split === null ? '' : row[columns.split], rows) ?? 'train',
    });
  }
  if (found.length === 0) throw new ConfigError(`${file} has no row with a text and a label`);
  const classes = classesOf(found.map(({ className }) => className));
  if (found.length > 50 && classes.length > found.length / 2) {
    throw new ConfigError(
      `${file}: ${found.length} texts have ${classes.length} different labels, such as '${clip(classes[0])}': nearly every text would be a class ` +
        'of its own. Name the column of the classes with labelColumn (--label-column).',
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
  const find = columnFinder(file, header);
  const [text, label, part] = [
    find(usual.text, options.textColumn),
    find(usual.label, options.labelColumn),
    find(usual.split, options.splitColumn),
  ];
  if (text === null || label === null) {
    const [what, word] = text === null ? ['texts', 'text'] : ['labels', 'label'];
    throw new ConfigError(
      `${file}: which column holds the ${what}? It has ${listed(header)}. Call it ${word}, or name it (or its place, from 0) with ${word}Column (--${word}-column).`,
    );
  }
  return { text, label, split: part === text || part === label ? null : part };
}

/** Numbers by value, names by code point. */
function classesOf(names: readonly string[]): string[] {
  const distinct = [...new Set(names)];
  const numbers = distinct.every((name) => /^-?\d{1,15}$/.test(name));
  return distinct.sort(numbers ? (a, b) => Number(a) - Number(b) : byCodePoint);
}

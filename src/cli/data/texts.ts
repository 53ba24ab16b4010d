/** Tables of texts, and the vocabulary that a run keeps in vocabulary.json: whoever resumes, measures or asks it reads texts by that one. */

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openTexts, TextDataset, type TextSet, textDatasets, Vocabulary } from '../../data/all.node.js';
import { fileError } from '../../io/file-error.node.js';
import { parseJson } from '../../io/schema.js';
import { counted } from '../../util/counts.js';
import { UsageError } from '../usage.js';
import type { DataChoice } from './choice.js';
import { divide, limited, summaryOf } from './divide.js';
import type { OpenedData } from './opened.js';

export interface TextSettings {
  readonly seed: number;
  /** Tokens of one text; left out, long enough for 95 % of them. */
  readonly length?: number;
  /** How many different tokens at most. */
  readonly maxSize?: number;
  /** Of the run, or of weights to begin from. Left out, it is made of the training part. */
  readonly vocabulary?: Vocabulary;
}

export interface OpenedTexts extends OpenedData {
  readonly vocabulary: Vocabulary;
}

export function openTable({ source, textColumn, labelColumn }: DataChoice): Promise<TextSet> {
  return openTexts(source, { textColumn: column(textColumn), labelColumn: column(labelColumn) });
}

/** A name, or a place from 0. */
function column(text: string | undefined): string | number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text;
}

/** Divides what the table does not, as `divide` says, and encodes all by the vocabulary of the training part. */
export function divideTexts(set: TextSet, choice: DataChoice, settings: TextSettings): OpenedTexts {
  const { classes, leftOut } = set;
  const divided = divide(set, choice, settings.seed);
  const vocabulary =
    settings.vocabulary ??
    Vocabulary.build(
      divided.train.map(({ text }) => text),
      settings,
    );
  const parts = limited(divided, choice, settings.seed);
  const { train, validation, test } = textDatasets({ classes, leftOut, ...parts }, { vocabulary });
  const notes = leftOut === 0 ? [] : [`${counted(leftOut, 'row')} without a text or a label left out.`];
  return {
    train,
    validation,
    test,
    vocabulary,
    input: { shape: [vocabulary.length], mean: [], std: [] },
    summary: { ...summaryOf(classes, divided), notes },
    parts: null,
    close: async () => {},
  };
}

/** A table to measure with: its test part, where it has one, else all of it. */
export function testTexts(set: TextSet, choice: DataChoice, seed: number, vocabulary: Vocabulary): OpenedData {
  const all = set.test.length > 0 ? set.test : [...set.train, ...set.validation];
  const places = { train: [], validation: [], test: all };
  const { test } = limited(places, choice, seed);
  const { classes } = set;
  const dataset = new TextDataset({
    texts: test.map(({ text }) => text),
    labels: test.map(({ label }) => label),
    classes,
    vocabulary,
  });
  return {
    train: dataset,
    validation: null,
    test: dataset,
    input: { shape: [vocabulary.length], mean: [], std: [] },
    summary: summaryOf(classes, places),
    parts: null,
    close: async () => {},
  };
}

export const vocabularyFile = 'vocabulary.json';

/** Of a run. @throws {FileError} @throws {FormatError} */
export async function readVocabulary(run: string): Promise<Vocabulary> {
  const file = join(run, vocabularyFile);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fileError('read', file, error);
  }
  return parseJson(text, (value, where) => Vocabulary.fromJson(value as never, where), file);
}

/** Weights of words mean nothing without the vocabulary they were trained with: it lies beside them, as in a run. @throws {UsageError} */
export async function vocabularyOf(weights: string, length?: number): Promise<Vocabulary> {
  const folder = dirname(weights);
  const vocabulary = await readVocabulary(folder).catch((error: Error) => {
    throw new UsageError(
      `--weights ${weights}: which word has which number? The file that says so is looked for beside the weights: ${join(folder, vocabularyFile)}\n  ${error.message}`,
    );
  });
  return length === undefined ? vocabulary : Vocabulary.fromJson({ ...vocabulary.toJson(), length });
}

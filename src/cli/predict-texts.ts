/** `fovea predict RUN --text …`: what a model that was trained on texts says of others. They are read by the vocabulary in the run. */

import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { encodeTexts, type Vocabulary } from '../data/index.js';
import { fileError } from '../io/file-error.node.js';
import type { JsonObject } from '../io/index.js';
import { type LoadedRun, loadRun, predict, type RunWeights } from '../train/all.node.js';
import { modelOf } from './data/for-run.js';
import { readVocabulary, vocabularyFile } from './data/texts.js';
import { exists } from './files.js';
import { type DeviceFlags, onDevice } from './options.js';
import { showPrediction } from './predictions.js';
import { UsageError } from './usage.js';

interface Flags extends DeviceFlags {
  readonly top: number;
  readonly weights?: RunWeights;
  readonly text: readonly string[];
  readonly lines?: boolean;
  readonly json?: boolean;
}

/** A text to be looked at, and where it is from. */
interface Text {
  readonly text: string;
  readonly facts: JsonObject;
}

/** So many at once. */
const batchSize = 64;
/** A longer file is hardly one text. */
const mostCharacters = 16 << 20;

/** Whether a run was trained on texts. */
export function knowsTexts(run: string): Promise<boolean> {
  return exists(join(run, vocabularyFile));
}

/** @throws {UsageError} for a run that knows no texts, and where there are none */
export async function predictTexts(path: string, files: readonly string[], flags: Flags): Promise<void> {
  if (files.length + flags.text.length === 0 && flags.lines !== true) {
    throw new UsageError(
      `Which texts? Pass them: fovea predict ${path} --text "…", or files of text, or --lines for one in each line.`,
    );
  }
  const run = await loadRun(path, { weights: flags.weights });
  const { modelName, inputKind = 'picture' } = modelOf(run.folder.config);
  if (inputKind !== 'tokens') {
    throw new UsageError(
      `${path} was not trained on texts: ${modelName} takes ${inputKind}s. Leave out --text and --lines.`,
    );
  }
  if (!(await knowsTexts(path))) {
    throw new UsageError(
      `${path} was trained on numbers that stand for words; which word has which number is not in it.`,
    );
  }
  const vocabulary = await readVocabulary(path);
  await onDevice(flags, async () => {
    let batch: Text[] = [];
    for await (const text of texts(files, flags)) {
      batch.push(text);
      if (batch.length < batchSize) continue;
      await ask(run, vocabulary, batch, flags);
      batch = [];
    }
    if (batch.length > 0) await ask(run, vocabulary, batch, flags);
  });
}

async function ask(run: LoadedRun, vocabulary: Vocabulary, batch: readonly Text[], flags: Flags): Promise<void> {
  const encoded = encodeTexts(
    batch.map(({ text }) => text),
    vocabulary,
  );
  const found = await predict(run.model, encoded, { classes: run.classes, top: flags.top });
  for (const [i, { text, facts }] of batch.entries()) {
    showPrediction(shown(text), found[i], flags, { ...facts, text });
  }
}

/** Those of --text, then those of files; with --lines and no file, those of standard input. */
async function* texts(files: readonly string[], { text, lines }: Flags): AsyncGenerator<Text> {
  for (const one of text) yield { text: one, facts: {} };
  const sources = files.length === 0 && text.length === 0 ? ['-'] : files;
  for (const file of sources) {
    const stream: Readable = file === '-' ? process.stdin : createReadStream(file);
    try {
      if (lines) yield* linesOf(stream, file);
      else yield { text: await wholeText(stream, file), facts: { file } };
    } catch (error) {
      throw error instanceof UsageError ? error : fileError('read', file, error);
    }
  }
}

async function* linesOf(stream: Readable, file: string): AsyncGenerator<Text> {
  let [rest, line] = ['', 0];
  const text = (content: string): Text[] => {
    line++;
    return content.trim() === '' ? [] : [{ text: content.trim(), facts: { file, line } }];
  };
  for await (const piece of stream.setEncoding('utf8')) {
    const lines = (rest + (piece as string)).split(/\r?\n/);
    rest = lines.pop()!;
    if (rest.length > mostCharacters) throw new UsageError(`${file}: line ${line + 1} is no text, so long as it is.`);
    for (const content of lines) yield* text(content);
  }
  yield* text(rest);
}

async function wholeText(stream: Readable, file: string): Promise<string> {
  let text = '';
  for await (const piece of stream.setEncoding('utf8')) {
    text += piece as string;
    if (text.length > mostCharacters)
      throw new UsageError(`${file} is no single text, so long as it is. For a text in each line: --lines`);
  }
  return text.trim();
}

/** On one line, not endlessly long, without what a terminal would obey. */
function shown(text: string): string {
  const plain = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  return `"${plain.length <= 60 ? plain : `${plain.slice(0, 59)}…`}"`;
}

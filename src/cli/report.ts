/** Evaluations in words: accuracy, calibration, the table of classes, what is mixed up with what, the worst mistakes. In 80 columns, whatever the names. */

import pc from 'picocolors';
import type { Evaluation, SampleResult } from '../train/index.js';
import { grouped } from '../util/counts.js';
import { type Column, percent, print, printable, table } from './output.js';

/** More classes are not listed one by one. */
const mostClasses = 20;
/** What every terminal has; a wider one shows more. */
const columnsOfTerminal = 80;

export interface PrintOptions {
  /** How many of the surest wrong answers to list. */
  readonly mistakes?: number;
  readonly nameOf?: (index: number) => string | undefined;
  /** What was measured on. */
  readonly part?: 'test' | 'validation';
  /** What samples are: pictures, clips, signals, texts. */
  readonly noun?: string;
}

export async function printEvaluation(evaluation: Evaluation, options: PrintOptions = {}): Promise<void> {
  const { count, accuracy, loss, topK, confusion, calibration } = evaluation;
  const { noun = 'pictures' } = options;
  const more = [
    ...(loss === null ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(topK === null ? [] : [`top-${topK.k} ${percent(topK.accuracy)}`]),
    `${grouped(count)} ${noun}`,
  ];
  print(
    `${pc.bold(`${options.part ?? 'test'} accuracy`)}  ${pc.bold(pc.green(percent(accuracy)))}  (${more.join(', ')})`,
  );
  print(`${pc.dim('calibration')}    ${calibrationLine(calibration, accuracy)}\n`);
  await printClasses(evaluation, noun);
  const { classes } = confusion;
  const pairs = confusion.worst(3).map((w) => ({
    ...w,
    words: `${short(classes[w.actual], 18)} taken for ${short(classes[w.predicted], 18)} (${w.count}×)`,
  }));
  if (pairs.length > 0)
    print(
      `\n${wrapped(
        'most often mixed up: ',
        pairs.map(({ words }) => words),
      )}`,
    );
  await printMistakes(evaluation, options);
}

function calibrationLine({ ece, meanConfidence }: Evaluation['calibration'], accuracy: number): string {
  const gap = meanConfidence - accuracy;
  const verdict = ece < 0.03 ? 'good' : gap > 0 ? 'overconfident' : 'too modest';
  return `error ${percent(ece)} (ECE), mean confidence ${percent(meanConfidence)}: ${verdict}`;
}

async function printClasses({ confusion }: Evaluation, noun: string): Promise<void> {
  const { classes } = confusion;
  const perClass = confusion.perClass();
  const right = (head: string): Column => ({ head, align: 'right' });
  const shares = (row: (typeof perClass)[number]) => [row.recall, row.precision, row.f1].map((v) => percent(v, 1));
  if (classes.length > mostClasses) {
    const { precision, recall, f1 } = confusion.macro();
    print(`mean over classes: recall ${percent(recall)}, precision ${percent(precision)}, F1 ${percent(f1)}`);
    const weakest = perClass.filter(({ support }) => support > 0).sort((a, b) => a.f1 - b.f1);
    const columns = [{ head: 'weakest classes' }, right('recall'), right('precision'), right('F1'), right(noun)];
    const rows = weakest.slice(0, 5).map((row) => [short(row.name), ...shares(row), grouped(row.support)]);
    print(`\n${await table(columns, rows)}`);
    return;
  }
  const heads = classes.map((name) => short(name, 9));
  const counts = (actual: number) =>
    classes.map((_, predicted) => cell(confusion.at(actual, predicted), actual === predicted));
  const recall = (c: number) => percent(perClass[c].recall, 1);
  // The most that fits: the matrix with all shares, with the recall alone, or the shares without the matrix.
  const whole = await table(
    [{ head: 'actual ↓  predicted →' }, ...[...heads, 'recall', 'precision', 'F1'].map(right)],
    classes.map((name, c) => [short(name, 20), ...counts(c), ...shares(perClass[c])]),
  );
  if (fits(whole)) return print(whole);
  const matrix = await table(
    [{ head: 'actual ↓' }, ...[...heads, 'recall'].map(right)],
    classes.map((name, c) => [short(name, 20), ...counts(c), recall(c)]),
  );
  if (fits(matrix)) return print(matrix);
  const narrow = [{ head: 'class' }, right('recall'), right('precision'), right('F1'), right(noun)];
  print(
    await table(
      narrow,
      perClass.map((row) => [short(row.name), ...shares(row), grouped(row.support)]),
    ),
  );
}

function fits(text: string): boolean {
  return Math.max(...text.split('\n').map(widthOf)) <= Math.max(columnsOfTerminal, process.stdout.columns ?? 0);
}

async function printMistakes(
  { samples, confusion }: Evaluation,
  { mistakes = 0, nameOf, noun = 'pictures' }: PrintOptions,
): Promise<void> {
  const worst = samples.worstMistakes(mistakes);
  if (worst.length === 0) return;
  print(`\n${pc.bold('surest mistakes')}`);
  const columns = [
    { head: 'is' },
    { head: 'taken for' },
    { head: 'with', align: 'right' as const },
    { head: noun.replace(/s$/, '') },
  ];
  const row = ({ index, actual, predicted, confidence }: SampleResult) => [
    short(confusion.classes[actual], 16),
    short(confusion.classes[predicted], 16),
    percent(confidence, 1),
    lastPart(nameOf?.(index) ?? `number ${index}`, 30),
  ];
  print(await table(columns, worst.map(row)));
}

/** All numbers, for programs. */
export function evaluationJson(
  { count, accuracy, loss, topK, confusion, calibration, rocAuc, samples }: Evaluation,
  { mistakes = 20, nameOf }: PrintOptions = {},
): Record<string, unknown> {
  const n = confusion.classes.length;
  const sample = ({ index, actual, predicted, confidence, probability }: SampleResult) => ({
    index,
    ...(nameOf?.(index) === undefined ? {} : { name: nameOf(index) }),
    actual: confusion.classes[actual],
    predicted: confusion.classes[predicted],
    confidence,
    probability,
  });
  return {
    accuracy,
    loss,
    ...(topK === null ? {} : { [`top${topK.k}Accuracy`]: topK.accuracy }),
    count,
    ...confusion.macro(),
    weighted: confusion.weighted(),
    ece: calibration.ece,
    meanConfidence: calibration.meanConfidence,
    calibration: { mce: calibration.mce, bins: calibration.bins },
    rocAuc: rocAuc && { macro: rocAuc.macro, weighted: rocAuc.weighted },
    classes: confusion.perClass().map((row, c) => ({ ...row, ...(rocAuc ? { rocAuc: rocAuc.perClass[c] } : {}) })),
    confusion: confusion.classes.map((_, actual) => [...confusion.counts.subarray(actual * n, (actual + 1) * n)]),
    worstMistakes: samples.worstMistakes(mistakes).map(sample),
    leastConfident: samples.leastConfident(mistakes).map(sample),
  };
}

function cell(count: number, right: boolean): string {
  if (right) return pc.green(String(count));
  return count === 0 ? pc.dim('·') : pc.yellow(String(count));
}

/** A name of a class or file as a terminal may have it: controls could move its cursor, and a long one would break the table. */
function short(name: string, most = 24): string {
  const characters = [...printable(name)];
  let width = 0;
  const fits = characters.findIndex((c) => (width += widthOf(c)) > most);
  if (fits === -1) return characters.join('');
  let kept = '';
  for (const c of characters) {
    if (widthOf(kept + c) > most - 1) break;
    kept += c;
  }
  return `${kept}…`;
}

/** Of a path the end tells more. */
function lastPart(name: string, most: number): string {
  let kept = '';
  const characters = [...printable(name)].reverse();
  for (const c of characters) {
    if (widthOf(c + kept) > most - 1) return `…${kept}`;
    kept = c + kept;
  }
  return kept;
}

/** Columns a text takes, colours aside: the wide characters of East Asia and emoji take two. */
function widthOf(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are such
  const plain = text.replace(/\u001b\[\d+m/g, '');
  return [...plain].reduce(
    (sum, c) => sum + (/\p{Emoji_Presentation}|[ᄀ-ᅟ⺀-꓏가-힣豈-﫿︰-﹏！-｠￠-￦]/u.test(c) ? 2 : 1),
    0,
  );
}

/** Words with commas between them, on as many lines as it takes. */
function wrapped(begin: string, words: readonly string[]): string {
  const lines = [begin];
  for (const [i, word] of words.entries()) {
    const piece = `${word}${i < words.length - 1 ? ', ' : ''}`;
    if (widthOf(lines.at(-1)! + piece.trimEnd()) > columnsOfTerminal && lines.at(-1) !== begin)
      lines.push(' '.repeat(2));
    lines[lines.length - 1] += piece;
  }
  return lines.map((line) => line.trimEnd()).join('\n');
}

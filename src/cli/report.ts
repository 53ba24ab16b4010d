/** Evaluations in words: accuracy, the table of classes, what is mixed up with what. */

import pc from 'picocolors';
import type { Evaluation } from '../train/index.js';
import { grouped, percent, print, table } from './output.js';

/** Tables of more classes do not fit a terminal. */
const mostClasses = 20;

export async function printEvaluation({ count, accuracy, loss, topK, confusion }: Evaluation): Promise<void> {
  const more = [
    ...(loss === null ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(topK === null ? [] : [`top-${topK.k} ${percent(topK.accuracy)}`]),
    `${grouped(count)} pictures`,
  ];
  print(`${pc.bold('test accuracy')}  ${pc.bold(pc.green(percent(accuracy)))}  (${more.join(', ')})\n`);
  const { classes } = confusion;
  const perClass = confusion.perClass();
  if (classes.length <= mostClasses) {
    const columns = [
      { head: 'actual ↓  predicted →' },
      ...[...classes, 'recall', 'precision', 'F1'].map((head) => ({ head, align: 'right' as const })),
    ];
    const rows = classes.map((name, actual) => [
      name,
      ...classes.map((_, predicted) => cell(confusion.at(actual, predicted), actual === predicted)),
      ...[perClass[actual].recall, perClass[actual].precision, perClass[actual].f1].map((share) => percent(share, 1)),
    ]);
    print(await table(columns, rows));
  } else {
    const { precision, recall, f1 } = confusion.macro();
    print(`mean over classes: recall ${percent(recall)}, precision ${percent(precision)}, F1 ${percent(f1)}`);
  }
  const worst = confusion.worst(3);
  if (worst.length > 0) {
    const pairs = worst.map((w) => `${classes[w.actual]} taken for ${classes[w.predicted]} (${w.count}×)`);
    print(`\nmost often mixed up: ${pairs.join(', ')}`);
  }
}

export function evaluationJson({ count, accuracy, loss, topK, confusion }: Evaluation): Record<string, unknown> {
  const n = confusion.classes.length;
  return {
    accuracy,
    loss,
    ...(topK === null ? {} : { [`top${topK.k}Accuracy`]: topK.accuracy }),
    count,
    ...confusion.macro(),
    classes: confusion.perClass(),
    confusion: confusion.classes.map((_, actual) => [...confusion.counts.subarray(actual * n, (actual + 1) * n)]),
  };
}

function cell(count: number, right: boolean): string {
  if (right) return pc.green(String(count));
  return count === 0 ? pc.dim('·') : pc.yellow(String(count));
}

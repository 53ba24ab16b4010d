/** The top of a report: a few large numbers, and what follows from all the others in sentences. */

import { grouped } from '../util/counts.js';
import { percent, wilson } from './format.js';
import { type Html, html, nameHtml } from './html.js';
import type { PageInput } from './input.js';
import { type Finding, findingList, number, share } from './parts.js';
import { t, type Word } from './text.js';

export function headline(input: PageInput): Html {
  const { accuracy, count, loss, topK, confusion, calibration, rocAuc } = input.evaluation;
  const { low, high } = wilson(accuracy, count);
  const classes = confusion.classes.length;
  const wrong = grouped(confusion.total - confusion.correct);
  const digits = count >= 1000 ? 2 : 1;
  return html`<div class="numbers">
${number(t('accuracy'), share(accuracy, digits), t('accuracyHint', { low: percent(low), high: percent(high) }), true)}
${topK && number(t('topK', { k: topK.k }), share(topK.accuracy, digits), t('topKHint', { k: topK.k }))}
${number(t('f1'), share(confusion.macro().f1, digits), t('f1Hint'))}
${typeof rocAuc?.macro === 'number' && number(t('auc'), rocAuc.macro.toFixed(4), t('aucHint'))}
${number(t('ece'), share(calibration.ece, digits), t('eceHint', { confidence: percent(calibration.meanConfidence) }))}
${loss !== null && number(t('loss'), loss.toFixed(4), t('lossHint'))}
${number(t('count'), grouped(count), t('countHint', { classes: grouped(classes), wrong }))}
</div>
${findingList(findings(input))}`;
}

/** What a reader would find after a while of looking. Thresholds are of taste: differences that are worth a second look. */
function findings({ evaluation, history }: PageInput): Finding[] {
  const { accuracy, confusion, calibration, count } = evaluation;
  const found: Finding[] = [];
  const add = (kind: Finding['kind'], word: Word, values: Parameters<typeof t>[1]) =>
    found.push({ kind, text: t(word, values) });
  const rows = confusion.perClass();

  const [pair] = confusion.worst(1);
  if (pair === undefined) add('good', 'findNone', { count: grouped(count) });
  else {
    const [actual, predicted] = [rows[pair.actual], rows[pair.predicted]];
    const names = { actual: bold(actual.name), predicted: bold(predicted.name) };
    add('bad', 'findMixed', { ...names, count: grouped(pair.count), support: grouped(actual.support) });
  }

  const [weakest] = rows.filter(({ support }) => support >= 5).sort((a, b) => a.recall - b.recall);
  if (weakest !== undefined && weakest.recall < accuracy - 0.1) {
    add('bad', 'findWeakest', { name: bold(weakest.name), recall: percent(weakest.recall) });
  }

  const { ece, meanConfidence } = calibration;
  const sure = { confidence: percent(meanConfidence), accuracy: percent(accuracy), ece: percent(ece) };
  if (ece <= 0.03) add('good', 'findCalibrated', sure);
  else add('bad', meanConfidence > accuracy ? 'findOver' : 'findUnder', sure);

  const last = history?.epochs.at(-1);
  if (last !== undefined && last.trainAccuracy - accuracy > 0.05) {
    add('bad', 'findOverfit', { train: percent(last.trainAccuracy), test: percent(accuracy) });
  }

  const bySupport = rows.filter(({ support }) => support > 0).sort((a, b) => a.support - b.support);
  const [least, most] = [bySupport[0], bySupport.at(-1)];
  if (least !== undefined && most !== undefined && most.support >= 3 * least.support) {
    const times = Math.round(most.support / least.support);
    add('plain', 'findUneven', { most: bold(most.name), least: bold(least.name), times: grouped(times) });
  }
  return found;
}

function bold(name: string): Html {
  return html`<b>${nameHtml(name)}</b>`;
}

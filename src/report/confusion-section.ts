/**
 * What is taken for what. Of few classes the whole matrix, a table whose cells lead to the samples in them; of many the pairs that are mixed up most,
 * below a picture of the matrix.
 */

import { grouped } from '../util/counts.js';
import { percent } from './format.js';
import { gallery } from './gallery.js';
import { type Html, html, nameHtml } from './html.js';
import type { PageInput } from './input.js';
import { mostTableClasses, type PairSelection, type Selection } from './selection.js';
import { t } from './text.js';

export function confusionSection(input: PageInput, { pairs }: Selection): Html {
  const { confusion } = input.evaluation;
  const classes = confusion.classes.length;
  const isTable = classes <= mostTableClasses;
  const many = input.matrixUri === undefined ? 'confusionPairs' : 'confusionMany';
  const how = isTable ? t('confusionHow') : t(many, { classes: grouped(classes) });
  const image = input.matrixUri && html`<img class="dots" alt="" src="${input.matrixUri}">`;
  return html`<h2>${t('confusionTitle')}</h2><p class="how">${how}</p><div class="card">${
    isTable ? html`<div class="scroll">${matrix(input)}</div>` : html`${image}${pairList(input, pairs)}`
  }${pairs.map((pair) => panel(input, pair))}</div>`;
}

function matrix({ evaluation: { confusion } }: PageInput): Html {
  const { classes } = confusion;
  const rows = confusion.perClass();
  const cell = (actual: number, predicted: number) => {
    const count = confusion.at(actual, predicted);
    if (count === 0) return html`<td>·</td>`;
    const share = count / rows[actual].support;
    const right = actual === predicted;
    // Mistakes are rare and small shares must be seen: the root spreads them.
    const v = right ? share : Math.sqrt(share);
    const tone = v > 0.62 ? ' strong' : ' mid';
    const text = grouped(count);
    return html`<td class="${right ? 'right' : 'off'}${tone}" style="--v:${v.toFixed(3)}">${
      right ? text : html`<a href="#${idOf({ actual, predicted })}">${text}</a>`
    }</td>`;
  };
  const tight = classes.length > 12 || classes.some((name) => name.length > 8) ? ' tight' : '';
  const roomy = classes.length <= 12 ? ' roomy' : '';
  return html`<table class="matrix${tight}${roomy}">
<thead><tr><th scope="col"><span class="together">${t('actual')} ↓</span> <span class="together">${t('predicted')} →</span></th>${classes.map((name) => html`<th scope="col"><div>${nameHtml(name, 40)}</div></th>`)}</tr></thead>
<tbody>${classes.map((name, actual) => html`<tr><th scope="row">${nameHtml(name, 40)}</th>${classes.map((_, predicted) => cell(actual, predicted))}</tr>\n`)}</tbody>
</table>`;
}

function pairList({ evaluation: { confusion } }: PageInput, pairs: readonly PairSelection[]): Html {
  if (pairs.length === 0) return html`<p>${t('noMistakes')}</p>`;
  const rows = confusion.perClass();
  const row = (pair: PairSelection) => {
    const share = pair.count / rows[pair.actual].support;
    return html`<tr><td>${nameHtml(rows[pair.actual].name, 60)}</td><td class="name">${nameHtml(rows[pair.predicted].name, 60)}</td><td><a href="#${idOf(pair)}">${grouped(pair.count)}</a></td><td><span class="bar" style="--v:${share.toFixed(3)}"><i></i></span>${percent(share)}</td></tr>\n`;
  };
  return html`<div class="scroll"><table class="list pairs"><thead><tr><th scope="col">${t('actual')}</th><th scope="col" style="text-align:start">${t('takenFor')}</th><th scope="col">${t('times')}</th><th scope="col">${t('shareOfClass')}</th></tr></thead><tbody>${pairs.map(row)}</tbody></table></div>`;
}

function panel(input: PageInput, pair: PairSelection): Html {
  const { classes } = input.evaluation.confusion;
  const more = pair.count - pair.samples.length;
  return html`<div class="pair" id="${idOf(pair)}"><h3>${nameHtml(classes[pair.actual])} → ${nameHtml(classes[pair.predicted])}<small>${grouped(pair.count)} · ${t('pairHint')}</small></h3>${gallery(
    input,
    pair.samples,
  )}${more > 0 && html`<p class="left-out">${t('pairMore', { count: grouped(more) })}</p>`}</div>\n`;
}

function idOf({ actual, predicted }: { actual: number; predicted: number }): string {
  return `pair-${actual}-${predicted}`;
}

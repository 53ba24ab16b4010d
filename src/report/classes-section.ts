/** The table of classes: how well each is told from the others. */

import type { ClassMeans } from '../train/index.js';
import { grouped } from '../util/counts.js';
import { percent } from './format.js';
import { type Html, html, nameHtml, shortName } from './html.js';
import type { PageInput } from './input.js';
import { mostTableClasses } from './selection.js';
import { t, type Word } from './text.js';

export function classesSection({ evaluation: { confusion, rocAuc } }: PageInput): Html {
  const rows = confusion.perClass().map((row, c) => ({ ...row, auc: rocAuc?.perClass[c] ?? null }));
  const many = rows.length > mostTableClasses;
  if (many) rows.sort((a, b) => a.f1 - b.f1); // among a thousand, the weakest are what a reader looks for
  const heads: Word[] = [
    'class',
    'precision',
    'recall',
    'f1Short',
    ...(rocAuc ? ['aucShort' as const] : []),
    'support',
  ];
  const shares = (means: ClassMeans) => [means.precision, means.recall, means.f1];
  const share = (v: number) =>
    html`<td data-v="${v.toFixed(6)}"><span class="bar" style="--v:${v.toFixed(3)}"><i></i></span>${percent(v)}</td>`;
  const mean = (word: Word, means: ClassMeans, auc: number | null | undefined) =>
    html`<tr><td>${t(word)}</td>${shares(means).map((v) => html`<td>${percent(v)}</td>`)}${rocAuc && html`<td>${auc?.toFixed(4) ?? '–'}</td>`}<td>${grouped(confusion.total)}</td></tr>`;
  return html`<h2>${t('byClass')}</h2><p class="how">${t('sortHow')}</p><div class="card"><div class="scroll"><table class="list sortable">
<thead><tr>${heads.map((word) => html`<th scope="col"${many && word === 'f1Short' ? html` aria-sort="ascending"` : ''}><button type="button">${t(word)}</button></th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr><td data-v="${shortName(row.name)}">${nameHtml(row.name)}</td>${shares(row).map(share)}${rocAuc && html`<td data-v="${row.auc ?? -1}">${row.auc?.toFixed(4) ?? '–'}</td>`}<td data-v="${row.support}">${grouped(row.support)}</td></tr>\n`)}</tbody>
<tfoot>${mean('macro', confusion.macro(), rocAuc?.macro)}${mean('weighted', confusion.weighted(), rocAuc?.weighted)}</tfoot>
</table></div></div>`;
}

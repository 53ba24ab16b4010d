/** What the model was trained and measured on, and how to do it again. */

import { grouped } from '../util/counts.js';
import { type Html, html, nameHtml, shortName } from './html.js';
import type { DataNote, DataSummary, PageInput } from './input.js';
import { colorKey } from './parts.js';
import { plotColor } from './plot.js';
import { t, type Word } from './text.js';

const mostListed = 60;
const parts = [
  ['train', 'trainCount', 1],
  ['validation', 'validationCount', 2],
  ['test', 'testCount', 3],
] as const satisfies [keyof DataSummary['classes'][number], Word, number][];

export function dataSection({ summary, evaluation: { confusion } }: PageInput): Html {
  const counted = confusion.perClass().map(({ name, support }) => ({ name, test: support }));
  const { classes, sizes, notes = [] } = summary ?? ({ classes: counted } as DataSummary);
  const shown = parts.filter(([part]) => classes.some((row) => (row[part] ?? 0) > 0));
  const total = (row: DataSummary['classes'][number]) => shown.reduce((sum, [part]) => sum + (row[part] ?? 0), 0);
  const most = Math.max(1, ...classes.map(total));
  const row = (entry: DataSummary['classes'][number]) =>
    html`<span>${nameHtml(entry.name, 60)}</span><span class="stack">${shown.map(
      ([part, , color]) =>
        html`<i style="--v:${((entry[part] ?? 0) / most).toFixed(4)};background:${plotColor(color)}"></i>`,
    )}</span><span class="total">${shown.map(([part]) => grouped(entry[part] ?? 0)).join(' + ')}</span>\n`;
  const more = classes.length - mostListed;
  return html`<h2>${t('dataTitle')}</h2><div class="card"><figure><figcaption>${shown.map(([, word, color]) => colorKey(word, color))}</figcaption><div class="counts">${classes
    .slice(0, mostListed)
    .map(
      row,
    )}</div></figure>${more > 0 && html`<p class="left-out">${t('moreClasses', { count: grouped(more) })}</p>`}${
    (sizes || notes.length > 0) &&
    html`<div class="two" style="margin-top:18px">${sizes && html`<div><h3>${t('sizes')}</h3><p>${sizesText(sizes)}</p></div>`}${
      notes.length > 0 &&
      html`<div><h3>${t('notes')}</h3><ul class="notes">${notes.slice(0, 40).map((note) => html`<li>${noteText(note)}</li>`)}</ul></div>`
    }</div>`
  }</div>`;
}

function noteText(note: string | DataNote): Html {
  if (typeof note === 'string') return nameHtml(note, 300);
  const text = nameHtml(note.text, 300);
  const word = noteWords.get(note.kind);
  return word === undefined ? text : t(word, { text, count: grouped(note.count) });
}

/** Kinds of `auditPictures`. */
const noteWords = new Map<string, Word>([
  ['broken', 'noteBroken'],
  ['contradiction', 'noteContradiction'],
  ['leak', 'noteLeak'],
  ['duplicates', 'noteCopies'],
  ['near duplicates', 'noteNear'],
  ['tiny', 'noteTiny'],
  ['small', 'noteSmall'],
  ['elongated', 'noteLong'],
  ['imbalance', 'noteUneven'],
  ['few', 'noteFew'],
  ['left out', 'noteLeftOut'],
]);

function sizesText({ width, height }: NonNullable<DataSummary['sizes']>): Html {
  const text = (n: number) => grouped(Math.round(n));
  if (width.min === width.max && height.min === height.max)
    return t('sizesAllAre', { width: text(width.min), height: text(height.min) });
  return t('sizesAre', {
    wmin: text(width.min),
    wmid: text(width.median),
    wmax: text(width.max),
    hmin: text(height.min),
    hmid: text(height.median),
    hmax: text(height.max),
  });
}

/** Each line by itself, so that one that goes on below is not taken for two; an option stays beside its value. */
function lines(text: string): Html[] {
  const option = (part: string) => (/^--?[a-z]/.test(part) && part.length <= 36 ? html`<b>${part}</b>` : part);
  return text.split('\n').map((line, i) => {
    const parts = line.split(/( )(?=--?[a-z])/);
    return html`${i > 0 && '\n'}<span>${parts.map(option)}</span>`;
  });
}

export function reproduceSection({ commands = [], config }: PageInput): Html | null {
  if (commands.length === 0 && config === undefined) return null;
  return html`<h2>${t('reproduceTitle')}</h2><p class="how">${t('reproduceHow')}</p><div class="card">${
    commands.length > 0 && html`<pre class="commands" dir="ltr">${lines(shortName(commands.join('\n'), 2000))}</pre>`
  }${
    config !== undefined &&
    html`<details><summary>${t('configuration')}</summary><pre dir="ltr">${shortName(JSON.stringify(config, null, 2), 20_000)}</pre></details>`
  }</div>`;
}

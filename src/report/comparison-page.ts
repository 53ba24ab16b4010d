/**
 * Two models compared layer by layer, as a page: what follows, a map of likenesses, the match of each layer, how to read it, and all numbers; and the map alone as a
 * picture. Source: Kornblith et al. 2019, arXiv:1905.00414.
 */

import type { Cka } from '../explain/index.js';
import { grouped } from '../util/counts.js';
import { comparisonFindings, layerMatches, meanOf, written } from './comparison-findings.js';
import { type Html, html, nameHtml, shortName, trusted } from './html.js';
import type { ReportFacts } from './input.js';
import { findingList, number } from './parts.js';
import { renderShell } from './shell.js';
import { similarityPlot } from './similarity-plot.js';
import { inBoth, plain, t } from './text.js';

export interface ComparisonContent {
  /** What the models are called; of two runs of one model that is not enough to tell them apart, so that runs are named. */
  readonly model: string;
  readonly other: string;
  readonly data: string;
  /** How many samples both were shown. */
  readonly count: number;
  readonly found: Cka;
  readonly facts?: ReportFacts;
}

/** The whole page. Names may come from strangers. */
export async function renderComparison({
  date = new Date(),
  ...input
}: ComparisonContent & { readonly date?: Date }): Promise<string> {
  const { model, other, data, facts = {} } = input;
  const heading = t('comparisonOf', { other: nameHtml(other, 60), data: nameHtml(data, 60) });
  return renderShell({
    kind: 'comparisonReport',
    title: `${shortName(model, 40)} · ${shortName(other, 40)} · CKA · ${date.toISOString().slice(0, 10)}`,
    heading: html`${nameHtml(model, 60)} <small>× ${heading}</small>`,
    date,
    facts,
    pictures: new Map(),
    sections: [
      { id: 'overview', word: 'overview', content: overview(input) },
      { id: 'likeness', word: 'likeness', content: likeness(input) },
      { id: 'matches', word: 'matches', content: matches(input) },
      { id: 'about', word: 'aboutCka', content: about(input) },
      { id: 'numbers', word: 'ckaNumbers', content: numbers(input) },
    ],
  });
}

function overview({ found, count }: ComparisonContent): Html {
  const list = layerMatches(found);
  const same = list.flatMap(({ samePlace }) => (samePlace === null ? [] : [samePlace]));
  const least = list.reduce((a, b) => (b.cka < a.cka ? b : a));
  const last = found.matrix[found.layers.length - 1][found.otherLayers.length - 1];
  const lasts = { layer: code(found.layers.at(-1)!), other: code(found.otherLayers.at(-1)!) };
  return html`<div class="numbers">
${number(t('meanBest'), written(meanOf(list.map(({ cka }) => cka))), t('meanBestHint'), true)}
${same.length > 0 && number(t('sameName'), written(meanOf(same)), t('sameNameHint', { count: same.length }))}
${number(t('lastLayers'), written(last), t('lastLayersHint', lasts))}
${number(t('leastAlike'), written(least.cka), t('leastAlikeHint', { layer: code(least.layer), other: code(least.other) }))}
${number(t('comparedOn'), grouped(count), t('comparedOnHint'))}
</div>
${findingList(comparisonFindings(found, count).map(({ kind, text }) => ({ kind, text: inBoth(text) })))}`;
}

function likeness({ found, model, other }: ComparisonContent): Html {
  const { layers: rows, otherLayers: columns, matrix: values } = found;
  const { svg, width } = similarityPlot({ rows, columns, values, title: plain('likenessTitle') });
  const names = { model: nameHtml(model, 60), other: nameHtml(other, 60) };
  return html`<h2>${t('likenessTitle')}</h2><p class="how">${t('likenessHow', names)}</p>
<figure class="card"><div class="wide-plot"><div style="min-width:${Math.min(width, 520)}px;max-width:${width}px;margin:0 auto">${trusted(svg)}</div></div></figure>`;
}

function matches({ found, model }: ComparisonContent): Html {
  const body = layerMatches(found).map(
    ({ layer, other, cka, samePlace }) =>
      html`<tr><td data-v="${layer}">${nameHtml(layer, 60)}</td><td class="name" data-v="${other}">${nameHtml(other, 60)}</td><td data-v="${exact(cka)}"><span class="bar" style="--v:${cka.toFixed(3)}"><i></i></span>${cka.toFixed(3)}</td><td data-v="${samePlace === null ? -1 : exact(samePlace)}">${samePlace === null ? '–' : samePlace.toFixed(3)}</td></tr>\n`,
  );
  const heads = [
    t('layerColumn', { model: nameHtml(model, 40) }),
    t('matchColumn'),
    t('ckaColumn'),
    t('samePlaceColumn'),
  ];
  return html`<h2>${t('matchesTitle')}</h2><p class="how">${t('matchesHow')}</p><div class="card"><div class="scroll"><table class="list sortable matches">
<thead><tr>${heads.map((head, i) => html`<th scope="col"${i === 1 && html` class="name"`}><button type="button">${head}</button></th>`)}</tr></thead><tbody>${body}</tbody></table></div></div>`;
}

const literature = [
  'S. Kornblith, M. Norouzi, H. Lee, G. Hinton (2019): Similarity of Neural Network Representations Revisited. ICML; arXiv:1905.00414',
  'T. Nguyen, M. Raghu, S. Kornblith (2021): Do Wide and Deep Networks Learn the Same Things? ICLR; arXiv:2010.15327',
];

function about({ count }: ComparisonContent): Html {
  return html`<h2>${t('aboutCkaTitle')}</h2><div class="card prose"><p>${t('aboutCkaWhat', { count })}</p><p>${t('aboutCkaReads')}</p><p>${t('aboutCkaNot')}</p>
<h3>${t('literature')}</h3><ul class="notes">${literature.map((entry) => html`<li>${entry}</li>`)}</ul></div>`;
}

function numbers({ found: { layers, otherLayers, matrix } }: ComparisonContent): Html {
  const row = (layer: string, r: number) =>
    html`<tr><th scope="row">${nameHtml(layer, 60)}</th>${matrix[r].map((v) => html`<td data-v="${exact(v)}">${v.toFixed(3)}</td>`)}</tr>\n`;
  return html`<h2>${t('ckaNumbersTitle')}</h2><div class="card"><div class="scroll"><table class="list pairs-table">
<thead><tr><td></td>${otherLayers.map((layer) => html`<th scope="col">${nameHtml(layer, 60)}</th>`)}</tr></thead><tbody>${layers.map(row)}</tbody></table></div></div>`;
}

/** The map of likenesses alone, as an SVG that needs no style sheet. */
export function comparisonPoster({ model, other, data, count, found }: ComparisonContent): string {
  const { layers: rows, otherLayers: columns, matrix: values } = found;
  const { svg, ...drawn } = similarityPlot({ rows, columns, values, width: 900, standalone: true });
  const [left, top] = [28, 92];
  const [width, height] = [Math.max(700, drawn.width + 2 * left), drawn.height + top + 20];
  // The colours' variables have no page to come from, and many readers of SVG know none.
  const placed = svg
    .replace('<svg ', `<svg x="${Math.round((width - drawn.width) / 2)}" y="${top}" `)
    .replaceAll(/var\(--[\w-]+, (#\w+)\)/g, '$1');
  const names = html`${shortName(model, 40)} (rows) × ${shortName(other, 40)} (columns)`.markup;
  const said =
    html`linear CKA on ${grouped(count)} samples of ${shortName(data, 40)} · 1: the same but for turning and scaling, 0: nothing in common`
      .markup;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="'Helvetica Neue', 'Liberation Sans', Arial, 'DejaVu Sans', sans-serif" color="#1d2027" fill="#1d2027">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="${left}" y="40" font-size="20" font-weight="700">${names}</text>
<text x="${left}" y="64" font-size="12.5" fill="#667085">${said}</text>
${placed}
</svg>
`;
}

function code(path: string): Html {
  return html`<code>${shortName(path, 28)}</code>`;
}

/** As `fovea compare --json` writes it. */
function exact(value: number): number {
  return Number(value.toPrecision(5));
}

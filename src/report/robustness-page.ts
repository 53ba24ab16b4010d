/**
 * A robustness measurement as a page: what follows from it, a curve for each disturbance, pictures as the model was shown them, why shifts matter, and
 * all numbers. Sources: Azulay and Weiss 2019, arXiv:1805.12177; Zhang 2019, arXiv:1904.11486.
 */

import type { Perturbation, Robustness, RobustnessRow, RobustnessSample } from '../explain/index.js';
import { grouped } from '../util/counts.js';
import { percent } from './format.js';
import { type Html, html, nameHtml, shortName } from './html.js';
import type { EmbeddedPicture, ReportFacts } from './input.js';
import { colorKey, figure, findingList, number, share } from './parts.js';
import { robustnessCharts } from './robustness-charts.js';
import { axisOf, hintOf, inSentence, levelOf, robustnessFindings, titleOf, weakestOf } from './robustness-findings.js';
import { renderShell } from './shell.js';
import { both, inBoth, t } from './text.js';

export interface RobustnessContent {
  readonly model: string;
  readonly classes: readonly string[];
  readonly found: Robustness;
  readonly facts?: ReportFacts;
}

export interface RobustnessInput extends RobustnessContent {
  readonly date: Date;
  readonly facts: ReportFacts;
  /** Of samples, by `sampleKey`. */
  readonly pictures: ReadonlyMap<string, EmbeddedPicture>;
}

/** The whole page. Names may come from strangers. */
export async function renderRobustnessPage(input: RobustnessInput): Promise<string> {
  const { model, date, facts, pictures } = input;
  return renderShell({
    kind: 'robustnessReport',
    title: `${shortName(model)} · robustness · ${date.toISOString().slice(0, 10)}`,
    heading: html`${nameHtml(model)} <small>${t('on', { data: both('robustnessOf') })}</small>`,
    date,
    facts,
    pictures,
    sections: [
      { id: 'overview', word: 'overview', content: overview(input) },
      { id: 'curves', word: 'curves', content: curves(input) },
      { id: 'pictures', word: 'looks', content: looks(input) },
      { id: 'shifts', word: 'whyShifts', content: why() },
      { id: 'numbers', word: 'numbers', content: numbers(input) },
    ],
  });
}

/** What a sample is called in the page: its place among perturbations and levels (null: undisturbed), and which picture it is. */
export function sampleKey(row: number | null, { index }: RobustnessSample): string {
  return `${row ?? 'u'}-${index}`;
}

function overview({ found }: RobustnessInput): Html {
  const { rows, pictures, probability } = found;
  const groups = byPerturbation(rows);
  const first = rows.find(({ perturbation }) => perturbation.name === 'shift') ?? rows[0];
  const weakest = weakestOf(rows);
  const mean = groups.reduce((sum, [, own]) => sum + own.reduce((s, { kept }) => s + kept / own.length, 0), 0);
  const at = (row: RobustnessRow) => ({ what: titleOf(row.perturbation), level: levelOf(row) });
  const ways = groups.length;
  return html`<div class="numbers">
${number(t('staysAt', { what: inSentence(titleOf(first.perturbation)), level: levelOf(first) }), share(first.kept, 1), t('staysAtHint', { count: grouped(first.count) }), true)}
${number(t('staysMean'), share(mean / ways, 1), t('staysMeanHint'))}
${number(t('weakestAt'), share(weakest.kept, 1), t('weakestAtHint', at(weakest)))}
${number(t('undisturbed'), share(probability, 1), t('undisturbedHint'))}
${number(t('picturesCount'), grouped(pictures), t('picturesCountHint', { ways }))}
</div>
${findingList(robustnessFindings(found).map(({ kind, text }) => ({ kind, text: inBoth(text) })))}`;
}

function curves({ found }: RobustnessInput): Html {
  const keys = [colorKey('keyKept', 1), colorKey('keyProbability', 2, true)];
  return html`<h2>${t('curvesTitle')}</h2><p class="how">${t('curvesHow')}</p><p class="keys">${keys}</p><div class="plots">${robustnessCharts(
    found,
  ).map(({ perturbation, svg }) => {
    const hint = hintOf(perturbation);
    const notes = hint === null ? [] : [html`<span class="made">${inBoth(hint)}</span>`];
    return figure(inBoth(titleOf(perturbation)), notes, svg, inBoth(axisOf(perturbation)));
  })}</div>`;
}

/** A strip of pictures for each disturbance: the undisturbed one, then weaker to stronger. */
function looks(input: RobustnessInput): Html | null {
  if (input.found.samples.length === 0 || input.pictures.size === 0) return null;
  return html`<h2>${t('looksTitle')}</h2><p class="how">${t('looksHow')}</p>${byPerturbation(input.found.rows).map((group) => strip(input, ...group))}`;
}

function strip(input: RobustnessInput, perturbation: Perturbation, rows: readonly RobustnessRow[]): Html {
  const { found } = input;
  const pictures = found.samples.map((still, s) => {
    const disturbed = rows.map((row) => {
      const sample = row.samples[s];
      return shot(input, sampleKey(found.rows.indexOf(row), sample), sample, sample.best === still.best);
    });
    return html`<tr>${shot(input, sampleKey(null, still), still, true)}${disturbed}</tr>\n`;
  });
  const levels = rows.map((row) => html`<th scope="col">${inBoth(levelOf(row))}</th>`);
  return html`<figure class="card film"><figcaption><h3>${inBoth(titleOf(perturbation))}</h3></figcaption><div class="scroll"><table>
<thead><tr><th scope="col">${t('undisturbed')}</th>${levels}</tr></thead>
<tbody>${pictures}</tbody></table></div></figure>\n`;
}

function shot({ classes, pictures }: RobustnessInput, key: string, sample: RobustnessSample, kept: boolean): Html {
  const name = classes[sample.best] ?? `#${sample.best}`;
  const small = pictures.get(key)?.small ? ' small' : '';
  const picture =
    pictures.has(key) && html`<span class="pic p${key}${small}" role="img" aria-label="${shortName(name, 40)}"></span>`;
  return html`<td>${picture}<div class="said"><span class="${kept ? 'is' : 'wrong'}">${nameHtml(name, 40)}</span> ${percent(sample.confidence, 0)}</div></td>`;
}

function why(): Html {
  const preset = (name: string) => html`<code>--augment ${name}</code>`;
  return html`<h2>${t('whyShiftsTitle')}</h2><div class="card prose">
<p>${t('whyConvolution')}</p><p>${t('whyMeasured')}</p><p>${t('whyHelps', { light: preset('light'), standard: preset('standard') })}</p>
<h3>${t('literature')}</h3>
<ul class="notes">${literature.map((entry) => html`<li>${entry}</li>`)}</ul></div>`;
}

const literature = [
  'A. Azulay, Y. Weiss (2019): Why do deep convolutional networks generalize so poorly to small image transformations? JMLR 20(184); arXiv:1805.12177',
  'R. Zhang (2019): Making Convolutional Networks Shift-Invariant Again. ICML; arXiv:1904.11486',
  'D. Hendrycks, T. Dietterich (2019): Benchmarking Neural Network Robustness to Common Corruptions and Perturbations. ICLR; arXiv:1903.12261',
];

function numbers({ found }: RobustnessInput): Html {
  const body = ([perturbation, own]: readonly [Perturbation, readonly RobustnessRow[]]) =>
    html`<tbody>${own.map(
      (row, i) =>
        html`<tr>${i === 0 && html`<th scope="rowgroup" rowspan="${own.length}">${inBoth(titleOf(perturbation))}</th>`}<td>${inBoth(levelOf(row))}</td><td data-v="${exact(row.kept)}"><span class="bar" style="--v:${row.kept.toFixed(3)}"><i></i></span>${percent(row.kept)}</td><td data-v="${exact(row.probability)}">${percent(row.probability)}</td><td data-v="${exact(row.change)}">${signed(row.change)}</td><td data-v="${row.count}">${grouped(row.count)}</td></tr>\n`,
    )}</tbody>`;
  const heads = ['howMuch', 'classStays', 'probability', 'change', 'disturbedCount'] as const;
  return html`<h2>${t('numbersTitle')}</h2><p class="how">${t('numbersHow')}</p><div class="card"><div class="scroll whole"><table class="list groups">
<thead><tr><th scope="col">${t('disturbedBy')}</th>${heads.map((word) => html`<th scope="col">${t(word)}</th>`)}</tr></thead>
${byPerturbation(found.rows).map(body)}
</table></div></div>`;
}

function byPerturbation(rows: readonly RobustnessRow[]): [Perturbation, RobustnessRow[]][] {
  const groups = new Map<Perturbation, RobustnessRow[]>();
  for (const row of rows) groups.set(row.perturbation, [...(groups.get(row.perturbation) ?? []), row]);
  return [...groups];
}

/** As `fovea robustness --json` writes it. */
function exact(value: number): number {
  return Number(value.toPrecision(5));
}

/** In percentage points. */
function signed(change: number): string {
  return `${change < 0 ? '−' : '+'}${Math.abs(100 * change).toFixed(1)}`;
}

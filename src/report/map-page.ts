/**
 * A data set as a map, as a page: every sample a point beside those that a layer of a model finds alike, its picture when pointed at; the same in pictures; samples
 * that lie among another class; and how such a map is read. Sources: van der Maaten and Hinton 2008 (t-SNE), McInnes et al. 2018 (UMAP).
 */

import type { Neighbours } from '../explain/index.js';
import { grouped } from '../util/counts.js';
import { percent } from './format.js';
import { type Html, html, nameHtml, shortName, trusted } from './html.js';
import type { EmbeddedPicture, ReportFacts } from './input.js';
import { mapFindings, mapNumbers, mostStrangers, strangersOf } from './map-findings.js';
import { mapScript } from './map-script.js';
import { findingList, number, share } from './parts.js';
import { classColor, classMark, scatterPlot } from './scatter-plot.js';
import { renderShell } from './shell.js';
import { both, inBoth, plain, t, type Word } from './text.js';

export type MapMethod = 'pca' | 'tsne' | 'umap';

export const methodTitles = { pca: 'PCA', tsne: 't-SNE', umap: 'UMAP' } as const satisfies Record<MapMethod, string>;

export interface MapContent {
  readonly model: string;
  readonly data: string;
  readonly classes: readonly string[];
  readonly labels: ArrayLike<number>;
  /** [samples, 2] */
  readonly coordinates: ArrayLike<number>;
  readonly method: MapMethod;
  /** Whose numbers were drawn, and how many there are for each sample. */
  readonly layer: string;
  /** Of what goes into that layer, not of what it answers. */
  readonly into: boolean;
  readonly features: number;
  readonly neighbours: Neighbours;
  /** Of PCA: the share of all variance along each axis. */
  readonly variance?: readonly number[];
  readonly settings: { readonly perplexity?: number; readonly neighbors?: number; readonly minDistance?: number };
  /** What a sample is called, by its place. */
  readonly nameOf: (index: number) => string;
  /** A sample that is words. */
  readonly textOf?: (index: number) => string | undefined;
  readonly facts?: ReportFacts;
}

export interface MapInput extends MapContent {
  readonly date: Date;
  readonly pictures: ReadonlyMap<number, EmbeddedPicture>;
  readonly facts: ReportFacts;
}

/** Classes in the key; more would fill the page. */
const mostKeys = 40;
const mosaicColumns = 18;
const mosaicRows = 11;

/** The whole page. Names may come from strangers. */
export async function renderMapPage(input: MapInput): Promise<string> {
  const { model, data, date, facts, pictures } = input;
  return renderShell({
    kind: 'dataMap',
    title: `${shortName(data)} · ${methodTitles[input.method]} · ${date.toISOString().slice(0, 10)}`,
    heading: html`${nameHtml(model)} <small>${t('mapOf', { data: nameHtml(data) })}</small>`,
    date,
    facts,
    pictures,
    code: mapScript,
    sections: [
      { id: 'overview', word: 'overview', content: overview(input) },
      { id: 'map', word: 'theMap', content: map(input) },
      { id: 'mosaic', word: 'looks', content: mosaic(input) },
      { id: 'strangers', word: 'strangers', content: strangers(input) },
      { id: 'numbers', word: 'mapNumbers', content: numbers(input) },
      { id: 'about', word: 'aboutMaps', content: about(input) },
    ],
  });
}

function overview({ neighbours, labels, classes, features, variance }: MapInput): Html {
  const { sameClass, sameClassOnMap, kept } = mapNumbers(neighbours);
  const { k } = neighbours;
  const used = new Set(Array.from(labels)).size;
  return html`<div class="numbers">
${number(t('mapSame'), share(sameClass, 1), t('mapSameHint', { k, features }), true)}
${number(t('mapSameMap'), share(sameClassOnMap, 1), t('mapSameMapHint', { k }))}
${number(t('mapKept'), share(kept, 1), t('mapKeptHint', { k }))}
${variance !== undefined && number(t('mapVariance'), share(variance[0] + (variance[1] ?? 0), 1), t('mapVarianceHint'))}
${number(t('mapSamples'), grouped(labels.length), t('mapSamplesHint', { classes: used }))}
</div>
${findingList(mapFindings(neighbours, labels.length, classes.length).map(({ kind, text }) => ({ kind, text: inBoth(text) })))}`;
}

function map(input: MapInput): Html {
  const { labels, coordinates, classes, method, layer, into, features, variance, pictures } = input;
  const source = both(into ? 'intoLayer' : 'fromLayer', { layer: shortName(layer, 60) });
  const points = Array.from(labels, (label, i) => ({
    x: coordinates[2 * i],
    y: coordinates[2 * i + 1],
    label,
    title: titleOf(input, i),
  }));
  const svg = scatterPlot({
    points,
    numbers: method === 'pca',
    width: 1040,
    height: 620,
    title: plain('mapTitle'),
  });
  const how =
    variance === undefined
      ? t('mapHowNear', { source, features, method: methodTitles[method] })
      : t('mapHowPca', {
          source,
          features,
          first: percent(variance[0]),
          second: percent(variance[1] ?? 0),
        });
  const shown = [...pictures].map(([index, { small }]) => `${index}${small ? 's' : ''}`).join(' ');
  return html`<h2>${t('mapTitle')}</h2><p class="how">${how}</p>
<figure class="card scatter" data-labels="${Array.from(labels).join(' ')}" data-pictures="${shown}">${trusted(svg)}
${key(classes, labels)}<div class="tip" hidden><span class="pic" hidden></span><span class="words"></span></div></figure>`;
}

function titleOf({ classes, labels, nameOf, textOf }: MapInput, i: number): string {
  const text = textOf?.(i);
  const name = `${shortName(nameOf(i), 80)} · ${shortName(classes[labels[i]] ?? '', 40)}`;
  return text === undefined ? name : `${name} · ${shortName(text, 160)}`;
}

function key(classes: readonly string[], labels: ArrayLike<number>): Html {
  const counts = new Int32Array(classes.length);
  for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
  const used = classes.map((name, label) => ({ name, label })).filter(({ label }) => counts[label] > 0);
  const more = used.length - mostKeys;
  return html`<ul class="legend">${used
    .slice(0, mostKeys)
    .map(
      ({ name, label }) =>
        html`<li><button type="button" aria-pressed="false" data-label="${label}">${classMark(label)}${nameHtml(name, 40)} <small>${grouped(counts[label])}</small></button></li>`,
    )}</ul>${more > 0 && html`<p class="left-out">${t('mapMoreClasses', { count: grouped(more) })}</p>`}`;
}

/** A grid over the map; in each of its cells the sample nearest to the middle that has a picture. */
function mosaic({ coordinates, labels, pictures, nameOf, classes }: MapInput): Html | null {
  if (pictures.size < 4) return null;
  const extents = [extent(coordinates, 0), extent(coordinates, 1)];
  const cells = new Map<number, { index: number; off: number }>();
  for (const index of pictures.keys()) {
    const at = [0, 1].map((axis) => {
      const [low, high] = extents[axis];
      const share = (coordinates[2 * index + axis] - low) / (high - low || 1);
      return axis === 0 ? share * (mosaicColumns - 1e-6) : (1 - share) * (mosaicRows - 1e-6);
    });
    const cell = Math.floor(at[1]) * mosaicColumns + Math.floor(at[0]);
    const off = Math.max(...at.map((v) => Math.abs((v % 1) - 0.5)));
    const known = cells.get(cell);
    if (known === undefined || off < known.off) cells.set(cell, { index, off });
  }
  const drawn = Array.from({ length: mosaicColumns * mosaicRows }, (_, cell) => {
    const found = cells.get(cell);
    if (found === undefined) return html`<i></i>`;
    const { index } = found;
    const name = `${shortName(nameOf(index), 60)} · ${shortName(classes[labels[index]], 40)}`;
    return html`<span class="pic p${index}${pictures.get(index)!.small ? ' small' : ''}" style="--c:${classColor(labels[index])}" role="img" aria-label="${name}" title="${name}"></span>`;
  });
  return html`<h2>${t('mosaicTitle')}</h2><p class="how">${t('mosaicHow')}</p><div class="card"><div class="mosaic" style="--columns:${mosaicColumns}">${drawn}</div></div>`;
}

function strangers({ neighbours, labels, classes, pictures, nameOf, textOf }: MapInput): Html | null {
  const found = strangersOf(neighbours, labels, mostStrangers);
  if (found.length === 0) return null;
  const shot = ({ index, among }: { index: number; among: number }) => {
    const picture = pictures.get(index);
    const text = textOf?.(index);
    const seen =
      picture !== undefined
        ? html`<span class="pic p${index}${picture.small ? ' small' : ''}" role="img" aria-label="${shortName(nameOf(index), 80)}"></span>`
        : text === undefined
          ? null
          : html`<span class="pic text">${nameHtml(text, 220)}</span>`;
    return html`<li class="shot">${seen}<div class="said"><span class="is">${nameHtml(classes[labels[index]], 40)}</span></div><div><span class="wrong">${t('strangerAmong', { name: nameHtml(classes[among], 40) })}</span></div><div class="file">${nameHtml(nameOf(index), 80)}</div></li>\n`;
  };
  return html`<h2>${t('strangersTitle')}</h2><p class="how">${t('strangersHow', { k: neighbours.k })}</p><ul class="gallery">${found.map(shot)}</ul>`;
}

function numbers({
  neighbours,
  labels,
  classes,
  method,
  layer,
  into,
  features,
  variance,
  settings,
  facts,
}: MapInput): Html {
  const rows = perClass(neighbours, labels, classes.length);
  const body = rows.map(
    ({ label, count, same, onMap }) =>
      html`<tr><td data-v="${shortName(classes[label], 60)}">${nameHtml(classes[label], 60)}</td><td data-v="${same}"><span class="bar" style="--v:${same.toFixed(3)}"><i></i></span>${percent(same)}</td><td data-v="${onMap}">${percent(onMap)}</td><td data-v="${count}">${grouped(count)}</td></tr>\n`,
  );
  const heads: readonly Word[] = ['class', 'sameClassColumn', 'sameOnMapColumn', 'support'];
  const set: [Word, string | number | undefined][] = [
    ['settingMethod', methodTitles[method]],
    [into ? 'settingInto' : 'settingLayer', layer],
    ['settingFeatures', grouped(features)],
    ['settingComponents', variance?.map((v) => percent(v)).join(', ')],
    ['settingPerplexity', settings.perplexity],
    ['settingNeighbors', settings.neighbors],
    ['settingMinDistance', settings.minDistance],
    ['seed', facts.seed],
  ];
  return html`<h2>${t('mapNumbersTitle')}</h2><p class="how">${t('mapNumbersHow')}</p><div class="two"><div class="card"><div class="scroll"><table class="list sortable">
<thead><tr>${heads.map((word) => html`<th scope="col"><button type="button">${t(word)}</button></th>`)}</tr></thead><tbody>${body}</tbody></table></div></div>
<div class="card"><table class="list"><thead><tr><th scope="col">${t('setting')}</th><th scope="col">${t('settingValue')}</th></tr></thead><tbody>${set
    .filter(([, value]) => value !== undefined)
    .map(
      ([word, value]) => html`<tr><td>${t(word)}</td><td>${nameHtml(String(value), 60)}</td></tr>`,
    )}</tbody></table></div></div>`;
}

/** Of the samples of each class that were asked. */
export function perClass(
  { queries, sameClass, sameClassOnMap }: Neighbours,
  labels: ArrayLike<number>,
  classes: number,
): { label: number; count: number; same: number; onMap: number }[] {
  const rows = Array.from({ length: classes }, (_, label) => ({ label, count: 0, same: 0, onMap: 0 }));
  for (const [row, query] of queries.entries()) {
    const own = rows[labels[query]];
    own.count++;
    own.same += sameClass[row];
    own.onMap += sameClassOnMap[row];
  }
  const mean = (sum: number, count: number) => Number((sum / count).toPrecision(5));
  return rows
    .filter(({ count }) => count > 0)
    .map(({ label, count, same, onMap }) => ({ label, count, same: mean(same, count), onMap: mean(onMap, count) }));
}

const abouts = { pca: 'aboutPca', tsne: 'aboutTsne', umap: 'aboutUmap' } as const;

const literature = {
  pca: 'I. T. Jolliffe (2002): Principal Component Analysis. Springer',
  tsne: 'L. van der Maaten, G. Hinton (2008): Visualizing Data using t-SNE. JMLR 9',
  umap: 'L. McInnes, J. Healy, J. Melville (2018): UMAP: Uniform Manifold Approximation and Projection. arXiv:1802.03426',
} as const;

function about({ method }: MapInput): Html {
  return html`<h2>${t('aboutMapsTitle')}</h2><div class="card prose"><p>${t(abouts[method])}</p><p>${t('aboutLabels')}</p>
<h3>${t('literature')}</h3><ul class="notes"><li>${literature[method]}</li></ul></div>`;
}

function extent(values: ArrayLike<number>, axis: number): [low: number, high: number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = axis; i < values.length; i += 2) {
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  return [low, high];
}

/** One sentence for the terminal: what a map of this method shows. */
export function methodSentence(method: MapMethod): string {
  return both(abouts[method]).en;
}

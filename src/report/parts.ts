/** Pieces that several sections are made of: large numbers, findings, plots in frames, keys of colours. */

import { type Html, html, trusted } from './html.js';
import { plotColor } from './plot.js';
import { t, type Word } from './text.js';

/** A number of the headline; the `first` one stands out. */
export function number(name: Html, value: Html | string, hint: Html, first = false): Html {
  return html`<div class="number${first ? ' first' : ''}"><div class="name">${name}</div><div class="value">${value}</div><div class="hint">${hint}</div></div>`;
}

/** A share as a number of the headline. */
export function share(value: number, digits: number): Html {
  return html`${(100 * value).toFixed(digits)}<small> %</small>`;
}

export interface Finding {
  readonly text: Html;
  readonly kind: 'good' | 'bad' | 'plain';
}

export function findingList(findings: readonly Finding[]): Html {
  return html`<ul class="findings card">${findings.map(({ text, kind }) => html`<li class="${kind}">${text}</li>`)}</ul>`;
}

/** A plot with its title, what its colours are or how it was made, and what its horizontal axis is. */
export function figure(title: Html, notes: readonly Html[], chart: string, axis: Html): Html {
  return html`<figure class="card"><figcaption><h3>${title}</h3>${notes}</figcaption>${trusted(chart)}<div class="axis">${axis}</div></figure>`;
}

export function colorKey(word: Word, color: number, dashed = false): Html {
  return html`<span class="key"><i${dashed && html` class="dashed"`} style="--c:${plotColor(color)}"></i>${t(word)}</span>`;
}

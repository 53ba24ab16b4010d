/**
 * An evaluation as one page of HTML that needs nothing from anywhere: plots are SVG, pictures are in it, both languages are in it, and a policy in its
 * head forbids it to load or send anything. Without scripts it shows the same.
 */

import { calibrationSection } from './calibration-section.js';
import { classesSection } from './classes-section.js';
import { confusionSection } from './confusion-section.js';
import { dataSection, reproduceSection } from './data-section.js';
import { mistakesSection } from './gallery.js';
import { headline } from './headline.js';
import { type Html, html, nameHtml, shortName, trusted } from './html.js';
import type { PageInput } from './input.js';
import { script } from './script.js';
import { select } from './selection.js';
import { style } from './style.js';
import { t, type Word } from './text.js';
import { trainingSection } from './training-section.js';

/** The whole page. Everything in `input` may come from strangers. */
export async function renderPage(input: PageInput): Promise<string> {
  const selection = select(input.evaluation);
  const sections: [id: string, word: Word, content: Html | null][] = [
    ['overview', 'overview', headline(input)],
    ['training', 'training', trainingSection(input)],
    ['confusion', 'confusion', confusionSection(input, selection)],
    ['mistakes', 'mistakes', mistakesSection(input, selection)],
    ['by-class', 'byClass', classesSection(input)],
    ['calibration', 'calibration', calibrationSection(input)],
    ['data', 'data', dataSection(input)],
    ['reproduce', 'reproduce', reproduceSection(input)],
  ];
  const shown = sections.flatMap(([id, word, content]) => (content === null ? [] : [{ id, word, content }]));
  const pictures = Array.from(input.pictures, ([index, { uri }]) => `.p${index}{background-image:url(${uri})}`);
  const title = `${shortName(input.model)} · ${shortName(input.data)} · ${input.date.toISOString().slice(0, 10)}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '${await hashOf(script)}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fovea">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${trusted(style)}</style>
<style>${trusted(pictures.join('\n'))}</style>
</head>
<body>
<header><div class="wrap">
  <div class="brand">${logo}<span><b>fovea</b> · ${t('report')}</span>
    <div class="lang" role="radiogroup" aria-label="Language · 语言">
      <input type="radio" name="lang" id="lang-en" checked><label for="lang-en" lang="en">English</label>
      <input type="radio" name="lang" id="lang-zh"><label for="lang-zh" lang="zh-CN">中文</label>
    </div>
  </div>
  <h1>${nameHtml(input.model)} <small>${t('on', { data: nameHtml(input.data) })}</small></h1>
  ${facts(input)}
</div></header>
<nav aria-label="${shortName(input.model)}"><div class="wrap">${shown.map(({ id, word }) => html`<a href="#${id}">${t(word)}</a>`)}</div></nav>
<main class="wrap">
${shown.map(({ id, content }) => html`<section id="${id}">${content}</section>\n`)}
</main>
<footer><div class="wrap">${t('footer')}</div></footer>
<script>${trusted(script)}</script>
</body>
</html>
`;
  return page.markup;
}

function facts({ date, facts: known }: PageInput): Html {
  const rows: [Word, string | number | undefined][] = [
    ['parameters', known.parameters?.toLocaleString('en-US')],
    ['input', known.input?.join(' × ')],
    ['weights', known.weights],
    ['device', known.device],
    ['seed', known.seed],
    ['version', known.version],
  ];
  const made = date.toISOString().slice(0, 16).replace('T', ' ');
  return html`<div class="facts"><span>${t('madeAt', { date: html`<b>${made} UTC</b>` })}</span>${rows
    .filter(([, value]) => value !== undefined)
    .map(([word, value]) => html`<span>${t(word)} <b>${nameHtml(String(value), 60)}</b></span>`)}</div>`;
}

/** A fovea: the pit in the retina where sight is sharpest, in rings. */
const logo = trusted(
  '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" aria-hidden="true"><circle cx="12" cy="12" r="10.5" stroke-width="1.2" opacity=".35"/>' +
    '<circle cx="12" cy="12" r="7" stroke-width="1.6" opacity=".65"/><circle cx="12" cy="12" r="3.2" fill="currentColor" stroke="none"/></svg>',
);

/** As a content security policy names a script that may run. */
async function hashOf(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return `sha256-${btoa(String.fromCharCode(...digest))}`;
}

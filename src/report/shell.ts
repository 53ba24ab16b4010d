/**
 * What all our pages have in common: a head, a title with facts below it, a switch between two languages, links to the sections, light and dark. One
 * file that needs nothing from anywhere: plots are SVG, pictures are in it, and a policy in its head forbids it to load or send anything. Without
 * scripts it shows the same.
 */

import { type Html, html, nameHtml, shortName, trusted } from './html.js';
import type { EmbeddedPicture, ReportFacts } from './input.js';
import { script } from './script.js';
import { style } from './style.js';
import { t, type Word } from './text.js';

export interface Section {
  readonly id: string;
  /** Its name in the list of links. */
  readonly word: Word;
  /** null: there is nothing to say. */
  readonly content: Html | null;
}

export interface Shell {
  /** What kind of page it is. */
  readonly kind: Word;
  /** Of the tab. */
  readonly title: string;
  readonly heading: Html;
  readonly date: Date;
  readonly facts: ReportFacts;
  readonly sections: readonly Section[];
  /** Shown by elements of the class `p` + key. */
  readonly pictures: ReadonlyMap<number | string, EmbeddedPicture>;
  /** What this kind of page does besides what all do. */
  readonly code?: string;
}

export async function renderShell(shell: Shell): Promise<string> {
  const { kind, title, heading, date, facts, sections, pictures } = shell;
  const code = `${script}${shell.code ?? ''}`;
  const shown = sections.filter(({ content }) => content !== null);
  const backgrounds = Array.from(pictures, ([key, { uri }]) => `.p${key}{background-image:url(${uri})}`);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '${await hashOf(code)}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fovea">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${trusted(style)}</style>
<style>${trusted(backgrounds.join('\n'))}</style>
</head>
<body>
<header><div class="wrap">
  <div class="brand">${logo}<span><b>fovea</b> · ${t(kind)}</span>
    <div class="lang" role="radiogroup" aria-label="Language · 语言">
      <input type="radio" name="lang" id="lang-en" checked><label for="lang-en" lang="en">English</label>
      <input type="radio" name="lang" id="lang-zh"><label for="lang-zh" lang="zh-CN">中文</label>
    </div>
  </div>
  <h1>${heading}</h1>
  ${factList(date, facts)}
</div></header>
<nav aria-label="${shortName(title)}"><div class="wrap">${shown.map(({ id, word }) => html`<a href="#${id}">${t(word)}</a>`)}</div></nav>
<main class="wrap">
${shown.map(({ id, content }) => html`<section id="${id}">${content}</section>\n`)}
</main>
<footer><div class="wrap">${t('footer')}</div></footer>
<script>${trusted(code)}</script>
</body>
</html>
`;
  return page.markup;
}

function factList(date: Date, known: ReportFacts): Html {
  const rows: [Word, string | number | undefined][] = [
    ['parameters', known.parameters?.toLocaleString('en-US')],
    ['input', known.input?.join(' × ')],
    ['weights', known.weights],
    ['device', known.device],
    ['threads', known.threads],
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

/**
 * The page that asks for a picture and shows what a model sees in it: index.html of an exported folder, and GET / of a server. It loads nothing from
 * elsewhere; its policy forbids that. What it does is in app.ts.
 */

import { style } from './page-style.js';
import { texts } from './texts.js';

export interface Page {
  readonly title: string;
  readonly classes: readonly string[];
  /** Who computes: the visitor's browser, or the server that the page came from. */
  readonly backend: 'local' | 'server';
  /** Of a local one: the model's file, and the scripts to fetch ahead. */
  readonly model?: string;
  readonly preload?: readonly string[];
  /** Of a server: whether it asks for a token. */
  readonly token?: boolean;
}

/** WebAssembly is compiled, and its threads start from a blob. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  "img-src 'self' blob: data:",
  'media-src blob:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

export function renderPage({ title, classes, backend, model = '', preload = [], token = false }: Page): string {
  const t = texts.en;
  const name = escapeHtml(title);
  const ahead = preload.map((file) => `\n<link rel="modulepreload" href="${escapeHtml(file)}">`).join('');
  const privacy = backend === 'local' ? 'privateLocal' : 'privateServer';
  const ask = `
      <form class="token" id="token-form"><label><span data-text="tokenHint">${t.tokenHint}</span>
        <input id="token" type="password" autocomplete="off" aria-label="${t.token}" data-label="token"></label></form>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy}">
<meta name="color-scheme" content="light dark">
<title>${name}</title>
<link rel="icon" href="data:image/svg+xml,${icon}">
<style>${style}</style>${ahead}
<script type="module" src="./page.js"></script>
</head>
<body data-backend="${backend}" data-model="${escapeHtml(model)}" data-classes="${classes.length}">
<header>
  <div>
    <h1>${name}</h1>
    <p class="facts" id="facts">${classes.length} classes</p>
  </div>
  <button type="button" id="language" lang="zh" data-text="language">${t.language}</button>
</header>
<main>
  <p class="card not-started">${t.notStarted}<br><span lang="zh">${texts.zh.notStarted}</span></p>
  <section class="card stage" id="stage" data-show="nothing">
    <label class="drop">
      <input class="hidden-input" id="first-file" type="file" accept="image/*">
      <svg viewBox="0 0 24 24" fill="none" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><rect x="3" y="4.5" width="18" height="15" rx="2.5"/><circle cx="8.5" cy="9.8" r="1.6"/><path d="m4 17 4.8-4.2 3.4 2.8 4.3-4.4L21 15.4"/></svg>
      <strong data-text="drop">${t.drop}</strong>
      <span data-text="dropHint">${t.dropHint}</span>
    </label>
    <div class="view">
      <img id="picture" alt="${t.picture}" data-alt="picture">
      <video id="video" playsinline muted aria-label="${t.cameraView}" data-label="cameraView"></video>
    </div>
    <div class="actions">
      <label class="button main"><input class="hidden-input" id="file" type="file" accept="image/*"><span data-text="choose">${t.choose}</span></label>
      <button type="button" id="camera" hidden data-text="camera">${t.camera}</button>
      <p data-text="another" id="another">${t.another}</p>
    </div>
  </section>
  <section class="card answer" id="answer" aria-labelledby="heading">
    <h2 id="heading" data-text="results">${t.results}</h2>${token ? ask : ''}
    <ol id="guesses" aria-live="polite"></ol>
    <p class="status" id="status" role="status" data-text="waiting">${t.waiting}</p>
    <progress id="progress" max="1" hidden aria-label="${t.loading}" data-label="loading"></progress>
  </section>
</main>
<footer><p data-text="${privacy}">${t[privacy]}</p></footer>
</body>
</html>
`;
}

const icon = encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0e7490"/><circle cx="16" cy="16" r="7.5" fill="none" stroke="#fff" stroke-width="3"/><circle cx="16" cy="16" r="2.6" fill="#fff"/></svg>',
);

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** What the page does: takes a picture from wherever it comes, asks the model in this browser or the server, draws the answer. */

import { askServer } from './ask-server.js';
import type { Guess, WebModel } from './fovea.js';
import { type Language, preferredLanguage, say, type TextKey } from './texts.js';

/** A way to ask, with what is known about the model once it is there. */
interface Backend {
  classify(picture: Blob | HTMLVideoElement): Promise<{ guesses: readonly Guess[]; threads?: number }>;
  facts(language: Language): string;
}

const byId = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const [stage, answer, guesses, status, progress] = ['stage', 'answer', 'guesses', 'status', 'progress'].map((id) =>
  byId(id),
);
const picture = byId<HTMLImageElement>('picture');
const video = byId<HTMLVideoElement>('video');
const cameraButton = byId<HTMLButtonElement>('camera');
const { backend: kind, model: modelFile = '', classes: classCount = '0' } = document.body.dataset;

let language = preferredLanguage(navigator.languages);
let stream: MediaStream | null = null;
/** Which picture is meant: an answer that comes after the next picture was given is not shown. */
let turn = 0;

document.documentElement.classList.add('started');
const backend: Promise<Backend> = kind === 'server' ? Promise.resolve(server()) : local();
backend.catch((error: Error) => tell('failed', { reason: error.message }));
translate();
listen();

// —— who computes ——

async function local(): Promise<Backend> {
  tell('loading');
  const { openModel } = await import('./fovea.js');
  const model: WebModel = await openModel(modelFile, {
    onProgress: ({ loaded, total }) => {
      if (total === 0) return;
      showProgress(loaded / total);
      tell('loadingShare', { percent: Math.floor((100 * loaded) / total) });
    },
  });
  showProgress(null);
  tell('starting');
  const [channels, height, width] = model.inputShape;
  await model.classify(new ImageData(width, height)); // compiles
  if (turn === 0) tell('waiting');
  const made: Backend = {
    classify: async (source) => ({ guesses: await model.classify(source), threads: model.threads }),
    facts: (l) => say(l, 'facts', { classes: model.classes.length, height, width, channels }),
  };
  byId('facts').textContent = made.facts(language);
  return made;
}

function server(): Backend {
  return {
    classify: async (source) => {
      const file = source instanceof Blob ? source : await frameOf(source);
      const token = (document.getElementById('token') as HTMLInputElement | null)?.value;
      return { guesses: await askServer(file, token) };
    },
    facts: (l) => say(l, 'factsShort', { classes: classCount }),
  };
}

async function frameOf(source: HTMLVideoElement): Promise<Blob> {
  const canvas = new OffscreenCanvas(source.videoWidth, source.videoHeight);
  canvas.getContext('2d')!.drawImage(source, 0, 0);
  return canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
}

// —— where pictures come from ——

function listen(): void {
  for (const id of ['first-file', 'file']) {
    const input = byId<HTMLInputElement>(id);
    input.addEventListener('change', () => {
      const [file] = input.files ?? [];
      input.value = ''; // the same file may be chosen again
      if (file !== undefined) void take(file);
    });
  }
  document.getElementById('token-form')?.addEventListener('submit', (event) => event.preventDefault());
  let depth = 0;
  const over = (by: number) => {
    depth = by === 0 ? 0 : Math.max(0, depth + by);
    stage.classList.toggle('over', depth > 0);
  };
  document.addEventListener('dragenter', () => over(1));
  document.addEventListener('dragleave', () => over(-1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    over(0);
    const [file] = event.dataTransfer?.files ?? [];
    if (file !== undefined) void take(file);
  });
  document.addEventListener('paste', (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'));
    if (file !== undefined) void take(file);
  });
  byId('language').addEventListener('click', () => {
    language = language === 'en' ? 'zh' : 'en';
    translate();
  });
  cameraButton.hidden = navigator.mediaDevices?.getUserMedia === undefined;
  cameraButton.addEventListener('click', () => (stream === null ? startCamera() : stopCamera()));
}

async function take(file: Blob): Promise<void> {
  stopCamera();
  URL.revokeObjectURL(picture.src);
  picture.onload = () => picture.classList.toggle('small', Math.max(picture.naturalWidth, picture.naturalHeight) < 96);
  picture.src = URL.createObjectURL(file);
  show('picture');
  await look(file, ++turn);
}

async function startCamera(): Promise<void> {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch (error) {
    return tell('noCamera', { reason: (error as Error).message });
  }
  const mine = ++turn;
  video.srcObject = stream;
  await video.play();
  show('camera');
  label(cameraButton, 'stopCamera');
  // One look after the other, as fast as they come; in between the page may draw and listen.
  while (stream !== null && mine === turn) {
    await look(video, mine);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

function stopCamera(): void {
  if (stream === null) return;
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  video.srcObject = null;
  turn++;
  label(cameraButton, 'camera');
  show(picture.src === '' ? 'nothing' : 'picture');
}

// —— asking and answering ——

async function look(source: Blob | HTMLVideoElement, mine: number): Promise<void> {
  const live = source === video;
  if (!live) answer.classList.add('busy');
  try {
    const { classify } = await backend;
    if (mine !== turn) return;
    if (!live) tell('thinking');
    await new Promise(requestAnimationFrame); // the page shows the picture before this thread is busy
    const start = performance.now();
    const { guesses: found, threads = 1 } = await classify(source);
    if (mine !== turn) return;
    draw(found);
    const ms = Math.max(1, Math.round(performance.now() - start));
    tell(threads > 1 ? 'tookThreads' : 'took', { ms, threads });
  } catch (error) {
    if (mine !== turn) return;
    draw([]);
    tell('failed', { reason: (error as Error).message });
  } finally {
    if (mine === turn) answer.classList.remove('busy');
  }
}

function draw(found: readonly Guess[]): void {
  // Rows are used again, so that bars glide from one answer to the next.
  while (guesses.children.length > found.length) guesses.lastElementChild!.remove();
  for (const [i, { class: name, probability }] of found.entries()) {
    const row = guesses.children[i] ?? guesses.appendChild(emptyRow());
    const [nameCell, percentCell, track] = row.children;
    nameCell.textContent = name;
    percentCell.textContent = percent(probability);
    (track.firstElementChild as HTMLElement).style.setProperty('--share', String(probability));
  }
}

function emptyRow(): HTMLLIElement {
  const row = document.createElement('li');
  for (const [tag, className] of [
    ['span', 'name'],
    ['span', 'percent'],
    ['div', 'track'],
  ]) {
    // biome-ignore format: a table
    row.append(Object.assign(document.createElement(tag), { className }));
  }
  row.lastElementChild!.setAttribute('aria-hidden', 'true');
  row.lastElementChild!.append(document.createElement('i'));
  return row;
}

function percent(share: number): string {
  const value = 100 * share;
  return `${value > 0 && value < 0.1 ? '< 0.1' : value.toFixed(value >= 99.95 ? 0 : 1)} %`;
}

// —— words ——

function translate(): void {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll<HTMLElement>('[data-text], [data-label], [data-alt]')) {
    const { text, label: name, alt } = element.dataset;
    if (text !== undefined) element.textContent = say(language, text as TextKey, valuesOf(element));
    if (name !== undefined) element.setAttribute('aria-label', say(language, name as TextKey));
    if (alt !== undefined) element.setAttribute('alt', say(language, alt as TextKey));
  }
  byId('language').lang = language === 'en' ? 'zh' : 'en';
  if (kind === 'server') byId('facts').textContent = say(language, 'factsShort', { classes: classCount });
  else backend.then(({ facts }) => (byId('facts').textContent = facts(language))).catch(() => {});
}

function tell(key: TextKey, values: Readonly<Record<string, string | number>> = {}): void {
  status.dataset.text = key;
  status.dataset.values = JSON.stringify(values);
  status.textContent = say(language, key, values);
  status.classList.toggle('wrong', key === 'failed' || key === 'noCamera');
}

function valuesOf({ dataset }: HTMLElement): Record<string, string> {
  return dataset.values === undefined ? {} : JSON.parse(dataset.values);
}

function label(element: HTMLElement, key: TextKey): void {
  element.dataset.text = key;
  element.textContent = say(language, key);
}

function show(what: 'nothing' | 'picture' | 'camera'): void {
  stage.dataset.show = what;
  guesses.ariaLive = what === 'camera' ? 'off' : 'polite'; // nobody can listen that fast
}

function showProgress(share: number | null): void {
  const bar = progress as HTMLProgressElement;
  bar.hidden = share === null;
  if (share !== null) bar.value = share;
}

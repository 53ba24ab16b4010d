/** The exported folder in a real browser, from a static server: what it sees is what `fovea predict` sees, in both languages, with nothing from elsewhere. */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error: plain JavaScript, which runs before there is anything to compile with
import { bundleWeb } from '../../scripts/web.mjs';
import { decodeImage, loadModel, saveOnnx } from '../../src/io/all.node.js';
import { openDevice, setDevice } from '../../src/tensor/index.js';
import { type Classifier, openClassifier } from '../../src/train/all.node.js';
import { exportWeb } from '../../src/web/export.node.js';
import { fovea } from '../onnx/command.js';
import { findChromium, noChromium } from '../platform/chromium.js';
import { makeRun, png, serveLenet } from '../serve/house.js';
import { launch, staticSite, visit } from './static-site.js';

let folder: string;
let bundle: string;
let browser: Browser | null = null;
const colours = ['crimson', 'green', 'blue', 'violet', 'grey'];
const digits = Array.from('0123456789');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fovea-web-'));
  bundle = join(folder, 'bundle');
  bundleWeb(bundle); // the sources as they stand, not what was built last
  setDevice((await openDevice('wasm', { threads: 1 })).target);
  await makeRun(join(folder, 'grey'), { model: 'lenet5', classes: digits, shape: [1, 28, 28] });
  await makeRun(join(folder, 'colours'), { model: 'resnet20', classes: colours, shape: [3, 32, 32], resize: 36 });
  if (findChromium() === null) console.warn(`browser tests are skipped: ${noChromium}`);
  else browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

/** The run of that name as a folder for a static host, and the same run opened here. */
async function exported(name: string): Promise<{ site: string; classifier: Classifier }> {
  const site = join(folder, `${name}-site`);
  const classifier = await openClassifier(join(folder, name));
  if (!(await readdir(folder)).includes(`${name}-site`))
    await exportWeb({ ...classifier, title: `<${name}>` }, site, { bundle });
  return { site, classifier };
}

async function predicted({ prepare, predict, channels }: Classifier, file: Uint8Array) {
  const picture = await prepare(await decodeImage(file, { channels }));
  return (await predict([picture], {}))[0];
}

interface Guess {
  class: string;
  index: number;
  probability: number;
}

/** What the folder's own fovea.js says, for all classes. */
function classifyInPage(
  page: Page,
  model: string,
  files: readonly Uint8Array[],
): Promise<{ threads: number; guesses: Guess[][] }> {
  const encoded = files.map((file) => Buffer.from(file).toString('base64'));
  // As text, because the test runner rewrites import() in functions.
  return page.evaluate(`(async () => {
    const { openModel } = await import('./fovea.js');
    const model = await openModel('./${model}');
    const guesses = [];
    for (const text of ${JSON.stringify(encoded)}) {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      guesses.push(await model.classify(new Blob([bytes]), { top: 1000 }));
    }
    return { threads: model.threads, guesses };
  })()`);
}

/** Pictures of all kinds, and how far probabilities may differ: PNGs decode to the same bytes everywhere, JPEGs nearly. */
async function pictures(): Promise<{ name: string; file: Uint8Array; tolerance: number }[]> {
  const raw = await png(3, [3, 90, 130]);
  const wide = sharp(raw);
  const alpha = Buffer.from(Uint8Array.from({ length: 90 * 130 }, (_, i) => (i * 7) % 256));
  const transparent = wide.clone().joinChannel(alpha, { raw: { width: 130, height: 90, channels: 1 } });
  return [
    { name: 'grey, the size of the model', file: await png(1), tolerance: 1e-3 },
    { name: 'grey, larger', file: await png(2, [1, 61, 40]), tolerance: 1e-3 },
    { name: 'colours', file: raw, tolerance: 1e-3 },
    { name: 'colours, small', file: await png(4, [3, 9, 7]), tolerance: 1e-3 },
    { name: 'a palette', file: await wide.clone().png({ palette: true }).toBuffer(), tolerance: 1e-3 },
    // The canvas keeps transparent pixels multiplied by their alpha, in bytes.
    { name: 'transparent', file: await transparent.png().toBuffer(), tolerance: 1e-2 },
    { name: 'JPEG', file: await wide.clone().jpeg({ quality: 90 }).toBuffer(), tolerance: 2e-2 },
    {
      name: 'JPEG on its side',
      file: await wide.clone().jpeg({ quality: 95 }).withMetadata({ orientation: 6 }).toBuffer(),
      tolerance: 2e-2,
    },
    { name: 'WebP', file: await wide.clone().webp({ lossless: true }).toBuffer(), tolerance: 1e-3 },
  ];
}

async function expectSame(name: string, model: string, { isolated = false } = {}): Promise<void> {
  const { site, classifier } = await exported(name);
  await using host = await staticSite(site, { isolated });
  await using guest = await visit(browser!, host.url);
  const list = await pictures();
  const { threads, guesses } = await classifyInPage(guest.page, model, list.map(({ file }) => file)); // biome-ignore format: one thought
  expect(threads > 1).toBe(isolated);
  for (const [i, { name: kind, file, tolerance }] of list.entries()) {
    const wanted = await predicted(classifier, file);
    const found = new Map(guesses[i].map((guess) => [guess.index, guess]));
    expect(found.size).toBe(classifier.classes.length);
    for (const { index, name: label, probability } of wanted) {
      expect(found.get(index)!.class).toBe(label);
      expect(Math.abs(found.get(index)!.probability - probability), `${kind}, class ${label}`).toBeLessThan(tolerance);
    }
    const margin = wanted[0].probability - wanted[1].probability;
    if (margin > 2 * tolerance) expect(guesses[i][0].class, kind).toBe(wanted[0].name);
  }
  expect(guest.complaints).toEqual([]);
  expect([...guest.origins]).toEqual([host.url.slice(0, -1)]);
}

describe('openModel in a page', () => {
  it('sees what fovea predict sees: a model of grey pictures, shown as a whole', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    await expectSame('grey', 'model.safetensors');
  });

  it('a model of colours, cut to the middle, on all cores where the page is isolated', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    await expectSame('colours', 'model.safetensors', { isolated: true });
    await expectSame('colours', 'model.safetensors');
  });

  it('a network that was imported comes as ONNX, with the reader of ONNX', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const onnx = join(folder, 'net.onnx');
    const { model } = await loadModel(join(folder, 'colours', 'model.safetensors'));
    await saveOnnx(model, onnx, { input: [3, 32, 32], classes: colours });
    const run = join(folder, 'imported');
    expect(await fovea('import', onnx, '--out', run, '--mean', '0.3', '--std', '0.2')).toMatchObject({ code: 0 });
    setDevice((await openDevice('wasm', { threads: 1 })).target); // the command has closed the one it opened
    await expectSame('imported', 'model.onnx');
    const chunks = await readdir(join(folder, 'imported-site', 'fovea'));
    expect(chunks.some((name) => name.startsWith('import-'))).toBe(true);
    expect(chunks.some((name) => name.startsWith('models-'))).toBe(false);
  });

  it('says what is wrong: no file, another file, no picture', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site } = await exported('grey');
    await using host = await staticSite(site);
    await using guest = await visit(browser, host.url);
    const errorOf = (code: string) =>
      guest.page.evaluate(
        `import('./fovea.js').then(async ({ openModel }) => { ${code} }).then(() => 'none', (e) => e.message)`,
      );
    expect(await errorOf(`await openModel('./nothing')`)).toBe(
      'openModel: ./nothing cannot be fetched: the server says 404',
    );
    expect(await errorOf(`await openModel('./README.md')`)).toBe(
      'openModel: this is no safetensors file, and the folder was exported without the reader of ONNX files',
    );
    const model = `const model = await openModel('./model.safetensors');`;
    expect(await errorOf(`${model} await model.classify(new Blob(['x'], { type: 'image/png' }))`)).toBe(
      'classify: image/png is no picture that this browser can decode',
    );
    expect(await errorOf(`${model} await model.classify(document.createElement('video'))`)).toContain('no pixels yet');
  });
});

describe('the page', () => {
  const best = (page: Page) => page.locator('#guesses li').first();

  it('classifies a file that is chosen, one that is dropped, and what the camera sees', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site, classifier } = await exported('grey');
    await using host = await staticSite(site);
    await using guest = await visit(browser, host.url, { permissions: ['camera'] });
    const { page } = guest;
    const [first, second] = [await png(1), await png(8)];
    const [wanted] = await predicted(classifier, first);

    await page.setInputFiles('#file', { name: 'a.png', mimeType: 'image/png', buffer: Buffer.from(first) });
    await best(page).waitFor();
    expect(await best(page).locator('.name').textContent()).toBe(wanted.name);
    expect(await best(page).locator('.percent').textContent()).toBe(`${(100 * wanted.probability).toFixed(1)} %`);
    expect(await page.locator('#guesses li').count()).toBe(5);
    expect(await page.textContent('#status')).toMatch(/^\d+ ms$/);
    expect(await page.textContent('#facts')).toBe('10 classes · 28 × 28 pixels');

    const [other] = await predicted(classifier, second);
    await page.evaluate((text) => {
      const file = new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'b.png', { type: 'image/png' });
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(file);
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }, Buffer.from(second).toString('base64'));
    await page.waitForFunction((name) => document.querySelector('#guesses .name')?.textContent === name, other.name);
    expect(await page.getAttribute('#stage', 'data-show')).toBe('picture');

    await page.click('#camera');
    await page.waitForFunction(() => (document.querySelector('#video') as HTMLVideoElement).videoWidth > 0);
    expect(await page.getAttribute('#stage', 'data-show')).toBe('camera');
    expect(await page.textContent('#camera')).toBe('Stop the camera');
    await page.click('#camera');
    expect(await page.getAttribute('#stage', 'data-show')).toBe('picture');
    expect(guest.complaints).toEqual([]);
    expect([...guest.origins].filter((origin) => origin !== 'null')).toEqual([host.url.slice(0, -1)]);
  });

  it('speaks the language of the visitor, and the other one when asked', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site } = await exported('grey');
    await using host = await staticSite(site);
    for (const [locale, drop, facts, other] of [
      ['zh-CN', '把图片拖到这里', '10 个类别 · 28 × 28 像素', 'Drop a picture here'],
      ['de-DE', 'Drop a picture here', '10 classes · 28 × 28 pixels', '把图片拖到这里'],
    ]) {
      await using guest = await visit(browser, host.url, { locale });
      const { page } = guest;
      await page.waitForFunction((text) => document.querySelector('#facts')?.textContent === text, facts);
      expect(await page.textContent('.drop strong')).toBe(drop);
      await page.click('#language');
      expect(await page.textContent('.drop strong')).toBe(other);
      expect(await page.getAttribute('html', 'lang')).toBe(locale === 'zh-CN' ? 'en' : 'zh');
      expect(await page.getAttribute('#picture', 'alt')).toBe(
        locale === 'zh-CN' ? 'The picture that was classified' : '被识别的图片',
      );
    }
  });

  it('says so when a file is no picture, and goes on', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site } = await exported('grey');
    await using host = await staticSite(site);
    await using guest = await visit(browser, host.url);
    const { page } = guest;
    await page.setInputFiles('#file', { name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('nothing') });
    await page.waitForSelector('#status.wrong');
    expect(await page.textContent('#status')).toBe(
      'That did not work: classify: image/png is no picture that this browser can decode',
    );
    await page.setInputFiles('#file', { name: 'a.png', mimeType: 'image/png', buffer: Buffer.from(await png(1)) });
    await best(page).waitFor();
    expect(await page.locator('#status.wrong').count()).toBe(0);
  });

  it('fits a telephone and a desk, light and dark, with a name for all that can be used', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site } = await exported('grey');
    await using host = await staticSite(site);
    const grounds = new Set<string>();
    for (const [width, colorScheme] of [
      [360, 'light'],
      [1280, 'dark'],
    ] as const) {
      // biome-ignore format: a table
      await using guest = await visit(browser, host.url, { viewport: { width, height: 740 }, colorScheme });
      const { page } = guest;
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      const [stage, answer] = await Promise.all(['#stage', '#answer'].map((id) => page.locator(id).boundingBox()));
      expect(answer!.y > stage!.y + 100).toBe(width < 780); // below each other, or side by side
      grounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      const unnamed = await page.evaluate(() =>
        [...document.querySelectorAll('button, input, img, video, progress')]
          .filter(
            (e) =>
              !(
                e.textContent ||
                e.getAttribute('aria-label') ||
                e.getAttribute('alt') ||
                e.closest('label')?.textContent?.trim()
              ),
          )
          .map((e) => e.outerHTML),
      );
      expect(unnamed).toEqual([]);
      await page.keyboard.press('Tab');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('language');
    }
    expect(grounds.size).toBe(2);
  });

  it('shows the way when it is opened from the disk', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site } = await exported('grey');
    await using guest = await visit(browser, `file://${join(site, 'index.html')}`);
    await guest.page.waitForTimeout(4200);
    const note = guest.page.locator('.not-started');
    expect(await note.isVisible()).toBe(true);
    expect(await note.textContent()).toContain('npx serve');
  });

  it('use.html, the smallest page, works as it is', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const { site, classifier } = await exported('grey');
    await using host = await staticSite(site);
    await using guest = await visit(browser, `${host.url}use.html`);
    const file = await png(1);
    const [wanted] = await predicted(classifier, file);
    await guest.page.waitForLoadState('networkidle');
    await guest.page.setInputFiles('input', { name: 'a.png', mimeType: 'image/png', buffer: Buffer.from(file) });
    await guest.page.waitForFunction(() => document.querySelector('output')!.textContent !== '…');
    expect(await guest.page.textContent('output')).toBe(`${wanted.name}, ${(100 * wanted.probability).toFixed(1)} %`);
  });
});

describe('the folder', () => {
  it('holds what its model needs, says how large it is, and its script is that of the README', async () => {
    const { site } = await exported('grey');
    const names = await readdir(site, { recursive: true });
    expect(names.filter((name) => !name.startsWith('fovea/')).sort()).toEqual(
      ['README.md', 'fovea', 'fovea.js', 'index.html', 'model.safetensors', 'page.js', 'use.html'].sort(),
    );
    const [readme, use, index] = await Promise.all(
      ['README.md', 'use.html', 'index.html'].map((name) => readFile(join(site, name), 'utf8')),
    );
    const script = /<script type="module">\n([\s\S]*?)\n<\/script>/;
    expect(script.exec(readme)![1]).toBe(script.exec(use)![1]);
    expect(
      script
        .exec(use)![1]
        .split('\n')
        .filter((line) => line !== '').length,
    ).toBeLessThanOrEqual(10);
    expect(readme).toMatch(/`model\.safetensors` \| lenet5: 2\d\d kB, 10 classes/);
    expect(index).toContain('<title>&#60;grey&#62;</title>');
    const preloaded = [...index.matchAll(/modulepreload" href="\.\/([^"]*)"/g)].map(([, file]) => file);
    for (const file of preloaded) expect(names).toContain(file);
  });

  it('is not overwritten unless that is asked for, and never when it is something else', async () => {
    const classifier = await openClassifier(join(folder, 'grey'));
    const site = join(folder, 'twice');
    await exportWeb({ ...classifier, title: 'one' }, site, { bundle });
    const again = (force?: boolean) => exportWeb({ ...classifier, title: 'two' }, site, { bundle, force });
    await expect(again()).rejects.toThrow('is not empty: choose another folder, or replace what is in it with --force');
    await again(true);
    expect(await readFile(join(site, 'index.html'), 'utf8')).toContain('<title>two</title>');
    await rm(join(site, 'fovea.js'));
    await expect(again(true)).rejects.toThrow('which --force does not delete');
    await writeFile(join(folder, 'a-file'), '');
    await expect(exportWeb({ ...classifier, title: '' }, join(folder, 'a-file'), { bundle })).rejects.toThrow(
      'is a file',
    );
    await expect(exportWeb({ ...classifier, title: '' }, site, { bundle: folder })).rejects.toThrow('npm run build');
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp') || name.endsWith('.old'))).toEqual([]);
  });

  it('of a model that cannot be built again from its name comes as ONNX', async () => {
    const classifier = await openClassifier(join(folder, 'colours'));
    const { foldBatchNorm } = await import('../../src/nn/index.js');
    const model = foldBatchNorm(classifier.model, [3, 32, 32]);
    const site = join(folder, 'folded');
    expect((await exportWeb({ ...classifier, model, title: 'folded' }, site, { bundle })).modelFile).toBe('model.onnx');
  });
});

describe('the page of a server', () => {
  it('asks the server that it came from, with the token it is given, and shows what that refuses', async ({ skip }) => {
    if (browser === null) return skip(noChromium);
    const pageScript = await readFile(join(bundle, 'page.js'), 'utf8');
    await using house = await serveLenet({ pageScript, token: 'secret' });
    await using guest = await visit(browser, house.url);
    const { page } = guest;
    const buffer = Buffer.from(await png(5));
    await page.setInputFiles('#file', { name: 'a.png', mimeType: 'image/png', buffer });
    await page.waitForSelector('#status.wrong');
    expect(await page.textContent('#status')).toBe(
      'That did not work: The server needs a token: send the header Authorization: Bearer TOKEN.',
    );
    await page.fill('#token', 'secret');
    await page.setInputFiles('#file', { name: 'a.png', mimeType: 'image/png', buffer });
    await page.locator('#guesses li').first().waitFor();
    const picture = await house.predict.prepare(await decodeImage(buffer, { channels: 1 }));
    const [[wanted]] = await house.predict.predict([picture]);
    expect(await page.locator('#guesses .name').first().textContent()).toBe(wanted.name);
    expect(await page.textContent('footer')).toBe('The picture goes to this server and nowhere else; it is not kept.');
    expect(guest.complaints.filter((line) => !line.includes('401'))).toEqual([]);
    expect([...guest.origins]).toEqual([house.url]);
  });
});

/** The map of a data set and the comparison of models as a reader meets them: words, marks, pictures, a browser. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseHTML } from 'linkedom';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, noChromium } from '../../test/platform/chromium.js';
import { Random } from '../data/index.js';
import { type Cka, neighbours } from '../explain/index.js';
import { comparisonFindings, layerMatches } from './comparison-findings.js';
import { comparisonPoster, renderComparison } from './comparison-page.js';
import { renderMap } from './map.node.js';
import { scatterPlot } from './scatter-plot.js';
import { similarityPlot } from './similarity-plot.js';

const classes = Array.from({ length: 13 }, (_, c) => (c === 3 ? '<script>alert(1)</script>' : `kind ${c}`));
const count = 130;

/** Every class a cloud of its own; sample 0 lies in the cloud of the class after its own. */
function mapPage(): Promise<string> {
  const random = new Random(5);
  const labels = Int32Array.from({ length: count }, (_, i) => i % classes.length);
  const coordinates = Float64Array.from({ length: 2 * count }, (_, i) => {
    const cloud = i < 2 ? 1 : labels[i >> 1];
    return (i % 2 === 0 ? 10 * (cloud % 4) : 10 * Math.floor(cloud / 4)) + random.normal();
  });
  return renderMap({
    model: 'lenet5',
    data: 'kinds',
    classes,
    labels,
    coordinates,
    method: 'umap',
    layer: 'fc3',
    into: true,
    features: 2,
    neighbours: neighbours(coordinates, 2, coordinates, labels, { k: 6 }),
    settings: { neighbors: 15, minDistance: 0.1 },
    nameOf: (index) => `kind/${index}.png`,
    pictureOf: async (index) => ({ data: new Uint8Array(3 * 64).fill(index), shape: [3, 8, 8] }),
    date: new Date(0),
    facts: { seed: 4 },
  });
}

const cka: Cka = {
  layers: ['conv1', 'conv2', 'fc'],
  otherLayers: ['conv1', 'conv2', 'fc'],
  matrix: [
    [0.9, 0.5, 0.1],
    [0.4, 0.6, 0.7],
    [0.2, 0.3, 0.35],
  ],
};

describe('the map of a data set', () => {
  it('shows all samples, names those among another class, and runs nothing of theirs', async () => {
    const page = await mapPage();
    const { document } = parseHTML(page);
    expect(document.querySelectorAll('.scatter [aria-label=dot] > *').length).toBe(count);
    expect(document.querySelectorAll('.legend li').length).toBe(classes.length);
    expect(document.querySelectorAll('script').length).toBe(1);
    const stranger = document.querySelector('#strangers .shot')!;
    expect(stranger.querySelector('.file')!.textContent).toBe('kind/0.png');
    expect(stranger.textContent).toContain('among kind 1');
    expect(document.querySelectorAll('#strangers .shot').length).toBe(1);
    expect(await mapPage()).toBe(page);
  });

  it('gives more than ten classes shapes of their own', () => {
    const points = [0, 10, 20].map((label) => ({ x: label, y: 0, label, title: '' }));
    const { document } = parseHTML(`<body>${scatterPlot({ points, numbers: false })}</body>`);
    const shapes = [...document.querySelectorAll('[aria-label=dot] > *')].map((dot) => dot.getAttribute('d'));
    expect(new Set(shapes).size).toBe(3);
    expect(
      new Set([...document.querySelectorAll('[aria-label=dot] > *')].map((dot) => dot.getAttribute('fill'))).size,
    ).toBe(1);
  });
});

describe('the comparison of models', () => {
  it('finds the match of each layer, and counts names only where most are shared', () => {
    expect(layerMatches(cka)).toEqual([
      { layer: 'conv1', other: 'conv1', cka: 0.9, samePlace: 0.9 },
      { layer: 'conv2', other: 'fc', cka: 0.7, samePlace: 0.6 },
      { layer: 'fc', other: 'fc', cka: 0.35, samePlace: 0.35 },
    ]);
    const other = { ...cka, otherLayers: ['conv1', 'b', 'c'] };
    expect(layerMatches(other).map(({ samePlace }) => samePlace)).toEqual([null, null, null]);
    expect(comparisonFindings(cka, 200).map(({ text }) => text.en)).toEqual([
      'Layers of the same name see different things: 0.62 on average.',
      'Likeness falls from the first layer (0.90) to the last (0.35): early layers find the same edges and colours, late ones go ways of their own.',
      'Each layer has a match in the other model of 0.65 on average; least of all fc, 0.35.',
    ]);
  });

  it('draws one square for each pair, and a picture that needs no style sheet', () => {
    const { layers: rows, otherLayers: columns, matrix: values } = cka;
    const { document } = parseHTML(`<body>${similarityPlot({ rows, columns, values }).svg}</body>`);
    const opacities = [...document.querySelectorAll('[aria-label=cell] rect')].map((r) =>
      Number(r.getAttribute('fill-opacity')),
    );
    expect(opacities.length).toBe(9);
    expect(opacities.indexOf(Math.max(...opacities))).toBe(0);
    expect([...document.querySelectorAll('[aria-label=text] text')].map((t) => t.textContent)).toEqual(
      values.flat().map((v) => v.toFixed(2)),
    );
    const poster = comparisonPoster({ model: 'a & <b>', other: 'b', data: 'd', count: 9, found: cka });
    expect(poster).not.toMatch(/var\(--|<b>|undefined|NaN/);
  });
});

const browserPath = findChromium();
if (browserPath === null) console.warn(`maps are not looked at in a browser: ${noChromium}`);

describe.skipIf(browserPath === null)('in Chromium, offline', () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox', '--disable-gpu'] });
    folder = await mkdtemp(join(tmpdir(), 'fovea-map-'));
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.each([
    ['map', mapPage],
    ['comparison', () => renderComparison({ model: 'a', other: 'b', data: 'd', count: 60, found: cka })],
  ])('the %s fits a telephone and a desk, and is all Chinese when that is chosen', async (name, render) => {
    const file = join(folder, `${name}.html`);
    await writeFile(file, await render());
    const context = await browser.newContext({ offline: true, locale: 'en-GB' });
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('console', (message) => problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(pathToFileURL(file).href);
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    }
    await page.locator('label[for=lang-zh]').click();
    const visible = (await page.evaluate('document.body.innerText')) as string;
    expect(visible).not.toMatch(/\b(the|of|class|layer|samples|most|neighbours)\b(?!.*arXiv)/);
    expect(problems).toEqual([]);
    await context.close();
  });

  it('shows the sample that is pointed at, and one class alone', async () => {
    const file = join(folder, 'hover.html');
    await writeFile(file, await mapPage());
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(pathToFileURL(file).href);
    const dot = page.locator('.scatter [aria-label=dot] > *').nth(7);
    await dot.hover({ force: true });
    const tip = page.locator('.tip');
    expect(await tip.isVisible()).toBe(true);
    expect(await tip.locator('.words').innerText()).toMatch(/^kind\/\d+\.png · kind \d+$/);
    expect(await page.evaluate("getComputedStyle(document.querySelector('.tip .pic')).backgroundImage")).toMatch(
      /^url\("data:image\/png/,
    );
    await page.locator('.legend button').nth(2).click();
    expect(await page.locator('.scatter .away').count()).toBe(count - 10);
    await page.locator('.legend button').nth(2).click();
    expect(await page.locator('.scatter .away').count()).toBe(0);
    await page.close();
  });
});

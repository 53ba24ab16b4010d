/** Reports as a reader, a stranger's data and a browser meet them. */

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseHTML } from 'linkedom';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, noChromium } from '../../test/platform/chromium.js';
import { ArrayDataset, type Planes, Random } from '../data/index.js';
import { perturbations, type Robustness, robustness } from '../explain/index.js';
import {
  ConfusionMatrix,
  calibration,
  type Evaluation,
  predictedClasses,
  probabilitiesOf,
  rocAuc,
  SampleResults,
} from '../train/index.js';
import { wilson } from './format.js';
import { parseHistory, stepCurve } from './history.js';
import { html, nameHtml, shortName } from './html.js';
import { picturesOf, type ReportOptions, renderReport, renderRobustness, writeReport } from './index.node.js';
import { barChart, heatMap, lineChart, reliabilityDiagram } from './plot.js';
import { robustnessPoster } from './robustness-charts.js';
import { robustnessFindings } from './robustness-findings.js';
import { robustnessWords } from './robustness-words.js';
import { picturesWanted, select } from './selection.js';
import { reportWords } from './text.js';

/** What a model of some skill would say about `count` samples, neighbours being alike. */
function evaluationOf(names: readonly string[], count: number, skill: number): Evaluation {
  const n = names.length;
  const random = new Random(3);
  const labels = Array.from({ length: count }, (_, i) => i % n);
  const likeness = (a: number, b: number) => (a === b ? skill : Math.abs(a - b) === 1 ? skill / 2 : 0);
  const scores = labels.flatMap((label) => names.map((_, c) => 2 * random.normal() + likeness(c, label)));
  const probabilities = probabilitiesOf(scores, n);
  const predicted = predictedClasses(scores, n);
  const samples = new SampleResults(count);
  for (const [index, actual] of labels.entries()) {
    const at = (c: number) => probabilities[index * n + c];
    samples.add({
      index,
      actual,
      predicted: predicted[index],
      confidence: at(predicted[index]),
      probability: at(actual),
    });
  }
  const confusion = new ConfusionMatrix(names).add(predicted, labels);
  const right = labels.map((label, i) => label === predicted[i]);
  return {
    count,
    loss: 0.5,
    accuracy: confusion.accuracy,
    topK: n > 5 ? { k: 5, accuracy: 0.9 } : null,
    confusion,
    calibration: calibration(samples.confidences(), right),
    rocAuc: n <= 100 ? rocAuc(probabilities, labels, n) : null,
    samples,
    probabilities: null,
    complete: true,
    seconds: 1,
  };
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `class ${i}`);
}

/** Noise, which no format makes small. */
async function noise(index: number): Promise<Planes> {
  const data = Uint8Array.from({ length: 3 * 120 * 160 }, (_, i) => Math.imul(i + index, 0x9e3779b1) >>> 24);
  return { data, shape: [3, 120, 160] };
}

const metrics = [0, 1, 2]
  .flatMap((epoch) => [
    ...Array.from({ length: 5 }, (_, i) => ({
      event: 'step',
      step: 50 * epoch + 10 * (i + 1),
      epoch,
      loss: 1 / (1 + epoch),
      accuracy: 0.5,
      lr: 0.01,
    })),
    {
      event: 'epoch',
      epoch,
      step: 50 * (epoch + 1),
      trainLoss: 1 / (1 + epoch),
      trainAccuracy: 0.9 + epoch / 100,
      loss: 0.6,
      accuracy: 0.7 + epoch / 100,
      lr: 0.01,
      seconds: 30,
    },
  ])
  .map((line) => JSON.stringify(line))
  .join('\n');

const full: ReportOptions = {
  model: 'lenet5',
  data: 'photos',
  evaluation: evaluationOf(['cat', 'dog', 'eel', 'fox'], 120, 4),
  history: parseHistory(metrics),
  learningRates: { points: [1e-4, 1e-3, 1e-2].map((lr) => ({ lr, loss: lr })), suggestion: 1e-3 },
  facts: { parameters: 1234567, input: [3, 32, 32], weights: 'best', device: 'native', seed: 7, version: '0.1.0' },
  summary: {
    classes: ['cat', 'dog', 'eel', 'fox'].map((name) => ({ name, train: 90, validation: 10, test: 30 })),
    sizes: { width: { min: 20, median: 640, max: 4000 }, height: { min: 20, median: 480, max: 3000 } },
    notes: ['2 files cannot be read'],
  },
  config: { model: { name: 'lenet5' }, seed: 7 },
  commands: ['fovea train photos --model lenet5 --seed 7', 'fovea eval runs/a'],
  nameOf: (index) => `test/${index}.png`,
  pictureOf: noise,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fovea-report-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a report', () => {
  it('is one file that has everything in it', async () => {
    const file = join(folder, 'full.html');
    const { sizeBytes } = await writeReport(file, { ...full, date: new Date('2026-11-22T10:20:30Z') });
    expect((await stat(file)).size).toBe(sizeBytes);
    expect(await readdir(folder)).toEqual(['full.html']);
    const text = await readFile(file, 'utf8');
    const { document } = parseHTML(text);
    expect(document.title).toBe('lenet5 · photos · 2026-11-22');
    const ids = Array.from(document.querySelectorAll('section'), (section) => section.id);
    expect(ids).toEqual([
      'overview',
      'training',
      'confusion',
      'mistakes',
      'by-class',
      'calibration',
      'data',
      'reproduce',
    ]);
    expect(externalUrls(text)).toEqual([]);
    expect(document.querySelectorAll('.plots svg.plot').length).toBe(6);
    expect(document.querySelectorAll('.matrix tbody tr').length).toBe(4);
    expect(document.querySelector('.number .value')!.textContent).toBe(
      `${(100 * full.evaluation.accuracy).toFixed(1)} %`,
    );
    expect(document.querySelector('.facts')!.textContent).toContain('1,234,567');
    expect(document.querySelector('pre')!.textContent).toBe(full.commands!.join('\n'));
    const wrong = full.evaluation.confusion.total - full.evaluation.confusion.correct;
    expect(document.querySelectorAll('#mistakes .gallery')[0].children.length).toBe(Math.min(24, wrong));
    for (const span of document.querySelectorAll('span.pic')) {
      expect(text).toContain(`.${span.className.split(' ')[1]}{background-image:url(data:image/webp;base64,`);
    }
  });

  it('says everything in two languages', async () => {
    expect(inBothLanguages(await renderReport(full))).toBeGreaterThan(60);
  });

  it('says what an audit noticed in Chinese too, where it knows the kind', async () => {
    const notes = [
      { kind: 'tiny', count: 3, text: '3 pictures of fewer than 16 pixels: kept, enlarged' },
      { kind: 'of tomorrow', count: 1, text: 'something <new>' },
    ];
    const { document } = parseHTML(await renderReport({ ...full, summary: { classes: [], notes } }));
    const [tiny, other] = document.querySelectorAll('.notes li');
    expect(tiny.querySelector('.en')!.textContent).toBe(notes[0].text);
    expect(tiny.querySelector('.zh')!.textContent).toBe('3 张图片极小：放大后保留');
    expect(other.textContent).toBe('something <new>');
  });

  it('needs no more than an evaluation', async () => {
    const least = { model: 'm', data: 'd', evaluation: evaluationOf(['a', 'b'], 8, 40) };
    const { document } = parseHTML(await renderReport(least));
    expect(Array.from(document.querySelectorAll('section'), (s) => s.id)).not.toContain('training');
    expect(document.querySelector('.findings')!.textContent).toContain('Not one mistake among 8 samples.');
  });

  it.each([26, 1000])('of %i classes shows the pairs mixed up most, and stays below 3 MB', async (count) => {
    const evaluation = evaluationOf(numbered(count), 2000, 4);
    const text = await renderReport({ ...full, evaluation, summary: null, nameOf: undefined });
    expect(Buffer.byteLength(text)).toBeLessThan(3e6);
    const { document } = parseHTML(text);
    expect(document.querySelectorAll('.pairs tbody tr').length).toBe(40);
    expect(document.querySelectorAll('.matrix').length).toBe(0);
    expect(document.querySelector('img.dots')!.getAttribute('src')).toMatch(/^data:image\/png;base64,/);
    expect(document.querySelectorAll('#by-class tbody tr').length).toBe(count);
  });

  it('leaves out pictures for which there is no room, and says so', async () => {
    const text = await renderReport({ ...full, pictureBytes: 60_000 });
    const { document } = parseHTML(text);
    const embedded = text.match(/url\(data:[^)]*\)/g)!;
    expect(embedded.length).toBeGreaterThan(2);
    expect(embedded.join('').length).toBeLessThan(61_000);
    const wanted = picturesWanted(select(full.evaluation)).length;
    expect(document.querySelector('#mistakes .left-out .en')!.textContent).toBe(
      `Pictures of ${wanted - embedded.length} samples were left out to keep this file small.`,
    );
  });

  it('of 25 classes keeps the largest table it has below 3 MB', async () => {
    const text = await renderReport({ ...full, evaluation: evaluationOf(numbered(25), 6000, 1), summary: null });
    expect(Buffer.byteLength(text)).toBeLessThan(3e6);
    const { document } = parseHTML(text);
    const links = Array.from(document.querySelectorAll('.matrix a'), (a) => a.getAttribute('href')!.slice(1));
    expect(links.length).toBeGreaterThan(500);
    const panels = Array.from(document.querySelectorAll('.pair'), (panel) => panel.id);
    expect(panels.sort()).toEqual(links.sort());
  });

  it('goes without pictures that cannot be had', async () => {
    const { FileError } = await import('../io/index.node.js');
    const gone = async () => {
      throw new FileError('gone', 'a.png', 'ENOENT');
    };
    const { document } = parseHTML(await renderReport({ ...full, pictureOf: gone }));
    expect(document.querySelectorAll('.pic').length).toBe(0);
    expect(document.querySelectorAll('.shot').length).toBeGreaterThan(0);
    await expect(
      renderReport({ ...full, pictureOf: async () => Promise.reject(new TypeError('a bug')) }),
    ).rejects.toThrow('a bug');
  });

  it('cannot be written where there is no folder, and says so', async () => {
    await expect(writeReport(join(folder, 'no', 'such.html'), full)).rejects.toThrow(/such\.html/);
  });
});

const hostile = [
  '<script>document.title = "owned"</script>',
  '"><img src=x onerror=alert(1)>',
  "'); background: url(https://example.invalid/x); ('",
  'مرحبا \u202e rtl',
  '👩‍🚀 emoji 猫',
  'x'.repeat(10_000),
  '</style></script><svg onload=alert(1)>',
  'line\nbreak\u0000\ud800 null',
  '{count} $& \\u003cb\\u003e $1',
  '',
];

function hostileReport(): ReportOptions {
  const text = (index: number) => hostile[index % hostile.length];
  return {
    ...full,
    model: hostile[0],
    data: hostile[1],
    evaluation: evaluationOf(hostile, 200, 3),
    facts: { device: hostile[6], weights: hostile[2], version: hostile[5] },
    summary: { classes: hostile.map((name) => ({ name, train: 3 })), notes: hostile },
    config: Object.fromEntries(hostile.map((name, i) => [name, hostile[i]])),
    commands: hostile,
    nameOf: text,
    textOf: text,
    pictureOf: undefined,
  };
}

describe('names of strangers', () => {
  it('are text, whatever is in them', async () => {
    const page = await renderReport(hostileReport());
    expect(Buffer.byteLength(page)).toBeLessThan(1e6);
    expect(externalUrls(page)).toEqual([]);
    const { document } = parseHTML(page);
    expect(document.querySelectorAll('script').length).toBe(1);
    expect(document.querySelectorAll('style').length).toBeGreaterThan(0);
    expect(document.querySelectorAll('img').length).toBe(0);
    for (const element of document.querySelectorAll('*')) {
      for (const name of element.getAttributeNames()) expect(name).not.toMatch(/^on/i);
    }
    const rows = Array.from(document.querySelectorAll('#by-class tbody td:first-child'), (td) => td.textContent);
    expect(rows[0]).toBe(hostile[0]);
    expect(rows[4]).toBe(hostile[4]);
    expect(rows[5]).toBe(`${'x'.repeat(99)}…`);
    expect(rows[7]).toBe('line\nbreak\ufffd\ufffd null');
    expect(rows[8]).toBe(hostile[8]);
  });

  it('are cut between characters, and escaped', () => {
    expect(shortName('👩👩👩👩', 3)).toBe('👩👩…');
    expect(nameHtml('a<b>"\'&`').markup).toBe('<bdi>a&#60;b&#62;&#34;&#39;&#38;&#96;</bdi>');
    expect(html`${'<'}${[html`<i>`, '>']}${null}${0}${false}`.markup).toBe('&#60;<i>&#62;0');
  });
});

/** Brighter pictures are of higher classes, as far as `names` go. */
async function disturbed(names: readonly string[], samples = 2): Promise<Robustness> {
  const pictures = [20, 90, 160].map((v) => {
    const data = Uint8Array.from({ length: 12 * 10 }, (_, i) => v + ((i * 37) % 60));
    return { data, shape: [1, 12, 10] } as Planes;
  });
  const classify = async (many: readonly Planes[]) =>
    many.flatMap(({ data }) => {
      const best = Math.floor((names.length * data.reduce((sum, v) => sum + v, 0)) / (256 * data.length));
      return names.map((_, c) => (c === best ? 0.7 : 0.3 / Math.max(1, names.length - 1)));
    });
  return robustness(classify, pictures, { samples });
}

describe('the page on robustness', () => {
  const classes = ['dark', 'dim', 'grey', 'light', 'white'];
  const date = new Date('2026-11-22T10:20:30Z');

  it('is one file with a plot, a strip of pictures and numbers for each disturbance', async () => {
    const found = await disturbed(classes);
    const page = await renderRobustness({ model: 'lenet5', classes, found, date, facts: { seed: 3, threads: 2 } });
    expect(externalUrls(page)).toEqual([]);
    const { document } = parseHTML(page);
    expect(document.title).toBe('lenet5 · robustness · 2026-11-22');
    expect(Array.from(document.querySelectorAll('section'), ({ id }) => id)).toEqual(
      Array.from(document.querySelectorAll('nav a'), (a) => a.getAttribute('href')!.slice(1)),
    );
    expect(document.querySelectorAll('#curves svg.plot').length).toBe(perturbations.length);
    const strips = [...document.querySelectorAll('.film')];
    expect(strips.map((film) => film.querySelectorAll('.pic').length)).toEqual(
      perturbations.map(({ levels }) => 2 * (1 + levels.length)),
    );
    for (const picture of document.querySelectorAll('.pic')) {
      expect(page).toContain(`.${picture.className.split(' ')[1]}{background-image:url(data:image/png;base64,`);
    }
    for (const title of ['Making Convolutional Networks Shift-Invariant Again', 'generalize so poorly to small image'])
      expect(document.querySelector('#shifts')!.textContent).toContain(title);
  });

  it('shows below each picture what the model said, and whether that changed', async () => {
    const found = await disturbed(classes);
    const { document } = parseHTML(await renderRobustness({ model: 'm', classes, found }));
    const bright = [...document.querySelectorAll('.film')].at(-1)!;
    const rows = found.rows.filter(({ perturbation }) => perturbation.name === 'brightness');
    for (const [s, row] of [...bright.querySelectorAll('tbody tr')].entries()) {
      const still = found.samples[s];
      const said = Array.from(row.querySelectorAll('.said span'), (span) => [span.textContent, span.className]);
      const expected = [still, ...rows.map(({ samples }) => samples[s])].map(({ best }) => [
        classes[best],
        best === still.best ? 'is' : 'wrong',
      ]);
      expect(said).toEqual(expected);
    }
    expect(bright.querySelectorAll('.wrong').length).toBeGreaterThan(0);
  });

  it('has the numbers that were measured', async () => {
    const found = await disturbed(classes);
    const { document } = parseHTML(await renderRobustness({ model: 'm', classes, found }));
    const rows = Array.from(document.querySelectorAll('#numbers tbody tr'), (row) =>
      Array.from(row.querySelectorAll('[data-v]'), (cell) => Number(cell.getAttribute('data-v'))),
    );
    const five = (v: number) => Number(v.toPrecision(5));
    expect(rows).toEqual(found.rows.map((r) => [five(r.kept), five(r.probability), five(r.change), r.count]));
    const [first] = document.querySelectorAll('#numbers tbody tr');
    expect(first.textContent).toContain(`${(100 * found.rows[0].kept).toFixed(1)}\u00a0%`);
    expect(document.querySelector('.number .value')!.textContent).toBe(`${(100 * found.rows[0].kept).toFixed(1)} %`);
  });

  it('says everything in two languages, and in the terminal the English half of it', async () => {
    const found = await disturbed(classes);
    const page = await renderRobustness({ model: 'm', classes, found });
    expect(inBothLanguages(page)).toBeGreaterThan(120);
    const { document } = parseHTML(page);
    const said = Array.from(document.querySelectorAll('.findings .en'), ({ textContent }) => textContent);
    expect(said).toEqual(robustnessFindings(found).map(({ text }) => text.en));
    expect(said.at(-1)).toBe('3 pictures say little about a model: a hundred say more.');
  });

  it('does not praise a model that says one thing only', async () => {
    const findings = robustnessFindings(await disturbed(['dark']));
    expect(findings.map(({ text }) => text.en)).toEqual([
      'No shift of up to 8 px changed a class; probabilities moved, most at 1 px: by 0.0 points.',
      expect.stringMatching(/^Convolutions answer alike/),
      'Apart from shifts, no disturbance changed a class.',
      'All pictures were given one class, so that little can change: take pictures of several classes.',
      '3 pictures say little about a model: a hundred say more.',
    ]);
  });

  it('does without pictures, with one disturbance of somebody else, and with names of strangers', async () => {
    const [, { levels: _, ...own }] = perturbations;
    const flip = { ...own, name: 'constructor', title: hostile[1], unit: hostile[6], levels: [1] };
    const found = { ...(await disturbed(hostile, 0)) };
    const rows = found.rows.slice(0, 1).map((row) => ({ ...row, perturbation: flip }));
    const page = await renderRobustness({ model: hostile[0], classes: hostile, found: { ...found, rows } });
    expect(externalUrls(page)).toEqual([]);
    const { document } = parseHTML(page);
    expect(document.querySelectorAll('script, .film, img').length).toBe(1);
    expect(document.querySelector('#numbers tbody th')!.textContent).toBe(hostile[1]);
    const shown = await renderRobustness({ model: hostile[2], classes: hostile, found: await disturbed(hostile) });
    expect(parseHTML(shown).document.querySelectorAll('script, img').length).toBe(1);
    expect(robustnessPoster({ ...found, rows }, hostile[0])).not.toMatch(/<script|<img/);
  });
});

describe('words', () => {
  it('are there in both languages, with the same blanks, and no two have one name', () => {
    const all = [...Object.entries(reportWords), ...Object.entries(robustnessWords)];
    expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
    const blanks = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort();
    for (const [name, [en, zh]] of all) {
      expect([en.trim(), zh.trim()], name).not.toContain('');
      if (!name.startsWith('note')) expect(blanks(zh), name).toEqual(blanks(en)); // notes come in English, as sentences
    }
  });
});

const browserPath = findChromium();
if (browserPath === null) console.warn(`reports are not looked at in a browser: ${noChromium}`);

describe.skipIf(browserPath === null)('in Chromium, offline', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: browserPath!, args: ['--no-sandbox', '--disable-gpu'] });
  });
  afterAll(() => browser.close());

  async function open(
    name: string,
    options: ReportOptions,
    more: { javaScriptEnabled?: boolean; locale?: string } = {},
  ) {
    const file = join(folder, name);
    await writeReport(file, options);
    return show(file, more);
  }

  async function show(file: string, more: { javaScriptEnabled?: boolean; locale?: string }) {
    const context = await browser.newContext({ offline: true, ...more });
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('console', (message) => problems.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) problems.push(`asked for ${request.url()}`);
    });
    await page.goto(pathToFileURL(file).href);
    return { page, problems, close: () => context.close() };
  }

  it('renders without a complaint, shows a cell, sorts, changes language', async () => {
    const { page, problems, close } = await open('browser.html', full, { locale: 'zh-CN' });
    expect(await page.locator('#lang-zh').isChecked()).toBe(true);
    expect(await page.locator('h2:has-text("谁被认成了谁")').isVisible()).toBe(true);
    await page.locator('label[for=lang-en]').click();
    expect(await page.locator('#confusion h2 .en').isVisible()).toBe(true);
    expect(await page.locator('#confusion h2 .zh').isVisible()).toBe(false);

    const links = page.locator('.matrix a');
    const last = links.nth((await links.count()) - 1);
    const id = (await last.getAttribute('href'))!.slice(1);
    await last.click();
    expect(await page.locator('.pair:visible').evaluateAll((panels) => panels.map((p) => p.id))).toEqual([id]);
    expect(await page.locator(`#${id} .pic`).first().isVisible()).toBe(true);

    const recalls = () =>
      page
        .locator('#by-class tbody td:nth-child(3)')
        .evaluateAll((cells) => cells.map((c) => Number(c.getAttribute('data-v'))));
    const before = await recalls();
    await page.locator('#by-class th:nth-child(3) button').click();
    expect(await recalls()).toEqual([...before].sort((a, b) => b - a));
    await page.locator('#by-class th:nth-child(3) button').click();
    expect(await recalls()).toEqual([...before].sort((a, b) => a - b));

    await page.setViewportSize({ width: 360, height: 700 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    expect(problems).toEqual([]);
    await close();
  });

  it('shows the pictures of a cell without scripts too', async () => {
    const { page, problems, close } = await open('plain.html', full, { javaScriptEnabled: false });
    expect(await page.locator('.pair:visible').count()).toBe(0);
    const link = page.locator('.matrix a').first();
    const id = (await link.getAttribute('href'))!.slice(1);
    await link.click();
    expect(await page.locator(`#${id}`).isVisible()).toBe(true);
    expect(problems).toEqual([]);
    await close();
  });

  it('shows robustness on a telephone and on a desk, in the language that is chosen', async () => {
    const classes = ['dark', 'dim', 'grey', 'light', 'white'];
    const file = join(folder, 'robustness.html');
    await writeFile(file, await renderRobustness({ model: 'lenet5', classes, found: await disturbed(classes) }));
    const { page, problems, close } = await show(file, { locale: 'en-GB' });
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    }
    expect(await page.locator('#shifts h2 .en').isVisible()).toBe(true);
    await page.locator('label[for=lang-zh]').click();
    expect(await page.locator('#shifts h2').innerText()).toBe('为什么轻微平移会改变回答');
    const visible = (await page.evaluate('document.body.innerText')) as string;
    // What is left in Latin letters: names, versions, titles of papers, options, abbreviations.
    expect(visible).not.toMatch(/\b(the|of|class|stays|picture|shift|noise|undisturbed)\b(?!.*arXiv)/);
    expect(problems).toEqual([]);
    await close();
  });

  it('runs nothing that came with the data, and text can be read on dark and on light', async () => {
    const { page, problems, close } = await open('hostile.html', hostileReport());
    expect(await page.title()).not.toBe('owned');
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const [text, ground] = (await page.evaluate(
        `['color', 'background-color'].map((name) => getComputedStyle(document.body).getPropertyValue(name))`,
      )) as string[];
      expect(contrast(text, ground)).toBeGreaterThan(7);
      const axis = (await page.evaluate(`getComputedStyle(document.querySelector('svg.plot text')).fill`)) as string;
      const card = (await page.evaluate(`getComputedStyle(document.querySelector('.card')).backgroundColor`)) as string;
      expect(contrast(axis, card)).toBeGreaterThan(4.5);
    }
    expect(problems).toEqual([]);
    await close();
  });
});

describe('what is shown', () => {
  it('first what is met first, one of each pair before two of any', () => {
    const evaluation = evaluationOf(numbered(6), 60, 1);
    const selection = select(evaluation);
    const wanted = picturesWanted(selection);
    expect(new Set(wanted).size).toBe(wanted.length);
    expect(wanted.slice(0, selection.worst.length)).toEqual(selection.worst.map((s) => s.index));
    const total = selection.pairs.reduce((sum, pair) => sum + pair.count, 0);
    expect(total).toBe(evaluation.confusion.total - evaluation.confusion.correct);
  });

  it('the samples of a data set: bytes as they are, of a clip the frame in the middle', async () => {
    const labels = [0, 0];
    const clips = new ArrayDataset({
      inputs: Uint8Array.from({ length: 12 }, (_, i) => i),
      labels,
      shape: [1, 3, 1, 2],
      classes: ['a'],
    });
    expect(await picturesOf(clips)(1)).toEqual({ data: Uint8Array.of(8, 9), shape: [1, 1, 2] });
    const texts = new ArrayDataset({ inputs: new Int32Array(6), labels, shape: [3], classes: ['a'] });
    expect(await picturesOf(texts)(0)).toBeNull();
  });
});

describe('history', () => {
  it('is what whole lines say', () => {
    const text = `${metrics}\n\n{"event":"epoch","epoch":3}\n{"event":"other"}\nnull\n[1]\n{"event":"step","st`;
    const history = parseHistory(text);
    expect([history.epochs.length, history.steps.length]).toEqual([3, 15]);
    expect(stepCurve(history, (line) => line.loss, 5).map((p) => p.x)).toEqual([0.4, 1, 1.6, 2.2, 2.8]);
  });
});

describe('wilson', () => {
  it('gives the interval of the literature', () => {
    const { low, high } = wilson(0.9, 10); // Newcombe 1998 has such: 9 of 10
    expect([low.toFixed(4), high.toFixed(4)]).toEqual(['0.5958', '0.9821']);
    expect(wilson(1, 20).high).toBe(1);
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
  });
});

describe('plots', () => {
  const bins = calibration([0.2, 0.9], [true, false]).bins;
  const made: Record<string, string> = {
    lines: lineChart({
      series: [{ points: [1, 2, Number.NaN, 4].map((y, x) => ({ x, y })), dots: true }],
      y: { percent: true },
      title: '<b>',
    }),
    logarithm: lineChart({
      series: [{ points: [0, 1e-3, 1].map((x) => ({ x, y: x })) }],
      x: { log: true },
      marks: [0.01],
    }),
    bars: barChart({ bars: [{ label: '<script>', value: 3 }], standalone: true }),
    heat: heatMap({ rows: ['a', 'a'], columns: ['x', 'y'], values: [1, 2, Number.NaN, 4] }),
    reliability: reliabilityDiagram({ bins }),
    nothing: lineChart({ series: [] }),
  };

  it.each(Object.keys(made))('%s: sound SVG in the colours of the page, geometry of finite numbers', (name) => {
    const { document } = parseHTML(`<html><body>${made[name]}</body></html>`);
    const svg = document.querySelector('body > svg')!;
    expect(svg.getAttribute('fill')).toBe('currentColor');
    expect(svg.getAttribute('role')).toBe('img');
    expect(made[name]).not.toMatch(/NaN|Infinity|undefined|<script|="[^"]*\d\.\d{3,}/);
  });

  it('keeps equal names apart, and leaves out what is not finite', () => {
    const { document } = parseHTML(`<html><body>${made.heat}</body></html>`);
    expect(document.querySelectorAll('rect').length).toBe(3);
    expect(() => heatMap({ rows: ['a'], columns: ['b'], values: [] })).toThrow(
      'heatMap: 1 rows of 1 columns, and 0 values',
    );
  });
});

/** Every text of the page has its other half, complete. How many there are. */
function inBothLanguages(page: string): number {
  const { document } = parseHTML(page);
  const english = [...document.querySelectorAll('.en')];
  for (const span of english) {
    expect(span.getAttribute('lang')).toBe('en');
    const other = span.nextElementSibling!;
    expect(other.className).toBe('zh');
    expect(other.textContent).not.toBe('');
    expect(span.textContent).not.toMatch(/undefined|NaN|\{\w+\}/);
    expect(other.textContent).not.toMatch(/undefined|NaN|\{\w+\}/);
  }
  return english.length;
}

/** Addresses that a browser would go to. The name of the SVG namespace is none. */
function externalUrls(page: string): string[] {
  const { document } = parseHTML(page);
  const found: string[] = [];
  for (const element of document.querySelectorAll(
    '[src], [href], [srcset], [action], [data], [poster], [background]',
  )) {
    for (const name of ['src', 'href', 'srcset', 'action', 'data', 'poster', 'background']) {
      const value = element.getAttribute(name);
      if (value !== null && !/^(#|data:)/.test(value)) found.push(value);
    }
  }
  const css = Array.from(document.querySelectorAll('style'), (style) => style.textContent ?? '').join('\n');
  for (const [url] of css.matchAll(/@import[^;]*|url\((?!data:)[^)]*\)/g)) found.push(url);
  for (const element of document.querySelectorAll('[style]')) {
    if (/url\(/.test(element.getAttribute('style')!)) found.push(element.getAttribute('style')!);
  }
  return found;
}

/** WCAG 2.2's contrast ratio of two rgb() colours. */
function contrast(a: string, b: string): number {
  const luminance = (color: string) => {
    const [r, g, blue] = color
      .match(/[\d.]+/g)!
      .slice(0, 3)
      .map((v) => Number(v) / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue;
  };
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

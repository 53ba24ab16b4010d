/** `fovea embed` and `fovea compare` as users meet them: a trained run, pages on disk, JSON, and what is refused. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, last, records } from '../../test/command.js';
import { decodeImage } from '../io/all.node.js';

let command: Command;
const fovea = (...args: string[]) => command.run(...args);
const read = (name: string) => readFile(join(command.folder, name), 'utf8');

beforeAll(async () => {
  command = await Command.build();
  const limits = ['--limit', '160', '--test-limit', '60', '--epochs', '2', '--batch-size', '16'];
  for (const [seed, out] of [
    ['0', 'runs/a'],
    ['1', 'runs/b'],
  ]) {
    const trained = await fovea('train', 'mnist', '--model', 'lenet5', ...limits, '--seed', seed, '--out', out);
    expect([trained.code, trained.err]).toEqual([0, '']);
  }
  const lines = Array.from({ length: 24 }, (_, i) => `${i % 2 === 0 ? 'good fine' : 'bad poor'} film ${i},${i % 2}`);
  await writeFile(join(command.folder, 'words.csv'), `text,label\n${lines.join('\n')}\n`);
  const words = await fovea('train', 'words.csv', '--model', 'textcnn', '--epochs', '1', '--out', 'runs/words');
  expect([words.code, words.err]).toEqual([0, '']);
}, 180_000);

afterAll(() => command.remove());

interface Point extends Record<string, unknown> {
  readonly x: number;
  readonly y: number;
  readonly label: number;
}

const pointsOf = (out: string) => records(out).filter(({ event }) => event === 'point') as Point[];

/** Every text has its other half, and nothing is left unfilled; nothing is loaded from elsewhere. */
function checkPage(page: string): Document {
  const { document } = parseHTML(page);
  expect(page).toContain("default-src 'none'");
  expect(page).not.toMatch(/(src|href)="(?!data:|#)/);
  const english = [...document.querySelectorAll('.en')];
  expect(english.length).toBeGreaterThan(20);
  for (const span of english) {
    const other = span.nextElementSibling!;
    expect([span.getAttribute('lang'), other.className, other.getAttribute('lang')]).toEqual(['en', 'zh', 'zh-CN']);
    expect(`${span.textContent}${other.textContent}`).not.toMatch(/undefined|NaN|\{\w+\}/);
    expect(other.textContent).not.toBe('');
  }
  return document as unknown as Document;
}

describe('fovea embed', () => {
  it('draws a page whose numbers are those of JSON and of the table', async () => {
    const drawn = ['--method', 'pca', '--limit', '50', '--out', 'map.html', '--out', 'map.csv', '--json'];
    const { code, out, err } = await fovea('embed', 'runs/a', ...drawn);
    expect([code, err]).toEqual([0, '']);
    const [head] = records(out);
    expect(head).toMatchObject({
      event: 'embedding',
      method: 'pca',
      layer: 'fc3',
      of: 'input',
      features: 84,
      count: 50,
    });
    const points = pointsOf(out);
    expect(points.length).toBe(50);
    expect(
      records(out)
        .slice(-2)
        .map(({ event, file }) => [event, file]),
    ).toEqual([
      ['saved', 'map.html'],
      ['saved', 'map.csv'],
    ]);
    // Of principal components the variance is what is said, and the first is the larger.
    const variance = (axis: 'x' | 'y') => points.reduce((sum, point) => sum + point[axis] ** 2, 0);
    const [first, second] = head.explainedVariance as number[];
    expect(variance('x') / variance('y')).toBeCloseTo(first / second, 2);
    const csv = (await read('map.csv')).trim().split('\n');
    expect(csv[0]).toBe('file,label,class,x,y');
    expect(csv.slice(1)).toEqual(points.map((p) => [p.file, p.label, p.class, p.x, p.y].join(',')));
    const document = checkPage(await read('map.html'));
    const svg = document.querySelector('.scatter svg.plot')!;
    expect(svg.querySelectorAll('[aria-label=dot] > *').length).toBe(50);
    expect(document.querySelector('.scatter')!.getAttribute('data-labels')).toBe(points.map((p) => p.label).join(' '));
    const headline = document.querySelector('.number.first .value')!.textContent;
    expect(headline).toBe(`${(100 * (head.sameClass as number)).toFixed(1)} %`);
    const cells = [...document.querySelectorAll('#numbers .sortable tbody tr')].map((row) =>
      Number(row.children[3].textContent),
    );
    expect(cells.reduce((a, b) => a + b, 0)).toBe(50);
    expect(document.querySelectorAll('.mosaic .pic').length).toBeGreaterThan(8);
  });

  it.each(['umap', 'tsne'])(
    '%s is the same for one seed, another for another',
    async (method) => {
      const draw = async (seed: string) =>
        pointsOf((await fovea('embed', 'runs/a', '--method', method, '--limit', '40', '--seed', seed, '--json')).out);
      const [a, again, b] = [await draw('1'), await draw('1'), await draw('2')];
      expect(a.length).toBe(40);
      expect(again).toEqual(a);
      expect(b.map(({ x }) => x)).not.toEqual(a.map(({ x }) => x));
      expect(b.map(({ label }) => label)).toEqual(a.map(({ label }) => label));
    },
    60_000,
  );

  it('says what the map means, and takes texts too', async () => {
    const { code, out } = await fovea('embed', 'runs/words', 'words.csv', '--layer', 'fc1');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^UMAP of 24 texts, \d+ numbers each from fc1 \(neighbours 15, least distance 0\.1, seed 0\)\n/,
    );
    expect(out).toMatch(/of the \d+ most alike are of the same class/);
    expect(out).toMatch(/Classes lie (apart|mixed)/);
    expect(out).toMatch(/saved map\.html \([\d.]+ kB\)\n$/);
    expect(checkPage(await read('map.html')).querySelector('.scatter title')!.textContent).toContain('film');
  });

  it.each([
    [['runs/a', '--method', 'tnse'], 'Did you mean tsne?'],
    [['runs/a', '--layer', 'conv9'], "lenet5 has no layer 'conv9'. Did you mean conv1?"],
    [['runs/a', '--out', 'map.pdf'], "--out writes .html or .csv, not 'map.pdf'."],
    [['runs/a', '--perplexity', '5'], '--perplexity is for --method tsne.'],
    [['runs/a', 'words.csv'], 'words.csv has texts; lenet5 takes pictures.'],
  ])('%j is refused with advice', async (args, message) => {
    const { code, err } = await fovea('embed', ...args);
    expect([code, err.includes(message)], err).toEqual([2, true]);
  });
});

it('is told by explain that texts are no pictures', async () => {
  const { code, err } = await fovea('explain', 'runs/words', '--maximize');
  expect([code, err.includes('textcnn takes inputs of [4]; this is for models of pictures only')], err).toEqual([
    1,
    true,
  ]);
});

describe('fovea compare', () => {
  it('finds 1 on the diagonal of a run and itself', async () => {
    const { code, out } = await fovea('compare', 'runs/a', 'runs/a', '--limit', '40', '--json');
    expect(code).toBe(0);
    const { layers, otherLayers, cka, count } = last(out) as {
      layers: string[];
      otherLayers: string[];
      cka: number[][];
      count: number;
    };
    expect([layers, otherLayers, count]).toEqual([['conv1', 'conv2', 'fc1', 'fc2', 'fc3'], layers, 40]);
    for (const [i, row] of cka.entries()) {
      expect(row[i]).toBe(1);
      for (const [j, value] of row.entries()) {
        expect(value).toBe(cka[j][i]);
        expect(value).toBeGreaterThan(0);
        expect(value).toBeLessThanOrEqual(1);
      }
    }
  });

  it('writes a page with the numbers of JSON, and a picture', async () => {
    const named = ['compare', 'runs/a', 'runs/b', 'mnist', '--limit', '40'];
    const { code, out } = await fovea(...named, '--out', 'cka.html', '--json');
    expect(code).toBe(0);
    const [{ cka, layers }] = records(out) as unknown as [{ cka: number[][]; layers: string[] }];
    const document = checkPage(await read('cka.html'));
    const shown = [...document.querySelectorAll('#numbers tbody tr')].map((row) =>
      [...row.querySelectorAll('td')].map((cell) => Number(cell.getAttribute('data-v'))),
    );
    expect(shown).toEqual(cka);
    expect(document.querySelectorAll('#likeness svg [aria-label=cell] rect').length).toBe(25);
    const matches = [...document.querySelectorAll('#matches tbody tr')].map((row) =>
      Number(row.children[2].getAttribute('data-v')),
    );
    expect(matches).toEqual(layers.map((_, i) => Math.max(...cka[i])));
    expect(document.querySelector('h1')!.textContent).toMatch(/lenet5 \(a\).*lenet5 \(b\)/);
    expect((await fovea(...named, '--out', 'cka.png')).code).toBe(0);
    const [channels, height, width] = (await decodeImage(join(command.folder, 'cka.png'))).shape;
    expect([channels, height > 400, width > 600]).toEqual([3, true, true]);
  });

  it('says what it found, of the layers that are named', async () => {
    const { code, out } = await fovea('compare', 'runs/a', 'runs/b', '--layers', 'conv1,fc2', '--other-layers', 'fc3');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^lenet5 \(a\) × lenet5 \(b\): linear CKA on \d+ pictures\n\n +fc3\nconv1 +0\.\d\d\nfc2 +0\.\d\d\n/,
    );
    expect(out).toContain('1: the same but for turning and scaling all channels at once, 0: nothing in common.');
  });

  it.each([
    [['runs/a', 'runs/b', '--layers', 'conv3'], "lenet5 has no layer 'conv3'. Did you mean conv1?"],
    [['runs/a', 'runs/b', '--out', 'cka.pdf'], "--out writes .html, .svg or .png, not 'cka.pdf'."],
    [['runs/a', 'runs/words'], 'Name the data that both are to see: fovea compare runs/a runs/words DATA'],
    [['runs/a', 'runs/words', 'mnist'], 'textcnn takes texts.'],
  ])('%j is refused with advice', async (args, message) => {
    const { code, err } = await fovea('compare', ...args);
    expect([code, err.includes(message)], err).toEqual([2, true]);
  });
});

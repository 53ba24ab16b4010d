/** `fovea explain` and `fovea robustness` as users meet them: processes, files, and what they say when called wrongly. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, records } from '../../test/command.js';
import { initial } from '../../test/golden/counter.js';
import { decodeImage, encodePng, saveWeights } from '../io/all.node.js';
import { resnet20 } from '../models/index.js';

let command: Command;
const fovea = (...args: string[]) => command.run(...args);
const file = (name: string) => join(command.folder, name);

beforeAll(async () => {
  command = await Command.build();
  const model = resnet20({ numClasses: 4 });
  for (const [path, t] of Object.entries(model.stateDict())) t.assign(initial(path, t.shape));
  const preprocessing = {
    resize: 32,
    crop: [32, 32],
    interpolation: 'bilinear',
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  } as const;
  await saveWeights(model, file('net.safetensors'), { classes: ['ash', 'beech', 'cedar', 'date'], preprocessing });
  for (const name of ['a', 'b']) {
    const data = Uint8Array.from({ length: 3 * 40 * 48 }, (_, i) => (i * (name === 'a' ? 31 : 57)) % 256);
    await writeFile(file(`${name}.png`), await encodePng({ data, shape: [3, 40, 48] }));
  }
});

afterAll(() => command.remove());

const size = async (name: string) => (await decodeImage(file(name))).shape.slice(1);

describe('fovea explain', () => {
  it('writes the pictures beside their maps, and says numbers as JSON', async () => {
    const { code, out } = await fovea(
      'explain',
      'net.safetensors',
      'a.png',
      'b.png',
      '--method',
      'grad-cam,occlusion',
      '--class',
      'cedar',
      '--out',
      'why.png',
      '--json',
    );
    expect(code).toBe(0);
    const lines = records(out);
    expect(lines.map(({ event, file: f, method, class: c }) => [event, f, method, c])).toEqual([
      ['explanation', 'a.png', 'grad-cam', 'cedar'],
      ['explanation', 'a.png', 'occlusion', 'cedar'],
      ['explanation', 'b.png', 'grad-cam', 'cedar'],
      ['explanation', 'b.png', 'occlusion', 'cedar'],
      ['saved', 'why.png', undefined, undefined],
    ]);
    expect(lines[0].layer).toBe('layer3');
    for (const { probability, peak, halfMass } of lines.slice(0, 4) as unknown as {
      probability: number;
      peak: { x: number };
      halfMass: number;
    }[]) {
      expect(probability).toBeGreaterThan(0);
      expect(peak.x).toBeLessThan(32);
      expect(halfMass).toBeLessThanOrEqual(1);
    }
    // Three columns and two rows of 32 px as blocks of 7: 224 px.
    const [height, width] = await size('why.png');
    expect(width).toBe(3 * 224 + 2 * 12 + 40);
    expect(height).toBeGreaterThan(2 * 224);
  });

  it('says in words what it found', async () => {
    const { code, out } = await fovea('explain', 'net.safetensors', 'a.png', '--method', 'saliency');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^a\.png {2}(ash|beech|cedar|date) \d+\.\d %\n {2}Saliency +strongest at \(\d+, \d+\), half of it on \d+ % of the picture/,
    );
    expect(out).toMatch(/saved explain\.png\n$/);
  });

  it('draws feature maps, filters, and what happens when weights are random', async () => {
    expect((await fovea('explain', 'net.safetensors', 'a.png', '--feature-maps', 'conv1,layer3')).out).toBe(
      'conv1: 16 channels of 32 × 32\nlayer3: 64 channels of 8 × 8\nsaved feature-maps.png\n',
    );
    expect((await fovea('explain', 'net.safetensors', '--filters')).out).toBe(
      'conv1: 16 × 3 filters of 3 × 3, in colours\nsaved filters.png\n',
    );
    const { code, out } = await fovea('explain', 'net.safetensors', 'a.png', '--sanity', '--method', 'grad-cam');
    expect(code).toBe(0);
    expect(out).toMatch(/^Grad-CAM\nrandom down to +rank correlation +SSIM\n/);
    expect(out).toMatch(/\nconv1 +-?\d\.\d\d +-?\d\.\d\d\nGrad-CAM (changes with the|changes little when) weights/);
    for (const name of ['feature-maps.png', 'filters.png', 'sanity.png'])
      expect((await size(name))[0]).toBeGreaterThan(40);
  });

  it('makes up the pictures that classes and channels answer to most, alike for one seed', async () => {
    const climb = ['explain', 'net.safetensors', '--steps', '12', '--json', '--maximize'];
    const { code, out } = await fovea(...climb, 'classes', '--out', 'max.png');
    expect(code).toBe(0);
    const made = records(out);
    expect(made.map(({ event, class: c }) => [event, c])).toEqual([
      ...['ash', 'beech', 'cedar', 'date'].map((c) => ['maximized', c]),
      ['saved', undefined],
    ]);
    for (const { before, after } of made.slice(0, 4)) expect(after).toBeGreaterThan(before as number);
    expect(await size('max.png')).toEqual([expect.any(Number), 3 * 224 + 2 * 12 + 40]);
    const bytes = await readFile(file('max.png'));
    expect((await fovea(...climb, 'classes', '--out', 'max.png')).out).toBe(out);
    expect((await readFile(file('max.png'))).equals(bytes)).toBe(true);
    expect(records((await fovea(...climb, 'classes:date', '--seed', '9')).out)[0]).toMatchObject({
      class: 'date',
      seed: 9,
    });
    const channels = records((await fovea(...climb, 'layer2:0-1,7')).out).slice(0, 3);
    expect(channels.map(({ layer, index }) => [layer, index])).toEqual([0, 1, 7].map((k) => ['layer2', k]));
    const words = await fovea('explain', 'net.safetensors', '--steps', '2', '--maximize');
    expect(words.out).toMatch(/it shows what the class is told by, not a picture of it\.\nsaved maximized\.png\n$/);
  }, 60_000);

  it('lists receptive fields, and draws what units listen to', async () => {
    const asked = ['explain', 'net.safetensors', '--receptive-field'];
    const all = records((await fovea(...asked, 'all', '--json')).out);
    // 3 × 3 convolutions: 1 + 2 · (one, and two in each of three blocks), doubled steps after each stage.
    const field = (layer: string) => all.find((row) => row.layer === layer);
    expect(field('conv1')).toMatchObject({ size: [3, 3], jump: [1, 1], start: [0, 0], shape: [16, 32, 32] });
    expect(field('layer1')).toMatchObject({ size: [15, 15], jump: [1, 1] });
    expect(field('layer2')).toMatchObject({
      size: [37, 37],
      jump: [2, 2],
      box: { top: -2, left: -2, bottom: 34, right: 34 },
    });
    expect(field('layer3')).toMatchObject({ size: [81, 81], jump: [4, 4], all: false });
    const { code, out } = await fovea(...asked, 'layer1,layer2', '--samples', '2', '--out', 'fields.png');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^layer +maps +sees +stride +start +listens to\nlayer1 +16 × 32 × 32 +15 × 15 +1 × 1 +0 +\d+(\.\d)? × /,
    );
    expect(out).toContain('the middle counts most (Luo et al. 2016)');
    expect(await size('fields.png')).toEqual([expect.any(Number), 2 * 224 + 12 + 40]);
    const seen = records(
      (await fovea('explain', 'net.safetensors', 'a.png', ...asked.slice(2), 'layer1', '--out', 'f.png', '--json')).out,
    );
    expect(seen[0].effectiveSize).toBeLessThanOrEqual(15);
    expect(seen[0].effectiveSize).toBeGreaterThan(3);
  }, 60_000);

  it.each([
    [['--maximize', 'clases'], "There is no layer 'clases'. Did you mean classes?"],
    [['--maximize', 'layer1:16'], "layer1 has channels 0 to 15, such as layer1:0-3,15; not '16'."],
    [['--maximize', 'classes:beach'], "There is no class 'beach'. Did you mean beech?"],
    [['--maximize', '--filters'], '--filters and --maximize are two answers: ask for one at a time.'],
    [['--receptive-field', 'layer9'], "There is no layer with maps 'layer9'. Did you mean layer1?"],
    [['a.png', '--receptive-field'], 'add --out fields.png'],
    [['a.png', '--maximize', 'classes'], '--maximize makes its own pictures: call it without a.png.'],
  ])('%j is refused with advice', async (args, message) => {
    const { code, err } = await fovea('explain', 'net.safetensors', ...args);
    expect([code, err.includes(message)], err).toEqual([2, true]);
  });

  it.each([
    [['--method', 'gradcam'], "There is no method 'gradcam'. Did you mean grad-cam?"],
    [['--class', 'cedra'], "There is no class 'cedra'. Did you mean cedar?"],
    [['--class', '4'], "There is no class '4': there are ash, beech, cedar, date"],
    [['--layer', 'layer33'], "There is no layer 'layer33'. Did you mean layer3?"],
    [['--out', 'why.jpg'], "--out writes PNG: name the file something.png, not 'why.jpg'."],
  ])('%j is refused with advice', async (args, message) => {
    const { code, err } = await fovea('explain', 'net.safetensors', 'a.png', ...args);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  it('lists its methods in its help', async () => {
    expect((await fovea('explain', '--help')).out).toContain(
      '  hires-cam             maps times gradients, place by place',
    );
  });
});

describe('fovea robustness', () => {
  it('says how answers move, as JSON and as plots', async () => {
    const { code, out } = await fovea(
      'robustness',
      'net.safetensors',
      'a.png',
      'b.png',
      '--only',
      'shift,noise',
      '--out',
      'r.svg',
      '--json',
    );
    expect(code).toBe(0);
    const lines = records(out);
    expect(lines[0]).toMatchObject({ event: 'robustness', pictures: 2 });
    expect(lines.filter((l) => l.name === 'shift').map((l) => [l.level, l.count])).toEqual(
      [1, 2, 3, 4, 6, 8].map((px) => [px, 8]),
    );
    const svg = await readFile(file('r.svg'), 'utf8');
    expect(svg).toMatch(/^<svg xmlns/);
    expect(svg).not.toContain('var(--');
    expect(svg.match(/<svg x=/g)?.length).toBe(2);
  });

  it('writes a page that needs nothing from elsewhere, and says that translation invariance has limits', async () => {
    const { code, out } = await fovea('robustness', 'net.safetensors', 'a.png', '--only', 'shift', '--out', 'r.html');
    expect(code).toBe(0);
    expect(out).toMatch(/Translation invariance has limits|No shift of up to 8 px changed a class/);
    expect(out).toContain('One picture says little about a model');
    const page = await readFile(file('r.html'), 'utf8');
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/(src|href)="(?!data:|#)/);
    expect(page).toContain('为什么轻微平移会改变回答');
  });

  it('has the same numbers in the page as in JSON', async () => {
    const named = ['robustness', 'net.safetensors', 'a.png', 'b.png', '--only', 'crop,noise'];
    const { code, out } = await fovea(...named, '--seed', '5', '--out', 'both.html', '--json');
    expect(code).toBe(0);
    const told = records(out)
      .filter(({ event }) => event === 'perturbation')
      .map(({ kept, probability, change, count }) => [kept, probability, change, count]);
    expect(told.length).toBe(11);
    const { document } = parseHTML(await readFile(file('both.html'), 'utf8'));
    const shown = Array.from(document.querySelectorAll('#numbers tbody tr'), (row) =>
      Array.from(row.querySelectorAll('[data-v]'), (cell) => Number(cell.getAttribute('data-v'))),
    );
    expect(shown).toEqual(told);
    expect(document.querySelectorAll('.film .pic').length).toBe(2 * (1 + 5 + 1 + 6));
  });

  it('takes so many pictures at most, the same for the same seed, and goes on after one that cannot be read', async () => {
    await writeFile(file('broken.png'), 'no picture');
    const ask = (...more: string[]) => fovea('robustness', 'net.safetensors', '--only', 'noise', '--json', ...more);
    const [first, again] = [await ask('a.png', 'b.png', '--limit', '1'), await ask('a.png', 'b.png', '--limit', '1')];
    expect(records(first.out)[0]).toMatchObject({ event: 'robustness', pictures: 1 });
    expect(again.out).toBe(first.out);
    const whole = await ask('a.png', 'broken.png', 'b.png');
    expect(records(whole.out).slice(0, 2)).toMatchObject([
      { event: 'refused', file: 'broken.png' },
      { event: 'robustness', pictures: 2 },
    ]);
    expect(whole.code).toBe(0);
    const none = await ask('broken.png');
    expect([none.code, none.err]).toEqual([1, expect.stringContaining('broken.png cannot be decoded')]);
  });

  it('refuses what it does not know', async () => {
    const { code, err } = await fovea('robustness', 'net.safetensors', 'a.png', '--only', 'shfit');
    expect([code, err.includes("There is no 'shfit'. Did you mean shift?")]).toEqual([2, true]);
    expect((await fovea('robustness', 'net.safetensors', 'a.png', '--out', 'r.pdf')).err).toContain(
      '--out writes .html, .svg or .png',
    );
  });
});

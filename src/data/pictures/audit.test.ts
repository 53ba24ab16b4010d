/** What an audit finds, and what splits make of it. */

import { rmSync } from 'node:fs';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { classFolders, folderOf, picture, pixels } from '../../../test/pictures.js';
import type { Preprocessing } from '../../models/index.js';
import { randomCrop } from '../transforms/index.js';
import { auditPictures } from './audit.node.js';
import { auditLines } from './audit-lines.js';
import { PictureCache } from './cache.js';
import { PictureDataset } from './dataset.node.js';
import { fingerprintDistance, lookOf } from './look.js';
import { openPictures } from './open.node.js';
import { DecodePool } from './pool.node.js';
import type { PictureSample } from './sample.js';
import { splitSamples } from './split.js';

const pool = new DecodePool({ workers: 2 });
afterAll(() => pool.close());

const preprocessing: Preprocessing = {
  resize: 36,
  crop: [32, 32],
  interpolation: 'bilinear',
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

describe('auditPictures', () => {
  it('finds what is broken, double, contradicting, leaking, tiny, elongated and rare', async () => {
    const files = {
      ...(await classFolders(
        { 'train/cat': 18, 'train/dog': 6, 'test/cat': 2 },
        { width: 60, height: 45, format: 'jpeg' },
      )),
    };
    const folder = folderOf({
      ...files,
      'train/cat/copy.jpeg': files['train/cat/0.jpeg'],
      'test/cat/leak.jpeg': files['train/cat/1.jpeg'],
      'train/dog/cat.jpeg': files['train/cat/2.jpeg'],
      'test/cat/near.webp': await sharp(files['train/cat/3.jpeg']).resize(80, 60).webp().toBuffer(),
      'train/dog/broken.jpeg': files['train/dog/1.jpeg'].subarray(0, -100),
      'train/dog/text.png': 'not a picture',
      'train/owl/tiny.png': await picture(90, { width: 16, height: 20 }),
      'train/owl/long.png': await picture(91, { width: 400, height: 40 }),
      'train/owl/grey.png': await picture(92, { width: 50, height: 50, channels: 1 }),
      'train/notes.txt': '',
    });
    const set = await openPictures(folder);
    const progress: number[] = [];
    const audit = await auditPictures(set, { pool, preprocessing, onProgress: (done) => progress.push(done) });
    expect(audit.count).toBe(35);
    expect(audit.full).toBe(true);
    expect(audit.classes).toEqual([
      { name: 'cat', count: 23, broken: 0 },
      { name: 'dog', count: 9, broken: 2 },
      { name: 'owl', count: 3, broken: 0 },
    ]);
    expect(audit.splits).toEqual({ test: 4, train: 31 });
    expect(audit.formats).toEqual({ jpeg: 29, webp: 1, png: 3 });
    expect(audit.sizes).toEqual({ smallest: [20, 16], median: [45, 60], largest: [40, 400] });
    expect(audit.broken.map(({ name }) => name)).toEqual(['train/dog/broken.jpeg', 'train/dog/text.png']);
    expect(audit.duplicates).toEqual([
      { names: ['test/cat/leak.jpeg', 'train/cat/1.jpeg'], classes: ['cat'], splits: ['test', 'train'] },
      { names: ['train/cat/0.jpeg', 'train/cat/copy.jpeg'], classes: ['cat'], splits: ['train'] },
      { names: ['train/cat/2.jpeg', 'train/dog/cat.jpeg'], classes: ['cat', 'dog'], splits: ['train'] },
    ]);
    expect(audit.nearDuplicates).toEqual([
      { names: ['test/cat/near.webp', 'train/cat/3.jpeg'], splits: ['test', 'train'] },
    ]);
    expect(audit.tiny).toEqual(['train/owl/tiny.png']);
    expect(audit.elongated).toEqual(['train/owl/long.png']);
    expect(audit.greyShare).toBeCloseTo(1 / 33, 10);
    expect(audit.imbalance).toBeCloseTo(23 / 3, 10);
    expect(audit.fewPictures).toEqual(['owl']);
    expect([...audit.leaveOut].sort()).toEqual([
      'train/cat/2.jpeg',
      'train/dog/broken.jpeg',
      'train/dog/cat.jpeg',
      'train/dog/text.png',
    ]);
    expect(progress.at(-1)).toBe(35);
    expect(audit.findings.map(({ kind, count, action }) => `${kind} ${count} ${action}`)).toEqual([
      'broken 2 left out',
      'contradiction 1 left out',
      'leak 1 kept',
      'duplicates 1 together',
      'near duplicates 1 kept',
      'tiny 1 kept',
      'elongated 1 kept',
      'imbalance 1 kept',
      'few 1 kept',
      'left out 1 left out',
    ]);
    expect(JSON.parse(JSON.stringify(audit))).toEqual(audit);
    const lines = auditLines(audit).join('\n');
    expect(lines).toContain('35 pictures of 3 classes in folders');
    expect(lines).toContain('classes    cat 23, dog 9, owl 3');
    expect(lines).toContain('sizes      16 × 20 … 400 × 40, in the middle 60 × 45');
    expect(lines).toContain(
      '- 2 pictures cannot be read and are left out\n    train/dog/broken.jpeg cannot be decoded',
    );
  });

  it('fills the cache on the way, so that training reads nothing again', async () => {
    const folder = folderOf(await classFolders({ a: 7, b: 6 }, { width: 50, height: 40 }));
    const set = await openPictures(folder);
    const cache = new PictureCache(1 << 22);
    const cold = new PictureDataset({ ...set, preprocessing, augment: [randomCrop(32)], pool, cacheBytes: 0 });
    const context = { seed: 1, epoch: 2, batch: 0, indices: Int32Array.of(3, 9, 0) };
    const [trained, seen] = [await cold.batch([3, 9, 0], context), await cold.batch([3, 9, 0])];
    await auditPictures(set, { pool, preprocessing, cache });
    expect(cache.size).toBe(13);
    rmSync(folder, { recursive: true });
    const warm = new PictureDataset({ ...set, preprocessing, augment: [randomCrop(32)], pool, cache });
    expect((await warm.batch([3, 9, 0], context)).inputs).toEqual(trained.inputs);
    expect((await warm.batch([3, 9, 0])).inputs).toEqual(seen.inputs);
    const plain = new PictureDataset({ ...set, preprocessing, pool, cache });
    expect((await plain.batch([3, 9, 0])).inputs).toEqual(seen.inputs);
  });

  it('looks at headers alone where that is asked for', async () => {
    const files = await classFolders({ a: 3 }, { format: 'jpeg', width: 30, height: 30 });
    const folder = folderOf({ ...files, 'a/cut.jpeg': files['a/1.jpeg'].subarray(0, -20), 'a/0.gif': 'GIF89a' });
    const audit = await auditPictures(await openPictures(folder), { pool, full: false });
    expect(audit.broken.map(({ name }) => name)).toEqual(['a/0.gif']);
    expect(audit.duplicates).toEqual([]);
    expect(auditLines(audit)).toContain('looked at headers only: damaged pixels and duplicates show while training');
  });

  it('stays short where there is nothing to find, and safe to print whatever the names', async () => {
    const good = await auditPictures(
      await openPictures(folderOf(await classFolders({ a: 6, b: 6 }, { width: 44, height: 48 }))),
      { pool },
    );
    expect(good.findings).toEqual([]);
    expect(auditLines(good).length).toBe(4);
    const odd = folderOf({ 'a\u001b[31m/x\n.png': 'broken', 'a\u001b[31m/1.png': await picture(1) });
    const audit = await auditPictures(await openPictures(odd), { pool });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    expect(auditLines(audit).join('')).not.toMatch(/[\u0000-\u001f]\[31m/);
  });
});

describe('fingerprints', () => {
  it('hardly change with size and noise, and differ between pictures', () => {
    const of = (seed: number, width: number, height: number) => {
      const data = pixels(seed, { width, height, channels: 1 });
      return lookOf({ data, shape: [1, height, width] }).fingerprint;
    };
    for (let seed = 1; seed < 12; seed++) {
      const data = pixels(seed, { width: 64, height: 64, channels: 1 });
      const noisy = data.map((x, i) => Math.max(0, Math.min(255, x + ((i * 7919) % 5) - 2)));
      const [a, b] = [data, noisy].map((d) => lookOf({ data: d, shape: [1, 64, 64] }).fingerprint);
      expect(fingerprintDistance(a, b)).toBeLessThanOrEqual(6);
      expect(fingerprintDistance(a, of(seed + 20, 64, 64))).toBeGreaterThan(30);
    }
    expect(lookOf({ data: new Uint8Array(400).fill(9), shape: [1, 20, 20] })).toEqual({ grey: true, fingerprint: '' });
    expect(fingerprintDistance('ffff000180000000', '0000000080000000')).toBe(17);
  });
});

describe('splitSamples', () => {
  const sample = (name: string, label: number, split?: PictureSample['split']): PictureSample => ({
    name,
    label,
    ...(split === undefined ? {} : { split }),
    source: { kind: 'file', path: name },
  });
  const many = (counts: readonly number[]) =>
    counts.flatMap((count, label) => Array.from({ length: count }, (_, i) => sample(`${label}/${i}`, label)));

  it('keeps shares in every class, loses nobody, and depends on the seed alone', () => {
    const cases = fc.tuple(
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 0, max: 40 }),
      fc.nat(1000),
    );
    fc.assert(
      fc.property(cases, ([counts, v, t, seed]) => {
        const samples = many(counts);
        const options = { validation: v / 100, test: t / 100, seed };
        const parts = splitSamples(samples, options);
        expect(parts).toEqual(splitSamples(samples, options));
        const together = [...parts.train, ...parts.validation, ...parts.test];
        expect(new Set(together).size).toBe(samples.length);
        expect(together.length).toBe(samples.length);
        for (const [label, count] of counts.entries()) {
          const of = (part: readonly PictureSample[]) => part.filter((s) => s.label === label).length;
          expect(of(parts.train)).toBeGreaterThanOrEqual(1);
          const shares = [options.validation, options.test];
          for (const [i, part] of [parts.validation, parts.test].entries()) {
            const wanted = shares[i] === 0 ? 0 : Math.max(1, Math.round(shares[i] * count));
            if (count > 2 * 3) expect(of(part)).toBe(wanted);
            else expect(of(part)).toBeLessThanOrEqual(wanted);
            if (shares[i] > 0 && count >= 3) expect(of(part)).toBeGreaterThanOrEqual(1);
          }
        }
      }),
      { numRuns: 100 },
    );
    const one = splitSamples(many([50]), { validation: 0.2, seed: 1 });
    expect(one.validation).not.toEqual(splitSamples(many([50]), { validation: 0.2, seed: 2 }).validation);
  });

  it('keeps copies on one side, and the parts that there are', () => {
    const samples = [...many([30, 30]), sample('given', 0, 'test')];
    const duplicates = [['0/1', '0/2', '0/3', '1/4'], ['1/7', '1/8']]; // biome-ignore format: one line
    for (let seed = 0; seed < 30; seed++) {
      const parts = splitSamples(samples, { validation: 0.2, test: 0.2, seed, duplicates });
      expect(parts.test.map(({ name }: PictureSample) => name)).toEqual(['given']);
      for (const group of duplicates) {
        const sides = [parts.train, parts.validation, parts.test].filter((part) =>
          part.some(({ name }) => group.includes(name)),
        );
        expect(sides.length).toBe(1);
      }
      expect(Math.abs(parts.validation.length - 12)).toBeLessThanOrEqual(3);
    }
  });

  it('sets one of two aside and trains with a single one', () => {
    const parts = splitSamples(many([1, 2, 3]), { validation: 0.1, test: 0.1 });
    const counts = (part: readonly PictureSample[]) =>
      [0, 1, 2].map((label) => part.filter((s) => s.label === label).length);
    expect([counts(parts.train), counts(parts.validation), counts(parts.test)]).toEqual([[1, 1, 1], [0, 1, 1], [0, 0, 1]]); // biome-ignore format: one line
    expect(() => splitSamples(many([3]), { validation: 0.5, test: 0.5 })).toThrow('leave something to train with');
  });
});

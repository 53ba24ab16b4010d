/**
 * More than ten thousand broken and hostile pictures, archives and tables through decoding, opening, auditing and data sets, in one process: each ends in time,
 * with pictures or with an error that says what is wrong with the file, and memory does not grow with their number.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPictures } from '../../src/data/pictures/audit.node.js';
import { auditLines } from '../../src/data/pictures/audit-lines.js';
import { PictureDataset } from '../../src/data/pictures/dataset.node.js';
import { openPictures } from '../../src/data/pictures/open.node.js';
import { DecodePool } from '../../src/data/pictures/pool.node.js';
import { SourceReader } from '../../src/data/pictures/read.node.js';
import { Random } from '../../src/data/random.js';
import { randomHorizontalFlip, randomResizedCrop } from '../../src/data/transforms/index.js';
import { decodeImage, readPictureHeader } from '../../src/io/picture.node.js';
import { folderOf } from '../pictures.js';
import { HostilePictures, lyingPng, polyglots, tarOf } from './hostile-pictures.js';

const deadlineMs = 10_000;
const allowedGrowth = 400 * 2 ** 20;
const preprocessing = {
  resize: 20,
  crop: [16, 16],
  interpolation: 'bilinear',
  mean: [0, 0, 0],
  std: [1, 1, 1],
} as const;
const limits = { maxPixels: 1_000_000, maxBytes: 1 << 20, maxSeconds: 5 };

let total = 0;
let firstRss = 0;
let corpus: HostilePictures;
const pool = new DecodePool({ workers: 2 });

beforeAll(async () => {
  corpus = await HostilePictures.make();
});
afterAll(() => pool.close());

const expected = ['FormatError', 'FileError', 'ConfigError'];

/** Runs it; says whether it worked. Anything but success and the three errors fails, and so does what takes too long. */
async function survives(what: string, run: () => unknown): Promise<boolean> {
  if (++total === 1000) firstRss = process.memoryUsage.rss();
  const start = performance.now();
  const error = await Promise.resolve().then(run).then(() => null, (e: Error) => e); // biome-ignore format: one chain
  const ms = performance.now() - start;
  if (ms > deadlineMs) throw new Error(`${what} took ${Math.round(ms)} ms`);
  if (error !== null && !expected.includes(error.name)) throw new Error(`${what}: ${error.stack}`, { cause: error });
  return error === null;
}

describe('hostile pictures', () => {
  it('are decoded or refused: 6,000 mutations', async () => {
    const random = new Random(11);
    let fine = 0;
    for (let i = 0; i < 6000; i++) {
      const kind = i % corpus.good.length;
      // Half of them changed twice.
      let bytes = corpus.mutate(corpus.good[kind], random);
      if (random.chance(0.5)) bytes = corpus.mutate(bytes, random);
      const worked = await survives(`picture ${i} (from ${kind})`, async () => {
        const { data, shape } = await decodeImage(bytes, { ...limits, channels: random.choice([1, 3] as const) });
        expect(data.length).toBe(shape[0] * shape[1] * shape[2]);
        expect(shape[1] * shape[2]).toBeLessThanOrEqual(limits.maxPixels);
        if (i % 10 === 0) await readPictureHeader(bytes, limits);
      });
      if (worked) fine++;
    }
    expect(fine).toBeGreaterThan(300); // the mutations reach beyond the first bytes
  });

  it('are decoded or refused where every checksum is right: 500 PNGs', async () => {
    const random = new Random(17);
    let fine = 0;
    for (let i = 0; i < 500; i++) {
      const worked = await survives(`lying PNG ${i}`, async () => {
        const { shape } = await decodeImage(lyingPng(random), limits);
        expect(shape[1] * shape[2]).toBeLessThanOrEqual(limits.maxPixels);
      });
      if (worked) fine++;
    }
    expect([fine > 50, fine < 450]).toEqual([true, true]);
  });

  it('are decoded where something else is hidden in them or behind them', async () => {
    for (const { name, bytes } of polyglots(corpus.good)) {
      expect([name, await survives(name, () => decodeImage(bytes, limits))]).toEqual([name, true]);
    }
  });

  it('are refused by their headers where they are bombs', async () => {
    for (const { name, bytes } of corpus.crafted()) {
      const start = performance.now();
      expect([name, await survives(name, () => decodeImage(bytes, limits))]).toEqual([name, false]);
      expect(performance.now() - start).toBeLessThan(2000);
    }
  });

  it('are left out of data sets, which train on with the rest: 3,000 files', async () => {
    for (let round = 0; round < 10; round++) {
      const files: Record<string, Buffer> = {};
      for (const [i, { name, bytes }] of corpus.files(313, 100 + round).entries())
        files[`${'abc'[i % 3]}/${name}`] = bytes;
      for (const name of 'abc') files[`${name}/good.png`] = corpus.good[1];
      const folder = folderOf(files);
      await survives(`folder ${round}`, async () => {
        const set = await openPictures(folder);
        const audit = await auditPictures(set, { pool, preprocessing, ...limits });
        expect(audit.count).toBe(316);
        expect(audit.broken.length).toBeGreaterThan(100);
        auditLines(audit);
        const augment = [randomResizedCrop(16), randomHorizontalFlip()];
        const data = new PictureDataset({ ...set, preprocessing, augment, pool, cacheBytes: 1 << 22, ...limits });
        const indices = Int32Array.from(set.samples.keys());
        const { inputs } = await data.batch(indices, { seed: 1, epoch: round, batch: 0, indices });
        expect(inputs.length).toBe(316 * 768);
        expect(data.unreadable.map(({ name }) => name).sort()).toEqual(audit.broken.map(({ name }) => name).sort());
        await data.close();
        rmSync(folder, { recursive: true });
      });
      total += 315;
    }
  });
});

describe('hostile archives and tables', () => {
  it('are read or refused: 800 Parquet files', async () => {
    const golden = fileURLToPath(new URL('../golden/data/parquet', import.meta.url));
    const names = ['train-00000-of-00002', 'test-00000-of-00001', 'codec-none', 'codec-gzip', 'codec-zstd', 'codec-lz4', 'codec-brotli', 'encodings']; // biome-ignore format: one line
    const originals = names.map((name) => readFileSync(join(golden, `${name}.parquet`)));
    await throughFiles('parquet', 800, 13, (i) => originals[i % originals.length]);
  });

  it('are read or refused: 800 tar archives', async () => {
    const files = corpus.good.flatMap((bytes, i) =>
      i % 3 === 0
        ? [
            { name: `${'folder/'.repeat(30)}${i}.jpg`, bytes },
            { name: `${'folder/'.repeat(30)}${i}.json`, bytes: Buffer.from('{"label": 1}') },
          ]
        : [
            { name: `${i}.png`, bytes },
            { name: `${i}.cls`, bytes: Buffer.from('0') },
          ],
    );
    const original = await tarOf([...files, { name: '../../up.png', bytes: corpus.good[0] }], (archive) =>
      archive.entry({ name: '/abs.png', type: 'symlink', linkname: '/etc/passwd' }),
    );
    await throughFiles('tar', 800, 14, () => original);
  });

  it('are read or refused: 500 tables', async () => {
    const rows = ['path,label,split', 'good.png,a,train', '"quoted, name.png",b,val', '../up.png,a,', '/etc/passwd,a,', 'none.png,b,test', 'good.png\0,a,', '"open,a', 'x'.repeat(3000)]; // biome-ignore format: one line
    const original = Buffer.from(rows.join('\n'));
    await throughFiles('csv', 480, 15, (i) => (i % 2 === 0 ? original : original.subarray(0, 60)));
    const huge = (field: string) => Buffer.from(`path,label\n${field.repeat(1_000_000)},a\ngood.png,b\n`);
    for (const field of ['x', '"', '\n', ',', ' ', '\0', '\r', 'é'])
      await throughFiles('csv', 1, 16, () => huge(field), false);
  });

  /** Writes, opens, reads every sample it lists. */
  async function throughFiles(
    ending: string,
    count: number,
    seed: number,
    original: (i: number) => Buffer,
    changed = true,
  ): Promise<void> {
    const random = new Random(seed);
    const folder = folderOf({ 'good.png': corpus.good[1] });
    mkdirSync(join(folder, 'sub'));
    for (let i = 0; i < count; i++) {
      const file = join(folder, `x.${ending}`);
      writeFileSync(file, changed ? corpus.mutate(original(i), random) : original(i));
      const opened: Awaited<ReturnType<typeof openPictures>>[] = [];
      await survives(`${ending} ${i}`, async () => opened.push(await openPictures(file)));
      if (opened.length === 0) continue;
      using reader = new SourceReader(limits.maxBytes);
      for (const { source, name } of opened[0].samples.slice(0, 60)) {
        if (source.kind !== 'memory') expect(source.path.startsWith(folder)).toBe(true);
        await survives(`${ending} ${i}: ${name}`, () => reader.read(source));
        total--; // the file counts once
      }
    }
  }
});

it('ten thousand of them leave no memory behind', () => {
  expect(total).toBeGreaterThan(10_000);
  expect(process.memoryUsage.rss() - firstRss).toBeLessThan(allowedGrowth);
});

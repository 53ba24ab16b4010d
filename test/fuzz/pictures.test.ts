/**
 * More than ten thousand broken and hostile pictures, archives and tables through decoding, opening, auditing and data sets, in one process: each ends in time,
 * with pictures or with an error that says what is wrong with the file, and memory does not grow with their number.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { pack } from 'tar-stream';
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
import { folderOf, picture } from '../pictures.js';

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
const good: Buffer[] = [];
const pool = new DecodePool({ workers: 2 });

beforeAll(async () => {
  for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const) {
    good.push(await picture(good.length, { format, width: 24, height: 17 }));
    if (format !== 'avif') good.push(await picture(good.length, { format, width: 40, height: 48, channels: 1 }));
  }
  const raw = { raw: { width: 30, height: 30, channels: 4 as const } };
  const alpha = sharp(
    Uint8Array.from({ length: 3600 }, (_, i) => (i * 53) & 255),
    raw,
  );
  const frames = { raw: { width: 30, height: 30, channels: 4 as const, pageHeight: 10 } };
  const animated = sharp(
    Uint8Array.from({ length: 3600 }, (_, i) => (i * 91) & 255),
    frames,
  );
  good.push(await alpha.png().toBuffer(), await alpha.webp().toBuffer(), await animated.gif().toBuffer());
  good.push(await alpha.png({ palette: true }).toBuffer(), await alpha.jpeg({ progressive: true }).toBuffer());
  good.push(
    await alpha.toColourspace('cmyk').withIccProfile('cmyk').jpeg().withMetadata({ orientation: 6 }).toBuffer(),
  );
  good.push(await alpha.tiff({ compression: 'lzw', tile: true, tileWidth: 16, tileHeight: 16 }).toBuffer());
});
afterAll(() => pool.close());

/** Other bytes: cut, flipped, overwritten with extremes, pieces moved, doubled or taken from another file. */
function mutate(bytes: Uint8Array, random: Random): Buffer {
  const out = Buffer.from(bytes);
  const at = () => random.integer(0, Math.max(1, out.length));
  switch (random.integer(0, 8)) {
    case 0:
      return out.subarray(0, at());
    case 1:
      for (let k = random.integer(1, 4); k > 0; k--) out[at()] ^= 1 << random.integer(0, 8);
      return out;
    case 2:
      for (let k = random.integer(1, 9); k > 0; k--) out[at()] = random.integer(0, 256);
      return out;
    case 3: {
      // Headers stand in front: sizes and counts become extreme.
      const start = random.integer(0, Math.min(out.length, 300));
      const extreme = random.choice([[0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 0], [0xff, 0xff], [0, 1, 0, 0], [0x80, 0, 0, 0]]); // biome-ignore format: one line
      out.set(extreme.slice(0, out.length - start), start);
      return out;
    }
    case 4: {
      const [a, b] = [at(), at()].sort((x, y) => x - y);
      return Buffer.concat([out.subarray(0, b), out.subarray(a)]);
    }
    case 5: {
      const other = random.choice(good);
      return Buffer.concat([out.subarray(0, at()), other.subarray(random.integer(0, other.length))]);
    }
    case 6: {
      const [a, b] = [at(), at()].sort((x, y) => x - y);
      out.fill(random.choice([0, 255, 0x20]), a, Math.min(b, a + 64));
      return out;
    }
    default: {
      const a = at();
      return Buffer.concat([
        out.subarray(0, a),
        Buffer.alloc(random.integer(1, 40), random.integer(0, 256)),
        out.subarray(a),
      ]);
    }
  }
}

/** Files that no chance would make. */
function crafted(): Record<string, Buffer> {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/><image href="http://localhost:1/x"/></svg>';
  const gif = (w: number, h: number) => Buffer.concat([Buffer.from('GIF89a'), u16(w), u16(h), Buffer.from([0, 0, 0, 0x2c, 0, 0, 0, 0]), u16(w), u16(h), Buffer.from([0, 2, 0, 0x3b])]); // biome-ignore format: one line
  const jpeg = Buffer.from(good[0]);
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.writeUInt16BE(65_500, frame + 5);
  jpeg.writeUInt16BE(65_500, frame + 7);
  const tiff = Buffer.from('49492a0008000000040000010400010000000000010001010400010000000000010002010300010000000800000011010400010000000800000000000000', 'hex'); // biome-ignore format: one line
  return {
    'empty.jpg': Buffer.alloc(0),
    'zero.png': Buffer.alloc(5000),
    'text.png': Buffer.from('hello'),
    'vector.png': Buffer.from(svg),
    'page.jpg': Buffer.from('<!doctype html><script>alert(1)</script>'),
    'gif-vector.gif': Buffer.from(`GIF89a${svg}`),
    'bomb.png': pngOf(60_000, 60_000),
    'bomb-thin.png': pngOf(2_147_483_647, 1),
    'bomb-none.png': pngOf(0, 0),
    'bomb.gif': gif(65_535, 65_535),
    'bomb.jpg': jpeg,
    'bomb.tif': tiff,
    'thread.png': pngOf(900_000, 1),
  };
}

function u16(value: number): Buffer {
  const out = Buffer.alloc(2);
  out.writeUInt16LE(value);
  return out;
}

function pngOf(width: number, height: number): Buffer {
  const chunk = (kind: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const data = Buffer.from('789c6360000000020001', 'hex');
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]); // biome-ignore format: one line
}

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
      const kind = i % good.length;
      // Half of them changed twice.
      let bytes = mutate(good[kind], random);
      if (random.chance(0.5)) bytes = mutate(bytes, random);
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

  it('are refused by their headers where they are bombs', async () => {
    for (const [name, bytes] of Object.entries(crafted())) {
      const start = performance.now();
      expect([name, await survives(name, () => decodeImage(bytes, limits))]).toEqual([name, false]);
      expect(performance.now() - start).toBeLessThan(2000);
    }
  });

  it('are left out of data sets, which train on with the rest: 3,000 files', async () => {
    const random = new Random(12);
    for (let round = 0; round < 10; round++) {
      const files: Record<string, Buffer> = {};
      for (let i = 0; i < 300; i++) {
        const ending = random.choice(['jpg', 'png', 'webp', 'gif', 'tif', 'avif']);
        const odd = random.choice(['', ' ', "'", '%00', '日', '\n', '$(x)', '-', '…']);
        files[`${'abc'[i % 3]}/${odd}${i}.${ending}`] = mutate(random.choice(good), random);
      }
      for (const [name, bytes] of Object.entries(crafted())) files[`${'abc'[round % 3]}/${name}`] = bytes;
      for (const name of 'abc') files[`${name}/good.png`] = good[1];
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
    const archive = pack();
    for (const [i, bytes] of good.entries()) {
      archive.entry({ name: i % 3 === 0 ? `${'folder/'.repeat(30)}${i}.jpg` : `${i}.png` }, bytes);
      archive.entry(
        { name: i % 3 === 0 ? `${'folder/'.repeat(30)}${i}.json` : `${i}.cls` },
        i % 3 === 0 ? '{"label": 1}' : '0',
      );
    }
    archive.entry({ name: '../../up.png' }, good[0]);
    archive.entry({ name: '/abs.png', type: 'symlink', linkname: '/etc/passwd' });
    archive.finalize();
    const pieces: Buffer[] = [];
    for await (const piece of archive) pieces.push(piece as Buffer);
    const original = Buffer.concat(pieces);
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
    const folder = folderOf({ 'good.png': good[1] });
    mkdirSync(join(folder, 'sub'));
    for (let i = 0; i < count; i++) {
      const file = join(folder, `x.${ending}`);
      writeFileSync(file, changed ? mutate(original(i), random) : original(i));
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

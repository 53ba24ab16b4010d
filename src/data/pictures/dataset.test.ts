/** Pictures from disk to batches: the same bytes as prediction, and the same bytes whatever the threads, the cache and the start. */

import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { classFolders, folderOf } from '../../../test/pictures.js';
import { workerFile } from '../../../test/worker-file.js';
import { FileError } from '../../io/file-error.node.js';
import { decodeImage } from '../../io/picture.node.js';
import type { Preprocessing } from '../../models/index.js';
import type { Batch, TransformContext } from '../dataset.js';
import { DataLoader } from '../loader.js';
import { preprocess } from '../preprocess.js';
import { colorJitter, randomCrop, randomHorizontalFlip } from '../transforms/index.js';
import { PictureCache } from './cache.js';
import { PictureDataset, type PictureDatasetOptions, type SkippedPicture } from './dataset.node.js';
import { openPictures } from './open.node.js';
import { DecodePool } from './pool.node.js';

const small: Preprocessing = {
  resize: 20,
  crop: [16, 16],
  interpolation: 'bilinear',
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};
const augment = [randomCrop(16), randomHorizontalFlip(), colorJitter({ brightness: 0.4 })];

const pools = { one: new DecodePool({ workers: 1 }), three: new DecodePool({ workers: 3 }) };
afterAll(async () => {
  await Promise.all(Object.values(pools).map((pool) => pool.close()));
});

function context(epoch: number, indices: number[], seed = 7): TransformContext {
  return { seed, epoch, batch: 0, indices: Int32Array.from(indices) };
}

async function setOf(folder: string, options: Partial<PictureDatasetOptions> = {}): Promise<PictureDataset> {
  const { samples, classes } = await openPictures(folder);
  return new PictureDataset({ samples, classes, preprocessing: small, pool: pools.one, ...options });
}

const bytesOf = (batch: Batch) => Buffer.from(batch.inputs as Uint8Array).toString('base64');

describe('PictureDataset', () => {
  it('gives an evaluation exactly the bytes that preprocess gives predict', async () => {
    const files = {
      ...(await classFolders({ a: 4 }, { format: 'jpeg', width: 57, height: 33 })),
      ...(await classFolders({ b: 3 }, { format: 'png', width: 21, height: 64, channels: 1 })),
      ...(await classFolders({ c: 2 }, { format: 'webp', width: 9, height: 12 })),
    };
    const folder = folderOf(files);
    for (const mean of [[0.5], [0.5, 0.5, 0.5]]) {
      const preprocessing = { ...small, mean, std: mean };
      const set = await setOf(folder, { preprocessing, augment: mean.length === 3 ? augment : [] });
      expect(set.shape).toEqual([mean.length, 16, 16]);
      const wanted: number[] = [];
      for (const name of Object.keys(files)) {
        const planes = await decodeImage(join(folder, name), { channels: mean.length as 1 | 3 });
        wanted.push(...preprocess(planes, preprocessing).data);
      }
      const all = [0, 1, 2, 3, 4, 5, 6, 7, 8];
      if (mean.length === 3) await set.batch(all, context(0, all)); // fills the cache with the working size
      for (let round = 0; round < 2; round++) {
        const { inputs, labels, shape } = await set.batch(all);
        expect(Array.from(inputs)).toEqual(wanted);
        expect(Array.from(labels)).toEqual([0, 0, 0, 0, 1, 1, 1, 2, 2]);
        expect(shape).toEqual([9, mean.length, 16, 16]);
      }
      expect(set.cache!.size).toBe(9);
      await set.close();
    }
  });

  it('gives the same bytes for any number of threads, with and without a cache, in any order', async () => {
    const folder = folderOf(await classFolders({ a: 12, b: 11 }, { format: 'jpeg', width: 48, height: 36 }));
    const variants = [
      await setOf(folder, { augment, cacheBytes: 0 }),
      await setOf(folder, { augment, cacheBytes: 1 << 20 }),
      await setOf(folder, { augment, cacheBytes: 6000 }), // room for two or three
      await setOf(folder, { augment, pool: pools.three }),
    ];
    const all = Array.from({ length: 23 }, (_, i) => i);
    const epochs: string[] = [];
    for (let epoch = 0; epoch < 3; epoch++) {
      const results = await Promise.all(variants.map((set) => set.batch(all, context(epoch, all))));
      const texts = new Set(results.map(bytesOf));
      expect(texts.size).toBe(1);
      epochs.push([...texts][0]);
    }
    expect(new Set(epochs).size).toBe(3);
    // One picture alone, late and on a fresh set, is what it is in the batch of the whole.
    const late = await setOf(folder, { augment, pool: pools.three });
    const alone = await late.batch([17], context(2, [17]));
    const whole = Buffer.from(epochs[2], 'base64');
    expect(bytesOf(alone)).toBe(whole.subarray(17 * 768, 18 * 768).toString('base64'));
    expect(variants[0].cache).toBeNull();
    expect(variants[1].cache!.size).toBe(23);
    expect(variants[2].cache!.size).toBeLessThan(5);
    for (const set of [...variants, late]) await set.close();
  });

  it('goes on from a position of a loader as if it had come from the start', async () => {
    const folder = folderOf(await classFolders({ a: 9, b: 8 }));
    const options = { batchSize: 4, shuffle: true, seed: 3 };
    const first = new DataLoader(await setOf(folder, { augment }), options);
    const seen: string[] = [];
    for (let epoch = 0; epoch < 2; epoch++) for await (const batch of first) seen.push(bytesOf(batch));
    const second = new DataLoader(await setOf(folder, { augment, pool: pools.three }), options);
    second.seek({ epoch: 1, batch: 2 });
    const rest: string[] = [];
    for await (const batch of second) rest.push(bytesOf(batch));
    expect(rest).toEqual(seen.slice(-3));
  });

  it('puts the next of the class in the place of a picture that cannot be read, and says so once', async () => {
    const files = await classFolders({ a: 4, b: 3 });
    const folder = folderOf({ ...files, 'a/1.png': 'broken', 'a/2.png': files['a/2.png'].subarray(0, 80) });
    const skipped: SkippedPicture[] = [];
    const set = await setOf(folder, { onSkip: (s) => skipped.push(s) });
    const batch = await set.batch([0, 1, 2, 3, 5]);
    const good = await set.batch([0, 3, 3, 3, 5]);
    expect(bytesOf(batch)).toBe(bytesOf(good));
    expect(Array.from(batch.labels)).toEqual([0, 0, 0, 0, 1]);
    expect(skipped.map(({ name }) => name).sort()).toEqual(['a/1.png', 'a/2.png']);
    expect(skipped.find(({ index }) => index === 1)!.reason).toContain('a/1.png cannot be decoded');
    expect(set.unreadable.length).toBe(2);
    await set.batch([1, 2]);
    expect(skipped.length).toBe(2);
    // The same picture stands in where the failure comes first.
    const again = await setOf(folder, { augment });
    const order = await (await setOf(folder, { augment })).batch([2, 1], context(4, [2, 1]));
    expect(bytesOf(await again.batch([2, 1], context(4, [2, 1])))).toBe(bytesOf(order));
    await set.close();
  });

  it('ends at the first picture that cannot be read where told to be strict', async () => {
    const folder = folderOf({ ...(await classFolders({ a: 3 })), 'a/1.png': 'broken' });
    const set = await setOf(folder, { strict: true });
    await expect(set.batch([0, 1])).rejects.toThrow('a/1.png cannot be decoded');
  });

  it('says which class is lost when its folder vanishes during training, and lives on the cache otherwise', async () => {
    const folder = folderOf(await classFolders({ a: 3, b: 3 }));
    const [kept, none] = [await setOf(folder), await setOf(folder, { cacheBytes: 0 })];
    const before = await kept.batch([0, 1, 2, 3, 4, 5]);
    rmSync(join(folder, 'b'), { recursive: true });
    expect(bytesOf(await kept.batch([0, 1, 2, 3, 4, 5]))).toBe(bytesOf(before));
    await expect(none.batch([0, 4])).rejects.toThrow(
      "none of the 3 pictures of the class 'b' can be read: cannot read",
    );
    await expect(none.batch([4])).rejects.toThrow('ENOENT');
  });

  it('gives up when a hundred files in a row are gone', async () => {
    const one = (await classFolders({ a: 1 }))['a/0.png'];
    const folder = folderOf(
      Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`${'ab'[i % 2]}/${i}.png`, one])),
    );
    const set = await setOf(folder, { cacheBytes: 0 });
    await set.batch([0, 1, 2, 299]);
    rmSync(folder, { recursive: true });
    const lost = set.batch(Array.from({ length: 64 }, (_, i) => i));
    await expect(lost).rejects.toThrow(FileError);
    await expect(lost).rejects.toThrow('100 pictures one after the other cannot be read; are they still there?');
  });

  it('leaves out a file that became garbage after it was looked at', async () => {
    const folder = folderOf(await classFolders({ a: 3, b: 2 }));
    const set = await setOf(folder, { cacheBytes: 0 });
    await set.batch([0, 1, 2]);
    writeFileSync(join(folder, 'a/1.png'), '<html>');
    const batch = await set.batch([0, 1, 2]);
    expect(set.unreadable.map(({ name }) => name)).toEqual(['a/1.png']);
    const [, second, third] = [0, 1, 2].map((i) => (batch.inputs as Uint8Array).slice(i * 768, (i + 1) * 768));
    expect(second).toEqual(third);
  });

  it('refuses transforms that end in another shape than the model takes', async () => {
    const folder = folderOf(await classFolders({ a: 2 }));
    const set = await setOf(folder, { augment: [randomCrop(12)] });
    await expect(set.batch([0], context(0, [0]))).rejects.toThrow(
      'end with pictures of [3, 12, 12], the model takes [3, 16, 16]',
    );
  });

  it('shares one cache between a set that augments and one that does not', async () => {
    const folder = folderOf(await classFolders({ a: 5 }));
    const cache = new PictureCache(1 << 20);
    const train = await setOf(folder, { augment, cache });
    await train.batch([0, 1, 2, 3, 4], context(0, [0, 1, 2, 3, 4]));
    rmSync(folder, { recursive: true });
    const test = new PictureDataset({
      samples: train.samples,
      classes: ['a'],
      preprocessing: small,
      cache,
      pool: pools.one,
    });
    expect((await test.batch([4, 2])).shape).toEqual([2, 3, 16, 16]);
  });
});

describe('DecodePool', () => {
  it('replaces a worker that dies, and blames the picture that killed it', async () => {
    const folder = folderOf(await classFolders({ a: 6, 'kill-worker': 1 }));
    const { samples } = await openPictures(folder);
    const worker = await workerFile(fileURLToPath(new URL('../../../test/dying-worker.ts', import.meta.url)));
    const pool = new DecodePool({ workers: 2, worker });
    const set = new PictureDataset({ samples, classes: ['a', 'kill-worker'], preprocessing: small, pool });
    const good = await set.batch([0, 1, 2, 3, 4, 5]);
    await expect(set.batch([0, 1, 2, 6, 3, 4, 5])).rejects.toThrow('the worker that tried it died');
    expect(pool.deaths).toBe(2);
    expect(bytesOf(await set.batch([0, 1, 2, 3, 4, 5]))).toBe(bytesOf(good));
    await pool.close();
  });

  it('replaces a worker that does not answer', async () => {
    const folder = folderOf(await classFolders({ a: 4, 'hang-worker': 1 }));
    const { samples, classes } = await openPictures(folder);
    const worker = await workerFile(fileURLToPath(new URL('../../../test/dying-worker.ts', import.meta.url)));
    const pool = new DecodePool({ workers: 1, worker, graceSeconds: 1 });
    const set = new PictureDataset({ samples, classes, preprocessing: small, pool, maxSeconds: 0.2 });
    await expect(set.batch([0, 4, 2])).rejects.toThrow('the worker that tried it died or did not answer');
    expect((await set.batch([0, 1, 2])).shape).toEqual([3, 3, 16, 16]);
    await pool.close();
  });

  it('does not keep a process alive that has nothing else to do', async () => {
    const folder = folderOf(await classFolders({ a: 2 }));
    const script = await workerFile(fileURLToPath(new URL('../../../test/one-batch.ts', import.meta.url)));
    const args = [fileURLToPath(script), folder, (await workerFile()).href];
    const printed = execFileSync(process.execPath, args, { timeout: 20_000 });
    expect(printed.toString()).toBe('2 pictures\n');
  });

  it('says so when workers do not start, and when it was closed', async () => {
    const folder = folderOf({ ...(await classFolders({ a: 1 })), 'broken.mjs': 'import "nothing-of-this-name";' });
    const pool = new DecodePool({ workers: 2, worker: new URL(`file://${join(folder, 'broken.mjs')}`) });
    const set = await setOf(folder, { pool });
    await expect(set.batch([0])).rejects.toThrow('the threads that decode pictures do not start');
    await pool.close();
    await expect(set.batch([0])).rejects.toThrow('closed');
    expect(() => new DecodePool({ workers: 0 })).toThrow('workers is a whole number from 1 up, not 0');
  });
});

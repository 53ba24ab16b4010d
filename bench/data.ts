/**
 * The input pipeline beside the decoders it stands on: `node scripts/run-ts.mjs bench/data.ts FOLDER [--seconds N] [--workers N] [--save]`. FOLDER holds pictures as
 * bench/make-pictures.mjs makes them. A decoder's own limit is what it decodes of the same files in memory, doing nothing else: sharp two for each core at a time,
 * libjpeg-turbo one in each worker. Decoders and pipeline take turns; a ratio is the median over pairs of neighbours. On a machine that does other things too,
 * pictures per second of processor time say more than those of the clock.
 */

import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { PictureDataset } from '../src/data/pictures/dataset.node.js';
import { openPictures } from '../src/data/pictures/open.node.js';
import { DecodePool } from '../src/data/pictures/pool.node.js';
import { SourceReader } from '../src/data/pictures/read.node.js';
import { randomHorizontalFlip, randomResizedCrop } from '../src/data/transforms/index.js';
import { loadJpegTurbo } from '../src/io/jpeg-turbo.node.js';
import { decodeInterleaved } from '../src/io/picture.node.js';
import { preprocessing } from '../src/models/preprocessing.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string' }, workers: { type: 'string' }, save: { type: 'boolean' } },
});
const set = await openPictures(positionals[0]);
const workers = Number(values.workers ?? availableParallelism());
const pool = new DecodePool({ workers });
const sharpPool = new DecodePool({ workers });
const turnMs = 1000;
const batchSize = 32;

const reader = new SourceReader();
const files = set.samples.slice(0, 200).map(({ source }) => reader.read(source));
const common = { samples: set.samples, classes: set.classes, cacheBytes: 0 };
const whole = preprocessing(224);
const augment = [randomResizedCrop(224), randomHorizontalFlip()];

const turns: Record<string, () => Promise<Rate>> = {
  sharp: () => decodeAll((bytes) => sharp(bytes, { sequentialRead: true }).raw().toBuffer()),
  'sharp, upright in sRGB with limits': () => decodeAll((bytes) => decodeInterleaved(bytes)),
  'sharp, its own resize to 224 × 224': () =>
    decodeAll((bytes) =>
      sharp(bytes, { sequentialRead: true }).resize(224, 224, { kernel: 'linear' }).raw().toBuffer(),
    ),
  'evaluation, sharp alone': loaded(new PictureDataset({ ...common, pool: sharpPool, preprocessing: whole })),
  'training, sharp alone': loaded(new PictureDataset({ ...common, pool: sharpPool, preprocessing: whole, augment })),
  cached: loaded(new PictureDataset({ ...common, pool, preprocessing: whole, augment, cacheBytes: 2 ** 30 })),
};
if ((await loadJpegTurbo()) === null) console.log('libjpeg-turbo is not here: what it would do is not measured');
else {
  turns['libjpeg-turbo'] = inWorkers();
  turns.evaluation = loaded(new PictureDataset({ ...common, pool, preprocessing: whole }));
  turns.training = loaded(new PictureDataset({ ...common, pool, preprocessing: whole, augment }));
}
const rounds = Math.max(3, Math.round(Number(values.seconds ?? 40) / Object.keys(turns).length));
// Workers look for libjpeg-turbo when they start.
process.env.FOVEA_TURBOJPEG = 'off';
await sharpPool.run(sharpPool.addSpec(specOf()), 'read', [itemOf(0)]);
delete process.env.FOVEA_TURBOJPEG;
const measured: Record<string, Rate[]> = {};
for (const turn of Object.values(turns)) await turn();
for (let round = 0; round < rounds; round++) {
  for (const [name, turn] of Object.entries(turns)) (measured[name] ??= []).push(await turn());
}
await Promise.all([pool.close(), sharpPool.close()]);

const decoders = ['sharp', 'libjpeg-turbo'].filter((name) => name in measured);
const lines = [
  `${cpus()[0].model.trim()}, ${availableParallelism()} cores; ${set.samples.length} pictures, ${workers} workers, ${rounds} rounds of ${turnMs} ms`,
  '',
  `| | pictures/s | ${decoders.map((name) => `of ${name}`).join(' | ')} | per processor second | ${decoders.map((name) => `of ${name}`).join(' | ')} |`,
  `| --- | ${'---: | '.repeat(2 + 2 * decoders.length)}`.trimEnd(),
];
for (const [name, rates] of Object.entries(measured)) {
  const cells = (['clock', 'processor'] as const).flatMap((kind) => [
    Math.round(median(rates.map((rate) => rate[kind]))),
    ...decoders.map(
      (decoder) => `${(100 * median(rates.map((rate, i) => rate[kind] / measured[decoder][i][kind]))).toFixed(0)} %`,
    ),
  ]);
  lines.push(`| ${[name, ...cells].join(' | ')} |`);
}
console.log(lines.join('\n'));
if (values.save)
  writeFileSync(`bench/results/${new Date().toISOString().slice(0, 10)}-data.md`, `${lines.join('\n')}\n`);

interface Rate {
  readonly clock: number;
  readonly processor: number;
}

/** Runs `work`, which says how many pictures it made, and how long that took by the clock and by the processors. */
async function timed(work: (over: () => boolean) => Promise<number>): Promise<Rate> {
  const [start, used] = [performance.now(), process.cpuUsage()];
  const count = await work(() => performance.now() - start > turnMs);
  const { user, system } = process.cpuUsage(used);
  return { clock: (1000 * count) / (performance.now() - start), processor: (1e6 * count) / (user + system) };
}

function decodeAll(decode: (bytes: Uint8Array) => Promise<unknown>): Promise<Rate> {
  sharp.concurrency(1);
  sharp.cache(false);
  return timed(async (over) => {
    let done = 0;
    const lane = async () => {
      while (!over()) await decode(files[done++ % files.length]);
    };
    await Promise.all(Array.from({ length: 2 * workers }, lane));
    return done;
  });
}

/** Files in memory, decoded by the pool's workers, which do nothing else. */
function inWorkers(): () => Promise<Rate> {
  const spec = pool.addSpec(specOf());
  const sources = files.map((bytes) => {
    const memory = new SharedArrayBuffer(bytes.length);
    new Uint8Array(memory).set(bytes);
    return { kind: 'memory' as const, memory, offset: 0, length: bytes.length };
  });
  let next = 0;
  const items = () => Array.from({ length: 8 }, () => ({ ...itemOf(0), source: sources[next++ % sources.length] }));
  return () =>
    timed(async (over) => {
      let done = 0;
      const lane = async () => {
        for (; !over(); done += 8) await pool.run(spec, 'decode', items());
      };
      await Promise.all(Array.from({ length: 2 * workers }, lane));
      return done;
    });
}

function specOf() {
  return { channels: 3, preprocessing: whole, augment: [] } as const;
}

function itemOf(index: number) {
  const { name, source } = set.samples[index];
  return { name, source, draw: null, cached: null };
}

/** Three batches under way at a time, as a loader that prepares two ahead; none is left over when the turn ends. */
function loaded(dataset: PictureDataset): () => Promise<Rate> {
  let next = 0;
  return () =>
    timed(async (over) => {
      let done = 0;
      const lane = async () => {
        while (!over()) {
          const indices = Int32Array.from({ length: batchSize }, (_, i) => (next * batchSize + i) % dataset.length);
          await dataset.batch(indices, { seed: 0, epoch: next, batch: next++, indices });
          done += batchSize;
        }
      };
      await Promise.all([lane(), lane(), lane()]);
      return done;
    });
}

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}

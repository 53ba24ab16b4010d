/**
 * How fast pictures come, stage by stage: reading, decoding, resizing, random transforms, whole batches, and batches out of the cache. Stages take turns of a
 * fraction of a second, so that whatever else the machine does hits all of them; the median of the turns counts.
 */

import type { Preprocessing } from '../../models/index.js';
import { numel } from '../../util/shape.js';
import type { PictureTransform } from '../transforms/picture.js';
import { toJson } from '../transforms/registry.js';
import { PictureDataset } from './dataset.node.js';
import type { PictureTask } from './messages.js';
import type { PictureItem } from './pipeline.node.js';
import { DecodePool } from './pool.node.js';
import type { PictureSet } from './sample.js';

export interface MeasureOptions {
  readonly preprocessing: Preprocessing;
  readonly augment?: readonly PictureTransform[];
  readonly workers?: number;
  /** For all stages together. */
  readonly seconds?: number;
  readonly batchSize?: number;
}

export type PictureStage = 'read' | 'decode' | 'resize' | 'transform' | 'batches' | 'cached';

/** Pictures per second when everything up to this stage is done; `cached` begins from memory. */
export type PictureRates = Readonly<Record<PictureStage, number>>;

/** As long as there is time for a few of each. */
const longestTurnMs = 300;
const fewestRounds = 3;
const picturesPerJob = 8;
/** More are not needed to fill a second, and the cache has room for them. */
const mostCached = 256;

/** Of a set whose pictures can be read. @throws {FormatError} @throws {ConfigError} */
export async function measurePictures(
  { samples, classes }: Pick<PictureSet, 'samples' | 'classes'>,
  { preprocessing, augment = [], workers, seconds = 10, batchSize = 32 }: MeasureOptions,
): Promise<{ rates: PictureRates; workers: number }> {
  const pool = new DecodePool({ workers });
  try {
    const base = { samples, classes, preprocessing, augment, pool };
    const fresh = new PictureDataset({ ...base, cacheBytes: 0 });
    const kept = new PictureDataset({ ...base, samples: samples.slice(0, mostCached) });
    const channels = preprocessing.mean.length === 1 ? 1 : 3;
    const spec = pool.addSpec({ channels, preprocessing, augment: toJson(augment) });
    const size = numel([channels, ...preprocessing.crop]);
    const turn = (task: PictureTask) => jobs(pool, spec, task, samples, size);
    const turns: Record<PictureStage, Turn> = {
      read: turn('read'),
      decode: turn('decode'),
      resize: turn('resize'),
      transform: turn('load'),
      batches: batches(fresh, batchSize),
      cached: batches(kept, batchSize),
    };
    const stages = Object.keys(turns) as PictureStage[];
    const measured = new Map(stages.map((stage) => [stage, [] as number[]]));
    const turnMs = Math.min(longestTurnMs, (1000 * seconds) / (stages.length * (fewestRounds + 1)));
    for (const stage of stages) await turns[stage](turnMs); // caches of all kinds fill, code is compiled
    const rounds = Math.max(fewestRounds, Math.round((1000 * seconds) / (stages.length * turnMs)) - 1);
    for (let round = 0; round < rounds; round++) {
      for (const stage of stages) measured.get(stage)!.push(await turns[stage](turnMs));
    }
    const rates = Object.fromEntries(stages.map((stage) => [stage, median(measured.get(stage)!)]));
    return { rates: rates as PictureRates, workers: pool.workers };
  } finally {
    await pool.close();
  }
}

/** Works for so long and says how many pictures a second that made. */
type Turn = (ms: number) => Promise<number>;

/** `size`: bytes of what `load` makes. */
function jobs(pool: DecodePool, spec: number, task: PictureTask, samples: PictureSet['samples'], size: number): Turn {
  let next = 0;
  const item = (): PictureItem => {
    const index = next++;
    const { name, source } = samples[index % samples.length];
    return { name, source, draw: [0, Math.floor(index / samples.length), index % samples.length], cached: null };
  };
  return async (ms) => {
    const start = performance.now();
    let done = 0;
    const run = async () => {
      const memory = new SharedArrayBuffer(picturesPerJob * size);
      const into = { memory, offsets: Array.from({ length: picturesPerJob }, (_, i) => i * size) };
      while (performance.now() - start < ms) {
        await pool.run(spec, task, Array.from({ length: picturesPerJob }, item), { into });
        done += picturesPerJob;
      }
    };
    await Promise.all(Array.from({ length: 3 * pool.workers }, run));
    return (1000 * done) / (performance.now() - start);
  };
}

/** Three under way at a time, as a loader that prepares two ahead; none is left over when the turn ends. */
function batches(dataset: PictureDataset, batchSize: number): Turn {
  let next = 0;
  return async (ms) => {
    const start = performance.now();
    let done = 0;
    const run = async () => {
      while (performance.now() - start < ms) {
        const first = next++ * batchSize;
        const indices = Int32Array.from({ length: batchSize }, (_, i) => (first + i) % dataset.length);
        await dataset.batch(indices, { seed: 0, epoch: Math.floor(first / dataset.length), batch: 0, indices });
        done += batchSize;
      }
    };
    await Promise.all([run(), run(), run()]);
    return (1000 * done) / (performance.now() - start);
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/**
 * Labelled pictures on disk: looked at first, divided by seed and class, then opened as data sets that share one pool of threads and one cache. The names of
 * each part's pictures are kept in the run, so that whoever resumes or measures it sees the same ones.
 */

import { join } from 'node:path';
import {
  auditPictures,
  DecodePool,
  defaultCacheBytes,
  openPictures,
  type PictureAudit,
  PictureCache,
  PictureDataset,
  type PictureSample,
  type PictureSet,
  type SkippedPicture,
  splitSamples,
  transforms,
} from '../../data/all.node.js';
import type { RunConfig } from '../../io/all.node.js';
import type { Preprocessing } from '../../models/index.js';
import { FormatError } from '../../util/errors.js';
import { columnsOf, type DataChoice } from './choice.js';
import { defaultShare, limited, type Parts, partsJson, readParts, someReadable, summaryOf } from './divide.js';
import type { OpenedData } from './opened.js';
import { pictureStatistics } from './statistics.js';

/** How decoding is done; decides no number. */
export interface PictureFlags {
  readonly workers?: number;
  /** Bytes of resized pictures kept in memory. */
  readonly cache?: number;
  readonly strict?: boolean;
}

export interface OpenPicturesFlags extends PictureFlags {
  readonly seed: number;
  /** Looks at every picture whole, or at headers only. */
  readonly check?: 'full' | 'headers';
  onAuditProgress?(done: number, total: number): void;
  onAudit?(audit: PictureAudit): void;
  /** A picture of a test that cannot be read, and is left out. */
  onUnreadable?(name: string, reason: string): void;
  onSkip?(skipped: SkippedPicture): void;
}

/** Statistics are taken from at most so many training pictures. */
const picturesForStatistics = 5000;

/**
 * Looks at a set and divides it. `preprocessing` without `mean` and `std` gets those of the training pictures.
 * @throws {FormatError} when no part is left to train on
 */
export async function beginPictures(
  set: PictureSet,
  choice: DataChoice,
  preprocessing: Preprocessing & { readonly fitted: boolean },
  flags: OpenPicturesFlags,
): Promise<OpenedData> {
  const pool = new DecodePool({ workers: flags.workers });
  const cache = cacheOf(flags);
  try {
    const full = flags.check === undefined ? undefined : flags.check === 'full';
    const audit = await auditPictures(set, { pool, cache, preprocessing, full, onProgress: flags.onAuditProgress });
    flags.onAudit?.(audit);
    const parts = divide(set, audit, choice, flags.seed);
    const shared = { ...flags, onSkip: once(flags.onSkip), pool, cache };
    const { mean, std } = preprocessing.fitted
      ? await pictureStatistics(opener(set, preprocessing, shared)(limited(parts, choice, flags.seed).train), {
          most: picturesForStatistics,
          batchSize: 64,
        })
      : preprocessing;
    const opened = datasets(set, parts, { ...preprocessing, mean: [...mean], std: [...std] }, choice, shared);
    return { ...opened, summary: summaryOf(set.classes, parts, audit), parts: partsJson(parts, audit.leaveOut) };
  } catch (error) {
    pool.close();
    throw error;
  }
}

/** The same pictures as before, by the names in the run's data.json. One that is gone counts as unreadable; its place is kept. */
export async function reopenPictures(
  run: string,
  choice: DataChoice,
  preprocessing: Preprocessing,
  flags: OpenPicturesFlags,
): Promise<OpenedData> {
  const set = await openPictures(choice.source, columnsOf(choice));
  const kept = await readParts(run);
  const byName = new Map(set.samples.map((sample) => [sample.name, sample]));
  const found = (names: readonly string[]): PictureSample[] => names.map((name) => byName.get(name) ?? gone(set, name));
  const parts = { train: found(kept.train), validation: found(kept.validation), test: found(kept.test) };
  const pool = new DecodePool({ workers: flags.workers });
  const opened = datasets(set, parts, preprocessing, choice, { ...flags, pool, cache: cacheOf(flags) });
  return { ...opened, summary: summaryOf(set.classes, parts), parts: null };
}

/** A set as it lies, to measure with: its test part where it has parts, else all of it. Pictures that cannot be read are named and do not count. */
export async function testPictures(
  set: PictureSet,
  preprocessing: Preprocessing,
  flags: OpenPicturesFlags & { readonly limit?: number },
): Promise<OpenedData> {
  const own = set.samples.filter(({ split }) => split === 'test');
  const pool = new DecodePool({ workers: flags.workers });
  const cache = cacheOf(flags);
  try {
    const test = await someReadable(own.length > 0 ? own : set.samples, flags.limit, flags.seed, async (samples) => {
      const { broken } = await auditPictures({ ...set, samples }, { pool, cache, preprocessing });
      for (const { name, reason } of broken) {
        if (flags.strict) throw new FormatError(`${name}: ${reason}`);
        flags.onUnreadable?.(name, reason);
      }
      return new Set(broken.map(({ name }) => name));
    });
    const parts = { train: [], validation: [], test };
    const opened = datasets(set, parts, preprocessing, { source: set.path }, { ...flags, pool, cache });
    return { ...opened, summary: summaryOf(set.classes, parts), parts: null };
  } catch (error) {
    pool.close();
    throw error;
  }
}

/** The statistics are taken from pictures that are trained with later: one that cannot be read is told of once. */
function once(onSkip: OpenPicturesFlags['onSkip']): OpenPicturesFlags['onSkip'] {
  const told = new Set<string>();
  return (skipped) => {
    if (!told.has(skipped.name)) onSkip?.(skipped);
    told.add(skipped.name);
  };
}

type PictureParts = Parts<PictureSample>;

function divide(set: PictureSet, audit: PictureAudit, choice: DataChoice, seed: number): PictureParts {
  const leaveOut = new Set(audit.leaveOut);
  const good = set.samples.filter(({ name }) => !leaveOut.has(name));
  const parts = splitSamples(good, {
    validation: choice.validation ?? defaultShare,
    test: choice.test ?? (good.some(({ split }) => split !== undefined) ? 0 : defaultShare),
    seed,
    duplicates: audit.duplicates.map(({ names }) => names),
  });
  if (parts.train.length === 0) {
    const [first] = audit.broken;
    throw new FormatError(
      `${set.path}: no picture that can be read is left to train on${first === undefined ? '' : `. The first: ${first.reason}`}`,
    );
  }
  return parts;
}

interface Shared extends Omit<OpenPicturesFlags, 'cache'> {
  readonly pool: DecodePool;
  readonly cache: PictureCache | null;
}

/** Makes data sets that share the pool and the cache. */
function opener(set: PictureSet, preprocessing: Preprocessing, { pool, cache, strict, onSkip }: Shared) {
  return (samples: readonly PictureSample[], augment: transforms.PictureTransform[] = []) =>
    new PictureDataset({
      samples,
      classes: set.classes,
      preprocessing,
      augment,
      pool,
      strict,
      onSkip,
      ...(cache === null ? { cacheBytes: 0 } : { cache }),
    });
}

function datasets(
  set: PictureSet,
  parts: PictureParts,
  preprocessing: Preprocessing,
  choice: DataChoice,
  shared: Shared,
) {
  const cut = limited(parts, choice, shared.seed);
  const open = opener(set, preprocessing, shared);
  const [height, width] = preprocessing.crop;
  const { mean, std, resize, interpolation } = preprocessing;
  const input: RunConfig['input'] = {
    shape: [mean.length, height, width],
    mean: [...mean],
    std: [...std],
    resize: typeof resize === 'number' ? resize : [...resize],
    interpolation,
  };
  return {
    train: open(cut.train, transforms.fromJson(choice.transforms ?? [])),
    validation: cut.validation.length === 0 ? null : open(cut.validation),
    test: cut.test.length === 0 ? null : open(cut.test),
    input,
    close: async () => shared.pool.close(),
  };
}

function cacheOf({ cache = defaultCacheBytes() }: PictureFlags): PictureCache | null {
  return cache === 0 ? null : new PictureCache(cache);
}

/** A picture that was there when the run began. Its class is told from its name, where a folder of that is called so. */
function gone(set: PictureSet, name: string): PictureSample {
  const folders = name.split('/');
  const label = set.classes.findIndex((known) => folders.includes(known));
  return { name, label: Math.max(0, label), source: { kind: 'file', path: join(set.path, name) } };
}

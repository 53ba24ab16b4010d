/**
 * Clips and volumes on disk: looked at once, divided by seed and class, and opened as data sets [C, D, H, W]. As with pictures, the names of each part's
 * samples are kept in the run.
 */

import {
  type ClipAugment,
  ClipDataset,
  type ClipSample,
  type ClipSet,
  type Dataset,
  openClips,
} from '../../data/all.node.js';
import { FileError } from '../../io/all.node.js';
import type { Normalization } from '../../train/index.js';
import { counted } from '../../util/counts.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { UsageError } from '../usage.js';
import type { DataChoice } from './choice.js';
import { divide, limited, type Parts, partsJson, readParts, someReadable, summaryOf } from './divide.js';
import { isGrey } from './grey.js';
import type { OpenedData } from './opened.js';
import { fittedStatistics } from './statistics.js';

/** [C, D, H, W]. */
export type ClipShape = readonly [channels: 1 | 3, frames: number, height: number, width: number];

export interface ClipFlags {
  /** Bytes of frames kept in memory. */
  readonly cache?: number;
}

export interface LookFlags extends ClipFlags {
  /** A sample that cannot be read is an error; else it is left out. */
  readonly strict?: boolean;
  onProgress?(done: number, total: number): void;
  onLeftOut?(name: string, reason: string): void;
}

export interface BeginClips extends LookFlags {
  readonly seed: number;
  readonly shape: ClipShape;
  /** Left out, the statistics of the training part. */
  readonly normalize: Normalization | null;
  /** `headers`: samples are not looked at beforehand. */
  readonly check?: 'full' | 'headers';
}

type ClipParts = Parts<ClipSample>;

export async function beginClips(set: ClipSet, choice: DataChoice, options: BeginClips): Promise<OpenedData> {
  const { seed, shape, check } = options;
  const all = [...set.train, ...set.validation, ...set.test];
  const bad = check === 'headers' ? new Set<string>() : await unreadable(all, set.classes, options);
  const good = (samples: readonly ClipSample[]) => samples.filter(({ name }) => !bad.has(name));
  const kept = { train: good(set.train), validation: good(set.validation), test: good(set.test) };
  const parts = divide(kept, choice, seed);
  if (parts.train.length === 0) throw new FormatError(`${choice.source}: no clip that can be read is left to train on`);
  const opened = datasets(set.classes, parts, choice, shape, seed, options);
  const { mean, std } = options.normalize ?? (await fittedStatistics(opened.train, choice.source));
  return {
    ...opened,
    input: { shape: [...shape], mean: [...mean], std: [...std] },
    summary: {
      ...summaryOf(set.classes, parts),
      notes: bad.size === 0 ? [] : [`${counted(bad.size, 'clip')} could not be read, and left out.`],
    },
    parts: partsJson(parts, bad),
  };
}

/** The same clips as before, by the names in the run's data.json. @throws {UsageError} where one is gone */
export async function reopenClips(
  run: string,
  choice: DataChoice,
  input: OpenedData['input'],
  flags: ClipFlags & { readonly seed: number },
): Promise<OpenedData> {
  const set = await openClips(choice.source);
  const kept = await readParts(run);
  const byName = new Map([...set.train, ...set.validation, ...set.test].map((sample) => [sample.name, sample]));
  const gone = [...kept.train, ...kept.validation, ...kept.test].filter((name) => !byName.has(name));
  if (gone.length > 0) {
    throw new UsageError(
      `${choice.source}: of the clips that the run was begun with ${gone.length} ${gone.length === 1 ? 'is' : 'are'} gone, such as ${gone[0]}`,
    );
  }
  const found = (names: readonly string[]) => names.map((name) => byName.get(name)!);
  const parts = { train: found(kept.train), validation: found(kept.validation), test: found(kept.test) };
  const opened = datasets(set.classes, parts, choice, shapeOf(input.shape), flags.seed, flags);
  return { ...opened, input, summary: summaryOf(set.classes, parts), parts: null };
}

/** Clips to measure with: the test part where the folder has parts, else all. Those that cannot be read are named and do not count. */
export async function testClips(
  choice: DataChoice,
  input: OpenedData['input'],
  flags: LookFlags & { readonly seed: number },
): Promise<OpenedData> {
  const set = await openClips(choice.source);
  const all = set.test.length > 0 ? set.test : [...set.train, ...set.validation];
  const look = { ...flags, shape: shapeOf(input.shape) };
  const badOf = (samples: readonly ClipSample[]) => unreadable(samples, set.classes, look);
  const test = await someReadable(all, choice.testLimit, flags.seed, badOf);
  const parts = { train: [], validation: [], test };
  const opened = datasets(set.classes, parts, { source: choice.source }, shapeOf(input.shape), flags.seed, flags);
  return { ...opened, input, summary: summaryOf(set.classes, parts), parts: null };
}

/** One channel where every frame of some samples is grey, else three. */
export async function clipChannels({ train, classes }: ClipSet): Promise<1 | 3> {
  const asked = 8;
  const some = Array.from({ length: asked }, (_, i) => train[Math.floor((i * train.length) / asked)]);
  const samples = [...new Set(some)].filter((sample) => sample !== undefined);
  const dataset = new ClipDataset({ samples, classes, frames: 1, size: [32, 32], channels: 3 });
  for (let i = 0; i < samples.length; i++) {
    const { inputs } = await dataset.batch([i]).catch(() => ({ inputs: new Uint8Array() })); // a broken one tells nothing
    if (!isGrey(inputs)) return 3;
  }
  return 1;
}

function datasets(
  classes: readonly string[],
  parts: ClipParts,
  choice: DataChoice,
  shape: ClipShape,
  seed: number,
  { cache }: ClipFlags,
) {
  const cut = limited(parts, choice, seed);
  const open = (samples: readonly ClipSample[], augment: ClipAugment | null): Dataset =>
    clipDataset(samples, classes, shape, { augment, cacheBytes: cache });
  return {
    train: open(cut.train, choice.augment ?? null),
    validation: cut.validation.length === 0 ? null : open(cut.validation, null),
    test: cut.test.length === 0 ? null : open(cut.test, null),
    close: async () => {},
  };
}

function clipDataset(
  samples: readonly ClipSample[],
  classes: readonly string[],
  [channels, frames, height, width]: ClipShape,
  options: { augment: ClipAugment | null; cacheBytes?: number },
): ClipDataset {
  return new ClipDataset({ samples, classes, channels, frames, size: [height, width], ...options });
}

/** The names of samples that cannot be read, each looked at as the model will see it. */
async function unreadable(
  samples: readonly ClipSample[],
  classes: readonly string[],
  { shape, strict, onProgress, onLeftOut }: LookFlags & { readonly shape: ClipShape },
): Promise<Set<string>> {
  const dataset = clipDataset(samples, classes, shape, { augment: null, cacheBytes: 0 });
  const bad = new Set<string>();
  for (const [i, { name }] of samples.entries()) {
    try {
      await dataset.batch([i]);
    } catch (error) {
      if (strict || !isUnreadable(error)) throw error;
      bad.add(name);
      onLeftOut?.(name, error.message);
    }
    onProgress?.(i + 1, samples.length);
  }
  return bad;
}

/** Damaged, gone, or an array that is no volume. */
function isUnreadable(error: unknown): error is Error {
  return error instanceof FormatError || error instanceof FileError || error instanceof ConfigError;
}

function shapeOf(shape: readonly number[]): ClipShape {
  const [channels, frames, height, width] = shape;
  return [channels === 1 ? 1 : 3, frames, height, width];
}

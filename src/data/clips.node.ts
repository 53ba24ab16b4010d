/**
 * Clips and volumes on disk for 3-D networks: a folder for each class, in it one folder of numbered frames (pictures) or one `.npy` volume for each sample;
 * the same below `train/`, `val/` and `test/`. A sample comes out as bytes [C, D, H, W]. Film files are not read: ffmpeg makes frames of them.
 */

import { decodeImage } from '../io/all.node.js';
import { isPictureName } from '../io/picture-format.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { readNpy } from './arrays.node.js';
import {
  type ClipAugment,
  type ClipAugmentation,
  cropBox,
  defaultClipAugment,
  drawAugmentation,
  evenFrames,
  flipRows,
  type Volume,
  type VolumeOptions,
  volumeOf,
  withChannels,
} from './clips.js';
import type { Batch, Dataset, TransformContext } from './dataset.js';
import { type FoundFile, filesBelow } from './pictures/folder.node.js';
import { byCodePoint, clip, LeftOutList, splitNamed } from './pictures/sample.js';
import { Random } from './random.js';
import { type Planes, resizeBox, resizeShorterSide } from './resize.js';

export interface ClipSample {
  /** `wave/clip1`, `wave/scan.npy`. */
  readonly name: string;
  readonly label: number;
  /** Paths of the frames in order, or of one volume. */
  readonly source: { readonly frames: readonly string[] } | { readonly volume: string };
}

export interface ClipSet {
  readonly classes: readonly string[];
  readonly train: readonly ClipSample[];
  /** Empty where the folder is not divided. */
  readonly validation: readonly ClipSample[];
  readonly test: readonly ClipSample[];
}

const filmEndings = /\.(mp4|m4v|avi|mov|mkv|webm|mpe?g|wmv|flv)$/i;

/**
 * What clips there are below a folder; none is opened. @throws {FileError} for a folder that cannot be read
 * @throws {ConfigError} where there are none, with the layout that is expected
 */
export async function openClips(root: string): Promise<ClipSet> {
  const files = await filesBelow(root, new LeftOutList());
  const tops = [...new Set(files.filter(({ parts }) => parts.length > 1).map(({ parts }) => parts[0]))];
  const divided = tops.some((top) => splitNamed(top) === 'train') && tops.every((top) => splitNamed(top) !== null);
  const found = new Map<string, { part: 'train' | 'validation' | 'test'; className: string; files: FoundFile[] }>();
  for (const file of files) {
    const [part, parts] = divided
      ? [splitNamed(file.parts[0])!, file.parts.slice(1)]
      : (['train', file.parts] as const);
    const isVolume = parts.length === 2 && parts[1].toLowerCase().endsWith('.npy');
    const isFrame = parts.length === 3 && isPictureName(parts[2]);
    if (!isVolume && !isFrame) continue;
    const name = file.parts.slice(0, isVolume ? undefined : -1).join('/');
    const sample = found.get(name) ?? { part, className: parts[0], files: [] };
    sample.files.push(file);
    found.set(name, sample);
  }
  if (found.size === 0) throw nothingFound(root, files);
  const classes = [...new Set(Array.from(found.values(), ({ className }) => className))].sort(byCodePoint);
  const set = { classes, train: [] as ClipSample[], validation: [] as ClipSample[], test: [] as ClipSample[] };
  for (const [name, { part, className, files: own }] of found) {
    const isVolume = own[0].path.toLowerCase().endsWith('.npy');
    const frames = own.sort((a, b) => byNumber(a.parts.at(-1)!, b.parts.at(-1)!)).map(({ path }) => path);
    set[part].push({ name, label: classes.indexOf(className), source: isVolume ? { volume: frames[0] } : { frames } });
  }
  return set;
}

function nothingFound(root: string, files: readonly FoundFile[]): ConfigError {
  const film = files.find(({ parts }) => filmEndings.test(parts.at(-1)!));
  if (film !== undefined) {
    const name = film.parts.join('/');
    const stem = name.replace(filmEndings, '');
    return new ConfigError(
      `${root} has films, such as ${clip(name)}; fovea reads frames. Make some with ffmpeg:\n` +
        `  mkdir -p '${clip(stem)}' && ffmpeg -i '${clip(name)}' -vf fps=8,scale=-2:128 '${clip(stem)}/%04d.jpg'`,
    );
  }
  return new ConfigError(
    `${root} has no clips in it. What is expected:\n` +
      '  clips/wave/clip1/0001.jpg    a folder for each class, in it one of numbered frames for each clip,\n' +
      '  clips/wave/scan7.npy         or volumes [D, H, W], [C, D, H, W] or [D, H, W, C]\n' +
      'or the same below train/, val/ and test/.',
  );
}

/** frame2 before frame10. */
function byNumber(a: string, b: string): number {
  const pieces = (text: string) => text.split(/(\d+)/);
  const [left, right] = [pieces(a), pieces(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = i % 2 === 1 ? Number(left[i]) - Number(right[i]) : byCodePoint(left[i], right[i]);
    if (order !== 0) return order;
  }
  return left.length - right.length || byCodePoint(a, b);
}

export interface ClipDatasetOptions extends VolumeOptions {
  readonly samples: readonly ClipSample[];
  readonly classes: readonly string[];
  /** Frames of a sample: D. */
  readonly frames?: number;
  /** H and W. */
  readonly size?: readonly [height: number, width: number];
  readonly channels?: 1 | 3;
  /** Random changes in training, to batches that are asked for with a context; null for none. */
  readonly augment?: ClipAugment | null;
  /** How much memory decoded frames may take. */
  readonly cacheBytes?: number;
}

/** Larger than the size wanted, so that a random part of it has something to choose from. */
const workingShare = 1.25;

export class ClipDataset implements Dataset {
  readonly length: number;
  readonly labels: Int32Array;
  readonly classes: readonly string[];
  readonly shape: readonly [channels: number, depth: number, height: number, width: number];
  readonly samples: readonly ClipSample[];
  readonly #options: ClipDatasetOptions;
  readonly #cache = new Map<string, Planes>();
  #cachedBytes = 0;

  /** @throws {ConfigError} */
  constructor(options: ClipDatasetOptions) {
    const { samples, classes, frames = 16, size = [112, 112], channels = 3 } = options;
    for (const [name, value] of Object.entries({ frames, height: size[0], width: size[1] })) {
      if (!(Number.isInteger(value) && value >= 1))
        throw new ConfigError(`ClipDataset: ${name} is a whole number from 1 up, not ${value}`);
    }
    this.#options = options;
    this.samples = samples;
    this.classes = classes;
    this.length = samples.length;
    this.labels = Int32Array.from(samples, ({ label }) => label);
    this.shape = [channels, frames, ...size];
  }

  /** @throws {FileError} @throws {FormatError} naming the sample that cannot be read */
  async batch(indices: ArrayLike<number>, context?: TransformContext): Promise<Batch> {
    const size = this.shape.reduce((a, b) => a * b);
    const inputs = new Uint8Array(indices.length * size);
    const labels = new Int32Array(indices.length);
    for (let k = 0; k < indices.length; k++) {
      const index = indices[k];
      const sample = this.samples[index];
      if (sample === undefined)
        throw new ConfigError(`ClipDataset: there is no sample ${index}: it has ${this.length}`);
      const random = context === undefined ? null : new Random(context.seed, context.epoch, index);
      await this.#fill(inputs.subarray(k * size, (k + 1) * size), sample, random);
      labels[k] = sample.label;
    }
    return { inputs, labels, shape: [indices.length, ...this.shape] };
  }

  async #fill(out: Uint8Array, sample: ClipSample, random: Random | null): Promise<void> {
    const [channels, depth, height, width] = this.shape;
    const { augment = defaultClipAugment } = this.#options;
    const source = await this.#open(sample);
    const drawn: Partial<ClipAugmentation> =
      random === null || augment === null
        ? {}
        : drawAugmentation(source.count, { ...defaultClipAugment, ...augment }, random);
    const chosen = evenFrames(source.count, depth, drawn);
    const frames = await Promise.all([...new Set(chosen)].map(async (i) => [i, await source.frame(i)] as const));
    const byIndex = new Map(frames);
    const plane = height * width;
    for (const [d, i] of chosen.entries()) {
      const frame = byIndex.get(i)!;
      const { data } = resizeBox(frame, cropBox(frame.shape, [height, width], drawn), height, width);
      for (let c = 0; c < channels; c++) out.set(data.subarray(c * plane, (c + 1) * plane), (c * depth + d) * plane);
    }
    if (drawn.flip) flipRows(out, width);
  }

  async #open({ name, source }: ClipSample): Promise<{ count: number; frame(i: number): Promise<Planes> }> {
    const { channels = 3 } = this.#options;
    if ('frames' in source) {
      const { frames } = source;
      const read = (path: string) => named(name, () => decodeImage(path, { channels }));
      return { count: frames.length, frame: (i) => this.#cached(frames[i], () => read(frames[i])) };
    }
    let volume: Volume | null = null;
    const load = () => (volume ??= volumeOf(readNpy(source.volume), this.#options, name));
    const { depth } = await named(name, async () => load());
    return {
      count: depth,
      frame: (i) => this.#cached(`${source.volume}#${i}`, async () => withChannels(load().frame(i), channels as 1 | 3)),
    };
  }

  /** Frames at working size; kept until the room is used up, so that what comes out never depends on what is kept. */
  async #cached(key: string, read: () => Promise<Planes>): Promise<Planes> {
    const kept = this.#cache.get(key);
    if (kept !== undefined) return kept;
    const { cacheBytes = 256 << 20 } = this.#options;
    const [, , height, width] = this.shape;
    const whole = await read();
    const side = Math.ceil(workingShare * Math.max(height, width));
    const frame = Math.min(whole.shape[1], whole.shape[2]) > side ? resizeShorterSide(whole, side) : whole;
    if (this.#cachedBytes + frame.data.length <= cacheBytes && !this.#cache.has(key)) {
      this.#cache.set(key, frame);
      this.#cachedBytes += frame.data.length;
    }
    return frame;
  }
}

async function named<T>(sample: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(`${clip(sample)}: ${error.message}`);
    if (error instanceof ConfigError) throw new ConfigError(`${clip(sample)}: ${error.message}`);
    throw error;
  }
}

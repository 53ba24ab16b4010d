/**
 * One picture from its source to the bytes a model takes: read, decode, resize to the working size, then either cut out the middle (as prediction does) or
 * apply random transforms. What worker threads run; it knows nothing of threads itself.
 *
 * The working size is the size before the crop: the shorter side at `preprocessing.resize`, exactly as prediction resizes. It is what the cache keeps, so
 * that both ways, and every later epoch, begin from the same bytes.
 */

import { createHash } from 'node:crypto';
import type { DirectDecoder } from '../../io/direct-decoder.node.js';
import { type DecodeLimits, decodeInterleaved, readPictureHeader } from '../../io/picture.node.js';
import type { Preprocessing } from '../../models/index.js';
import { ConfigError } from '../../util/errors.js';
import { numel } from '../../util/shape.js';
import { preprocess } from '../preprocess.js';
import { Random } from '../random.js';
import { centerCrop, type Interleaved, type Planes, resizedSize, resizeInterleaved } from '../resize.js';
import { type PictureTransform, pipeline } from '../transforms/picture.js';
import { fromJson, type TransformJson } from '../transforms/registry.js';
import { lookOf, type PictureLook } from './look.js';
import { SourceReader } from './read.node.js';
import type { PictureSource } from './sample.js';

/** What a set's pictures go through; the same for all of them. */
export interface PictureSpec extends DecodeLimits {
  readonly channels: 1 | 3;
  readonly preprocessing: Preprocessing;
  readonly augment: readonly TransformJson[];
}

/** Resized pictures of a longer side than so many shorter ones are cut to their middle before they are kept: a thread of pixels would fill the cache. */
const mostElongated = 16;

/** Planes [C, height, width] that lie in memory shared by all workers. */
export interface CachedPlace {
  readonly slab: number;
  readonly offset: number;
  readonly height: number;
  readonly width: number;
}

export interface PictureItem {
  readonly name: string;
  readonly source: PictureSource;
  /** What random transforms draw from: seed, epoch, picture. Null: as prediction sees it. */
  readonly draw: readonly [seed: number, epoch: number, index: number] | null;
  readonly cached: CachedPlace | null;
}

/** What a full look at a picture found. */
export interface PictureFacts extends PictureLook {
  readonly bytes: number;
  /** SHA-256 of the file's bytes, the first 32 digits; empty where only the header was read. */
  readonly hash: string;
  readonly format: string;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly frames: number;
}

/** Keeps resized pictures; null where there is no room. */
export type Keep = (planes: Planes) => CachedPlace | null;

export class PicturePipeline implements Disposable {
  readonly #reader: SourceReader;
  readonly #augment: readonly PictureTransform[];

  /** Of what `load` makes. */
  readonly bytes: number;

  /** `direct` decodes what it can; sharp all else. @throws {ConfigError} for transforms that nobody knows */
  constructor(
    readonly spec: PictureSpec,
    private readonly direct: DirectDecoder = () => null,
  ) {
    this.#reader = new SourceReader(spec.maxBytes);
    this.#augment = fromJson(spec.augment);
    this.bytes = numel([spec.channels, ...spec.preprocessing.crop]);
  }

  /** @throws {FileError} @throws {FormatError} */
  read({ source }: PictureItem): Uint8Array {
    return this.#reader.read(source);
  }

  /** Now or later. What comes now lies in memory that the next picture will lie in: use it before anything else happens in this thread. */
  decode(bytes: Uint8Array, name: string): Interleaved | Promise<Interleaved> {
    return this.direct(bytes, this.spec) ?? decodeInterleaved(bytes, { ...this.spec, name });
  }

  /** At the working size, [C, h, w]. */
  resize(picture: Interleaved): Planes {
    const { preprocessing, channels } = this.spec;
    const [height, width] = resizedSize(picture.height, picture.width, preprocessing.resize);
    const longest = mostElongated * Math.min(height, width);
    const [h, w] = [Math.min(height, longest), Math.min(width, longest)];
    const window = { top: (height - h) >> 1, left: (width - w) >> 1, height: h, width: w };
    return withChannels(resizeInterleaved(picture, null, height, width, preprocessing.interpolation, window), channels);
  }

  /**
   * Writes the bytes a model takes, [C, crop height, crop width], to `target`; returns where `keep` put what can be used again.
   * @throws {FileError} @throws {FormatError} for a picture that cannot be read @throws {ConfigError} for transforms that end in another shape
   */
  async load(item: PictureItem, target: Uint8Array, cached: Planes | null, keep: Keep): Promise<CachedPlace | null> {
    const { preprocessing } = this.spec;
    const { draw } = item;
    const exact = draw === null || this.#augment.length === 0;
    if (cached !== null) {
      target.set(exact ? centerCrop(cached, ...preprocessing.crop).data : this.transform(cached, draw));
      return null;
    }
    const decoded = this.decode(this.read(item), item.name);
    const picture = decoded instanceof Promise ? await decoded : decoded;
    if (exact) {
      const planes = preprocess(picture, preprocessing, target);
      // Where random transforms will follow another time, the working size is worth more than this.
      return this.#augment.length === 0 ? keep(planes) : null;
    }
    const working = this.resize(picture);
    const place = keep(working);
    target.set(this.transform(working, draw));
    return place;
  }

  /** @throws {ConfigError} for a shape that is not the model's */
  transform(working: Planes, [seed, epoch, index]: NonNullable<PictureItem['draw']>): Uint8Array {
    const { channels, preprocessing } = this.spec;
    const picture = pipeline(this.#augment).apply(working, new Random(seed, epoch, index));
    const [c, h, w] = picture.shape;
    const [height, width] = preprocessing.crop;
    if (c !== channels || h !== height || w !== width) {
      const names = this.#augment.map(({ name }) => name).join(', ');
      throw new ConfigError(
        `the transforms ${names} end with pictures of [${c}, ${h}, ${w}], the model takes [${channels}, ${height}, ${width}]; ` +
          `end them with randomResizedCrop, randomCrop or centerCrop of [${height}, ${width}]`,
      );
    }
    return picture.data;
  }

  /** A full look for the report on a data set; the working size is kept on the way. */
  async audit(
    item: PictureItem,
    full: boolean,
    keep: Keep,
  ): Promise<{ facts: PictureFacts; place: CachedPlace | null }> {
    const bytes = this.read(item);
    const header = await readPictureHeader(bytes, { ...this.spec, name: item.name });
    const about = { ...header, bytes: bytes.length };
    if (!full) return { facts: { ...about, hash: '', grey: header.channels < 3, fingerprint: '' }, place: null };
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
    const decoded = this.decode(bytes, item.name);
    const working = this.resize(decoded instanceof Promise ? await decoded : decoded);
    return { facts: { ...about, hash, ...lookOf(working) }, place: keep(working) };
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }
}

/** Whether the middle of kept planes is the middle of the whole picture. */
export function isWhole({ height, width }: CachedPlace): boolean {
  return Math.max(height, width) < mostElongated * Math.min(height, width);
}

function withChannels(picture: Planes, wanted: number): Planes {
  const [channels, height, width] = picture.shape;
  if (channels === wanted) return picture;
  const data = new Uint8Array(wanted * height * width);
  for (let c = 0; c < wanted; c++) data.set(picture.data.subarray(0, height * width), c * height * width);
  return { data, shape: [wanted, height, width] };
}

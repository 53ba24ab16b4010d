/**
 * Pictures in Node, through `sharp` (an optional dependency): files or bytes in, bytes of pixels out, and back to PNG.
 * A picture is untrusted: its first bytes say whether it is a raster format at all, and its header, before one pixel is decoded, how large it is.
 * What comes out is upright (EXIF), sRGB (embedded profiles and CMYK converted), eight bits deep, the first frame of several.
 */

import { closeSync, readSync } from 'node:fs';
import { ConfigError, FormatError } from '../util/errors.js';
import { fileError } from './file-error.node.js';
import { isHevc, type PictureFormat, pictureFormat } from './picture-format.js';
import { openRegular } from './regular-file.node.js';

export interface DecodeLimits {
  /** A picture with more pixels is refused unread. */
  maxPixels?: number;
  /** A larger file is refused unread. */
  maxBytes?: number;
  /** Decoding that takes longer is given up; whole seconds, rounded up. */
  maxSeconds?: number;
}

export interface DecodeOptions extends DecodeLimits {
  /** 1 grey, 3 RGB, 4 RGBA. Fewer channels than the file has: colours become luminance, transparency is laid on black. */
  channels?: 1 | 3 | 4;
  /** Output size; both or neither. Without them the picture keeps its own. */
  height?: number;
  width?: number;
  /** How a picture of another aspect ratio meets the size: cut to the middle, stretched, or set in black bars. */
  fit?: 'cover' | 'fill' | 'contain';
  /** What errors call it; left out, its path or its size in bytes. */
  name?: string;
}

export interface Picture {
  /** [C, H, W] bytes. */
  readonly data: Uint8Array;
  readonly shape: readonly [channels: number, height: number, width: number];
}

/** A picture as decoders write it: bytes [H, W, C]. */
export interface InterleavedPicture {
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** What the header says. */
export interface PictureHeader {
  readonly format: string;
  /** As it is shown: EXIF orientation applied. */
  readonly height: number;
  readonly width: number;
  /** Of the file: 1 grey … 4 RGBA or CMYK. */
  readonly channels: number;
  /** Of an animation. */
  readonly frames: number;
}

const defaultLimits = { maxPixels: 100_000_000, maxBytes: 1 << 28, maxSeconds: 60 } as const;

/**
 * One picture as bytes [C, H, W].
 * @throws {FormatError} for what is not a picture, is cut short or too large. @throws {FileError} if the file cannot be read.
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<Picture> {
  const { channels = 3 } = options;
  const decoded = await decodeInterleaved(source, options);
  return { data: toPlanes(decoded, channels), shape: [channels, decoded.height, decoded.width] };
}

/**
 * As `decodeImage`, but [H, W, C] as the decoder made it, without the work of taking the channels apart. A grey file may come with one channel
 * where three were asked for: `channels` of the result counts.
 */
export async function decodeInterleaved(
  source: string | Uint8Array,
  options: DecodeOptions = {},
): Promise<InterleavedPicture> {
  const { channels = 3, height, width, fit = 'cover' } = options;
  const { maxPixels, maxBytes, maxSeconds } = { ...defaultLimits, ...defined(options) };
  checkSize(height, width);
  const sharp = await loadSharp();
  const name = options.name ?? nameOf(source);
  const bytes = typeof source === 'string' ? readPicture(source, maxBytes) : source;
  checkKind(sharp, bytes, name, maxBytes);
  try {
    // One pipeline reads header and pixels. Rows come in order, so that what follows works on them while they are in the cache.
    let pixels = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error', pages: 1, sequentialRead: true })
      .autoOrient()
      .toColourspace(channels === 1 ? 'b-w' : 'srgb');
    pixels = channels === 4 ? pixels.ensureAlpha() : pixels.flatten({ background: '#000' });
    if (width !== undefined) pixels = pixels.resize({ width, height, fit, kernel: 'linear', background: '#000' });
    const { data, info } = await pixels
      .timeout({ seconds: Math.max(1, Math.ceil(maxSeconds)) })
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const own = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return { data: own, height: info.height, width: info.width, channels: info.channels };
  } catch (error) {
    throw await undecodable(sharp, bytes, name, maxPixels, error as Error);
  }
}

/** The header alone: kind and size, no pixel decoded. @throws {FormatError} for what is not a picture @throws {FileError} */
export async function readPictureHeader(
  source: string | Uint8Array,
  options: DecodeLimits & { name?: string } = {},
): Promise<PictureHeader> {
  const { maxPixels, maxBytes } = { ...defaultLimits, ...defined(options) };
  const sharp = await loadSharp();
  const name = options.name ?? nameOf(source);
  const bytes = typeof source === 'string' ? readPicture(source, maxBytes) : source;
  checkKind(sharp, bytes, name, maxBytes);
  try {
    const {
      format,
      width,
      height,
      channels,
      orientation = 1,
      pages = 1,
      compression,
    } = await sharp(bytes, {
      limitInputPixels: maxPixels,
      failOn: 'error',
      pages: 1,
    }).metadata();
    const turned = orientation >= 5;
    return {
      format: format === 'heif' && compression === 'av1' ? 'avif' : format,
      height: turned ? width : height,
      width: turned ? height : width,
      channels,
      frames: pages,
    };
  } catch (error) {
    throw await undecodable(sharp, bytes, name, maxPixels, error as Error);
  }
}

/** [H, W, from channels] → [channels, H, W]; where the file has fewer, its last one is repeated. */
export function toPlanes({ data, height, width, channels: from }: InterleavedPicture, channels: number): Uint8Array {
  const plane = width * height;
  if (from === 1 && channels === 1) return data;
  const out = new Uint8Array(channels * plane);
  if (from === 3 && channels === 3) {
    // By far the most frequent: one walk over the input.
    for (let i = 0, at = 0; i < plane; i++, at += 3) {
      out[i] = data[at];
      out[plane + i] = data[at + 1];
      out[2 * plane + i] = data[at + 2];
    }
    return out;
  }
  for (let c = 0; c < channels; c++) {
    const first = Math.min(c, from - 1);
    for (let i = 0; i < plane; i++) out[c * plane + i] = data[i * from + first];
  }
  return out;
}

/** A PNG file's bytes from planes [C, H, W] of 1 (grey), 3 (RGB) or 4 (RGBA) channels. */
export async function encodePng({ data, shape: [channels, height, width] }: Picture): Promise<Uint8Array> {
  if (![1, 3, 4].includes(channels) || data.length !== channels * height * width) {
    throw new ConfigError(
      `encodePng: shape [${channels}, ${height}, ${width}] with ${data.length} bytes; C is 1, 3 or 4 and there are C·H·W bytes`,
    );
  }
  const sharp = await loadSharp();
  const plane = height * width;
  const interleaved = new Uint8Array(data.length);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < plane; i++) interleaved[i * channels + c] = data[c * plane + i];
  }
  const raw = { width, height, channels: channels as 1 | 3 | 4 };
  const image = sharp(interleaved, { raw });
  return new Uint8Array(await (channels === 1 ? image.toColourspace('b-w') : image).png().toBuffer());
}

type Sharp = typeof import('sharp').default;

let loaded: Sharp | null = null;

/** The decoder. @throws {ConfigError} that says how to install it */
export async function loadSharp(): Promise<Sharp> {
  if (loaded !== null) return loaded; // finding a module anew takes a twentieth of the time of decoding a picture
  try {
    loaded = (await import('sharp')).default;
    return loaded;
  } catch (error) {
    throw new ConfigError(
      `Pictures are decoded by the package 'sharp', which could not be loaded. Install it with: npm install sharp\n  ${(error as Error).message.split('\n')[0]}`,
      { cause: error },
    );
  }
}

/**
 * The bytes of a file that may be anything: pipes and devices are refused rather than waited for, and so is what is larger than `maxBytes`.
 * @throws {FileError} @throws {FormatError} for a file that is too large
 */
export function readPicture(path: string, maxBytes: number = defaultLimits.maxBytes): Uint8Array {
  const { descriptor, sizeBytes } = openRegular(path);
  try {
    if (sizeBytes > maxBytes) throw new FormatError(`${path}: ${sizeBytes} bytes, the limit is ${maxBytes}`);
    const bytes = Buffer.allocUnsafeSlow(sizeBytes);
    let at = 0;
    for (let count = -1; count !== 0 && at < bytes.length; at += count) {
      count = readSync(descriptor, bytes, at, bytes.length - at, at);
    }
    return new Uint8Array(bytes.buffer, 0, at); // shorter where the file was cut while it was read: its decoder will say so
  } catch (error) {
    throw fileError('read', path, error);
  } finally {
    closeSync(descriptor);
  }
}

function checkKind({ format: known }: Sharp, bytes: Uint8Array, name: string, maxBytes: number): void {
  if (bytes.length === 0) throw new FormatError(`${name} is empty`, 0);
  if (bytes.length > maxBytes) throw new FormatError(`${name}: ${bytes.length} bytes, the limit is ${maxBytes}`);
  const kind = pictureFormat(bytes);
  // Said before the header is read: that is understood, and only the pixels are not.
  if (kind === 'heif' && isHevc(bytes) && !known.heif?.input.fileSuffix?.includes('.heic')) throw notRead(name, 'HEIC');
  if (kind !== null) return;
  throw new FormatError(
    `${name} cannot be decoded: it does not begin like a JPEG, PNG, WebP, GIF, TIFF or AVIF file; fovea reads pictures of pixels`,
    0,
  );
}

/** Why it failed, with the size where that was the reason. */
async function undecodable(sharp: Sharp, bytes: Uint8Array, name: string, maxPixels: number, error: Error) {
  if (/pixel limit/.test(error.message)) {
    const size = await sharp(bytes, { limitInputPixels: false, pages: 1 }).metadata().catch(() => null); // biome-ignore format: one chain
    if (size !== null) {
      return new FormatError(`${name}: ${size.width} × ${size.height} pixels, the limit is ${maxPixels}`);
    }
  }
  const kind = rare[pictureFormat(bytes)!];
  if (kind !== undefined && /unsupported image format/.test(error.message)) return notRead(name, kind);
  return new FormatError(`${name} cannot be decoded: ${error.message.split('\n').slice(0, 3).join(' ').trim()}`);
}

/** Pictures to people, which libvips may have been built without. */
const rare: Partial<Record<PictureFormat, string>> = { jp2: 'JPEG 2000', jxl: 'JPEG XL', bmp: 'BMP' };

function notRead(name: string, kind: string): FormatError {
  return new FormatError(`${name} cannot be decoded: ${kind} is not read here, convert it to JPEG or PNG`);
}

function checkSize(height: number | undefined, width: number | undefined): void {
  if ((height === undefined) !== (width === undefined)) {
    throw new ConfigError(`decodeImage: pass both height and width, or neither; got height ${height}, width ${width}`);
  }
  for (const size of [height, width]) {
    if (size !== undefined && (!Number.isInteger(size) || size < 1)) {
      throw new ConfigError(`decodeImage: height and width are positive integers, not ${size}`);
    }
  }
}

function nameOf(source: string | Uint8Array): string {
  return typeof source === 'string' ? source : `a picture of ${source.length} bytes`;
}

/** Options that were passed as undefined do not hide defaults. */
function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

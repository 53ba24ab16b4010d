/**
 * Pictures in Node, through `sharp` (an optional dependency): files or bytes in, planes of bytes out, and back to PNG.
 * A picture is untrusted: only raster formats are read, and its size is checked by its header before one pixel is decoded.
 */

import { ConfigError, FormatError } from '../util/errors.js';
import { fileError } from './file-error.node.js';

export interface DecodeOptions {
  /** 1 grey, 3 RGB, 4 RGBA. Fewer channels than the file has: colours become luminance, transparency is laid on black. */
  channels?: 1 | 3 | 4;
  /** Output size; both or neither. Without them the picture keeps its own. */
  height?: number;
  width?: number;
  /** How a picture of another aspect ratio meets the size: cut to the middle, stretched, or set in black bars. */
  fit?: 'cover' | 'fill' | 'contain';
  /** A picture with more pixels is refused unread. */
  maxPixels?: number;
}

export interface Picture {
  /** [C, H, W] bytes. */
  readonly data: Uint8Array;
  readonly shape: readonly [channels: number, height: number, width: number];
}

const formats = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif', 'avif', 'jp2', 'jxl'];

/**
 * One picture as bytes [C, H, W], upright (EXIF orientation applied), in sRGB. Of an animation, the first frame.
 * @throws {FormatError} for what is not a picture, is cut short or too large. @throws {FileError} if the file cannot be read.
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<Picture> {
  const { channels = 3, height, width, fit = 'cover', maxPixels = 100_000_000 } = options;
  if ((height === undefined) !== (width === undefined)) {
    throw new ConfigError(`decodeImage: pass both height and width, or neither; got height ${height}, width ${width}`);
  }
  for (const size of [height, width]) {
    if (size !== undefined && (!Number.isInteger(size) || size < 1)) {
      throw new ConfigError(`decodeImage: height and width are positive integers, not ${size}`);
    }
  }
  const sharp = await loadSharp();
  const name = typeof source === 'string' ? source : `a picture of ${source.length} bytes`;
  const bytes = typeof source === 'string' ? await readPicture(source) : source;
  if (bytes.length === 0) throw new FormatError(`${name} is empty`, 0);
  try {
    const input = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'error', pages: 1 });
    const { format, width: w, height: h } = await input.metadata();
    if (!formats.includes(format)) {
      throw new FormatError(`${name}: fovea reads pictures of pixels (${formats.join(', ')}), this is ${format}`);
    }
    if (w * h > maxPixels) throw new FormatError(`${name}: ${w} × ${h} pixels, the limit is ${maxPixels}`);
    let pixels = input.autoOrient().toColourspace(channels === 1 ? 'b-w' : 'srgb');
    pixels = channels === 4 ? pixels.ensureAlpha() : pixels.flatten({ background: '#000' });
    if (width !== undefined) pixels = pixels.resize({ width, height, fit, kernel: 'linear', background: '#000' });
    const { data, info } = await pixels
      .timeout({ seconds: 60 })
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { data: toPlanes(data, info, channels), shape: [channels, info.height, info.width] };
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(`${name} cannot be decoded: ${(error as Error).message}`);
  }
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

async function loadSharp(): Promise<Sharp> {
  try {
    return (await import('sharp')).default;
  } catch (error) {
    throw new ConfigError(
      `Pictures are decoded by the package 'sharp', which could not be loaded. Install it with: npm install sharp\n  ${(error as Error).message.split('\n')[0]}`,
      { cause: error },
    );
  }
}

async function readPicture(path: string): Promise<Uint8Array> {
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function toPlanes(
  data: Uint8Array,
  info: { width: number; height: number; channels: number },
  channels: number,
): Uint8Array {
  const plane = info.width * info.height;
  const out = new Uint8Array(channels * plane);
  for (let c = 0; c < channels; c++) {
    const from = Math.min(c, info.channels - 1);
    for (let i = 0; i < plane; i++) out[c * plane + i] = data[i * info.channels + from];
  }
  return out;
}

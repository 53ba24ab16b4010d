/**
 * What a page has of a picture — a file, an element, a frame of a camera — as planes of bytes, as `decodeImage` gives them in Node: upright, in sRGB,
 * laid on black where it is transparent, and grey the way libvips makes it (luminance of linear light).
 */

import type { Planes } from '../data/resize.js';
import { ConfigError, FormatError } from '../util/errors.js';

export type PictureSource =
  | Blob
  | HTMLImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | ImageBitmap
  | ImageData;

/** [channels, H, W] of any picture. @throws {FormatError} for what the browser cannot decode */
export async function planesOf(source: PictureSource, channels: 1 | 3): Promise<Planes> {
  if (typeof ImageData !== 'undefined' && source instanceof ImageData) return fromRgba(source, channels);
  if (source instanceof Blob) {
    const bitmap = await decoded(source);
    try {
      return fromRgba(pixelsOf(bitmap), channels);
    } finally {
      bitmap.close();
    }
  }
  if (typeof HTMLImageElement !== 'undefined' && source instanceof HTMLImageElement) {
    await source.decode().catch(() => {
      throw new FormatError('classify: the picture of this <img> cannot be decoded, or has not been found');
    });
  }
  return fromRgba(pixelsOf(source as Exclude<PictureSource, Blob | ImageData>), channels);
}

/** Interleaved RGBA → planes; what is transparent lies on black. */
export function fromRgba(
  { data, width, height }: Pick<ImageData, 'width' | 'height'> & { data: Uint8ClampedArray | Uint8Array },
  channels: 1 | 3,
): Planes {
  const plane = width * height;
  const out = new Uint8Array(channels * plane);
  for (let i = 0; i < plane; i++) {
    const a = data[4 * i + 3];
    let [r, g, b] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    if (a < 255) [r, g, b] = [over(r, a), over(g, a), over(b, a)];
    if (channels === 1) {
      out[i] = r === g && g === b ? r : grey(r, g, b);
      continue;
    }
    out[i] = r;
    out[plane + i] = g;
    out[2 * plane + i] = b;
  }
  return { data: out, shape: [channels, height, width] };
}

function over(value: number, alpha: number): number {
  return Math.trunc((value * alpha) / 255);
}

/** sRGB's curve, IEC 61966-2-1, for each byte; and back, as a table of bytes that is read between its entries, as libvips does it. */
const linear = Float64Array.from({ length: 256 }, (_, i) => {
  const v = i / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
});
const curved = Float64Array.from({ length: 257 }, (_, i) => {
  const y = Math.min(i, 255) / 255;
  return Math.round(255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055));
});

function grey(r: number, g: number, b: number): number {
  const y = 255 * (0.2126 * linear[r] + 0.7152 * linear[g] + 0.0722 * linear[b]);
  const below = Math.min(255, Math.trunc(y));
  return Math.round(curved[below] + (curved[below + 1] - curved[below]) * (y - below));
}

async function decoded(blob: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(blob);
  } catch {
    throw new FormatError(`classify: ${blob.type || 'the file'} is no picture that this browser can decode`);
  }
}

/** Telephones refuse canvases of more pixels; a larger picture is drawn smaller first. */
const mostPixels = 16_777_216;

function pixelsOf(source: Exclude<PictureSource, Blob | ImageData>): ImageData {
  const [w, h] = sizeOf(source);
  if (!(w > 0 && h > 0))
    throw new ConfigError(
      'classify: the picture has no pixels yet: wait for its load event, or the play event of a video',
    );
  const scale = Math.min(1, Math.sqrt(mostPixels / (w * h)));
  const [width, height] = [Math.max(1, Math.floor(w * scale)), Math.max(1, Math.floor(h * scale))];
  const canvas = canvasOf(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' }) as
    | CanvasRenderingContext2D
    | OffscreenCanvasRenderingContext2D;
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function canvasOf(width: number, height: number): HTMLCanvasElement | OffscreenCanvas {
  if (typeof OffscreenCanvas !== 'undefined') return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement('canvas'), { width, height });
}

function sizeOf(source: Exclude<PictureSource, Blob | ImageData>): [width: number, height: number] {
  if ('naturalWidth' in source) return [source.naturalWidth, source.naturalHeight];
  if ('videoWidth' in source) return [source.videoWidth, source.videoHeight];
  return [source.width, source.height];
}

/** Pictures as addresses that hold them (`data:image/…;base64,…`), as large as a page shows them. */

import { type Planes, resize } from '../data/index.js';
import { encodePng, FileError } from '../io/all.node.js';
import { ConfigError, FormatError } from '../util/errors.js';
import type { EmbeddedPicture } from './input.js';

/** Pictures of few pixels are kept exactly; others are made as large as the page shows them on a fine screen. */
const smallSide = 64;
const shownSide = 176;

/** A picture of one or three channels; a large one gets a longer side of `shownSide`. */
export async function embed(picture: Planes, side = shownSide): Promise<EmbeddedPicture> {
  const [, height, width] = picture.shape;
  if (Math.max(height, width) <= smallSide) return { uri: dataUri('png', await encodePng(picture)), small: true };
  const scale = Math.min(1, side / Math.max(height, width));
  const scaled = (n: number) => Math.max(1, Math.round(n * scale));
  const shown = resize(picture, scaled(height), scaled(width));
  const { default: sharp } = await import('sharp');
  const [channels, h, w] = shown.shape;
  const raw = { channels: channels as 1 | 3, height: h, width: w };
  const webp = await sharp(interleaved(shown), { raw }).webp({ quality: 72, effort: 0 }).toBuffer();
  return { uri: dataUri('webp', webp), small: false };
}

/** A picture that has gone or broken since, or no `sharp` to encode with: a page goes without. */
export async function tolerant<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FormatError || error instanceof ConfigError || error instanceof FileError) return null;
    throw error;
  }
}

export function dataUri(kind: string, bytes: Uint8Array): string {
  return `data:image/${kind};base64,${Buffer.from(bytes).toString('base64')}`;
}

function interleaved({ data, shape: [channels, height, width] }: Planes): Uint8Array {
  const plane = height * width;
  return Uint8Array.from({ length: data.length }, (_, i) => data[(i % channels) * plane + Math.floor(i / channels)]);
}

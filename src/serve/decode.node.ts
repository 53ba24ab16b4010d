/** One untrusted picture: decoded, and brought to what the model takes exactly as `fovea predict` does it. */

import { contain, preprocess } from '../data/preprocess.js';
import { type DirectDecoder, loadDirectDecoder } from '../io/direct-decoder.node.js';
import { decodeInterleaved, encodePng, type InterleavedPicture, toPlanes } from '../io/picture.node.js';
import type { Preprocessing } from '../models/preprocessing.js';

/** How pictures are decoded; plain data, for workers. */
export interface DecodeJob {
  readonly channels: 1 | 3;
  readonly preprocessing: Preprocessing;
  readonly fit: 'crop' | 'contain';
  readonly maxPixels: number;
  readonly maxSeconds: number;
}

/** What a worker answers. */
export interface Decoded {
  readonly id: number;
  /** [C, H, W] bytes. */
  readonly data?: Uint8Array;
  readonly error?: { readonly name: string; readonly message: string };
}

let direct: DirectDecoder = () => null;

/** @throws {FormatError} for what is no picture, is damaged or has more than `maxPixels` */
export async function decodeAndPrepare(bytes: Uint8Array, job: DecodeJob): Promise<Uint8Array> {
  const { channels, maxPixels, maxSeconds } = job;
  const now = decodeNow(bytes, job, maxPixels);
  if (now !== null) return now;
  return prepare(await decodeInterleaved(bytes, { channels, maxPixels, maxSeconds, name: 'the picture' }), job);
}

/** The same where that can be done at once, in this thread, and the picture is not larger than `mostPixels`; else null. */
export function decodeNow(bytes: Uint8Array, job: DecodeJob, mostPixels: number): Uint8Array | null {
  const picture = direct(bytes, { channels: job.channels, maxPixels: Math.min(mostPixels, job.maxPixels) });
  return picture === null ? null : prepare(picture, job);
}

function prepare(picture: InterleavedPicture, { channels, fit, preprocessing }: DecodeJob): Uint8Array {
  if (fit === 'crop') return preprocess(picture, preprocessing).data;
  const shape = [channels, picture.height, picture.width] as const;
  return contain({ data: toPlanes(picture, channels), shape }, preprocessing).data;
}

/** Loads what decoding needs. libvips is told that requests are what runs side by side, and to remember no pictures. */
export async function warmUp(job: DecodeJob): Promise<void> {
  const { default: sharp } = await import('sharp');
  sharp.concurrency(1);
  sharp.cache(false);
  direct = await loadDirectDecoder();
  await decodeAndPrepare(await encodePng({ data: new Uint8Array(64), shape: [1, 8, 8] }), { ...job, maxPixels: 64 });
}

export function describeError(error: unknown): NonNullable<Decoded['error']> {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: 'Error', message: String(error) };
}

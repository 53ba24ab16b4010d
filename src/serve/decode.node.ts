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

/** A picture for a worker: its bytes, and memory that the result fits into. The worker gives both back. */
export interface DecodeTask {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly target: Uint8Array;
}

/** What a worker answers: [C, H, W] bytes in the target, unless there is an error. */
export interface Decoded extends DecodeTask {
  readonly error?: { readonly name: string; readonly message: string };
}

let direct: DirectDecoder = () => null;

/** Bytes of a picture as the model takes it. */
export function preparedBytes({ preprocessing: { crop, mean } }: DecodeJob): number {
  return mean.length * crop[0] * crop[1];
}

/** The picture in `target`, which has `preparedBytes`. @throws {FormatError} for what is no picture, is damaged or has more than `maxPixels` */
export async function decodeAndPrepare(bytes: Uint8Array, job: DecodeJob, target: Uint8Array): Promise<Uint8Array> {
  const { channels, maxPixels, maxSeconds } = job;
  const now = decodeNow(bytes, job, target, maxPixels);
  if (now !== null) return now;
  return prepare(await decodeInterleaved(bytes, { channels, maxPixels, maxSeconds, name: 'the picture' }), job, target);
}

/** The same where that can be done at once, in this thread, and the picture is not larger than `mostPixels`; else null. */
export function decodeNow(
  bytes: Uint8Array,
  job: DecodeJob,
  target: Uint8Array,
  mostPixels: number,
): Uint8Array | null {
  const picture = direct(bytes, { channels: job.channels, maxPixels: Math.min(mostPixels, job.maxPixels) });
  return picture === null ? null : prepare(picture, job, target);
}

function prepare(
  picture: InterleavedPicture,
  { channels, fit, preprocessing }: DecodeJob,
  target: Uint8Array,
): Uint8Array {
  if (fit === 'crop') return preprocess(picture, preprocessing, target).data;
  const shape = [channels, picture.height, picture.width] as const;
  target.set(contain({ data: toPlanes(picture, channels), shape }, preprocessing).data);
  return target;
}

/** Loads what decoding needs. libvips is told that requests are what runs side by side, and to remember no pictures. */
export async function warmUp(job: DecodeJob): Promise<void> {
  const { default: sharp } = await import('sharp');
  sharp.concurrency(1);
  sharp.cache(false);
  direct = await loadDirectDecoder();
  const tiny = await encodePng({ data: new Uint8Array(64), shape: [1, 8, 8] });
  await decodeAndPrepare(tiny, { ...job, maxPixels: 64 }, new Uint8Array(preparedBytes(job)));
  // The first picture that sharp decodes, and the first that nobody can, would take 40 ms.
  const { channels, maxSeconds } = job;
  const bySharp = (bytes: Uint8Array) =>
    decodeInterleaved(bytes, { channels, maxPixels: 64, maxSeconds, name: 'the picture' });
  await bySharp(tiny);
  await bySharp(tiny.subarray(0, tiny.length >> 1)).catch(() => {});
}

export function describeError(error: unknown): NonNullable<Decoded['error']> {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: 'Error', message: String(error) };
}

/** Decoding at once, in the calling thread, for threads that have nothing else to do: what is plain enough for that. */

import { type JpegTurbo, loadJpegTurbo } from './jpeg-turbo.node.js';
import type { DecodeLimits, InterleavedPicture } from './picture.node.js';
import { decodeSmallPng } from './small-png.node.js';

/**
 * The pixels as `decodeInterleaved` would give them, or null for what is left to it. They may lie in memory that the next picture will lie in: use them before
 * anything else happens in this thread.
 */
export type DirectDecoder = (
  bytes: Uint8Array,
  options: DecodeLimits & { channels: 1 | 3 },
) => InterleavedPicture | null;

export async function loadDirectDecoder(): Promise<DirectDecoder> {
  const jpegTurbo: JpegTurbo | null = await loadJpegTurbo();
  return (bytes, options) => jpegTurbo?.decode(bytes, options) ?? decodeSmallPng(bytes, options);
}

/**
 * Small plain PNGs decoded in the calling thread, in a tenth of the time that sharp takes: for digits of 28 × 28, handing a picture from thread to thread costs
 * more than decoding it. zlib does the work; what is left are the filters of rows (PNG specification, third edition, 9). Large ones are sharp's, and so is whatever
 * is not plain and flawless.
 */

import { crc32, inflateSync } from 'node:zlib';
import type { DecodeLimits, InterleavedPicture } from './picture.node.js';
import { plainPng } from './png-header.js';

const mostPixels = 2 ** 15;

/** The pixels, [H, W, 3] or [H, W, 1] of a grey file. Null for any other file, and for colours where one channel is wanted. */
export function decodeSmallPng(
  bytes: Uint8Array,
  { channels: most, maxPixels = mostPixels, maxBytes = bytes.length }: DecodeLimits & { channels: 1 | 3 },
): InterleavedPicture | null {
  const header = bytes.length > maxBytes ? null : plainPng(bytes);
  if (header === null || header.channels > most) return null;
  const { width, height, channels } = header;
  if (width * height > Math.min(maxPixels, mostPixels) || !checksumsAreRight(bytes)) return null;
  const rows = height * (1 + width * channels); // each begins with the number of its filter
  try {
    // One byte more than the rows have shows that there is more.
    const filtered = inflateSync(joined(header.data), { maxOutputLength: rows + 1, chunkSize: Math.max(64, rows + 1) });
    if (filtered.length !== rows) return null;
    const data = unfilter(filtered, height, width * channels, channels);
    return data && { data, height, width, channels };
  } catch {
    return null;
  }
}

/** Of each chunk up to the last, which there is: `plainPng` has seen it. */
function checksumsAreRight(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = signatureBytes; ; ) {
    const end = at + 8 + view.getUint32(at);
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) return false;
    if (view.getUint32(at + 4) === IEND) return true;
    at = end + 4;
  }
}

const signatureBytes = 8;
const IEND = 0x49454e44;

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
}

/** Rows of `width` bytes, each behind the number of its filter, which foretells a byte from those left of it and above. Null for a filter that does not exist. */
function unfilter(filtered: Uint8Array, height: number, width: number, channels: number): Uint8Array | null {
  const data = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    const from = y * (1 + width) + 1;
    const to = y * width;
    const above = y === 0 ? -1 : to - width;
    switch (filtered[from - 1]) {
      case 0:
        data.set(filtered.subarray(from, from + width), to);
        break;
      case 1:
        for (let i = 0; i < width; i++)
          data[to + i] = filtered[from + i] + (i < channels ? 0 : data[to + i - channels]);
        break;
      case 2:
        for (let i = 0; i < width; i++) data[to + i] = filtered[from + i] + (above < 0 ? 0 : data[above + i]);
        break;
      case 3:
        for (let i = 0; i < width; i++) {
          const left = i < channels ? 0 : data[to + i - channels];
          data[to + i] = filtered[from + i] + ((left + (above < 0 ? 0 : data[above + i])) >> 1);
        }
        break;
      case 4:
        for (let i = 0; i < width; i++) {
          const left = i < channels ? 0 : data[to + i - channels];
          const up = above < 0 ? 0 : data[above + i];
          const corner = i < channels || above < 0 ? 0 : data[above + i - channels];
          data[to + i] = filtered[from + i] + paeth(left, up, corner);
        }
        break;
      default:
        return null;
    }
  }
  return data;
}

/** Whichever of the three is nearest to left + up − corner. */
function paeth(left: number, up: number, corner: number): number {
  const byLeft = Math.abs(up - corner);
  const byUp = Math.abs(left - corner);
  const byCorner = Math.abs(left + up - 2 * corner);
  if (byLeft <= byUp && byLeft <= byCorner) return left;
  return byUp <= byCorner ? up : corner;
}

/**
 * What a picture looks like, in a few bits: whether it has colours, and a fingerprint that stays nearly the same when it is resized, recompressed or slightly
 * changed (a difference hash: is each of 16 × 16 places brighter than its neighbour?). Source: N. Krawetz 2013, "Kind of like that".
 */

import { type Planes, resize } from '../resize.js';

export interface PictureLook {
  /** No pixel has a colour worth the name. */
  readonly grey: boolean;
  /** 256 bits in 64 hexadecimal digits; empty for pictures of one colour, which all look alike. */
  readonly fingerprint: string;
}

/** Differences a JPEG makes in grey pictures stay below. */
const colourless = 12;
/** Grey levels between neighbours that count as brighter; less is noise. */
const step = 2;
const side = 16;
/** A fingerprint with fewer set bits says nothing. */
const fewestBits = 12;

export function lookOf(picture: Planes): PictureLook {
  const { data, shape } = resize(picture, side, side + 1, 'bilinear');
  const plane = side * (side + 1);
  const luminance = (i: number) =>
    shape[0] === 1 ? data[i] : 0.299 * data[i] + 0.587 * data[plane + i] + 0.114 * data[2 * plane + i];
  let bits = 0;
  let fingerprint = '';
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x += 4) {
      let digit = 0;
      for (let k = 0; k < 4; k++) {
        const i = y * (side + 1) + x + k;
        if (luminance(i) > luminance(i + 1) + step) digit |= 8 >> k;
      }
      bits += (digit & 1) + ((digit >> 1) & 1) + ((digit >> 2) & 1) + (digit >> 3);
      fingerprint += digit.toString(16);
    }
  }
  return { grey: isGrey(picture), fingerprint: bits < fewestBits ? '' : fingerprint };
}

/** Looks at a few thousand pixels. */
function isGrey({ data, shape: [channels, height, width] }: Planes): boolean {
  if (channels < 3) return true;
  const plane = height * width;
  const stride = Math.max(1, Math.floor(plane / 4096));
  for (let i = 0; i < plane; i += stride) {
    const [r, g, b] = [data[i], data[plane + i], data[2 * plane + i]];
    if (Math.max(r, g, b) - Math.min(r, g, b) > colourless) return false;
  }
  return true;
}

/** How many of the 256 bits two fingerprints differ in. */
export function fingerprintDistance(a: string, b: string): number {
  let distance = 0;
  for (let i = 0; i < a.length; i += 8) {
    let x = Number.parseInt(a.slice(i, i + 8), 16) ^ Number.parseInt(b.slice(i, i + 8), 16);
    x -= (x >>> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
    distance += Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return distance;
}

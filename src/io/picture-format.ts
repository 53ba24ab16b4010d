/**
 * What kind of picture some bytes are, told from their first ones. Only kinds that are plain pixels are named: what draws (SVG, PDF) or runs is no
 * picture here, whatever its file is called. Sources: the formats' own specifications, as listed beside each signature.
 */

/** Kinds of pixels that a decoder is asked about. Which of them it knows is another matter: JPEG 2000, JPEG XL and HEIC often are left out. */
export type PictureFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif' | 'heif' | 'jp2' | 'jxl' | 'bmp';

interface Signature {
  readonly format: PictureFormat;
  matches(bytes: Uint8Array): boolean;
}

const signatures: readonly Signature[] = [
  { format: 'jpeg', matches: (b) => starts(b, 0xff, 0xd8, 0xff) }, // ITU-T T.81, B.1.1.3
  { format: 'png', matches: (b) => starts(b, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a) }, // W3C PNG, 5.2
  { format: 'webp', matches: (b) => ascii(b, 0, 4) === 'RIFF' && ascii(b, 8, 12) === 'WEBP' }, // RFC 9649, 2.4
  { format: 'gif', matches: (b) => ['GIF87a', 'GIF89a'].includes(ascii(b, 0, 6)) }, // GIF89a, 17
  { format: 'tiff', matches: (b) => starts(b, 0x49, 0x49, 42, 0) || starts(b, 0x4d, 0x4d, 0, 42) }, // TIFF 6.0, 2
  { format: 'tiff', matches: (b) => starts(b, 0x49, 0x49, 43, 0) || starts(b, 0x4d, 0x4d, 0, 43) }, // BigTIFF
  { format: 'avif', matches: (b) => ['avif', 'avis'].includes(brand(b)) }, // AVIF 1.1, 6.2
  { format: 'heif', matches: (b) => ['heic', 'heix', 'hevc', 'hevx', 'mif1', 'msf1'].includes(brand(b)) }, // ISO 23008-12
  {
    format: 'jp2',
    matches: (b) => starts(b, 0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20) || starts(b, 0xff, 0x4f, 0xff, 0x51),
  },
  { format: 'jxl', matches: (b) => starts(b, 0xff, 0x0a) || starts(b, 0, 0, 0, 12, 0x4a, 0x58, 0x4c, 0x20) },
  { format: 'bmp', matches: (b) => ascii(b, 0, 2) === 'BM' && b.length > 26 && b[14] >= 12 && b[14] <= 124 },
];

/** Of the file these bytes begin, or null. The first 32 are enough. */
export function pictureFormat(bytes: Uint8Array): PictureFormat | null {
  return signatures.find(({ matches }) => matches(bytes))?.format ?? null;
}

/** Whether a HEIF file holds HEVC, by the decoder's configuration among its properties (ISO 23008-12, 6.5; ISO 14496-15, 8.3.3): phones write that. */
export function isHevc(bytes: Uint8Array): boolean {
  const most = Math.min(bytes.length - 3, 1 << 16); // properties come first
  for (let at = 0; at < most; at++) if (bytes[at] === 0x68 && ascii(bytes, at, at + 4) === 'hvcC') return true;
  return false;
}

/** Names of files that pictures have: what a folder is searched for. */
export const pictureEndings = [
  'jpg',
  'jpeg',
  'jpe',
  'jfif',
  'png',
  'webp',
  'gif',
  'tif',
  'tiff',
  'avif',
  'heic',
  'heif',
];

export function isPictureName(name: string): boolean {
  const dot = name.lastIndexOf('.');
  return dot >= 0 && pictureEndings.includes(name.slice(dot + 1).toLowerCase());
}

function starts(bytes: Uint8Array, ...first: number[]): boolean {
  return first.every((byte, i) => bytes[i] === byte);
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

/** The major brand of a file in boxes (ISO 14496-12, 4.3). */
function brand(bytes: Uint8Array): string {
  return ascii(bytes, 4, 8) === 'ftyp' ? ascii(bytes, 8, 12) : '';
}

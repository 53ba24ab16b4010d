/**
 * What the chunks of a PNG say (PNG specification, third edition, 5): whether it is plain, that is, eight bits of grey or of red, green and blue, row by row, and
 * nothing that changes what they mean: no palette, transparency, colour profile, animation or EXIF data.
 */

export interface PlainPng {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** The compressed rows, in pieces. */
  readonly data: readonly Uint8Array[];
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Chunks that say nothing about the values of pixels, or nothing that decoders heed. */
const harmless = ['IHDR', 'IDAT', 'IEND', 'pHYs', 'tEXt', 'zTXt', 'iTXt', 'tIME', 'sRGB', 'gAMA', 'cHRM', 'bKGD'];

/** Null for everything else, broken files among it: what they are is for a decoder to say. */
export function plainPng(bytes: Uint8Array): PlainPng | null {
  if (bytes.length < 8 || signature.some((byte, i) => bytes[i] !== byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: Omit<PlainPng, 'data'> | null = null;
  const data: Uint8Array[] = [];
  for (let at = 8; ; ) {
    if (at + 12 > bytes.length) return null;
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (!harmless.includes(kind) || at + 12 + length > bytes.length) return null;
    const body = bytes.subarray(at + 8, at + 8 + length);
    if ((kind === 'IHDR') !== (header === null)) return null; // the first, and only the first
    if (kind === 'IHDR') {
      header = readHeader(body);
      if (header === null) return null;
    }
    if (kind === 'IDAT') data.push(body);
    at += 12 + length;
    if (kind === 'IEND') break;
  }
  return header === null || data.length === 0 ? null : { ...header, data };
}

const colourTypes: Readonly<Record<number, 1 | 3>> = { 0: 1, 2: 3 };

function readHeader(body: Uint8Array): Omit<PlainPng, 'data'> | null {
  if (body.length !== 13) return null;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const [depth, colourType, compression, filter, interlace] = body.subarray(8);
  const channels = colourTypes[colourType];
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (depth !== 8 || channels === undefined || compression + filter + interlace > 0) return null;
  return width === 0 || height === 0 ? null : { width, height, channels };
}

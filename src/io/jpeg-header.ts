/**
 * What the segments before the pixels of a JPEG say (ITU-T T.81, annex B): whether it is plain, that is, whether decoding its coefficients is all there is to do.
 * A colour profile, CMYK, RGB stored as such, an EXIF rotation, and any kind of coding beyond baseline and progressive Huffman are not.
 */

export interface PlainJpeg {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 3 colours as Y, Cb and Cr. */
  readonly channels: 1 | 3;
  readonly progressive: boolean;
}

const marker = {
  startOfFrame: { baseline: 0xc0, extended: 0xc1, progressive: 0xc2 },
  defineHuffman: 0xc4,
  extension: 0xc8,
  arithmetic: 0xcc,
  firstFrame: 0xc0,
  lastFrame: 0xcf,
  startOfImage: 0xd8,
  startOfScan: 0xda,
  exif: 0xe1,
  profile: 0xe2,
  adobe: 0xee,
} as const;

/** Null for everything else, broken files among it: what they are is for a decoder to say. */
export function plainJpeg(bytes: Uint8Array): PlainJpeg | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== marker.startOfImage) return null;
  let frame: PlainJpeg | null = null;
  let adobeTransform = 1;
  for (let at = 2; ; ) {
    if (at + 4 > bytes.length || bytes[at] !== 0xff) return null;
    const kind = bytes[at + 1];
    if (kind === marker.startOfScan) break;
    const length = view.getUint16(at + 2);
    const end = at + 2 + length;
    if (kind < marker.firstFrame || kind === 0xff || length < 2 || end > bytes.length) return null;
    const body = bytes.subarray(at + 4, end);
    if (isFrame(kind)) {
      if (frame !== null) return null;
      frame = readFrame(kind, body);
      if (frame === null) return null;
    } else if (kind === marker.exif && startsWith(body, 'Exif\0\0')) {
      if (!isUpright(body.subarray(6))) return null;
    } else if (kind === marker.profile && startsWith(body, 'ICC_PROFILE\0')) {
      return null;
    } else if (kind === marker.adobe && startsWith(body, 'Adobe')) {
      adobeTransform = body[11] ?? 0;
    }
    at = end;
  }
  if (frame === null || (frame.channels === 3 && adobeTransform !== 1)) return null;
  return frame;
}

function isFrame(kind: number): boolean {
  const others: number[] = [marker.defineHuffman, marker.extension, marker.arithmetic];
  return kind >= marker.firstFrame && kind <= marker.lastFrame && !others.includes(kind);
}

/** Precision, height, width, number of components, and three bytes for each of them. */
function readFrame(kind: number, body: Uint8Array): PlainJpeg | null {
  const { baseline, extended, progressive } = marker.startOfFrame;
  if (kind !== baseline && kind !== extended && kind !== progressive) return null;
  if (body.length < 6 || body[0] !== 8) return null;
  const height = (body[1] << 8) | body[2];
  const width = (body[3] << 8) | body[4];
  const channels = body[5];
  if (height === 0 || width === 0 || (channels !== 1 && channels !== 3)) return null;
  const ids = Array.from({ length: channels }, (_, i) => body[6 + 3 * i]);
  if (String.fromCharCode(...ids) === 'RGB') return null; // no conversion, as decoders have agreed
  return { width, height, channels, progressive: kind === progressive };
}

const orientationTag = 0x0112;

/** Whether EXIF data (a TIFF file without pictures) leaves the picture as it is. What cannot be read does not count as upright. */
function isUpright(tiff: Uint8Array): boolean {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8) return false;
  const little = startsWith(tiff, 'II');
  if (!little && !startsWith(tiff, 'MM')) return false;
  const first = view.getUint32(4, little);
  if (first + 2 > tiff.length) return false;
  const entries = view.getUint16(first, little);
  if (first + 2 + 12 * entries > tiff.length) return false;
  for (let i = 0; i < entries; i++) {
    const entry = first + 2 + 12 * i;
    if (view.getUint16(entry, little) !== orientationTag) continue;
    const isShort = view.getUint16(entry + 2, little) === 3 && view.getUint32(entry + 4, little) === 1;
    if (!isShort || view.getUint16(entry + 8, little) !== 1) return false;
  }
  return true;
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && [...text].every((letter, i) => bytes[i] === letter.charCodeAt(0));
}

/**
 * The IDX format of MNIST and its relatives: four bytes (0, 0, type, number of axes), one big-endian size per axis, then the elements.
 * Sizes are checked against the bytes that are there before anything is allocated; gzip is unpacked by the platform, and stopped as soon
 * as more comes out than the header promises. Source: yann.lecun.com/exdb/mnist, "the IDX file format".
 */

import type { DType, TypedArray } from '../util/dtype.js';
import { FormatError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';

export interface IdxArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

interface ElementType {
  readonly bytes: number;
  read(view: DataView, count: number): { dtype: DType; data: TypedArray };
}

const types: Record<number, ElementType> = {
  8: { bytes: 1, read: (v, n) => ({ dtype: 'uint8', data: new Uint8Array(v.buffer, v.byteOffset, n) }) },
  9: { bytes: 1, read: (v, n) => ({ dtype: 'int32', data: Int32Array.from({ length: n }, (_, i) => v.getInt8(i)) }) },
  11: {
    bytes: 2,
    read: (v, n) => ({ dtype: 'int32', data: Int32Array.from({ length: n }, (_, i) => v.getInt16(2 * i)) }),
  },
  12: {
    bytes: 4,
    read: (v, n) => ({ dtype: 'int32', data: Int32Array.from({ length: n }, (_, i) => v.getInt32(4 * i)) }),
  },
  13: {
    bytes: 4,
    read: (v, n) => ({ dtype: 'float32', data: Float32Array.from({ length: n }, (_, i) => v.getFloat32(4 * i)) }),
  },
  14: {
    bytes: 8,
    read: (v, n) => ({ dtype: 'float32', data: Float32Array.from({ length: n }, (_, i) => v.getFloat64(8 * i)) }),
  },
};

/** More than any known data set in this format, less than what would trouble a machine. */
const defaultMaxBytes = 1 << 30;

/**
 * The array in the bytes of an IDX file. Bytes stay a view into `bytes`; wider types are copied, integers to int32, reals to float32.
 * @throws {FormatError} with offset and reason: another magic, cut short, bytes left over.
 */
export function parseIdx(bytes: Uint8Array): IdxArray {
  const header = parseHeader(bytes);
  const { shape, type, headerBytes, totalBytes } = header;
  if (bytes.length !== totalBytes) {
    const has = `shape ${formatShape(shape)} takes ${totalBytes} bytes with the header, the file has ${bytes.length}`;
    throw new FormatError(
      `idx: ${has}: ${bytes.length < totalBytes ? 'it is cut short' : 'bytes are left over'}`,
      Math.min(bytes.length, totalBytes),
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + headerBytes, totalBytes - headerBytes);
  return { shape, ...type.read(view, (totalBytes - headerBytes) / type.bytes) };
}

/** As `parseIdx`, from plain or gzipped bytes. `maxBytes` bounds what is unpacked. */
export async function readIdx(bytes: Uint8Array, { maxBytes = defaultMaxBytes } = {}): Promise<IdxArray> {
  return parseIdx(isGzip(bytes) ? await unpack(bytes, maxBytes) : bytes);
}

function parseHeader(bytes: Uint8Array): {
  shape: number[];
  type: ElementType;
  headerBytes: number;
  totalBytes: number;
} {
  if (bytes.length < 4)
    throw new FormatError(`idx: the file has ${bytes.length} bytes, the magic number alone takes 4`, bytes.length);
  const magic = Array.from(bytes.subarray(0, 4), (b) => b.toString(16).padStart(2, '0')).join(' ');
  if (bytes[0] !== 0 || bytes[1] !== 0) {
    throw new FormatError(`idx: the magic number must begin with 00 00, found ${magic}: not an IDX file`, 0);
  }
  const type = types[bytes[2]];
  if (type === undefined) {
    const known = Object.keys(types).map((t) => Number(t).toString(16).padStart(2, '0'));
    throw new FormatError(
      `idx: unknown element type ${magic.slice(6, 8)} in ${magic}; known are ${known.join(' ')}`,
      2,
    );
  }
  const rank = bytes[3];
  const headerBytes = 4 + 4 * rank;
  if (rank === 0) throw new FormatError('idx: an array without axes', 3);
  if (bytes.length < headerBytes) {
    throw new FormatError(
      `idx: ${rank} axes take a header of ${headerBytes} bytes, the file has ${bytes.length}`,
      bytes.length,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const totalBytes = headerBytes + (shape.includes(0) ? 0 : shape.reduce((n, size) => n * size, type.bytes));
  return { shape, type, headerBytes, totalBytes };
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Reads only as far as the header's promise plus one byte, which `parseIdx` then reports. */
async function unpack(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader();
  const chunks: Uint8Array[] = [];
  let received = 0;
  let limit: number | null = null;
  try {
    for (;;) {
      const { done, value } = await nextChunk(reader);
      if (done) break;
      chunks.push(value);
      received += value.length;
      if (limit === null && received >= 4 + 4 * 255) limit = promised(concat(chunks), maxBytes);
      if (received > (limit ?? maxBytes)) {
        throw new FormatError(
          `idx: the packed data goes on beyond the ${limit ?? maxBytes} bytes it may have`,
          limit ?? maxBytes,
        );
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
  return concat(chunks);
}

async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (error) {
    throw new FormatError(`idx: the gzip data is damaged or cut short: ${(error as Error).message}`);
  }
}

function promised(start: Uint8Array, maxBytes: number): number {
  const { totalBytes, shape } = parseHeader(start);
  if (totalBytes > maxBytes) {
    throw new FormatError(`idx: shape ${formatShape(shape)} takes ${totalBytes} bytes, the limit is ${maxBytes}`, 4);
  }
  return totalBytes;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0];
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

/**
 * TFRecord framing: each record is its length (8 bytes, little-endian), a masked CRC-32C of the length, the bytes, and a masked CRC-32C of the bytes.
 * tensorflow/core/lib/io/record_writer.h; the mask keeps checksums of data that holds checksums from being weak.
 */

import { crc32c } from '../crc32.js';

export function frame(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length + 4);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return out;
}

function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Checksums of bytes, eight bytes a step by eight tables: Kounavis and Berry 2005, "slicing-by-8". */

/** CRC-32 as zip and gzip use it. */
export function crc32(bytes: Uint8Array): number {
  return checksum(bytes, (tables ??= makeTables(0xedb88320)));
}

/** CRC-32C (Castagnoli), as TFRecord files use it: RFC 3720, appendix B.4. */
export function crc32c(bytes: Uint8Array): number {
  return checksum(bytes, (tablesC ??= makeTables(0x82f63b78)));
}

let tables: Int32Array[] | null = null;
let tablesC: Int32Array[] | null = null;

function checksum(bytes: Uint8Array, [t0, t1, t2, t3, t4, t5, t6, t7]: readonly Int32Array[]): number {
  let crc = -1;
  let i = 0;
  for (; i + 8 <= bytes.length; i += 8) {
    crc ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    crc =
      t7[crc & 255] ^
      t6[(crc >>> 8) & 255] ^
      t5[(crc >>> 16) & 255] ^
      t4[crc >>> 24] ^
      t3[bytes[i + 4]] ^
      t2[bytes[i + 5]] ^
      t1[bytes[i + 6]] ^
      t0[bytes[i + 7]];
  }
  for (; i < bytes.length; i++) crc = t0[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** tables[n][b]: what byte b does to the remainder when n zero bytes follow it. The polynomial has its bits turned round. */
function makeTables(polynomial: number): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, b) => {
    let crc = b;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc;
  });
  const made = [first];
  for (let n = 1; n < 8; n++) made.push(made[n - 1].map((crc) => first[crc & 255] ^ (crc >>> 8)));
  return made;
}

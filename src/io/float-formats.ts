/**
 * Narrow and wide number formats of files, widened or rounded to what fovea computes with. Every conversion to float32 from a narrower
 * format is exact. Sources: IEEE 754 (binary16, binary64), bfloat16 (the upper half of binary32),
 * Micikevicius et al. 2022, arXiv:2209.05433 (the 8-bit formats E4M3 and E5M2).
 */

/** IEEE binary16, little-endian. */
export function halfToFloat32(bytes: Uint8Array): Float32Array {
  return widen16(bytes, halfTable());
}

/** bfloat16, little-endian: the upper half of a float32. */
export function bfloat16ToFloat32(bytes: Uint8Array): Float32Array {
  const bits = new Uint32Array(bytes.length / 2);
  for (let i = 0; i < bits.length; i++) bits[i] = (bytes[2 * i] | (bytes[2 * i + 1] << 8)) << 16;
  return new Float32Array(bits.buffer);
}

/** 8-bit floats: E4M3 has no infinity and one NaN pattern per sign; E5M2 follows IEEE. */
export function float8ToFloat32(bytes: Uint8Array, format: 'E4M3' | 'E5M2'): Float32Array {
  const table = Float32Array.from({ length: 256 }, (_, b) => (format === 'E4M3' ? e4m3(b) : minifloat(b, 5, 2)));
  return Float32Array.from(bytes, (b) => table[b]);
}

/** Every binary16 value by its bits, as float32 bits (so that NaN payloads survive); made on first use. */
function halfTable(): Uint32Array {
  if (table16 !== null) return table16;
  table16 = new Uint32Array(1 << 16);
  const floats = new Float32Array(table16.buffer);
  for (let bits = 0; bits < table16.length; bits++) {
    const isNaN16 = (bits & 0x7fff) > 0x7c00;
    if (isNaN16) table16[bits] = ((bits & 0x8000) << 16) | 0x7f800000 | ((bits & 0x3ff) << 13);
    else floats[bits] = minifloat(bits, 5, 10);
  }
  return table16;
}

let table16: Uint32Array | null = null;

function widen16(bytes: Uint8Array, table: Uint32Array): Float32Array {
  const out = new Uint32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = table[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  return new Float32Array(out.buffer);
}

/** The value of an IEEE-style format: sign, `exponentBits`, `fractionBits`. */
function minifloat(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = (bits >> (exponentBits + fractionBits)) & 1 ? -1 : 1;
  const top = (1 << exponentBits) - 1;
  const bias = top >> 1;
  const exponent = (bits >> fractionBits) & top;
  const fraction = (bits & ((1 << fractionBits) - 1)) / (1 << fractionBits);
  if (exponent === top) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

function e4m3(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 15;
  const fraction = (bits & 7) / 8;
  if ((bits & 0x7f) === 0x7f) return NaN;
  return exponent === 0 ? sign * fraction * 2 ** -6 : sign * (1 + fraction) * 2 ** (exponent - 7);
}

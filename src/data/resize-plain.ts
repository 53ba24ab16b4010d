/**
 * Resizing in plain loops, as Pillow's documentation tells it: columns, then rows, each rounded to bytes. Serves where WebAssembly has no
 * SIMD, and tests hold the fast one against it.
 */

import { type Taps, weightBits } from './resize-kernel.js';

/** Columns of [rows, width] bytes → [rows, columns of `taps`]. */
export function plainColumns(data: Uint8Array, rows: number, width: number, taps: Taps): Uint8Array {
  const { starts, counts, weights, longest } = taps;
  const to = starts.length;
  const out = new Uint8Array(rows * to);
  for (let row = 0; row < rows; row++) {
    for (let x = 0; x < to; x++) {
      let sum = 1 << (weightBits - 1);
      const first = row * width + starts[x];
      for (let i = 0; i < counts[x]; i++) sum += data[first + i] * weights[x * longest + i];
      out[row * to + x] = clipped(sum);
    }
  }
  return out;
}

/** Rows of [height, width] bytes → [rows of `taps`, width]. */
export function plainRows(data: Uint8Array, width: number, taps: Taps): Uint8Array {
  const { starts, counts, weights, longest } = taps;
  const to = starts.length;
  const out = new Uint8Array(to * width);
  const sums = new Int32Array(width);
  for (let y = 0; y < to; y++) {
    sums.fill(1 << (weightBits - 1));
    for (let i = 0; i < counts[y]; i++) {
      const row = (starts[y] + i) * width;
      const weight = weights[y * longest + i];
      for (let x = 0; x < width; x++) sums[x] += data[row + x] * weight;
    }
    for (let x = 0; x < width; x++) out[y * width + x] = clipped(sums[x]);
  }
  return out;
}

function clipped(sum: number): number {
  const value = sum >> weightBits;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/**
 * Philox4x32-10 on the host: counter-based random bits, so that value number e of a stream needs no value before it.
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Layout as in the graph's `randomBits`: element e of n lies
 * in word ⌊e/Q⌋, Q = ⌈n/4⌉, of the block with counter (e mod Q, stream, step, 0) under the key (seedLo, seedHi); here the last word is free too.
 */

/** Fills `out` with the first `out.length` random words of the stream that `key` = (seedLo, seedHi, stream, step[, more]) names. */
export function philoxFill(out: Int32Array, key: ArrayLike<number>): void {
  const n = out.length;
  const q = Math.ceil(n / 4);
  const more = key[4] | 0;
  for (let i = 0; i < q; i++) {
    let c0 = i | 0;
    let c1 = key[2] | 0;
    let c2 = key[3] | 0;
    let c3 = more;
    let k0 = key[0] | 0;
    let k1 = key[1] | 0;
    for (let round = 0; round < 10; round++) {
      // Both 32 × 32 → 64 products, their high words from 16-bit halves: 0xd2511f53 · c0 and 0xcd9e8d57 · c2.
      const al = c0 & 0xffff;
      const ah = c0 >>> 16;
      const at = (Math.imul(ah, 0x1f53) + (Math.imul(al, 0x1f53) >>> 16)) | 0;
      const au = (Math.imul(al, 0xd251) + (at & 0xffff)) | 0;
      const ahi = (Math.imul(ah, 0xd251) + (at >>> 16) + (au >>> 16)) | 0;
      const bl = c2 & 0xffff;
      const bh = c2 >>> 16;
      const bt = (Math.imul(bh, 0x8d57) + (Math.imul(bl, 0x8d57) >>> 16)) | 0;
      const bu = (Math.imul(bl, 0xcd9e) + (bt & 0xffff)) | 0;
      const bhi = (Math.imul(bh, 0xcd9e) + (bt >>> 16) + (bu >>> 16)) | 0;
      const lo0 = Math.imul(c0, 0xd2511f53);
      const lo1 = Math.imul(c2, 0xcd9e8d57);
      c0 = bhi ^ c1 ^ k0;
      c1 = lo1;
      c2 = ahi ^ c3 ^ k1;
      c3 = lo0;
      k0 = (k0 + 0x9e3779b9) | 0;
      k1 = (k1 + 0xbb67ae85) | 0;
    }
    out[i] = c0;
    if (i + q < n) out[i + q] = c1;
    if (i + 2 * q < n) out[i + 2 * q] = c2;
    if (i + 3 * q < n) out[i + 3 * q] = c3;
  }
}

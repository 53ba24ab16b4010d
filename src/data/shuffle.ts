/**
 * Shuffles that depend on nothing but (seed, stream, step): the order of epoch 7 needs no epoch before it, so a run can resume anywhere.
 * Fisher–Yates on Philox bits.
 */

import { philoxFill } from '../util/philox.js';

/** Names a shuffle: equal names, equal order. */
export interface ShuffleKey {
  seed: number;
  /** Tells apart different uses of one seed. */
  stream?: number;
  /** The epoch. */
  step?: number;
}

/** The numbers 0 … n − 1 in random order. */
export function permutation(n: number, key: ShuffleKey): Int32Array {
  return shuffled(
    Int32Array.from({ length: n }, (_, i) => i),
    key,
  );
}

/** Shuffles `values` in place and returns them; every order is equally likely, up to a bias of n · 2⁻⁵³ per draw. */
export function shuffled(values: Int32Array, { seed, stream = 0, step = 0 }: ShuffleKey): Int32Array {
  const n = values.length;
  // Two words a draw make the 53 bits of u.
  const words = new Int32Array(2 * n);
  philoxFill(words, [seed | 0, Math.floor(seed / 2 ** 32) | 0, stream ^ shuffleTag, step]);
  for (let i = n - 1; i > 0; i--) {
    const u = ((words[2 * i] >>> 5) * 2 ** 26 + (words[2 * i + 1] >>> 6)) / 2 ** 53;
    const j = Math.floor(u * (i + 1));
    const swap = values[i];
    values[i] = values[j];
    values[j] = swap;
  }
  return values;
}

/** "shuf": keeps these streams apart from those that draw weights and dropout under the same seed. */
const shuffleTag = 0x73687566;

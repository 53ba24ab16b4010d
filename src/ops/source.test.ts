/** Sources: constants, stored values, ranges, and random bits against an independent Philox and the published test vectors. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { leaf, valuesOf } from '../../test/gradcheck.js';
import { Storage } from '../graph/storage.js';
import { numel } from '../util/shape.js';
import { bitsToUniform } from './elementwise.js';
import { buffer, constant, iota, randomBits, uniformValue } from './source.js';

const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');

/** Philox4x32-10 as its paper writes it, in big integers. */
function philox(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map((c) => BigInt(c >>> 0));
  let [k0, k1] = key.map((k) => BigInt(k >>> 0));
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2];
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    [k0, k1] = [(k0 + 0x9e3779b9n) & mask, (k1 + 0xbb67ae85n) & mask];
  }
  return [c0, c1, c2, c3].map(Number);
}

describe('randomBits', () => {
  const ones = 0xffffffff;
  // Random123, tests/kat_vectors: philox4x32 with 10 rounds.
  test.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[ones, ones, ones, ones], [ones, ones], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('the oracle gives the published words: counter %j', (counter, key, words) => {
    expect(philox(counter, key).map(hex).join(' ')).toBe(words);
  });

  test('the zero key gives the published words', () => {
    const bits = randomBits(leaf([4], [0, 0, 0, 0], 'int32'), [4]);
    expect(valuesOf(bits).map(hex).join(' ')).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
  });

  test('element e is word ⌊e/Q⌋ of block e mod Q, for any key and count', () => {
    const key = fc.tuple(fc.integer(), fc.integer(), fc.integer(), fc.integer());
    fc.assert(
      fc.property(key, fc.array(fc.nat(6), { maxLength: 3 }), (k, shape) => {
        const n = numel(shape);
        const blocks = Math.ceil(n / 4);
        const want = Array.from({ length: n }, (_, e) => {
          const words = philox([e % blocks, k[2], k[3], 0], [k[0], k[1]]);
          return words[Math.floor(e / blocks)] | 0;
        });
        const bits = randomBits(leaf([4], k, 'int32'), shape);
        expect([bits.shape, bits.dtype]).toEqual([shape, 'int32']);
        expect(valuesOf(bits)).toEqual(want);
      }),
    );
  });

  test('makes uniform numbers with the mean and spread of a uniform distribution', () => {
    const n = 40_000;
    const u = valuesOf(bitsToUniform(randomBits(leaf([4], [1, 2, 3, 4], 'int32'), [n])));
    const mean = u.reduce((a, b) => a + b, 0) / n;
    const variance = u.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    expect(Math.min(...u)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...u)).toBeLessThan(1);
    // Five standard errors.
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
  });

  test('refuses a key that is none', () => {
    expect(() => randomBits(leaf([3], [0, 0, 0], 'int32'), [4])).toThrow(
      'randomBits: the key must be int32[4], not int32\n  key  [3]\n  It holds [seedLo, seedHi, stream, step].',
    );
  });
});

describe('constant, buffer, iota', () => {
  test('a constant has one value everywhere, fitted to its type', () => {
    expect(valuesOf(constant(2.5, [2, 2]))).toEqual([2.5, 2.5, 2.5, 2.5]);
    expect([constant(true).dtype, constant(3).dtype]).toEqual(['bool', 'float32']);
    expect([constant(300, [], 'uint8'), constant(2.9, [], 'int32'), constant(7, [], 'bool')].map(uniformValue)).toEqual(
      [44, 2, 1],
    );
    expect(uniformValue(iota(3))).toBeNull();
  });

  test('a buffer reads its storage as it is when evaluated', () => {
    const storage = new Storage([2], 'float32', Float32Array.of(1, 2));
    expect(valuesOf(buffer(storage))).toEqual([1, 2]);
  });

  test('iota counts', () => {
    expect(valuesOf(iota(4))).toEqual([0, 1, 2, 3]);
    expect(iota(0).shape).toEqual([0]);
    expect(() => iota(-1)).toThrow('iota: the length must be a whole number ≥ 0, not -1');
  });
});

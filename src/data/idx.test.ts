/** IDX files: every element type, plain and gzipped, and whatever is wrong with them. */

import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../util/errors.js';
import { numel } from '../util/shape.js';
import { parseIdx, readIdx } from './idx.js';

describe('parseIdx', () => {
  it('reads bytes in place', () => {
    const file = idx(0x08, [2, 3], [1, 2, 3, 250, 251, 252]);
    const { dtype, shape, data } = parseIdx(file);
    expect({ dtype, shape, data: [...data] }).toEqual({
      dtype: 'uint8',
      shape: [2, 3],
      data: [1, 2, 3, 250, 251, 252],
    });
    expect(data.buffer).toBe(file.buffer);
  });

  it.each([
    ['int8', 0x09, [0xff, 0x80, 0x7f], 'int32', [-1, -128, 127]],
    ['int16', 0x0b, [0xff, 0xfe, 0x01, 0x00, 0x80, 0x00], 'int32', [-2, 256, -32768]],
    ['int32', 0x0c, [0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0], 'int32', [256, -1, -(2 ** 31)]],
    ['float32', 0x0d, [0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0, 0x7f, 0x80, 0, 0], 'float32', [1, -2, Infinity]],
    [
      'float64',
      0x0e,
      [0x3f, 0xf8, 0, 0, 0, 0, 0, 0, ...new Array(8).fill(0), 0xbf, 0xe0, 0, 0, 0, 0, 0, 0],
      'float32',
      [1.5, 0, -0.5],
    ],
  ] as const)('reads %s, big-endian', (_, type, bytes, dtype, values) => {
    const array = parseIdx(idx(type, [3], bytes));
    expect({ dtype: array.dtype, data: [...array.data] }).toEqual({ dtype, data: values });
  });

  it.each([
    ['nothing', [], 'idx: the file has 0 bytes, the magic number alone takes 4 (at byte 0)'],
    [
      'another magic',
      [0x89, 0x50, 0x4e, 0x47, 0],
      'idx: the magic number must begin with 00 00, found 89 50 4e 47: not an IDX file (at byte 0)',
    ],
    [
      'an unknown type',
      [0, 0, 7, 1, 0, 0, 0, 0],
      'idx: unknown element type 07 in 00 00 07 01; known are 08 09 0b 0c 0d 0e (at byte 2)',
    ],
    ['no axes', [0, 0, 8, 0, 5], 'idx: an array without axes (at byte 3)'],
    [
      'a header cut short',
      [0, 0, 8, 3, 0, 0, 0, 1],
      'idx: 3 axes take a header of 16 bytes, the file has 8 (at byte 8)',
    ],
    [
      'data cut short',
      [...idx(8, [4], [1, 2])],
      'idx: shape [4] takes 12 bytes with the header, the file has 10: it is cut short (at byte 10)',
    ],
    [
      'bytes left over',
      [...idx(8, [1], [1, 2])],
      'idx: shape [1] takes 9 bytes with the header, the file has 10: bytes are left over (at byte 9)',
    ],
    [
      'sizes beyond any memory',
      [...idx(0x0e, [0xffffffff, 0xffffffff, 0xffffffff], [1])],
      'idx: shape [4294967295, 4294967295, 4294967295] takes 6.3382529967139284e+29 bytes with the header, the file has 17: it is cut short (at byte 17)',
    ],
  ])('refuses %s', (_, bytes, message) => {
    expect(refusal(Uint8Array.from(bytes))).toBe(message);
  });

  it('never does anything but read or refuse, whatever bytes change', () => {
    const file = idx(0x0b, [3, 2], new Array(12).fill(7));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length), fc.nat(255)), { maxLength: 5 }),
        fc.nat(30),
        (changes, length) => {
          const bytes = new Uint8Array(length);
          bytes.set(file.subarray(0, length));
          for (const [at, byte] of changes) if (at < length) bytes[at] = byte;
          try {
            const { shape, data } = parseIdx(bytes);
            expect(data.length).toBe(numel(shape));
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
            expect((error as FormatError).offset).toBeLessThanOrEqual(length);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('readIdx', () => {
  const pixels = Array.from({ length: 5000 }, (_, i) => (i * 31) % 256);
  const plain = idx(0x08, [50, 10, 10], pixels);
  const packed = new Uint8Array(gzipSync(plain));

  it('unpacks gzip', async () => {
    expect([...(await readIdx(packed)).data]).toEqual(pixels);
    expect([...(await readIdx(plain)).data]).toEqual(pixels);
  });

  it('refuses damaged and shortened gzip', async () => {
    const damaged = packed.slice();
    damaged[damaged.length - 6] ^= 1; // the checksum
    await expect(readIdx(damaged)).rejects.toThrow('idx: the gzip data is damaged or cut short');
    await expect(readIdx(packed.slice(0, packed.length - 20))).rejects.toThrow(
      'idx: the gzip data is damaged or cut short',
    );
    await expect(readIdx(packed.slice(0, 2))).rejects.toThrow(FormatError);
  });

  it('stops unpacking where the header says the data ends', async () => {
    const bomb = new Uint8Array(gzipSync(idx(0x08, [2000], new Uint8Array(50_000_000))));
    expect(bomb.length).toBeLessThan(100_000);
    await expect(readIdx(bomb)).rejects.toThrow('idx: the packed data goes on beyond the 2008 bytes it may have');
  });

  it('refuses a promise beyond the limit before unpacking it', async () => {
    const bomb = new Uint8Array(gzipSync(idx(0x08, [50_000_000], new Uint8Array(50_000_000))));
    await expect(readIdx(bomb, { maxBytes: 10_000_000 })).rejects.toThrow(
      'idx: shape [50000000] takes 50000008 bytes, the limit is 10000000 (at byte 4)',
    );
  });

  it('never hangs or fails oddly on mutated gzip', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        async (changes) => {
          const bytes = packed.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          try {
            const { shape, data } = await readIdx(bytes);
            expect(data.length).toBe(numel(shape));
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

function idx(type: number, shape: readonly number[], bytes: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(4 + 4 * shape.length + bytes.length);
  const view = new DataView(out.buffer);
  view.setUint8(2, type);
  view.setUint8(3, shape.length);
  for (const [i, size] of shape.entries()) view.setUint32(4 + 4 * i, size);
  out.set(bytes, 4 + 4 * shape.length);
  return out;
}

function refusal(file: Uint8Array): string {
  try {
    parseIdx(file);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as FormatError).message;
  }
  return 'accepted';
}

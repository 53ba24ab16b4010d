/** HDF5 files that would lead the library in circles are refused before it sees them. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../util/errors.js';
import { readH5 } from './h5.js';

const golden = () => Buffer.from(readFileSync(new URL('../../../test/golden/data/keras/volume.h5', import.meta.url)));

describe('the global heaps of an HDF5 file', () => {
  /** The first heap, and its free space: the object of index 0. */
  const heapOf = (file: Buffer) => {
    const at = file.indexOf('GCOL');
    let free = at + 16;
    while (file.readUInt16LE(free) !== 0) free += 16 + Math.ceil(Number(file.readBigUInt64LE(free + 8)) / 8) * 8;
    return { at, free };
  };

  it.each<[what: string, change: (file: Buffer) => number, message: string]>([
    [
      'free space without end',
      (f) => write(f, heapOf(f).free, 2n ** 61n),
      'an object of 2305843009213694000 bytes does not fit',
    ],
    [
      'free space of nothing',
      (f) => write(f, heapOf(f).free, 0n),
      'an object of 0 bytes does not fit into its global heap',
    ],
    [
      'an object past the end',
      (f) => write(f, heapOf(f).at + 16, 2n ** 20n),
      'an object of 1048576 bytes does not fit',
    ],
    [
      'an object whose size turns round',
      (f) => write(f, heapOf(f).at + 16, 2n ** 64n - 16n),
      'does not fit into its global heap',
    ],
  ])('%s', async (_, change, message) => {
    const file = golden();
    const at = change(file);
    const error = await readH5(file).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toContain(message);
    expect((error as FormatError).offset).toBe(at);
  });

  it('a heap past the end of the file', async () => {
    const file = golden();
    const { at } = heapOf(file);
    file.writeBigUInt64LE(BigInt(file.length), at + 8);
    await expect(readH5(file)).rejects.toThrow('a global heap reaches past the end of the file');
  });

  it('is read where it is sound', async () => {
    expect((await readH5(golden())).attributes.get('backend')).toBe('tensorflow');
  });
});

/** Gives the object at `at` another size. */
function write(file: Buffer, at: number, size: bigint): number {
  file.writeBigUInt64LE(size, at + 8);
  return at;
}

/** Pictures through sharp: right pixels, right shapes, and the refusal of what is no picture or too large. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../util/errors.js';
import { decodeImage, encodePng } from './picture.node.js';

describe('encodePng and decodeImage', () => {
  it.each([1, 3, 4] as const)('give back every pixel of %i channels', async (channels) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        async (height, width, seed) => {
          const data = Uint8Array.from({ length: channels * height * width }, (_, i) => (seed + i * 97) & 255);
          const shape = [channels, height, width] as const;
          const png = await encodePng({ data, shape });
          expect(await decodeImage(png, { channels })).toEqual({ data, shape });
        },
      ),
      { numRuns: 15 },
    );
  });

  it('repeats grey for RGB and lays transparency on black', async () => {
    const grey = await encodePng({ data: Uint8Array.of(10, 200), shape: [1, 1, 2] });
    expect([...(await decodeImage(grey)).data]).toEqual([10, 200, 10, 200, 10, 200]);
    const clear = await encodePng({ data: Uint8Array.of(255, 255, 100, 100, 50, 50, 255, 0), shape: [4, 1, 2] });
    expect([...(await decodeImage(clear)).data]).toEqual([255, 0, 100, 0, 50, 0]);
  });

  it('turns a picture the way its EXIF says', async () => {
    const upright = await sharp(Buffer.from([255, 0, 0, 0, 0, 255]), { raw: { width: 2, height: 1, channels: 3 } })
      .png()
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const { shape, data } = await decodeImage(upright);
    expect({ shape, data: [...data] }).toEqual({ shape: [3, 2, 1], data: [255, 0, 0, 0, 0, 255] });
  });

  it('brings any picture to the size asked for', async () => {
    const data = Uint8Array.from({ length: 40 * 20 }, (_, i) => (i % 40 < 10 || i % 40 >= 30 ? 0 : 255));
    const png = await encodePng({ data, shape: [1, 20, 40] });
    const cover = await decodeImage(png, { channels: 1, height: 10, width: 10 });
    expect(cover.shape).toEqual([1, 10, 10]);
    expect(Math.min(...cover.data.filter((_, i) => i % 10 > 0 && i % 10 < 9))).toBe(255); // the black sides are cut away
    const fill = await decodeImage(png, { channels: 1, height: 10, width: 10, fit: 'fill' });
    expect([fill.data[0], fill.data[5], fill.data[9]]).toEqual([0, 255, 0]);
    const contain = await decodeImage(png, { channels: 1, height: 10, width: 10, fit: 'contain' });
    expect([contain.data[5], contain.data[55]]).toEqual([0, 255]);
  });
});

describe('decodeImage refuses', () => {
  it('a picture with more pixels than the limit, by its header alone', async () => {
    const bomb = pngHeaderOnly(50_000, 50_000);
    const start = performance.now();
    await expect(decodeImage(bomb)).rejects.toThrow(FormatError);
    await expect(
      decodeImage(await encodePng({ data: new Uint8Array(60), shape: [1, 6, 10] }), { maxPixels: 59 }),
    ).rejects.toThrow(/60|pixel/);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it('vector graphics, which are programs of a kind', async () => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
    );
    await expect(decodeImage(svg)).rejects.toThrow('fovea reads pictures of pixels');
  });

  it('what is empty, no picture, or cut short', async () => {
    await expect(decodeImage(new Uint8Array(0))).rejects.toThrow('a picture of 0 bytes is empty');
    await expect(decodeImage(Buffer.from('hello'))).rejects.toThrow('a picture of 5 bytes cannot be decoded');
    const noise = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (i * i * 31) & 255);
    const png = await encodePng({ data: noise, shape: [3, 64, 64] });
    await expect(decodeImage(png.subarray(0, png.length / 2))).rejects.toThrow(FormatError);
    const jpeg = await sharp(png).jpeg().toBuffer();
    await expect(decodeImage(jpeg.subarray(0, jpeg.length / 2))).rejects.toThrow(FormatError);
  });

  it('by the name of the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fovea-picture-'));
    try {
      const file = join(folder, 'broken.png');
      writeFileSync(file, 'not a picture');
      await expect(decodeImage(file)).rejects.toThrow(`${file} cannot be decoded`);
      await expect(decodeImage(join(folder, 'none.png'))).rejects.toThrow('there is no such file or folder (ENOENT)');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('sizes that make no sense', async () => {
    await expect(decodeImage(new Uint8Array(4), { height: 3 })).rejects.toThrow(
      'decodeImage: pass both height and width, or neither; got height 3, width undefined',
    );
    await expect(decodeImage(new Uint8Array(4), { height: 0, width: 3 })).rejects.toThrow('positive integers, not 0');
    await expect(encodePng({ data: new Uint8Array(5), shape: [2, 1, 2] })).rejects.toThrow('C is 1, 3 or 4');
  });

  it('mutated pictures, always with the same kind of error', async () => {
    const data = Uint8Array.from({ length: 3 * 8 * 8 }, (_, i) => (i * 7) & 255);
    const png = await encodePng({ data, shape: [3, 8, 8] });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(png.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (changes) => {
          const bytes = png.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          try {
            const picture = await decodeImage(bytes, { maxPixels: 10_000 });
            expect(picture.data.length).toBe(picture.shape[0] * picture.shape[1] * picture.shape[2]);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** A PNG that promises width × height pixels and brings a handful. */
function pngHeaderOnly(width: number, height: number): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = deflateSync(Buffer.alloc(1000));
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

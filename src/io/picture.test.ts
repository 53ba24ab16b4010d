/** Pictures through sharp: right pixels, right shapes, and the refusal of what is no picture or too large. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { heicHeader } from '../../test/heic.js';
import { FormatError } from '../util/errors.js';
import { decodeImage, decodeInterleaved, encodePng, readPictureHeader } from './picture.node.js';
import { isPictureName, pictureFormat } from './picture-format.js';

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

describe('decodeImage brings to 8-bit sRGB', () => {
  const grid = Uint8Array.from({ length: 4 * 3 * 3 }, (_, i) => (i * 37) % 256); // [3, 4, 3] interleaved
  const rgb = () => sharp(grid, { raw: { width: 4, height: 3, channels: 3 } });
  const planes = (interleaved: Uint8Array, channels: number) =>
    Array.from({ length: interleaved.length }, (_, i) => {
      const plane = interleaved.length / channels;
      return interleaved[(i % plane) * channels + Math.floor(i / plane)];
    });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('every EXIF orientation: %i', async (orientation) => {
    const file = await rgb().png().withMetadata({ orientation }).toBuffer();
    const { data, shape } = await decodeImage(file);
    // What the eight mean (EXIF 2.32, tag 0x0112): where the pixel shown at (y, x) is stored.
    const [h, w] = orientation >= 5 ? [4, 3] : [3, 4];
    expect(shape).toEqual([3, h, w]);
    const stored = (y: number, x: number): [number, number] =>
      [
        [y, x],
        [y, 3 - x],
        [2 - y, 3 - x],
        [2 - y, x],
        [x, y],
        [2 - x, y],
        [2 - x, 3 - y],
        [x, 3 - y],
      ][orientation - 1] as [number, number];
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const [row, column] = stored(y, x);
        for (let c = 0; c < 3; c++) expect(data[(c * h + y) * w + x]).toBe(grid[(row * 4 + column) * 3 + c]);
      }
    }
    const header = await readPictureHeader(file);
    expect([header.height, header.width]).toEqual([h, w]);
  });

  it('sixteen bits, to the nearest of eight, give or take one', async () => {
    const off = (data: Uint8Array, wide: Uint16Array) =>
      Math.max(...Array.from(data, (x, i) => Math.abs(x - wide[i % wide.length] / 257)));
    const grey = Uint16Array.from({ length: 12 }, (_, i) => i * 5000 + 77);
    const file = await sharp(grey, { raw: { width: 4, height: 3, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect((await sharp(file).metadata()).depth).toBe('ushort');
    for (const channels of [1, 3] as const) {
      const { data } = await decodeImage(file, { channels });
      expect(data.length).toBe(12 * channels);
      expect(off(data, grey)).toBeLessThanOrEqual(1);
    }
    const colours = Uint16Array.from({ length: 36 }, (_, i) => i * 1800 + 3);
    const rgb16 = await sharp(colours, { raw: { width: 4, height: 3, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    const apart = Uint16Array.from(colours, (_, i) => colours[(i % 12) * 3 + Math.floor(i / 12)]);
    expect(off((await decodeImage(rgb16)).data, apart)).toBeLessThanOrEqual(1);
  });

  it('palettes, and transparent colours of theirs on black', async () => {
    const flat = Uint8Array.from({ length: 36 }, (_, i) => [255, 0, 0, 0, 0, 255][i % 6]); // red, blue, red …
    const raw = sharp(flat, { raw: { width: 4, height: 3, channels: 3 } });
    for (const file of [await raw.png({ palette: true }).toBuffer(), await raw.gif().toBuffer()]) {
      expect(Array.from((await decodeImage(file)).data)).toEqual(planes(flat, 3));
    }
    const clear = Uint8Array.of(255, 0, 0, 255, 0, 255, 0, 0);
    const gif = await sharp(clear, { raw: { width: 2, height: 1, channels: 4 } })
      .gif()
      .toBuffer();
    expect(Array.from((await decodeImage(gif)).data)).toEqual([255, 0, 0, 0, 0, 0]);
    expect(Array.from((await decodeImage(gif, { channels: 4 })).data.subarray(6))).toEqual([255, 0]);
  });

  it('half transparency, laid on black', async () => {
    const half = Uint8Array.of(200, 100, 50, 128);
    for (const kind of ['png', 'webp'] as const) {
      const image = sharp(half, { raw: { width: 1, height: 1, channels: 4 } });
      const file = await (kind === 'png' ? image.png() : image.webp({ lossless: true })).toBuffer();
      const { data } = await decodeImage(file);
      for (const [c, full] of [200, 100, 50].entries())
        expect(Math.abs(data[c] - (full * 128) / 255)).toBeLessThanOrEqual(1);
    }
  });

  it('CMYK, with a profile and without', async () => {
    const red = sharp({ create: { width: 16, height: 16, channels: 3, background: '#e02010' } });
    const profiled = await red.toColourspace('cmyk').withIccProfile('cmyk').jpeg({ quality: 100 }).toBuffer();
    const bare = await red.toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(profiled).metadata()).hasProfile).toBe(true);
    for (const file of [profiled, bare]) {
      expect((await sharp(file).metadata()).space).toBe('cmyk');
      const { data, shape } = await decodeImage(file);
      expect(shape).toEqual([3, 16, 16]);
      const [r, g, b] = [data[0], data[256], data[512]];
      // Profiles lose some of a strong colour; red it stays.
      expect(r).toBeGreaterThan(190);
      expect(Math.max(g, b)).toBeLessThan(80);
    }
  });

  it('embedded profiles', async () => {
    const green = sharp({ create: { width: 4, height: 4, channels: 3, background: { r: 100, g: 150, b: 90 } } });
    const p3 = await green.withIccProfile('p3').png().toBuffer();
    expect((await sharp(p3).metadata()).icc).toBeDefined();
    const { data } = await decodeImage(p3);
    for (const [c, wanted] of [100, 150, 90].entries()) expect(Math.abs(data[16 * c] - wanted)).toBeLessThanOrEqual(2);
  });

  it('the first frame of an animation', async () => {
    const frames = Uint8Array.from({ length: 2 * 2 * 3 * 2 }, (_, i) => (i < 12 ? [250, 0, 0] : [0, 250, 0])[i % 3]);
    const raw = { width: 2, height: 4, channels: 3 as const, pageHeight: 2 };
    for (const kind of ['gif', 'webp'] as const) {
      const image = sharp(frames, { raw });
      const file = await (kind === 'gif' ? image.gif({ loop: 0 }) : image.webp({ lossless: true })).toBuffer();
      expect((await readPictureHeader(file)).frames).toBe(2);
      const { data, shape } = await decodeImage(file);
      expect(shape).toEqual([3, 2, 2]);
      expect(Array.from(data)).toEqual([250, 250, 250, 250, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
  });

  it('TIFF and AVIF', async () => {
    expect(Array.from((await decodeImage(await rgb().tiff({ compression: 'lzw' }).toBuffer())).data)).toEqual(
      planes(grid, 3),
    );
    const avif = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#808080' } })
      .avif({ quality: 90 })
      .toBuffer();
    const { data, shape } = await decodeImage(avif);
    expect(shape).toEqual([3, 16, 16]);
    for (const x of data) expect(Math.abs(x - 128)).toBeLessThanOrEqual(3);
    expect((await readPictureHeader(avif)).format).toBe('avif');
  });

  it('grey files for colours, and colours as grey, pixel by pixel', async () => {
    const grey = await decodeInterleaved(await rgb().toColourspace('b-w').png().toBuffer());
    expect([grey.height, grey.width, grey.data.length]).toEqual([3, 4, 12 * grey.channels]);
    const { data } = await decodeImage(await rgb().png().toBuffer(), { channels: 1 });
    for (let i = 0; i < 12; i++) {
      const [r, g, b] = grid.subarray(3 * i, 3 * i + 3);
      // Luminance in linear light, as sRGB defines it, within what rounding leaves.
      const linear = (x: number) => (x <= 10.31475 ? x / 3294.6 : ((x / 255 + 0.055) / 1.055) ** 2.4);
      const y = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
      const wanted = 255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055);
      expect(Math.abs(data[i] - wanted)).toBeLessThanOrEqual(2);
    }
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

  it('SVG, HTML and PDF behind the name or the first letters of something else', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>';
    for (const text of [
      svg,
      `GIF89a${svg}`,
      `BM${svg}`,
      `\xff\xd8\xff${svg}`,
      `RIFF0000WEBP${svg}`,
      '%PDF-1.7',
      '<html>',
      `II*\0${svg}`,
    ]) {
      await expect(decodeImage(Buffer.from(text, 'latin1'))).rejects.toThrow(FormatError);
    }
  });

  it('files that are too large, and folders', async () => {
    const png = await encodePng({ data: new Uint8Array(3000), shape: [3, 10, 100] });
    await expect(decodeImage(png, { maxBytes: 50 })).rejects.toThrow('the limit is 50');
    await expect(decodeImage(tmpdir())).rejects.toThrow('it is a folder');
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

  it('HEIC of phones, with what to do; AVIF under that name is a picture like others', async () => {
    const avif = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#808080' } })
      .avif()
      .toBuffer();
    const other = Buffer.from(avif.toString('latin1').replace('ftypavif', 'ftypmif1'), 'latin1');
    expect(pictureFormat(other)).toBe('heif');
    expect((await decodeImage(other)).shape).toEqual([3, 16, 16]);
    const heic = Buffer.concat([heicHeader(), avif]);
    const message = 'cat.heic cannot be decoded: HEIC is not read here, convert it to JPEG or PNG';
    await expect(decodeImage(heic, { name: 'cat.heic' })).rejects.toThrow(new FormatError(message));
    await expect(readPictureHeader(heic, { name: 'cat.heic' })).rejects.toThrow(new FormatError(message));
    const bmp = Buffer.concat([Buffer.from('BM'), Buffer.alloc(12), Buffer.from([40]), Buffer.alloc(60)]);
    await expect(decodeImage(bmp)).rejects.toThrow('BMP is not read here, convert it to JPEG or PNG');
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

describe('pictureFormat', () => {
  it('tells formats by their first bytes', async () => {
    const image = sharp({ create: { width: 2, height: 2, channels: 3, background: '#123456' } });
    for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const) {
      const bytes = await image.toFormat(format).toBuffer();
      expect(pictureFormat(bytes.subarray(0, 32))).toBe(format);
      expect(pictureFormat(bytes.subarray(0, 3))).toBe(format === 'jpeg' ? 'jpeg' : null);
    }
    expect(pictureFormat(new Uint8Array(0))).toBeNull();
    expect(pictureFormat(Buffer.from('<svg/>'))).toBeNull();
    expect(['a.JPG', 'x/y.tiff', '.png', 'a.jpg.txt', 'jpg', 'a.'].map(isPictureName)).toEqual([true, true, true, false, false, false]); // biome-ignore format: one line
  });
});

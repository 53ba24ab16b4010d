import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { Random } from '../data/random.js';
import { decodeInterleaved } from './picture.node.js';
import { plainPng } from './png-header.js';
import { decodeSmallPng } from './small-png.node.js';

describe('which PNGs are plain', () => {
  it('takes eight bits of grey or colours, row by row', async () => {
    expect(plainPng(await png({ channels: 1 }))).toMatchObject({ width: 28, height: 20, channels: 1 });
    expect(plainPng(await png({ channels: 3 }))).toMatchObject({ channels: 3 });
  });

  it('leaves to sharp palettes, transparency, 16 bits, interlacing, profiles and EXIF data', async () => {
    const picture = sharp(await png({ channels: 3 }));
    const others = {
      palette: picture.clone().png({ palette: true }),
      alpha: picture.clone().ensureAlpha(0.5).png(),
      deep: picture.clone().toColourspace('rgb16').png(),
      interlaced: picture.clone().png({ progressive: true }),
      profile: picture.clone().withIccProfile('p3').png(),
      turned: picture.clone().withMetadata({ orientation: 6 }).png(),
    };
    for (const [name, made] of Object.entries(others)) expect([name, plainPng(await made.toBuffer())]).toEqual([name, null]); // biome-ignore format: one line
  });
});

describe('small PNGs', () => {
  it('come out as the very bytes that sharp makes', async () => {
    for (const channels of [1, 3] as const) {
      for (const [width, height] of [
        [1, 1],
        [28, 28],
        [7, 3],
        [150, 190],
      ]) {
        // biome-ignore format: one line
        for (const compressionLevel of [0, 9]) {
          const bytes = await png({ width, height, channels }, { compressionLevel, adaptiveFiltering: true });
          const got = decodeSmallPng(bytes, { channels: 3 })!;
          const wanted = await decodeInterleaved(bytes, { channels });
          expect([got.width, got.height, got.channels]).toEqual([width, height, channels]);
          expect(Buffer.compare(got.data, wanted.data)).toBe(0);
        }
      }
    }
  });

  it('leave to sharp what is larger than is small, or than is allowed', async () => {
    expect(decodeSmallPng(await png({ width: 200, height: 200 }), { channels: 3 })).toBeNull();
    const bytes = await png({ width: 20, height: 10 });
    expect(decodeSmallPng(bytes, { channels: 1 })).toBeNull();
    expect(decodeSmallPng(bytes, { channels: 3, maxPixels: 199 })).toBeNull();
    expect(decodeSmallPng(bytes, { channels: 3, maxBytes: bytes.length - 1 })).toBeNull();
    expect(decodeSmallPng(bytes, { channels: 3, maxPixels: 200, maxBytes: bytes.length })).not.toBeNull();
  });

  it('agree with sharp about damage, checksums right or wrong: what is decoded here, sharp decodes to the same bytes', async () => {
    const sources = [await png({ channels: 1 }), await png({ width: 31, height: 40, channels: 3 })];
    const random = new Random(5);
    const seen = { decoded: 0, left: 0 };
    for (let i = 0; i < 800; i++) {
      const damaged = Uint8Array.from(sources[random.integer(0, 2)]);
      for (let k = random.integer(1, 3); k > 0; k--) damaged[random.integer(8, damaged.length)] ^= 1 << random.integer(0, 8); // biome-ignore format: one line
      if (random.chance(0.7)) mendChecksums(damaged);
      const got = decodeSmallPng(damaged, { channels: 3 });
      if (got === null) {
        seen.left++;
        continue;
      }
      seen.decoded++;
      const wanted = await decodeInterleaved(damaged, { channels: got.channels as 1 | 3 });
      expect(Buffer.compare(got.data, wanted.data), `damage ${i}`).toBe(0);
    }
    expect(seen.left).toBeGreaterThan(100);
    expect(seen.decoded).toBeGreaterThan(0); // hardly any damage escapes the checksums
  });

  it('come out right whatever filters their rows have, and not at all with one that does not exist', async () => {
    const random = new Random(6);
    for (let i = 0; i < 100; i++) {
      const [width, height, channels] = [random.integer(1, 40), random.integer(1, 40), random.chance(0.5) ? 1 : 3] as const; // biome-ignore format: one line
      const unknown = i % 10 === 0;
      const rows = Uint8Array.from({ length: height * (1 + width * channels) }, (_, at) =>
        at % (1 + width * channels) === 0 ? random.integer(0, 5) : random.integer(0, 256),
      );
      if (unknown) rows[0] = 5;
      const bytes = fileOf(rows, { width, height, channels });
      const got = decodeSmallPng(bytes, { channels: 3 });
      expect(got === null).toBe(unknown);
      const wanted = decodeInterleaved(bytes, { channels });
      if (unknown) await expect(wanted).rejects.toThrow(/cannot be decoded/);
      else expect(Buffer.compare(got!.data, (await wanted).data), `file ${i}`).toBe(0);
    }
  });

  it('may be followed by other bytes, as sharp allows', async () => {
    const bytes = await png();
    const followed = Buffer.concat([bytes, Buffer.from('more')]);
    expect(decodeSmallPng(followed, { channels: 3 })).toEqual(decodeSmallPng(bytes, { channels: 3 }));
    expect((await decodeInterleaved(followed, { channels: 3 })).data).toEqual(
      decodeSmallPng(bytes, { channels: 3 })!.data,
    );
  });

  it('are not inflated beyond their size, and not taken when rows are missing', () => {
    const size = { width: 100, height: 100, channels: 1 as const };
    expect(decodeSmallPng(fileOf(new Uint8Array(10_100), size), { channels: 1 })).not.toBeNull();
    expect(decodeSmallPng(fileOf(new Uint8Array(10_099), size), { channels: 1 })).toBeNull();
    const bomb = fileOf(new Uint8Array(50_000_000), size);
    const before = process.memoryUsage().rss;
    expect(decodeSmallPng(bomb, { channels: 1 })).toBeNull();
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 24);
  });
});

/** A PNG of rows as they are before they are compressed. */
function fileOf(
  rows: Uint8Array,
  { width, height, channels }: { width: number; height: number; channels: 1 | 3 },
): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const chunk = (kind: string, body: Uint8Array) => {
    const made = Buffer.alloc(12 + body.length);
    made.writeUInt32BE(body.length, 0);
    made.write(kind, 4, 'latin1');
    made.set(body, 8);
    return made;
  };
  const start = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const file = Buffer.concat([start, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]); // biome-ignore format: one line
  mendChecksums(file);
  return file;
}

async function png(
  { width = 28, height = 20, channels = 3 }: { width?: number; height?: number; channels?: 1 | 3 } = {},
  options: object = {},
): Promise<Buffer> {
  const random = new Random(width, height);
  const pixels = Uint8Array.from({ length: width * height * channels }, (_, i) => 128 + 90 * Math.sin(i / 17) + random.integer(0, 30)); // biome-ignore format: one line
  const picture = sharp(pixels, { raw: { width, height, channels } });
  return (channels === 1 ? picture.toColourspace('b-w') : picture).png(options).toBuffer();
}

/** The checksum of each chunk as its bytes are now. */
function mendChecksums(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > bytes.length) return;
    view.setUint32(end, crc32(bytes.subarray(at + 4, end)));
    at = end + 4;
  }
}

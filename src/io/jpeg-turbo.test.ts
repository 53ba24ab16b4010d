import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Random } from '../data/random.js';
import { plainJpeg } from './jpeg-header.js';
import { loadJpegTurbo } from './jpeg-turbo.node.js';
import { decodeInterleaved } from './picture.node.js';

// A development dependency: where its library cannot be loaded, so cannot what is tested here.
const turbo = await loadJpegTurbo();
const here = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(() => vi.unstubAllEnvs());

describe('which JPEGs are plain', () => {
  it('takes baseline and progressive files, grey and coloured, of any subsampling', async () => {
    for (const options of [{}, { progressive: true }, { chromaSubsampling: '4:4:4' }, { mozjpeg: true }]) {
      const { progressive = false, mozjpeg = false } = options as { progressive?: boolean; mozjpeg?: boolean };
      const header = plainJpeg(await jpeg({ width: 37, height: 22 }, options));
      expect(header).toEqual({ width: 37, height: 22, channels: 3, progressive: progressive || mozjpeg });
    }
    expect(plainJpeg(await jpeg({ channels: 1 }))).toMatchObject({ channels: 1 });
  });

  it('leaves to sharp what asks for more than decoding: colour profiles, CMYK, rotations', async () => {
    const upright = await sharp(await jpeg())
      .withMetadata({ orientation: 1 })
      .keepExif()
      .jpeg()
      .toBuffer();
    expect((await sharp(upright).metadata()).orientation).toBe(1);
    // withMetadata adds a profile too: its EXIF data alone say that nothing is to be turned.
    expect(plainJpeg(await sharp(await jpeg()).withExif({ IFD0: { Copyright: 'nobody' } }).jpeg().toBuffer())).not.toBeNull(); // biome-ignore format: one line
    for (const orientation of [2, 3, 6, 8]) {
      expect(plainJpeg(await exifOnly(orientation))).toBeNull();
    }
    expect(plainJpeg(await exifOnly(1))).not.toBeNull();
    expect(
      plainJpeg(
        await sharp(await jpeg())
          .withIccProfile('p3')
          .jpeg()
          .toBuffer(),
      ),
    ).toBeNull();
    expect(
      plainJpeg(
        await sharp(await jpeg())
          .toColourspace('cmyk')
          .jpeg()
          .toBuffer(),
      ),
    ).toBeNull();
  });

  it('takes nothing for a JPEG that is none, and never throws, whatever the bytes', async () => {
    const good = await jpeg();
    const random = new Random(3);
    for (let i = 0; i < 2000; i++) {
      const bytes = Uint8Array.from(good);
      for (let k = random.integer(1, 5); k > 0; k--)
        bytes[random.integer(0, Math.min(700, bytes.length))] = random.integer(0, 256);
      const header = plainJpeg(bytes.subarray(0, random.integer(0, bytes.length + 1)));
      if (header !== null) expect(header.width * header.height).toBeGreaterThan(0);
    }
    for (const bytes of [[], [0xff], [0xff, 0xd8], [0xff, 0xd8, 0xff, 0xd9], [0x89, 0x50, 0x4e, 0x47]]) {
      expect(plainJpeg(Uint8Array.from(bytes))).toBeNull();
    }
  });
});

describe.skipIf(!here)('libjpeg-turbo', () => {
  it('is found, and can be switched off', async () => {
    expect(turbo?.path).toMatch(/turbojpeg/);
    vi.resetModules();
    vi.stubEnv('FOVEA_TURBOJPEG', 'off');
    const { loadJpegTurbo: again } = await import('./jpeg-turbo.node.js');
    expect(await again()).toBeNull();
  });

  it('makes the very bytes that sharp makes', async () => {
    const kinds = [{ quality: 50 }, { quality: 85 }, { quality: 100 }, { chromaSubsampling: '4:4:4' }, { progressive: true }]; // biome-ignore format: one line
    for (const options of kinds) {
      for (const [width, height] of [
        [1, 1],
        [7, 3],
        [64, 64],
        [161, 90],
        [500, 375],
      ]) {
        // biome-ignore format: one line
        for (const channels of [1, 3] as const) {
          const bytes = await jpeg({ width, height, channels }, options);
          const got = turbo!.decode(bytes, { channels: 3 })!;
          const wanted = await decodeInterleaved(bytes, { channels });
          expect([got.width, got.height, got.channels]).toEqual([width, height, channels]);
          expect(Buffer.compare(got.data, wanted.data), `${width} × ${height} × ${channels}`).toBe(0);
        }
      }
    }
  });

  it('leaves to sharp what has more channels, pixels or bytes than wanted', async () => {
    const bytes = await jpeg({ width: 20, height: 10 });
    expect(turbo!.decode(bytes, { channels: 1 })).toBeNull();
    expect(turbo!.decode(bytes, { channels: 3, maxPixels: 199 })).toBeNull();
    expect(turbo!.decode(bytes, { channels: 3, maxPixels: 200 })).not.toBeNull();
    expect(turbo!.decode(bytes, { channels: 3, maxBytes: bytes.length - 1 })).toBeNull();
  });

  it('agrees with sharp about damaged files: what it decodes, sharp decodes to the same bytes', async () => {
    const sources = [await jpeg({ width: 40, height: 30 }), await jpeg({ width: 33, height: 17 }, { progressive: true }), await jpeg({ channels: 1 })]; // biome-ignore format: one line
    const random = new Random(11);
    const seen = { decoded: 0, left: 0 };
    for (let i = 0; i < 600; i++) {
      const good = sources[random.integer(0, sources.length)];
      const damaged = Uint8Array.from(good.subarray(0, random.integer(0, 4) === 0 ? random.integer(2, good.length) : good.length)); // biome-ignore format: one line
      for (let k = random.integer(1, 4); k > 0; k--)
        damaged[random.integer(0, damaged.length)] ^= 1 << random.integer(0, 8);
      const got = turbo!.decode(damaged, { channels: 3, maxPixels: 1e6 });
      if (got === null) {
        seen.left++;
        continue;
      }
      seen.decoded++;
      const kept = Uint8Array.from(got.data);
      const wanted = await decodeInterleaved(damaged, { channels: got.channels as 1 | 3, maxPixels: 1e6 });
      expect(Buffer.compare(kept, wanted.data), `damage ${i}`).toBe(0);
    }
    expect(seen.decoded).toBeGreaterThan(100);
    expect(seen.left).toBeGreaterThan(100);
  });

  it('reads from memory that threads share, and goes on after a failure', async () => {
    const bytes = await jpeg();
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    expect(turbo!.decode(shared.subarray(0, 300), { channels: 3 })).toBeNull();
    const got = Uint8Array.from(turbo!.decode(shared, { channels: 3 })!.data);
    expect(Buffer.compare(got, (await decodeInterleaved(bytes)).data)).toBe(0);
  });
});

async function jpeg(
  { width = 48, height = 32, channels = 3 }: { width?: number; height?: number; channels?: 1 | 3 } = {},
  options: object = {},
): Promise<Buffer> {
  const random = new Random(width, height);
  const pixels = Uint8Array.from({ length: width * height * channels }, (_, i) => 128 + 90 * Math.sin(i / 17) + random.integer(0, 30)); // biome-ignore format: one line
  const picture = sharp(pixels, { raw: { width, height, channels } });
  return (channels === 1 ? picture.toColourspace('b-w') : picture).jpeg(options).toBuffer();
}

/** A plain JPEG with one EXIF segment, which holds nothing but an orientation. */
async function exifOnly(orientation: number): Promise<Uint8Array> {
  const plain = await jpeg();
  const tiff = Buffer.alloc(26);
  tiff.write('MM\0*', 0, 'latin1');
  tiff.writeUInt32BE(8, 4);
  tiff.writeUInt16BE(1, 8);
  tiff.writeUInt16BE(0x0112, 10);
  tiff.writeUInt16BE(3, 12);
  tiff.writeUInt32BE(1, 14);
  tiff.writeUInt16BE(orientation, 18);
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  const made = Buffer.concat([plain.subarray(0, 2), head, body, plain.subarray(2)]);
  expect((await sharp(made).metadata()).orientation).toBe(orientation);
  return made;
}

/**
 * The corpus of broken and hostile pictures, for whatever takes pictures from strangers: sound files of every format, what chance does to them (`mutate`), what
 * a liar does to a PNG's chunks (`lyingPng`), and what no chance would make (`crafted`): bombs, other formats under a picture's name, files of two kinds. All of it
 * is seeded: the same seed makes the same bytes.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { Random } from '../../src/data/random.js';
import { picture } from '../pictures.js';

export interface HostileFile {
  /** Unlike all others of its seed, with an ending that need not be right, and signs in it that commands may stumble over. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** Between the class of a file's name and its number. */
const oddities = ['', ' ', "'", '"', '%00', '日', '\n', '\x1b[31m', '$(x)', '-', '--top', '…', '{a}', '[b]', '!', ',', '=']; // biome-ignore format: one line
const endings = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'tif', 'avif', 'PNG', 'heic'];

export class HostilePictures {
  readonly #crafted: readonly HostileFile[];

  private constructor(
    /** All formats, grey and coloured, with alpha, animated, tiled, turned, with profiles; from 24 to 48 pixels a side. */
    readonly good: readonly Buffer[],
  ) {
    this.#crafted = Object.entries(crafted(good[0])).map(([name, bytes]) => ({ name, bytes }));
  }

  static async make(): Promise<HostilePictures> {
    return new HostilePictures(await soundPictures());
  }

  /** Other bytes, by chance: cut, flipped, overwritten with extremes, pieces moved, doubled or taken from another file. */
  mutate(bytes: Uint8Array, random: Random): Buffer {
    return mutate(bytes, random, this.good);
  }

  /** Files that no chance would make; none of them is a picture. */
  crafted(): readonly HostileFile[] {
    return this.#crafted;
  }

  /** `count` files: those crafted (at most a tenth), PNGs with lies in their chunks (a tenth), the rest by chance, half of it changed twice. */
  files(count: number, seed: number): HostileFile[] {
    const random = new Random(seed);
    const first = this.#crafted.slice(0, Math.floor(count / 10));
    const others = Array.from({ length: count - first.length }, (_, i) => {
      const name = `${random.choice(oddities)}${i}.${random.choice(endings)}`;
      if (i % 9 === 0) return { name, bytes: lyingPng(random) };
      const once = this.mutate(random.choice(this.good), random);
      return { name, bytes: random.chance(0.5) ? this.mutate(once, random) : once };
    });
    return [...first, ...others];
  }
}

async function soundPictures(): Promise<Buffer[]> {
  const good: Buffer[] = [];
  for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const) {
    good.push(await picture(good.length, { format, width: 24, height: 17 }));
    if (format !== 'avif') good.push(await picture(good.length, { format, width: 40, height: 48, channels: 1 }));
  }
  const raw = { raw: { width: 30, height: 30, channels: 4 as const } };
  const alpha = sharp(
    Uint8Array.from({ length: 3600 }, (_, i) => (i * 53) & 255),
    raw,
  );
  const frames = { raw: { width: 30, height: 30, channels: 4 as const, pageHeight: 10 } };
  const animated = sharp(
    Uint8Array.from({ length: 3600 }, (_, i) => (i * 91) & 255),
    frames,
  );
  good.push(await alpha.png().toBuffer(), await alpha.webp().toBuffer(), await animated.gif().toBuffer());
  good.push(await alpha.png({ palette: true }).toBuffer(), await alpha.jpeg({ progressive: true }).toBuffer());
  good.push(
    await alpha.toColourspace('cmyk').withIccProfile('cmyk').jpeg().withMetadata({ orientation: 6 }).toBuffer(),
  );
  good.push(await alpha.tiff({ compression: 'lzw', tile: true, tileWidth: 16, tileHeight: 16 }).toBuffer());
  return good;
}

/** `others`: whose pieces are taken. */
export function mutate(bytes: Uint8Array, random: Random, others: readonly Uint8Array[]): Buffer {
  const out = Buffer.from(bytes);
  const at = () => random.integer(0, Math.max(1, out.length));
  switch (random.integer(0, 8)) {
    case 0:
      return out.subarray(0, at());
    case 1:
      for (let k = random.integer(1, 4); k > 0; k--) out[at()] ^= 1 << random.integer(0, 8);
      return out;
    case 2:
      for (let k = random.integer(1, 9); k > 0; k--) out[at()] = random.integer(0, 256);
      return out;
    case 3: {
      // Headers stand in front: sizes and counts become extreme.
      const start = random.integer(0, Math.min(out.length, 300));
      const extreme = random.choice([[0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 0], [0xff, 0xff], [0, 1, 0, 0], [0x80, 0, 0, 0]]); // biome-ignore format: one line
      out.set(extreme.slice(0, out.length - start), start);
      return out;
    }
    case 4: {
      const [a, b] = [at(), at()].sort((x, y) => x - y);
      return Buffer.concat([out.subarray(0, b), out.subarray(a)]);
    }
    case 5: {
      const other = random.choice(others);
      return Buffer.concat([out.subarray(0, at()), other.subarray(random.integer(0, other.length))]);
    }
    case 6: {
      const [a, b] = [at(), at()].sort((x, y) => x - y);
      out.fill(random.choice([0, 255, 0x20]), a, Math.min(b, a + 64));
      return out;
    }
    default: {
      const a = at();
      return Buffer.concat([
        out.subarray(0, a),
        Buffer.alloc(random.integer(1, 40), random.integer(0, 256)),
        out.subarray(a),
      ]);
    }
  }
}

function crafted(soundJpeg: Buffer): Record<string, Buffer> {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/><image href="http://localhost:1/x"/></svg>';
  const gif = (w: number, h: number) => Buffer.concat([Buffer.from('GIF89a'), u16(w), u16(h), Buffer.from([0, 0, 0, 0x2c, 0, 0, 0, 0]), u16(w), u16(h), Buffer.from([0, 2, 0, 0x3b])]); // biome-ignore format: one line
  const jpeg = Buffer.from(soundJpeg);
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.writeUInt16BE(65_500, frame + 5);
  jpeg.writeUInt16BE(65_500, frame + 7);
  const tiff = Buffer.from('49492a0008000000040000010400010000000000010001010400010000000000010002010300010000000800000011010400010000000800000000000000', 'hex'); // biome-ignore format: one line
  return {
    'empty.jpg': Buffer.alloc(0),
    'zero.png': Buffer.alloc(5000),
    'text.png': Buffer.from('hello'),
    'vector.png': Buffer.from(svg),
    'page.jpg': Buffer.from('<!doctype html><script>alert(1)</script>'),
    'gif-vector.gif': Buffer.from(`GIF89a${svg}`),
    'bomb.png': pngOf(60_000, 60_000),
    'bomb-thin.png': pngOf(2_147_483_647, 1),
    'bomb-none.png': pngOf(0, 0),
    'bomb.gif': gif(65_535, 65_535),
    'bomb.jpg': jpeg,
    'bomb.tif': tiff,
    'thread.png': pngOf(900_000, 1),
    'pdf.jpg': Buffer.from('%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>'),
    'zip.webp': Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(60), Buffer.from('PK\x05\x06'), Buffer.alloc(18)]), // biome-ignore format: one line
    'signature.avif': Buffer.from('\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B', 'latin1'),
    'riff.webp': Buffer.from('RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\xff\xff\xff\xff', 'latin1'),
    'jpeg-then-nothing.jpg': Buffer.from([0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff]),
  };
}

/** A sound picture that goes on as something else, or carries far more than it shows: a decoder may take it, and must not suffer from it. */
export function polyglots(good: readonly Buffer[]): HostileFile[] {
  const script = Buffer.from('<?php system($_GET["c"]); ?><script>alert(1)</script>');
  const [png] = good.filter((bytes) => bytes[0] === 0x89);
  const afterHead = (...more: Buffer[]) => Buffer.concat([png.subarray(0, 33), ...more, png.subarray(33)]);
  const zeros = deflateSync(Buffer.alloc(40_000_000));
  return [
    { name: 'and-script.jpg', bytes: Buffer.concat([good[0], script]) },
    { name: 'and-picture.jpg', bytes: Buffer.concat([good[0], ...good]) },
    { name: 'and-script.gif', bytes: Buffer.concat([good.find((bytes) => bytes[0] === 0x47)!, script]) },
    { name: 'notes.png', bytes: afterHead(chunk('tEXt', Buffer.concat([Buffer.from('Comment\0'), script]))) },
    { name: 'unpacks-notes.png', bytes: afterHead(chunk('zTXt', Buffer.concat([Buffer.from('a\0\0'), zeros]))) },
    { name: 'unpacks-profile.png', bytes: afterHead(chunk('iCCP', Buffer.concat([Buffer.from('a\0\0'), zeros]))) },
  ];
}

function u16(value: number): Buffer {
  const out = Buffer.alloc(2);
  out.writeUInt16LE(value);
  return out;
}

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);

function chunk(kind: string, data: Uint8Array, length = data.length): Buffer {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(length);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

function head(width: number, height: number, ...rest: number[]): Buffer {
  const out = Buffer.alloc(13);
  out.writeUInt32BE(width);
  out.writeUInt32BE(height, 4);
  out.set(rest, 8);
  return chunk('IHDR', out);
}

/** Says that it has so many pixels; has next to none. */
function pngOf(width: number, height: number): Buffer {
  const data = Buffer.from('789c6360000000020001', 'hex');
  return Buffer.concat([signature, head(width, height, 8, 2), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

/** A small PNG in which one thing is not as the others say, with right checksums: mutations by chance seldom get past those. */
export function lyingPng(random: Random): Buffer {
  const [width, height] = [random.integer(1, 30), random.integer(1, 30)];
  const colours = random.choice([0, 2, 3, 4, 6, 6, 2]);
  const bytes = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[colours]!;
  const rows = Buffer.alloc(height * (1 + width * bytes));
  for (let i = 0; i < rows.length; i++) rows[i] = i % (1 + width * bytes) === 0 ? 0 : random.integer(0, 256);
  const end = chunk('IEND', Buffer.alloc(0));
  const palette = chunk('PLTE', Buffer.alloc(3 * random.integer(1, 257), 77));
  const pixels = (data: Buffer = rows) => chunk('IDAT', deflateSync(data, { level: 1 }));
  const made = (...chunks: Buffer[]) => Buffer.concat([signature, ...chunks]);
  const own = head(width, height, 8, colours, 0, 0, 0);
  switch (random.integer(0, 12)) {
    case 0: // other depth, colours, interlacing or methods than the rows have
      return made(head(width, height, random.choice([0, 1, 2, 4, 8, 16, 255]), random.integer(0, 8), random.integer(0, 2), random.integer(0, 2), random.integer(0, 3)), pixels(), end); // biome-ignore format: one line
    case 1: // more or fewer rows than there are
      return made(head(width, height + random.integer(-height, 2000), 8, colours, 0, 0, 0), palette, pixels(), end);
    case 2: // colours of a palette that is missing, or too short
      return made(head(width, height, 8, 3, 0, 0, 0), ...(random.chance(0.5) ? [] : [chunk('PLTE', Buffer.alloc(random.integer(0, 8)))]), pixels(), end); // biome-ignore format: one line
    case 3: // a chunk that says it is longer
      return made(own, palette, chunk('tEXt', Buffer.from('a\0b'), random.choice([2 ** 32 - 1, 2 ** 31 - 1, 70_000, 1])), pixels(), end); // biome-ignore format: one line
    case 4:
      return made(own, own, palette, palette, pixels(), pixels(), end, end);
    case 5: // no pixels
      return made(own, palette, ...(random.chance(0.5) ? [chunk('IDAT', Buffer.alloc(0))] : []), end);
    case 6: // pixels that do not unpack
      return made(own, palette, chunk('IDAT', Buffer.from(rows.subarray(0, 200))), end);
    case 7: // pixels that stop, or go on for a million bytes
      return made(own, palette, pixels(random.chance(0.5) ? rows.subarray(0, rows.length >> 1) : Buffer.alloc(1 << 20, rows)), end); // biome-ignore format: one line
    case 8: // filters that do not exist
      return made(own, palette, pixels(Buffer.from(rows.map((x, i) => (i % (1 + width * bytes) === 0 ? 9 : x)))), end);
    case 9: // no end, and a critical chunk that nobody knows
      return made(own, palette, random.chance(0.5) ? chunk('QQQQ', Buffer.alloc(9)) : Buffer.alloc(0), pixels());
    case 10: // transparency and background of another kind
      return made(own, palette, chunk('tRNS', Buffer.alloc(random.integer(0, 300))), chunk('bKGD', Buffer.alloc(random.integer(0, 9))), pixels(), end); // biome-ignore format: one line
    default: // a profile, an orientation or a frame count that is nonsense
      return made(own, chunk('iCCP', Buffer.from('a\0\0zzzz')), chunk('eXIf', Buffer.from('MM\0*\xff\xff\xff\xff', 'latin1')), chunk('acTL', Buffer.alloc(8, 255)), palette, pixels(), end); // biome-ignore format: one line
  }
}

/** A tar archive of these files, in order. */
export async function tarOf(
  files: Iterable<{ readonly name: string; readonly bytes: Uint8Array }>,
  more: (archive: ReturnType<typeof pack>) => void = () => {},
): Promise<Buffer> {
  // biome-ignore format: one line
  const archive = pack();
  for (const { name, bytes } of files) archive.entry({ name }, Buffer.from(bytes));
  more(archive);
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/**
 * In `folder`, under names of pictures: folders, links that lead nowhere, to themselves, in circles and to `outside`, and where the system has them a pipe that
 * nobody writes to and a name that is no UTF-8. Returns the names that a walk through the folder may give as files.
 */
export function makeTraps(folder: string, outside: string): string[] {
  mkdirSync(join(folder, 'folder.jpg'), { recursive: true });
  symlinkSync('nowhere.png', join(folder, 'dangling.png'));
  symlinkSync('self.png', join(folder, 'self.png'));
  symlinkSync('.', join(folder, 'circle'));
  symlinkSync('..', join(folder, 'folder.jpg', 'up'));
  symlinkSync(outside, join(folder, 'outside.png'));
  symlinkSync(join(outside, '..'), join(folder, 'outside'));
  if (process.platform === 'win32') return [];
  execFileSync('mkfifo', [join(folder, 'pipe.png')]);
  if (process.platform !== 'linux') return [];
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe, 0x80]), Buffer.from('.png')]), 'x');
  return ['���.png'];
}

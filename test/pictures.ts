/** Pictures for tests: photo-like and seeded, in any format, in folders that go away again. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { onTestFinished } from 'vitest';
import { Random } from '../src/data/random.js';

export interface PictureOptions {
  width?: number;
  height?: number;
  format?: 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';
  channels?: 1 | 3;
}

/** Waves and noise, interleaved: [height, width, channels]. */
export function pixels(seed: number, { width = 40, height = 30, channels = 3 }: PictureOptions = {}): Uint8Array {
  const random = new Random(seed);
  const waves = Array.from({ length: 6 }, () => ({
    x: random.uniform(-0.3, 0.3),
    y: random.uniform(-0.3, 0.3),
    phase: random.uniform(0, 6.28),
    colour: [random.uniform(-30, 30), random.uniform(-30, 30), random.uniform(-30, 30)],
  }));
  const out = new Uint8Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const [y, x] = [Math.floor(i / width), i % width];
    for (let c = 0; c < channels; c++) {
      const sum = waves.reduce((total, w) => total + w.colour[c] * Math.sin(w.x * x + w.y * y + w.phase), 128);
      out[i * channels + c] = Math.max(0, Math.min(255, Math.round(sum + random.uniform(-8, 8))));
    }
  }
  return out;
}

/** The bytes of a file. */
export async function picture(seed: number, options: PictureOptions = {}): Promise<Buffer> {
  const { width = 40, height = 30, channels = 3, format = 'png' } = options;
  return sharp(pixels(seed, options), { raw: { width, height, channels } }).toFormat(format).toBuffer();
}

/** A folder with these files, by their names in it; removed when the test is over. */
export function folderOf(files: Readonly<Record<string, Uint8Array | string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-pictures-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** `count` pictures in each class: `a/0.png` … */
export async function classFolders(
  classes: Readonly<Record<string, number>>,
  options: PictureOptions = {},
): Promise<Record<string, Buffer>> {
  const files: Record<string, Buffer> = {};
  let seed = 1;
  for (const [name, count] of Object.entries(classes)) {
    for (let i = 0; i < count; i++) files[`${name}/${i}.${options.format ?? 'png'}`] = await picture(seed++, options);
  }
  return files;
}

/**
 * Photo-like JPEGs to measure with: smooth random fields of colour and noise, seeded. `node bench/make-pictures.mjs FOLDER [COUNT] [WIDTH] [HEIGHT]`
 * writes COUNT (400) pictures of 500 × 375 at quality 85 into two folders of classes. One takes about 60 kB, as photographs of that size do.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const [folder, count = 400, width = 500, height = 375] = process.argv.slice(2).map((x, i) => (i === 0 ? x : Number(x)));
if (folder === undefined) throw new Error('usage: node bench/make-pictures.mjs FOLDER [COUNT] [WIDTH] [HEIGHT]');

for (const name of ['a', 'b']) mkdirSync(join(folder, name), { recursive: true });
for (let i = 0; i < count; i++) {
  const data = field(i + 1);
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 85 })
    .toBuffer();
  writeFileSync(join(folder, 'ab'[i % 2], `${i}.jpg`), jpeg);
}

function field(seed) {
  const random = generator(seed);
  const waves = Array.from({ length: 10 }, () => {
    const scale = 2 ** -(3 + 5 * random());
    const turn = 2 * Math.PI * random();
    const colour = Array.from({ length: 3 }, () => 45 * (random() - 0.5));
    return { x: scale * Math.cos(turn), y: scale * Math.sin(turn), phase: 7 * random(), colour };
  });
  const out = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      const noise = 14 * (random() + random() - 1);
      let [r, g, b] = [128 + noise, 128 + noise, 128 + noise];
      for (const wave of waves) {
        const v = Math.sin(wave.x * x + wave.y * y + wave.phase);
        r += v * wave.colour[0];
        g += v * wave.colour[1];
        b += v * wave.colour[2];
      }
      out[at] = Math.max(0, Math.min(255, r));
      out[at + 1] = Math.max(0, Math.min(255, g));
      out[at + 2] = Math.max(0, Math.min(255, b));
    }
  }
  return out;
}

/** Marsaglia's xorshift of 32 bits. */
function generator(seed) {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fnv1a, words } from '../../test/golden/counter.js';
import { preprocessing } from '../models/index.js';
import { preprocess } from './preprocess.js';
import { centerCrop, type Planes, type ResizeFilter, resize } from './resize.js';

interface Case {
  readonly from: readonly [number, number];
  readonly filter: ResizeFilter;
  readonly shape: readonly [number, number, number];
  readonly hash: number;
  readonly first: readonly number[];
}

/** Made by Pillow and torchvision: see resize.py. */
const golden: {
  readonly resize: readonly (Case & { to: [number, number] })[];
  readonly preprocess: readonly (Case & { resize: number; crop: number })[];
} = JSON.parse(readFileSync(new URL('../../test/golden/data/resize.json', import.meta.url), 'utf8'));

function picture(height: number, width: number): Planes {
  const data = Uint8Array.from(words(`picture ${height}x${width}`, 3 * height * width), (word) => word >>> 24);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width >> 1; x++) {
        const smooth = Math.floor((x * 255) / width) + Math.floor((y * 255) / height);
        data[(c * height + y) * width + x] = smooth >> 1;
      }
    }
  }
  return { data, shape: [3, height, width] };
}

describe('resize', () => {
  it.each(golden.resize.map((c) => [`${c.from.join(' × ')} → ${c.to.join(' × ')} ${c.filter}`, c] as const))(
    'gives the bytes of Pillow: %s',
    (_, { from, to, filter, shape, hash, first }) => {
      const made = resize(picture(...from), ...to, filter);
      expect([made.shape, [...made.data.slice(0, 6)], fnv1a(made.data)]).toEqual([shape, first, hash]);
    },
  );

  it('refuses sizes that make no sense', () => {
    expect(() => resize(picture(4, 4), 0, 3)).toThrow('whole and positive, not 0');
  });
});

describe('preprocess', () => {
  it.each(golden.preprocess.map((c) => [`${c.from.join(' × ')} → ${c.resize} → ${c.crop} ${c.filter}`, c] as const))(
    "gives the bytes of torchvision's Resize and CenterCrop: %s",
    (_, { from, resize, crop, filter, shape, hash }) => {
      const made = preprocess(picture(...from), preprocessing(crop, { resize, interpolation: filter }));
      expect([made.shape, fnv1a(made.data)]).toEqual([shape, hash]);
    },
  );

  it('shows a grey picture to a model of colours', () => {
    const grey: Planes = { data: Uint8Array.of(10, 20, 30, 40), shape: [1, 2, 2] };
    const made = preprocess(grey, preprocessing(2, { resize: 2 }));
    expect({ ...made, data: [...made.data] }).toEqual({
      shape: [3, 2, 2],
      data: [10, 20, 30, 40, 10, 20, 30, 40, 10, 20, 30, 40],
    });
    const two: Planes = { data: new Uint8Array(8), shape: [2, 2, 2] };
    expect(() => preprocess(two, preprocessing(2, { resize: 2 }))).toThrow('a picture of 2 channels for weights of 3');
  });
});

describe('centerCrop', () => {
  it('sets a smaller picture in black', () => {
    const made = centerCrop({ data: Uint8Array.of(1, 2, 3, 4), shape: [1, 2, 2] }, 3, 5);
    expect([...made.data]).toEqual([0, 1, 2, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0]);
  });
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fnv1a, words } from '../../test/golden/counter.js';
import { withoutSimd } from '../../test/without-simd.js';
import { preprocessing } from '../models/index.js';
import { preprocess } from './preprocess.js';
import {
  type Box,
  centerCrop,
  type Planes,
  type ResizeFilter,
  resize,
  resizeAndCrop,
  resizeBox,
  resizedSize,
  resizeInterleaved,
} from './resize.js';

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
  readonly preprocess: readonly (Case & { filter: 'bilinear' | 'bicubic'; resize: number; crop: number })[];
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

function cropped({ data, shape: [channels, h, w] }: Planes, { top, left, height, width }: Box): Planes {
  const out = new Uint8Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const row = (c * h + top + y) * w + left;
      out.set(data.subarray(row, row + width), (c * height + y) * width);
    }
  }
  return { data: out, shape: [channels, height, width] };
}

function interleaved({ data, shape: [channels, height, width] }: Planes) {
  const plane = height * width;
  const bytes = Uint8Array.from(
    { length: data.length },
    (_, i) => data[(i % channels) * plane + Math.floor(i / channels)],
  );
  return { data: bytes, channels, height, width };
}

describe('resize of a part', () => {
  const filters = ['nearest', 'bilinear', 'bicubic'] as const;
  // Sizes on both sides of the blocks of 8, 16 and 32 in which the kernel works, reduced and enlarged.
  const [numbers, count] = [words('boxes', 40 * 12), 40];
  const cases = Array.from({ length: count }, (_, i) => {
    const draw = (k: number, below: number) => numbers[i * 12 + k] % below;
    const [height, width] = [1 + draw(0, 75), 1 + draw(1, 75)];
    const [toHeight, toWidth] = [1 + draw(2, 70), 1 + draw(3, 70)];
    const inside = (h: number, w: number, k: number): Box => {
      const [top, left] = [draw(k, h), draw(k + 1, w)];
      return { top, left, height: 1 + draw(k + 2, h - top), width: 1 + draw(k + 3, w - left) };
    };
    const box = inside(height, width, 4);
    const window = inside(toHeight, toWidth, 8);
    return { height, width, toHeight, toWidth, box, window, filter: filters[i % 3] };
  });

  it.each(cases)('is that of the part cut out, and its window is cut out of that: %o', (c) => {
    const whole = picture(c.height, c.width);
    const expected = cropped(resize(cropped(whole, c.box), c.toHeight, c.toWidth, c.filter), c.window);
    expect(resizeBox(whole, c.box, c.toHeight, c.toWidth, c.filter, c.window)).toEqual(expected);
    expect(resizeInterleaved(interleaved(whole), c.box, c.toHeight, c.toWidth, c.filter, c.window)).toEqual(expected);
  });

  it.each([1, 2, 4])('takes %i interleaved channels', (channels) => {
    const planes = { data: picture(30, 40).data.slice(0, channels * 900), shape: [channels, 30, 30] as const };
    const four =
      channels === 4
        ? { data: Uint8Array.from(words('four', 3600), (w) => w & 255), shape: [4, 30, 30] as const }
        : planes;
    expect(resizeInterleaved(interleaved(four), null, 17, 21)).toEqual(resize(four, 17, 21));
  });

  it('is the same without SIMD', () =>
    withoutSimd(async () => {
      const without = await import('./resize.js');
      for (const { height, width, toHeight, toWidth, box, window, filter } of cases) {
        const args = [box, toHeight, toWidth, filter, window] as const;
        const whole = picture(height, width);
        expect(without.resizeBox(whole, ...args)).toEqual(resizeBox(whole, ...args));
        expect(without.resizeInterleaved(interleaved(whole), ...args)).toEqual(resizeBox(whole, ...args));
      }
    }));

  it('gives back the bytes themselves at their own size', () => {
    const whole = picture(37, 41);
    for (const filter of filters) expect(resize(whole, 37, 41, filter)).toEqual(whole);
  });

  it('refuses parts that are not in the picture, and bytes that are not the shape', () => {
    const part = { top: 1, left: 0, height: 4, width: 2 };
    expect(() => resizeBox(picture(4, 5), part, 3, 3)).toThrow(
      'resize: box 4 × 2 at (1, 0) does not lie in a picture of 4 × 5',
    );
    expect(() => resizeBox(picture(4, 5), null, 3, 3, 'bilinear', part)).toThrow('window 4 × 2 at (1, 0)');
    const thread = { data: new Uint8Array(3 * 16000), shape: [3, 1, 16000] as const };
    expect(() => resize(thread, ...resizedSize(1, 16000, 256))).toThrow(
      'resize: 1 × 16000 would become 256 × 4096000, more than 512 MiB; crop it first',
    );
    expect(resizeAndCrop(thread, 256, [224, 224]).shape).toEqual([3, 224, 224]);
    expect(() => resize({ data: new Uint8Array(11), shape: [3, 2, 2] }, 1, 1)).toThrow(
      'resize: a picture of 3 × 2 × 2 (C H W) has 12 bytes and at least 1; got 11',
    );
  });
});

describe('resizeAndCrop', () => {
  it.each([
    [40, 61, 30, [24, 27]],
    [61, 40, [33, 35], [20, 35]],
    [20, 30, 20, [28, 33]], // both sides larger than the picture, one
    [20, 30, 10, [15, 12]],
  ] as const)('is resize and centerCrop of %i × %i: to %o, of that %o', (height, width, size, crop) => {
    const whole = picture(height, width);
    const expected = centerCrop(resize(whole, ...resizedSize(height, width, size)), crop[0], crop[1]);
    expect(resizeAndCrop(whole, size, crop)).toEqual(expected);
    expect(resizeAndCrop(interleaved(whole), size, crop)).toEqual(expected);
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

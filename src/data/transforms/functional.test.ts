import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { filled, words } from '../../../test/golden/counter.js';
import { ConfigError } from '../../util/errors.js';
import type { Planes } from '../resize.js';
import * as functional from './functional.js';

type Shape = readonly [channels: number, height: number, width: number];
interface Case {
  readonly picture: Shape;
  readonly name: string;
  readonly args: readonly unknown[];
  readonly shape: Shape;
  readonly data: string;
}

/** Made by torchvision: see transforms.py. */
const golden: readonly Case[] = JSON.parse(
  readFileSync(new URL('../../../test/golden/data/transforms.json', import.meta.url), 'utf8'),
);

function picture([channels, height, width]: Shape): Planes {
  const noise = words(`picture ${channels}x${height}x${width}`, channels * height * width);
  const data = Uint8Array.from(noise, (word) => word >>> 24);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width >> 1; x++) {
        const smooth = (Math.floor((x * 255) / width) + Math.floor((y * 255) / height)) >> 1;
        data[(c * height + y) * width + x] = (smooth + 40 * c) % 256;
      }
    }
  }
  return { data, shape: [channels, height, width] };
}

function apply({ picture: shape, name, args }: Case): Planes {
  const field = filled(`displacement ${shape[1]}x${shape[2]}`, [1, shape[1], shape[2], 2], { scale: 0.3 });
  const all = name === 'elastic' ? [field, ...args] : args;
  return (functional as unknown as Record<string, (p: Planes, ...args: unknown[]) => Planes>)[name](
    picture(shape),
    ...all,
  );
}

interface Difference {
  /** Bytes that are not the same, and those of them that are more than 1 away. */
  off: number;
  far: number;
  of: number;
}

function differences(cases: readonly Case[]): Difference {
  const found = { off: 0, far: 0, of: 0 };
  for (const c of cases) {
    const made = apply(c);
    const wanted = Buffer.from(c.data, 'base64');
    expect([c, made.shape]).toEqual([c, c.shape]);
    for (const [i, x] of wanted.entries()) {
      const apart = Math.abs(x - made.data[i]);
      if (apart > 0) found.off++;
      if (apart > 1) found.far++;
    }
    found.of += wanted.length;
  }
  return found;
}

/** Computed in float32 there and in part in float64 here: what lies between two bytes, or at a half, can fall to either side. */
const rounded = ({ name, args }: Case) =>
  ['adjustHue', 'gaussianBlur', 'elastic'].includes(name) || JSON.stringify(args).includes('bilinear');

describe("functional gives torchvision's bytes", () => {
  const groups = new Map<string, Case[]>();
  for (const c of golden) {
    const name = rounded(c) ? `${c.name}, rounded` : c.name;
    groups.set(name, [...(groups.get(name) ?? []), c]);
  }

  it('for every function', () => {
    const others = ['fiveCrop', 'tenCrop', 'resize', 'resizedCrop', 'resizeShorterSide', 'perspectiveCoefficients'];
    const tested = new Set([...golden.map((c) => c.name), ...others]);
    expect(Object.keys(functional).filter((name) => !tested.has(name))).toEqual([]);
  });

  it.each([...groups])('%s', (name, cases) => {
    const { off, far, of } = differences(cases);
    if (!name.endsWith('rounded')) expect(off).toBe(0);
    expect(far).toBe(0);
    expect(off / of).toBeLessThan(0.005);
  });
});

const noise = (shape: Shape): Planes => ({
  data: Uint8Array.from(words(`noise ${shape}`, shape[0] * shape[1] * shape[2]), (w) => w >>> 24),
  shape,
});
const {
  affine,
  crop,
  elastic,
  erase,
  fiveCrop,
  gaussianBlur,
  horizontalFlip,
  pad,
  perspective,
  resizedCrop,
  rotate,
  tenCrop,
  verticalFlip,
} = functional;

describe('functional', () => {
  const shapes: Shape[] = [
    [3, 8, 8],
    [1, 5, 9],
    [2, 6, 1],
    [4, 1, 1],
  ];

  it.each(shapes)('a quarter turn is the transposed picture flipped: %i × %i × %i', (...shape) => {
    const picture = noise(shape);
    const [channels, height, width] = shape;
    const transposed = new Uint8Array(picture.data.length);
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++)
          transposed[(c * width + x) * height + y] = picture.data[(c * height + y) * width + x];
      }
    }
    const turned: Planes = { data: transposed, shape: [channels, width, height] };
    for (const interpolation of ['nearest', 'bilinear'] as const) {
      expect(rotate(picture, 90, { expand: true, interpolation })).toEqual(verticalFlip(turned));
      expect(rotate(picture, -90, { expand: true, interpolation })).toEqual(horizontalFlip(turned));
      expect(rotate(picture, 540, { interpolation })).toEqual(horizontalFlip(verticalFlip(picture)));
    }
  });

  it.each(shapes)('nothing moves where nothing is asked: %i × %i × %i', (...shape) => {
    const picture = noise(shape);
    const [, height, width] = shape;
    const corners = [
      [0, 0],
      [10, 0],
      [10, 7],
      [0, 7],
    ] as const;
    for (const interpolation of ['nearest', 'bilinear'] as const) {
      expect(rotate(picture, 360)).toEqual(picture);
      expect(affine(picture, { interpolation, fill: 9 })).toEqual(picture);
      expect(perspective(picture, corners, corners, { interpolation, fill: 9 })).toEqual(picture);
      expect(elastic(picture, new Float32Array(2 * height * width), { interpolation, fill: 9 })).toEqual(picture);
    }
    expect(pad(picture, { left: 0, top: 0, right: 0, bottom: 0 })).toEqual(picture);
    expect(horizontalFlip(horizontalFlip(picture))).toEqual(picture);
    expect(verticalFlip(verticalFlip(picture))).toEqual(picture);
    expect(gaussianBlur(picture, 1)).toEqual(picture);
    expect(resizedCrop(picture, { top: 0, left: 0, height, width }, [height, width])).toEqual(picture);
  });

  it.each(['constant', 'edge', 'reflect', 'symmetric'] as const)(
    'the picture lies in the middle of what %s pads',
    (mode) => {
      for (const shape of shapes) {
        const [, height, width] = shape;
        const padded = pad(noise(shape), { left: 11, top: 3, right: 2, bottom: 14 }, { mode });
        expect(padded.shape).toEqual([shape[0], height + 17, width + 13]);
        expect(crop(padded, { top: 3, left: 11, height, width })).toEqual(noise(shape));
      }
    },
  );

  it('a translation by whole pixels is a crop', () => {
    const picture = noise([3, 9, 11]);
    const moved = crop(picture, { top: -2, left: 3, height: 9, width: 11 });
    for (const interpolation of ['nearest', 'bilinear'] as const) {
      expect(affine(picture, { translate: [-3, 2], interpolation })).toEqual(moved);
    }
  });

  it('a reflection goes on beyond the picture, where PyTorch would refuse', () => {
    const row = { data: Uint8Array.of(1, 2, 3), shape: [1, 1, 3] as const };
    const sides = { left: 5, right: 5, top: 0, bottom: 0 };
    expect([...pad(row, sides, { mode: 'reflect' }).data]).toEqual([2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2]);
    expect([...pad(row, sides, { mode: 'symmetric' }).data]).toEqual([2, 3, 3, 2, 1, 1, 2, 3, 3, 2, 1, 1, 2]);
  });

  it('five crops are the corners and the middle, ten those of the flipped picture too', () => {
    const picture = noise([1, 6, 8]);
    const at = (top: number, left: number) => crop(picture, { top, left, height: 4, width: 3 });
    const five = [at(0, 0), at(0, 5), at(2, 0), at(2, 5), at(1, 2)]; // (8 − 3) / 2 rounds to even
    expect(fiveCrop(picture, [4, 3])).toEqual(five);
    expect(tenCrop(picture, [4, 3])).toEqual([...five, ...fiveCrop(horizontalFlip(picture), [4, 3])]);
    expect(tenCrop(picture, [4, 3], { vertical: true }).slice(5)).toEqual(fiveCrop(verticalFlip(picture), [4, 3]));
    expect(() => fiveCrop(picture, [7, 3])).toThrow('fiveCrop: 7 × 3 is larger than the picture, 6 × 8');
  });

  it('erases to bytes of a shape', () => {
    const part = Uint8Array.of(1, 2, 3, 4);
    const erased = erase({ data: new Uint8Array(9), shape: [1, 3, 3] }, { top: 1, left: 1, height: 2, width: 2 }, part);
    expect([...erased.data]).toEqual([0, 0, 0, 0, 1, 2, 0, 3, 4]);
  });

  it.each<[string, () => unknown, string]>([
    [
      'pad',
      () => pad(noise([1, 2, 2]), { left: -2, top: 0, right: 0, bottom: 0 }),
      'pad: nothing of 2 × 2 is left: 2 × 0',
    ],
    ['fill', () => rotate(noise([3, 4, 4]), 10, { fill: [1, 2] }), 'fill has 2 values for 3 channels; it takes 1 or 3'],
    ['fill', () => rotate(noise([3, 4, 4]), 10, { fill: 300 }), 'fill is from 0 to 255, not 300'],
    [
      'posterize',
      () => functional.posterize(noise([1, 2, 2]), 9),
      'posterize: bits is a whole number from 0 to 8, not 9',
    ],
    ['hue', () => functional.adjustHue(noise([3, 2, 2]), 0.6), 'adjustHue: factor is from −0.5 to 0.5, not 0.6'],
    [
      'channels',
      () => functional.adjustHue(noise([2, 2, 2]), 0),
      'adjustHue: pictures have 1 channel or 3, this has 2',
    ],
    [
      'factor',
      () => functional.adjustBrightness(noise([3, 2, 2]), -1),
      'adjustBrightness: factor is not negative, not -1',
    ],
    ['blur', () => gaussianBlur(noise([3, 2, 2]), 4), 'gaussianBlur: kernelSize is odd and positive, not 4'],
    [
      'elastic',
      () => elastic(noise([1, 2, 2]), [0]),
      'a displacement of 1 numbers for 2 × 2 pixels, which have 2 each: 8',
    ],
    [
      'perspective',
      () =>
        perspective(
          noise([1, 2, 2]),
          [
            [0, 0],
            [1, 0],
            [1, 1],
            [0, 1],
          ],
          [
            [0, 0],
            [1, 0],
            [2, 0],
            [0, 1],
          ],
        ),
      'perspective: three of the four points lie on one line',
    ],
  ])('says what is wrong: %s', (_, call, message) => {
    expect(call).toThrow(ConfigError);
    expect(call).toThrow(message);
  });
});

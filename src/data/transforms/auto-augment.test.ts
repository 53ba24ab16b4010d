import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fnv1a, words } from '../../../test/golden/counter.js';
import { Random } from '../random.js';
import type { Planes } from '../resize.js';
import { autoAugment, type PictureTransform, randAugment, trivialAugmentWide } from './index.js';

interface Operation {
  readonly name: string;
  readonly magnitude: number;
  readonly sign: 1 | -1;
  readonly hash: number;
}

/** Made by torchvision: see transforms.py. */
const golden: Record<'randAugment' | 'trivialAugmentWide', readonly Operation[]> = JSON.parse(
  readFileSync(new URL('../../../test/golden/data/auto-augment.json', import.meta.url), 'utf8'),
);

/** The picture of transforms.py with C H W = 3 × 13 × 17. */
function picture(): Planes {
  const [channels, height, width] = [3, 13, 17];
  const data = Uint8Array.from(words('picture 3x13x17', channels * height * width), (word) => word >>> 24);
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

/** Chance that chooses as told: this of a list, this number, this side of a coin. */
class Told extends Random {
  constructor(
    readonly name: string,
    readonly number: number,
    readonly sign: 1 | -1,
  ) {
    super(0);
  }
  override choice<T>(list: readonly T[]): T {
    const found = list.find((item) => String(item).toLowerCase() === this.name.toLowerCase());
    if (found === undefined) throw new Error(`${this.name} is not in ${list}`);
    return found;
  }
  override integer(): number {
    return this.number;
  }
  override chance(): boolean {
    return this.sign < 0;
  }
}

describe.each([
  ['randAugment', (magnitude: number) => randAugment({ numOps: 1, magnitude })],
  ['trivialAugmentWide', () => trivialAugmentWide()],
] as const)("%s: torchvision's bytes", (policy, made: (magnitude: number) => PictureTransform) => {
  it.each(golden[policy])('$name at $magnitude, sign $sign', ({ name, magnitude, sign, hash }) => {
    const { data } = made(magnitude).apply(picture(), new Told(name, magnitude, sign));
    expect(fnv1a(data)).toBe(hash);
  });
});

it.each(['imagenet', 'cifar10'] as const)('autoAugment %s uses all of its 25 pairs', (policy) => {
  const sizes = new Set<number>();
  const chosen = new Set<unknown>();
  class Watched extends Random {
    override choice<T>(list: readonly T[]): T {
      const item = super.choice(list);
      sizes.add(list.length);
      chosen.add(item);
      return item;
    }
  }
  for (let i = 0; i < 400; i++) autoAugment({ policy }).apply(picture(), new Watched(1, 1, i));
  expect([...sizes]).toEqual([25]);
  expect(chosen.size).toBe(25);
});

import { describe, expect, it } from 'vitest';
import { words } from '../../../test/golden/counter.js';
import { ConfigError } from '../../util/errors.js';
import { Random } from '../random.js';
import type { Planes } from '../resize.js';
import {
  averageViews,
  fromJson,
  functional,
  type PresetName,
  pipeline,
  presetOf,
  presets,
  toJson,
  tta,
} from './index.js';

const noise = (channels: number, height: number, width: number): Planes => ({
  data: Uint8Array.from(words(`noise ${height}`, channels * height * width), (w) => w >>> 24),
  shape: [channels, height, width],
});
const names = Object.keys(presets) as PresetName[];

describe('presets', () => {
  it.each(names)('%s: pictures of any size and colour come out at the size, the same from JSON', (name) => {
    for (const size of [28, [40, 24], 80] as const) {
      const list = presets[name](size);
      const again = fromJson(JSON.parse(JSON.stringify(toJson(list))));
      const [height, width] = typeof size === 'number' ? [size, size] : size;
      for (const picture of [noise(1, height, width), noise(3, height + 13, width + 4), noise(3, 20, 33)]) {
        const made = pipeline(list).apply(picture, new Random(1, 2, 3));
        expect(made.shape).toEqual([picture.shape[0], height, width]);
        expect(pipeline(again).apply(picture, new Random(1, 2, 3))).toEqual(made);
      }
    }
  });

  it.each(names)('%s: draws nothing, or something else for each picture', (name) => {
    const list = pipeline(presets[name](32));
    const results = Array.from({ length: 12 }, (_, i) => list.apply(noise(3, 32, 32), new Random(1, 1, i)).data.join());
    if (name === 'none') expect(new Set(results).size).toBe(1);
    else expect(new Set(results).size).toBeGreaterThan(8);
  });

  it('flips unless told otherwise', () => {
    for (const name of names) {
      const flips = (flip?: boolean) =>
        presets[name](32, { ...(flip !== undefined && { flip }) }).some((t) => t.name === 'randomHorizontalFlip');
      expect([flips(), flips(true), flips(false)]).toEqual(
        name === 'none' ? [false, false, false] : [true, true, false],
      );
    }
  });

  it('small pictures are shifted in a padded frame, by an eighth of their side', () => {
    expect(toJson(presets.light(32)).map((t) => t.name)).toEqual([
      'resize',
      'centerCrop',
      'randomCrop',
      'randomHorizontalFlip',
    ]);
    expect(toJson(presets.light(32))[2].options.padding).toEqual([4, 4, 4, 4]);
    expect(toJson(presets.light(96)).map((t) => t.name)).toEqual(['randomResizedCrop', 'randomHorizontalFlip']);
  });

  it('knows its names', () => {
    expect(presetOf('light')).toBe(presets.light);
    expect(() => presetOf('lihgt')).toThrow(ConfigError);
    expect(() => presetOf('lihgt')).toThrow(
      "there is no preset 'lihgt' of transforms. Did you mean 'light'? They are none, light, standard, rand, trivial, auto",
    );
  });
});

describe('tta', () => {
  const picture = noise(3, 32, 24);

  it.each([
    ['identity', 1],
    ['flip', 2],
    ['fiveCrop', 5],
    ['tenCrop', 10],
  ] as const)('%s: %i views of the shape of the picture, all different', (views, count) => {
    const made = tta(picture, views);
    expect(made.map((view) => view.shape)).toEqual(new Array(count).fill([3, 32, 24]));
    expect(new Set(made.map((view) => view.data.join())).size).toBe(count);
  });

  it('shows the picture itself and its mirror image', () => {
    expect(tta(picture)).toEqual([picture, functional.horizontalFlip(picture)]);
  });

  it('cuts crops of a size out of a larger picture', () => {
    expect(tta(picture, 'tenCrop', { crop: [20, 20] })).toEqual(functional.tenCrop(picture, [20, 20]));
    expect(tta(picture, 'identity', { crop: [20, 20] })).toEqual([functional.centerCrop(picture, 20, 20)]);
  });

  it('averages the rows of each picture', () => {
    const rows = [1, 2, 3, 4, 5, 6, /**/ 0, 0, 6, 0, 0, 3];
    expect([...averageViews(rows, 3, 2)]).toEqual([3, 4, 2, 1]);
    expect(() => averageViews(rows, 5, 2)).toThrow('averageViews: 12 numbers are no whole number of pictures of 5 × 2');
  });
});

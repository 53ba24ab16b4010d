import { describe, expect, it } from 'vitest';
import { words } from '../../../test/golden/counter.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import type { Batch, TransformContext } from '../dataset.js';
import { Random } from '../random.js';
import type { Planes } from '../resize.js';
import * as t from './index.js';
import { factories, functional, type PictureTransform, pipeline } from './index.js';

const noise = (...shape: readonly [number, number, number]): Planes => ({
  data: Uint8Array.from(words(`noise ${shape}`, shape[0] * shape[1] * shape[2]), (w) => w >>> 24),
  shape,
});
/** Every pixel says where it is: x in the first plane, y in the second. */
const coordinates = (height: number, width: number): Planes => ({
  data: Uint8Array.from({ length: 2 * height * width }, (_, i) =>
    i < height * width ? i % width : Math.floor((i - height * width) / width),
  ),
  shape: [2, height, width],
});
const draws = <T>(count: number, of: (random: Random, i: number) => T) =>
  Array.from({ length: count }, (_, i) => of(new Random(5, 1, i), i));
const share = (list: readonly boolean[]) => list.filter(Boolean).length / list.length;
const moved = (transform: PictureTransform, picture: Planes) =>
  share(draws(400, (random) => transform.apply(picture, random).data.some((x, i) => x !== picture.data[i])));

/** At least one of every transform there is. */
const samples: Record<string, PictureTransform[]> = {
  resize: [t.resize(9), t.resize([8, 13], { interpolation: 'bicubic' }), t.resize(9, { maxSize: 10 })],
  centerCrop: [t.centerCrop(6)],
  pad: [t.pad(2), t.pad([1, 2], { fill: 3 }), t.pad([0, 1, 2, 3], { paddingMode: 'reflect' })],
  randomCrop: [t.randomCrop(8, { padding: 4 }), t.randomCrop([30, 9], { padIfNeeded: true, paddingMode: 'symmetric' })],
  randomResizedCrop: [t.randomResizedCrop(8), t.randomResizedCrop([5, 6], { scale: [0.5, 1] })],
  randomHorizontalFlip: [t.randomHorizontalFlip()],
  randomVerticalFlip: [t.randomVerticalFlip({ p: 0.7 })],
  randomErasing: [t.randomErasing({ p: 1 }), t.randomErasing({ p: 1, value: 'random' })],
  randomRotation: [t.randomRotation(30), t.randomRotation([10, 20], { expand: true, center: [1, 2], fill: 4 })],
  randomAffine: [
    t.randomAffine(10),
    t.randomAffine([0, 5], {
      translate: [0.1, 0.2],
      scale: [0.8, 1.2],
      shear: [-5, 5, 1, 2],
      interpolation: 'bilinear',
    }),
  ],
  randomPerspective: [t.randomPerspective({ p: 1 }), t.randomPerspective({ p: 1, distortionScale: 1 })],
  elasticTransform: [t.elasticTransform(), t.elasticTransform({ alpha: [20, 0], sigma: [3, 0] })],
  colorJitter: [t.colorJitter(), t.colorJitter({ brightness: 0.4, contrast: [0.5, 2], saturation: 0.4, hue: 0.1 })],
  grayscale: [t.grayscale(), t.grayscale({ channels: 3 })],
  randomGrayscale: [t.randomGrayscale({ p: 0.5 })],
  gaussianBlur: [t.gaussianBlur(3), t.gaussianBlur([5, 9], { sigma: [1, 1.5] })],
  randomAdjustSharpness: [t.randomAdjustSharpness(2)],
  randomSolarize: [t.randomSolarize(128)],
  randomPosterize: [t.randomPosterize(3)],
  randomEqualize: [t.randomEqualize()],
  randomAutocontrast: [t.randomAutocontrast()],
  randomInvert: [t.randomInvert()],
  randAugment: [t.randAugment(), t.randAugment({ numOps: 5, magnitude: 20, interpolation: 'bilinear', fill: 9 })],
  trivialAugmentWide: [t.trivialAugmentWide()],
  autoAugment: [t.autoAugment(), t.autoAugment({ policy: 'cifar10' })],
  randomApply: [t.randomApply([t.randomInvert(), t.randomCrop(4)], { p: 0.6 })],
  randomChoice: [t.randomChoice([t.randomInvert(), t.randomRotation(3)], { p: [1, 2] })],
};

describe('every transform of pictures', () => {
  it('has a sample here', () => {
    expect(Object.keys(samples).sort()).toEqual(factories.map((f) => f.transformName).sort());
    for (const [name, list] of Object.entries(samples)) for (const made of list) expect(made.name).toBe(name);
  });

  const shapes = [
    [3, 24, 17],
    [1, 12, 12],
    [3, 16, 1],
    [1, 1, 11],
    [3, 2, 2],
  ] as const;
  const tooSmall = /is larger than the picture/;

  it.each(Object.entries(samples))(
    '%s: gives whole pictures, the same for the same numbers, from its JSON too, and leaves the old alone',
    (_, list) => {
      for (const made of list) {
        const [again] = t.fromJson(JSON.parse(JSON.stringify(t.toJson([made]))));
        expect(again.options).toEqual(made.options);
        for (const shape of shapes) {
          const picture = noise(shape[0], shape[1], shape[2]);
          for (let i = 0; i < 6; i++) {
            const apply = (transform: PictureTransform) => {
              try {
                return transform.apply(picture, new Random(3, 1, i));
              } catch (error) {
                if (error instanceof ConfigError && tooSmall.test(error.message)) return null;
                throw error;
              }
            };
            const result = apply(made);
            expect(apply(again)).toEqual(result);
            if (result === null) continue;
            const [channels, height, width] = result.shape;
            expect(result.data.length).toBe(channels * height * width);
            if (made.name !== 'grayscale') expect(channels).toBe(shape[0]);
          }
          expect(picture).toEqual(noise(shape[0], shape[1], shape[2]));
        }
      }
    },
  );

  it('of chance gives others for other pictures and epochs', () => {
    const picture = noise(3, 24, 24);
    for (const made of [t.randomCrop(12), t.colorJitter({ hue: 0.5 }), t.randomRotation(90), t.trivialAugmentWide()]) {
      const results = [
        new Random(1, 1, 1),
        new Random(1, 1, 2),
        new Random(1, 2, 1),
        new Random(2, 1, 1),
        new Random(2, 3, 1),
      ].map((random) => made.apply(picture, random).data.join());
      expect(new Set(results).size).toBeGreaterThan(3);
    }
  });
});

describe('chance', () => {
  const picture = noise(3, 9, 9);

  it.each<[string, (p: number) => PictureTransform]>([
    ['randomHorizontalFlip', (p) => t.randomHorizontalFlip({ p })],
    ['randomVerticalFlip', (p) => t.randomVerticalFlip({ p })],
    ['randomInvert', (p) => t.randomInvert({ p })],
    ['randomGrayscale', (p) => t.randomGrayscale({ p })],
    ['randomSolarize', (p) => t.randomSolarize(10, { p })],
    ['randomPosterize', (p) => t.randomPosterize(2, { p })],
    ['randomEqualize', (p) => t.randomAutocontrast({ p })],
    ['randomAdjustSharpness', (p) => t.randomAdjustSharpness(2, { p })],
    ['randomErasing', (p) => t.randomErasing({ p })],
    ['randomPerspective', (p) => t.randomPerspective({ p, distortionScale: 1 })],
    ['randomApply', (p) => t.randomApply([t.randomInvert({ p: 1 })], { p })],
  ])('%s happens at rate p', (name, of) => {
    const subject = name === 'randomEqualize' ? { ...picture, data: picture.data.map((x) => x >> 1) } : picture;
    expect(moved(of(0), subject)).toBe(0);
    // Five standard deviations of 400 coins.
    expect(Math.abs(moved(of(0.3), subject) - 0.3)).toBeLessThan(0.115);
    if (name !== 'randomPerspective') expect(moved(of(1), subject)).toBe(1);
  });

  it('randomChoice takes each as often as its weight says', () => {
    const grey = noise(1, 4, 4);
    const choice = t.randomChoice([t.resize(1), t.resize(2), t.resize(3)], { p: [1, 0, 3] });
    const sizes = draws(800, (random) => choice.apply(grey, random).shape[1]);
    expect(sizes).not.toContain(2);
    expect(Math.abs(share(sizes.map((s) => s === 3)) - 0.75)).toBeLessThan(0.08);
  });

  it('randomCrop comes from everywhere alike, and pads before it cuts', () => {
    const places = draws(1000, (random) => {
      const { data } = t.randomCrop(6).apply(coordinates(8, 10), random);
      return `${data[36]},${data[0]}`; // y, x of the first pixel
    });
    const counts = new Map<string, number>();
    for (const place of places) counts.set(place, (counts.get(place) ?? 0) + 1);
    expect(counts.size).toBe(3 * 5);
    expect(Math.min(...counts.values())).toBeGreaterThan(1000 / 15 / 2);
    const one: Planes = { data: Uint8Array.of(7), shape: [1, 1, 1] };
    const found = draws(200, (random) => t.randomCrop(2, { padding: 1 }).apply(one, random).data.join());
    expect(new Set(found)).toEqual(new Set(['7,0,0,0', '0,7,0,0', '0,0,7,0', '0,0,0,7']));
    const missing = t.randomCrop(3, { padIfNeeded: true }).apply(one, new Random(1));
    expect(missing.data.filter((x) => x === 7)).toHaveLength(1);
    expect(() => t.randomCrop(3).apply(one, new Random(1))).toThrow(
      'randomCrop: 3 × 3 is larger than the picture, 1 × 1 with its padding. Pass padIfNeeded: true, or resize first',
    );
  });

  it("randomResizedCrop's parts have areas and aspect ratios within what was asked", () => {
    const picture = coordinates(120, 160);
    // Nearest, so that the corners of the result are those of the part, nearly.
    const crop = t.randomResizedCrop([120, 160], { scale: [0.2, 0.6], ratio: [0.5, 2], interpolation: 'nearest' });
    const parts = draws(300, (random) => {
      const { data } = crop.apply(picture, random);
      const [width, height] = [data[159] - data[0] + 1, data[2 * 19200 - 1] - data[19200] + 1];
      return { area: (width * height) / 19200, ratio: width / height };
    });
    const areas = parts.map((p) => p.area);
    const ratios = parts.map((p) => p.ratio);
    expect([Math.min(...areas) > 0.185, Math.max(...areas) < 0.62]).toEqual([true, true]);
    expect([Math.min(...ratios) > 0.48, Math.max(...ratios) < 2.1]).toEqual([true, true]);
    expect(Math.max(...areas) - Math.min(...areas)).toBeGreaterThan(0.3);
    expect(Math.abs(share(ratios.map((r) => r > 1)) - 0.5)).toBeLessThan(0.15);
    // Nothing fits: the largest middle part that does.
    const wide = t.randomResizedCrop([2, 4], { ratio: [0.5, 2], scale: [1, 1], interpolation: 'nearest' });
    expect([...wide.apply(coordinates(2, 40), new Random(1)).data.subarray(0, 4)]).toEqual([18, 19, 20, 21]);
  });

  it('randomErasing overwrites a rectangle of the asked area', () => {
    const white: Planes = { data: new Uint8Array(3 * 40 * 50).fill(255), shape: [3, 40, 50] };
    const erased = draws(200, (random) => {
      const { data } = t.randomErasing({ p: 1, scale: [0.1, 0.2], value: [1, 2, 3] }).apply(white, random);
      const plane = [0, 1, 2].map((c) => data.subarray(c * 2000, (c + 1) * 2000).filter((x) => x === c + 1).length);
      expect(plane[1]).toBe(plane[0]);
      expect(plane[2]).toBe(plane[0]);
      const rows = new Set([...data.subarray(0, 2000)].flatMap((x, i) => (x === 1 ? [Math.floor(i / 50)] : [])));
      expect(plane[0] % rows.size).toBe(0);
      return plane[0] / 2000;
    });
    expect(Math.min(...erased)).toBeGreaterThan(0.09);
    expect(Math.max(...erased)).toBeLessThan(0.215);
    const { data } = t.randomErasing({ p: 1, value: 'random' }).apply(white, new Random(1));
    expect(new Set(data).size).toBeGreaterThan(50);
  });

  it('randomRotation and randomAffine keep to their ranges', () => {
    const picture = noise(1, 5, 5);
    // 90° exactly only: the range is one value.
    expect(t.randomRotation([90, 90]).apply(picture, new Random(1))).toEqual(functional.rotate(picture, 90));
    const shifted = draws(300, (random) => {
      const { data } = t
        .randomAffine(0, { translate: [0.2, 0], interpolation: 'nearest', fill: 255 })
        .apply(coordinates(4, 20), random);
      return data[10] - 10; // how far left of itself column 10 looks
    });
    expect([Math.min(...shifted), Math.max(...shifted)]).toEqual([-4, 4]);
    expect(new Set(shifted).size).toBe(9);
  });

  it('colorJitter uses every order', () => {
    const picture = noise(3, 4, 4);
    const jitter = t.colorJitter({ brightness: [0.5, 0.5], saturation: [0, 0] });
    const found = new Set(draws(40, (random) => jitter.apply(picture, random).data.join()));
    const { adjustBrightness, adjustSaturation } = functional;
    const orders = [
      adjustSaturation(adjustBrightness(picture, 0.5), 0),
      adjustBrightness(adjustSaturation(picture, 0), 0.5),
    ];
    expect(found).toEqual(new Set(orders.map(({ data }) => data.join())));
  });

  it('colorJitter draws factors from the whole range', () => {
    const grey: Planes = { data: Uint8Array.of(100), shape: [1, 1, 1] };
    const values = draws(500, (random) => t.colorJitter({ brightness: 0.4 }).apply(grey, random).data[0]);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(60);
    expect(Math.min(...values)).toBeLessThan(63);
    expect(Math.max(...values)).toBeLessThanOrEqual(140);
    expect(Math.max(...values)).toBeGreaterThan(137);
  });

  it('RandAugment at magnitude 0 changes nothing that has a strength', () => {
    // No 255, which solarising from 255 on would invert.
    const flat: Planes = { data: Uint8Array.from({ length: 256 * 3 }, (_, i) => (i % 256) % 255), shape: [3, 16, 16] };
    const gentle = t.randAugment({ magnitude: 0, numOps: 1 });
    // Equalising and autocontrast have none, and move an even histogram by a level or two.
    for (const { data } of draws(60, (random) => gentle.apply(flat, random))) {
      expect(Math.max(...data.map((x, i) => Math.abs(x - flat.data[i])))).toBeLessThanOrEqual(2);
    }
  });

  it('RandAugment with as many operations as asked, TrivialAugment with one', () => {
    const picture = noise(3, 16, 16);
    expect(t.randAugment({ numOps: 0 }).apply(picture, new Random(1))).toBe(picture);
    const kinds = new Set(draws(300, (random) => t.trivialAugmentWide().apply(picture, random).data.join()));
    expect(kinds.size).toBeGreaterThan(150);
  });
});

describe('pipeline', () => {
  it('gives each step its own numbers: one more at the end changes nothing before it', () => {
    const picture = noise(3, 20, 20);
    const seen: number[] = [];
    const spy: PictureTransform = {
      name: 'spy',
      options: {},
      apply: (p, random) => {
        seen.push(random.uniform());
        return p;
      },
    };
    pipeline([spy, spy]).apply(picture, new Random(1, 2, 3));
    pipeline([spy, spy, spy]).apply(picture, new Random(1, 2, 3));
    expect(seen.slice(0, 2)).toEqual(seen.slice(2, 4));
    expect(new Set(seen).size).toBe(3);
    // A step that draws more than another does not shift those after it.
    const greedy: PictureTransform = {
      ...spy,
      apply: (p, random) => {
        random.normal();
        return p;
      },
    };
    pipeline([greedy, spy]).apply(picture, new Random(1, 2, 3));
    expect(seen.at(-1)).toBe(seen[1]);
  });

  it('takes as many steps as have numbers of their own', () => {
    expect(() => pipeline(new Array(64).fill(t.randomInvert()))).toThrow('pipeline: at most 63 transforms, not 64');
  });
});

describe('onPictures', () => {
  const batch: Batch = {
    inputs: Uint8Array.from(words('batch', 4 * 3 * 8 * 8), (w) => w >>> 24),
    shape: [4, 3, 8, 8],
    labels: Int32Array.of(0, 1, 2, 3),
  };
  const context = (indices: number[]): TransformContext => ({
    seed: 9,
    epoch: 2,
    batch: 0,
    indices: Int32Array.from(indices),
  });
  const list = [t.randomCrop(6, { padding: 2 }), t.colorJitter({ brightness: 0.5 })];

  it('does with each picture what the list does with (seed, epoch, index)', async () => {
    const made = await t.onPictures(list)(batch, context([7, 3, 0, 9]));
    expect(made.shape).toEqual([4, 3, 6, 6]);
    expect(made.labels).toBe(batch.labels);
    for (const [i, index] of [7, 3, 0, 9].entries()) {
      const picture: Planes = { data: (batch.inputs as Uint8Array).slice(i * 192, (i + 1) * 192), shape: [3, 8, 8] };
      const { data } = pipeline(list).apply(picture, new Random(9, 2, index));
      expect(made.inputs.slice(i * 108, (i + 1) * 108)).toEqual(data);
    }
  });

  it('says what it takes, and that a batch has one size', () => {
    const numbers = { ...batch, inputs: new Float32Array(768) };
    expect(() => t.onPictures(list)(numbers, context([0, 1, 2, 3]))).toThrow(
      'onPictures: takes pictures of bytes, [N, C, H, W]; got numbers [4, 3, 8, 8]. Put it before normalize',
    );
    const uneven = t.onPictures([t.randomChoice([t.centerCrop(3), t.centerCrop(4)])]);
    expect(() => uneven(batch, context([0, 1, 2, 3]))).toThrow(
      /pictures of one batch come out at different sizes, \[3, \d, \d\] and \[3, \d, \d\]; end the list with a resize or crop/,
    );
  });
});

describe('JSON', () => {
  it('holds all options, those left out too', () => {
    expect(t.toJson([t.randomCrop(32, { padding: 4 })])).toEqual([
      {
        name: 'randomCrop',
        options: { size: [32, 32], padding: [4, 4, 4, 4], padIfNeeded: false, fill: 0, paddingMode: 'constant' },
      },
    ]);
    expect(t.toJson([t.randomApply([t.randomInvert()], { p: 0.2 })])).toEqual([
      { name: 'randomApply', options: { transforms: [{ name: 'randomInvert', options: { p: 0.5 } }], p: 0.2 } },
    ]);
  });

  const deep = (levels: number): unknown =>
    levels === 0 ? [] : [{ name: 'randomApply', options: { transforms: deep(levels - 1) } }];

  it.each<[string, unknown, typeof ConfigError | typeof FormatError, string]>([
    ['no list', { name: 'resize' }, FormatError, 'transforms: a list of transforms, not {"name":"resize"}'],
    ['no transform', [3], FormatError, 'transforms[0]: { name, options }, not 3'],
    ['another field', [{ name: 'randomInvert', code: 'x' }], FormatError, "{ name, options } has no 'code'"],
    [
      'an unknown name',
      [{ name: 'randomCorp' }],
      FormatError,
      "there is no transform 'randomCorp'. Did you mean 'randomCrop'?",
    ],
    ['a name of the language', [{ name: '__proto__' }], FormatError, "there is no transform '__proto__'"],
    [
      'an unknown option',
      [{ name: 'randomInvert', options: { q: 1 } }],
      ConfigError,
      "randomInvert: there is no option 'q'; did you mean 'p'?",
    ],
    ['no options', [{ name: 'randomInvert', options: 7 }], ConfigError, 'randomInvert: options are an object, not 7'],
    ['a missing option', [{ name: 'randomCrop' }], ConfigError, 'randomCrop: size is missing'],
    [
      'a giant',
      [{ name: 'resize', options: { size: 1e6 } }],
      ConfigError,
      'resize: size must be a whole number from 1 to 4096, is 1000000',
    ],
    [
      'a giant pad',
      [{ name: 'pad', options: { padding: [1, 9999] } }],
      ConfigError,
      'pad: padding[1] must be a whole number from 0 to 4096',
    ],
    [
      'a giant blur',
      [{ name: 'gaussianBlur', options: { kernelSize: 1e9 + 1 } }],
      ConfigError,
      'must be an odd number from 1 to 255',
    ],
    [
      'a wrong choice',
      [{ name: 'resize', options: { size: 3, interpolation: 'lanczos' } }],
      ConfigError,
      "must be 'bilinear' or 'bicubic' or 'nearest', is \"lanczos\"",
    ],
    ['too many', new Array(64).fill({ name: 'randomInvert' }), FormatError, 'at most 63 transforms, not 64'],
    ['too deep', deep(6), FormatError, 'lists in lists, more than 4 deep'],
    [
      'weights that do not fit',
      [{ name: 'randomChoice', options: { transforms: [{ name: 'randomInvert' }], p: [1, 2] } }],
      ConfigError,
      'randomChoice: p is a weight for each of 1, not [1,2]',
    ],
    [
      'nothing to choose',
      [{ name: 'randomChoice', options: { transforms: [] } }],
      ConfigError,
      'randomChoice: there is nothing to choose from',
    ],
    [
      'an inner mistake',
      [{ name: 'randomApply', options: { transforms: [{ name: 'x' }] } }],
      FormatError,
      'transforms[0]: randomApply: transforms[0]: there is no transform',
    ],
  ])('refuses %s', (_, json, kind, message) => {
    expect(() => t.fromJson(json)).toThrow(kind);
    expect(() => t.fromJson(json)).toThrow(message);
  });

  it.each<[() => unknown, string]>([
    [() => t.randomHorizontalFlip({ p: 2 }), 'randomHorizontalFlip: p must be a number from 0 to 1, is 2'],
    [() => t.randomRotation(-3), 'randomRotation: degrees must be a number of at least 0, is -3'],
    [() => t.randomRotation([5, 3]), 'randomRotation: degrees must be the smaller number first, is [5,3]'],
    [() => t.colorJitter({ hue: 0.7 }), 'colorJitter: hue must be a number from 0 to 0.5, is 0.7'],
    [() => t.randAugment({ magnitude: 31 }), 'randAugment: magnitude 31 is beyond the last of 31 bins, 30'],
    [() => t.randomApply([], { p: -1 }), 'randomApply: p must be a number from 0 to 1, is -1'],
  ])('options are checked when a transform is made: %o', (make, message) => {
    expect(make).toThrow(ConfigError);
    expect(make).toThrow(message);
  });
});

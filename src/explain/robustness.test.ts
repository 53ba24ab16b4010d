/** What disturbs a picture, and what is counted when it does. */

import { describe, expect, it } from 'vitest';
import type { Planes } from '../data/index.js';
import { Random } from '../data/index.js';
import { perturbations, robustness } from './index.js';

/** Grey, dark, with one bright pixel. */
function dot(y: number, x: number, size = 9): Planes {
  const data = new Uint8Array(size * size).fill(10);
  data[y * size + x] = 210;
  return { data, shape: [1, size, size] };
}

const named = (name: string) => perturbations.find((p) => p.name === name)!;
const brightest = ({ data, shape }: Planes) => {
  const at = data.reduce((best, v, i) => (v > data[best] ? i : best), 0);
  return [Math.floor(at / shape[2]), at % shape[2]];
};

describe('disturbances', () => {
  it.each(perturbations.map((p) => [p.name, p] as const))(
    '%s keeps the shape, and nothing changes at its neutral level',
    (name, p) => {
      const picture: Planes = {
        data: Uint8Array.from({ length: 3 * 12 * 10 }, (_, i) => (i * 37) % 251),
        shape: [3, 12, 10],
      };
      for (const level of p.levels) {
        for (const made of p.apply(picture, level, new Random(1))) {
          expect(made.shape).toEqual([3, 12, 10]);
          expect([...made.data]).not.toEqual([...picture.data]);
        }
      }
      if (name === 'blur') return; // no blur has no kernel
      for (const made of p.apply(picture, p.neutral, new Random(1))) expect([...made.data]).toEqual([...picture.data]);
    },
  );

  it('shift by pixels, four ways, the border going on', () => {
    const moved = named('shift').apply(dot(4, 4), 2, new Random(0));
    expect(moved.map(brightest)).toEqual([
      [6, 4],
      [2, 4],
      [4, 6],
      [4, 2],
    ]);
    const [, , , left] = named('shift').apply(dot(4, 8), 2, new Random(0));
    expect([...left.data.subarray(4 * 9, 5 * 9)]).toEqual([10, 10, 10, 10, 10, 10, 210, 210, 210]);
  });

  it('turn about the middle', () => {
    const [left, right] = named('rotation').apply(dot(4, 7), 90, new Random(0));
    expect([brightest(left), brightest(right)]).toEqual([
      [1, 4],
      [7, 4],
    ]);
  });

  it('zoom in and out about the middle', () => {
    const size = 16;
    const data = new Uint8Array(size * size).map((_, i) =>
      Math.abs(Math.floor(i / size) - 7.5) < 4 && Math.abs((i % size) - 7.5) < 4 ? 200 : 0,
    );
    const lit = ({ data: d }: Planes) => d.filter((v) => v > 100).length;
    const picture: Planes = { data, shape: [1, size, size] };
    expect(lit(picture)).toBe(64);
    expect(lit(named('zoom').apply(picture, 2, new Random(0))[0])).toBe(256);
    expect(lit(named('zoom').apply(picture, 0.5, new Random(0))[0])).toBe(16);
  });
});

describe('robustness', () => {
  /** Class 1 where the bright pixel is in the right half; 90 % sure. */
  const classify = async (pictures: readonly Planes[]) =>
    pictures.flatMap((p) => (brightest(p)[1] >= 5 ? [0.1, 0.9] : [0.9, 0.1]));

  it('counts the classes that stay and what probabilities lose', async () => {
    const sizes: number[] = [];
    const watched = async (pictures: readonly Planes[]) => {
      sizes.push(pictures.length);
      return classify(pictures);
    };
    const tried = [{ ...named('shift'), levels: [1, 2] }];
    const found = await robustness(watched, [dot(4, 4), dot(4, 6)], { perturbations: tried, batchSize: 3 });
    expect([found.pictures, found.classes]).toEqual([2, 2]);
    expect(found.probability).toBeCloseTo(0.9, 6);
    const [one, two] = found.rows;
    // By 1: the first picture crosses the middle when it goes right. By 2: the first to the right, the second to the left.
    expect([one.count, one.kept]).toEqual([8, 7 / 8]);
    expect([two.count, two.kept]).toEqual([8, 6 / 8]);
    expect(one.change).toBeCloseTo(-0.8 / 8, 6);
    expect(one.probability).toBeCloseTo(0.9 - 0.8 / 8, 6);
    expect(new Set(sizes)).toEqual(new Set([3])); // one program
  });

  it('keeps the pictures that are asked for as they look, with what was said of them', async () => {
    const tried = [{ ...named('shift'), levels: [1, 2] }];
    const pictures = [dot(1, 1), dot(4, 4), dot(2, 2), dot(4, 6)];
    const found = await robustness(classify, pictures, { perturbations: tried, samples: 2 });
    expect(found.samples.map(({ index, picture, best }) => [index, picture, best])).toEqual([
      [1, pictures[1], 0],
      [3, pictures[3], 1],
    ]);
    const [, two] = found.rows;
    expect(two.samples.map(({ index }) => index)).toEqual([1, 3]);
    expect(two.samples.map(({ picture }) => brightest(picture))).toEqual([
      [6, 4],
      [6, 6],
    ]);
    expect(two.samples[1]).toMatchObject({ best: 1, confidence: Math.fround(0.9), probability: Math.fround(0.9) });
    expect((await robustness(classify, pictures, { perturbations: tried })).rows[0].samples).toEqual([]);
    const few = await robustness(classify, pictures.slice(0, 1), { perturbations: tried, samples: 3 });
    expect(few.samples.length).toBe(1);
  });

  it('repeats itself for a seed', async () => {
    const noisy = async (pictures: readonly Planes[]) =>
      pictures.flatMap(({ data }) => [data[0] / 255, 1 - data[0] / 255]);
    const run = (seed: number) => robustness(noisy, [dot(4, 4)], { perturbations: [named('noise')], seed });
    expect((await run(3)).rows).toEqual((await run(3)).rows);
    expect((await run(3)).rows).not.toEqual((await run(4)).rows);
  });

  it('refuses to speak about nothing', async () => {
    await expect(robustness(classify, [])).rejects.toThrow('robustness: there are no pictures');
  });
});

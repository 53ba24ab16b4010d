/** Neighbours against the plain way: all distances, sorted. */

import { describe, expect, it } from 'vitest';
import { Random } from '../data/index.js';
import { nearest, neighbours } from './neighbours.js';

const random = new Random(1);
const [count, width] = [60, 7];
const points = Float32Array.from({ length: count * width }, () => random.normal());
const all = Array.from({ length: count }, (_, i) => i);

function sorted(query: number, k: number): number[] {
  const distance = (i: number) => {
    let sum = 0;
    for (let f = 0; f < width; f++) sum += (points[i * width + f] - points[query * width + f]) ** 2;
    return sum;
  };
  return all
    .filter((i) => i !== query)
    .sort((a, b) => distance(a) - distance(b))
    .slice(0, k);
}

describe('nearest', () => {
  it('finds those that sorting finds, in that order', () => {
    for (const k of [1, 5, count - 1]) {
      expect([...nearest(points, [count, width], all, k)]).toEqual(all.flatMap((query) => sorted(query, k)));
    }
  });

  it('refuses more neighbours than there are', () => {
    expect(() => nearest(points, [count, width], all, count)).toThrow(
      'nearest: k must be 1 … 59 for 60 points; got 60',
    );
  });
});

describe('neighbours', () => {
  /** Two groups far apart on a line; the second one's last point carries the label of the first. */
  const features = Float32Array.from({ length: 40 }, (_, i) => (i < 20 ? i / 20 : 100 + i / 20));
  const labels = Int32Array.from({ length: 40 }, (_, i) => (i < 20 || i === 39 ? 0 : 1));
  const map = Float64Array.from({ length: 80 }, (_, i) => (i % 2 === 0 ? features[i >> 1] : 0));

  it('counts classes, and what a map keeps', () => {
    const found = neighbours(features, 1, map, labels, { k: 5 });
    expect(found.queries.length).toBe(40);
    expect([...found.sameClass.subarray(0, 20)]).toEqual(new Array(20).fill(1));
    expect([found.sameClass[39], found.majority[39], labels[39]]).toEqual([0, 1, 0]);
    expect([...found.kept]).toEqual(new Array(40).fill(1));
    expect(found.sameClassOnMap).toEqual(found.sameClass);
  });

  it('asks points spread over all where there are many, and fewer neighbours of a few points', () => {
    const { queries } = neighbours(features, 1, map, labels, { most: 12 });
    expect(new Set(queries).size).toBe(12);
    for (const period of [2, 3, 4, 5]) expect(new Set(queries.map((i) => i % period)).size).toBe(period); // classes in turn
    expect(queries).toEqual([...queries].sort((a, b) => a - b));
    expect(neighbours(features, 1, map, labels).k).toBe(6);
    expect(neighbours([0, 1, 5], 1, [0, 0, 1, 0, 5, 0], [0, 0, 0]).k).toBe(1);
  });
});

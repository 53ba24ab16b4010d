/**
 * What lies beside what: the nearest points of points. By them a map is judged — does it keep the neighbours that points have among the features it was drawn
 * from? — and so are features: are neighbours of one class?
 */

import { ConfigError } from '../util/errors.js';

/** The `k` nearest other points of each of `queries`, nearest first: [queries, k]. Distances are Euclidean; of equal ones the first point counts. */
export function nearest(
  points: ArrayLike<number>,
  [count, features]: readonly [count: number, features: number],
  queries: readonly number[],
  k: number,
): Int32Array {
  if (!(k >= 1 && k < count))
    throw new ConfigError(`nearest: k must be 1 … ${count - 1} for ${count} points; got ${k}`);
  const found = new Int32Array(queries.length * k);
  const distances = new Float64Array(k);
  for (const [row, query] of queries.entries()) {
    const best = found.subarray(row * k, (row + 1) * k);
    distances.fill(Number.POSITIVE_INFINITY);
    for (let i = 0; i < count; i++) {
      if (i === query) continue;
      let sum = 0;
      for (let f = 0; f < features && sum < distances[k - 1]; f++)
        sum += (points[i * features + f] - points[query * features + f]) ** 2;
      let at = k;
      while (at > 0 && sum < distances[at - 1]) at--;
      if (at === k) continue;
      distances.copyWithin(at + 1, at);
      best.copyWithin(at + 1, at);
      distances[at] = sum;
      best[at] = i;
    }
  }
  return found;
}

export interface Neighbours {
  /** How many neighbours of a point are looked at. */
  readonly k: number;
  /** The points that were asked: all, or so many spread over all. */
  readonly queries: readonly number[];
  /** Of each query, the share of its nearest features that are of its class. */
  readonly sameClass: Float64Array;
  /** The same, of the nearest on the map. */
  readonly sameClassOnMap: Float64Array;
  /** Of each query, the share of its nearest features that are among the nearest on the map too. */
  readonly kept: Float64Array;
  /** Of each query, the class most of its nearest features are of. */
  readonly majority: Int32Array;
}

/**
 * Features [count, width], the map drawn from them [count, 2], and the points' classes. At most `most` points are asked, each about `k` neighbours or a sixth of all.
 * @throws {ConfigError} for a single point
 */
export function neighbours(
  features: ArrayLike<number>,
  width: number,
  map: ArrayLike<number>,
  labels: ArrayLike<number>,
  { k = 10, most = 2000 }: { k?: number; most?: number } = {},
): Neighbours {
  const count = labels.length;
  const used = Math.max(1, Math.min(k, Math.floor(count / 6))); // of a handful, nearly all would be neighbours
  const asked = Math.min(most, count);
  const queries = spread(count, asked);
  const near = nearest(features, [count, width], queries, used);
  const nearOnMap = nearest(map, [count, 2], queries, used);
  const shares = (list: Int32Array, counts: (other: number, query: number, row: number) => boolean) =>
    Float64Array.from(queries, (query, row) => {
      const own = list.subarray(row * used, (row + 1) * used);
      return own.filter((other) => counts(other, query, row)).length / used;
    });
  const same = (other: number, query: number) => labels[other] === labels[query];
  return {
    k: used,
    queries,
    sameClass: shares(near, same),
    sameClassOnMap: shares(nearOnMap, same),
    kept: shares(near, (other, _, row) => nearOnMap.subarray(row * used, (row + 1) * used).includes(other)),
    majority: Int32Array.from(queries, (_, row) => mostOften(near.subarray(row * used, (row + 1) * used), labels)),
  };
}

/** The class that most of the points are of; of equal ones that of the nearest. */
function mostOften(points: Int32Array, labels: ArrayLike<number>): number {
  const counts = new Map<number, number>();
  for (const point of points) counts.set(labels[point], (counts.get(labels[point]) ?? 0) + 1);
  return [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}

/** So many of `count` places, in order. Steps of the golden ratio keep no time with classes that come in turn. */
function spread(count: number, asked: number): number[] {
  if (asked === count) return Array.from({ length: count }, (_, i) => i);
  let step = Math.max(1, Math.round(count * 0.618));
  while (divisor(step, count) !== 1) step++;
  return Array.from({ length: asked }, (_, i) => (i * step) % count).sort((a, b) => a - b);
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

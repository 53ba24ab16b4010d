/**
 * t-SNE, exact: points of many dimensions drawn in two so that each keeps its neighbours. All pairs count, so it is for a few thousand points; more take
 * UMAP. Seeded, and started from the principal components, so that the same data give the same picture.
 */

import { Random } from '../data/index.js';
import { ConfigError } from '../util/errors.js';
import { principalComponents } from './pca.js';

export interface TsneOptions {
  /** About how many neighbours a point has, default 30. */
  readonly perplexity?: number;
  /** Steps of the descent, default 750; attraction is 12-fold in the first 250. */
  readonly iterations?: number;
  /** Moves the start a little, so that another seed gives another map. Left out: the principal components alone. */
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * points [count, features] → [count, 2]. @throws {ConfigError} for more than 5000 points, or a perplexity they cannot have
 * Source: van der Maaten and Hinton 2008, JMLR 9; start and step size after Kobak and Berens 2019, arXiv:1902.05921 (Nature Communications 10).
 */
export async function tsne(
  points: ArrayLike<number>,
  [count, features]: readonly [count: number, features: number],
  { perplexity = 30, iterations = 750, seed, onProgress }: TsneOptions = {},
): Promise<Float64Array> {
  if (count > 5000)
    throw new ConfigError(
      `tsne: ${count} points; all pairs are compared, so 5000 is the limit. Use umap, or fewer points`,
    );
  if (!(perplexity >= 1 && 3 * perplexity < count)) {
    throw new ConfigError(
      `tsne: a perplexity of ${perplexity} asks for more than ${Math.floor(3 * perplexity)} points; there are ${count}`,
    );
  }
  const p = affinities(points, count, features, perplexity);
  const y = start(points, count, features, seed);
  const gradient = new Float64Array(2 * count);
  const velocity = new Float64Array(2 * count);
  const gains = new Float64Array(2 * count).fill(1);
  const q = new Float32Array(count * count);
  const early = Math.min(250, iterations / 3);
  const rate = Math.max(50, count / 12);
  for (let i = 0; i < iterations; i++) {
    slope(p, y, q, gradient, count, i < early ? 12 : 1);
    const momentum = i < early ? 0.5 : 0.8;
    for (let k = 0; k < y.length; k++) {
      gains[k] = gradient[k] > 0 === velocity[k] > 0 ? Math.max(0.01, gains[k] * 0.8) : gains[k] + 0.2;
      velocity[k] = momentum * velocity[k] - rate * gains[k] * gradient[k];
      y[k] += velocity[k];
    }
    onProgress?.(i + 1, iterations);
    if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve)); // a page stays alive
  }
  return y;
}

/** Symmetric probabilities [count, count] that two points are neighbours; every row's Gaussian is as wide as the perplexity asks. */
function affinities(points: ArrayLike<number>, count: number, features: number, perplexity: number): Float32Array {
  const squares = new Float64Array(count * count);
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      let sum = 0;
      for (let k = 0; k < features; k++) sum += (points[i * features + k] - points[j * features + k]) ** 2;
      squares[i * count + j] = sum;
      squares[j * count + i] = sum;
    }
  }
  const p = new Float32Array(count * count);
  const row = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    fillRow(squares.subarray(i * count, (i + 1) * count), row, i, Math.log(perplexity));
    for (let j = 0; j < count; j++) {
      p[i * count + j] += row[j] / (2 * count);
      p[j * count + i] += row[j] / (2 * count);
    }
  }
  return p;
}

/** Of point i: exp(−β d²), scaled to 1, with the β that gives the entropy wanted; found by bisection. */
function fillRow(squares: Float64Array, row: Float64Array, i: number, entropy: number): void {
  let nearest = Number.POSITIVE_INFINITY;
  for (let j = 0; j < row.length; j++) if (j !== i) nearest = Math.min(nearest, squares[j]);
  let [beta, low, high] = [1, 0, Number.POSITIVE_INFINITY];
  for (let round = 0; round < 200; round++) {
    let [sum, weighted] = [0, 0];
    for (let j = 0; j < row.length; j++) {
      row[j] = j === i ? 0 : Math.exp(-beta * (squares[j] - nearest));
      sum += row[j];
      weighted += row[j] * (squares[j] - nearest);
    }
    const found = Math.log(sum) + (beta * weighted) / sum;
    for (let j = 0; j < row.length; j++) row[j] /= sum;
    if (Math.abs(found - entropy) < 1e-7) return;
    if (found > entropy) low = beta;
    else high = beta;
    beta = high === Number.POSITIVE_INFINITY ? beta * 2 : (low + high) / 2;
  }
}

/** The first two principal components, the first with a deviation of 10⁻⁴; with a seed, a tenth of that is random. */
function start(points: ArrayLike<number>, count: number, features: number, seed: number | undefined): Float64Array {
  const k = Math.min(2, features);
  const { scores, variances } = principalComponents(points, [count, features], k);
  const scale = 1e-4 / (Math.sqrt(variances[0]) || 1);
  const y = new Float64Array(2 * count);
  // A second coordinate is made up where there is none, or the points could never leave their line.
  for (let i = 0; i < count; i++) {
    y[2 * i] = scores[i * k] * scale;
    y[2 * i + 1] = k > 1 ? scores[i * k + 1] * scale : 1e-5 * Math.sin(i);
  }
  if (seed !== undefined) {
    const random = new Random(seed);
    for (let i = 0; i < y.length; i++) y[i] += random.normal(0, 1e-5);
  }
  return y;
}

/** The gradient of the Kullback–Leibler divergence: 4 Σ_j (p_ij − q_ij) (y_i − y_j) / (1 + |y_i − y_j|²), p exaggerated. */
function slope(
  p: Float32Array,
  y: Float64Array,
  near: Float32Array,
  gradient: Float64Array,
  count: number,
  exaggeration: number,
): void {
  let total = 0;
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      const [dx, dy] = [y[2 * i] - y[2 * j], y[2 * i + 1] - y[2 * j + 1]];
      const closeness = 1 / (1 + dx * dx + dy * dy);
      near[i * count + j] = closeness;
      total += 2 * closeness;
    }
  }
  gradient.fill(0);
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      const closeness = near[i * count + j];
      const pull = 4 * (exaggeration * p[i * count + j] - closeness / total) * closeness;
      const [dx, dy] = [pull * (y[2 * i] - y[2 * j]), pull * (y[2 * i + 1] - y[2 * j + 1])];
      gradient[2 * i] += dx;
      gradient[2 * i + 1] += dy;
      gradient[2 * j] -= dx;
      gradient[2 * j + 1] -= dy;
    }
  }
}

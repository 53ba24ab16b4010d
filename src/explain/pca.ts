/**
 * Principal component analysis in float64: the directions along which points differ most. They are eigenvectors of the covariance, found by orthogonal
 * iteration, which needs products with the points alone, never the covariance itself; so it takes few components of many dimensions. A small
 * symmetric eigenproblem by Jacobi's rotations ends each round. Source: Golub and Van Loan, "Matrix Computations", sections 8.2.4 and 8.5.
 */

import { Random } from '../data/index.js';
import { ConfigError } from '../util/errors.js';

export interface PrincipalComponents {
  /** The points in the new coordinates [points, k]; their mean is 0. */
  readonly scores: Float64Array;
  /** Unit vectors [k, dimensions], the one of the largest variance first; of each the entry of the largest magnitude is positive. */
  readonly components: Float64Array;
  /** Variance along each component, divided by points − 1, as scikit-learn has it. */
  readonly variances: Float64Array;
  /** Share of each in all variance. */
  readonly shares: Float64Array;
  /** [dimensions] */
  readonly mean: Float64Array;
}

/** The `k` first principal components of points [count, dimensions]. @throws {ConfigError} for more components than there can be */
export function principalComponents(
  points: ArrayLike<number>,
  [count, dimensions]: readonly [count: number, dimensions: number],
  k = 2,
): PrincipalComponents {
  const most = Math.min(count, dimensions);
  if (!(Number.isInteger(k) && k >= 1 && k <= most) || points.length !== count * dimensions) {
    throw new ConfigError(
      `principalComponents: k must be 1 … ${most} for ${count} points of ${dimensions} numbers; got k ${k} and ${points.length} numbers`,
    );
  }
  const { centered, mean } = center(points, count, dimensions);
  let total = 0;
  for (const v of centered) total += v * v;
  // A few directions more than asked for: the last ones of a block come out slowest.
  const width = Math.min(most, k + 8);
  let basis = startBasis(dimensions, width);
  let values: Float64Array = new Float64Array(width);
  for (let round = 0; round < 500; round++) {
    const projected = product(centered, count, dimensions, basis, width); // X Q [count, width]
    const next = transposedProduct(centered, count, dimensions, projected, width); // Xᵀ X Q [dimensions, width]
    const small = gram(projected, count, width); // Qᵀ Xᵀ X Q
    const { values: found, vectors } = symmetricEigen(small, width);
    const settled = found.slice(0, k).every((v, i) => Math.abs(v - values[i]) <= 1e-14 * found[0]);
    values = found;
    if (settled && round > 0) {
      basis = times(basis, dimensions, width, vectors, width);
      break;
    }
    basis = orthonormal(times(next, dimensions, width, vectors, width), dimensions, width);
  }
  const components = new Float64Array(k * dimensions);
  for (let j = 0; j < k; j++) {
    let largest = 0;
    for (let d = 0; d < dimensions; d++) {
      if (Math.abs(basis[d * width + j]) > Math.abs(largest) * (1 + 1e-9)) largest = basis[d * width + j];
    }
    const sign = largest < 0 ? -1 : 1;
    for (let d = 0; d < dimensions; d++) components[j * dimensions + d] = sign * basis[d * width + j];
  }
  const scores = new Float64Array(count * k);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < k; j++) {
      let sum = 0;
      for (let d = 0; d < dimensions; d++) sum += centered[i * dimensions + d] * components[j * dimensions + d];
      scores[i * k + j] = sum;
    }
  }
  const top = values.slice(0, k).map((v) => Math.max(0, v));
  return {
    scores,
    components,
    variances: top.map((v) => v / Math.max(1, count - 1)),
    shares: top.map((v) => (total > 0 ? v / total : 0)),
    mean,
  };
}

/** Eigenvalues, largest first, and eigenvectors (columns of [n, n]) of a symmetric matrix [n, n], by cyclic Jacobi rotations. */
export function symmetricEigen(matrix: ArrayLike<number>, n: number): { values: Float64Array; vectors: Float64Array } {
  const a = Float64Array.from(matrix);
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  let scale = 0;
  for (const x of a) scale += x * x;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) off += a[i * n + j] ** 2;
    if (off <= 1e-32 * scale) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j] - a[i * n + i]);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    for (let i = 0; i < n; i++) vectors[i * n + to] = v[i * n + from];
  });
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors };
}

/** Makes a[p, q] zero by turning rows and columns p and q. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q];
  if (apq === 0) return;
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let i = 0; i < n; i++) {
    const [x, y] = [a[i * n + p], a[i * n + q]];
    a[i * n + p] = c * x - s * y;
    a[i * n + q] = s * x + c * y;
  }
  for (let i = 0; i < n; i++) {
    const [x, y] = [a[p * n + i], a[q * n + i]];
    a[p * n + i] = c * x - s * y;
    a[q * n + i] = s * x + c * y;
    const [e, f] = [v[i * n + p], v[i * n + q]];
    v[i * n + p] = c * e - s * f;
    v[i * n + q] = s * e + c * f;
  }
}

function center(
  points: ArrayLike<number>,
  count: number,
  dimensions: number,
): { centered: Float64Array; mean: Float64Array } {
  const mean = new Float64Array(dimensions);
  for (let i = 0; i < points.length; i++) mean[i % dimensions] += points[i] / count;
  const centered = new Float64Array(points.length);
  for (let i = 0; i < points.length; i++) centered[i] = points[i] - mean[i % dimensions];
  return { centered, mean };
}

function startBasis(dimensions: number, width: number): Float64Array {
  const random = new Random(0);
  return orthonormal(
    Float64Array.from({ length: dimensions * width }, () => random.normal()),
    dimensions,
    width,
  );
}

/** Columns of q [rows, width] made orthonormal, twice for the digits' sake; those that vanish are left 0. */
function orthonormal(q: Float64Array, rows: number, width: number): Float64Array {
  for (let j = 0; j < width; j++) {
    const before = columnNorm(q, rows, width, j);
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        let dot = 0;
        for (let r = 0; r < rows; r++) dot += q[r * width + i] * q[r * width + j];
        for (let r = 0; r < rows; r++) q[r * width + j] -= dot * q[r * width + i];
      }
    }
    const norm = columnNorm(q, rows, width, j);
    const scale = norm > 1e-14 * before ? 1 / norm : 0;
    for (let r = 0; r < rows; r++) q[r * width + j] *= scale;
  }
  return q;
}

function columnNorm(q: Float64Array, rows: number, width: number, j: number): number {
  let sum = 0;
  for (let r = 0; r < rows; r++) sum += q[r * width + j] ** 2;
  return Math.sqrt(sum);
}

/** x [rows, inner] · q [inner, width]. */
function product(x: Float64Array, rows: number, inner: number, q: Float64Array, width: number): Float64Array {
  const out = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < inner; i++) {
      const value = x[r * inner + i];
      if (value === 0) continue;
      for (let j = 0; j < width; j++) out[r * width + j] += value * q[i * width + j];
    }
  }
  return out;
}

/** xᵀ y for x [rows, inner], y [rows, width] → [inner, width]. */
function transposedProduct(x: Float64Array, rows: number, inner: number, y: Float64Array, width: number): Float64Array {
  const out = new Float64Array(inner * width);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < inner; i++) {
      const value = x[r * inner + i];
      if (value === 0) continue;
      for (let j = 0; j < width; j++) out[i * width + j] += value * y[r * width + j];
    }
  }
  return out;
}

function gram(y: Float64Array, rows: number, width: number): Float64Array {
  return transposedProduct(y, rows, width, y, width);
}

function times(a: Float64Array, rows: number, inner: number, b: Float64Array, width: number): Float64Array {
  return product(a, rows, inner, b, width);
}

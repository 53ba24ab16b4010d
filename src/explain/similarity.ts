/** How alike two maps are: by the order of their pixels (Spearman) and by structure (SSIM); and the Gaussian blur that SSIM and others need. */

import { ConfigError } from '../util/errors.js';

/** Spearman's rank correlation of two lists, −1 … 1; equal numbers share their mean rank. 0 where one list is constant. */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new ConfigError(`spearman: lists of ${a.length} and ${b.length} numbers`);
  const [p, q] = [ranks(a), ranks(b)];
  const mean = (a.length - 1) / 2;
  let [pq, pp, qq] = [0, 0, 0];
  for (let i = 0; i < p.length; i++) {
    pq += (p[i] - mean) * (q[i] - mean);
    pp += (p[i] - mean) ** 2;
    qq += (q[i] - mean) ** 2;
  }
  return pp * qq > 0 ? pq / Math.sqrt(pp * qq) : 0;
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort((i, j) => values[i] - values[j]);
  const out = new Float64Array(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to]] === values[order[from]]) to++;
    for (let i = from; i < to; i++) out[order[i]] = (from + to - 1) / 2;
    from = to;
  }
  return out;
}

/**
 * Structural similarity of two maps [H, W] with numbers in 0 … 1: 1 for equal ones. Mean over the map of Wang et al. 2004, equation 13, with their
 * Gaussian window of 11 × 11, σ = 1.5.
 */
export function ssim(a: ArrayLike<number>, b: ArrayLike<number>, [height, width]: readonly [number, number]): number {
  if (a.length !== height * width || b.length !== a.length) {
    throw new ConfigError(
      `ssim: maps of ${height} × ${width} ask for ${height * width} numbers, not ${a.length} and ${b.length}`,
    );
  }
  const smooth = (values: Float64Array) => gaussianBlur(values, [1, height, width], 1.5, 5);
  const x = Float64Array.from(a);
  const y = Float64Array.from(b);
  const [mx, my] = [smooth(x), smooth(y)];
  const [xx, yy, xy] = [smooth(x.map((v) => v * v)), smooth(y.map((v) => v * v)), smooth(x.map((v, i) => v * y[i]))];
  const [c1, c2] = [0.01 ** 2, 0.03 ** 2];
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const covariance = xy[i] - mx[i] * my[i];
    const variances = xx[i] - mx[i] ** 2 + yy[i] - my[i] ** 2;
    sum += ((2 * mx[i] * my[i] + c1) * (2 * covariance + c2)) / ((mx[i] ** 2 + my[i] ** 2 + c1) * (variances + c2));
  }
  return sum / x.length;
}

/** Planes [P, H, W] blurred by a Gaussian cut at `radius` pixels (default 3σ); at the edges the weights that remain are scaled to 1. */
export function gaussianBlur<A extends Float32Array | Float64Array>(
  planes: A,
  [count, height, width]: readonly [number, number, number],
  sigma: number,
  radius = Math.ceil(3 * sigma),
): A {
  if (sigma <= 0 || radius < 1) return planes.slice() as A;
  const kernel = Float64Array.from({ length: radius + 1 }, (_, i) => Math.exp((-i * i) / (2 * sigma * sigma)));
  const half = planes.slice() as A;
  const out = planes.slice() as A;
  for (let p = 0; p < count; p++) {
    for (let y = 0; y < height; y++)
      alongLine(planes, half, kernel, { first: (p * height + y) * width, step: 1, length: width });
    for (let x = 0; x < width; x++)
      alongLine(half, out, kernel, { first: p * height * width + x, step: width, length: height });
  }
  return out;
}

function alongLine(
  from: Float32Array | Float64Array,
  to: Float32Array | Float64Array,
  kernel: Float64Array,
  { first, step, length }: { first: number; step: number; length: number },
): void {
  const radius = kernel.length - 1;
  for (let i = 0; i < length; i++) {
    let [sum, weight] = [0, 0];
    for (let j = Math.max(0, i - radius); j <= Math.min(length - 1, i + radius); j++) {
      const k = kernel[Math.abs(i - j)];
      sum += k * from[first + j * step];
      weight += k;
    }
    to[first + i * step] = sum / weight;
  }
}

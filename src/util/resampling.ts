/**
 * Resampling along one axis as a matrix: row o holds the weights of the input positions that make output o. What `interpolate` multiplies by,
 * and what resizes position embeddings when weights are loaded. Source: PyTorch, torch.nn.functional.interpolate.
 */

export interface Resampling {
  readonly kind: 'linear' | 'cubic';
  readonly from: number;
  readonly to: number;
  /** Input positions from one output to the next. Left out: from / to. */
  readonly step?: number;
  /** The corner samples' centres, rather than their outer edges, lie on each other. */
  readonly alignCorners?: boolean;
  /** The filter is as wide as the step when that is more than 1, so that every input counts. */
  readonly antialias?: boolean;
}

/** The matrix [to, from]; its rows add up to 1. */
export function resamplingMatrix(resampling: Resampling): Float64Array {
  return resampling.antialias ? widened(resampling) : interpolating(resampling);
}

/** Two or four neighbours for each output; beyond the border the outermost counts again. */
function interpolating({ kind, from, to, step = from / to, alignCorners = false }: Resampling): Float64Array {
  const matrix = new Float64Array(to * from);
  const stride = alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : step;
  for (let o = 0; o < to; o++) {
    const centre = alignCorners ? o * stride : (o + 0.5) * stride - 0.5;
    const x = kind === 'linear' ? Math.max(centre, 0) : centre;
    const nearest = Math.floor(x);
    const reach = kind === 'linear' ? 1 : 2;
    for (let at = nearest - reach + 1; at <= nearest + reach; at++) {
      const weight = kind === 'linear' ? triangle(at - x) : cubic(at - x, -0.75); // −0.75 as OpenCV
      matrix[o * from + Math.min(Math.max(at, 0), from - 1)] += weight;
    }
  }
  return matrix;
}

/** Pillow's way: what lies beyond the border is left out, and the rest is scaled to add up to 1. */
function widened({ kind, from, to, step = from / to }: Resampling): Float64Array {
  const matrix = new Float64Array(to * from);
  const widening = Math.max(1, step);
  const reach = (kind === 'linear' ? 1 : 2) * widening;
  for (let o = 0; o < to; o++) {
    const centre = (o + 0.5) * step;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const row = matrix.subarray(o * from + start, o * from + Math.min(from, Math.trunc(centre + reach + 0.5)));
    for (let i = 0; i < row.length; i++) {
      const distance = (start + i + 0.5 - centre) / widening;
      row[i] = kind === 'linear' ? triangle(distance) : cubic(distance, -0.5); // −0.5 as Pillow
    }
    const sum = row.reduce((a, b) => a + b, 0);
    for (let i = 0; i < row.length; i++) row[i] /= sum;
  }
  return matrix;
}

function triangle(distance: number): number {
  return Math.max(0, 1 - Math.abs(distance));
}

/** Cubic convolution; `a` is its slope at distance 1. Keys 1981. */
function cubic(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

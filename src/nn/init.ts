/**
 * Initial values of parameters, with PyTorch's names and defaults. Values come from the seeded global generator, and are drawn only when
 * somebody first looks at them: building a model is instant, and one whose weights come from a file never draws any. The device draws uniform
 * and normal ones itself, where they are to lie. What is drawn depends on the seed and on the order of the calls alone.
 * Sources: Glorot and Bengio 2010; He et al. 2015, arXiv:1502.01852; Saxe et al. 2013, arXiv:1312.6120.
 */

import { defaultGenerator, type Tensor } from '../tensor/index.js';
import { deferValue } from '../tensor/runtime.js';
import { type Draw, drawOnHost } from '../util/draw.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { philoxFill } from '../util/philox.js';
import { formatShape, numel, type Shape } from '../util/shape.js';

export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';
export type FanMode = 'fanIn' | 'fanOut';

export interface KaimingOptions {
  /** Negative slope of the leaky ReLU that follows. */
  readonly a?: number;
  readonly mode?: FanMode;
  readonly nonlinearity?: Nonlinearity;
}

/** Sets `tensor` to `value` everywhere. */
export function constant<T extends Tensor>(tensor: T, value: number): T {
  return defer(tensor, { kind: 'constant', value });
}

export function zeros<T extends Tensor>(tensor: T): T {
  return constant(tensor, 0);
}

export function ones<T extends Tensor>(tensor: T): T {
  return constant(tensor, 1);
}

/** Uniform in [low, high). */
export function uniform<T extends Tensor>(tensor: T, low = 0, high = 1): T {
  return defer(tensor, { kind: 'uniform', low, high, key: nextKey() });
}

/** Normal with this mean and standard deviation. */
export function normal<T extends Tensor>(tensor: T, mean = 0, std = 1): T {
  return defer(tensor, { kind: 'normal', mean, std, key: nextKey() });
}

/** Normal, redrawn until within [low, high] (bounds are values, not multiples of `std`, as in PyTorch). */
export function truncNormal<T extends Tensor>(
  tensor: T,
  { mean = 0, std = 1, low = -2, high = 2 }: { mean?: number; std?: number; low?: number; high?: number } = {},
): T {
  if (!(low < high)) throw new ConfigError(`truncNormal: low must lie below high; got [${low}, ${high}]`);
  // What 32 random bits never reach needs no cutting off.
  if (Math.min(mean - low, high - mean) > farthest * std) return normal(tensor, mean, std);
  const from = normalCdf((low - mean) / std);
  const width = normalCdf((high - mean) / std) - from;
  return draw(tensor, (bits, out) => {
    for (let i = 0; i < out.length; i++) {
      const value = mean + std * normalQuantile(from + width * ((bits[i] >>> 0) + 0.5) * 2 ** -32);
      out[i] = Math.min(Math.max(value, low), high);
    }
  });
}

/** Uniform in ±gain·√(3 / fan): keeps the variance through layers that a rectifier follows. */
export function kaimingUniform<T extends Tensor>(tensor: T, options: KaimingOptions = {}): T {
  const bound = Math.sqrt(3) * kaimingStd('kaimingUniform', tensor.shape, options);
  return uniform(tensor, -bound, bound);
}

/** Normal with standard deviation gain / √fan. */
export function kaimingNormal<T extends Tensor>(tensor: T, options: KaimingOptions = {}): T {
  return normal(tensor, 0, kaimingStd('kaimingNormal', tensor.shape, options));
}

/** Uniform in ±gain·√(6 / (fanIn + fanOut)). */
export function xavierUniform<T extends Tensor>(tensor: T, { gain = 1 }: { gain?: number } = {}): T {
  const { fanIn, fanOut } = fans('xavierUniform', tensor.shape);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform(tensor, -bound, bound);
}

/** Normal with standard deviation gain·√(2 / (fanIn + fanOut)). */
export function xavierNormal<T extends Tensor>(tensor: T, { gain = 1 }: { gain?: number } = {}): T {
  const { fanIn, fanOut } = fans('xavierNormal', tensor.shape);
  return normal(tensor, 0, gain * Math.sqrt(2 / (fanIn + fanOut)));
}

/** A (semi-)orthogonal matrix of shape [d0, d1·d2·…] times `gain`, uniform among all such (QR of a normal matrix). */
export function orthogonal<T extends Tensor>(tensor: T, { gain = 1 }: { gain?: number } = {}): T {
  if (tensor.shape.length < 2)
    throw new ShapeError(`orthogonal: needs two axes or more; got ${formatShape(tensor.shape)}`);
  const rows = tensor.shape[0];
  const cols = numel(tensor.shape.slice(1));
  return draw(tensor, (bits, out) => {
    const [count, length] = rows <= cols ? [rows, cols] : [cols, rows];
    const vectors = Array.from({ length: count }, (_, v) =>
      Float64Array.from({ length }, (_, i) => normalQuantile(((bits[v * length + i] >>> 0) + 0.5) * 2 ** -32)),
    );
    orthonormalize(vectors);
    vectors.forEach((vector, v) => {
      for (let i = 0; i < length; i++) out[rows <= cols ? v * cols + i : i * cols + v] = gain * vector[i];
    });
  });
}

/** A convolution that passes its input through: 1 at the centre tap from channel c to channel c of each group. */
export function dirac<T extends Tensor>(tensor: T, { groups = 1 }: { groups?: number } = {}): T {
  const [outChannels, inChannels, ...kernel] = tensor.shape;
  if (kernel.length < 1 || outChannels % groups !== 0) {
    throw new ShapeError(
      `dirac: needs a convolution weight [O, C, k…] with O divisible by groups = ${groups}; got ${formatShape(tensor.shape)}`,
    );
  }
  const size = numel(kernel);
  const centre = kernel.reduce((offset, k) => offset * k + Math.floor(k / 2), 0);
  const perGroup = outChannels / groups;
  return defer(tensor, (out) => {
    for (let g = 0; g < groups; g++) {
      for (let c = 0; c < Math.min(perGroup, inChannels); c++)
        out[((g * perGroup + c) * inChannels + c) * size + centre] = 1;
    }
  });
}

/** Ones on the diagonal of a matrix. */
export function eye<T extends Tensor>(tensor: T): T {
  const [rows, cols] = tensor.shape;
  if (tensor.shape.length !== 2) throw new ShapeError(`eye: needs a matrix; got ${formatShape(tensor.shape)}`);
  return defer(tensor, (out) => {
    for (let i = 0; i < Math.min(rows, cols); i++) out[i * cols + i] = 1;
  });
}

/** The factor by which a nonlinearity shrinks a standard deviation, undone. */
export function calculateGain(nonlinearity: Nonlinearity, a = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + a * a));
    case 'selu':
      return 3 / 4;
    default:
      throw new ConfigError(`calculateGain: unknown nonlinearity ${nonlinearity satisfies never}`);
  }
}

/** Inputs that one output sums over, and outputs that one input reaches, of a weight [O, C, k…]. */
export function fans(op: string, shape: Shape): { fanIn: number; fanOut: number } {
  if (shape.length < 2) throw new ShapeError(`${op}: needs a weight with two axes or more; got ${formatShape(shape)}`);
  const taps = numel(shape.slice(2));
  return { fanIn: shape[1] * taps, fanOut: shape[0] * taps };
}

function kaimingStd(
  op: string,
  shape: Shape,
  { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' }: KaimingOptions,
): number {
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(op, shape)[mode]);
}

/** Gives the tensor the values of `source` when somebody first looks: one the device knows to draw, or a function of the host. */
function defer<T extends Tensor>(tensor: T, source: Draw | ((out: Float32Array) => void)): T {
  if (tensor.storage === null || tensor.dtype !== 'float32') {
    throw new ConfigError(
      `init: only float32 parameters and buffers can be initialised; got ${tensor.storage === null ? 'an intermediate result' : tensor.dtype}`,
    );
  }
  const fill = () => {
    const out = new Float32Array(tensor.size);
    if (typeof source === 'function') source(out);
    else drawOnHost(out, source);
    return out;
  };
  deferValue(tensor, fill, typeof source === 'function' ? null : source);
  return tensor;
}

function nextKey(): Int32Array {
  return defaultGenerator().nextKey();
}

/** Takes a stream of the generator now and turns its bits into values, on the host, when they are needed. */
export function draw<T extends Tensor>(tensor: T, convert: (bits: Int32Array, out: Float32Array) => void): T {
  const key = nextKey();
  return defer(tensor, (out) => {
    const bits = new Int32Array(out.buffer);
    philoxFill(bits, key);
    convert(bits, out);
  });
}

/** Modified Gram–Schmidt, twice for accuracy. */
function orthonormalize(vectors: readonly Float64Array[]): void {
  for (let v = 0; v < vectors.length; v++) {
    const x = vectors[v];
    for (let pass = 0; pass < 2; pass++) {
      for (let u = 0; u < v; u++) {
        const y = vectors[u];
        let dot = 0;
        for (let i = 0; i < x.length; i++) dot += x[i] * y[i];
        for (let i = 0; i < x.length; i++) x[i] -= dot * y[i];
      }
    }
    const norm = euclidean(x);
    for (let i = 0; i < x.length; i++) x[i] /= norm;
  }
}

function euclidean(x: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/**
 * The x with Φ(x) = p, to 1e-15 for 1e-11 < p < 1 − 1e-11. Only + − × ÷ in the middle 85 %, so every engine draws the same bits.
 * Source: Wichura 1988, algorithm AS 241 (PPND16), without its far tail, which 32 random bits cannot reach.
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (
      (q *
        (((((((2509.0809287301227 * r + 33430.57558358813) * r + 67265.7709270087) * r + 45921.95393154987) * r +
          13731.69376550946) *
          r +
          1971.5909503065513) *
          r +
          133.14166789178438) *
          r +
          3.3871328727963665)) /
      (((((((5226.495278852854 * r + 28729.085735721943) * r + 39307.89580009271) * r + 21213.794301586597) * r +
        5394.196021424751) *
        r +
        687.1870074920579) *
        r +
        42.31333070160091) *
        r +
        1)
    );
  }
  const r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p)) - 1.6;
  const x =
    (((((((0.0007745450142783414 * r + 0.022723844989269184) * r + 0.2417807251774506) * r + 1.2704582524523684) * r +
      3.6478483247632045) *
      r +
      5.769497221460691) *
      r +
      4.630337846156546) *
      r +
      1.4234371107496835) /
    (((((((1.0507500716444169e-9 * r + 0.0005475938084995345) * r + 0.015198666563616457) * r + 0.14810397642748008) *
      r +
      0.6897673349851) *
      r +
      1.6763848301838038) *
      r +
      2.053191626637759) *
      r +
      1);
  return q < 0 ? -x : x;
}

/** No word of 32 bits gives a normal value farther from the mean than this many standard deviations. */
const farthest = 6.5;

/** Φ(x), as the inverse of its inverse: only used once for each truncated distribution. */
function normalCdf(x: number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const mid = (low + high) / 2;
    if (normalQuantile(mid) < x) low = mid;
    else high = mid;
  }
  return (low + high) / 2;
}

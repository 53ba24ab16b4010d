/**
 * Numbers that both sides of a golden test make for themselves, so that files need not hold them. counter.py is the same in Python, and
 * says how they are made.
 */

import { numel, type Shape } from '../../src/util/shape.js';

/** The 32-bit FNV-1a hash of bytes, or of `text` in UTF-8. */
export function fnv1a(text: string | Uint8Array): number {
  let h = 0x811c9dc5;
  for (const byte of typeof text === 'string' ? new TextEncoder().encode(text) : text)
    h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}

function mix(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

function word(stream: number, i: number): number {
  return mix((mix(i ^ stream) + 0x9e3779b9) | 0);
}

/** The first words of the stream `name`, each 0 … 2³² − 1. */
export function words(name: string, count: number): number[] {
  const stream = fnv1a(name);
  return Array.from({ length: count }, (_, i) => word(stream, i) >>> 0);
}

/** offset + scale · number, for the first numbers in [−1, 1) of the stream `name`. */
export function filled(name: string, shape: Shape, { scale = 1, offset = 0 } = {}): Float32Array {
  const out = new Float32Array(numel(shape));
  const stream = fnv1a(name);
  for (let i = 0; i < out.length; i++) out[i] = offset + scale * ((word(stream, i) >>> 8) / 2 ** 23 - 1);
  return out;
}

/** The value of a model's parameter or buffer in a golden test: of a scale that keeps signals alive through many layers. */
export function initial(path: string, shape: Shape): Float32Array | Int32Array {
  if (path.endsWith('num_batches_tracked')) return new Int32Array(numel(shape));
  if (shape.length >= 2) return filled(path, shape, { scale: Math.sqrt(6 / numel(shape.slice(1))) });
  if (path.endsWith('running_var')) return filled(path, shape, { scale: 0.5, offset: 1 });
  if (path.endsWith('.weight')) return filled(path, shape, { scale: 0.2, offset: 1 });
  return filled(path, shape, { scale: 0.1 }); // biases, running means
}

/**
 * Like `initial`, but batch norms (4 standard deviations from 0, a quarter of the channels of those that match `below` under it) keep to one
 * side of ReLU's kink: of millions of activations near 0 float32 decides some differently from float64, and each changes gradients by percents.
 * Neighbouring weights have opposite signs, so that what all inputs have in common cancels, and with it no digits of the variances.
 * `state` has all paths: a bias beside a running mean is a batch norm's.
 */
export function initialForTraining(
  path: string,
  shape: Shape,
  state: Readonly<Record<string, unknown>>,
  below: RegExp,
): Float32Array | Int32Array {
  if (shape.length >= 2) {
    const weight = initial(path, shape);
    const last = weight.length - 1;
    return Float32Array.from(weight, (w, i) => Math.fround(w - weight[Math.min(i ^ 1, last)]) / 2);
  }
  if (path.endsWith('.weight')) return filled(path, shape, { scale: 0.1, offset: 0.5 });
  if (path.endsWith('.bias') && path.replace(/bias$/, 'running_mean') in state) {
    const bias = filled(path, shape, { scale: 0.2, offset: 2 });
    return below.test(path) ? bias.map((b, i) => (i % 4 === 3 ? -b : b)) : bias;
  }
  return initial(path, shape);
}

export type Digest = readonly [norm: number, probe: number];

/** A tensor in two numbers: its norm, and its sum weighted by an outer product of numbers, which sees every swap and transposition. */
export function digest(values: ArrayLike<number>, shape: Shape): Digest {
  const columns = numel(shape.slice(1));
  const left = filled('rows', [shape[0]]);
  const right = filled('columns', [columns]);
  let [squares, probe] = [0, 0];
  for (let r = 0, i = 0; r < shape[0]; r++) {
    let line = 0;
    for (let c = 0; c < columns; c++, i++) {
      const v = values[i];
      squares += v * v;
      line += v * right[c];
    }
    probe += left[r] * line;
  }
  return [Math.sqrt(squares), probe];
}

/**
 * Random tensors. A generator is a seed and a count of streams: every call takes the next stream and gives the graph only the key
 * (seedLo, seedHi, stream, step) as data, so the numbers depend on the seed and the order of calls alone, and two training steps are the same
 * graph. The bits are Philox4x32-10's; the device draws them where they are used.
 */

import type { Node } from '../graph/node.js';
import { Storage } from '../graph/storage.js';
import * as ops from '../ops/elementwise.js';
import { cumsum } from '../ops/indexing.js';
import { argmax as argmaxOf, sum as sumOf } from '../ops/reduce.js';
import { buffer, randomBits } from '../ops/source.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { philoxFill } from '../util/philox.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import { type CreationOptions, fromOwned } from './creation.js';
import { unsqueeze } from './movement.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

/** Where a generator stands; `Generator.setState` goes on from there. */
export interface GeneratorState {
  readonly seed: number;
  readonly stream: number;
}

export class Generator {
  #seed: number;
  #stream = 0;
  #words: Int32Array = new Int32Array(0);
  #nextWord = 0;

  /** `seed`: a whole number from 0 to 2⁵³ − 1. */
  constructor(seed = 0) {
    this.#seed = checkSeed(seed);
  }

  get seed(): number {
    return this.#seed;
  }

  /** Starts over from `seed`. */
  manualSeed(seed: number): this {
    return this.setState({ seed: checkSeed(seed), stream: 0 });
  }

  /** Everything needed to go on later: `setState` with it gives the same numbers again. Drops host numbers drawn ahead. */
  state(): GeneratorState {
    this.#nextWord = this.#words.length;
    return { seed: this.#seed, stream: this.#stream };
  }

  setState({ seed, stream }: GeneratorState): this {
    this.#seed = checkSeed(seed);
    this.#stream = stream;
    this.#words = new Int32Array(0);
    this.#nextWord = 0;
    return this;
  }

  /** The key of the next stream: [seedLo, seedHi, stream, step]. */
  nextKey(): Int32Array {
    const stream = this.#stream++;
    return Int32Array.of(
      this.#seed % 2 ** 32,
      Math.floor(this.#seed / 2 ** 32),
      stream % 2 ** 32,
      Math.floor(stream / 2 ** 32),
    );
  }

  /** `count` random words, on the host. */
  bits(count: number): Int32Array {
    const out = new Int32Array(count);
    philoxFill(out, this.nextKey());
    return out;
  }

  /** One number in [0, 1), on the host: for data loaders and augmentations. */
  random(): number {
    return this.#word() * 2 ** -32;
  }

  /** A whole number in 0 … n − 1, on the host, each equally likely. */
  integer(n: number): number {
    if (!(Number.isInteger(n) && n > 0 && n <= 2 ** 32)) throw new ConfigError(`integer: n must be 1 … 2³², not ${n}`);
    const fair = 2 ** 32 - (2 ** 32 % n);
    let word = this.#word();
    while (word >= fair) word = this.#word();
    return word % n;
  }

  /** The numbers 0 … n − 1 in random order, on the host. */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** A generator of its own, decided by this one's next stream: for parts that must not disturb each other's numbers. */
  fork(): Generator {
    const [low, high] = this.bits(2);
    return new Generator((low >>> 0) + (high & 0x1fffff) * 2 ** 32);
  }

  #word(): number {
    if (this.#nextWord === this.#words.length) {
      this.#words = this.bits(256);
      this.#nextWord = 0;
    }
    return this.#words[this.#nextWord++] >>> 0;
  }
}

let shared: Generator | null = null;

/** The generator used where none is passed. It starts from seed 0, so programs repeat themselves unless they ask otherwise. */
export function defaultGenerator(): Generator {
  shared ??= new Generator();
  return shared;
}

/** Seeds the default generator: weights, dropout, shuffles and everything else random repeat from here. */
export function manualSeed(seed: number): Generator {
  return defaultGenerator().manualSeed(seed);
}

export interface RandomOptions extends Pick<CreationOptions, 'requiresGrad'> {
  generator?: Generator;
}

/** Uniform in [0, 1), in steps of 2⁻²⁴. */
export function rand(shape: Shape, { generator, requiresGrad = false }: RandomOptions = {}): Tensor {
  return finished(uniform(shape, generator), requiresGrad);
}

/** From the standard normal distribution (Box & Muller 1958). */
export function randn(shape: Shape, { generator, requiresGrad = false }: RandomOptions = {}): Tensor {
  const radius = ops.sqrt(ops.mul(ops.log(ops.sub(1, uniform(shape, generator))), -2)); // 1 − u lies in (0, 1]
  const angle = ops.mul(uniform(shape, generator), 2 * Math.PI);
  return finished(ops.mul(radius, ops.cos(angle)), requiresGrad);
}

/** Whole numbers low … high − 1 (int32), each equally likely up to 2⁻²⁴. The range may span 2²⁴. */
export function randint(low: number, high: number, shape: Shape, { generator }: RandomOptions = {}): Tensor {
  const span = high - low;
  const fits =
    Number.isInteger(low) &&
    Number.isInteger(high) &&
    span >= 1 &&
    span <= 2 ** 24 &&
    low >= -(2 ** 31) &&
    high <= 2 ** 31;
  if (!fits)
    throw new ConfigError(
      `randint: needs whole numbers low < high, at most 2²⁴ apart and inside int32; got ${low}, ${high}`,
    );
  // u ≤ 1 − 2⁻²⁴, so u · span rounds to less than span.
  const offset = ops.cast(ops.floor(ops.mul(uniform(shape, generator), span)), 'int32');
  return new Tensor(low === 0 ? offset : ops.add(offset, low));
}

/** The numbers 0 … n − 1 in random order (int32). */
export function randperm(n: number, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  return fromOwned(generator.permutation(n), [n], 'int32');
}

/** 1 with the probability that stands in `p`, else 0: float32, of p's shape. */
export function bernoulli(p: TensorLike, { generator }: RandomOptions = {}): Tensor {
  const probabilities = asTensor(p).node;
  return new Tensor(ops.cast(ops.lt(uniform(probabilities.shape, generator), probabilities), 'float32'));
}

/**
 * Draws `count` positions for each row of weights [n] or [rows, n], each with a probability proportional to its weight: int32 [count] or
 * [rows, count]. With replacement; the weights need not add up to 1.
 */
export function multinomial(weights: TensorLike, count: number, { generator }: RandomOptions = {}): Tensor {
  const w = ops.cast(asTensor(weights).node, 'float32');
  if (w.shape.length < 1 || w.shape.length > 2) {
    throw new ShapeError(`multinomial: weights must be [n] or [rows, n], not ${formatShape(w.shape)}`);
  }
  const rows = w.shape.slice(0, -1);
  const upTo = cumsum(w, -1); // the position drawn is the first whose running sum exceeds u · total
  const total = sumOf(w, -1, true);
  const drawn = ops.mul(uniform([...rows, count], generator), total);
  const line = unsqueeze(new Tensor(upTo), -2).node;
  const point = unsqueeze(new Tensor(drawn), -1).node;
  return new Tensor(argmaxOf(ops.cast(ops.gt(line, point), 'int32'), -1));
}

function uniform(shape: Shape, generator: Generator = defaultGenerator()): Node {
  checkSize(shape);
  const key = buffer(new Storage([4], 'int32', generator.nextKey()));
  return ops.bitsToUniform(randomBits(key, [...shape]));
}

function finished(node: Node, requiresGrad: boolean): Tensor {
  const t = new Tensor(requiresGrad ? ops.stopGradient(node) : node);
  if (requiresGrad) t.requiresGrad = true;
  return t;
}

function checkSize(shape: Shape): void {
  if (!shape.every((s) => Number.isInteger(s) && s >= 0) || numel(shape) > 2 ** 31) {
    throw new ShapeError(
      `${formatShape(shape)} is no shape for random numbers: sizes are whole numbers ≥ 0, at most 2³¹ elements`,
    );
  }
}

function checkSeed(seed: number): number {
  if (Number.isSafeInteger(seed) && seed >= 0) return seed;
  throw new ConfigError(`a seed is a whole number from 0 to 2⁵³ − 1, not ${seed}`);
}

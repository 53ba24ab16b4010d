/**
 * The random numbers of one picture in one epoch. They follow from (seed, epoch, picture, stream) alone, so that an augmentation comes out
 * the same on whichever worker, in whatever order, and after resuming. The bits are Philox4x32-10's.
 */

import { ConfigError } from '../util/errors.js';
import { philoxFill } from '../util/philox.js';

/** "augm": keeps these numbers apart from those that shuffle and draw weights under the same seed. */
const tag = 0x6175676d;

export class Random {
  readonly #key: Int32Array;
  readonly #words = new Int32Array(32);
  readonly #origin: readonly [seed: number, epoch: number, index: number, stream: number];
  #next = 32;

  /** `stream` tells apart several uses for the same picture, such as two steps of a pipeline. */
  constructor(seed: number, epoch = 0, index = 0, stream = 0) {
    // Key and counter have five free words: seed (two), picture, epoch, and how many words were drawn, in steps of 32.
    this.#key = Int32Array.of(seed | 0, Math.floor(seed / 2 ** 32) | 0, index, epoch ^ tag, stream << 16);
    this.#origin = [seed, epoch, index, stream];
  }

  /** The same picture's numbers for step 0 … 62 of several, each its own, whatever was drawn here or there. Steps have steps in turn. */
  fork(step: number): Random {
    const [seed, epoch, index, stream] = this.#origin;
    return new Random(seed, epoch, index, (stream * 64 + step + 1) & 0xffff);
  }

  /** Evenly in [low, high), 53 bits. */
  uniform(low = 0, high = 1): number {
    const [a, b] = [this.#word() >>> 5, this.#word() >>> 6];
    return low + ((a * 2 ** 26 + b) / 2 ** 53) * (high - low);
  }

  /** A whole number from low up to, and without, high. @throws {ConfigError} where there is none */
  integer(low: number, high: number): number {
    if (!(high > low)) throw new ConfigError(`Random.integer: there is no whole number from ${low} to below ${high}`);
    return Math.min(high - 1, low + Math.floor(this.uniform() * (high - low)));
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** Box and Muller 1958. */
  normal(mean = 0, std = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return mean + std * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Beta(a, b) as the ratio of two gamma variates; what MixUp weighs pictures by. */
  beta(a: number, b: number): number {
    const [x, y] = [this.#gamma(a), this.#gamma(b)];
    return x + y === 0 ? 0.5 : x / (x + y);
  }

  /** @throws {ConfigError} for an empty list */
  choice<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length)];
  }

  /** Marsaglia & Tsang 2000, with their step for shapes below 1. */
  #gamma(shape: number): number {
    if (shape < 1) return this.#gamma(shape + 1) * this.uniform() ** (1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - this.uniform()) < x * x * 0.5 + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  #word(): number {
    if (this.#next === this.#words.length) {
      philoxFill(this.#words, this.#key);
      this.#key[4]++;
      this.#next = 0;
    }
    return this.#words[this.#next++];
  }
}

/** Leaves for tests of ops on the reference target, and what is asked about the nodes computed from them. */

import { expect } from 'vitest';
import type { Node } from '../src/graph/node.js';
import type { NdArray } from '../src/graph/op.js';
import { Storage } from '../src/graph/storage.js';
import { ReferenceTarget } from '../src/ops/reference/index.js';
import { buffer } from '../src/ops/source.js';
import { numel, type Shape } from '../src/util/shape.js';
import { gradcheck, randomNumbers } from './gradcheck.js';

const reference = new ReferenceTarget();

export function tensor(shape: Shape, values: Iterable<number>): Node {
  return buffer(new Storage(shape, 'float32', Float32Array.from(values)));
}

export function ints(shape: Shape, values: Iterable<number>): Node {
  return buffer(new Storage(shape, 'int32', Int32Array.from(values)));
}

/** Uniform in [−1, 1), the same for a seed. */
export function random(shape: Shape, seed: number): Node {
  const next = randomNumbers(seed);
  return tensor(
    shape,
    Array.from({ length: numel(shape) }, () => 2 * next() - 1),
  );
}

/** Shuffled values 1/128 apart: small steps, as finite differences take them, change no maximum and no order. */
export function spread(shape: Shape, seed: number): Node {
  const next = randomNumbers(seed);
  const keys = Array.from({ length: numel(shape) }, next);
  const order = keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b]);
  return tensor(shape, order.map((i) => (i - order.length / 2) / 128)); // biome-ignore format: one thought
}

export function evaluate(node: Node): NdArray {
  return reference.evaluate(node);
}

export function values(node: Node): number[] {
  return [...evaluate(node).data];
}

/** Σ a·b in float64. */
export function dot(a: Node, b: Node): number {
  const [x, y] = reference.evaluateAll([a, b]);
  let sum = 0;
  for (let i = 0; i < x.data.length; i++) sum += x.data[i] * y.data[i];
  return sum;
}

/** First and second derivatives at the values of these leaves. */
export function checkGradients(f: (...inputs: Node[]) => Node, leaves: readonly Node[]): void {
  gradcheck(f, leaves.map(evaluate), { order: 2 });
}

export function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail('nothing was thrown');
}

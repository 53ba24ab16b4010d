/**
 * Checks gradients against central differences in float64 on the reference target, along one random direction through all inputs at once.
 * `order: 2` checks the gradient of the gradient the same way. Works for any function on float nodes; the caller keeps inputs off kinks.
 */

import { expect } from 'vitest';
import { gradient } from '../src/grad/reverse.js';
import type { Node } from '../src/graph/node.js';
import type { NdArray } from '../src/graph/op.js';
import { Storage } from '../src/graph/storage.js';
import { verify } from '../src/graph/verify.js';
import { add, mul } from '../src/ops/elementwise.js';
import { sum } from '../src/ops/reduce.js';
import { ReferenceTarget } from '../src/ops/reference/index.js';
import { buffer, constant } from '../src/ops/source.js';
import { allocate, type DType } from '../src/util/dtype.js';
import { numel, type Shape } from '../src/util/shape.js';

export interface GradcheckOptions {
  /** 2 checks second derivatives too. Default 1. */
  order?: 1 | 2;
  seed?: number;
  /** Allowed difference, relative to the sum of the sizes of the terms that make up the derivative. Default 1e-7. */
  tolerance?: number;
}

/** Float inputs are varied, others (indices) are passed as they are. @throws an assertion error when the two derivatives differ. */
export function gradcheck(
  f: (...xs: Node[]) => Node,
  inputs: readonly NdArray[],
  { order = 1, seed = 1, tolerance = 1e-7 }: GradcheckOptions = {},
): void {
  const random = randomNumbers(seed);
  const leaves = inputs.map(({ shape, dtype }) => buffer(Storage.zeros(shape, dtype)));
  const varied = leaves.filter(({ dtype }) => dtype === 'float32');
  const feeds = new Map(leaves.map((leaf, i) => [leaf, inputs[i]]));
  /** Σ x · random weights: a scalar that every element has a say in. */
  const weighted = (nodes: readonly Node[]): Node =>
    nodes
      .map((node) => {
        const weights = buffer(Storage.zeros(node.shape, 'float32'));
        feeds.set(
          weights,
          floats(node.shape, () => gaussian(random)),
        );
        return sum(mul(node, weights));
      })
      .reduce(add);

  const loss = weighted([f(...leaves)]);
  compare(loss, varied, feeds, random, tolerance, 'first derivative');
  if (order === 2) {
    const grads = gradient([loss], [constant(1)], varied, algebra);
    compare(weighted(grads), varied, feeds, random, tolerance, 'second derivative');
  }
}

/** The two operations that reverse mode needs. */
export const algebra = { add, zeros: (like: Node) => constant(0, like.shape) };

/** A float array of `shape`; `sample` gives one element after another. */
export function floats(shape: Shape, sample: () => number): NdArray {
  return array(shape, 'float32', Float64Array.from({ length: numel(shape) }, sample));
}

export function array(shape: Shape, dtype: DType, data: NdArray['data']): NdArray {
  return { shape, dtype, data };
}

/** A node that holds these values. */
export function leaf(shape: Shape, values: ArrayLike<number>, dtype: DType = 'float32'): Node {
  const host = allocate(dtype, numel(shape));
  host.set(Array.from(values));
  return buffer(new Storage(shape, dtype, host));
}

/** The value of `node`, row-major, in float64. */
export function valuesOf(node: Node): number[] {
  return Array.from(new ReferenceTarget().evaluate(node).data);
}

/** Gradients of Σ y (or of ⟨y, dy⟩) by `wrt`. */
export function gradientsOf(y: Node, wrt: readonly Node[], dy: Node = constant(1, y.shape)): Node[] {
  return gradient([y], [dy], wrt, algebra);
}

/** Uniform in [0, 1), the same for a seed everywhere (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

function compare(
  scalar: Node,
  varied: readonly Node[],
  feeds: ReadonlyMap<Node, NdArray>,
  random: () => number,
  tolerance: number,
  what: string,
): void {
  const target = new ReferenceTarget();
  const grads = gradient([scalar], [constant(1)], varied, algebra);
  verify([scalar, ...grads]);
  const direction = varied.map((x) => floats(x.shape, () => gaussian(random)));
  const terms = target
    .evaluateAll(grads, feeds)
    .flatMap((g, i) => Array.from(g.data, (value, j) => value * direction[i].data[j]));
  const analytic = terms.reduce((a, b) => a + b, 0);
  const scale = terms.reduce((a, b) => a + Math.abs(b), 0);

  const at = (step: number): number => {
    const moved = new Map(feeds);
    varied.forEach((x, i) => {
      const from = feeds.get(x)!;
      moved.set(x, { ...from, data: (from.data as Float64Array).map((v, j) => v + step * direction[i].data[j]) });
    });
    return target.evaluate(scalar, moved).data[0];
  };
  // Five points: the error falls with the fourth power of the step, so that 1e-4 leaves rounding the larger part.
  const h = 1e-4;
  const numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  const allowed = tolerance * Math.max(scale, Math.abs(numeric), Math.abs(at(0)), 1e-3);
  const message = `${what}: ${analytic} by the rule, ${numeric} by differences (allowed: ${allowed})`;
  expect(Math.abs(analytic - numeric) <= allowed, message).toBe(true);
}

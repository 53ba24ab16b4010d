/** Reverse mode: sums over paths, zeros where there is no path, depth, and gradients of gradients. */

import { describe, expect, test } from 'vitest';
import { algebra, gradientsOf, leaf, valuesOf } from '../../test/gradcheck.js';
import { type Node, withScope } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import { topological } from '../graph/traverse.js';
import { add, cast, exp, gt, mul, where } from '../ops/elementwise.js';
import { sum } from '../ops/reduce.js';
import { constant } from '../ops/source.js';
import { gradient } from './reverse.js';

const x = (...values: number[]) => leaf([values.length], values);

describe('gradient', () => {
  test('adds up over all paths and outputs', () => {
    const [a, b] = [x(2, 3), x(5, 7)];
    const y = mul(a, add(a, b)); // a² + ab
    const grads = gradient([y, a], [constant(1, [2]), constant(10, [2])], [a, b], algebra);
    expect(grads.map(valuesOf)).toEqual([[19, 23], [2, 3]]); // biome-ignore format: one thought
  });

  test('is zeros where nothing depends on the node, and the seed at an output itself', () => {
    const [a, b] = [x(2, 3), x(5, 7)];
    expect(gradientsOf(mul(a, a), [b]).map(valuesOf)).toEqual([[0, 0]]);
    const seed = x(8, 9);
    expect(gradient([a], [seed], [a], algebra)).toEqual([seed]);
  });

  test('reaches nodes in the middle of a graph', () => {
    const a = x(2, 3);
    const middle = mul(a, a);
    const y = mul(middle, middle);
    expect(gradientsOf(y, [middle, a]).map(valuesOf)).toEqual([[8, 18], [32, 108]]); // biome-ignore format: one thought
  });

  test('differentiates again and again: the n-th derivative of x⁵', () => {
    const a = x(2);
    let y: Node = a;
    for (let i = 0; i < 4; i++) y = mul(y, a);
    const derivatives: number[] = [];
    for (let n = 0; n < 6; n++) {
      [y] = gradientsOf(y, [a]);
      derivatives.push(valuesOf(y)[0]);
    }
    expect(derivatives).toEqual([80, 160, 240, 240, 120, 0]);
  });

  test('stops at integers and at what does not depend on the nodes asked for', () => {
    const [a, b] = [x(2, 3), x(5, 7)];
    const y = where(gt(a, 2), mul(b, cast(cast(a, 'int32'), 'float32')), exp(b));
    const [da] = gradientsOf(y, [a]);
    expect(valuesOf(da)).toEqual([0, 0]);
    const [db] = gradientsOf(sum(mul(exp(a), b)), [b]);
    expect(topological([db]).filter((n) => n.op.name === 'exp')).toHaveLength(1);
  });

  test('walks a chain of 50 000 operations', () => {
    const a = x(1);
    let y: Node = a;
    for (let i = 0; i < 50_000; i++) y = add(y, a);
    expect(valuesOf(gradientsOf(y, [a])[0])).toEqual([50_001]);
  });

  test('records gradients under the scope of the operation they belong to', () => {
    const a = x(1);
    const y = withScope('layer3', () => exp(a));
    expect(gradientsOf(mul(y, y), [a])[0].scope).toBe('layer3');
  });

  test('names an operation without a rule when a gradient reaches it, and only then', () => {
    const steepOp = defineOp<object>('steep', {
      infer: ([v]) => ({ shape: v.shape, dtype: v.dtype }),
      reference: ([v]) => v.data,
    });
    const a = x(1);
    const y = record(steepOp, [a], {});
    expect(() => gradientsOf(y, [a])).toThrow('steep has no gradient rule, but a gradient reached it');
    expect(valuesOf(gradientsOf(mul(y, x(3)), [x(0)])[0])).toEqual([0]);
  });

  test('refuses a rule that returns a gradient of another shape', () => {
    const wrongOp = defineOp<object>('wrong', {
      infer: ([v]) => ({ shape: v.shape, dtype: v.dtype }),
      reference: ([v]) => v.data,
      vjp: () => [constant(1, [3])],
    });
    const a = x(1, 2);
    expect(() => gradientsOf(record(wrongOp, [exp(a)], {}), [a])).toThrow('gradient of exp [2] arrived as float32[3]');
  });
});

/** Which work becomes one kernel. */

import { describe, expect, test } from 'vitest';
import { groups, input, passes, stored } from '../../test/passes.js';
import type { Node } from '../graph/node.js';
import * as ops from '../ops/index.js';
import { waitFor } from './fuse.js';

const kernels = (...roots: Node[]) => groups(passes(roots));

describe('elementwise work', () => {
  test('in a chain is one kernel that stores its end', () => {
    expect(kernels(ops.sqrt(ops.add(ops.mul(input([3, 5]), 2), input([5]))))).toEqual(['pointwise: sqrt [sqrt]']);
  });

  test('that is cheap is repeated by each user', () => {
    const double = ops.mul(input([9]), 2);
    expect(kernels(ops.sum(double), ops.amax(ops.abs(double), [0], true))).toEqual([
      'reduction: sum [sum]',
      'reduction: maxReduce [maxReduce]',
    ]);
  });

  test('that is dear, or reads much, is stored once', () => {
    const dear = ops.tanh(input([4, 6]));
    expect(kernels(ops.sum(dear, [0]), ops.sum(dear, [1]))).toEqual([
      'pointwise: tanh [tanh]',
      'reduction: sum [sum]',
      'reduction: sum [sum]',
    ]);
    const twoReads = ops.mul(input([4, 6]), input([4, 6]));
    expect(kernels(ops.sum(twoReads, [0]), ops.sum(twoReads, [1]))[0]).toBe('pointwise: mul [mul]');
  });

  test('on the same operands is walked together', () => {
    const [m, w] = [stored([6]), stored([6])];
    const g = input([6]);
    const v = ops.add(ops.mul(ops.buffer(m), 0.9), g);
    const update = { storage: w, value: ops.sub(ops.buffer(w), ops.mul(v, 0.1)) };
    expect(groups(passes([], [{ storage: m, value: v }, update]))).toEqual(['pointwise: add sub [add sub]']);
  });

  test('that reads its own kernel in another order waits for it', () => {
    const x = ops.exp(input([5, 5]));
    expect(kernels(ops.add(x, ops.permute(x, [1, 0])))).toEqual(['pointwise: exp [exp]', 'pointwise: add [add]']);
    const y = ops.conv(input([2, 3, 6, 6]), input([4, 3, 3, 3]));
    expect(kernels(ops.add(y, ops.flip(y, 2)))).toEqual(['structured: conv [conv]', 'pointwise: add [add]']);
    const rows = ops.sum(input([5, 5]), [0]);
    expect(kernels(ops.add(rows, ops.flip(rows, 0)))).toEqual(['reduction: sum [sum]', 'pointwise: add [add]']);
  });
});

describe('structured work', () => {
  test('takes bias, activation and residual in', () => {
    const x = input([2, 8, 7, 7]);
    const y = ops.conv(x, input([8, 8, 3, 3]), { padding: 1 });
    expect(kernels(ops.relu(ops.add(ops.add(y, ops.reshape(input([8]), [8, 1, 1])), x)))).toEqual([
      'structured: conv relu [relu]',
    ]);
  });

  test('goes on to a cheap result that several read, instead of storing what nobody else does', () => {
    const logits = ops.add(ops.matmul(input([4, 6]), input([6, 5])), input([5]));
    expect(kernels(ops.amax(logits, [1]), ops.sum(logits, [0]))).toEqual([
      'structured: matmul add [add]',
      'reduction: maxReduce [maxReduce]',
      'reduction: sum [sum]',
    ]);
  });

  test('stores its result beside what is fused when others read it', () => {
    const y = ops.matmul(input([4, 6]), input([6, 5]));
    const z = ops.relu(y);
    expect(kernels(z, ops.sum(y, [0]))).toEqual(['structured: matmul relu [matmul relu]', 'reduction: sum [sum]']);
  });

  test('does not take in what depends on it through another kernel', () => {
    const y = ops.matmul(input([4, 6]), input([6, 5]));
    const centred = ops.sub(y, ops.mean(y, [0], true));
    expect(kernels(centred)).toEqual([
      'structured: matmul [matmul]',
      'reduction: sum mul [mul]',
      'pointwise: sub [sub]',
    ]);
  });
});

describe('reductions', () => {
  test('take in the work in front of them and behind them', () => {
    const x = input([4, 6]);
    expect(kernels(ops.sqrt(ops.sum(ops.mul(x, x), [1])))).toEqual(['reduction: sum sqrt [sqrt]']);
  });

  test('over the same axes of the same operand are one kernel', () => {
    const x = input([4, 6]);
    expect(kernels(ops.sum(x, [0]), ops.sum(ops.mul(x, x), [0]), ops.amax(x, [0]))).toEqual([
      'reduction: sum sum maxReduce [sum sum maxReduce]',
    ]);
    expect(kernels(ops.sum(x, [0]), ops.sum(x, [1]))).toHaveLength(2);
    expect(kernels(ops.sum(x, [0]), ops.sum(input([4, 6]), [0]))).toHaveLength(2);
  });

  test('of which one needs the other are two', () => {
    const x = input([4, 6]);
    const off = ops.sub(x, ops.mean(x, [0], true));
    expect(kernels(ops.sum(ops.mul(off, off), [0], true))).toHaveLength(2);
  });
});

describe('movement', () => {
  test('is read through, and costs no kernel', () => {
    const x = input([4, 6, 5]);
    const moved = ops.flip(ops.permute(ops.slice(x, [0, 1, 0], [4, 6, 5], [2, 1, 1]), [2, 0, 1]), 1);
    expect(kernels(ops.add(moved, 1))).toEqual(['pointwise: add [add]']);
  });

  test('is copied where no strides describe it, and where it is the result', () => {
    const x = input([4, 6]);
    expect(kernels(ops.exp(ops.reshape(ops.permute(x, [1, 0]), [24])))).toEqual([
      'pointwise: permute [permute]',
      'pointwise: exp [exp]',
    ]);
    expect(kernels(ops.permute(x, [1, 0]))).toEqual(['pointwise: permute [permute]']);
  });
});

describe('size', () => {
  test('of a kernel is bounded, whatever the length of a chain or the number of its operands', () => {
    let [chain, total] = [ops.neg(input([10])), ops.neg(input([10]))];
    for (let i = 0; i < 3000; i++) chain = i % 2 === 0 ? ops.sin(chain) : ops.add(chain, 1);
    for (let i = 0; i < 300; i++) total = ops.add(total, input([10]));
    const { fusion } = passes([chain, total]);
    expect(fusion.groups.length).toBeLessThan(300);
    const operands = (node: Node, seen = new Set<Node>()): Set<Node> => {
      for (const i of node.inputs) {
        if (fusion.isStored(i)) seen.add(i);
        else operands(i, seen);
      }
      return seen;
    };
    for (const g of fusion.groups) {
      const read = new Set(g.roots.flatMap((r) => [...operands(r)]));
      expect(read.size + g.stores.length).toBeLessThanOrEqual(64);
    }
  });
});

test('no two groups wait for each other', () => {
  const x = input([4, 6]);
  const a = ops.exp(x);
  const b = ops.sum(a, [0], true);
  const c = ops.mul(a, b);
  const d = ops.sum(c, [0], true);
  const { fusion } = passes([ops.sub(c, d), ops.add(a, d), ops.mul(ops.exp(ops.add(x, b)), a)]);
  for (const g of fusion.groups) expect(waitFor([g], g)).toBe(false);
});

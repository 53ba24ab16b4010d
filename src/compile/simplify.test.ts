/** What is left of a graph: nothing twice, nothing that constants alone decide, nothing that does nothing. */

import { describe, expect, test } from 'vitest';
import { input, simplified, text } from '../../test/passes.js';
import { runCompiled } from '../../test/run-compiled.js';
import { Node } from '../graph/node.js';
import { defineOp } from '../graph/op.js';
import * as ops from '../ops/index.js';
import { uniform } from './simplify.js';

/** The number a root is folded to, or null. */
const folded = (node: Parameters<typeof uniform>[0]) => uniform(simplified([node]).roots[0]);

describe('common subexpressions', () => {
  test('become one, through any depth', () => {
    const x = input([3]);
    const twice = () => ops.exp(ops.add(ops.mul(x, 2), 1));
    expect(text(ops.sub(twice(), twice()))).toBe(
      [
        '%1 = input(slot: 0, shape: [3], dtype: float32, persistent: false, layout: null) float32[3]',
        '%2 = constant(value: 2, shape: [3], dtype: float32) float32[3]',
        '%3 = mul(%1, %2) float32[3]',
        '%4 = constant(value: 1, shape: [3], dtype: float32) float32[3]',
        '%5 = add(%3, %4) float32[3]',
        '%6 = exp(%5) float32[3]',
        '%7 = sub(%6, %6) float32[3]',
        'return %7',
      ].join('\n'),
    );
  });

  test('are told apart by attributes and by operands', () => {
    const [x, y] = [input([2, 3]), input([2, 3])];
    const { roots } = simplified([ops.sum(x, [0]), ops.sum(x, [0]), ops.sum(x, [1]), ops.sum(y, [0])]);
    expect(roots[0]).toBe(roots[1]);
    expect(new Set(roots).size).toBe(3);
  });

  test('two reads of one storage are one input, two storages are two', () => {
    const x = input([3]);
    const again = ops.buffer((x.attrs as { storage: never }).storage);
    expect(simplified([ops.add(x, again)]).inputs).toHaveLength(1);
    expect(simplified([ops.add(x, input([3]))]).inputs).toHaveLength(2);
  });
});

describe('constants', () => {
  const c = ops.constant;
  test('are computed while compiling', () => {
    expect(folded(ops.sub(ops.mul(c(3, [2]), c(4, [2])), 5))).toBe(7);
    expect(folded(ops.reshape(ops.permute(ops.add(c(1, [2, 3]), 1), [1, 0]), [6]))).toBe(2);
    expect(folded(ops.where(c(true, [2]), c(5, [2]), c(6, [2])))).toBe(5);
  });

  test('keep NaN, infinities and the sign of 0', () => {
    expect(folded(ops.div(c(1, [2]), c(-0, [2])))).toBe(Number.NEGATIVE_INFINITY);
    expect(folded(ops.sub(c(Infinity, [2]), c(Infinity, [2])))).toBeNaN();
    expect(folded(ops.neg(c(0, [2])))).toBe(-0);
    expect(folded(ops.max(c(Number.NaN, [2]), c(1, [2])))).toBeNaN();
    expect(folded(ops.eq(c(Number.NaN, [2]), c(Number.NaN, [2])))).toBe(0);
    expect(folded(ops.log(c(0, [2])))).toBe(Number.NEGATIVE_INFINITY);
  });

  test('wrap as integers do', () => {
    const most = c(2 ** 31 - 1, [2], 'int32');
    expect(folded(ops.add(most, 1))).toBe(-(2 ** 31));
    expect(folded(ops.mul(most, 2))).toBe(-2);
    expect(folded(ops.cast(ops.add(c(255, [2], 'uint8'), c(2, [2], 'uint8')), 'int32'))).toBe(1);
    expect(folded(ops.cast(c(Number.NaN, [2]), 'int32'))).toBe(0);
    expect(folded(ops.cast(c(1e20, [2]), 'int32'))).toBe(2 ** 31 - 1);
  });

  test('0 and −0, NaN and ∞ are not one constant', () => {
    const { roots } = simplified([0, -0, Number.NaN, Infinity, -Infinity].map((v) => c(v, [2])));
    expect(new Set(roots).size).toBe(5);
    expect(roots.map(uniform)).toEqual([0, -0, Number.NaN, Infinity, -Infinity]);
  });
});

describe('what has no elements', () => {
  test('is a constant, and so are reductions over nothing', () => {
    const none = input([0, 3]);
    expect(folded(ops.exp(none))).toBe(0);
    expect(folded(ops.sum(none, [0]))).toBe(0);
    expect(folded(ops.prod(none, [0]))).toBe(1);
    expect(folded(ops.matmul(input([2, 0]), input([0, 5])))).toBe(0);
    expect(folded(ops.pad(none, [[1, 1], [0, 0]], 7))).toBe(7); // biome-ignore format: one thought
    expect(folded(ops.slice(input([4, 3]), [2, 0], [2, 3]))).toBe(0);
  });

  test('leaves other operands alone', () => {
    expect(folded(ops.concat([input([0, 3]), input([2, 3])], 0))).toBeNull();
  });
});

describe('rewrites', () => {
  test('drop what does nothing', () => {
    const x = input([3]);
    const [read, ...same] = simplified([
      ops.neg(x),
      ops.neg(ops.mul(x, 1)),
      ops.neg(ops.sub(x, 0)),
      ops.neg(ops.div(x, 1)),
      ops.neg(ops.stopGradient(x)),
      ops.neg(ops.neg(ops.neg(x))),
      ops.neg(ops.where(ops.constant(false, [3]), input([3]), x)),
    ]).roots;
    for (const root of same) expect(root).toBe(read);
  });

  test('chains of reshapes and of permutes are one', () => {
    const x = input([2, 3, 4]);
    expect(text(ops.reshape(ops.reshape(ops.neg(x), [6, 4]), [8, 3]))).toMatch(/%2 = neg\(%1\).*\n%3 = reshape\(%2/);
    expect(simplified([ops.permute(ops.permute(ops.neg(x), [1, 2, 0]), [2, 0, 1])]).roots[0].op).toBe(ops.negOp);
  });

  test('a matrix product reads what is transposed as it lies', () => {
    const [x, w] = [input([2, 3, 4]), input([2, 5, 4])];
    const [product] = simplified([ops.matmul(x, ops.permute(w, [0, 2, 1]))]).roots;
    expect(product.attrs).toEqual({ transA: false, transB: true });
    expect(product.inputs.map((i) => i.shape)).toEqual([x.shape, w.shape]);
    const other = ops.permute(input([5, 4, 2]), [2, 1, 0]);
    expect(simplified([ops.matmul(x, other)]).roots[0].attrs).toEqual({ transA: false, transB: false });
  });

  test('argmax comes apart into what has kernels', () => {
    expect(text(ops.argmax(input([3, 4]), 1))).toContain('maxReduce');
    expect(text(ops.argmax(input([3, 4]), 1))).not.toContain('argmax');
  });
});

test('a node whose shape is not what its operation says is found before it is compiled', () => {
  const wrong = new Node(ops.negOp, [input([3])], {}, [4], 'float32');
  expect(() => runCompiled([wrong])).toThrow('after tracing: neg is float32[4], but its inputs make float32[3]');
  const x = input([3]);
  const rewritesWrongly = new Node(
    defineOp('worse', {
      infer: () => ({ shape: [3], dtype: 'float32' }),
      simplify: () => new Node(ops.negOp, [x], {}, [4], 'float32'),
    }),
    [x],
    {},
    [3],
    'float32',
  );
  expect(() => runCompiled([rewritesWrongly])).toThrow('after simplify: neg is float32[4]');
});

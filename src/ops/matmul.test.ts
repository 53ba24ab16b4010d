import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkGradients, evaluate, messageOf, random } from '../../test/leaves.js';
import { numel, type Shape } from '../util/shape.js';
import { cast } from './elementwise.js';
import { type MatmulOptions, matmul, matmulGeometry, matmulOp } from './matmul.js';
import { transpose } from './movement.js';
import { constant } from './source.js';

const zeros = (...shape: number[]) => constant(0, shape);
const size = fc.integer({ min: 1, max: 4 });
/** Operands with batch axes that broadcast, either stored transposed. */
const cases = fc
  .record({
    m: size,
    n: size,
    k: size,
    batch: fc.array(size, { maxLength: 2 }),
    onesA: fc.array(fc.boolean(), { minLength: 2, maxLength: 2 }),
    onesB: fc.array(fc.boolean(), { minLength: 2, maxLength: 2 }),
    dropA: fc.nat(2),
    dropB: fc.nat(2),
    transA: fc.boolean(),
    transB: fc.boolean(),
  })
  .map(({ m, n, k, batch, onesA, onesB, dropA, dropB, transA, transB }) => {
    const some = (ones: boolean[], drop: number) => batch.map((b, i) => (ones[i] ? 1 : b)).slice(drop);
    return {
      aShape: [...some(onesA, dropA), ...(transA ? [k, m] : [m, k])],
      bShape: [...some(onesB, dropB), ...(transB ? [n, k] : [k, n])],
      options: { transA, transB } as MatmulOptions,
    };
  });

describe('matmul', () => {
  test('sums products of rows and columns, batches broadcast, operands transposed or not', () => {
    fc.assert(
      fc.property(cases, ({ aShape, bShape, options }) => {
        const [a, b] = [random(aShape, 1), random(bShape, 2)];
        const y = evaluate(matmul(a, b, options));
        const left = evaluate(options.transA ? transpose(a, -1, -2) : a);
        const right = evaluate(options.transB ? transpose(b, -1, -2) : b);
        const batch = broadcastOf(aShape.slice(0, -2), bShape.slice(0, -2));
        const [m, k] = left.shape.slice(-2);
        const n = right.shape.at(-1)!;
        expect(y.shape).toEqual([...batch, m, n]);
        for (let s = 0; s < numel(batch); s++) {
          const [sa, sb] = [batchOf(s, batch, left.shape), batchOf(s, batch, right.shape)];
          for (let i = 0; i < m; i++) {
            for (let j = 0; j < n; j++) {
              let sum = 0;
              for (let l = 0; l < k; l++) sum += left.data[(sa * m + i) * k + l] * right.data[(sb * k + l) * n + j];
              expect(Math.abs(y.data[(s * m + i) * n + j] - sum)).toBeLessThanOrEqual(k * k * 2 ** -53);
            }
          }
        }
      }),
    );
  });

  test('has first and second derivatives', () => {
    fc.assert(
      fc.property(cases, ({ aShape, bShape, options }) => {
        checkGradients((a, b) => matmul(a, b, options), [random(aShape, 1), random(bShape, 2)]);
      }),
      { numRuns: 50 },
    );
    checkGradients((a, b) => matmul(a, b), [random([3], 1), random([2, 3, 2], 2)]);
    checkGradients((a, b) => matmul(a, b), [random([2, 2, 3], 1), random([3], 2)]);
  });

  test('gradients transpose nothing', () => {
    const dy = zeros(2, 4);
    for (const transA of [false, true]) {
      for (const transB of [false, true]) {
        const y = matmul(zeros(...(transA ? [3, 2] : [2, 3])), zeros(...(transB ? [4, 3] : [3, 4])), {
          transA,
          transB,
        });
        for (const g of matmulOp.facts.vjp!(dy, y as never)) expect(g!.op).toBe(matmulOp);
      }
    }
  });

  test('a shared matrix makes one product of many', () => {
    const y = matmul(zeros(8, 5, 3), zeros(4, 3), { transB: true });
    expect(y.shape).toEqual([8, 5, 4]);
    const product = y.inputs[0];
    expect(product.op).toBe(matmulOp);
    expect(product.shape).toEqual([40, 4]);
    expect(matmulOp.facts.macs!(product as never)).toBe(40 * 4 * 3);
  });

  test('the geometry counts batches and sizes', () => {
    expect(matmulGeometry([2, 3, 5, 4], [2, 3, 6, 5], { transA: true, transB: true })).toEqual({
      batch: 6,
      m: 4,
      n: 6,
      k: 5,
      transA: true,
      transB: true,
    });
  });

  test.each<[string, () => unknown, string]>([
    [
      'inner sizes',
      () => matmul(zeros(2, 3, 4), zeros(5, 6)),
      'matmul: inner sizes do not match\n' +
        '  a  [2, 3, 4]   … M K\n' +
        '  b  [5, 6]      K N\n' +
        '  a has K = 4; b has K = 5. Pass b of shape [4, 6].',
    ],
    [
      'transposed would fit',
      () => matmul(zeros(8, 9216), zeros(128, 9216)),
      'matmul: inner sizes do not match\n' +
        '  a  [8, 9216]     M K\n' +
        '  b  [128, 9216]   K N\n' +
        '  a has K = 9216; b has K = 128. Pass transB: true.',
    ],
    [
      'vectors',
      () => matmul(zeros(3), zeros(4)),
      'matmul: inner sizes do not match\n  a  [3]   K\n  b  [4]   K\n  a has K = 3; b has K = 4. Pass b of shape [3].',
    ],
    [
      'batches',
      () => matmul(zeros(2, 3, 4), zeros(5, 4, 6)),
      'matmul: batch axes do not broadcast\n' +
        '  a  [2, 3, 4]   … M K\n' +
        '  b  [5, 4, 6]   … K N\n' +
        '  Aligned on the right, axis -3 is 2 in a and 5 in b; sizes must be equal or one of them 1.',
    ],
    [
      'a number',
      () => matmul(zeros(2, 3), zeros()),
      'matmul: an operand is a single number\n' +
        '  a  [2, 3]   M K\n' +
        '  b  []\n' +
        '  A matrix product needs at least one axis on both sides. To scale by a number, use mul.',
    ],
    [
      'integers',
      () => matmul(zeros(2, 3), cast(zeros(3, 2), 'int32')),
      'matmul: b is int32; it must be float32. Cast it first.',
    ],
  ])('explains a mistake: %s', (_, call, message) => {
    expect(messageOf(call)).toBe(message);
  });
});

function broadcastOf(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => Math.max(a.at(i - rank) ?? 1, b.at(i - rank) ?? 1)).map((n, i) => {
    const [x, y] = [a[i - rank + a.length], b[i - rank + b.length]];
    return x === undefined ? y : y === undefined ? x : n;
  });
}

/** Which matrix of `shape` batch number s of the broadcast `batch` is. */
function batchOf(s: number, batch: Shape, shape: Shape): number {
  let at = 0;
  let step = 1;
  let rest = s;
  for (let i = 1; i <= batch.length; i++) {
    const along = rest % batch.at(-i)!;
    rest = Math.floor(rest / batch.at(-i)!);
    const own = i <= shape.length - 2 ? shape.at(-i - 2)! : 1;
    if (own > 1) at += along * step;
    step *= own;
  }
  return at;
}

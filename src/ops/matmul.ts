/**
 * Batched matrix product. The primitive takes equal batch axes and may read either operand transposed, so gradients record no transposes;
 * `matmul` adds what users expect around it: broadcast batches, vectors, and one big product instead of many where a matrix is shared.
 */

import type { Node } from '../graph/node.js';
import { defineOp, type Op, record } from '../graph/op.js';
import { matmulLowerings } from '../kernels/gemm.js';
import { numel, type Shape, sameShape } from '../util/shape.js';
import { expand, permuteOp, reshape } from './movement.js';
import { requireDType } from './require-dtype.js';
import { broadcast, type Operand, shapeError } from './shape-error.js';

export interface MatmulOptions {
  /** a is stored [..., K, M]. */
  readonly transA?: boolean;
  /** b is stored [..., N, K], as the weight of a linear layer is. */
  readonly transB?: boolean;
  /** Not to be counted among a model's multiply–accumulates: a product only in how it is computed here, such as interpolation. */
  readonly uncounted?: boolean;
}

export interface MatmulParams {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly uncounted?: true;
}

/**
 * Matrix product over the last two axes: [..., M, K] × [..., K, N] → [..., M, N], the axes before them broadcast. A vector counts as one row
 * on the left and one column on the right (whatever `transA` and `transB` say) and that axis is dropped again, as in torch.matmul.
 * @throws {ShapeError}
 */
export function matmul(a: Node, b: Node, options: MatmulOptions = {}): Node {
  const p: MatmulParams = {
    transA: (options.transA ?? false) && a.shape.length > 1,
    transB: (options.transB ?? false) && b.shape.length > 1,
    ...(options.uncounted && { uncounted: true }),
  };
  checkOperands(a.shape, b.shape, p);
  const left = a.shape.length === 1 ? reshape(a, [1, a.shape[0]]) : a;
  const right = b.shape.length === 1 ? reshape(b, [b.shape[0], 1]) : b;
  const y = batched(left, right, p);
  const batch = y.shape.slice(0, -2);
  const rows = a.shape.length === 1 ? [] : y.shape.slice(-2, -1);
  const columns = b.shape.length === 1 ? [] : y.shape.slice(-1);
  const shape = [...batch, ...rows, ...columns];
  return sameShape(shape, y.shape) ? y : reshape(y, shape);
}

/** Sizes of one matrix product and how many there are. */
export interface MatmulGeometry extends MatmulParams {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** For kernels. Expects operands of the primitive that fit. */
export function matmulGeometry(aShape: Shape, bShape: Shape, { transA, transB }: MatmulParams): MatmulGeometry {
  const [m, k] = matrix(aShape, transA);
  const [, n] = matrix(bShape, transB);
  return { batch: numel(aShape.slice(0, -2)), m, n, k, transA, transB };
}

export const matmulOp: Op<MatmulParams> = defineOp<MatmulParams>('matmul', {
  infer([a, b], p) {
    requireDType('matmul', 'a', a.dtype, 'float32');
    requireDType('matmul', 'b', b.dtype, 'float32');
    checkOperands(a.shape, b.shape, p);
    if (!sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))) {
      const rule = 'The primitive takes equal batch axes; the function `matmul` broadcasts them.';
      throw shapeError('matmul', 'batch axes differ', operandsOf(a.shape, b.shape, p), rule);
    }
    const { m, n } = matmulGeometry(a.shape, b.shape, p);
    return { shape: [...a.shape.slice(0, -2), m, n], dtype: 'float32' };
  },
  vjp(dy, { inputs: [a, b], attrs: { transA, transB } }) {
    const da = transA ? product(b, dy, transB, true) : product(dy, b, false, !transB);
    const db = transB ? product(dy, a, true, transA) : product(a, dy, !transA, false);
    return [da, db];
  },
  simplify({ inputs: [a, b], attrs }) {
    const [x, y] = [untransposed(a), untransposed(b)];
    if (x === null && y === null) return null;
    const p = { ...attrs, transA: attrs.transA !== (x !== null), transB: attrs.transB !== (y !== null) };
    return record(matmulOp, [x ?? a, y ?? b], p);
  },
  lower: ({ inputs: [a, b], attrs }, target) => matmulLowerings(matmulGeometry(a.shape, b.shape, attrs), target),
  macs: ({ inputs: [a, b], attrs }) => {
    if (attrs.uncounted) return 0;
    const { batch, m, n, k } = matmulGeometry(a.shape, b.shape, attrs);
    return batch * m * n * k;
  },
});

function product(a: Node, b: Node, transA: boolean, transB: boolean): Node {
  return record(matmulOp, [a, b], { transA, transB });
}

/** Brings the batch axes of two matrices together. */
function batched(a: Node, b: Node, p: MatmulParams): Node {
  const [aBatch, bBatch] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  if (sameShape(aBatch, bBatch)) return record(matmulOp, [a, b], p);
  if (numel(bBatch) === 1 && bBatch.length <= aBatch.length && !p.transA) {
    // One matrix for all of a: its rows are all the same to b.
    const [m, k] = matrix(a.shape, false);
    const rows = reshape(a, [numel(aBatch) * m, k]);
    const y = record(matmulOp, [rows, bBatch.length === 0 ? b : reshape(b, b.shape.slice(-2))], p);
    return reshape(y, [...aBatch, m, y.shape[1]]);
  }
  const batch = broadcast('matmul', aBatch, bBatch);
  return record(matmulOp, [expandBatch(a, batch), expandBatch(b, batch)], p);
}

/** What a node transposes the last two axes of, or null. */
function untransposed(node: Node): Node | null {
  if (node.op !== permuteOp) return null;
  const { axes } = node.attrs as { readonly axes: readonly number[] };
  const last = axes.length - 1;
  const swaps = axes.every((axis, d) => axis === (d === last ? d - 1 : d === last - 1 ? d + 1 : d));
  return swaps ? node.inputs[0] : null;
}

function expandBatch(x: Node, batch: Shape): Node {
  const shape = [...batch, ...x.shape.slice(-2)];
  return sameShape(shape, x.shape) ? x : expand(x, shape);
}

/** [rows, columns] of the matrices in `shape`, as the product sees them. */
function matrix(shape: Shape, transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
}

function checkOperands(a: Shape, b: Shape, p: MatmulParams): void {
  const operands = operandsOf(a, b, p);
  if (a.length === 0 || b.length === 0) {
    const rule = 'A matrix product needs at least one axis on both sides. To scale by a number, use mul.';
    throw shapeError('matmul', 'an operand is a single number', operands, rule);
  }
  const k = a.length === 1 ? a[0] : matrix(a, p.transA)[1];
  const kOfB = b.length === 1 ? b[0] : matrix(b, p.transB)[0];
  if (k === kOfB) {
    checkBatches(a, b, operands);
    return;
  }
  const flipped = b.length > 1 && matrix(b, !p.transB)[0] === k;
  const fitting = b.length === 1 ? [k] : b.with(p.transB ? -1 : -2, k);
  const fix = flipped ? `Pass transB: ${!p.transB}` : `Pass b of shape [${fitting.join(', ')}]`;
  throw shapeError('matmul', 'inner sizes do not match', operands, `a has K = ${k}; b has K = ${kOfB}. ${fix}.`);
}

function checkBatches(a: Shape, b: Shape, operands: readonly Operand[]): void {
  const [aBatch, bBatch] = [a.slice(0, -2), b.slice(0, -2)];
  for (let i = 1; i <= Math.min(aBatch.length, bBatch.length); i++) {
    const [x, y] = [aBatch.at(-i)!, bBatch.at(-i)!];
    if (x === y || x === 1 || y === 1) continue;
    const rule = `Aligned on the right, axis ${-i - 2} is ${x} in a and ${y} in b; sizes must be equal or one of them 1.`;
    throw shapeError('matmul', 'batch axes do not broadcast', operands, rule);
  }
}

function operandsOf(a: Shape, b: Shape, p: MatmulParams): Operand[] {
  const letters = (shape: Shape, names: string, vector: string) => {
    if (shape.length === 1) return vector;
    return shape.length === 0 ? '' : `${shape.length > 2 ? '… ' : ''}${names}`;
  };
  return [
    ['a', a, letters(a, p.transA ? 'K M' : 'M K', 'K')],
    ['b', b, letters(b, p.transB ? 'N K' : 'K N', 'K')],
  ];
}

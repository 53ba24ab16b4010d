/**
 * Reading and writing at computed places, and what is built on it: gather and its adjoint scatterAdd, sorting, running sums.
 *
 * An index outside 0 … n − 1 reads 0 and writes nothing, on every target: no kernel may fault or touch other memory, gather and
 * scatterAdd stay adjoint, and a marker such as −100 for "no label" needs no special care. (PyTorch throws.)
 */

import { type Node, scopeSuffix } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import { cumsumLowering, gatherLowering, scatterAddLowering, sortLowering } from '../kernels/indexing.js';
import type { DType } from '../util/dtype.js';
import { ConfigError } from '../util/errors.js';
import { contiguousStrides, formatShape, numel, type Shape, sameShape } from '../util/shape.js';
import { cast, eq } from './elementwise.js';
import { expand, reshape, slice } from './movement.js';
import { requireDType } from './require-dtype.js';
import { axisOf, type Operand, shapeError } from './shape-error.js';
import { constant, iota } from './source.js';

/**
 * out[…, i, …] = x[…, index[…, i, …], …] along `axis`, as torch.gather: index (int32) has as many axes as x and, but for `axis`, sizes up
 * to those of x; the result has its shape. @throws {ShapeError}
 */
export function gather(x: Node, axis: number, index: Node): Node {
  return record(gatherOp, [x, index], { axis: axisOf('gather', axis, x.shape) });
}

/** base with each src[…, i, …] added at index[…, i, …] along `axis`. Where src is larger than index, its surplus is not read. @throws {ShapeError} */
export function scatterAdd(base: Node, axis: number, index: Node, src: Node): Node {
  const attrs = { axis: axisOf('scatterAdd', axis, base.shape) };
  const larger = src.shape.length === index.shape.length && src.shape.every((n, i) => n >= index.shape[i]);
  const used = larger && !sameShape(src.shape, index.shape) ? startOf(src, index.shape) : src;
  return record(scatterAddOp, [base, index, used], attrs);
}

/** The slices of x at the positions in `index` (int32, one axis) along `axis`. @throws {ShapeError} */
export function indexSelect(x: Node, axis: number, index: Node): Node {
  const along = axisOf('indexSelect', axis, x.shape);
  if (index.shape.length !== 1) {
    const rule = 'index must have one axis. For an index of the shape of x, use gather.';
    throw shapeError('indexSelect', 'index has the wrong number of axes', indexOperands(x.shape, index.shape), rule);
  }
  const n = index.shape[0];
  const line = x.shape.map((_, i) => (i === along ? n : 1));
  return gather(x, along, expand(reshape(index, line), x.shape.with(along, n)));
}

/** [..] → [.., n]: 1 at position index, 0 elsewhere. All zeros where the index lies outside. */
export function oneHot(index: Node, n: number, dtype: DType = 'float32'): Node {
  requireDType('oneHot', 'index', index.dtype, 'int32', 'uint8', 'bool');
  if (!Number.isInteger(n) || n < 1) {
    throw new ConfigError(`oneHot: the number of classes must be an integer of at least 1; got ${n}${scopeSuffix()}`);
  }
  return cast(eq(reshape(index, [...index.shape, 1]), iota(n)), dtype);
}

/** int32 positions that would put x in order along `axis`. Equal elements keep their order; NaN counts as the largest. */
export function sortIndices(x: Node, axis = -1, descending = false): Node {
  return record(sortIndicesOp, [x], { axis: axisOf('sortIndices', axis, x.shape), descending });
}

/** x in order along `axis`, and where each element came from (int32). Stable. */
export function sort(x: Node, axis = -1, descending = false): [values: Node, indices: Node] {
  const indices = sortIndices(x, axisOf('sort', axis, x.shape), descending);
  return [gather(x, axis, indices), indices];
}

/** The k largest (or smallest) elements along `axis`, in order, and where they are (int32); the first ones on ties. @throws {ShapeError} */
export function topk(x: Node, k: number, axis = -1, largest = true): [values: Node, indices: Node] {
  const along = axisOf('topk', axis, x.shape);
  if (!Number.isInteger(k) || k < 0 || k > x.shape[along]) {
    const rule = `Axis ${along} has ${x.shape[along]} elements; pass a k of 0 … ${x.shape[along]}.`;
    throw shapeError('topk', `cannot take ${k} elements`, [['x', x.shape]], rule);
  }
  const indices = startOf(sortIndices(x, along, largest), x.shape.with(along, k));
  return [gather(x, along, indices), indices];
}

/** Running sums along `axis`; with `reverse`, from the end. bool and uint8 are summed as int32. */
export function cumsum(x: Node, axis: number, reverse = false): Node {
  const attrs = { axis: axisOf('cumsum', axis, x.shape), reverse };
  return record(cumsumOp, [x.dtype === 'float32' || x.dtype === 'int32' ? x : cast(x, 'int32')], attrs);
}

export interface AxisParams {
  readonly axis: number;
}

export interface SortParams extends AxisParams {
  readonly descending: boolean;
}

export interface CumsumParams extends AxisParams {
  readonly reverse: boolean;
}

/** A tensor around one axis: `outer` × `size` × `inner`, row-major. For kernels that walk lines. */
export interface LineGeometry {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
}

export function lineGeometry(shape: Shape, axis: number): LineGeometry {
  return { outer: numel(shape.slice(0, axis)), size: shape[axis], inner: numel(shape.slice(axis + 1)) };
}

/**
 * Element i of the index (row-major position, multi-index m) addresses Σ m[a]·strides[a] + index[i]·axisStride of the indexed tensor.
 * For kernels of gather and scatterAdd.
 */
export function indexedStrides(shape: Shape, axis: number): { strides: readonly number[]; axisStride: number } {
  const strides = contiguousStrides(shape);
  return { strides: strides.with(axis, 0), axisStride: strides[axis] };
}

export const gatherOp = defineOp<AxisParams>('gather', {
  infer([x, index], { axis }) {
    checkIndex('gather', 'x', x.shape, index, axis);
    return { shape: index.shape, dtype: x.dtype };
  },
  vjp(dy, { inputs: [x, index], attrs: { axis } }) {
    return x.dtype === 'float32' ? [scatterAdd(constant(0, x.shape), axis, index, dy), null] : [null, null];
  },
  /** No index lies inside an axis of size 0, and there is nothing to load. */
  simplify: ({ inputs: [x], shape }) => (numel(x.shape) === 0 ? constant(0, shape, x.dtype) : null),
  lower: ({ inputs: [x, index], attrs: { axis } }) => [gatherLowering(x.shape, index.shape, axis, x.dtype)],
});

export const scatterAddOp = defineOp<AxisParams>('scatterAdd', {
  infer([base, index, src], { axis }) {
    checkIndex('scatterAdd', 'base', base.shape, index, axis);
    requireDType('scatterAdd', 'base', base.dtype, 'float32', 'int32');
    requireDType('scatterAdd', 'src', src.dtype, base.dtype);
    if (!sameShape(src.shape, index.shape)) {
      const operands: Operand[] = [
        ['base', base.shape],
        ['index', index.shape],
        ['src', src.shape],
      ];
      const rule = `Each element of index needs one of src: pass a src of shape ${formatShape(index.shape)} or larger.`;
      throw shapeError('scatterAdd', 'src does not cover index', operands, rule);
    }
    return { shape: base.shape, dtype: base.dtype };
  },
  vjp: (dy, { inputs: [, index], attrs: { axis } }) => [dy, null, gather(dy, axis, index)],
  lower: ({ inputs: [base, index], attrs: { axis } }) => [
    scatterAddLowering(base.shape, index.shape, axis, base.dtype),
  ],
});

export const sortIndicesOp = defineOp<SortParams>('sortIndices', {
  infer: ([x]) => ({ shape: x.shape, dtype: 'int32' }),
  lower: ({ inputs: [x], attrs: { axis, descending } }) => [sortLowering(x.shape, axis, descending, x.dtype)],
});

export const cumsumOp = defineOp<CumsumParams>('cumsum', {
  infer([x]) {
    requireDType('cumsum', 'x', x.dtype, 'float32', 'int32');
    return { shape: x.shape, dtype: x.dtype };
  },
  vjp: (dy, { inputs: [x], attrs: { axis, reverse } }) => [x.dtype === 'float32' ? cumsum(dy, axis, !reverse) : null],
  lower: ({ inputs: [x], attrs: { axis, reverse } }) => [cumsumLowering(x.shape, axis, reverse, x.dtype)],
});

/** The first `shape` elements of x along each axis. */
function startOf(x: Node, shape: Shape): Node {
  return slice(
    x,
    shape.map(() => 0),
    shape,
  );
}

function indexOperands(x: Shape, index: Shape, name = 'x'): Operand[] {
  return [
    [name, x],
    ['index', index],
  ];
}

function checkIndex(op: string, name: string, x: Shape, index: Node, axis: number): void {
  requireDType(op, 'index', index.dtype, 'int32');
  const operands = indexOperands(x, index.shape, name);
  if (index.shape.length !== x.length) {
    const rule = `index must have the ${x.length} axes of ${name}. To pick whole slices along axis ${axis}, use indexSelect.`;
    throw shapeError(op, `index and ${name} differ in their number of axes`, operands, rule);
  }
  for (let i = 0; i < x.length; i++) {
    if (i === axis || index.shape[i] <= x[i]) continue;
    const rule = `Along axis ${i} index has ${index.shape[i]}, ${name} only ${x[i]}; only along axis ${axis} may index be larger.`;
    throw shapeError(op, `index is larger than ${name}`, operands, rule);
  }
}

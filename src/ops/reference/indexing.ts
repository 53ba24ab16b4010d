/** What gathering, scattering, sorting and running sums mean. An index outside the axis reads 0 and writes nothing. */

import type { NdArray } from '../../graph/op.js';
import { numel, type Shape } from '../../util/shape.js';
import { cumsumOp, gatherOp, indexedStrides, lineGeometry, scatterAddOp, sortIndicesOp } from '../indexing.js';
import { eachStrided, referenceArray } from './arrays.js';
import { meaning } from './meaning.js';

export const indexingMeanings = [
  meaning(gatherOp, ([x, index], { axis }, out) => {
    const y = referenceArray(out.dtype, numel(out.shape));
    forEachIndexed(x.shape, index, axis, (at, i) => {
      y[i] = x.data[at];
    });
    return y;
  }),

  meaning(scatterAddOp, ([base, index, src], { axis }) => {
    const y = base.data.slice();
    forEachIndexed(base.shape, index, axis, (at, i) => {
      y[at] += src.data[i];
    });
    return y;
  }),

  meaning(sortIndicesOp, ([x], { axis, descending }) => {
    const { size, inner } = lineGeometry(x.shape, axis);
    const y = new Int32Array(x.data.length);
    forEachLine(x.shape, axis, (start) => {
      const value = (i: number) => x.data[start + i * inner];
      const order = Array.from({ length: size }, (_, i) => i);
      order.sort((i, j) => (descending ? compare(value(j), value(i)) : compare(value(i), value(j))));
      for (let i = 0; i < size; i++) y[start + i * inner] = order[i];
    });
    return y;
  }),

  meaning(cumsumOp, ([x], { axis, reverse }, out) => {
    const { size, inner } = lineGeometry(x.shape, axis);
    const y = referenceArray(out.dtype, x.data.length);
    forEachLine(x.shape, axis, (start) => {
      let sum = 0;
      for (let i = 0; i < size; i++) {
        const at = start + (reverse ? size - 1 - i : i) * inner;
        y[at] = sum += x.data[at];
      }
    });
    return y;
  }),
];

/** Visits each element of `index` that lies inside: the position it addresses, and its own. */
function forEachIndexed(shape: Shape, index: NdArray, axis: number, visit: (at: number, i: number) => void): void {
  const { strides, axisStride } = indexedStrides(shape, axis);
  eachStrided(index.shape, strides, 0, (position, i) => {
    const k = index.data[i];
    if (k >= 0 && k < shape[axis]) visit(position + k * axisStride, i);
  });
}

/** Visits the first position of each line along `axis`; its elements are `inner` apart. */
function forEachLine(shape: Shape, axis: number, visit: (start: number) => void): void {
  const { outer, size, inner } = lineGeometry(shape, axis);
  for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) visit(o * size * inner + i);
}

/** Ascending, NaN last. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : Number(a > b);
}

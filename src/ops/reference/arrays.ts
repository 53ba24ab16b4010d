/** Helpers for the reference meanings: float64 arrays and strided reading. Plain and slow on purpose. */

import type { NdArray } from '../../graph/op.js';
import type { DType } from '../../util/dtype.js';
import { numel, type Shape } from '../../util/shape.js';

export type Data = NdArray['data'];

/** A zeroed array for `length` reference elements of `dtype`. Writing to an int array wraps, as the machine does. */
export function referenceArray(dtype: DType, length: number): Data {
  if (dtype === 'float32') return new Float64Array(length);
  return dtype === 'int32' ? new Int32Array(length) : new Uint8Array(length);
}

/** Calls `visit` with the source position of each element of a strided window, in row-major order. */
export function eachStrided(
  shape: Shape,
  strides: readonly number[],
  offset: number,
  visit: (position: number, index: number) => void,
): void {
  const total = numel(shape);
  const counter = new Array<number>(shape.length).fill(0);
  let position = offset;
  for (let index = 0; index < total; index++) {
    visit(position, index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += strides[axis];
      if (++counter[axis] < shape[axis]) break;
      position -= strides[axis] * shape[axis];
      counter[axis] = 0;
    }
  }
}

/** The elements of a strided window, in row-major order. */
export function readStrided(x: NdArray, shape: Shape, strides: readonly number[], offset = 0): Data {
  const out = referenceArray(x.dtype, numel(shape));
  eachStrided(shape, strides, offset, (position, index) => {
    out[index] = x.data[position];
  });
  return out;
}

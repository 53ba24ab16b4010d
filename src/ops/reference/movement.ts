/** What rearranging means: strided reading, or strided writing where elements are added. */

import { contiguousStrides, numel } from '../../util/shape.js';
import { concatOp, expandOp, flipOp, padOp, permuteOp, reshapeOp, sliceOp } from '../movement.js';
import { eachStrided, readStrided, referenceArray } from './arrays.js';
import { meaning } from './meaning.js';

export const movementMeanings = [
  meaning(reshapeOp, ([x]) => x.data.slice()),

  meaning(permuteOp, ([x], { axes }, out) => {
    const strides = contiguousStrides(x.shape);
    return readStrided(x, out.shape, axes.map((a) => strides[a])); // biome-ignore format: one thought
  }),

  meaning(expandOp, ([x], { shape }) => {
    const strides = contiguousStrides(x.shape);
    return readStrided(x, shape, strides.map((s, i) => (x.shape[i] === 1 ? 0 : s))); // biome-ignore format: one thought
  }),

  meaning(sliceOp, ([x], { starts, steps }, out) => {
    const strides = contiguousStrides(x.shape);
    const offset = starts.reduce((at, start, i) => at + start * strides[i], 0);
    return readStrided(x, out.shape, strides.map((s, i) => s * steps[i]), offset); // biome-ignore format: one thought
  }),

  meaning(flipOp, ([x], { axes }) => {
    const strides = contiguousStrides(x.shape);
    const offset = axes.reduce((at, axis) => at + (x.shape[axis] - 1) * strides[axis], 0);
    return readStrided(x, x.shape, strides.map((s, i) => (axes.includes(i) ? -s : s)), offset); // biome-ignore format: one thought
  }),

  meaning(padOp, ([x], { padding, value }, out) => {
    const data = referenceArray(out.dtype, numel(out.shape)).fill(value);
    const strides = contiguousStrides(out.shape);
    const offset = padding.reduce((at, [lo], i) => at + lo * strides[i], 0);
    eachStrided(x.shape, strides, offset, (position, i) => {
      data[position] = x.data[i];
    });
    return data;
  }),

  meaning(concatOp, (xs, { axis }, out) => {
    const data = referenceArray(out.dtype, numel(out.shape));
    const strides = contiguousStrides(out.shape);
    let start = 0;
    for (const x of xs) {
      eachStrided(x.shape, strides, start * strides[axis], (position, i) => {
        data[position] = x.data[i];
      });
      start += x.shape[axis];
    }
    return data;
  }),
];

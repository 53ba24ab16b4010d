/**
 * Every method of Tensor as a function, to be used as `F.relu(x)`: they take tensors, numbers and nested arrays alike,
 * so `F.conv2d([[1, 2], [3, 4]], [[1, 0], [0, 1]])` works as it stands in the textbook.
 */

export * from './activation.js';
export * from './conv.js';
export * from './elementwise.js';
export { gridSample } from './grid-sample.js';
export * from './indexing.js';
export * from './linear.js';
export {
  chunk,
  concat,
  expand,
  flatten,
  flip,
  moveaxis,
  pad,
  permute,
  repeat,
  repeatInterleave,
  reshape,
  roll,
  split,
  squeeze,
  stack,
  transpose,
  tril,
  triu,
  unbind,
  unflatten,
  unsqueeze,
} from './movement.js';
export * from './pool.js';
export * from './reduce.js';
export * from './resize.js';

/**
 * Every operation on graph nodes, by family. Two names belong to two families: `max` and `min` are the elementwise ones here,
 * the reductions are `amax` and `amin`.
 */

export * from './conv.js';
export * from './elementwise.js';
export * from './indexing.js';
export * from './matmul.js';
export * from './movement.js';
export * from './padding.js';
export * from './pool.js';
export {
  all,
  any,
  argmax,
  argmaxOp,
  argmin,
  argminOp,
  logSoftmax,
  logsumexp,
  max as amax,
  maxReduceOp,
  mean,
  min as amin,
  minReduceOp,
  prod,
  prodOp,
  type ReduceAttrs,
  softmax,
  sum,
  sumOp,
  variance,
} from './reduce.js';
export * from './source.js';

/** Reductions over axes. The axes were attributes and became an input (ReduceSum with version 13, the others with 18). */

import { F, type Tensor } from '../../../tensor/index.js';
import {
  axesOf,
  axisOf,
  computes,
  numbers,
  type Operator,
  type OperatorTable,
  oneNumber,
  required,
} from './operator.js';

type Reduce = (x: Tensor, axes: readonly number[], options: { keepDims: boolean }) => Tensor;

function reduction(reduce: Reduce): Operator {
  return computes(
    (node) => {
      const keepDims = node.flag('keepdims', true);
      return (input, axesInput) => {
        const x = required(node, input);
        const given = node.ints('axes') ?? (axesInput === undefined ? [] : numbers(node, axesInput, 'its axes'));
        if (given.length === 0 && node.flag('noop_with_empty_axes')) return x;
        const axes = given.length === 0 ? x.shape.map((_, i) => i) : axesOf(node, given, x.ndim);
        return reduce(x, axes, { keepDims }).to(x.dtype);
      };
    },
    [1],
  );
}

/** Of equal extremes the first counts, or the last. */
function extreme(find: (x: Tensor, axis: number, keepDims: boolean) => Tensor): Operator {
  return computes((node) => {
    const given = node.int('axis', 0);
    const keepDims = node.flag('keepdims', true);
    const last = node.flag('select_last_index');
    return (input) => {
      const x = required(node, input);
      const axis = axisOf(node, given, x.ndim);
      if (!last) return find(x, axis, keepDims);
      return find(x.flip(axis), axis, keepDims)
        .neg()
        .add(x.shape[axis] - 1);
    };
  });
}

/** k was an attribute before version 10; `sorted: 0` leaves the order open, so the sorted one will do. */
const topK: Operator = computes(
  (node) => {
    const given = node.int('axis', -1);
    const largest = node.flag('largest', true);
    return (input, kInput) => {
      const x = required(node, input);
      const axis = axisOf(node, given, x.ndim);
      const k = node.int('k') ?? oneNumber(node, kInput, 'k');
      if (k < 0 || k > x.shape[axis])
        throw node.fail(`k is ${k}; axis ${axis} of [${x.shape}] has ${x.shape[axis]} elements`);
      const { values, indices } = F.topk(x, k, axis, { largest });
      return [values, indices];
    };
  },
  [1],
);

export const reductions: OperatorTable = {
  ReduceSum: reduction((x, axes, o) => x.sum(axes, o)),
  ReduceMean: reduction((x, axes, o) => x.mean(axes, o)),
  ReduceMax: reduction((x, axes, o) => x.amax(axes, o)),
  ReduceMin: reduction((x, axes, o) => x.amin(axes, o)),
  ReduceProd: reduction((x, axes, o) => x.prod(axes, o)),
  ReduceL1: reduction((x, axes, o) => x.abs().sum(axes, o)),
  ReduceL2: reduction((x, axes, o) => x.mul(x).sum(axes, o).sqrt()),
  ReduceLogSum: reduction((x, axes, o) => x.sum(axes, o).log()),
  ReduceLogSumExp: reduction((x, axes, o) => F.logsumexp(x, axes, o)),
  ReduceSumSquare: reduction((x, axes, o) => x.mul(x).sum(axes, o)),
  ArgMax: extreme((x, axis, keepDims) => x.argmax(axis, { keepDims })),
  ArgMin: extreme((x, axis, keepDims) => x.argmin(axis, { keepDims })),
  TopK: topK,
};

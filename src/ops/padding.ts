/** Padding that repeats what is there: by reflection, by the edge, around the circle. Composed of slices, flips and concats, axis by axis. */

import type { Node } from '../graph/node.js';
import type { Shape } from '../util/shape.js';
import { concat, expand, flip, narrow, type Padding } from './movement.js';
import { shapeError } from './shape-error.js';

/** Mirrored at the edge element, which is not repeated: [1, 2, 3] padded by 2 is [3, 2, 1, 2, 3, 2, 1]. */
export function padReflect(x: Node, padding: Padding): Node {
  return eachAxis('padReflect', x, padding, -1, (y, axis, lo, hi) => {
    const n = y.shape[axis];
    return [flip(narrow(y, axis, 1, 1 + lo), axis), y, flip(narrow(y, axis, n - 1 - hi, n - 1), axis)];
  });
}

/** The edge element repeated: [1, 2, 3] padded by 2 is [1, 1, 1, 2, 3, 3, 3]. */
export function padReplicate(x: Node, padding: Padding): Node {
  return eachAxis('padReplicate', x, padding, Number.POSITIVE_INFINITY, (y, axis, lo, hi) => {
    const n = y.shape[axis];
    const repeat = (edge: Node, count: number) => expand(edge, edge.shape.with(axis, count));
    return [repeat(narrow(y, axis, 0, 1), lo), y, repeat(narrow(y, axis, n - 1, n), hi)];
  });
}

/** As if the ends were joined: [1, 2, 3] padded by 2 is [2, 3, 1, 2, 3, 1, 2]. */
export function padCircular(x: Node, padding: Padding): Node {
  return eachAxis('padCircular', x, padding, 0, (y, axis, lo, hi) => {
    const n = y.shape[axis];
    return [narrow(y, axis, n - lo, n), y, narrow(y, axis, 0, hi)];
  });
}

/** `slack`: how far padding may exceed the size of the axis. */
function eachAxis(
  op: string,
  x: Node,
  padding: Padding,
  slack: number,
  parts: (y: Node, axis: number, lo: number, hi: number) => [before: Node, y: Node, after: Node],
): Node {
  check(op, x.shape, padding, slack);
  return padding.reduce((y, [lo, hi], axis) => {
    if (lo === 0 && hi === 0) return y;
    const kept = parts(y, axis, lo, hi).filter((part) => part.shape[axis] > 0);
    return concat(kept, axis);
  }, x);
}

function check(op: string, shape: Shape, padding: Padding, slack: number): void {
  const whole = padding.length === shape.length && padding.flat().every((p) => Number.isInteger(p) && p >= 0);
  const long = padding.findIndex(([lo, hi], i) => {
    const most = Math.max(lo, hi);
    return most > 0 && (shape[i] === 0 || most > shape[i] + slack);
  });
  if (whole && long < 0) return;
  const given = `[${padding.map(([lo, hi]) => `[${lo}, ${hi}]`).join(', ')}]`;
  const rule = whole
    ? `Axis ${long} has size ${shape[long]}, so at most ${shape[long] === 0 ? 0 : shape[long] + slack} elements can be taken from it for each side.`
    : `It takes ${shape.length} pairs [before, after] of whole numbers ≥ 0, one for each axis.`;
  throw shapeError(op, `padding ${given} does not fit`, [['x', shape]], rule);
}

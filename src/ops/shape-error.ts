/** Shape errors in one form: the operation and where it was called, each operand with its whole shape and letters, the rule, a way out. */

import { scopeSuffix } from '../graph/node.js';
import { ShapeError } from '../util/errors.js';
import { formatShape, type Shape } from '../util/shape.js';

/** A named operand, and the letters of its axes where they have any. */
export type Operand = readonly [name: string, shape: Shape, letters?: string];

/**
 * ```
 * conv: channels do not match (in layer2.0.conv1)
 *   x       [32, 64, 56, 56]   N C H W
 *   weight  [128, 32, 3, 3]    O C/groups H W
 *   x has C = 64; weight with groups = 1 takes 32. Pass groups: 2, or a weight of shape [128, 64, 3, 3].
 * ```
 */
export function shapeError(op: string, problem: string, operands: readonly Operand[], rule: string): ShapeError {
  const nameWidth = Math.max(0, ...operands.map(([name]) => name.length));
  const shapeWidth = Math.max(0, ...operands.map(([, shape]) => formatShape(shape).length));
  const lines = operands.map(([name, shape, letters]) =>
    `  ${name.padEnd(nameWidth)}  ${formatShape(shape).padEnd(shapeWidth)}${letters ? `   ${letters}` : ''}`.trimEnd(),
  );
  return new ShapeError([`${op}: ${problem}${scopeSuffix()}`, ...lines, `  ${rule}`].join('\n'));
}

/** The shape two operands broadcast to. @throws {ShapeError} with the axis that clashes and, where there is one, the reshape that was meant. */
export function broadcast(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const at = (shape: Shape, i: number) => shape[i - rank + shape.length] ?? 1;
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const [x, y] = [at(a, i), at(b, i)];
    if (x !== y && x !== 1 && y !== 1) {
      throw shapeError(
        op,
        'shapes do not broadcast',
        [
          ['left', a],
          ['right', b],
        ],
        `Aligned on the right, axis ${i - rank} is ${x} on the left and ${y} on the right; sizes must be equal or one of them 1.${remedy(a, b)}`,
      );
    }
    out.push(x === 1 ? y : x);
  }
  return out;
}

/** One value per channel meeting [N, C, …] is the usual slip: name the reshape. */
function remedy(a: Shape, b: Shape): string {
  const [small, large, side] = a.length < b.length ? [a, b, 'left'] : [b, a, 'right'];
  if (small.length !== 1) return '';
  const axis = large.indexOf(small[0]);
  if (axis < 0) return '';
  const target = [small[0], ...new Array<number>(large.length - axis - 1).fill(1)];
  return ` To pair it with axis ${axis}, pass the ${side} operand as reshape(${formatShape(target)}).`;
}

/** An axis counted from either end → 0 … rank − 1. @throws {ShapeError} */
export function axisOf(op: string, axis: number, shape: Shape): number {
  const rank = shape.length;
  if (Number.isInteger(axis) && axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
  const rule = rank === 0 ? 'A single number has no axes.' : `With ${rank} axes it takes ${-rank} … ${rank - 1}.`;
  throw shapeError(op, `axis ${axis} does not exist`, [['x', shape]], rule);
}

/** One axis, several, or all (undefined) → sorted non-negative axes. @throws {ShapeError} also if one is named twice. */
export function axesOf(op: string, axes: number | readonly number[] | undefined, shape: Shape): number[] {
  if (axes === undefined) return shape.map((_, i) => i);
  const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => axisOf(op, axis, shape)).sort((x, y) => x - y);
  const twice = list.find((axis, i) => axis === list[i - 1]);
  if (twice !== undefined)
    throw shapeError(op, `axis ${twice} is named twice`, [['x', shape]], `The axes were [${axes}].`);
  return list;
}

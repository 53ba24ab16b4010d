/** Simplifications made while building, on int32 values only: constants, x + 0, x · 1, x · 0, truth ≠ 0 and the like. */
import { evaluateInt } from './evaluate.js';
import { type Expr, isInt, isPlainOp, OPS, type PlainOp, type Type } from './types.js';

/** A simpler value for `op(args)`: an operand, a constant (a number of the result's type), or null if there is none. */
export function fold(op: PlainOp, args: readonly Expr[], imm: number): Expr | number | null {
  const [a, b] = args;
  if (!isInt(a.type) || args.length > 2) return null;
  if (a.op === 'const' && (b === undefined || b.op === 'const'))
    return foldConstants(op, a.type, a.imm, b?.imm ?? 0, imm);
  if (b === undefined) return imm === 0 && (op === 'shl' || op === 'shr' || op === 'shrU') ? a : null;
  if (b.op === 'const') return foldRight(op, a, b.imm);
  if (a.op === 'const') return foldLeft(op, a.imm, b);
  return null;
}

function foldConstants(op: PlainOp, type: Type, a: number, b: number, imm: number): number | null {
  if (op === 'splat') return a;
  if (op === 'lane' || op === 'maxLanes' || op === 'minLanes') return a;
  return evaluateInt(op, a, b, imm, type === 'vi' ? -1 : 1);
}

function foldRight(op: PlainOp, a: Expr, b: number): Expr | number | null {
  switch (op) {
    case 'add':
    case 'sub':
    case 'or':
    case 'xor':
      return b === 0 ? a : null;
    case 'mul':
      return b === 1 ? a : b === 0 ? 0 : null;
    case 'div':
      return b === 1 ? a : null;
    case 'rem':
      return b === 1 ? 0 : null;
    case 'and':
      return b === -1 ? a : b === 0 ? 0 : null;
    case 'ne':
      return b === 0 ? conditionOf(a) : null;
    default:
      return null;
  }
}

/** The comparison behind a truth value, its result & 1 or itself: what is not 0 exactly where it holds. */
function conditionOf(x: Expr): Expr | null {
  const [a, b] = x.args;
  const from = x.op === 'and' && b.op === 'const' && b.imm === 1 ? a : x;
  return isPlainOp(from.op) && OPS[from.op].result === 'mask' ? from : null;
}

function foldLeft(op: PlainOp, a: number, b: Expr): Expr | number | null {
  switch (op) {
    case 'add':
    case 'or':
    case 'xor':
      return a === 0 ? b : null;
    case 'mul':
      return a === 1 ? b : a === 0 ? 0 : null;
    case 'and':
      return a === -1 ? b : a === 0 ? 0 : null;
    default:
      return null;
  }
}

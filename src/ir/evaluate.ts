/**
 * What each operation means for one lane, in plain numbers. The builder folds constants with it and the interpreter
 * computes with it, so both agree. Float results are rounded to float32 after each operation.
 */
import type { Op } from './types.js';

const bits = new DataView(new ArrayBuffer(8));

/** Integer operations on int32 operands. Comparisons give `yes` (1 for scalars, -1 for lanes of a mask) or 0. */
export function evaluateInt(op: Op, a: number, b: number, imm: number, yes: number): number | null {
  switch (op) {
    case 'add':
      return (a + b) | 0;
    case 'sub':
      return (a - b) | 0;
    case 'mul':
      return Math.imul(a, b);
    case 'div':
      return b === 0 || (b === -1 && a === -(2 ** 31)) ? null : Math.trunc(a / b) | 0;
    case 'rem':
      return b === 0 ? null : (a % b) | 0;
    case 'min':
      return Math.min(a, b);
    case 'max':
      return Math.max(a, b);
    case 'and':
      return a & b;
    case 'or':
      return a | b;
    case 'xor':
      return a ^ b;
    case 'shl':
      return a << imm;
    case 'shr':
      return a >> imm;
    case 'shrU':
      return (a >>> imm) | 0;
    case 'mulhiU':
      return Number((BigInt(a >>> 0) * BigInt(b >>> 0)) >> 32n) | 0;
    case 'not':
      return yes === 1 ? +(a === 0) : ~a;
    case 'neg':
      return -a | 0;
    case 'eq':
      return a === b ? yes : 0;
    case 'ne':
      return a !== b ? yes : 0;
    case 'lt':
      return a < b ? yes : 0;
    case 'le':
      return a <= b ? yes : 0;
    case 'gt':
      return a > b ? yes : 0;
    case 'ge':
      return a >= b ? yes : 0;
    case 'ltU':
      return a >>> 0 < b >>> 0 ? yes : 0;
    case 'toF':
      return Math.fround(a);
    case 'toFU':
      return Math.fround(a >>> 0);
    case 'asF':
      bits.setInt32(0, a);
      return bits.getFloat32(0);
    default:
      return null;
  }
}

/** Float operations on float32 operands. `fma` is called with the addend as `a` and the factors as `b` and `c`. */
export function evaluateFloat(op: Op, a: number, b: number, c: number, yes: number): number | null {
  switch (op) {
    case 'add':
      return Math.fround(a + b);
    case 'sub':
      return Math.fround(a - b);
    case 'mul':
      return Math.fround(a * b);
    case 'div':
      return Math.fround(a / b);
    case 'min':
      return Math.min(a, b);
    case 'max':
      return Math.max(a, b);
    case 'pmin':
      return b < a ? b : a;
    case 'pmax':
      return a < b ? b : a;
    case 'neg':
      return -a;
    case 'abs':
      return Math.abs(a);
    case 'sqrt':
      return Math.fround(Math.sqrt(a));
    case 'floor':
      return Math.floor(a);
    case 'ceil':
      return Math.ceil(a);
    case 'nearest':
      return nearestEven(a);
    case 'trunc':
      return Math.trunc(a);
    case 'fma':
      return Math.fround(b * c + a);
    case 'eq':
      return a === b ? yes : 0;
    case 'ne':
      return a !== b ? yes : 0;
    case 'lt':
      return a < b ? yes : 0;
    case 'le':
      return a <= b ? yes : 0;
    case 'gt':
      return a > b ? yes : 0;
    case 'ge':
      return a >= b ? yes : 0;
    case 'toI':
      return Number.isNaN(a) ? 0 : Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(a))) + 0;
    case 'asI':
      bits.setFloat32(0, a);
      return bits.getInt32(0);
    default:
      return null;
  }
}

function nearestEven(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 23) return x;
  const low = Math.floor(x);
  const rest = x - low;
  const rounded = rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

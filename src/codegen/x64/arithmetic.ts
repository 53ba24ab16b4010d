/**
 * Arithmetic as machine operations. What an operation means at its edges (NaN, -0, saturation, division) is evaluate.ts's to
 * say; here it is written out where x86 means something else.
 */
import type { Expr, Type } from '../../ir/index.js';
import { invariant } from '../../util/errors.js';
import { FLOAT_PREDICATE } from './choices.js';
import { CC, GENERAL, IMMEDIATE, M, MASK, MEM, VECTOR } from './machine.js';
import { bitsOf, type Operands } from './operands.js';

const GENERAL_OPS = { add: M.gadd, sub: M.gsub, mul: M.gmul, and: M.gand, or: M.gor, xor: M.gxor } as const;
const FLOAT_OPS = { add: M.vadd, sub: M.vsub, mul: M.vmul, div: M.vdiv } as const;
export const INT_OPS = {
  ...{ add: M.padd, sub: M.psub, mul: M.pmul, min: M.pmin, max: M.pmax },
  ...{ and: M.vand, or: M.vor, xor: M.vxor },
} as const;
const COMMUTES: Readonly<Record<string, boolean>> = {
  ...{ add: true, mul: true, and: true, or: true, xor: true, min: true, max: true },
};
const ROUNDING = { nearest: 0, floor: 1, ceil: 2, trunc: 3 } as const;

const [UNORDERED, ORDERED] = [3, 7];

export function fma(s: Operands, [c, a, b]: readonly Expr[], width: number, d: number): number {
  if (!s.folds(b) && s.folds(a)) return fma(s, [c, b, a], width, d);
  if (s.folds(b) || !s.folds(c)) {
    const [sum, x] = [s.value(c), s.value(a)];
    if (s.folds(b)) {
      s.operandOf(b);
      return s.operation(M.fma, width, x, sum, 0, d);
    }
    const v = s.fresh(d, VECTOR);
    const y = s.value(b);
    s.code.push(M.fma, width, v, x, y, sum);
    return v;
  }
  const [x, y] = [s.value(a), s.value(b)];
  s.operandOf(c);
  return s.operation(M.fmaFrom, width, x, y, 0, d);
}

export function float(s: Operands, { op, type, args }: Expr, d: number): number {
  const width = s.widthOf(type);
  const [a, b] = args;
  switch (op) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return s.binary(FLOAT_OPS[op], width, a, b, COMMUTES[op] === true, d);
    case 'min':
    case 'max':
      return minMax(s, op, width, a, b, d);
    case 'pmin': // x86: first < second ? first : second
      return s.binary(M.vmin, width, b, a, false, d);
    case 'pmax':
      return s.binary(M.vmax, width, b, a, false, d);
    case 'neg':
    case 'abs': {
      const v = s.value(a);
      const lanes = Math.max(1, width);
      s.constantOperand(op === 'neg' ? -(2 ** 31) : 2 ** 31 - 1, lanes);
      return s.operation(op === 'neg' ? M.vxor : M.vand, lanes, v, -1, 0, d);
    }
    case 'sqrt':
      return s.unary(M.vsqrt, width, a, 0, d);
    case 'floor':
    case 'ceil':
    case 'nearest':
    case 'trunc':
      return s.unary(M.vround, width, a, ROUNDING[op], d);
    default:
      return missing(op, type);
  }
}

/** x86's min and max give their second operand if one is NaN or both are zero. */
function minMax(s: Operands, op: 'min' | 'max', width: number, a: Expr, b: Expr, d: number): number {
  const code = op === 'min' ? M.vmin : M.vmax;
  if (a.op === 'const' && b.op !== 'const') return minMax(s, op, width, b, a, d);
  if (b.op === 'const' && !Number.isNaN(b.imm) && !(op === 'min' && Object.is(b.imm, -0))) {
    const zero = op === 'max' && Object.is(b.imm, 0);
    const c = s.value(b);
    const v = s.binaryRight(code, width, c, a, zero ? -1 : d);
    return zero ? s.plain(M.vadd, width, v, c, 0, d) : v; // max(-0, +0) gave -0
  }
  return minMaxOf(s, op, width, s.value(a), s.value(b), d);
}

export function minMaxOf(s: Operands, op: 'min' | 'max', width: number, a: number, b: number, d: number): number {
  const bits = Math.max(1, width);
  if (op === 'min') {
    // Both orders: where they differ one is NaN, which survives `or`, or they are zeros, of which -0 does.
    const x = s.plain(M.vmin, width, a, b);
    const y = s.plain(M.vmin, width, b, a);
    return s.plain(M.vor, bits, x, y, 0, d);
  }
  if (s.avx512) {
    const larger = s.plain(M.vrange, width, a, b);
    const k = s.plain(M.kcmp, width, a, b, UNORDERED, -1, MASK);
    s.constantOperand(0x7fc00000, bits);
    return s.operation(M.kselect, bits, larger, k, 0, d);
  }
  // Where both orders differ, their bits do: x | y less these is NaN for NaN, and -0 - (-0) = +0 for zeros.
  const x = s.plain(M.vmax, width, a, b);
  const y = s.plain(M.vmax, width, b, a);
  const different = s.plain(M.vxor, bits, x, y);
  const either = s.plain(M.vor, bits, x, y);
  return s.plain(M.vsub, width, either, different, 0, d);
}

export function intLanes(s: Operands, { op, type, args, imm }: Expr, d: number): number {
  const { wide } = s;
  const [a, b] = args;
  switch (op) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'min':
    case 'max':
    case 'and':
    case 'or':
    case 'xor':
      return s.binary(INT_OPS[op], wide, a, b, COMMUTES[op] === true, d);
    case 'shl':
      return s.plain(M.pshl, wide, s.value(a), -1, imm, d);
    case 'shr':
      return s.plain(M.pshr, wide, s.value(a), -1, imm, d);
    case 'shrU':
      return s.plain(M.pshrU, wide, s.value(a), -1, imm, d);
    case 'mulhiU':
      return mulhiLanes(s, s.value(a), s.value(b), d);
    case 'not':
      return complement(s, s.value(a), d);
    case 'neg': {
      const v = s.value(a);
      return s.plain(M.psub, wide, s.plain(M.vzero, 1), v, 0, d);
    }
    default:
      return missing(op, type);
  }
}

export function complement(s: Operands, v: number, d: number): number {
  if (s.avx512) return s.plain(M.pnot, s.wide, v, -1, 0, d);
  return s.plain(M.vxor, s.wide, s.plain(M.vones, s.wide), v, 0, d);
}

/** Products of even lanes and of odd lanes, upper halves side by side. */
function mulhiLanes(s: Operands, a: number, b: number, d: number): number {
  const { wide } = s;
  const even = s.plain(M.pshrU64, wide, s.plain(M.pmulU, wide, a, b), -1, 32);
  const odd = s.plain(M.pmulU, wide, s.plain(M.pshrU64, wide, a, -1, 32), s.plain(M.pshrU64, wide, b, -1, 32));
  if (!s.avx512) return s.plain(M.pblend, wide, even, odd, 0xaa, d);
  s.vectorOperand(Int32Array.from({ length: s.kernel.lanes }, (_, i) => (i % 2 === 0 ? 0 : -1)));
  return s.operation(M.pmerge, wide, odd, even, 0, d);
}

export function general(s: Operands, expr: Expr, d: number): number {
  const { op, type, args, imm } = expr;
  const [a, b] = args;
  switch (op) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'and':
    case 'or':
    case 'xor': {
      if (a.op === 'const' && op !== 'sub') return generalBinary(s, GENERAL_OPS[op], b, a, d);
      return generalBinary(s, GENERAL_OPS[op], a, b, d);
    }
    case 'min':
      return s.plain(M.gmin, 0, s.value(a), s.value(b), 0, d);
    case 'max':
      return s.plain(M.gmax, 0, s.value(a), s.value(b), 0, d);
    case 'div':
    case 'rem':
      return divide(s, op, a, b, d);
    case 'mulhiU': {
      const product = s.plain(M.gmul64, 0, s.value(a), s.value(b));
      return s.plain(M.gshrU64, 0, product, -1, 32, d);
    }
    case 'shl':
      return s.plain(M.gshl, 0, s.value(a), -1, imm, d);
    case 'shr':
      return s.plain(M.gshr, 0, s.value(a), -1, imm, d);
    case 'shrU':
      return s.plain(M.gshrU, 0, s.value(a), -1, imm, d);
    case 'neg':
      return s.plain(M.gneg, 0, s.value(a), -1, 0, d);
    case 'not': {
      const v = s.fresh(d, GENERAL);
      const at = s.code.push(M.gset, CC.e, v, s.value(a));
      s.code.words[at + MEM] = IMMEDIATE;
      return v;
    }
    default:
      return missing(op, type);
  }
}

function generalBinary(s: Operands, op: number, a: Expr, b: Expr, d: number): number {
  const left = s.value(a);
  if (b.op !== 'const') return s.plain(op, 0, left, s.value(b), 0, d);
  const v = s.fresh(d, GENERAL);
  if (op === M.gmul && b.imm > 0 && Number.isInteger(Math.log2(b.imm))) {
    s.code.push(M.gshl, 0, v, left, -1, -1, Math.log2(b.imm));
  } else s.immediate(op, v, left, b.imm);
  return v;
}

/**
 * Truncating division. By a constant c > 1 it is a multiplication by m = ⌊2^s / c⌋ + 1 with s = 31 + ⌈log2 c⌉: m·c
 * exceeds 2^s by less than c, so that x·m / 2^s is off by less than 1 / c for |x| < 2³¹ (Granlund, Montgomery 1994).
 */
function divide(s: Operands, op: 'div' | 'rem', a: Expr, b: Expr, d: number): number {
  const x = s.value(a);
  if (b.op !== 'const' || b.imm < 2) {
    const y = s.value(b);
    s.code.canTrap = true;
    return s.plain(op === 'div' ? M.gdiv : M.grem, 0, x, y, 0, d);
  }
  const c = b.imm;
  const positive = s.isNonNegative(a);
  const power = Math.log2(c);
  if (Number.isInteger(power)) {
    if (positive && op === 'rem') {
      const v = s.fresh(d, GENERAL);
      s.immediate(M.gand, v, x, c - 1);
      return v;
    }
    let biased = x;
    if (!positive) {
      const sign = s.plain(M.gshr, 0, x, -1, 31);
      biased = s.plain(M.gadd, 0, x, s.plain(M.gshrU, 0, sign, -1, 32 - power));
    }
    if (op === 'div') return s.plain(M.gshr, 0, biased, -1, power, d);
    const floor = s.code.register(GENERAL);
    s.immediate(M.gand, floor, biased, -c);
    return s.plain(M.gsub, 0, x, floor, 0, d);
  }
  const shift = 31 + Math.ceil(power);
  const m = Number((1n << BigInt(shift)) / BigInt(c)) + 1;
  const factor = s.plain(M.gimm, 0, -1, -1, m | 0);
  let quotient: number;
  if (positive) {
    quotient = s.plain(M.gshrU64, 0, s.plain(M.gmul64, 0, x, factor), -1, shift, op === 'div' ? d : -1);
  } else {
    const product = s.plain(M.gmul64, 0, s.plain(M.movsxd, 0, x), factor);
    const floor = s.plain(M.gshr64, 0, product, -1, shift);
    const negative = s.plain(M.gshrU, 0, x, -1, 31);
    quotient = s.plain(M.gadd, 0, floor, negative, 0, op === 'div' ? d : -1);
  }
  if (op === 'div') return quotient;
  const whole = s.code.register(GENERAL);
  s.immediate(M.gmul, whole, quotient, c);
  return s.plain(M.gsub, 0, x, whole, 0, d);
}

/** Hardware gives INT_MIN for what does not fit: mended for large values and NaN. A scalar is done as a vector. */
export function toInt(s: Operands, x: Expr, d: number): number {
  const width = Math.max(1, s.widthOf(x.type));
  const v = s.value(x);
  const whole = s.plain(M.vtoI, width, -1, v);
  const last = x.type === 'vf' ? d : -1;
  let result: number;
  if (s.avx512) {
    s.constantOperand(bitsOf(2 ** 31), width);
    const large = s.operation(M.kcmp, width, v, -1, FLOAT_PREDICATE.ge, -1, MASK);
    s.constantOperand(2 ** 31 - 1, width);
    const saturated = s.operation(M.kselect, width, whole, large);
    const ordered = s.plain(M.kcmp, width, v, v, ORDERED, -1, MASK);
    result = s.fresh(last, VECTOR);
    s.code.push(M.kzero, width, result, -1, saturated, ordered);
  } else {
    s.constantOperand(bitsOf(2 ** 31), width);
    const large = s.operation(M.vcmp, width, v, -1, FLOAT_PREDICATE.ge);
    const saturated = s.plain(M.vxor, width, whole, large);
    const ordered = s.plain(M.vcmp, width, v, v, ORDERED);
    result = s.plain(M.vand, width, saturated, ordered, 0, last);
  }
  return x.type === 'vf' ? result : s.plain(M.gfromv, 1, result, -1, 0, d);
}

/** Both halves are exact as floats, so their sum is rounded once. */
export function unsignedToFloat(s: Operands, x: Expr, d: number): number {
  const { wide } = s;
  if (s.avx512) return s.unary(M.vtoFU, wide, x, 0, d);
  const v = s.value(x);
  const high = s.plain(M.vtoF, wide, -1, s.plain(M.pshrU, wide, v, -1, 16));
  s.constantOperand(0xffff, wide);
  const low = s.plain(M.vtoF, wide, -1, s.operation(M.vand, wide, v));
  s.constantOperand(bitsOf(65536), wide);
  return s.operation(M.fma, wide, high, low, 0, d);
}

function missing(op: string, type: Type): never {
  return invariant(false, `x64: no instruction for ${op} of ${type}`) as never;
}

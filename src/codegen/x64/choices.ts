/**
 * Comparisons and what is done with them. A comparison of vectors is a mask: with AVX2 all ones or zero in each lane of a vector,
 * with AVX-512 a bit of a mask register as long as only selections and logic look at it.
 */
import { type Expr, isVector } from '../../ir/index.js';
import { complement } from './arithmetic.js';
import { CC, GENERAL, IMMEDIATE, M, MASK, MEM, VECTOR } from './machine.js';
import type { Operands } from './operands.js';

/** Predicates of vcmpps that are false for NaN (`ne`: true). */
export const FLOAT_PREDICATE = { eq: 0, ne: 4, lt: 17, le: 18, gt: 30, ge: 29 } as const;
/** Predicates of vpcmpd. */
const INT_PREDICATE = { eq: 0, lt: 1, le: 2, ne: 4, ge: 5, gt: 6, ltU: 1 } as const;
/** Conditions of jumps. */
const CONDITION = { eq: CC.e, ne: CC.ne, lt: CC.l, le: CC.le, gt: CC.g, ge: CC.ge, ltU: CC.b } as const;
/** The condition that holds where the other does not. */
const opposite = (cc: number): number => cc ^ 1;
/** … and the one for exchanged operands. */
const EXCHANGED: Readonly<Record<number, number>> = {
  [CC.e]: CC.e,
  [CC.ne]: CC.ne,
  [CC.l]: CC.g,
  [CC.g]: CC.l,
  [CC.le]: CC.ge,
  [CC.ge]: CC.le,
};

export type Comparison = keyof typeof CONDITION;
export const isComparison = (op: string): op is Comparison => Object.hasOwn(CONDITION, op);

/** Whether a value is a mask by the way it is made. */
export function isTruth({ op, args, type }: Expr): boolean {
  if (!isVector(type)) return false;
  if (isComparison(op)) return true;
  return (op === 'and' || op === 'or' || op === 'xor' || op === 'not') && args.every(isTruth);
}

/** Compares ints: `code` is a jump to `label` or a setting of `d`, when the comparison `holds` or when it does not. */
export function compareInts(
  s: Operands,
  code: number,
  { op, args: [a, b] }: Expr,
  holds: boolean,
  d: number,
  label = 0,
): void {
  const cc = CONDITION[op as Comparison];
  const exchanged = a.op === 'const' && b.op !== 'const' ? EXCHANGED[cc] : undefined;
  const [x, y] = exchanged === undefined ? [a, b] : [b, a];
  const condition = exchanged ?? cc;
  const left = s.value(x);
  const right = y.op === 'const' ? -1 : s.value(y);
  const imm = y.op === 'const' ? y.imm : 0;
  const at = s.code.push(code, holds ? condition : opposite(condition), d, left, right, -1, imm, label);
  if (right < 0) s.code.words[at + MEM] = IMMEDIATE;
}

export function comparison(s: Operands, expr: Expr, d: number): number {
  const { op, args } = expr;
  const [a, b] = args;
  const { type } = a;
  if (type === 'i32') {
    const v = s.fresh(d, GENERAL);
    compareInts(s, M.gset, expr, true, v);
    return v;
  }
  if (s.avx512) {
    const k = compareMask(s, expr, -1);
    return type === 'f32' ? s.plain(M.gfromk, 0, k, -1, 0, d, GENERAL) : s.plain(M.vfromk, s.wide, k, -1, 0, d);
  }
  if (type === 'f32' || type === 'vf') {
    const width = s.widthOf(type);
    const predicate = FLOAT_PREDICATE[op as keyof typeof FLOAT_PREDICATE];
    if (type === 'vf') return s.binary(M.vcmp, width, a, b, false, d, predicate);
    const bits = s.plain(M.gfromv, 1, s.binary(M.vcmp, width, a, b, false, -1, predicate));
    const v = s.fresh(d, GENERAL);
    s.immediate(M.gand, v, bits, 1);
    return v;
  }
  return compareLanes(s, op as Comparison, a, b, d);
}

/** AVX2 has = and > only. */
function compareLanes(s: Operands, op: Comparison, a: Expr, b: Expr, d: number): number {
  const { wide } = s;
  switch (op) {
    case 'eq':
      return s.binary(M.peq, wide, a, b, true, d);
    case 'gt':
      return s.binary(M.pgt, wide, a, b, false, d);
    case 'lt':
      return s.binary(M.pgt, wide, b, a, false, d);
    case 'ne':
      return complement(s, s.binary(M.peq, wide, a, b, true, -1), d);
    case 'le':
      return complement(s, s.binary(M.pgt, wide, a, b, false, -1), d);
    case 'ge':
      return complement(s, s.binary(M.pgt, wide, b, a, false, -1), d);
    case 'ltU': {
      const x = s.value(a);
      const larger = s.plain(M.pmaxU, wide, x, s.value(b));
      return complement(s, s.plain(M.peq, wide, larger, x), d); // not a ≥ b
    }
    default:
      return op satisfies never;
  }
}

/** AVX-512: a comparison as a mask register. */
function compareMask(s: Operands, { op, args: [a, b] }: Expr, d: number): number {
  const width = s.widthOf(a.type);
  if (a.type === 'f32' || a.type === 'vf') {
    const predicate = FLOAT_PREDICATE[op as keyof typeof FLOAT_PREDICATE];
    return s.binary(M.kcmp, width, a, b, false, d, predicate, MASK);
  }
  const code = op === 'ltU' ? M.kpcmpU : M.kpcmp;
  return s.binary(code, width, a, b, false, d, INT_PREDICATE[op as Comparison], MASK);
}

/** A value marked `inMask`. */
export function mask(s: Operands, expr: Expr, d: number): number {
  const { op, args } = expr;
  switch (op) {
    case 'and':
      return s.plain(M.kand, 0, maskOf(s, args[0]), maskOf(s, args[1]), 0, d, MASK);
    case 'or':
      return s.plain(M.kor, 0, maskOf(s, args[0]), maskOf(s, args[1]), 0, d, MASK);
    case 'xor':
      return s.plain(M.kxor, 0, maskOf(s, args[0]), maskOf(s, args[1]), 0, d, MASK);
    case 'not':
      return s.plain(M.knot, 0, maskOf(s, args[0]), -1, 0, d, MASK);
    default:
      return compareMask(s, expr, d);
  }
}

function maskOf(s: Operands, expr: Expr): number {
  const v = s.value(expr);
  return s.inMask[expr.id] === 1 ? v : s.plain(M.kfromv, s.wide, v, -1, 0, -1, MASK);
}

export function selectLanes(s: Operands, { args: [cond, yes, no] }: Expr, d: number): number {
  const { wide } = s;
  const isZero = (e: Expr): boolean => e.op === 'const' && Object.is(e.imm, 0);
  if (s.avx512) {
    const k = maskOf(s, cond);
    if (isZero(no)) {
      if (s.folds(yes) && yes.op === 'load') {
        s.operandOf(yes);
        return s.operation(M.kzero, wide, -1, k, 0, d);
      }
      const y = s.value(yes);
      const v = s.fresh(d, VECTOR);
      s.code.push(M.kzero, wide, v, -1, y, k);
      return v;
    }
    return choose(s, M.kselect, no, yes, k, d);
  }
  const m = s.value(cond);
  if (isZero(no)) return s.binaryRight(M.vand, wide, m, yes, d);
  if (isZero(yes)) return s.binaryRight(M.vandn, wide, m, no, d);
  return choose(s, M.vselect, no, yes, m, d);
}

function choose(s: Operands, op: number, no: Expr, yes: Expr, c: number, d: number): number {
  const n = s.value(no);
  if (s.folds(yes)) {
    s.operandOf(yes);
    return s.operation(op, s.wide, n, c, 0, d);
  }
  const y = s.value(yes);
  const v = s.fresh(d, VECTOR);
  s.code.push(op, s.wide, v, n, y, c);
  return v;
}

/** Ints move under a condition, floats are blended. */
export function selectScalar(s: Operands, { type, args: [cond, yes, no] }: Expr, d: number): number {
  const c = s.value(cond);
  const y = s.value(yes);
  const n = s.value(no);
  if (type === 'i32') {
    const v = s.fresh(d, GENERAL);
    s.code.push(M.gselect, 0, v, y, n, c);
    return v;
  }
  // A condition other than 0 is all ones once compared; chosen lane by lane.
  const flag = s.code.register(GENERAL);
  const at = s.code.push(M.gset, CC.ne, flag, c);
  s.code.words[at + MEM] = IMMEDIATE;
  const bits = s.plain(M.vfromg, 1, s.plain(M.gneg, 0, flag));
  const v = s.fresh(d, VECTOR);
  if (s.avx512) s.code.push(M.kselect, 1, v, n, y, s.plain(M.kfromv, 1, bits, -1, 0, -1, MASK));
  else s.code.push(M.vselect, 1, v, n, y, bits);
  return v;
}

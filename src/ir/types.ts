/**
 * The words of the kernel IR: value types, operations, statements, kernels. All of it is plain data.
 * A kernel is a list of structured statements. Each value is defined once (SSA) by a `let`, in the order it was built;
 * what changes is a `Variable`, read by `get` and written by `set`. Values are pure except `load`, `broadcast` and `get`,
 * whose place in the statement order is their time of reading.
 */

/** How an element lies in memory. `u8` also stores booleans, as 0 or 1. */
export type ElemType = 'f32' | 'i32' | 'u8';

export const ELEM_BYTES: Readonly<Record<ElemType, number>> = { f32: 4, i32: 4, u8: 1 };

/** Scalar int, scalar float, vectors of `lanes` ints or floats (masks are `vi`: all ones or zero), and byte addresses. */
export type Type = 'i32' | 'f32' | 'vi' | 'vf' | 'ptr';

type Domain = 'num' | 'int' | 'float' | 'i32' | 'division' | 'vector' | 'scalar';
type Result = 'same' | 'mask' | 'int' | 'float' | 'lane' | 'splat';

/** Which operand types an operation takes (all operands alike) and what it gives. */
export interface OpRow {
  readonly arity: number;
  readonly domain: Domain;
  readonly result: Result;
}

const row = (arity: number, domain: Domain, result: Result = 'same'): OpRow => ({ arity, domain, result });

/** Operations whose operands all have one type. The rest (`SPECIAL_OPS`) have rules of their own in verify.ts. */
export const OPS = {
  add: row(2, 'num'),
  sub: row(2, 'num'),
  mul: row(2, 'num'),
  div: row(2, 'division'), // ints: signed, truncating, traps on 0
  rem: row(2, 'i32'),
  min: row(2, 'num'), // floats: NaN if either is, -0 < +0
  max: row(2, 'num'),
  pmin: row(2, 'float'), // b < a ? b : a
  pmax: row(2, 'float'), // a < b ? b : a
  and: row(2, 'int'),
  or: row(2, 'int'),
  xor: row(2, 'int'),
  shl: row(1, 'int'), // by `imm`, 0 … 31
  shr: row(1, 'int'),
  shrU: row(1, 'int'),
  mulhiU: row(2, 'int'), // high 32 bits of the unsigned product
  not: row(1, 'int'), // of a condition: scalar 0 ↔ 1, vector mask complemented
  neg: row(1, 'num'),
  abs: row(1, 'float'),
  sqrt: row(1, 'float'),
  floor: row(1, 'float'),
  ceil: row(1, 'float'),
  nearest: row(1, 'float'), // ties to even
  trunc: row(1, 'float'),
  fma: row(3, 'float'), // args [c, a, b]: c + a·b, fused where the target can
  eq: row(2, 'num', 'mask'),
  ne: row(2, 'num', 'mask'),
  lt: row(2, 'num', 'mask'),
  le: row(2, 'num', 'mask'),
  gt: row(2, 'num', 'mask'),
  ge: row(2, 'num', 'mask'),
  ltU: row(2, 'int', 'mask'),
  toF: row(1, 'int', 'float'),
  toFU: row(1, 'int', 'float'),
  asF: row(1, 'int', 'float'),
  toI: row(1, 'float', 'int'), // truncates, saturates, NaN → 0
  asI: row(1, 'float', 'int'),
  lane: row(1, 'vector', 'lane'), // lane number in `imm`
  sumLanes: row(1, 'vector', 'lane'), // halves folded: ((0 + 2) + (1 + 3)) for four lanes
  maxLanes: row(1, 'vector', 'lane'),
  minLanes: row(1, 'vector', 'lane'),
  splat: row(1, 'scalar', 'splat'),
} as const satisfies Record<string, OpRow>;

export type PlainOp = keyof typeof OPS;

/**
 * const (`imm`, the same in each lane), param (`imm` = index), begin / end (task range), index (of the enclosing loop),
 * get (`variable`), load / broadcast (`elem`, byte offset in `imm`, args [ptr]), ptrAdd (args [ptr, i32 bytes]),
 * select (args [condition, then, else]), lanesOf (args: one scalar per lane).
 */
export const SPECIAL_OPS = [
  'const',
  'param',
  'begin',
  'end',
  'index',
  'get',
  'load',
  'broadcast',
  'ptrAdd',
  'select',
  'lanesOf',
] as const;

export type Op = PlainOp | (typeof SPECIAL_OPS)[number];

export interface Variable {
  readonly id: number; // dense within the kernel
  readonly type: Type;
}

/** One value. Every node has the same fields, so that walking them stays fast. */
export interface Expr {
  readonly id: number; // dense within the kernel
  readonly op: Op;
  readonly type: Type;
  readonly args: readonly Expr[];
  readonly imm: number;
  readonly elem: ElemType | null;
  readonly variable: Variable | null;
}

export type Stmt =
  | { readonly kind: 'let'; readonly value: Expr }
  | { readonly kind: 'var'; readonly variable: Variable; readonly init: Expr }
  | { readonly kind: 'set'; readonly variable: Variable; readonly value: Expr }
  | StoreStmt
  | PrefetchStmt
  | LoopStmt
  | IfStmt;

export interface StoreStmt {
  readonly kind: 'store';
  readonly elem: ElemType;
  readonly address: Expr;
  readonly offset: number; // bytes
  readonly value: Expr; // for u8: the low byte of each lane
  /** Nobody reads it soon: a vector may pass by the caches. Its address is a multiple of its size. */
  readonly streams?: boolean;
}

/** A hint to fetch the line of an address, which need not be the kernel's, into the cache of `level` and those below it. */
export interface PrefetchStmt {
  readonly kind: 'prefetch';
  readonly address: Expr;
  readonly offset: number; // bytes
  readonly level: CacheLevel;
}

/** The nearest cache is 0. */
export type CacheLevel = 0 | 1 | 2;

/** `index` runs from `from` while it is below `to`. The bounds are read once, before the first turn. */
export interface LoopStmt {
  readonly kind: 'loop';
  readonly index: Expr;
  readonly from: Expr;
  readonly to: Expr;
  readonly step: number;
  readonly body: readonly Stmt[];
}

export interface IfStmt {
  readonly kind: 'if';
  readonly cond: Expr;
  readonly body: readonly Stmt[];
  readonly otherwise: readonly Stmt[];
}

export interface KernelParam {
  readonly name: string;
  readonly elem: ElemType;
}

/** A function (param addresses…, begin, end) that does the tasks begin ≤ task < end of `tasks` independent ones. */
export interface Kernel {
  readonly name: string;
  readonly lanes: number;
  readonly params: readonly KernelParam[];
  readonly tasks: number;
  readonly body: readonly Stmt[];
  readonly vectors?: number; // the vector registers its author counted on
  readonly exprCount: number; // ids of exprs are below this
  readonly variableCount: number;
}

export const isVector = (type: Type): boolean => type === 'vi' || type === 'vf';
export const isFloat = (type: Type): boolean => type === 'f32' || type === 'vf';
export const isInt = (type: Type): boolean => type === 'i32' || type === 'vi';

export const intOf = (type: Type): Type => (isVector(type) ? 'vi' : 'i32');
export const floatOf = (type: Type): Type => (isVector(type) ? 'vf' : 'f32');
export const laneOf = (type: Type): Type => (type === 'vi' ? 'i32' : 'f32');
export const splatOf = (type: Type): Type => (type === 'i32' ? 'vi' : 'vf');

const DOMAINS: Readonly<Record<Domain, readonly Type[]>> = {
  num: ['i32', 'f32', 'vi', 'vf'],
  int: ['i32', 'vi'],
  float: ['f32', 'vf'],
  i32: ['i32'],
  division: ['i32', 'f32', 'vf'],
  vector: ['vi', 'vf'],
  scalar: ['i32', 'f32'],
};

export const isPlainOp = (op: Op): op is PlainOp => Object.hasOwn(OPS, op);

/** The type `op` gives for operands of type `type`, or null if it does not take them. */
export function resultType(op: PlainOp, type: Type): Type | null {
  const { domain, result } = OPS[op];
  if (!DOMAINS[domain].includes(type)) return null;
  switch (result) {
    case 'same':
      return type;
    case 'mask':
    case 'int':
      return intOf(type);
    case 'float':
      return floatOf(type);
    case 'lane':
      return laneOf(type);
    case 'splat':
      return splatOf(type);
    default:
      return result satisfies never;
  }
}

/** The type of an element of memory once loaded. */
export function loadedType(elem: ElemType, vector: boolean): Type {
  if (elem === 'f32') return vector ? 'vf' : 'f32';
  return vector ? 'vi' : 'i32';
}

/**
 * The handles a kernel's author holds: numbers (`Int`, `Float`: scalar or vector, told apart by `width`), mutable
 * variables, pointers and affine indices. Each method adds an operation at the place the builder has reached.
 * A number given as right operand becomes a constant of the left one's type.
 */
import { invariant } from '../util/errors.js';
import { ELEM_BYTES, type ElemType, type Expr, isVector, type PlainOp, type Type, type Variable } from './types.js';

/** What handles ask of the builder. */
export interface Emitter {
  readonly lanes: number;
  readonly fma: boolean;
  op(op: PlainOp, args: readonly Expr[], imm?: number): Expr;
  constant(type: Type, value: number): Expr;
  read(variable: Variable): Expr;
  assign(variable: Variable, value: Expr): void;
  /** `base` + Σ termᵢ · coefficientᵢ · bytes, computed here unless this block has it already. */
  addressOf(base: Expr, terms: readonly Term[], bytes: number): Expr;
}

abstract class Num {
  constructor(
    protected readonly k: Emitter,
    readonly expr: Expr,
  ) {}

  /** 1, or the number of lanes. */
  get width(): number {
    return isVector(this.expr.type) ? this.k.lanes : 1;
  }

  protected unaryExpr(op: PlainOp, imm = 0): Expr {
    return this.k.op(op, [this.expr], imm);
  }

  protected binaryExpr(op: PlainOp, right: Num | number): Expr {
    const b = typeof right === 'number' ? this.k.constant(this.expr.type, right) : right.expr;
    return this.k.op(op, [this.expr, b]);
  }

  protected compare(op: PlainOp, right: Num | number): Int {
    return new Int(this.k, this.binaryExpr(op, right));
  }
}

/** int32, one or `lanes` of them. Comparisons are signed and give 0 or 1 for scalars, a mask for vectors. */
export class Int extends Num {
  private unary(op: PlainOp, imm = 0): Int {
    return new Int(this.k, this.unaryExpr(op, imm));
  }
  private binary(op: PlainOp, right: Int | number): Int {
    return new Int(this.k, this.binaryExpr(op, right));
  }

  add(b: Int | number): Int {
    return this.binary('add', b);
  }
  sub(b: Int | number): Int {
    return this.binary('sub', b);
  }
  mul(b: Int | number): Int {
    return this.binary('mul', b);
  }
  /** Signed, truncating; scalars only. Division by zero traps. */
  div(b: Int | number): Int {
    return this.binary('div', b);
  }
  /** The sign of the dividend; scalars only. */
  rem(b: Int | number): Int {
    return this.binary('rem', b);
  }
  min(b: Int | number): Int {
    return this.binary('min', b);
  }
  max(b: Int | number): Int {
    return this.binary('max', b);
  }
  and(b: Int | number): Int {
    return this.binary('and', b);
  }
  or(b: Int | number): Int {
    return this.binary('or', b);
  }
  xor(b: Int | number): Int {
    return this.binary('xor', b);
  }
  shl(count: number): Int {
    return this.unary('shl', count);
  }
  /** Keeps the sign. */
  shr(count: number): Int {
    return this.unary('shr', count);
  }
  shrU(count: number): Int {
    return this.unary('shrU', count);
  }
  /** High 32 bits of the unsigned 64-bit product. */
  mulhiU(b: Int | number): Int {
    return this.binary('mulhiU', b);
  }
  neg(): Int {
    return this.unary('neg');
  }
  /** Of a condition: a scalar's 0 becomes 1 and anything else 0; a mask is complemented. The bitwise one is `xor(-1)`. */
  not(): Int {
    return this.unary('not');
  }
  eq(b: Int | number): Int {
    return this.compare('eq', b);
  }
  ne(b: Int | number): Int {
    return this.compare('ne', b);
  }
  lt(b: Int | number): Int {
    return this.compare('lt', b);
  }
  le(b: Int | number): Int {
    return this.compare('le', b);
  }
  gt(b: Int | number): Int {
    return this.compare('gt', b);
  }
  ge(b: Int | number): Int {
    return this.compare('ge', b);
  }
  ltU(b: Int | number): Int {
    return this.compare('ltU', b);
  }
  /** The nearest float of the signed value. */
  toF(): Float {
    return new Float(this.k, this.unaryExpr('toF'));
  }
  /** The nearest float of the unsigned value. */
  toFU(): Float {
    return new Float(this.k, this.unaryExpr('toFU'));
  }
  /** The float with these bits. */
  asF(): Float {
    return new Float(this.k, this.unaryExpr('asF'));
  }
  lane(i: number): Int {
    return this.unary('lane', i);
  }
  /** x · 16 as a term of x, so that an element's size joins the factor. */
  asTerm(): Term {
    const { op, args } = this.expr;
    if (op !== 'mul' || args[1].op !== 'const' || Math.abs(args[1].imm) > 2 ** 24)
      return { value: this, coefficient: 1 };
    return { value: new Int(this.k, args[0]), coefficient: args[1].imm };
  }
}

/** float32, one or `lanes` of them. Comparisons with NaN are false, except `ne`. */
export class Float extends Num {
  private unary(op: PlainOp, imm = 0): Float {
    return new Float(this.k, this.unaryExpr(op, imm));
  }
  private binary(op: PlainOp, right: Float | number): Float {
    return new Float(this.k, this.binaryExpr(op, right));
  }

  add(b: Float | number): Float {
    return this.binary('add', b);
  }
  sub(b: Float | number): Float {
    return this.binary('sub', b);
  }
  mul(b: Float | number): Float {
    return this.binary('mul', b);
  }
  div(b: Float | number): Float {
    return this.binary('div', b);
  }
  /** NaN if either is; -0 is below +0. */
  min(b: Float | number): Float {
    return this.binary('min', b);
  }
  max(b: Float | number): Float {
    return this.binary('max', b);
  }
  /** b < this ? b : this, one instruction where `min` takes eight: keeps a NaN in this, not one in b, and this of equal zeros. */
  pmin(b: Float | number): Float {
    return this.binary('pmin', b);
  }
  /** this < b ? b : this */
  pmax(b: Float | number): Float {
    return this.binary('pmax', b);
  }
  neg(): Float {
    return this.unary('neg');
  }
  abs(): Float {
    return this.unary('abs');
  }
  sqrt(): Float {
    return this.unary('sqrt');
  }
  floor(): Float {
    return this.unary('floor');
  }
  ceil(): Float {
    return this.unary('ceil');
  }
  /** The nearest integer, ties to even. */
  nearest(): Float {
    return this.unary('nearest');
  }
  trunc(): Float {
    return this.unary('trunc');
  }
  /** this + a · b, rounded once where the target can and it is worth it, else twice. */
  fma(a: Float | number, b: Float | number): Float {
    const [x, y] = [a, b].map((v) => (typeof v === 'number' ? this.k.constant(this.expr.type, v) : v.expr));
    if (!this.k.fma) return new Float(this.k, this.k.op('add', [this.expr, this.k.op('mul', [x, y])]));
    return new Float(this.k, this.k.op('fma', [this.expr, x, y]));
  }
  eq(b: Float | number): Int {
    return this.compare('eq', b);
  }
  ne(b: Float | number): Int {
    return this.compare('ne', b);
  }
  lt(b: Float | number): Int {
    return this.compare('lt', b);
  }
  le(b: Float | number): Int {
    return this.compare('le', b);
  }
  gt(b: Float | number): Int {
    return this.compare('gt', b);
  }
  ge(b: Float | number): Int {
    return this.compare('ge', b);
  }
  /** Truncates and saturates; NaN gives 0. */
  toI(): Int {
    return new Int(this.k, this.unaryExpr('toI'));
  }
  /** The bits. Those of a NaN are the target's choice. */
  asI(): Int {
    return new Int(this.k, this.unaryExpr('asI'));
  }
  lane(i: number): Float {
    return this.unary('lane', i);
  }
}

export type Value = Int | Float;
/** A scalar and a vector share a class, so that one function can write a kernel's body and its tail. */
export type I32 = Int;
export type VI = Int;
export type F1 = Float;
export type VF = Float;
export type F = Float;

export function wrap(k: Emitter, expr: Expr): Value {
  return expr.type === 'f32' || expr.type === 'vf' ? new Float(k, expr) : new Int(k, expr);
}

/** A mutable local. `value` is its value now: what was read stays as it was when the variable changes. */
export class Var<T extends Value> {
  constructor(
    private readonly k: Emitter,
    readonly variable: Variable,
  ) {}

  get value(): T {
    return wrap(this.k, this.k.read(this.variable)) as T;
  }
  set(v: T | number): void {
    this.k.assign(this.variable, this.operand(v));
  }
  /** += v */
  addTo(v: T | number): void {
    this.k.assign(this.variable, this.k.op('add', [this.k.read(this.variable), this.operand(v)]));
  }
  /** += a · b; floats only. */
  fma(a: Float, b: Float | number): void {
    const sum = new Float(this.k, this.k.read(this.variable)).fma(a, b);
    this.k.assign(this.variable, sum.expr);
  }

  private operand(v: T | number): Expr {
    return typeof v === 'number' ? this.k.constant(this.variable.type, v) : v.expr;
  }
}

export type VarF = Var<Float>;
export type VarI = Var<Int>;

export interface Term {
  readonly value: Int;
  readonly coefficient: number;
}

export type Index = number | Int | Affine;

/** A static part plus multiples of run-time ints. The static part costs nothing: it goes into the instruction. */
export class Affine {
  constructor(
    readonly constant: number,
    readonly terms: readonly Term[],
  ) {}

  plus(i: Index): Affine {
    const other = affine(i);
    return new Affine(this.constant + other.constant, mergeTerms(this.terms, other.terms));
  }
  times(n: number): Affine {
    const terms = this.terms.map((t) => ({ value: t.value, coefficient: t.coefficient * n }));
    return new Affine(this.constant * n, n === 0 ? [] : terms);
  }
}

export function affine(x: Index): Affine {
  if (x instanceof Affine) return x;
  if (typeof x === 'number') return new Affine(x, []);
  return x.expr.op === 'const' ? new Affine(x.expr.imm, []) : new Affine(0, [x.asTerm()]);
}

/** A byte address of elements `elem`. Immutable: `at` gives another one. */
export class Ptr<E extends ElemType = ElemType> {
  constructor(
    protected readonly k: Emitter,
    readonly name: string,
    readonly elem: E,
    private readonly baseExpr: Expr | null,
    readonly offsetBytes: number = 0,
  ) {}

  /** Where the static offset counts from. */
  base(): Expr {
    invariant(this.baseExpr !== null, `pointer ${this.name} has no base`);
    return this.baseExpr;
  }

  /** Moved by `index` elements. The run-time part is computed here, once. */
  at(index: Index): Ptr<E> {
    const bytes = ELEM_BYTES[this.elem];
    if (typeof index === 'number') {
      invariant(Number.isInteger(index), () => `pointer ${this.name}: offset ${index} is not an integer`);
      return new Ptr(this.k, this.name, this.elem, this.base(), this.offsetBytes + index * bytes);
    }
    const { constant, terms } = affine(index);
    const base = terms.length === 0 ? this.base() : this.k.addressOf(this.base(), terms, bytes);
    return new Ptr(this.k, this.name, this.elem, base, this.offsetBytes + constant * bytes);
  }
}

/** A mutable pointer, used as a `Ptr`: loads, stores and `at` see where it points now. */
export class PtrVar<E extends ElemType = ElemType> extends Ptr<E> {
  constructor(
    k: Emitter,
    name: string,
    elem: E,
    readonly variable: Variable,
  ) {
    super(k, name, elem, null);
  }

  override base(): Expr {
    return this.k.read(this.variable);
  }

  /** Moves on by `elems` elements. */
  advance(elems: Index): void {
    const { constant, terms } = affine(elems);
    const bytes = ELEM_BYTES[this.elem];
    const step = constant === 0 ? [] : [{ value: new Int(this.k, this.k.constant('i32', constant)), coefficient: 1 }];
    this.k.assign(this.variable, this.k.addressOf(this.base(), [...terms, ...step], bytes));
  }
}

function mergeTerms(a: readonly Term[], b: readonly Term[]): Term[] {
  const merged = [...a];
  for (const term of b) {
    const at = merged.findIndex((t) => t.value.expr === term.value.expr);
    if (at < 0) merged.push(term);
    else merged[at] = { value: term.value, coefficient: merged[at].coefficient + term.coefficient };
  }
  return merged.filter((t) => t.coefficient !== 0);
}

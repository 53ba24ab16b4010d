/**
 * Operands of machine operations, made from values of the kernel IR: registers, constants, places in memory. A value used once
 * is computed where it is used, so that a load becomes the memory operand of its user; constants are memory operands too, and
 * a constant part of an address goes into the instruction.
 */
import {
  type Analysis,
  analyse,
  type ElemType,
  type Expr,
  isLeaf,
  isVector,
  type Kernel,
  type Type,
} from '../../ir/index.js';
import { isComparison } from './choices.js';
import { splatGeneral } from './lanes.js';
import {
  BASE,
  DISP,
  GENERAL,
  IMMEDIATE,
  IN_ELEMENT,
  IN_MEMORY,
  INDEX,
  M,
  MachineCode,
  MEM,
  POOL,
  VECTOR,
} from './machine.js';

const floatBits = new DataView(new ArrayBuffer(4));
export const bitsOf = (x: number): number => {
  floatBits.setFloat32(0, x);
  return floatBits.getInt32(0);
};

/** Which register file holds values of the type. */
export const fileOf = (type: Type): number => (type === 'i32' || type === 'ptr' ? GENERAL : VECTOR);

/** What selection knows of a kernel, and the ways to make operands. Methods that take `d` put the result there, or where they like if it is -1. */
export abstract class Operands {
  readonly code = new MachineCode();
  readonly wide: number; // WIDTH of vectors
  readonly uses: Uint32Array;
  readonly inline: Uint8Array;
  readonly inMask: Uint8Array; // AVX-512: comparisons that live in mask registers
  protected readonly registers: Int32Array; // of values and loop indices
  protected readonly variables: Int32Array;
  protected readonly params: Int32Array;
  protected readonly upper: Float64Array; // see upperBound
  protected begin = -1;
  protected end = -1;
  private readonly pool = new Map<number | string, number>();
  // The memory operand that `place`, `operandOf` or `constantOperand` has found.
  private base = -1;
  private index = -1;
  private disp = 0;
  private kind = 0;

  constructor(
    readonly kernel: Kernel,
    readonly avx512: boolean,
  ) {
    const { uses, inline }: Analysis = analyse(kernel);
    this.uses = uses;
    this.inline = inline;
    this.wide = kernel.lanes === 16 ? 3 : kernel.lanes === 8 ? 2 : 1;
    this.registers = new Int32Array(kernel.exprCount).fill(-1);
    this.upper = new Float64Array(kernel.exprCount).fill(-1);
    this.variables = new Int32Array(kernel.variableCount).fill(-1);
    this.params = new Int32Array(kernel.params.length).fill(-1);
    this.inMask = new Uint8Array(kernel.exprCount);
  }

  /** Computes a value that is used here or has its `let` here. */
  abstract tree(expr: Expr, d: number): number;

  /** The register of a use of `expr`. It may be a variable's: use it before the variable changes. */
  value(expr: Expr): number {
    if (isLeaf(expr)) return this.leaf(expr, -1);
    return this.inline[expr.id] === 1 ? this.tree(expr, -1) : this.registers[expr.id];
  }

  /** Computes `expr` into register `d`. */
  into(expr: Expr, d: number): void {
    if (isLeaf(expr)) this.leaf(expr, d);
    else if (this.inline[expr.id] === 1) this.tree(expr, d);
    else this.move(expr.type, d, this.registers[expr.id]);
  }

  private move(type: Type, d: number, from: number): void {
    if (fileOf(type) === GENERAL) this.code.push(M.gmov, 0, d, from);
    else this.code.push(M.vmov, isVector(type) ? this.wide : 1, d, from);
  }

  /** An operand as it is, or a copy of it in `d` if that is asked for. */
  pass(type: Type, v: number, d: number): number {
    if (d < 0) return v;
    this.move(type, d, v);
    return d;
  }

  private leaf(expr: Expr, d: number): number {
    switch (expr.op) {
      case 'param':
        return this.pass('ptr', this.params[expr.imm], d);
      case 'begin':
        return this.pass('i32', this.begin, d);
      case 'end':
        return this.pass('i32', this.end, d);
      case 'index':
        return this.pass('i32', this.registers[expr.id], d);
      default:
        return this.constant(expr, d);
    }
  }

  private constant({ type, imm }: Expr, d: number): number {
    const { code } = this;
    if (type === 'i32') return this.plain(M.gimm, 0, -1, -1, imm, d);
    const bits = type === 'vi' ? imm : bitsOf(imm);
    const width = isVector(type) ? this.wide : 0;
    const v = d >= 0 ? d : code.register(VECTOR);
    if (bits === 0) code.push(M.vzero, 1, v);
    else if (bits === -1) code.push(M.vones, Math.max(1, width), v);
    else {
      const at = code.push(width === 0 ? M.vload : M.vbroadcast, width, v);
      this.scalarConstant(bits);
      this.withMemory(at);
    }
    return v;
  }

  fresh(d: number, file: number): number {
    return d >= 0 ? d : this.code.register(file);
  }

  /** An operation on registers. Its result goes to `d`, or to a new register of `file`. */
  plain(op: number, width: number, a = -1, b = -1, imm = 0, d = -1, file = op < M.vfromg ? GENERAL : VECTOR): number {
    const v = this.fresh(d, file);
    this.code.push(op, width, v, a, b, -1, imm);
    return v;
  }

  immediate(op: number, d: number, a: number, imm: number): void {
    const at = this.code.push(op, 0, d, a, -1, -1, imm);
    this.code.words[at + MEM] = IMMEDIATE;
  }

  /** Like `plain`, with the memory operand just found as b. */
  operation(op: number, width: number, a: number, c = -1, imm = 0, d = -1, file: number = VECTOR): number {
    const v = this.fresh(d, file);
    this.withMemory(this.code.push(op, width, v, a, -1, c, imm));
    return v;
  }

  withMemory(at: number): void {
    const { words } = this.code;
    words[at + BASE] = this.base;
    words[at + INDEX] = this.index;
    words[at + DISP] = this.disp;
    words[at + MEM] = this.kind;
  }

  widthOf(type: Type): number {
    return isVector(type) ? this.wide : 0;
  }

  /** Whether `operandOf` can make a memory operand of it, for operations that take one element for all lanes too. */
  folds(expr: Expr): boolean {
    if (expr.op === 'const') return expr.type !== 'i32';
    if (this.inline[expr.id] !== 1 || expr.elem === null || expr.elem === 'u8') return false;
    return expr.op === 'load' || this.avx512;
  }

  operandOf(expr: Expr): void {
    if (expr.op === 'const') {
      this.constantOperand(expr.type === 'vi' ? expr.imm : bitsOf(expr.imm), this.widthOf(expr.type));
      return;
    }
    this.place(expr.args[0], expr.imm);
    if (expr.op === 'broadcast') this.kind += IN_ELEMENT - IN_MEMORY;
  }

  /** 32 bits in each lane of `width`. */
  constantOperand(bits: number, width: number): void {
    this.base = POOL;
    this.index = -1;
    if (this.avx512 || width === 0) {
      this.disp = this.poolElement(bits);
      this.kind = width === 0 ? IN_MEMORY : IN_ELEMENT;
      return;
    }
    this.disp = this.poolVector(new Int32Array(4 * 2 ** (this.wide - 1)).fill(bits));
    this.kind = IN_MEMORY;
  }

  /** One float or int of the pool as a scalar memory operand. */
  scalarConstant(bits: number): void {
    this.base = POOL;
    this.index = -1;
    this.disp = this.poolElement(bits);
    this.kind = IN_MEMORY;
  }

  /** A vector of its own. */
  vectorOperand(lanes: Int32Array): void {
    this.base = POOL;
    this.index = -1;
    this.disp = this.poolVector(lanes);
    this.kind = IN_MEMORY;
  }

  private poolElement(bits: number): number {
    return this.inPool(bits, () => new Uint8Array(Int32Array.of(bits).buffer));
  }

  private poolVector(lanes: Int32Array): number {
    return this.inPool(lanes.join(), () => new Uint8Array(lanes.buffer));
  }

  private inPool(key: number | string, bytes: () => Uint8Array): number {
    let n = this.pool.get(key);
    if (n === undefined) {
      n = this.code.constants.push(bytes()) - 1;
      this.pool.set(key, n);
    }
    return n;
  }

  /** The memory at `address` + `offset`. Emits what the address needs, so that other operands must have been computed. */
  place(address: Expr, offset: number): void {
    this.index = -1;
    this.kind = IN_MEMORY;
    this.disp = offset;
    if (address.op === 'ptrAdd' && this.inline[address.id] === 1) this.sum(address);
    else this.base = this.value(address);
  }

  /** base + index · 2^scale + disp of a ptrAdd. */
  private sum({ args: [pointer, bytes] }: Expr): void {
    if (bytes.op === 'const') {
      const disp = this.disp + bytes.imm;
      if (disp === (disp | 0)) {
        this.disp = disp;
        if (pointer.op === 'ptrAdd' && this.inline[pointer.id] === 1) this.sum(pointer);
        else this.base = this.value(pointer);
        return;
      }
    }
    const disp = this.disp;
    let index = bytes;
    let scale = 0;
    let shift = 0;
    if (this.inline[bytes.id] === 1 && this.extends(bytes)) {
      const { op, args, imm } = bytes;
      if (op === 'mul' && args[1].op === 'const') shift = [1, 2, 4, 8].indexOf(args[1].imm);
      else if (op === 'shl') shift = imm;
      if (shift > 0 && shift <= 3 && this.extends(args[0])) {
        index = args[0];
        scale = shift;
      }
    }
    const base = this.value(pointer);
    let offset = this.value(index);
    if (!this.extends(index)) offset = this.plain(M.movsxd, 0, offset);
    this.base = base;
    this.index = offset;
    this.disp = disp;
    this.kind = IN_MEMORY + (scale << 2);
  }

  pointerSum(expr: Expr, d: number): number {
    this.disp = 0;
    this.index = -1;
    this.kind = IN_MEMORY;
    this.sum(expr);
    return this.operation(M.lea, 0, -1, -1, 0, d, GENERAL);
  }

  /**
   * Whether an int may be taken for its 64-bit value in an address, its upper half being zero: it is not negative unless it
   * wrapped on the way, and then the address is outside any memory.
   */
  extends(expr: Expr): boolean {
    return this.upperBound(expr) >= 0;
  }

  /** Whether an int is certain not to be negative. */
  isNonNegative(expr: Expr): boolean {
    const bound = this.upperBound(expr);
    return bound >= 0 && bound < 2 ** 31;
  }

  /** The most an int can be if it is not negative; ∞: it may have wrapped; -1: it may be negative. */
  upperBound(expr: Expr): number {
    if (expr.op === 'const') return Math.max(-1, expr.imm);
    if (expr.op === 'begin' || expr.op === 'end') return this.kernel.tasks;
    return this.upper[expr.id];
  }

  /** Notes the bound of a value that has just been met. */
  bound(expr: Expr): void {
    this.upper[expr.id] = expr.type === 'i32' ? this.boundOf(expr) : -1;
  }

  private boundOf({ op, args, elem, imm }: Expr): number {
    if (isComparison(op) || op === 'not') return 1;
    const a = args.length > 0 ? this.upperBound(args[0]) : -1;
    const b = args.length > 1 ? this.upperBound(args[1]) : -1;
    const certain = (bound: number): boolean => bound >= 0 && bound < 2 ** 31;
    const wrapped = (bound: number): number => (certain(bound) ? bound : Number.POSITIVE_INFINITY);
    switch (op) {
      case 'load':
        return elem === 'u8' ? 255 : -1;
      case 'shrU':
        return imm > 0 ? 2 ** (32 - imm) - 1 : a;
      case 'and':
        if (certain(a) && certain(b)) return Math.min(a, b);
        return certain(a) ? a : certain(b) ? b : a < 0 || b < 0 ? -1 : Number.POSITIVE_INFINITY;
      case 'max':
        if (certain(a) && certain(b)) return Math.max(a, b);
        return certain(a) || certain(b) ? 2 ** 31 - 1 : a < 0 || b < 0 ? -1 : Number.POSITIVE_INFINITY;
      case 'select': {
        const c = this.upperBound(args[2]);
        return b < 0 || c < 0 ? -1 : Math.max(b, c);
      }
      case 'shr':
        return a < 0 ? -1 : wrapped(Math.floor(a / 2 ** imm));
      case 'shl':
        return a < 0 ? -1 : wrapped(a * 2 ** imm);
      default:
        break;
    }
    if (a < 0 || b < 0) return -1;
    switch (op) {
      case 'add':
        return wrapped(a + b);
      case 'mul':
        return wrapped(a * b);
      case 'min':
        return certain(a) && certain(b) ? Math.min(a, b) : Number.POSITIVE_INFINITY;
      case 'or':
      case 'xor':
        return certain(a) && certain(b) ? 2 ** Math.ceil(Math.log2(Math.max(a, b) + 1)) - 1 : Number.POSITIVE_INFINITY;
      case 'div':
        return certain(a) && certain(b) ? (args[1].op === 'const' ? Math.floor(a / b) : a) : Number.POSITIVE_INFINITY;
      case 'rem':
        return certain(a) && certain(b) ? Math.min(a, Math.max(0, b - 1)) : Number.POSITIVE_INFINITY;
      default:
        return -1;
    }
  }

  load(expr: Expr, d: number): number {
    const { op, type, args, imm } = expr;
    const elem = expr.elem as ElemType;
    this.place(args[0], imm);
    if (elem === 'u8') {
      if (op === 'load' && isVector(type)) return this.operation(M.bytesIn, this.wide, -1, -1, 0, d);
      const byte = this.operation(M.gload8, 0, -1, -1, 0, op === 'load' ? d : -1, GENERAL);
      return op === 'load' ? byte : splatGeneral(this, byte, d);
    }
    if (op === 'broadcast') return this.operation(M.vbroadcast, this.wide, -1, -1, 0, d);
    if (type === 'i32') return this.operation(M.gload, 0, -1, -1, 0, d, GENERAL);
    return this.operation(M.vload, this.widthOf(type), -1, -1, 0, d);
  }

  /** op(a, b) with b, or a where they may be exchanged, in memory if it can be. */
  binary(op: number, width: number, a: Expr, b: Expr, commutes: boolean, d: number, imm = 0, file = VECTOR): number {
    if (commutes && !this.folds(b) && this.folds(a)) return this.binary(op, width, b, a, false, d, imm, file);
    const left = this.value(a);
    if (this.folds(b)) {
      this.operandOf(b);
      return this.operation(op, width, left, -1, imm, d, file);
    }
    return this.plain(op, width, left, this.value(b), imm, d, file);
  }

  /** op(a, b) with b in memory if it can be. */
  binaryRight(op: number, width: number, a: number, b: Expr, d: number): number {
    if (this.folds(b)) {
      this.operandOf(b);
      return this.operation(op, width, a, -1, 0, d);
    }
    return this.plain(op, width, a, this.value(b), 0, d);
  }

  /** op(b) */
  unary(op: number, width: number, b: Expr, imm: number, d: number): number {
    if (this.folds(b)) {
      this.operandOf(b);
      return this.operation(op, width, -1, -1, imm, d);
    }
    return this.plain(op, width, -1, this.value(b), imm, d);
  }
}

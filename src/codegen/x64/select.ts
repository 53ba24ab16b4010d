/**
 * From kernel IR to machine operations. A value used once is computed where it is used, so that a load becomes the memory
 * operand of its user; a variable is one virtual register for life, and `v = fma(v, a, b)` one operation on it. Vector
 * constants are memory operands too: nothing is kept in a register that the kernel's author did not count.
 * What an operation means at its edges (NaN, -0, saturation) is evaluate.ts's to say, and written out here.
 */
import {
  type Analysis,
  analyse,
  type ElemType,
  type Expr,
  isLeaf,
  isVector,
  type Kernel,
  type LoopStmt,
  type Stmt,
  type StoreStmt,
  type Type,
} from '../../ir/index.js';
import { invariant } from '../../util/errors.js';
import {
  B,
  BASE,
  CC,
  DISP,
  EXTRA,
  GENERAL,
  IMM,
  IMMEDIATE,
  IN_ELEMENT,
  IN_MEMORY,
  INDEX,
  M,
  MASK,
  MachineCode,
  MEM,
  POOL,
  VECTOR,
} from './machine.js';

/** Predicates of vcmpps that are false for NaN (`ne`: true). */
const FLOAT_PREDICATE = { eq: 0, ne: 4, lt: 17, le: 18, gt: 30, ge: 29 } as const;
const UNORDERED = 3;
const ORDERED = 7;
/** Predicates of vpcmpd. */
const INT_PREDICATE = { eq: 0, lt: 1, le: 2, ne: 4, ge: 5, gt: 6, ltU: 1 } as const;
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

type Comparison = keyof typeof CONDITION;
const isComparison = (op: string): op is Comparison => Object.hasOwn(CONDITION, op);

const GENERAL_OPS = { add: M.gadd, sub: M.gsub, mul: M.gmul, and: M.gand, or: M.gor, xor: M.gxor } as const;
const FLOAT_OPS = { add: M.vadd, sub: M.vsub, mul: M.vmul, div: M.vdiv } as const;
const INT_OPS = {
  ...{ add: M.padd, sub: M.psub, mul: M.pmul, min: M.pmin, max: M.pmax },
  ...{ and: M.vand, or: M.vor, xor: M.vxor },
} as const;
const COMMUTES: Readonly<Record<string, boolean>> = {
  ...{ add: true, mul: true, and: true, or: true, xor: true, min: true, max: true },
};
const ROUNDING = { nearest: 0, floor: 1, ceil: 2, trunc: 3 } as const;

const floatBits = new DataView(new ArrayBuffer(4));
const bitsOf = (x: number): number => {
  floatBits.setFloat32(0, x);
  return floatBits.getInt32(0);
};

export function select(kernel: Kernel, avx512: boolean): MachineCode {
  const most = avx512 ? 16 : 8;
  invariant(
    kernel.lanes <= most,
    () => `kernel ${kernel.name}: has ${kernel.lanes} lanes, ${avx512 ? 'AVX-512' : 'AVX2'} ${most}`,
  );
  return new Selector(kernel, avx512).run();
}

class Selector {
  private readonly code = new MachineCode();
  private readonly wide: number; // WIDTH of vectors
  private readonly uses: Uint32Array;
  private readonly inline: Uint8Array;
  private readonly registers: Int32Array; // of values and loop indices
  private readonly variables: Int32Array;
  private readonly params: Int32Array;
  private readonly nonNegative: Uint8Array;
  private readonly inMask: Uint8Array; // AVX-512: comparisons that live in mask registers
  private readonly pool = new Map<number | string, number>();
  private begin = -1;
  private end = -1;
  // The memory operand that `place`, `element` or `constantOperand` has found.
  private base = -1;
  private index = -1;
  private disp = 0;
  private kind = 0;

  constructor(
    private readonly kernel: Kernel,
    private readonly avx512: boolean,
  ) {
    const { uses, inline }: Analysis = analyse(kernel);
    this.uses = uses;
    this.inline = inline;
    this.wide = kernel.lanes === 16 ? 3 : kernel.lanes === 8 ? 2 : 1;
    this.registers = new Int32Array(kernel.exprCount).fill(-1);
    this.nonNegative = new Uint8Array(kernel.exprCount);
    this.variables = new Int32Array(kernel.variableCount).fill(-1);
    this.params = new Int32Array(kernel.params.length).fill(-1);
    this.inMask = new Uint8Array(kernel.exprCount);
    if (avx512) this.findMasks(kernel.body, new Uint32Array(kernel.exprCount));
  }

  run(): MachineCode {
    const { code } = this;
    const args = code.register(GENERAL);
    this.begin = code.register(GENERAL);
    this.end = code.register(GENERAL);
    code.push(M.entry, 0, args, this.begin, this.end);
    const used = new Uint8Array(this.params.length);
    this.findParams(this.kernel.body, used);
    for (let i = 0; i < used.length; i++) {
      if (used[i] === 0) continue;
      this.params[i] = code.register(GENERAL);
      const at = code.push(M.gload64, 0, this.params[i]);
      code.words[at + BASE] = args;
      code.words[at + DISP] = 8 * i;
      code.words[at + MEM] = IN_MEMORY;
    }
    this.block(this.kernel.body);
    return code;
  }

  private findParams(stmts: readonly Stmt[], used: Uint8Array): void {
    const note = (expr: Expr): void => {
      if (expr.op === 'param') used[expr.imm] = 1;
    };
    for (const stmt of stmts) {
      switch (stmt.kind) {
        case 'let':
          if (this.uses[stmt.value.id] > 0) for (const arg of stmt.value.args) note(arg);
          break;
        case 'var':
          note(stmt.init);
          break;
        case 'set':
          note(stmt.value);
          break;
        case 'store':
        case 'prefetch':
          note(stmt.address);
          break;
        case 'loop':
          this.findParams(stmt.body, used);
          break;
        case 'if':
          this.findParams(stmt.body, used);
          this.findParams(stmt.otherwise, used);
          break;
        default:
          stmt satisfies never;
      }
    }
  }

  /** Comparisons, and what logic makes of them, stay in mask registers if only selections and such logic use them. */
  private findMasks(stmts: readonly Stmt[], choices: Uint32Array): void {
    for (let i = stmts.length - 1; i >= 0; i--) {
      const stmt = stmts[i];
      if (stmt.kind === 'loop') this.findMasks(stmt.body, choices);
      else if (stmt.kind === 'if') {
        this.findMasks(stmt.otherwise, choices);
        this.findMasks(stmt.body, choices);
      } else if (stmt.kind === 'let') {
        const { value } = stmt;
        const { id, op, type, args } = value;
        if (this.uses[id] === 0 || !isVector(type)) continue;
        if (op === 'select') choices[args[0].id]++;
        else if (choices[id] === this.uses[id]) {
          if (isComparison(op)) this.inMask[id] = 1;
          else if (op === 'and' || op === 'or' || op === 'xor' || op === 'not') {
            if (!args.every((arg) => isTruth(arg))) continue;
            this.inMask[id] = 1;
            for (const arg of args) choices[arg.id]++;
          }
        }
      }
    }
  }

  // ── statements ──

  private block(stmts: readonly Stmt[]): void {
    for (const stmt of stmts) this.statement(stmt);
  }

  private statement(stmt: Stmt): void {
    switch (stmt.kind) {
      case 'let': {
        const { value } = stmt;
        if (this.uses[value.id] === 0) return;
        this.nonNegative[value.id] = this.isNonNegative(value) ? 1 : 0;
        if (this.inline[value.id] === 1) return;
        const d = this.code.register(this.inMask[value.id] === 1 ? MASK : fileOf(value.type));
        this.tree(value, d);
        this.registers[value.id] = d;
        return;
      }
      case 'var': {
        const { id, type } = stmt.variable;
        const d = this.code.register(fileOf(type));
        this.into(stmt.init, d);
        this.variables[id] = d;
        return;
      }
      case 'set':
        this.into(stmt.value, this.variables[stmt.variable.id]);
        return;
      case 'store':
        this.store(stmt);
        return;
      case 'prefetch': {
        this.place(stmt.address, stmt.offset);
        this.withMemory(this.code.push(M.prefetch, 0, -1, -1, -1, -1, stmt.level));
        return;
      }
      case 'loop':
        this.loop(stmt);
        return;
      case 'if': {
        const otherwise = this.code.labels++;
        this.jumpUnless(stmt.cond, otherwise);
        this.block(stmt.body);
        if (stmt.otherwise.length > 0) {
          const after = this.code.labels++;
          this.code.push(M.jump, 0, -1, -1, -1, -1, 0, after);
          this.label(otherwise);
          this.block(stmt.otherwise);
          this.label(after);
        } else this.label(otherwise);
        return;
      }
      default:
        stmt satisfies never;
    }
  }

  private label(n: number): void {
    this.code.push(M.label, 0, -1, -1, -1, -1, 0, n);
  }

  /** index = from; if (index < to) do { body; index += step } while (index < to) */
  private loop({ index, from, to, step, body }: LoopStmt): void {
    const { code } = this;
    const counter = code.register(GENERAL);
    this.registers[index.id] = counter;
    this.nonNegative[index.id] = from.op === 'begin' || this.isKnownNonNegative(from) ? 1 : 0;
    this.into(from, counter);
    let bound = -1;
    if (to.op !== 'const') {
      bound = this.value(to);
      if (isVariableRead(to) && this.inline[to.id] === 1) {
        const copy = code.register(GENERAL); // the variable may change inside
        code.push(M.gmov, 0, copy, bound);
        bound = copy;
      }
    }
    const compare = (op: number, cc: number, label: number): void => {
      const at = code.push(op, cc, -1, counter, bound, -1, to.op === 'const' ? to.imm : 0, label);
      if (to.op === 'const') code.words[at + MEM] = IMMEDIATE;
    };
    const runs = from.op === 'const' && to.op === 'const' && from.imm < to.imm;
    const head = code.labels++;
    const after = code.labels++;
    if (!runs) compare(M.jumpIf, CC.ge, after);
    code.push(M.loop, isInnermost(body) ? 1 : 0, -1, -1, -1, -1, 0, head);
    this.block(body);
    this.immediate(M.gadd, counter, counter, step);
    compare(M.back, CC.l, head);
    if (!runs) this.label(after);
  }

  /** Jumps if `cond` is 0. */
  private jumpUnless(cond: Expr, label: number): void {
    const { code } = this;
    if (this.inline[cond.id] === 1 && isComparison(cond.op) && cond.args[0].type === 'i32') {
      const cc = this.compareGeneral(cond);
      this.finishCompare(M.jumpIf, opposite(cc), -1, label);
      return;
    }
    const at = code.push(M.jumpIf, CC.e, -1, this.value(cond), -1, -1, 0, label);
    code.words[at + MEM] = IMMEDIATE;
  }

  private left = -1;
  private right = -1;
  private rightImm = 0;

  /** Finds the operands of a comparison of ints, for `finishCompare`, and its condition. */
  private compareGeneral({ op, args: [a, b] }: Expr): number {
    const cc = CONDITION[op as Comparison];
    if (a.op === 'const' && b.op !== 'const' && EXCHANGED[cc] !== undefined) {
      this.left = this.value(b);
      this.right = -1;
      this.rightImm = a.imm;
      return EXCHANGED[cc];
    }
    const left = this.value(a); // b may be a comparison within
    this.right = b.op === 'const' ? -1 : this.value(b);
    this.rightImm = b.op === 'const' ? b.imm : 0;
    this.left = left;
    return cc;
  }

  private finishCompare(op: number, cc: number, d: number, label: number): void {
    const at = this.code.push(op, cc, d, this.left, this.right, -1, this.rightImm, label);
    if (this.right < 0) this.code.words[at + MEM] = IMMEDIATE;
  }

  private store({ address, offset, elem, value }: StoreStmt): void {
    const { code } = this;
    if (value.type === 'i32') {
      const v = value.op === 'const' ? -1 : this.value(value);
      this.place(address, offset);
      this.withMemory(code.push(elem === 'u8' ? M.gstore8 : M.gstore, 0, -1, v, -1, -1, v < 0 ? value.imm : 0));
      return;
    }
    const v = this.value(value);
    if (elem !== 'u8') {
      this.place(address, offset);
      this.withMemory(code.push(M.vstore, this.widthOf(value.type), -1, v));
      return;
    }
    if (this.avx512) {
      this.place(address, offset);
      this.withMemory(code.push(M.bytesOut, this.wide, -1, v));
      return;
    }
    // The low bytes as words, then as bytes: 0 … 255 survives both packings.
    this.constantOperand(255, this.wide);
    const low = this.operation(M.vand, this.wide, v);
    const high = this.wide === 2 ? this.plain(M.quarter, 2, low, -1, 1) : low;
    const words = this.plain(M.packWords, 1, low, high);
    const bytes = this.plain(M.packBytes, 1, words, words);
    this.place(address, offset);
    this.withMemory(code.push(M.storeLow, 1, -1, bytes, -1, -1, this.kernel.lanes));
  }

  // ── values ──

  /** The register of a use of `expr`. It may be a variable's: use it before the variable changes. */
  private value(expr: Expr): number {
    switch (expr.op) {
      case 'const':
      case 'param':
      case 'begin':
      case 'end':
      case 'index':
        return this.leaf(expr, -1);
      default:
        return this.inline[expr.id] === 1 ? this.tree(expr, -1) : this.registers[expr.id];
    }
  }

  /** Computes `expr` into register `d`. */
  private into(expr: Expr, d: number): void {
    if (isLeaf(expr)) this.leaf(expr, d);
    else if (this.inline[expr.id] === 1) this.tree(expr, d);
    else this.move(expr.type, d, this.registers[expr.id]);
  }

  private move(type: Type, d: number, from: number): void {
    if (fileOf(type) === GENERAL) this.code.push(M.gmov, 0, d, from);
    else this.code.push(M.vmov, isVector(type) ? this.wide : 1, d, from);
  }

  /** An operand as it is, or a copy of it in `d` if that is asked for. */
  private pass(type: Type, v: number, d: number): number {
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
      this.base = POOL;
      this.index = -1;
      this.disp = this.poolElement(bits);
      this.kind = IN_MEMORY;
      this.withMemory(at);
    }
    return v;
  }

  private fresh(d: number, file: number): number {
    return d >= 0 ? d : this.code.register(file);
  }

  /** An operation on registers. Its result goes to `d`, or to a new register of `file`. */
  private plain(
    op: number,
    width: number,
    a = -1,
    b = -1,
    imm = 0,
    d = -1,
    file = op < M.vfromg ? GENERAL : VECTOR,
  ): number {
    const v = this.fresh(d, file);
    this.code.push(op, width, v, a, b, -1, imm);
    return v;
  }

  private immediate(op: number, d: number, a: number, imm: number): void {
    const at = this.code.push(op, 0, d, a, -1, -1, imm);
    this.code.words[at + MEM] = IMMEDIATE;
  }

  /** Like `plain`, with the memory operand just found as b. */
  private operation(op: number, width: number, a: number, c = -1, imm = 0, d = -1, file: number = VECTOR): number {
    const v = this.fresh(d, file);
    this.withMemory(this.code.push(op, width, v, a, -1, c, imm));
    return v;
  }

  private withMemory(at: number): void {
    const { words } = this.code;
    words[at + BASE] = this.base;
    words[at + INDEX] = this.index;
    words[at + DISP] = this.disp;
    words[at + MEM] = this.kind;
  }

  /** Computes `expr` into `d`, or wherever it likes if `d` is -1. */
  private tree(expr: Expr, d: number): number {
    const { op, type, args } = expr;
    if (this.inMask[expr.id] === 1) return this.mask(expr, d);
    switch (op) {
      case 'get':
        return this.pass(type, this.variables[expr.variable!.id], d);
      case 'load':
      case 'broadcast':
        return this.load(expr, d);
      case 'ptrAdd':
        return this.pointerSum(expr, d);
      case 'select':
        return isVector(type) ? this.selectLanes(expr, d) : this.selectScalar(expr, d);
      case 'fma':
        return this.fma(args, this.widthOf(type), d);
      case 'splat':
        return this.splat(args[0], d);
      case 'lanesOf':
        return this.lanesOf(args, type, d);
      case 'lane':
        return this.lane(this.value(args[0]), type, expr.imm, d);
      case 'sumLanes':
      case 'maxLanes':
      case 'minLanes':
        return this.foldLanes(op, args[0], d);
      case 'asF':
      case 'asI': {
        const v = this.value(args[0]);
        if (isVector(type)) return this.pass(type, v, d);
        return op === 'asF' ? this.plain(M.vfromg, 1, v, -1, 0, d) : this.plain(M.gfromv, 1, v, -1, 0, d);
      }
      case 'toF':
        if (type === 'f32') return this.plain(M.cvtg, 0, this.value(args[0]), -1, 0, d);
        return this.unary(M.vtoF, this.wide, args[0], 0, d);
      case 'toFU':
        if (type === 'f32') return this.plain(M.cvtg64, 0, this.value(args[0]), -1, 0, d);
        return this.unsignedToFloat(args[0], d);
      case 'toI':
        return this.toInt(args[0], d);
      default:
        if (isComparison(op)) return this.comparison(expr, d);
        switch (args[0].type) {
          case 'i32':
            return this.general(expr, d);
          case 'vi':
            return this.intLanes(expr, d);
          default:
            return this.float(expr, d);
        }
    }
  }

  private widthOf(type: Type): number {
    return isVector(type) ? this.wide : 0;
  }

  // ── memory operands ──

  /** Whether `operandOf` can make a memory operand of it, for operations that take one element for all lanes too. */
  private folds(expr: Expr): boolean {
    if (expr.op === 'const') return expr.type !== 'i32';
    if (this.inline[expr.id] !== 1 || expr.elem === null || expr.elem === 'u8') return false;
    return expr.op === 'load' || this.avx512;
  }

  private operandOf(expr: Expr): void {
    if (expr.op === 'const') {
      this.constantOperand(expr.type === 'vi' ? expr.imm : bitsOf(expr.imm), this.widthOf(expr.type));
      return;
    }
    this.place(expr.args[0], expr.imm);
    if (expr.op === 'broadcast') this.kind += IN_ELEMENT - IN_MEMORY;
  }

  /** 32 bits in each lane of `width`. */
  private constantOperand(bits: number, width: number): void {
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

  private vectorOperand(lanes: Int32Array): void {
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
  private place(address: Expr, offset: number): void {
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
    if (this.inline[bytes.id] === 1 && this.isKnownNonNegative(bytes)) {
      const { op, args, imm } = bytes;
      if (op === 'mul' && args[1].op === 'const') shift = [1, 2, 4, 8].indexOf(args[1].imm);
      else if (op === 'shl') shift = imm;
      if (shift > 0 && shift <= 3 && this.isKnownNonNegative(args[0])) {
        index = args[0];
        scale = shift;
      }
    }
    const base = this.value(pointer);
    let offset = this.value(index);
    if (!this.isKnownNonNegative(index)) offset = this.plain(M.movsxd, 0, offset);
    this.base = base;
    this.index = offset;
    this.disp = disp;
    this.kind = IN_MEMORY + (scale << 2);
  }

  private pointerSum(expr: Expr, d: number): number {
    this.disp = 0;
    this.index = -1;
    this.kind = IN_MEMORY;
    this.sum(expr);
    return this.operation(M.lea, 0, -1, -1, 0, d, GENERAL);
  }

  /** Upper halves of registers that hold ints are zero: ints that are not negative need no sign extension. */
  private isKnownNonNegative(expr: Expr): boolean {
    return expr.op === 'const' ? expr.imm >= 0 : expr.op === 'begin' || this.nonNegative[expr.id] === 1;
  }

  private isNonNegative({ op, type, args, elem, imm }: Expr): boolean {
    if (type !== 'i32') return false;
    const known = (i: number): boolean => this.isKnownNonNegative(args[i]);
    switch (op) {
      case 'load':
        return elem === 'u8';
      case 'add': // beyond 2³¹ an address is outside any memory, whichever way it wraps
      case 'mul':
      case 'min':
      case 'or':
      case 'xor':
        return known(0) && known(1);
      case 'and':
      case 'max':
        return known(0) || known(1);
      case 'div':
        return known(0) && known(1);
      case 'rem':
      case 'shr':
      case 'shl':
        return known(0);
      case 'shrU':
        return imm > 0 || known(0);
      case 'select':
        return known(1) && known(2);
      default:
        return isComparison(op) || op === 'not';
    }
  }

  private load(expr: Expr, d: number): number {
    const { op, type, args, imm } = expr;
    const elem = expr.elem as ElemType;
    this.place(args[0], imm);
    if (elem === 'u8') {
      if (op === 'load' && isVector(type)) return this.operation(M.bytesIn, this.wide, -1, -1, 0, d);
      const byte = this.operation(M.gload8, 0, -1, -1, 0, op === 'load' ? d : -1, GENERAL);
      return op === 'load' ? byte : this.splatGeneral(byte, d);
    }
    if (op === 'broadcast') return this.operation(M.vbroadcast, this.wide, -1, -1, 0, d);
    if (type === 'i32') return this.operation(M.gload, 0, -1, -1, 0, d, GENERAL);
    return this.operation(M.vload, this.widthOf(type), -1, -1, 0, d);
  }

  // ── operations ──

  /** op(a, b) with b, or a where they may be exchanged, in memory if it can be. */
  private binary(
    op: number,
    width: number,
    a: Expr,
    b: Expr,
    commutes: boolean,
    d: number,
    imm = 0,
    file = VECTOR,
  ): number {
    if (commutes && !this.folds(b) && this.folds(a)) return this.binary(op, width, b, a, false, d, imm, file);
    const left = this.value(a);
    if (this.folds(b)) {
      this.operandOf(b);
      return this.operation(op, width, left, -1, imm, d, file);
    }
    return this.plain(op, width, left, this.value(b), imm, d, file);
  }

  private unary(op: number, width: number, b: Expr, imm: number, d: number): number {
    if (this.folds(b)) {
      this.operandOf(b);
      return this.operation(op, width, -1, -1, imm, d);
    }
    return this.plain(op, width, -1, this.value(b), imm, d);
  }

  private fma([c, a, b]: readonly Expr[], width: number, d: number): number {
    if (!this.folds(b) && this.folds(a)) return this.fma([c, b, a], width, d);
    if (this.folds(b) || !this.folds(c)) {
      const [sum, x] = [this.value(c), this.value(a)];
      if (this.folds(b)) {
        this.operandOf(b);
        return this.operation(M.fma, width, x, sum, 0, d);
      }
      const v = this.fresh(d, VECTOR);
      const y = this.value(b);
      this.code.push(M.fma, width, v, x, y, sum);
      return v;
    }
    const [x, y] = [this.value(a), this.value(b)];
    this.operandOf(c);
    return this.operation(M.fmaFrom, width, x, y, 0, d);
  }

  private float({ op, type, args }: Expr, d: number): number {
    const width = this.widthOf(type);
    const [a, b] = args;
    switch (op) {
      case 'add':
      case 'sub':
      case 'mul':
      case 'div':
        return this.binary(FLOAT_OPS[op], width, a, b, COMMUTES[op] === true, d);
      case 'min':
      case 'max':
        return this.minMax(op, width, a, b, d);
      case 'pmin': // x86: first < second ? first : second
        return this.binary(M.vmin, width, b, a, false, d);
      case 'pmax':
        return this.binary(M.vmax, width, b, a, false, d);
      case 'neg':
      case 'abs': {
        const v = this.value(a);
        const lanes = Math.max(1, width);
        this.constantOperand(op === 'neg' ? -(2 ** 31) : 2 ** 31 - 1, lanes);
        return this.operation(op === 'neg' ? M.vxor : M.vand, lanes, v, -1, 0, d);
      }
      case 'sqrt':
        return this.unary(M.vsqrt, width, a, 0, d);
      case 'floor':
      case 'ceil':
      case 'nearest':
      case 'trunc':
        return this.unary(M.vround, width, a, ROUNDING[op], d);
      default:
        return this.missing(op, type);
    }
  }

  /** x86's min and max give their second operand if one is NaN or both are zero. */
  private minMax(op: 'min' | 'max', width: number, a: Expr, b: Expr, d: number): number {
    const code = op === 'min' ? M.vmin : M.vmax;
    if (a.op === 'const' && b.op !== 'const') return this.minMax(op, width, b, a, d);
    if (b.op === 'const' && !Number.isNaN(b.imm) && !(op === 'min' && Object.is(b.imm, -0))) {
      const zero = op === 'max' && Object.is(b.imm, 0);
      const c = this.value(b);
      const v = this.binaryRight(code, width, c, a, zero ? -1 : d);
      return zero ? this.plain(M.vadd, width, v, c, 0, d) : v; // max(-0, +0) gave -0
    }
    return this.minMaxOf(op, width, this.value(a), this.value(b), d);
  }

  private binaryRight(op: number, width: number, a: number, b: Expr, d: number): number {
    if (this.folds(b)) {
      this.operandOf(b);
      return this.operation(op, width, a, -1, 0, d);
    }
    return this.plain(op, width, a, this.value(b), 0, d);
  }

  private minMaxOf(op: 'min' | 'max', width: number, a: number, b: number, d: number): number {
    const bits = Math.max(1, width);
    if (op === 'min') {
      // Both orders: where they differ one is NaN, which survives `or`, or they are zeros, of which -0 does.
      const x = this.plain(M.vmin, width, a, b);
      const y = this.plain(M.vmin, width, b, a);
      return this.plain(M.vor, bits, x, y, 0, d);
    }
    if (this.avx512) {
      const larger = this.plain(M.vrange, width, a, b);
      const k = this.plain(M.kcmp, width, a, b, UNORDERED, -1, MASK);
      this.constantOperand(0x7fc00000, bits);
      return this.operation(M.kselect, bits, larger, k, 0, d);
    }
    // Where both orders differ, their bits do: x | y less these is NaN for NaN, and -0 - (-0) = +0 for zeros.
    const x = this.plain(M.vmax, width, a, b);
    const y = this.plain(M.vmax, width, b, a);
    const different = this.plain(M.vxor, bits, x, y);
    const either = this.plain(M.vor, bits, x, y);
    return this.plain(M.vsub, width, either, different, 0, d);
  }

  private intLanes({ op, type, args, imm }: Expr, d: number): number {
    const { wide } = this;
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
        return this.binary(INT_OPS[op], wide, a, b, COMMUTES[op] === true, d);
      case 'shl':
        return this.plain(M.pshl, wide, this.value(a), -1, imm, d);
      case 'shr':
        return this.plain(M.pshr, wide, this.value(a), -1, imm, d);
      case 'shrU':
        return this.plain(M.pshrU, wide, this.value(a), -1, imm, d);
      case 'mulhiU':
        return this.mulhiLanes(this.value(a), this.value(b), d);
      case 'not':
        return this.complement(this.value(a), d);
      case 'neg': {
        const v = this.value(a);
        return this.plain(M.psub, wide, this.plain(M.vzero, 1), v, 0, d);
      }
      default:
        return this.missing(op, type);
    }
  }

  private complement(v: number, d: number): number {
    if (this.avx512) return this.plain(M.pnot, this.wide, v, -1, 0, d);
    return this.plain(M.vxor, this.wide, this.plain(M.vones, this.wide), v, 0, d);
  }

  /** Products of even lanes and of odd lanes, upper halves side by side. */
  private mulhiLanes(a: number, b: number, d: number): number {
    const { wide } = this;
    const even = this.plain(M.pshrU64, wide, this.plain(M.pmulU, wide, a, b), -1, 32);
    const odd = this.plain(
      M.pmulU,
      wide,
      this.plain(M.pshrU64, wide, a, -1, 32),
      this.plain(M.pshrU64, wide, b, -1, 32),
    );
    if (!this.avx512) return this.plain(M.pblend, wide, even, odd, 0xaa, d);
    this.vectorOperand(Int32Array.from({ length: this.kernel.lanes }, (_, i) => (i % 2 === 0 ? 0 : -1)));
    return this.operation(M.pmerge, wide, odd, even, 0, d);
  }

  private general(expr: Expr, d: number): number {
    const { op, type, args, imm } = expr;
    const [a, b] = args;
    switch (op) {
      case 'add':
      case 'sub':
      case 'mul':
      case 'and':
      case 'or':
      case 'xor': {
        if (a.op === 'const' && op !== 'sub') return this.generalBinary(GENERAL_OPS[op], b, a, d);
        return this.generalBinary(GENERAL_OPS[op], a, b, d);
      }
      case 'min':
        return this.plain(M.gmin, 0, this.value(a), this.value(b), 0, d);
      case 'max':
        return this.plain(M.gmax, 0, this.value(a), this.value(b), 0, d);
      case 'div':
      case 'rem':
        return this.divide(op, a, b, d);
      case 'mulhiU': {
        const product = this.plain(M.gmul64, 0, this.value(a), this.value(b));
        return this.plain(M.gshrU64, 0, product, -1, 32, d);
      }
      case 'shl':
        return this.plain(M.gshl, 0, this.value(a), -1, imm, d);
      case 'shr':
        return this.plain(M.gshr, 0, this.value(a), -1, imm, d);
      case 'shrU':
        return this.plain(M.gshrU, 0, this.value(a), -1, imm, d);
      case 'neg':
        return this.plain(M.gneg, 0, this.value(a), -1, 0, d);
      case 'not': {
        const v = this.fresh(d, GENERAL);
        const at = this.code.push(M.gset, CC.e, v, this.value(a));
        this.code.words[at + MEM] = IMMEDIATE;
        return v;
      }
      default:
        return this.missing(op, type);
    }
  }

  private generalBinary(op: number, a: Expr, b: Expr, d: number): number {
    const left = this.value(a);
    if (b.op !== 'const') return this.plain(op, 0, left, this.value(b), 0, d);
    const v = this.fresh(d, GENERAL);
    if (op === M.gmul && b.imm > 0 && Number.isInteger(Math.log2(b.imm))) {
      this.code.push(M.gshl, 0, v, left, -1, -1, Math.log2(b.imm));
    } else this.immediate(op, v, left, b.imm);
    return v;
  }

  /**
   * Truncating division. By a constant c > 1 it is a multiplication by m = ⌊2^s / c⌋ + 1 with s = 31 + ⌈log2 c⌉: m·c
   * exceeds 2^s by less than c, so that x·m / 2^s is off by less than 1 / c for |x| < 2³¹ (Granlund, Montgomery 1994).
   */
  private divide(op: 'div' | 'rem', a: Expr, b: Expr, d: number): number {
    const x = this.value(a);
    if (b.op !== 'const' || b.imm < 2) {
      const y = this.value(b);
      this.code.canTrap = true;
      return this.plain(op === 'div' ? M.gdiv : M.grem, 0, x, y, 0, d);
    }
    const c = b.imm;
    const positive = this.isKnownNonNegative(a);
    const power = Math.log2(c);
    if (Number.isInteger(power)) {
      if (positive && op === 'rem') {
        const v = this.fresh(d, GENERAL);
        this.immediate(M.gand, v, x, c - 1);
        return v;
      }
      let biased = x;
      if (!positive) {
        const sign = this.plain(M.gshr, 0, x, -1, 31);
        biased = this.plain(M.gadd, 0, x, this.plain(M.gshrU, 0, sign, -1, 32 - power));
      }
      if (op === 'div') return this.plain(M.gshr, 0, biased, -1, power, d);
      const floor = this.code.register(GENERAL);
      this.immediate(M.gand, floor, biased, -c);
      return this.plain(M.gsub, 0, x, floor, 0, d);
    }
    const s = 31 + Math.ceil(power);
    const m = Number((1n << BigInt(s)) / BigInt(c)) + 1;
    const factor = this.plain(M.gimm, 0, -1, -1, m | 0);
    let quotient: number;
    if (positive) {
      quotient = this.plain(M.gshrU64, 0, this.plain(M.gmul64, 0, x, factor), -1, s, op === 'div' ? d : -1);
    } else {
      const product = this.plain(M.gmul64, 0, this.plain(M.movsxd, 0, x), factor);
      const floor = this.plain(M.gshr64, 0, product, -1, s);
      const negative = this.plain(M.gshrU, 0, x, -1, 31);
      quotient = this.plain(M.gadd, 0, floor, negative, 0, op === 'div' ? d : -1);
    }
    if (op === 'div') return quotient;
    const whole = this.code.register(GENERAL);
    this.immediate(M.gmul, whole, quotient, c);
    return this.plain(M.gsub, 0, x, whole, 0, d);
  }

  // ── comparisons and choices ──

  private comparison(expr: Expr, d: number): number {
    const { op, args } = expr;
    const [a, b] = args;
    const { type } = a;
    if (type === 'i32') {
      const cc = this.compareGeneral(expr);
      const v = this.fresh(d, GENERAL);
      this.finishCompare(M.gset, cc, v, 0);
      return v;
    }
    if (this.avx512) {
      const k = this.compareMask(expr, -1);
      return type === 'f32'
        ? this.plain(M.gfromk, 0, k, -1, 0, d, GENERAL)
        : this.plain(M.vfromk, this.wide, k, -1, 0, d);
    }
    if (type === 'f32' || type === 'vf') {
      const width = this.widthOf(type);
      const predicate = FLOAT_PREDICATE[op as keyof typeof FLOAT_PREDICATE];
      if (type === 'vf') return this.binary(M.vcmp, width, a, b, false, d, predicate);
      const bits = this.plain(M.gfromv, 1, this.binary(M.vcmp, width, a, b, false, -1, predicate));
      const v = this.fresh(d, GENERAL);
      this.immediate(M.gand, v, bits, 1);
      return v;
    }
    return this.compareLanes(op as Comparison, a, b, d);
  }

  /** AVX2 has = and > only. */
  private compareLanes(op: Comparison, a: Expr, b: Expr, d: number): number {
    const { wide } = this;
    switch (op) {
      case 'eq':
        return this.binary(M.peq, wide, a, b, true, d);
      case 'gt':
        return this.binary(M.pgt, wide, a, b, false, d);
      case 'lt':
        return this.binary(M.pgt, wide, b, a, false, d);
      case 'ne':
        return this.complement(this.binary(M.peq, wide, a, b, true, -1), d);
      case 'le':
        return this.complement(this.binary(M.pgt, wide, a, b, false, -1), d);
      case 'ge':
        return this.complement(this.binary(M.pgt, wide, b, a, false, -1), d);
      case 'ltU': {
        const x = this.value(a);
        const larger = this.plain(M.pmaxU, wide, x, this.value(b));
        return this.complement(this.plain(M.peq, wide, larger, x), d); // not a ≥ b
      }
      default:
        return op satisfies never;
    }
  }

  /** AVX-512: a comparison as a mask register. */
  private compareMask({ op, args: [a, b] }: Expr, d: number): number {
    const width = this.widthOf(a.type);
    if (a.type === 'f32' || a.type === 'vf') {
      const predicate = FLOAT_PREDICATE[op as keyof typeof FLOAT_PREDICATE];
      return this.binary(M.kcmp, width, a, b, false, d, predicate, MASK);
    }
    const code = op === 'ltU' ? M.kpcmpU : M.kpcmp;
    return this.binary(code, width, a, b, false, d, INT_PREDICATE[op as Comparison], MASK);
  }

  /** A value marked `inMask`. */
  private mask(expr: Expr, d: number): number {
    const { op, args } = expr;
    switch (op) {
      case 'and':
        return this.plain(M.kand, 0, this.maskOf(args[0]), this.maskOf(args[1]), 0, d, MASK);
      case 'or':
        return this.plain(M.kor, 0, this.maskOf(args[0]), this.maskOf(args[1]), 0, d, MASK);
      case 'xor':
        return this.plain(M.kxor, 0, this.maskOf(args[0]), this.maskOf(args[1]), 0, d, MASK);
      case 'not':
        return this.plain(M.knot, 0, this.maskOf(args[0]), -1, 0, d, MASK);
      default:
        return this.compareMask(expr, d);
    }
  }

  private maskOf(expr: Expr): number {
    const v = this.value(expr);
    return this.inMask[expr.id] === 1 ? v : this.plain(M.kfromv, this.wide, v, -1, 0, -1, MASK);
  }

  private selectLanes({ args: [cond, yes, no] }: Expr, d: number): number {
    const { wide } = this;
    const isZero = (e: Expr): boolean => e.op === 'const' && Object.is(e.imm, 0);
    if (this.avx512) {
      const k = this.maskOf(cond);
      if (isZero(no)) {
        if (this.folds(yes) && yes.op === 'load') {
          this.operandOf(yes);
          return this.operation(M.kzero, wide, -1, k, 0, d);
        }
        const y = this.value(yes);
        const v = this.fresh(d, VECTOR);
        this.code.push(M.kzero, wide, v, -1, y, k);
        return v;
      }
      return this.choose(M.kselect, no, yes, k, d);
    }
    const m = this.value(cond);
    if (isZero(no)) return this.binaryRight(M.vand, wide, m, yes, d);
    if (isZero(yes)) return this.binaryRight(M.vandn, wide, m, no, d);
    return this.choose(M.vselect, no, yes, m, d);
  }

  private choose(op: number, no: Expr, yes: Expr, c: number, d: number): number {
    const n = this.value(no);
    if (this.folds(yes)) {
      this.operandOf(yes);
      return this.operation(op, this.wide, n, c, 0, d);
    }
    const y = this.value(yes);
    const v = this.fresh(d, VECTOR);
    this.code.push(op, this.wide, v, n, y, c);
    return v;
  }

  /** Scalars branch, or move under a condition. */
  private selectScalar({ type, args: [cond, yes, no] }: Expr, d: number): number {
    const c = this.value(cond);
    const y = this.value(yes);
    const n = this.value(no);
    if (type === 'i32') {
      const v = this.fresh(d, GENERAL);
      this.code.push(M.gselect, 0, v, y, n, c);
      return v;
    }
    // A condition other than 0 is all ones once compared; chosen lane by lane.
    const flag = this.code.register(GENERAL);
    const at = this.code.push(M.gset, CC.ne, flag, c);
    this.code.words[at + MEM] = IMMEDIATE;
    const bits = this.plain(M.vfromg, 1, this.plain(M.gneg, 0, flag));
    const v = this.fresh(d, VECTOR);
    if (this.avx512) this.code.push(M.kselect, 1, v, n, y, this.plain(M.kfromv, 1, bits, -1, 0, -1, MASK));
    else this.code.push(M.vselect, 1, v, n, y, bits);
    return v;
  }

  // ── conversions ──

  /** Hardware gives INT_MIN for what does not fit: mended for large values and NaN. A scalar is done as a vector. */
  private toInt(x: Expr, d: number): number {
    const width = Math.max(1, this.widthOf(x.type));
    const v = this.value(x);
    const whole = this.plain(M.vtoI, width, -1, v);
    const last = x.type === 'vf' ? d : -1;
    let result: number;
    if (this.avx512) {
      this.constantOperand(bitsOf(2 ** 31), width);
      const large = this.operation(M.kcmp, width, v, -1, FLOAT_PREDICATE.ge, -1, MASK);
      this.constantOperand(2 ** 31 - 1, width);
      const saturated = this.operation(M.kselect, width, whole, large);
      const ordered = this.plain(M.kcmp, width, v, v, ORDERED, -1, MASK);
      result = this.fresh(last, VECTOR);
      this.code.push(M.kzero, width, result, -1, saturated, ordered);
    } else {
      this.constantOperand(bitsOf(2 ** 31), width);
      const large = this.operation(M.vcmp, width, v, -1, FLOAT_PREDICATE.ge);
      const saturated = this.plain(M.vxor, width, whole, large);
      const ordered = this.plain(M.vcmp, width, v, v, ORDERED);
      result = this.plain(M.vand, width, saturated, ordered, 0, last);
    }
    return x.type === 'vf' ? result : this.plain(M.gfromv, 1, result, -1, 0, d);
  }

  /** Both halves are exact as floats, so their sum is rounded once. */
  private unsignedToFloat(x: Expr, d: number): number {
    const { wide } = this;
    if (this.avx512) return this.unary(M.vtoFU, wide, x, 0, d);
    const v = this.value(x);
    const high = this.plain(M.vtoF, wide, -1, this.plain(M.pshrU, wide, v, -1, 16));
    this.constantOperand(0xffff, wide);
    const low = this.plain(M.vtoF, wide, -1, this.operation(M.vand, wide, v));
    this.constantOperand(bitsOf(65536), wide);
    return this.operation(M.fma, wide, high, low, 0, d);
  }

  // ── lanes ──

  private splat(x: Expr, d: number): number {
    if (x.op !== 'const' && this.inline[x.id] === 1 && x.op === 'load' && x.elem !== 'u8') {
      this.place(x.args[0], x.imm);
      return this.operation(M.vbroadcast, this.wide, -1, -1, 0, d);
    }
    if (x.type === 'i32') return this.splatGeneral(this.value(x), d);
    return this.plain(M.vsplat, this.wide, this.value(x), -1, 0, d);
  }

  private splatGeneral(v: number, d: number): number {
    if (this.avx512) return this.plain(M.vsplatg, this.wide, v, -1, 0, d);
    return this.plain(M.vsplat, this.wide, this.plain(M.vfromg, 1, v), -1, 0, d);
  }

  private lanesOf(args: readonly Expr[], type: Type, d: number): number {
    const { wide } = this;
    if (args.every((a) => a.op === 'const')) {
      this.vectorOperand(Int32Array.from(args, ({ imm }) => (type === 'vi' ? imm : bitsOf(imm))));
      return this.operation(M.vload, wide, -1, -1, 0, d);
    }
    const quarters: number[] = [];
    for (let i = 0; i < args.length; i += 4) {
      quarters.push(this.quarterOf(args.slice(i, i + 4), type, wide === 1 ? d : -1));
    }
    if (wide === 1) return quarters[0];
    const lower = this.plain(M.setQuarter, 2, quarters[0], quarters[1], 1, wide === 2 ? d : -1);
    if (wide === 2) return lower;
    return this.plain(M.setUpperHalf, 3, lower, this.plain(M.setQuarter, 2, quarters[2], quarters[3], 1), 0, d);
  }

  private quarterOf(args: readonly Expr[], type: Type, d: number): number {
    const inMemory = (e: Expr): boolean =>
      this.inline[e.id] === 1 && e.op === 'load' && e.elem !== 'u8' && e.op !== undefined;
    let v: number;
    if (args.every((a) => a.op === 'const' && Object.is(a.imm, 0))) return this.plain(M.vzero, 1, -1, -1, 0, d);
    if (type === 'vf') v = this.value(args[0]);
    else if (inMemory(args[0])) {
      this.place(args[0].args[0], args[0].imm);
      v = this.operation(M.vload, 0, -1);
    } else v = this.plain(M.vfromg, 1, this.value(args[0]));
    for (let i = 1; i < 4; i++) {
      const last = i === 3 ? d : -1;
      const arg = args[i];
      if (type === 'vf' && arg.op === 'const') {
        this.base = POOL;
        this.index = -1;
        this.disp = this.poolElement(bitsOf(arg.imm));
        this.kind = IN_MEMORY;
        v = this.operation(M.setLaneF, 1, v, -1, i, last);
      } else if (inMemory(arg)) {
        this.place(arg.args[0], arg.imm);
        v = this.operation(type === 'vf' ? M.setLaneF : M.setLaneI, 1, v, -1, i, last);
      } else v = this.plain(type === 'vf' ? M.setLaneF : M.setLaneI, 1, v, this.value(arg), i, last);
    }
    return v;
  }

  private lane(v: number, type: Type, i: number, d: number): number {
    const quarter = i >= 4 ? this.plain(M.quarter, this.wide, v, -1, i >> 2) : v;
    const at = i & 3;
    if (type === 'i32') {
      if (at === 0) return this.plain(M.gfromv, 1, quarter, -1, 0, d);
      return this.plain(M.laneI, 1, quarter, -1, at, d, GENERAL);
    }
    if (at === 0) return this.pass('f32', quarter, d);
    return this.plain(M.permute, 1, quarter, -1, at * 0x55, d);
  }

  /** The upper half onto the lower until one is left. */
  private foldLanes(op: 'sumLanes' | 'maxLanes' | 'minLanes', x: Expr, d: number): number {
    const float = x.type === 'vf';
    const combine = (width: number, a: number, b: number, into: number): number => {
      if (op === 'sumLanes') return this.plain(float ? M.vadd : M.padd, width, a, b, 0, into);
      const name = op === 'maxLanes' ? 'max' : 'min';
      return float ? this.minMaxOf(name, width, a, b, into) : this.plain(INT_OPS[name], width, a, b, 0, into);
    };
    let v = this.value(x);
    if (this.wide === 3) v = combine(2, v, this.plain(M.upperHalf, 3, v), -1);
    if (this.wide >= 2) v = combine(1, v, this.plain(M.quarter, 2, v, -1, 1), -1);
    v = combine(1, v, this.plain(M.permute, 1, v, -1, 0xee), -1);
    const last = float ? 0 : 1;
    v = combine(last, v, this.plain(M.permute, 1, v, -1, 0x55), float ? d : -1);
    return float ? v : this.plain(M.gfromv, 1, v, -1, 0, d);
  }

  private missing(op: string, type: Type): never {
    return invariant(false, `x64: no instruction for ${op} of ${type}`) as never;
  }
}

const fileOf = (type: Type): number => (type === 'i32' || type === 'ptr' ? GENERAL : VECTOR);
const isVariableRead = (expr: Expr): boolean => expr.op === 'get';

/** Whether a value is a mask by the way it is made. */
function isTruth({ op, args, type }: Expr): boolean {
  if (!isVector(type)) return false;
  if (isComparison(op)) return true;
  return (op === 'and' || op === 'or' || op === 'xor' || op === 'not') && args.every(isTruth);
}

function isInnermost(stmts: readonly Stmt[]): boolean {
  for (const stmt of stmts) {
    if (stmt.kind === 'loop') return false;
    if (stmt.kind === 'if' && !(isInnermost(stmt.body) && isInnermost(stmt.otherwise))) return false;
  }
  return true;
}

void [B, EXTRA, IMM];

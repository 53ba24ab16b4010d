/**
 * From kernel IR to machine operations: statements, and which function makes which operation. A variable is one virtual
 * register for life, and `v = fma(v, a, b)` one operation on it; nothing is kept in a register that the kernel's author did
 * not count.
 */
import { type Expr, isVector, type Kernel, type LoopStmt, type Stmt, type StoreStmt } from '../../ir/index.js';
import { invariant } from '../../util/errors.js';
import { float, fma, general, intLanes, toInt, unsignedToFloat } from './arithmetic.js';
import { compareInts, comparison, isComparison, isTruth, mask, selectLanes, selectScalar } from './choices.js';
import { foldLanes, lane, lanesOf, splat } from './lanes.js';
import { BASE, CC, DISP, GENERAL, IMMEDIATE, IN_MEMORY, M, MASK, type MachineCode, MEM } from './machine.js';
import { fileOf, Operands } from './operands.js';

export function select(kernel: Kernel, avx512: boolean): MachineCode {
  const most = avx512 ? 16 : 8;
  invariant(
    kernel.lanes <= most,
    () => `kernel ${kernel.name}: has ${kernel.lanes} lanes, ${avx512 ? 'AVX-512' : 'AVX2'} ${most}`,
  );
  return new Selector(kernel, avx512).run();
}

class Selector extends Operands {
  run(): MachineCode {
    const { code } = this;
    if (this.avx512) this.findMasks(this.kernel.body, new Uint32Array(this.kernel.exprCount));
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

  private block(stmts: readonly Stmt[]): void {
    for (const stmt of stmts) this.statement(stmt);
  }

  private statement(stmt: Stmt): void {
    switch (stmt.kind) {
      case 'let': {
        const { value } = stmt;
        if (this.uses[value.id] === 0) return;
        this.bound(value);
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
    this.upper[index.id] = this.isNonNegative(from) ? indexBound(this.upperBound(to)) : -1;
    this.into(from, counter);
    let bound = -1;
    if (to.op !== 'const') {
      bound = this.value(to);
      if (to.op === 'get' && this.inline[to.id] === 1) {
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
      compareInts(this, M.jumpIf, cond, false, -1, label);
      return;
    }
    const at = code.push(M.jumpIf, CC.e, -1, this.value(cond), -1, -1, 0, label);
    code.words[at + MEM] = IMMEDIATE;
  }

  private store({ address, offset, elem, value, streams }: StoreStmt): void {
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
      this.withMemory(code.push(M.vstore, this.widthOf(value.type), -1, v, -1, -1, streams === true ? 1 : 0));
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

  /** Computes `expr` into `d`, or wherever it likes if `d` is -1. */
  tree(expr: Expr, d: number): number {
    const { op, type, args } = expr;
    if (this.inMask[expr.id] === 1) return mask(this, expr, d);
    switch (op) {
      case 'get':
        return this.pass(type, this.variables[expr.variable!.id], d);
      case 'load':
      case 'broadcast':
        return this.load(expr, d);
      case 'ptrAdd':
        return this.pointerSum(expr, d);
      case 'select':
        return isVector(type) ? selectLanes(this, expr, d) : selectScalar(this, expr, d);
      case 'fma':
        return fma(this, args, this.widthOf(type), d);
      case 'splat':
        return splat(this, args[0], d);
      case 'lanesOf':
        return lanesOf(this, args, type, d);
      case 'lane':
        return lane(this, this.value(args[0]), type, expr.imm, d);
      case 'sumLanes':
      case 'maxLanes':
      case 'minLanes':
        return foldLanes(this, op, args[0], d);
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
        return unsignedToFloat(this, args[0], d);
      case 'toI':
        return toInt(this, args[0], d);
      default:
        if (isComparison(op)) return comparison(this, expr, d);
        switch (args[0].type) {
          case 'i32':
            return general(this, expr, d);
          case 'vi':
            return intLanes(this, expr, d);
          default:
            return float(this, expr, d);
        }
    }
  }
}

/** The last index below `to`; if `to` may be negative, the index still cannot. */
const indexBound = (to: number): number => (to < 0 ? 2 ** 31 - 1 : Math.max(0, Math.min(to, 2 ** 31) - 1));

function isInnermost(stmts: readonly Stmt[]): boolean {
  for (const stmt of stmts) {
    if (stmt.kind === 'loop') return false;
    if (stmt.kind === 'if' && !(isInnermost(stmt.body) && isInnermost(stmt.otherwise))) return false;
  }
  return true;
}

/**
 * One kernel as the body of a WebAssembly function (param addresses…, begin, end). Values used once are computed on the
 * stack where they are used, the rest live in locals that are reused when their last use is past: V8 renames locals
 * anyway, but its compile time grows with their number at every loop. `fma` becomes relaxed_madd where the engine has
 * it, as `local = madd(a, b, local)`, which x86's three-operand FMA takes without a move.
 */
import {
  type Analysis,
  analyse,
  type Expr,
  isLeaf,
  isVector,
  type Kernel,
  type Stmt,
  type Type,
} from '../../ir/index.js';
import { invariant } from '../../util/errors.js';
import { directOp, emitOp, WASM } from './opcodes.js';
import { accumulates, orderSteps, readingOrder } from './steps.js';
import { ByteWriter } from './writer.js';

/** The function's body without its length: declarations of locals, then code. */
export function emitKernel(kernel: Kernel, { relaxedSimd }: { relaxedSimd: boolean }): Uint8Array<ArrayBuffer> {
  invariant(kernel.lanes === 4, () => `kernel ${kernel.name}: has ${kernel.lanes} lanes, WebAssembly 4`);
  return new KernelEmitter(kernel, relaxedSimd).run();
}

const WASM_TYPE = { i32: 0x7f, ptr: 0x7f, f32: 0x7d, vi: 0x7b, vf: 0x7b } as const;
type WasmType = (typeof WASM_TYPE)[Type];

interface Block {
  /** Locals whose last use lies in a nested block: a loop may come back to it, so they are free only after it. */
  readonly late: Expr[];
  /** Locals that live to the end of this block. */
  readonly own: { local: number; type: WasmType }[];
  /** For bases with accesses below them in this very block: the lowest offset. See `address`. */
  readonly lowest: Map<number, number> | null;
  readonly lowered: Map<number, number>; // base → local that holds base + lowest
}

class KernelEmitter {
  private readonly w = new ByteWriter(4096);
  private readonly localTypes: WasmType[] = []; // beyond the parameters
  private readonly free: Record<WasmType, number[]> = { 127: [], 125: [], 123: [] };
  private readonly locals: Int32Array; // of values and loop indices
  private readonly variables: Int32Array;
  private readonly left: Uint32Array; // uses still to come
  private readonly inline: Uint8Array;
  private readonly depthOf: Int16Array;
  private readonly blocks: Block[] = [];
  private readonly order: Int32Array;
  private cuts = 0;

  constructor(
    private readonly kernel: Kernel,
    private readonly relaxedSimd: boolean,
  ) {
    const { uses, inline }: Analysis = analyse(kernel, { prefetches: false });
    this.left = uses;
    this.order = readingOrder(kernel);
    this.inline = inline;
    this.locals = new Int32Array(kernel.exprCount).fill(-1);
    this.variables = new Int32Array(kernel.variableCount);
    this.depthOf = new Int16Array(kernel.exprCount);
  }

  run(): Uint8Array<ArrayBuffer> {
    this.block(this.kernel.body);
    this.w.u8(WASM.end);
    const out = new ByteWriter(this.w.length + 64);
    const runs: { type: WasmType; count: number }[] = [];
    for (const type of this.localTypes) {
      const last = runs[runs.length - 1];
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    out.u32(runs.length);
    for (const { type, count } of runs) {
      out.u32(count);
      out.u8(type);
    }
    out.append(this.w.written());
    return out.written();
  }

  // ── statements ──

  private block(stmts: readonly Stmt[]): void {
    const block: Block = { late: [], own: [], lowest: this.lowestOffsets(stmts), lowered: new Map() };
    const depth = this.blocks.push(block) - 1;
    const analysis = { uses: this.left, inline: this.inline };
    const pieces = accumulates(stmts) ? orderSteps(stmts, analysis, this.order) : [{ stmts, cut: false }];
    for (const { stmts, cut } of pieces) {
      if (cut) this.always();
      for (const stmt of stmts) {
        this.statement(stmt, block, depth);
        if (block.late.length > 0) {
          for (const expr of block.late) this.release(this.locals[expr.id], WASM_TYPE[expr.type]);
          block.late.length = 0;
        }
      }
      if (cut) this.w.u8(WASM.end);
    }
    for (const { local, type } of block.own) this.release(local, type);
    this.blocks.pop();
  }

  private statement(stmt: Stmt, block: Block, depth: number): void {
    switch (stmt.kind) {
      case 'let': {
        const { value } = stmt;
        this.depthOf[value.id] = depth;
        if (this.left[value.id] === 0 || this.inline[value.id] === 1) return;
        this.tree(value);
        const local = this.take(WASM_TYPE[value.type]);
        this.locals[value.id] = local;
        this.local(WASM.localSet, local);
        return;
      }
      case 'var': {
        const { id, type } = stmt.variable;
        this.value(stmt.init);
        this.variables[id] = this.own(block, WASM_TYPE[type]);
        this.local(WASM.localSet, this.variables[id]);
        return;
      }
      case 'set':
        this.value(stmt.value);
        this.local(WASM.localSet, this.variables[stmt.variable.id]);
        return;
      case 'store':
        this.store(stmt.address, stmt.offset, stmt.elem, stmt.value);
        return;
      case 'prefetch':
        return; // WebAssembly has none
      case 'loop':
        this.loop(stmt);
        return;
      case 'if':
        this.value(stmt.cond);
        this.w.u8(WASM.if);
        this.w.u8(WASM.void);
        this.block(stmt.body);
        if (stmt.otherwise.length > 0) {
          this.w.u8(WASM.else);
          this.block(stmt.otherwise);
        }
        this.w.u8(WASM.end);
        return;
      default:
        stmt satisfies never;
    }
  }

  /** index = from; if (index < to) do { body; index += step } while (index < to) */
  private loop({ index, from, to, step, body }: Extract<Stmt, { kind: 'loop' }>): void {
    const { w } = this;
    const counter = this.take(WASM_TYPE.i32);
    this.locals[index.id] = counter;
    this.value(from);
    this.local(WASM.localSet, counter);
    let bound = -1;
    if (!isLeaf(to)) {
      bound = this.take(WASM_TYPE.i32);
      this.value(to);
      this.local(WASM.localSet, bound);
    }
    const compare = (): void => {
      if (bound >= 0) this.local(WASM.localGet, bound);
      else this.leaf(to);
      w.u8(WASM.i32LtS);
    };

    const runs = from.op === 'const' && to.op === 'const' && from.imm < to.imm;
    const tile = accumulates(body);
    if (tile) {
      this.always();
      this.always();
    }
    if (!runs) {
      this.local(WASM.localGet, counter);
      compare();
      w.u8(WASM.if);
      w.u8(WASM.void);
    }
    w.u8(WASM.loop);
    w.u8(WASM.void);
    this.block(body);
    this.local(WASM.localGet, counter);
    this.i32(step);
    w.u8(WASM.i32Add);
    this.local(WASM.localTee, counter);
    compare();
    w.u8(WASM.brIf);
    w.u8(0);
    w.u8(WASM.end);
    if (!runs) w.u8(WASM.end);
    if (tile) {
      w.u8(WASM.end);
      w.u8(WASM.end);
    }
    this.release(counter, WASM_TYPE.i32);
    if (bound >= 0) this.release(bound, WASM_TYPE.i32);
  }

  private store(base: Expr, offset: number, elem: string, value: Expr): void {
    const imm = this.address(base, offset);
    this.value(value);
    if (!isVector(value.type)) {
      this.memory(elem === 'f32' ? WASM.f32Store : elem === 'i32' ? WASM.i32Store : WASM.i32Store8, imm, elem);
    } else if (elem !== 'u8') {
      this.memory(WASM.v128Store, imm, elem);
    } else {
      // The low bytes of the four lanes side by side, then one lane of 32 bits.
      const v = this.take(WASM_TYPE.vi);
      this.local(WASM.localTee, v);
      this.local(WASM.localGet, v);
      this.shuffle([0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12]);
      this.release(v, WASM_TYPE.vi);
      this.memory(WASM.v128Store32Lane, imm, elem);
      this.w.u8(0);
    }
  }

  // ── values ──

  /** Pushes a use of `expr`. */
  private value(expr: Expr): void {
    if (isLeaf(expr)) {
      this.leaf(expr);
      return;
    }
    if (this.inline[expr.id] === 1) {
      this.tree(expr);
      return;
    }
    this.local(WASM.localGet, this.locals[expr.id]);
    this.used(expr);
  }

  /** One use of a value in a local is past. */
  private used(expr: Expr): void {
    if (isLeaf(expr) || this.inline[expr.id] === 1 || --this.left[expr.id] > 0) return;
    const depth = this.depthOf[expr.id];
    if (depth === this.blocks.length - 1) this.release(this.locals[expr.id], WASM_TYPE[expr.type]);
    else this.blocks[depth].late.push(expr);
  }

  private leaf(expr: Expr): void {
    switch (expr.op) {
      case 'param':
        this.local(WASM.localGet, expr.imm);
        return;
      case 'begin':
        this.local(WASM.localGet, this.kernel.params.length);
        return;
      case 'end':
        this.local(WASM.localGet, this.kernel.params.length + 1);
        return;
      case 'index':
        this.local(WASM.localGet, this.locals[expr.id]);
        return;
      default:
        this.constant(expr);
        return;
    }
  }

  private constant({ type, imm }: Expr): void {
    if (isVector(type) && Object.is(imm, 0)) {
      emitOp(this.w, WASM.v128Const);
      for (let i = 0; i < 16; i++) this.w.u8(0);
      return;
    }
    if (type === 'f32' || type === 'vf') {
      this.w.u8(WASM.f32Const);
      this.w.f32(imm);
      if (type === 'vf') emitOp(this.w, WASM.f32x4Splat);
    } else {
      this.i32(imm);
      if (type === 'vi') emitOp(this.w, WASM.i32x4Splat);
    }
  }

  /** Computes `expr` on the stack. */
  private tree(expr: Expr): void {
    const { w } = this;
    const { op, type, args, imm } = expr;
    switch (op) {
      case 'get':
        this.local(WASM.localGet, this.variables[expr.variable!.id]);
        return;
      case 'load':
      case 'broadcast':
        this.load(expr);
        return;
      case 'ptrAdd':
        this.value(args[0]);
        this.value(args[1]);
        w.u8(WASM.i32Add);
        return;
      case 'fma':
        this.fma(args);
        return;
      case 'select':
        this.select(args, type);
        return;
      case 'splat':
        this.value(args[0]);
        emitOp(w, type === 'vf' ? WASM.f32x4Splat : WASM.i32x4Splat);
        return;
      case 'lanesOf':
        this.lanesOf(args, type);
        return;
      case 'lane':
        this.value(args[0]);
        emitOp(w, type === 'f32' ? WASM.f32x4ExtractLane : WASM.i32x4ExtractLane);
        w.u8(imm);
        return;
      case 'sumLanes':
      case 'maxLanes':
      case 'minLanes':
        this.foldLanes(op, args[0], type);
        return;
      case 'mulhiU':
        this.mulhiU(args, type);
        return;
      case 'shl':
      case 'shr':
      case 'shrU':
        this.value(args[0]);
        this.i32(imm);
        emitOp(w, directOp(op, type));
        return;
      case 'min':
      case 'max':
        if (type === 'i32') {
          this.scalarMinMax(op, args, type);
          return;
        }
        if (type === 'vf' && args[1].op === 'const' && this.clamp(op, args[0], args[1])) return;
        break;
      case 'pmin':
      case 'pmax':
        if (type === 'vf') break;
        this.scalarMinMax(op === 'pmin' ? 'min' : 'max', args, type);
        return;
      case 'neg':
        if (type === 'i32') {
          this.i32(0);
          this.value(args[0]);
          w.u8(WASM.i32Sub);
          return;
        }
        break;
      case 'asF':
      case 'asI':
        this.value(args[0]);
        if (!isVector(type)) emitOp(w, directOp(op, args[0].type));
        return; // for vectors the type is in our minds only
      default:
        break;
    }
    const code = directOp(op, args[0]?.type ?? type);
    invariant(code !== 0, () => `WebAssembly: no instruction for ${op} of ${args.map((a) => a.type).join(', ')}`);
    for (const arg of args) this.value(arg);
    emitOp(w, code);
  }

  private load({ op, type, args, imm: offset, elem }: Expr): void {
    const { w } = this;
    const imm = this.address(args[0], offset);
    if (op === 'broadcast') {
      if (elem !== 'u8') {
        this.memory(WASM.v128Load32Splat, imm, elem);
        return;
      }
      this.memory(WASM.i32Load8U, imm, elem);
      emitOp(w, WASM.i32x4Splat);
      return;
    }
    if (!isVector(type)) {
      this.memory(elem === 'f32' ? WASM.f32Load : elem === 'i32' ? WASM.i32Load : WASM.i32Load8U, imm, elem);
      return;
    }
    if (elem !== 'u8') {
      this.memory(WASM.v128Load, imm, elem);
      return;
    }
    this.memory(WASM.v128Load32Zero, imm, elem);
    emitOp(w, WASM.i16x8ExtendLowI8x16U);
    emitOp(w, WASM.i32x4ExtendLowI16x8U);
  }

  /**
   * Pushes the address of `base` + `offset` and returns the offset to encode, which must not be negative. Accesses below
   * their base share one address, base + the lowest offset in this block: all of the block runs, so that address is in
   * the memory if the accesses are, and the other offsets stay in the instructions.
   */
  private address(base: Expr, offset: number): number {
    if (offset >= 0) {
      this.value(base);
      return offset;
    }
    const block = this.blocks[this.blocks.length - 1];
    const lowest = block.lowest!.get(base.id)!;
    const known = block.lowered.get(base.id);
    if (known !== undefined) {
      this.local(WASM.localGet, known);
      this.used(base);
    } else {
      this.value(base);
      this.i32(lowest);
      this.w.u8(WASM.i32Add);
      const local = this.own(block, WASM_TYPE.ptr);
      block.lowered.set(base.id, local);
      this.local(WASM.localTee, local);
    }
    return offset - lowest;
  }

  private lowestOffsets(stmts: readonly Stmt[]): Map<number, number> | null {
    let lowest: Map<number, number> | null = null;
    const note = (base: Expr, offset: number): void => {
      if (offset >= 0) return;
      lowest ??= new Map();
      lowest.set(base.id, Math.min(lowest.get(base.id) ?? 0, offset));
    };
    for (const stmt of stmts) {
      if (stmt.kind === 'store') note(stmt.address, stmt.offset);
      else if (stmt.kind === 'let' && stmt.value.elem !== null && this.left[stmt.value.id] > 0) {
        note(stmt.value.args[0], stmt.value.imm);
      }
    }
    return lowest;
  }

  private fma([c, a, b]: readonly Expr[]): void {
    if (c.type === 'vf' && this.relaxedSimd) {
      this.value(a);
      this.value(b);
      this.value(c);
      emitOp(this.w, WASM.f32x4RelaxedMadd);
      return;
    }
    this.value(c);
    this.value(a);
    this.value(b);
    emitOp(this.w, directOp('mul', c.type));
    emitOp(this.w, directOp('add', c.type));
  }

  private select([cond, a, b]: readonly Expr[], type: Type): void {
    const isZero = (e: Expr) => isVector(type) && e.op === 'const' && Object.is(e.imm, 0);
    if (isZero(a) || isZero(b)) {
      this.value(isZero(a) ? b : a);
      this.value(cond);
      emitOp(this.w, isZero(a) ? WASM.v128AndNot : directOp('and', 'vi'));
      return;
    }
    this.value(a);
    this.value(b);
    this.value(cond);
    if (!isVector(type)) this.w.u8(WASM.select);
    else emitOp(this.w, this.relaxedSimd ? WASM.i32x4RelaxedLaneselect : WASM.v128Bitselect);
  }

  private lanesOf(args: readonly Expr[], type: Type): void {
    const { w } = this;
    if (args.every((a) => a.op === 'const')) {
      const bytes = new DataView(new ArrayBuffer(16));
      for (const [i, { imm }] of args.entries()) {
        if (type === 'vf') bytes.setFloat32(4 * i, imm, true);
        else bytes.setInt32(4 * i, imm, true);
      }
      emitOp(w, WASM.v128Const);
      w.append(new Uint8Array(bytes.buffer));
      return;
    }
    this.value(args[0]);
    emitOp(w, type === 'vf' ? WASM.f32x4Splat : WASM.i32x4Splat);
    for (let i = 1; i < 4; i++) {
      this.value(args[i]);
      emitOp(w, type === 'vf' ? WASM.f32x4ReplaceLane : WASM.i32x4ReplaceLane);
      w.u8(i);
    }
  }

  /** The upper half onto the lower, twice. */
  private foldLanes(op: 'sumLanes' | 'maxLanes' | 'minLanes', arg: Expr, type: Type): void {
    const { w } = this;
    const vector = type === 'f32' ? 'vf' : 'vi';
    const code = directOp(op === 'sumLanes' ? 'add' : op === 'maxLanes' ? 'max' : 'min', vector);
    this.value(arg);
    const v = this.take(WASM_TYPE.vf);
    for (const bytes of [8, 4]) {
      this.local(WASM.localTee, v);
      this.local(WASM.localGet, v);
      this.local(WASM.localGet, v);
      this.shuffle(Array.from({ length: 16 }, (_, i) => (i + bytes) % 16));
      emitOp(w, code);
    }
    this.release(v, WASM_TYPE.vf);
    emitOp(w, type === 'f32' ? WASM.f32x4ExtractLane : WASM.i32x4ExtractLane);
    w.u8(0);
  }

  private mulhiU([a, b]: readonly Expr[], type: Type): void {
    const { w } = this;
    if (type === 'i32') {
      this.value(a);
      w.u8(WASM.i64ExtendI32U);
      this.value(b);
      w.u8(WASM.i64ExtendI32U);
      w.u8(WASM.i64Mul);
      w.u8(WASM.i64Const);
      w.u8(32);
      w.u8(WASM.i64ShrU);
      w.u8(WASM.i32WrapI64);
      return;
    }
    this.value(a);
    this.value(b);
    const y = this.take(WASM_TYPE.vi);
    const x = this.take(WASM_TYPE.vi);
    this.local(WASM.localSet, y);
    this.local(WASM.localTee, x);
    this.local(WASM.localGet, y);
    emitOp(w, WASM.i64x2ExtmulLowI32x4U);
    this.local(WASM.localGet, x);
    this.local(WASM.localGet, y);
    emitOp(w, WASM.i64x2ExtmulHighI32x4U);
    this.shuffle([4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31]);
    this.release(y, WASM_TYPE.vi);
    this.release(x, WASM_TYPE.vi);
  }

  /** b if it is less (or greater) than a, else a. */
  private scalarMinMax(op: 'min' | 'max', [a, b]: readonly Expr[], type: Type): void {
    this.value(b);
    this.value(a);
    const x = this.take(WASM_TYPE[type]);
    const y = this.take(WASM_TYPE[type]);
    this.local(WASM.localSet, x);
    this.local(WASM.localTee, y);
    this.local(WASM.localGet, x);
    this.local(WASM.localGet, y);
    this.local(WASM.localGet, x);
    emitOp(this.w, directOp(op === 'min' ? 'lt' : 'gt', type));
    this.w.u8(WASM.select);
    this.release(y, WASM_TYPE[type]);
    this.release(x, WASM_TYPE[type]);
  }

  /**
   * Against a constant, min and max need not take V8's eight instructions. pmax(x, c) is `x < c ? c : x`, one x86
   * instruction: it keeps a NaN in x, and differs from max only in giving -0 for max(-0, +0), which adding +0 mends.
   * Returns false for the constants (NaN, min with -0) that need the full form.
   */
  private clamp(op: 'min' | 'max', x: Expr, c: Expr): boolean {
    if (Number.isNaN(c.imm) || (op === 'min' && Object.is(c.imm, -0))) return false;
    this.value(x);
    this.constant(c);
    emitOp(this.w, directOp(op === 'min' ? 'pmin' : 'pmax', 'vf'));
    if (op === 'max' && Object.is(c.imm, 0)) {
      this.constant(c);
      emitOp(this.w, WASM.f32x4Add);
    }
    return true;
  }

  // ── instructions and locals ──

  /** Opens an `if` that always holds though no compiler can know: tasks are being done, so `end` is positive. */
  private always(): void {
    this.local(WASM.localGet, this.kernel.params.length + 1);
    this.i32(-++this.cuts);
    this.w.u8(WASM.i32Ne);
    this.w.u8(WASM.if);
    this.w.u8(WASM.void);
  }

  private local(code: number, index: number): void {
    this.w.u8(code);
    this.w.u32(index);
  }

  private i32(n: number): void {
    this.w.u8(WASM.i32Const);
    this.w.s32(n);
  }

  /** The alignment is a promise of the element's only. */
  private memory(code: number, offset: number, elem: string | null): void {
    emitOp(this.w, code);
    this.w.u8(elem === 'u8' ? 0 : 2);
    this.w.u32(offset);
  }

  private shuffle(bytes: readonly number[]): void {
    emitOp(this.w, WASM.i8x16Shuffle);
    for (const byte of bytes) this.w.u8(byte);
  }

  private take(type: WasmType): number {
    const free = this.free[type].pop();
    if (free !== undefined) return free;
    this.localTypes.push(type);
    return this.kernel.params.length + 2 + this.localTypes.length - 1;
  }

  private own(block: Block, type: WasmType): number {
    const local = this.take(type);
    block.own.push({ local, type });
    return local;
  }

  private release(local: number, type: WasmType): void {
    this.free[type].push(local);
  }
}

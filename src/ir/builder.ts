/**
 * Writes a kernel: the author calls methods, statements collect in order. A TypeScript `for` unrolls while building,
 * `loop` runs on the machine. Integer constants fold at once and the run-time part of an address is computed once per
 * block; beyond that nothing is shared or moved, so what you write is what runs.
 */
import { invariant } from '../util/errors.js';
import { fold } from './fold.js';
import {
  type CacheLevel,
  type ElemType,
  type Expr,
  isFloat,
  isVector,
  type Kernel,
  type KernelParam,
  loadedType,
  type Op,
  type PlainOp,
  resultType,
  type Stmt,
  type Type,
  type Variable,
} from './types.js';
import {
  type Emitter,
  Float,
  type I32,
  type Index,
  Int,
  Ptr,
  PtrVar,
  type Term,
  type Value,
  Var,
  type VarF,
  wrap,
} from './values.js';

/**
 * Looks at every kernel when it is finished. The tests set it to `verify`; a page does without, since WebAssembly checks again what it
 * loads. A device that runs machine code has no such second check and sets it.
 */
export const inspection: { inspect: ((kernel: Kernel) => void) | null } = { inspect: null };

export interface KernelBuilderOptions {
  readonly lanes: number; // 4, 8 or 16
  readonly registers?: number; // vector registers of the target
  readonly fma?: boolean; // false: `fma` is built as mul and add
}

/** What `load` gives: floats for f32, ints for i32 and u8. */
export type Loaded<E extends ElemType> = E extends 'f32' ? Float : Int;

export type LoopRange = number | I32 | { from?: number | I32; to: number | I32; step?: number };

interface Block {
  readonly stmts: Stmt[];
  readonly addresses: Map<string, Expr>; // addressOf's results
}

export class KernelBuilder implements Emitter {
  readonly lanes: number;
  readonly registers: number;
  readonly fma: boolean;
  private readonly params: KernelParam[] = [];
  private readonly blocks: Block[] = [{ stmts: [], addresses: new Map() }];
  private reads = new Map<Variable, Expr>(); // `get`s of this block that still hold
  private exprCount = 0;
  private variableCount = 0;
  private taskCount = -1;
  private vectors: number | undefined;
  private finished = false;

  constructor(options: KernelBuilderOptions) {
    this.lanes = options.lanes;
    this.registers = options.registers ?? 16;
    this.fma = options.fma ?? true;
    invariant([4, 8, 16].includes(this.lanes), `KernelBuilder: lanes is ${this.lanes}, must be 4, 8 or 16`);
  }

  /** States how many vector registers the kernel needs at once; more than the target has is refused. */
  budget({ vectors }: { vectors: number }): void {
    invariant(vectors <= this.registers, () => `budget: ${vectors} vectors, but the target has ${this.registers}`);
    this.vectors = vectors;
  }

  /** A pointer parameter; parameters come in the order of the calls. */
  param<E extends ElemType>(name: string, elem: E): Ptr<E> {
    this.params.push({ name, elem });
    return new Ptr(this, name, elem, this.node('param', 'ptr', [], this.params.length - 1));
  }

  /** Exactly once, at the top level: the body runs for each of the `count` tasks this call is given. */
  tasks(count: number, body: (task: I32) => void): void {
    invariant(this.taskCount < 0, 'tasks: a kernel has exactly one task loop');
    invariant(this.blocks.length === 1, 'tasks: the task loop stands at the top level');
    invariant(Number.isInteger(count) && count >= 0, `tasks: count is ${count}, must be a non-negative integer`);
    this.taskCount = count;
    this.emitLoop(this.node('begin', 'i32', []), this.node('end', 'i32', []), 1, body);
  }

  // ── constants ──

  i32(n: number): I32 {
    return new Int(this, this.constant('i32', n));
  }
  /** `n` in each of `width` lanes: 1 or `lanes` (the default). */
  int(n: number, width = this.lanes): Int {
    return new Int(this, this.constant(this.wide(width) ? 'vi' : 'i32', n));
  }
  f32(x: number, width = this.lanes): Float {
    return new Float(this, this.constant(this.wide(width) ? 'vf' : 'f32', x));
  }

  // ── memory: offsets count elements ──

  load<E extends ElemType>(p: Ptr<E>, offset: Index = 0, width = this.lanes): Loaded<E> {
    const q = p.at(offset);
    const type = loadedType(p.elem, this.wide(width));
    return wrap(this, this.add(this.node('load', type, [q.base()], q.offsetBytes, p.elem))) as Loaded<E>;
  }

  /** One element, in all lanes. */
  broadcast<E extends ElemType>(p: Ptr<E>, offset: Index = 0): Loaded<E> {
    const q = p.at(offset);
    const type = loadedType(p.elem, true);
    return wrap(this, this.add(this.node('broadcast', type, [q.base()], q.offsetBytes, p.elem))) as Loaded<E>;
  }

  /**
   * Writes `v`'s one or `lanes` elements; for u8 the low byte of each (a mask becomes a bool by `.and(1)`). What `streams` may pass by the
   * caches: the place must be aligned to its size.
   */
  store(p: Ptr, offset: Index, v: Value, { streams = false } = {}): void {
    const q = p.at(offset);
    invariant(
      isFloat(v.expr.type) === (p.elem === 'f32'),
      () => `store: ${p.name} holds ${p.elem}, the value is of type ${v.expr.type}`,
    );
    const store = { kind: 'store', elem: p.elem, address: q.base(), offset: q.offsetBytes, value: v.expr } as const;
    this.push(streams ? { ...store, streams } : store);
  }

  /** Asks for the line of an element that will be needed soon. Nothing is read: the place may lie outside, targets may ignore it. */
  prefetch(p: Ptr, offset: Index, level: CacheLevel = 0): void {
    const q = p.at(offset);
    this.push({ kind: 'prefetch', address: q.base(), offset: q.offsetBytes, level });
  }

  // ── control ──

  /** The body for i = from, from + step, … while i < to. One turn or none, when known now, leaves no loop. */
  loop(range: LoopRange, body: (i: I32) => void): void {
    const { from = 0, to, step = 1 } = typeof range === 'number' || range instanceof Int ? { to: range } : range;
    invariant(Number.isInteger(step) && step > 0, `loop: step is ${step}, must be a positive integer`);
    const first = this.scalar(from);
    const last = this.scalar(to);
    if (first.op === 'const' && last.op === 'const') {
      if (first.imm >= last.imm) return;
      if (first.imm + step >= last.imm) {
        body(new Int(this, first));
        return;
      }
    }
    this.emitLoop(first, last, step, body);
  }

  if(cond: I32, then: () => void, otherwise?: () => void): void {
    if (cond.expr.op === 'const') {
      if (cond.expr.imm !== 0) then();
      else otherwise?.();
      return;
    }
    invariant(cond.expr.type === 'i32', () => `if: the condition is of type ${cond.expr.type}, must be a scalar i32`);
    const yes = this.block(then);
    const no = otherwise ? this.block(otherwise) : [];
    this.push({ kind: 'if', cond: cond.expr, body: yes, otherwise: no });
  }

  var<T extends Value>(init: T): Var<T> {
    return new Var<T>(this, this.variable(init.expr.type, init.expr));
  }

  /** An accumulator that starts at 0. */
  zero(width = this.lanes): VarF {
    return this.var(this.f32(0, width));
  }

  ptrVar<E extends ElemType>(p: Ptr<E>): PtrVar<E> {
    const base = p.base();
    const bytes = this.i32(p.offsetBytes);
    const init = p.offsetBytes === 0 ? base : this.addressOf(base, [{ value: bytes, coefficient: 1 }], 1);
    return new PtrVar(this, p.name, p.elem, this.variable('ptr', init));
  }

  /** `a` where the condition holds, else `b`: a scalar 0/1 chooses between scalars, a mask lane by lane. */
  select<T extends Value>(cond: Int, a: T | number, b: T | number): T {
    const type = typeof a !== 'number' ? a.expr.type : typeof b !== 'number' ? b.expr.type : cond.expr.type;
    const [x, y] = [a, b].map((v) => (typeof v === 'number' ? this.constant(type, v) : v.expr));
    invariant(
      x.type === y.type && cond.expr.type === (isVector(type) ? 'vi' : 'i32'),
      () =>
        `select: the operands are ${cond.expr.type}, ${x.type}, ${y.type}; takes i32 and two scalars, or vi and two vectors`,
    );
    if (cond.expr.op === 'const') return wrap(this, cond.expr.imm !== 0 ? x : y) as T;
    return wrap(this, this.add(this.node('select', type, [cond.expr, x, y]))) as T;
  }

  /** A vector of `lanes` scalars. */
  lanesOf<T extends Value>(values: readonly T[]): T {
    invariant(values.length === this.lanes, `lanesOf: ${values.length} values for ${this.lanes} lanes`);
    const exprs = values.map((v) => v.expr);
    const type = exprs[0].type;
    invariant(!isVector(type) && exprs.every((e) => e.type === type), 'lanesOf: takes scalars of one type');
    if (exprs.every((e) => e === exprs[0])) return this.splat(values[0]);
    return wrap(this, this.add(this.node('lanesOf', type === 'i32' ? 'vi' : 'vf', exprs))) as T;
  }

  /** A scalar in all lanes. */
  splat<T extends Value>(v: T): T {
    return wrap(this, this.op('splat', [v.expr])) as T;
  }

  /** 0, 1, 2 … in the lanes. */
  iota(): Int {
    return this.lanesOf(Array.from({ length: this.lanes }, (_, i) => this.i32(i)));
  }

  /** The sum over the lanes, halves folded onto each other, so the same on each target: (0 + 2) + (1 + 3) for four. */
  sumLanes<T extends Value>(v: T): T {
    return wrap(this, this.op('sumLanes', [v.expr])) as T;
  }
  maxLanes<T extends Value>(v: T): T {
    return wrap(this, this.op('maxLanes', [v.expr])) as T;
  }
  minLanes<T extends Value>(v: T): T {
    return wrap(this, this.op('minLanes', [v.expr])) as T;
  }

  /** Hands the kernel over. */
  finish(name: string): Kernel {
    this.open();
    this.finished = true;
    const kernel: Kernel = {
      name,
      lanes: this.lanes,
      params: this.params,
      tasks: this.taskCount,
      body: this.blocks[0].stmts,
      ...(this.vectors === undefined ? {} : { vectors: this.vectors }),
      exprCount: this.exprCount,
      variableCount: this.variableCount,
    };
    inspection.inspect?.(kernel);
    return kernel;
  }

  // ── for the handles ──

  op(op: PlainOp, args: readonly Expr[], imm = 0): Expr {
    const { type } = args[0];
    for (const arg of args) {
      if (arg.type !== type) {
        const types = args.map((a) => a.type).join(', ');
        invariant(false, `${op}: the operands are ${types}; they must be alike (k.splat makes a vector of a scalar)`);
      }
    }
    const result = resultType(op, type);
    if (result === null) invariant(false, `${op}: does not take operands of type ${type}`);
    const simpler = fold(op, args, imm);
    if (simpler === null) return this.add(this.node(op, result as Type, args, imm));
    return typeof simpler === 'number' ? this.constant(result as Type, simpler) : simpler;
  }

  constant(type: Type, value: number): Expr {
    if (isFloat(type)) return this.node('const', type, [], Math.fround(value));
    invariant(
      Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 32,
      () => `constant ${value} does not fit in 32 bits as an integer`,
    );
    return this.node('const', type, [], value | 0);
  }

  read(variable: Variable): Expr {
    let expr = this.reads.get(variable);
    if (expr === undefined) {
      expr = this.add(this.node('get', variable.type, [], 0, null, variable));
      this.reads.set(variable, expr);
    }
    return expr;
  }

  assign(variable: Variable, value: Expr): void {
    invariant(value.type === variable.type, () => `set: the variable is ${variable.type}, the value ${value.type}`);
    this.push({ kind: 'set', variable, value });
    this.reads.delete(variable);
  }

  addressOf(base: Expr, terms: readonly Term[], bytes: number): Expr {
    let key = `${base.id}`;
    for (const { value, coefficient } of terms) key += `,${value.expr.id}*${coefficient * bytes}`;
    for (const { addresses } of this.blocks) {
      const known = addresses.get(key);
      if (known !== undefined) return known;
    }
    let sum: Expr | null = null;
    for (const { value, coefficient } of terms) {
      const scaled = this.op('mul', [value.expr, this.constant('i32', coefficient * bytes)]);
      sum = sum === null ? scaled : this.op('add', [sum, scaled]);
    }
    if (sum === null || (sum.op === 'const' && sum.imm === 0)) return base;
    const address = this.add(this.node('ptrAdd', 'ptr', [base, sum]));
    this.blocks[this.blocks.length - 1].addresses.set(key, address);
    return address;
  }

  // ── helpers ──

  private wide(width: number): boolean {
    invariant(width === 1 || width === this.lanes, () => `width ${width}: must be 1 or ${this.lanes}`);
    return width !== 1;
  }

  private scalar(n: number | I32): Expr {
    if (typeof n === 'number') return this.constant('i32', n);
    invariant(n.expr.type === 'i32', () => `loop: a bound is of type ${n.expr.type}, must be a scalar i32`);
    return n.expr;
  }

  private variable(type: Type, init: Expr): Variable {
    const variable: Variable = { id: this.variableCount++, type };
    this.push({ kind: 'var', variable, init });
    return variable;
  }

  private emitLoop(from: Expr, to: Expr, step: number, body: (i: I32) => void): void {
    const index = this.node('index', 'i32', []);
    const stmts = this.block(() => body(new Int(this, index)));
    this.push({ kind: 'loop', index, from, to, step, body: stmts });
  }

  /** Reads do not outlive the block they are made in, nor the start of one: a loop may have changed the variable. */
  private block(body: () => void): Stmt[] {
    this.open();
    const block: Block = { stmts: [], addresses: new Map() };
    this.blocks.push(block);
    this.reads = new Map();
    body();
    this.reads = new Map();
    invariant(this.blocks.pop() === block, 'blocks are not nested');
    return block.stmts;
  }

  private node(
    op: Op,
    type: Type,
    args: readonly Expr[],
    imm = 0,
    elem: ElemType | null = null,
    variable: Variable | null = null,
  ): Expr {
    return { id: this.exprCount++, op, type, args, imm, elem, variable };
  }

  private add(value: Expr): Expr {
    this.push({ kind: 'let', value });
    return value;
  }

  private push(stmt: Stmt): void {
    this.open();
    this.blocks[this.blocks.length - 1].stmts.push(stmt);
  }

  private open(): void {
    invariant(!this.finished, 'the kernel is finished: nothing can be added');
  }
}

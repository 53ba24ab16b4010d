/**
 * Registers for virtual registers: a linear scan. A value lives from its definition to its last use, and through every
 * loop that it enters from outside; where no register is free, the value whose uses weigh least per operation of its life
 * is moved to the stack frame, everywhere. Its uses become memory operands or loads into short-lived registers, and the
 * scan runs again. No register is set aside for that: the kernels count on all of them.
 */
import { invariant } from '../../util/errors.js';
import {
  A,
  B,
  BASE,
  C,
  D,
  DISP,
  FRAME,
  IN_MEMORY,
  IN_REGISTER,
  INDEX,
  M,
  MASK,
  type MachineCode,
  MEM,
  OP,
  STRIDE,
  VECTOR,
} from './machine.js';

/** args, begin, end: rdi, esi, edx. */
const ENTRY = [7, 6, 2];
/** All but rsp. */
const GENERAL_REGISTERS = 0xffef;
/** k0 cannot mask. */
const MASKS = 0xfe;
/** A use within a loop weighs this much more than one outside. */
const LOOP_WEIGHT = 8;
const USES = [A, B, C, BASE, INDEX];

/** Operations whose register operand b may as well lie in memory. */
export const FOLDS = new Uint8Array(128);
for (const op of [
  ...[M.back, M.jumpIf, M.gadd, M.gsub, M.gand, M.gor, M.gxor, M.gmul, M.gset],
  ...[M.vadd, M.vsub, M.vmul, M.vdiv, M.vmin, M.vmax, M.vsqrt, M.vand, M.vandn, M.vor, M.vxor, M.vround, M.vcmp],
  ...[M.fma, M.fmaFrom, M.padd, M.psub, M.pmul, M.pmin, M.pmax, M.pmaxU, M.pmulU, M.peq, M.pgt, M.pblend],
  ...[M.vselect, M.vtoI, M.vtoF, M.vtoFU, M.vrange, M.kcmp, M.kpcmp, M.kpcmpU, M.kselect],
]) {
  FOLDS[op] = 1;
}

/** Gives the number of a register for each virtual one. Rewrites the code where something must live in the frame. */
export function allocate(code: MachineCode, vectors: number, vectorBytes: number): Int8Array {
  const firstTemporary = code.registers; // what spilling adds is never spilled
  for (let round = 0; ; round++) {
    invariant(round < 50, 'register allocation does not end');
    const scan = new Scan(code, vectors, firstTemporary);
    const spilled = scan.run();
    if (spilled.length === 0) return scan.registers;
    rewrite(code, spilled, vectorBytes);
  }
}

/** Where each virtual register lives: from operation `start` (−1: nowhere) up to `end`, not included. */
export function livesOf(code: MachineCode): { readonly start: Int32Array; readonly end: Int32Array } {
  const scan = new Scan(code, 32, code.registers);
  scan.findLives();
  return scan;
}

class Scan {
  readonly registers: Int8Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  private readonly depth: Uint8Array; // of the loops around the definition
  private readonly cost: Float64Array;
  private readonly nextEnding: Int32Array; // lists of the values that end at one operation
  private readonly ending: Int32Array;
  private readonly free: Int32Array; // bits, for each file
  private readonly owner = new Int32Array(3 * 32).fill(-1);
  private readonly spilled: number[] = [];

  constructor(
    private readonly code: MachineCode,
    vectors: number,
    private readonly firstTemporary: number,
  ) {
    const n = code.registers;
    this.registers = new Int8Array(n).fill(-1);
    this.start = new Int32Array(n).fill(-1);
    this.end = new Int32Array(n);
    this.depth = new Uint8Array(n);
    this.cost = new Float64Array(n);
    this.nextEnding = new Int32Array(n);
    this.ending = new Int32Array(code.count + 2).fill(-1);
    this.free = Int32Array.of(GENERAL_REGISTERS, vectors === 32 ? -1 : (1 << vectors) - 1, MASKS);
  }

  /** Returns what found no register. */
  run(): readonly number[] {
    this.findLives();
    this.assign();
    return this.spilled;
  }

  findLives(): void {
    const { code, start, end, depth, cost } = this;
    const { words, count } = code;
    const loopEnds = this.loopEnds();
    const loops: number[] = []; // where the loops around us end
    let weight = 1;
    const touch = (v: number, at: number): void => {
      if (start[v] < 0) {
        start[v] = at;
        depth[v] = loops.length;
        end[v] = at + 1;
      } else {
        const last = loops.length > depth[v] ? loops[depth[v]] : at;
        if (last > end[v]) end[v] = last;
      }
      cost[v] += weight;
    };
    for (let i = 0, at = 0; i < count; i++, at += STRIDE) {
      const op = words[at + OP];
      const d = words[at + D];
      // Uses before the definition, so that a value made from itself is seen as used.
      if (op === M.entry) {
        touch(words[at + A], i);
        touch(words[at + B], i);
      } else {
        const a = words[at + A];
        const b = words[at + B];
        const c = words[at + C];
        const base = words[at + BASE];
        const index = words[at + INDEX];
        if (a >= 0) touch(a, i);
        if (b >= 0) touch(b, i);
        if (c >= 0) touch(c, i);
        if (base >= 0) touch(base, i);
        if (index >= 0) touch(index, i);
      }
      if (d >= 0) touch(d, i);
      if (op === M.loop) {
        loops.push(loopEnds[i]);
        weight *= LOOP_WEIGHT;
      } else if (op === M.back) {
        loops.pop();
        weight /= LOOP_WEIGHT;
      }
    }
    for (let v = 0; v < code.registers; v++) {
      if (start[v] < 0) continue;
      this.nextEnding[v] = this.ending[end[v]];
      this.ending[end[v]] = v;
      cost[v] = v >= this.firstTemporary ? Number.POSITIVE_INFINITY : cost[v] / (end[v] - start[v] + 1);
    }
  }

  /** For each loop mark, the operation that jumps back to it. */
  private loopEnds(): Int32Array {
    const { words, count } = this.code;
    const ends = new Int32Array(count);
    const open: number[] = [];
    for (let i = 0, at = 0; i < count; i++, at += STRIDE) {
      const op = words[at + OP];
      if (op === M.loop) open.push(i);
      else if (op === M.back) ends[open.pop() as number] = i;
    }
    return ends;
  }

  private assign(): void {
    const { words, count } = this.code;
    for (let i = 0, at = 0; i < count; i++, at += STRIDE) {
      for (let v = this.ending[i]; v >= 0; v = this.nextEnding[v]) this.release(v);
      if (words[at + OP] === M.entry) {
        for (const [j, field] of [D, A, B].entries()) this.give(words[at + field], ENTRY[j]);
        continue;
      }
      const d = words[at + D];
      if (d >= 0 && this.start[d] === i) this.take(d, at);
    }
  }

  private take(v: number, at: number): void {
    const { words } = this.code;
    const file = this.code.files[v];
    const free = this.free[file];
    if (free === 0) {
      this.spillFor(v, file);
      return;
    }
    // The register of an operand that dies here saves a move.
    const r =
      this.hint(words[at + C], file, free) ??
      this.hint(words[at + A], file, free) ??
      this.hint(words[at + B], file, free);
    this.give(v, r ?? 31 - Math.clz32(free & -free));
  }

  private hint(operand: number, file: number, free: number): number | null {
    if (operand < 0 || this.code.files[operand] !== file) return null;
    const r = this.registers[operand];
    return r >= 0 && (free >>> r) & 1 ? r : null;
  }

  private spillFor(v: number, file: number): void {
    let victim = v;
    for (let r = 0; r < 32; r++) {
      const other = this.owner[file * 32 + r];
      if (other >= 0 && this.cost[other] < this.cost[victim]) victim = other;
    }
    invariant(this.cost[victim] !== Number.POSITIVE_INFINITY, 'one operation needs more registers than there are');
    this.spilled.push(victim);
    if (victim === v) return;
    const r = this.registers[victim];
    this.release(victim);
    this.registers[victim] = -1;
    this.give(v, r);
  }

  private give(v: number, r: number): void {
    const file = this.code.files[v];
    this.registers[v] = r;
    this.owner[file * 32 + r] = v;
    this.free[file] &= ~(1 << r);
  }

  private release(v: number): void {
    const r = this.registers[v];
    if (r < 0) return; // spilled
    const file = this.code.files[v];
    this.owner[file * 32 + r] = -1;
    this.free[file] |= 1 << r;
  }
}

/** Moves the `spilled` registers into the frame: loads before their uses, stores after their definitions. */
function rewrite(code: MachineCode, spilled: readonly number[], vectorBytes: number): void {
  const { count } = code;
  const slots = new Int32Array(code.registers).fill(-1);
  const { files } = code;
  for (const v of spilled) slots[v] = files[v] === VECTOR ? code.frameVectors++ : code.frameWords++;
  // Vectors lie below words, at multiples of their size; words are counted from the end until the frame is complete.
  const width = vectorBytes === 64 ? 3 : vectorBytes === 32 ? 2 : 1;
  const words = code.restart();
  const temporaries = new Map<number, number>();
  const isSpilled = (v: number): boolean => v >= 0 && slots[v] >= 0;
  let copied = 0;
  for (let i = 0, at = 0; i < count; i++, at += STRIDE) {
    const touched =
      isSpilled(words[at + A]) ||
      isSpilled(words[at + B]) ||
      isSpilled(words[at + D]) ||
      isSpilled(words[at + C]) ||
      isSpilled(words[at + BASE]) ||
      isSpilled(words[at + INDEX]);
    if (!touched) continue;
    code.copyRun(words, copied, at);
    copied = at + STRIDE;
    temporaries.clear();
    const op = words[at + OP];
    const fields = op === M.entry ? [] : USES;
    for (const field of fields) {
      const v = words[at + field];
      if (v < 0 || slots[v] < 0) continue;
      if (field === B && words[at + MEM] === IN_REGISTER && FOLDS[op] === 1) {
        words[at + B] = -1;
        words[at + MEM] = IN_MEMORY;
        words[at + BASE] = FRAME;
        words[at + DISP] = address(v);
        continue;
      }
      let t = temporaries.get(v);
      if (t === undefined) {
        t = code.register(files[v]);
        temporaries.set(v, t);
        move(v, t, false);
      }
      words[at + field] = t;
    }
    const stores: [v: number, t: number][] = [];
    for (const field of op === M.entry ? [D, A, B] : [D]) {
      const d = words[at + field];
      if (d < 0 || slots[d] < 0) continue;
      const t = temporaries.get(d) ?? code.register(files[d]);
      words[at + field] = t;
      stores.push([d, t]);
    }
    code.copy(words, at);
    for (const [v, t] of stores) move(v, t, true);
  }
  code.copyRun(words, copied, count * STRIDE);
  code.recycle(words);

  /** Words have odd addresses: the frame's layout is known only when all is allocated. */
  function address(v: number): number {
    return files[v] === VECTOR ? slots[v] * vectorBytes : -1 - slots[v];
  }

  function move(v: number, t: number, store: boolean): void {
    const file = files[v];
    const op =
      file === VECTOR
        ? store
          ? M.vstore
          : M.vload
        : file === MASK
          ? store
            ? M.kstore
            : M.kload
          : store
            ? M.gstore64
            : M.gload64;
    const at = store
      ? code.push(op, file === VECTOR ? width : 0, -1, t)
      : code.push(op, file === VECTOR ? width : 0, t);
    code.words[at + BASE] = FRAME;
    code.words[at + DISP] = address(v);
    code.words[at + MEM] = IN_MEMORY;
  }
}

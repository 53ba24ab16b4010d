/**
 * From machine operations with registers to instructions. x86 overwrites an operand where the operations have three, so
 * the form depends on which registers coincide: an FMA takes the one of its three forms that needs no move.
 */
import { invariant } from '../../util/errors.js';
import type { Assembler, Condition, X64Level } from './assembler.js';
import {
  A,
  B,
  BASE,
  C,
  D,
  DISP,
  EXTRA,
  FRAME,
  IMM,
  IMMEDIATE,
  IN_ELEMENT,
  IN_MEMORY,
  IN_REGISTER,
  INDEX,
  M,
  type MachineCode,
  MEM,
  OP,
  POOL,
  STRIDE,
  WIDTH,
} from './machine.js';
import {
  eax,
  ecx,
  type Gpr,
  gpr32,
  gpr64,
  k,
  type Label,
  type Mask,
  Mem,
  mem,
  rax,
  rcx,
  rdx,
  rsp,
  type Vec,
  xmm,
  ymm,
  zmm,
} from './registers.js';

const CONDITIONS: readonly Condition[] = [
  ...(['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'] as const),
];
const VECTORS = [xmm, xmm, ymm, zmm];
/** Rounding of vroundps and vrndscaleps, inexact not reported: nearest, floor, ceil, trunc. */
const ROUNDINGS = [8, 9, 10, 11];
const SCALES = [1, 2, 4, 8] as const;
const PAGE = 4096;
/** Words that a division puts aside. */
const DIVISION_WORDS = 5;
/** An innermost loop starts on a line of the operation cache. */
const LOOP_ALIGN = 64;

type Mutable<T> = { -readonly [P in keyof T]: T[P] };

/** Writes the kernel's code, which returns 0 in eax, or 1 if a division called it off. Registers are all the caller's to save. */
export function emit(asm: Assembler, code: MachineCode, registers: Int8Array, vectorBytes: number): void {
  new Emitter(asm, code, registers, vectorBytes).run();
}

type Emit = (e: Emitter, at: number) => void;

class Emitter {
  private readonly words: Int32Array;
  private readonly labels: Label[];
  private readonly constants: Label[];
  private readonly trap: Label;
  readonly avx512: boolean;
  private readonly wordsAt: number; // where the frame's words begin
  private readonly frameBytes: number;
  private readonly aligned: boolean;
  // One memory operand of each kind, reused: an instruction is encoded before the next is looked at.
  private readonly plain = mem(rax) as Mutable<Mem>;
  private readonly element = new Mem(rax, null, 1, 0, true, null) as Mutable<Mem>;

  constructor(
    readonly asm: Assembler,
    private readonly code: MachineCode,
    private readonly registers: Int8Array,
    vectorBytes: number,
  ) {
    this.words = code.words;
    this.labels = Array.from({ length: code.labels }, () => asm.label());
    this.constants = code.constants.map((bytes) => asm.constant(bytes));
    this.trap = asm.label();
    this.avx512 = (asm.level satisfies X64Level) === 'avx512';
    this.wordsAt = code.frameVectors * vectorBytes;
    const bytes = this.wordsAt + 8 * (code.frameWords + (code.canTrap ? DIVISION_WORDS : 0));
    this.aligned = code.frameVectors > 0;
    this.frameBytes = bytes === 0 ? 0 : Math.ceil((bytes + 8) / 64) * 64;
  }

  run(): void {
    const { asm, words, code } = this;
    this.enter();
    for (let i = 0, at = 0; i < code.count; i++, at += STRIDE) {
      const op = words[at + OP];
      if (op === M.fma) this.fma(at);
      else TABLE[op](this, at);
    }
    asm.xor(eax, eax);
    this.leave();
    if (code.canTrap) {
      asm.bind(this.trap);
      asm.mov(eax, 1);
      this.leave();
    }
  }

  /** The frame holds the old stack pointer in its last word where it had to be aligned. */
  private enter(): void {
    const { asm, frameBytes } = this;
    if (frameBytes === 0) return;
    // Windows grows a stack by the page below the lowest one touched.
    for (let at = PAGE; at <= frameBytes; at += PAGE) asm.or32(mem(rsp, -at), 0);
    if (!this.aligned) {
      asm.sub(rsp, frameBytes);
      return;
    }
    asm.mov(rax, rsp);
    asm.sub(rsp, frameBytes);
    asm.and(rsp, -64);
    asm.mov(mem(rsp, frameBytes - 8), rax);
  }

  private leave(): void {
    const { asm, frameBytes } = this;
    if (frameBytes > 0) {
      if (this.aligned) asm.mov(rsp, mem(rsp, frameBytes - 8));
      else asm.add(rsp, frameBytes);
    }
    asm.ret();
  }

  // ── operands ──

  word(at: number, field: number): number {
    return this.words[at + field];
  }
  register(at: number, field: number): number {
    return this.registers[this.words[at + field]];
  }
  g32(at: number, field: number): Gpr {
    return gpr32(this.register(at, field));
  }
  g64(at: number, field: number): Gpr {
    return gpr64(this.register(at, field));
  }
  k(at: number, field: number): Mask {
    return k(this.register(at, field));
  }
  v(at: number, field: number): Vec {
    return VECTORS[this.words[at + WIDTH]](this.register(at, field));
  }
  x(at: number, field: number): Vec {
    return xmm(this.register(at, field));
  }
  /** b, in a register or in memory. */
  vb(at: number): Vec | Mem {
    return (this.words[at + MEM] & 3) === IN_REGISTER ? this.v(at, B) : this.m(at);
  }
  gb(at: number): Gpr | Mem {
    return (this.words[at + MEM] & 3) === IN_REGISTER ? this.g32(at, B) : this.m(at);
  }
  isImmediate(at: number): boolean {
    return (this.words[at + MEM] & 3) === IMMEDIATE;
  }
  label(n: number): Label {
    return this.labels[n];
  }
  condition(at: number): Condition {
    return CONDITIONS[this.words[at + WIDTH]];
  }

  m(at: number): Mem {
    const { words } = this;
    const kind = words[at + MEM];
    const m = (kind & 3) === IN_ELEMENT ? this.element : this.plain;
    const base = words[at + BASE];
    m.index = null;
    m.label = null;
    if (base === POOL) {
      m.base = null;
      m.disp = 0;
      m.label = this.constants[words[at + DISP]];
    } else if (base === FRAME) {
      const disp = words[at + DISP];
      m.base = rsp;
      m.disp = disp >= 0 ? disp : this.frameWord(-1 - disp);
    } else {
      m.base = gpr64(this.registers[base]);
      m.disp = words[at + DISP];
      const index = words[at + INDEX];
      if (index >= 0) {
        m.index = gpr64(this.registers[index]);
        m.scale = SCALES[kind >> 2];
      }
    }
    return m as Mem;
  }

  private frameWord(n: number): number {
    return this.wordsAt + 8 * n;
  }

  // ── operations that are more than a row of the table ──

  private fma(at: number): void {
    const { asm } = this;
    const [d, a, c] = [this.register(at, D), this.register(at, A), this.register(at, C)];
    const [vd, va] = [this.v(at, D), this.v(at, A)];
    const b = this.vb(at);
    const scalar = this.words[at + WIDTH] === 0;
    if (d === c) {
      if (scalar) asm.vfmadd231ss(vd, va, b);
      else asm.vfmadd231ps(vd, va, b);
    } else if (d === a) {
      const vc = this.v(at, C); // d · b + c
      if (scalar) asm.vfmadd132ss(vd, vc, b);
      else asm.vfmadd132ps(vd, vc, b);
    } else if ((this.words[at + MEM] & 3) === IN_REGISTER && d === this.register(at, B)) {
      const vc = this.v(at, C); // a · d + c
      if (scalar) asm.vfmadd213ss(vd, va, vc);
      else asm.vfmadd213ps(vd, va, vc);
    } else {
      asm.vmovaps(vd, this.v(at, C));
      if (scalar) asm.vfmadd231ss(vd, va, b);
      else asm.vfmadd231ps(vd, va, b);
    }
  }

  /** a · c + b */
  fmaFrom(at: number): void {
    const { asm } = this;
    const [d, a, c] = [this.register(at, D), this.register(at, A), this.register(at, C)];
    const [vd, va, vc] = [this.v(at, D), this.v(at, A), this.v(at, C)];
    let factor = vc;
    if (d === c) factor = va;
    else if (d !== a) asm.vmovaps(vd, va);
    if (this.words[at + WIDTH] === 0) asm.vfmadd213ss(vd, factor, this.vb(at));
    else asm.vfmadd213ps(vd, factor, this.vb(at));
  }

  /** d = a OP b, where x86 says d OP= b. */
  twoAddress(at: number, name: 'add' | 'sub' | 'and' | 'or' | 'xor'): void {
    const { asm } = this;
    const [d, a] = [this.g32(at, D), this.g32(at, A)];
    if (this.isImmediate(at)) {
      const imm = this.word(at, IMM);
      if (d === a) asm[name](d, imm);
      else if ((name === 'add' || name === 'sub') && imm !== -(2 ** 31)) {
        asm.lea(d, mem(this.g64(at, A), name === 'add' ? imm : -imm));
      } else {
        asm.mov(d, a);
        asm[name](d, imm);
      }
      return;
    }
    const b = this.gb(at);
    if (d === a) {
      asm[name](d, b as Gpr);
      return;
    }
    if (d !== b) {
      asm.mov(d, a);
      asm[name](d, b as Gpr);
      return;
    }
    if (name === 'sub') {
      asm.neg(d);
      asm.add(d, a);
    } else asm[name](d, a);
  }

  multiply(at: number): void {
    const { asm } = this;
    const [d, a] = [this.g32(at, D), this.g32(at, A)];
    if (this.isImmediate(at)) {
      asm.imul(d, a, this.word(at, IMM));
      return;
    }
    const b = this.gb(at);
    if (d === b) asm.imul(d, a);
    else {
      if (d !== a) asm.mov(d, a);
      asm.imul(d, b);
    }
  }

  multiply64(at: number): void {
    const { asm } = this;
    const [d, a, b] = [this.g64(at, D), this.g64(at, A), this.g64(at, B)];
    if (d === b) asm.imul(d, a);
    else {
      if (d !== a) asm.mov(d, a);
      asm.imul(d, b);
    }
  }

  shift(at: number, name: 'shl' | 'shr' | 'sar', wide: boolean): void {
    const [d, a] = wide ? [this.g64(at, D), this.g64(at, A)] : [this.g32(at, D), this.g32(at, A)];
    if (d !== a) this.asm.mov(d, a);
    if (this.word(at, IMM) > 0) this.asm[name](d, this.word(at, IMM));
  }

  compare(at: number): void {
    const { asm } = this;
    const a = this.g32(at, A);
    if (!this.isImmediate(at)) asm.cmp(a, this.gb(at) as Gpr);
    else if (this.word(at, IMM) === 0) asm.test(a, a);
    else asm.cmp(a, this.word(at, IMM));
  }

  extreme(at: number, over: Condition): void {
    const { asm } = this;
    const [d, a, b] = [this.g32(at, D), this.g32(at, A), this.g32(at, B)];
    const other = d === b ? a : b;
    if (d !== b && d !== a) asm.mov(d, a);
    asm.cmp(d, other);
    asm.cmovcc(over, d, other);
  }

  select(at: number): void {
    const { asm } = this;
    const [d, a, b, c] = [this.g64(at, D), this.g64(at, A), this.g64(at, B), this.g32(at, C)];
    asm.test(c, c);
    if (d === b) asm.cmovcc('ne', d, a);
    else {
      if (d !== a) asm.mov(d, a);
      asm.cmovcc('e', d, b);
    }
  }

  lea(at: number): void {
    const { asm } = this;
    const d = this.g64(at, D);
    const m = this.m(at);
    if (m.index === null) {
      if (m.disp === 0) {
        if (m.base !== d) asm.mov(d, m.base as Gpr);
      } else if (m.base === d) asm.add(d, m.disp);
      else asm.lea(d, m);
    } else if (m.disp === 0 && m.scale === 1 && m.base === d) asm.add(d, m.index);
    else asm.lea(d, m);
  }

  /** idiv faults on a zero divisor and on INT_MIN / -1: both are asked about before. what it needs waits in the frame. */
  divide(at: number, remainder: boolean): void {
    const { asm } = this;
    const [d, a, b] = [this.g32(at, D), this.g32(at, A), this.g32(at, B)];
    const frame = Array.from({ length: DIVISION_WORDS }, (_, i) => mem(rsp, this.frameWord(this.code.frameWords + i)));
    const divides = asm.label();
    const done = asm.label();
    asm.test(b, b);
    asm.jcc('e', this.trap);
    asm.cmp(b, -1);
    asm.jcc('ne', divides);
    if (remainder) asm.xor(d, d);
    else {
      if (d !== a) asm.mov(d, a);
      asm.neg(d);
      asm.jcc('o', this.trap);
    }
    asm.jmp(done);
    asm.bind(divides);
    const saved = [rax, rdx, rcx];
    for (const [i, r] of saved.entries()) asm.mov(frame[i], r);
    asm.mov(frame[3], gpr64(a.id));
    asm.mov(frame[4], gpr64(b.id));
    asm.mov(eax, frame[3]);
    asm.mov(ecx, frame[4]);
    asm.cdq();
    asm.idiv(ecx);
    asm.mov(frame[3], remainder ? rdx : rax);
    for (const [i, r] of saved.entries()) asm.mov(r, frame[i]);
    asm.mov(gpr64(d.id), frame[3]);
    asm.bind(done);
  }

  set(at: number): void {
    this.compare(at);
    const d = this.g32(at, D);
    this.asm.setcc(this.condition(at), d);
    this.asm.movzx8(d, d);
  }

  /** A scalar or a vector instruction by the width. */
  either(at: number, scalar: 'vaddss', vector: 'vaddps'): void {
    const { asm } = this;
    if (this.word(at, WIDTH) === 0) asm[scalar](this.v(at, D), this.v(at, A), this.vb(at));
    else asm[vector](this.v(at, D), this.v(at, A), this.vb(at));
  }

  /** What a scalar instruction of one operand takes the upper lanes from: anything. */
  upper(at: number): Vec {
    return (this.word(at, MEM) & 3) === IN_REGISTER ? this.v(at, B) : this.v(at, D);
  }

  quarter(at: number): void {
    const { asm } = this;
    const [d, a, part] = [this.x(at, D), this.v(at, A), this.word(at, IMM)];
    if (part === 0) asm.vmovaps(d, xmm(a.id));
    else if (this.avx512) asm.vextractf32x4(d, a, part);
    else asm.vextractf128(d, a, part);
  }
}

/** Rows of the same shape: three vectors, the scalar form beside the packed one. */
const either =
  (scalar: string, vector: string): Emit =>
  (e, at) =>
    e.either(at, scalar as 'vaddss', vector as 'vaddps');
const packed =
  (name: string): Emit =>
  (e, at) =>
    e.asm[name as 'vpaddd'](e.v(at, D), e.v(at, A), e.vb(at));
const shifted =
  (name: 'vpslld' | 'vpsrad' | 'vpsrld' | 'vpsrlq'): Emit =>
  (e, at) =>
    e.asm[name](e.v(at, D), e.v(at, A), e.word(at, IMM));
const bits =
  (name: string): Emit =>
  (e, at) => {
    const width = Math.max(1, e.word(at, WIDTH));
    const [d, a] = [VECTORS[width](e.register(at, D)), VECTORS[width](e.register(at, A))];
    const b = (e.word(at, MEM) & 3) === IN_REGISTER ? VECTORS[width](e.register(at, B)) : e.m(at);
    e.asm[name as 'vandps'](d, a, b);
  };
const converted =
  (name: 'vcvtdq2ps' | 'vcvttps2dq' | 'vcvtudq2ps'): Emit =>
  (e, at) =>
    e.asm[name](e.v(at, D), e.vb(at));

const EMIT: Readonly<Record<keyof typeof M, Emit>> = {
  entry: () => {},
  label: (e, at) => e.asm.bind(e.label(e.word(at, EXTRA))),
  loop: (e, at) => {
    if (e.word(at, WIDTH) === 1) e.asm.align(LOOP_ALIGN);
    e.asm.bind(e.label(e.word(at, EXTRA)));
  },
  back: (e, at) => {
    e.compare(at);
    e.asm.jcc(e.condition(at), e.label(e.word(at, EXTRA)));
  },
  jump: (e, at) => e.asm.jmp(e.label(e.word(at, EXTRA))),
  jumpIf: (e, at) => {
    e.compare(at);
    e.asm.jcc(e.condition(at), e.label(e.word(at, EXTRA)));
  },

  gmov: (e, at) => {
    const [d, a] = [e.g64(at, D), e.g64(at, A)];
    if (d !== a) e.asm.mov(d, a);
  },
  gimm: (e, at) => {
    const d = e.g32(at, D);
    if (e.word(at, IMM) === 0) e.asm.xor(d, d);
    else e.asm.mov(d, e.word(at, IMM));
  },
  gadd: (e, at) => e.twoAddress(at, 'add'),
  gsub: (e, at) => e.twoAddress(at, 'sub'),
  gand: (e, at) => e.twoAddress(at, 'and'),
  gor: (e, at) => e.twoAddress(at, 'or'),
  gxor: (e, at) => e.twoAddress(at, 'xor'),
  gmul: (e, at) => e.multiply(at),
  gmul64: (e, at) => e.multiply64(at),
  gshl: (e, at) => e.shift(at, 'shl', false),
  gshr: (e, at) => e.shift(at, 'sar', false),
  gshrU: (e, at) => e.shift(at, 'shr', false),
  gshr64: (e, at) => e.shift(at, 'sar', true),
  gshrU64: (e, at) => e.shift(at, 'shr', true),
  gneg: (e, at) => {
    const [d, a] = [e.g32(at, D), e.g32(at, A)];
    if (d !== a) e.asm.mov(d, a);
    e.asm.neg(d);
  },
  gset: (e, at) => e.set(at),
  gmin: (e, at) => e.extreme(at, 'g'),
  gmax: (e, at) => e.extreme(at, 'l'),
  gselect: (e, at) => e.select(at),
  gdiv: (e, at) => e.divide(at, false),
  grem: (e, at) => e.divide(at, true),
  lea: (e, at) => e.lea(at),
  movsxd: (e, at) => e.asm.movsxd(e.g64(at, D), e.g32(at, A)),
  gload: (e, at) => e.asm.mov(e.g32(at, D), e.m(at)),
  gload8: (e, at) => e.asm.movzx8(e.g32(at, D), e.m(at)),
  gload64: (e, at) => e.asm.mov(e.g64(at, D), e.m(at)),
  gstore: (e, at) => {
    if (e.word(at, A) < 0) e.asm.mov32(e.m(at), e.word(at, IMM));
    else e.asm.mov(e.m(at), e.g32(at, A));
  },
  gstore8: (e, at) => {
    if (e.word(at, A) < 0) e.asm.mov8(e.m(at), (e.word(at, IMM) << 24) >> 24);
    else e.asm.mov8(e.m(at), e.g32(at, A));
  },
  gstore64: (e, at) => e.asm.mov(e.m(at), e.g64(at, A)),
  prefetch: (e, at) => {
    const level = e.word(at, IMM);
    if (level === 0) e.asm.prefetcht0(e.m(at));
    else if (level === 1) e.asm.prefetcht1(e.m(at));
    else e.asm.prefetcht2(e.m(at));
  },

  gfromv: (e, at) => e.asm.vmovd(e.g32(at, D), e.x(at, A)),
  vfromg: (e, at) => e.asm.vmovd(e.x(at, D), e.g32(at, A)),
  vsplatg: (e, at) => e.asm.vpbroadcastd(e.v(at, D), e.g32(at, A)),
  cvtg: (e, at) => {
    const d = e.x(at, D);
    e.asm.vxorps(d, d, d); // the upper lanes come from somewhere: do not wait for it
    e.asm.vcvtsi2ss(d, d, e.g32(at, A));
  },
  cvtg64: (e, at) => {
    const d = e.x(at, D);
    e.asm.vxorps(d, d, d);
    e.asm.vcvtsi2ss(d, d, e.g64(at, A));
  },
  gfromk: (e, at) => e.asm.kmovw(e.g32(at, D), e.k(at, A)),
  vfromk: (e, at) => e.asm.vpmovm2d(e.v(at, D), e.k(at, A)),
  kfromv: (e, at) => e.asm.vpmovd2m(e.k(at, D), e.v(at, A)),

  vmov: (e, at) => {
    if (e.register(at, D) !== e.register(at, A)) e.asm.vmovaps(e.v(at, D), e.v(at, A));
  },
  vzero: (e, at) => {
    const d = e.x(at, D);
    e.asm.vxorps(d, d, d);
  },
  vones: (e, at) => {
    const d = e.v(at, D);
    if (e.avx512) e.asm.vpternlogd(d, d, d, 0xff);
    else e.asm.vpcmpeqd(d, d, d);
  },
  vload: (e, at) => {
    if (e.word(at, WIDTH) === 0) e.asm.vmovss(e.v(at, D), e.m(at));
    else e.asm.vmovups(e.v(at, D), e.m(at));
  },
  vstore: (e, at) => {
    if (e.word(at, WIDTH) === 0) e.asm.vmovss(e.m(at), e.v(at, A));
    else if (e.word(at, IMM) === 1) e.asm.vmovntps(e.m(at), e.v(at, A));
    else e.asm.vmovups(e.m(at), e.v(at, A));
  },
  vbroadcast: (e, at) => e.asm.vbroadcastss(e.v(at, D), e.m(at)),
  vsplat: (e, at) => e.asm.vbroadcastss(e.v(at, D), e.x(at, A)),
  vadd: either('vaddss', 'vaddps'),
  vsub: either('vsubss', 'vsubps'),
  vmul: either('vmulss', 'vmulps'),
  vdiv: either('vdivss', 'vdivps'),
  vmin: either('vminss', 'vminps'),
  vmax: either('vmaxss', 'vmaxps'),
  vsqrt: (e, at) => {
    if (e.word(at, WIDTH) === 0) e.asm.vsqrtss(e.v(at, D), e.upper(at), e.vb(at));
    else e.asm.vsqrtps(e.v(at, D), e.vb(at));
  },
  vand: bits('vandps'),
  vandn: bits('vandnps'),
  vor: bits('vorps'),
  vxor: bits('vxorps'),
  vround: (e, at) => {
    const mode = ROUNDINGS[e.word(at, IMM)];
    const [d, b] = [e.v(at, D), e.vb(at)];
    if (e.word(at, WIDTH) === 0) {
      if (e.avx512) e.asm.vrndscaless(d, e.upper(at), b, mode);
      else e.asm.vroundss(d, e.upper(at), b, mode);
    } else if (e.avx512) e.asm.vrndscaleps(d, b, mode);
    else e.asm.vroundps(d, b, mode);
  },
  vcmp: (e, at) => {
    if (e.word(at, WIDTH) === 0) e.asm.vcmpss(e.v(at, D), e.v(at, A), e.vb(at), e.word(at, IMM));
    else e.asm.vcmpps(e.v(at, D), e.v(at, A), e.vb(at), e.word(at, IMM));
  },
  fma: () => invariant(false, 'emit: fma goes its own way'),
  fmaFrom: (e, at) => e.fmaFrom(at),
  padd: packed('vpaddd'),
  psub: packed('vpsubd'),
  pmul: packed('vpmulld'),
  pmin: packed('vpminsd'),
  pmax: packed('vpmaxsd'),
  pmaxU: packed('vpmaxud'),
  pmulU: packed('vpmuludq'),
  peq: packed('vpcmpeqd'),
  pgt: packed('vpcmpgtd'),
  pshl: shifted('vpslld'),
  pshr: shifted('vpsrad'),
  pshrU: shifted('vpsrld'),
  pshrU64: shifted('vpsrlq'),
  pblend: (e, at) => e.asm.vpblendd(e.v(at, D), e.v(at, A), e.vb(at), e.word(at, IMM)),
  pnot: (e, at) => {
    const a = e.v(at, A);
    e.asm.vpternlogd(e.v(at, D), a, a, 0x55);
  },
  pmerge: (e, at) => {
    // c | a & b: the destination must be c
    const [d, a, c] = [e.v(at, D), e.v(at, A), e.v(at, C)];
    if (d === a && d !== c) {
      e.asm.vpternlogd(d, c, e.m(at), 0xec); // d & m | c
      return;
    }
    if (d !== c) e.asm.vmovaps(d, c);
    e.asm.vpternlogd(d, a, e.m(at), 0xf8);
  },
  vselect: (e, at) => {
    e.asm.vblendvps(e.v(at, D), e.v(at, A), e.vb(at), e.v(at, C));
  },
  vtoI: converted('vcvttps2dq'),
  vtoF: converted('vcvtdq2ps'),
  vtoFU: converted('vcvtudq2ps'),
  vrange: (e, at) => {
    const width = Math.max(1, e.word(at, WIDTH));
    const b = (e.word(at, MEM) & 3) === IN_REGISTER ? VECTORS[width](e.register(at, B)) : e.m(at);
    e.asm.vrangeps(VECTORS[width](e.register(at, D)), VECTORS[width](e.register(at, A)), b, 5); // the larger, with its own sign
  },

  kcmp: (e, at) => {
    if (e.word(at, WIDTH) === 0) e.asm.vcmpss(e.k(at, D), e.v(at, A), e.vb(at), e.word(at, IMM));
    else e.asm.vcmpps(e.k(at, D), e.v(at, A), e.vb(at), e.word(at, IMM));
  },
  kpcmp: (e, at) => e.asm.vpcmpd(e.k(at, D), e.v(at, A), e.vb(at), e.word(at, IMM)),
  kpcmpU: (e, at) => e.asm.vpcmpud(e.k(at, D), e.v(at, A), e.vb(at), e.word(at, IMM)),
  kand: (e, at) => e.asm.kandw(e.k(at, D), e.k(at, A), e.k(at, B)),
  kor: (e, at) => e.asm.korw(e.k(at, D), e.k(at, A), e.k(at, B)),
  kxor: (e, at) => e.asm.kxorw(e.k(at, D), e.k(at, A), e.k(at, B)),
  knot: (e, at) => e.asm.knotw(e.k(at, D), e.k(at, A)),
  kselect: (e, at) => e.asm.vblendmps(e.v(at, D), e.v(at, A), e.vb(at), MASKED[e.register(at, C)]),
  kzero: (e, at) => e.asm.vmovups(e.v(at, D), e.vb(at), ZEROING[e.register(at, C)]),
  kload: (e, at) => e.asm.kmovw(e.k(at, D), e.m(at)),
  kstore: (e, at) => e.asm.kmovw(e.m(at), e.k(at, A)),

  quarter: (e, at) => e.quarter(at),
  upperHalf: (e, at) => e.asm.vextractf64x4(ymm(e.register(at, D)), e.v(at, A), 1),
  setQuarter: (e, at) => {
    const [d, a, b] = [e.v(at, D), e.v(at, A), e.x(at, B)];
    if (e.avx512) e.asm.vinsertf32x4(d, a, b, e.word(at, IMM));
    else e.asm.vinsertf128(d, a, b, e.word(at, IMM));
  },
  setUpperHalf: (e, at) => e.asm.vinsertf64x4(e.v(at, D), e.v(at, A), ymm(e.register(at, B)), 1),
  setLaneF: (e, at) => e.asm.vinsertps(e.x(at, D), e.x(at, A), e.vb(at), e.word(at, IMM) << 4),
  setLaneI: (e, at) => e.asm.vpinsrd(e.x(at, D), e.x(at, A), e.gb(at), e.word(at, IMM)),
  laneI: (e, at) => e.asm.vpextrd(e.g32(at, D), e.x(at, A), e.word(at, IMM)),
  permute: (e, at) => e.asm.vpermilps(e.v(at, D), e.v(at, A), e.word(at, IMM)),
  bytesIn: (e, at) => e.asm.vpmovzxbd(e.v(at, D), e.m(at)),
  bytesOut: (e, at) => e.asm.vpmovdb(e.m(at), e.v(at, A)),
  packWords: (e, at) => e.asm.vpackusdw(e.x(at, D), e.x(at, A), e.x(at, B)),
  packBytes: (e, at) => e.asm.vpackuswb(e.x(at, D), e.x(at, A), e.x(at, B)),
  storeLow: (e, at) => {
    if (e.word(at, IMM) === 8) e.asm.vmovq(e.m(at), e.x(at, A));
    else e.asm.vmovd(e.m(at), e.x(at, A));
  },
};

const MASKED = Array.from({ length: 8 }, (_, i) => ({ mask: k(i) }));
const ZEROING = Array.from({ length: 8 }, (_, i) => ({ mask: k(i), zero: true }));

const TABLE: Emit[] = [];
for (const [name, op] of Object.entries(M)) TABLE[op] = EMIT[name as keyof typeof M];
void IN_MEMORY;

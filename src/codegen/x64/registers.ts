/**
 * What an x86-64 instruction works on: registers, memory, labels. Each operand has a `kind`, one bit that says class and width, so
 * that the encoder checks a whole instruction with a few ands. Registers are shared objects: `rax`, `ymm(3)`, `k(1)`.
 */
import { InvariantError } from '../../util/errors.js';

export const KIND = {
  gpr32: 1,
  gpr64: 2,
  xmm: 4,
  ymm: 8,
  zmm: 16,
  mask: 32,
  mem: 64,
  broadcast: 128,
  label: 256,
  imm: 512,
} as const;

/** A general register, or its lower half. Instructions for bytes and words take the 32-bit name of the register. */
export class Gpr {
  readonly kind: 1 | 2;
  constructor(
    readonly id: number,
    readonly bits: 32 | 64,
  ) {
    this.kind = bits === 64 ? KIND.gpr64 : KIND.gpr32;
  }
  toString(): string {
    const name = LEGACY_NAMES[this.id];
    if (this.bits === 64) return this.id < 8 ? `r${name}` : `r${this.id}`;
    return this.id < 8 ? `e${name}` : `r${this.id}d`;
  }
}

export class Vec {
  readonly kind: 4 | 8 | 16;
  constructor(
    readonly id: number,
    readonly bits: 128 | 256 | 512,
  ) {
    this.kind = bits === 512 ? KIND.zmm : bits === 256 ? KIND.ymm : KIND.xmm;
  }
  toString(): string {
    return `${this.bits === 512 ? 'z' : this.bits === 256 ? 'y' : 'x'}mm${this.id}`;
  }
}

/** One of AVX-512's mask registers. k0 holds values like the others, but as the mask of an instruction it means "no mask". */
export class Mask {
  readonly kind = KIND.mask;
  constructor(readonly id: number) {}
  toString(): string {
    return `k${this.id}`;
  }
}

/** A place in the code, known when it is bound. */
export class Label {
  readonly kind = KIND.label;
  /** Offset in bytes from the start of the code; −1 until bound. */
  at = -1;
  toString(): string {
    return this.at < 0 ? 'label' : `label@${this.at}`;
  }
}

/** base + index·scale + disp, or the address of a label. With `bcst` one element is read and repeated ({1to8}). */
export class Mem {
  readonly kind: 64 | 128;
  constructor(
    readonly base: Gpr | null,
    readonly index: Gpr | null,
    readonly scale: 1 | 2 | 4 | 8,
    readonly disp: number,
    readonly bcst: boolean,
    readonly label: Label | null,
  ) {
    this.kind = bcst ? KIND.broadcast : KIND.mem;
    if ((disp | 0) !== disp || (base !== null && base.kind !== KIND.gpr64))
      throw new InvariantError(`x64: ${this} is no address: it takes 64-bit registers and a 32-bit displacement`);
    if (index !== null && (index.id === 4 || index.kind !== KIND.gpr64))
      throw new InvariantError(`x64: ${this} is no address: the index is a 64-bit register other than rsp`);
  }
  toString(): string {
    const terms: string[] = [];
    if (this.label) terms.push(`rip+${this.label}`);
    if (this.base) terms.push(`${this.base}`);
    if (this.index) terms.push(`${this.index}*${this.scale}`);
    const sign = this.disp < 0 ? '-' : terms.length > 0 ? '+' : '';
    const disp = this.disp !== 0 || terms.length === 0 ? `${sign}0x${Math.abs(this.disp).toString(16)}` : '';
    return `[${terms.join('+')}${disp}]`;
  }
}

/** [base + disp] */
export const mem = (base: Gpr, disp = 0): Mem => new Mem(base, null, 1, disp, false, null);

/** [base + index·scale + disp]; without a base the address is index·scale + disp, cut to 32 signed bits of disp. */
export const memIndex = (base: Gpr | null, index: Gpr, scale: 1 | 2 | 4 | 8 = 1, disp = 0): Mem =>
  new Mem(base, index, scale, disp, false, null);

/** What lies at a label of the same code, `disp` bytes on. */
export const ripMem = (label: Label, disp = 0): Mem => new Mem(null, null, 1, disp, false, label);

/** The same address, read as one element for all lanes. */
export const bcst = (m: Mem): Mem => new Mem(m.base, m.index, m.scale, m.disp, true, m.label);

/** The three letters after r or e; the others have numbers. */
const LEGACY_NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

const GPR64 = Array.from({ length: 16 }, (_, id) => new Gpr(id, 64));
const GPR32 = Array.from({ length: 16 }, (_, id) => new Gpr(id, 32));
const XMM = Array.from({ length: 32 }, (_, id) => new Vec(id, 128));
const YMM = Array.from({ length: 32 }, (_, id) => new Vec(id, 256));
const ZMM = Array.from({ length: 32 }, (_, id) => new Vec(id, 512));
const MASKS = Array.from({ length: 8 }, (_, id) => new Mask(id));

export const gpr64 = (id: number): Gpr => GPR64[id];
export const gpr32 = (id: number): Gpr => GPR32[id];
export const xmm = (id: number): Vec => XMM[id];
export const ymm = (id: number): Vec => YMM[id];
export const zmm = (id: number): Vec => ZMM[id];
export const k = (id: number): Mask => MASKS[id];

export const [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = GPR64;
export const [eax, ecx, edx, ebx, esp, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d] = GPR32;

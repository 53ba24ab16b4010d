/**
 * Operands to bytes: legacy (REX), VEX and EVEX encodings of the rows in instructions.ts. An instruction costs a few ands over
 * the kinds of its operands and at most 15 byte stores, and allocates nothing.
 *
 * VEX is taken wherever it can say the instruction, as it is the shorter one; EVEX says the rest: zmm, registers 16–31, masks, broadcasts.
 */
import { InvariantError, invariant } from '../../util/errors.js';
import { type Gpr, KIND, type Label, type Mask, type Mem, type Vec } from './registers.js';
import {
  D,
  ENCODING,
  I,
  M,
  MI,
  MR,
  MRI,
  MVR,
  O,
  OI,
  PREFIX_BYTES,
  RM,
  RMI,
  type Row,
  RVM,
  RVMI,
  RVMR,
  VECTORS,
  VMI,
  ZO,
} from './row.js';

export type X64Level = 'avx2' | 'avx512';

export interface EncodeOptions {
  /** Lanes whose bit is 0 keep what the destination held, or become 0 with `zero`. */
  readonly mask?: Mask;
  readonly zero?: boolean;
  /** A jump forwards over at most 127 bytes. Backwards the short form is found by itself. */
  readonly short?: boolean;
}

export type Operand = Gpr | Vec | Mask | Mem | Label | number | bigint;

const MEMORY = KIND.mem | KIND.broadcast;

/** Immediates have a kind too; options and what is missing have 0. */
export function kindOf(x: Operand | EncodeOptions | undefined): number {
  if (typeof x === 'number' || typeof x === 'bigint') return KIND.imm;
  return x === undefined ? 0 : ((x as { kind?: number }).kind ?? 0);
}

/** Stands where a row has no operand. */
const NONE = 0;

/** Bytes of code, with the places where a label's distance goes. */
export class Encoder {
  protected bytes = new Uint8Array(4096);
  /** Bytes written so far: the offset of the next instruction. */
  length = 0;
  /** For each use of a label: where its distance is written, where that is counted from (the next instruction), and what is added. */
  protected readonly fixAt: number[] = [];
  protected readonly fixEnd: number[] = [];
  protected readonly fixDisp: number[] = [];
  protected readonly fixLabel: Label[] = [];

  constructor(readonly level: X64Level) {}

  /** Appends one instruction. Operands beyond the row's arity are ignored. */
  encode(
    row: Row,
    a: Operand = NONE,
    b: Operand = NONE,
    c: Operand = NONE,
    d: Operand = NONE,
    options?: EncodeOptions,
  ): void {
    const ka = kindOf(a);
    const kb = kindOf(b);
    const kc = kindOf(c);
    const kd = kindOf(d);
    const { arity } = row;
    if (
      (arity > 0 && (ka & row.allow0) === 0) ||
      (arity > 1 && (kb & row.allow1) === 0) ||
      (arity > 2 && (kc & row.allow2) === 0) ||
      (arity > 3 && (kd & row.allow3) === 0)
    )
      throw misfit(row, [a, b, c, d]);
    const agree = (ka & row.agree0) | (kb & row.agree1) | (kc & row.agree2) | (kd & row.agree3);
    if ((row.half >= 0 || (agree & (agree - 1)) !== 0) && !widthsAgree(row, agree, row.half === 0 ? ka : kb))
      throw misfit(row, [a, b, c, d]);
    if (this.length + 32 > this.bytes.length) this.grow(32);
    const all = ka | kb | kc;

    let reg = 0;
    let vvvv = 0;
    let rm = a;
    let imm: Operand = NONE;
    switch (row.form) {
      case RVM:
        reg = (a as Vec).id;
        vvvv = (b as Vec).id;
        rm = c;
        break;
      case RM:
        reg = (a as Vec).id;
        rm = b;
        break;
      case MR:
        reg = (b as Vec).id;
        break;
      case MI:
        reg = row.extension;
        imm = b;
        break;
      case RVMI:
        reg = (a as Vec).id;
        vvvv = (b as Vec).id;
        rm = c;
        imm = d;
        break;
      case RMI:
        reg = (a as Vec).id;
        rm = b;
        imm = c;
        break;
      case MRI:
        reg = (b as Vec).id;
        imm = c;
        break;
      case VMI:
        reg = row.extension;
        vvvv = (a as Vec).id;
        rm = b;
        imm = c;
        break;
      case RVMR:
        if ((d as Vec).id > 15) throw refusal(row, `has no EVEX form, which ${d} needs`);
        reg = (a as Vec).id;
        vvvv = (b as Vec).id;
        rm = c;
        imm = (d as Vec).id << 4;
        break;
      case MVR:
        reg = (c as Vec).id;
        vvvv = (b as Vec).id;
        break;
      case M:
        reg = row.extension;
        break;
      default:
        this.withoutModRM(row, a, b, options);
        return;
    }
    if (row.encodings === ENCODING.legacy) this.legacy(row, all, reg, rm as Gpr | Mem, imm as number);
    else this.vector(row, all, reg, vvvv, rm as Gpr | Vec | Mask | Mem, imm as number, options);
  }

  private withoutModRM(row: Row, a: Operand, b: Operand, options: EncodeOptions | undefined): void {
    const { bytes } = this;
    switch (row.form) {
      case D:
        this.relative(row, a as Label, options?.short ?? false);
        return;
      case OI:
        this.moveImmediate(row, a as Gpr, b as number | bigint);
        return;
      case O:
        if ((a as Gpr).id > 7) bytes[this.length++] = 0x41;
        bytes[this.length++] = row.opcode | ((a as Gpr).id & 7);
        return;
      case I: {
        const short = isSignedByte(a as number);
        bytes[this.length++] = short ? row.opcode | 2 : row.opcode;
        this.immediate(row, a as number, short ? 1 : 4, true);
        return;
      }
      default:
        invariant(row.form === ZO, () => `${row.name}: no such form`);
        this.zeroOperands(row);
    }
  }

  private legacy(row: Row, all: number, reg: number, rm: Gpr | Mem, imm: number): void {
    const { bytes } = this;
    const w = row.wByGpr ? (all & KIND.gpr64) >> 1 : row.wVex;
    const isMemory = (rm.kind & MEMORY) !== 0;
    let opcode = row.opcode;
    let size = row.immBytes;
    if (size === 4) {
      if (row.shortImm && isSignedByte(w === 0 && imm >>> 0 === imm ? imm | 0 : imm)) {
        opcode |= 2;
        size = 1;
      } else if (row.accumulator !== 0 && !isMemory && (rm as Gpr).id === 0) {
        if (w) bytes[this.length++] = 0x48;
        bytes[this.length++] = row.accumulator;
        this.immediate(row, imm, 4, w === 1);
        return;
      }
    } else if (row.shift && imm === 1) {
      opcode |= 0x10;
      size = 0;
    }
    let rex = (w << 3) | ((reg >> 3) << 2);
    if (isMemory) {
      const { base, index } = rm as Mem;
      if (base !== null) rex |= base.id >> 3;
      if (index !== null) rex |= (index.id >> 3) << 1;
      if (row.byte === 1 && row.form === MR && reg > 3) rex |= 0x40; // sil, not dh
    } else {
      rex |= (rm as Gpr).id >> 3;
      if (row.byte >= 0 && (rm as Gpr).id > 3) rex |= 0x40;
    }
    if (row.lock) bytes[this.length++] = 0xf0;
    if (row.prefix !== 0) bytes[this.length++] = PREFIX_BYTES[row.prefix];
    if (rex !== 0) bytes[this.length++] = 0x40 | rex;
    this.escapeAndOpcode(row, opcode);
    if (isMemory) this.memory(reg, rm as Mem, 0, size);
    else bytes[this.length++] = 0xc0 | ((reg & 7) << 3) | ((rm as Gpr).id & 7);
    if (size !== 0) this.immediate(row, imm, size, w === 1);
  }

  private vector(
    row: Row,
    all: number,
    reg: number,
    vvvv: number,
    rm: Gpr | Vec | Mask | Mem,
    imm: number,
    options: EncodeOptions | undefined,
  ): void {
    const { bytes } = this;
    const { immBytes } = row;
    let at = this.length;
    const isMemory = (rm.kind & MEMORY) !== 0;
    const length = row.l | ((all & KIND.zmm) !== 0 ? 2 : (all & KIND.ymm) !== 0 ? 1 : 0);
    const rmId = isMemory ? 0 : (rm as Vec).id;
    const byGpr = row.wByGpr && (all & KIND.gpr64) !== 0;
    let b = 0; // the extensions of base and index
    let x = 0;
    if (isMemory) {
      const { base, index } = rm as Mem;
      if (base !== null) b = base.id >> 3;
      if (index !== null) x = index.id >> 3;
    } else {
      b = (rmId >> 3) & 1;
      x = rmId >> 4;
    }
    const mask = options?.mask;
    const evex =
      row.encodings === ENCODING.evex ||
      length === 2 ||
      reg > 15 ||
      vvvv > 15 ||
      rmId > 15 ||
      rm.kind === KIND.broadcast ||
      mask !== undefined;
    if (options !== undefined) checkOptions(row, options, (row.form === MR || row.form === MRI) && isMemory);
    if (evex || row.needs512) {
      const target512 = this.level === 'avx512' && (!evex || (row.encodings & ENCODING.evex) !== 0);
      if (!target512) throw this.notOnTarget(row, length, reg, vvvv, rm, mask);
    }
    if (evex) {
      const w = byGpr ? 1 : row.wEvex;
      const broadcast = rm.kind === KIND.broadcast ? 0x10 : 0;
      const aaa = mask === undefined ? 0 : options!.zero ? 0x80 | mask.id : mask.id;
      bytes[at++] = 0x62;
      bytes[at++] = 0xf0 ^ ((reg & 8) << 4) ^ (x << 6) ^ (b << 5) ^ (reg & 16) ^ row.escape;
      bytes[at++] = 0x7c ^ (w << 7) ^ ((vvvv & 15) << 3) ^ row.prefix;
      bytes[at++] = aaa | (length << 5) | broadcast | ((~vvvv & 16) >> 1);
      bytes[at++] = row.opcode;
      this.length = at;
      if (isMemory) {
        const unit = broadcast !== 0 ? 2 + w : row.unitByLength ? row.unit + length : row.unit;
        this.memory(reg, rm as Mem, unit, immBytes);
      } else bytes[this.length++] = 0xc0 | ((reg & 7) << 3) | (rmId & 7);
      if (immBytes !== 0) this.immediate(row, imm, 1, false);
      return;
    }
    const w = byGpr ? 1 : row.wVex;
    if (b === 1 && row.reverse !== 0 && reg < 8 && !isMemory) {
      // Only ModRM.reg reaches xmm8 without a third byte of VEX.
      bytes[at++] = 0xc5;
      bytes[at++] = 0x78 | (length << 2) | row.prefix;
      bytes[at++] = row.reverse;
      bytes[at++] = 0xc0 | ((rmId & 7) << 3) | reg;
      this.length = at;
      return;
    }
    const last = ((~vvvv & 15) << 3) | (length << 2) | row.prefix;
    if ((x | b | w) === 0 && row.escape === 1) {
      bytes[at++] = 0xc5;
      bytes[at++] = ((~reg & 8) << 4) | last;
    } else {
      bytes[at++] = 0xc4;
      bytes[at++] = 0xe0 ^ ((reg >> 3) << 7) ^ (x << 6) ^ (b << 5) ^ row.escape;
      bytes[at++] = (w << 7) | last;
    }
    bytes[at++] = row.opcode;
    this.length = at;
    if (isMemory) this.memory(reg, rm as Mem, 0, immBytes);
    else bytes[this.length++] = 0xc0 | ((reg & 7) << 3) | (rmId & 7);
    if (immBytes !== 0) this.immediate(row, imm, 1, false);
  }

  /** ModRM, SIB and displacement. A displacement of 8 bits counts units of 2^unit bytes; `after` bytes of the instruction follow. */
  private memory(reg: number, m: Mem, unit: number, after: number): void {
    const { bytes } = this;
    const field = (reg & 7) << 3;
    const { base, index, disp } = m;
    if (base === null) {
      if (m.label !== null) {
        bytes[this.length++] = field | 5;
        this.fix(m.label, disp, this.length + 4 + after);
        this.length += 4;
        return;
      }
      bytes[this.length++] = field | 4;
      bytes[this.length++] = index === null ? 0x25 : (SCALES[m.scale] << 6) | ((index.id & 7) << 3) | 5;
      this.int32(disp);
      return;
    }
    const low = base.id & 7;
    const short = disp >> unit;
    const mod = disp === 0 && low !== 5 ? 0 : short << unit === disp && short >= -128 && short <= 127 ? 0x40 : 0x80;
    if (index !== null) {
      bytes[this.length++] = mod | field | 4;
      bytes[this.length++] = (SCALES[m.scale] << 6) | ((index.id & 7) << 3) | low;
    } else {
      bytes[this.length++] = mod | field | low;
      if (low === 4) bytes[this.length++] = 0x24; // rsp and r12 mean "a SIB follows"
    }
    if (mod === 0x40) bytes[this.length++] = short;
    else if (mod === 0x80) this.int32(disp);
  }

  private zeroOperands(row: Row): void {
    const { bytes } = this;
    if (row.encodings === ENCODING.vex) {
      bytes[this.length++] = 0xc5;
      bytes[this.length++] = 0xf8 | (row.l << 2) | row.prefix;
      bytes[this.length++] = row.opcode;
      return;
    }
    if (row.prefix !== 0) bytes[this.length++] = PREFIX_BYTES[row.prefix];
    if (row.wVex) bytes[this.length++] = 0x48;
    this.escapeAndOpcode(row, row.opcode);
  }

  private escapeAndOpcode(row: Row, opcode: number): void {
    if (row.escape !== 0) this.bytes[this.length++] = 0x0f;
    if (row.escape > 1) this.bytes[this.length++] = row.escape === 2 ? 0x38 : 0x3a;
    if (opcode > 0xff) this.bytes[this.length++] = opcode >> 8;
    this.bytes[this.length++] = opcode;
  }

  /** The shortest of: 32 bits zero-extended, 32 bits sign-extended, 64 bits. */
  private moveImmediate(row: Row, to: Gpr, value: number | bigint): void {
    const { bytes } = this;
    const n = Number(value);
    invariant(
      typeof value === 'bigint'
        ? value === BigInt.asIntN(64, value) || value === BigInt.asUintN(64, value)
        : Number.isSafeInteger(n),
      () => `${row.name}: immediate ${value} is no integer of 64 bits`,
    );
    if (to.bits === 32 || (n >= 0 && n <= 0xffffffff)) {
      if (to.id > 7) bytes[this.length++] = 0x41;
      bytes[this.length++] = row.opcode | (to.id & 7);
      this.immediate(row, n, 4, false);
    } else if (n < 0 && n >= -0x80000000) {
      bytes[this.length++] = 0x48 | (to.id >> 3);
      bytes[this.length++] = 0xc7;
      bytes[this.length++] = 0xc0 | (to.id & 7);
      this.int32(n);
    } else {
      bytes[this.length++] = 0x48 | (to.id >> 3);
      bytes[this.length++] = row.opcode | (to.id & 7);
      const whole = BigInt(value);
      this.int32(Number(BigInt.asIntN(32, whole)));
      this.int32(Number(BigInt.asIntN(32, whole >> 32n)));
    }
  }

  /** Jumps and calls: 8 bits where the label is known to be near, else 32. */
  private relative(row: Row, label: Label, short: boolean): void {
    const { bytes } = this;
    const canShort = row.opcode !== 0xe8;
    const near = canShort && (short || (label.at >= 0 && label.at - (this.length + 2) >= -128));
    if (near) {
      bytes[this.length++] = row.escape === 1 ? row.opcode - 0x10 : row.opcode | 2;
      this.fix(label, 0, this.length + 1);
      this.length++;
      return;
    }
    this.escapeAndOpcode(row, row.opcode);
    this.fix(label, 0, this.length + 4);
    this.length += 4;
  }

  private fix(label: Label, disp: number, end: number): void {
    this.fixAt.push(this.length);
    this.fixEnd.push(end);
    this.fixDisp.push(disp);
    this.fixLabel.push(label);
  }

  private immediate(row: Row, imm: number, size: number, signed: boolean): void {
    checkImmediate(row, imm, size, signed);
    if (size === 1) this.bytes[this.length++] = imm;
    else this.int32(imm);
  }

  protected int32(n: number): void {
    const { bytes } = this;
    bytes[this.length++] = n;
    bytes[this.length++] = n >> 8;
    bytes[this.length++] = n >> 16;
    bytes[this.length++] = n >> 24;
  }

  protected append(bytes: ArrayLike<number>): void {
    if (this.length + bytes.length > this.bytes.length) this.grow(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Writes the distances to all labels. */
  protected resolve(): void {
    const { bytes, fixAt, fixEnd } = this;
    for (let i = 0; i < fixAt.length; i++) {
      const label = this.fixLabel[i];
      const at = fixAt[i];
      invariant(label.at >= 0, () => `x64: the label used at byte ${at} was never bound`);
      const distance = label.at + this.fixDisp[i] - fixEnd[i];
      if (fixEnd[i] === at + 1) {
        invariant(isSignedByte(distance), () => `x64: the short jump at byte ${at} goes ${distance} bytes`);
        bytes[at] = distance;
      } else {
        bytes[at] = distance;
        bytes[at + 1] = distance >> 8;
        bytes[at + 2] = distance >> 16;
        bytes[at + 3] = distance >> 24;
      }
    }
  }

  protected grow(room: number): void {
    const bigger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + room));
    bigger.set(this.bytes);
    this.bytes = bigger;
  }

  private notOnTarget(
    row: Row,
    length: number,
    reg: number,
    vvvv: number,
    rm: Gpr | Vec | Mask | Mem,
    mask: Mask | undefined,
  ): Error {
    const vector = (id: number) => `${'xyz'[length]}mm${id}`;
    const rmId = (rm.kind & VECTORS) !== 0 ? (rm as Vec).id : 0;
    const high = [reg, vvvv, rmId].find((id) => id > 15);
    let what = '';
    if (high !== undefined) what = vector(high);
    else if (length === 2) what = vector(row.form === VMI ? vvvv : reg);
    else if (rm.kind === KIND.broadcast) what = `broadcast ${rm}`;
    else if (mask !== undefined) what = `{${mask}}`;
    if (row.encodings === ENCODING.vex && !row.needs512) return refusal(row, `has no EVEX form, which ${what} needs`);
    const feature = length < 2 && row.unitByLength && !row.needs512 ? 'avx512vl' : row.insn.feature.split('|').at(-1);
    return refusal(row, `${row.needs512 || what === '' ? '' : `${what} `}needs ${feature}, target is ${this.level}`);
  }
}

const SCALES = [0, 0, 1, 0, 2, 0, 0, 0, 3];

const isSignedByte = (n: number) => (n | 0) === n && n >= -128 && n <= 127;

/** `agree`: the kinds of the operands that must be equally wide. */
function widthsAgree(row: Row, agree: number, half: number): boolean {
  if ((agree & (agree - 1)) !== 0) return false;
  return row.half < 0 || (half & VECTORS) === 0 || half === Math.max(agree >> 1, KIND.xmm);
}

function checkOptions(row: Row, { mask, zero }: EncodeOptions, store: boolean): void {
  if (mask === undefined) {
    if (zero) throw refusal(row, 'zero needs a mask');
    return;
  }
  if (!row.masked) throw refusal(row, 'takes no mask');
  if (mask.id === 0) throw refusal(row, 'k0 as a mask means no mask');
  if (zero && (store || row.allow0 === KIND.mask)) throw refusal(row, 'zeroing needs a vector as the destination');
}

function checkImmediate(row: Row, imm: number, size: number, signed: boolean): void {
  const fits =
    (imm | 0) === imm ? size === 4 || (imm >= -128 && imm <= 255) : size === 4 && !signed && imm >>> 0 === imm;
  if (!fits) throw refusal(row, `immediate ${imm} does not fit ${size === 1 ? 'a byte' : '32 bits'}`);
}

function refusal(row: Row, message: string): InvariantError {
  return new InvariantError(`${row.name}: ${message}`);
}

/** The error for operands that do not fit the row. */
function misfit(row: Row, operands: readonly Operand[]): InvariantError {
  const got = operands.slice(0, row.arity).join(', ');
  return refusal(row, `takes ${row.insn.operands}, all of one letter equally wide; got ${got}`);
}

/** Rows of the table as the encoder wants them: letters and names turned into small integers, once. */
import { invariant } from '../../util/errors.js';
import type { Insn, OpcodeMap, Tuple } from './instructions.js';
import { KIND } from './registers.js';

export const VECTORS = KIND.xmm | KIND.ymm | KIND.zmm;
const GENERAL = KIND.gpr32 | KIND.gpr64;
export const ENCODING = { legacy: 0, vex: 1, evex: 2 } as const;

const KINDS: Readonly<Record<string, number>> = {
  v: VECTORS,
  x: KIND.xmm,
  y: KIND.ymm,
  z: KIND.zmm,
  yz: KIND.ymm | KIND.zmm,
  h: KIND.xmm | KIND.ymm,
  k: KIND.mask,
  r: GENERAL,
  r32: KIND.gpr32,
  r64: KIND.gpr64,
  r8: GENERAL,
  r16: GENERAL,
  m: KIND.mem,
  i: KIND.imm,
  i8: KIND.imm,
  i32: KIND.imm,
  i64: KIND.imm,
  n8: KIND.imm,
  rel: KIND.label,
};

const FORMS = ['ZO', 'O', 'I', 'OI', 'D', 'M', 'MI', 'RM', 'MR', 'RMI', 'MRI', 'RVM', 'RVMI', 'RVMR', 'MVR', 'VMI'];
export const [ZO, O, I, OI, D, M, MI, RM, MR, RMI, MRI, RVM, RVMI, RVMR, MVR, VMI] = FORMS.keys();

/** A row ready for use. Slots are its operands: kinds allowed, and kinds of which at most one may occur in all slots together. */
export class Row {
  readonly arity: number;
  readonly form: number;
  readonly extension: number;
  readonly opcode: number;
  readonly escape: number;
  readonly prefix: number;
  readonly lock: boolean;
  readonly encodings: number;
  readonly needs512: boolean;
  readonly wVex: number;
  readonly wEvex: number;
  readonly wByGpr: boolean;
  readonly l: number;
  readonly masked: boolean;
  /** The bytes of an EVEX displacement's unit, log 2; `unitByLength` where they double with the vector. */
  readonly unit: number;
  readonly unitByLength: boolean;
  readonly allow0: number;
  readonly allow1: number;
  readonly allow2: number;
  readonly allow3: number;
  readonly agree0: number;
  readonly agree1: number;
  readonly agree2: number;
  readonly agree3: number;
  /** Which slot holds a vector half as wide as the others; −1 if none. */
  readonly half: number;
  /** Which slot holds a byte of a general register; −1 if none. */
  readonly byte: number;
  readonly immBytes: number;
  /** The immediate may be one byte, with bit 1 of the opcode set. */
  readonly shortImm: boolean;
  /** Opcode without ModRM for rax and an immediate of 4 bytes, or 0. */
  readonly accumulator: number;
  readonly shift: boolean;

  constructor(
    readonly name: string,
    readonly insn: Insn,
    /** Added to the opcode: the condition of a jump. */
    condition = 0,
    /** The opcode that moves the other way, rm to reg or reg to rm; 0 if none. */
    readonly reverse = 0,
  ) {
    const slots = insn.operands.split(', ').filter((slot) => slot !== '' && slot !== 'cc');
    const broadcast = insn.tuple === 'full' || insn.tuple === 'half' ? KIND.broadcast : 0;
    const named = (slot: string | undefined) => slot?.split('/') ?? [];
    const allow = (i: number) =>
      named(slots[i]).reduce((all, part) => all | KINDS[part] | (part === 'm' ? broadcast : 0), 0);
    const agree = (i: number) => {
      const part = named(slots[i])[0];
      return part === 'v' || part === 'yz' || part === 'r' ? KINDS[part] : 0;
    };
    const [form, extension = '/0'] = insn.form.split(' ');
    const [first, second] = insn.feature.split('|');
    const evex = second !== undefined || (first.startsWith('avx512') && insn.tuple !== 'vex');
    const vex = second !== undefined || (first !== 'base' && !evex);
    const imm = slots.find((slot) => KINDS[slot] === KIND.imm) ?? '';

    this.arity = slots.length;
    this.form = FORMS.indexOf(form);
    this.extension = Number(extension.slice(1));
    this.opcode = insn.opcode + condition;
    this.escape = ESCAPES[insn.map];
    this.prefix = PREFIX_BYTES.indexOf(insn.pp);
    this.lock = insn.details.lock ?? false;
    this.encodings = (vex ? ENCODING.vex : 0) | (evex ? ENCODING.evex : 0);
    this.needs512 = first.startsWith('avx512');
    this.wVex = insn.w === 1 ? 1 : 0;
    this.wEvex = insn.w === 1 || insn.w === '01' ? 1 : 0;
    this.wByGpr = insn.w === 'r';
    this.l = insn.details.l ?? 0;
    this.masked = insn.details.masked ?? evex;
    this.unit = tupleUnit(insn.tuple, this.wEvex);
    this.unitByLength = LENGTH_TUPLES.includes(insn.tuple);
    this.allow0 = allow(0);
    this.allow1 = allow(1);
    this.allow2 = allow(2);
    this.allow3 = allow(3);
    this.agree0 = agree(0);
    this.agree1 = agree(1);
    this.agree2 = agree(2);
    this.agree3 = agree(3);
    this.half = slots.findIndex((slot) => named(slot)[0] === 'h');
    this.byte = slots.findIndex((slot) => named(slot)[0] === 'r8');
    this.immBytes = imm === 'i8' || imm === 'n8' || form === 'RVMR' ? 1 : imm === '' ? 0 : 4;
    this.shortImm = imm === 'i';
    this.accumulator =
      form !== 'MI' || imm === 'i8' || slots[0] === 'm' ? 0 : accumulatorOpcode(insn.opcode, this.extension);
    this.shift = imm === 'n8';
    invariant(this.form >= 0 && slots.every((_, i) => allow(i) > 0), `x64: row ${name} is ill-formed`);
  }

  /** Whether operands of these kinds fit; what follows the last operand (options, nothing) has kind 0. */
  fits(a: number, b: number, c: number, d: number): boolean {
    const { arity } = this;
    return (
      (arity > 0 ? (a & this.allow0) !== 0 : a === 0) &&
      (arity > 1 ? (b & this.allow1) !== 0 : b === 0) &&
      (arity > 2 ? (c & this.allow2) !== 0 : c === 0) &&
      (arity > 3 ? (d & this.allow3) !== 0 : d === 0)
    );
  }
}

const ESCAPES: Readonly<Record<OpcodeMap, number>> = { '': 0, '0F': 1, '0F38': 2, '0F3A': 3 };
export const PREFIX_BYTES = [0, 0x66, 0xf3, 0xf2];
const LENGTH_TUPLES: readonly Tuple[] = ['full', 'fullmem', 'half', 'halfmem', 'quartermem'];

/** log 2 of the bytes at the least vector length. SDM vol. 2, tables 2-34 and 2-35. */
function tupleUnit(tuple: Tuple, w: number): number {
  switch (tuple) {
    case 'full':
    case 'fullmem':
    case 'mem128':
      return 4;
    case 'half':
    case 'halfmem':
      return 3;
    case 'quartermem':
      return 2;
    case 'scalar':
      return 2 + w;
    case 'scalar8':
      return 0;
    case 'scalar16':
      return 1;
    case 'scalar32':
      return 2;
    case 'scalar64':
      return 3;
    case 't2':
      return 3 + w;
    case 't4':
      return 4 + w;
    case 't8':
      return 5 + w;
    case '':
    case 'vex':
      return 0;
    default:
      return tuple satisfies never;
  }
}

function accumulatorOpcode(opcode: number, extension: number): number {
  if (opcode === 0x81) return extension * 8 + 5;
  return opcode === 0xf7 ? 0xa9 : 0;
}

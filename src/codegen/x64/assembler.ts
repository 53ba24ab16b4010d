/**
 * The assembler: one typed method for each instruction of the table, labels, constants beside the code, alignment.
 *
 *     const asm = new Assembler('avx512');
 *     const loop = asm.label();
 *     asm.bind(loop);
 *     asm.vfmadd231ps(zmm(0), zmm(1), mem(rsi, 64), { mask: k(1), zero: true });
 *     asm.sub(ecx, 1);
 *     asm.jcc('ne', loop);
 *     asm.vmovups(zmm(2), ripMem(asm.constant(bytes)));
 *     const code = asm.finish();
 *
 * Operands of the wrong class do not compile; widths that disagree and what the target lacks throw an InvariantError.
 */
import { InvariantError, invariant } from '../../util/errors.js';
import { type EncodeOptions, Encoder, kindOf, type Operand, type X64Level } from './encode.js';
import { INSTRUCTIONS, type Insn, type Mnemonic, rowsOf } from './instructions.js';
import { type Gpr, Label, type Mask, type Mem, type Vec } from './registers.js';
import { Row } from './row.js';

export type { EncodeOptions, X64Level } from './encode.js';

/** The condition codes by their number; synonyms behind. */
export const CONDITIONS = {
  o: 0,
  no: 1,
  b: 2,
  ae: 3,
  e: 4,
  ne: 5,
  be: 6,
  a: 7,
  s: 8,
  ns: 9,
  p: 10,
  np: 11,
  l: 12,
  ge: 13,
  le: 14,
  g: 15,
  c: 2,
  nc: 3,
  z: 4,
  nz: 5,
} as const;

export type Condition = keyof typeof CONDITIONS;

/** The classes of operands by the letters of the table. */
interface OperandTypes {
  v: Vec;
  x: Vec;
  y: Vec;
  z: Vec;
  yz: Vec;
  h: Vec;
  k: Mask;
  r: Gpr;
  r8: Gpr;
  r16: Gpr;
  r32: Gpr;
  r64: Gpr;
  m: Mem;
  i: number;
  i8: number;
  i32: number;
  i64: number | bigint;
  n8: number;
  rel: Label;
  cc: Condition;
}

type Slot<S extends string> = S extends `${infer A}/${infer B}`
  ? Slot<A> | Slot<B>
  : S extends keyof OperandTypes
    ? OperandTypes[S]
    : never;

type Slots<S extends string> = S extends ''
  ? []
  : S extends `${infer First}, ${infer Rest}`
    ? [Slot<First>, ...Slots<Rest>]
    : [Slot<S>];

/** Masks where AVX-512 has them, the short form where there is a jump. */
type OptionsOf<I extends Insn> = I['operands'] extends 'rel' | 'cc, rel'
  ? [options?: { readonly short?: boolean }]
  : I extends Insn<string, infer F, true>
    ? F extends `${string}avx512${string}`
      ? [options?: { readonly mask?: Mask; readonly zero?: boolean }]
      : []
    : [];

type Arguments<I> = I extends Insn ? [...Slots<I['operands']>, ...OptionsOf<I>] : never;

/** One method for each instruction, its parameters read from the operand columns of its rows. */
export type InstructionMethods = {
  [N in Mnemonic]: (
    ...operands: Arguments<(typeof INSTRUCTIONS)[N] extends readonly (infer I)[] ? I : (typeof INSTRUCTIONS)[N]>
  ) => void;
};

type EncoderClass<E> = new (level: X64Level) => E;

/** A method per instruction: with one row straight to the encoder, with several by the kinds of the operands. */
function withInstructions(base: EncoderClass<Encoder>): EncoderClass<Encoder & InstructionMethods> {
  class Instructions extends base {}
  for (const name of Object.keys(INSTRUCTIONS) as Mnemonic[]) {
    const insns = rowsOf(name);
    const [first, second] = insns;
    const reverse = first.operands === 'v, v/m' && second?.operands === 'm, v' ? second.opcode : 0;
    let method: (...operands: never[]) => void;
    if (first.operands.startsWith('cc'))
      method = conditionalMethod(Array.from({ length: 16 }, (_, condition) => new Row(name, first, condition)));
    else if (insns.length === 1) method = methodOfRow(new Row(name, first));
    else method = methodOfRows(insns.map((insn, i) => new Row(name, insn, 0, i === 0 ? reverse : 0)));
    Object.defineProperty(Instructions.prototype, name, { value: method });
  }
  return Instructions as EncoderClass<Encoder & InstructionMethods>;
}

function methodOfRow(row: Row) {
  switch (row.arity) {
    case 0:
      return function (this: Encoder) {
        this.encode(row);
      };
    case 1:
      return function (this: Encoder, a: Operand, options?: EncodeOptions) {
        this.encode(row, a, 0, 0, 0, options);
      };
    case 2:
      return function (this: Encoder, a: Operand, b: Operand, options?: EncodeOptions) {
        this.encode(row, a, b, 0, 0, options);
      };
    case 3:
      return function (this: Encoder, a: Operand, b: Operand, c: Operand, options?: EncodeOptions) {
        this.encode(row, a, b, c, 0, options);
      };
    default:
      return function (this: Encoder, a: Operand, b: Operand, c: Operand, d: Operand, options?: EncodeOptions) {
        this.encode(row, a, b, c, d, options);
      };
  }
}

type Argument = Operand | EncodeOptions;

function methodOfRows(rows: readonly Row[]) {
  return function (this: Encoder, a: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument) {
    const ka = kindOf(a);
    const kb = kindOf(b);
    const kc = kindOf(c);
    const kd = kindOf(d);
    let row = rows[0];
    for (let i = 1; i < rows.length && !row.fits(ka, kb, kc, kd); i++) row = rows[i];
    if (!row.fits(ka, kb, kc, kd)) throw noForm(rows, [a, b, c, d]);
    const options = row.arity === 1 ? b : row.arity === 2 ? c : row.arity === 3 ? d : e;
    this.encode(row, a as Operand, b as Operand, c as Operand, d as Operand, options as EncodeOptions | undefined);
  };
}

function conditionalMethod(rows: readonly Row[]) {
  return function (this: Encoder, condition: Condition, a: Operand, b?: Operand | EncodeOptions, c?: EncodeOptions) {
    const row = rows[CONDITIONS[condition]];
    invariant(row, () => `${rows[0].name}: no condition "${condition}"`);
    if (row.arity === 1) this.encode(row, a, 0, 0, 0, b as EncodeOptions | undefined);
    else this.encode(row, a, b as Operand, 0, 0, c);
  };
}

function noForm(rows: readonly Row[], got: readonly (Argument | undefined)[]): InvariantError {
  const forms = rows.map((row) => row.insn.operands).join(' or ');
  return new InvariantError(`${rows[0].name}: takes ${forms}; got ${got.filter((x) => kindOf(x) !== 0).join(', ')}`);
}

/** Where constants lie: whole cache lines, so that a full vector never crosses two. */
const POOL_ALIGN = 64;

/** The recommended no-operations of 1 to 9 bytes (SDM vol. 2, NOP). */
const NOPS: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

interface Constant {
  readonly label: Label;
  readonly bytes: Uint8Array;
  readonly align: number;
}

export class Assembler extends withInstructions(Encoder) {
  private readonly constants = new Map<string, Constant>();

  label(): Label {
    return new Label();
  }

  /** Puts the label at the next instruction. */
  bind(label: Label): void {
    invariant(label.at < 0, 'bind: the label stands in the code already');
    label.at = this.length;
  }

  /** Bytes that the code reads through `ripMem`; equal ones are kept once. `align` divides 64 and counts from the start of the code. */
  constant(bytes: Uint8Array, align = bytes.length): Label {
    invariant(POOL_ALIGN % align === 0, () => `constant: alignment ${align} does not divide ${POOL_ALIGN}`);
    const key = `${align}:${bytes.join()}`;
    const known = this.constants.get(key);
    if (known) return known.label;
    const label = this.label();
    this.constants.set(key, { label, bytes: bytes.slice(), align });
    return label;
  }

  /** One float in every lane of a vector of so many bytes, or a scalar of 4. */
  constantF32(value: number, sizeBytes = 4): Label {
    return this.constant(new Uint8Array(new Float32Array(sizeBytes / 4).fill(value).buffer), sizeBytes);
  }

  constantI32(value: number, sizeBytes = 4): Label {
    return this.constant(new Uint8Array(new Int32Array(sizeBytes / 4).fill(value).buffer), sizeBytes);
  }

  /** Fills up with no-operations to a multiple of n bytes, counted from the start of the code. */
  align(n: number): void {
    let room = (n - (this.length % n)) % n;
    while (room > 0) {
      const nop = NOPS[Math.min(room, NOPS.length - 1)];
      this.append(nop);
      room -= nop.length;
    }
  }

  /** The code, its constants behind it. It runs at any address, but constants are aligned only as its start is: let that be a multiple of 64. */
  finish(): Uint8Array<ArrayBuffer> {
    const pool = [...this.constants.values()].sort((a, b) => b.align - a.align);
    if (pool.length > 0) this.append(new Uint8Array(-this.length & (POOL_ALIGN - 1)).fill(0xcc));
    for (const { label, bytes, align } of pool) {
      this.append(new Uint8Array(-this.length & (align - 1)));
      label.at = this.length;
      this.append(bytes);
    }
    this.resolve();
    return this.bytes.slice(0, this.length);
  }
}

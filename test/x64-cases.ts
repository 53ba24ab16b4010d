/**
 * x86-64 instructions with operands, as values for fovea's assembler and as text for GNU as, and GNU's answers. Used by the fixture script
 * (golden/x64.ts) and by the tests that compare.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Assembler, CONDITIONS, type X64Level } from '../src/codegen/x64/assembler.js';
import type { EncodeOptions, Operand } from '../src/codegen/x64/encode.js';
import { INSTRUCTIONS, type Insn, type Mnemonic, rowsOf } from '../src/codegen/x64/instructions.js';
import {
  bcst,
  type Gpr,
  gpr32,
  gpr64,
  k,
  Label,
  type Mask,
  Mem,
  mem,
  memIndex,
  ripMem,
  type Vec,
  xmm,
  ymm,
  zmm,
} from '../src/codegen/x64/registers.js';

export interface InstructionCase {
  readonly name: Mnemonic;
  readonly insn: Insn;
  readonly operands: readonly (Operand | string)[];
  readonly options: EncodeOptions | undefined;
  /** Intel syntax, as GNU as reads it. The label `1:` stands before every instruction. */
  readonly text: string;
}

export const MNEMONICS = Object.keys(INSTRUCTIONS) as Mnemonic[];

/** Numbers from 0 to n − 1, the same for the same seed (Steele & Vigna's splitmix32). */
export type Random = (n: number) => number;

export function randomOf(seed: number): Random {
  let state = seed | 0;
  return (n) => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) % n;
  };
}

/** What a case is to show; the rest is left to chance. */
interface Shape {
  readonly registers: 'low' | 'high' | 'any';
  readonly memory: 'none' | 'plain' | 'broadcast';
  readonly masking: 'none' | 'merge' | 'zero';
}

/** Every shape that each row of the instruction can take, once. */
export function casesOf(name: Mnemonic, random: Random): InstructionCase[] {
  return rowsOf(name).flatMap((insn) => shapesOf(insn).map((shape) => makeCase(name, insn, shape, random)));
}

/** The cases of the fixture file: the same every time. */
export function goldenCasesOf(name: Mnemonic): InstructionCase[] {
  return casesOf(name, randomOf([...name].reduce((seed, letter) => Math.imul(seed, 31) + letter.charCodeAt(0), 7)));
}

/** The bytes that fovea's assembler makes of it, in hexadecimal. */
export function assembleCase({ name, operands, options }: InstructionCase, level: X64Level = 'avx512'): string {
  const asm = new Assembler(level);
  const labels = operands.map((x) => (x instanceof Mem ? x.label : x)).filter((x) => x instanceof Label);
  for (const label of labels) asm.bind(label);
  Reflect.apply(asm[name], asm, options ? [...operands, options] : operands);
  const bytes = hex(asm.finish());
  for (const label of labels) label.at = -1; // the case may be assembled again
  return bytes;
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

export interface Disassembled {
  readonly bytes: string;
  readonly text: string;
}

/** What GNU as makes of each line, and how objdump reads it back. Each line has 16 bytes to itself, the label `1:` before it. */
export function gnuAssemble(lines: readonly string[]): Disassembled[] {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-x64-'));
  try {
    const source = join(folder, 'a.s');
    const object = join(folder, 'a.o');
    const body = lines.map((line) => `.p2align 4, 0xcc\n1: ${line}\n`).join('');
    writeFileSync(source, `.intel_syntax noprefix\n.text\n${body}.p2align 4, 0xcc\n`);
    execFileSync('as', ['--64', '-o', object, source], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const dump = execFileSync('objdump', ['-d', '-w', '-M', 'intel', object], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const found: Disassembled[] = [];
    for (const [, address, bytes, text] of dump.matchAll(/^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)$/gm)) {
      const at = Number.parseInt(address, 16);
      // Distances are printed as addresses; they are told as the distance from the label.
      const relative = text
        .replace(/\s*#.*$/, '')
        .replace(/\b([0-9a-f]+) <.*>$/, (_, to) => `${Number.parseInt(to, 16) - at}`);
      if (at % 16 === 0) found[at / 16] = { bytes: bytes.trim(), text: relative.replace(/\s+/g, ' ').trim() };
    }
    return found;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Where our bytes differ from GNU's. It is no difference if ours are as short and read back as the same text: a few instructions can be
 * written in two ways (`vmovq xmm16, [rax]`).
 */
export function differences(
  cases: readonly InstructionCase[],
  ours: readonly string[],
  gnu: readonly Disassembled[],
): string[] {
  const unequal = [...cases.keys()].filter((i) => ours[i] !== gnu[i].bytes);
  const read = gnuDisassemble(unequal.map((i) => ours[i]));
  return unequal
    .filter((i, j) => read[j].bytes !== ours[i] || read[j].text !== gnu[i].text || ours[i].length > gnu[i].bytes.length)
    .map((i) => `${cases[i].text}: ${ours[i]}, as: ${gnu[i].bytes}`);
}

/** How objdump reads bytes given in hexadecimal. */
export function gnuDisassemble(instructions: readonly string[]): Disassembled[] {
  return gnuAssemble(instructions.map((bytes) => `.byte 0x${bytes.replaceAll(' ', ',0x')}`));
}

export function hasGnu(): boolean {
  try {
    return ['as', 'objdump'].every((tool) => execFileSync(tool, ['--version'], { encoding: 'utf8' }).startsWith('GNU'));
  } catch {
    return false;
  }
}

const isEvex = (insn: Insn) => insn.feature.includes('avx512') && insn.tuple !== 'vex';

function shapesOf(insn: Insn): Shape[] {
  const slots = insn.operands.split(', ');
  const memory = slots.some((slot) => slot.split('/').includes('m'));
  const register = !slots.includes('m');
  const masked = isEvex(insn) && (insn.details.masked ?? true);
  const broadcast = memory && isEvex(insn) && (insn.tuple === 'full' || insn.tuple === 'half');
  const store = /^M/.test(insn.form) || slots[0] === 'k';
  const shapes: Shape[] = [];
  const add = (registers: Shape['registers'], m: Shape['memory'], masking: Shape['masking']) =>
    shapes.push({ registers, memory: m, masking });
  if (register) add('low', 'none', 'none');
  if (register && slots[0] !== '') add('high', 'none', 'none');
  if (register && slots[0] !== '') add('any', 'none', masked ? (store ? 'merge' : 'zero') : 'none');
  if (memory) {
    add('low', 'plain', 'none');
    add('high', 'plain', 'none');
    add('any', 'plain', 'none');
    if (masked) add('any', 'plain', 'merge');
  }
  if (broadcast) add('any', 'broadcast', masked && !store ? 'zero' : 'none');
  return shapes;
}

function makeCase(name: Mnemonic, insn: Insn, shape: Shape, random: Random): InstructionCase {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)];
  const evex = isEvex(insn);
  const masking = shape.masking !== 'none';
  const lengths: readonly (128 | 256 | 512)[] = !evex ? [128, 256] : [128, 256, 512];
  const bits = pick(insn.operands.includes('yz') ? lengths.slice(1) : lengths);
  const gprBits = pick([32, 64] as const);
  const vectorId = () =>
    shape.registers === 'low' ? random(8) : shape.registers === 'high' ? 8 + random(8) : random(evex ? 32 : 16);
  const gprId = () => {
    const id = shape.registers === 'low' ? random(8) : shape.registers === 'high' ? 8 + random(8) : random(16);
    return name === 'xchg' ? Math.max(1, id) : id; // for rax there is a byte less, which nobody needs
  };
  const vector = (width: 128 | 256 | 512) => (width === 128 ? xmm : width === 256 ? ymm : zmm)(vectorId());

  const operand = (slot: string): Operand | string => {
    const parts = slot.split('/');
    const letter = parts.includes('m') && shape.memory !== 'none' ? 'm' : parts[0];
    switch (letter) {
      case 'v':
      case 'yz':
        return vector(bits);
      case 'x':
        return vector(128);
      case 'y':
        return vector(256);
      case 'z':
        return vector(512);
      case 'h':
        return vector(bits === 512 ? 256 : 128);
      case 'k':
        return k(random(8));
      case 'r':
        return gprBits === 32 ? gpr32(gprId()) : gpr64(gprId());
      case 'r32':
      case 'r16':
      case 'r8':
        return gpr32(gprId());
      case 'r64':
        return gpr64(gprId());
      case 'm':
        return shape.memory === 'broadcast' ? bcst(makeMem(bits, true, random)) : makeMem(bits, false, random);
      case 'i8':
        return pick([0, 1, 3, 127, 0x1b, 0x88, 255]);
      case 'n8':
        return pick([1, 2, 3, 7, 31]);
      case 'i':
      case 'i32':
        return pick([0, 1, -1, 127, -128, 128, -129, 1000, -100000, 0x7fffffff, -0x80000000]);
      case 'i64':
        return gprBits === 32
          ? pick([0, 1, -1, 0x7fffffff, -0x80000000, 0xffffffff])
          : pick([-1, -129, -0x80000000, 2 ** 32, -(2 ** 31) - 1, 2 ** 53 - 1, 0x123456789abcdef0n]);
      case 'rel':
        return new Label();
      case 'cc':
        return pick(Object.keys(CONDITIONS));
      default:
        throw new Error(`x64 cases: ${name} has an operand "${slot}" that nothing is known of`);
    }
  };

  const slots = insn.operands === '' ? [] : insn.operands.split(', ');
  const operands = slots.map(operand);
  const options = masking ? { mask: k(1 + random(7)), zero: shape.masking === 'zero' } : undefined;
  return { name, insn, operands, options, text: textOf(name, insn, slots, operands, options) };
}

/** Addresses of every kind, their displacements at the edges of 8 bits, counted in bytes and in units of 4 to 64 bytes. */
function makeMem(bits: number, broadcast: boolean, random: Random): Mem {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)];
  const unit = broadcast ? 4 : pick([1, 1, 4, 8, 16, bits / 32, bits / 16, bits / 8]);
  const disp = unit * pick([0, 1, -1, 127, 128, -128, -129, 1000]) + pick([0, 0, 0, 1]);
  const base = gpr64(random(16));
  let index = random(16);
  if (index === 4) index = 12; // rsp indexes nothing
  const scale = pick([1, 2, 4, 8] as const);
  switch (random(8)) {
    case 0:
      return memIndex(null, gpr64(index), scale, disp);
    case 1:
      return ripMem(new Label(), disp);
    case 2:
    case 3:
    case 4:
      return memIndex(base, gpr64(index), scale, disp);
    case 5:
      return mem(base);
    default:
      return mem(base, disp);
  }
}

const BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

function textOf(
  name: Mnemonic,
  insn: Insn,
  slots: readonly string[],
  operands: readonly (Operand | string)[],
  options: EncodeOptions | undefined,
): string {
  let mnemonic: string = insn.details.mnemonic ?? name;
  const parts: string[] = [];
  operands.forEach((x, i) => {
    const register = slots[i].split('/')[0];
    if (slots[i] === 'cc') mnemonic += x;
    else if (x instanceof Mem) parts.push(memText(name, insn, x));
    else if (x instanceof Label) parts.push('1b');
    else if (register === 'r8') parts.push(BYTES[(x as Gpr).id] ?? `r${(x as Gpr).id}b`);
    else if (register === 'r16') parts.push(WORDS[(x as Gpr).id] ?? `r${(x as Gpr).id}w`);
    else parts.push(`${x as Gpr | Vec | Mask | number}`);
  });
  if (options?.mask) parts[0] += `{${options.mask}}${options.zero ? '{z}' : ''}`;
  if (name.endsWith('Cl')) parts.push('cl');
  return `${mnemonic} ${parts.join(', ')}`.trim();
}

function memText(name: Mnemonic, insn: Insn, m: Mem): string {
  const address = m.label
    ? `[rip+1b${m.disp < 0 ? '' : '+'}${m.disp}]`
    : `[${[m.base, m.index && `${m.index}*${m.scale}`].filter(Boolean).join('+')}${m.disp < 0 ? '' : '+'}${m.disp}]`;
  if (m.bcst) return `${insn.w === 0 ? 'dword' : 'qword'} bcst ${address}`;
  const size = sizeOf(name, insn);
  return size === '' ? address : `${size} ptr ${address}`;
}

/** Where no register tells the size of memory, the text has to. */
function sizeOf(name: Mnemonic, insn: Insn): string {
  if (name === 'jmp' || name === 'call') return 'qword';
  if (/^vcvtu?si2s/.test(name)) return 'dword';
  if (insn.feature !== 'base') return '';
  const size = /\d+$/.exec(name)?.[0];
  return ({ 8: 'byte', 16: 'word', 32: 'dword', 64: 'qword' } as Record<string, string>)[size ?? ''] ?? '';
}

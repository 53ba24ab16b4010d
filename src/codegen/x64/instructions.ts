/**
 * Every instruction that fovea writes, one row each, with every fact about it: methods, their types, operand checks and encodings are
 * all read from here. An instruction with several forms lists them; the first that fits the operands is used.
 *
 * Columns:
 * - operands: v any vector, yz one of the wider two, r any general register (all v, yz or r of a row are equally wide), x y z a vector of
 *   128, 256, 512 bits, h half as wide as v (128 bits at least), k mask, r32 r64, r8 r16 the low part of a register, m memory, i8 a byte,
 *   i32 four bytes sign-extended, i the same or one byte if it fits, n8 a shift count, i64, rel a label in the code, cc a condition.
 * - form: the manual's "operand encoding", what each operand goes to: R ModRM.reg, M ModRM.rm, V VEX.vvvv, I immediate (a last R: its upper
 *   half), O the opcode, D distance, ZO nothing. /n is the opcode's extension in ModRM.reg.
 * - pp, map: the mandatory prefix and the opcode map. An opcode above 0xff is two bytes.
 * - w: bit W; 'r' is 1 for 64-bit general registers, '01' is 0 in VEX and 1 in EVEX.
 * - tuple: what one unit of an EVEX displacement of 8 bits is, and whether memory can be broadcast (full, half).
 * - feature: 'base' is the legacy encoding, avx… is VEX, avx512… is EVEX, and 'a|b' has VEX (feature a) and EVEX (feature b).
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */

export type OpcodeMap = '' | '0F' | '0F38' | '0F3A';
export type Prefix = 0 | 0x66 | 0xf2 | 0xf3;
export type Width = 0 | 1 | 'r' | '01';
export type Tuple =
  | ''
  | 'vex' // a mask instruction: VEX, though it came with AVX-512
  | 'full'
  | 'fullmem'
  | 'half'
  | 'halfmem'
  | 'quartermem'
  | 'scalar' // 4 or 8 bytes, by W
  | 'scalar8'
  | 'scalar16'
  | 'scalar32'
  | 'scalar64'
  | 't2' // so many elements of 4 or 8 bytes, by W
  | 't4'
  | 't8'
  | 'mem128';
type VexFeature = 'avx' | 'avx2' | 'fma' | 'f16c';
type EvexFeature = 'avx512f' | 'avx512bw' | 'avx512dq';
export type Feature = 'base' | VexFeature | EvexFeature | `${VexFeature}|${EvexFeature}`;

export interface Details<Masked extends boolean = boolean> {
  /** What others call it, where that is not the row's name. */
  readonly mnemonic?: string;
  readonly lock?: true;
  /** Bit L where no vector operand says it. */
  readonly l?: 1;
  /** False: the EVEX form takes no mask. */
  readonly masked?: Masked;
}

export interface Insn<Operands extends string = string, F extends Feature = Feature, Masked extends boolean = boolean> {
  readonly operands: Operands;
  readonly form: string;
  readonly pp: Prefix;
  readonly map: OpcodeMap;
  readonly w: Width;
  readonly opcode: number;
  readonly tuple: Tuple;
  readonly feature: F;
  readonly details: Details<Masked>;
}

function insn<const O extends string, const F extends Feature, const M extends boolean = true>(
  operands: O,
  form: string,
  pp: Prefix,
  map: OpcodeMap,
  w: Width,
  opcode: number,
  tuple: Tuple,
  feature: F,
  details: Details<M> = {},
): Insn<O, F, M> {
  return { operands, form, pp, map, w, opcode, tuple, feature, details };
}

/** AVX-512 gave it more registers but no masks. */
const PLAIN = { masked: false } as const;

// biome-ignore format: a table
export const INSTRUCTIONS = {
  // ---- moves of general registers
  //               operands        form      pp    map     w    opcode tuple  feature
  mov: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x89, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x8b, '',     'base'),
    insn('r, i64',                 'OI',     0,    '',     'r', 0xb8, '',     'base')],
  mov8: [
    insn('m, r8',                  'MR',     0,    '',     0,   0x88, '',     'base', { mnemonic: 'mov' }),
    insn('m, i8',                  'MI /0',  0,    '',     0,   0xc6, '',     'base', { mnemonic: 'mov' })],
  mov16: insn('m, r16',            'MR',     0x66, '',     0,   0x89, '',     'base', { mnemonic: 'mov' }),
  mov32: insn('m, i32',            'MI /0',  0,    '',     0,   0xc7, '',     'base', { mnemonic: 'mov' }),
  mov64: insn('m, i32',            'MI /0',  0,    '',     1,   0xc7, '',     'base', { mnemonic: 'mov' }),
  movzx8: insn('r, r8/m',          'RM',     0,    '0F',   'r', 0xb6, '',     'base', { mnemonic: 'movzx' }),
  movzx16: insn('r, r16/m',        'RM',     0,    '0F',   'r', 0xb7, '',     'base', { mnemonic: 'movzx' }),
  movsx8: insn('r, r8/m',          'RM',     0,    '0F',   'r', 0xbe, '',     'base', { mnemonic: 'movsx' }),
  movsx16: insn('r, r16/m',        'RM',     0,    '0F',   'r', 0xbf, '',     'base', { mnemonic: 'movsx' }),
  movsxd: insn('r64, r32/m',       'RM',     0,    '',     1,   0x63, '',     'base'),
  movnti: insn('m, r',             'MR',     0,    '0F',   'r', 0xc3, '',     'base'),
  lea: insn('r, m',                'RM',     0,    '',     'r', 0x8d, '',     'base'),
  cmovcc: insn('cc, r, r/m',       'RM',     0,    '0F',   'r', 0x40, '',     'base', { mnemonic: 'cmov' }),
  setcc: insn('cc, r8/m',          'M /0',   0,    '0F',   0,   0x90, '',     'base', { mnemonic: 'set' }),
  push: [
    insn('r64',                    'O',      0,    '',     0,   0x50, '',     'base'),
    insn('i',                      'I',      0,    '',     0,   0x68, '',     'base')],
  pop: insn('r64',                 'O',      0,    '',     0,   0x58, '',     'base'),
  xchg: insn('r/m, r',             'MR',     0,    '',     'r', 0x87, '',     'base'),

  // ---- integer arithmetic
  add: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x01, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x03, '',     'base'),
    insn('r, i',                   'MI /0',  0,    '',     'r', 0x81, '',     'base')],
  or: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x09, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x0b, '',     'base'),
    insn('r, i',                   'MI /1',  0,    '',     'r', 0x81, '',     'base')],
  and: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x21, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x23, '',     'base'),
    insn('r, i',                   'MI /4',  0,    '',     'r', 0x81, '',     'base')],
  sub: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x29, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x2b, '',     'base'),
    insn('r, i',                   'MI /5',  0,    '',     'r', 0x81, '',     'base')],
  xor: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x31, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x33, '',     'base'),
    insn('r, i',                   'MI /6',  0,    '',     'r', 0x81, '',     'base')],
  cmp: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x39, '',     'base'),
    insn('r, m',                   'RM',     0,    '',     'r', 0x3b, '',     'base'),
    insn('r, i',                   'MI /7',  0,    '',     'r', 0x81, '',     'base')],
  test: [
    insn('r/m, r',                 'MR',     0,    '',     'r', 0x85, '',     'base'),
    insn('r, i32',                 'MI /0',  0,    '',     'r', 0xf7, '',     'base')],
  add32: insn('m, i',              'MI /0',  0,    '',     0,   0x81, '',     'base', { mnemonic: 'add' }),
  add64: insn('m, i',              'MI /0',  0,    '',     1,   0x81, '',     'base', { mnemonic: 'add' }),
  or32: insn('m, i',               'MI /1',  0,    '',     0,   0x81, '',     'base', { mnemonic: 'or' }),
  and32: insn('m, i',              'MI /4',  0,    '',     0,   0x81, '',     'base', { mnemonic: 'and' }),
  sub32: insn('m, i',              'MI /5',  0,    '',     0,   0x81, '',     'base', { mnemonic: 'sub' }),
  sub64: insn('m, i',              'MI /5',  0,    '',     1,   0x81, '',     'base', { mnemonic: 'sub' }),
  cmp8: insn('m, i8',              'MI /7',  0,    '',     0,   0x80, '',     'base', { mnemonic: 'cmp' }),
  cmp32: insn('m, i',              'MI /7',  0,    '',     0,   0x81, '',     'base', { mnemonic: 'cmp' }),
  cmp64: insn('m, i',              'MI /7',  0,    '',     1,   0x81, '',     'base', { mnemonic: 'cmp' }),
  inc: insn('r',                   'M /0',   0,    '',     'r', 0xff, '',     'base'),
  dec: insn('r',                   'M /1',   0,    '',     'r', 0xff, '',     'base'),
  inc32: insn('m',                 'M /0',   0,    '',     0,   0xff, '',     'base', { mnemonic: 'inc' }),
  inc64: insn('m',                 'M /0',   0,    '',     1,   0xff, '',     'base', { mnemonic: 'inc' }),
  dec32: insn('m',                 'M /1',   0,    '',     0,   0xff, '',     'base', { mnemonic: 'dec' }),
  dec64: insn('m',                 'M /1',   0,    '',     1,   0xff, '',     'base', { mnemonic: 'dec' }),
  neg: insn('r',                   'M /3',   0,    '',     'r', 0xf7, '',     'base'),
  not: insn('r',                   'M /2',   0,    '',     'r', 0xf7, '',     'base'),
  imul: [
    insn('r, r/m',                 'RM',     0,    '0F',   'r', 0xaf, '',     'base'),
    insn('r, r/m, i',              'RMI',    0,    '',     'r', 0x69, '',     'base')],
  mul: insn('r',                   'M /4',   0,    '',     'r', 0xf7, '',     'base'),
  div: insn('r',                   'M /6',   0,    '',     'r', 0xf7, '',     'base'),
  idiv: insn('r',                  'M /7',   0,    '',     'r', 0xf7, '',     'base'),
  cdq: insn('',                    'ZO',     0,    '',     0,   0x99, '',     'base'),
  cqo: insn('',                    'ZO',     0,    '',     1,   0x99, '',     'base'),
  rol: insn('r, n8',               'MI /0',  0,    '',     'r', 0xc1, '',     'base'),
  ror: insn('r, n8',               'MI /1',  0,    '',     'r', 0xc1, '',     'base'),
  shl: insn('r, n8',               'MI /4',  0,    '',     'r', 0xc1, '',     'base'),
  shr: insn('r, n8',               'MI /5',  0,    '',     'r', 0xc1, '',     'base'),
  sar: insn('r, n8',               'MI /7',  0,    '',     'r', 0xc1, '',     'base'),
  shlCl: insn('r',                 'M /4',   0,    '',     'r', 0xd3, '',     'base', { mnemonic: 'shl' }),
  shrCl: insn('r',                 'M /5',   0,    '',     'r', 0xd3, '',     'base', { mnemonic: 'shr' }),
  sarCl: insn('r',                 'M /7',   0,    '',     'r', 0xd3, '',     'base', { mnemonic: 'sar' }),
  popcnt: insn('r, r/m',           'RM',     0xf3, '0F',   'r', 0xb8, '',     'base'),
  bsf: insn('r, r/m',              'RM',     0,    '0F',   'r', 0xbc, '',     'base'),
  bsr: insn('r, r/m',              'RM',     0,    '0F',   'r', 0xbd, '',     'base'),

  // ---- control flow
  jmp: [
    insn('rel',                    'D',      0,    '',     0,   0xe9, '',     'base'),
    insn('r64/m',                  'M /4',   0,    '',     0,   0xff, '',     'base')],
  jcc: insn('cc, rel',             'D',      0,    '0F',   0,   0x80, '',     'base', { mnemonic: 'j' }),
  call: [
    insn('rel',                    'D',      0,    '',     0,   0xe8, '',     'base'),
    insn('r64/m',                  'M /2',   0,    '',     0,   0xff, '',     'base')],
  ret: insn('',                    'ZO',     0,    '',     0,   0xc3, '',     'base'),
  int3: insn('',                   'ZO',     0,    '',     0,   0xcc, '',     'base'),
  ud2: insn('',                    'ZO',     0,    '0F',   0,   0x0b, '',     'base'),

  // ---- threads, caches, the machine itself
  xadd: insn('r/m, r',             'MR',     0,    '0F',   'r', 0xc1, '',     'base'),
  cmpxchg: insn('r/m, r',          'MR',     0,    '0F',   'r', 0xb1, '',     'base'),
  lockXadd: insn('m, r',           'MR',     0,    '0F',   'r', 0xc1, '',     'base', { mnemonic: 'lock xadd', lock: true }),
  lockCmpxchg: insn('m, r',        'MR',     0,    '0F',   'r', 0xb1, '',     'base', { mnemonic: 'lock cmpxchg', lock: true }),
  lockAdd: insn('m, r',            'MR',     0,    '',     'r', 0x01, '',     'base', { mnemonic: 'lock add', lock: true }),
  lockOr: insn('m, r',             'MR',     0,    '',     'r', 0x09, '',     'base', { mnemonic: 'lock or', lock: true }),
  lockAdd32: insn('m, i',          'MI /0',  0,    '',     0,   0x81, '',     'base', { mnemonic: 'lock add', lock: true }),
  lockInc32: insn('m',             'M /0',   0,    '',     0,   0xff, '',     'base', { mnemonic: 'lock inc', lock: true }),
  lockDec32: insn('m',             'M /1',   0,    '',     0,   0xff, '',     'base', { mnemonic: 'lock dec', lock: true }),
  pause: insn('',                  'ZO',     0xf3, '',     0,   0x90, '',     'base'),
  mfence: insn('',                 'ZO',     0,    '0F',   0,   0xaef0, '',   'base'),
  sfence: insn('',                 'ZO',     0,    '0F',   0,   0xaef8, '',   'base'),
  lfence: insn('',                 'ZO',     0,    '0F',   0,   0xaee8, '',   'base'),
  rdtsc: insn('',                  'ZO',     0,    '0F',   0,   0x31, '',     'base'),
  rdtscp: insn('',                 'ZO',     0,    '0F',   0,   0x01f9, '',   'base'),
  cpuid: insn('',                  'ZO',     0,    '0F',   0,   0xa2, '',     'base'),
  xgetbv: insn('',                 'ZO',     0,    '0F',   0,   0x01d0, '',   'base'),
  prefetchnta: insn('m',           'M /0',   0,    '0F',   0,   0x18, '',     'base'),
  prefetcht0: insn('m',            'M /1',   0,    '0F',   0,   0x18, '',     'base'),
  prefetcht1: insn('m',            'M /2',   0,    '0F',   0,   0x18, '',     'base'),
  prefetcht2: insn('m',            'M /3',   0,    '0F',   0,   0x18, '',     'base'),
  prefetchw: insn('m',             'M /1',   0,    '0F',   0,   0x0d, '',     'base'),

  // ---- vector moves
  //               operands        form      pp    map     w     opcode tuple        feature
  vmovups: [
    insn('v, v/m',                 'RM',     0,    '0F',   0,    0x10, 'fullmem',    'avx|avx512f'),
    insn('m, v',                   'MR',     0,    '0F',   0,    0x11, 'fullmem',    'avx|avx512f')],
  vmovaps: [
    insn('v, v/m',                 'RM',     0,    '0F',   0,    0x28, 'fullmem',    'avx|avx512f'),
    insn('m, v',                   'MR',     0,    '0F',   0,    0x29, 'fullmem',    'avx|avx512f')],
  vmovdqu: [
    insn('v, v/m',                 'RM',     0xf3, '0F',   0,    0x6f, '',           'avx'),
    insn('m, v',                   'MR',     0xf3, '0F',   0,    0x7f, '',           'avx')],
  vmovdqa: [
    insn('v, v/m',                 'RM',     0x66, '0F',   0,    0x6f, '',           'avx'),
    insn('m, v',                   'MR',     0x66, '0F',   0,    0x7f, '',           'avx')],
  vmovdqu8: [
    insn('v, v/m',                 'RM',     0xf2, '0F',   0,    0x6f, 'fullmem',    'avx512bw'),
    insn('m, v',                   'MR',     0xf2, '0F',   0,    0x7f, 'fullmem',    'avx512bw')],
  vmovdqu32: [
    insn('v, v/m',                 'RM',     0xf3, '0F',   0,    0x6f, 'fullmem',    'avx512f'),
    insn('m, v',                   'MR',     0xf3, '0F',   0,    0x7f, 'fullmem',    'avx512f')],
  vmovdqa32: [
    insn('v, v/m',                 'RM',     0x66, '0F',   0,    0x6f, 'fullmem',    'avx512f'),
    insn('m, v',                   'MR',     0x66, '0F',   0,    0x7f, 'fullmem',    'avx512f')],
  vmovss: [
    insn('x, m',                   'RM',     0xf3, '0F',   0,    0x10, 'scalar',     'avx|avx512f'),
    insn('m, x',                   'MR',     0xf3, '0F',   0,    0x11, 'scalar',     'avx|avx512f'),
    insn('x, x, x',                'RVM',    0xf3, '0F',   0,    0x10, 'scalar',     'avx|avx512f')],
  vmovsd: [
    insn('x, m',                   'RM',     0xf2, '0F',   '01', 0x10, 'scalar',     'avx|avx512f'),
    insn('m, x',                   'MR',     0xf2, '0F',   '01', 0x11, 'scalar64',   'avx|avx512f'),
    insn('x, x, x',                'RVM',    0xf2, '0F',   '01', 0x10, 'scalar',     'avx|avx512f')],
  vmovd: [
    insn('x, r32/m',               'RM',     0x66, '0F',   0,    0x6e, 'scalar',     'avx|avx512f', PLAIN),
    insn('r32/m, x',               'MR',     0x66, '0F',   0,    0x7e, 'scalar',     'avx|avx512f', PLAIN)],
  vmovq: [
    insn('x, r64',                 'RM',     0x66, '0F',   1,    0x6e, 'scalar',     'avx|avx512f', PLAIN),
    insn('r64, x',                 'MR',     0x66, '0F',   1,    0x7e, 'scalar',     'avx|avx512f', PLAIN),
    insn('x, m',                   'RM',     0xf3, '0F',   '01', 0x7e, 'scalar',     'avx|avx512f', PLAIN),
    insn('m, x',                   'MR',     0x66, '0F',   '01', 0xd6, 'scalar',     'avx|avx512f', PLAIN)],
  vmovntps: insn('m, v',           'MR',     0,    '0F',   0,    0x2b, 'fullmem',    'avx|avx512f', PLAIN),
  vmovntdq: insn('m, v',           'MR',     0x66, '0F',   0,    0xe7, 'fullmem',    'avx|avx512f', PLAIN),
  vmovlps: [
    insn('x, x, m',                'RVM',    0,    '0F',   0,    0x12, 't2',         'avx|avx512f', PLAIN),
    insn('m, x',                   'MR',     0,    '0F',   0,    0x13, 't2',         'avx|avx512f', PLAIN)],
  vmovhps: [
    insn('x, x, m',                'RVM',    0,    '0F',   0,    0x16, 't2',         'avx|avx512f', PLAIN),
    insn('m, x',                   'MR',     0,    '0F',   0,    0x17, 't2',         'avx|avx512f', PLAIN)],
  vmovhlps: insn('x, x, x',        'RVM',    0,    '0F',   0,    0x12, '',           'avx|avx512f', PLAIN),
  vmovlhps: insn('x, x, x',        'RVM',    0,    '0F',   0,    0x16, '',           'avx|avx512f', PLAIN),
  vmovshdup: insn('v, v/m',        'RM',     0xf3, '0F',   0,    0x16, 'fullmem',    'avx|avx512f'),
  vmovsldup: insn('v, v/m',        'RM',     0xf3, '0F',   0,    0x12, 'fullmem',    'avx|avx512f'),
  vmovmskps: insn('r32, v',        'RM',     0,    '0F',   0,    0x50, '',           'avx'),
  vpmovmskb: insn('r32, v',        'RM',     0x66, '0F',   0,    0xd7, '',           'avx2'),
  vmaskmovps: [
    insn('v, v, m',                'RVM',    0x66, '0F38', 0,    0x2c, '',           'avx'),
    insn('m, v, v',                'MVR',    0x66, '0F38', 0,    0x2e, '',           'avx')],
  vpmaskmovd: [
    insn('v, v, m',                'RVM',    0x66, '0F38', 0,    0x8c, '',           'avx2'),
    insn('m, v, v',                'MVR',    0x66, '0F38', 0,    0x8e, '',           'avx2')],
  vbroadcastss: insn('v, x/m',     'RM',     0x66, '0F38', 0,    0x18, 'scalar',     'avx|avx512f'),
  vbroadcastsd: insn('yz, x/m',    'RM',     0x66, '0F38', '01', 0x19, 'scalar',     'avx|avx512f'),
  vbroadcastf128: insn('y, m',     'RM',     0x66, '0F38', 0,    0x1a, '',           'avx'),
  vbroadcasti128: insn('y, m',     'RM',     0x66, '0F38', 0,    0x5a, '',           'avx2'),
  vbroadcastf32x4: insn('yz, m',   'RM',     0x66, '0F38', 0,    0x1a, 't4',         'avx512f'),
  vbroadcasti32x4: insn('yz, m',   'RM',     0x66, '0F38', 0,    0x5a, 't4',         'avx512f'),
  vbroadcastf64x4: insn('z, m',    'RM',     0x66, '0F38', 1,    0x1b, 't4',         'avx512f'),
  vpbroadcastb: [
    insn('v, x/m',                 'RM',     0x66, '0F38', 0,    0x78, 'scalar8',    'avx2|avx512bw'),
    insn('v, r32',                 'RM',     0x66, '0F38', 0,    0x7a, 'scalar8',    'avx512bw')],
  vpbroadcastw: [
    insn('v, x/m',                 'RM',     0x66, '0F38', 0,    0x79, 'scalar16',   'avx2|avx512bw'),
    insn('v, r32',                 'RM',     0x66, '0F38', 0,    0x7b, 'scalar16',   'avx512bw')],
  vpbroadcastd: [
    insn('v, x/m',                 'RM',     0x66, '0F38', 0,    0x58, 'scalar',     'avx2|avx512f'),
    insn('v, r32',                 'RM',     0x66, '0F38', 0,    0x7c, 'scalar',     'avx512f')],
  vpbroadcastq: [
    insn('v, x/m',                 'RM',     0x66, '0F38', '01', 0x59, 'scalar',     'avx2|avx512f'),
    insn('v, r64',                 'RM',     0x66, '0F38', 1,    0x7c, 'scalar',     'avx512f')],

  // ---- float arithmetic
  vaddps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x58, 'full',       'avx|avx512f'),
  vaddss: insn('x, x, x/m',        'RVM',    0xf3, '0F',   0,    0x58, 'scalar',     'avx|avx512f'),
  vaddpd: insn('v, v, v/m',        'RVM',    0x66, '0F',   '01', 0x58, 'full',       'avx|avx512f'),
  vaddsd: insn('x, x, x/m',        'RVM',    0xf2, '0F',   '01', 0x58, 'scalar',     'avx|avx512f'),
  vsubps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x5c, 'full',       'avx|avx512f'),
  vsubss: insn('x, x, x/m',        'RVM',    0xf3, '0F',   0,    0x5c, 'scalar',     'avx|avx512f'),
  vsubpd: insn('v, v, v/m',        'RVM',    0x66, '0F',   '01', 0x5c, 'full',       'avx|avx512f'),
  vsubsd: insn('x, x, x/m',        'RVM',    0xf2, '0F',   '01', 0x5c, 'scalar',     'avx|avx512f'),
  vmulps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x59, 'full',       'avx|avx512f'),
  vmulss: insn('x, x, x/m',        'RVM',    0xf3, '0F',   0,    0x59, 'scalar',     'avx|avx512f'),
  vmulpd: insn('v, v, v/m',        'RVM',    0x66, '0F',   '01', 0x59, 'full',       'avx|avx512f'),
  vmulsd: insn('x, x, x/m',        'RVM',    0xf2, '0F',   '01', 0x59, 'scalar',     'avx|avx512f'),
  vdivps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x5e, 'full',       'avx|avx512f'),
  vdivss: insn('x, x, x/m',        'RVM',    0xf3, '0F',   0,    0x5e, 'scalar',     'avx|avx512f'),
  vdivpd: insn('v, v, v/m',        'RVM',    0x66, '0F',   '01', 0x5e, 'full',       'avx|avx512f'),
  vdivsd: insn('x, x, x/m',        'RVM',    0xf2, '0F',   '01', 0x5e, 'scalar',     'avx|avx512f'),
  vminps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x5d, 'full',       'avx|avx512f'),
  vminss: insn('x, x, x/m',        'RVM',    0xf3, '0F',   0,    0x5d, 'scalar',     'avx|avx512f'),
  vmaxps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x5f, 'full',       'avx|avx512f'),
  vmaxss: insn('x, x, x/m',        'RVM',    0xf3, '0F',   0,    0x5f, 'scalar',     'avx|avx512f'),
  vsqrtps: insn('v, v/m',          'RM',     0,    '0F',   0,    0x51, 'full',       'avx|avx512f'),
  vsqrtss: insn('x, x, x/m',       'RVM',    0xf3, '0F',   0,    0x51, 'scalar',     'avx|avx512f'),
  vsqrtpd: insn('v, v/m',          'RM',     0x66, '0F',   '01', 0x51, 'full',       'avx|avx512f'),
  vrsqrtps: insn('v, v/m',         'RM',     0,    '0F',   0,    0x52, '',           'avx'),
  vrcpps: insn('v, v/m',           'RM',     0,    '0F',   0,    0x53, '',           'avx'),
  vrsqrt14ps: insn('v, v/m',       'RM',     0x66, '0F38', 0,    0x4e, 'full',       'avx512f'),
  vrcp14ps: insn('v, v/m',         'RM',     0x66, '0F38', 0,    0x4c, 'full',       'avx512f'),
  vhaddps: insn('v, v, v/m',       'RVM',    0xf2, '0F',   0,    0x7c, '',           'avx'),
  vandps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x54, 'full',       'avx|avx512dq'),
  vandnps: insn('v, v, v/m',       'RVM',    0,    '0F',   0,    0x55, 'full',       'avx|avx512dq'),
  vorps: insn('v, v, v/m',         'RVM',    0,    '0F',   0,    0x56, 'full',       'avx|avx512dq'),
  vxorps: insn('v, v, v/m',        'RVM',    0,    '0F',   0,    0x57, 'full',       'avx|avx512dq'),
  vfmadd132ps: insn('v, v, v/m',   'RVM',    0x66, '0F38', 0,    0x98, 'full',       'fma|avx512f'),
  vfmadd213ps: insn('v, v, v/m',   'RVM',    0x66, '0F38', 0,    0xa8, 'full',       'fma|avx512f'),
  vfmadd231ps: insn('v, v, v/m',   'RVM',    0x66, '0F38', 0,    0xb8, 'full',       'fma|avx512f'),
  vfmadd132ss: insn('x, x, x/m',   'RVM',    0x66, '0F38', 0,    0x99, 'scalar',     'fma|avx512f'),
  vfmadd213ss: insn('x, x, x/m',   'RVM',    0x66, '0F38', 0,    0xa9, 'scalar',     'fma|avx512f'),
  vfmadd231ss: insn('x, x, x/m',   'RVM',    0x66, '0F38', 0,    0xb9, 'scalar',     'fma|avx512f'),
  vfmadd231pd: insn('v, v, v/m',   'RVM',    0x66, '0F38', 1,    0xb8, 'full',       'fma|avx512f'),
  vfmadd231sd: insn('x, x, x/m',   'RVM',    0x66, '0F38', 1,    0xb9, 'scalar',     'fma|avx512f'),
  vfmsub132ps: insn('v, v, v/m',   'RVM',    0x66, '0F38', 0,    0x9a, 'full',       'fma|avx512f'),
  vfmsub213ps: insn('v, v, v/m',   'RVM',    0x66, '0F38', 0,    0xaa, 'full',       'fma|avx512f'),
  vfmsub231ps: insn('v, v, v/m',   'RVM',    0x66, '0F38', 0,    0xba, 'full',       'fma|avx512f'),
  vfmsub132ss: insn('x, x, x/m',   'RVM',    0x66, '0F38', 0,    0x9b, 'scalar',     'fma|avx512f'),
  vfmsub213ss: insn('x, x, x/m',   'RVM',    0x66, '0F38', 0,    0xab, 'scalar',     'fma|avx512f'),
  vfmsub231ss: insn('x, x, x/m',   'RVM',    0x66, '0F38', 0,    0xbb, 'scalar',     'fma|avx512f'),
  vfnmadd132ps: insn('v, v, v/m',  'RVM',    0x66, '0F38', 0,    0x9c, 'full',       'fma|avx512f'),
  vfnmadd213ps: insn('v, v, v/m',  'RVM',    0x66, '0F38', 0,    0xac, 'full',       'fma|avx512f'),
  vfnmadd231ps: insn('v, v, v/m',  'RVM',    0x66, '0F38', 0,    0xbc, 'full',       'fma|avx512f'),
  vfnmadd132ss: insn('x, x, x/m',  'RVM',    0x66, '0F38', 0,    0x9d, 'scalar',     'fma|avx512f'),
  vfnmadd213ss: insn('x, x, x/m',  'RVM',    0x66, '0F38', 0,    0xad, 'scalar',     'fma|avx512f'),
  vfnmadd231ss: insn('x, x, x/m',  'RVM',    0x66, '0F38', 0,    0xbd, 'scalar',     'fma|avx512f'),
  vscalefps: insn('v, v, v/m',     'RVM',    0x66, '0F38', 0,    0x2c, 'full',       'avx512f'),
  vscalefss: insn('x, x, x/m',     'RVM',    0x66, '0F38', 0,    0x2d, 'scalar',     'avx512f'),
  vgetexpps: insn('v, v/m',        'RM',     0x66, '0F38', 0,    0x42, 'full',       'avx512f'),
  vgetexpss: insn('x, x, x/m',     'RVM',    0x66, '0F38', 0,    0x43, 'scalar',     'avx512f'),
  vgetmantps: insn('v, v/m, i8',   'RMI',    0x66, '0F3A', 0,    0x26, 'full',       'avx512f'),
  vgetmantss: insn('x, x, x/m, i8', 'RVMI',  0x66, '0F3A', 0,    0x27, 'scalar',     'avx512f'),
  vfixupimmps: insn('v, v, v/m, i8', 'RVMI', 0x66, '0F3A', 0,    0x54, 'full',       'avx512f'),
  vrangeps: insn('v, v, v/m, i8',  'RVMI',   0x66, '0F3A', 0,    0x50, 'full',       'avx512dq'),
  vreduceps: insn('v, v/m, i8',    'RMI',    0x66, '0F3A', 0,    0x56, 'full',       'avx512dq'),
  vroundps: insn('v, v/m, i8',     'RMI',    0x66, '0F3A', 0,    0x08, '',           'avx'),
  vroundss: insn('x, x, x/m, i8',  'RVMI',   0x66, '0F3A', 0,    0x0a, '',           'avx'),
  vrndscaleps: insn('v, v/m, i8',  'RMI',    0x66, '0F3A', 0,    0x08, 'full',       'avx512f'),
  vrndscaless: insn('x, x, x/m, i8', 'RVMI', 0x66, '0F3A', 0,    0x0a, 'scalar',     'avx512f'),

  // ---- comparisons
  vcmpps: [
    insn('v, v, v/m, i8',          'RVMI',   0,    '0F',   0,    0xc2, '',           'avx'),
    insn('k, v, v/m, i8',          'RVMI',   0,    '0F',   0,    0xc2, 'full',       'avx512f')],
  vcmpss: [
    insn('x, x, x/m, i8',          'RVMI',   0xf3, '0F',   0,    0xc2, '',           'avx'),
    insn('k, x, x/m, i8',          'RVMI',   0xf3, '0F',   0,    0xc2, 'scalar',     'avx512f')],
  vucomiss: insn('x, x/m',         'RM',     0,    '0F',   0,    0x2e, 'scalar',     'avx|avx512f', PLAIN),
  vcomiss: insn('x, x/m',          'RM',     0,    '0F',   0,    0x2f, 'scalar',     'avx|avx512f', PLAIN),
  vfpclassps: insn('k, v, i8',     'RMI',    0x66, '0F3A', 0,    0x66, 'full',       'avx512dq'),
  vptest: insn('v, v/m',           'RM',     0x66, '0F38', 0,    0x17, '',           'avx'),
  vtestps: insn('v, v/m',          'RM',     0x66, '0F38', 0,    0x0e, '',           'avx'),
  vptestmd: insn('k, v, v/m',      'RVM',    0x66, '0F38', 0,    0x27, 'full',       'avx512f'),
  vptestnmd: insn('k, v, v/m',     'RVM',    0xf3, '0F38', 0,    0x27, 'full',       'avx512f'),
  vpcmpeqb: [
    insn('v, v, v/m',              'RVM',    0x66, '0F',   0,    0x74, '',           'avx2'),
    insn('k, v, v/m',              'RVM',    0x66, '0F',   0,    0x74, 'fullmem',    'avx512bw')],
  vpcmpeqd: [
    insn('v, v, v/m',              'RVM',    0x66, '0F',   0,    0x76, '',           'avx2'),
    insn('k, v, v/m',              'RVM',    0x66, '0F',   0,    0x76, 'full',       'avx512f')],
  vpcmpgtd: [
    insn('v, v, v/m',              'RVM',    0x66, '0F',   0,    0x66, '',           'avx2'),
    insn('k, v, v/m',              'RVM',    0x66, '0F',   0,    0x66, 'full',       'avx512f')],
  vpcmpd: insn('k, v, v/m, i8',    'RVMI',   0x66, '0F3A', 0,    0x1f, 'full',       'avx512f'),
  vpcmpud: insn('k, v, v/m, i8',   'RVMI',   0x66, '0F3A', 0,    0x1e, 'full',       'avx512f'),
  vpcmpb: insn('k, v, v/m, i8',    'RVMI',   0x66, '0F3A', 0,    0x3f, 'fullmem',    'avx512bw'),
  vpcmpub: insn('k, v, v/m, i8',   'RVMI',   0x66, '0F3A', 0,    0x3e, 'fullmem',    'avx512bw'),

  // ---- integer vectors
  vpaddb: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xfc, 'fullmem',    'avx2|avx512bw'),
  vpaddw: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xfd, 'fullmem',    'avx2|avx512bw'),
  vpaddd: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xfe, 'full',       'avx2|avx512f'),
  vpaddq: insn('v, v, v/m',        'RVM',    0x66, '0F',   '01', 0xd4, 'full',       'avx2|avx512f'),
  vpsubb: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xf8, 'fullmem',    'avx2|avx512bw'),
  vpsubw: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xf9, 'fullmem',    'avx2|avx512bw'),
  vpsubd: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xfa, 'full',       'avx2|avx512f'),
  vpsubq: insn('v, v, v/m',        'RVM',    0x66, '0F',   '01', 0xfb, 'full',       'avx2|avx512f'),
  vpmullw: insn('v, v, v/m',       'RVM',    0x66, '0F',   0,    0xd5, 'fullmem',    'avx2|avx512bw'),
  vpmulld: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x40, 'full',       'avx2|avx512f'),
  vpmuludq: insn('v, v, v/m',      'RVM',    0x66, '0F',   '01', 0xf4, 'full',       'avx2|avx512f'),
  vpmuldq: insn('v, v, v/m',       'RVM',    0x66, '0F38', '01', 0x28, 'full',       'avx2|avx512f'),
  vpmaddwd: insn('v, v, v/m',      'RVM',    0x66, '0F',   0,    0xf5, 'fullmem',    'avx2|avx512bw'),
  vpmaddubsw: insn('v, v, v/m',    'RVM',    0x66, '0F38', 0,    0x04, 'fullmem',    'avx2|avx512bw'),
  vpminsd: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x39, 'full',       'avx2|avx512f'),
  vpminud: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x3b, 'full',       'avx2|avx512f'),
  vpmaxsd: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x3d, 'full',       'avx2|avx512f'),
  vpmaxud: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x3f, 'full',       'avx2|avx512f'),
  vpminub: insn('v, v, v/m',       'RVM',    0x66, '0F',   0,    0xda, 'fullmem',    'avx2|avx512bw'),
  vpmaxub: insn('v, v, v/m',       'RVM',    0x66, '0F',   0,    0xde, 'fullmem',    'avx2|avx512bw'),
  vpabsd: insn('v, v/m',           'RM',     0x66, '0F38', 0,    0x1e, 'full',       'avx2|avx512f'),
  vpand: insn('v, v, v/m',         'RVM',    0x66, '0F',   0,    0xdb, '',           'avx2'),
  vpandn: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xdf, '',           'avx2'),
  vpor: insn('v, v, v/m',          'RVM',    0x66, '0F',   0,    0xeb, '',           'avx2'),
  vpxor: insn('v, v, v/m',         'RVM',    0x66, '0F',   0,    0xef, '',           'avx2'),
  vpandd: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xdb, 'full',       'avx512f'),
  vpandnd: insn('v, v, v/m',       'RVM',    0x66, '0F',   0,    0xdf, 'full',       'avx512f'),
  vpord: insn('v, v, v/m',         'RVM',    0x66, '0F',   0,    0xeb, 'full',       'avx512f'),
  vpxord: insn('v, v, v/m',        'RVM',    0x66, '0F',   0,    0xef, 'full',       'avx512f'),
  vpandq: insn('v, v, v/m',        'RVM',    0x66, '0F',   1,    0xdb, 'full',       'avx512f'),
  vporq: insn('v, v, v/m',         'RVM',    0x66, '0F',   1,    0xeb, 'full',       'avx512f'),
  vpxorq: insn('v, v, v/m',        'RVM',    0x66, '0F',   1,    0xef, 'full',       'avx512f'),
  vpternlogd: insn('v, v, v/m, i8', 'RVMI',  0x66, '0F3A', 0,    0x25, 'full',       'avx512f'),
  vpternlogq: insn('v, v, v/m, i8', 'RVMI',  0x66, '0F3A', 1,    0x25, 'full',       'avx512f'),
  vpslld: [
    insn('v, v, i8',               'VMI /6', 0x66, '0F',   0,    0x72, 'full',       'avx2|avx512f'),
    insn('v, v, x/m',              'RVM',    0x66, '0F',   0,    0xf2, 'mem128',     'avx2|avx512f'),
    insn('v, m, i8',               'VMI /6', 0x66, '0F',   0,    0x72, 'full',       'avx512f')],
  vpsrld: [
    insn('v, v, i8',               'VMI /2', 0x66, '0F',   0,    0x72, 'full',       'avx2|avx512f'),
    insn('v, v, x/m',              'RVM',    0x66, '0F',   0,    0xd2, 'mem128',     'avx2|avx512f'),
    insn('v, m, i8',               'VMI /2', 0x66, '0F',   0,    0x72, 'full',       'avx512f')],
  vpsrad: [
    insn('v, v, i8',               'VMI /4', 0x66, '0F',   0,    0x72, 'full',       'avx2|avx512f'),
    insn('v, v, x/m',              'RVM',    0x66, '0F',   0,    0xe2, 'mem128',     'avx2|avx512f'),
    insn('v, m, i8',               'VMI /4', 0x66, '0F',   0,    0x72, 'full',       'avx512f')],
  vpsllq: [
    insn('v, v, i8',               'VMI /6', 0x66, '0F',   '01', 0x73, 'full',       'avx2|avx512f'),
    insn('v, v, x/m',              'RVM',    0x66, '0F',   '01', 0xf3, 'mem128',     'avx2|avx512f')],
  vpsrlq: [
    insn('v, v, i8',               'VMI /2', 0x66, '0F',   '01', 0x73, 'full',       'avx2|avx512f'),
    insn('v, v, x/m',              'RVM',    0x66, '0F',   '01', 0xd3, 'mem128',     'avx2|avx512f')],
  vpsllw: insn('v, v, i8',         'VMI /6', 0x66, '0F',   0,    0x71, 'fullmem',    'avx2|avx512bw'),
  vpsrlw: insn('v, v, i8',         'VMI /2', 0x66, '0F',   0,    0x71, 'fullmem',    'avx2|avx512bw'),
  vpsraw: insn('v, v, i8',         'VMI /4', 0x66, '0F',   0,    0x71, 'fullmem',    'avx2|avx512bw'),
  vpslldq: insn('v, v, i8',        'VMI /7', 0x66, '0F',   0,    0x73, 'fullmem',    'avx2|avx512bw', PLAIN),
  vpsrldq: insn('v, v, i8',        'VMI /3', 0x66, '0F',   0,    0x73, 'fullmem',    'avx2|avx512bw', PLAIN),
  vpsllvd: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x47, 'full',       'avx2|avx512f'),
  vpsrlvd: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x45, 'full',       'avx2|avx512f'),
  vpsravd: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x46, 'full',       'avx2|avx512f'),

  // ---- blends and shuffles
  vblendps: insn('v, v, v/m, i8',  'RVMI',   0x66, '0F3A', 0,    0x0c, '',           'avx'),
  vpblendd: insn('v, v, v/m, i8',  'RVMI',   0x66, '0F3A', 0,    0x02, '',           'avx2'),
  vblendvps: insn('v, v, v/m, v',  'RVMR',   0x66, '0F3A', 0,    0x4a, '',           'avx'),
  vpblendvb: insn('v, v, v/m, v',  'RVMR',   0x66, '0F3A', 0,    0x4c, '',           'avx2'),
  vblendmps: insn('v, v, v/m',     'RVM',    0x66, '0F38', 0,    0x65, 'full',       'avx512f'),
  vpblendmd: insn('v, v, v/m',     'RVM',    0x66, '0F38', 0,    0x64, 'full',       'avx512f'),
  vshufps: insn('v, v, v/m, i8',   'RVMI',   0,    '0F',   0,    0xc6, 'full',       'avx|avx512f'),
  vshufpd: insn('v, v, v/m, i8',   'RVMI',   0x66, '0F',   '01', 0xc6, 'full',       'avx|avx512f'),
  vpshufd: insn('v, v/m, i8',      'RMI',    0x66, '0F',   0,    0x70, 'full',       'avx2|avx512f'),
  vpshufb: insn('v, v, v/m',       'RVM',    0x66, '0F38', 0,    0x00, 'fullmem',    'avx2|avx512bw'),
  vpalignr: insn('v, v, v/m, i8',  'RVMI',   0x66, '0F3A', 0,    0x0f, 'fullmem',    'avx2|avx512bw'),
  valignd: insn('v, v, v/m, i8',   'RVMI',   0x66, '0F3A', 0,    0x03, 'full',       'avx512f'),
  vunpcklps: insn('v, v, v/m',     'RVM',    0,    '0F',   0,    0x14, 'full',       'avx|avx512f'),
  vunpckhps: insn('v, v, v/m',     'RVM',    0,    '0F',   0,    0x15, 'full',       'avx|avx512f'),
  vunpcklpd: insn('v, v, v/m',     'RVM',    0x66, '0F',   '01', 0x14, 'full',       'avx|avx512f'),
  vunpckhpd: insn('v, v, v/m',     'RVM',    0x66, '0F',   '01', 0x15, 'full',       'avx|avx512f'),
  vpunpcklbw: insn('v, v, v/m',    'RVM',    0x66, '0F',   0,    0x60, 'fullmem',    'avx2|avx512bw'),
  vpunpckhbw: insn('v, v, v/m',    'RVM',    0x66, '0F',   0,    0x68, 'fullmem',    'avx2|avx512bw'),
  vpunpcklwd: insn('v, v, v/m',    'RVM',    0x66, '0F',   0,    0x61, 'fullmem',    'avx2|avx512bw'),
  vpunpckhwd: insn('v, v, v/m',    'RVM',    0x66, '0F',   0,    0x69, 'fullmem',    'avx2|avx512bw'),
  vpunpckldq: insn('v, v, v/m',    'RVM',    0x66, '0F',   0,    0x62, 'full',       'avx2|avx512f'),
  vpunpckhdq: insn('v, v, v/m',    'RVM',    0x66, '0F',   0,    0x6a, 'full',       'avx2|avx512f'),
  vpunpcklqdq: insn('v, v, v/m',   'RVM',    0x66, '0F',   '01', 0x6c, 'full',       'avx2|avx512f'),
  vpunpckhqdq: insn('v, v, v/m',   'RVM',    0x66, '0F',   '01', 0x6d, 'full',       'avx2|avx512f'),
  vpacksswb: insn('v, v, v/m',     'RVM',    0x66, '0F',   0,    0x63, 'fullmem',    'avx2|avx512bw'),
  vpackssdw: insn('v, v, v/m',     'RVM',    0x66, '0F',   0,    0x6b, 'full',       'avx2|avx512bw'),
  vpackuswb: insn('v, v, v/m',     'RVM',    0x66, '0F',   0,    0x67, 'fullmem',    'avx2|avx512bw'),
  vpackusdw: insn('v, v, v/m',     'RVM',    0x66, '0F38', 0,    0x2b, 'full',       'avx2|avx512bw'),
  vpermilps: [
    insn('v, v/m, i8',             'RMI',    0x66, '0F3A', 0,    0x04, 'full',       'avx|avx512f'),
    insn('v, v, v/m',              'RVM',    0x66, '0F38', 0,    0x0c, 'full',       'avx|avx512f')],
  vpermilpd: [
    insn('v, v/m, i8',             'RMI',    0x66, '0F3A', '01', 0x05, 'full',       'avx|avx512f'),
    insn('v, v, v/m',              'RVM',    0x66, '0F38', '01', 0x0d, 'full',       'avx|avx512f')],
  vpermq: [
    insn('yz, yz/m, i8',           'RMI',    0x66, '0F3A', 1,    0x00, 'full',       'avx2|avx512f'),
    insn('yz, yz, yz/m',           'RVM',    0x66, '0F38', 1,    0x36, 'full',       'avx512f')],
  vpermpd: [
    insn('yz, yz/m, i8',           'RMI',    0x66, '0F3A', 1,    0x01, 'full',       'avx2|avx512f'),
    insn('yz, yz, yz/m',           'RVM',    0x66, '0F38', 1,    0x16, 'full',       'avx512f')],
  vpermd: insn('yz, yz, yz/m',     'RVM',    0x66, '0F38', 0,    0x36, 'full',       'avx2|avx512f'),
  vpermps: insn('yz, yz, yz/m',    'RVM',    0x66, '0F38', 0,    0x16, 'full',       'avx2|avx512f'),
  vpermt2d: insn('v, v, v/m',      'RVM',    0x66, '0F38', 0,    0x7e, 'full',       'avx512f'),
  vpermt2ps: insn('v, v, v/m',     'RVM',    0x66, '0F38', 0,    0x7f, 'full',       'avx512f'),
  vpermi2d: insn('v, v, v/m',      'RVM',    0x66, '0F38', 0,    0x76, 'full',       'avx512f'),
  vpermi2ps: insn('v, v, v/m',     'RVM',    0x66, '0F38', 0,    0x77, 'full',       'avx512f'),
  vperm2f128: insn('y, y, y/m, i8', 'RVMI',  0x66, '0F3A', 0,    0x06, '',           'avx'),
  vperm2i128: insn('y, y, y/m, i8', 'RVMI',  0x66, '0F3A', 0,    0x46, '',           'avx2'),
  vshuff32x4: insn('yz, yz, yz/m, i8', 'RVMI', 0x66, '0F3A', 0,  0x23, 'full',       'avx512f'),
  vshuff64x2: insn('yz, yz, yz/m, i8', 'RVMI', 0x66, '0F3A', 1,  0x23, 'full',       'avx512f'),
  vshufi32x4: insn('yz, yz, yz/m, i8', 'RVMI', 0x66, '0F3A', 0,  0x43, 'full',       'avx512f'),
  vshufi64x2: insn('yz, yz, yz/m, i8', 'RVMI', 0x66, '0F3A', 1,  0x43, 'full',       'avx512f'),
  vextractf128: insn('x/m, y, i8', 'MRI',    0x66, '0F3A', 0,    0x19, '',           'avx'),
  vextracti128: insn('x/m, y, i8', 'MRI',    0x66, '0F3A', 0,    0x39, '',           'avx2'),
  vextractf32x4: insn('x/m, yz, i8', 'MRI',  0x66, '0F3A', 0,    0x19, 't4',         'avx512f'),
  vextracti32x4: insn('x/m, yz, i8', 'MRI',  0x66, '0F3A', 0,    0x39, 't4',         'avx512f'),
  vextractf64x4: insn('y/m, z, i8', 'MRI',   0x66, '0F3A', 1,    0x1b, 't4',         'avx512f'),
  vextracti64x4: insn('y/m, z, i8', 'MRI',   0x66, '0F3A', 1,    0x3b, 't4',         'avx512f'),
  vextractf32x8: insn('y/m, z, i8', 'MRI',   0x66, '0F3A', 0,    0x1b, 't8',         'avx512dq'),
  vinsertf128: insn('y, y, x/m, i8', 'RVMI', 0x66, '0F3A', 0,    0x18, '',           'avx'),
  vinserti128: insn('y, y, x/m, i8', 'RVMI', 0x66, '0F3A', 0,    0x38, '',           'avx2'),
  vinsertf32x4: insn('yz, yz, x/m, i8', 'RVMI', 0x66, '0F3A', 0, 0x18, 't4',         'avx512f'),
  vinserti32x4: insn('yz, yz, x/m, i8', 'RVMI', 0x66, '0F3A', 0, 0x38, 't4',         'avx512f'),
  vinsertf64x4: insn('z, z, y/m, i8', 'RVMI', 0x66, '0F3A', 1,   0x1a, 't4',         'avx512f'),
  vinserti64x4: insn('z, z, y/m, i8', 'RVMI', 0x66, '0F3A', 1,   0x3a, 't4',         'avx512f'),
  vinsertf32x8: insn('z, z, y/m, i8', 'RVMI', 0x66, '0F3A', 0,   0x1a, 't8',         'avx512dq'),
  vinsertps: insn('x, x, x/m, i8', 'RVMI',   0x66, '0F3A', 0,    0x21, 'scalar',     'avx|avx512f', PLAIN),
  vextractps: insn('r32/m, x, i8', 'MRI',    0x66, '0F3A', 0,    0x17, 'scalar',     'avx|avx512f', PLAIN),
  vpinsrb: insn('x, x, r32/m, i8', 'RVMI',   0x66, '0F3A', 0,    0x20, 'scalar8',    'avx|avx512bw', PLAIN),
  vpinsrd: insn('x, x, r32/m, i8', 'RVMI',   0x66, '0F3A', 0,    0x22, 'scalar',     'avx|avx512dq', PLAIN),
  vpinsrq: insn('x, x, r64/m, i8', 'RVMI',   0x66, '0F3A', 1,    0x22, 'scalar',     'avx|avx512dq', PLAIN),
  vpextrb: insn('r32/m, x, i8',    'MRI',    0x66, '0F3A', 0,    0x14, 'scalar8',    'avx|avx512bw', PLAIN),
  vpextrd: insn('r32/m, x, i8',    'MRI',    0x66, '0F3A', 0,    0x16, 'scalar',     'avx|avx512dq', PLAIN),
  vpextrq: insn('r64/m, x, i8',    'MRI',    0x66, '0F3A', 1,    0x16, 'scalar',     'avx|avx512dq', PLAIN),

  // ---- conversions
  vcvtdq2ps: insn('v, v/m',        'RM',     0,    '0F',   0,    0x5b, 'full',       'avx|avx512f'),
  vcvtps2dq: insn('v, v/m',        'RM',     0x66, '0F',   0,    0x5b, 'full',       'avx|avx512f'),
  vcvttps2dq: insn('v, v/m',       'RM',     0xf3, '0F',   0,    0x5b, 'full',       'avx|avx512f'),
  vcvtudq2ps: insn('v, v/m',       'RM',     0xf2, '0F',   0,    0x7a, 'full',       'avx512f'),
  vcvttps2udq: insn('v, v/m',      'RM',     0,    '0F',   0,    0x78, 'full',       'avx512f'),
  vcvtps2pd: insn('v, h/m',        'RM',     0,    '0F',   0,    0x5a, 'half',       'avx|avx512f'),
  vcvtpd2ps: insn('h, v',          'RM',     0x66, '0F',   '01', 0x5a, 'full',       'avx|avx512f'),
  vcvtdq2pd: insn('v, h/m',        'RM',     0xf3, '0F',   0,    0xe6, 'half',       'avx|avx512f'),
  vcvtph2ps: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x13, 'halfmem',    'f16c|avx512f'),
  vcvtps2ph: insn('h/m, v, i8',    'MRI',    0x66, '0F3A', 0,    0x1d, 'halfmem',    'f16c|avx512f'),
  vcvtsi2ss: insn('x, x, r/m',     'RVM',    0xf3, '0F',   'r',  0x2a, 'scalar',     'avx|avx512f', PLAIN),
  vcvtsi2sd: insn('x, x, r/m',     'RVM',    0xf2, '0F',   'r',  0x2a, 'scalar',     'avx|avx512f', PLAIN),
  vcvtusi2ss: insn('x, x, r/m',    'RVM',    0xf3, '0F',   'r',  0x7b, 'scalar',     'avx512f', PLAIN),
  vcvtss2si: insn('r, x/m',        'RM',     0xf3, '0F',   'r',  0x2d, 'scalar32',   'avx|avx512f', PLAIN),
  vcvttss2si: insn('r, x/m',       'RM',     0xf3, '0F',   'r',  0x2c, 'scalar32',   'avx|avx512f', PLAIN),
  vcvttss2usi: insn('r, x/m',      'RM',     0xf3, '0F',   'r',  0x78, 'scalar32',   'avx512f', PLAIN),
  vcvttsd2si: insn('r, x/m',       'RM',     0xf2, '0F',   'r',  0x2c, 'scalar64',   'avx|avx512f', PLAIN),
  vcvtss2sd: insn('x, x, x/m',     'RVM',    0xf3, '0F',   0,    0x5a, 'scalar',     'avx|avx512f'),
  vcvtsd2ss: insn('x, x, x/m',     'RVM',    0xf2, '0F',   '01', 0x5a, 'scalar',     'avx|avx512f'),
  vpmovzxbw: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x30, 'halfmem',    'avx2|avx512bw'),
  vpmovsxbw: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x20, 'halfmem',    'avx2|avx512bw'),
  vpmovzxbd: insn('v, x/m',        'RM',     0x66, '0F38', 0,    0x31, 'quartermem', 'avx2|avx512f'),
  vpmovsxbd: insn('v, x/m',        'RM',     0x66, '0F38', 0,    0x21, 'quartermem', 'avx2|avx512f'),
  vpmovzxwd: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x33, 'halfmem',    'avx2|avx512f'),
  vpmovsxwd: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x23, 'halfmem',    'avx2|avx512f'),
  vpmovzxdq: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x35, 'halfmem',    'avx2|avx512f'),
  vpmovsxdq: insn('v, h/m',        'RM',     0x66, '0F38', 0,    0x25, 'halfmem',    'avx2|avx512f'),
  vpmovdb: insn('x/m, v',          'MR',     0xf3, '0F38', 0,    0x31, 'quartermem', 'avx512f'),
  vpmovsdb: insn('x/m, v',         'MR',     0xf3, '0F38', 0,    0x21, 'quartermem', 'avx512f'),
  vpmovusdb: insn('x/m, v',        'MR',     0xf3, '0F38', 0,    0x11, 'quartermem', 'avx512f'),
  vpmovdw: insn('h/m, v',          'MR',     0xf3, '0F38', 0,    0x33, 'halfmem',    'avx512f'),
  vpmovusdw: insn('h/m, v',        'MR',     0xf3, '0F38', 0,    0x13, 'halfmem',    'avx512f'),
  vpmovqd: insn('h/m, v',          'MR',     0xf3, '0F38', 0,    0x35, 'halfmem',    'avx512f'),
  vzeroupper: insn('',             'ZO',     0,    '0F',   0,    0x77, '',           'avx'),
  vzeroall: insn('',               'ZO',     0,    '0F',   0,    0x77, '',           'avx', { l: 1 }),

  // ---- masks
  vpmovm2d: insn('v, k',           'RM',     0xf3, '0F38', 0,    0x38, '',           'avx512dq', PLAIN),
  vpmovd2m: insn('k, v',           'RM',     0xf3, '0F38', 0,    0x39, '',           'avx512dq', PLAIN),
  vpmovm2b: insn('v, k',           'RM',     0xf3, '0F38', 0,    0x28, '',           'avx512bw', PLAIN),
  vpmovb2m: insn('k, v',           'RM',     0xf3, '0F38', 0,    0x29, '',           'avx512bw', PLAIN),
  kmovb: [
    insn('k, k/m',                 'RM',     0x66, '0F',   0,    0x90, 'vex',        'avx512dq', PLAIN),
    insn('m, k',                   'MR',     0x66, '0F',   0,    0x91, 'vex',        'avx512dq', PLAIN),
    insn('k, r32',                 'RM',     0x66, '0F',   0,    0x92, 'vex',        'avx512dq', PLAIN),
    insn('r32, k',                 'RM',     0x66, '0F',   0,    0x93, 'vex',        'avx512dq', PLAIN)],
  kmovw: [
    insn('k, k/m',                 'RM',     0,    '0F',   0,    0x90, 'vex',        'avx512f', PLAIN),
    insn('m, k',                   'MR',     0,    '0F',   0,    0x91, 'vex',        'avx512f', PLAIN),
    insn('k, r32',                 'RM',     0,    '0F',   0,    0x92, 'vex',        'avx512f', PLAIN),
    insn('r32, k',                 'RM',     0,    '0F',   0,    0x93, 'vex',        'avx512f', PLAIN)],
  kmovd: [
    insn('k, k/m',                 'RM',     0x66, '0F',   1,    0x90, 'vex',        'avx512bw', PLAIN),
    insn('m, k',                   'MR',     0x66, '0F',   1,    0x91, 'vex',        'avx512bw', PLAIN),
    insn('k, r32',                 'RM',     0xf2, '0F',   0,    0x92, 'vex',        'avx512bw', PLAIN),
    insn('r32, k',                 'RM',     0xf2, '0F',   0,    0x93, 'vex',        'avx512bw', PLAIN)],
  kmovq: [
    insn('k, k/m',                 'RM',     0,    '0F',   1,    0x90, 'vex',        'avx512bw', PLAIN),
    insn('m, k',                   'MR',     0,    '0F',   1,    0x91, 'vex',        'avx512bw', PLAIN),
    insn('k, r64',                 'RM',     0xf2, '0F',   1,    0x92, 'vex',        'avx512bw', PLAIN),
    insn('r64, k',                 'RM',     0xf2, '0F',   1,    0x93, 'vex',        'avx512bw', PLAIN)],
  kandw: insn('k, k, k',           'RVM',    0,    '0F',   0,    0x41, 'vex',        'avx512f', { masked: false, l: 1 }),
  kandnw: insn('k, k, k',          'RVM',    0,    '0F',   0,    0x42, 'vex',        'avx512f', { masked: false, l: 1 }),
  knotw: insn('k, k',              'RM',     0,    '0F',   0,    0x44, 'vex',        'avx512f', PLAIN),
  korw: insn('k, k, k',            'RVM',    0,    '0F',   0,    0x45, 'vex',        'avx512f', { masked: false, l: 1 }),
  kxnorw: insn('k, k, k',          'RVM',    0,    '0F',   0,    0x46, 'vex',        'avx512f', { masked: false, l: 1 }),
  kxorw: insn('k, k, k',           'RVM',    0,    '0F',   0,    0x47, 'vex',        'avx512f', { masked: false, l: 1 }),
  kunpckbw: insn('k, k, k',        'RVM',    0x66, '0F',   0,    0x4b, 'vex',        'avx512f', { masked: false, l: 1 }),
  kortestw: insn('k, k',           'RM',     0,    '0F',   0,    0x98, 'vex',        'avx512f', PLAIN),
  kortestb: insn('k, k',           'RM',     0x66, '0F',   0,    0x98, 'vex',        'avx512dq', PLAIN),
  kshiftlw: insn('k, k, i8',       'RMI',    0x66, '0F3A', 1,    0x32, 'vex',        'avx512f', PLAIN),
  kshiftrw: insn('k, k, i8',       'RMI',    0x66, '0F3A', 1,    0x30, 'vex',        'avx512f', PLAIN),
} as const;

export type Mnemonic = keyof typeof INSTRUCTIONS;

/** The rows of an instruction, one or several. */
export function rowsOf(name: Mnemonic): readonly Insn[] {
  const rows: Insn | readonly Insn[] = INSTRUCTIONS[name];
  return 'operands' in rows ? [rows] : rows;
}

/**
 * A kernel between selection and bytes: a flat list of operations on virtual registers, with labels and loop marks. Each
 * is one instruction or a short fixed sequence; which one depends on the registers its operands get (emit.ts). An
 * operation reads all its operands before it writes `d`, which may therefore share a register with any of them. Fields
 * live in one typed array: a kernel has thousands of operations and must cost no objects.
 */

/** The operations. In comments d is the result, a, b, c are operands; b may be memory or, for `g` operations, the immediate. */
export const M = {
  // control
  entry: 0, // d, a, b become what the caller passes: args, begin, end
  label: 1,
  loop: 2, // head of a loop
  back: 3, // to the head if a < b
  jump: 4,
  jumpIf: 5, // if a CONDITION b
  // general registers: 32 bits unless they say 64
  gmov: 6,
  gimm: 7,
  gadd: 8,
  gsub: 9,
  gand: 10,
  gor: 11,
  gxor: 12,
  gmul: 13,
  gmul64: 14,
  gshl: 15, // by IMM, like all shifts
  gshr: 16,
  gshrU: 17,
  gshr64: 18,
  gshrU64: 19,
  gneg: 20,
  gset: 21, // a CONDITION b ? 1 : 0
  gmin: 22,
  gmax: 23,
  gselect: 24, // c ≠ 0 ? a : b
  gdiv: 25,
  grem: 26,
  lea: 27, // 64
  movsxd: 28,
  gload: 29,
  gload8: 30,
  gload64: 31,
  gstore: 32, // of a, or of IMM
  gstore8: 33,
  gstore64: 34,
  prefetch: 35, // level IMM
  // between the files
  gfromv: 36,
  vfromg: 37,
  vsplatg: 38, // AVX-512
  cvtg: 39,
  cvtg64: 40,
  gfromk: 41,
  vfromk: 42,
  kfromv: 43,
  // vectors; width 0 is a scalar float
  vmov: 44,
  vzero: 45,
  vones: 46, // all bits
  vload: 47,
  vstore: 48, // past the caches if IMM
  vbroadcast: 49, // of memory
  vsplat: 50, // of a's first lane
  vadd: 51,
  vsub: 52,
  vmul: 53,
  vdiv: 54,
  vmin: 55, // a < b ? a : b
  vmax: 56, // a > b ? a : b
  vsqrt: 57, // of b, like all of one operand that may lie in memory
  vand: 58,
  vandn: 59, // ¬a & b
  vor: 60,
  vxor: 61,
  vround: 62, // b; IMM: 0 nearest, 1 floor, 2 ceil, 3 trunc
  vcmp: 63, // AVX2: a mask in a vector register; IMM is the predicate
  fma: 64, // c + a · b
  fmaFrom: 65, // a · c + b: b, the addend, may be memory
  padd: 66,
  psub: 67,
  pmul: 68,
  pmin: 69,
  pmax: 70,
  pmaxU: 71,
  pmulU: 72, // even lanes, 64-bit products
  peq: 73, // AVX2
  pgt: 74, // AVX2
  pshl: 75,
  pshr: 76,
  pshrU: 77,
  pshrU64: 78,
  pblend: 79, // AVX2: lane i is b's where bit i of IMM is set, else a's
  pnot: 80, // AVX-512
  pmerge: 81, // AVX-512: c | (a & b)
  vselect: 82, // AVX2: b where the sign of c is set, else a
  vtoI: 83, // b
  vtoF: 84, // b
  vtoFU: 85, // b; AVX-512
  vrange: 86, // AVX-512: the larger, -0 < +0
  // masks: AVX-512
  kcmp: 87,
  kpcmp: 88,
  kpcmpU: 89,
  kand: 90,
  kor: 91,
  kxor: 92,
  knot: 93,
  kselect: 94, // b where c is set, else a
  kzero: 95, // b where c is set, else 0
  kload: 96,
  kstore: 97,
  // lanes and bytes
  quarter: 98, // 128-bit part IMM of a
  upperHalf: 99, // of 512 bits
  setQuarter: 100, // a with b in part IMM
  setUpperHalf: 101,
  setLaneF: 102, // a with b in lane IMM of its first quarter
  setLaneI: 103, // b is a general register
  laneI: 104,
  permute: 105, // the lanes within each quarter, two bits of IMM each
  bytesIn: 106, // zero-extended from memory
  bytesOut: 107, // AVX-512: low bytes to memory
  packWords: 108,
  packBytes: 109,
  storeLow: 110, // 4 or 8 (IMM) bytes of a
} as const;

// Fields of an operation. What is not used is -1 (registers) or 0.
export const OP = 0;
export const WIDTH = 1; // of vectors: 0 scalar float, 1, 2, 3: 128, 256, 512 bits
export const D = 2;
export const A = 3;
export const B = 4;
export const C = 5;
export const BASE = 6; // a register, or FRAME or POOL
export const INDEX = 7;
export const DISP = 8;
export const MEM = 9; // what b is: see below; the index is scaled by 2^(MEM >> 2)
export const IMM = 10;
export const EXTRA = 11; // a label, or a CONDITION
export const STRIDE = 12;

/** What b is. */
export const IN_REGISTER = 0;
export const IN_MEMORY = 1;
/** One element of memory in all lanes. */
export const IN_ELEMENT = 2;
export const IMMEDIATE = 3;

/** Bases that are no registers: the stack frame, and the constant number DISP. */
export const FRAME = -2;
export const POOL = -3;

/** Conditions as x86 numbers them. */
export const CC = { b: 2, ae: 3, e: 4, ne: 5, l: 12, ge: 13, le: 14, g: 15 } as const;

/** Register files of virtual registers. */
export const GENERAL = 0;
export const VECTOR = 1;
export const MASK = 2;

/** Memory of kernels assembled before: large arrays made anew for each would be half of an assembler's time. */
const spare: Int32Array[] = [];

function takeWords(least: number): Int32Array {
  const words = spare.pop();
  return words !== undefined && words.length >= least ? words : new Int32Array(least);
}

export class MachineCode {
  words = takeWords(STRIDE * 4096);
  count = 0;
  files = new Uint8Array(256); // of each virtual register
  registers = 0;
  labels = 0;
  /** Slots of 8 bytes and of a vector that the frame needs; `allocate` sets them. */
  frameWords = 0;
  frameVectors = 0;
  canTrap = false;
  readonly constants: Uint8Array[] = []; // of 4 bytes, or a vector

  register(file: number): number {
    if (this.registers === this.files.length) {
      const grown = new Uint8Array(2 * this.files.length);
      grown.set(this.files);
      this.files = grown;
    }
    this.files[this.registers] = file;
    return this.registers++;
  }

  /** Adds an operation without memory; returns where its fields start. */
  push(op: number, width: number, d: number, a = -1, b = -1, c = -1, imm = 0, extra = 0): number {
    const at = this.room();
    const { words } = this;
    words[at] = op;
    words[at + WIDTH] = width;
    words[at + D] = d;
    words[at + A] = a;
    words[at + B] = b;
    words[at + C] = c;
    words[at + BASE] = -1;
    words[at + INDEX] = -1;
    words[at + DISP] = 0;
    words[at + MEM] = 0;
    words[at + IMM] = imm;
    words[at + EXTRA] = extra;
    return at;
  }

  /** Begins an empty list. What was there is the caller's, to copy from and to `recycle`. */
  restart(): Int32Array {
    const { words } = this;
    this.words = takeWords(words.length);
    this.count = 0;
    return words;
  }

  recycle(words: Int32Array): void {
    spare.push(words);
  }

  /** Adds a copy of the operation that starts at `from` in `words`. */
  copy(words: Int32Array, from: number): number {
    const at = this.room();
    for (let i = 0; i < STRIDE; i++) this.words[at + i] = words[from + i];
    return at;
  }

  /** Adds copies of the operations between two places in `words`. */
  copyRun(words: Int32Array, from: number, to: number): void {
    if (from === to) return;
    const at = this.count * STRIDE;
    this.count += (to - from) / STRIDE;
    this.grow();
    this.words.set(words.subarray(from, to), at);
  }

  private room(): number {
    const at = this.count++ * STRIDE;
    this.grow();
    return at;
  }

  private grow(): void {
    if (this.count * STRIDE <= this.words.length) return;
    const grown = new Int32Array(2 * this.count * STRIDE);
    grown.set(this.words);
    this.words = grown;
  }
}

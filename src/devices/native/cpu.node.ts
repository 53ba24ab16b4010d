/**
 * What this processor can do, asked with the CPUID instruction from a few bytes of our own code (Intel SDM vol. 2, CPUID; AMD APM vol. 3,
 * appendix E), and whether the system keeps the wide registers when it switches threads (XGETBV).
 */

import type { Abi, X64Level } from '../../codegen/x64/index.js';
import type { Foreign } from './foreign.node.js';
import { type Code, type Pages, placeCode } from './memory.node.js';

export interface Cpu {
  /** As the maker writes it: `AMD EPYC 9755 128-Core Processor`. */
  readonly brand: string;
  readonly avx2: boolean;
  readonly fma: boolean;
  /** F, VL, DQ and BW. */
  readonly avx512: boolean;
  /** The best code that runs here; null: not even AVX2 with FMA. */
  readonly level: X64Level | null;
  /** Bytes of one core's caches; the last level may be shared. */
  readonly caches: { readonly L1d?: number; readonly L2?: number; readonly L3?: number };
}

export const nativeAbi: Abi = process.platform === 'win32' ? 'win64' : 'sysv';

/** Instructions that JavaScript lacks, as functions. Their page is kept as long as the process lives. */
export class Instructions {
  private readonly code: Code;
  private readonly call: (at: Entry, ...args: unknown[]) => unknown;
  private readonly registers = new Uint32Array(4);

  constructor({ koffi }: Foreign, pages: Pages, abi = nativeAbi) {
    this.code = placeCode(pages, Uint8Array.from(ENTRIES.flatMap((entry) => pad(source[abi][entry]))));
    const prototypes = {
      cpuid: koffi.proto('void', ['uint32_t', 'uint32_t', 'void *']),
      xgetbv: koffi.proto('uint64_t', []),
      rdtsc: koffi.proto('uint64_t', []),
    };
    this.call = (at, ...args) =>
      koffi.call(this.code.address + ENTRIES.indexOf(at) * ENTRY_BYTES, prototypes[at], ...args);
  }

  /** eax, ebx, ecx, edx. */
  cpuid(leaf: number, subleaf = 0): readonly [number, number, number, number] {
    this.call('cpuid', leaf, subleaf, this.registers);
    const [a, b, c, d] = this.registers;
    return [a, b, c, d];
  }

  /** Which register states the system keeps (XCR0). */
  xgetbv(): number {
    return Number(this.call('xgetbv'));
  }

  /** The time-stamp counter, which programs that are profiled write. */
  rdtsc(): number {
    return Number(this.call('rdtsc'));
  }
}

export function identify(ask: Pick<Instructions, 'cpuid' | 'xgetbv'>): Cpu {
  const [highest] = ask.cpuid(0);
  const [, , features] = ask.cpuid(1);
  const [, wide] = highest >= 7 ? ask.cpuid(7) : [0, 0];
  const has = (word: number, bits: readonly number[]) => bits.every((bit) => (word >>> bit) & 1);
  const kept = has(features, [OSXSAVE]) ? ask.xgetbv() : 0;
  const fma = has(features, [FMA]) && (kept & YMM_STATE) === YMM_STATE;
  const avx2 = has(wide, [AVX2]) && (kept & YMM_STATE) === YMM_STATE;
  const avx512 = has(wide, [AVX512F, AVX512DQ, AVX512BW, AVX512VL]) && (kept & ZMM_STATE) === ZMM_STATE;
  const level = !avx2 || !fma ? null : avx512 ? 'avx512' : 'avx2';
  return { brand: brandOf(ask), avx2, fma, avx512, level, caches: cachesOf(ask, highest) };
}

// Bits of leaf 1 ecx and leaf 7 ebx.
const [FMA, OSXSAVE] = [12, 27];
const [AVX2, AVX512F, AVX512DQ, AVX512BW, AVX512VL] = [5, 16, 17, 30, 31];
// Bits of XCR0: SSE and AVX; mask registers and both parts of AVX-512 besides.
const YMM_STATE = 0x06;
const ZMM_STATE = 0xe6;

function brandOf(ask: Pick<Instructions, 'cpuid'>): string {
  const leaves = [0x80000002, 0x80000003, 0x80000004];
  if (ask.cpuid(0x80000000)[0] < leaves[2]) return 'x86-64';
  const words = Uint32Array.from(leaves.flatMap((leaf) => [...ask.cpuid(leaf)]));
  return new TextDecoder().decode(words).replaceAll('\0', ' ').replace(/\s+/g, ' ').trim();
}

/** Intel describes its caches in leaf 4, AMD likewise in leaf 0x8000001d. */
function cachesOf(ask: Pick<Instructions, 'cpuid'>, highest: number): Cpu['caches'] {
  const amd = ask.cpuid(0x80000000)[0] >= 0x8000001d && (ask.cpuid(0x8000001d)[0] & 31) !== 0;
  if (!amd && highest < 4) return {};
  const caches: { L1d?: number; L2?: number; L3?: number } = {};
  for (let i = 0; i < 16; i++) {
    const [kind, geometry, sets] = ask.cpuid(amd ? 0x8000001d : 4, i);
    const [type, level] = [kind & 31, (kind >>> 5) & 7];
    if (type === 0) break;
    if (type === INSTRUCTIONS) continue;
    const [ways, partitions, line] = [geometry >>> 22, (geometry >>> 12) & 1023, geometry & 4095];
    const bytes = (ways + 1) * (partitions + 1) * (line + 1) * (sets + 1);
    if (level === 1) caches.L1d = bytes;
    if (level === 2) caches.L2 = bytes;
    if (level === 3) caches.L3 = bytes;
  }
  return caches;
}

const INSTRUCTIONS = 2;

const ENTRIES = ['cpuid', 'xgetbv', 'rdtsc'] as const;
type Entry = (typeof ENTRIES)[number];
const ENTRY_BYTES = 32;
const pad = (code: readonly number[]): number[] => [
  ...code,
  ...new Array<number>(ENTRY_BYTES - code.length).fill(0xcc),
];

// rdx:rax as one number in rax; ret.
const JOIN_AND_RETURN = [0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3]; // shl rdx, 32; or rax, rdx; ret
const XGETBV = [0x31, 0xc9, 0x0f, 0x01, 0xd0, ...JOIN_AND_RETURN]; // xor ecx, ecx; xgetbv
const RDTSC = [0x0f, 0x31, ...JOIN_AND_RETURN];
// (leaf, subleaf, four words at r8)
const CPUID = [
  ...[0x0f, 0xa2], // cpuid
  ...[0x41, 0x89, 0x00, 0x41, 0x89, 0x58, 0x04], // mov [r8], eax; mov [r8+4], ebx
  ...[0x41, 0x89, 0x48, 0x08, 0x41, 0x89, 0x50, 0x0c], // mov [r8+8], ecx; mov [r8+12], edx
  ...[0x5b, 0xc3], // pop rbx; ret
];
const source: Readonly<Record<Abi, Readonly<Record<Entry, readonly number[]>>>> = {
  sysv: {
    // push rbx; mov r8, rdx; mov eax, edi; mov ecx, esi
    cpuid: [0x53, 0x49, 0x89, 0xd0, 0x89, 0xf8, 0x89, 0xf1, ...CPUID],
    xgetbv: XGETBV,
    rdtsc: RDTSC,
  },
  win64: {
    // push rbx; mov eax, ecx; mov ecx, edx
    cpuid: [0x53, 0x89, 0xc8, 0x89, 0xd1, ...CPUID],
    xgetbv: XGETBV,
    rdtsc: RDTSC,
  },
};

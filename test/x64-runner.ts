/**
 * Runs machine code for real, in tests: maps pages for it, calls it on a copy of the test's memory. Levels that this machine
 * lacks have a reason, which the tests give when they skip.
 */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import type { X64Level } from '../src/codegen/x64/index.js';
import { assembleKernel } from '../src/codegen/x64/index.js';
import type { Kernel } from '../src/ir/index.js';

/** Why code of this level cannot run here, or null. */
export function whyNot(level: X64Level): string | null {
  if (process.arch !== 'x64' || process.platform !== 'linux') return `${process.platform} on ${process.arch}`;
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' '));
  const wanted = ['avx2', 'fma', ...(level === 'avx512' ? ['avx512f', 'avx512vl', 'avx512dq', 'avx512bw'] : [])];
  const missing = wanted.filter((flag) => !flags.has(flag));
  return missing.length === 0 ? null : `no ${missing.join(', ')} here`;
}

export const LEVELS: readonly X64Level[] = (['avx2', 'avx512'] as const).filter((level) => whyNot(level) === null);

const [READ, WRITE, EXECUTE, PRIVATE, ANONYMOUS] = [1, 2, 4, 2, 0x20];

interface Libc {
  mmap(at: null, bytes: number, protection: number, flags: number, file: number, offset: number): unknown;
  mprotect(at: unknown, bytes: number, protection: number): number;
  munmap(at: unknown, bytes: number): number;
}

let libc: Libc | null = null;
function system(): Libc {
  if (libc !== null) return libc;
  const lib = koffi.load(null);
  libc = {
    mmap: lib.func('void *mmap(void *, size_t, int, int, int, long)'),
    mprotect: lib.func('int mprotect(void *, size_t, int)'),
    munmap: lib.func('int munmap(void *, size_t)'),
  };
  return libc;
}

const PAGE = 4096;

/** A mapping of its own, pages that may not be touched before and after. */
export class Mapping {
  private readonly start: unknown;
  private readonly all: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;

  constructor(size: number) {
    const room = Math.max(PAGE, Math.ceil(size / PAGE) * PAGE);
    this.all = room + 2 * PAGE;
    this.start = system().mmap(null, this.all, 0, PRIVATE | ANONYMOUS, -1, 0);
    this.address = koffi.address(this.start) + BigInt(PAGE);
    this.protect(READ | WRITE);
    this.bytes = new Uint8Array(koffi.view(this.address, room));
  }

  executable(): void {
    this.protect(READ | EXECUTE);
  }

  free(): void {
    system().munmap(this.start, this.all);
  }

  private protect(protection: number): void {
    if (system().mprotect(this.address, this.all - 2 * PAGE, protection) !== 0) throw new Error('mprotect failed');
  }
}

let proto: ReturnType<typeof koffi.proto> | null = null;

/** A kernel's function, in memory until `free`. */
export class NativeKernel {
  private readonly code: Mapping;

  constructor(
    readonly kernel: Kernel,
    level: X64Level,
  ) {
    const bytes = assembleKernel(kernel, { level, abi: 'sysv', threads: false });
    this.code = new Mapping(bytes.length);
    this.code.bytes.set(bytes);
    this.code.executable();
  }

  /** `args` are offsets from `heap`. Returns what the kernel does: 0, or 1 when it was called off. */
  run(args: readonly number[], heap: bigint, begin: number, end: number): number {
    proto ??= koffi.proto('int kernel(void *, int, int)');
    const addresses = BigUint64Array.from(args, (a) => heap + BigInt(a));
    return koffi.call(this.code.address, proto, addresses, begin, end);
  }

  free(): void {
    this.code.free();
  }
}

/** Does tasks begin … end on a copy of `memory`, with the parameters at the offsets `args`; gives the copy. */
export function runX64(
  level: X64Level,
  kernel: Kernel,
  memory: Uint8Array,
  args: readonly number[],
  range: readonly [number, number] = [0, kernel.tasks],
): Uint8Array {
  const native = new NativeKernel(kernel, level);
  const heap = new Mapping(memory.length);
  // Against the page that may not be touched, so that a read past the end shows.
  const at = heap.bytes.length - memory.length;
  heap.bytes.set(memory, at);
  try {
    const failed = native.run(args, heap.address + BigInt(at), ...range) !== 0;
    if (failed) throw new Error(`${kernel.name}: called off`);
    return heap.bytes.slice(at);
  } finally {
    heap.free();
    native.free();
  }
}

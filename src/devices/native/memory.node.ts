/**
 * Executable memory: pages are mapped to be written, filled, then protected to be read and executed, and never are both at once.
 * Each program has its own, given back with it. Tested on Linux; macOS and Windows make the same calls in their own words, untested.
 */

import { getSystemErrorName } from 'node:util';
import { ConfigError } from '../../util/errors.js';
import type { Foreign } from './foreign.node.js';

/** The system's calls for pages. Addresses of user space fit a number exactly. */
export interface Pages {
  /** Pages that may be read and written. @throws {ConfigError} */
  map(bytes: number): number;
  write(address: number, data: Uint8Array): void;
  /** From now on they may be read and executed, not written. @throws {ConfigError} */
  seal(address: number, bytes: number): void;
  unmap(address: number, bytes: number): void;
  /** Asks for pages of 2 MiB in a range that is the caller's already; whether the system takes the advice. */
  adviseHuge(address: number, bytes: number): boolean;
  /** Address of a C function that gives the processor to another thread, whatever its arguments. */
  readonly yieldAddress: number;
}

export function openPages(foreign: Foreign, platform = process.platform): Pages {
  if (platform === 'win32') return windowsPages(foreign);
  if (platform === 'linux' || platform === 'darwin') return unixPages(foreign, platform);
  throw new ConfigError(`x64: no way to executable memory is known on ${platform}; Linux, macOS and Windows have one.`);
}

/** Machine code in memory of its own. */
export interface Code {
  readonly address: number;
  readonly bytes: number;
}

/** @throws {ConfigError} when the system refuses */
export function placeCode(pages: Pages, code: Uint8Array): Code {
  const bytes = code.byteLength;
  const address = pages.map(bytes);
  try {
    pages.write(address, code);
    pages.seal(address, bytes);
  } catch (error) {
    pages.unmap(address, bytes);
    throw error;
  }
  return { address, bytes };
}

// <sys/mman.h>
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = { linux: 0x20, darwin: 0x1000 };
const MADV_HUGEPAGE = 14;

function unixPages({ koffi }: Foreign, platform: 'linux' | 'darwin'): Pages {
  const libc = koffi.load(null);
  const mmap = libc.func('mmap', 'intptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
  const mprotect = libc.func('mprotect', 'int', ['uintptr_t', 'size_t', 'int']);
  const munmap = libc.func('munmap', 'int', ['uintptr_t', 'size_t']);
  const memcpy = libc.func('memcpy', 'uintptr_t', ['uintptr_t', 'const void *', 'size_t']);
  const madvise = libc.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']);
  const check = (ok: boolean, call: string) => {
    if (!ok) throw refused(`${call}: ${getSystemErrorName(-koffi.errno())}`);
  };
  return {
    map(bytes) {
      const address = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS[platform], -1, 0);
      check(address !== -1, 'mmap');
      return address;
    },
    write(address, data) {
      memcpy(address, data, data.byteLength);
    },
    seal(address, bytes) {
      check(mprotect(address, bytes, PROT_READ | PROT_EXEC) === 0, 'mprotect');
    },
    unmap(address, bytes) {
      munmap(address, bytes);
    },
    adviseHuge: (address, bytes) => platform === 'linux' && madvise(address, bytes, MADV_HUGEPAGE) === 0,
    yieldAddress: Number(koffi.address(libc.symbol('sched_yield'))),
  };
}

// <memoryapi.h>
const [MEM_COMMIT, MEM_RESERVE, MEM_RELEASE] = [0x1000, 0x2000, 0x8000];
const [PAGE_READWRITE, PAGE_EXECUTE_READ] = [0x04, 0x20];
const CURRENT_PROCESS = -1; // what GetCurrentProcess() returns

/** Untested. */
function windowsPages({ koffi }: Foreign): Pages {
  const kernel = koffi.load('kernel32.dll');
  const allocate = kernel.func('VirtualAlloc', 'uintptr_t', ['uintptr_t', 'size_t', 'uint32_t', 'uint32_t']);
  const protect = kernel.func('VirtualProtect', 'int', ['uintptr_t', 'size_t', 'uint32_t', 'uint32_t *']);
  const free = kernel.func('VirtualFree', 'int', ['uintptr_t', 'size_t', 'uint32_t']);
  const move = kernel.func('RtlMoveMemory', 'void', ['uintptr_t', 'const void *', 'size_t']);
  const flush = kernel.func('FlushInstructionCache', 'int', ['intptr_t', 'uintptr_t', 'size_t']);
  const lastError = kernel.func('GetLastError', 'uint32_t', []);
  const check = (ok: boolean, call: string) => {
    if (!ok) throw refused(`${call}: error ${lastError()}`);
  };
  return {
    map(bytes) {
      const address = allocate(0, bytes, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
      check(address !== 0, 'VirtualAlloc');
      return address;
    },
    write(address, data) {
      move(address, data, data.byteLength);
    },
    seal(address, bytes) {
      check(protect(address, bytes, PAGE_EXECUTE_READ, new Uint32Array(1)) !== 0, 'VirtualProtect');
      flush(CURRENT_PROCESS, address, bytes);
    },
    unmap(address) {
      free(address, 0, MEM_RELEASE);
    },
    adviseHuge: () => false,
    yieldAddress: Number(koffi.address(kernel.symbol('SwitchToThread'))),
  };
}

function refused(reason: string): ConfigError {
  return new ConfigError(
    `x64: the system refuses executable memory (${reason}); some hardened systems and containers do.`,
  );
}

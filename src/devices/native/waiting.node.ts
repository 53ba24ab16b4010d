/**
 * How machine code waits for another thread: two C functions, `void wait(u32* word, u32 value)`, which sleeps while the word holds the value, a few milliseconds
 * at most, and `void wake(u32* word)`, which ends the sleep of all who wait on it. On Linux they ask the kernel (futex(2)) in a few bytes of our own code. Elsewhere
 * whoever waits offers the processor, and nobody need be woken.
 */

import { type Pages, placeCode } from './memory.node.js';

/** Addresses of the two. */
export interface Waiting {
  readonly wait: number;
  readonly wake: number;
}

/** Their page is kept as long as the process lives. */
export function openWaiting(pages: Pages, platform = process.platform): Waiting {
  if (platform !== 'linux') return { wait: pages.yieldAddress, wake: pages.yieldAddress };
  const { address } = placeCode(pages, Uint8Array.from([...padded(WAIT), ...padded(WAKE), ...TIMEOUT]));
  return { wait: address, wake: address + ENTRY_BYTES };
}

const ENTRY_BYTES = 32;
const padded = (code: readonly number[]): number[] => [
  ...code,
  ...new Array<number>(ENTRY_BYTES - code.length).fill(0xcc),
];

// System V: word in rdi, value in esi. The system call takes word, operation, value and timeout in rdi, esi, edx and r10.
const SYSTEM_CALL = [0xb8, 202, 0, 0, 0, 0x0f, 0x05, 0xc3]; // mov eax, SYS_futex; syscall; ret
const WAIT = [
  ...[0x89, 0xf2], // mov edx, esi
  ...[0xbe, 0x80, 0, 0, 0], // mov esi, FUTEX_WAIT | FUTEX_PRIVATE_FLAG
  ...[0x4c, 0x8d, 0x15, 2 * ENTRY_BYTES - 14, 0, 0, 0], // lea r10, [rip + …]: the timeout
  ...SYSTEM_CALL,
];
const WAKE = [
  ...[0xbe, 0x81, 0, 0, 0], // mov esi, FUTEX_WAKE | FUTEX_PRIVATE_FLAG
  ...[0xba, 0xff, 0xff, 0xff, 0x7f], // mov edx, INT_MAX
  ...SYSTEM_CALL,
];
/** Seconds and nanoseconds, eight bytes each: five milliseconds. Who calls a run off, outside of machine code, wakes nobody. */
const TIMEOUT = new Uint8Array(BigInt64Array.of(0n, 5_000_000n).buffer);

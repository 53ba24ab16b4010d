/**
 * One WebAssembly.Memory and the blocks in it. First fit over a free list kept in address order, so neighbours join again when freed.
 * Blocks are 64-byte aligned (a cache line, and the widest vector); the first 64 bytes are never handed out, so address 0 is no block.
 */

import { ConfigError, invariant } from '../util/errors.js';

export const ALIGNMENT = 64;
const PAGE_BYTES = 65536;
const MAX_PAGES = 65536; // 4 GiB: what 32-bit addresses reach
const INITIAL_PAGES = 16;
const GROWTH = 1.25;

/** The device's memory cannot hold one more block. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}

/** The part of WebAssembly.Memory that the heap needs. */
export interface GrowableMemory {
  readonly buffer: { readonly byteLength: number };
  grow(pages: number): number;
}

/**
 * A memory that may grow to `maxBytes` (default 4 GiB). A shared memory claims address space for its maximum at once, and not
 * every engine gives 4 GiB, so the maximum is halved until it is granted; `maxBytes` of the result is what was granted.
 */
export function createMemory(options: { shared: boolean; maxBytes?: number }): {
  memory: WebAssembly.Memory;
  maxBytes: number;
} {
  const wanted = options.maxBytes ?? MAX_PAGES * PAGE_BYTES;
  if (!(wanted >= PAGE_BYTES)) {
    throw new ConfigError(
      `maxBytes is ${wanted}; WebAssembly memory comes in pages of 65536 bytes, so give at least one.`,
    );
  }
  let maximum = Math.min(MAX_PAGES, Math.floor(wanted / PAGE_BYTES));
  for (;;) {
    try {
      const initial = Math.min(INITIAL_PAGES, maximum);
      const memory = new WebAssembly.Memory({ initial, maximum, shared: options.shared });
      return { memory, maxBytes: maximum * PAGE_BYTES };
    } catch (error) {
      if (!(error instanceof RangeError) || maximum <= INITIAL_PAGES) throw error;
      maximum = Math.max(INITIAL_PAGES, maximum >>> 1);
    }
  }
}

export class Heap {
  /** In address order; no two touch each other. */
  private readonly free_: Block[];
  private readonly used = new Map<number, number>(); // address → bytes
  private used_ = 0;
  private peak = 0;

  constructor(
    private readonly memory: GrowableMemory,
    readonly maxBytes: number,
    /** The device's name, for messages. */
    private readonly owner = 'wasm',
  ) {
    this.free_ = [{ address: ALIGNMENT, bytes: memory.buffer.byteLength - ALIGNMENT }];
  }

  get usedBytes(): number {
    return this.used_;
  }

  /** The most that was ever in use at once. */
  get peakBytes(): number {
    return this.peak;
  }

  /** Address of a block of at least `bytes`. What it holds is left over from before, not zero. @throws {OutOfMemoryError} */
  alloc(bytes: number): number {
    invariant(Number.isSafeInteger(bytes) && bytes >= 0, `alloc: ${bytes} is not a number of bytes`);
    const rounded = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    let at = this.free_.findIndex((block) => block.bytes >= rounded);
    if (at < 0) {
      this.growFor(rounded, bytes);
      at = this.free_.length - 1;
    }
    const block = this.free_[at];
    const { address } = block;
    if (block.bytes === rounded) this.free_.splice(at, 1);
    else this.free_[at] = { address: address + rounded, bytes: block.bytes - rounded };
    this.used.set(address, rounded);
    this.used_ += rounded;
    this.peak = Math.max(this.peak, this.used_);
    return address;
  }

  free(address: number): void {
    const bytes = this.used.get(address);
    invariant(bytes !== undefined, `free: no block starts at address ${address}; was it freed before?`);
    this.used.delete(address);
    this.used_ -= bytes;
    this.release({ address, bytes });
  }

  /** Free bytes between blocks, the largest first: what a report about fragmentation needs. */
  freeBlocks(): number[] {
    return this.free_.map((block) => block.bytes).sort((a, b) => b - a);
  }

  /** Makes the last free block at least `rounded` bytes long. */
  private growFor(rounded: number, asked: number): void {
    const size = this.memory.buffer.byteLength;
    const last = this.free_.at(-1);
    const tail = last !== undefined && last.address + last.bytes === size ? last.bytes : 0;
    const least = Math.ceil((size + rounded - tail) / PAGE_BYTES) * PAGE_BYTES;
    const roomy = Math.ceil((size * GROWTH) / PAGE_BYTES) * PAGE_BYTES;
    // A generous step first: many small ones cost a system call each. When that is refused, exactly what is needed.
    for (const target of [Math.min(Math.max(least, roomy), this.maxBytes), least]) {
      if (target < least || target > this.maxBytes) continue;
      try {
        this.memory.grow((target - size) / PAGE_BYTES);
      } catch {
        continue;
      }
      this.release({ address: size, bytes: this.memory.buffer.byteLength - size });
      return;
    }
    throw new OutOfMemoryError(this.fullMessage(asked, least <= this.maxBytes));
  }

  /** Puts a block into the free list and joins it with the neighbours it touches. */
  private release(block: Block): void {
    let low = 0;
    let high = this.free_.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.free_[middle].address < block.address) low = middle + 1;
      else high = middle;
    }
    const before = this.free_[low - 1];
    const after = this.free_[low];
    const joinsBefore = before !== undefined && before.address + before.bytes === block.address;
    const joinsAfter = after !== undefined && block.address + block.bytes === after.address;
    const from = joinsBefore ? before.address : block.address;
    const to = joinsAfter ? after.address + after.bytes : block.address + block.bytes;
    this.free_.splice(joinsBefore ? low - 1 : low, Number(joinsBefore) + Number(joinsAfter), {
      address: from,
      bytes: to - from,
    });
  }

  private fullMessage(asked: number, systemRefused: boolean): string {
    const largest = this.freeBlocks()[0] ?? 0;
    const size = describeBytes(this.memory.buffer.byteLength);
    const limit = systemRefused ? `${size}: the system gives no more` : describeBytes(this.maxBytes);
    return [
      `${this.owner}: out of memory`,
      `  asked    ${describeBytes(asked)}`,
      `  in use   ${describeBytes(this.used_)} in ${this.used.size} blocks`,
      `  limit    ${limit}; the largest free block holds ${describeBytes(largest)}`,
      '  A smaller batch needs less (memory grows with the batch size). Tensors you keep also count: drop or dispose() old ones.',
    ].join('\n');
  }
}

interface Block {
  readonly address: number;
  readonly bytes: number;
}

function describeBytes(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB'];
  let value = bytes;
  let unit = 'bytes';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return unit === 'bytes' ? `${bytes} bytes` : `${bytes} bytes (${value.toFixed(1)} ${unit})`;
}

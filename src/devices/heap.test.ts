import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ALIGNMENT, createMemory, type GrowableMemory, Heap, OutOfMemoryError } from './heap.js';

const PAGE = 65536;

afterEach(() => vi.unstubAllGlobals());

/** Grows like WebAssembly.Memory, holds nothing, and counts how often it was asked. */
class FakeMemory implements GrowableMemory {
  grows = 0;
  constructor(
    pages: number,
    readonly maxPages: number,
    readonly refuses: (pages: number) => boolean = () => false,
  ) {
    this.buffer = { byteLength: pages * PAGE };
  }
  buffer: { byteLength: number };
  grow(pages: number): number {
    const before = this.buffer.byteLength / PAGE;
    if (before + pages > this.maxPages || this.refuses(pages)) throw new RangeError('cannot grow');
    this.grows++;
    this.buffer = { byteLength: (before + pages) * PAGE };
    return before;
  }
}

describe('heap', () => {
  test('blocks are aligned, inside memory, never overlap, and join into one when all are freed', () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('alloc' as const), size: fc.integer({ min: 0, max: 300_000 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('free' as const), size: fc.nat() }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const memory = new FakeMemory(2, 64);
        const heap = new Heap(memory, 64 * PAGE);
        const live: { address: number; size: number }[] = [];
        let used = 0;
        let peak = 0;
        for (const { kind, size } of steps) {
          if (kind === 'free') {
            if (live.length === 0) continue;
            const [block] = live.splice(size % live.length, 1);
            heap.free(block.address);
            used -= rounded(block.size);
          } else {
            let address: number;
            try {
              address = heap.alloc(size);
            } catch (error) {
              // Only allowed to give up when even a fresh tail would not have fitted below the limit.
              expect(error).toBeInstanceOf(OutOfMemoryError);
              expect(heap.freeBlocks().every((bytes) => bytes < rounded(size))).toBe(true);
              continue;
            }
            expect(address % ALIGNMENT).toBe(0);
            expect(address).toBeGreaterThanOrEqual(ALIGNMENT);
            expect(address + rounded(size)).toBeLessThanOrEqual(memory.buffer.byteLength);
            for (const other of live) {
              expect(address + rounded(size) <= other.address || other.address + rounded(other.size) <= address).toBe(
                true,
              );
            }
            live.push({ address, size });
            used += rounded(size);
            peak = Math.max(peak, used);
          }
          expect(heap.usedBytes).toBe(used);
          expect(heap.peakBytes).toBe(peak);
          const free = heap.freeBlocks().reduce((sum, bytes) => sum + bytes, 0);
          expect(used + free + ALIGNMENT).toBe(memory.buffer.byteLength);
        }
        for (const block of live) heap.free(block.address);
        expect(heap.freeBlocks()).toEqual([memory.buffer.byteLength - ALIGNMENT]);
      }),
      { numRuns: 200 },
    );
  });

  test('the lowest hole that fits is taken, and a hole between two blocks is used again', () => {
    const heap = new Heap(new FakeMemory(1, 1), PAGE);
    const [a, b, c] = [heap.alloc(128), heap.alloc(64), heap.alloc(128)];
    expect([a, b, c]).toEqual([64, 192, 256]);
    heap.free(a);
    heap.free(c);
    expect(heap.alloc(100)).toBe(a);
    heap.free(b);
    expect(heap.alloc(65)).toBe(b);
  });

  test('a double free, and freeing what is no block, are refused', () => {
    const heap = new Heap(new FakeMemory(1, 1), PAGE);
    const a = heap.alloc(256);
    heap.free(a);
    expect(() => heap.free(a)).toThrow(`free: no block starts at address ${a}; was it freed before?`);
    expect(() => heap.free(a + 64)).toThrow('no block starts');
    expect(() => heap.alloc(-1)).toThrow('not a number of bytes');
    expect(() => heap.alloc(1.5)).toThrow('not a number of bytes');
  });

  test('growing is geometric: a gigabyte in blocks of 64 KiB takes under 40 steps', () => {
    const memory = new FakeMemory(16, 65536);
    const heap = new Heap(memory, 65536 * PAGE);
    for (let i = 0; i < 16384; i++) heap.alloc(PAGE);
    expect(memory.grows).toBeLessThan(40);
    expect(memory.buffer.byteLength).toBeLessThan(1.3 * 2 ** 30);
  });

  test('the free tail counts when memory grows, and a step that is too generous falls back to the exact one', () => {
    const memory = new FakeMemory(8, 100, (pages) => pages > 1);
    const heap = new Heap(memory, 100 * PAGE);
    heap.alloc(7 * PAGE);
    heap.alloc(2 * PAGE - ALIGNMENT); // one page is left but for the first line; one more is enough
    expect(memory.buffer.byteLength).toBe(9 * PAGE);
    expect(heap.freeBlocks()).toEqual([]);
  });

  test('when memory is full the message says what was asked, what is in use and what to do; the heap goes on working', () => {
    const heap = new Heap(new FakeMemory(2, 4), 4 * PAGE);
    const a = heap.alloc(3 * PAGE);
    expect(() => heap.alloc(2 * PAGE)).toThrow(
      new OutOfMemoryError(
        [
          'wasm: out of memory',
          '  asked    131072 bytes (128.0 KiB)',
          '  in use   196608 bytes (192.0 KiB) in 1 blocks',
          '  limit    262144 bytes (256.0 KiB); the largest free block holds 65472 bytes (63.9 KiB)',
          '  A smaller batch needs less (memory grows with the batch size). Tensors you keep also count: drop or dispose() old ones.',
        ].join('\n'),
      ),
    );
    heap.free(a);
    expect(heap.alloc(2 * PAGE)).toBe(ALIGNMENT);
  });
});

describe('createMemory', () => {
  test('reaches the last byte of 4 GiB of addresses', () => {
    const { maxBytes, memory } = createMemory({ shared: true });
    expect(maxBytes).toBe(2 ** 32);
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  test('a smaller maximum is tried where the engine refuses to reserve the largest', () => {
    const asked: number[] = [];
    const Real = WebAssembly.Memory;
    vi.stubGlobal('WebAssembly', {
      Memory: class {
        constructor(descriptor: WebAssembly.MemoryDescriptor) {
          asked.push(descriptor.maximum!);
          if (descriptor.maximum! > 20000) throw new RangeError('could not allocate memory');
          // biome-ignore lint/correctness/noConstructorReturn: stands in for the real constructor
          return new Real(descriptor);
        }
      },
    });
    expect(createMemory({ shared: true }).maxBytes).toBe(16384 * PAGE);
    expect(asked).toEqual([65536, 32768, 16384]);
  });

  test('maxBytes bounds it, and less than a page is refused', () => {
    const { memory, maxBytes } = createMemory({ shared: false, maxBytes: 5 * PAGE + 17 });
    expect(maxBytes).toBe(5 * PAGE);
    expect(memory.buffer).toBeInstanceOf(ArrayBuffer);
    expect(() => createMemory({ shared: false, maxBytes: 1000 })).toThrow('maxBytes is 1000');
    expect(() => createMemory({ shared: false, maxBytes: Number.NaN })).toThrow('maxBytes is NaN');
  });
});

function rounded(size: number): number {
  return Math.max(ALIGNMENT, Math.ceil(size / ALIGNMENT) * ALIGNMENT);
}

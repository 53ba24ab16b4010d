import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planMemory, roundUpBytes } from './memory.js';

const lifetimes = fc.array(
  fc.record({
    sizeBytes: fc.integer({ min: 0, max: 5000 }),
    from: fc.integer({ min: 0, max: 20 }),
    span: fc.integer({ min: 0, max: 8 }),
  }),
  { maxLength: 60 },
);

describe('planMemory', () => {
  it('never lets two values that live at the same time share a byte', () => {
    fc.assert(
      fc.property(lifetimes, (list) => {
        const values = list.map((v) => ({ sizeBytes: v.sizeBytes, from: v.from, to: v.from + v.span }));
        const { offsets, totalBytes } = planMemory(values);
        values.forEach((a, i) => {
          expect(offsets[i] % 64).toBe(0);
          expect(offsets[i] + roundUpBytes(a.sizeBytes)).toBeLessThanOrEqual(totalBytes);
          values.forEach((b, j) => {
            if (i >= j || a.from > b.to || b.from > a.to) return;
            const apart =
              offsets[i] + roundUpBytes(a.sizeBytes) <= offsets[j] ||
              offsets[j] + roundUpBytes(b.sizeBytes) <= offsets[i];
            expect(apart).toBe(true);
          });
        });
      }),
    );
  });

  it('reuses the bytes of values that are gone', () => {
    const chain = Array.from({ length: 10 }, (_, i) => ({ sizeBytes: 1024, from: i, to: i + 1 }));
    expect(planMemory(chain).totalBytes).toBe(2048);
  });
});

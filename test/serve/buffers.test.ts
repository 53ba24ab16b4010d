/** Memory that is used again: never by two at once, never more than is allowed. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Buffers } from '../../src/serve/buffers.js';

describe('buffers', () => {
  it('are as long as asked for, come back, and belong to one at a time', () => {
    const action = fc.record({ take: fc.boolean(), bytes: fc.integer({ min: 0, max: 100_000 }), which: fc.nat(50) });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const buffers = new Buffers(2 ** 20);
        const held: ArrayBuffer[] = [];
        for (const { take, bytes, which } of actions) {
          if (take || held.length === 0) {
            const buffer = buffers.take(bytes);
            expect(buffer.byteLength).toBeGreaterThanOrEqual(bytes);
            expect(buffer.byteLength).toBeLessThanOrEqual(Math.max(4096, 2 * bytes));
            expect(held).not.toContain(buffer);
            held.push(buffer);
          } else {
            const [buffer] = held.splice(which % held.length, 1);
            buffers.give(buffer);
            expect(buffers.take(buffer.byteLength)).toBe(buffer);
            buffers.give(buffer);
          }
        }
      }),
    );
  });

  it('are let go beyond the limit, when they come from elsewhere, and when they went to another thread', () => {
    const buffers = new Buffers(10_000);
    const [a, b, c] = [buffers.take(5000), buffers.take(1), buffers.take(1)];
    for (const buffer of [a, b, c]) buffers.give(buffer); // 8192, and 4096 too many
    expect(buffers.take(5000)).toBe(a);
    expect([b, c]).not.toContain(buffers.take(1));

    const gone = buffers.take(4096);
    structuredClone(gone, { transfer: [gone] });
    for (const strange of [gone, new ArrayBuffer(5000), new SharedArrayBuffer(4096)]) buffers.give(strange);
    const next = [buffers.take(1), buffers.take(4096), buffers.take(5000)];
    expect(next).not.toContain(gone);
    expect(next.map(({ byteLength }) => byteLength)).toEqual([4096, 4096, 8192]);
  });
});

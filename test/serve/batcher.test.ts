/** Batches of pictures: who is computed with whom, when, and who is let go. Time and the model are played. */

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Batcher, type BatcherOptions } from '../../src/serve/batcher.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A model of two classes that takes `cost(n)` ms for n pictures and answers with the picture's byte. */
function play(cost: (n: number) => number, options: Partial<BatcherOptions> = {}) {
  const batches: { pictures: number; size: number }[] = [];
  const batcher = new Batcher({
    size: 1,
    score: async (inputs) => {
      await new Promise((resolve) => setTimeout(resolve, cost(inputs.length)));
      return Float32Array.from([...inputs].flatMap((x) => [x, -x]));
    },
    onBatch: ({ pictures, size }) => batches.push({ pictures, size }),
    now: () => Date.now(),
    ...options,
  });
  return { batcher, batches };
}

const ask = (batcher: Batcher, x: number, signal?: AbortSignal) => batcher.ask({ data: Uint8Array.of(x), signal });

describe('Batcher', () => {
  it.each([
    ['all of them where a batch costs what one picture costs', () => 10, [1, 2, 4, 8], []],
    ['only single pictures where two take twice as long, seen after two tries', (n: number) => 10 * n, [1], [2, 4]],
    ['those behind one that was unlucky', (n: number) => (n === 2 ? 99 : 10), [1, 4, 8], [2]],
    ['up to where the arithmetic is the limit', (n: number) => 10 + 10 * Math.max(0, n - 2), [1, 2], [4, 8]],
  ])('compiles powers of two up to the limit and keeps those that pay: %s', async (_, cost, kept, dropped) => {
    const drops: number[] = [];
    const { batcher } = play(cost, { maxBatch: 13, onDrop: (size) => drops.push(size) });
    expect(batcher.sizes).toEqual([1, 2, 4, 8]);
    const warm = batcher.warmUp();
    await vi.runAllTimersAsync();
    expect([...(await warm)]).toEqual(kept.map((n) => [n, cost(n)]));
    expect([batcher.sizes, drops]).toEqual([kept, dropped]);
  });

  it('gives everybody the answer to their own picture', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ x: fc.integer({ min: 0, max: 255 }), at: fc.integer({ min: 0, max: 50 }) }), {
          maxLength: 40,
        }),
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 0, max: 9 }),
        async (asked, maxBatch, delayMs) => {
          const { batcher, batches } = play((n) => 3 + n, { maxBatch, delayMs, onTheirWay: () => 1 });
          const answers = asked.map(async ({ x, at }) => {
            await new Promise((resolve) => setTimeout(resolve, at));
            return [...(await ask(batcher, x))];
          });
          await vi.runAllTimersAsync();
          expect(await Promise.all(answers)).toEqual(asked.map(({ x }) => [x, -x]));
          expect(batches.reduce((sum, { pictures }) => sum + pictures, 0)).toBe(asked.length);
          for (const { pictures, size } of batches) {
            expect(batcher.sizes).toContain(size);
            expect(pictures).toBeLessThanOrEqual(size);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('waits for nobody when nobody is on their way', async () => {
    const { batcher, batches } = play(() => 5, { delayMs: 1000 });
    const start = Date.now();
    const answer = ask(batcher, 7);
    await vi.runAllTimersAsync();
    await answer;
    expect([batches, Date.now() - start]).toEqual([[{ pictures: 1, size: 1 }], 5]);
  });

  it('waits the delay for those on their way, and no longer than until they are there', async () => {
    let coming = 2;
    const { batcher, batches } = play(() => 400, { delayMs: 100, onTheirWay: () => coming });
    const warm = batcher.warmUp();
    await vi.runAllTimersAsync();
    await warm;
    const start = Date.now();
    const first = ask(batcher, 1).then(() => Date.now() - start);
    await vi.advanceTimersByTimeAsync(40);
    expect(batches).toEqual([]);
    coming = 0;
    void ask(batcher, 2);
    await vi.runAllTimersAsync();
    expect([await first, batches]).toEqual([440, [{ pictures: 2, size: 2 }]]);

    coming = 1;
    const second = ask(batcher, 3).then(() => Date.now());
    const asked = Date.now();
    await vi.runAllTimersAsync();
    expect((await second) - asked).toBe(500);
  });

  it('waits for others no longer than a quarter of what one picture takes', async () => {
    const { batcher } = play(() => 20, { delayMs: 100, onTheirWay: () => 1 });
    const warm = batcher.warmUp();
    await vi.runAllTimersAsync();
    await warm;
    const start = Date.now();
    const answer = ask(batcher, 1).then(() => Date.now() - start);
    await vi.runAllTimersAsync();
    expect(await answer).toBe(25);
  });

  it('computes one batch each time that arrivals have been read, of all that wait by then', async () => {
    const rounds: (() => void)[] = [];
    const { batcher, batches } = play(() => 10, { maxBatch: 4, soon: (task) => void rounds.push(task) });
    const warm = batcher.warmUp();
    await vi.runAllTimersAsync();
    await warm;
    const answers = Array.from({ length: 6 }, (_, x) => ask(batcher, x));
    for (const pictures of [[4], [4, 2]]) {
      await vi.runAllTimersAsync();
      expect(rounds).toHaveLength(1);
      rounds.pop()!();
      await vi.runAllTimersAsync();
      expect(batches.map((batch) => batch.pictures)).toEqual(pictures);
    }
    await Promise.all(answers);
    expect(rounds).toEqual([]);
  });

  it('takes large batches where they pay, small ones where two at once take twice as long', async () => {
    for (const [cost, sizes] of [
      [() => 10, [16]], // a batch of 16 costs what one picture costs
      [(n: number) => 10 * n, Array(16).fill(1)],
    ] as const) {
      const { batcher, batches } = play(cost, { onTheirWay: () => 1, delayMs: 1 });
      const warm = batcher.warmUp();
      await vi.runAllTimersAsync();
      await warm;
      const answers = Array.from({ length: 16 }, (_, x) => ask(batcher, x));
      await vi.runAllTimersAsync();
      await Promise.all(answers);
      expect(batches.map(({ size }) => size)).toEqual(sizes);
    }
  });

  it('forgets who does not wait any more, before their turn and in the middle of it', async () => {
    const { batcher, batches } = play(() => 10, { maxBatch: 1 });
    const leave = [new AbortController(), new AbortController()];
    const answers = [ask(batcher, 1, leave[0].signal), ask(batcher, 2, leave[1].signal), ask(batcher, 3)];
    await vi.advanceTimersByTimeAsync(1); // the first runs
    const settled = Promise.allSettled(answers);
    for (const { abort } of leave.map((l) => ({ abort: () => l.abort(new Error('gone')) }))) abort();
    expect(batcher.queued).toBe(1);
    await vi.runAllTimersAsync();
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(batches).toHaveLength(2);
    await expect(ask(batcher, 4, AbortSignal.abort(new Error('never there')))).rejects.toThrow('never there');
  });

  it('tells all of a batch that failed, and goes on', async () => {
    let fail = true;
    const { batcher } = play(() => 1, {
      score: async (inputs) => {
        if (fail) throw new Error('out of memory');
        return Float32Array.from([...inputs, 0]);
      },
    });
    await expect(ask(batcher, 1)).rejects.toThrow('out of memory');
    fail = false;
    expect((await ask(batcher, 5))[0]).toBe(5);
    await batcher.idle();
  });

  it('refuses limits that are none', () => {
    expect(() => play(() => 1, { maxBatch: 0 })).toThrow('maxBatch is a whole number from 1 up');
    expect(() => play(() => 1, { delayMs: Number.NaN })).toThrow('delayMs at least 0');
  });
});

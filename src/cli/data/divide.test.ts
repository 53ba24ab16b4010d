/** How many samples a limit leaves, and of which classes. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { some, someReadable } from './divide.js';

interface Sample {
  readonly label: number;
  readonly id: number;
}

/** So many samples of each class, mixed. */
function samplesOf(counts: readonly number[]): Sample[] {
  const labels = counts.flatMap((count, label) => new Array<number>(count).fill(label));
  return labels
    .map((label, i) => ({ label, at: (i * 7919) % 1009 }))
    .sort((a, b) => a.at - b.at)
    .map(({ label }, id) => ({ label, id }));
}

const countsOf = (samples: readonly Sample[], classes: number) =>
  Array.from({ length: classes }, (_, label) => samples.filter((sample) => sample.label === label).length);

describe('some', () => {
  it('leaves exactly as many as asked for, in their order, of each class its share and of every class some', () => {
    const cases = fc.tuple(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 300 }),
      fc.nat(1000),
    );
    fc.assert(
      fc.property(cases, ([given, limit, seed]) => {
        const samples = samplesOf(given);
        const all = countsOf(samples, given.length);
        const there = all.filter((count) => count > 0).length;
        const left = some(samples, limit, seed);
        expect(left.length).toBe(Math.min(limit, samples.length));
        expect(left).toEqual([...left].sort((a, b) => a.id - b.id));
        expect(left).toEqual(some(samples, limit, seed));
        if (limit >= samples.length) return;
        for (const [label, count] of countsOf(left, given.length).entries()) {
          const share = (limit * all[label]) / samples.length;
          expect(count).toBeLessThanOrEqual(Math.min(all[label], Math.max(1, Math.ceil(share))));
          if (limit >= there && all[label] > 0) expect(count).toBeGreaterThanOrEqual(1);
          // Rare classes that get one all the same take it from the others.
          if (all.every((n) => n === 0 || (limit * n) / samples.length >= 1))
            expect(count).toBeGreaterThanOrEqual(Math.floor(share));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('takes other samples, and where classes are many other classes, with another seed', () => {
    const samples = samplesOf([30, 30, 30]);
    expect(some(samples, 5, 0)).toHaveLength(5);
    expect(some(samples, 5, 0)).not.toEqual(some(samples, 5, 1));
    const labels = new Set<number>();
    for (let seed = 0; seed < 20; seed++)
      for (const { label } of some(samplesOf([9, 9, 9, 9]), 2, seed)) labels.add(label);
    expect([...labels].sort()).toEqual([0, 1, 2, 3]);
  });

  it('takes the next ones in place of those that cannot be read, and looks at nothing twice', async () => {
    const samples = samplesOf([20, 20]).map((sample) => ({ ...sample, name: `${sample.id}` }));
    const isBad = ({ id }: Sample) => id % 2 === 0;
    const seen: string[] = [];
    const look = async (asked: typeof samples) => {
      seen.push(...asked.map(({ name }) => name));
      return new Set(asked.filter(isBad).map(({ name }) => name));
    };
    const left = await someReadable(samples, 7, 5, (asked) => look([...asked]));
    expect([left.length, left.some(isBad)]).toEqual([7, false]);
    expect(new Set(seen).size).toBe(seen.length);
    expect((await someReadable(samples, undefined, 0, (asked) => look([...asked]))).length).toBe(
      samples.filter((sample) => !isBad(sample)).length,
    );
    expect(await someReadable(samples.filter(isBad), 3, 0, (asked) => look([...asked]))).toEqual([]);
  });

  it('gives the odd one to the class that is farthest from its share', () => {
    // 10 of 100: shares 4.7, 3.1, 2.2.
    expect(countsOf(some(samplesOf([47, 31, 22]), 10, 3), 3)).toEqual([5, 3, 2]);
  });
});

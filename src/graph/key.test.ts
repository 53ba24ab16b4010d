import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attrsKey, RowKey } from './key.js';

/** Numbers that text and hashes like to confuse, names, and what attributes are made of. */
const plainData = fc.letrec((self) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(0, -0, 1, 2, 3, -1, 0.5, 1e-8, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    fc.constantFrom('', 'a', 'b', '1', 'a,b', '[', 'null'),
    fc.constantFrom(true, false, null),
    fc.array(self('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), self('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;

const rowId = (...values: unknown[]) => {
  const key = new RowKey();
  for (const value of values) key.data(value);
  return key.id();
};

/** Deep equality that tells −0 from 0 and knows NaN, and the order of fields, which is how attributes are written down. */
const same = (a: unknown, b: unknown): boolean => {
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [x, y] = [Object.entries(a), Object.entries(b)];
  return x.length === y.length && x.every(([name, value], i) => name === y[i][0] && same(value, y[i][1]));
};

describe('keys', () => {
  it('are equal for equal data, and only for it', () => {
    fc.assert(
      fc.property(plainData, plainData, (a, b) => {
        expect(rowId(a)).toBe(rowId(structuredClone(a)));
        expect(rowId(a) === rowId(b)).toBe(same(a, b));
        expect(attrsKey({ a }) === attrsKey({ a: b })).toBe(same(a, b));
      }),
      { numRuns: 500 },
    );
  });

  it('tell one row from two, and a list of values from the values', () => {
    expect(rowId(1, 2)).not.toBe(rowId([1, 2]));
    expect(rowId([1], [2])).not.toBe(rowId([1, 2]));
    expect(rowId([[1], 2])).not.toBe(rowId([[1, 2]]));
    expect(rowId({ a: 1 }, { b: 2 })).not.toBe(rowId({ a: 1, b: 2 }));
    expect(rowId()).toBe(rowId());
  });

  it('without attributes are empty', () => {
    expect([{}, null, undefined].map(attrsKey)).toEqual(['', '', '']);
    expect(attrsKey({ axes: [1, -0], value: Number.NaN })).toBe('{axes:[1,-0],value:NaN}');
  });

  it('of rows not seen for long may get another number, never one that is taken', () => {
    const first = rowId('first');
    const others = Array.from({ length: 2000 }, (_, i) => rowId('row', i));
    expect(new Set([first, ...others, rowId('first')]).size).toBeGreaterThanOrEqual(2001);
    expect(rowId('row', 1999)).toBe(others[1999]);
  });
});

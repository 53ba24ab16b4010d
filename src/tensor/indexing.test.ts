/** Indexing, slicing and broadcasting against naive loops over nested arrays. */

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import { arange, concat, type Index, type NestedArray, setDevice, stack, tensor, zeros } from './index.js';

beforeAll(() => setDevice(new ReferenceTarget()));

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
const bound = fc.option(fc.integer({ min: -7, max: 7 }), { nil: undefined });
const range = fc.record({ start: bound, stop: bound, step: fc.constantFrom(undefined, 1, 2, 3, -1, -2) });

/** Python's x[start:stop:step] on a JavaScript array. */
function pythonSlice<T>(list: readonly T[], start?: number, stop?: number, step = 1): T[] {
  const n = list.length;
  const out: T[] = [];
  const clip = (v: number, low: number, high: number) => Math.min(Math.max(v < 0 ? v + n : v, low), high);
  if (step > 0) for (let i = clip(start ?? 0, 0, n); i < clip(stop ?? n, 0, n); i += step) out.push(list[i]);
  else {
    const end = stop === undefined ? -1 : clip(stop, -1, n - 1);
    for (let i = clip(start ?? n - 1, -1, n - 1); i > end; i += step) out.push(list[i]);
  }
  return out;
}

function counted(shape: Shape) {
  return arange(numel(shape)).reshape([...shape]);
}

describe('at', () => {
  it('is NumPy’s indexing', async () => {
    const item = fc.oneof(
      fc.integer({ min: -5, max: 4 }).map((v) => ({ kind: 'number' as const, v })),
      range.map((v) => ({ kind: 'range' as const, v })),
      fc.constant({ kind: 'new' as const }),
    );
    await fc.assert(
      fc.asyncProperty(shapes, fc.array(item, { maxLength: 5 }), async (shape, items) => {
        const indices: Index[] = [];
        let axis = 0;
        let expected = (await counted(shape).toArray()) as NestedArray;
        const apply: ((x: NestedArray) => NestedArray)[] = [];
        for (const it of items) {
          if (it.kind === 'new') {
            indices.push(null);
            apply.push((x) => [x]);
          } else if (axis === shape.length) {
          } else if (it.kind === 'number') {
            const i = ((it.v % shape[axis]) + shape[axis]) % shape[axis];
            indices.push(it.v < 0 ? i - shape[axis] : i);
            axis++;
            apply.push((x) => (x as NestedArray[])[i]);
          } else {
            indices.push(it.v);
            axis++;
            apply.push((x) => pythonSlice(x as NestedArray[], it.v.start, it.v.stop, it.v.step));
          }
        }
        // Each entry acts at its own depth: numbers and new axes shift the depth of those behind them.
        const walk = (x: NestedArray, k: number): NestedArray => {
          if (k === apply.length) return x;
          const y = apply[k](x);
          return typeof indices[k] === 'number'
            ? walk(y, k + 1)
            : (y as NestedArray[]).map((part) => walk(part, k + 1));
        };
        expected = walk(expected, 0);
        const y = counted(shape).at(...indices);
        if (y.size > 0) expect(await y.toArray()).toEqual(expected);
        else expect(JSON.stringify(expected).replace(/[[\],]/g, '')).toBe('');
      }),
      { numRuns: 200 },
    );
  });

  it('reads ranges as text and stands for what is not named', async () => {
    const x = counted([2, 3, 4]);
    expect(await x.at(1, '::-1', '1:3').toArray()).toEqual([
      [21, 22],
      [17, 18],
      [13, 14],
    ]);
    expect(x.at('...', 0).shape).toEqual([2, 3]);
    expect(x.at(0, '...', null).shape).toEqual([3, 4, 1]);
    expect(x.at(':', ':', ':')).toBe(x);
    expect(x.slice('...', [1, -1]).shape).toEqual([2, 3, 2]);
    expect(x.select(1, -1).shape).toEqual([2, 4]);
    expect(x.narrow(2, 1, 2).shape).toEqual([2, 3, 2]);
  });

  it('picks by lists and index tensors', async () => {
    const x = counted([3, 4]);
    expect(await x.at([2, 0]).toArray()).toEqual([
      [8, 9, 10, 11],
      [0, 1, 2, 3],
    ]);
    expect(await x.at(':', [-1, 0]).toArray()).toEqual([
      [3, 0],
      [7, 4],
      [11, 8],
    ]);
    expect(await x.at([0, 1, 2], [3, 2, 1]).toArray()).toEqual([3, 6, 9]);
    const index = tensor([[2], [0]], { dtype: 'int32' });
    expect(await x.at(index, tensor([1, 3], { dtype: 'int32' })).toArray()).toEqual([
      [9, 11],
      [1, 3],
    ]);
  });

  it('says what is wrong', () => {
    const x = zeros([2, 3]);
    expect(() => x.at(2)).toThrow('at: position 2 does not exist on axis 0 of [2, 3]: it takes -2 … 1');
    expect(() => x.at(0, 0, 0)).toThrow('at: 3 indices for 2 axes\n  x  [2, 3]\n  Leave out 1 of them.');
    expect(() => x.at('1-2')).toThrow("at: '1-2' is no range; write 'start:stop:step' as in '1:5', ':-1' or '::2'");
    expect(() => x.at('::0')).toThrow('at: a range cannot have step 0');
    expect(() => x.at('...', '...')).toThrow("at: '...' may stand once; it is at 0 and 1");
    expect(() => x.at(x.gt(0))).toThrow('a bool mask would give a result whose shape depends on values');
    expect(() => x.gather(0, x)).toThrow(
      'gather: positions must be int32 or uint8, not float32; convert them with .int()',
    );
    expect(() => zeros([2, 3, 4]).at([0], ':', [0])).toThrow(
      'several lists of positions must stand on neighbouring axes',
    );
  });
});

describe('broadcasting', () => {
  it('aligns shapes on the right and stretches axes of size 1', async () => {
    const pair = shapes.chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        fc.nat(shape.length),
      ),
    );
    await fc.assert(
      fc.asyncProperty(pair, async ([shape, thinA, thinB, dropB]) => {
        const a = shape.map((n, i) => (thinA[i] ? 1 : n));
        const b = shape.map((n, i) => (thinB[i] ? 1 : n)).slice(dropB);
        const out = shape.map((n, i) => (thinA[i] && (i < dropB || thinB[i]) ? 1 : n));
        const y = counted(a).mul(100).add(counted(b));
        expect(y.shape).toEqual(out);
        const at = (index: number[], s: Shape) => {
          const own = index.slice(index.length - s.length);
          return contiguousStrides(s).reduce((sum, stride, i) => sum + (s[i] === 1 ? 0 : own[i] * stride), 0);
        };
        const strides = contiguousStrides(out);
        const expected = Array.from({ length: numel(out) }, (_, flat) => {
          const index = out.map((n, i) => Math.floor(flat / strides[i]) % n);
          return 100 * at(index, a) + at(index, b);
        });
        expect([...(await y.data())]).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });
});

describe('splitting and joining', () => {
  it('split, chunk and unbind are undone by concat and stack', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(3), fc.integer({ min: 1, max: 4 }), async (shape, a, size) => {
        const axis = a % shape.length;
        const x = counted(shape);
        const whole = await x.toArray();
        expect(await concat(x.split(size, axis), axis).toArray()).toEqual(whole);
        expect(await concat(x.chunk(size, axis), axis).toArray()).toEqual(whole);
        expect(await stack(x.unbind(axis), axis).toArray()).toEqual(whole);
      }),
      { numRuns: 30 },
    );
    expect(zeros([7]).chunk(3).map((c) => c.size)).toEqual([3, 3, 1]); // biome-ignore format: one thought
    expect(() => zeros([7]).split([3, 3])).toThrow('split: sizes [3, 3] add up to 6, axis 0 of [7] has 7');
  });
});

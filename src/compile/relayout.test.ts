/** Layouts and the way between them: index arithmetic on one side, strides in pieces, on the host and in kernels, on the other. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { physicalIndexer, wasmTarget } from '../../test/lowering-runner.js';
import { runCompiled } from '../../test/run-compiled.js';
import { blocked, blockedChannels, type Layout, physicalShape, physicalSize, plain } from '../graph/layout.js';
import { Storage } from '../graph/storage.js';
import * as ops from '../ops/index.js';
import { numel, type Shape } from '../util/shape.js';
import { canonical, mergeStrides, ownStrides, physicalStrides, reducedLayout } from './layout.js';
import { pack, unpack } from './pack.js';
import { relayoutPieces } from './relayout.js';

const size = fc.constantFrom(1, 2, 3, 7, 8, 9, 16, 17);
const shapes = fc.array(size, { minLength: 1, maxLength: 4 });

/** Any layout of a shape: an order of axes, perhaps one of them in blocks of 8. */
function layoutsOf(shape: Shape): fc.Arbitrary<Layout> {
  const axes = shape.map((_, i) => i);
  return fc.oneof(
    { weight: 1, arbitrary: fc.constant(plain) },
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.shuffledSubarray(axes, { minLength: axes.length }), fc.integer({ min: -1, max: axes.length - 1 }))
        .map(([order, axis]) => blocked(order, axis, axis < 0 ? 1 : 8)),
    },
  );
}

const cases = shapes.chain((shape) => fc.tuple(fc.constant(shape), layoutsOf(shape), layoutsOf(shape)));

const counted = (shape: Shape) => Float32Array.from({ length: numel(shape) }, (_, i) => i + 1);

function eachIndex(shape: Shape, visit: (index: number[], flat: number) => void): void {
  for (let flat = 0; flat < numel(shape); flat++) {
    let rest = flat;
    const index = shape.map(() => 0);
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d] = rest % shape[d];
      rest = Math.floor(rest / shape[d]);
    }
    visit(index, flat);
  }
}

describe('pack', () => {
  test('puts every element where index arithmetic says', () => {
    fc.assert(
      fc.property(cases, ([shape, layout]) => {
        const packed = pack(counted(shape), shape, 'float32', layout);
        expect(packed).toHaveLength(physicalSize(shape, layout));
        const at = physicalIndexer(shape, layout);
        eachIndex(shape, (index, flat) => {
          if (packed[at(index)] !== flat + 1) expect.fail(`[${index}] of [${shape}] is ${packed[at(index)]}`);
        });
      }),
    );
  });

  test('is undone by unpack', () => {
    fc.assert(
      fc.property(cases, ([shape, layout]) => {
        const data = counted(shape);
        expect(unpack(pack(data, shape, 'float32', layout), shape, 'float32', layout)).toEqual(data);
      }),
    );
  });

  test('keeps bytes and integers as they are', () => {
    const layout = blocked([1, 0], 0, 8);
    const bytes = Uint8Array.from({ length: 27 }, (_, i) => i * 9);
    const ints = Int32Array.from({ length: 27 }, (_, i) => -i * 1e8);
    expect(unpack(pack(bytes, [9, 3], 'uint8', layout), [9, 3], 'uint8', layout)).toEqual(bytes);
    expect(unpack(pack(ints, [9, 3], 'int32', layout), [9, 3], 'int32', layout)).toEqual(ints);
  });
});

describe('pieces', () => {
  test('visit each element once, from its place in one layout to its place in the other', () => {
    fc.assert(
      fc.property(cases, ([shape, from, to]) => {
        const [source, target] = [physicalIndexer(shape, from), physicalIndexer(shape, to)];
        const wanted = new Map<number, number>();
        eachIndex(shape, (index) => wanted.set(target(index), source(index)));
        const seen = new Map<number, number>();
        for (const p of relayoutPieces(shape, from, to)) {
          eachIndex(p.sizes, (index) => {
            const at = (strides: number[], offset: number) => index.reduce((sum, i, d) => sum + i * strides[d], offset);
            const place = at(p.to, p.toOffset);
            if (seen.has(place)) expect.fail(`${place} is written twice`);
            seen.set(place, at(p.from, p.fromOffset));
          });
        }
        expect(seen).toEqual(wanted);
      }),
    );
  });

  test('refuse blocks of two sizes on one axis', () => {
    expect(() => relayoutPieces([16], blocked([0], 0, 8), blocked([0], 0, 4))).toThrow(/blocks of 8 and 4/);
  });
});

test('a conversion by kernels gives what the host gives', () => {
  fc.assert(
    fc.property(cases, ([shape, from, to]) => {
      const [lies, wanted] = [canonical(shape, from), canonical(shape, to)];
      const [a, b] = [0, 1].map((k) => new Storage(shape, 'float32', counted(shape).map((x) => x + k), true)); // biome-ignore format: one thought
      const sum = ops.add(ops.buffer(a), ops.buffer(b));
      const { results } = runCompiled([sum], [], { resident: (s) => (s === a ? lies : wanted), target: wasmTarget });
      expect([...results[0]]).toEqual([...counted(shape)].map((x) => 2 * x + 1));
    }),
    { numRuns: 40 },
  );
});

describe('canonical', () => {
  test('calls plain only what lies row by row', () => {
    fc.assert(
      fc.property(cases, ([shape, layout]) => {
        if (canonical(shape, layout) !== plain) return;
        const at = physicalIndexer(shape, layout);
        eachIndex(shape, (index, flat) => {
          if (at(index) !== flat) expect.fail(`[${index}] of [${shape}] lies at ${at(index)}, not ${flat}`);
        });
      }),
    );
  });

  test('finds plain what differs from it in axes of size 1, or in one row of blocks', () => {
    expect(canonical([1, 5, 1], blocked([2, 0, 1], -1, 1))).toBe(plain);
    expect(canonical([1, 20, 1, 1], blockedChannels(4, 8))).toBe(plain);
    expect(canonical([3, 8, 1, 1], blockedChannels(4, 8))).toBe(plain);
    expect(canonical([3, 16, 1, 1], blockedChannels(4, 8))).toBe(plain);
    expect(canonical([3, 12, 1, 1], blockedChannels(4, 8))).not.toBe(plain);
    expect(canonical([1, 1, 2, 2], blockedChannels(4, 8))).not.toBe(plain);
    expect(canonical([1, 16, 2, 1], blockedChannels(4, 8))).not.toBe(plain);
  });
});

test('an operand is walked in a layout by the strides of its axes', () => {
  const layout = blockedChannels(4, 8);
  expect(physicalStrides([1000, 100, 10, 1], layout)).toEqual([1000, 800, 10, 1, 100]);
  expect(physicalStrides([0, 1, 0, 0], layout)).toEqual([0, 8, 0, 0, 1]);
  expect(ownStrides([2, 12, 3, 5], layout)).toEqual([240, 120, 40, 8, 1]);
});

test('neighbouring axes merge where they are walked as one', () => {
  expect(mergeStrides([240, 120, 40, 8, 1], [2, 2, 3, 5, 8], [2, 2, 15, 8])).toEqual([240, 120, 8, 1]);
  expect(mergeStrides([240, 120, 50, 8, 1], [2, 2, 3, 5, 8], [2, 2, 15, 8])).toBeNull();
  expect(mergeStrides([1, 1, 1], [1, 4, 1], [4])).toEqual([1]);
  expect(mergeStrides([9, 3, 1], [4, 3, 2], [4, 3])).toBeNull();
});

test('what is left of a layout after a reduction', () => {
  const layout = blockedChannels(4, 8);
  const left = (axes: number[], shape: Shape) =>
    physicalShape(shape, reducedLayout([2, 12, 5, 6], layout, axes, shape));
  expect(left([2, 3], [2, 12])).toEqual([2, 2, 8]);
  expect(left([2, 3], [2, 12, 1, 1])).toEqual([2, 2, 1, 1, 8]);
  expect(left([0, 2, 3], [12])).toEqual([12]);
  expect(left([1], [2, 5, 6])).toEqual([2, 5, 6]);
});

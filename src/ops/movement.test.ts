/** Moving elements: values against index arithmetic, views against copies, gradients as adjoints, messages word for word. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { floats, gradcheck, gradientsOf, leaf, randomNumbers, valuesOf } from '../../test/gradcheck.js';
import type { Node } from '../graph/node.js';
import { type View, viewOf } from '../graph/view.js';
import { numel, type Shape } from '../util/shape.js';
import { add, mul } from './elementwise.js';
import * as m from './movement.js';
import { padCircular, padReflect, padReplicate } from './padding.js';
import { readStrided } from './reference/arrays.js';
import { constant } from './source.js';

const counting = (shape: Shape) =>
  leaf(
    shape,
    Array.from({ length: numel(shape) }, (_, i) => i + 1),
  );

/** One step that fits the shape it is given, drawn from numbers. */
type Step = (x: Node, draw: (n: number) => number) => Node;

const viewSteps: Step[] = [
  (x, draw) => m.permute(x, shuffled(x.shape.length, draw)),
  (x, draw) => m.reshape(x, regrouped(x.shape, draw)),
  (x, draw) => {
    const starts = x.shape.map((n) => draw(Math.min(n, 2)));
    const steps = x.shape.map(() => 1 + draw(2));
    return m.slice(x, starts, x.shape.map((n, i) => starts[i] + 1 + draw(n - starts[i])), steps); // biome-ignore format: one thought
  },
  (x, draw) => m.flip(x, x.shape.flatMap((_, i) => (draw(2) ? [i] : []))), // biome-ignore format: one thought
  (x, draw) => m.expand(x, [...(draw(2) ? [2] : []), ...x.shape.map((n) => (n === 1 ? 1 + draw(3) : n))]),
];
const copySteps: Step[] = [
  (x, draw) => m.pad(x, x.shape.map(() => [draw(2), draw(3)]), 0), // biome-ignore format: one thought
  (x, draw) => {
    const axis = draw(x.shape.length);
    return m.concat([x, m.flip(x, axis), m.narrow(x, axis, 0, 1)], axis);
  },
  (x, draw) => m.roll(x, draw(7) - 3, draw(x.shape.length)),
];

function shuffled(n: number, draw: (n: number) => number): number[] {
  const rest = Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: n }, () => rest.splice(draw(rest.length), 1)[0]);
}

/** The same number of elements under other sizes: prime factors dealt out anew. */
function regrouped(shape: Shape, draw: (n: number) => number): number[] {
  let rest = numel(shape);
  const out = [1];
  for (let p = 2; rest > 1; p++) {
    while (rest % p === 0) {
      if (draw(2)) out.push(p);
      else out[out.length - 1] *= p;
      rest /= p;
    }
  }
  return out.length < 6 ? out : [numel(shape)];
}

const programs = fc.record({
  shape: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  steps: fc.array(fc.nat(100), { maxLength: 5 }),
  seed: fc.integer(),
});

function build(steps: readonly Step[], program: { shape: number[]; steps: number[]; seed: number }, x: Node): Node {
  const random = randomNumbers(program.seed);
  const draw = (n: number) => Math.floor(random() * n);
  return program.steps.reduce((y, s) => (numel(y.shape) > 300 ? y : steps[s % steps.length](y, draw)), x);
}

describe('views', () => {
  test('a chain of views reads from its base what the chain of copies computes', () => {
    fc.assert(
      fc.property(programs, (program) => {
        const x = counting(program.shape);
        const y = build(viewSteps, program, x);
        const view = composed(y, x);
        if (view === null) return;
        const base = { shape: x.shape, dtype: x.dtype, data: Float64Array.from(valuesOf(x)) };
        expect(view.shape).toEqual(y.shape);
        expect(Array.from(readStrided(base, view.shape, view.strides, view.offset))).toEqual(valuesOf(y));
      }),
      { numRuns: 400 },
    );
  });

  test('reshape stays a view where axes only split, or merge in step; else it copies', () => {
    const x = counting([4, 6]);
    const moved = m.permute(x, [1, 0]);
    expect(composed(m.reshape(moved, [2, 3, 4]), x)?.strides).toEqual([3, 1, 6]);
    expect(composed(m.reshape(moved, [24]), x)).toBeNull();
    expect(composed(m.reshape(m.expand(counting([4, 1]), [4, 6]), [2, 2, 6]), null)?.strides).toEqual([2, 1, 0]);
  });

  /** The view a chain amounts to, if every link has one. */
  function composed(node: Node, base: Node | null): View | null {
    if (node === base || node.inputs.length === 0) return viewOf(node);
    const input = composed(node.inputs[0], base);
    return input && (node.op.facts.view?.(input, node) ?? null);
  }
});

describe('gradients', () => {
  test('of any chain are its adjoint: ⟨y, A x⟩ = ⟨Aᵀ y, x⟩', () => {
    fc.assert(
      fc.property(programs, (program) => {
        const x = counting(program.shape);
        const y = build([...viewSteps, ...copySteps], program, x);
        const dy = leaf(
          y.shape,
          Array.from({ length: numel(y.shape) }, (_, i) => ((i * 7919) % 13) - 6),
        );
        const [dx] = gradientsOf(y, [x], dy);
        expect(dx.shape).toEqual(x.shape);
        expect(inner(valuesOf(dx), valuesOf(x))).toBe(inner(valuesOf(dy), valuesOf(y)));
      }),
      { numRuns: 300 },
    );
  });

  test('second derivatives through a copy and a view', () => {
    const random = randomNumbers(5);
    gradcheck(
      (x) => m.pad(m.slice(mul(x, x), [0, 1], [3, 4], [2, 2]), [[1, 0], [0, 2]], 3), // biome-ignore format: one thought
      [floats([3, 4], () => random() - 0.5)],
      { order: 2 },
    );
  });

  const inner = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i], 0);
});

describe('values', () => {
  const x = counting([2, 3]);

  test('reshape, permute, transpose', () => {
    expect(m.reshape(x, [-1]).shape).toEqual([6]);
    expect(m.reshape(x, [3, -1]).shape).toEqual([3, 2]);
    expect(valuesOf(m.permute(x, [1, 0]))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(valuesOf(m.transpose(x, -1, 0))).toEqual([1, 4, 2, 5, 3, 6]);
  });

  test('expand stretches axes of size 1 and adds axes in front', () => {
    expect(valuesOf(m.expand(counting([2, 1]), [2, -1, 2]))).toEqual([1, 1, 2, 2, 1, 1, 2, 2]);
  });

  test('slice, narrow and flip', () => {
    expect(valuesOf(m.slice(counting([7]), [1], [7], [3]))).toEqual([2, 5]);
    expect(valuesOf(m.narrow(x, 1, 1, 3))).toEqual([2, 3, 5, 6]);
    expect(valuesOf(m.flip(x, [0, 1]))).toEqual([6, 5, 4, 3, 2, 1]);
    expect(m.narrow(x, 1, 2, 2).shape).toEqual([2, 0]);
  });

  test('pad, concat, stack, roll', () => {
    expect(valuesOf(m.pad(x, [[0, 1], [1, 0]], 9))).toEqual([9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9]); // biome-ignore format: one thought
    expect(valuesOf(m.concat([x, m.narrow(x, 1, 0, 1)], 1))).toEqual([1, 2, 3, 1, 4, 5, 6, 4]);
    expect(m.concat([x, leaf([1, 3], [1, 2, 3], 'int32')], 0).dtype).toBe('float32');
    expect(m.stack([x, x], -1).shape).toEqual([2, 3, 2]);
    expect(valuesOf(m.stack([x, x], 1))).toEqual([1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]);
    expect(valuesOf(m.roll(counting([5]), 2, 0))).toEqual([4, 5, 1, 2, 3]);
    expect(valuesOf(m.roll(counting([5]), -6, 0))).toEqual([2, 3, 4, 5, 1]);
  });

  test('what changes nothing records nothing, and constants stay constants', () => {
    expect(m.reshape(x, [2, -1])).toBe(x);
    expect(m.permute(x, [0, 1])).toBe(x);
    expect(m.expand(x, [2, 3])).toBe(x);
    expect(m.slice(x, [0, 0], [2, 3])).toBe(x);
    expect(m.flip(counting([3, 1]), 1).op.name).toBe('buffer');
    expect(m.roll(x, 3, 1)).toBe(x);
    const c = constant(7, [2, 1]);
    const moved = [m.reshape(c, [2]), m.permute(c, [1, 0]), m.expand(c, [2, 4]), m.narrow(c, 0, 0, 1)];
    expect(moved.map((n) => n.op.name)).toEqual(['constant', 'constant', 'constant', 'constant']);
  });

  test('chains of reshapes and of permutations collapse when the compiler asks', () => {
    const back = m.reshape(m.reshape(x, [3, 2]), [2, 3]);
    expect(back.op.facts.simplify?.(back)).toBe(x);
    const turned = m.permute(m.permute(counting([2, 3, 4]), [1, 2, 0]), [2, 1, 0]);
    const once = turned.op.facts.simplify!(turned)!;
    expect(once.inputs[0].op.name).toBe('buffer');
    expect(valuesOf(once)).toEqual(valuesOf(turned));
  });
});

describe('sums of what zeros surround', () => {
  const simpler = (node: Node) => node.op.facts.simplify?.(node) ?? null;
  const [a, b] = [counting([2, 3, 2]), counting([2, 4, 2])];
  const around = (x: Node, lo: number, hi: number) => m.pad(x, [[0, 1], [lo, hi], [2, 0]]); // biome-ignore format: one thought

  test('are put side by side where they meet, as the gradients of the parts of a tensor do', () => {
    for (const sum of [add(around(a, 1, 6), around(b, 4, 2)), add(around(b, 1, 5), around(a, 5, 2))]) {
      const joined = simpler(sum)!;
      expect([joined.op.name, joined.inputs[0].op.name]).toEqual(['pad', 'concat']);
      expect(valuesOf(joined)).toEqual(valuesOf(sum));
    }
    const whole = simpler(add(m.pad(a, [[0, 0], [0, 4], [0, 0]]), m.pad(b, [[0, 0], [3, 0], [0, 0]])))!; // biome-ignore format: one thought
    expect(whole.op.name).toBe('concat');
    const three = add(m.pad(whole, [[0, 0], [0, 3], [0, 0]]), m.pad(a, [[0, 0], [7, 0], [0, 0]])); // biome-ignore format: one thought
    expect(simpler(three)!.inputs).toEqual([a, b, a]);
    expect(valuesOf(simpler(three)!)).toEqual(valuesOf(three));
  });

  test('stay sums where they overlap, leave a gap, differ along two axes or are not zeros', () => {
    expect(simpler(add(around(a, 1, 6), around(b, 3, 3)))).toBeNull();
    expect(simpler(add(around(a, 0, 7), around(b, 4, 2)))).toBeNull();
    expect(simpler(add(around(a, 1, 6), m.pad(b, [[1, 0], [4, 2], [2, 0]])))).toBeNull(); // biome-ignore format: one thought
    expect(simpler(add(m.pad(a, [[0, 0], [0, 4], [0, 0]], 1), m.pad(b, [[0, 0], [3, 0], [0, 0]])))).toBeNull(); // biome-ignore format: one thought
    expect(simpler(add(a, a))).toBeNull();
  });
});

describe('padding that repeats', () => {
  const modes: [string, typeof padReflect, (i: number, n: number) => number, (n: number) => number][] = [
    ['reflect', padReflect, (i, n) => (i < 0 ? -i : i >= n ? 2 * n - 2 - i : i), (n) => n - 1],
    ['replicate', padReplicate, (i, n) => Math.max(0, Math.min(n - 1, i)), () => 5],
    ['circular', padCircular, (i, n) => (((i % n) + n) % n), (n) => n], // biome-ignore format: one thought
  ];

  test.each(modes)('%s', (_, f, source, most) => {
    const axis = fc
      .integer({ min: 1, max: 4 })
      .chain((n) => fc.record({ n: fc.constant(n), lo: fc.nat(most(n)), hi: fc.nat(most(n)) }));
    fc.assert(
      fc.property(axis, axis, (a, b) => {
        const x = counting([a.n, b.n]);
        const y = f(x, [[a.lo, a.hi], [b.lo, b.hi]]); // biome-ignore format: one thought
        const [h, w] = [a.lo + a.n + a.hi, b.lo + b.n + b.hi];
        expect(y.shape).toEqual([h, w]);
        const want = Array.from({ length: h * w }, (_, i) => {
          const [row, column] = [source(Math.floor(i / w) - a.lo, a.n), source((i % w) - b.lo, b.n)];
          return row * b.n + column + 1;
        });
        expect(valuesOf(y)).toEqual(want);
      }),
    );
  });

  test('more than the axis holds is refused', () => {
    expect(() =>
      padReflect(constant(0, [1, 3]), [
        [0, 0],
        [3, 0],
      ]),
    ).toThrow(
      // biome-ignore format: one thought
      'padReflect: padding [[0, 0], [3, 0]] does not fit\n  x  [1, 3]\n' +
        '  Axis 1 has size 3, so at most 2 elements can be taken from it for each side.',
    );
    expect(() => padCircular(constant(0, [3]), [])).toThrow('It takes 1 pairs [before, after] of whole numbers ≥ 0');
  });
});

describe('what does not fit is refused with the way out', () => {
  const x = counting([2, 3]);

  test.each<[string, () => Node, string]>([
    [
      'reshape',
      () => m.reshape(x, [4, 2]),
      'reshape: to [4, 2] does not fit\n  x  [2, 3]\n' +
        '  x has 6 elements, the new shape 8. Pass [2, -1] to keep the first axis and flatten the rest.',
    ],
    [
      'reshape with −1',
      () => m.reshape(x, [4, -1]),
      'reshape: to [4, -1] does not fit\n  x  [2, 3]\n' +
        '  x has 6 elements, the new shape a multiple of 4. Pass [2, -1] to keep the first axis and flatten the rest.',
    ],
    [
      'permute',
      () => m.permute(x, [0, 0]),
      'permute: axes [0, 0] are no permutation\n  x  [2, 3]\n  They must name each of the 2 axes once, e.g. [1,0].',
    ],
    [
      'expand',
      () => m.expand(x, [2, 4]),
      'expand: to [2, 4] does not fit\n  x  [2, 3]\n  Aligned on the right, each size must be equal or 1 in x.',
    ],
    [
      'slice',
      () => m.slice(x, [0, 2], [2, 5]),
      'slice: [0:2:1, 2:5:1] does not fit\n  x  [2, 3]\n  Each of the 2 axes takes 0 ≤ start ≤ stop ≤ size and step ≥ 1.',
    ],
    [
      'pad',
      () => m.pad(x, [[1, -1], [0, 0]]), // biome-ignore format: one thought
      'pad: padding [[1, -1], [0, 0]] does not fit\n  x  [2, 3]\n' +
        '  It takes 2 pairs [before, after] of whole numbers ≥ 0, one for each axis; to cut, use slice.',
    ],
    [
      'concat',
      () => m.concat([x, counting([2, 2])], 0),
      'concat: shapes do not fit\n  0  [2, 3]\n  1  [2, 2]\n' +
        '  All sizes but the one of axis 0 must equal those of the first, [2, 3]; [2, 2] differs.',
    ],
    [
      'stack',
      () => m.stack([x, counting([2, 2])]),
      'stack: shapes differ\n  0  [2, 3]\n  1  [2, 2]\n  All must have one shape; concat joins along an axis they have.',
    ],
    [
      'narrow',
      () => m.narrow(x, 2, 0, 1),
      'narrow: axis 2 does not exist\n  x  [2, 3]\n  With 2 axes it takes -2 … 1.',
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});

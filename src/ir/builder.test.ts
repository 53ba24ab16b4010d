import { describe, expect, test } from 'vitest';
import { InvariantError } from '../util/errors.js';
import { KernelBuilder } from './builder.js';
import { interpret } from './interpret.js';
import { print } from './print.js';
import type { Kernel } from './types.js';
import { affine } from './values.js';

type Author = (k: KernelBuilder) => void;

/** The lines inside the task loop of a kernel with pointers f: f32*, i: i32*, b: u8*. */
function body(author: (k: KernelBuilder, p: ReturnType<typeof pointers>) => void, lanes = 4): string[] {
  const k = new KernelBuilder({ lanes });
  const p = pointers(k);
  k.tasks(3, (task) => author(k, { ...p, task }));
  const lines = print(k.finish('test')).split('\n');
  return lines.slice(2, -3).map((line) => line.replace(/^ {4}/, ''));
}

function pointers(k: KernelBuilder) {
  return { f: k.param('f', 'f32'), i: k.param('i', 'i32'), b: k.param('b', 'u8'), task: k.i32(0) };
}

function simple(author: Author): Kernel {
  const k = new KernelBuilder({ lanes: 4 });
  k.tasks(1, () => author(k));
  return k.finish('simple');
}

describe('integers fold while building:', () => {
  test('constants', () => {
    expect(
      body((k, { i }) => {
        const n = k.i32(7);
        k.store(i, 0, n.mul(6).add(n).sub(1).div(4).shl(3).xor(1));
        k.store(i, 1, n.lt(8).and(n.ne(7).not()));
        k.store(i, 2, k.int(3).lt(k.int(4)));
        k.store(i, 6, k.i32(-1).mulhiU(-1));
        k.store(
          i,
          7,
          k
            .i32(-(2 ** 31))
            .neg()
            .min(5),
        );
      }),
    ).toEqual([
      'i32 [i] = 97',
      'i32 [i + 4] = 1',
      'i32 [i + 8] = -1x',
      'i32 [i + 24] = -2',
      'i32 [i + 28] = -2147483648',
    ]);
  });

  test('x + 0, x · 1, x · 0 and their like', () => {
    expect(
      body((k, { i, task }) => {
        k.store(i, 0, task.add(0).mul(1).sub(0).div(1).or(0).and(-1).shl(0));
        k.store(i, 1, task.mul(0).add(task.rem(1)).add(task.and(0)));
        k.store(i, 2, k.i32(0).add(task));
      }),
    ).toEqual(['i32 [i] = i0', 'i32 [i + 4] = 0', 'i32 [i + 8] = i0']);
  });

  test('a truth value that is not 0 is the comparison it came from', () => {
    expect(
      body((k, { i, f, task }) => {
        k.store(i, 0, task.lt(3).and(1).ne(0));
        k.store(f, 0, k.select(k.load(f, 4).gt(0).and(1).ne(0), k.load(f, 8), 0));
        k.store(i, 1, task.and(1).ne(0));
      }),
    ).toEqual([
      'i32 [i] = i0 < 3',
      'f32 [f] = select(load f32 [f + 16] > 0.0x, load f32 [f + 32], 0.0x)',
      'i32 [i + 4] = (i0 & 1) != 0',
    ]);
  });

  test('but no division by zero, and no floats', () => {
    expect(
      body((k, { i, f }) => {
        k.store(i, 0, k.i32(1).div(0));
        k.store(f, 0, k.f32(-0, 1).add(0));
      }),
    ).toEqual(['i32 [i] = 1 / 0', 'f32 [f] = -0.0 + 0.0']);
  });
});

describe('control that is known while building leaves none:', () => {
  test('a loop of no turns, of one, and of more', () => {
    expect(
      body((k, { i }) => {
        k.loop(0, () => k.store(i, 0, k.i32(1)));
        k.loop({ from: 5, to: 8, step: 3 }, (j) => k.store(i, j, j));
        k.loop({ from: 5, to: 9, step: 3 }, (j) => k.store(i, 0, j));
      }),
    ).toEqual(['i32 [i + 20] = 5', 'loop 5 .. 9 step 3 as i1 {', '  i32 [i] = i1', '}']);
  });

  test('an if', () => {
    expect(
      body((k, { i }) => {
        k.if(
          k.i32(1),
          () => k.store(i, 0, k.i32(1)),
          () => k.store(i, 0, k.i32(2)),
        );
        k.if(
          k.i32(0),
          () => k.store(i, 0, k.i32(3)),
          () => k.store(i, 0, k.i32(4)),
        );
        k.if(k.i32(0), () => k.store(i, 0, k.i32(5)));
      }),
    ).toEqual(['i32 [i] = 1', 'i32 [i] = 4']);
  });
});

describe('addresses', () => {
  test('keep static parts in the offset and share the run-time part', () => {
    expect(
      body((k, { f, task }) => {
        const x = affine(task).times(8).plus(3);
        const sum = k
          .load(f, x)
          .add(k.load(f, x.plus(4)))
          .add(k.load(f.at(x), 8));
        k.store(f, x.plus(-3), sum);
      }),
    ).toEqual(['%0: ptr = f + (i0 * 32)', 'f32 [%0] = (load f32 [%0 + 12] + load f32 [%0 + 28]) + load f32 [%0 + 44]']);
  });

  test('take factors into one', () => {
    expect(body((k, { f, task }) => k.store(f, affine(task.mul(3)).times(5).plus(task), k.f32(1)))).toEqual([
      'f32 [f + (i0 * 64)] = 1.0x',
    ]);
  });

  test('of the same terms are one, whatever order adds them', () => {
    const merged = affine(1).plus(affine(2).times(3)).times(2);
    expect([merged.constant, merged.terms]).toEqual([14, []]);
    expect(
      body((k, { b, task }) => {
        const n = task.mul(task);
        k.store(b, affine(n).plus(task).plus(affine(n).times(-1)), k.i32(1));
      }),
    ).toEqual(['u8 [b + i0] = 1']);
  });

  test('of a pointer variable are those of the moment', () => {
    expect(
      body((k, { f }) => {
        const p = k.ptrVar(f.at(2));
        const before = p.at(1);
        p.advance(4);
        k.store(before, 0, k.f32(1, 1));
        k.store(p, 1, k.f32(2, 1));
      }),
    ).toEqual(['var v0: ptr = f + 8', '%0: ptr = v0', 'v0 = %0 + 16', 'f32 [%0 + 4] = 1.0', 'f32 [v0 + 4] = 2.0']);
  });

  test('that are not whole elements are refused', () => {
    expect(() => body((k, { f }) => k.load(f, 0.5))).toThrow('pointer f: offset 0.5 is not an integer');
  });
});

test('fma is built as mul and add where the target has none', () => {
  const k = new KernelBuilder({ lanes: 4, fma: false });
  const f = k.param('f', 'f32');
  k.tasks(1, () => k.store(f, 0, k.load(f, 0).fma(k.load(f, 4), 2)));
  expect(print(k.finish('f'))).toContain('f32 [f] = load f32 [f] + (load f32 [f + 16] * 2.0x)');
});

test('lanesOf, iota and splat', () => {
  expect(
    body((k, { f, i, task }) => {
      const x = k.load(f, task, 1);
      k.store(f, 0, k.lanesOf([x, x, x, x]));
      k.store(f, 8, k.lanesOf([x, x, x, k.f32(1, 1)]));
      k.store(i, 0, k.iota());
    }),
  ).toEqual([
    '%0: f32 = load1 f32 [f + (i0 * 4)]',
    'f32 [f] = splat(%0)',
    'f32 [f + 32] = lanesOf(%0, %0, %0, 1.0)',
    'i32 [i] = lanesOf(0, 1, 2, 3)',
  ]);
});

describe('lanes of 8 and 16', () => {
  test.each([8, 16])('%i: iota, sums by halves', (lanes) => {
    const k = new KernelBuilder({ lanes });
    const i = k.param('i', 'i32');
    k.tasks(1, () => {
      k.store(i, 0, k.iota().mul(k.iota()));
      k.store(i, lanes, k.sumLanes(k.load(i, 0)));
    });
    const memory = new Int32Array(lanes + 1);
    interpret(k.finish('wide'), memory.buffer, [0], 0, 1);
    expect(memory[lanes]).toBe(((lanes - 1) * lanes * (2 * lanes - 1)) / 6);
  });
});

describe('refuses, naming the operation and the types:', () => {
  const cases: [string, Author, string][] = [
    ['a scalar beside a vector', (k) => k.f32(1, 1).add(k.f32(1)), 'add: the operands are f32, vf; they must be alike'],
    ['vector division', (k) => k.int(1).div(2), 'div: does not take operands of type vi'],
    ['lanes of a scalar', (k) => k.sumLanes(k.f32(1, 1)), 'sumLanes: does not take operands of type f32'],
    ['a fraction as an int', (k) => k.i32(1.5), 'constant 1.5 does not fit in 32 bits as an integer'],
    ['an int too large', (k) => k.i32(2 ** 32), 'constant 4294967296 does not fit in 32 bits as an integer'],
    ['a width between', (k) => k.f32(0, 2), 'width 2: must be 1 or 4'],
    ['a step back', (k) => k.loop({ to: 4, step: -1 }, () => {}), 'loop: step is -1, must be a positive integer'],
    ['three lanes of four', (k) => k.lanesOf([k.i32(0), k.i32(1), k.i32(2)]), 'lanesOf: 3 values for 4 lanes'],
    ['a task loop in a task loop', (k) => k.tasks(1, () => {}), 'tasks: a kernel has exactly one task loop'],
    ['too many registers', (k) => k.budget({ vectors: 17 }), 'budget: 17 vectors, but the target has 16'],
    ['a mask as a condition', (k) => k.if(k.iota().eq(1), () => {}), 'if: the condition is of type vi'],
    ['a scalar set to a vector', (k) => k.zero(1).set(k.f32(1)), 'set: the variable is f32, the value vf'],
  ];
  test.each(cases)('%s', (_, author, message) => {
    expect(() => simple(author)).toThrow(InvariantError);
    expect(() => simple(author)).toThrow(message);
  });

  test('a value of the wrong kind in a store', () => {
    expect(() => body((k, { f }) => k.store(f, 0, k.i32(1)))).toThrow('store: f holds f32, the value is of type i32');
  });

  test('a kernel without a task loop, and anything after finish', () => {
    const k = new KernelBuilder({ lanes: 4 });
    expect(() => k.finish('empty')).toThrow('kernel empty: it has no task loop');
    expect(() => k.zero()).toThrow('the kernel is finished: nothing can be added');
  });

  test('lanes that no target has', () => {
    expect(() => new KernelBuilder({ lanes: 2 })).toThrow('KernelBuilder: lanes is 2, must be 4, 8 or 16');
  });
});

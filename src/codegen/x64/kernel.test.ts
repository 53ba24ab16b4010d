import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  anyFloat,
  anyInt,
  anyKernelCode,
  contents,
  EDGE_FLOATS,
  EDGE_INTS,
  kernelOf,
  memoryOf,
  REGION_ARGS,
  runInterpreter,
} from '../../../test/kernel-fuzz.js';
import { LEVELS, runX64, whyNot } from '../../../test/x64-runner.js';
import {
  type ElemType,
  type Float,
  type Int,
  type Kernel,
  KernelBuilder,
  OPS,
  type Ptr,
  print,
  type Value,
} from '../../ir/index.js';
import { allocate } from './allocate.js';
import { assembleKernel, type X64Level } from './index.js';
import type { MachineCode } from './machine.js';
import { select } from './select.js';

const FLOAT_UNARY = ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'nearest', 'trunc', 'toI'] as const;
const FLOAT_BINARY = [
  ...(['add', 'sub', 'mul', 'div', 'min', 'max', 'pmin', 'pmax'] as const),
  ...(['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const),
];
const INT_UNARY = ['neg', 'not', 'toF', 'toFU'] as const;
const INT_BINARY = [
  ...(['add', 'sub', 'mul', 'and', 'or', 'xor', 'min', 'max', 'mulhiU'] as const),
  ...(['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'ltU'] as const),
];
const SHIFTS = ['shl', 'shr', 'shrU'] as const;
const FOLDS = ['sumLanes', 'maxLanes', 'minLanes'] as const;

const floats = [...EDGE_FLOATS, ...fc.sample(anyFloat, { numRuns: 6, seed: 1 })];
const ints = [...EDGE_INTS, ...fc.sample(anyInt, { numRuns: 6, seed: 1 })];
const lanesOf = (level: X64Level): number => (level === 'avx512' ? 16 : 8);

/** A kernel out[t] = f(a[t], b[t], c[t]) for all elements, `width` at a time. */
function pointwise(
  lanes: number,
  elem: ElemType,
  width: number,
  count: number,
  f: (k: KernelBuilder, ...values: never[]) => Value,
): Kernel {
  const k = new KernelBuilder({ lanes });
  const [a, b, c] = ['a', 'b', 'c'].map((name) => k.param(name, elem));
  const outF = k.param('outF', 'f32');
  const outI = k.param('outI', 'i32');
  k.tasks(count / width, (task) => {
    const at = task.mul(width);
    const result = (f as (k: KernelBuilder, ...values: Value[]) => Value)(
      k,
      ...[a, b, c].map((p) => k.load(p, at, width)),
    );
    k.store(result.expr.type === 'f32' || result.expr.type === 'vf' ? outF : outI, at, result);
  });
  return k.finish('pointwise');
}

/** Runs it on all pairs of the values (and a third beside) both ways. */
function bothWays(
  level: X64Level,
  elem: ElemType,
  wide: boolean,
  values: readonly number[],
  f: (k: KernelBuilder, ...values: never[]) => Value,
  lanes = lanesOf(level),
): void {
  const pairs = values.flatMap((x) => values.map((y) => [x, y]));
  while (pairs.length % 16 !== 0) pairs.push([1, 1]);
  const n = pairs.length;
  const memory = new Uint8Array(20 * n);
  const array = elem === 'f32' ? new Float32Array(memory.buffer) : new Int32Array(memory.buffer);
  for (const [i, [x, y]] of pairs.entries()) {
    array[i] = x;
    array[n + i] = y;
    array[2 * n + i] = pairs[(i * 7 + 3) % n][1];
  }
  const kernel = pointwise(lanes, elem, wide ? lanes : 1, n, f);
  const args = [0, 4 * n, 8 * n, 12 * n, 16 * n];
  const machine = runX64(level, kernel, memory, args);
  const interpreted = runInterpreter(kernel, memory, args);
  expect(new Float32Array(machine.buffer, 12 * n, n)).toEqual(new Float32Array(interpreted.buffer, 12 * n, n));
  expect(new Int32Array(machine.buffer, 16 * n, n)).toEqual(new Int32Array(interpreted.buffer, 16 * n, n));
}

test('the tables below have every operation of the language', () => {
  const tested = [...FLOAT_UNARY, ...FLOAT_BINARY, ...INT_UNARY, ...INT_BINARY, ...SHIFTS, ...FOLDS];
  const alone = ['div', 'rem', 'fma', 'asF', 'asI', 'lane', 'splat'];
  expect(Object.keys(OPS).filter((op) => ![...tested, ...alone].includes(op))).toEqual([]);
});

describe.each(LEVELS.flatMap((level) => [false, true].map((wide) => [level, wide] as const)))(
  '%s (vectors: %s) agrees with the interpreter, special values included:',
  (level, wide) => {
    const run = (elem: ElemType, f: (k: KernelBuilder, ...values: never[]) => Value): void =>
      bothWays(level, elem, wide, elem === 'f32' ? floats : ints, f);

    test.each(FLOAT_UNARY)('float %s', (op) => run('f32', (_, a: Float) => a[op]()));
    test.each(FLOAT_BINARY)('float %s', (op) => run('f32', (_, a: Float, b: Float) => a[op](b)));
    test.each(FLOAT_BINARY)('float %s of sums: operands in registers', (op) =>
      run('f32', (_, a: Float, b: Float, c: Float) => a.add(c)[op](b.mul(c))),
    );
    test.each(FLOAT_BINARY)('float %s with a constant', (op) => {
      for (const c of EDGE_FLOATS) bothWays(level, 'f32', wide, EDGE_FLOATS, (_, a: Float) => a[op](c));
    });
    test.each(INT_UNARY)('int %s', (op) => run('i32', (_, a: Int) => a[op]()));
    test.each(INT_BINARY)('int %s', (op) => run('i32', (_, a: Int, b: Int) => a[op](b)));
    test.each(INT_BINARY)('int %s of what one comes from the other', (op) =>
      run('i32', (_, a: Int, b: Int) => a.add(b)[op](a.add(b).xor(b))),
    );
    test.each(INT_BINARY)('int %s with a constant', (op) => {
      for (const c of EDGE_INTS) {
        bothWays(level, 'i32', wide, EDGE_INTS, (_, a: Int) => a[op](c));
        bothWays(level, 'i32', wide, EDGE_INTS, (k, a: Int) => k.int(c, a.width)[op](a));
      }
    });
    test.each(SHIFTS)('int %s', (op) => {
      for (const count of [0, 1, 13, 31]) run('i32', (_, a: Int) => a[op](count));
    });
    test('select', () => {
      run('f32', (k, a: Float, b: Float, c: Float) => k.select<Float>(a.lt(b), b, c));
      run('f32', (k, a: Float, b: Float, c: Float) => k.select<Float>(a.lt(b), c.add(1), 0));
      run('f32', (k, a: Float, b: Float, c: Float) => k.select<Float>(a.lt(b), 0, c));
      run('i32', (k, a: Int, b: Int, c: Int) => k.select<Int>(a.lt(b), b, c));
      run('i32', (k, a: Int, b: Int, c: Int) => k.select<Int>(a.le(b), c.add(a), 0));
    });
    test('logic of conditions', () => {
      run('f32', (k, a: Float, b: Float, c: Float) => {
        const both = a
          .lt(b)
          .and(b.lt(c).not())
          .or(a.eq(c).xor(b.eq(c)));
        return k.select<Float>(both, a, b);
      });
      run('i32', (k, a: Int, b: Int, c: Int) => {
        const less = a.lt(b);
        return k.select<Int>(less.and(a.ne(c)), k.select<Int>(less, a, c), less); // less as a value, too
      });
    });
    test('fma, whichever operand is kept', () => {
      // Of few bits: the interpreter rounds in float64 first, which shows in one of millions of arbitrary sums.
      const edges = (f: (k: KernelBuilder, ...values: never[]) => Value): void =>
        bothWays(level, 'f32', wide, EDGE_FLOATS, f);
      edges((_, a: Float, b: Float, c: Float) => a.fma(b, c));
      edges((_, a: Float, b: Float, c: Float) => a.add(0).fma(b, c.mul(1)).fma(a, c));
      edges((_, a: Float, b: Float, c: Float) => b.fma(a, b).fma(c, a).fma(0.5, b));
      edges((k, a: Float, b: Float) => k.f32(1.25, a.width).fma(a, b));
      edges((k, a: Float, b: Float) => k.f32(1.25, a.width).fma(a.add(1), b.add(1)));
      edges((_, a: Float) => a.fma(a, a));
    });
    test('bits of a float and back', () => {
      const numbers = floats.filter((x) => !Number.isNaN(x));
      bothWays(level, 'f32', wide, numbers, (_, a: Float) => a.asI());
      run('i32', (_, a: Int) => a.and(0x7f7fffff).asF());
    });
  },
);

describe.each(LEVELS)('%s:', (level) => {
  const lanes = lanesOf(level);

  test('narrower vectors work too', () => {
    for (const narrow of [4, 8]) {
      for (const op of FLOAT_BINARY)
        bothWays(level, 'f32', true, EDGE_FLOATS, (_, a: Float, b: Float) => a[op](b), narrow);
      for (const op of INT_BINARY) bothWays(level, 'i32', true, EDGE_INTS, (_, a: Int, b: Int) => a[op](b), narrow);
    }
  });

  test.each(FOLDS)('%s folds halves, with what is special in any lane', (op) => {
    const fold = (k: KernelBuilder, v: Value): Value => k.splat(k[op](v));
    bothWays(level, 'f32', true, floats, (k, a: Float) => fold(k, a));
    bothWays(level, 'i32', true, ints, (k, a: Int) => fold(k, a));
  });

  test('each lane is found, and vectors are made of scalars', () => {
    for (const elem of ['f32', 'i32'] as const) {
      const k = new KernelBuilder({ lanes });
      const p = k.param('p', elem);
      k.tasks(1, () => {
        const v = k.load(p);
        for (let i = 0; i < lanes; i++) k.store(p, lanes + i, v.lane(lanes - 1 - i));
        const each = Array.from({ length: lanes }, (_, i) => k.load(p, (i * 5) % lanes, 1));
        k.store(p, 2 * lanes, k.lanesOf<Value>(each));
        k.store(p, 3 * lanes, k.lanesOf<Value>(each.map((x) => x.add(3))));
        const one = elem === 'f32' ? k.f32(7, 1) : k.int(7, 1);
        k.store(p, 4 * lanes, k.lanesOf<Value>(each.map((x, i) => (i % 3 === 0 ? x : one))));
        k.store(p, 5 * lanes, k.splat<Value>(k.load(p, 3, 1)));
        k.store(p, 6 * lanes, k.iota().add(1).toF()[elem === 'f32' ? 'abs' : 'toI']());
      });
      const memory = new Uint8Array(28 * lanes);
      const array = elem === 'f32' ? new Float32Array(memory.buffer) : new Int32Array(memory.buffer);
      for (let i = 0; i < lanes; i++) array[i] = 10 * i + 1;
      const kernel = k.finish('lanes');
      expect(runX64(level, kernel, memory, [0])).toEqual(runInterpreter(kernel, memory, [0]));
    }
  });

  test('bytes load as 0 to 255 and store the low byte', () => {
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'u8');
    const n = lanes;
    k.tasks(1, () => {
      k.store(p, n, k.load(p, 0).add(250));
      k.store(p, 2 * n, k.load(p, 1, 1).add(1));
      k.store(p, 2 * n + 1, k.i32(-3));
      k.store(p, 3 * n, k.broadcast(p, 3));
      k.store(p, 4 * n, k.load(p, 2).mul(-1001));
    });
    const memory = Uint8Array.from({ length: 5 * n }, (_, i) => (i * 37 + 250) & 255);
    const kernel = k.finish('bytes');
    expect(runX64(level, kernel, memory, [0])).toEqual(runInterpreter(kernel, memory, [0]));
  });

  test('division by constants and by values', () => {
    for (const c of [2, 3, 5, 7, 8, 9, 10, 64, 100, 641, 3136, 65536, 2 ** 20 + 7, 2 ** 30, 2 ** 31 - 1, -3, -8]) {
      for (const op of ['div', 'rem'] as const) {
        bothWays(level, 'i32', false, ints, (_, a: Int) => a[op](c));
        bothWays(level, 'i32', false, ints, (_, a: Int) => a.shrU(1)[op](c)); // known not to be negative
        bothWays(level, 'i32', false, ints, (_, a: Int, b: Int) => a.xor(b).shrU(3)[op](c).add(b));
      }
    }
    // What was not negative may have wrapped.
    for (const op of ['div', 'rem'] as const) {
      bothWays(level, 'i32', false, ints, (_, a: Int) => a.shrU(1).mul(3)[op](7));
      bothWays(level, 'i32', false, ints, (_, a: Int, b: Int) => a.shrU(1).add(b.shrU(2))[op](8));
      bothWays(level, 'i32', false, ints, (_, a: Int) => a.and(0xfff).mul(100)[op](7));
    }
    const safe = (b: Int): Int => b.and(0xff).add(1);
    bothWays(level, 'i32', false, ints, (_, a: Int, b: Int) => a.div(safe(b)));
    bothWays(level, 'i32', false, ints, (_, a: Int, b: Int) => a.rem(safe(b)));
    bothWays(level, 'i32', false, [-5, 7, 1, 0, 2 ** 31 - 1], (_, a: Int, b: Int) => a.div(b.and(0).sub(1)).add(b));
    bothWays(level, 'i32', false, ints, (_, a: Int, b: Int) => a.rem(b.and(0).sub(1)).add(b));
  });

  test('division by zero, and of the lowest int by -1, calls the kernel off', () => {
    const divide = (a: number, b: number): (() => void) => {
      const k = new KernelBuilder({ lanes });
      const p = k.param('p', 'i32');
      k.tasks(1, () => k.store(p, 2, k.load(p, 0, 1).div(k.load(p, 1, 1))));
      const memory = new Uint8Array(Int32Array.of(a, b, 0).buffer);
      return () => void runX64(level, k.finish('divide'), memory, [0]);
    };
    expect(divide(1, 0)).toThrow('divide: called off');
    expect(divide(-(2 ** 31), -1)).toThrow('divide: called off');
    expect(divide(-(2 ** 31), 1)).not.toThrow();
  });

  test('random kernels do the same to memory, whether values fit the registers or not', () => {
    const memory = memoryOf(fc.sample(anyFloat, { numRuns: 60, seed: 3 }), fc.sample(anyInt, { numRuns: 60, seed: 3 }));
    for (const pressure of [0, 24]) {
      fc.assert(
        fc.property(anyKernelCode, (code) => {
          const kernel = kernelOf(code, { lanes, pressure });
          const machine = contents(runX64(level, kernel, memory, REGION_ARGS));
          expect(machine, print(kernel)).toEqual(contents(runInterpreter(kernel, memory, REGION_ARGS)));
        }),
        { numRuns: 300 },
      );
    }
  });

  test('a read of a variable is its value then, not later', () => {
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'i32');
    k.tasks(1, () => {
      const v = k.var(k.load(p, 0, 1));
      const before = v.value;
      k.loop(v.value, () => v.addTo(10)); // as often as it says at the start
      const after = v.value;
      v.set(before);
      k.store(p, 1, before);
      k.store(p, 2, after);
      k.store(p, 3, v.value.add(after));
    });
    const memory = new Uint8Array(Int32Array.of(7, 0, 0, 0).buffer);
    expect(new Int32Array(runX64(level, k.finish('reads'), memory, [0]).buffer)).toEqual(Int32Array.of(7, 7, 77, 84));
  });

  test('a load keeps its place before a store', () => {
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'i32');
    k.tasks(1, () => {
      const old = k.load(p, 0, 1);
      k.store(p, 0, k.i32(99));
      k.store(p, 1, old);
    });
    const memory = new Uint8Array(Int32Array.of(5, 0).buffer);
    expect(new Int32Array(runX64(level, k.finish('order'), memory, [0]).buffer)).toEqual(Int32Array.of(99, 5));
  });

  test('addresses: below the pointer, by negative and by scaled indices', () => {
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'i32');
    k.tasks(4, (task) => {
      const back = k.load(p, 0, 1); // -1
      k.store(p, task.mul(2).add(4), k.load(p, task.sub(4), 1));
      k.store(p, task.mul(2).add(5), k.load(p, back.mul(task).sub(1), 1));
      k.prefetch(p, task.mul(1 << 20), 1);
    });
    const memory = new Uint8Array(64);
    const all = new Int32Array(memory.buffer);
    all.set([10, 11, 12, 13, -1]);
    const kernel = k.finish('addresses');
    expect(runX64(level, kernel, memory, [16])).toEqual(runInterpreter(kernel, memory, [16]));
  });

  test('what streams past the caches arrives', () => {
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'f32');
    k.tasks(4, (task) => k.store(p, task.mul(lanes), k.load(p, task.mul(lanes)).add(1), { streams: true }));
    const memory = new Uint8Array(4096);
    const kernel = k.finish('streams');
    const ones = new Float32Array(1024).fill(1, 0, 4 * lanes);
    expect(new Float32Array(runX64(level, kernel, memory, [0]).buffer)).toEqual(ones);
  });

  test('only tasks begin … end are done', () => {
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'i32');
    k.tasks(8, (task) => k.store(p, task, task.add(1)));
    const kernel = k.finish('range');
    const run = (begin: number, end: number): number[] => [
      ...new Int32Array(runX64(level, kernel, new Uint8Array(32), [0], [begin, end]).buffer),
    ];
    expect(run(2, 5)).toEqual([0, 0, 3, 4, 5, 0, 0, 0]);
    expect(run(5, 5)).toEqual(new Array(8).fill(0));
  });
});

describe.skipIf(whyNot('avx2') !== null)('registers', () => {
  /** rows × 2 sums: a broadcast per row meets two vectors. */
  const tile = (lanes: number, rows: number): Kernel => {
    const k = new KernelBuilder({ lanes, registers: 32 });
    const [x, w, y] = ['x', 'w', 'y'].map((name) => k.param(name, 'f32'));
    k.tasks(1, () => {
      const sums = Array.from({ length: 2 * rows }, () => k.zero());
      const [xp, wp]: Ptr[] = [k.ptrVar(x), k.ptrVar(w)];
      k.loop(5, () => {
        const row = [k.load(wp), k.load(wp, lanes)] as Float[];
        for (let i = 0; i < rows; i++) {
          const xi = k.broadcast(xp, 8 * i) as Float;
          for (const [j, v] of row.entries()) sums[2 * i + j].fma(xi, v);
        }
        (xp as ReturnType<typeof k.ptrVar>).advance(1);
        (wp as ReturnType<typeof k.ptrVar>).advance(2 * lanes);
      });
      for (const [i, v] of sums.entries()) k.store(y, i * lanes, v.value);
    });
    return k.finish('tile');
  };
  const machineCode = (kernel: Kernel, level: X64Level): MachineCode => {
    const code = select(kernel, level === 'avx512');
    allocate(code, level === 'avx512' ? 32 : 16, 4 * kernel.lanes);
    return code;
  };

  test('a tile of all registers needs no frame, one more vector does, and both are right', () => {
    for (const [level, rows] of [
      ['avx2', 6],
      ['avx512', 14],
    ] as const) {
      expect(machineCode(tile(lanesOf(level), rows), level).frameVectors).toBe(0);
      expect(machineCode(tile(lanesOf(level), rows + 1), level).frameVectors).toBeGreaterThan(0);
      if (!LEVELS.includes(level)) continue;
      for (const more of [0, 1, 5]) {
        const kernel = tile(lanesOf(level), rows + more);
        const memory = new Uint8Array(16384);
        new Float32Array(memory.buffer).forEach((_, i, all) => {
          all[i] = (i % 17) - 8;
        });
        const args = [0, 4096, 8192];
        expect(runX64(level, kernel, memory, args)).toEqual(runInterpreter(kernel, memory, args));
      }
    }
  });

  test.each(LEVELS)('a frame of several pages, %s', (level) => {
    const lanes = lanesOf(level);
    const k = new KernelBuilder({ lanes });
    const p = k.param('p', 'f32');
    k.tasks(1, () => {
      const all = Array.from({ length: 300 }, (_, i) => k.load(p, lanes * i) as Float);
      for (const [i, v] of all.toReversed().entries()) k.store(p, lanes * i, v.add(i));
    });
    const kernel = k.finish('deep');
    expect(machineCode(kernel, level).frameVectors * 4 * lanes).toBeGreaterThan(8192);
    const memory = new Uint8Array(Float32Array.from({ length: 300 * lanes }, (_, i) => i).buffer);
    expect(runX64(level, kernel, memory, [0])).toEqual(runInterpreter(kernel, memory, [0]));
  });

  test('what the innermost loop does not use goes to the frame first', () => {
    const k = new KernelBuilder({ lanes: 8 });
    const p = k.param('p', 'f32');
    k.tasks(1, () => {
      const idle = Array.from({ length: 6 }, (_, i) => k.load(p, 8 * i) as Float);
      const sums = Array.from({ length: 15 }, () => k.zero());
      k.loop(9, (i) => {
        const x = k.load(p, i.mul(8)) as Float;
        for (const sum of sums) sum.addTo(x);
      });
      for (const [i, v] of sums.entries()) k.store(p, 8 * i, v.value.add(idle[i % 6]));
    });
    expect(machineCode(k.finish('idle'), 'avx2').frameVectors).toBe(6);
  });
});

test('more lanes than the level has are refused', () => {
  const k = new KernelBuilder({ lanes: 16 });
  k.tasks(1, () => {});
  const kernel = k.finish('wide');
  expect(() => assembleKernel(kernel, { level: 'avx2', abi: 'sysv', threads: false })).toThrow(
    /kernel wide: has 16 lanes, AVX2 8/,
  );
});

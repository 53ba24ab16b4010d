import { describe, expect, test } from 'vitest';
import { InvariantError } from '../util/errors.js';
import { KernelBuilder } from './builder.js';
import { evaluateFloat, evaluateInt } from './evaluate.js';
import { interpret } from './interpret.js';
import type { ElemType, Kernel } from './types.js';
import type { I32, Ptr } from './values.js';

function kernel(elem: ElemType, body: (k: KernelBuilder, p: Ptr, q: Ptr, task: I32) => void): Kernel {
  const k = new KernelBuilder({ lanes: 4 });
  const [p, q] = ['p', 'q'].map((name) => k.param(name, elem));
  k.tasks(2, (task) => body(k, p, q, task));
  return k.finish('test');
}

describe('accesses', () => {
  const copy = kernel('f32', (k, p, q, task) => k.store(q, task.mul(4), k.load(p, task.mul(4))));
  const memory = new ArrayBuffer(96);

  test('inside their parameter are done', () => {
    new Float32Array(memory).set([1, 2, 3, 4, 5, 6, 7, 8]);
    const bounds = [
      { address: 0, size: 32 },
      { address: 64, size: 32 },
    ];
    interpret(copy, memory, [0, 64], 0, 2, bounds);
    expect([...new Float32Array(memory, 64, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('one byte outside their parameter are refused, though another parameter is there', () => {
    const run = (p: number, q: number) => () => {
      interpret(copy, memory, [0, 64], 0, 2, [
        { address: 0, size: p },
        { address: 64, size: q },
      ]);
    };
    expect(run(32, 32)).not.toThrow();
    expect(run(31, 32)).toThrow('test: f32 at byte 28, through p: f32* at 0, is outside its 31 bytes at 0');
    expect(run(32, 31)).toThrow('test: f32 at byte 92, through q: f32* at 64, is outside its 31 bytes at 64');
  });

  test('outside the memory are refused', () => {
    expect(() => interpret(copy, memory, [0, 68], 0, 2)).toThrow(
      'test: f32 at byte 96, through q: f32* at 68, is outside the 96 bytes',
    );
    expect(() => interpret(copy, memory, [-4, 64], 0, 1)).toThrow(InvariantError);
  });

  test('that stream are aligned', () => {
    const stream = kernel('f32', (k, p, _, task) => k.store(p, task, k.f32(1), { streams: true }));
    interpret(stream, memory, [0, 64], 0, 1);
    expect(() => interpret(stream, memory, [0, 64], 1, 2)).toThrow('a stream to 4, no multiple of 16');
  });

  test('are not what a prefetch does', () => {
    const far = kernel('f32', (k, p, _, task) => k.prefetch(p, task.add(1 << 20)));
    expect(() => interpret(far, memory, [0, 64], 0, 2)).not.toThrow();
  });

  test('through a pointer that walks are held to where it started', () => {
    const walk = kernel('i32', (k, p) => {
      const v = k.ptrVar(p);
      k.loop(4, (i) => {
        k.store(v, 0, i);
        v.advance(1);
      });
    });
    const bounds = (size: number) => [
      { address: 16, size },
      { address: 0, size: 16 },
    ];
    interpret(walk, memory, [16, 0], 0, 1, bounds(16));
    expect([...new Int32Array(memory, 16, 4)]).toEqual([0, 1, 2, 3]);
    expect(() => interpret(walk, memory, [16, 0], 0, 1, bounds(12))).toThrow('at byte 28, through p');
  });
});

test('only tasks begin … end are done', () => {
  const mark = kernel('u8', (k, p, _, task) => k.store(p, task, k.i32(511)));
  const memory = new Uint8Array(2);
  interpret(mark, memory.buffer, [0, 0], 1, 2);
  expect([...memory]).toEqual([0, 255]);
});

test('an address is wanted for each parameter', () => {
  const mark = kernel('u8', (k, p) => k.store(p, 0, k.i32(1)));
  expect(() => interpret(mark, new ArrayBuffer(4), [0], 0, 1)).toThrow('test: 1 addresses for 2 parameters');
});

describe('one lane:', () => {
  test('floats round to float32 after each operation', () => {
    expect(evaluateFloat('add', 16777216, 1, 0, 1)).toBe(16777216);
    expect(evaluateFloat('mul', Math.fround(0.1), 3, 0, 1)).toBe(Math.fround(0.30000000447034836));
    expect(evaluateFloat('fma', 1, 2 ** -12, -(2 ** -12), 1)).toBe(Math.fround(1 - 2 ** -24));
  });

  test('ties go to even, and signs of zero are kept', () => {
    const nearest = [0.5, 1.5, 2.5, -0.5, -1.5, -0.2, 8388609].map((x) => evaluateFloat('nearest', x, 0, 0, 1));
    expect(nearest).toEqual([0, 2, 2, -0, -2, -0, 8388609]);
  });

  test('minimum and maximum prefer NaN, and order zeros', () => {
    expect(evaluateFloat('min', Number.NaN, 1, 0, 1)).toBeNaN();
    expect(evaluateFloat('max', 1, Number.NaN, 0, 1)).toBeNaN();
    expect(evaluateFloat('min', 0, -0, 0, 1)).toBe(-0);
    expect(evaluateFloat('max', -0, 0, 0, 1)).toBe(0);
  });

  test('pseudo-minimum and -maximum keep the first of equals and of what cannot be compared', () => {
    expect(evaluateFloat('pmin', Number.NaN, 1, 0, 1)).toBeNaN();
    expect(evaluateFloat('pmin', 1, Number.NaN, 0, 1)).toBe(1);
    expect(evaluateFloat('pmin', 0, -0, 0, 1)).toBe(0);
    expect(evaluateFloat('pmin', 2, 1, 0, 1)).toBe(1);
    expect(evaluateFloat('pmax', Number.NaN, 1, 0, 1)).toBeNaN();
    expect(evaluateFloat('pmax', 1, Number.NaN, 0, 1)).toBe(1);
    expect(evaluateFloat('pmax', -0, 0, 0, 1)).toBe(-0);
    expect(evaluateFloat('pmax', 1, 2, 0, 1)).toBe(2);
  });

  test('conversion to int truncates and saturates', () => {
    const ints = [1.9, -1.9, 3e9, -3e9, Number.NaN, -0.5].map((x) => evaluateFloat('toI', x, 0, 0, 1));
    expect(ints).toEqual([1, -1, 2147483647, -2147483648, 0, 0]);
  });

  test('ints wrap, and mulhiU is the upper half', () => {
    expect(evaluateInt('add', 2 ** 31 - 1, 1, 0, 1)).toBe(-(2 ** 31));
    expect(evaluateInt('mul', 0x10001, 0x10001, 0, 1)).toBe(0x20001);
    expect(evaluateInt('mulhiU', -1, -1, 0, 1)).toBe(-2);
    expect(evaluateInt('toFU', -1, 0, 0, 1)).toBe(2 ** 32);
    expect(evaluateInt('div', -7, 2, 0, 1)).toBe(-3);
    expect(evaluateInt('rem', -7, 2, 0, 1)).toBe(-1);
  });

  test('division by zero and of the lowest int by -1 have no value', () => {
    expect(evaluateInt('div', 1, 0, 0, 1)).toBeNull();
    expect(evaluateInt('rem', 1, 0, 0, 1)).toBeNull();
    expect(evaluateInt('div', -(2 ** 31), -1, 0, 1)).toBeNull();
  });
});

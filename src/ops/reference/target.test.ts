/** The reference target: what it writes, what it keeps in float64, and that a failed step leaves everything as it was. */

import { describe, expect, test } from 'vitest';
import { defineOp, record } from '../../graph/op.js';
import { Storage } from '../../graph/storage.js';
import { add, div, exp, mul } from '../elementwise.js';
import { buffer, constant } from '../source.js';
import { ReferenceTarget } from './index.js';

const storage = (...values: number[]) => new Storage([values.length], 'float32', Float32Array.from(values), true);

describe('ReferenceTarget', () => {
  test('gives each root its value on the host and computes it once', async () => {
    const target = new ReferenceTarget();
    let calls = 0;
    const countedOp = defineOp<object>('counted', {
      infer: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
      reference: ([x]) => {
        calls++;
        return x.data;
      },
    });
    const y = record(countedOp, [constant(2, [2])], {});
    const z = mul(y, y);
    await target.realize([y, z, y], []);
    expect([y.realized!.read(), z.realized!.read()]).toEqual([Float32Array.of(2, 2), Float32Array.of(4, 4)]);
    await target.realize([add(y, z)], []);
    expect(calls).toBe(1);
  });

  test('assigns when everything that reads the old values has run', async () => {
    const target = new ReferenceTarget();
    const [a, b] = [storage(1, 2), storage(3, 4)];
    const [x, y] = [buffer(a), buffer(b)];
    const total = add(x, y);
    await target.realize([total], [{ storage: a, value: y }, { storage: b, value: x }]); // biome-ignore format: one thought
    expect([a.read(), b.read(), total.realized!.read()]).toEqual(
      [[3, 4], [1, 2], [4, 6]].map((v) => Float32Array.from(v)), // biome-ignore format: one thought
    );
    expect([a.version, b.version]).toEqual([1, 1]);
  });

  test('keeps what it wrote in float64 from step to step', async () => {
    const target = new ReferenceTarget();
    const s = storage(1);
    await target.realize([], [{ storage: s, value: div(buffer(s), 3) }]);
    await target.realize([], [{ storage: s, value: mul(buffer(s), 3) }]);
    expect(target.evaluate(buffer(s)).data[0]).toBe(1);
    const y = exp(constant(1, [1]));
    await target.realize([y], []);
    expect(target.evaluate(y).data[0]).toBe(Math.E);
  });

  test('forgets it when someone else writes the storage', async () => {
    const target = new ReferenceTarget();
    const s = storage(1);
    await target.realize([], [{ storage: s, value: div(buffer(s), 3) }]);
    s.write(Float32Array.of(0.1));
    expect(target.evaluate(buffer(s)).data[0]).toBe(Math.fround(0.1));
  });

  test('takes values fed for nodes in their stead', () => {
    const x = buffer(storage(1, 2));
    const data = Float64Array.of(1e-9, 3);
    expect(new ReferenceTarget().evaluate(add(x, 1), new Map([[x, { ...x, data }]])).data).toEqual(
      Float64Array.of(1 + 1e-9, 4),
    );
  });

  test('a step that fails changes nothing', async () => {
    const target = new ReferenceTarget();
    const s = storage(1, 2);
    const failingOp = defineOp<object>('failing', {
      infer: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
      reference: () => {
        throw new Error('no');
      },
    });
    const y = add(buffer(s), 1);
    const failing = record(failingOp, [buffer(s)], {});
    await expect(target.realize([y, failing], [{ storage: s, value: y }])).rejects.toThrow('no');
    expect([s.version, s.read(), y.realized]).toEqual([0, Float32Array.of(1, 2), null]);
  });

  test('refuses to read a storage overwritten since', async () => {
    const target = new ReferenceTarget();
    const s = storage(1, 2);
    s.name = 'fc.bias';
    const [late, early] = [add(buffer(s), 1), add(buffer(s), 2)];
    await target.realize([early], [{ storage: s, value: constant(0, [2]) }]);
    await expect(target.realize([late], [])).rejects.toThrow(/^fc.bias was overwritten \(once\)/);
    await target.realize([mul(early, 2)], []);
  });

  test('evaluates chains of any depth', () => {
    let x = constant(0, [1]);
    const one = buffer(storage(1));
    for (let i = 0; i < 20_000; i++) x = add(x, one);
    expect(new ReferenceTarget().evaluate(x).data).toEqual(Float64Array.of(20_000));
  });
});

import { expect, test } from 'vitest';
import { KernelBuilder } from './builder.js';
import { print } from './print.js';

test('a kernel prints as one reads it, and the same each time', () => {
  const make = (): string => {
    const k = new KernelBuilder({ lanes: 8 });
    k.budget({ vectors: 5 });
    const [x, w, y] = ['x', 'w', 'y'].map((name) => k.param(name, 'f32'));
    const mask = k.param('mask', 'u8');
    k.tasks(12, (task) => {
      const acc = [k.zero(), k.zero()];
      const p = k.ptrVar(w.at(task.mul(16)));
      k.loop(9, (i) => {
        const xi = k.broadcast(x, i);
        for (const [j, v] of acc.entries()) v.fma(xi, k.load(p, 8 * j));
        k.prefetch(p, 64, 1);
        p.advance(16);
      });
      const out = y.at(task.mul(16));
      k.if(
        k.load(mask, task, 1),
        () => {
          for (const [j, v] of acc.entries()) k.store(out, 8 * j, v.value.max(0));
        },
        () => k.store(out, -1, k.select(k.iota().lt(3), k.f32(0.1), acc[0].value.sqrt())),
      );
    });
    return print(k.finish('demo'));
  };
  expect(make()).toMatchInlineSnapshot(`
    "kernel demo(x: f32*, w: f32*, y: f32*, mask: u8*) 8 lanes, 12 tasks, 5 vectors {
      tasks as i0 {
        var v0: vf = 0.0x
        var v1: vf = 0.0x
        var v2: ptr = w + (i0 * 64)
        loop 0 .. 9 as i1 {
          %0: vf = broadcast f32 [x + (i1 * 4)]
          v0 = fma(v0, %0, load f32 [v2])
          v1 = fma(v1, %0, load f32 [v2 + 32])
          prefetch1 [v2 + 256]
          v2 = v2 + 64
        }
        %1: ptr = y + (i0 * 64)
        %2: i32 = load1 u8 [mask + i0]
        if %2 {
          f32 [%1] = max(v0, 0.0x)
          f32 [%1 + 32] = max(v1, 0.0x)
        } else {
          f32 [%1 - 4] = select(lanesOf(0, 1, 2, 3, 4, 5, 6, 7) < 3x, 0.10000000149011612x, sqrt(v0))
        }
      }
    }
    "
  `);
  expect(make()).toBe(make());
});

import { describe, expect, test } from 'vitest';
import { type Kernel, KernelBuilder } from '../../ir/index.js';
import { holdConstants } from './hold.js';
import { BASE, M, type MachineCode, OP, POOL, STRIDE } from './machine.js';
import { select } from './select.js';

/** y = c₀ + x·(c₁ + x·…) over two vectors, beside `sums` running sums, in a loop. */
function polynomial(lanes: number, degree: number, sums: number): Kernel {
  const k = new KernelBuilder({ lanes, registers: 32 });
  const [x, y] = ['x', 'y'].map((name) => k.param(name, 'f32'));
  k.tasks(1, () => {
    const running = Array.from({ length: sums }, () => k.zero());
    k.loop(10, (i) => {
      for (let u = 0; u < 2; u++) {
        const value = k.load(x, i.mul(2 * lanes).add(u * lanes));
        let sum = k.f32(0.75);
        for (let d = 1; d <= degree; d++) sum = k.f32(1 + d / 8).fma(sum, value);
        k.store(y, i.mul(2 * lanes).add(u * lanes), sum);
        for (const s of running) s.addTo(value);
      }
    });
    running.forEach((s, i) => {
      k.store(y, i * lanes, s.value);
    });
  });
  return k.finish('polynomial');
}

/** Operations with a constant from memory in the innermost loop, and before it. */
function constantsOf(code: MachineCode): { inside: number; before: number } {
  const at = (i: number, field: number) => code.words[i * STRIDE + field];
  const operations = Array.from({ length: code.count }, (_, i) => i);
  const back = operations.find((i) => at(i, OP) === M.back)!;
  const head = operations.filter((i) => i < back && at(i, OP) === M.loop).pop()!;
  const constants = operations.filter((i) => at(i, BASE) === POOL);
  return {
    inside: constants.filter((i) => i > head && i < back).length,
    before: constants.filter((i) => i < head).length,
  };
}

describe.each([
  [8, false, 16],
  [16, true, 32],
])('constants of a loop, %i lanes', (lanes, avx512, vectors) => {
  const held = (degree: number, sums: number) => {
    const code = select(polynomial(lanes, degree, sums), avx512);
    const unchanged = constantsOf(code);
    holdConstants(code, vectors);
    return { unchanged, ...constantsOf(code) };
  };

  test('are loaded before it', () => {
    const { unchanged, inside, before } = held(6, 0);
    expect(unchanged.inside).toBeGreaterThanOrEqual(14);
    expect(inside).toBe(0);
    expect(before).toBe(unchanged.before + 7);
  });

  test('stay in memory where its values need all registers', () => {
    const { unchanged, inside, before } = held(6, vectors);
    expect(inside).toBe(unchanged.inside);
    expect(before).toBe(unchanged.before);
  });

  test('are held as far as registers go', () => {
    const { unchanged, inside, before } = held(6, vectors - 6);
    expect(inside).toBeGreaterThan(0);
    expect(inside).toBeLessThan(unchanged.inside);
    expect(before).toBeGreaterThan(unchanged.before);
  });
});

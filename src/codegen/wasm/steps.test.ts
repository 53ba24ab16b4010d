import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runInterpreter, runWasm } from '../../../test/kernel-fuzz.js';
import { analyse, type Float, type Kernel, KernelBuilder, print, type Stmt } from '../../ir/index.js';
import { orderSteps, readingOrder } from './steps.js';

setFlagsFromString('--experimental-wasm-relaxed-simd'); // Node 20 has it behind a switch

/** A tile of rows × columns vectors, `unroll` steps a turn, `turns` turns. */
function tile(rows: number, columns: number, unroll: number, turns: number): Kernel {
  const k = new KernelBuilder({ lanes: 4 });
  const [x, w, y] = ['x', 'w', 'y'].map((name) => k.param(name, 'f32'));
  k.tasks(1, () => {
    const acc = Array.from({ length: rows * columns }, () => k.zero());
    const [xp, wp] = [k.ptrVar(x), k.ptrVar(w)];
    k.loop(turns, () => {
      for (let u = 0; u < unroll; u++) {
        const row = Array.from({ length: columns }, (_, j) => k.load(wp, (u * columns + j) * 4));
        for (let i = 0; i < rows; i++) {
          const xi = k.broadcast(xp, i * 16 + u);
          for (let j = 0; j < columns; j++) acc[i * columns + j].fma(xi, row[j]);
        }
      }
      xp.advance(unroll);
      wp.advance(unroll * columns * 4);
    });
    for (const [i, v] of acc.entries()) k.store(y, i * 4, v.value);
  });
  return k.finish(`tile_${rows}x${columns}`);
}

/** The innermost block that has statements of all kinds: the loop's body. */
function loopBody(stmts: readonly Stmt[]): readonly Stmt[] {
  const loop = stmts.find((s) => s.kind === 'loop');
  return loop === undefined ? stmts : loopBody(loop.body);
}

describe('the order of a tile', () => {
  const kernel = tile(3, 2, 2, 4);
  const pieces = orderSteps(loopBody(kernel.body), analyse(kernel), readingOrder(kernel));

  test('each step but the last stands in a basic block of its own', () => {
    const steps = pieces.filter(({ stmts }) => stmts.some((s) => s.kind === 'set' && s.variable.type === 'vf'));
    expect(steps.map(({ cut }) => cut)).toEqual([true, false]);
  });

  test('accumulators go backwards, each load stands just before its first use', () => {
    const words = pieces[0].stmts.map((s) => {
      if (s.kind === 'let') return `${s.value.op} +${s.value.imm}`;
      return s.kind === 'set' ? `acc${s.variable.id}` : s.kind;
    });
    expect(words).toEqual([
      ...['broadcast +128', 'load +16', 'acc5', 'load +0', 'acc4'],
      ...['broadcast +64', 'acc3', 'acc2', 'broadcast +0', 'acc1', 'acc0'],
    ]);
  });

  test('a step whose operands would not fit in that order is cut in the order of its author', () => {
    const k = new KernelBuilder({ lanes: 4 });
    const p = k.param('p', 'f32');
    k.tasks(1, () => {
      // Results are read in another order than operands come: the reverse of it would keep all six operands.
      const sums = Array.from({ length: 12 }, () => k.zero());
      k.loop(9, () => {
        for (let i = 0; i < 6; i++) {
          const x = k.broadcast(p, i);
          sums[i].fma(x, x);
          sums[i + 6].fma(x, 2);
        }
      });
      for (const [i, v] of sums.entries()) k.store(p, 4 * i, v.value);
    });
    const crossed = k.finish('crossed');
    const cuts = orderSteps(loopBody(crossed.body), analyse(crossed), readingOrder(crossed));
    const loads = cuts.map(({ stmts }) => stmts.filter((s) => s.kind === 'let').length);
    expect(loads).toEqual([3, 3]);
    expect(cuts.map(({ cut }) => cut)).toEqual([true, false]);
  });

  test('a tile too small to spill stays as written', () => {
    const small = tile(1, 2, 1, 4);
    const body = loopBody(small.body);
    expect(orderSteps(body, analyse(small), readingOrder(small)).flatMap(({ stmts }) => stmts)).toEqual(body);
  });
});

test('tiles give what the interpreter gives, with and without fused multiply-add', () => {
  for (const [rows, columns, unroll] of [
    [6, 2, 1],
    [6, 2, 4],
    [4, 3, 2],
    [12, 1, 1],
    [1, 4, 3],
    [2, 2, 2],
  ]) {
    const kernel = tile(rows, columns, unroll, 3);
    const memory = new Uint8Array(8192);
    new Float32Array(memory.buffer).set(Array.from({ length: 1024 }, (_, i) => ((i * 7) % 16) - 8));
    const interpreted = runInterpreter(kernel, memory, [0, 2048, 4096]);
    for (const relaxedSimd of [false, true]) {
      const wasm = runWasm(kernel, memory, [0, 2048, 4096], [0, 1], { relaxedSimd, threads: false });
      expect(wasm, kernel.name).toEqual(interpreted);
    }
  }
});

/** Accumulations in any order, among reads of accumulators, shared values, stores, pointers that move, and branches. */
function accumulation(code: readonly number[]): Kernel {
  const k = new KernelBuilder({ lanes: 4 });
  const x = k.param('x', 'f32');
  const y = k.param('y', 'f32');
  let at = 0;
  const next = (below: number): number => (at < code.length ? code[at++] % below : 0);
  k.tasks(1, () => {
    const acc = Array.from({ length: 6 }, (_, i) => k.var(k.f32(i)));
    const p = k.ptrVar(x.at(32));
    const body = (depth: number): void => {
      const values: Float[] = [k.load(p, 0), k.broadcast(p, 1)];
      const value = (): Float => values[next(values.length)];
      const end = at + 8 + next(40);
      while (at < Math.min(end, code.length)) {
        const v = acc[next(acc.length)];
        const actions = [
          () => v.fma(value(), value()),
          () => v.fma(value(), value()),
          () => v.fma(k.broadcast(p, next(16) - 8), value()),
          () => v.fma(k.broadcast(p, next(16) - 8), k.load(p, next(16) - 8)),
          () => v.addTo(value()),
          () => v.set(v.value.max(value())),
          () => v.set(value().sub(v.value)),
          () => values.push(k.load(p, next(16) - 8)),
          () => values.push(value().add(1)),
          () => values.push(v.value.min(8).max(-8)),
          () => k.store(y, next(8), value()),
          () => v.set(v.value.min(64).max(-64)),
          () => p.advance(next(2)),
          () => depth > 0 && k.loop(2, () => body(depth - 1)),
          () => depth > 0 && k.if(k.load(y, 0, 1).gt(0), () => body(depth - 1)),
        ];
        actions[next(actions.length)]();
      }
      for (const v of acc) v.set(v.value.min(64).max(-64)); // small ints: every sum and product is exact
    };
    while (at < code.length) body(2);
    for (const [i, v] of acc.entries()) k.store(y, 16 + 4 * i, v.value);
  });
  return k.finish('accumulation');
}

test('random accumulations give what the interpreter gives', () => {
  const memory = new Uint8Array(4096);
  new Float32Array(memory.buffer).set(Array.from({ length: 512 }, (_, i) => ((i * 5) % 7) - 3));
  new Float32Array(memory.buffer).fill(0, 512);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1 << 20 }), { minLength: 10, maxLength: 300 }), (code) => {
      const kernel = accumulation(code);
      const interpreted = new Float32Array(runInterpreter(kernel, memory, [1024, 2048]).buffer);
      for (const relaxedSimd of [false, true]) {
        const wasm = runWasm(kernel, memory, [1024, 2048], [0, 1], { relaxedSimd, threads: false });
        expect(new Float32Array(wasm.buffer), print(kernel)).toEqual(interpreted);
      }
    }),
    { numRuns: 300 },
  );
});

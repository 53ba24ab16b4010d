/** The compiling target over many steps: what is compiled, what moves between host and device, and what is left behind. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { devicesHere } from '../../test/devices-here.js';
import { Device } from '../devices/index.js';
import { gradient } from '../grad/reverse.js';
import type { Node } from '../graph/node.js';
import { Storage } from '../graph/storage.js';
import type { Assignment, Target } from '../graph/target.js';
import * as ops from '../ops/index.js';
import { ReferenceTarget } from '../ops/reference/index.js';
import { type Draw, drawOnHost } from '../util/draw.js';
import { numel, type Shape } from '../util/shape.js';
import { CompiledTarget } from './compiled-target.js';

const open: CompiledTarget[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const t of open.splice(0)) await t.dispose();
});

/** A fixed sequence of numbers in −0.5 … 0.5. */
function numbers(n: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24 - 0.5;
  });
}

function stored(shape: Shape, seed = 1): Storage {
  return new Storage(shape, 'float32', numbers(numel(shape), seed), true);
}

function input(shape: Shape, seed = 1): Node {
  return ops.buffer(new Storage(shape, 'float32', numbers(numel(shape), seed)));
}

/** A small network with momentum: two convolutions whose weights want blocks. */
class Training {
  readonly weights = [stored([10, 3, 3, 3], 2), stored([12, 10, 3, 3], 3), stored([12], 4)];
  readonly momenta = this.weights.map((w) => Storage.zeros(w.shape, 'float32', true));

  request(step: number): { loss: Node; assigns: Assignment[] } {
    const [w1, w2, b] = this.weights.map(ops.buffer);
    const h = ops.relu(ops.conv(input([2, 3, 8, 8], step), w1));
    const y = ops.relu(ops.add(ops.conv(h, w2, { padding: 1 }), ops.reshape(b, [12, 1, 1])));
    const loss = ops.mean(ops.mul(y, y));
    const algebra = { add: ops.add, zeros: (n: Node) => ops.constant(0, n.shape) };
    const gradients = gradient([loss], [ops.constant(1)], [w1, w2, b], algebra);
    const assigns = gradients.flatMap((g, i) => {
      const m = ops.add(ops.mul(ops.buffer(this.momenta[i]), 0.9), g);
      const w = ops.sub(ops.buffer(this.weights[i]), ops.mul(m, 0.1));
      return [
        { storage: this.momenta[i], value: m },
        { storage: this.weights[i], value: w },
      ];
    });
    return { loss, assigns };
  }

  async run(on: Target, step: number): Promise<number> {
    const { loss, assigns } = this.request(step);
    await on.realize([loss], assigns);
    return loss.realized!.read()[0];
  }
}

/** Programs handed to devices from now on. */
function countLoads() {
  return vi.spyOn(Device.prototype, 'load');
}

describe.each(devicesHere)('on $name,', ({ create }) => {
  async function target(threads = 1): Promise<CompiledTarget> {
    const made = new CompiledTarget(await create({ threads }));
    open.push(made);
    return made;
  }

  describe('a training loop', () => {
    test('follows the reference, compiling once however long it runs', async () => {
      const loads = countLoads();
      const [wasm, reference] = [await target(), new ReferenceTarget()];
      const [a, b] = [new Training(), new Training()];
      for (let step = 0; step < 12; step++) {
        expect(await a.run(wasm, step)).toBeCloseTo(await b.run(reference, step), 5);
      }
      expect(loads).toHaveBeenCalledTimes(1);
      a.weights.forEach((w, i) => {
        expect(Math.max(...w.read().map((x, j) => Math.abs(x - b.weights[i].read()[j])))).toBeLessThan(1e-5);
      });
    });

    test('leaves host memory and device memory as they are from step to step', async () => {
      const wasm = await target();
      const training = new Training();
      for (let step = 0; step < 3; step++) await training.run(wasm, step);
      const used = wasm.device.usedBytes;
      for (let step = 0; step < 200; step++) await training.run(wasm, step);
      expect(wasm.device.usedBytes).toBe(used);
      expect(wasm.device.peakBytes).toBeLessThan(2 * used + 2 ** 20);
      for (const w of training.weights) expect(w.host).toBeNull();
    });

    test('gives the same bits on one thread and on two', async () => {
      const trained = await Promise.all(
        [1, 2].map(async (threads) => {
          const wasm = await target(threads);
          const training = new Training();
          const losses: number[] = [];
          for (let step = 0; step < 4; step++) losses.push(await training.run(wasm, step));
          return { losses, weights: training.weights.map((w) => [...w.read()]) };
        }),
      );
      expect(trained[1]).toEqual(trained[0]);
    });

    test('may be read in the middle, and goes on from there without compiling again', async () => {
      const [wasm, reference] = [await target(), new ReferenceTarget()];
      const [a, b] = [new Training(), new Training()];
      for (let step = 0; step < 2; step++) await Promise.all([a.run(wasm, step), b.run(reference, step)]);
      const loads = countLoads();
      const read = ops.sum(ops.mul(ops.buffer(a.weights[1]), 2));
      await wasm.realize([read], []);
      const by = b.weights[1].read();
      expect(read.realized!.read()[0]).toBeCloseTo(2 * [...by].reduce((s, x) => s + x, 0), 3);
      expect(a.weights[1].read()[7]).toBeCloseTo(by[7], 5);
      for (let step = 2; step < 4; step++) {
        expect(await a.run(wasm, step)).toBeCloseTo(await b.run(reference, step), 5);
      }
      expect(loads).toHaveBeenCalledTimes(1); // the reading alone
    });

    test('takes values written from the host', async () => {
      const [wasm, reference] = [await target(), new ReferenceTarget()];
      const [a, b] = [new Training(), new Training()];
      for (let step = 0; step < 4; step++) {
        if (step === 2) for (const t of [a, b]) t.weights[0].write(numbers(270, 99));
        expect(await a.run(wasm, step)).toBeCloseTo(await b.run(reference, step), 5);
      }
    });

    test('may change between targets from step to step', async () => {
      const [first, second, reference] = [await target(), await target(2), new ReferenceTarget()];
      const [a, b] = [new Training(), new Training()];
      for (let step = 0; step < 8; step++) {
        const on = [first, reference, second, first, first, second, reference, second][step];
        expect(await a.run(on, step)).toBeCloseTo(await b.run(reference, step), 5);
      }
      expect(first.device.usedBytes).toBeGreaterThan(0);
    });
  });

  describe('storages', () => {
    test('asked for at once are written in turn', async () => {
      const wasm = await target();
      const s = stored([10, 9], 5);
      const before = s.read().slice();
      const double = () => ({ storage: s, value: ops.mul(ops.buffer(s), 2) });
      const first = wasm.realize([], [double()]);
      await first;
      const [assign, w] = [double(), stored([7, 10, 3, 3], 6)];
      const y = ops.conv(input([1, 10, 5, 5]), ops.buffer(w));
      const read = ops.permute(ops.buffer(w), [1, 0, 2, 3]);
      await Promise.all([wasm.realize([], [assign]), wasm.realize([read], []), wasm.realize([y], [])]);
      expect([...s.read()]).toEqual([...before].map((x) => 4 * x));
      expect([...read.realized!.read()].slice(0, 9)).toEqual([...numbers(630, 6).slice(0, 9)]);
    });

    test('assigned to themselves, swapped, or moved while they are overwritten', async () => {
      const wasm = await target();
      const [a, b, c] = [stored([9], 1), stored([9], 2), stored([9], 3)];
      const [x, y, z] = [a, b, c].map((s) => [...s.read()]);
      await wasm.realize([], [{ storage: a, value: ops.buffer(a) }]);
      expect([...a.read()]).toEqual(x);
      await wasm.realize([], [{ storage: a, value: ops.buffer(b) }, { storage: b, value: ops.buffer(a) }]); // biome-ignore format: one thought
      expect([[...a.read()], [...b.read()]]).toEqual([y, x]);
      // c takes the old value of a, which is overwritten where it lies.
      const old = ops.mul(ops.buffer(a), 1);
      await wasm.realize([old], [{ storage: c, value: ops.buffer(a) }, { storage: a, value: ops.add(ops.buffer(a), 1) }]); // biome-ignore format: one thought
      expect([...c.read()]).toEqual(y);
      expect([...old.realized!.read()]).toEqual(y);
      expect([...a.read()]).toEqual(y.map((v) => Math.fround(v + 1)));
      expect(z).not.toEqual(y);
    });

    test('that already lie in one layout take values computed in another', async () => {
      const wasm = await target();
      const w = stored([16, 16, 3, 3], 1);
      const m = stored([16, 16, 3, 3], 2);
      // A first step in which the weights move into blocks; one in which they are read in rows; then one that writes them from rows.
      await wasm.realize([ops.conv(input([1, 16, 6, 6]), ops.buffer(w))], []);
      const total = ops.sum(ops.buffer(m), [1, 2, 3]);
      await wasm.realize([total], []);
      const before = [...m.read()];
      const flipped = ops.flip(ops.buffer(m), [0]);
      await wasm.realize([], [{ storage: w, value: ops.add(flipped, 1) }]);
      const plane = 16 * 9;
      expect([...w.read()].slice(0, plane)).toEqual(before.slice(15 * plane).map((v) => Math.fround(v + 1)));
    });

    test('without elements are nothing to move', async () => {
      const wasm = await target();
      const s = Storage.zeros([0, 3], 'float32', true);
      const total = ops.sum(ops.buffer(s));
      const rows = ops.sum(ops.buffer(s), [0]);
      const same = ops.mul(ops.buffer(s), 2);
      await wasm.realize([total, rows, same], [{ storage: s, value: ops.add(ops.buffer(s), 1) }]);
      expect([...total.realized!.read()]).toEqual([0]);
      expect([...rows.realized!.read()]).toEqual([0, 0, 0]);
      expect(same.realized!.read()).toHaveLength(0);
      expect(s.read()).toHaveLength(0);
    });

    test('give their device memory back when written from the host or released', async () => {
      const wasm = await target();
      const s = stored([1000]);
      await wasm.realize([ops.sum(ops.buffer(s))], []);
      const used = wasm.device.usedBytes;
      s.write(numbers(1000, 2));
      expect(wasm.device.usedBytes).toBeLessThan(used);
      await wasm.realize([ops.sum(ops.buffer(s))], []);
      expect(wasm.device.usedBytes).toBe(used);
    });
  });

  describe('programs', () => {
    test('of one structure are compiled once whatever their numbers; of another shape, once more', async () => {
      const loads = countLoads();
      const wasm = await target();
      for (const [n, seed] of [
        [5, 1],
        [5, 2],
        [6, 1],
        [5, 3],
        [6, 2],
      ]) {
        const y = ops.exp(ops.mul(input([n], seed), 2));
        await wasm.realize([y], []);
        numbers(n, seed).forEach((x, i) => {
          expect(y.realized!.read()[i]).toBeCloseTo(Math.exp(2 * x), 5);
        });
      }
      expect(loads).toHaveBeenCalledTimes(2);
    });

    test('share one arena', async () => {
      const wasm = await target();
      const run = (n: number, f: (x: Node) => Node) => wasm.realize([f(input([n, 64]))], []);
      await run(4096, ops.neg);
      const used = wasm.device.usedBytes;
      await run(2048, ops.exp);
      await run(1024, ops.tanh);
      expect(wasm.device.usedBytes - used).toBeLessThan(2048);
    });

    test('read what an earlier request realised', async () => {
      const wasm = await target();
      const y = ops.mul(input([6], 1), 3);
      await wasm.realize([y], []);
      const z = ops.sum(ops.add(y, 1));
      await wasm.realize([y, z], []);
      expect(z.realized!.read()[0]).toBeCloseTo(
        [...numbers(6, 1)].reduce((s, x) => s + 3 * x + 1, 0),
        5,
      );
    });

    test('are not begun once the target is disposed of', async () => {
      const wasm = await target();
      await wasm.realize([ops.neg(input([4]))], []);
      await wasm.dispose();
      await expect(wasm.realize([ops.abs(input([4]))], [])).rejects.toThrow(/disposed/);
    });
  });

  describe('first values that nobody has looked at', () => {
    const key = Int32Array.of(1, 2, 3, 4);
    const cases: [what: string, shape: Shape, draw: Draw][] = [
      ['normal, in blocks', [64, 32, 3, 3], { kind: 'normal', mean: 0, std: 0.1, key }],
      ['uniform, in blocks with lanes to spare', [60, 32, 3, 3], { kind: 'uniform', low: -1, high: 1, key }],
      ['zeros, in blocks with lanes to spare', [60, 32, 3, 3], { kind: 'constant', value: 0 }],
      ['ones, in blocks with lanes to spare', [60, 32, 3, 3], { kind: 'constant', value: 1 }],
    ];

    test.each(cases)('%s: the device makes them where a step wants them', async (_what, shape, draw) => {
      const t = await target(2);
      const weight = new Storage(shape, 'float32', null, true);
      const wanted = new Float32Array(numel(shape));
      drawOnHost(wanted, draw);
      const fill = vi.fn(() => wanted.slice());
      weight.defer(fill, draw);
      const y = ops.conv(input([1, 32, 6, 6]), ops.buffer(weight));
      await t.realize([y], []);
      expect(fill).toHaveBeenCalledTimes(draw.kind === 'constant' && draw.value === 1 ? 1 : 0); // only zeros may fill spare lanes
      expect(weight.read()).toEqual(wanted);
      const same = ops.conv(input([1, 32, 6, 6]), ops.buffer(new Storage(shape, 'float32', wanted, true)));
      await t.realize([same], []);
      expect(y.realized!.read()).toEqual(same.realized!.read());
    });

    test('stay undrawn, and are drawn later, when the device has no room for them', async () => {
      const t = new CompiledTarget(await create({ threads: 1, maxBytes: 4 * 2 ** 20 }));
      open.push(t);
      const large = new Storage([512, 512, 3, 3], 'float32', null, true);
      const draw: Draw = { kind: 'normal', mean: 0, std: 1, key };
      large.defer(() => new Float32Array(numel(large.shape)), draw);
      const y = ops.conv(input([1, 512, 4, 4]), ops.buffer(large));
      await expect(t.realize([y], [])).rejects.toThrow(/memory/);
      expect(large.pendingDraw).toBe(draw);
    });
  });
});

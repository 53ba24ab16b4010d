/** Realisation: what is computed when, what assignments mean in program order, what a stale value says, and that nothing leaks. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Node } from '../graph/node.js';
import type { Assignment } from '../graph/target.js';
import { topological } from '../graph/traverse.js';
import { ReferenceTarget } from '../ops/reference/index.js';
import {
  assignOnlyIf,
  buffer,
  noGrad,
  Parameter,
  rand,
  realize,
  setDevice,
  type Tensor,
  tensor,
  zeros,
} from './index.js';

/** The reference, counting what it is asked for. */
class Watched extends ReferenceTarget {
  steps: { roots: number; assigns: number; nodes: number }[] = [];
  fails = false;

  override async realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void> {
    const order = topological([...roots, ...assigns.map((a) => a.value)], (n) => n.realized !== null);
    this.steps.push({ roots: roots.length, assigns: assigns.length, nodes: order.length });
    await Promise.resolve();
    if (this.fails) throw new Error('out of memory');
    await super.realize(roots, assigns);
  }
}

let target: Watched;
beforeEach(() => {
  target = new Watched();
  setDevice(target);
});
afterEach(() => setDevice(new ReferenceTarget()));

/** One step of gradient descent on (w − 1)². */
function descend(w: Parameter): Tensor {
  const loss = w.sub(1).square().sum();
  w.grad = null;
  loss.backward();
  w.assign(w.sub(w.grad!.mul(0.25)));
  return loss;
}

describe('realize', () => {
  it('computes several tensors in one step, and nothing twice', async () => {
    const x = rand([4]);
    const [a, b] = [x.mul(2), x.add(1)];
    await realize(a, b);
    expect(target.steps).toMatchObject([{ roots: 2, assigns: 0 }]);
    await realize(a, b);
    await a.data();
    expect(target.steps.length).toBe(1);
    await a.add(b).data();
    expect(target.steps[1].nodes).toBe(3); // the two computed ones and their sum
  });

  it('does not run for host data, and reads each root once', async () => {
    expect(await tensor([1, 2]).toArray()).toEqual([1, 2]);
    expect(await new Parameter([3]).item()).toBe(3);
    expect(target.steps).toEqual([]);
    const t = tensor([1]).add(1);
    await realize(t, t);
    expect(target.steps).toMatchObject([{ roots: 1 }]);
  });

  it('takes losses along with a step: reading them costs nothing', async () => {
    const w = new Parameter([3]);
    const loss = descend(w);
    await realize();
    expect(target.steps).toMatchObject([{ roots: 1, assigns: 1 }]);
    expect(await loss.item()).toBe(4);
    expect(await w.item()).toBe(2);
    expect(target.steps.length).toBe(1);
  });

  it('records the same graph every step', async () => {
    const w = new Parameter(rand([3]));
    for (let i = 0; i < 4; i++) {
      descend(w);
      await realize();
    }
    const [first, ...steps] = target.steps;
    expect(first).toMatchObject({ roots: 0, assigns: 1 }); // the initial value
    expect(new Set(steps.map((s) => JSON.stringify(s))).size).toBe(1);
  });

  it('works when many are asked for at once', async () => {
    const w = new Parameter([3]);
    const losses = [descend(w), descend(w), descend(w)];
    const values = await Promise.all(losses.map((l) => l.item()));
    expect(values).toEqual([4, 1, 0.25]);
    expect(await w.item()).toBe(1.25);
  });
});

describe('assign', () => {
  it('is seen by what is recorded afterwards, not by what was recorded before', async () => {
    const w = new Parameter([1, 2]);
    const before = w.mul(10);
    w.assign(w.add(1));
    const between = w.mul(10);
    w.assign(w.add(1));
    const after = w.mul(10);
    await realize(before, between, after);
    expect(await before.toArray()).toEqual([10, 20]);
    expect(await between.toArray()).toEqual([20, 30]);
    expect(await after.toArray()).toEqual([30, 40]);
    expect(await w.toArray()).toEqual([3, 4]);
    expect(target.steps).toMatchObject([{ roots: 3, assigns: 1 }]);
  });

  it('serves values recorded before its step and asked for after', async () => {
    const w = new Parameter([1]);
    w.assign(w.add(1));
    const y = w.mul(10);
    await realize();
    expect(await y.item()).toBe(20);
    const z = w.mul(100);
    w.assign(w.add(1));
    await realize(z);
    expect(await z.item()).toBe(200);
  });

  it('takes host data at once, in place of what was pending', async () => {
    const w = new Parameter(rand([2]));
    w.assign(w.add(1));
    w.assign(Float32Array.of(5, 6));
    expect(await w.toArray()).toEqual([5, 6]);
    expect(target.steps).toEqual([]);
    expect(() => w.assign(Float32Array.of(5))).toThrow('assign: shape [2] takes 2 values; the array has 1.');
    expect(() => w.assign(zeros([3]))).toThrow('assign: shapes differ\n  tensor  [2]\n  value   [3]');
  });

  it('converts to the type of the storage', async () => {
    const count = buffer(zeros([1], { dtype: 'int32' }));
    count.assign(count.add(1.75));
    expect(await count.toArray()).toEqual([1]);
    expect(count.dtype).toBe('int32');
  });

  it('gives a plain tensor a storage of its own', async () => {
    const t = zeros([2]);
    t.assign(t.add(1));
    expect(await t.toArray()).toEqual([1, 1]);
    expect(t.storage?.persistent).toBe(true);
  });

  it('lets host data wait while a step runs', async () => {
    const w = new Parameter([1]);
    w.assign(w.add(1));
    const step = realize();
    await Promise.resolve();
    await Promise.resolve();
    w.assign(Float32Array.of(7));
    await step;
    expect(await w.item()).toBe(7);
  });

  it('of a failed step is not tried again, nor is its loss', async () => {
    const w = new Parameter([3]);
    const loss = descend(w);
    target.fails = true;
    await expect(realize()).rejects.toThrow('out of memory');
    target.fails = false;
    target.steps = [];
    await rand([1]).data();
    expect(target.steps).toMatchObject([{ roots: 1, assigns: 0 }]);
    expect(await w.item()).toBe(3);
    expect(await loss.item()).toBe(4);
  });

  it('takes effect only if a condition comes out true', async () => {
    const w = new Parameter(rand([1]).mul(0).add(1));
    for (const factor of [2, Number.NaN, 3]) {
      w.assign(w.mul(factor));
      assignOnlyIf(w.isNaN().any().logicalNot());
      await realize();
    }
    expect(await w.item()).toBe(6);
  });

  it('is undone when the step fails', async () => {
    const w = new Parameter([1]);
    w.assign(w.add(1));
    target.fails = true;
    await expect(realize()).rejects.toThrow('out of memory');
    target.fails = false;
    expect(await w.item()).toBe(1);
    w.assign(w.add(1));
    expect(await w.item()).toBe(2);
  });
});

describe('stale values', () => {
  it('say which parameter was overwritten and what to do', async () => {
    const w = new Parameter([1], { name: 'fc1.weight' });
    const y = w.mul(2);
    w.assign(w.add(1));
    await realize();
    await expect(y.data()).rejects.toThrow(
      'fc1.weight was overwritten (once) after this value was recorded from it, so the value can no longer be computed.\n' +
        '  Read the value before opt.step(), or compute it in the same step: opt.step({ also: [t] }).',
    );
    expect(await w.item()).toBe(2); // and nothing else is harmed
  });

  it('name the forgotten zeroGrad', async () => {
    const w = new Parameter([3], { name: 'w' });
    descend(w);
    await realize();
    w.sub(1).square().sum().backward();
    w.assign(w.sub(w.grad!));
    await expect(realize()).rejects.toThrow(
      'w was overwritten (once) after this value was recorded from it, so the value can no longer be computed.\n' +
        '  Read the value before opt.step(), or compute it in the same step: opt.step({ also: [t] }).\n' +
        '  If it came in through a gradient of an earlier step: call opt.zeroGrad() before the next backward().',
    );
    expect(await w.item()).toBe(2);
  });

  it('do not come from values that were computed in time', async () => {
    const w = new Parameter([1]);
    const y = w.mul(2);
    await realize(y);
    w.assign(w.add(1));
    await realize();
    expect(await y.add(w).item()).toBe(4);
  });

  it('refuse gradients into a past that has been overwritten', async () => {
    const w = new Parameter([1]);
    const y = w.mul(2);
    await realize(y);
    w.assign(w.add(1));
    await realize();
    expect(() => y.sum().backward()).toThrow(
      'backward: the history of a value of shape [1] is gone: parameters it was computed from have been overwritten since.\n' +
        '  Call it before opt.step(), or compute the value again.',
    );
  });

  it('appear after dispose', async () => {
    const w = new Parameter([1], { name: 'w' });
    const y = w.mul(2);
    w.dispose();
    await expect(y.data()).rejects.toThrow('w, since disposed of, was overwritten');
    await expect(w.data()).rejects.toThrow('w, since disposed of, was overwritten');
  });
});

describe('memory', () => {
  const pastOf = (t: Tensor) => topological([t.current]).length;

  it('losses that are kept do not keep their steps', async () => {
    const w = new Parameter([3]);
    const kept: Tensor[] = [];
    for (let i = 0; i < 5; i++) {
      kept.push(descend(w));
      await realize();
    }
    expect(kept.map(pastOf)).toEqual([1, 1, 1, 1, 1]);
    expect(await kept[1].item()).toBe(1);
  });

  it('running averages do not grow, read in a step or between steps', async () => {
    const w = new Parameter([3]);
    let average = zeros([]);
    for (let i = 0; i < 6; i++) {
      const loss = descend(w);
      average = average.mul(0.5).add(loss.detach().mul(0.5));
      await realize(average);
    }
    expect(pastOf(average)).toBe(1);
    let total = zeros([]);
    for (let i = 0; i < 6; i++) {
      const loss = descend(w);
      await realize();
      total = total.add(loss);
      await total.item();
    }
    expect(pastOf(total)).toBeLessThan(6);
  });

  it('parameters are reads of their storage after each step', async () => {
    const w = new Parameter(rand([2]));
    for (let i = 0; i < 3; i++) {
      descend(w);
      await realize();
      expect(pastOf(w)).toBe(1);
    }
  });

  it('results of noGrad and counts keep nothing', async () => {
    const w = new Parameter([3, 4]);
    const y = noGrad(() => w.mul(2).add(1));
    const hits = w.gt(3.5).sum();
    await realize(y, hits);
    expect([pastOf(y), pastOf(hits)]).toEqual([1, 1]);
    expect(await y.toArray()).toEqual([7, 9]);
  });
});

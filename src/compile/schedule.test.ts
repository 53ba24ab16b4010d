/** What is overwritten where it lies, and what is copied when everything else has run. */

import { describe, expect, test } from 'vitest';
import { input, type Passes, passes, stored } from '../../test/passes.js';
import type { Node } from '../graph/node.js';
import type { Storage } from '../graph/storage.js';
import * as ops from '../ops/index.js';

const assign = (storage: Storage, value: Node) => ({ storage, value });

/** How each assigned storage, in order, gets its value. */
function ways({ graph, plan }: Passes): string[] {
  return graph.assigns.map(({ slot, value }) => {
    if (plan.inPlace.get(value) === slot) return 'in place';
    return plan.copies.some((c) => c.slot === slot) ? 'copied' : 'not at all';
  });
}

describe('a new value', () => {
  const s = stored([4, 4]);
  const t = stored([4, 4]);
  const old = ops.buffer(s);

  test('is written in place when the old one is read index by index', () => {
    expect(ways(passes([], [assign(s, ops.mul(old, 0.9))]))).toEqual(['in place']);
    expect(ways(passes([], [assign(s, ops.max(ops.mul(old, input([4, 1])), old))]))).toEqual(['in place']);
  });

  test('is copied when its own kernel reads the old one in another order', () => {
    expect(ways(passes([], [assign(s, ops.add(ops.permute(old, [1, 0]), 1))]))).toEqual(['copied']);
    expect(ways(passes([], [assign(s, ops.add(old, ops.flip(old, 1)))]))).toEqual(['copied']);
    expect(ways(passes([], [assign(s, ops.matmul(old, input([4, 4])))]))).toEqual(['copied']);
    expect(ways(passes([], [assign(s, ops.cumsum(old, 0))]))).toEqual(['copied']);
  });

  test('waits until everybody else has read the old one', () => {
    const total = ops.sum(ops.mul(old, old), [0]);
    const made = passes([total], [assign(s, ops.mul(ops.exp(old), 0.9))]);
    expect(ways(made)).toEqual(['in place']);
    expect(made.plan.order.map((g) => g.kind)).toEqual(['reduction', 'pointwise']);
    expect(made.plan.order[1].after.has(made.plan.order[0])).toBe(true);
  });

  test('is copied when somebody who needs it needs the old one too', () => {
    const value = ops.exp(old);
    const both = ops.matmul(value, old);
    expect(ways(passes([both], [assign(s, value)]))).toEqual(['copied']);
  });

  test('is copied when it is a result as well', () => {
    const value = ops.exp(old);
    expect(ways(passes([value], [assign(s, value)]))).toEqual(['copied']);
  });

  test('is copied when the old one moves to another storage or is a result', () => {
    expect(ways(passes([], [assign(t, old), assign(s, ops.exp(old))]))).toEqual(['copied', 'copied']);
    expect(ways(passes([ops.mul(old, 1)], [assign(s, ops.exp(old))]))).toEqual(['copied']);
  });

  test('of two storages is written to one and copied to the other', () => {
    const value = ops.exp(input([4, 4]));
    expect(ways(passes([], [assign(s, value), assign(t, value)]))).toEqual(['in place', 'copied']);
  });

  test('of storages that swap is copied; that take from each other, in place once', () => {
    expect(ways(passes([], [assign(s, ops.buffer(t)), assign(t, old)]))).toEqual(['copied', 'copied']);
    const crossed = passes([], [assign(s, ops.exp(ops.buffer(t))), assign(t, ops.tanh(old))]);
    expect(ways(crossed).sort()).toEqual(['copied', 'in place']);
  });

  test('that is the old one is nothing to do', () => {
    expect(ways(passes([], [assign(s, ops.mul(old, 1))]))).toEqual(['not at all']);
  });
});

test('producers run before their readers, each group once', () => {
  let x: Node = input([3, 3]);
  for (let i = 0; i < 300; i++) x = i % 3 === 0 ? ops.matmul(x, x) : ops.softmax(x, i % 2);
  const { plan, fusion } = passes([x]);
  const at = new Map(plan.order.map((g, i) => [g, i]));
  expect(at.size).toBe(fusion.groups.length);
  for (const g of plan.order) for (const before of g.after) expect(at.get(before)).toBeLessThan(at.get(g)!);
});

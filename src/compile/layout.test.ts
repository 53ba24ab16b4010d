/** Where values come to lie: in the layouts kernels ask for, converted as seldom as can be. */

import { describe, expect, test } from 'vitest';
import { input, type Passes, passes, stored } from '../../test/passes.js';
import { runCompiled } from '../../test/run-compiled.js';
import { gradient } from '../grad/reverse.js';
import { blocked, blockedChannels, type Layout, layoutKey } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import type { Storage } from '../graph/storage.js';
import type { Assignment } from '../graph/target.js';
import * as ops from '../ops/index.js';

const inBlocks = blocked([0, 1, 2, 3], 0, 8);
const weightLayout = layoutKey(inBlocks);
const activations = layoutKey(blockedChannels(4, 8));

/** How each storage read or written lies, by storage. */
function lies({ graph, layouts }: Passes, storages: readonly Storage[]): string[] {
  const inputs = [...graph.inputs].filter((i) => (i.attrs as { persistent: boolean }).persistent);
  expect(inputs).toHaveLength(storages.length);
  return inputs.map((i) => layoutKey(layouts.of(i)));
}

/** Conversions in a step, as titles. */
function conversions(
  roots: readonly Node[],
  assigns: readonly Assignment[] = [],
  resident?: (s: Storage) => Layout | null,
): string[] {
  const { step } = runCompiled(roots, assigns, resident === undefined ? {} : { resident });
  return step.launches.map((l) => l.title).filter((t) => t.startsWith('relayout'));
}

/** A convolution whose weight learns with momentum and a second moment. */
function step(w: Storage, m: Storage, v: Storage): Assignment[] {
  const weight = ops.buffer(w);
  const y = ops.conv(input([2, 8, 6, 6]), weight, { padding: 1 });
  const algebra = { add: ops.add, zeros: (n: Node) => ops.constant(0, n.shape) };
  const [g] = gradient([ops.sum(ops.mul(y, y))], [ops.constant(1)], [weight], algebra);
  const first = ops.add(ops.mul(ops.buffer(m), 0.9), ops.mul(g, 0.1));
  const second = ops.add(ops.mul(ops.buffer(v), 0.99), ops.mul(ops.mul(g, g), 0.01));
  const next = ops.sub(weight, ops.div(first, ops.add(ops.sqrt(second), 1e-8)));
  return [
    { storage: m, value: first },
    { storage: v, value: second },
    { storage: w, value: next },
  ];
}

describe('weights', () => {
  const [w, m, v] = [stored([16, 8, 3, 3]), stored([16, 8, 3, 3]), stored([16, 8, 3, 3])];

  test('and the state of their optimiser lie as the convolution asks', () => {
    expect(lies(passes([], step(w, m, v)), [w, m, v])).toEqual([weightLayout, weightLayout, weightLayout]);
  });

  test('stay there: the next step converts none of them', () => {
    const pictures = [`relayout plain → ${activations}`];
    expect(conversions([], step(w, m, v))).toEqual(pictures);
    expect(conversions([], step(w, m, v), (s) => (s.persistent ? inBlocks : null))).toEqual(pictures);
  });

  test('are walked in blocks by whatever goes over them element by element', () => {
    const average = stored([16, 8, 3, 3]);
    const decayed = ops.add(ops.mul(ops.buffer(average), 0.999), ops.mul(ops.buffer(w), 0.001));
    const made = passes(
      [ops.sum(ops.mul(ops.buffer(w), ops.buffer(w)))],
      [{ storage: average, value: decayed }],
      (s) => (s === w ? inBlocks : null),
    );
    expect(lies(made, [w, average])).toEqual([weightLayout, weightLayout]);
    expect(conversions([ops.sum(ops.mul(ops.buffer(w), 2))], [], () => inBlocks)).toEqual([]);
  });
});

describe('activations', () => {
  const x = input([2, 3, 9, 9]);
  const y = ops.relu(ops.conv(x, input([16, 3, 3, 3])));

  test('stay in blocks from one convolution to the next', () => {
    const z = ops.conv(y, input([8, 16, 3, 3]));
    expect(conversions([z]).filter((t) => !t.includes('plain'))).toEqual([]);
    const { fusion, layouts, graph } = passes([z]);
    expect([...fusion.groups].map((g) => layoutKey(layouts.of(g.stores[0])))).toEqual([activations, activations]);
    expect(graph.roots).toHaveLength(1);
  });

  test('are converted once, however many ask for them in rows', () => {
    const toRows = (roots: Node[]) => conversions(roots).filter((t) => t === `relayout ${activations} → plain`).length;
    expect(toRows([ops.cumsum(y, 1)])).toBe(1);
    expect(toRows([ops.cumsum(y, 1), ops.cumsum(y, 2), ops.sortIndices(y, 3)])).toBe(1);
  });

  test('keep what is left of their blocks when they are reduced', () => {
    const pooled = passes([ops.sum(ops.conv(x, input([12, 3, 3, 3])), [2, 3])]);
    const [conv, sum] = pooled.plan.order;
    expect(layoutKey(pooled.layouts.of(conv.stores[0]))).toBe(activations);
    expect(layoutKey(pooled.layouts.of(sum.stores[0]))).toBe('0,1/1x8');
    expect(pooled.graph.roots).toEqual([sum.stores[0]]);
  });

  describe('side by side', () => {
    const picture = input([2, 8, 9, 9]);
    const storages = [stored([16, 8, 3, 3]), stored([12, 8, 3, 3]), stored([8, 28, 1, 1])];
    const [a, b, w] = storages.map((s) => ops.buffer(s));
    const branch = (weight: Node) => ops.relu(ops.conv(picture, weight));
    const toRows = (titles: string[]) => titles.filter((title) => title.endsWith('→ plain'));

    test('and padded they stay in blocks, where each begins with one of its own', () => {
      const joined = ops.concat([branch(a), branch(b)], 1);
      expect(toRows(conversions([ops.sum(ops.conv(joined, w))]))).toEqual([]);
      const padded = ops.pad(joined, [[0, 0], [8, 0], [1, 2], [0, 1]]); // biome-ignore format: one thought
      expect(toRows(conversions([ops.sum(ops.conv(padded, input([8, 36, 1, 1])))]))).toEqual([]);
      const shifted = ops.concat([branch(b), branch(a)], 1);
      expect(toRows(conversions([ops.sum(ops.conv(shifted, w))]))).not.toEqual([]);
    });

    test('their gradients are read out of that of the whole where they lie', () => {
      const y = ops.conv(ops.concat([branch(a), branch(b)], 1), w);
      const algebra = { add: ops.add, zeros: (n: Node) => ops.constant(0, n.shape) };
      const gradients = gradient([ops.sum(ops.mul(y, y))], [ops.constant(1)], [a, b, w], algebra);
      const learned = storages.map((storage, i) => ({ storage, value: gradients[i] }));
      const titles = runCompiled([], learned).step.launches.map((launch) => launch.title);
      expect(toRows(titles)).toEqual([]);
      expect(titles).not.toContain('slice');
    });

    test('what is cut out between blocks is moved, by itself', () => {
      const half = (from: number) => ops.sum(ops.conv(ops.narrow(branch(a), 1, from, from + 8), input([8, 8, 1, 1])));
      expect(toRows(conversions([half(8)]))).toEqual([]);
      expect(toRows(conversions([half(4)]))).toHaveLength(1);
    });
  });

  test('are summed over channels in rows when the last block has lanes to spare', () => {
    expect(conversions([ops.sum(ops.conv(x, input([12, 3, 3, 3])), [1])])).toContain(`relayout ${activations} → plain`);
    expect(conversions([ops.sum(ops.conv(x, input([16, 3, 3, 3])), [1])])).not.toContain(
      `relayout ${activations} → plain`,
    );
  });
});

test('rows of numbers lie plain whatever reads and writes them', () => {
  const bias = stored([12]);
  const y = ops.add(ops.conv(input([2, 3, 6, 6]), input([12, 3, 3, 3])), ops.reshape(ops.buffer(bias), [12, 1, 1]));
  const made = passes([], [{ storage: bias, value: ops.sub(ops.buffer(bias), ops.sum(y, [0, 2, 3])) }]);
  expect(lies(made, [bias])).toEqual(['plain']);
});

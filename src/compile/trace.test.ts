/** Which requests share a compiled step. */

import { expect, test } from 'vitest';
import { blockedChannels, type Layout, plain } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import { Storage } from '../graph/storage.js';
import type { Assignment } from '../graph/target.js';
import * as ops from '../ops/index.js';
import type { DType } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';
import { traceRequest } from './trace.js';

const input = (shape: Shape, dtype: DType = 'float32', persistent = false): Node =>
  ops.buffer(Storage.zeros(shape, dtype, persistent));

const key = (roots: readonly Node[], assigns: readonly Assignment[] = [], resident: () => Layout | null = () => null) =>
  traceRequest(roots, assigns, resident).key;

test('equal structure, equal key: whatever the numbers, the storages and the modules', () => {
  const build = (fill: number) => {
    const x = ops.buffer(new Storage([3], 'float32', new Float32Array(3).fill(fill)));
    return [ops.add(ops.mul(x, 2), x), ops.sum(x)];
  };
  expect(key(build(1))).toBe(key(build(2)));
});

test('a value already computed is read like any other', () => {
  const y = ops.exp(input([4]));
  y.realized = Storage.zeros([4], 'float32');
  expect(key([ops.neg(y)])).toBe(key([ops.neg(input([4]))]));
});

const x = input([4, 6]);
const y = input([4, 6]);
const s = Storage.zeros([4, 6], 'float32', true);
const t = Storage.zeros([4, 6], 'float32', true);

const different: [what: string, a: () => string, b: () => string][] = [
  ['operation', () => key([ops.sin(x)]), () => key([ops.cos(x)])],
  ['attribute', () => key([ops.sum(x, [0])]), () => key([ops.sum(x, [1])])],
  ['kept axes', () => key([ops.sum(x, [0])]), () => key([ops.sum(x, [0], true)])],
  ['shape', () => key([ops.neg(x)]), () => key([ops.neg(input([6, 4]))])],
  ['type', () => key([ops.neg(x)]), () => key([ops.neg(input([4, 6], 'int32'))])],
  ['order of operands', () => key([ops.sub(x, ops.neg(x))]), () => key([ops.sub(ops.neg(x), x)])],
  ['one storage read twice, or two', () => key([ops.add(x, x)]), () => key([ops.add(x, y)])],
  ['which storage is read', () => key([ops.add(x, y), x]), () => key([ops.add(x, y), y])],
  ['roots', () => key([ops.neg(x), ops.abs(x)]), () => key([ops.abs(x), ops.neg(x)])],
  ['one root more', () => key([ops.neg(ops.abs(x))]), () => key([ops.neg(ops.abs(x)), ops.abs(x)])],
  ['what persists', () => key([ops.neg(x)]), () => key([ops.neg(input([4, 6], 'float32', true))])],
  [
    'the storage assigned',
    () => key([], [{ storage: s, value: ops.add(ops.buffer(s), ops.buffer(t)) }]),
    () => key([], [{ storage: t, value: ops.add(ops.buffer(s), ops.buffer(t)) }]),
  ],
  ['a root, or assigned', () => key([ops.neg(x)]), () => key([], [{ storage: s, value: ops.neg(x) }])],
  [
    'the layout of a resident storage',
    () => key([ops.neg(ops.buffer(s))], [], () => plain),
    () => key([ops.neg(ops.buffer(s))], [], () => blockedChannels(2, 8)),
  ],
  ['0 and −0', () => key([ops.constant(0, [3])]), () => key([ops.constant(-0, [3])])],
  ['∞ and NaN', () => key([ops.constant(Infinity, [3])]), () => key([ops.constant(Number.NaN, [3])])],
  ['∞ and −∞ deep in attributes', () => key([ops.clamp(x, { min: 0 })]), () => key([ops.clamp(x, { max: 0 })])],
  ['true and 1', () => key([ops.constant(true, [3])]), () => key([ops.constant(1, [3], 'uint8')])],
];

test.each(different)('the key tells apart: %s', (_, a, b) => {
  expect(a()).toBe(a());
  expect(a()).not.toBe(b());
});

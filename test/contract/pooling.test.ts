/**
 * Pooling layers on pictures of odd sizes, in one to three dimensions, with channels that fill no block: compiled for every target of this
 * machine, behind and before elementwise work, forwards and backwards, they agree with the reference.
 */

import { describe, expect, it } from 'vitest';
import { gradient } from '../../src/grad/reverse.js';
import type { Node } from '../../src/graph/node.js';
import { Storage } from '../../src/graph/storage.js';
import * as ops from '../../src/ops/index.js';
import { ReferenceTarget } from '../../src/ops/reference/index.js';
import { numel, type Shape } from '../../src/util/shape.js';
import { runCompiled, targetsHere } from '../run-compiled.js';

type Layer = (x: Node) => Node;

const max =
  (kernelSize: number, more: object = {}): Layer =>
  (x) =>
    ops.maxPool(x, { kernelSize, ...more });
const avg =
  (kernelSize: number, more: object = {}): Layer =>
  (x) =>
    ops.avgPool(x, { kernelSize, ...more });

const layers: [title: string, layer: Layer][] = [
  ['max 2', max(2)],
  ['max 2, ceilMode', max(2, { ceilMode: true })],
  ['max 3, stride 2, padding 1', max(3, { stride: 2, padding: 1 })],
  ['max 3, stride 2, ceilMode', max(3, { stride: 2, ceilMode: true })],
  ['max 3, stride 1, padding 1', max(3, { stride: 1, padding: 1 })],
  ['max 2, stride 1', max(2, { stride: 1 })],
  ['max 3, stride 3, padding 1', max(3, { padding: 1 })],
  ['max 2, stride 3', max(2, { stride: 3 })],
  ['max 3, dilation 2', max(3, { stride: 1, dilation: 2, padding: 2 })],
  ['average 2', avg(2)],
  ['average 3, stride 2, padding 1', avg(3, { stride: 2, padding: 1 })],
  [
    'average 3, padding not counted, ceilMode',
    avg(3, { stride: 2, padding: 1, countIncludePad: false, ceilMode: true }),
  ],
  ['average over everything', ops.globalAvgPool],
  ['maximum over everything', ops.globalMaxPool],
  ['adaptive average to 3', (x) => ops.adaptiveAvgPool(x, 3)],
  ['adaptive maximum to 2', (x) => ops.adaptiveMaxPool(x, 2)],
];

const shapes: Shape[] = [
  [2, 24, 13],
  [1, 1, 37],
  [2, 3, 9, 35],
  [1, 17, 7, 15],
  [3, 6, 15, 11],
  [2, 40, 5, 5],
  [1, 5, 5, 7, 9],
];

/** No two neighbours alike, so that a maximum is one element; its place is then the reference's. */
function scattered(shape: Shape, seed: number): Node {
  const values = Float32Array.from({ length: numel(shape) }, (_, i) => {
    const bits = Math.imul(i * 2654435761 + seed * 40503, 0x27d4eb2d);
    return ((bits ^ (bits >>> 15)) >>> 8) / 2 ** 23 - 1;
  });
  return ops.buffer(new Storage(shape, 'float32', values));
}

const algebra = { add: ops.add, zeros: (like: Node) => ops.constant(0, like.shape, like.dtype) };

describe.each(targetsHere)('pooling of odd sizes, $name', (target) => {
  it.each(layers)('%s', (_, layer) => {
    const roots = shapes.flatMap((shape, i) => {
      const x = scattered(shape, i);
      const y = ops.relu(ops.add(layer(ops.mul(x, 2)), 0.25));
      const [dx] = gradient([y], [scattered(y.shape, i + 10)], [x], algebra);
      return [y, dx];
    });
    const wanted = new ReferenceTarget().evaluateAll(roots);
    const { results } = runCompiled(roots, [], { target });
    results.forEach((got, i) => {
      const want = Array.from(wanted[i].data);
      // An element is the sum of 27 gradients at most, each rounded once when it is added: 27 · 2⁻²⁴ of what the largest sum comes to.
      const largest = want.reduce((m: number, v: number) => Math.max(m, Math.abs(v)), 1);
      const off = got.findIndex((v, e) => !(Math.abs(v - want[e]) <= 27 * 2 ** -24 * largest));
      expect(
        off < 0 ? 'all alike' : `[${shapes[i >> 1]}] value ${i % 2}: element ${off} is ${got[off]}, not ${want[off]}`,
      ).toBe('all alike');
    });
  });
});

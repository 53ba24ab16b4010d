/** The structured ops against PyTorch: outputs and input gradients of the cases in data/ops.json (see ops.py). */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { gradient } from '../../src/grad/reverse.js';
import type { Node } from '../../src/graph/node.js';
import { Storage } from '../../src/graph/storage.js';
import { conv, convTranspose } from '../../src/ops/conv.js';
import { cumsum, gather, indexSelect, scatterAdd, sort, topk } from '../../src/ops/indexing.js';
import { matmul } from '../../src/ops/matmul.js';
import {
  adaptiveAvgPool,
  adaptiveMaxPool,
  adaptiveMaxPoolIndices,
  avgPool,
  maxPool,
  maxPoolIndices,
} from '../../src/ops/pool.js';
import { ReferenceTarget } from '../../src/ops/reference/index.js';
import { buffer } from '../../src/ops/source.js';
import { numel, type Shape } from '../../src/util/shape.js';
import { algebra } from '../gradcheck.js';

interface Case {
  op: keyof typeof ops;
  inputs: { shape: number[]; range?: number }[];
  // biome-ignore lint/suspicious/noExplicitAny: each op's own options, straight from the file
  options: any;
  outputs: { shape: number[]; data: number[] }[];
  grads: (number[] | null)[];
}

const ops = {
  conv: ([x, w], o) => [conv(x, w, o)],
  convTranspose: ([x, w], o) => [convTranspose(x, w, o)],
  maxPool: ([x], o) => [maxPool(x, o), maxPoolIndices(x, o)],
  avgPool: ([x], o) => [avgPool(x, o)],
  adaptiveAvgPool: ([x], o) => [adaptiveAvgPool(x, o.outputSize)],
  adaptiveMaxPool: ([x], o) => [adaptiveMaxPool(x, o.outputSize), adaptiveMaxPoolIndices(x, o.outputSize)],
  matmul: ([a, b]) => [matmul(a, b)],
  gather: ([x, index], o) => [gather(x, o.axis, index)],
  scatterAdd: ([base, index, src], o) => [scatterAdd(base, o.axis, index, src)],
  indexSelect: ([x, index], o) => [indexSelect(x, o.axis, index)],
  topk: ([x], o) => topk(x, o.k, o.axis, o.largest),
  sort: ([x], o) => sort(x, o.axis, o.descending),
  cumsum: ([x], o) => [cumsum(x, o.axis)],
  // biome-ignore lint/suspicious/noExplicitAny: see Case.options
} satisfies Record<string, (inputs: Node[], options: any) => Node[]>;

const reference = new ReferenceTarget();
const cases: Case[] = JSON.parse(readFileSync(new URL('data/ops.json', import.meta.url), 'utf8'));

describe.each(Object.keys(ops) as (keyof typeof ops)[])('%s agrees with PyTorch', (op) => {
  const own = cases.filter((c) => c.op === op);
  test.each(own.map((c) => [title(c), c] as const))('%s', (_, c) => {
    const inputs = c.inputs.map((input, i) => leaf(input.shape, i + 1, input.range));
    const outputs: Node[] = ops[op](inputs, c.options);
    expect(outputs.length).toBe(c.outputs.length);
    outputs.forEach((y, i) => {
      expect(y.shape).toEqual(c.outputs[i].shape);
      expectClose(reference.evaluate(y).data, c.outputs[i].data);
    });

    const floats = outputs.filter((y) => y.dtype === 'float32');
    const wrt = inputs.filter((_, i) => c.grads[i] !== null);
    const grads = gradient(
      floats,
      floats.map((y) => leaf(y.shape, 99)),
      wrt,
      algebra,
    );
    const expected = c.grads.filter((g) => g !== null);
    grads.forEach((g, i) => {
      expect(g.shape).toEqual(wrt[i].shape);
      expectClose(reference.evaluate(g).data, expected[i]);
    });
  });
});

test('every op has cases', () => {
  expect(new Set(cases.map((c) => c.op))).toEqual(new Set(Object.keys(ops)));
});

/** The sequence documented in ops.py. */
function leaf(shape: Shape, seed: number, range?: number): Node {
  const values = Array.from({ length: numel(shape) }, (_, i) => (7919 * seed + 104729 * i) % 2003);
  if (range !== undefined)
    return buffer(
      new Storage(
        shape,
        'int32',
        Int32Array.from(values, (v) => v % range),
      ),
    );
  return buffer(
    new Storage(
      shape,
      'float32',
      Float32Array.from(values, (v) => (v - 1001) / 1024),
    ),
  );
}

function title(c: Case): string {
  return `${c.inputs.map((i) => `[${i.shape}]`).join(' ')} ${JSON.stringify(c.options)}`;
}

/** Both sides compute in float64 from the same float32 numbers; the file keeps 12 digits. */
function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    if (!(error <= 1e-11 * Math.max(1, Math.abs(expected[i])))) {
      expect.fail(`element ${i}: ${actual[i]} instead of ${expected[i]}`);
    }
  }
}

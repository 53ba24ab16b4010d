/** Every layer against PyTorch: output, input gradients, parameter gradients, running statistics; data and script under test/golden. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { device, grad, Parameter, realize, setDevice, type Tensor, tensor } from '../tensor/index.js';
import type { DType } from '../util/dtype.js';
import * as nn from './index.js';

interface Packed {
  shape: number[];
  dtype?: DType;
  data: number[];
}

interface Golden {
  layer: string;
  args: unknown[];
  options: Record<string, unknown>;
  train: boolean;
  state: Record<string, Packed>;
  inputs: Packed[];
  outputs: Packed[];
  cotangents: (Packed | null)[];
  grads: Record<string, Packed>;
  after: Record<string, Packed>;
  call?: Record<string, Packed | boolean>;
}

const golden: Golden[] = JSON.parse(
  readFileSync(new URL('../../test/golden/data/nn-layers.json', import.meta.url), 'utf8'),
);

const unpack = ({ shape, dtype = 'float32', data }: Packed): Tensor => tensor(data, { shape, dtype });

/**
 * The reference computes in float64: only inputs and results are rounded, to 2⁻²⁴ each. Compiled kernels round every step; the longest chains
 * here (attention, the gradient of GELU's tanh form) have some dozens, and terms that cancel.
 */
const reference = new ReferenceTarget();
const compiled = await device();
const targets = [
  { name: 'the reference', target: reference, tolerance: 8 * 2 ** -24 },
  { name: compiled.name, target: compiled, tolerance: 160 * 2 ** -24 },
];

async function expectClose(actual: Tensor, expected: Packed, tolerance: number, what: string): Promise<void> {
  expect(actual.shape, what).toEqual(expected.shape);
  const data = await actual.data();
  const largest = expected.data.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
  for (let i = 0; i < data.length; i++) {
    const error = Math.abs(data[i] - expected.data[i]);
    expect(error, `${what}, element ${i}: ${data[i]} for ${expected.data[i]}`).toBeLessThanOrEqual(tolerance * largest);
  }
}

const hasOptions = (g: Golden) => Object.keys(g.options).length > 0;
const title = (g: Golden) =>
  `${g.layer}(${g.args.map((a) => JSON.stringify(a)).join(', ')}${hasOptions(g) ? ` ${JSON.stringify(g.options)}` : ''}) ${g.train ? 'in training' : ''}`;

const classes = nn as unknown as Record<string, new (...args: unknown[]) => nn.Module>;

describe.each(golden.map((g) => [title(g), g] as const))('%s', (_, g) => {
  it.each(targets)('equals PyTorch on $name', async ({ target, tolerance }) => {
    setDevice(target);
    const layer = new classes[g.layer](...g.args, ...(hasOptions(g) ? [g.options] : []));
    layer.train(g.train);
    expect(Object.keys(layer.stateDict())).toEqual(Object.keys(g.state));
    layer.loadStateDict(g.state);
    const inputs = g.inputs.map(unpack);
    const call = Object.fromEntries(
      Object.entries(g.call ?? {}).map(([k, v]) => [k, typeof v === 'object' ? unpack(v) : v]),
    );
    const result = layer.forward(...inputs, ...(g.call ? [call] : []));
    const outputs: Tensor[] = (
      Array.isArray(result) ? result : 'values' in result ? [result.values, result.indices] : [result]
    ).filter((t: Tensor | null) => t !== null);
    const seeded = outputs.map((o, i) => [o, g.cotangents[i]] as const).filter(([, c]) => c !== null);
    const parameters = Object.fromEntries(layer.namedParameters());
    const names = Object.keys(g.grads);
    const leaves = names.map((name) => (name.startsWith('input') ? inputs[Number(name.slice(5))] : parameters[name]));
    const grads = grad(
      seeded.map(([o]) => o),
      leaves,
      { gradOutputs: seeded.map(([, c]) => unpack(c!)) },
    );
    await realize(...outputs, ...grads);
    expect(outputs.length).toBe(g.outputs.length);
    for (const [i, o] of outputs.entries()) await expectClose(o, g.outputs[i], tolerance, `output ${i}`);
    for (const [i, d] of grads.entries()) await expectClose(d, g.grads[names[i]], tolerance, `gradient of ${names[i]}`);
    const state = layer.stateDict();
    for (const [name, value] of Object.entries(g.after)) await expectClose(state[name], value, tolerance, name);
  });
});

describe('the golden file', () => {
  it('trains every parameter a layer has', () => {
    for (const g of golden) {
      const layer = new classes[g.layer](...g.args, ...(hasOptions(g) ? [g.options] : []));
      for (const [name, p] of layer.namedParameters()) {
        expect(p).toBeInstanceOf(Parameter);
        expect(Object.keys(g.grads), title(g)).toContain(name);
      }
    }
  });
});

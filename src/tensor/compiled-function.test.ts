/** compile(): the same numbers as the function itself, with what depends on weights alone computed once. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../compile/compiled-target.js';
import { leafStorage } from '../graph/stale.js';
import { topological } from '../graph/traverse.js';
import * as nn from '../nn/index.js';
import { ReferenceTarget } from '../ops/reference/index.js';
import { freeze } from './freeze.js';
import { compile, manualSeed, Parameter, randn, realize, setDevice, type Tensor, tensor } from './index.js';

let compiled: CompiledTarget;
beforeAll(async () => {
  compiled = await CompiledTarget.create({ threads: 1 });
});
afterAll(async () => {
  setDevice(new ReferenceTarget());
  await compiled.dispose();
});

/** A batch normalisation that has seen something. */
function seasoned(bn: nn.BatchNorm2d): nn.BatchNorm2d {
  const { running_mean, running_var, weight, bias } = bn;
  for (const [t, low] of [
    [running_mean!, -1],
    [running_var!, 0.5],
    [weight!, 0.2],
    [bias!, -0.5],
  ] as const) {
    t.assign(Float32Array.from({ length: t.shape[0] }, (_, i) => low + ((i * 7) % 5) / 4));
  }
  return bn;
}

/** How often each operation stands in the graph of `fn` once frozen, and how many constants were taken out. */
function frozenOps(fn: (x: Tensor) => Tensor, x: Tensor): { ops: Record<string, number>; constants: number[][] } {
  const inputs = new Set([leafStorage(x.current)!]);
  const { roots, constants } = freeze([fn(x).current], leafStorage, inputs);
  const ops: Record<string, number> = {};
  for (const node of topological(roots, (n) => leafStorage(n) !== null)) {
    if (node.op.facts.view !== undefined || node.inputs.length === 0) continue;
    ops[node.op.name] = (ops[node.op.name] ?? 0) + 1;
  }
  return { ops, constants: constants.map(({ storage }) => [...storage.shape]) };
}

async function expectSame(fn: (x: Tensor) => Tensor, x: Tensor, tolerance = 4e-6): Promise<void> {
  const expected = await fn(x).data();
  const y = await compile(fn)(x);
  expect(y.shape).toEqual(fn(x).shape);
  const got = await y.data();
  let worst = 0;
  const scale = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs(got[i] - expected[i]) / scale);
  expect(worst).toBeLessThan(tolerance);
}

describe('freezing', () => {
  beforeAll(() => setDevice(compiled));
  const build = () => {
    manualSeed(3);
    return {
      conv: new nn.Conv2d(3, 10, 3, { padding: 1, bias: false }),
      biased: new nn.Conv2d(3, 10, 3, { groups: 1 }),
      depthwise: new nn.Conv2d(10, 10, 3, { groups: 10, padding: 1, bias: false }),
      bn: seasoned(new nn.BatchNorm2d(10)).eval(),
      bn2: seasoned(new nn.BatchNorm2d(10)).eval(),
      x: tensor(
        Float32Array.from({ length: 2 * 3 * 7 * 6 }, (_, i) => Math.sin(i)),
        { shape: [2, 3, 7, 6] },
      ),
    };
  };

  it('makes a convolution and its batch normalisation one convolution and one bias', async () => {
    const { conv, bn, x } = build();
    const fn = (t: Tensor) => bn.forward(conv.forward(t)).relu();
    const { ops, constants } = frozenOps(fn, x);
    expect(ops).toEqual({ conv: 1, add: 1, relu: 1 });
    expect(constants).toEqual([
      [10, 3, 3, 3],
      [1, 10, 1, 1],
    ]);
    await expectSame(fn, x);
  });

  it('takes the bias of the convolution into that of the normalisation', async () => {
    const { biased, bn, x } = build();
    const fn = (t: Tensor) => bn.forward(biased.forward(t));
    expect(frozenOps(fn, x).ops).toEqual({ conv: 1, add: 1 });
    await expectSame(fn, x);
  });

  it('goes through grouped convolutions and two normalisations in a row', async () => {
    const { conv, depthwise, bn, bn2, x } = build();
    const fn = (t: Tensor) => bn2.forward(bn.forward(depthwise.forward(conv.forward(t).relu())));
    expect(frozenOps(fn, x).ops).toEqual({ conv: 2, relu: 1, add: 1 });
    await expectSame(fn, x);
  });

  it('leaves a convolution alone whose result is wanted elsewhere too', async () => {
    const { conv, bn, x } = build();
    const fn = (t: Tensor) => {
      const y = conv.forward(t);
      return bn.forward(y).add(y);
    };
    expect(frozenOps(fn, x).ops).toEqual({ conv: 1, mul: 1, add: 2 });
    await expectSame(fn, x);
  });

  it('takes the way with a quarter of the multiplications where weights stay, within 1e-4', async () => {
    manualSeed(4);
    const conv = new nn.Conv2d(32, 32, 3, { padding: 1, bias: false });
    const bn = seasoned(new nn.BatchNorm2d(32)).eval();
    const x = tensor(
      Float32Array.from({ length: 32 * 27 * 30 }, (_, i) => Math.sin(i * i)),
      { shape: [1, 32, 27, 30] },
    );
    const fn = (t: Tensor) => bn.forward(conv.forward(t)).add(t).relu();
    const { ops, constants } = frozenOps(fn, x);
    expect(ops).toEqual({ winogradConv: 1, add: 2, relu: 1 });
    expect(constants).toContainEqual([32, 36, 32]);
    await expectSame(fn, x, 1e-5); // 1e-4 is promised
  });

  it('computes what depends on weights alone once, at its own size', async () => {
    const w = new Parameter(tensor([1, 2, 3]));
    const x = tensor(
      Float32Array.from({ length: 12 }, (_, i) => i),
      { shape: [4, 3] },
    );
    const fn = (t: Tensor) => t.add(w.exp().log().mul(2)).sub(w);
    const { ops, constants } = frozenOps(fn, x);
    expect(ops).toEqual({ add: 1 });
    expect(constants).toEqual([[1, 3]]);
    await expectSame(fn, x);
  });
});

describe('a compiled function', () => {
  beforeAll(() => setDevice(compiled));

  it('takes several tensors and returns several, of any shape it has not met before', async () => {
    const run = compile((a: Tensor, b: Tensor) => [a.add(b), a.mul(2)] as const);
    for (const n of [3, 5, 3]) {
      const [sum, twice] = await run(tensor(new Float32Array(n).fill(1)), tensor(new Float32Array(n).fill(4)));
      expect(await sum.data()).toEqual(new Float32Array(n).fill(5));
      expect(await twice.data()).toEqual(new Float32Array(n).fill(2));
    }
  });

  it('gives each call its own result, also when calls overlap', async () => {
    const run = compile((a: Tensor) => a.mul(10));
    const results = await Promise.all([1, 2, 3].map((v) => run(tensor([v]))));
    expect(await Promise.all(results.map((r) => r.item()))).toEqual([10, 20, 30]);
  });

  it('returns arguments and weights that pass through unchanged', async () => {
    const w = new Parameter(tensor([7, 8]));
    const [a, b] = await compile((x: Tensor) => [x, w])(tensor([1, 2]));
    expect(await a.data()).toEqual(Float32Array.of(1, 2));
    expect(await b.data()).toEqual(Float32Array.of(7, 8));
  });

  it('follows weights that are assigned to, from the host or by a step', async () => {
    const w = new Parameter(tensor([1, 2]));
    const run = compile((x: Tensor) => x.mul(w.mul(w)));
    const x = tensor([1, 1]);
    expect(await (await run(x)).data()).toEqual(Float32Array.of(1, 4));
    w.assign(Float32Array.of(3, 4));
    expect(await (await run(x)).data()).toEqual(Float32Array.of(9, 16));
    w.assign(w.add(1));
    expect(await (await run(x)).data()).toEqual(Float32Array.of(16, 25));
  });

  it('refuses a function that changes tensors, and leaves them as they were', async () => {
    manualSeed(1);
    const bn = new nn.BatchNorm2d(2);
    const before = await bn.running_mean!.data();
    const run = compile((x: Tensor) => bn.forward(x));
    await expect(run(randn([2, 2, 3, 3]))).rejects.toThrow(/^compile: the function changes a tensor.*model\.eval\(\)/s);
    await realize();
    expect(await bn.running_mean!.data()).toEqual(before);
  });

  it('refuses what is no tensor', async () => {
    await expect(compile(() => 3 as unknown as Tensor)()).rejects.toThrow(
      'compile: the function must return a tensor or a list of tensors.',
    );
  });

  it('works on a device that prepares nothing', async () => {
    setDevice(new ReferenceTarget());
    const w = new Parameter(tensor([2]));
    const run = compile((x: Tensor) => x.mul(w));
    expect(await (await run(tensor([4]))).item()).toBe(8);
    setDevice(compiled);
    expect(await (await run(tensor([5]))).item()).toBe(10);
  });
});

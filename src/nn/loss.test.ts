/** Every loss with its options against PyTorch; data and script under test/golden. */

import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { device, grad, realize, setDevice, type Tensor, tensor, zeros } from '../tensor/index.js';
import type { DType } from '../util/dtype.js';
import * as nn from './index.js';
import * as losses from './loss.js';

interface Packed {
  shape: number[];
  dtype?: DType;
  data: number[];
}

interface Golden {
  loss: string;
  options: Record<string, unknown>;
  tensors: Record<string, Packed>;
  input: Packed;
  target: Packed;
  output: Packed;
  cotangent: Packed;
  grad: Packed;
  targetGrad?: Packed;
}

const golden: Golden[] = JSON.parse(
  readFileSync(new URL('../../test/golden/data/nn-losses.json', import.meta.url), 'utf8'),
);
const functions = losses as unknown as Record<string, (input: Tensor, target: Tensor, options: object) => Tensor>;
const unpack = ({ shape, dtype = 'float32', data }: Packed): Tensor => tensor(data, { shape, dtype });

/** The reference rounds inputs and results only; compiled kernels round every step. */
const reference = new ReferenceTarget();
const compiled = await device();
const targets = [
  { name: 'the reference', target: reference, tolerance: 8 * 2 ** -24 },
  { name: compiled.name, target: compiled, tolerance: 48 * 2 ** -24 },
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

const title = (g: Golden) =>
  `${g.loss} of [${g.input.shape}] and ${g.target.dtype ?? 'float32'} [${g.target.shape}] ${JSON.stringify(g.options)} ${Object.keys(g.tensors).join(' ')}`;

describe.each(golden.map((g) => [title(g), g] as const))('%s', (_, g) => {
  it.each(targets)('equals PyTorch on $name', async ({ target: on, tolerance }) => {
    setDevice(on);
    const input = unpack(g.input);
    const target = unpack(g.target);
    const tensors = Object.fromEntries(Object.entries(g.tensors).map(([name, t]) => [name, unpack(t)]));
    const output = functions[g.loss](input, target, { ...g.options, ...tensors });
    const leaves = g.targetGrad ? [input, target] : [input];
    const grads = grad(output, leaves, { gradOutputs: unpack(g.cotangent) });
    await realize(output, ...grads);
    await expectClose(output, g.output, tolerance, 'loss');
    await expectClose(grads[0], g.grad, tolerance, 'gradient');
    if (g.targetGrad) await expectClose(grads[1], g.targetGrad, tolerance, 'gradient of the target');
  });
});

/** Shares of classes and smoothing for log-probabilities, and distillation: test/golden/training.py. */
const training = JSON.parse(readFileSync(new URL('../../test/golden/data/training.json', import.meta.url), 'utf8'));

describe.each(targets)('training losses on $name', ({ target: on, tolerance }) => {
  const near = async (actual: Tensor, expected: number[], what: string) =>
    expectClose(actual, { shape: [...actual.shape], data: expected }, tolerance, what);

  it('nll takes shares of classes and smoothing, by class weights too', async () => {
    setDevice(on);
    for (const { soft, options, weight, input, target, output, grad: slope } of training.nll) {
      const x = tensor(input, { shape: [5, 4] });
      const wanted = soft ? tensor(target, { shape: [5, 4] }) : tensor(target, { dtype: 'int32' });
      const loss = losses.nll(x, wanted, { ...options, weight: tensor(weight) });
      const d = grad(loss.sum(), x);
      await realize(loss, d);
      await near(loss, output, 'loss');
      await near(d, slope, 'gradient');
    }
  });

  it('distillation is T² · KL of the softened answers, of scores or of their logarithms', async () => {
    setDevice(on);
    for (const { temperature, student, teacher, output, grad: slope } of training.distil) {
      const x = tensor(student, { shape: [6, 5] });
      const t = tensor(teacher, { shape: [6, 5] });
      const loss = losses.distillationLoss(x, t, { temperature });
      const d = grad(loss, x);
      const same = losses.distillationLoss(x.logSoftmax(1), t.logSoftmax(1), { temperature });
      await realize(loss, d, same);
      await near(loss, [output], 'loss');
      await near(d, slope, 'gradient');
      await near(same, [output], 'of logarithms');
    }
  });
});

describe('losses', () => {
  it('have a module each that computes the same', async () => {
    const input = tensor([[0.2, -1, 0.5]]);
    const soft = tensor([[0.1, 0.2, 0.7]]);
    const index = tensor([2], { dtype: 'int32' });
    const pairs: [nn.Module, Tensor, Tensor][] = [
      [new nn.NLLLoss(), index, losses.nll(input, index)],
      [
        new nn.CrossEntropyLoss({ labelSmoothing: 0.1 }),
        index,
        losses.crossEntropy(input, index, { labelSmoothing: 0.1 }),
      ],
      [new nn.MSELoss({ reduction: 'sum' }), soft, losses.mse(input, soft, { reduction: 'sum' })],
      [new nn.L1Loss(), soft, losses.l1(input, soft)],
      [new nn.HuberLoss({ delta: 0.3 }), soft, losses.huber(input, soft, { delta: 0.3 })],
      [new nn.SmoothL1Loss({ beta: 0.3 }), soft, losses.smoothL1(input, soft, { beta: 0.3 })],
      [new nn.BCEWithLogitsLoss(), soft, losses.bceWithLogits(input, soft)],
      [new nn.KLDivLoss({ reduction: 'batchmean' }), soft, losses.klDiv(input, soft, { reduction: 'batchmean' })],
      [new nn.FocalLoss({ gamma: 1 }), soft, losses.focal(input, soft, { gamma: 1 })],
    ];
    for (const [module, target, expected] of pairs)
      expect(await module.forward(input, target).item()).toBe(await expected.item());
    const p = tensor([[0.2, 0.9, 0.5]]);
    expect(await new nn.BCELoss().forward(p, soft).item()).toBe(await losses.bce(p, soft).item());
  });

  it('warn once of a softmax before crossEntropy', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const target = tensor([0], { dtype: 'int32' });
    losses.crossEntropy(zeros([1, 3]), target);
    losses.crossEntropy(zeros([1, 3]).logSoftmax(1), target);
    expect(warn).not.toHaveBeenCalled();
    losses.crossEntropy(new nn.Softmax(1).forward(zeros([1, 3])), target);
    losses.crossEntropy(zeros([1, 3]).softmax(1), target);
    expect(warn.mock.calls).toEqual([
      [
        'crossEntropy: the input is a softmax already. Pass the logits as they are: crossEntropy takes the softmax itself (or use logSoftmax with nll).',
      ],
    ]);
    warn.mockRestore();
  });

  it('stay finite where a logarithm would not', async () => {
    const [input, target] = [tensor([1000, -1000, 0]), tensor([0, 1, 0.5])];
    const loss = losses.bceWithLogits(input, target, { reduction: 'none' });
    const d = grad(loss.sum(), input);
    await realize(loss, d);
    expect([...(await loss.data())]).toEqual([1000, 1000, Math.fround(Math.LN2)]);
    expect([...(await d.data())]).toEqual([1, -1, 0]);
  });

  it('bound the logarithms of bce at −100, with finite gradients', async () => {
    const x = tensor([0, 1, 0, 1]);
    const loss = losses.bce(x, tensor([0, 1, 1, 0]), { reduction: 'none' });
    const d = grad(loss.sum(), x);
    await realize(loss, d);
    expect([...(await loss.data())].map(Math.abs)).toEqual([0, 0, 100, 100]);
    expect([...(await d.data())].map((v) => v + 0)).toEqual([1, -1, 0, 0]);
  });

  it('give a gradient of −½ at a logit of exactly 0', async () => {
    const x = zeros([1]);
    expect(await grad(losses.bceWithLogits(x, tensor([1])), x).item()).toBe(-0.5);
  });

  it.each([
    [
      () => losses.crossEntropy(zeros([2, 3]), tensor([1, 3], { dtype: 'int32' })),
      'crossEntropy: target 1 is class 3, but input has 3 classes (0 … 2).\n' +
        '  Labels that start at 1 need 1 subtracted. To leave such targets out, pass ignoreIndex: 3.',
    ],
    [
      () => losses.nll(zeros([2, 3]), tensor([0, 1, 2], { dtype: 'int32' })),
      'nll: target does not belong to input\n  input   [2, 3]   N C …\n  target  [3]   int32\n' +
        "  Class indices are integers of shape [2]: pass target.to('int32') of that shape.",
    ],
    [
      () => losses.crossEntropy(zeros([2, 3]), zeros([2])),
      'crossEntropy: target does not belong to input\n  input   [2, 3]   N C …\n  target  [2]   float32\n' +
        "  float32 targets are probabilities of the input’s shape; class indices are integers of shape [2]: pass target.to('int32').",
    ],
    [
      () => losses.mse(zeros([2, 1]), zeros([2])),
      'mse: input and target have different shapes\n  input   [2, 1]\n  target  [2]\n' +
        '  They must be equal, because broadcasting here is nearly always a mistake: pass target.reshape([2, 1]) or target.expand(…).',
    ],
    [
      () => losses.crossEntropy(zeros([2, 3]), tensor([0, 1], { dtype: 'int32' }), { weight: zeros([2]) }),
      'loss: class weights do not fit\n  weight  [2]\n  input   [2, 3]   N C …\n  There are 3 classes; pass a weight of shape [3].',
    ],
    [
      () => losses.distillationLoss(zeros([1, 2]), zeros([1, 2]), { temperature: 0 }),
      'distillationLoss: temperature must be above 0; got 0',
    ],
    [() => losses.huber(zeros([1]), zeros([1]), { delta: 0 }), 'huber: delta must be above 0; got 0'],
    [
      () => losses.crossEntropy(zeros([1, 2]), tensor([0], { dtype: 'int32' }), { labelSmoothing: 2 }),
      'crossEntropy: labelSmoothing must lie within 0 … 1; got 2',
    ],
  ])('refuse what cannot be meant: %#', (call, message) => {
    expect(call).toThrow(message);
  });
});

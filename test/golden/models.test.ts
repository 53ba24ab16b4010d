/** The zoo against torchvision and timm (see models.py): names, sizes, scores, gradients, and what three training steps leave behind. */

import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../../src/compile/compiled-target.js';
import { findModel } from '../../src/models/index.js';
import { foldBatchNorm, type Module } from '../../src/nn/index.js';
import { crossEntropy } from '../../src/nn/loss.js';
import { summary } from '../../src/nn/summary.js';
import { SGD } from '../../src/optim/index.js';
import { noGrad, realize, setDevice, type Tensor, tensor } from '../../src/tensor/index.js';
import type { Shape } from '../../src/util/shape.js';
import { devicesHere } from '../devices-here.js';
import { type Digest, digest, filled, initial, initialForTraining, words } from './counter.js';

interface Scores {
  readonly first: readonly number[];
  readonly digest: Digest;
}

interface Case {
  readonly model: string;
  readonly size: number;
  readonly batch: number;
  /** Whether batch norm stands before a ReLU: then training starts from values that keep away from its kink. */
  readonly kinks: boolean;
  readonly parameters: number;
  readonly macs: number;
  /** Shapes by name, in order. */
  readonly state: Readonly<Record<string, Shape>>;
  readonly scores224: Scores;
  readonly scores: Scores;
  readonly losses: readonly number[];
  readonly gradients: Readonly<Record<string, Digest>>;
  readonly statistics: Readonly<Record<string, Digest>>;
}

const folder = new URL('./data/models/', import.meta.url);
const cases = readdirSync(folder).map((file): Case => JSON.parse(readFileSync(new URL(file, folder), 'utf8')));

/** WebAssembly, and the widest vectors there are: every kernel has its own tests on all devices. */
const devices = [...new Set([devicesHere[0], devicesHere[devicesHere.length - 1]])];
const rows = devices.flatMap((device) => cases.map((golden) => [golden.model, device.name, device, golden] as const));

describe.each(rows)('%s on %s', (name, _device, device, golden) => {
  let target: CompiledTarget;
  beforeAll(async () => {
    target = new CompiledTarget(await device.create({ threads: 2 }));
    setDevice(target);
  });
  afterAll(() => target.dispose());

  const { batch, size } = golden;
  // What dropped elements do is tested elsewhere: both sides leave them out.
  const options = { numClasses: 1000, dropout: 0, stochasticDepth: 0 };
  let model: Module;

  const load = (values: typeof initial) => {
    const state = Object.entries(golden.state).map(([path, shape]) => [path, { shape, data: values(path, shape) }]);
    model.loadStateDict(Object.fromEntries(state));
  };
  const pictures = (step: string, n: number, side: number) =>
    tensor(filled(`pictures ${step}`, [n, 3, side, side]), { shape: [n, 3, side, side] });

  it('has the names, the order and the shapes of the published weights, and as many multiply–adds', () => {
    model = findModel(name)(options);
    const shapes = Object.entries(model.stateDict()).map(([path, t]) => [path, t.shape]);
    expect(shapes).toEqual(Object.entries(golden.state));
    const { totalParams, totalMacs } = summary(model, [3, 224, 224]);
    expect([totalParams, totalMacs]).toEqual([golden.parameters, golden.macs]);
  });

  it('gives the same class scores to 1e-4', async () => {
    load(initial);
    model.eval();
    await expectScores(
      noGrad(() => model.forward(pictures('of 224', 1, 224))),
      golden.scores224,
    );
    await expectScores(
      noGrad(() => model.forward(pictures('of the test', batch, size))),
      golden.scores,
    );
  });

  const norms = Object.keys(golden.statistics).length;
  (norms > 0 ? it : it.skip)('gives the same scores to 1e-5 with batch norm folded (VGG has none)', async () => {
    const x = pictures('of the test', batch, size);
    load(initial);
    const wanted = noGrad(() => model.forward(x)) as Tensor;
    await realize(wanted);
    const folded = findModel(name)(options);
    folded.loadStateDict(model.stateDict());
    foldBatchNorm(folded, [3, size, size]);
    expect(Object.keys(folded.stateDict()).filter((path) => path.includes('running'))).toEqual([]);
    const [before, after] = [await wanted.data(), await noGrad(() => folded.forward(x)).data()];
    const [norm] = digest(before, wanted.shape);
    expect(
      digest(
        Array.from(after, (v, i) => Number(v) - Number(before[i])),
        wanted.shape,
      )[0] / norm,
    ).toBeLessThan(1e-5);
  });

  it('has the same gradients of the loss to 1e-3, and statistics after training to 1e-4', async () => {
    load(golden.kinks ? initialForTraining : initial);
    model.train();
    const optimizer = new SGD(model.parameters(), { lr: 1e-3, momentum: golden.losses.length > 1 ? 0.9 : 0 });
    for (const [step, wanted] of golden.losses.entries()) {
      const labels = words(`labels ${step}`, batch).map((word) => word % 1000);
      optimizer.zeroGrad();
      const loss = crossEntropy(
        model.forward(pictures(String(step), batch, size)),
        tensor(Int32Array.from(labels), { dtype: 'int32' }),
      );
      loss.backward();
      if (step === 0) await expectGradients(model, golden.gradients);
      await optimizer.step();
      expect(Math.abs((await loss.item()) / wanted - 1)).toBeLessThan(1e-4);
    }
    const buffers = new Map(model.namedBuffers());
    for (const [path, wanted] of Object.entries(golden.statistics)) {
      const buffer = buffers.get(path)!;
      expectDigest(path, digest(await buffer.data(), buffer.shape), wanted, 1e-4);
    }
  });
});

async function expectScores(y: Tensor, wanted: Scores): Promise<void> {
  const values = await y.data();
  const [norm] = wanted.digest;
  const typical = norm / Math.sqrt(y.size);
  for (const [i, v] of wanted.first.entries()) expect(Math.abs(values[i] - v) / typical).toBeLessThan(1e-4);
  expectDigest('scores', digest(values, y.shape), wanted.digest, 1e-4);
}

async function expectGradients(model: Module, wanted: Case['gradients']): Promise<void> {
  const named = [...model.namedParameters()];
  await realize(...named.map(([, p]) => p.grad!));
  expect(named.map(([path]) => path)).toEqual(Object.keys(wanted));
  // A bias that the next batch norm takes out again has no gradient: what is left are roundings of the terms that cancel.
  const norms = Object.values(wanted).map(([norm]) => norm);
  const typical = norms.sort((a, b) => a - b)[norms.length >> 1];
  for (const [path, p] of named) {
    expectDigest(path, digest(await p.grad!.data(), p.shape), wanted[path], 1e-3, typical / 10);
  }
}

/** An error as large as `tolerance` of the tensor moves its norm by no more than that, and its probe by about a third. */
function expectDigest(what: string, got: Digest, [norm, probe]: Digest, tolerance: number, least = 0): void {
  const allowed = tolerance * Math.max(norm, least);
  expect(Math.abs(got[0] - norm), `norm of ${what}: ${got[0]}, not ${norm}`).toBeLessThan(allowed);
  expect(Math.abs(got[1] - probe), `probe of ${what}: ${got[1]}, not ${probe}`).toBeLessThan(allowed / 3);
}

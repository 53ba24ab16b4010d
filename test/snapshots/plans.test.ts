/**
 * Plans of whole steps, as text: which work became one kernel, how its operands lie, what stays in place. A change here is a change in what the
 * compiler makes of a network; `vitest -u` takes it over once it has been understood. Tile sizes and the like do not show.
 */

import { afterEach, expect, test } from 'vitest';
import { compile } from '../../src/compile/pipeline.js';
import { describe as describeStep } from '../../src/compile/plan.js';
import { traceRequest } from '../../src/compile/trace.js';
import { type Layout, layoutKey } from '../../src/graph/layout.js';
import type { Node } from '../../src/graph/node.js';
import { leafStorage } from '../../src/graph/stale.js';
import { Storage } from '../../src/graph/storage.js';
import type { Assignment, Target } from '../../src/graph/target.js';
import * as nn from '../../src/nn/index.js';
import { Adam, SGD } from '../../src/optim/index.js';
import { device, noGrad, setDevice, type Tensor, tensor } from '../../src/tensor/index.js';
import { numel } from '../../src/util/shape.js';
import { wasmTarget } from '../lowering-runner.js';

/** Compiles what it is asked for and claims it was computed; storages keep the layouts their first step gave them. */
class Planner implements Target {
  readonly name = 'planner';
  readonly plans: string[] = [];
  private readonly layouts = new WeakMap<Storage, Layout>();

  async realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void> {
    const wanted = roots.filter((r) => leafStorage(r) === null);
    const resident = (s: Storage) => this.layouts.get(s) ?? null;
    const trace = traceRequest(wanted, assigns, resident);
    const step = compile(trace, wasmTarget, (slot) => resident(trace.storages[slot]), 'plan');
    for (const { storage, layout } of step.resident) this.layouts.set(trace.storages[storage], layout);
    const { rows, totals } = describeStep(step);
    const lines = step.launches.map((launch, i) => {
      const work = launch.title.startsWith('relayout') ? launch.title : launch.nodes.map((n) => n.op.name).join(' ');
      const inner = launch.kernel.name.match(/_(part|part_rest|parts)$/)?.[1];
      return `${work}${inner === undefined ? '' : ` (${inner})`}\n    ${rows[i].reads.join('; ')}\n  → ${rows[i].writes.join('; ')}`;
    });
    const kept = step.resident.map(({ storage, layout }) => `[${trace.storages[storage].shape}] ${layoutKey(layout)}`);
    this.plans.push(
      `${lines.join('\n')}\n\n${totals.kernels} kernels, ${totals.macs} multiply-adds\nstays in place: ${kept.join('; ')}\n`,
    );
    for (const root of wanted) root.realized = Storage.zeros(root.shape, root.dtype);
    for (const { storage } of assigns) storage.version++;
  }

  async dispose(): Promise<void> {}
}

let before: Target | null = null;

async function planner(): Promise<Planner> {
  before ??= await device();
  const made = new Planner();
  setDevice(made);
  return made;
}

afterEach(() => setDevice(before!));

const pictures = (...shape: number[]) => tensor(new Float32Array(numel(shape)), { shape });
const labels = (n: number) => tensor(new Int32Array(n), { shape: [n] });

async function train(
  model: nn.Module & { forward(x: Tensor): Tensor },
  optimizer: { zeroGrad(): void; step(): Promise<void> },
  x: () => Tensor,
): Promise<string[]> {
  const on = await planner();
  const loss = new nn.CrossEntropyLoss();
  for (let step = 0; step < 3; step++) {
    optimizer.zeroGrad();
    loss.forward(model.forward(x()), labels(16)).backward();
    await optimizer.step();
  }
  return on.plans;
}

class Residual extends nn.Module {
  stem = new nn.Conv2d(3, 16, 3, { padding: 1, bias: false });
  bn1 = new nn.BatchNorm2d(16);
  conv = new nn.Conv2d(16, 16, 3, { padding: 1, bias: false });
  bn2 = new nn.BatchNorm2d(16);
  fc = new nn.Linear(16, 10);
  override forward(x: Tensor): Tensor {
    const h = this.bn1.forward(this.stem.forward(x)).relu();
    const y = this.bn2.forward(this.conv.forward(h)).add(h).relu();
    return this.fc.forward(y.mean([2, 3]));
  }
}

test('an MLP trained with momentum', async () => {
  const model = new nn.Sequential(new nn.Linear(20, 32), new nn.ReLU(), new nn.Linear(32, 10));
  const plans = await train(model, new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 }), () => pictures(16, 20));
  await expect(plans.at(-1)).toMatchFileSnapshot('mlp-momentum.txt');
});

test('convolutions with batch norm and a residual, trained with Adam', async () => {
  const model = new Residual();
  const plans = await train(model, new Adam(model.parameters()), () => pictures(16, 3, 12, 12));
  await expect(plans.at(-1)).toMatchFileSnapshot('residual-adam.txt');
});

test('the same network answering', async () => {
  const on = await planner();
  const model = new Residual();
  model.eval();
  for (let i = 0; i < 2; i++) await noGrad(() => model.forward(pictures(16, 3, 12, 12))).data();
  await expect(on.plans.at(-1)).toMatchFileSnapshot('residual-inference.txt');
});

/** `fovea plan MODEL`: the kernels of one training step or one inference. Compiles, computes nothing. */

import type { Command } from 'commander';
import pc from 'picocolors';
import type { CompiledTarget } from '../compile/compiled-target.js';
import type { CompiledStep } from '../compile/pipeline.js';
import { describe, type PlanRow } from '../compile/plan.js';
import { ArrayDataset } from '../data/index.js';
import type { Node } from '../graph/node.js';
import { Storage } from '../graph/storage.js';
import type { Assignment, Target } from '../graph/target.js';
import { pictureShape } from '../models/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { openDevice, setDevice } from '../tensor/index.js';
import { evaluate, Trainer } from '../train/index.js';
import { counted, grouped } from '../util/counts.js';
import { numel } from '../util/shape.js';
import { type DeviceFlags, newCommand, withDevice, withJson } from './options.js';
import { bytes, print, printJson } from './output.js';
import { modelNamed } from './summary.js';
import { wholeNumber } from './usage.js';
import { withKernels } from './with-kernels.js';

interface Flags extends DeviceFlags {
  batch: number;
  inference?: boolean;
  json?: boolean;
}

export function command(): Command {
  return withJson(
    withDevice(
      newCommand(
        'plan',
        'Shows how a training step of a model is compiled: kernels, what was fused into each, layouts, bytes, multiply-adds.',
        'fovea plan classic --batch 64',
        'fovea plan lenet5 --inference --json',
      )
        .argument('<model>', 'a name from `fovea models`')
        .option('--batch <n>', 'pictures in a step', wholeNumber(), 64)
        .option('--inference', 'forward only'),
    ),
  ).action(async (name: string, flags: Flags) => {
    const build = modelNamed(name);
    const shape = pictureShape(build);
    const model = build();
    const planner = new Planner(withKernels(await openDevice(flags.device, flags)));
    setDevice(planner);
    try {
      const classes = Array.from({ length: build.numClasses }, (_, i) => String(i));
      const inputs = new Uint8Array(flags.batch * numel(shape));
      const pictures = new ArrayDataset({ inputs, labels: new Uint8Array(flags.batch), shape, classes });
      const loss = build.output === 'logits' ? crossEntropy : nll;
      const normalize = {
        mean: new Array(shape[0]).fill(0.1307),
        std: new Array(shape[0]).fill(0.3081),
      };
      if (flags.inference) await evaluate(model, pictures, { normalize, batchSize: flags.batch });
      else {
        const optimizer = new Adam(model.parameters());
        await new Trainer({ model, optimizer, loss, normalize, train: pictures, batchSize: flags.batch }).fit();
      }
    } finally {
      await planner.dispose();
    }
    const largest = planner.steps.reduce((a, b) => (b.launches.length > a.launches.length ? b : a));
    if (flags.json) writeJson(name, flags, largest);
    else write(name, flags, largest);
  });
}

function write(name: string, { batch, inference }: Flags, step: CompiledStep): void {
  const { rows, totals } = describe(step);
  print(`${pc.bold(name)}, ${inference ? 'inference' : 'one training step with Adam'}, ${counted(batch, 'picture')}\n`);
  for (const [i, row] of rows.entries()) {
    print(
      `${pc.bold(`${String(i + 1).padStart(3)}  ${row.title}`)}${row.modules.length > 0 ? pc.cyan(`  ${row.modules.join(', ')}`) : ''}`,
    );
    print(pc.dim(`     ${row.kernel.split('_@')[0]}`)); // what follows names the fused work, which the title says better
    print(`     ${line('reads', row.reads, row.readBytes)}`);
    print(
      `     ${line('writes', row.writes, row.writtenBytes)}${row.macs > 0 ? `; ${grouped(row.macs)} multiply-adds` : ''}`,
    );
  }
  print(
    `\n${counted(totals.kernels, 'kernel')} (${totals.distinctKernels} different), ${bytes(totals.readBytes)} read, ${bytes(totals.writtenBytes)} written, ` +
      `${grouped(totals.macs)} multiply-adds`,
  );
  print(
    `${bytes(totals.arenaBytes)} for intermediate values; ${totals.residentStorages} weights and states stay in place from step to step`,
  );
  print(pc.dim('layout a,b,c/axb: order of the axes, and which axis lies in blocks of how many; nothing: row-major'));
}

function writeJson(name: string, { batch, inference }: Flags, step: CompiledStep): void {
  const { rows, totals } = describe(step);
  for (const row of rows) printJson({ event: 'kernel', ...row });
  printJson({ event: 'plan', name, batch, inference: inference === true, ...totals });
}

function line(what: string, operands: PlanRow['reads'], size: number): string {
  const most = 3;
  const shown = operands.slice(0, most).join('; ');
  const more = operands.length > most ? `; and ${operands.length - most} more` : '';
  return operands.length === 0 ? `${what} nothing` : `${what} ${shown}${more} (${bytes(size)})`;
}

/** Compiles what it is asked for and claims it was computed: every value is 0. */
class Planner implements Target {
  readonly name = 'planner';
  readonly steps: CompiledStep[] = [];

  constructor(private readonly compiler: CompiledTarget) {}

  async realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void> {
    const wanted = roots.filter((root) => root.realized === null);
    this.steps.push(await this.compiler.plan(wanted, assigns));
    for (const root of wanted) root.realized = Storage.zeros(root.shape, root.dtype);
    for (const { storage } of assigns) storage.version++;
  }

  dispose(): Promise<void> {
    return this.compiler.dispose();
  }
}

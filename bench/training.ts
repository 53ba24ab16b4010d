/** Whole training steps: how fast, what JavaScript costs in each, how long a fresh process takes to its first, and one epoch of MNIST. */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classic } from '../src/models/index.js';
import { nll } from '../src/nn/loss.js';
import { Adam } from '../src/optim/index.js';
import { manualSeed, setDevice, tensor } from '../src/tensor/index.js';
import type { Harness } from './harness.js';
import type { Line } from './report.js';
import { alternatingRatios, spread } from './statistics.js';

export interface TrainingRow {
  readonly what: string;
  measure(): Promise<Line>;
}

export function trainingRows(harness: Harness, folder: string, { epoch }: { epoch: boolean }): TrainingRow[] {
  const rows: TrainingRow[] = [
    { what: 'step of classic, batch 64, Adam', measure: () => trainingStep(harness) },
    { what: 'step overhead of JavaScript', measure: () => stepOverhead(harness) },
    { what: 'start of process to first step', measure: () => firstStep(harness, folder) },
    ...(harness.device.name === 'wasm'
      ? []
      : [{ what: 'assembling a training step of resnet50', measure: () => assembling(harness, folder) }]),
  ];
  return epoch
    ? [...rows, { what: 'epoch of MNIST, whole command', measure: () => mnistEpoch(harness, folder) }]
    : rows;
}

const fullBatch = 64;

/** The classic network and a batch of made-up pictures; each call takes one training step and reads the loss. */
function classicTraining(harness: Harness, batch = fullBatch): { step(): Promise<void>; flops: number } {
  setDevice(harness.target);
  manualSeed(1);
  const model = classic();
  const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
  const pictures = Float32Array.from({ length: batch * 28 * 28 }, (_, i) => Math.sin(i * 0.37) * Math.cos(i * 0.011));
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 10);
  return {
    async step() {
      const x = tensor(pictures, { shape: [batch, 1, 28, 28] });
      optimizer.zeroGrad();
      const loss = nll(model.forward(x), tensor(labels));
      loss.backward();
      await optimizer.step();
      if (!Number.isFinite(await loss.item())) throw new Error('the loss is not a number');
    },
    // Forward, and as much again for each gradient; the first layer has no gradient by data.
    flops: 2 * batch * (3 * classic.macs - 32 * 26 * 26 * 9),
  };
}

async function trainingStep(harness: Harness): Promise<Line> {
  const { step, flops } = classicTraining(harness);
  for (let i = 0; i < 5; i++) await step();
  const peaks = [await harness.samplePeak()];
  const seconds: number[] = [];
  for (let i = 0; i < 2 * harness.rounds; i++) {
    const start = performance.now();
    await step();
    seconds.push((performance.now() - start) / 1000);
    peaks.push(await harness.samplePeak());
  }
  const times = alternatingRatios(
    seconds.map((s) => s / flops),
    peaks.map((p) => 1 / p),
  );
  return {
    group: 'training',
    what: 'step of classic, batch 64, Adam',
    value: spread(seconds.map((s) => fullBatch / s)),
    unit: 'pictures/s',
    milliseconds: spread(seconds.map((s) => 1000 * s)),
    reference: { what: 'FMA peak', value: spread(peaks.map((p) => p / 1e9)) },
    ratio: spread(times.map((t) => 1 / t)),
    aim: { kind: 'at least', value: 500, of: 'value' },
  };
}

/** Wall time of a cached step without the time the device runs: building graphs, backward, optimiser, cache, binding, staging, reading the loss. */
async function stepOverhead(harness: Harness): Promise<Line> {
  // Early in an epoch V8 has optimised what every step runs; small batches bring that about sooner.
  const warmUp = classicTraining(harness, 4);
  for (let i = 0; i < 400; i++) await warmUp.step();
  const { step } = classicTraining(harness);
  const { device } = harness;
  let deviceMs = 0;
  const run = device.run;
  device.run = (program, slots, { before, after } = {}) => {
    let start = 0;
    // Hooks are JavaScript's, so they count; what lies between them does not.
    return run.call(device, program, slots, {
      before(arena) {
        before?.(arena);
        start = performance.now();
      },
      after(arena) {
        deviceMs += performance.now() - start;
        after?.(arena);
      },
    });
  };
  try {
    for (let i = 0; i < 5; i++) await step();
    const overheads: number[] = [];
    for (let i = 0; i < 4 * harness.rounds; i++) {
      deviceMs = 0;
      const start = performance.now();
      await step();
      overheads.push(performance.now() - start - deviceMs);
    }
    return {
      group: 'training',
      what: 'step overhead of JavaScript',
      value: spread(overheads),
      unit: 'ms',
      aim: { kind: 'at most', value: 1, of: 'value' },
    };
  } finally {
    device.run = run;
  }
}

/** From the start of a fresh Node to the loss of the first step: imports, weights, graph, compiler, V8's compilation of the module, the run. */
async function firstStep(harness: Harness, folder: string): Promise<Line> {
  const seconds: number[] = [];
  let details: string[] = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    const child = spawn(process.execPath, [join(folder, 'first-step.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: environment(harness),
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    let printed = '';
    for await (const chunk of child.stdout) printed += chunk;
    const done = performance.now();
    if ((await ended) !== 0) throw new Error('first-step.mjs failed');
    const { firstStepMs, ...parts } = JSON.parse(printed) as Record<string, number>;
    // The child prints at once when the step is done, but ends later: count until then.
    seconds.push((done - start - (parts.printedMs - firstStepMs)) / 1000);
    details = Object.entries({ ...parts, firstStepMs }).map(([name, ms]) => `${name} ${ms.toFixed(0)}`);
  }
  return {
    group: 'training',
    what: 'start of process to first step',
    value: spread(seconds),
    unit: 's',
    aim: { kind: 'at most', value: 1.5, of: 'value' },
    details,
  };
}

/** The environment of a process that is to compute where the harness does. */
const environment = ({ device }: Harness) => ({ ...process.env, FOVEA_DEVICE: device.name });

/** All kernels of a large step, by an assembler that no one has warmed up. */
async function assembling(harness: Harness, folder: string): Promise<Line> {
  const runs = Array.from({ length: 5 }, () => {
    const { status, stdout } = spawnSync(process.execPath, [join(folder, 'assemble.mjs')], {
      encoding: 'utf8',
      env: environment(harness),
    });
    if (status !== 0) throw new Error('assemble.mjs failed');
    return JSON.parse(stdout) as { assembleMs: number; compileMs: number; kernels: number; bytes: number };
  });
  const [{ kernels, bytes }] = runs;
  const compile = spread(runs.map((r) => r.compileMs)).median;
  return {
    group: 'training',
    what: 'assembling a training step of resnet50',
    value: spread(runs.map((r) => r.assembleMs)),
    unit: 'ms',
    aim: { kind: 'at most', value: 400, of: 'value' },
    details: [
      `${kernels} kernels, ${(bytes / 1000).toFixed(0)} kB; before it ${compile.toFixed(0)} ms to plan and to write the IR`,
    ],
  };
}

/** `fovea train mnist` for one epoch, as a user would start it. */
async function mnistEpoch(harness: Harness, folder: string): Promise<Line> {
  const command = join(folder, '..', 'dist', 'cli', 'main.js');
  if (!existsSync(command)) throw new Error('dist/cli/main.js is missing: npm run build');
  const out = mkdtempSync(join(tmpdir(), 'fovea-bench-'));
  try {
    const args = [
      'train',
      'mnist',
      '--model',
      'classic',
      '--epochs',
      '1',
      '--seed',
      '1',
      '--out',
      join(out, 'run'),
      '--json',
    ];
    const start = performance.now();
    const { status, stdout } = spawnSync(process.execPath, [command, ...args], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      env: environment(harness),
    });
    const seconds = (performance.now() - start) / 1000;
    const last = JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') as { testAccuracy?: number } | null;
    if (status !== 0 || typeof last?.testAccuracy !== 'number') throw new Error(`fovea train ended with ${status}`);
    if (last.testAccuracy < 0.985) throw new Error(`test accuracy ${last.testAccuracy}, below 98.5 %`);
    return {
      group: 'training',
      what: 'epoch of MNIST, whole command',
      value: spread([seconds]),
      unit: 's',
      aim: { kind: 'at most', value: harness.device.name === 'wasm' ? 150 : 35, of: 'value' },
      details: [`test accuracy ${(100 * last.testAccuracy).toFixed(2)} % (at least 98.5)`],
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

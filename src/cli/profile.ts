/** `fovea profile MODEL`: where the time of a training step or an inference goes, kernel by kernel, beside what the machine could do. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { CompiledTarget } from '../compile/compiled-target.js';
import { measurePeaks } from '../compile/peaks.js';
import type { CompiledStep } from '../compile/pipeline.js';
import { type Profile, profileOf, traceEvents } from '../compile/profile.js';
import { writeFileAtomic } from '../io/atomic.node.js';
import { totalLoss } from '../nn/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { compile, manualSeed, rand, realize, setDevice, tensor } from '../tensor/index.js';
import { grouped } from '../util/counts.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, percent, print, printJson, table } from './output.js';
import { modelNamed } from './summary.js';
import { wholeNumber } from './usage.js';
import { withKernels } from './with-kernels.js';

interface Flags extends DeviceFlags {
  batch: number;
  inference?: boolean;
  runs: number;
  top: number;
  trace?: string;
  json?: boolean;
}

export function command(): Command {
  return withJson(
    withDevice(
      newCommand(
        'profile',
        'Times each kernel of a training step, or of an inference, and sets it beside what the machine can do at most.',
        'fovea profile resnet18 --batch 8',
        'fovea profile mobilenet_v2 --inference --trace mobilenet.json',
      )
        .argument('<model>', 'a name from `fovea models`')
        .option('--batch <n>', 'pictures in a step (default: 64, and 1 with --inference)', wholeNumber())
        .option('--inference', 'forward only, with what depends on weights alone computed ahead')
        .option('--runs <n>', 'times the step is run; the median counts', wholeNumber(), 10)
        .option('--top <n>', 'kernels to list, slowest first', wholeNumber(), 20)
        .option('--trace <file>', 'also write all kernels in order for chrome://tracing or ui.perfetto.dev'),
    ),
  ).action(async (name: string, flags: Omit<Flags, 'batch'> & { batch?: number }) => {
    await profile(name, { ...flags, batch: flags.batch ?? (flags.inference ? 1 : 64) });
  });
}

async function profile(name: string, flags: Flags): Promise<void> {
  const build = modelNamed(name);
  await onDevice(flags, async (opened) => {
    const target = withKernels(opened);
    const samples = new Map<CompiledStep, Float64Array[]>();
    setDevice(
      new CompiledTarget(target.device, (step, launchMs) => {
        samples.set(step, [...(samples.get(step) ?? []), launchMs]);
      }),
    );
    manualSeed(0);
    const model = build();
    const images = rand([flags.batch, ...build.input]);
    await realize(images);
    if (flags.inference) {
      model.eval();
      const run = compile((x) => model.forward(x));
      for (let i = 0; i < warmUps + flags.runs; i++) await run(images);
    } else {
      const optimizer = new Adam(model.parameters());
      const loss = build.output === 'logits' ? crossEntropy : nll;
      const labels = tensor(Int32Array.from({ length: flags.batch }, (_, i) => i % build.numClasses));
      for (let i = 0; i < warmUps + flags.runs; i++) {
        optimizer.zeroGrad();
        totalLoss(loss, model.forward(images), labels).backward();
        await optimizer.step();
      }
    }
    // The step proper is the one that ran each time; others set up weights or constants once.
    const [step, times] = [...samples].reduce((a, b) => (b[1].length > a[1].length ? b : a));
    const made = profileOf(step, times.slice(-flags.runs), await measurePeaks(target.device));
    const memory = { arenaBytes: made.totals.arenaBytes, peakBytes: target.device.peakBytes };
    if (flags.trace !== undefined) await writeFileAtomic(flags.trace, JSON.stringify(traceEvents(name, made)));
    const head = {
      name,
      device: target.name,
      threads: target.device.threads,
      batch: flags.batch,
      inference: flags.inference === true,
    };
    if (flags.json) writeJson(head, made, memory);
    else await write(head, made, memory, flags);
  });
}

/** Compiling and first touches of memory. */
const warmUps = 2;

interface Head {
  readonly name: string;
  readonly device: string;
  readonly threads: number;
  readonly batch: number;
  readonly inference: boolean;
}

interface Memory {
  readonly arenaBytes: number;
  readonly peakBytes: number;
}

function writeJson(head: Head, { rows, totals, peaks }: Profile, { peakBytes }: Memory): void {
  for (const row of rows) printJson({ event: 'kernel', ...row });
  printJson({ event: 'profile', ...head, ...totals, peakBytes, peakFlops: peaks.flops, peakBandwidth: peaks.bytes });
}

async function write(
  head: Head,
  { rows, totals, peaks }: Profile,
  memory: Memory,
  { top, trace }: Flags,
): Promise<void> {
  const { name, device, threads, batch, inference } = head;
  const what = inference ? 'inference' : 'one training step with Adam';
  print(
    `${pc.bold(name)}, ${what}, ${grouped(batch)} ${batch === 1 ? 'picture' : 'pictures'}, on ${device} with ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  );
  print(
    `peaks here: ${(peaks.flops / 1e9).toFixed(0)} GFLOP/s, ${(peaks.bytes / 1e9).toFixed(1)} GB/s of memory read and written\n`,
  );
  const right = 'right' as const;
  const slowest = [...rows].sort((a, b) => b.ms - a.ms).slice(0, top);
  const text = await table(
    [
      { head: 'ms', align: right },
      { head: 'share', align: right },
      { head: 'GFLOP/s', align: right },
      { head: 'GB/s', align: right },
      { head: 'of peak' },
      { head: 'what was fused into the kernel' },
      { head: 'where' },
    ],
    slowest.map((row) => [
      row.ms.toFixed(3),
      percent(row.share, 1),
      row.macs > 0 ? row.gflops.toFixed(1) : '',
      row.gbytes.toFixed(1),
      row.bound === 'compute' ? `${percent(row.ofComputePeak, 0)} compute` : `${percent(row.ofMemoryPeak, 0)} memory`,
      clipped(row.title, 48),
      clipped(row.modules.join(', '), 32),
    ]),
  );
  print(text);
  const others = rows.length - slowest.length;
  if (others > 0) {
    const ms = totals.ms - slowest.reduce((sum, row) => sum + row.ms, 0);
    print(pc.dim(`and ${others} more kernels, ${ms.toFixed(3)} ms together (--top ${rows.length} lists all)`));
  }
  print(
    `\n${totals.ms.toFixed(2)} ms in ${totals.kernels} kernels (${totals.distinctKernels} different): ${totals.gflops.toFixed(1)} GFLOP/s` +
      ` (${percent((totals.gflops * 1e9) / peaks.flops, 0)} of peak), ${totals.gbytes.toFixed(1)} GB/s`,
  );
  print(
    `memory: ${bytes(memory.arenaBytes)} for intermediate values, ${bytes(memory.peakBytes)} on the device at most`,
  );
  print(
    pc.dim(
      'GFLOP/s counts multiply-adds; GB/s counts each operand once, so what lies in a cache can pass the peak of memory',
    ),
  );
  if (trace !== undefined) print(`\nwritten    ${trace}: open it in chrome://tracing or https://ui.perfetto.dev`);
}

function clipped(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

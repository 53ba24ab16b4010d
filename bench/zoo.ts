/**
 * `npm run bench -- --zoo [words…]`: every network of the registry in a process of its own (zoo-model.mjs): inputs a second for inference of one
 * and for training in small batches, and the process's peak memory. What a user can expect of a model before choosing it.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ModelBuilder, registry } from '../src/models/index.js';
import { describeMachine, formatMachine, type Machine } from './report.js';
import { type Spread, spread } from './statistics.js';

export interface ZooOptions {
  readonly root: string;
  /** The device's name, and what is told of the machine. */
  readonly device: { readonly name: string; readonly threads: number; readonly notes: readonly string[] };
  readonly save: boolean;
  /** Seconds for each of the two measurements of a model. */
  readonly seconds: number;
  readonly chosen: (name: string) => boolean;
}

interface Measured {
  /** Milliseconds of a run; of the fastest; of the first, compiling included. */
  readonly ms: Spread;
  readonly bestMs: number;
  readonly firstMs: number;
  /** The largest resident set of the process until then. */
  readonly peakMB: number;
}

interface Line {
  readonly name: string;
  readonly macs: number;
  readonly inference: Measured;
  readonly training: Measured & { readonly batch: number };
}

export function runZoo({ root, device, save, seconds, chosen }: ZooOptions): number {
  const machine = describeMachine(device);
  console.log(`${formatMachine(machine)}\n\n${head}`);
  const lines: Line[] = [];
  const failed: string[] = [];
  for (const model of registry.filter(({ modelName }) => chosen(modelName))) {
    const batch = trainingBatch(model);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'bench', 'zoo-model.mjs'), model.modelName, String(batch), String(seconds)],
      { encoding: 'utf8', env: { ...process.env, FOVEA_DEVICE: device.name }, timeout: 300_000 },
    );
    if (status !== 0) {
      failed.push(model.modelName);
      console.log(
        `${model.modelName.padEnd(30)} failed: ${stderr.split('\n').find((line) => /Error/.test(line)) ?? 'no answer in 5 minutes'}`,
      );
      continue;
    }
    const { inference, inferencePeak, training, trainingPeak } = JSON.parse(stdout);
    const line: Line = {
      name: model.modelName,
      macs: model.macs,
      inference: measured(inference, inferencePeak),
      training: { batch, ...measured(training, trainingPeak) },
    };
    lines.push(line);
    console.log(cells(line).map((cell, i) => (i === 0 ? cell.padEnd(30) : cell.padStart(12))).join('')); // biome-ignore format: one row
  }
  if (save) {
    const date = new Date().toISOString().slice(0, 10);
    const name = `${date}-zoo-${device.name}`;
    writeFileSync(
      join(root, 'bench', 'results', `${name}.json`),
      `${JSON.stringify({ date, machine, lines }, null, 1)}\n`,
    );
    writeFileSync(join(root, 'bench', 'results', `${name}.md`), toMarkdown(date, machine, lines));
    console.log(`\nsaved as bench/results/${name}.json and .md`);
  }
  if (failed.length > 0) console.log(`\nfailed: ${failed.join(', ')}`);
  return failed.length > 0 ? 1 : 0;
}

function measured({ ms, firstMs }: { ms: number[]; firstMs: number }, peakMB: number): Measured {
  return { ms: spread(ms), bestMs: Math.min(...ms), firstMs, peakMB };
}

/** Small, so that all fit into a laptop's memory. */
function trainingBatch({ macs }: ModelBuilder): number {
  return macs > 10e9 ? 1 : macs > 3e9 ? 4 : 8;
}

const columns = ['model', 'infers/s', 'ms', 'GFLOP/s', 'peak MB', 'batch', 'trains/s', 'GFLOP/s', 'peak MB'];
const head = columns.map((column, i) => (i === 0 ? column.padEnd(30) : column.padStart(12))).join('');

function cells({ name, macs, inference, training }: Line): string[] {
  // Of the fastest run: whatever else the machine does only ever adds time. Medians and quartiles are in the JSON.
  const infers = 1000 / inference.bestMs;
  const trains = (1000 * training.batch) / training.bestMs;
  return [
    name,
    infers.toPrecision(3),
    inference.bestMs.toPrecision(3),
    ((2 * macs * infers) / 1e9).toPrecision(3),
    inference.peakMB.toFixed(0),
    String(training.batch),
    trains.toPrecision(3),
    ((6 * macs * trains) / 1e9).toPrecision(3),
    training.peakMB.toFixed(0),
  ];
}

function toMarkdown(date: string, machine: Machine, lines: readonly Line[]): string {
  const rows = [columns, columns.map((_, i) => (i === 0 ? '---' : '--:')), ...lines.map(cells)];
  return `# The zoo, ${date}

${machine.cpu}, ${machine.threads} threads, ${machine.notes.join('; ')}; load before the run ${machine.load}.
Each network in a process of its own at its own input size: inference of one input, a training step of SGD with momentum in small batches
(three times the multiply–adds of inference), peak resident memory of the process so far, everything included. Speeds are those of the fastest run.

${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}
`;
}

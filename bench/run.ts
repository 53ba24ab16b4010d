/**
 * `npm run bench [-- words…]`: measures what the framework promises (kernels beside the FMA peak or a memcpy, a training step, its overhead,
 * the first step of a fresh process) and prints each figure with its reference, the ratio and the aim. Words choose lines that contain
 * one of them.
 *
 *   --device D    wasm, x64-avx2, x64-avx512 … (default: the environment's FOVEA_DEVICE, or auto)
 *   --threads N   threads of the device (default: one per core)
 *   --rounds N    samples per line (default 15)
 *   --details     names the kernels that each line launched
 *   --epoch       also trains one epoch of MNIST through the command line (minutes)
 *   --save        writes results/<date>-<device>.json and .md
 *   --peers       measures fovea beside the frameworks that are installed instead (peers/run.ts), with
 *     --with P,Q    only these peers
 *   --zoo         measures every network of the zoo instead (zoo.ts)
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { DeviceName } from '../src/tensor/index.js';
import { Harness } from './harness.js';
import { kernelRows, measureRow } from './kernels.js';
import { runPeers } from './peers/run.js';
import { describeMachine, formatMachine, type Line, tableHead, tableRow, toMarkdown, verdict } from './report.js';
import { trainingRows } from './training.js';
import { runZoo } from './zoo.js';

const folder = join(process.cwd(), 'bench');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string' },
    rounds: { type: 'string', default: '15' },
    details: { type: 'boolean', default: false },
    epoch: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    device: { type: 'string', default: process.env.FOVEA_DEVICE ?? 'auto' },
    with: { type: 'string' },
    zoo: { type: 'boolean', default: false },
  },
});
const chosen = (what: string) => positionals.length === 0 || positionals.some((word) => what.includes(word));

if (values.peers) {
  process.exit(
    await runPeers({
      root: process.cwd(),
      device: values.device,
      threads: Number(values.threads ?? 2),
      rounds: Number(values.rounds),
      epoch: values.epoch,
      save: values.save,
      peers: values.with?.split(','),
      chosen,
    }),
  );
}

const harness = await Harness.create({
  device: values.device as DeviceName, // openDevice says what there is
  threads: values.threads === undefined ? undefined : Number(values.threads),
  rounds: Number(values.rounds),
});
if (values.zoo) {
  await harness.target.dispose();
  process.exit(runZoo({ root: process.cwd(), device: harness.device, save: values.save, seconds: 1, chosen }));
}
const machine = describeMachine(harness.device);
console.log(formatMachine(machine));
const giga = (x: number) => (x / 1e9).toFixed(1);
console.log(
  `FMA peak ${giga((await harness.measurePeak()).median)} GFLOP/s, memcpy of 32 MiB ${giga((await harness.measureMemcpy(2 ** 25)).median)} GB/s read and written\n`,
);

const rows = [
  ...kernelRows(join(folder, 'shapes'), harness.device.name === 'wasm' ? 'wasm' : 'machine').map((row) => ({
    what: row.what,
    measure: () => measureRow(harness, row),
  })),
  ...trainingRows(harness, folder, { epoch: values.epoch }),
].filter((row) => chosen(row.what));

console.log(tableHead());
const lines: Line[] = [];
for (const row of rows) {
  let line: Line;
  try {
    line = await row.measure();
  } catch (error) {
    console.log(`${row.what.padEnd(34)} failed: ${(error as Error).message.split('\n')[0]}`);
    if (values.details) console.log((error as Error).stack);
    process.exitCode = 1;
    continue;
  }
  lines.push(line);
  console.log(tableRow(line));
  if (values.details) for (const detail of line.details ?? []) console.log(`    ${detail}`);
}
const short = lines.filter((line) => verdict(line) === false);
console.log(
  `\n${lines.length} lines, ${short.length} short of their aim${short.length > 0 ? `: ${short.map((l) => l.what).join(', ')}` : ''}`,
);

if (values.save) {
  const date = new Date().toISOString().slice(0, 10);
  mkdirSync(join(folder, 'results'), { recursive: true });
  const results = { date, machine, lines };
  const name = `${date}-${harness.device.name}`;
  writeFileSync(join(folder, 'results', `${name}.json`), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(folder, 'results', `${name}.md`), toMarkdown(results));
  console.log(`saved as bench/results/${name}.json and .md`);
}
await harness.target.dispose();

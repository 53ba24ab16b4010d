/** `npm run bench -- --peers [words]`: fovea beside the frameworks that are installed, in turns. The method stands in ../NOTES.md. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine, formatMachine } from '../report.js';
import { type Contestant, everybody, type Field, openField, peerNames } from './contestants.js';
import { measureEpoch } from './epoch.js';
import { measureMemory, measureSpeed, measureStart } from './measure.js';
import {
  epochTable,
  formatRow,
  memoryTable,
  memoryTitle,
  shortOf,
  speedTable,
  startTable,
  type TableRow,
  tableHead,
  toMarkdown,
} from './table.js';
import { inferenceRows, type PeerName, startModel, trainingRows } from './workloads.js';

export interface PeersOptions {
  /** The repository. */
  readonly root: string;
  readonly device: string;
  readonly threads: number;
  readonly rounds: number;
  readonly epoch: boolean;
  readonly save: boolean;
  /** Peers that take part; all when left out. */
  readonly peers?: readonly string[];
  /** Whether a row is wanted. */
  readonly chosen: (what: string) => boolean;
}

/** Most starts of a fresh process: each takes seconds. */
const mostStarts = 5;

/** Measures, prints and saves; the exit code says whether anything broke (staying short of an aim is no failure). */
export async function runPeers(options: PeersOptions): Promise<number> {
  const { root, device, threads, rounds, chosen } = options;
  let field: Field;
  try {
    field = await openField(device, chosenPeers(options.peers), { folder: join(root, 'bench', 'peers'), threads });
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    return 1;
  }
  const machine = describeMachine({ threads, notes: field.fovea.hello!.notes });
  console.log(`${formatMachine(machine)}\n`);
  const present = await introduce(field);
  for (const line of present) console.log(line);
  console.log(`\n${tableHead()}`);

  const start = `start of the process to the first forward of ${startModel}`;
  const epoch = 'epoch of MNIST, whole command';
  const jobs: { what: string; measure: () => Promise<TableRow> }[] = [
    ...[...trainingRows, ...inferenceRows].map((row) => ({
      what: row.what,
      measure: async () => speedTable(row, await measureSpeed(row, field, rounds)),
    })),
    ...trainingRows.map((row) => ({
      what: memoryTitle(row.what),
      measure: async () => memoryTable(row, await measureMemory(row, field)),
    })),
    {
      what: start,
      measure: async () => startTable(start, await measureStart(startModel, field, Math.min(rounds, mostStarts))),
    },
    ...(options.epoch
      ? [{ what: epoch, measure: async () => epochTable(epoch, await measureEpoch(root, field, { device, threads })) }]
      : []),
  ];
  const rows: TableRow[] = [];
  for (const { what, measure } of jobs.filter((job) => chosen(job.what))) {
    const row = await measure().catch((error: Error) => ({
      what: `${what}: failed, ${error.message}`,
      lines: [],
      failed: true,
    }));
    rows.push(row);
    console.log(formatRow(row));
  }
  for (const contestant of everybody(field)) contestant.end();

  const short = shortOf(rows);
  const failed = rows.filter((row) => row.failed);
  console.log(
    `\n${rows.length} rows${short.length > 0 ? `; short of the aim:\n  ${short.join('\n  ')}` : ', none short of an aim'}`,
  );
  if (failed.length > 0) console.log(`failed:\n  ${failed.map((row) => row.what).join('\n  ')}`);
  if (options.save) {
    const date = new Date().toISOString().slice(0, 10);
    const name = join(root, 'bench', 'results', `${date}-peers`);
    mkdirSync(join(root, 'bench', 'results'), { recursive: true });
    writeFileSync(`${name}.json`, `${JSON.stringify({ date, machine, contestants: present, rows }, null, 1)}\n`);
    const preface = [...formatMachine(machine).split('\n'), '', ...present.map((line) => `- ${line}`), '', explanation];
    writeFileSync(`${name}.md`, toMarkdown(`fovea beside its peers, ${date}`, preface, rows));
    console.log(`saved as bench/results/${date}-peers.json and .md`);
  }
  return failed.length > 0 ? 1 : 0;
}

const explanation =
  'Median of samples taken in turns; ± is half the distance between the quartiles, best the tenth of the steps that were fastest. The ratio is ' +
  "the peer's time over fovea's (memory: fovea's over the peer's). `npm run bench -- --peers --save` makes this file.";

/** A line about each contestant: its version and how it runs, or why it takes no part. */
async function introduce(field: Field): Promise<string[]> {
  const lines: string[] = [];
  for (const contestant of everybody(field)) lines.push(await introduction(contestant));
  return lines;
}

async function introduction(contestant: Contestant): Promise<string> {
  try {
    const { hello } = await contestant.process();
    return contestant.peer === null
      ? `${contestant.label}: ${hello.notes.join('; ')}`
      : `${contestant.name} ${hello.version}: ${hello.notes.join('; ')}`;
  } catch (error) {
    return `${contestant.name} takes no part: ${(error as Error).message}`;
  }
}

/** @throws for a name that is no peer's. */
function chosenPeers(names: readonly string[] | undefined): PeerName[] {
  const unknown = (names ?? []).filter((name) => !(peerNames as readonly string[]).includes(name));
  if (unknown.length > 0) throw new Error(`there is no peer '${unknown[0]}'; the peers are ${peerNames.join(', ')}`);
  return peerNames.filter((name) => names === undefined || names.includes(name));
}

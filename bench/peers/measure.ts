/**
 * The measurements. Contestants take turns, A B C A B C …, some 150 ms each, so that a busy machine weighs on all alike; a ratio is the median
 * over these rounds. What takes seconds (jax-js) takes part in the first rounds only.
 */

import { quantile, type Spread, spread } from '../statistics.js';
import { type Contestant, everybody, type Field, rivalOf } from './contestants.js';
import { Cannot, PeerProcess } from './peer.js';
import type { SpeedRow, Workload } from './workloads.js';

export interface Timing {
  readonly name: string;
  readonly milliseconds: Spread;
  /** The tenth part of all steps that were fastest took less: what the machine gives when nobody disturbs. */
  readonly best: number;
  /** How many times the contestant's speed fovea has; and which fovea. */
  readonly ratio?: Spread;
  /** The same of the two best times. */
  readonly bestRatio?: number;
  readonly beside?: string;
  /** Greatest difference of its output from the reference's, over the reference's greatest value. */
  readonly difference?: number;
  readonly params?: number;
}

export interface Absent {
  readonly name: string;
  readonly reason: string;
  /** Something went wrong, rather than that it is not there or not meant for this. */
  readonly failed: boolean;
}

export interface SpeedResult {
  readonly timings: readonly Timing[];
  readonly absent: readonly Absent[];
  /** Whose output the others' are compared with. */
  readonly reference?: string;
  /** Processor time that waiting contestants used while another was measured, as a share of one core. */
  readonly idleShare: number | null;
}

const sampleMs = 150;
const warmUpMs = 1000;
/** Who has used this much time in a row sits out its further rounds. */
const budgetMs = 10_000;

/** How many steps make a sample. */
export function stepsPerSample(stepMs: number): number {
  return Math.max(1, Math.min(50, Math.round(sampleMs / stepMs)));
}

/** Ratios of two contestants' samples, round by round, as far as both took part. */
export function ratios(theirs: readonly number[], ours: readonly number[]): number[] {
  return theirs.slice(0, ours.length).map((t, i) => t / ours[i]);
}

/** max |a − b| / max |b|; infinite when lengths differ or a value is no number. */
export function relativeDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  if (![...a, ...b].every(Number.isFinite)) return Number.POSITIVE_INFINITY;
  const greatest = (values: readonly number[]) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return greatest(a.map((x, i) => x - b[i])) / greatest(b);
}

interface Entrant {
  readonly contestant: Contestant;
  readonly process: PeerProcess;
  readonly params?: number;
  /** Steps in a sample. */
  readonly times: number;
  /** The median of each round, and all steps. */
  readonly samples: number[];
  readonly steps: number[];
  spentMs: number;
}

export async function measureSpeed({ workload }: SpeedRow, field: Field, rounds: number): Promise<SpeedResult> {
  const absent: Absent[] = [];
  const leave = (contestant: Contestant, error: unknown) => absent.push(absence(contestant, error));
  let entrants: Entrant[] = [];
  for (const contestant of everybody(field)) {
    try {
      entrants.push(await enter(contestant, workload));
    } catch (error) {
      leave(contestant, error);
    }
  }
  const idle = new IdleTime(entrants);
  for (let round = 0; round < rounds; round++) {
    for (const entrant of entrants.filter((e) => e.spentMs < budgetMs)) {
      try {
        const ms = await idle.during(entrant, () => entrant.process.run(entrant.times));
        entrant.samples.push(quantile(ms, 0.5));
        entrant.steps.push(...ms);
        entrant.spentMs += ms.reduce((sum, t) => sum + t, 0);
      } catch (error) {
        leave(entrant.contestant, error);
        entrants = entrants.filter((e) => e !== entrant);
      }
    }
  }
  const outputs = workload.kind === 'infer' ? await outputsOf(entrants) : new Map<Entrant, readonly number[]>();
  for (const { process } of entrants) await process.release().catch(() => {});
  const reference = entrants.find((e) => e.contestant.peer !== null && outputs.has(e));
  const timings = entrants.map((entrant): Timing => {
    const { contestant, samples, steps, params } = entrant;
    const rival = entrants.find((e) => e.contestant === rivalOf(contestant, field));
    const output = outputs.get(entrant);
    return {
      name: contestant.label,
      milliseconds: spread(samples),
      best: best(steps),
      params,
      ...(contestant.peer !== null && rival !== undefined
        ? {
            ratio: spread(ratios(samples, rival.samples)),
            bestRatio: best(steps) / best(rival.steps),
            beside: rival.contestant.label,
          }
        : {}),
      ...(reference !== undefined && reference !== entrant && output !== undefined
        ? { difference: relativeDifference(output, outputs.get(reference)!) }
        : {}),
    };
  });
  return { timings, absent, reference: reference?.contestant.label, idleShare: idle.share() };
}

function best(steps: readonly number[]): number {
  return quantile(steps, 0.1);
}

/** Prepares the work and does it until it runs at its usual speed. */
async function enter(contestant: Contestant, workload: Workload): Promise<Entrant> {
  const process = await contestant.process();
  const { params } = await process.prepare(workload);
  const start = performance.now();
  let [stepMs] = await process.run(1);
  // What takes long compiles in its first step: one more tells how fast it is, and that is warm enough.
  do stepMs = quantile(await process.run(stepsPerSample(stepMs)), 0.5);
  while (performance.now() - start < warmUpMs);
  return { contestant, process, params, times: stepsPerSample(stepMs), samples: [], steps: [], spentMs: 0 };
}

async function outputsOf(entrants: readonly Entrant[]): Promise<Map<Entrant, readonly number[]>> {
  const outputs = new Map<Entrant, readonly number[]>();
  for (const entrant of entrants) outputs.set(entrant, await entrant.process.output());
  return outputs;
}

export function absence(contestant: { readonly label: string }, error: unknown): Absent {
  const failed = !(error instanceof Cannot);
  const message = (error as Error).message.split('\n')[0];
  return { name: contestant.label, reason: failed ? `failed: ${message}` : message, failed };
}

/** Watches that those who wait do not take the cores from the one that is measured. */
class IdleTime {
  private idleMs = 0;
  private wallMs = 0;
  private known = true;

  constructor(private readonly entrants: readonly Entrant[]) {}

  async during<T>(measured: Entrant, work: () => Promise<T>): Promise<T> {
    const others = this.entrants.filter((e) => e !== measured);
    const before = others.map((e) => e.process.cpuMs());
    const start = performance.now();
    const result = await work();
    this.wallMs += performance.now() - start;
    others.forEach((e, i) => {
      const [was, is] = [before[i], e.process.cpuMs()];
      if (was === null || is === null) this.known = false;
      else this.idleMs += is - was;
    });
    return result;
  }

  share(): number | null {
    return this.known && this.wallMs > 0 ? this.idleMs / this.wallMs : null;
  }
}

export interface MemoryResult {
  /** By how much resident memory grew at most, over what it was before the model was built. */
  readonly growth: readonly { readonly name: string; readonly bytes: number }[];
  readonly absent: readonly Absent[];
  /** fovea's over PyTorch's. */
  readonly ratio: number | null;
}

const memorySteps = 5;

/** Each in a fresh process: framework loaded, resident memory read; model, data and five steps; the peak of resident memory since. */
export async function measureMemory({ workload }: SpeedRow, { fovea, peers }: Field): Promise<MemoryResult> {
  const growth: { name: string; bytes: number; peer: boolean }[] = [];
  const absent: Absent[] = [];
  for (const contestant of [fovea, ...peers.filter((p) => p.peer === 'pytorch')]) {
    let process: PeerProcess | null = null;
    try {
      process = await contestant.fresh();
      process.forgetPeak();
      const before = process.memory();
      if (before === null) throw new Cannot('peak memory is read from /proc, which this system does not have');
      await process.prepare(workload);
      await process.run(memorySteps);
      const bytes = process.memory()!.peakBytes - before.residentBytes;
      growth.push({ name: contestant.label, bytes, peer: contestant.peer !== null });
    } catch (error) {
      absent.push(absence(contestant, error));
    } finally {
      process?.end();
    }
  }
  const [ours, theirs] = [growth.find((g) => !g.peer), growth.find((g) => g.peer)];
  const ratio = ours !== undefined && theirs !== undefined ? ours.bytes / theirs.bytes : null;
  return { growth: growth.map(({ name, bytes }) => ({ name, bytes })), absent, ratio };
}

export interface StartResult {
  readonly timings: readonly {
    readonly name: string;
    readonly seconds: Spread;
    /** When each part was done, in milliseconds since the process began, as the process tells it. */
    readonly parts?: Readonly<Record<string, number>>;
  }[];
  readonly absent: readonly Absent[];
}

const startTimeoutMs = 120_000;

/** From the start of a fresh process until it says that its first forward is done. */
export async function measureStart(model: string, { fovea, peers }: Field, rounds: number): Promise<StartResult> {
  let starters = [fovea, ...peers.filter((p) => p.peer === 'pytorch')].map((contestant) => ({
    contestant,
    seconds: [] as number[],
    parts: undefined as Readonly<Record<string, number>> | undefined,
  }));
  const absent: Absent[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const starter of [...starters]) {
      const start = performance.now();
      const process = new PeerProcess(starter.contestant.commandWith('--first-forward', model));
      try {
        const answer = await process.answer(startTimeoutMs);
        const seconds = (performance.now() - start) / 1000;
        if ('cannot' in answer) throw new Cannot(answer.cannot);
        if (!('first' in answer) || !answer.first.finite) throw new Error('the first forward gave no numbers');
        starter.seconds.push(seconds);
        starter.parts = answer.first.parts;
      } catch (error) {
        absent.push(absence(starter.contestant, error));
        starters = starters.filter((s) => s !== starter);
      } finally {
        process.end();
      }
    }
  }
  const timings = starters.map(({ contestant, seconds, parts }) => ({
    name: contestant.label,
    seconds: spread(seconds),
    parts,
  }));
  return { timings, absent };
}

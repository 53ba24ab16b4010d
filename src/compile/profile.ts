/**
 * Where a step's time goes: each kernel's time beside what the machine could do (the roofline of Williams, Waterman and Patterson 2009,
 * doi:10.1145/1498765.1498785). A kernel is as good as it can be when it reaches either the peak of multiply-adds or that of memory.
 */

import type { CompiledStep } from './pipeline.js';
import { describe, type PlanRow, type PlanTotals } from './plan.js';

/** What the machine can do at most, measured beside the kernels. */
export interface Peaks {
  /** Floating-point operations a second; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes read and written a second, by a copy that does not fit the caches. */
  readonly bytes: number;
}

export interface ProfileRow extends PlanRow {
  readonly ms: number;
  /** Of the time of the whole step. */
  readonly share: number;
  readonly gflops: number;
  /** Of the distinct operands; caches may serve them faster than memory could. */
  readonly gbytes: number;
  readonly ofComputePeak: number;
  readonly ofMemoryPeak: number;
  /** Which peak it comes nearer to. */
  readonly bound: 'compute' | 'memory';
}

export interface Profile {
  readonly rows: readonly ProfileRow[];
  readonly totals: PlanTotals & { readonly ms: number; readonly gflops: number; readonly gbytes: number };
  readonly peaks: Peaks;
}

/** `samples`: for each run of the step, milliseconds of each launch. The median of a launch's times is taken. */
export function profileOf(step: CompiledStep, samples: readonly ArrayLike<number>[], peaks: Peaks): Profile {
  const { rows, totals } = describe(step);
  const times = rows.map((_, i) => median(samples.map((sample) => sample[i])));
  const total = times.reduce((sum, ms) => sum + ms, 0);
  const rate = (amount: number, ms: number) => (ms > 0 ? amount / ms / 1e6 : 0);
  const profiled = rows.map((row, i): ProfileRow => {
    const ms = times[i];
    const gflops = rate(2 * row.macs, ms);
    const gbytes = rate(row.readBytes + row.writtenBytes, ms);
    const [ofComputePeak, ofMemoryPeak] = [(gflops * 1e9) / peaks.flops, (gbytes * 1e9) / peaks.bytes];
    return {
      ...row,
      ms,
      share: total > 0 ? ms / total : 0,
      gflops,
      gbytes,
      ofComputePeak,
      ofMemoryPeak,
      bound: ofComputePeak >= ofMemoryPeak ? 'compute' : 'memory',
    };
  });
  return {
    rows: profiled,
    totals: {
      ...totals,
      ms: total,
      gflops: rate(2 * totals.macs, total),
      gbytes: rate(totals.readBytes + totals.writtenBytes, total),
    },
    peaks,
  };
}

/**
 * The step as a file for chrome://tracing or ui.perfetto.dev (Trace Event Format, Google 2016: complete events, times in microseconds):
 * one track for the kernels, one for the part of the model that each belongs to.
 */
export function traceEvents(name: string, { rows, peaks }: Profile): { readonly traceEvents: readonly object[] } {
  const [process, kernels, modules] = [1, 1, 2];
  const meta = (what: string, tid: number, value: string) => ({
    ph: 'M',
    pid: process,
    tid,
    name: what,
    args: { name: value },
  });
  const events: object[] = [
    meta('process_name', kernels, `fovea: ${name}`),
    meta('thread_name', kernels, 'kernels'),
    meta('thread_name', modules, 'modules'),
  ];
  let now = 0;
  let open: { name: string; ts: number; dur: number } | null = null;
  const close = () => {
    if (open !== null) events.push({ ph: 'X', pid: process, tid: modules, ...open });
    open = null;
  };
  for (const row of rows) {
    const dur = row.ms * 1000;
    events.push({
      ph: 'X',
      pid: process,
      tid: kernels,
      name: row.title,
      ts: now,
      dur,
      args: {
        kernel: row.kernel,
        modules: row.modules.join(', '),
        reads: row.reads,
        writes: row.writes,
        'GFLOP/s': round(row.gflops),
        'GB/s': round(row.gbytes),
        'of compute peak': percent(row.ofComputePeak),
        'of memory peak': percent(row.ofMemoryPeak),
      },
    });
    const module = row.modules[0] ?? '';
    if (open !== null && open.name === module) open.dur += dur;
    else {
      close();
      if (module !== '') open = { name: module, ts: now, dur };
    }
    now += dur;
  }
  close();
  events.push({
    ph: 'I',
    pid: process,
    tid: kernels,
    ts: now,
    s: 'p',
    name: `peaks: ${round(peaks.flops / 1e9)} GFLOP/s, ${round(peaks.bytes / 1e9)} GB/s`,
  });
  return { traceEvents: events };
}

const round = (x: number): number => Math.round(x * 10) / 10;
const percent = (share: number): string => `${Math.round(100 * share)} %`;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

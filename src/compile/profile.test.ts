/** What a profile makes of measured times, and the trace file it writes. */

import { expect, test } from 'vitest';
import type { CompiledStep } from './pipeline.js';
import { profileOf, traceEvents } from './profile.js';

/** Two launches: one that multiplies, one that copies. */
const step = {
  launches: [
    launch('gemm', 4_000_000, 1000, 500, 'fc1'),
    launch('copy', 0, 3_000_000, 1_000_000, 'fc1'),
    launch('copy', 0, 0, 0, null),
  ],
  program: { arenaBytes: 64 },
  resident: [],
} as unknown as CompiledStep;

function launch(title: string, macs: number, readBytes: number, writtenBytes: number, scope: string | null) {
  const place = (sizeBytes: number) => ({ node: null, layout: { order: [] }, sizeBytes });
  return {
    kernel: { name: title },
    title,
    macs,
    nodes: [{ scope }],
    args: [
      { place: place(readBytes), writes: false },
      { place: place(writtenBytes), writes: true },
    ],
  };
}

const peaks = { flops: 16e9, bytes: 8e9 };
const samples = [
  [1, 2, 0],
  [9, 1, 0],
  [1, 1, 0],
];

test('each kernel has its median time, its share, and its distance from the nearer peak', () => {
  const { rows, totals } = profileOf(step, samples, peaks);
  expect(rows.map((r) => r.ms)).toEqual([1, 1, 0]);
  expect(rows.map((r) => r.share)).toEqual([0.5, 0.5, 0]);
  expect(rows[0]).toMatchObject({ gflops: 8, ofComputePeak: 0.5, bound: 'compute' });
  expect(rows[1]).toMatchObject({ gflops: 0, gbytes: 4, ofMemoryPeak: 0.5, bound: 'memory' });
  expect(rows[2]).toMatchObject({ gflops: 0, gbytes: 0, ofMemoryPeak: 0 });
  expect(totals).toMatchObject({ ms: 2, gflops: 4, kernels: 3 });
});

test('an even number of runs gives the mean of the middle two', () => {
  expect(profileOf(step, [[1, 1, 0], [2, 4, 0]], peaks).rows.map((r) => r.ms)).toEqual([1.5, 2.5, 0]); // biome-ignore format: one thought
});

test('the trace has a bar for each kernel, one after another, and one for each run of kernels of a module', () => {
  const { traceEvents: events } = traceEvents('net', profileOf(step, samples, peaks)) as {
    traceEvents: { ph: string; tid: number; name: string; ts: number; dur: number }[];
  };
  const bars = (tid: number) =>
    events.filter((e) => e.ph === 'X' && e.tid === tid).map(({ name, ts, dur }) => [name, ts, dur]);
  expect(bars(1)).toEqual([
    ['gemm', 0, 1000],
    ['copy', 1000, 1000],
    ['copy', 2000, 0],
  ]);
  expect(bars(2)).toEqual([['fc1', 0, 2000]]);
  expect(events.find((e) => e.ph === 'I')!.name).toBe('peaks: 16 GFLOP/s, 8 GB/s');
});

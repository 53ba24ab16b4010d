/** The bench's own arithmetic, its reading of shapes, its verdicts; and that what it times is what the framework computes. */

import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Harness, held, recordStep } from '../../bench/harness.js';
import { kernelRows } from '../../bench/kernels.js';
import { memcpyProgram } from '../../bench/memcpy.js';
import { cells, describeMachine, type Line, toMarkdown, verdict } from '../../bench/report.js';
import { aimOf, numberOf, parseShapes, shapeOf } from '../../bench/shapes.js';
import { alternatingRatios, meets, quantile, relativeSpread, repeatsFor, spread } from '../../bench/statistics.js';
import { devicesHere } from '../devices-here.js';

describe('statistics', () => {
  it('interpolates quantiles between neighbours, whatever the order', () => {
    expect(quantile([5, 1, 3], 0.5)).toBe(3);
    expect(quantile([4, 1, 2, 3], 0.5)).toBe(2.5);
    expect(quantile([0, 10], 0.25)).toBe(2.5);
    expect(quantile([7], 0.75)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
    expect(spread([1, 2, 3, 4, 5])).toEqual({ median: 3, low: 2, high: 4, samples: 5 });
    expect(relativeSpread(spread([8, 9, 10, 11, 12]))).toBe(0.1);
  });

  it('keeps quantiles between the extremes and in order', () => {
    const samples = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(samples, (xs) => {
        const { low, median, high } = spread(xs);
        expect(low).toBeGreaterThanOrEqual(Math.min(...xs));
        expect(median).toBeGreaterThanOrEqual(low);
        expect(high).toBeGreaterThanOrEqual(median);
        expect(high).toBeLessThanOrEqual(Math.max(...xs));
      }),
    );
  });

  it('compares work with the reference on both sides of it, so that a drift cancels', () => {
    expect(alternatingRatios([4], [1, 3])).toEqual([2]);
    // Everything slows down evenly; work always takes twice as long as the reference would at that moment.
    const slowdown = (moment: number) => 1 + 0.1 * moment;
    const work = [1, 3, 5].map((moment) => 2 * slowdown(moment));
    const reference = [0, 2, 4, 6].map(slowdown);
    for (const ratio of alternatingRatios(work, reference)) expect(ratio).toBeCloseTo(2, 12);
    expect(() => alternatingRatios([1, 2], [1, 1])).toThrow('2 samples need 3 of the reference, not 2');
  });

  it('repeats short work until it lasts, and long work once', () => {
    expect(repeatsFor(2, 20, 200)).toBe(10);
    expect(repeatsFor(70, 20, 200)).toBe(1);
    expect(repeatsFor(0.001, 20, 200)).toBe(200);
  });

  it('meets an aim at its very value', () => {
    expect([0.64, 0.65, 0.66].map((x) => meets({ kind: 'at least', value: 0.65 }, x))).toEqual([false, true, true]);
    expect([1.4, 1.5, 1.6].map((x) => meets({ kind: 'at most', value: 1.5 }, x))).toEqual([true, true, false]);
  });
});

describe('shapes', () => {
  it('are read with their aims', () => {
    const [a, b] = parseShapes(
      '# title\n\nfirst  x=2x3x4  pad=1  forward=65%  data=1.5x  weight=- # why\nsecond x=7\n',
      'f.txt',
    );
    expect([a.name, b.name]).toEqual(['first', 'second']);
    expect(shapeOf(a, 'x')).toEqual([2, 3, 4]);
    expect(shapeOf(b, 'x')).toEqual([7]);
    expect([numberOf(a, 'pad'), numberOf(b, 'pad', 0)]).toEqual([1, 0]);
    expect(aimOf(a, 'forward')).toEqual({ against: 'peak', value: 0.65 });
    expect(aimOf(a, 'data')).toEqual({ against: 'memcpy', value: 1.5 });
    expect(aimOf(a, 'weight', 'memcpy')).toEqual({ against: 'memcpy', value: null });
    expect(aimOf(b, 'forward')).toBeNull();
  });

  it('may have an aim for WebAssembly and another for machine code', () => {
    const [a] = parseShapes('a  forward=65%|85%  data=-|1.3x  weight=2x|3x|4x', 'f.txt');
    const values = (key: string) => (['wasm', 'machine'] as const).map((code) => aimOf(a, key, 'peak', code)!.value);
    expect(values('forward')).toEqual([0.65, 0.85]);
    expect(values('data')).toEqual([null, 1.3]);
    expect(() => aimOf(a, 'weight')).toThrow('a: weight takes at most two aims, for WebAssembly and for machine code');
  });

  it('say which line or value is wrong', () => {
    expect(() => parseShapes('a x=1\nb x', 'f.txt')).toThrow('f.txt:2: "x" is not key=value');
    const [c] = parseShapes('c x=2xx3 n=q aim=65', 'f.txt');
    expect(() => shapeOf(c, 'x')).toThrow('c: x must be a shape like 16x64x56x56; got 2xx3');
    expect(() => numberOf(c, 'n')).toThrow('c: n must be a number; got q');
    expect(() => aimOf(c, 'aim')).toThrow('c: aim must be an aim like 65% or 1.5x, or -; got 65');
  });

  it('of the repository give rows with known operation and byte counts', () => {
    const rows = kernelRows(fileURLToPath(new URL('../../bench/shapes', import.meta.url)), 'wasm');
    const row = (what: string) => rows.find((r) => r.what === what)!;
    expect(row('conv resnet-14 forward').macs).toBe(16 * 14 * 14 * 256 * 256 * 9);
    expect(row('conv classic-1 forward').macs).toBe(64 * 26 * 26 * 32 * 9);
    expect(row('conv depthwise-56 forward').macs).toBe(16 * 144 * 56 * 56 * 9);
    expect(row('conv depthwise-56 forward').bytes).toBe(4 * (2 * 16 * 144 * 56 * 56 + 144 * 9));
    expect(row('max-pool-2 forward').bytes).toBe(4 * 64 * 64 * (24 * 24 + 12 * 12));
    expect(row('matmul square 1024×1024×1024').macs).toBe(2 ** 30);
    expect(new Set(rows.map((r) => r.what)).size).toBe(rows.length);
  });
});

describe('results', () => {
  const line: Line = {
    group: 'conv',
    what: 'conv x forward',
    value: spread([50, 52, 54]),
    unit: 'GFLOP/s',
    milliseconds: spread([3, 3.1, 3.2]),
    reference: { what: 'FMA peak', value: spread([70]) },
    ratio: spread([0.7, 0.75, 0.8]),
    aim: { kind: 'at least', value: 0.65, of: 'ratio' },
  };

  it('are judged by the median of what the aim is about', () => {
    expect(verdict(line)).toBe(true);
    expect(verdict({ ...line, aim: { kind: 'at least', value: 0.76, of: 'ratio' } })).toBe(false);
    expect(verdict({ ...line, aim: { kind: 'at least', value: 53, of: 'value' } })).toBe(false);
    expect(verdict({ ...line, aim: undefined })).toBeNull();
  });

  it('are printed with time, rate, reference, ratio and aim', () => {
    expect(cells(line)).toEqual([
      'conv x forward',
      '3.10 ms',
      '52.0 GFLOP/s',
      '2 %',
      '70.0 peak',
      '75 %',
      '3 %',
      '≥ 65 %',
      'ok',
    ]);
    const slow = { ...line, reference: { what: 'memcpy' as const, value: spread([20]) }, ratio: spread([2.25]) };
    expect(cells({ ...slow, aim: { kind: 'at most', value: 1.5, of: 'ratio' } }).slice(4)).toEqual([
      '20.0 memcpy',
      '2.25×',
      '',
      '≤ 1.50×',
      'SHORT',
    ]);
  });

  it('are saved with the facts of the machine that matter, and no others', () => {
    const machine = {
      cpu: 'CPU',
      cores: 2,
      memoryGiB: 8,
      node: '20',
      v8: '11',
      threads: 2,
      notes: ['a team'],
      load: 0.1,
    };
    const text = toMarkdown({ date: '2026-01-02', machine, lines: [line] });
    expect(text).toContain('| conv x forward | 3.10 ms | 52.0 GFLOP/s | 2 % | 70.0 peak | 75 % | 3 % | ≥ 65 % | ok |');
    expect(Object.keys(describeMachine({ threads: 2, notes: [] }))).toEqual(Object.keys(machine));
  });
});

describe.each(devicesHere)('measuring on $name', ({ name }) => {
  let harness: Harness | null = null;
  afterAll(() => harness?.target.dispose());

  it('runs recorded work and its references, and gives back what it took', async () => {
    harness = await Harness.create({ device: name, threads: 2, rounds: 2 });
    const before = harness.device.usedBytes;
    const step = await recordStep(harness.target, () => held([64, 64]).assign(held([64, 64]).matmul(held([64, 64]))));
    expect(step.compiled.launches).toHaveLength(1);
    const measured = await harness.againstPeak(step, 2 * 64 ** 3);
    expect(step.repeats).toBeGreaterThan(1);
    expect(measured.ratio.median).toBeGreaterThan(0);
    expect(measured.ratio.median).toBeLessThan(4); // far above the peak: work that was not done
    const copied = await recordStep(harness.target, () => held([100_000]).assign(held([100_000]).add(held([100_000]))));
    expect((await harness.againstMemcpy(copied, 1_200_000)).ratio.median).toBeGreaterThan(0.3);
    // The arena stays; it is shared by all programs.
    expect(harness.device.usedBytes - before).toBeLessThan(64 * 1024);
  }, 30_000);

  it('copies all there is to copy', async () => {
    const { device } = harness!;
    const bytes = 64 * device.threads * 1000;
    const slots = Int32Array.of(0, device.alloc(bytes), device.alloc(bytes));
    device.f32(slots[1], bytes / 4).forEach((_, i, all) => {
      all[i] = i;
    });
    device.bytes(slots[2], bytes).fill(0);
    await device.run(await device.load(await memcpyProgram(device, bytes, 3)), slots);
    expect(device.f32(slots[2], bytes / 4)).toEqual(device.f32(slots[1], bytes / 4));
  });

  it('repeats work under task counters of its own each time', async () => {
    // Adding one in place: after r repetitions every element has grown by r, unless a repetition found no tasks left.
    const step = await recordStep(harness!.target, () => {
      const x = held([4096]);
      x.assign(x.add(1));
    });
    const grown = await harness!.effectOf(step, 5);
    expect(grown).toEqual(new Float32Array(4096).fill(5));
  });
});

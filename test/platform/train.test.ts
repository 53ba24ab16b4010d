/** The same training gives the same bits: with any number of threads, in Node and in a page, with shared memory and without. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { devicesHere } from '../devices-here.js';
import { Chromium, noChromium } from './chromium.js';
import { lossesOf, type TrainingReport, train } from './training.js';

const fiftySteps = { steps: 50, net: 'plain' } as const;

describe.each(devicesHere)('training in Node on $name', ({ name }) => {
  test('with batch norm, dropout and pooling: 1, 2 and 3 threads give the same bits', async () => {
    const options = { device: name, steps: 6, net: 'regularised' } as const;
    const reports = [await train({ ...options, threads: 1 })];
    for (const threads of [2, 3]) reports.push(await train({ ...options, threads }));
    expect(reports.map((r) => r.threads)).toEqual([1, 2, 3]);
    const [first, ...others] = reports;
    expect(lossesOf(first).every((l) => l > 0 && l < 10)).toBe(true);
    for (const other of others) {
      expect(other.lossBits).toEqual(first.lossBits);
      expect(other.stateHash).toBe(first.stateHash);
    }
  });
});

describe('training in a page', () => {
  let chromium: Chromium | null = null;
  let inNode: TrainingReport;
  beforeAll(async () => {
    chromium = await Chromium.launchIfPresent();
    inNode = await train({ ...fiftySteps, threads: 2 });
  });
  afterAll(() => chromium?.close());

  const runInPage = (isolated: boolean) =>
    chromium!.run<TrainingReport>('test/platform/train.page.ts', { isolated, args: { ...fiftySteps, threads: 2 } });

  test('that is cross-origin isolated: a team of workers learns what Node learns, to the bit', async ({ skip }) => {
    if (chromium === null) return skip(noChromium);
    const report = await runInPage(true);
    expect(report.threads).toBe(2);
    expectLearned(report);
    expectSame(report, inNode);
  });

  test('that is not isolated: the page alone learns the same', async ({ skip }) => {
    if (chromium === null) return skip(noChromium);
    const report = await runInPage(false);
    expect(report.threads).toBe(1);
    expectLearned(report);
    expectSame(report, inNode);
  });
});

function expectLearned(report: TrainingReport): void {
  const losses = lossesOf(report);
  expect(losses).toHaveLength(50);
  expect(losses[0]).toBeGreaterThan(1); // four classes by chance: ln 4 ≈ 1.39
  expect(Math.max(...losses.slice(-5))).toBeLessThan(0.2);
}

/**
 * Bit by bit where both engines multiply and add in one rounding, or both in two; else only nearly, because relaxed SIMD leaves the choice to
 * the engine and rounding differs from the first step on.
 */
function expectSame(page: TrainingReport, node: TrainingReport): void {
  const fused = (report: TrainingReport) => report.notes.some((note) => note.includes('fused multiply-add'));
  if (fused(page) === fused(node)) {
    expect(page.lossBits).toEqual(node.lossBits);
    expect(page.stateHash).toBe(node.stateHash);
  } else {
    const [a, b] = [lossesOf(page), lossesOf(node)];
    a.forEach((loss, i) => {
      expect(Math.abs(loss - b[i]), `step ${i}`).toBeLessThan(0.02);
    });
  }
}

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chromium, noChromium } from './chromium.js';
import type { DeviceReport } from './device.page.js';

const ENTRY = 'test/platform/device.page.ts';

describe('the WebAssembly device in a page', () => {
  let chromium: Chromium | null = null;
  beforeAll(async () => {
    chromium = await Chromium.launchIfPresent();
  });
  afterAll(() => chromium?.close());

  test('that is cross-origin isolated: a team of workers computes, and outlives a trap', async ({ skip }) => {
    if (chromium === null) return skip(noChromium);
    const report = await chromium.run<DeviceReport>(ENTRY, { isolated: true, args: { threads: 3 } });
    expect(report).toMatchObject({
      isolated: true,
      threads: 3,
      features: { relaxedSimd: true, threads: true },
      note: '3 threads, a team of workers on shared memory',
      wrong: 0,
      wrongAfterTrap: 0,
    });
    expect(report.trap).toMatch(/^wasm: the run of divide failed: divide by zero \(thread \d of 3\)/);
    expect(report.medianRunMs).toBeLessThan(5); // a bound against sleeping barriers, not a measurement
  });

  test('by default there is a thread for each core', async ({ skip }) => {
    if (chromium === null) return skip(noChromium);
    const { threads, cores } = await chromium.run<DeviceReport>(ENTRY, { isolated: true, args: {} });
    expect(threads).toBe(cores);
  });

  test('that is not isolated: the page computes alone, and the notes say how to change that', async ({ skip }) => {
    if (chromium === null) return skip(noChromium);
    const report = await chromium.run<DeviceReport>(ENTRY, { isolated: false, args: { threads: 3 } });
    expect(report).toMatchObject({
      isolated: false,
      threads: 1,
      features: { relaxedSimd: true, threads: false },
      wrong: 0,
      wrongAfterTrap: 0,
    });
    expect(report.note).toContain('Cross-Origin-Opener-Policy: same-origin');
    expect(report.trap).toMatch(/^wasm: the run of divide failed: divide by zero/);
  });

  test('that forbids workers: the page computes alone', async ({ skip }) => {
    if (chromium === null) return skip(noChromium);
    const report = await chromium.run<DeviceReport>(ENTRY, {
      isolated: true,
      args: { threads: 3 },
      headers: { 'Content-Security-Policy': "script-src 'self' 'wasm-unsafe-eval'" },
    });
    expect(report).toMatchObject({ isolated: true, threads: 1, wrong: 0, wrongAfterTrap: 0 });
    expect(report.note).toContain('the team did not start');
  });
});

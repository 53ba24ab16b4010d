/** `fovea eval` as users meet it: other pictures, views, JSON, and a report on disk. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, last } from '../../test/command.js';

let command: Command;
beforeAll(async () => {
  command = await Command.build();
  const limits = ['--limit', '160', '--test-limit', '60', '--epochs', '2', '--batch-size', '16'];
  const trained = await command.run('train', 'mnist', '--model', 'lenet5', ...limits, '--out', 'runs/a');
  expect([trained.code, trained.err]).toEqual([0, '']);
}, 120_000);
afterAll(() => command.remove());

const fovea = (...args: string[]) => command.run(...args);

describe('fovea eval', () => {
  it('measures, lists mistakes, and writes a report that stands alone', async () => {
    const { code, out, err } = await fovea('eval', 'runs/a', '--html', 'report.html', '--mistakes', '3');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^test accuracy {2}\d+\.\d\d %/);
    expect(out).toMatch(/^calibration {4}error \d+\.\d\d % \(ECE\), mean confidence \d+\.\d\d %/m);
    expect(out).toMatch(/surest mistakes\n.*\n(.* number \d+\n){3}/);
    expect(out).toMatch(/report: report\.html \([\d.]+ kB; opens in any browser\)/);
    const page = await readFile(join(command.folder, 'report.html'), 'utf8');
    expect(page.length).toBeLessThan(3e6);
    const { document } = parseHTML(page);
    expect(document.querySelector('h1')!.textContent).toContain('lenet5');
    expect(document.querySelectorAll('#training svg.plot').length).toBe(3);
    expect(document.querySelectorAll('.pic.small').length).toBeGreaterThan(3);
    expect(document.querySelector('pre')!.textContent).toMatch(
      /^fovea train mnist --model lenet5 .*--epochs 2 .*--seed 0 --out runs\/a\nfovea eval runs\/a$/,
    );
  });

  it('takes other pictures by place or by option, and averages over views', async () => {
    const own = last((await fovea('eval', 'runs/a', '--json')).out);
    const named = last((await fovea('eval', 'runs/a', 'mnist', '--limit', '60', '--json')).out);
    const viewed = last(
      (await fovea('eval', 'runs/a', '--data', 'mnist', '--limit', '60', '--tta', 'shifts', '--json')).out,
    );
    expect(own).toMatchObject({ event: 'evaluation', count: 60, weights: 'model' });
    expect(named.confusion).toEqual(own.confusion);
    expect((own.worstMistakes as unknown[]).length).toBe(5);
    expect((own.calibration as { bins: unknown[] }).bins.length).toBe(15);
    expect(viewed.count).toBe(60);
    expect(viewed.meanConfidence).not.toBe(own.meanConfidence);
    const twice = await fovea('eval', 'runs/a', 'mnist', '--data', 'elsewhere');
    expect([twice.code, twice.err.includes('Which pictures: mnist or elsewhere? Name them once.')]).toEqual([2, true]);
    const kind = await fovea('eval', 'runs/a', '--tta', 'shift');
    expect([kind.code, kind.err.includes('Did you mean shifts?')]).toEqual([2, true]);
  }, 60_000);
});

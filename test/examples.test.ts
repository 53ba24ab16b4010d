/** The scripts under examples/ run as their first lines say, at tiny sizes, and print what they are for. */

import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(name: string, ...args: string[]): string {
  const command = ['scripts/run-ts.mjs', `examples/${name}.ts`, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status, stdout).toBe(0);
  return stdout.replace(/^setup:.*\n/gm, '');
}

it('knows every example', async () => {
  const known = ['see-inside.ts', 'time-inference.ts', 'train-by-hand.ts'];
  expect((await readdir(join(root, 'examples'))).sort()).toEqual(known);
});

it('train-by-hand learns a little in 20 steps', () => {
  const out = run('train-by-hand', '1280', '1');
  expect(out).toContain('Parameters');
  const right = Number(/(\d+) of 1280 unseen digits right/.exec(out)?.[1]);
  expect(right).toBeGreaterThan(1280 / 2);
});

it('see-inside draws the picture, a feature map and a heat map', () => {
  const out = run('see-inside', '15');
  const drawings = out.split('\n\n').map((part) => part.trim().split('\n'));
  expect(drawings.map(([title]) => title)).toEqual([
    'the picture',
    'what filter 0 of conv1 answers',
    expect.stringMatching(/^where the score of class \d comes from$/),
  ]);
  for (const [, ...rows] of drawings) expect(rows.some((row) => /[*#%@]/.test(row))).toBe(true);
});

it('time-inference times both ways, and they agree', () => {
  const out = run('time-inference', 'classic', '3');
  expect(out).toMatch(/^classic, 1 picture, on \S+\n/);
  expect(out).toMatch(/^recorded in every call +first \S+ ms, then \S+ ms$/m);
  expect(out).toMatch(/^compiled +first \S+ ms, then \S+ ms$/m);
  expect(Number(/(\S+) of the largest score$/m.exec(out)?.[1])).toBeLessThan(1e-4);
});

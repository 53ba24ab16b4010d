/** The scripts under examples/ run, at tiny sizes, and print what they are for. */

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const names = ['see-inside', 'train-by-hand'];
let folder: string;

beforeAll(async () => {
  const cache = join(root, 'node_modules', '.cache');
  await mkdir(cache, { recursive: true });
  folder = await mkdtemp(join(cache, 'fovea-examples-'));
  await build({
    entryPoints: names.map((name) => join(root, 'examples', `${name}.ts`)),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    alias: { 'fovea/node': join(root, 'src/node.ts'), fovea: join(root, 'src/index.ts') },
    external: ['sharp', 'fflate'],
    logLevel: 'error',
  });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function run(name: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, `${name}.mjs`), ...args], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

it('knows every example', async () => {
  expect((await readdir(join(root, 'examples'))).sort()).toEqual(names.map((name) => `${name}.ts`));
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

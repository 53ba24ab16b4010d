/**
 * The package as it ships, made from the sources as they stand: every module beside the others, so that workers find theirs, and the browser bundle of the
 * exported page where it is wanted. Types are not looked at, which makes it a matter of a second.
 */

import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
// @ts-expect-error: plain JavaScript, which runs before there is anything to compile with
import { bundleWeb } from '../scripts/web.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A folder of its own with package.json and dist/, below node_modules, so that packages are found. */
export async function packageFromSources({ web = false }: { web?: boolean } = {}): Promise<{
  folder: string;
  main: string;
  remove(): Promise<void>;
}> {
  const cache = join(root, 'node_modules', '.cache');
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, 'fovea-package-'));
  const dist = join(folder, 'dist');
  const files = await readdir(join(root, 'src'), { recursive: true });
  const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  await build({
    absWorkingDir: root,
    entryPoints: sources.map((file) => join(root, 'src', file)),
    outdir: dist,
    outbase: 'src',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'error',
  });
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  if (web) bundleWeb(join(dist, 'page'));
  return { folder, main: join(dist, 'cli', 'main.js'), remove: () => rm(folder, { recursive: true, force: true }) };
}

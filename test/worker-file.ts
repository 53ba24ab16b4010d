/**
 * Stands in for `src/data/pictures/worker-file.node.ts` where tests run from sources (vitest.config.ts says so): Node runs no TypeScript, so the workers'
 * module is bundled to a file below node_modules, where it finds its packages.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const made = new Map<string, Promise<URL>>();

export function workerFile(entry = join(root, 'src/data/pictures/worker.node.ts')): Promise<URL> {
  const found = made.get(entry) ?? bundle(entry);
  made.set(entry, found);
  return found;
}

async function bundle(entry: string): Promise<URL> {
  const options = { bundle: true, platform: 'node', target: 'node20', format: 'esm', packages: 'external' } as const;
  const { outputFiles } = await build({ ...options, entryPoints: [entry], write: false, logLevel: 'error' });
  const code = outputFiles[0].contents;
  const folder = join(root, 'node_modules', '.cache', 'fovea');
  const file = join(folder, `worker-${createHash('sha256').update(code).digest('hex').slice(0, 16)}.mjs`);
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${file}.${process.pid}`, code);
    renameSync(`${file}.${process.pid}`, file); // another test process may read it already
  }
  return pathToFileURL(file);
}

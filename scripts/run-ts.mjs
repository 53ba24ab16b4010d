/**
 * Runs a TypeScript script of the repository against the compiled library: `node scripts/run-ts.mjs bench/run.ts [args]`.
 * The script's own files are bundled to a temporary module; imports that lead into src/, and the name `fovea`, go to dist/ instead,
 * so what runs and is timed is what ships, workers and all.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, SetupError, script, setup } from './setup.mjs';

await script(import.meta.url, async ([entry, ...args]) => {
  if (!entry || !existsSync(resolve(root, entry)))
    throw new SetupError(`run-ts: no such script: ${entry ?? '(none named)'}`);
  setup();
  const folder = join(root, 'node_modules', '.cache', 'fovea');
  mkdirSync(folder, { recursive: true });
  const outfile = join(folder, `${basename(entry, '.ts')}-${process.pid}.mjs`);
  try {
    const { build } = await import('esbuild');
    await build({
      entryPoints: [resolve(root, entry)],
      outfile,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      packages: 'external',
      sourcemap: 'inline',
      logLevel: 'error',
      plugins: [compiledLibrary()],
    });
    const node = [...process.execArgv, '--enable-source-maps', outfile, ...args];
    return spawnSync(process.execPath, node, { cwd: root, stdio: 'inherit' }).status ?? 1;
  } finally {
    rmSync(outfile, { force: true });
  }
});

/** An esbuild plugin that sends imports leading into src/, and those of the package by name, to the compiled file in dist/. */
function compiledLibrary() {
  const src = join(root, 'src') + sep;
  return {
    name: 'compiled-library',
    setup(build) {
      // The bundle lies below node_modules, where a package cannot find itself by its name.
      build.onResolve({ filter: /^fovea(\/\w+)?$/ }, ({ path }) => {
        const compiled = join(root, 'dist', `${path.split('/')[1] ?? 'index'}.js`);
        return { path: pathToFileURL(compiled).href, external: true };
      });
      build.onResolve({ filter: /^\./ }, ({ importer, path }) => {
        const target = resolve(dirname(importer), path);
        if (!importer || !target.startsWith(src)) return null;
        const compiled = join(root, 'dist', relative(src, target)).replace(/\.ts$/, '.js');
        return { path: pathToFileURL(compiled).href, external: true };
      });
    },
  };
}

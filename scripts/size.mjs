/**
 * `npm run size`: how much fovea weighs in a web page, and that it stays under the limit. Measured is what Vite, with its defaults, makes of
 * everything `fovea` exports, in one file, the compiler and the WebAssembly device included. The reference device is left out: it is loaded
 * by itself, when WebAssembly does not start or is not wanted. Nothing from Node may be in it.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root, SetupError, script, setup } from './setup.mjs';

const limitBytes = 90_000;
const loadedOnDemand = [/\.node\.js$/, /ops\/reference\/index\.js$/]; // by a dynamic import; the first behind a check for Node

await script(import.meta.url, async () => {
  setup();
  if (!existsSync(join(root, 'src/index.ts'))) throw new SetupError('src/index.ts is not there yet');
  const { build } = await import('vite');
  const { output } = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2023',
      modulePreload: false,
      rolldownOptions: {
        input: join(root, 'src/index.ts'),
        preserveEntrySignatures: 'strict', // keep every export
        external: loadedOnDemand,
        output: { codeSplitting: false },
      },
    },
  });
  const [{ code, modules }] = output;
  const gzipBytes = gzipSync(code, { level: 9 }).length;
  printFolders(modules);
  console.log(`src/index.ts: ${code.length} bytes minified, ${gzipBytes} bytes gzip, limit ${limitBytes}`);
  return gzipBytes <= limitBytes ? 0 : 1;
});

/** Bytes for each folder, before minifying. */
function printFolders(modules) {
  const bytes = new Map();
  for (const [file, { renderedLength }] of Object.entries(modules)) {
    if (!file.startsWith(root)) continue; // a few lines of Vite's own
    const folder = file
      .slice(root.length + 1)
      .split(/[\\/]/)
      .slice(0, 2)
      .join('/');
    bytes.set(folder, (bytes.get(folder) ?? 0) + renderedLength);
  }
  console.log('before minifying:');
  for (const [folder, n] of [...bytes].sort((a, b) => b[1] - a[1])) console.log(`${String(n).padStart(9)}  ${folder}`);
}

/** `npm run size`: how much the whole library weighs in a web page, and that it stays under the limit. Nothing from Node may be in it. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root, SetupError, script, setup } from './setup.mjs';

const limitBytes = 90_000;

await script(import.meta.url, async () => {
  setup();
  if (!existsSync(join(root, 'src/index.ts'))) throw new SetupError('src/index.ts is not there yet');
  const { build } = await import('esbuild');
  const { outputFiles, metafile } = await build({
    entryPoints: [join(root, 'src/index.ts')],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2023',
    external: ['*.node.js'], // reached only by a dynamic import behind a check for Node
    logLevel: 'error',
    absWorkingDir: root,
  });
  const [{ contents }] = outputFiles;
  const gzipBytes = gzipSync(contents, { level: 9 }).length;
  printFolders(Object.values(metafile.outputs)[0].inputs);
  console.log(`src/index.ts: ${contents.length} bytes minified, ${gzipBytes} bytes gzip, limit ${limitBytes}`);
  return gzipBytes <= limitBytes ? 0 : 1;
});

function printFolders(inputs) {
  const bytes = new Map();
  for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
    const folder = file.split('/').slice(0, 2).join('/');
    bytes.set(folder, (bytes.get(folder) ?? 0) + bytesInOutput);
  }
  for (const [folder, n] of [...bytes].sort((a, b) => b[1] - a[1])) console.log(`${String(n).padStart(9)}  ${folder}`);
}

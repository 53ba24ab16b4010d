/**
 * Bundles what pages load, from src/web/: fovea.js (a model opened in a browser), the chunks it loads when it needs them, and page.js (the page's own
 * script). `fovea export --web` copies them, `fovea serve` sends page.js. What belongs to which is written down in files.json, so that a folder
 * holds only what its model needs. By itself: node scripts/web.mjs [folder]
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root, script } from './setup.mjs';

export async function bundleWeb(folder) {
  const { build } = await import('esbuild');
  const shared = {
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    legalComments: 'none',
    logLevel: 'error',
    metafile: true,
  };
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { metafile } = await build({
    ...shared,
    entryPoints: ['src/web/fovea.ts'],
    outdir: folder,
    splitting: true,
    chunkNames: 'fovea/[name]-[hash]',
    external: ['*.node.js'], // behind a check for Node
  });
  await build({
    ...shared,
    entryPoints: ['src/web/app.ts'],
    outfile: join(folder, 'page.js'),
    external: ['./fovea.js'],
  });
  writeFileSync(join(folder, 'files.json'), `${JSON.stringify(filesByUse(metafile, folder), null, 2)}\n`);
}

/** Which files are needed always, and which besides for a model of the zoo or an ONNX file. */
function filesByUse({ outputs }, folder) {
  const name = (path) =>
    resolve(root, path)
      .slice(folder.length + 1)
      .replaceAll('\\', '/');
  const byName = new Map(Object.entries(outputs).map(([path, output]) => [name(path), output]));
  const reached = (start, skip) => {
    const found = new Set();
    const walk = (file) => {
      if (found.has(file) || skip.has(file) || !byName.has(file)) return;
      found.add(file);
      for (const { path, external } of byName.get(file).imports) if (!external) walk(name(path));
    };
    walk(start);
    return found;
  };
  const chunkOf = (source) => {
    const found = [...byName].find(([, { entryPoint }]) => entryPoint === source);
    if (found === undefined) throw new Error(`web: ${source} is in no chunk of its own`);
    return found[0];
  };
  const [zoo, onnx] = [chunkOf('src/models/index.ts'), chunkOf('src/io/onnx/import.ts')];
  // The device of that name is not asked for; the reader of ONNX computes constants with it.
  const reference = chunkOf('src/ops/reference/index.ts');
  const always = reached('fovea.js', new Set([zoo, onnx, reference]));
  const also = (chunk, skip) => [...reached(chunk, skip)].filter((file) => !always.has(file)).sort();
  return { always: [...always, 'page.js'].sort(), zoo: also(zoo, new Set([reference])), onnx: also(onnx, new Set()) };
}

await script(import.meta.url, ([folder]) => bundleWeb(resolve(folder ?? join(root, 'dist', 'page'))));

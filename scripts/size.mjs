/**
 * `npm run size`: how much fovea weighs in a web page, as Vite minifies it, and that all of it stays under the limit. "All" is everything
 * `fovea` exports in one file, the compiler and the WebAssembly device included. "Page" is what a page loads that trains a network with the
 * Trainer: first what it starts with, then what follows when it first computes. The reference device counts in neither: it is loaded by
 * itself, when WebAssembly does not start or is not wanted. Nothing from Node may be in it.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root, SetupError, script, setup } from './setup.mjs';

const limitBytes = 90_000;
const loadedOnDemand = [/\.node\.js$/, /ops\/reference\/index\.js$/]; // by a dynamic import; the first behind a check for Node

const pageFile = join(root, 'page.js'); // only in memory
const page = `
import { data, loss, nn, optim, Trainer } from 'fovea';

class Net extends nn.Module {
  conv1 = new nn.Conv2d(1, 32, 3);
  conv2 = new nn.Conv2d(32, 64, 3);
  dropout = new nn.Dropout2d(0.25);
  fc1 = new nn.Linear(9216, 128);
  fc2 = new nn.Linear(128, 10);
  forward(x) {
    x = this.conv1.forward(x).relu();
    x = this.conv2.forward(x).relu().maxPool2d(2);
    x = this.dropout.forward(x).flatten(1);
    return this.fc2.forward(this.fc1.forward(x).relu()).logSoftmax(1);
  }
}

export async function train({ images, labels }) {
  const model = new Net();
  const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 });
  const digits = new data.ArrayDataset({ images, labels, shape: [1, 28, 28] });
  await new Trainer({ model, optimizer, loss: loss.nll, train: digits, batchSize: 64, epochs: 1 }).fit();
}`;

await script(import.meta.url, async () => {
  setup();
  if (!existsSync(join(root, 'src/index.ts'))) throw new SetupError('src/index.ts is not there yet');
  const [all] = await bundle(join(root, 'src/index.ts'), { split: false });
  const [first, ...later] = await pageLoads();
  const allBytes = gzipBytes(all);
  printFolders(all.modules);
  console.log(
    `page: ${first} bytes gzip to start with, ${later.reduce((sum, n) => sum + n, 0)} when it first computes`,
  );
  console.log(`all: ${all.code.length} bytes minified, ${allBytes} bytes gzip, limit ${limitBytes}`);
  return allBytes <= limitBytes ? 0 : 1;
});

/** Bytes of what the page's first file needs at once, then of each file that it loads when it computes. */
async function pageLoads() {
  const chunks = await bundle(pageFile, { split: true });
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const started = new Set();
  const start = (chunk) => {
    if (started.has(chunk)) return;
    started.add(chunk);
    for (const name of chunk.imports) if (byName.has(name)) start(byName.get(name));
  };
  start(chunks.find((chunk) => chunk.isEntry));
  const first = [...started].reduce((sum, chunk) => sum + gzipBytes(chunk), 0);
  return [first, ...chunks.filter((chunk) => !started.has(chunk)).map(gzipBytes)];
}

async function bundle(entry, { split }) {
  const { build } = await import('vite');
  const [{ output }] = await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { fovea: join(root, 'src/index.ts') } },
    plugins: [
      { name: 'page', resolveId: (id) => (id === pageFile ? id : null), load: (id) => (id === pageFile ? page : null) },
    ],
    build: {
      write: false,
      target: 'es2023',
      lib: { entry, formats: ['es'] },
      rolldownOptions: { external: loadedOnDemand, output: { codeSplitting: split, minify: true } },
    },
  });
  return output;
}

function gzipBytes({ code }) {
  return gzipSync(code, { level: 9 }).length;
}

/** Bytes for each folder, before minifying. */
function printFolders(modules) {
  const bytes = new Map();
  for (const [file, { renderedLength }] of Object.entries(modules)) {
    if (!file.startsWith(root)) continue; // a few lines of the bundler's own
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

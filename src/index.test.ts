/** What the package exports: the example of the front page works, and the core brings nothing from Node along. */

import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { data, loss, nn, optim, type Tensor, Trainer } from './index.js';
import * as node from './node.js';

class Net extends nn.Module {
  conv1 = new nn.Conv2d(1, 4, 3);
  fc1 = new nn.Linear(4 * 3 * 3, 2);
  override forward(x: Tensor): Tensor {
    x = this.conv1.forward(x).relu().maxPool2d(2);
    return this.fc1.forward(x.flatten(1)).logSoftmax(1);
  }
}

describe('fovea', () => {
  it('trains a model written as in the design, on the default device', async () => {
    const labels = Uint8Array.from({ length: 32 }, (_, i) => i % 2);
    const inputs = Uint8Array.from({ length: 32 * 64 }, (_, i) =>
      labels[i >> 6] === (i >> 2) % 2 ? 220 : (i * 37) % 60,
    );
    const stripes = new data.ArrayDataset({ inputs, labels, shape: [1, 8, 8], classes: ['even', 'odd'] });
    const model = new Net();
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const trainer = new Trainer({
      model,
      optimizer,
      loss: loss.nll,
      train: stripes,
      test: stripes,
      batchSize: 8,
      epochs: 8,
      seed: 1,
    });
    const { epochs } = await trainer.fit();
    expect(epochs.at(-1)?.accuracy).toBe(1);
    const [[best]] = await trainer.predict(stripes.batch([1]));
    expect(best.name).toBe('odd');
    expect((await node.device()).name).toMatch(/^(wasm|x64-avx2|x64-avx512)$/);
    await (await node.device()).dispose();
  });

  it('runs in a browser: nothing from Node is in the bundle', async () => {
    const { metafile } = await build({
      entryPoints: [fileURLToPath(new URL('./index.ts', import.meta.url))],
      bundle: true,
      write: false,
      metafile: true,
      platform: 'browser',
      format: 'esm',
      external: ['*.node.js', 'umap-js'], // what is loaded on demand only, as is checked below
      logLevel: 'error',
    });
    const inputs = Object.entries(metafile.inputs);
    expect(inputs.length).toBeGreaterThan(50);
    expect(
      inputs.map(([file]) => file).filter((file) => file.includes('.node.') || file.includes('node_modules')),
    ).toEqual([]);
    const statics = inputs
      .flatMap(([, { imports }]) => imports)
      .filter((i) => i.external && i.kind !== 'dynamic-import');
    expect(statics).toEqual([]);
  });

  it('fovea/node adds files to the same names', () => {
    expect(node.Trainer).toBe(Trainer);
    expect(node.data.DataLoader).toBe(data.DataLoader);
    expect([typeof node.data.mnist, typeof node.io.RunFolder, typeof node.RunRecorder, typeof node.loadRun]).toEqual(
      Array(4).fill('function'),
    );
  });
});

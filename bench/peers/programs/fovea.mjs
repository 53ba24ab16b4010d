/**
 * fovea itself, measured like any other: through its public API, as compiled to dist/.
 *
 *     node fovea.mjs DEVICE THREADS CACHE                        serves until its input ends
 *     node fovea.mjs DEVICE THREADS CACHE --first-forward NAME   builds a model, computes once, says so
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Cannot, pictures, say, serve } from './serve.mjs';

const [deviceName, threads, cache, mode, modelName] = process.argv.slice(2);
const imports = performance.now();
if (mode === '--first-forward') await firstForward(modelName);
else await serve(open);

async function open() {
  const fovea = await import('../../../dist/node.js');
  const opened = await fovea.openDevice(deviceName, { threads: Number(threads) });
  fovea.setDevice(opened.target);
  return {
    version: opened.target.name,
    notes: [`${opened.threads} threads; ${opened.notes.join('; ')}`],
    prepare: (w) => (w.kind === 'train' ? training(fovea, w) : inference(fovea, w)),
  };
}

function build({ models, ConfigError }, w) {
  try {
    return models.findModel(w.model)({ numClasses: w.classes, ...(w.stem === undefined ? {} : { stem: w.stem }) });
  } catch (error) {
    if (error instanceof ConfigError) throw new Cannot(error.message);
    throw error;
  }
}

function count(model) {
  return [...model.parameters()].reduce((sum, p) => sum + p.size, 0);
}

function training(fovea, w) {
  const { loss: losses, manualSeed, optim, tensor } = fovea;
  manualSeed(1);
  const model = build(fovea, w);
  const optimizer =
    w.optimizer === 'adam'
      ? new optim.Adam(model.parameters(), { lr: 1e-3 })
      : new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
  const lossOf = w.model === 'classic' ? losses.nll : losses.crossEntropy;
  const data = pictures(w.batch, w.input);
  const labels = Int32Array.from({ length: w.batch }, (_, i) => i % 10);
  return {
    params: count(model),
    async step() {
      const x = tensor(data, { shape: [w.batch, ...w.input] });
      optimizer.zeroGrad();
      const loss = lossOf(model.forward(x), tensor(labels));
      loss.backward();
      await optimizer.step();
      if (!Number.isFinite(await loss.item())) throw new Error('the loss is not a number');
    },
  };
}

async function inference(fovea, w) {
  const { compile, io, manualSeed, tensor } = fovea;
  manualSeed(1);
  const model = build(fovea, w).eval();
  const weights = join(cache, `${w.model}.safetensors`);
  if (existsSync(weights)) model.loadStateDict(inOrder(model, await io.readSafetensors(weights)));
  const run = compile((x) => model.forward(x));
  const data = pictures(w.batch, w.input);
  let output = null;
  return {
    params: count(model),
    async step() {
      output = await (await run(tensor(data, { shape: [w.batch, ...w.input] }))).data();
    },
    output: () => output,
  };
}

/** torchvision's weights under the names of the model: the same where it has torchvision's, else by order, which is that of the layers. */
function inOrder(model, { tensors: saved, metadata }) {
  const wanted = Object.entries(model.stateDict()).filter(([name]) => !name.endsWith('num_batches_tracked'));
  if (wanted.every(([name]) => saved.has(name))) return saved;
  const names = JSON.parse(metadata.order);
  const values = names.map((name) => saved.get(name));
  if (values.length !== wanted.length)
    throw new Error(`the saved network has ${values.length} tensors, the model ${wanted.length}`);
  for (const [i, [name, { shape }]] of wanted.entries()) {
    if (String(shape) !== String(values[i].shape)) throw new Error(`${names[i]} does not fit ${name}`);
  }
  return new Map(wanted.map(([name], i) => [name, values[i]]));
}

async function firstForward(name) {
  const fovea = await import('../../../dist/index.js');
  const importedMs = performance.now();
  try {
    fovea.setDevice((await fovea.openDevice(deviceName, { threads: Number(threads) })).target);
  } catch (error) {
    say({ cannot: String(error.message).split('\n')[0] });
    return;
  }
  const openedMs = performance.now();
  fovea.manualSeed(1);
  const model = build(fovea, { model: name, classes: 1000 }).eval();
  const builtMs = performance.now();
  const x = fovea.tensor(pictures(1, [3, 224, 224]), { shape: [1, 3, 224, 224] });
  const y = await fovea.noGrad(() => model.forward(x)).data();
  say({
    first: {
      finite: y.every(Number.isFinite),
      parts: { startedMs: imports, importedMs, openedMs, builtMs, doneMs: performance.now() },
    },
  });
  process.exit(0);
}

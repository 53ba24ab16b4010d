/** `fovea export`: runs and files of weights become ONNX files that say what they are; wrong calls say what would be right. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { preprocess } from '../../src/data/index.js';
import { decodeImage, parseSafetensors, RunFolder, saveWeights } from '../../src/io/all.node.js';
import { parseOnnx } from '../../src/io/onnx/model-file.js';
import { lenet5, resnet20 } from '../../src/models/index.js';
import { inEvalMode } from '../../src/nn/module.js';
import { type Tensor, tensor } from '../../src/tensor/index.js';
import { openClassifier } from '../../src/train/all.node.js';
import { makeRun, png } from '../serve/house.js';
import { fovea } from './command.js';
import { openSession, relativeError, spreadOut } from './runtime.js';

const classes = ['cat', 'dog', 'fox'];
let folder: string;
let runPath: string;
const model = lenet5({ numClasses: 3 });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fovea-export-'));
  runPath = join(folder, 'run');
  const made = await RunFolder.create(runPath, {
    format: 'fovea-run',
    version: 1,
    model: { name: 'lenet5', options: {} },
    input: { shape: [1, 28, 28], mean: [0.1], std: [0.3] },
    classes,
    seed: 1,
    training: {},
  });
  const state = Object.entries(model.stateDict());
  await made.writeModel(
    await Promise.all(
      state.map(async ([name, t]) => [name, { dtype: t.dtype, shape: t.shape, data: await t.data() }] as const),
    ),
  );
});

afterAll(() => rm(folder, { recursive: true }));

const metadataOf = (bytes: Uint8Array) =>
  Object.fromEntries(parseOnnx(bytes).metadataProps.map(({ key, value }) => [key, JSON.parse(value)]));

describe('fovea export', () => {
  test('writes a run with its classes and colours, and the file computes what the run does', async () => {
    const file = join(folder, 'run.onnx');
    const { code, out, err } = await fovea('export', runPath, '--onnx', file);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('run.onnx: lenet5, 24');
    expect(out).toContain('12 operations of opset 17; batch open\ninput input [N, 1, 28, 28]\noutput output [N, 3]\n');
    const bytes = await readFile(file);
    expect(metadataOf(bytes)).toEqual({
      'fovea.model': { name: 'lenet5', options: { numClasses: 3 } },
      'fovea.preprocessing': { resize: 28, crop: [28, 28], interpolation: 'bilinear', mean: [0.1], std: [0.3] },
      'fovea.classes': classes,
    });
    const data = Float32Array.from({ length: 2 * 784 }, (_, i) => Math.sin(i));
    const session = await openSession(bytes);
    const { output } = await session.run({ input: { dtype: 'float32', shape: [2, 1, 28, 28], data } });
    await session.close();
    const wanted = inEvalMode(model, () => model.forward(tensor(data, { shape: [2, 1, 28, 28] }))) as Tensor;
    const { openDevice, setDevice } = await import('../../src/tensor/index.js');
    setDevice((await openDevice('reference')).target); // the command has closed the one it opened
    expect(relativeError(output.data, await wanted.data())).toBeLessThan(1e-5);
  });

  test('says the same in JSON, with a fixed batch and another opset', async () => {
    const file = join(folder, 'fixed.onnx');
    const { out } = await fovea('export', runPath, '--onnx', file, '--batch', '4', '--opset', '20', '--json');
    expect(JSON.parse(out)).toEqual({
      event: 'export',
      model: 'lenet5',
      files: [{ path: file, bytes: (await readFile(file)).length }],
      opset: 20,
      operations: 12,
      batch: 4,
      foldBatchNorm: false,
      inputs: [{ name: 'input', shape: '[4, 1, 28, 28]' }],
      outputs: [{ name: 'output', shape: '[4, 3]' }],
    });
  });

  test('takes a file of weights, alone or for a model that is named', async () => {
    const { openDevice, setDevice } = await import('../../src/tensor/index.js');
    setDevice((await openDevice('reference')).target);
    const net = resnet20();
    spreadOut(net);
    const weights = join(folder, 'resnet20.safetensors');
    await saveWeights(net, weights);
    const [told, named] = [join(folder, 'told.onnx'), join(folder, 'named.onnx')];
    const first = await fovea('export', weights, '--onnx', told);
    expect([first.err, first.code]).toEqual(['', 0]);
    const second = await fovea('export', 'resnet20', '--weights', weights, '--onnx', named, '--fold-batch-norm');
    expect([second.err, second.code]).toEqual(['', 0]);
    expect(second.out).toContain('batch norms folded');
    const types = async (file: string) =>
      new Set(parseOnnx(await readFile(file)).graph!.node.map((node) => node.opType));
    expect((await types(told)).has('BatchNormalization')).toBe(true);
    expect((await types(named)).has('BatchNormalization')).toBe(false);
  });

  test('writes weights that say all there is to know, and several files at once', async () => {
    const [onnx, weights] = [join(folder, 'both.onnx'), join(folder, 'both.safetensors')];
    const { code, out, err } = await fovea('export', runPath, '--onnx', onnx, '--safetensors', weights, '--json');
    expect([code, err]).toEqual([0, '']);
    const [first, second] = out.trim().split('\n').map((line) => JSON.parse(line)); // biome-ignore format: one thought
    expect(first.files[0].path).toBe(onnx);
    const bytes = await readFile(weights);
    expect(second).toEqual({
      event: 'export',
      model: 'lenet5',
      files: [{ path: weights, bytes: bytes.length }],
      tensors: 10,
      loadable: true,
    });
    const { metadata } = parseSafetensors(bytes);
    expect(metadata).toMatchObject({ format: 'pt', 'fovea.fit': 'contain', 'fovea.classes': JSON.stringify(classes) });
    expect(JSON.parse(metadata['fovea.preprocessing'])).toMatchObject({ crop: [28, 28], mean: [0.1], std: [0.3] });

    // What comes out of the file is what comes out of the run, whatever the shape of the picture.
    const { openDevice, setDevice } = await import('../../src/tensor/index.js');
    setDevice((await openDevice('reference')).target);
    const picture = {
      data: Uint8Array.from({ length: 40 * 20 }, (_, i) => (i * 37) % 256),
      shape: [1, 40, 20] as const,
    };
    const [ofRun, ofFile] = [await openClassifier(runPath), await openClassifier(weights)];
    const see = async (one: typeof ofRun) => (await one.predict([await one.prepare(picture)]))[0];
    expect(await see(ofFile)).toEqual(await see(ofRun));
    expect(ofFile.classes).toEqual(classes);
  });

  test('the five classes that ONNX Runtime finds likeliest are those of fovea predict, picture by picture', async () => {
    const { openDevice, setDevice } = await import('../../src/tensor/index.js');
    setDevice((await openDevice('wasm', { threads: 1 })).target);
    // A run as training on a folder leaves it: pictures are resized, then cut to the middle.
    const names = Array.from({ length: 12 }, (_, i) => `kind ${i}`);
    const run = await makeRun(join(folder, 'kinds'), {
      model: 'resnet20',
      classes: names,
      shape: [3, 32, 32],
      resize: 36,
    });
    const file = join(folder, 'kinds.onnx');
    expect((await fovea('export', run, '--onnx', file)).err).toBe('');
    setDevice((await openDevice('wasm', { threads: 1 })).target);
    const seer = await openClassifier(run);
    const bytes = await readFile(file);
    const { 'fovea.preprocessing': pre, 'fovea.classes': written } = metadataOf(bytes);
    expect(written).toEqual(names);
    const session = await openSession(bytes);
    const winners = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const picture = await decodeImage(await png(i, [3, 50 + 7 * i, 90 - 4 * i]), { channels: 3 });
      const [wanted] = await seer.predict([await seer.prepare(picture)], { top: 5 });
      // Nothing but what the file says: bytes, resized and cut, normalised.
      const { data } = preprocess(picture, pre);
      const inputs = Float32Array.from(data, (x, j) => (x / 255 - pre.mean[j >> 10]) / pre.std[j >> 10]);
      const { output } = await session.run({ input: { dtype: 'float32', shape: [1, 3, 32, 32], data: inputs } });
      const order = Array.from(output.data, (_, j) => j).sort((a, b) => output.data[b] - output.data[a]);
      expect(order.slice(0, 5).map((j) => written[j])).toEqual(wanted.map(({ name }) => name));
      winners.add(wanted[0].name);
    }
    await session.close();
    expect(winners.size).toBeGreaterThan(1);
  });

  test.each([
    [['--opset', '12'], 2, '--opset 12: it is 17 to 21'],
    [['--weights', 'bset'], 2, '--weights bset: of a run there are model, last and best. Did you mean best?'],
    [['--batch', '0'], 2, 'It is a whole number from 1 up.'],
    [['--size', '32'], 1, 'fc1'],
  ])('refuses %j', async (args, code, message) => {
    const found = await fovea('export', runPath, '--onnx', join(folder, 'x.onnx'), ...args);
    expect(found.err).toContain(message);
    expect(found.code).toBe(code);
  });

  test('refuses a model without weights, an unknown one, and a call without a file to write', async () => {
    const target = join(folder, 'x.onnx');
    expect((await fovea('export', 'resnet18', '--onnx', target)).err).toContain(
      'Which weights? Name their file: fovea export resnet18 --weights FILE --onnx out.onnx',
    );
    expect((await fovea('export', 'resnet81', '--onnx', target)).err).toContain("There is no model 'resnet81'.");
    expect(await fovea('export', runPath)).toMatchObject({
      code: 2,
      err: `error: What as? --onnx FILE, --web FOLDER, --safetensors FILE: fovea export ${runPath} --onnx model.onnx\n`,
    });
    expect((await fovea('export', 'resnet18', '--safetensors', target)).err).toContain('--safetensors out.safetensors');
    await writeFile(join(folder, 'noise.bin'), new Uint8Array(100).fill(7));
    expect(await fovea('export', join(folder, 'noise.bin'), '--onnx', target)).toMatchObject({ code: 1 });
  });
});

/** `fovea export`: runs and files of weights become ONNX files that say what they are; wrong calls say what would be right. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunFolder, saveWeights } from '../../src/io/all.node.js';
import { parseOnnx } from '../../src/io/onnx/model-file.js';
import { lenet5, resnet20 } from '../../src/models/index.js';
import { inEvalMode } from '../../src/nn/module.js';
import { type Tensor, tensor } from '../../src/tensor/index.js';
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
    expect((await fovea('export', runPath)).err).toContain("required option '--onnx <file>' not specified");
    await writeFile(join(folder, 'noise.bin'), new Uint8Array(100).fill(7));
    expect(await fovea('export', join(folder, 'noise.bin'), '--onnx', target)).toMatchObject({ code: 1 });
  });
});

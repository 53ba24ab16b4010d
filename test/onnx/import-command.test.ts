/** `fovea import` from file to prediction, and `loadOnnx` with tensors in a file beside the model. */

import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodePng, RunFolder } from '../../src/io/index.node.js';
import { loadOnnx } from '../../src/io/onnx/import.node.js';
import { encodeOnnx, parseOnnx } from '../../src/io/onnx/model-file.js';
import { create, DataLocation, StringStringEntryProtoSchema } from '../../src/io/onnx/schema.js';
import { inEvalMode } from '../../src/nn/index.js';
import { openDevice, setDevice, type Tensor, tensor } from '../../src/tensor/index.js';
import { loadRun } from '../../src/train/all.node.js';
import { filled } from '../golden/counter.js';
import { fovea } from './command.js';
import { type ModelParts, modelBytes, node, w, x } from './import-cases.js';

const classes = ['cat', 'dog', 'fox', 'owl'];

/** Pictures [N, 3, 8, 8] → probabilities of four classes, as classifiers are often exported. */
const classifier: ModelParts = {
  nodes: [
    node('Conv', ['input', 'conv.weight', 'conv.bias'], ['c'], { strides: [2, 2] }, { name: '/conv/Conv' }),
    node('Relu', ['c'], ['r']),
    node('GlobalMaxPool', ['r'], ['p']),
    node('Flatten', ['p'], ['f']),
    node('Gemm', ['f', 'fc.weight', 'fc.bias'], ['scores'], { transB: 1 }),
    node('Softmax', ['scores'], ['probabilities']),
  ],
  values: {
    input: x([1, 3, 8, 8]),
    'conv.weight': w([6, 3, 3, 3]),
    'conv.bias': w([6]),
    'fc.weight': w([4, 6]),
    'fc.bias': w([4]),
  },
  outputs: ['probabilities'],
  free: { input: [0] },
};

let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fovea-import-'));
  file = join(folder, 'classifier.onnx');
  await writeFile(file, withExternalWeight());
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The first weight lies in weights.bin, 16 bytes into the file. */
function withExternalWeight(): Uint8Array {
  const model = parseOnnx(modelBytes(classifier));
  const weight = model.graph!.initializer[0];
  external = new Uint8Array([...new Uint8Array(16), ...weight.rawData]);
  const entries = { location: 'weights.bin', offset: '16', length: String(weight.rawData.length) };
  weight.rawData = new Uint8Array();
  weight.dataLocation = DataLocation.EXTERNAL;
  weight.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  );
  return encodeOnnx(model);
}

let external = new Uint8Array();

const fails = async (...args: string[]) => {
  const { code, err } = await fovea(...args);
  return [code, err];
};

it('reads tensors from the file beside the model, and says which one is missing', async () => {
  await expect(loadOnnx(file)).rejects.toThrow('weights.bin');
  await writeFile(join(folder, 'weights.bin'), external);
  const model = await loadOnnx(file);
  const wanted = classifier.values['conv.weight'].data;
  expect(Array.from(model.stateDict()['conv.weight'].peek()!)).toEqual(Array.from(wanted));
  await expect(loadOnnx(join(folder, 'none.onnx'))).rejects.toThrow('there is no such file or folder');
});

it('says what a file is', async () => {
  const { code, out } = await fovea('import', file);
  expect(code).toBe(0);
  expect(out).toContain('classifier.onnx: ONNX, operator set 18');
  expect(out).toContain('input  input [N, 3, 8, 8]');
  expect(out).toContain('output  probabilities\n');
  expect(out).toContain('6 operations: 1 Conv, 1 Relu');
  expect(out).toContain('196 parameters (784 B)');
  const [record] = (await fovea('import', file, '--json')).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(record).toMatchObject({
    event: 'model',
    format: 'ONNX, operator set 18',
    params: 196,
    operators: { Conv: 1, Softmax: 1 },
  });
});

it('makes a run that predict opens: the class scores, the classes, the colours', async () => {
  const list = join(folder, 'labels.txt');
  await writeFile(list, `${classes.join('\r\n')}\n`);
  const out = join(folder, 'run');
  const made = await fovea(
    'import',
    file,
    '--out',
    out,
    '--classes',
    list,
    '--mean',
    '0.5',
    '--std',
    '0.25,0.25,0.5',
    '--device',
    'reference',
  );
  expect([made.code, made.err]).toEqual([0, '']);
  expect((await readdir(out)).sort()).toEqual(['checkpoint', 'config.json', 'model.onnx', 'model.safetensors']);
  const { config } = await RunFolder.open(out);
  expect(config).toMatchObject({
    model: { name: 'imported', options: { file: 'model.onnx', outputs: ['scores'] } },
    input: { shape: [3, 8, 8], mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.5] },
    classes,
  });

  setDevice((await openDevice('reference')).target);
  const pixels = Uint8Array.from({ length: 192 }, (_, i) => (i * 37) % 256);
  const loaded = await loadRun(out);
  const original = await loadOnnx(file);
  const normal = Float32Array.from(pixels, (v, i) => (v / 255 - 0.5) / (i < 128 ? 0.25 : 0.5));
  const picture = tensor(normal, { shape: [1, 3, 8, 8] });
  const wanted = await inEvalMode(original, () => original.forward(picture) as Tensor).data();
  const scores = inEvalMode(loaded.model, () => loaded.model.forward(picture) as Tensor);
  (await scores.softmax(1).data()).forEach((v, i) => void expect(v).toBeCloseTo(wanted[i], 6));

  await writeFile(join(folder, 'picture.png'), await encodePng({ data: pixels, shape: [3, 8, 8] }));
  const predicted = await fovea(
    'predict',
    out,
    join(folder, 'picture.png'),
    '--json',
    '--top',
    '4',
    '--device',
    'reference',
  );
  const { top } = JSON.parse(predicted.out) as { top: { class: string; index: number; probability: number }[] };
  expect(top.map(({ class: name }) => name).sort()).toEqual([...classes].sort());
  for (const { index, probability } of top) expect(probability).toBeCloseTo(wanted[index], 5);
});

it.each(['sequential.keras', 'sequential-keras2.h5', 'sequential-tfjs/model.json'])(
  'makes a run of Keras too: %s',
  async (name) => {
    const keras = fileURLToPath(new URL(`../golden/data/keras/${name}`, import.meta.url));
    const out = join(folder, name.replaceAll('/', '-'));
    const made = await fovea('import', keras, '--out', out, '--device', 'reference');
    expect([made.code, made.err]).toEqual([0, '']);
    expect(made.out).toMatch(/Keras [\d.]+\ninput {2}input\w* \[N, 1, 14, 14\]\noutput/);
    const { model, classes } = await loadRun(out);
    expect(classes).toEqual(['0', '1', '2', '3', '4']);
    // Its softmax was left out: scores come, and their softmax is what Keras gives.
    setDevice((await openDevice('reference')).target);
    const { input, outputs } = expectedOfKeras[name];
    const picture = tensor(filled('input', input), { shape: [2, 1, 14, 14] }); // one channel lies first as it lies last
    const scores = inEvalMode(model, () => model.forward(picture) as Tensor);
    expect(Math.max(...(await scores.abs().data()))).toBeGreaterThan(0);
    (await scores.softmax(1).data()).forEach((v, i) => void expect(v).toBeCloseTo(outputs[0].values[i], 5));
  },
);

const expectedOfKeras: Record<string, { input: number[]; outputs: { values: number[] }[] }> = JSON.parse(
  readFileSync(new URL('../golden/data/keras/expected.json', import.meta.url), 'utf8'),
);

it('opens no file outside the run', async () => {
  const config = join(folder, 'run', 'config.json');
  const text = await readFile(config, 'utf8');
  await writeFile(config, text.replace('"model.onnx"', '"../classifier.onnx"'));
  await expect(loadRun(join(folder, 'run'))).rejects.toThrow("must be the name of a file in the run's folder");
  await writeFile(config, text);
});

it('explains what a run needs', async () => {
  const out = join(folder, 'other');
  const list = join(folder, 'two.txt');
  await writeFile(list, 'a\nb\n');
  expect(await fails('import', file, '--out', out, '--classes', list)).toEqual([
    2,
    'error: 2 classes are named, the network has 4\n',
  ]);
  expect((await fails('import', file, '--out', out, '--mean', 'grey'))[1]).toContain("'grey' is no list of numbers");
  expect((await fails('import', file, '--out', join(folder, 'run')))[1]).toContain('already holds a run');
  const open = join(folder, 'open.onnx');
  await writeFile(open, modelBytes({ ...classifier, free: { input: [0, 2, 3] } }));
  expect((await fails('import', open, '--out', out))[1]).toContain('the file leaves the size of pictures open');
  expect(
    (await fovea('import', open, '--out', join(folder, 'sized'), '--size', '12', '--device', 'reference')).code,
  ).toBe(0);
  const flat = join(folder, 'flat.onnx');
  await writeFile(flat, modelBytes({ nodes: [node('Relu', ['x'], ['y'])], values: { x: x([1, 4]) }, outputs: ['y'] }));
  expect((await fails('import', flat, '--out', out))[1]).toContain(
    'a run needs a network of one input, pictures [N, C, H, W]',
  );
  expect((await fails('import', list))[1]).toContain('onnx: ');
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lenet5, resnet18 } from '../models/index.js';
import { countElements, inspectFile } from './inspect.node.js';
import { exportOnnx } from './onnx/export.js';
import { readSafetensors, writeSafetensors } from './safetensors.node.js';
import { saveWeights } from './weights.node.js';

const golden = (name: string) => fileURLToPath(new URL(`../../test/golden/data/${name}`, import.meta.url));

describe('inspectFile', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fovea-inspect-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('lists weights, says whose they look like, and shows what we write into them', async () => {
    const file = join(folder, 'weights.safetensors');
    await saveWeights(resnet18({ numClasses: 3 }), file, { classes: ['a', 'b', 'c'] });
    const { format, tensors, facts, metadata, steps } = await inspectFile(file);
    expect([format, steps]).toEqual(['safetensors', []]);
    expect(tensors.find(({ name }) => name === 'fc.weight')).toEqual({
      name: 'fc.weight',
      type: 'F32',
      shape: [3, 512],
    });
    expect(facts.model).toBe('resnet18 {"numClasses":3}');
    expect(JSON.parse(metadata['fovea.classes'])).toEqual(['a', 'b', 'c']);
    const { tensors: plain } = await readSafetensors(file);
    await writeSafetensors(file, plain);
    expect((await inspectFile(file)).facts['looks like']).toMatch(/^resnet18: /);
  });

  it('takes a header whose length begins like JSON for what it is', async () => {
    const header = '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(0x7b);
    const file = join(folder, 'brace.safetensors');
    await writeFile(
      file,
      Buffer.concat([Buffer.from([0x7b, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(header), Buffer.alloc(4)]),
    );
    const { format, tensors } = await inspectFile(file);
    expect([format, tensors]).toEqual(['safetensors', [{ name: 'w', type: 'F32', shape: [1] }]]);
  });

  it('lists an ONNX graph: what goes in and out, its operations, its weights', async () => {
    const file = join(folder, 'lenet.onnx');
    await writeFile(file, await exportOnnx(lenet5(), { input: [1, 28, 28] }));
    const { format, tensors, facts, steps } = await inspectFile(file);
    expect(format).toBe('ONNX');
    expect(facts['made by']).toMatch(/^fovea/);
    expect(facts.inputs).toMatch(/FLOAT \[.*, 1, 28, 28\]/);
    expect(steps.filter(({ kind }) => kind === 'Conv').length).toBe(2);
    expect(tensors.find(({ name }) => name === 'conv2.weight')).toEqual({
      name: 'conv2.weight',
      type: 'FLOAT',
      shape: [16, 6, 5, 5],
    });
    expect(countElements(tensors)).toBeGreaterThanOrEqual(61_706);
  });

  it.each([
    'keras/functional.keras',
    'keras/functional.h5',
    'keras/functional-keras2.h5',
    'keras/functional-tfjs/model.json',
  ])('lists the layers of Keras: %s', async (name) => {
    const { format, tensors, facts, steps } = await inspectFile(golden(name));
    expect(format).toMatch(/Keras|TensorFlow\.js/);
    expect(facts.inputs).toBe('image [N, 13, 11, 3], channels last');
    expect(steps.find(({ name }) => name === 'block/separable')?.kind).toBe('SeparableConv2D');
    expect(steps.filter(({ name }) => name === 'shared').length).toBe(2);
    expect(tensors.length).toBeGreaterThan(15);
  });

  it('refuses what it does not know, by the name of the file', async () => {
    const file = join(folder, 'note.txt');
    await writeFile(file, 'dear diary');
    await expect(inspectFile(file)).rejects.toThrow(`${file}: weights: the file begins like none that holds weights`);
    await writeFile(join(folder, 'broken.onnx'), new Uint8Array([8, 9, 255]));
    await expect(inspectFile(join(folder, 'broken.onnx'))).rejects.toThrow(/broken\.onnx: onnx: /);
    await expect(inspectFile(join(folder, 'none'))).rejects.toThrow('ENOENT');
  });
});

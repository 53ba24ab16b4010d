/** Models that Keras saved, against what Keras says they compute (test/golden/keras_files.py made the files). */

import { readFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filled } from '../../../test/golden/counter.js';
import { foldBatchNorm, summary } from '../../nn/index.js';
import { crossEntropy } from '../../nn/loss.js';
import { SGD } from '../../optim/index.js';
import { noGrad, type OpenedDevice, openDevice, setDevice, Tensor, tensor } from '../../tensor/index.js';
import { FormatError } from '../../util/errors.js';
import { readKerasConfig } from './config.js';
import { readH5 } from './h5.js';
import { byName, importKeras, KerasModule } from './import.js';
import { importTensorflowjs } from './tfjs.js';

const folder = new URL('../../../test/golden/data/keras/', import.meta.url);
const bytesOf = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
interface Expected {
  readonly input: number[];
  readonly outputs: readonly { readonly shape: number[]; readonly values: number[] }[];
}
const expected: Record<string, Expected> = JSON.parse(readFileSync(new URL('expected.json', folder), 'utf8'));

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1 });
  setDevice(device.target);
});
afterAll(() => device.target.dispose());

function open(file: string): Promise<KerasModule> {
  if (!file.endsWith('.json')) return importKeras(bytesOf(file));
  const path = file.slice(0, file.lastIndexOf('/') + 1);
  return importTensorflowjs(bytesOf(file), (name) => bytesOf(path + name));
}

/** [N, …, C] ↔ [N, C, …]. */
const first = (x: Tensor) =>
  x.shape.length < 3 ? x : x.permute([0, x.shape.length - 1, ...x.shape.slice(2).map((_, i) => i + 1)]);
const last = (x: Tensor) => (x.shape.length < 3 ? x : x.permute([0, ...x.shape.slice(2).map((_, i) => i + 2), 1]));

function inputFor(file: string): Tensor {
  const { input } = expected[file];
  const values = filled('input', input);
  if (file.startsWith('text'))
    return tensor(
      Int32Array.from(values, (v) => Math.floor((v + 1) * 10)),
      { shape: input, dtype: 'int32' },
    );
  return first(tensor(values, { shape: input }));
}

describe('importKeras', () => {
  it.each(Object.keys(expected))('computes what Keras computes: %s', async (file) => {
    const model = (await open(file)).eval();
    const made = noGrad(() => model.forward(inputFor(file)));
    const outputs = made instanceof Tensor ? [made] : Object.values(made);
    expect(outputs.length).toBe(expected[file].outputs.length);
    for (const [i, output] of outputs.entries()) {
      const { shape, values } = expected[file].outputs[i];
      const ours = last(output);
      expect(ours.shape).toEqual(shape);
      const data = await ours.data();
      const largest = Math.max(...values.map(Math.abs));
      for (const [k, value] of values.entries()) expect(Math.abs(data[k] - value) / largest).toBeLessThan(1e-5);
    }
  });

  it('names layers as Keras does, models inside with a dot, and says what goes in', async () => {
    const model = await open('functional.keras');
    const names = Object.keys(model.stateDict());
    expect(names).toContain('stem.weight');
    expect(names).toContain('block.separable.pointwise.weight');
    expect(names.filter((name) => name.startsWith('shared.'))).toEqual(['shared.weight', 'shared.bias']);
    expect(model.metadata.inputs).toEqual([{ name: 'image', shape: [3, 13, 11] }]);
    expect(model.metadata.version).toMatch(/^3\./);
    expect((await open('sequential-keras2.h5')).metadata.version).toBe('2.15.0');
    expect(summary(model, [3, 13, 11]).totalParams).toBe(model.parameterCount());
  });

  it('gives a model like any other: it learns, and its batch norms fold', async () => {
    const model = await open('sequential.keras');
    const x = inputFor('sequential.keras');
    const labels = tensor([1, 3], { dtype: 'int32' });
    const optimizer = new SGD(model.parameters(), { lr: 0.5 });
    model.train();
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      optimizer.zeroGrad();
      const loss = crossEntropy((model.forward(x) as Tensor).log(), labels);
      loss.backward();
      await optimizer.step();
      losses.push(await loss.item());
    }
    expect(losses[4]).toBeLessThan(losses[0]);
    model.eval();
    const before = await noGrad(() => model.forward(x) as Tensor).data();
    const buffers = model.buffers().length;
    // The batch norm of this model follows a pooling, which cannot take it in; those of the other follow convolutions.
    foldBatchNorm(model, [1, 14, 14]);
    expect(model.buffers().length).toBe(buffers);
    expect([...(await noGrad(() => model.forward(x) as Tensor).data())]).toEqual([...before]);
    const other = await open('functional.h5');
    expect(other.buffers().length).toBeGreaterThan(0);
    foldBatchNorm(other, [3, 13, 11]);
    expect(other.buffers()).toEqual([]);
  });
});

describe('importKeras refuses', () => {
  const layer = (className: string, config: object) => ({ class_name: className, config });
  const model = (...layers: object[]) => ({ class_name: 'Sequential', config: { name: 'm', layers } });
  const input = layer('InputLayer', { batch_shape: [null, 8, 8, 3], name: 'input' });
  /** A .keras whose configuration is another's. */
  const archive = async (config: unknown) => {
    const { openZip, readZipEntry } = await import('../zip.js');
    const { memorySource } = await import('../byte-source.js');
    const source = memorySource(bytesOf('sequential.keras'));
    const weights = readZipEntry(source, openZip(source).get('model.weights.h5')!);
    return zipSync({ 'config.json': new TextEncoder().encode(JSON.stringify(config)), 'model.weights.h5': weights });
  };

  it.each([
    [
      model(input, layer('Lambda', { name: 'evil' })),
      "keras: Lambda 'evil': it carries Python code, which is not run here",
    ],
    [
      model(input, layer('LSTM', { name: 'a' }), layer('GRU', { name: 'b' })),
      "fovea has no layers for LSTM 'a', GRU 'b'",
    ],
    [model(input, layer('Conv2D', { name: 'c', data_format: 'channels_first' })), 'save the model with channels_last'],
    [
      model(input, layer('Conv2D', { name: 'c', strides: [0, 1] })),
      "keras: Conv2D 'c': strides is [0,1], not 2 positive whole numbers",
    ],
    [model(input, layer('Conv2D', { name: 'c', padding: 'full' })), 'padding "full"; there are valid, same, causal'],
    [model(input, layer('Dense', { name: 'd' })), 'keras: the layers do not fit together: '],
    [model(input, layer('PReLU', { name: 'p' })), "keras: PReLU 'p': its alpha is missing (layers/p_re_lu/vars/0)"],
    [model(input, layer('Activation', { name: 'a', activation: 'sine' })), 'the activation "sine" is not known'],
    [{ class_name: 'MyModel', config: {} }, 'the model is a MyModel: fovea reads Sequential and functional models'],
    [model(layer('Dense', { name: 'd' })), 'the first layer, d, does not say what shape it takes'],
    [
      { class_name: 'Functional', config: { layers: [], input_layers: [['x', 0, 0]], output_layers: [] } },
      "no input layer 'x'",
    ],
    ['nothing', 'the model is no layer: there is no class_name'],
  ])('%j', async (config, message) => {
    const bytes = await archive(config);
    const refused = importKeras(bytes);
    await expect(refused).rejects.toThrow(FormatError);
    await expect(importKeras(bytes)).rejects.toThrow(message);
  });

  it('models deep in one another, and calls in a circle, without a hang', () => {
    let nested: object = model(input);
    for (let i = 0; i < 40; i++) nested = model(input, nested);
    expect(() => readKerasConfig(nested)).toThrow('models lie more than 16 deep in one another');
    const circle = {
      class_name: 'Functional',
      config: {
        name: 'm',
        layers: [
          { ...input, inbound_nodes: [] },
          {
            ...layer('Add', { name: 'a' }),
            inbound_nodes: [
              [
                ['input', 0, 0, {}],
                ['b', 0, 0, {}],
              ],
            ],
          },
          { ...layer('ReLU', { name: 'b' }), inbound_nodes: [[['a', 0, 0, {}]]] },
        ],
        input_layers: [['input', 0, 0]],
        output_layers: [['b', 0, 0]],
      },
    };
    expect(() => readKerasConfig(circle)).toThrow(
      "nothing makes the output 'b' (its inputs are missing, or form a circle)",
    );
  });

  it('files of weights alone, and what is neither', async () => {
    const { openZip, readZipEntry } = await import('../zip.js');
    const { memorySource } = await import('../byte-source.js');
    const source = memorySource(bytesOf('sequential.keras'));
    const weights = readZipEntry(source, openZip(source).get('model.weights.h5')!);
    await expect(importKeras(weights)).rejects.toThrow('weights without a model');
    await expect(importKeras(new TextEncoder().encode('hello world'))).rejects.toThrow('signature of HDF5');
    await expect(importKeras(zipSync({ 'a.txt': new Uint8Array(3) }))).rejects.toThrow(
      'the archive has no config.json',
    );
  });

  it('damaged HDF5, always with the same kind of error', async () => {
    const good = bytesOf('volume.h5');
    let refused = 0;
    for (let i = 0; i < 120; i++) {
      const bytes = i % 3 === 0 ? good.slice(0, Math.floor((good.length * i) / 120)) : good.slice();
      if (i % 3 !== 0) for (let k = 0; k < 8; k++) bytes[(i * 7919 + k * 104729) % bytes.length] ^= 1 << (k % 8);
      try {
        await importKeras(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(60);
  });

  it('configurations in which anything may be anything, without any other kind of error', async () => {
    const { attributes, tensors } = await readH5(bytesOf('functional-keras2.h5'));
    const text = attributes.get('model_config')!;
    const strange = [
      null,
      -1,
      0,
      1e9,
      2 ** 53,
      0.5,
      '',
      'x',
      '__proto__',
      true,
      [],
      {},
      [[[]]],
      { class_name: 'Conv2D' },
      ['a', 0, 0],
    ];
    let state = 1;
    const random = (n: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % n;
    let [refused, read] = [0, 0];
    for (let i = 0; i < 1500; i++) {
      const config = JSON.parse(text);
      for (let k = random(3); k >= 0; k--) {
        const places = placesOf(config);
        const { holder, key } = places[random(places.length)];
        holder[key] = strange[random(strange.length)];
      }
      try {
        KerasModule.from(readKerasConfig(config), byName(tensors), '2.15.0');
        read++;
      } catch (error) {
        expect(error, `mutation ${i}: ${(error as Error).stack}`).toBeInstanceOf(FormatError);
        expect((error as Error).message).toMatch(/^keras: /);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(300);
    expect(read).toBeGreaterThan(100); // much of a configuration is nobody's business
  });

  it('models of TensorFlow.js whose shards do not fit, or lie elsewhere', async () => {
    const text = readFileSync(new URL('sequential-tfjs/model.json', folder), 'utf8');
    const shard = (name: string) => bytesOf(`sequential-tfjs/${name}`);
    const read = (change: (text: string) => string, reader = shard) =>
      importTensorflowjs(new TextEncoder().encode(change(text)), reader);
    await expect(
      read(
        (t) => t,
        (name) => shard(name).subarray(1),
      ),
    ).rejects.toThrow(FormatError);
    await expect(read((t) => t.replace('group1-shard2of2.bin', '../secret'))).rejects.toThrow(
      'not inside its own folder',
    );
    await expect(read((t) => t.replace('layers-model', 'graph-model'))).rejects.toThrow('a frozen TensorFlow graph');
    await expect(read((t) => t.replace('"shape": [3, 3, 1, 4]', '"shape": [3, 3, 1, 1e9]'))).rejects.toThrow(
      /ends at byte|between|to/,
    );
    await expect(read(() => '{')).rejects.toThrow('model.json: not valid JSON');
  });
});

/** Every value in a tree of JSON, and who holds it. */
function placesOf(root: Record<string, unknown>): { holder: Record<string, unknown>; key: string }[] {
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const walk = (holder: Record<string, unknown>) => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key });
      if (typeof holder[key] === 'object' && holder[key] !== null) walk(holder[key] as Record<string, unknown>);
    }
  };
  walk(root);
  return places;
}

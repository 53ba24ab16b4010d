/** Loading and saving weights: whatever the format and the names, all or nothing, with a report that says what happened. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { builderOf, create, defineModel, type ModelOptions, type RemapTable, registry } from '../models/index.js';
import { BatchNorm1d, BatchNorm2d, Conv2d, foldBatchNorm, Linear, Module, Sequential } from '../nn/index.js';
import { manualSeed, type Tensor } from '../tensor/index.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { FileError } from './file-error.node.js';
import type { HostTensor } from './host-tensor.js';
import { exportOnnx, onnxModel } from './onnx/export.js';
import { encodeOnnx } from './onnx/model-file.js';
import { create as createMessage, DataLocation, StringStringEntryProtoSchema } from './onnx/schema.js';
import { parseSafetensors, serializeSafetensors } from './safetensors.js';
import { loadModel, loadWeights, saveWeights } from './weights.node.js';
import { recognise } from './weights-recognise.js';

const folder = mkdtempSync(join(tmpdir(), 'fovea-weights-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => void manualSeed(1));

const golden = (name: string) => new URL(`../../test/golden/data/pytorch/${name}`, import.meta.url);

class Tiny extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly fc: Linear;
  readonly aux: Linear | null;

  constructor({ numClasses, inChannels, aux = false }: TinyOptions & Required<ModelOptions>) {
    super();
    this.conv1 = new Conv2d(inChannels, 4, 3, { bias: false });
    this.bn1 = new BatchNorm2d(4);
    this.fc = new Linear(4, numClasses);
    this.aux = aux ? new Linear(4, numClasses) : null;
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(this.bn1.forward(this.conv1.forward(x)).relu().mean([2, 3]));
  }
}

interface TinyOptions extends ModelOptions {
  readonly aux?: boolean;
}

const theirNames: RemapTable = {
  source: 'elsewhere',
  when: /^stem\./,
  rules: [
    { from: /^stem\.conv\./, to: 'conv1.' },
    { from: /^stem\.norm\./, to: 'bn1.' },
    {
      from: /^head\.weight$/,
      to: 'fc.weight',
      transform: ({ shape, data }) => ({ shape: shape.slice(0, 2), data }),
    },
    { from: /^head\./, to: 'fc.' },
    { from: /^grid$/, to: null },
  ],
};

const tiny = defineModel('tiny', (o: TinyOptions & Required<ModelOptions>) => new Tiny(o), {
  params: 131,
  macs: 0,
  input: [3, 8, 8],
  numClasses: 5,
  output: 'logits',
  heads: ['fc', 'aux'],
  trainingOnly: /^aux\./,
  year: 2026,
  summary: 'for tests',
  source: 'tests',
  remaps: [theirNames],
});

/** Every saved value of a model, by path. */
async function values(model: Module): Promise<Map<string, HostTensor>> {
  const state = Object.entries(model.stateDict());
  return new Map(
    await Promise.all(
      state.map(async ([name, t]) => [name, { dtype: t.dtype, shape: t.shape, data: await t.data() }] as const),
    ),
  );
}

/** The bytes of a file with a tiny model's values, changed by `edit`. */
async function fileOf(
  model: Module,
  edit: (tensors: Map<string, HostTensor>) => void = () => {},
  metadata: Record<string, string> = {},
): Promise<Uint8Array> {
  const tensors = await values(model);
  edit(tensors);
  return serializeSafetensors(tensors, metadata);
}

const rename = (tensors: Map<string, HostTensor>, from: string, to: string) => {
  tensors.set(to, tensors.get(from)!);
  tensors.delete(from);
};

async function refusal(run: Promise<unknown>): Promise<Error> {
  try {
    await run;
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was refused');
}

describe('a file that saveWeights wrote', () => {
  it('gives another model the same bits, and says what it is', async () => {
    const path = join(folder, 'tiny.safetensors');
    const saved = tiny({ numClasses: 3 });
    await saveWeights(saved, path, { classes: ['cat', 'dog', 'eel'], metadata: { note: 'a test' } });
    manualSeed(2);
    const model = tiny({ numClasses: 3 });
    expect(await values(model)).not.toEqual(await values(saved));
    const report = await loadWeights(model, path);
    expect(await values(model)).toEqual(await values(saved));
    expect(report.loaded).toEqual(Object.keys(saved.stateDict()));
    expect([report.missing, report.unexpected, report.mismatched, report.kept, report.skipped]).toEqual([
      [],
      [],
      [],
      [],
      [],
    ]);
    expect(report.classes).toEqual(['cat', 'dog', 'eel']);
    expect(report.metadata.note).toBe('a test');
    expect(report.preprocessing).toMatchObject({ crop: [8, 8], mean: [0.485, 0.456, 0.406] });
    expect(String(report)).toBe('tiny: 8 of 8 tensors loaded from safetensors');
  });

  it('counts batches in int64 and says `format: pt`, as PyTorch writes it', async () => {
    const path = join(folder, 'tiny.safetensors');
    await saveWeights(tiny(), path);
    const bytes = readFileSync(path);
    const header = JSON.parse(bytes.subarray(8, 8 + bytes.readUInt32LE(0)).toString());
    expect(header['bn1.num_batches_tracked']).toEqual({ dtype: 'I64', shape: [], data_offsets: [0, 8] });
    expect(header.__metadata__).toEqual({
      format: 'pt',
      'fovea.model': '{"name":"tiny","options":{}}',
      'fovea.preprocessing':
        '{"resize":9,"crop":[8,8],"interpolation":"bilinear","mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}',
    });
  });

  it('needs a name for each class', async () => {
    const error = await refusal(saveWeights(tiny(), join(folder, 'x'), { classes: ['cat'] }));
    expect(error).toEqual(new ConfigError('saveWeights: 1 names of classes for 5 outputs of tiny'));
  });

  it('does not claim to be a model that it is not any more', async () => {
    const folded = foldBatchNorm(tiny(), [3, 8, 8]);
    await saveWeights(folded, join(folder, 'folded.safetensors'));
    const { metadata } = parseSafetensors(readFileSync(join(folder, 'folded.safetensors')));
    expect(metadata['fovea.model']).toBeUndefined();
  });
});

describe('other formats', () => {
  const module = () => new Sequential(new Linear(2, 1), new BatchNorm1d(1));

  it.each(['protocol-2-zip.pt', 'protocol-5-legacy.pt'])('loads %s', async (name) => {
    const model = module();
    const report = await loadWeights(model, golden(name).pathname);
    expect(String(report)).toBe('Sequential: 7 of 7 tensors loaded from PyTorch');
    expect([...(await model.stateDict()['0.weight'].data())]).toEqual([8, 9]);
    expect([...(await model.stateDict()['1.num_batches_tracked'].data())]).toEqual([21]);
  });

  it('loads the weights out of a whole checkpoint', async () => {
    const model = new Linear(3, 2);
    const report = await loadWeights(model, readFileSync(golden('checkpoint.pt')));
    expect(report.other).toContain('optimizer');
    expect(report.metadata).toMatchObject({ epoch: '12', arch: 'linear' });
    expect(String(report)).toBe(
      "Linear: 2 of 2 tensors loaded from PyTorch (its 'state_dict', 'module.' taken off the names)\n" +
        '  beside them epoch, arch, best_acc1, optimizer, lr_scheduler, args and 6 more',
    );
  });

  it('leaves a prefix that is the model’s own', async () => {
    class Wrapper extends Module {
      readonly module = new Linear(3, 2);
    }
    const report = await loadWeights(new Wrapper(), readFileSync(golden('checkpoint.pt')));
    expect(report.loaded).toEqual(['module.weight', 'module.bias']);
  });

  it('takes the dict that is asked for', async () => {
    class One extends Module {
      readonly w = new Linear(1, 1).bias!;
    }
    const model = new One();
    await loadWeights(model, golden('ema.pt').pathname, { path: 'model_ema' });
    expect([...(await model.w.data())]).toEqual([2]);
  });

  it('loads a model in several files by its index', async () => {
    const saved = tiny();
    const tensors = [...(await values(saved))];
    writeFileSync(join(folder, 'a.safetensors'), serializeSafetensors(tensors.slice(0, 3), { format: 'pt' }));
    writeFileSync(join(folder, 'b.safetensors'), serializeSafetensors(tensors.slice(3)));
    const map = Object.fromEntries(tensors.map(([name], i) => [name, i < 3 ? 'a.safetensors' : 'b.safetensors']));
    const index = join(folder, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
    manualSeed(3);
    const model = tiny();
    const report = await loadWeights(model, index);
    expect([report.format, report.metadata.format]).toEqual(['safetensors index', 'pt']);
    expect(await values(model)).toEqual(await values(saved));

    writeFileSync(index, JSON.stringify({ weight_map: { ...map, 'fc.bias': 'a.safetensors' } }));
    expect((await refusal(loadWeights(model, index))).message).toBe(
      `${index}: safetensors index: 'fc.bias' is not in a.safetensors`,
    );
    writeFileSync(index, JSON.stringify({ weight_map: { ...map, 'fc.bias': '../b.safetensors' } }));
    expect((await refusal(loadWeights(model, index))).message).toContain('which is not inside its own folder');
    writeFileSync(index, JSON.stringify({ weight_map: { ...map, 'fc.bias': 'c.safetensors' } }));
    expect(await refusal(loadWeights(model, index))).toBeInstanceOf(FileError);
    expect((await refusal(loadWeights(model, readFileSync(index)))).message).toContain('open it by its path');
  });

  it('loads ONNX by the names of its initializers, those beside the file too', async () => {
    const saved = tiny();
    const trained = await values(saved);
    manualSeed(3);
    const model = tiny();
    const report = await loadWeights(model, await exportOnnx(saved, { input: [3, 8, 8] }));
    expect(report.format).toBe('ONNX');
    expect(report.missing).toEqual([]);
    expect(await values(model)).toEqual(trained);

    const graph = await onnxModel(saved, { input: [3, 8, 8] });
    const moved = graph.graph!.initializer.find(({ name }) => name === 'fc.weight')!;
    writeFileSync(join(folder, 'tiny.data'), Buffer.concat([Buffer.alloc(16), moved.rawData]));
    moved.rawData = new Uint8Array(0);
    moved.dataLocation = DataLocation.EXTERNAL;
    const place = { location: 'tiny.data', offset: '16', length: String(4 * 4 * 5) };
    moved.externalData = Object.entries(place).map(([key, value]) =>
      createMessage(StringStringEntryProtoSchema, { key, value }),
    );
    const path = join(folder, 'tiny.onnx');
    writeFileSync(path, encodeOnnx(graph));
    const again = tiny();
    await loadWeights(again, path);
    expect(await values(again)).toEqual(trained);
    expect((await refusal(loadWeights(again, readFileSync(path)))).message).toContain(
      'onnx: its tensors lie in the file tiny.data; open it by its path',
    );
    moved.externalData[0].value = '../tiny.data';
    writeFileSync(path, encodeOnnx(graph));
    expect((await refusal(loadWeights(again, path))).message).toContain('which is not inside its own folder');
    expect((await refusal(loadWeights(again, Buffer.from('\x08\x07oh')))).message).toMatch(/^onnx: /);
  });

  it.each<[string, string | Uint8Array, string]>([
    ['nothing', '', 'weights: the file is empty'],
    ['a page', '<!DOCTYPE html>', 'a page of HTML or XML, perhaps a failed download'],
    ['a pointer', 'version https://git-lfs.github.com/spec/v1', 'a pointer of Git LFS: fetch the file itself'],
    ['HDF5', Uint8Array.from([0x89, 0x48, 0x44, 0x46, 13, 10, 26, 10]), 'an HDF5 file, perhaps of Keras'],
    ['a pickle', Uint8Array.from([0x80, 4, 0x4e, 0x2e]), 'a Python pickle, not one of torch.save'],
    ['zeros', new Uint8Array(1000), 'the file begins with nothing but zeros'],
    ['text', 'hello, world', 'the file begins like none that holds weights; what can be read: safetensors, PyTorch'],
  ])('says what a file is that it cannot read: %s', async (_, content, message) => {
    const error = await refusal(loadWeights(tiny(), Buffer.from(content)));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(message);
  });

  it('says which file is not there', async () => {
    const path = join(folder, 'nowhere.pt');
    expect((await refusal(loadWeights(tiny(), path))).message).toBe(
      `cannot read ${path}: there is no such file or folder (ENOENT)`,
    );
    expect((await refusal(loadWeights(tiny(), folder))).message).toContain('it is a folder');
  });
});

describe('names', () => {
  it('of another library are mapped by the family’s table', async () => {
    const theirs = (tensors: Map<string, HostTensor>) => {
      for (const [name, value] of [...tensors]) {
        const { shape, data, dtype } = value;
        const wider = name === 'fc.weight' ? { dtype, shape: [...shape, 1, 1], data } : value;
        tensors.delete(name);
        tensors.set(name.replace('conv1', 'stem.conv').replace('bn1', 'stem.norm').replace('fc', 'head'), wider);
      }
      tensors.set('grid', { dtype: 'float32', shape: [2], data: new Float32Array(2) });
    };
    const saved = tiny();
    const model = tiny({ numClasses: 5 });
    const report = await loadWeights(model, await fileOf(saved, theirs));
    expect(await values(model)).toEqual(await values(saved));
    expect(report.source).toBe('elsewhere');
    expect(String(report)).toBe('tiny: 8 of 8 tensors loaded from safetensors (names of elsewhere)');

    const plain = new Tiny({ numClasses: 5, inChannels: 3 });
    const error = await refusal(loadWeights(plain, await fileOf(saved, theirs)));
    expect(error.message).toContain('No tensor fits');
    expect((await loadWeights(plain, await fileOf(saved, theirs), { remaps: [theirNames] })).source).toBe('elsewhere');
  });

  it('that do not map one to one are refused', async () => {
    const file = await fileOf(tiny(), (tensors) => tensors.set('stem.conv.weight', tensors.get('conv1.weight')!));
    expect((await refusal(loadWeights(tiny(), file))).message).toMatch(
      /^The names of elsewhere do not map one to one: .* are both conv1.weight$/,
    );
  });

  it('below a prefix are taken without it', async () => {
    const saved = tiny();
    const file = await fileOf(saved, (tensors) => {
      for (const name of [...tensors.keys()]) if (name !== 'fc.bias') rename(tensors, name, `backbone.${name}`);
    });
    const model = tiny();
    const report = await loadWeights(model, file, { prefix: 'backbone.', strict: false });
    expect(report.loaded).toHaveLength(7);
    expect([report.missing, report.skipped]).toEqual([['fc.bias'], ['fc.bias']]);
    expect((await refusal(loadWeights(model, file, { prefix: 'neck.' }))).message).toMatch(
      /^loadWeights: no name in the file begins with 'neck\.'; they are /,
    );
  });

  it('missing for the count of batches are no loss', async () => {
    const file = await fileOf(tiny(), (tensors) => tensors.delete('bn1.num_batches_tracked'));
    expect((await loadWeights(tiny(), file)).missing).toEqual([]);
  });

  it('of heads that only training uses may be on one side alone', async () => {
    const withAux = await fileOf(tiny({ aux: true }));
    const report = await loadWeights(tiny(), withAux);
    expect(report.skipped).toEqual(['aux.bias', 'aux.weight']);
    const model = tiny({ aux: true });
    expect((await loadWeights(model, await fileOf(tiny()))).kept).toEqual(['aux.weight', 'aux.bias']);
    expect((await loadWeights(model, withAux)).kept).toEqual([]);
  });
});

describe('what does not fit', () => {
  it('is listed with the nearest names, and changes nothing', async () => {
    const model = tiny();
    const before = await values(model);
    const file = await fileOf(tiny({ inChannels: 1 }), (tensors) => {
      rename(tensors, 'bn1.weight', 'bn1.wieght');
      tensors.delete('fc.bias');
    });
    expect((await refusal(loadWeights(model, file))).message).toBe(
      [
        'loadWeights: the safetensors file does not fit tiny',
        '  missing     bn1.weight [4]',
        '              fc.bias [5]',
        '  unexpected  bn1.wieght [4], did you mean bn1.weight?',
        '  other shape conv1.weight: the model has [4, 3, 3, 3], the file has [4, 1, 3, 3]',
        '  Pass { strict: false } to load what fits, { remaps } if the names are others for the same weights. `fovea inspect FILE` lists what is in it.',
      ].join('\n'),
    );
    expect(await values(model)).toEqual(before);
    const report = await loadWeights(model, file, { strict: false });
    expect(String(report)).toBe(
      [
        'tiny: 5 of 8 tensors loaded from safetensors',
        '  missing     bn1.weight [4]',
        '              fc.bias [5]',
        '  unexpected  bn1.wieght [4], did you mean bn1.weight?',
        '  other shape conv1.weight: the model has [4, 3, 3, 3], the file has [4, 1, 3, 3]',
      ].join('\n'),
    );
  });

  it('changes nothing when a value cannot be read', async () => {
    const model = tiny();
    const before = await values(model);
    const bytes = await fileOf(tiny(), (tensors) => {
      tensors.set('bn1.num_batches_tracked', { dtype: 'bool', shape: [], data: Uint8Array.of(1) });
    });
    bytes[bytes.length - 1] = 7; // bools stand last
    const error = await refusal(loadWeights(model, bytes));
    expect(error.message).toContain("'bn1.num_batches_tracked' (BOOL) element 0 is 7, a bool is 0 or 1");
    expect(await values(model)).toEqual(before);
  });

  it('loading nothing at all is refused even when not strict', async () => {
    const other = new Sequential(new Linear(2, 2));
    const error = await refusal(loadWeights(tiny(), await fileOf(other), { strict: false }));
    expect(error.message).toContain(
      'No tensor fits: these are not the weights of a tiny. recognise(file) says whose they are.',
    );
  });
});

describe('a head of another size', () => {
  it('is refused with what to do', async () => {
    const error = await refusal(loadWeights(tiny({ numClasses: 2 }), await fileOf(tiny())));
    expect(error.message).toBe(
      [
        'loadWeights: the safetensors file does not fit tiny',
        '  other shape fc.weight: the model has [2, 4], the file has [5, 4]',
        '              fc.bias: the model has [2], the file has [5]',
        "  The file has 5 classes, the model 2: build the model with { numClasses: 5 }, or pass { head: 'drop' } to load all but the head.",
      ].join('\n'),
    );
    const background = await refusal(loadWeights(tiny({ numClasses: 4 }), await fileOf(tiny())));
    expect(background.message).toContain("or { head: 'dropBackground' } if class 0 is TensorFlow's background.");
  });

  it('is left out on request, and the model keeps its own', async () => {
    const model = tiny({ numClasses: 2 });
    const before = await values(model);
    const file = await fileOf(tiny(), undefined, { 'fovea.classes': '["a","b","c","d","e"]' });
    const report = await loadWeights(model, file, { head: 'drop' });
    const after = await values(model);
    for (const name of ['fc.weight', 'fc.bias']) expect(after.get(name)).toEqual(before.get(name));
    expect(after.get('conv1.weight')).not.toEqual(before.get('conv1.weight'));
    expect([report.kept, report.skipped, report.classes]).toEqual([
      ['fc.weight', 'fc.bias'],
      ['fc.bias', 'fc.weight'],
      null,
    ]);
    expect(String(report)).toBe(
      'tiny: 6 of 6 tensors loaded from safetensors\n  kept        fc.weight, fc.bias\n  left out    fc.bias, fc.weight',
    );
    const unnamed = new Tiny({ numClasses: 2, inChannels: 3 });
    expect((await refusal(loadWeights(unnamed, file, { head: 'drop' }))).message).toContain(
      "head: 'drop' needs a model of the registry",
    );
  });

  it('loses TensorFlow’s background class on request', async () => {
    const saved = tiny();
    const model = tiny({ numClasses: 4 });
    await loadWeights(model, await fileOf(saved), { head: 'dropBackground' });
    const [theirs, ours] = [await values(saved), await values(model)];
    expect([...ours.get('fc.weight')!.data]).toEqual([...theirs.get('fc.weight')!.data].slice(4));
    expect([...ours.get('fc.bias')!.data]).toEqual([...theirs.get('fc.bias')!.data].slice(1));
  });
});

describe('recognising a model', () => {
  const shapesOf = (model: Module) => Object.entries(model.stateDict());

  it.each(registry.map((builder) => [builder.modelName, builder] as const))(
    '%s, by its own tensors',
    (name, builder) => {
      const found = recognise(shapesOf(builder()), { hint: `${name}.safetensors` });
      expect(found.builder.modelName).toBe(name);
      expect(found.options).toEqual({});
    },
  );

  it('with other classes and channels, under a wrapper’s prefix, and says which others look the same', () => {
    const model = create('resnet18', { numClasses: 7, inChannels: 1 });
    const wrapped = shapesOf(model).map(([path, t]) => [`module.${path}`, t] as const);
    const { builder, options, why } = recognise(wrapped);
    expect([builder.modelName, options]).toEqual(['resnet18', { numClasses: 7, inChannels: 1 }]);
    expect(why).toMatch(/^all 122 tensors are those of resnet18/);
  });

  it('by the names of another library', () => {
    const tensors = [...densenetOfOld()];
    const { builder, why } = recognise(tensors);
    expect(builder.modelName).toBe('densenet121');
    expect(why).toMatch(/under the names of /);
  });

  it('names the nearest where none fits', () => {
    const tensors = shapesOf(create('resnet18')).filter(([name]) => name !== 'layer4.1.conv2.weight');
    expect(() => recognise(tensors)).toThrow(
      /^recognise: no model of the registry has these tensors\. The nearest (is|are) resnet18 \(99 % of its tensors fit\)/,
    );
    expect(() => recognise([['x', { shape: [1] }]])).toThrow('None is near.');
  });
});

/** DenseNet-121's tensors as the files of 2017 name them: norm.1 for norm1. */
function* densenetOfOld(): Generator<[string, Tensor]> {
  for (const [name, t] of Object.entries(create('densenet121').stateDict())) {
    if (name.endsWith('num_batches_tracked')) continue;
    yield [name.replace(/(denselayer\d+\.(?:norm|conv))(\d)/, '$1.$2'), t];
  }
}

describe('loadModel', () => {
  it('builds what the metadata say, with its options, classes and preprocessing', async () => {
    const path = join(folder, 'classic.safetensors');
    const saved = create('classic', { numClasses: 3 });
    await saveWeights(saved, path, { classes: ['a', 'b', 'c'] });
    const { model, name, options, report, alternatives } = await loadModel(path);
    expect([name, options, alternatives, report.classes]).toEqual(['classic', { numClasses: 3 }, [], ['a', 'b', 'c']]);
    expect(builderOf(model)?.builder.modelName).toBe('classic');
    expect(model.training).toBe(false);
    expect(await values(model)).toEqual(await values(saved));
  });

  it('recognises a file that says nothing', async () => {
    const saved = create('lenet5', { numClasses: 4 });
    const { name, options, model } = await loadModel(await fileOf(saved));
    expect([name, options]).toEqual(['lenet5', { numClasses: 4 }]);
    expect(await values(model)).toEqual(await values(saved));
  });

  it.each<[what: string, model: object, message: RegExp]>([
    ['an unknown model', { name: 'resnet19', options: {} }, /There is no model 'resnet19'\. Did you mean resnet18\?/],
    ['no options', { name: 'classic' }, /metadata fovea\.model: options is missing/],
    [
      'a network without end',
      { name: 'efficientnet_b0', options: { depthMultiplier: 1e9 } },
      /cannot be built with \{"depthMultiplier":1000000000\}: the model would have more layers than its weights allow/,
    ],
    [
      'impossible sizes',
      { name: 'classic', options: { numClasses: -1 } },
      /metadata fovea\.model: classic cannot be built with \{"numClasses":-1\}/,
    ],
    ['a huge head', { name: 'classic', options: { numClasses: 1e12 } }, /does not fit classic/],
  ])('refuses metadata that ask for %s', async (_, model, message) => {
    const file = await fileOf(create('classic'), undefined, { 'fovea.model': JSON.stringify(model) });
    const error = await refusal(loadModel(file));
    expect([FormatError, ConfigError].some((kind) => error instanceof kind)).toBe(true);
    expect(error.message).toMatch(message);
  });

  it.each<[key: string, value: string, message: string]>([
    ['fovea.classes', '{', 'metadata fovea.classes: not valid JSON'],
    ['fovea.classes', '[1]', 'metadata fovea.classes:[0] must be a string, is 1'],
    ['fovea.preprocessing', '{"resize":1}', 'metadata fovea.preprocessing: crop is missing'],
    [
      'fovea.preprocessing',
      '{"resize":9,"crop":[8,8],"interpolation":"bilinear","mean":[0],"std":[]}',
      'mean has 1 values, std 0',
    ],
  ])('refuses a broken %s', async (key, value, message) => {
    const file = await fileOf(create('classic'), undefined, { [key]: value });
    const error = await refusal(loadModel(file));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(message);
  });
});

it('gives every tied name the one value, and no tensor the array of another', async () => {
  class Tied extends Module {
    readonly a = new Linear(2, 1);
    readonly b: Linear;
    constructor(tie: boolean) {
      super();
      this.b = new Linear(2, 1);
      if (tie) this.b.weight = this.a.weight;
    }
  }
  const tied = new Tied(true);
  const apart = new Tied(false);
  const state = await values(apart);
  state.set('b.weight', state.get('a.weight')!); // as a checkpoint with shared storages gives it
  const file = serializeSafetensors(state);
  await loadWeights(apart, file);
  expect(apart.a.weight.peek()).not.toBe(apart.b.weight.peek());
  apart.a.weight.assign(Float32Array.of(8, 9));
  expect([...(await apart.b.weight.data())]).toEqual([...state.get('a.weight')!.data]);
  expect((await loadWeights(tied, file)).unexpected).toEqual([]);
});

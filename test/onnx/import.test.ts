/** The import as a whole: names, training, shapes that change, branches and functions, and what is refused before anything runs. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { importOnnx, type OnnxModel } from '../../src/io/onnx/import.js';
import { encodeOnnx, parseOnnx } from '../../src/io/onnx/model-file.js';
import {
  AttributeProtoSchema,
  AttributeType,
  create,
  FunctionProtoSchema,
  type NodeProto,
  StringStringEntryProtoSchema,
  ValueInfoProtoSchema,
} from '../../src/io/onnx/schema.js';
import {
  BatchNorm2d,
  Conv2d,
  Flatten,
  foldBatchNorm,
  Identity,
  inEvalMode,
  Linear,
  ReLU,
  ReLU6,
  summary,
} from '../../src/nn/index.js';
import { SGD } from '../../src/optim/index.js';
import { compile, noGrad, Parameter, type Tensor, tensor, zeros } from '../../src/tensor/index.js';
import { ConfigError, FormatError, ShapeError } from '../../src/util/errors.js';
import {
  attribute,
  constant,
  difference,
  float,
  floats,
  foveaTensor,
  given,
  graphProto,
  imported,
  int,
  ints,
  judged,
  type ModelParts,
  modelBytes,
  node,
  tensorProto,
  w,
  x,
} from './import-cases.js';

/** conv, batch norm, ReLU and a classifier, named as PyTorch's exporter names them. */
function network({ classes = 3 } = {}): ModelParts {
  return {
    nodes: [
      node(
        'Conv',
        ['input', 'layer1.0.conv1.weight'],
        ['c'],
        { pads: [1, 1, 1, 1] },
        { name: '/layer1/layer1.0/conv1/Conv' },
      ),
      node('BatchNormalization', ['c', ...['weight', 'bias', 'running_mean', 'running_var'].map((part) => `layer1.0.bn1.${part}`)], ['n'], {}, { name: '/layer1/layer1.0/bn1/BatchNormalization' }), // biome-ignore format: one node
      node('Relu', ['n'], ['r'], {}, { name: '/layer1/layer1.0/relu/Relu' }),
      node('Add', ['r', 'c'], ['s'], {}, { name: '/layer1/layer1.0/Add' }),
      node('Relu', ['s'], ['t'], {}, { name: '/layer1/layer1.0/Relu_1' }),
      node('GlobalAveragePool', ['t'], ['p'], {}, { name: '/avgpool/GlobalAveragePool' }),
      node('Flatten', ['p'], ['f'], {}, { name: '/Flatten' }),
      node('Gemm', ['f', 'fc.weight', 'fc.bias'], ['output'], { transB: 1 }, { name: '/fc/Gemm' }),
    ],
    values: {
      input: x([4, 2, 6, 6]),
      'layer1.0.conv1.weight': w([5, 2, 3, 3]),
      'layer1.0.bn1.weight': w([5], 0.5, 1.5),
      'layer1.0.bn1.bias': w([5]),
      'layer1.0.bn1.running_mean': w([5]),
      'layer1.0.bn1.running_var': w([5], 0.5, 2),
      'fc.weight': w([classes, 5]),
      'fc.bias': w([classes]),
    },
    outputs: ['output'],
    free: { input: [0, 2, 3] },
  };
}

const run = (model: OnnxModel, ...inputs: Tensor[]) => inEvalMode(model, () => model.forward(...inputs)) as Tensor;

async function agrees(parts: ModelParts, tolerance = 1e-5): Promise<void> {
  const bytes = modelBytes(parts);
  const [wanted, actual] = [await judged(bytes, parts), await imported(bytes, parts)];
  for (const [i, { shape, data }] of wanted.entries()) {
    expect(actual[i].shape).toEqual(shape);
    expect(difference(actual[i].data, data)).toBeLessThanOrEqual(tolerance);
  }
}

describe('an imported network', () => {
  it('has the names and layers it had before it was exported', async () => {
    const model = importOnnx(modelBytes(network()));
    expect(Object.keys(model.stateDict())).toEqual([
      'layer1.0.conv1.weight',
      'layer1.0.bn1.weight',
      'layer1.0.bn1.bias',
      'layer1.0.bn1.running_mean',
      'layer1.0.bn1.running_var',
      'layer1.0.bn1.num_batches_tracked',
      'fc.weight',
      'fc.bias',
    ]);
    const kinds = {
      'layer1.0.conv1': Conv2d,
      'layer1.0.bn1': BatchNorm2d,
      'layer1.0.relu': ReLU,
      'layer1.0.Relu_1': ReLU,
      fc: Linear,
      Flatten,
    };
    for (const [path, kind] of Object.entries(kinds)) expect(model.get(path)).toBeInstanceOf(kind);
    expect(model.training).toBe(false);
    await agrees(network());
  });

  it('trains: the loss falls over 5 steps, and batch norm keeps statistics', async () => {
    const parts = network();
    const model = importOnnx(modelBytes(parts)).train();
    const before = await model.stateDict()['layer1.0.bn1.running_mean'].data();
    const input = foveaTensor(parts.values.input);
    const labels = tensor(Int32Array.of(0, 1, 2, 1));
    const optimizer = new SGD(model.parameters(), { lr: 0.05 });
    const losses: number[] = [];
    for (let step = 0; step < 6; step++) {
      const loss = (model.forward(input) as Tensor)
        .logSoftmax(1)
        .gather(1, labels.reshape([4, 1]))
        .mean()
        .neg();
      optimizer.zeroGrad();
      loss.backward();
      await optimizer.step();
      losses.push(await loss.item());
    }
    for (let step = 1; step < 6; step++) expect(losses[step]).toBeLessThan(losses[step - 1]);
    expect(await model.stateDict()['layer1.0.bn1.running_mean'].data()).not.toEqual(before);
  });

  it('shows activations and summary, and folds its batch norms', async () => {
    const parts = network();
    const model = importOnnx(modelBytes(parts));
    const input = foveaTensor(parts.values.input);
    expect(inEvalMode(model, () => model.activations(input, ['layer1.0.relu']))['layer1.0.relu'].shape).toEqual([
      4, 5, 6, 6,
    ]);
    expect(summary(model, [2, 6, 6]).totalParams).toBe(5 * 2 * 9 + 5 + 5 + 3 * 5 + 3);
    // In this graph the convolution's result is read twice, so its batch norm must stay; without the shortcut it goes.
    expect(foldBatchNorm(model, [2, 6, 6]).get('layer1.0.bn1')).toBeInstanceOf(BatchNorm2d);
    const nodes = parts.nodes.map((n) => (n.opType === 'Add' ? node('Add', ['r', 'r'], ['s']) : n));
    const plain = importOnnx(modelBytes({ ...parts, nodes }));
    const before = await run(plain, input).data();
    foldBatchNorm(plain, [2, 6, 6]);
    expect(plain.get('layer1.0.bn1')).toBeInstanceOf(Identity);
    expect(difference(Array.from(await run(plain, input).data()), Array.from(before))).toBeLessThan(1e-5);
  });

  it('runs any batch and size, compiled too', async () => {
    const model = importOnnx(modelBytes(network()));
    expect(run(model, zeros([2, 2, 9, 5])).shape).toEqual([2, 3]);
    const fast = compile((t: Tensor) => model.forward(t) as Tensor);
    const picture = foveaTensor(network().values.input);
    expect(
      difference(Array.from(await (await fast(picture)).data()), Array.from(await run(model, picture).data())),
    ).toBeLessThan(1e-5);
  });

  it('says what it is', () => {
    const metadata = {
      'fovea.classes': '["a","b","c"]',
      'fovea.preprocessing': '{"resize":8,"crop":[6,6],"interpolation":"bilinear","mean":[0,0],"std":[1,1]}',
    };
    const model = importOnnx(modelBytes({ ...network(), metadata }));
    expect(model.metadata).toMatchObject({
      opset: 18,
      inputs: [{ name: 'input', dtype: 'FLOAT', shape: ['input0', 2, 'input2', 'input3'] }],
      outputs: [{ name: 'output' }],
      classes: ['a', 'b', 'c'],
      preprocessing: { crop: [6, 6] },
      properties: metadata,
    });
    expect([...model.metadata.operators]).toEqual(
      expect.arrayContaining([
        ['Relu', 2],
        ['Conv', 1],
      ]),
    );
    expect(importOnnx(modelBytes({ ...network(), metadata: { 'fovea.classes': 'oops' } })).metadata.classes).toBeNull();
    expect(model.toString()).toContain('c = layer1.0.conv1: Conv2d(2, 5, kernelSize=[3,3]');
  });

  it('gives inner values where these are asked for, and leaves out what only the rest needed', () => {
    const parts = network();
    const nodes = [...parts.nodes, node('NonMaxSuppression', ['output', 't'], ['boxes'])];
    const bytes = modelBytes({ ...parts, nodes, outputs: ['boxes'] });
    expect(() => importOnnx(bytes)).toThrow('name inner values as outputs');
    const model = importOnnx(bytes, { outputs: ['t', 'output'] });
    expect(Object.keys(model.forward(zeros([1, 2, 6, 6])))).toEqual(['t', 'output']);
    expect(() => importOnnx(bytes, { outputs: [] })).toThrow(ConfigError);
  });

  it('keeps a weight that two layers share one parameter', () => {
    const model = importOnnx(
      modelBytes({
        nodes: [
          node('MatMul', ['x', 'tied.weight'], ['h']),
          node('MatMul', ['h', 'tied.weight'], ['i']),
          node('Gemm', ['i', 'other'], ['y']),
        ],
        values: { x: x([2, 3]), 'tied.weight': w([3, 3]), other: w([3, 3]) },
        outputs: ['y'],
      }),
    );
    expect(model.parameters().length).toBe(2);
  });

  it('takes a product and the bias behind it as one layer, under the name of the bias', async () => {
    const parts: ModelParts = {
      nodes: [node('MatMul', ['x', 'onnx::MatMul_7'], ['h']), node('Add', ['blocks.0.qkv.bias', 'h'], ['y'])],
      values: { x: x([2, 4, 3]), 'onnx::MatMul_7': w([3, 6]), 'blocks.0.qkv.bias': w([6]) },
      outputs: ['y'],
    };
    expect(importOnnx(modelBytes(parts)).get('blocks.0.qkv')).toBeInstanceOf(Linear);
    await agrees(parts);
  });

  it('trains tensors that were parameters by their names, and leaves tables, masks and sizes alone', () => {
    const model = importOnnx(
      modelBytes({
        nodes: [
          node('Add', ['x', 'pos_embed'], ['a']),
          node('Mul', ['a', 'blocks.0.gamma'], ['b']),
          node('Add', ['b', 'attn_mask'], ['c']),
          node('Add', ['c', 'onnx::Add_12'], ['d']),
          node('Mul', ['d', 'float32(0.5)[]'], ['e']),
          node('Resize', ['e', '', 'scales'], ['y']),
        ],
        values: {
          x: x([1, 2, 3, 4]),
          pos_embed: w([3, 4]),
          'blocks.0.gamma': w([4]),
          attn_mask: w([4]),
          'onnx::Add_12': w([4]),
          'float32(0.5)[]': float(0.5),
          scales: floats(1, 1, 2, 2),
        },
        outputs: ['y'],
      }),
    );
    expect(Array.from(model.namedParameters(), ([path]) => path).sort()).toEqual(['blocks.0.gamma', 'pos_embed']);
    expect(model.stateDict().pos_embed).toBeInstanceOf(Parameter);
  });

  it('makes any name fit: reserved ones, ones inside others, and ones that are taken', () => {
    const layer = (name: string, from: string, to: string) => node('Gemm', [from, name], [to]);
    const names = [
      'train.weight',
      'a.weight',
      'a.b.weight',
      'a/b/kernel:0',
      '__proto__.weight',
      'constructor.w_0',
      '..',
      'ü.weight',
    ];
    const nodes = names.map((name, i) => layer(name, i === 0 ? 'x' : `v${i - 1}`, `v${i}`));
    const values = Object.fromEntries([['x', x([1, 2])], ...names.map((name) => [name, w([2, 2])] as const)]);
    const model = importOnnx(modelBytes({ nodes, values, outputs: [`v${names.length - 1}`] }));
    expect(model.parameters().length).toBe(names.length);
    expect(new Set(Object.keys(model.stateDict())).size).toBe(names.length);
    expect(model.get('train_')).toBeInstanceOf(Linear);
    expect(run(model, zeros([1, 2])).shape).toEqual([1, 2]);
  });
});

describe('sizes that the file computes', () => {
  /** x [N, C, H, W] → [N, C·H·W / 2, 2] by Shape, Gather, Concat and Reshape, with a padding that is computed as well. */
  const chain: ModelParts = {
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'zero'], ['n']),
      node('Unsqueeze', ['n', 'front'], ['n1']),
      node('Concat', ['n1', 'rest'], ['target'], { axis: 0 }),
      node('Reshape', ['x', 'target'], ['y']),
      node('Slice', ['shape', 'one', 'four'], ['chw']),
      node('ReduceProd', ['chw'], ['size'], { keepdims: 0 }),
      node('Cast', ['size'], ['float'], { to: 1 }),
      node('Sqrt', ['float'], ['root']),
      node('Div', ['y', 'root'], ['z']),
      node('Range', ['zero', 'n', 'step'], ['places']),
      node('Cast', ['places'], ['placesF'], { to: 1 }),
      node('Unsqueeze', ['placesF', 'ends'], ['column']),
      node('Add', ['z', 'column'], ['out']),
    ],
    values: {
      x: x([3, 2, 4, 2]),
      zero: int(0),
      step: int(1),
      front: ints(0),
      rest: ints(-1, 2),
      one: ints(1),
      four: ints(4),
      ends: ints(1, 2),
    },
    outputs: ['out'],
    free: { x: [0, 1, 2, 3] },
  };

  it('are computed anew for each shape', async () => {
    await agrees(chain);
    const model = importOnnx(modelBytes(chain));
    for (const shape of [
      [1, 2, 3, 4],
      [5, 1, 2, 2],
      [1, 2, 3, 4],
    ]) {
      const values = { ...chain.values, x: x(shape) };
      const [wanted] = await judged(modelBytes(chain), { ...chain, values });
      const actual = run(model, foveaTensor(values.x));
      expect(actual.shape).toEqual(wanted.shape);
      expect(difference(Array.from(await actual.data()), wanted.data)).toBeLessThan(1e-5);
    }
  });

  it('follow shapes only: sizes from numbers are refused before anything runs', () => {
    const nodes = [
      node('Cast', ['x'], ['size'], { to: 7 }),
      node('Expand', ['y', 'size'], ['z'], {}, { name: 'grow' }),
    ];
    const bytes = modelBytes({ nodes, values: { x: x([2]), y: x([1]) }, outputs: ['z'] });
    expect(() => importOnnx(bytes)).toThrow(
      "node 'grow' (Expand): its input 1 ('size') depends on numbers that only a run gives",
    );
  });

  it('fold constants of any length into weights', async () => {
    const parts: ModelParts = {
      nodes: [
        node('Constant', [], ['scale'], { value: tensorProto('', floats(0.5)) }),
        node('DequantizeLinear', ['quantised', 'scale'], ['weight']),
        node('Conv', ['x', 'weight'], ['y']),
      ],
      values: { x: x([1, 2, 4, 4]), quantised: constant('int8', [3, 2, 1, 1], [1, -2, 3, 4, -5, 6]) },
      outputs: ['y'],
    };
    await agrees(parts);
    expect(importOnnx(modelBytes(parts)).stepCounts()).toEqual(new Map([['Conv2d', 1]]));
  });

  it.each<[string, NodeProto[], ModelParts['values']]>([
    [
      'Expand',
      [node('Expand', ['x', 's'], ['y'], {}, { name: 'huge' })],
      { x: ints(1), s: ints(2 ** 20, 2 ** 20, 2 ** 20) },
    ],
    [
      'Tile',
      [node('Tile', ['x', 's'], ['y'], {}, { name: 'huge' })],
      { x: constant('int64', [2, 2], [1, 2, 3, 4]), s: ints(2 ** 30, 2 ** 30) },
    ],
    [
      'ConstantOfShape',
      [node('ConstantOfShape', ['s'], ['y'], {}, { name: 'huge' })],
      { x: x([1]), s: ints(2 ** 20, 2 ** 20) },
    ],
    [
      'ConstantOfShape of a negative size',
      [node('ConstantOfShape', ['s'], ['y'], {}, { name: 'huge' })],
      { x: x([1]), s: ints(-1) },
    ],
    [
      'Range',
      [node('Range', ['a', 'b', 'c'], ['y'], {}, { name: 'huge' })],
      { x: x([1]), a: float(0), b: float(1e30), c: float(1) },
    ],
    [
      'Range without end',
      [node('Range', ['a', 'b', 'c'], ['y'], {}, { name: 'huge' })],
      { x: x([1]), a: int(0), b: int(5), c: int(0) },
    ],
    [
      'OneHot',
      [node('OneHot', ['i', 'd', 'v'], ['y'], {}, { name: 'huge' })],
      { i: constant('int64', [2], [0, 1]), d: int(2 ** 31 - 1), v: floats(0, 1) },
    ],
    [
      'Pad',
      [node('Pad', ['x', 's'], ['y'], {}, { name: 'huge' })],
      { x: constant('float', [1, 1], [1]), s: ints(2 ** 30, 2 ** 30, 0, 0) },
    ],
    [
      'Resize',
      [node('Resize', ['x', '', '', 's'], ['y'], {}, { name: 'huge' })],
      { x: constant('float', [1, 1], [1]), s: ints(2 ** 30, 2 ** 30) },
    ],
  ])('are bounded: %s', (_, nodes, values) => {
    expect(() => importOnnx(modelBytes({ nodes, values, outputs: ['y'] }))).toThrow(/node 'huge'/);
    expect(() => importOnnx(modelBytes({ nodes, values, outputs: ['y'] }))).toThrow(FormatError);
  });

  it('are worked out on the host as far as that is little work; the rest is left to the device', () => {
    const chain = Array.from({ length: 1000 }, (_, i) => node('Exp', [`v${i}`], [`v${i + 1}`]));
    const nodes = [node('ConstantOfShape', ['s'], ['v0']), ...chain];
    const model = importOnnx(modelBytes({ nodes, values: { s: ints(1 << 20) }, outputs: ['v1000'] }));
    expect(model.stepCounts().get('Exp')).toBeGreaterThan(800);
    const product = [node('ConstantOfShape', ['s'], ['a']), node('MatMul', ['a', 'a'], ['y'])];
    const matrices = importOnnx(modelBytes({ nodes: product, values: { s: ints(1024, 1024) }, outputs: ['y'] }));
    expect(matrices.stepCounts()).toEqual(new Map([['MatMul', 1]]));
  });

  it('that do not fit the input are the caller’s mistake', () => {
    const parts: ModelParts = {
      nodes: [node('Reshape', ['x', 's'], ['y'], {}, { name: 'flat' })],
      values: { x: x([1, 6]), s: ints(1, 6) },
      outputs: ['y'],
    };
    const model = importOnnx(modelBytes(parts));
    expect(() => model.forward(zeros([2, 6]))).toThrow(ShapeError);
    expect(() => model.forward(zeros([2, 6]))).toThrow(
      "node 'flat' (Reshape): [2, 6] has 12 elements".replace('[2, 6]', '[2,6]'),
    );
  });
});

describe('branches and functions', () => {
  it('takes the branch that the shape of the input chooses', async () => {
    const branch = (op: string, name: string) =>
      graphProto({ nodes: [node(op, ['outer', 'weights'], [name])], values: {}, outputs: [name] });
    const parts: ModelParts = {
      nodes: [
        node('Relu', ['x'], ['outer']),
        node('Size', ['x'], ['size']),
        node('Equal', ['size', 'four'], ['small']),
        node('If', ['small'], ['y'], { then_branch: branch('Add', 'sum'), else_branch: branch('Mul', 'product') }),
      ],
      values: { x: x([2, 2]), four: int(4), weights: w([2]) },
      outputs: ['y'],
      free: { x: [0] },
    };
    await agrees(parts);
    await agrees({ ...parts, values: { ...parts.values, x: x([3, 2]) } });
  });

  it('writes the file’s own functions out, with attributes that are passed on', async () => {
    const reference = create(AttributeProtoSchema, { name: 'alpha', refAttrName: 'slope', type: AttributeType.FLOAT });
    const leaky = node('LeakyRelu', ['a'], ['t']);
    leaky.attribute.push(reference);
    const own = create(FunctionProtoSchema, {
      name: 'Twice',
      domain: 'local',
      input: ['a'],
      output: ['b'],
      attribute: ['slope'],
      node: [leaky, node('Add', ['t', 't'], ['b'])],
      opsetImport: [{ domain: '', version: 18n }],
    });
    const parts: ModelParts = {
      nodes: [
        node('Twice', ['x'], ['h'], { slope: { float: 0.3 } }, { domain: 'local', name: 'first' }),
        node('Twice', ['h'], ['y'], { slope: { float: 0.1 } }, { domain: 'local', name: 'second' }),
      ],
      values: { x: x([5]) },
      outputs: ['y'],
    };
    const model = parseOnnx(modelBytes(parts));
    model.functions.push(own);
    model.opsetImport.push({ ...model.opsetImport[0], domain: 'local', version: 1n });
    const bytes = encodeOnnx(model);
    const [wanted] = await judged(bytes, parts);
    const [actual] = await imported(bytes, parts);
    expect(difference(actual.data, wanted.data)).toBeLessThan(1e-6);

    own.node.push(node('Twice', ['b'], ['again'], {}, { domain: 'local' }));
    expect(() => importOnnx(encodeOnnx(model))).toThrow("functions nested more than 32 deep at 'Twice'");
  });
});

describe('what is refused before anything runs', () => {
  const refused = (nodes: NodeProto[], rest: Partial<ModelParts> = {}) => {
    const parts = { nodes, values: { x: x([2, 3]) }, outputs: ['y'], ...rest };
    try {
      importOnnx(modelBytes(parts));
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
      return (error as Error).message.replace(/ \(at byte \d+\)$/, '');
    }
    throw new Error('nothing was refused');
  };

  it('operators that are unknown, all at once, by name, domain and version', () => {
    const nodes = [
      node('Relu', ['x'], ['a']),
      node('Frobnicate', ['a'], ['b'], {}, { name: '/head/Frob' }),
      node('FusedConv', ['b'], ['c'], {}, { domain: 'com.microsoft' }),
      node('Loop', ['c'], ['y'], {}, { name: 'loop' }),
    ];
    expect(refused(nodes)).toBe(
      "onnx: fovea does not know these operators:\n  node '/head/Frob' (Frobnicate) of operator set 18\n" +
        "  the node that makes 'c' (com.microsoft.FusedConv) of operator set unknown\n" +
        "  node 'loop' (Loop) of operator set 18: fovea records a network once for each shape; loops whose length is data cannot be",
    );
    expect(() => importOnnx(modelBytes({ nodes, values: { x: x([2, 3]) }, outputs: ['a'] }))).not.toThrow();
  });

  it.each<[string, NodeProto[], string, Partial<ModelParts>?]>([
    [
      'a value nobody makes',
      [node('Add', ['x', 'z'], ['y'], {}, { name: 'add' })],
      "onnx: node 'add' (Add): it reads the value 'z', which nothing makes",
    ],
    ['an output nobody makes', [node('Relu', ['x'], ['z'])], "onnx: nothing makes the output 'y'"],
    [
      'a cycle',
      [node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['b'], ['y'])],
      "onnx: the node that makes 'b' (Relu): its result 'b' depends on itself: the graph has a cycle",
    ],
    [
      'a value made twice',
      [node('Relu', ['x'], ['y']), node('Abs', ['x'], ['y'], {}, { name: 'again' })],
      "onnx: node 'again' (Abs): it makes the value 'y', which something else makes too",
    ],
    [
      'an attribute of another type',
      [node('LeakyRelu', ['x'], ['y'], { alpha: 3 }, { name: 'r' })],
      "onnx: node 'r' (LeakyRelu): attribute 'alpha' is of type INT, FLOAT is expected",
    ],
    [
      'an axis that does not exist',
      [node('Concat', ['c', 'c'], ['y'], { axis: 5 }, { name: 'cat' })],
      "onnx: node 'cat' (Concat): axis 5 does not exist: there are 1",
      { values: { x: x([1]), c: ints(1, 2) } },
    ],
    [
      'a word it does not know',
      [node('Pad', ['x', 's'], ['y'], { mode: 'mirror' }, { name: 'p' })],
      "onnx: node 'p' (Pad): mode is 'mirror'; fovea knows constant, reflect, edge, wrap",
      { values: { x: x([2]), s: ints(1, 1) } },
    ],
    [
      'a weight without channels for its groups',
      [node('Conv', ['x', 'k'], ['y'], { group: 2 }, { name: 'c' })],
      "onnx: node 'c' (Conv): Conv2d: groups = 2 must divide",
      { values: { x: x([1, 3, 4, 4]), k: w([3, 1, 3, 3]) } },
    ],
    [
      'a window of another rank',
      [node('Conv', ['x', 'k'], ['y'], { kernel_shape: [3] }, { name: 'c' })],
      "onnx: node 'c' (Conv): kernel_shape is [3], its weight has [3,3]",
      { values: { x: x([1, 3, 4, 4]), k: w([3, 3, 3, 3]) } },
    ],
    [
      'negative pads',
      [node('MaxPool', ['x'], ['y'], { kernel_shape: [2], pads: [-1, 0] }, { name: 'm' })],
      "onnx: node 'm' (MaxPool): pads is [-1,0]; 2 whole numbers from 0 up are expected",
    ],
    [
      'statistics that do not go together',
      [node('BatchNormalization', ['x', 'a', 'a', 'b', 'a'], ['y'], {}, { name: 'b' })],
      "onnx: node 'b' (BatchNormalization): scale, bias, mean and variance have shapes",
      { values: { x: x([2, 3]), a: w([3]), b: w([4]) } },
    ],
    [
      'batch norm that is training',
      [node('BatchNormalization', ['x', 'a', 'a', 'a', 'a'], ['y'], { training_mode: 1 }, { name: 'b' })],
      "onnx: node 'b' (BatchNormalization): it was exported in training mode",
      { values: { x: x([2, 3]), a: w([3]) } },
    ],
    [
      'text',
      [node('Constant', [], ['y'], { value_string: 'hello' }, { name: 's' })],
      "onnx: node 's' (Constant): it holds no numbers",
    ],
    [
      'an old operator set',
      [node('Relu', ['x'], ['y'])],
      'onnx: the model is written in operator set 6; fovea reads 7 to',
      { opset: 6 },
    ],
    [
      'a new operator set',
      [node('Relu', ['x'], ['y'])],
      'onnx: the model is written in operator set 99; fovea reads 7 to',
      { opset: 99 },
    ],
    ['no outputs at all', [node('Relu', ['x'], ['y'])], 'onnx: the graph has no outputs', { outputs: [] }],
    [
      'places counted from data',
      [node('NonZero', ['x'], ['y'], {}, { name: 'nz' })],
      "onnx: node 'nz' (NonZero): its input 0 ('x') depends on numbers",
    ],
  ])('%s', (_, nodes, message, rest = {}) => {
    expect(refused(nodes, rest).slice(0, message.length)).toBe(message);
  });

  it('inputs and attributes that stand twice, and inputs that are no tensors', () => {
    const model = parseOnnx(modelBytes(network()));
    model.graph!.initializer.push(model.graph!.initializer[0]);
    expect(() => importOnnx(encodeOnnx(model))).toThrow("the initializer 'layer1.0.conv1.weight' stands twice");
    model.graph!.initializer.pop();
    model.graph!.node[0].attribute.push(attribute('pads', [0, 0, 0, 0]));
    expect(() => importOnnx(encodeOnnx(model))).toThrow("(Conv): attribute 'pads' stands twice");
    model.graph!.node[0].attribute.pop();
    const type = { value: { case: 'sequenceType', value: {} } } as const;
    model.graph!.input.push(create(ValueInfoProtoSchema, { name: 'list', type }));
    expect(() => importOnnx(encodeOnnx(model))).toThrow("'list' is a sequence, not a tensor");
  });

  it('names the tensor whose data lie in another file', () => {
    const model = parseOnnx(modelBytes(network()));
    const weight = model.graph!.initializer[0];
    weight.rawData = new Uint8Array();
    weight.dataLocation = 1;
    weight.externalData.push(create(StringStringEntryProtoSchema, { key: 'location', value: 'weights.bin' }));
    expect(() => importOnnx(encodeOnnx(model))).toThrow(
      "tensor 'layer1.0.conv1.weight' keeps its values in the file 'weights.bin'",
    );
    const values = new Float32Array(90).fill(0.25);
    const filled = importOnnx(encodeOnnx(model), { external: () => new Uint8Array(values.buffer) });
    expect(filled.stateDict()['layer1.0.conv1.weight'].peek()).toEqual(values);
  });

  it('damaged files end in a FormatError, or in a network', () => {
    const whole = modelBytes(network());
    let refusals = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const bytes = Uint8Array.from(whole);
          for (const [at, value] of changes) bytes[at] = value;
          try {
            importOnnx(bytes);
          } catch (error) {
            refusals++;
            if (!(error instanceof FormatError)) throw error;
          }
        },
      ),
      { numRuns: 600, seed: 4 },
    );
    expect(refusals).toBeGreaterThan(100);
  });
});

it('limits of an inner value that is ReLU6 become the layer', () => {
  const model = importOnnx(
    modelBytes({
      nodes: [node('Clip', ['x', 'a', 'b'], ['y'], {}, { name: '/act/Clip' })],
      values: { x: x([2]), a: float(0), b: float(6) },
      outputs: ['y'],
    }),
  );
  expect(model.get('act')).toBeInstanceOf(ReLU6);
  expect(noGrad(() => model.forward(zeros([2]))).constructor.name).toBe('Tensor');
  expect(given('bool', [1], [1]).constant).toBe(false);
});

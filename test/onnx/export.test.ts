/**
 * What the exporter writes for each kind of operation, and that ONNX Runtime computes the same from it, for a batch of 1 and of 3 from one file.
 * `ops` is the list of ONNX operators in the file, so that a graph stays as readable as it is.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { models, nn } from '../../src/index.js';
import { loadModel } from '../../src/io/index.js';
import { exportOnnx, type OnnxExportOptions, onnxModel, producerVersion } from '../../src/io/onnx/export.js';
import { encodeOnnx } from '../../src/io/onnx/model-file.js';
import { tensorIntegers, tensorValue } from '../../src/io/onnx/tensor-value.js';
import { inEvalMode } from '../../src/nn/module.js';
import { concat, F, ones, rand, type Tensor, tensor, where, zeros } from '../../src/tensor/index.js';
import { asTensor, numbers, openSession, relativeError, spreadOut } from './runtime.js';

type Forward = (x: Tensor, ...others: Tensor[]) => Tensor | Record<string, Tensor> | Tensor[];

/** A function as a module, with layers inside. */
class Of extends nn.Module {
  readonly layers: nn.Module[];
  readonly #forward: Forward;
  constructor(forward: Forward, layers: nn.Module[] = []) {
    super();
    this.#forward = forward;
    this.layers = layers;
  }
  override forward(...inputs: [Tensor, ...Tensor[]]) {
    return this.#forward(...inputs);
  }
}

interface Case {
  readonly input: readonly number[];
  readonly ops: string;
  readonly f?: Forward;
  readonly layer?: () => nn.Module;
  readonly dtype?: 'float32' | 'int32';
  readonly options?: Partial<OnnxExportOptions>;
  readonly absolute?: boolean;
}

const image = [4, 6, 6];

const cases: Record<string, Case> = {
  'convolution with bias': {
    input: image,
    layer: () => new nn.Conv2d(4, 6, 3, { stride: 2, padding: 1 }),
    ops: 'Conv',
  },
  'convolution without bias': { input: image, layer: () => new nn.Conv2d(4, 6, 3, { bias: false }), ops: 'Conv' },
  'convolution to one channel': { input: image, layer: () => new nn.Conv2d(4, 1, 1), ops: 'Conv' },
  'grouped, dilated convolution': {
    input: image,
    layer: () => new nn.Conv2d(4, 8, 2, { groups: 2, dilation: [2, 1], padding: [[1, 0], [0, 2]] }), // biome-ignore format: one thought
    ops: 'Conv',
  },
  'convolution over one axis': { input: [3, 9], layer: () => new nn.Conv1d(3, 5, 3, { padding: 1 }), ops: 'Conv' },
  'convolution over three axes': { input: [2, 4, 5, 6], layer: () => new nn.Conv3d(2, 3, 3), ops: 'Conv' },
  'transposed convolution': {
    input: image,
    layer: () => new nn.ConvTranspose2d(4, 6, 3, { stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
    ops: 'ConvTranspose',
  },
  'a convolution whose result is read twice keeps its bias apart': {
    input: image,
    f: (x) => {
      const y = F.conv2d(x, ones([2, 4, 1, 1]));
      return y.add(tensor([1, 2]).reshape([2, 1, 1])).mul(y);
    },
    ops: 'Conv Add Mul',
  },
  'linear layer': { input: [5], layer: () => new nn.Linear(5, 3), ops: 'Gemm' },
  'linear layer without bias': { input: [5], layer: () => new nn.Linear(5, 3, { bias: false }), ops: 'Gemm' },
  'linear layer on tokens': { input: [7, 5], layer: () => new nn.Linear(5, 3), ops: 'Transpose MatMul Add' },
  'products of matrices': {
    input: [2, 3, 4],
    f: (x) => x.matmul(x.transpose(-2, -1)).matmul(x),
    ops: 'Transpose MatMul MatMul',
  },
  'one matrix times a batch of them': { input: [3, 4], f: (x) => tensor([[1, 2, 3], [4, 5, 6]]).matmul(x), ops: 'MatMul' }, // biome-ignore format: one thought
  einsum: {
    input: [3, 4],
    f: (x) => F.einsum('nij,kj->nik', x, ones([5, 4])),
    ops: 'Reshape MatMul Reshape',
  },
  attention: {
    input: [5, 8],
    layer: () => new Attended(),
    ops: 'Transpose MatMul Add Slice Reshape Transpose Mul Slice Reshape Transpose Transpose MatMul Softmax Slice Reshape Transpose MatMul Transpose Reshape Transpose MatMul Add',
  },
  'batch norm': { input: image, layer: () => new nn.BatchNorm2d(4), ops: 'BatchNormalization' },
  'batch norm of features, not affine': {
    input: [5],
    layer: () => new nn.BatchNorm1d(5, { affine: false }),
    ops: 'BatchNormalization',
  },
  'batch norm folded into a convolution': {
    input: image,
    layer: () => new nn.Sequential(new nn.Conv2d(4, 6, 3, { bias: false }), new nn.BatchNorm2d(6), new nn.ReLU()),
    options: { foldBatchNorm: true },
    ops: 'Conv Relu',
  },
  'batch norm folded into a transposed convolution and a linear layer': {
    input: image,
    layer: () =>
      new nn.Sequential(
        new nn.ConvTranspose2d(4, 3, 2),
        new nn.BatchNorm2d(3),
        new nn.Flatten(),
        new nn.Linear(147, 5),
        new nn.BatchNorm1d(5),
      ),
    options: { foldBatchNorm: true },
    ops: 'ConvTranspose Flatten Gemm',
  },
  'batch norm that cannot be folded': {
    input: image,
    layer: () => new nn.Sequential(new nn.ConvTranspose2d(4, 4, 2, { groups: 2 }), new nn.BatchNorm2d(4)),
    options: { foldBatchNorm: true },
    ops: 'ConvTranspose BatchNormalization',
  },
  'layer norm': { input: [3, 5], layer: () => new nn.LayerNorm(5), ops: 'LayerNormalization' },
  'layer norm over two axes without weights': {
    input: [3, 5],
    layer: () => new nn.LayerNorm([3, 5], { elementwiseAffine: false }),
    ops: 'LayerNormalization',
  },
  'layer norm over channels': {
    input: image,
    layer: () => new nn.LayerNorm2d(4),
    ops: 'Transpose LayerNormalization Transpose',
  },
  'group norm': {
    input: image,
    layer: () => new nn.GroupNorm(2, 4),
    ops: 'Reshape Reshape Reshape InstanceNormalization Reshape Mul Add',
  },
  'group norm without weights': {
    input: image,
    layer: () => new nn.GroupNorm(2, 4, { affine: false }),
    ops: 'Reshape InstanceNormalization Reshape',
  },
  'group norm in opset 21': {
    input: image,
    layer: () => new nn.GroupNorm(2, 4),
    options: { opset: 21 },
    ops: 'GroupNormalization',
  },
  'instance norm': {
    input: image,
    layer: () => new nn.InstanceNorm2d(4, { affine: true }),
    ops: 'InstanceNormalization',
  },
  'local response norm': {
    input: [6, 3, 3],
    layer: () => new nn.LocalResponseNorm(3, { alpha: 0.3 }),
    ops: 'Mul Pad Slice Slice Add Slice Add Mul Add Pow Div',
  },
  'RMS norm': { input: [3, 5], layer: () => new nn.RMSNorm(5), ops: 'Mul ReduceMean Add Sqrt Reciprocal Mul Mul' },

  relu: { input: [5], f: (x) => x.relu(), ops: 'Relu' },
  relu6: { input: [5], f: (x) => x.mul(9).relu6(), ops: 'Mul Clip' },
  'leaky relu': { input: [5], f: (x) => x.leakyRelu(0.2), ops: 'LeakyRelu' },
  'relu with a slope for each channel': { input: image, layer: () => new nn.PReLU(4), ops: 'Reshape PRelu' },
  'relu with one slope': { input: image, layer: () => new nn.PReLU(), ops: 'PRelu' },
  elu: { input: [5], f: (x) => x.elu(0.7), ops: 'Elu' },
  selu: { input: [5], f: (x) => x.selu(), ops: 'Selu' },
  celu: { input: [5], f: (x) => x.celu(1.7), ops: 'Celu' },
  'celu that is elu': { input: [5], f: (x) => x.celu(1), ops: 'Celu' },
  gelu: { input: [5], f: (x) => x.gelu(), ops: 'Div Erf Add Mul Mul' },
  'gelu in opset 20': { input: [5], f: (x) => x.gelu(), options: { opset: 20 }, ops: 'Gelu' },
  'gelu by tanh': {
    input: [5],
    f: (x) => x.gelu({ approximate: 'tanh' }),
    ops: 'Mul Mul Mul Mul Add Mul Tanh Add Mul',
  },
  'gelu by tanh in opset 20': {
    input: [5],
    f: (x) => x.gelu({ approximate: 'tanh' }),
    options: { opset: 20 },
    ops: 'Gelu',
  },
  silu: { input: [5], f: (x) => x.silu(), ops: 'Sigmoid Mul' },
  hardswish: { input: [5], f: (x) => x.mul(5).hardswish(), ops: 'Mul HardSwish' },
  hardsigmoid: { input: [5], f: (x) => x.mul(5).hardsigmoid(), ops: 'Mul HardSigmoid' },
  mish: { input: [5], f: (x) => x.mish(), ops: 'Softplus Tanh Mul' },
  'mish in opset 18': { input: [5], f: (x) => x.mish(), options: { opset: 18 }, ops: 'Mish' },
  softplus: { input: [5], f: (x) => x.softplus(), ops: 'Softplus' },
  softsign: { input: [5], f: (x) => x.softsign(), ops: 'Softsign' },
  'log sigmoid': { input: [5], f: (x) => x.logSigmoid(), ops: 'Min Abs Neg Exp Add Log Sub' },
  clamp: { input: [5], f: (x) => x.clamp(-0.5, 0.25).add(x.clamp(0.1)), ops: 'Clip Clip Add' },
  softmax: { input: image, f: (x) => x.softmax(1).add(x.logSoftmax(-1)), ops: 'Softmax LogSoftmax Add' },

  'functions of one operand': {
    input: [9],
    f: (x) =>
      concat([x.neg(), x.abs(), x.sign(), x.exp(), x.expm1(), x.abs().log1p(), x.abs().add(0.1).log(), x.abs().sqrt(), x.abs().add(0.5).rsqrt(), x.add(3).reciprocal(), x.sin(), x.cos(), x.tan(), x.tanh(), x.sigmoid(), x.erf(), x.mul(5).floor(), x.mul(5).ceil(), x.mul(4).round(), x.mul(5).trunc()], 1), // biome-ignore format: one thought
    ops: 'Neg Abs Sign Exp Exp Sub Abs Add Log Abs Add Log Abs Sqrt Abs Add Sqrt Reciprocal Add Reciprocal Sin Cos Tan Tanh Sigmoid Erf Mul Floor Mul Ceil Mul Round Mul Sign Abs Floor Mul Concat',
  },
  'functions of two operands': {
    input: [4, 1],
    f: (x) => {
      const y = tensor([0.5, -1.5, 2]);
      return concat([x.sub(y), x.div(y), x.maximum(y), x.minimum(y), x.mul(7).remainder(y), x.abs().pow(y)], 2);
    },
    ops: 'Sub Div Max Min Mul Div Floor Mul Sub Abs Pow Concat',
  },
  'comparisons and truth': {
    input: [9],
    f: (x) => {
      const [a, b] = [x.gt(0.2), x.le(-0.1)];
      const all = [a.logicalOr(b), a.logicalXor(b), a.logicalAnd(b).logicalNot(), x.lt(0), x.ge(0.5), x.sign().eq(1), x.sign().ne(1)]; // biome-ignore format: one thought
      return where(all.reduce((p, q) => p.logicalXor(q)), x, -1); // biome-ignore format: one thought
    },
    ops: 'Greater LessOrEqual Or Xor Xor And Not Xor Less Xor GreaterOrEqual Xor Sign Equal Xor Sign Equal Not Xor Where',
  },
  'casts and integers': {
    input: [9],
    f: (x) => x.mul(9).to('int32').mul(3).maximum(-5).abs().to('float32').div(2),
    ops: 'Mul Cast Mul Max Abs Cast Div',
  },
  'a byte of a float keeps the low bits': {
    input: [9],
    f: (x) => x.mul(900).to('uint8').to('float32'),
    ops: 'Mul Cast Mod Cast Cast',
  },

  'max pooling': { input: image, f: (x) => x.maxPool2d(3, { stride: 2, padding: 1, ceilMode: true }), ops: 'MaxPool' },
  'max pooling, dilated': { input: image, f: (x) => x.maxPool2d(2, { stride: 1, dilation: 2 }), ops: 'MaxPool' },
  'max pooling over all': { input: image, f: (x) => x.adaptiveMaxPool2d(1), ops: 'GlobalMaxPool' },
  'places of maxima': {
    input: image,
    f: (x) => F.maxPool2dWithIndices(x, 2).indices.to('float32'),
    ops: 'MaxPool Mod Cast Cast',
  },
  'average pooling': { input: image, f: (x) => x.avgPool2d(3, { stride: 2, padding: 1 }), ops: 'AveragePool' },
  'average pooling that counts no padding': {
    input: image,
    f: (x) => x.avgPool2d(3, { stride: 2, padding: 1, countIncludePad: false, ceilMode: true }),
    ops: 'AveragePool',
  },
  'average pooling whose last windows hang over': {
    input: [4, 7, 7],
    f: (x) => x.avgPool2d(4, { stride: 2, padding: 1, ceilMode: true }),
    ops: 'AveragePool Mul Div',
  },
  'average pooling to uneven windows': { input: [2, 7, 5], f: (x) => x.adaptiveAvgPool2d([3, 5]), ops: 'AveragePool' },
  'global average': { input: image, f: (x) => x.adaptiveAvgPool2d(1).flatten(1), ops: 'GlobalAveragePool Flatten' },

  means: { input: image, f: (x) => x.mean([2, 3]).add(x.mean(1).mean(-1).mean(-1, { keepDims: true })), ops: 'ReduceMean ReduceMean ReduceMean ReduceMean Add' }, // biome-ignore format: one thought
  'means in opset 18': { input: image, f: (x) => x.mean(1), options: { opset: 18 }, ops: 'ReduceMean' },
  reductions: {
    input: image,
    f: (x) => x.sum(1).mul(F.amin(x, 1)).sub(x.max(2).values.mean(1, { keepDims: true })).add(x.prod(-1).sum([1, 2]).reshape([-1, 1, 1])), // biome-ignore format: one thought
    ops: 'ReduceSum ReduceMin Mul ArgMax Cast GatherElements Reshape ReduceMean Sub ReduceProd ReduceSum Reshape Add',
  },
  'a mean over the batch': {
    input: [5],
    f: (x) => x.sub(x.mean(0)).abs().sum(1),
    ops: 'ReduceMean Sub Abs ReduceSum',
    absolute: true,
  },
  'whether any, whether all': {
    input: [3, 4],
    f: (x) =>
      F.any(x.gt(0.5), 2)
        .logicalXor(F.all(x.gt(-0.5), 2))
        .to('float32'),
    ops: 'Greater Cast ReduceMax Cast Greater Cast ReduceMin Cast Xor Cast',
  },
  'where the largest is': {
    input: [3, 4],
    f: (x) =>
      x
        .argmax(2)
        .sub(x.argmin(1, { keepDims: true }).max(2).values)
        .to('float32'),
    ops: 'ArgMax Cast ArgMin Cast ArgMax Cast GatherElements Flatten Sub Cast',
  },
  'the length of vectors': {
    input: [3, 4],
    f: (x) => x.div(F.norm(x, 2, -1, { keepDims: true })),
    ops: 'ReduceL2 Div',
  },
  'running sums': { input: [3, 4], f: (x) => x.cumsum(2), ops: 'CumSum' },

  movement: {
    input: [4, 6],
    f: (x) => x.reshape([-1, 2, 12]).transpose(1, 2).flip(1).flatten(1).unsqueeze(1),
    ops: 'Reshape Transpose Slice Reshape',
  },
  'reshapes one after another are one': {
    input: [4, 6],
    f: (x) => x.reshape([-1, 24]).reshape([-1, 2, 2, 6]),
    ops: 'Reshape',
  },
  'the batch drawn together with another axis and apart again': {
    input: [4, 6],
    f: (x) => x.reshape([-1, 6]).softmax(1).reshape([-1, 4, 6]),
    ops: 'Reshape Softmax Reshape',
  },
  'slices': { input: [4, 6], f: (x) => concat([x.narrow(1, 1, 2), x.slice(':', '0:4:2')], 1), ops: 'Slice Slice Concat' }, // biome-ignore format: one thought
  rolling: { input: [4, 6], f: (x) => F.roll(x, 2, 1), ops: 'Slice Slice Concat' },
  'padding with a number': {
    input: image,
    f: (x) =>
      x.pad(
        [
          [1, 0],
          [2, 1],
        ],
        { value: -1 },
      ),
    ops: 'Pad',
  },
  'padding by repetition and reflection': {
    input: image,
    f: (x) => x.pad([2, 1], { mode: 'replicate' }).sub(x.pad([2, 1], { mode: 'reflect' })),
    ops: 'Slice Expand Slice Concat Slice Slice Slice Concat Sub',
  },
  repeating: {
    input: [4, 1],
    f: (x) => concat([x.expand([-1, 4, 3]), x.repeat([1, 1, 2])], 2),
    ops: 'Expand Reshape Expand Reshape Concat',
  },
  'a token in front of each': {
    input: [4, 6],
    f: (x) => concat([tensor([[[1, 2, 3, 4, 5, 6]]]).expand([x.shape[0], 1, 6]), x], 1),
    ops: 'Shape Concat Expand Concat',
  },
  'zeros for each': {
    input: [4, 6],
    f: (x) => concat([zeros([x.shape[0], 2, 6]), x], 1),
    ops: 'Shape Concat Expand Concat',
  },
  'pixel shuffle': { input: [8, 3, 3], f: (x) => F.pixelShuffle(x, 2), ops: 'Reshape Transpose Reshape' },
  'upsampling by repetition': {
    input: image,
    f: (x) => F.interpolate(x, { scaleFactor: 2 }),
    ops: 'Reshape Expand Reshape Expand Reshape',
  },
  'upsampling, linear': {
    input: image,
    f: (x) => F.interpolate(x, { size: [9, 11], mode: 'bilinear' }),
    ops: 'Reshape MatMul Reshape Transpose MatMul',
  },

  'picking by number': {
    input: [4, 6],
    f: (x) => x.indexSelect(2, tensor(Int32Array.of(5, 0, 3))),
    ops: 'Gather',
  },
  'an embedding': {
    input: [7],
    dtype: 'int32',
    layer: () => new nn.Embedding(10, 4, { paddingIdx: 0 }),
    ops: 'Reshape Gather Reshape',
  },
  sorting: { input: [7], f: (x) => F.sort(x, 1, { descending: true }).values, ops: 'TopK Cast GatherElements' },
  'the k largest': { input: [7], f: (x) => F.topk(x, 3).values, ops: 'TopK Cast Slice GatherElements' },
  'counting along the batch': {
    input: [3],
    f: (x) => x.add(F.cumsum(ones([x.shape[0], 1]), 0)),
    ops: 'Shape Concat Expand CumSum Add',
    absolute: true,
  },
};

class Attended extends nn.Module {
  readonly attn = new nn.MultiheadAttention(8, 2, { batchFirst: true });
  override forward(x: Tensor): Tensor {
    return this.attn.forward(x)[0];
  }
}

describe('ONNX Runtime computes the same from one file for any batch', () => {
  test.each(Object.entries(cases))('%s', async (_, { f, layer, ops, input, dtype = 'float32', options, absolute }) => {
    const model = f !== undefined ? new Of(f) : layer!();
    spreadOut(model);
    const made = await onnxModel(model, { input, dtype, ...options });
    expect(made.graph!.node.map((node) => node.opType).join(' ')).toBe(ops);
    const session = await openSession(encodeOnnx(made));
    for (const batch of [1, 3]) {
      const x = numbers([batch, ...input], { dtype, seed: batch });
      const wanted = inEvalMode(model, () => model.forward(asTensor(x))) as Tensor;
      const { output } = await session.run({ input: x });
      expect(output.shape).toEqual(wanted.shape);
      const error = relativeError(output.data, await wanted.data());
      expect(error).toBeLessThan(absolute ? 1e-4 : 1e-5);
    }
    await session.close();
  });
});

/** Two inputs and two outputs, one of them in a list. */
class Several extends nn.Module {
  readonly fc = new nn.Linear(4, 2);
  override forward(x: Tensor, y: Tensor): Record<string, unknown> {
    const both = this.fc.forward(x.add(y));
    return { out: both, parts: [both.relu(), x], same: both };
  }
}

/** Has a batch norm behind a convolution, and a bias that is none. */
class Small extends nn.Module {
  readonly conv1 = new nn.Conv2d(3, 4, 3, { bias: false });
  readonly bn1 = new nn.BatchNorm2d(4);
  readonly head = new nn.Sequential(new nn.Dropout(0.5), new nn.Flatten(), new nn.Linear(64, 2));
  override forward(x: Tensor): Tensor {
    return this.head.forward(this.bn1.forward(this.conv1.forward(x)).relu());
  }
}

/** Attention over windows of 2 × 2. */
class Attending extends nn.Module {
  readonly bias = new nn.RelativePositionBias([2, 2], 2);
  readonly attn = new nn.Attention(6, 2);
  override forward(x: Tensor): Tensor {
    return this.attn.forward(x, this.bias.forward());
  }
}

describe('the file', () => {
  test('names nodes by layer and weights by their path, in the order of the state', async () => {
    const { graph } = await onnxModel(new Small(), { input: [3, 6, 6] });
    expect(graph!.node.map((node) => node.name)).toEqual([
      '/conv1/Conv',
      '/bn1/BatchNormalization',
      '/Relu',
      '/head/1/Flatten',
      '/head/2/Gemm',
    ]);
    expect(graph!.initializer.map((tensor) => tensor.name)).toEqual([
      'conv1.weight',
      'bn1.weight',
      'bn1.bias',
      'bn1.running_mean',
      'bn1.running_var',
      'head.2.weight',
      'head.2.bias',
    ]);
  });

  test('says the shape of every value, with the batch as N', async () => {
    const { graph } = await onnxModel(new Small(), { input: [3, 6, 6] });
    const shapes = [...graph!.input, ...graph!.valueInfo, ...graph!.output].map((value) => {
      const tensorType = value.type!.value;
      if (tensorType.case !== 'tensorType') throw new Error('every value is a tensor');
      return `${value.name} ${tensorType.value.shape!.dim.map((dim) => dim.value.value).join(' ')}`;
    });
    expect(shapes).toEqual([
      'input N 3 6 6',
      '/conv1/Conv_output_0 N 4 4 4',
      '/bn1/BatchNormalization_output_0 N 4 4 4',
      '/Relu_output_0 N 4 4 4',
      '/head/1/Flatten_output_0 N 64',
      'output N 2',
    ]);
  });

  test('holds the weights, which the model keeps too when batch norms are folded', async () => {
    const model = new Small();
    spreadOut(model);
    const before = await Promise.all(Object.values(model.stateDict()).map((value) => value.data()));
    const plain = await onnxModel(model, { input: [3, 6, 6] });
    expect(tensorValue(plain.graph!.initializer[0])).toEqual({
      dtype: 'float32',
      shape: [4, 3, 3, 3],
      data: before[0],
    });
    const folded = await onnxModel(model, { input: [3, 6, 6], foldBatchNorm: true });
    expect(folded.graph!.node.map((node) => node.name)).toEqual([
      '/conv1/Conv',
      '/Relu',
      '/head/1/Flatten',
      '/head/2/Gemm',
    ]);
    expect(folded.graph!.initializer.map((tensor) => tensor.name)).toEqual(['conv1.weight', 'head.2.weight', 'head.2.bias', 'conv1.bias']); // biome-ignore format: one thought
    const after = await Promise.all(Object.values(model.stateDict()).map((value) => value.data()));
    expect(after).toEqual(before);
    expect(model.modules().every((module) => module.training)).toBe(true);
  });

  test('says who wrote it, and what its pictures and classes are', async () => {
    const classes = ['cat', 'dog'];
    const model = models.resnet18({ numClasses: 2 });
    const made = await onnxModel(model, { input: [3, 224, 224], classes });
    const metadata = Object.fromEntries(made.metadataProps.map(({ key, value }) => [key, JSON.parse(value)]));
    expect(metadata).toMatchObject({
      'fovea.model': { name: 'resnet18', options: { numClasses: 2 } },
      'fovea.preprocessing': { resize: 256, crop: [224, 224] },
      'fovea.classes': classes,
    });
    expect([made.producerName, made.irVersion, made.opsetImport[0].version]).toEqual(['fovea', 8n, 17n]);
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect([made.producerVersion, producerVersion]).toEqual([version, version]);
    const small = await onnxModel(model, { input: [3, 32, 32], foldBatchNorm: true });
    expect(small.metadataProps).toEqual([]);
  });

  test('serves as a file of weights', async () => {
    const model = models.resnet20({ numClasses: 3 });
    spreadOut(model);
    const file = await exportOnnx(model, { input: [3, 32, 32], classes: ['a', 'b', 'c'] });
    const loaded = await loadModel(file);
    expect([loaded.name, loaded.options, loaded.report.classes]).toEqual(['resnet20', { numClasses: 3 }, ['a', 'b', 'c']]); // biome-ignore format: one thought
    for (const [path, value] of model.namedParameters()) {
      expect(await loaded.model.stateDict()[path].data()).toEqual(await value.data());
    }
  });

  test('is the same bytes each time', async () => {
    const model = new Small();
    expect(await exportOnnx(model, { input: [3, 6, 6] })).toEqual(await exportOnnx(model, { input: [3, 6, 6] }));
  });

  test('takes several inputs and gives several outputs', async () => {
    const model = new Several();
    const session = await openSession(await exportOnnx(model, { input: [[4], [4]] }));
    expect([session.inputNames, session.outputNames]).toEqual([['input_0', 'input_1'], ['out', 'parts_0', 'parts_1', 'same']]); // biome-ignore format: one thought
    const [a, b] = [numbers([2, 4]), numbers([2, 4], { seed: 2 })];
    const found = await session.run({ input_0: a, input_1: b });
    const wanted = inEvalMode(model, () => model.fc.forward(asTensor(a).add(asTensor(b))));
    expect(relativeError(found.out.data, await wanted.data())).toBeLessThan(1e-5);
    expect(found.same.data).toEqual(found.out.data);
    expect(relativeError(found.parts_0.data, await wanted.relu().data())).toBeLessThan(1e-5);
    expect(found.parts_1.data).toEqual(a.data);
    await session.close();
  });

  test('uses the sizes of a weight whose parts or orders are read', async () => {
    const table = new nn.Linear(6, 4);
    const model = new Of((x) => x.matmul(table.weight.narrow(0, 1, 2).transpose(0, 1)), [table]);
    const made = await onnxModel(model, { input: [6] });
    expect(made.graph!.node.map((node) => node.opType)).toEqual(['Slice', 'Transpose', 'MatMul']);
    expect(made.graph!.initializer[0].name).toBe('layers.0.weight');
  });

  test('keeps a table whose rows are picked, as for relative positions', async () => {
    const made = await onnxModel(new Attending(), { input: [4, 6] });
    const names = made.graph!.initializer.map((tensor) => tensor.name);
    expect(names).toContain('bias.relative_position_bias_table');
    const inBias = made.graph!.node.filter((node) => node.name.startsWith('/bias/'));
    expect(inBias.map((node) => node.opType)).toEqual(['Gather', 'Reshape', 'Transpose']);
  });

  test('computes what depends on weights alone', async () => {
    const fc = new nn.Linear(6, 4);
    const model = new Of((x) => F.linear(x, fc.weight.mul(2).tanh()), [fc]);
    const { graph } = await onnxModel(model, { input: [6] });
    expect(graph!.node.map((node) => node.opType)).toEqual(['Gemm']);
    const want = Float32Array.from(await fc.weight.data(), (w) => Math.tanh(2 * w));
    expect(relativeError(tensorValue(graph!.initializer[0]).data, want)).toBeLessThan(1e-6);
  });

  test('keeps the sizes of a fixed batch as numbers', async () => {
    const model = new Of((x) => x.sub(x.reshape([-1]).mean()).reshape([2, -1]));
    const { graph } = await onnxModel(model, { input: [6], batch: 4 });
    const [reshape] = graph!.initializer.filter((tensor) => tensor.name.startsWith('/int64'));
    expect(tensorIntegers(reshape)).toEqual([24]);
    const session = await openSession(encodeOnnx(await onnxModel(model, { input: [6], batch: 4 })));
    expect((await session.run({ input: numbers([4, 6]) })).output.shape).toEqual([2, 12]);
    await session.close();
  });
});

describe('what cannot be exported is refused with the layer', () => {
  const refusal = async (f: Forward, input: readonly number[] = [6]) => {
    const model = new nn.Sequential(new nn.Linear(6, 6), new Of(f));
    return exportOnnx(model, { input }).catch((error: Error) => `${error.name}: ${error.message}`);
  };

  test('a batch that must be known', async () => {
    expect(await refusal((x) => (x.shape[0] === 2 ? x.relu() : x.tanh()))).toBe(
      'ConfigError: exportOnnx: cannot leave the batch size open: the operations themselves depend on the batch size (relu for one batch and tanh for another) (in 1).\n' +
        '  Pass a fixed one, e.g. { batch: 1 } (on the command line --batch 1).',
    );
    expect(await refusal((x) => concat([x, x.narrow(0, 0, 1)], 0))).toBe(
      'ConfigError: exportOnnx: cannot leave the batch size open: a size is 3 for a batch of 2 and 4 for a batch of 3: axis 0 of [3, 6] (in 1).\n' +
        '  Pass a fixed one, e.g. { batch: 1 } (on the command line --batch 1).',
    );
    expect(await refusal((x) => x.mul(x.shape[0]))).toContain('a constant follows it (in 1)');
    expect(await refusal((x) => x.narrow(0, x.shape[0] - 1, 1))).toContain('where a slice begins or ends along axis 0 follows it (in 1)'); // biome-ignore format: one thought
  });

  test('random numbers', async () => {
    expect(await refusal((x) => x.add(rand([6])))).toBe(
      "ConfigError: exportOnnx: the operation 'bitsToUniform' has no counterpart in ONNX (in 1). " +
        'It belongs to training, or draws random numbers: leave it out in evaluation.',
    );
  });

  test('options out of range', async () => {
    const model = new nn.Linear(6, 6);
    await expect(exportOnnx(model, { input: [6], opset: 16 })).rejects.toThrow(
      'exportOnnx: opset must be 17 … 21; got 16',
    );
    await expect(exportOnnx(model, { input: [6], batch: 0 })).rejects.toThrow(
      'exportOnnx: batch must be a whole number of at least 1, or left out; got 0',
    );
  });
});

describe('opsets', () => {
  test.each([17, 18, 19, 20, 21])('%d runs', async (opset) => {
    const model = new Of((x) =>
      x
        .gelu()
        .mish()
        .mean([1])
        .add(F.amax(x, [1]))
        .add(F.norm(x, 2, [1])),
    );
    const session = await openSession(await exportOnnx(model, { input: [3, 4], opset }));
    const x = numbers([2, 3, 4]);
    const wanted = inEvalMode(model, () => model.forward(asTensor(x))) as Tensor;
    expect(relativeError((await session.run({ input: x })).output.data, await wanted.data())).toBeLessThan(1e-5);
    await session.close();
  });
});

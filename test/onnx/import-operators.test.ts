/**
 * Every operator of the import's table beside ONNX Runtime: the same bytes are read by both. Numbers agree to 1e-5 of the largest where nothing
 * else is said, whole numbers and truth values exactly.
 */

import { expect, test } from 'vitest';
import { operators } from '../../src/io/onnx/operators/index.js';
import {
  type Attribute,
  constant,
  difference,
  float,
  floats,
  given,
  imported,
  int,
  ints,
  judged,
  modelBytes,
  node,
  type Value,
  w,
  x,
} from './import-cases.js';

interface Case {
  readonly op: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly opset?: number;
  /** How many outputs are asked for. */
  readonly outputs?: number;
  readonly tolerance?: number;
}

const f = (value: number) => ({ float: value });
const bools = (...data: number[]) => given('bool', [data.length], data);
const largest = 2 ** 62;

const cases: Record<string, Case[]> = {
  arithmetic: [
    ...['Add', 'Sub', 'Mul', 'Div'].flatMap((op): Case[] => [
      { op, inputs: [x([2, 3, 4]), x([3, 1], 0.5, 2)] },
      { op, inputs: [x([4]), w([2, 3, 4], 0.5, 1)] },
      { op, inputs: [given('int32', [4], [7, -7, 9, 1]), given('int32', [4], [2, 2, -4, 3])] },
    ]),
    { op: 'Pow', inputs: [x([2, 3], 0.1, 3), x([3])] },
    { op: 'Pow', inputs: [x([2, 3]), float(2)] },
    { op: 'Pow', inputs: [x([2, 3]), floats(3)] },
    { op: 'Pow', inputs: [x([2, 3], 0.1, 3), float(0.5)] },
    { op: 'Pow', inputs: [given('int32', [3], [1, 2, 3]), constant('float', [], [2])] },
    { op: 'Mod', inputs: [given('int32', [4], [7, -7, 9, -1]), given('int32', [4], [3, 3, -4, 3])] },
    {
      op: 'Mod',
      inputs: [given('int32', [4], [7, -7, 9, -1]), given('int32', [4], [3, 3, -4, 3])],
      attributes: { fmod: 1 },
    },
    { op: 'Mod', inputs: [x([8], -5, 5), x([8], 1, 2)], attributes: { fmod: 1 } },
    ...['Max', 'Min', 'Sum', 'Mean'].flatMap((op): Case[] => [
      { op, inputs: [x([2, 3]), x([3]), x([2, 1])] },
      { op, inputs: [x([2, 3])] },
    ]),
    { op: 'Clip', inputs: [x([2, 3, 4, 4]), float(0), float(6)], opset: 13 },
    { op: 'Clip', inputs: [x([2, 3, 4, 4]), float(-1), null], opset: 13 },
    { op: 'Clip', inputs: [x([2, 3]), null, x([], 0, 1)], opset: 13 },
    { op: 'Clip', inputs: [x([2, 3])], attributes: { min: f(-0.5), max: f(1) }, opset: 10 },
    {
      op: 'Clip',
      inputs: [given('int32', [4], [-5, 0, 3, 9]), constant('int32', [], [0]), constant('int32', [], [5])],
      opset: 12,
    },
  ],
  functions: [
    ...['Neg', 'Abs', 'Sign', 'Exp', 'Erf', 'Floor', 'Ceil', 'Round', 'Sin', 'Cos', 'Tan', 'Sinh', 'Cosh', 'Asinh'].map(
      (op): Case => ({ op, inputs: [x([3, 7])] }),
    ),
    ...['Sqrt', 'Log', 'Reciprocal'].map((op): Case => ({ op, inputs: [x([3, 7], 0.1, 3)] })),
    { op: 'Round', inputs: [given('float', [6], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])] },
    { op: 'Acosh', inputs: [x([9], 1.1, 4)] },
    { op: 'Atanh', inputs: [x([9], -0.9, 0.9)] },
    { op: 'CumSum', inputs: [x([3, 4]), int(1)] },
    { op: 'CumSum', inputs: [x([3, 4]), int(-2)], attributes: { exclusive: 1 } },
    { op: 'CumSum', inputs: [x([3, 4]), int(1)], attributes: { reverse: 1, exclusive: 1 } },
    { op: 'Identity', inputs: [x([3])] },
  ],
  'comparisons and logic': [
    ...['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'].flatMap((op): Case[] => [
      { op, inputs: [given('float', [4], [1, 2, 3, 4]), given('float', [4], [1, 3, 2, 4])] },
      { op, inputs: [given('int64', [2, 1], [1, 2]), given('int64', [2], [1, 3])] },
    ]),
    ...['And', 'Or', 'Xor'].map((op): Case => ({ op, inputs: [bools(0, 0, 1, 1), bools(0, 1, 0, 1)] })),
    { op: 'Not', inputs: [bools(0, 1)] },
    { op: 'IsNaN', inputs: [given('float', [3], [1, Number.NaN, Number.POSITIVE_INFINITY])] },
    ...([{}, { detect_negative: 0 }, { detect_positive: 0 }] as Record<string, number>[]).map(
      (attributes): Case => ({
        op: 'IsInf',
        inputs: [given('float', [4], [1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])],
        attributes,
      }),
    ),
    { op: 'Where', inputs: [bools(0, 1, 0), x([2, 3]), x([2, 1])] },
    { op: 'Where', inputs: [bools(0, 1, 0), x([3]), float(-1)] },
    { op: 'Cast', inputs: [given('float', [5], [-1.7, -0.2, 0, 0.9, 3.5])], attributes: { to: 6 } },
    { op: 'Cast', inputs: [given('float', [5], [-1.7, -0.2, 0, 0.9, 3.5])], attributes: { to: 7 } },
    { op: 'Cast', inputs: [given('float', [3], [-1.7, 0, 0.9])], attributes: { to: 9 } },
    { op: 'Cast', inputs: [given('int64', [3], [-1, 0, 7])], attributes: { to: 1 } },
    { op: 'Cast', inputs: [bools(0, 1)], attributes: { to: 1 } },
    { op: 'CastLike', inputs: [given('float', [3], [-1.7, 0, 2.9]), given('int64', [1], [0])] },
  ],
  activations: [
    ...[
      'Relu',
      'LeakyRelu',
      'Elu',
      'Celu',
      'Selu',
      'Sigmoid',
      'Tanh',
      'Softplus',
      'Softsign',
      'HardSwish',
      'HardSigmoid',
      'Mish',
    ].map((op): Case => ({ op, inputs: [x([3, 9], -6, 6)] })),
    { op: 'LeakyRelu', inputs: [x([9])], attributes: { alpha: f(0.3) } },
    { op: 'Elu', inputs: [x([9])], attributes: { alpha: f(0.3) } },
    { op: 'Celu', inputs: [x([9])], attributes: { alpha: f(0.5) } },
    { op: 'Selu', inputs: [x([9])], attributes: { alpha: f(0.5), gamma: f(2) } },
    { op: 'HardSigmoid', inputs: [x([9], -6, 6)], attributes: { alpha: f(1 / 6), beta: f(0.5) } },
    { op: 'HardSigmoid', inputs: [x([9], -6, 6)], attributes: { alpha: f(0.1666), beta: f(0.4) } },
    { op: 'ThresholdedRelu', inputs: [x([9])], attributes: { alpha: f(0.5) } },
    { op: 'Shrink', inputs: [x([9])], attributes: { lambd: f(0.7), bias: f(0.2) } },
    { op: 'Gelu', inputs: [x([9], -4, 4)], opset: 20 },
    { op: 'Gelu', inputs: [x([9], -4, 4)], attributes: { approximate: 'tanh' }, opset: 20 },
    { op: 'Swish', inputs: [x([9], -4, 4)], opset: 24 },
    { op: 'Swish', inputs: [x([9], -4, 4)], attributes: { alpha: f(1.7) }, opset: 24 },
    { op: 'PRelu', inputs: [x([2, 3, 4, 4]), w([3, 1, 1])] },
    { op: 'PRelu', inputs: [x([2, 3, 4, 4]), w([1])] },
    { op: 'PRelu', inputs: [x([2, 3, 4, 4]), w([4])] },
    { op: 'PRelu', inputs: [x([2, 3]), x([2, 3])] },
    ...['Softmax', 'LogSoftmax', 'Hardmax'].flatMap((op): Case[] => [
      { op, inputs: [x([2, 3, 4])], opset: 13 },
      { op, inputs: [x([2, 3, 4])], attributes: { axis: 1 }, opset: 13 },
      { op, inputs: [x([2, 3, 4])], opset: 11 },
      { op, inputs: [x([2, 3, 4])], attributes: { axis: 2 }, opset: 11 },
      { op, inputs: [x([2, 3, 4])], attributes: { axis: 0 }, opset: 11 },
    ]),
    { op: 'Dropout', inputs: [x([3, 4])], attributes: { ratio: f(0.3) }, opset: 10 },
    { op: 'Dropout', inputs: [x([3, 4]), float(0.3)], opset: 13 },
    { op: 'Dropout', inputs: [x([3, 4])], outputs: 2, opset: 13 },
  ],
  convolutions: [
    { op: 'Conv', inputs: [x([2, 3, 9, 8]), w([4, 3, 3, 3]), w([4])], attributes: { pads: [1, 1, 1, 1] } },
    {
      op: 'Conv',
      inputs: [x([2, 4, 9, 8]), w([6, 2, 3, 2])],
      attributes: { pads: [0, 1, 2, 1], strides: [2, 1], group: 2 },
    },
    { op: 'Conv', inputs: [x([1, 4, 9, 8]), w([4, 1, 3, 3]), w([4])], attributes: { group: 4, dilations: [2, 1] } },
    { op: 'Conv', inputs: [x([1, 4, 9]), w([2, 4, 3])] },
    { op: 'Conv', inputs: [x([1, 2, 5, 6, 7]), w([3, 2, 2, 3, 3])], attributes: { strides: [1, 2, 2] } },
    { op: 'Conv', inputs: [x([1, 2, 6, 6]), x([3, 2, 3, 3]), x([3])] },
    ...['SAME_UPPER', 'SAME_LOWER', 'VALID'].flatMap((auto_pad): Case[] => [
      { op: 'Conv', inputs: [x([1, 2, 7, 8]), w([3, 2, 2, 4])], attributes: { auto_pad } },
      { op: 'Conv', inputs: [x([1, 2, 7, 8]), w([3, 2, 3, 4])], attributes: { auto_pad, strides: [2, 3] } },
    ]),
    { op: 'ConvTranspose', inputs: [x([2, 4, 5, 6]), w([4, 3, 3, 3]), w([3])] },
    {
      op: 'ConvTranspose',
      inputs: [x([1, 4, 5, 6]), w([4, 2, 3, 3])],
      attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
    },
    {
      op: 'ConvTranspose',
      inputs: [x([1, 4, 5, 6]), w([4, 2, 2, 3])],
      attributes: { strides: [2, 3], group: 2, pads: [0, 1, 1, 0] },
    },
    { op: 'ConvTranspose', inputs: [x([1, 2, 5]), w([2, 3, 4])], attributes: { strides: [2], dilations: [2] } },
    {
      op: 'ConvTranspose',
      inputs: [x([1, 2, 5, 5]), w([2, 3, 3, 3])],
      attributes: { strides: [2, 2], output_shape: [10, 10] },
    },
    {
      op: 'ConvTranspose',
      inputs: [x([1, 2, 5, 5]), w([2, 3, 3, 3])],
      attributes: { strides: [2, 2], auto_pad: 'SAME_UPPER' },
    },
    {
      op: 'ConvTranspose',
      inputs: [x([1, 2, 5, 5]), w([2, 3, 3, 3])],
      attributes: { strides: [2, 2], auto_pad: 'SAME_LOWER' },
    },
    { op: 'ConvTranspose', inputs: [x([1, 2, 3, 3]), x([2, 2, 3, 3])] },
    { op: 'Gemm', inputs: [x([3, 4]), w([5, 4]), w([5])], attributes: { transB: 1 } },
    { op: 'Gemm', inputs: [x([3, 4]), w([4, 5]), w([5])] },
    { op: 'Gemm', inputs: [x([3, 4]), w([4, 5])] },
    { op: 'Gemm', inputs: [x([3, 4]), w([4, 5]), w([3, 1])] },
    { op: 'Gemm', inputs: [x([3, 4]), w([4, 5]), float(0.5)] },
    {
      op: 'Gemm',
      inputs: [x([4, 3]), x([5, 4]), x([3, 5])],
      attributes: { transA: 1, transB: 1, alpha: f(0.5), beta: f(2) },
    },
    { op: 'MatMul', inputs: [x([2, 3, 4]), w([4, 5])] },
    { op: 'MatMul', inputs: [x([2, 3, 4]), x([2, 4, 5])] },
    { op: 'MatMul', inputs: [x([4]), x([2, 4, 5])] },
    { op: 'MatMul', inputs: [w([3, 4]), x([4, 5])] },
    { op: 'MatMul', inputs: [x([2, 3, 4]), w([4])] },
    {
      op: 'MatMulInteger',
      inputs: [
        given('uint8', [2, 3], [1, 2, 3, 250, 5, 6]),
        given('uint8', [3, 2], [9, 8, 7, 6, 5, 200]),
        constant('uint8', [], [2]),
        constant('uint8', [], [5]),
      ],
    },
    {
      op: 'MatMulInteger',
      inputs: [given('uint8', [2, 3], [1, 2, 3, 250, 5, 6]), given('int8', [3, 2], [-9, 8, 7, 6, -5, 20])],
    },
  ],
  quantisation: [
    { op: 'QuantizeLinear', inputs: [x([3, 4], -3, 3), float(0.02), constant('uint8', [], [120])] },
    {
      op: 'QuantizeLinear',
      inputs: [x([3, 4], -3, 3), floats(0.02, 0.03, 0.04), constant('int8', [3], [0, 3, -2])],
      attributes: { axis: 0 },
    },
    {
      op: 'DequantizeLinear',
      inputs: [given('uint8', [4], [0, 3, 128, 255]), float(0.02), constant('uint8', [], [120])],
    },
    {
      op: 'DequantizeLinear',
      inputs: [given('int8', [2, 2], [-128, 3, 12, 127]), floats(0.02, 0.5), constant('int8', [2], [1, 0])],
      attributes: { axis: 1 },
    },
    { op: 'QuantizeLinear', inputs: [x([3, 4], -3, 3), float(0.02)], attributes: { output_dtype: 3 }, opset: 21 },
    { op: 'DynamicQuantizeLinear', inputs: [given('float', [6], [0, 2, -3, -2.5, 1.34, 0.5])], outputs: 3 },
    {
      op: 'QLinearConv',
      inputs: [
        given(
          'uint8',
          [1, 2, 3, 3],
          Array.from({ length: 18 }, (_, i) => (i * 37) % 256),
        ),
        float(0.02),
        constant('uint8', [], [100]),
        constant(
          'uint8',
          [2, 2, 2, 2],
          Array.from({ length: 16 }, (_, i) => (i * 53) % 256),
        ),
        float(0.01),
        constant('uint8', [], [128]),
        float(0.05),
        constant('uint8', [], [90]),
        constant('int32', [2], [50, -70]),
      ],
    },
  ],
  normalisation: [
    ...[
      [2, 3],
      [2, 3, 5],
      [2, 3, 5, 4],
      [2, 3, 2, 2, 3],
    ].map(
      (shape): Case => ({
        op: 'BatchNormalization',
        inputs: [x(shape), w([3]), w([3]), w([3]), w([3], 0.5, 2)],
        attributes: { epsilon: f(1e-3) },
      }),
    ),
    { op: 'BatchNormalization', inputs: [x([2, 3, 4]), x([3]), x([3]), x([3]), x([3], 0.5, 2)] },
    { op: 'BatchNormalization', inputs: [x([2, 3, 4, 4]), w([3]), w([3]), w([3]), w([3], 0.5, 2)], opset: 7 },
    { op: 'InstanceNormalization', inputs: [x([2, 3, 5, 4]), w([3]), w([3])], attributes: { epsilon: f(1e-2) } },
    { op: 'InstanceNormalization', inputs: [x([2, 3, 9]), w([3]), w([3])] },
    { op: 'LayerNormalization', inputs: [x([2, 3, 8]), w([8]), w([8])] },
    { op: 'LayerNormalization', inputs: [x([2, 3, 8]), w([8])] },
    {
      op: 'LayerNormalization',
      inputs: [x([2, 3, 8]), w([3, 8]), w([3, 8])],
      attributes: { axis: 1, epsilon: f(1e-2) },
    },
    { op: 'LayerNormalization', inputs: [x([2, 3, 8]), w([8]), w([8])], outputs: 3 },
    { op: 'GroupNormalization', inputs: [x([2, 6, 4, 4]), w([3]), w([3])], attributes: { num_groups: 3 }, opset: 18 },
    { op: 'GroupNormalization', inputs: [x([2, 6, 4, 4]), w([6]), w([6])], attributes: { num_groups: 3 }, opset: 21 },
    { op: 'LRN', inputs: [x([2, 7, 3, 3])], attributes: { size: 5, alpha: f(0.5) } },
    { op: 'LRN', inputs: [x([2, 7, 3, 3])], attributes: { size: 3, alpha: f(0.5), bias: f(2), beta: f(0.5) } },
    { op: 'LpNormalization', inputs: [x([3, 4])] },
    { op: 'LpNormalization', inputs: [x([3, 4])], attributes: { p: 1, axis: 0 } },
    { op: 'MeanVarianceNormalization', inputs: [x([2, 3, 4, 4])] },
    { op: 'RMSNormalization', inputs: [x([2, 3, 8]), w([8])], opset: 23 },
  ],
  pooling: [
    { op: 'MaxPool', inputs: [x([2, 3, 9, 8])], attributes: { kernel_shape: [3, 2], strides: [2, 2] } },
    {
      op: 'MaxPool',
      inputs: [x([2, 3, 9, 8])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    },
    {
      op: 'MaxPool',
      inputs: [x([2, 3, 9, 8])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [0, 0, 1, 1], ceil_mode: 1 },
    },
    { op: 'MaxPool', inputs: [x([1, 2, 9, 8])], attributes: { kernel_shape: [2, 3], dilations: [2, 2] } },
    { op: 'MaxPool', inputs: [x([1, 2, 9])], attributes: { kernel_shape: [3], auto_pad: 'SAME_UPPER', strides: [2] } },
    { op: 'MaxPool', inputs: [x([1, 2, 8])], attributes: { kernel_shape: [3], auto_pad: 'SAME_LOWER', strides: [2] } },
    { op: 'MaxPool', inputs: [x([1, 2, 4, 5, 6])], attributes: { kernel_shape: [2, 2, 2] } },
    { op: 'MaxPool', inputs: [x([1, 2, 6, 6])], attributes: { kernel_shape: [3, 3], pads: [2, 2, 2, 2] } },
    { op: 'MaxPool', inputs: [x([2, 3, 6, 8])], attributes: { kernel_shape: [2, 2], strides: [2, 2] }, outputs: 2 },
    { op: 'AveragePool', inputs: [x([2, 3, 9, 8])], attributes: { kernel_shape: [3, 2], strides: [2, 2] } },
    { op: 'AveragePool', inputs: [x([2, 3, 9, 8])], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } },
    {
      op: 'AveragePool',
      inputs: [x([2, 3, 9, 8])],
      attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 },
    },
    {
      op: 'AveragePool',
      inputs: [x([2, 3, 9, 8])],
      attributes: { kernel_shape: [3, 3], pads: [0, 1, 1, 0], strides: [2, 2], ceil_mode: 1 },
    },
    {
      op: 'AveragePool',
      inputs: [x([2, 3, 9, 8])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1, count_include_pad: 1, pads: [1, 1, 1, 1] },
    },
    {
      op: 'AveragePool',
      inputs: [x([2, 3, 9, 8])],
      attributes: { kernel_shape: [2, 3], auto_pad: 'SAME_UPPER', strides: [2, 2] },
    },
    {
      op: 'AveragePool',
      inputs: [x([1, 2, 9, 8])],
      attributes: { kernel_shape: [2, 3], dilations: [2, 2], pads: [1, 1, 1, 1] },
      opset: 19,
    },
    { op: 'GlobalAveragePool', inputs: [x([2, 3, 5, 4])] },
    { op: 'GlobalMaxPool', inputs: [x([2, 3, 5, 4, 2])] },
    { op: 'GlobalLpPool', inputs: [x([2, 3, 5])] },
    { op: 'LpPool', inputs: [x([2, 3, 6, 5])], attributes: { kernel_shape: [3, 2], strides: [2, 1] } },
    { op: 'LpPool', inputs: [x([2, 3, 6, 5])], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], p: 3 } },
    {
      op: 'MaxUnpool',
      inputs: [x([1, 1, 2, 2]), given('int64', [1, 1, 2, 2], [0, 3, 9, 14])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    },
    {
      op: 'MaxUnpool',
      inputs: [x([1, 1, 2, 2]), given('int64', [1, 1, 2, 2], [0, 3, 9, 14]), ints(1, 1, 5, 5)],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    },
  ],
  movement: [
    { op: 'Reshape', inputs: [x([2, 3, 4]), ints(0, -1)] },
    { op: 'Reshape', inputs: [x([2, 3, 4]), ints(4, 6)] },
    { op: 'Reshape', inputs: [x([1]), constant('int64', [0], [])] },
    { op: 'Flatten', inputs: [x([2, 3, 4])] },
    { op: 'Flatten', inputs: [x([2, 3, 4])], attributes: { axis: 0 } },
    { op: 'Flatten', inputs: [x([2, 3, 4])], attributes: { axis: -1 } },
    { op: 'Squeeze', inputs: [x([1, 3, 1])], opset: 13 },
    { op: 'Squeeze', inputs: [x([1, 3, 1]), ints(-1)], opset: 13 },
    { op: 'Squeeze', inputs: [x([1, 3, 1])], attributes: { axes: [0] }, opset: 11 },
    { op: 'Unsqueeze', inputs: [x([3, 4]), ints(0, -1)], opset: 13 },
    { op: 'Unsqueeze', inputs: [x([3, 4])], attributes: { axes: [1, 3] }, opset: 11 },
    { op: 'Expand', inputs: [x([3, 1]), ints(2, 1, 4)] },
    { op: 'Expand', inputs: [x([2, 3, 4]), ints(1)] },
    { op: 'Tile', inputs: [x([2, 3]), ints(2, 1)] },
    { op: 'Transpose', inputs: [x([2, 3, 4])] },
    { op: 'Transpose', inputs: [x([2, 3, 4])], attributes: { perm: [1, 2, 0] } },
    { op: 'Concat', inputs: [x([2, 3]), x([2, 1]), x([2, 2])], attributes: { axis: -1 } },
    { op: 'Split', inputs: [x([6, 2])], outputs: 3, opset: 11 },
    { op: 'Split', inputs: [x([6, 2])], attributes: { split: [1, 5] }, outputs: 2, opset: 11 },
    { op: 'Split', inputs: [x([2, 6]), ints(1, 2, 3)], attributes: { axis: 1 }, outputs: 3, opset: 13 },
    { op: 'Split', inputs: [x([7, 2])], attributes: { num_outputs: 3 }, outputs: 3, opset: 18 },
    { op: 'Slice', inputs: [x([5, 6]), ints(1, 0), ints(4, largest), ints(0, 1), ints(2, 1)] },
    { op: 'Slice', inputs: [x([5, 6]), ints(-2), ints(-largest), ints(0), ints(-1)] },
    { op: 'Slice', inputs: [x([5, 6]), ints(largest), ints(-largest), ints(1), ints(-2)] },
    { op: 'Slice', inputs: [x([5, 6]), ints(-3, 1), ints(-1, 100)] },
    { op: 'Slice', inputs: [x([5, 6])], attributes: { starts: [1], ends: [-1], axes: [1] }, opset: 9 },
    { op: 'Pad', inputs: [x([2, 3]), ints(1, 0, 2, 1)] },
    { op: 'Pad', inputs: [x([2, 3]), ints(0, 1, 0, 2), float(7)], attributes: { mode: 'constant' } },
    { op: 'Pad', inputs: [x([1, 4, 4]), ints(0, 1, 2, 0, 2, 1)], attributes: { mode: 'reflect' } },
    { op: 'Pad', inputs: [x([1, 4, 4]), ints(0, 1, 2, 0, 2, 1)], attributes: { mode: 'edge' } },
    { op: 'Pad', inputs: [x([1, 4, 4]), ints(0, 1, 2, 0, 2, 1)], attributes: { mode: 'wrap' }, opset: 19 },
    { op: 'Pad', inputs: [x([4, 4]), ints(1, -1, -1, 2)] },
    { op: 'Pad', inputs: [x([2, 3, 4]), ints(1, 2), null, ints(-1)], opset: 18 },
    { op: 'Pad', inputs: [x([2, 3])], attributes: { pads: [1, 0, 0, 2], value: f(3) }, opset: 10 },
    { op: 'DepthToSpace', inputs: [x([2, 8, 2, 3])], attributes: { blocksize: 2 } },
    { op: 'DepthToSpace', inputs: [x([2, 8, 2, 3])], attributes: { blocksize: 2, mode: 'CRD' } },
    { op: 'SpaceToDepth', inputs: [x([2, 2, 4, 6])], attributes: { blocksize: 2 } },
    { op: 'Shape', inputs: [x([2, 3, 4])] },
    { op: 'Shape', inputs: [x([2, 3, 4])], attributes: { start: 1, end: -1 } },
    { op: 'Size', inputs: [x([2, 3, 4])] },
    { op: 'Range', inputs: [int(2), int(11), int(3)] },
    { op: 'Range', inputs: [float(1), float(0), float(-0.25)] },
    { op: 'ConstantOfShape', inputs: [ints(2, 3)] },
    { op: 'Trilu', inputs: [x([2, 4, 4])] },
    { op: 'Trilu', inputs: [x([4, 5]), int(-1)], attributes: { upper: 0 } },
    { op: 'EyeLike', inputs: [x([3, 4])], attributes: { k: 1 } },
    { op: 'ReverseSequence', inputs: [x([4, 2, 3]), ints(4, 4)] },
  ],
  reductions: [
    ...['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'LogSumExp', 'SumSquare']
      .flatMap((kind): Case[] => [
        {
          op: `Reduce${kind}`,
          inputs: [x([2, 3, 4])],
          attributes: kind === 'Sum' ? { keepdims: 0 } : { axes: [-1, 0], keepdims: 0 },
          opset: kind === 'Sum' ? 13 : 12,
        },
        { op: `Reduce${kind}`, inputs: [x([2, 3, 4]), ints(1)], opset: 18 },
        {
          op: `Reduce${kind}`,
          inputs: [x([2, 3, 4]), constant('int64', [0], [])],
          attributes: { noop_with_empty_axes: 1 },
          opset: 18,
        },
      ])
      .filter(({ op, attributes }) => !(attributes?.noop_with_empty_axes && /L1|L2|Log|Square/.test(op))),
    { op: 'ReduceLogSum', inputs: [x([2, 3], 0.1, 2), ints(1)] },
    { op: 'ReduceSum', inputs: [given('int32', [2, 3], [1, 2, 3, 4, 5, 6]), ints(0)] },
    ...['ArgMax', 'ArgMin'].flatMap((op): Case[] => [
      { op, inputs: [x([3, 5])] },
      { op, inputs: [given('float', [2, 4], [1, 3, 3, 0, 0, 0, 1, 1])], attributes: { axis: -1, keepdims: 0 } },
      { op, inputs: [given('float', [2, 4], [1, 3, 3, 0, 0, 0, 1, 1])], attributes: { axis: 1, select_last_index: 1 } },
    ]),
    { op: 'TopK', inputs: [x([3, 6]), ints(3)], outputs: 2 },
    { op: 'TopK', inputs: [x([6, 3]), ints(2)], attributes: { axis: 0, largest: 0 }, outputs: 2 },
    { op: 'TopK', inputs: [x([3, 6])], attributes: { k: 2 }, outputs: 2, opset: 9 },
  ],
  indexing: [
    { op: 'Gather', inputs: [x([5, 3]), constant('int64', [2, 2], [0, 4, -1, 2])] },
    { op: 'Gather', inputs: [x([5, 3]), int(-2)], attributes: { axis: 1 } },
    { op: 'Gather', inputs: [w([5, 3]), given('int64', [2, 2], [0, 4, -1, 2])] },
    { op: 'Gather', inputs: [x([2, 5, 3]), given('int64', [4], [0, 4, 1, 2])], attributes: { axis: 1 } },
    { op: 'GatherElements', inputs: [x([3, 3]), given('int64', [2, 3], [0, 2, -1, 1, 0, 2])] },
    { op: 'GatherElements', inputs: [x([3, 3]), given('int64', [3, 2], [0, 2, 1, 1, 0, -2])], attributes: { axis: 1 } },
    { op: 'GatherND', inputs: [x([3, 4, 5]), given('int64', [2, 2], [0, 1, 2, -1])] },
    { op: 'GatherND', inputs: [x([3, 4, 5]), given('int64', [2, 3], [0, 1, 2, 2, 3, 4])] },
    { op: 'GatherND', inputs: [x([2, 4, 5]), given('int64', [2, 1], [3, 1])], attributes: { batch_dims: 1 } },
    { op: 'ScatterElements', inputs: [x([3, 4]), given('int64', [2, 4], [0, 1, 2, 0, 2, 0, 1, -1]), x([2, 4])] },
    {
      op: 'ScatterElements',
      inputs: [x([3, 4]), given('int64', [3, 2], [0, 1, 2, 2, 3, 0]), x([3, 2])],
      attributes: { axis: 1, reduction: 'add' },
    },
    { op: 'Scatter', inputs: [x([3, 4]), given('int64', [1, 4], [0, 1, 2, 0]), x([1, 4])], opset: 10 },
    { op: 'ScatterND', inputs: [x([4, 3, 2]), given('int64', [2, 1], [3, 1]), x([2, 3, 2])] },
    {
      op: 'ScatterND',
      inputs: [x([4, 3]), given('int64', [2, 2], [3, 1, 0, 2]), x([2])],
      attributes: { reduction: 'add' },
    },
    { op: 'OneHot', inputs: [given('int64', [2, 2], [0, 3, -1, 1]), int(4), floats(0.25, 2)] },
    {
      op: 'OneHot',
      inputs: [given('int64', [3], [0, 3, 1]), int(4), constant('int64', [2], [0, 1])],
      attributes: { axis: 0 },
    },
    { op: 'NonZero', inputs: [constant('float', [2, 3], [1, 0, 2, 0, 0, 3])] },
    { op: 'Einsum', inputs: [x([2, 3, 4]), x([2, 4, 5])], attributes: { equation: 'bij,bjk->bik' } },
    { op: 'Einsum', inputs: [x([2, 3, 4]), x([2, 5, 4])], attributes: { equation: '...id, ...jd -> ...ij' } },
    { op: 'Einsum', inputs: [x([3, 4])], attributes: { equation: 'ij->j' } },
    { op: 'Einsum', inputs: [x([2, 3]), x([3, 4]), x([4, 5])], attributes: { equation: 'ab,bc,cd->ad' } },
  ],
  resizing: [
    ...(['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'] as const).flatMap((mode): Case[] => [
      {
        op: 'Resize',
        inputs: [x([1, 2, 4, 5]), null, floats(1, 1, 2, 1.5)],
        attributes: { mode: 'linear', coordinate_transformation_mode: mode },
      },
      {
        op: 'Resize',
        inputs: [x([1, 2, 6, 5]), null, null, ints(1, 2, 3, 9)],
        attributes: { mode: 'linear', coordinate_transformation_mode: mode },
      },
      {
        op: 'Resize',
        inputs: [x([1, 1, 6, 5]), null, null, ints(1, 1, 9, 3)],
        attributes: { mode: 'cubic', coordinate_transformation_mode: mode },
      },
      ...(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const).map(
        (nearest): Case => ({
          op: 'Resize',
          inputs: [x([1, 2, 4, 6]), null, null, ints(1, 2, 7, 3)],
          attributes: { mode: 'nearest', nearest_mode: nearest, coordinate_transformation_mode: mode },
        }),
      ),
    ]),
    {
      op: 'Resize',
      inputs: [x([1, 2, 4, 5]), null, floats(1, 1, 2, 3)],
      attributes: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    },
    {
      op: 'Resize',
      inputs: [x([1, 1, 4, 5]), null, floats(1, 1, 0.6, 0.6)],
      attributes: { mode: 'linear', antialias: 1 },
    },
    {
      op: 'Resize',
      inputs: [x([1, 1, 8, 9]), null, null, ints(1, 1, 3, 5)],
      attributes: { mode: 'cubic', antialias: 1 },
    },
    {
      op: 'Resize',
      inputs: [x([1, 1, 4, 5]), null, floats(1, 1, 2, 2)],
      attributes: { mode: 'cubic', cubic_coeff_a: f(-0.5), exclude_outside: 1 },
    },
    { op: 'Resize', inputs: [x([1, 1, 4, 5]), null, floats(2, 2)], attributes: { mode: 'linear', axes: [2, 3] } },
    {
      op: 'Resize',
      inputs: [x([1, 1, 4, 8]), null, null, ints(7, 8)],
      attributes: { mode: 'linear', axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' },
    },
    {
      op: 'Resize',
      inputs: [x([1, 1, 4, 5]), floats(0, 0, 0.4, 0.6, 1, 1, 0.9, 1.2), null, ints(1, 1, 3, 3)],
      attributes: { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize', extrapolation_value: f(10) },
      opset: 13,
    },
    { op: 'Resize', inputs: [x([1, 1, 4, 5]), floats(1, 1, 2, 2)], attributes: { mode: 'nearest' }, opset: 10 },
    { op: 'Resize', inputs: [x([1, 1, 4, 5]), floats(1, 1, 2, 2)], attributes: { mode: 'linear' }, opset: 10 },
    { op: 'Upsample', inputs: [x([1, 2, 3, 4])], attributes: { scales: { floats: [1, 1, 2, 3] } }, opset: 7 },
    { op: 'Upsample', inputs: [x([1, 2, 3, 4]), floats(1, 1, 2, 2)], attributes: { mode: 'linear' }, opset: 9 },
  ],
  sampling: [
    ...['bilinear', 'nearest', 'bicubic'].flatMap((mode) =>
      ['zeros', 'border', 'reflection'].flatMap((padding_mode) =>
        [0, 1].map(
          (align_corners): Case => ({
            op: 'GridSample',
            inputs: [x([2, 3, 5, 6]), x([2, 4, 3, 2], -1.6, 1.6)],
            attributes: { mode, padding_mode, align_corners },
            opset: 16,
          }),
        ),
      ),
    ),
    ...([{}, { coordinate_transformation_mode: 'output_half_pixel' }] as Record<string, string>[]).map(
      (attributes): Case => ({
        op: 'RoiAlign',
        inputs: [
          x([2, 3, 8, 8]),
          given('float', [3, 4], [0, 0, 14, 14, 3, 2, 11, 9, 6, 6, 20, 12]),
          given('int64', [3], [0, 1, 1]),
        ],
        attributes: { output_height: 3, output_width: 2, sampling_ratio: 2, spatial_scale: f(0.5), ...attributes },
        opset: 16,
      }),
    ),
  ],
  attention: [
    { op: 'Attention', inputs: [x([2, 3, 5, 4]), x([2, 3, 6, 4]), x([2, 3, 6, 2])], opset: 23 },
    {
      op: 'Attention',
      inputs: [x([2, 5, 12]), x([2, 6, 6]), x([2, 6, 6]), x([5, 6])],
      attributes: { q_num_heads: 4, kv_num_heads: 2, scale: f(0.3) },
      opset: 23,
    },
    {
      op: 'Attention',
      inputs: [x([1, 2, 5, 4]), x([1, 2, 5, 4]), x([1, 2, 5, 4])],
      attributes: { is_causal: 1 },
      opset: 23,
    },
    {
      op: 'Attention',
      inputs: [x([1, 1, 2, 4]), x([1, 1, 3, 4]), x([1, 1, 3, 4]), given('bool', [2, 3], [1, 0, 1, 1, 1, 0])],
      opset: 23,
    },
  ],
  recurrent: [
    {
      op: 'LSTM',
      inputs: [x([5, 2, 3]), w([1, 16, 3]), w([1, 16, 4]), w([1, 32])],
      attributes: { hidden_size: 4 },
      outputs: 3,
    },
    {
      op: 'LSTM',
      inputs: [x([5, 2, 3]), w([2, 16, 3]), w([2, 16, 4]), w([2, 32]), null, x([2, 2, 4]), x([2, 2, 4])],
      attributes: { hidden_size: 4, direction: 'bidirectional' },
      outputs: 3,
    },
    {
      op: 'LSTM',
      inputs: [x([5, 2, 3]), w([1, 16, 3]), w([1, 16, 4]), null, null, null, null, w([1, 12])],
      attributes: { hidden_size: 4, direction: 'reverse' },
    },
    {
      op: 'GRU',
      inputs: [x([5, 2, 3]), w([1, 12, 3]), w([1, 12, 4]), w([1, 24])],
      attributes: { hidden_size: 4 },
      outputs: 2,
    },
    {
      op: 'GRU',
      inputs: [x([5, 2, 3]), w([2, 12, 3]), w([2, 12, 4]), w([2, 24])],
      attributes: { hidden_size: 4, linear_before_reset: 1, direction: 'bidirectional' },
      outputs: 2,
    },
    {
      op: 'RNN',
      inputs: [x([4, 2, 3]), w([1, 4, 3]), w([1, 4, 4]), w([1, 8])],
      attributes: { hidden_size: 4 },
      outputs: 2,
    },
  ],
};

/** Tested with graphs of several nodes in import.test.ts. */
const elsewhere = new Set(['If']);

test('every operator of the table stands in a case', () => {
  const tested = new Set(Object.values(cases).flatMap((list) => list.map(({ op }) => op)));
  const missing = [...operators.keys()].filter((op) => !tested.has(op) && !elsewhere.has(op));
  expect(missing).toEqual([]);
});

for (const [group, list] of Object.entries(cases)) {
  test.each(list.map((each) => [titleOf(each), each] as const))(`${group}: %s`, async (_, each) => {
    const named = each.inputs.map((value, i) => [value === null ? '' : `v${i}`, value] as const);
    const outputs = Array.from({ length: each.outputs ?? 1 }, (_, i) => `y${i}`);
    const parts = {
      nodes: [node(each.op, named.map(([name]) => name), outputs, each.attributes)], // biome-ignore format: one thought
      values: Object.fromEntries(named.filter((entry): entry is [string, Value] => entry[1] !== null)),
      outputs,
      opset: each.opset,
    };
    const bytes = modelBytes(parts);
    const wanted = await judged(bytes, parts);
    const actual = await imported(bytes, parts);
    for (const [i, { shape, data }] of wanted.entries()) {
      expect(actual[i].shape, `shape of output ${i}`).toEqual(shape);
      expect(difference(actual[i].data, data), `output ${i}`).toBeLessThanOrEqual(each.tolerance ?? 1e-5);
    }
  });
}

function titleOf({ op, inputs, attributes = {}, opset }: Case): string {
  const shapes = inputs.map((v) => (v === null ? '–' : `${v.constant ? 'const ' : ''}[${v.shape}]`));
  const options = Object.entries(attributes).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${op}(${shapes.join(', ')})${opset === undefined ? '' : ` of ${opset}`} ${options.join(' ')}`;
}

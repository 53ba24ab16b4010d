/** Small ONNX models written in a few words, and their numbers from ONNX Runtime: what the import is held against. */

import * as ort from 'onnxruntime-web';
import { importOnnx } from '../../src/io/onnx/import.js';
import { encodeOnnx } from '../../src/io/onnx/model-file.js';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeType,
  create,
  DataType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from '../../src/io/onnx/schema.js';
import { Tensor, tensor } from '../../src/tensor/index.js';
import { numel, type Shape } from '../../src/util/shape.js';
import { words } from '../golden/counter.js';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

/** A value of a test model: given in each call, or an initializer of the file. */
export interface Value {
  readonly type: 'float' | 'int64' | 'int32' | 'bool' | 'uint8' | 'int8';
  readonly shape: Shape;
  readonly data: readonly number[];
  readonly constant: boolean;
}

let made = 0;

/** Given floats in `low` … `high`, others for each call. */
export function x(shape: Shape, low = -2, high = 2): Value {
  const data = words(`import ${made++}`, numel(shape)).map((w) =>
    Math.fround(low + ((high - low) * (w >>> 8)) / 2 ** 24),
  );
  return { type: 'float', shape, data, constant: false };
}

/** The same numbers as an initializer. */
export function w(shape: Shape, low = -1, high = 1): Value {
  return { ...x(shape, low, high), constant: true };
}

export function given(type: Value['type'], shape: Shape, data: readonly number[]): Value {
  return { type, shape, data, constant: false };
}

export function constant(type: Value['type'], shape: Shape, data: readonly number[]): Value {
  return { type, shape, data, constant: true };
}

/** int64 along one axis, as sizes and axes are written. */
export const ints = (...data: number[]): Value => constant('int64', [data.length], data);
export const int = (value: number): Value => constant('int64', [], [value]);
export const floats = (...data: number[]): Value => constant('float', [data.length], data);
export const float = (value: number): Value => constant('float', [], [value]);

export type Attribute = number | string | boolean | readonly number[] | readonly string[] | { float: number } | { floats: readonly number[] } | TensorProto | GraphProto; // biome-ignore format: one thought

const types = {
  float: DataType.FLOAT,
  int64: DataType.INT64,
  int32: DataType.INT32,
  bool: DataType.BOOL,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
} as const;

export function tensorProto(name: string, { type, shape, data }: Value): TensorProto {
  const rawData = {
    float: () => new Uint8Array(Float32Array.from(data).buffer),
    int64: () => new Uint8Array(BigInt64Array.from(data, BigInt).buffer),
    int32: () => new Uint8Array(Int32Array.from(data).buffer),
    bool: () => Uint8Array.from(data),
    uint8: () => Uint8Array.from(data),
    int8: () => new Uint8Array(Int8Array.from(data).buffer),
  }[type]();
  return create(TensorProtoSchema, { name, dims: shape.map(BigInt), dataType: types[type], rawData });
}

/** Whole numbers are INT, { float } FLOAT, lists INTS, { floats } FLOATS. */
export function attribute(name: string, value: Attribute): AttributeProto {
  const encode = (text: string) => new TextEncoder().encode(text);
  const of = (fields: object) => create(AttributeProtoSchema, { name, ...fields });
  if (typeof value === 'boolean') return of({ type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'number') return of({ type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'string') return of({ type: AttributeType.STRING, s: encode(value) });
  if (Array.isArray(value)) {
    if (typeof value[0] === 'string') return of({ type: AttributeType.STRINGS, strings: value.map(encode) });
    return of({ type: AttributeType.INTS, ints: value.map(BigInt) });
  }
  if ('float' in value) return of({ type: AttributeType.FLOAT, f: value.float });
  if ('floats' in value) return of({ type: AttributeType.FLOATS, floats: [...value.floats] });
  if ((value as TensorProto).$typeName === 'onnx.TensorProto') return of({ type: AttributeType.TENSOR, t: value });
  return of({ type: AttributeType.GRAPH, g: value });
}

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  { name = '', domain = '' } = {},
): NodeProto {
  return create(NodeProtoSchema, {
    opType: op,
    input: [...inputs],
    output: [...outputs],
    name,
    domain,
    attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  });
}

export interface ModelParts {
  readonly nodes: readonly NodeProto[];
  readonly values: Readonly<Record<string, Value>>;
  readonly outputs: readonly string[];
  readonly opset?: number;
  /** Names of the given values' axes that may have any size. */
  readonly free?: Readonly<Record<string, readonly number[]>>;
  readonly metadata?: Readonly<Record<string, string>>;
}

export function graphProto({ nodes, values, outputs, free = {} }: ModelParts): GraphProto {
  const entries = Object.entries(values);
  return create(GraphProtoSchema, {
    name: 'test',
    node: [...nodes],
    initializer: entries.filter(([, v]) => v.constant).map(([name, v]) => tensorProto(name, v)),
    input: entries
      .filter(([, v]) => !v.constant)
      .map(([name, { type, shape }]) => {
        const dim = shape.map((n, i) => ({
          value: free[name]?.includes(i)
            ? ({ case: 'dimParam', value: `${name}${i}` } as const)
            : ({ case: 'dimValue', value: BigInt(n) } as const),
        }));
        const tensorType = { elemType: types[type], shape: { dim } };
        return create(ValueInfoProtoSchema, { name, type: { value: { case: 'tensorType', value: tensorType } } });
      }),
    output: outputs.map((name) => create(ValueInfoProtoSchema, { name })),
  });
}

export function modelBytes(parts: ModelParts): Uint8Array {
  return encodeOnnx(
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: BigInt(parts.opset ?? 18) }],
      graph: graphProto(parts),
      metadataProps: Object.entries(parts.metadata ?? {}).map(([key, value]) => ({ key, value })),
    }),
  );
}

/** What ONNX Runtime makes of a model: numbers and shapes, in the order of the outputs. */
export async function judged(bytes: Uint8Array, parts: ModelParts): Promise<{ shape: Shape; data: number[] }[]> {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'disabled',
  });
  const inputs = Object.entries(parts.values).filter(([, v]) => !v.constant);
  const feeds = inputs.map(([name, v]) => [name, ortTensor(v)] as const);
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return parts.outputs.map((name) => {
    const { dims, data } = results[name];
    return { shape: dims, data: Array.from(data as ArrayLike<number | bigint>, Number) };
  });
}

function ortTensor({ type, shape, data }: Value): ort.Tensor {
  if (type === 'int64') return new ort.Tensor('int64', BigInt64Array.from(data, BigInt), shape);
  if (type === 'float') return new ort.Tensor('float32', Float32Array.from(data), shape);
  if (type === 'int32') return new ort.Tensor('int32', Int32Array.from(data), shape);
  if (type === 'int8') return new ort.Tensor('int8', Int8Array.from(data), shape);
  return new ort.Tensor(type as 'bool', Uint8Array.from(data) as never, shape);
}

export function foveaTensor({ type, shape, data }: Value): Tensor {
  const dtype = {
    float: 'float32',
    int64: 'int32',
    int32: 'int32',
    bool: 'bool',
    uint8: 'uint8',
    int8: 'int32',
  } as const;
  return tensor(data, { shape, dtype: dtype[type] });
}

/** What the imported module makes of the same. */
export async function imported(bytes: Uint8Array, parts: ModelParts): Promise<{ shape: Shape; data: number[] }[]> {
  const model = importOnnx(bytes);
  const inputs = Object.values(parts.values).filter((v) => !v.constant);
  const output = model.forward(...inputs.map(foveaTensor));
  const results = output instanceof Tensor ? [output] : parts.outputs.map((name) => output[name]);
  return Promise.all(results.map(async (t) => ({ shape: t.shape, data: Array.from(await t.data()) })));
}

/** The largest difference, relative to the largest number; equal infinities and NaN count as equal. */
export function difference(actual: readonly number[], wanted: readonly number[]): number {
  if (actual.length !== wanted.length) return Number.POSITIVE_INFINITY;
  const size = Math.max(1e-3, ...wanted.filter(Number.isFinite).map(Math.abs));
  return Math.max(
    0,
    ...wanted.map((value, i) => {
      if (Number.isFinite(value))
        return Number.isFinite(actual[i]) ? Math.abs(actual[i] - value) / size : Number.POSITIVE_INFINITY;
      return Object.is(value, actual[i]) ? 0 : Number.POSITIVE_INFINITY;
    }),
  );
}

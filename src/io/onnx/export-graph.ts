/**
 * The ONNX graph while it is written: nodes, values and initializers under names that nobody else has. Nodes carry the module's path
 * (`/layer1/0/conv1/Conv`), values the node's (`/layer1/0/conv1/Conv_output_0`), weights their own (`layer1.0.conv1.weight`). What the exporter
 * makes up begins with a slash, so that readers of weights tell it from the network's own.
 */

import type { DType, TypedArray } from '../../util/dtype.js';
import type { Shape } from '../../util/shape.js';
import type { Dim, Dims } from './export-trace.js';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeType,
  create,
  DataType,
  DimensionSchema,
  type GraphProto,
  GraphProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProtoSchema,
  TensorTypeSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './schema.js';

/** What stands in an attribute; numbers say which kind they are. */
export type Attribute =
  | { readonly i: number }
  | { readonly f: number }
  | { readonly s: string }
  | { readonly ints: readonly number[] };

/** Types of fovea's values and those that only ONNX has. */
export type ElementType = DType | 'int64';

export interface ValueType {
  readonly dtype: ElementType;
  readonly dims: Dims;
}

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Path of the module that the node belongs to. */
  readonly scope: string | null;
  /** One for each output. */
  readonly outputs: readonly ValueType[];
  /** Name of the first output; left out, it is made from the node's. */
  readonly name?: string;
}

export class OnnxGraph {
  readonly #nodes: NodeProto[] = [];
  readonly #values: ValueInfoProto[] = [];
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  readonly #taken = new Set<string>();

  constructor(
    private readonly name: string,
    /** Names of the graph's outputs, which are not given to anything else. */
    reserved: readonly string[],
  ) {
    for (const output of reserved) this.#taken.add(output);
  }

  /** Adds a node and returns the names of its outputs. */
  node(opType: string, inputs: readonly string[], { attributes = {}, scope, outputs, name }: NodeOptions): string[] {
    const own = this.unique(`${scope === null || scope === '' ? '' : `/${scope.replaceAll('.', '/')}`}/${opType}`);
    const names = outputs.map((_, i) => (i === 0 && name !== undefined ? name : this.unique(`${own}_output_${i}`)));
    this.#nodes.push(
      create(NodeProtoSchema, {
        name: own,
        opType,
        input: [...inputs],
        output: names,
        attribute: Object.entries(attributes).map(attributeProto),
      }),
    );
    names.forEach((value, i) => {
      if (value !== name) this.#values.push(valueInfo(value, outputs[i]));
    });
    return names;
  }

  input(name: string, type: ValueType): string {
    const own = this.unique(name);
    this.#inputs.push(valueInfo(own, type));
    return own;
  }

  output(name: string, type: ValueType): void {
    this.#outputs.push(valueInfo(name, type));
  }

  /** A list of int64: shapes, axes, bounds. Equal lists are one initializer. */
  ints(values: readonly number[]): string {
    return this.#shared(`/int64[${values.join(',')}]`, () => int64Tensor([values.length], values));
  }

  /** One int64. */
  int(value: number): string {
    return this.#shared(`/int64(${value})`, () => int64Tensor([], [value]));
  }

  /** One number of a type. */
  scalar(value: number, dtype: DType): string {
    const data =
      dtype === 'float32' ? Float32Array.of(value) : dtype === 'int32' ? Int32Array.of(value) : Uint8Array.of(value);
    return this.#shared(`/${dtype}(${value})`, () => tensorProto([], dtype, data));
  }

  /** A tensor whose values `setValue` brings later, in the order of the calls. */
  initializer(name: string): string {
    const own = this.unique(name);
    this.#initializers.set(own, create(TensorProtoSchema, { name: own }));
    return own;
  }

  setValue(name: string, shape: Shape, dtype: DType, data: TypedArray): void {
    this.#initializers.set(name, Object.assign(tensorProto(shape, dtype, data), { name }));
  }

  unique(name: string): string {
    let free = name;
    for (let i = 1; this.#taken.has(free); i++) free = `${name}_${i}`;
    this.#taken.add(free);
    return free;
  }

  /** `first` names the initializers that come before the others. */
  finish(first: readonly string[], docString: string): GraphProto {
    const ahead = first.filter((name) => this.#initializers.has(name));
    const names = [...new Set([...ahead, ...this.#initializers.keys()])];
    return create(GraphProtoSchema, {
      name: this.name,
      docString,
      node: this.#nodes,
      input: this.#inputs,
      output: this.#outputs,
      valueInfo: this.#values,
      initializer: names.map((name) => this.#initializers.get(name)!),
    });
  }

  #shared(name: string, make: () => TensorProto): string {
    if (!this.#initializers.has(name)) this.#initializers.set(name, Object.assign(make(), { name }));
    return name;
  }
}

export const dataTypes: Record<ElementType, DataType> = {
  float32: DataType.FLOAT,
  int32: DataType.INT32,
  uint8: DataType.UINT8,
  bool: DataType.BOOL,
  int64: DataType.INT64,
};

function attributeProto([name, value]: [string, Attribute]): AttributeProto {
  if ('i' in value) return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value.i) });
  if ('f' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.f });
  if ('s' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value.s) });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.ints.map(BigInt) });
}

function tensorProto(shape: Shape, dtype: DType, data: TypedArray): TensorProto {
  return create(TensorProtoSchema, {
    dims: shape.map(BigInt),
    dataType: dataTypes[dtype],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
}

function int64Tensor(shape: Shape, values: readonly number[]): TensorProto {
  const data = BigInt64Array.from(values, toInt64);
  return create(TensorProtoSchema, {
    dims: shape.map(BigInt),
    dataType: DataType.INT64,
    rawData: new Uint8Array(data.buffer),
  });
}

/** ±∞ is the last there is: slices use it for "to the end". */
function toInt64(value: number): bigint {
  if (value === Infinity) return 2n ** 63n - 1n;
  return value === -Infinity ? -(2n ** 63n) : BigInt(value);
}

function valueInfo(name: string, { dtype, dims }: ValueType): ValueInfoProto {
  const shape = create(TensorShapeProtoSchema, {
    dim: dims.map((dim) => create(DimensionSchema, { value: dimValue(dim) })),
  });
  const tensorType = create(TensorTypeSchema, { elemType: dataTypes[dtype], shape });
  const type = create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } });
  return create(ValueInfoProtoSchema, { name, type });
}

function dimValue({ count, perBatch }: Dim) {
  if (!perBatch) return { case: 'dimValue', value: BigInt(count) } as const;
  return { case: 'dimParam', value: count === 1 ? 'N' : `${count}*N` } as const;
}

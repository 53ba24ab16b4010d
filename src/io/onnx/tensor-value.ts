/**
 * The values of ONNX tensors: from raw_data, from the typed lists (float_data, int32_data, …) or from a file beside the model.
 * The number of values is held against the shape before anything is allocated. Source: onnx.proto, TensorProto.
 */

import { isFieldSet } from '@bufbuild/protobuf';
import type { DType, TypedArray } from '../../util/dtype.js';
import { FormatError } from '../../util/errors.js';
import { formatShape } from '../../util/shape.js';
import { bfloat16ToFloat32, float8ToFloat32, halfToFloat32 } from '../float-formats.js';
import type { HostTensor } from '../host-tensor.js';
import { offsetOf } from './model-file.js';
import { DataLocation, DataType, type TensorProto, TensorProtoSchema } from './schema.js';

/**
 * Gives `length` bytes from `offset` on of the file `location`, a path relative to the model's folder (see external-data.node.ts).
 * @throws if the file lies outside of that folder, is missing or too short.
 */
export type ExternalData = (location: string, offset: number, length: number) => Uint8Array;

/**
 * The value of `tensor` in the types that fovea computes with: floats of any width become float32 (double rounds), integers int32
 * (UINT8 stays uint8), BOOL bool. The values are copies.
 * @throws {FormatError} naming the tensor: for a type without a conversion, a size that does not fit the shape, an integer beyond int32.
 */
export function tensorValue(tensor: TensorProto, external?: ExternalData): HostTensor {
  const shape = tensorShape(tensor);
  const format = formatOf(tensor);
  const { dtype, data } = format.decode(new Source(tensor, format, shape, external));
  return { dtype, shape, data };
}

/** The numbers of an integer tensor, as doubles: for axes, sizes and bounds, which may lie beyond int32 (`INT64_MAX` is "to the end"). */
export function tensorIntegers(tensor: TensorProto, external?: ExternalData): number[] {
  const shape = tensorShape(tensor);
  const format = formatOf(tensor);
  const source = new Source(tensor, format, shape, external);
  if (format.wide !== undefined) return Array.from(format.wide(source), Number);
  if (format.float) throw refuse(tensor, `holds ${typeName(tensor)}, integers are needed here`);
  return Array.from(format.decode(source).data);
}

/** Its dims. @throws {FormatError} if one is negative or their product is beyond what can be counted. */
export function tensorShape(tensor: TensorProto): number[] {
  const shape = tensor.dims.map(Number);
  if (shape.length > maxRank) throw refuse(tensor, `has ${shape.length} axes, the limit is ${maxRank}`);
  if (shape.some((n) => n < 0)) throw refuse(tensor, `has a negative size in its shape ${formatShape(shape)}`);
  if (countOf(shape) > Number.MAX_SAFE_INTEGER) throw refuse(tensor, `has an absurd shape ${formatShape(shape)}`);
  return shape;
}

const maxRank = 64;

interface Format {
  /** In raw_data. */
  readonly bytes: number;
  readonly float?: boolean;
  decode(source: Source): { dtype: DType; data: TypedArray };
  /** 64-bit integers, exact. */
  wide?(source: Source): BigInt64Array | BigUint64Array;
}

const float32 = (data: Float32Array) => ({ dtype: 'float32', data }) as const;
const int32 = (data: Int32Array) => ({ dtype: 'int32', data }) as const;

/** Typed arrays are little-endian on every machine that runs JavaScript engines of today, as the format is. */
const formats: Partial<Record<DataType, Format>> = {
  [DataType.FLOAT]: { bytes: 4, float: true, decode: (s) => float32(s.floats()) },
  [DataType.DOUBLE]: { bytes: 8, float: true, decode: (s) => float32(new Float32Array(s.doubles())) },
  [DataType.FLOAT16]: { bytes: 2, float: true, decode: (s) => float32(halfToFloat32(s.narrow(2))) },
  [DataType.BFLOAT16]: { bytes: 2, float: true, decode: (s) => float32(bfloat16ToFloat32(s.narrow(2))) },
  [DataType.FLOAT8E4M3FN]: { bytes: 1, float: true, decode: (s) => float32(float8ToFloat32(s.narrow(1), 'E4M3')) },
  [DataType.FLOAT8E5M2]: { bytes: 1, float: true, decode: (s) => float32(float8ToFloat32(s.narrow(1), 'E5M2')) },
  [DataType.INT64]: { bytes: 8, decode: (s) => int32(s.toInt32(s.bigInts())), wide: (s) => s.bigInts() },
  [DataType.UINT64]: { bytes: 8, decode: (s) => int32(s.toInt32(s.bigUints())), wide: (s) => s.bigUints() },
  [DataType.INT32]: { bytes: 4, decode: (s) => int32(new Int32Array(s.narrow(4).buffer)) },
  [DataType.UINT32]: { bytes: 4, decode: (s) => int32(s.toInt32(s.uints())) },
  [DataType.INT16]: { bytes: 2, decode: (s) => int32(new Int32Array(new Int16Array(s.narrow(2).buffer))) },
  [DataType.UINT16]: { bytes: 2, decode: (s) => int32(new Int32Array(new Uint16Array(s.narrow(2).buffer))) },
  [DataType.INT8]: { bytes: 1, decode: (s) => int32(new Int32Array(new Int8Array(s.narrow(1).buffer))) },
  [DataType.UINT8]: { bytes: 1, decode: (s) => ({ dtype: 'uint8', data: s.narrow(1) }) },
  [DataType.BOOL]: { bytes: 1, decode: (s) => ({ dtype: 'bool', data: s.narrow(1).map((b) => (b === 0 ? 0 : 1)) }) },
};

/** Where a tensor's values come from; each method gives a fresh array of exactly as many values as the shape asks. */
class Source {
  readonly #count: number;

  constructor(
    private readonly tensor: TensorProto,
    private readonly format: Format,
    private readonly shape: readonly number[],
    private readonly external: ExternalData | undefined,
  ) {
    this.#count = countOf(shape);
  }

  floats(): Float32Array<ArrayBuffer> {
    const raw = this.#raw();
    return raw === null
      ? Float32Array.from(this.#list('float_data', this.tensor.floatData))
      : new Float32Array(raw.buffer);
  }

  doubles(): Float64Array<ArrayBuffer> {
    const raw = this.#raw();
    return raw === null
      ? Float64Array.from(this.#list('double_data', this.tensor.doubleData))
      : new Float64Array(raw.buffer);
  }

  bigInts(): BigInt64Array<ArrayBuffer> {
    const raw = this.#raw();
    return raw === null
      ? BigInt64Array.from(this.#list('int64_data', this.tensor.int64Data))
      : new BigInt64Array(raw.buffer);
  }

  bigUints(): BigUint64Array<ArrayBuffer> {
    const raw = this.#raw();
    return raw === null
      ? BigUint64Array.from(this.#list('uint64_data', this.tensor.uint64Data))
      : new BigUint64Array(raw.buffer);
  }

  uints(): Uint32Array<ArrayBuffer> {
    const raw = this.#raw();
    return raw === null
      ? Uint32Array.from(this.#list('uint64_data', this.tensor.uint64Data), Number)
      : new Uint32Array(raw.buffer);
  }

  /** The bytes of values that int32_data holds one to an entry, of which the lowest `bytes` count. */
  narrow(bytes: 1 | 2 | 4): Uint8Array<ArrayBuffer> {
    const raw = this.#raw();
    if (raw !== null) return raw;
    const list = this.#list('int32_data', this.tensor.int32Data);
    const kind = bytes === 1 ? Uint8Array : bytes === 2 ? Uint16Array : Int32Array;
    return new Uint8Array(kind.from(list).buffer);
  }

  /** @throws {FormatError} for a value that int32 does not hold. */
  toInt32(values: BigInt64Array | BigUint64Array | Uint32Array): Int32Array {
    const out = new Int32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i]);
      if (value > 0x7fffffff || value < -0x80000000) {
        throw refuse(this.tensor, `element ${i} is ${values[i]}, which int32 cannot hold`);
      }
      out[i] = value;
    }
    return out;
  }

  /** A copy of the raw bytes, or null where the values stand in a typed list. */
  #raw(): Uint8Array<ArrayBuffer> | null {
    const { tensor } = this;
    const needed = this.#count * this.format.bytes;
    if (tensor.dataLocation === DataLocation.EXTERNAL) return new Uint8Array(this.#externalBytes(needed));
    if (!isFieldSet(tensor, TensorProtoSchema.field.rawData)) return null;
    if (tensor.rawData.length !== needed) {
      throw refuse(tensor, `has ${tensor.rawData.length} bytes of raw_data, ${this.#wants()} takes ${needed}`);
    }
    return new Uint8Array(tensor.rawData);
  }

  #externalBytes(needed: number): Uint8Array {
    const { tensor } = this;
    const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
    const location = entries.get('location');
    if (location === undefined) throw refuse(tensor, 'has external data without a location');
    const offset = byteCount(tensor, 'offset', entries.get('offset') ?? '0');
    const length = byteCount(tensor, 'length', entries.get('length') ?? String(needed));
    if (length !== needed)
      throw refuse(tensor, `has ${length} bytes of external data, ${this.#wants()} takes ${needed}`);
    if (this.external === undefined) {
      throw refuse(
        tensor,
        `keeps its values in the file '${location}' beside the model: read the model from disk, or pass that file`,
      );
    }
    const bytes = this.external(location, offset, length);
    if (bytes.length !== needed)
      throw refuse(tensor, `was given ${bytes.length} bytes of '${location}', ${this.#wants()} takes ${needed}`);
    return bytes;
  }

  #list<T>(field: string, list: readonly T[]): readonly T[] {
    if (list.length !== this.#count)
      throw refuse(this.tensor, `has ${list.length} values in its ${field}, ${this.#wants()}`);
    return list;
  }

  #wants(): string {
    return `shape ${formatShape(this.shape)} of ${typeName(this.tensor)} (${this.#count} values)`;
  }
}

function formatOf(tensor: TensorProto): Format {
  const format = formats[tensor.dataType as DataType];
  if (format === undefined) {
    const known = Object.keys(formats).map((type) => DataType[Number(type)]);
    throw refuse(tensor, `holds ${typeName(tensor)}; fovea reads ${known.join(', ')}`);
  }
  if (tensor.segment !== undefined) throw refuse(tensor, 'is stored in segments, which nothing writes');
  return format;
}

function byteCount(tensor: TensorProto, key: string, text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw refuse(tensor, `has external data with ${key} '${text}', a number of bytes is expected`);
  return value;
}

function typeName(tensor: TensorProto): string {
  return DataType[tensor.dataType] ?? `type ${tensor.dataType}`;
}

function countOf(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((n, size) => n * size, 1);
}

function refuse(tensor: TensorProto, problem: string): FormatError {
  return new FormatError(`onnx: tensor '${tensor.name}' ${problem}`, offsetOf(tensor));
}

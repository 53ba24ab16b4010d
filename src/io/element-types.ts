/**
 * The element types that weight files hold, by the names safetensors gives them, and what they become here: F16, BF16, F8 and F64 turn into
 * float32 (F64 rounds), the integer types into int32 (U8 stays uint8), BOOL into bool. Bytes are little-endian, as typed arrays are on every
 * machine that runs JavaScript engines of today.
 */

import type { DType, TypedArray } from '../util/dtype.js';
import type { FormatError } from '../util/errors.js';
import { bfloat16ToFloat32, float8ToFloat32, halfToFloat32 } from './float-formats.js';

/** Makes the error for an element that the type here cannot hold. */
export type Refusal = (element: number, what: string) => FormatError;

export interface ElementType {
  readonly bytes: number;
  /** The values are the caller's own: never a view of `bytes`. @throws what `refuse` makes */
  decode(bytes: Uint8Array, refuse: Refusal): { dtype: DType; data: TypedArray };
}

export type ElementTypeName =
  | ('F64' | 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2')
  | ('I64' | 'U64' | 'I32' | 'U32' | 'I16' | 'U16' | 'I8' | 'U8' | 'BOOL');

const float32 = (data: Float32Array) => ({ dtype: 'float32', data }) as const;
const int32 = (data: Int32Array) => ({ dtype: 'int32', data }) as const;

export const elementTypes: Readonly<Record<ElementTypeName, ElementType>> = {
  F64: { bytes: 8, decode: (b) => float32(new Float32Array(new Float64Array(aligned(b)))) },
  F32: { bytes: 4, decode: (b) => float32(new Float32Array(aligned(b))) },
  F16: { bytes: 2, decode: (b) => float32(halfToFloat32(b)) },
  BF16: { bytes: 2, decode: (b) => float32(bfloat16ToFloat32(b)) },
  F8_E4M3: { bytes: 1, decode: (b) => float32(float8ToFloat32(b, 'E4M3')) },
  F8_E5M2: { bytes: 1, decode: (b) => float32(float8ToFloat32(b, 'E5M2')) },
  I64: { bytes: 8, decode: (b, refuse) => int32(narrow(new BigInt64Array(aligned(b)), refuse)) },
  U64: { bytes: 8, decode: (b, refuse) => int32(narrow(new BigUint64Array(aligned(b)), refuse)) },
  I32: { bytes: 4, decode: (b) => int32(new Int32Array(aligned(b))) },
  U32: { bytes: 4, decode: (b, refuse) => int32(narrow(new Uint32Array(aligned(b)), refuse)) },
  I16: { bytes: 2, decode: (b) => int32(new Int32Array(new Int16Array(aligned(b)))) },
  U16: { bytes: 2, decode: (b) => int32(new Int32Array(new Uint16Array(aligned(b)))) },
  I8: { bytes: 1, decode: (b) => int32(new Int32Array(new Int8Array(aligned(b)))) },
  U8: { bytes: 1, decode: (b) => ({ dtype: 'uint8', data: copyOf(b) }) },
  BOOL: { bytes: 1, decode: (b, refuse) => ({ dtype: 'bool', data: truthValues(b, refuse) }) },
};

/** Not `slice()`: a Node Buffer is a Uint8Array whose slice shares memory. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function aligned(bytes: Uint8Array): ArrayBuffer {
  return copyOf(bytes).buffer as ArrayBuffer;
}

function narrow(values: BigInt64Array | BigUint64Array | Uint32Array, refuse: Refusal): Int32Array {
  const out = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    if (value > 0x7fffffff || value < -0x80000000) throw refuse(i, `${values[i]}, which int32 cannot hold`);
    out[i] = value;
  }
  return out;
}

function truthValues(bytes: Uint8Array, refuse: Refusal): Uint8Array {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] > 1) throw refuse(i, `${bytes[i]}, a bool is 0 or 1`);
  return copyOf(bytes);
}

/** Element types: what a tensor holds, and the typed array that carries it. */

export type DType = 'float32' | 'int32' | 'uint8' | 'bool';

/** Plain host data of a tensor. bool and uint8 both travel as bytes. */
export type TypedArray = Float32Array | Int32Array | Uint8Array;

export const dtypeBytes: Record<DType, number> = { float32: 4, int32: 4, uint8: 1, bool: 1 };

const rank: Record<DType, number> = { bool: 0, uint8: 1, int32: 2, float32: 3 };

/** The type two operands meet in: the wider of bool < uint8 < int32 < float32. */
export function promote(a: DType, b: DType): DType {
  return rank[a] >= rank[b] ? a : b;
}

/** A zeroed host array of `length` elements. */
export function allocate(dtype: DType, length: number): TypedArray {
  switch (dtype) {
    case 'float32':
      return new Float32Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'uint8':
    case 'bool':
      return new Uint8Array(length);
    default:
      return dtype satisfies never;
  }
}

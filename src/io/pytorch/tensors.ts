/**
 * Tensors as a pickle of PyTorch describes them: a view (offset, shape, stride) of a storage whose bytes lie elsewhere in the file. What a view
 * may touch is checked when it is met; its values are gathered when somebody asks.
 */

import { FormatError } from '../../util/errors.js';
import { formatShape, numel, type Shape } from '../../util/shape.js';
import { type ElementTypeName, elementTypes } from '../element-types.js';
import type { HostTensor } from '../host-tensor.js';
import { PickleObject } from './pickle.js';

/** A storage, or a part of one, as a persistent id names it. */
export class StorageRef extends PickleObject {
  constructor(
    /** Of the storage it is, or is a part of. */
    readonly key: string,
    /** null: bytes, whose type each tensor says. */
    readonly type: ElementTypeName | null,
    /** Elements; bytes where the type is null. */
    readonly count: number,
    /** Elements of the storage before this part. */
    readonly first: number,
    readonly at: number,
  ) {
    super();
  }

  get elementBytes(): number {
    return this.type === null ? 1 : elementTypes[this.type].bytes;
  }
}

/** A tensor: which elements of which storage. */
export class TensorRef extends PickleObject {
  constructor(
    readonly storage: StorageRef,
    readonly type: ElementTypeName,
    /** In elements of `type`, like the strides. */
    readonly offset: number,
    readonly shape: Shape,
    readonly stride: readonly number[],
    /** Where the pickle makes it. */
    readonly at: number,
  ) {
    super();
    this.#check();
  }

  /** Bytes from the first element to the end of the last: what must be read. */
  get spanBytes(): number {
    return (lastElement(this) + 1) * elementTypes[this.type].bytes;
  }

  /** Bytes of its values here, four each at most. */
  get outBytes(): number {
    return numel(this.shape) * 4;
  }

  #check(): void {
    const { storage, type, offset, shape, stride, at } = this;
    const holds = Math.floor((storage.count * storage.elementBytes) / elementTypes[type].bytes);
    const end = shape.includes(0) ? offset : offset + lastElement(this) + 1;
    if (end <= holds && numel(shape) <= Number.MAX_SAFE_INTEGER) return;
    throw new FormatError(
      `pytorch: a tensor of shape ${formatShape(shape)}, stride ${formatShape(stride)} and offset ${offset} reaches past its storage ` +
        `'${storage.key}' of ${holds} elements`,
      at,
    );
  }
}

/** Of a tensor's elements, counted from its first; −1 where there is none. */
function lastElement({ shape, stride }: TensorRef): number {
  if (shape.includes(0)) return -1;
  return shape.reduce((sum, n, i) => sum + (n - 1) * stride[i], 0);
}

/** The bytes of storages, by key. */
export interface StorageBytes {
  /** Of the whole storage. @throws {FormatError} if the file has none under that key */
  sizeBytes(key: string, at: number): number;
  /** From `start` up to `end` within the storage. */
  read(key: string, start: number, end: number): Uint8Array;
  /** Where the storage begins in the file. */
  start(key: string): number;
}

/** Refuses a tensor whose storage is not there, or shorter than the pickle says. */
export function checkStorage({ storage, at }: TensorRef, bytes: StorageBytes): void {
  const needed = (storage.first + storage.count) * storage.elementBytes;
  const size = bytes.sizeBytes(storage.key, at);
  if (needed <= size) return;
  throw new FormatError(`pytorch: storage '${storage.key}' should have ${needed} bytes and has ${size}`, at);
}

/** A tensor's values, row-major. @throws {FormatError} for a number that the type here cannot hold */
export function readTensor(name: string, tensor: TensorRef, bytes: StorageBytes): HostTensor {
  const { storage, type, offset, shape } = tensor;
  const size = elementTypes[type].bytes;
  const start = storage.first * storage.elementBytes + offset * size;
  const span = bytes.read(storage.key, start, start + tensor.spanBytes);
  const packed = isContiguous(tensor) ? span : gather(span, tensor, size);
  const { dtype, data } = elementTypes[type].decode(packed, (i, what) => {
    return new FormatError(`pytorch: '${name}' (${type}) element ${i} is ${what}`, bytes.start(storage.key) + start);
  });
  return { dtype, shape, data };
}

/** Whether the elements lie one behind the other. */
function isContiguous({ shape, stride }: TensorRef): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && stride[i] !== expected) return shape.includes(0);
    expected *= shape[i];
  }
  return true;
}

/** Brings the elements of a strided view into row-major order. */
function gather(span: Uint8Array, { shape, stride }: TensorRef, size: number): Uint8Array {
  const out = new Uint8Array(numel(shape) * size);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < out.length; to += size) {
    for (let b = 0; b < size; b++) out[to + b] = span[from * size + b];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += stride[axis];
      if (++index[axis] < shape[axis]) break;
      from -= shape[axis] * stride[axis];
      index[axis] = 0;
    }
  }
  return out;
}

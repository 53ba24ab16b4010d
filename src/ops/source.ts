/** Nodes without tensor operands: constants, stored values, index ranges; and random bits, which need only a key. */

import type { Node } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import type { Storage } from '../graph/storage.js';
import { iotaLowering, randomBitsLowering } from '../kernels/rearrange.js';
import type { DType } from '../util/dtype.js';
import { ConfigError } from '../util/errors.js';
import { numel, type Shape } from '../util/shape.js';
import { shapeError } from './shape-error.js';

/** `value` in every element. */
export function constant(value: number | boolean, shape: Shape = [], dtype?: DType): Node {
  const type = dtype ?? (typeof value === 'boolean' ? 'bool' : 'float32');
  return record(constantOp, [], { value: asElement(Number(value), type), shape, dtype: type });
}

export interface ConstantAttrs {
  readonly value: number;
  readonly shape: Shape;
  readonly dtype: DType;
}

export const constantOp = defineOp<ConstantAttrs>('constant', {
  infer: (_, { shape, dtype }) => ({ shape, dtype }),
  uniform: ({ value }) => value,
});

/** The number that `x` holds in every element, if it is a constant. */
export function uniformValue(x: Node): number | null {
  return x.op.facts.uniform?.(x.attrs) ?? null;
}

/** The value that `storage` holds now. A write to the storage makes the node stale. */
export function buffer(storage: Storage): Node {
  return record(bufferOp, [], { storage, version: storage.version });
}

export interface BufferAttrs {
  readonly storage: Storage;
  readonly version: number;
}

export const bufferOp = defineOp<BufferAttrs>('buffer', {
  infer: (_, { storage }) => ({ shape: storage.shape, dtype: storage.dtype }),
  reads: (attrs) => attrs,
  source: true,
});

/** 0, 1, … n − 1 as int32. */
export function iota(n: number): Node {
  return record(iotaOp, [], { n });
}

export const iotaOp = defineOp<{ readonly n: number }>('iota', {
  infer: (_, { n }) => {
    if (!Number.isInteger(n) || n < 0) throw new ConfigError(`iota: the length must be a whole number ≥ 0, not ${n}`);
    return { shape: [n], dtype: 'int32' };
  },
  lower: ({ attrs: { n } }) => [iotaLowering(n)],
});

/**
 * Random bits as int32, a pure function of `key` (int32[4]: seedLo, seedHi, stream, step). With Q = ⌈n/4⌉ blocks for n elements, element e is
 * word ⌊e/Q⌋ of the Philox block with counter (e mod Q, stream, step, 0) under the key (seedLo, seedHi): neighbours lie in neighbouring blocks,
 * so vectors of any width compute the same numbers.
 */
export function randomBits(key: Node, shape: Shape): Node {
  return record(randomBitsOp, [key], { shape });
}

export const randomBitsOp = defineOp<{ readonly shape: Shape }>('randomBits', {
  infer: ([key], { shape }) => {
    if (key.dtype !== 'int32' || key.shape.length !== 1 || key.shape[0] !== 4) {
      throw shapeError(
        'randomBits',
        `the key must be int32[4], not ${key.dtype}`,
        [['key', key.shape]],
        'It holds [seedLo, seedHi, stream, step].',
      );
    }
    return { shape, dtype: 'int32' };
  },
  vjp: () => [null],
  lower: ({ attrs: { shape } }) => [randomBitsLowering(numel(shape))],
});

function asElement(value: number, dtype: DType): number {
  switch (dtype) {
    case 'float32':
      return value;
    case 'int32':
      return value | 0;
    case 'uint8':
      return value & 255;
    case 'bool':
      return value !== 0 ? 1 : 0;
    default:
      return dtype satisfies never;
  }
}

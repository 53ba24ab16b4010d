/** Tensors that live from step to step: parameters, which are trained, and buffers, which are only kept. */

import { Storage } from '../graph/storage.js';
import { buffer as bufferNode } from '../ops/source.js';
import { allocate, type DType, type TypedArray } from '../util/dtype.js';
import { numel, type Shape } from '../util/shape.js';
import { adopt, makePersistent } from './runtime.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

export interface ParameterOptions {
  /** Default true. */
  requiresGrad?: boolean;
  /** Shown in messages. */
  name?: string;
}

/**
 * A tensor that is trained: it owns its value, which `assign` replaces in place, and gradients add up in its `grad`. The first value is a
 * tensor or array, or a storage that already holds (or will draw, see `deferred`) it.
 */
export class Parameter extends Tensor {
  constructor(value: TensorLike | Storage, { requiresGrad = true, name }: ParameterOptions = {}) {
    const storage = value instanceof Storage ? value : null;
    super(storage !== null ? bufferNode(storage) : asTensor(value as TensorLike).detach().current);
    if (storage !== null) adopt(this, storage);
    else makePersistent(this);
    if (name !== undefined) this.storage!.name = name;
    this.requiresGrad = requiresGrad;
  }

  /** A parameter whose first value `fill` writes when somebody first looks, and not at all if it is loaded from a file before. */
  static deferred(shape: Shape, fill: (data: Float32Array) => void, options: ParameterOptions = {}): Parameter {
    return new Parameter(deferredStorage(shape, 'float32', fill as (data: TypedArray) => void), options);
  }
}

/** A tensor that lives from step to step without being trained, such as running statistics. */
export function buffer(value: TensorLike, { name }: { name?: string } = {}): Tensor {
  const t = asTensor(value).detach();
  makePersistent(t);
  if (name !== undefined) t.storage!.name = name;
  return t;
}

function deferredStorage(shape: Shape, dtype: DType, fill: (data: TypedArray) => void): Storage {
  const storage = new Storage(shape, dtype, null, true);
  storage.defer(() => {
    const data = allocate(dtype, numel(shape));
    fill(data);
    return data;
  });
  return storage;
}

/** How layers make their trained tensors and buffers; `init` sets values. Nothing is allocated before somebody looks. */

import { full, Parameter, buffer as persistent, type Tensor } from '../tensor/index.js';
import type { DType } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';

/** A trained tensor of zeros. */
export function parameter(shape: Shape): Parameter {
  return Parameter.deferred(shape, () => {});
}

/** A saved tensor that is not trained; change it with `assign`. */
export function buffer(shape: Shape, value = 0, dtype: DType = 'float32'): Tensor {
  return persistent(full(shape, value, { dtype }));
}

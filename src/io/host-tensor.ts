/** A tensor's value as files hold it: plain, row-major, on the host. */

import type { DType, TypedArray } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';

export interface HostTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TypedArray;
}

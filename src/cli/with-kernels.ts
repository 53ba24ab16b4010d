/** For commands that look at kernels: the device must be one that has any. */

import { CompiledTarget } from '../compile/compiled-target.js';
import type { OpenedDevice } from '../tensor/index.js';
import { UsageError } from './usage.js';

/** The opened device as one that has kernels. @throws {UsageError} for the reference */
export function withKernels({ target }: OpenedDevice): CompiledTarget {
  if (target instanceof CompiledTarget) return target;
  throw new UsageError(`The device '${target.name}' interprets graphs and has no kernels; leave --device out.`);
}

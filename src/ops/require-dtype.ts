/** Refuses an operand whose element type the operation does not take. */

import { scopeSuffix } from '../graph/node.js';
import type { DType } from '../util/dtype.js';
import { ConfigError } from '../util/errors.js';

/** @throws {ConfigError} unless `dtype` is one of `allowed`. */
export function requireDType(op: string, name: string, dtype: DType, ...allowed: DType[]): void {
  if (allowed.includes(dtype)) return;
  throw new ConfigError(
    `${op}: ${name} is ${dtype}; it must be ${allowed.join(' or ')}. Cast it first.${scopeSuffix()}`,
  );
}

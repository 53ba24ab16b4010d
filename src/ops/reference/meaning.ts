/** What an op means on the reference target, in float64. `data` of the result has numel(out.shape) elements. */

import type { AnyOp } from '../../graph/node.js';
import type { Inferred, NdArray, Op } from '../../graph/op.js';

export type Meaning<A> = (inputs: readonly NdArray[], attrs: A, out: Inferred) => NdArray['data'];

// biome-ignore lint/suspicious/noExplicitAny: attributes are typed where a meaning is written; its reader takes any
export function meaning<A>(op: Op<A>, f: Meaning<A>): readonly [AnyOp, Meaning<any>] {
  return [op, f];
}

/** The meaning of every op, by op. */

import type { AnyOp } from '../../graph/node.js';
import type { NdArray } from '../../graph/op.js';
import { numel } from '../../util/shape.js';
import { referenceArray } from './arrays.js';
import { convMeanings } from './conv.js';
import { indexingMeanings } from './indexing.js';
import { matmulMeanings } from './matmul.js';
import type { Meaning } from './meaning.js';
import { movementMeanings } from './movement.js';
import { poolMeanings } from './pool.js';
import { reduceMeanings } from './reduce.js';
import { sourceMeanings } from './source.js';

// biome-ignore lint/suspicious/noExplicitAny: attributes are typed where a meaning is written
const meanings = new Map<AnyOp, Meaning<any>>([
  ...convMeanings,
  ...indexingMeanings,
  ...matmulMeanings,
  ...movementMeanings,
  ...poolMeanings,
  ...reduceMeanings,
  ...sourceMeanings,
]);

/** What `op` means: its own word (an op defined elsewhere), the list here, or its `element` at every place. */
// biome-ignore lint/suspicious/noExplicitAny: attributes are typed where a meaning is written
export function meaningOf(op: AnyOp): Meaning<any> {
  return op.facts.reference ?? meanings.get(op) ?? elementwise(op.facts.element!);
}

// biome-ignore lint/suspicious/noExplicitAny: attributes are typed where a meaning is written
function elementwise(element: NonNullable<AnyOp['facts']['element']>): Meaning<any> {
  return (inputs, attrs, out) => {
    const y = referenceArray(out.dtype, numel(out.shape));
    const f = element(attrs, inputs[0].dtype);
    const [a, b, c] = inputs.map((x: NdArray) => x.data);
    if (b === undefined) for (let i = 0; i < y.length; i++) y[i] = f(a[i]);
    else if (c === undefined) for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i]);
    else for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i], c[i]);
    return y;
  };
}

/**
 * Reverse mode: from gradients of outputs to gradients of anything they depend on, by the VJP rule each primitive brings. What comes out is
 * graph again, so it can be differentiated again. `ops/` lies above this folder, hence the two operations needed come in as `algebra`.
 */

import { type AnyOp, type Node, withScope } from '../graph/node.js';
import type { OpFacts } from '../graph/op.js';
import { dependents, topological } from '../graph/traverse.js';
import { invariant } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';

export interface Algebra {
  add(a: Node, b: Node): Node;
  zeros(like: Node): Node;
}

/** Rules that stand in for the operations' own, for one call: how guided backpropagation passes relu, for instance. */
// biome-ignore lint/suspicious/noExplicitAny: attributes are typed where an op is defined
export type Rules = ReadonlyMap<AnyOp, NonNullable<OpFacts<any>['vjp']>>;

/** For each node of `wrt`: Σ over outputs of (∂output/∂wrt)ᵀ · seed. Zeros where no output depends on it. */
export function gradient(
  outputs: readonly Node[],
  seeds: readonly Node[],
  wrt: readonly Node[],
  algebra: Algebra,
  rules?: Rules,
): Node[] {
  const order = topological(outputs);
  const relevant = dependents(order, wrt);
  const gradients = new Map<Node, Node>();
  const accumulate = (node: Node, dy: Node) => {
    invariant(
      sameShape(dy.shape, node.shape) && dy.dtype === 'float32',
      () => `gradient of ${node.op.name} ${formatShape(node.shape)} arrived as ${dy.dtype}${formatShape(dy.shape)}`,
    );
    const before = gradients.get(node);
    gradients.set(node, before === undefined ? dy : algebra.add(before, dy));
  };

  outputs.forEach((output, i) => {
    if (output.dtype === 'float32' && relevant.has(output)) accumulate(output, seeds[i]);
  });
  for (const node of order.reverse()) {
    const dy = gradients.get(node);
    if (dy === undefined || !node.inputs.some((input) => carries(input, relevant))) continue;
    const vjp = rules?.get(node.op) ?? node.op.facts.vjp;
    invariant(vjp !== undefined, () => `${node.op.name} has no gradient rule, but a gradient reached it`);
    const parts = withScope(node.scope, () => vjp(dy, node));
    node.inputs.forEach((input, i) => {
      const part = parts[i];
      if (part != null && carries(input, relevant)) accumulate(input, part);
    });
  }
  return wrt.map((node) => gradients.get(node) ?? algebra.zeros(node));
}

/** Gradients flow through floats that depend on what is asked for. */
function carries(node: Node, relevant: Set<Node>): boolean {
  return node.dtype === 'float32' && relevant.has(node);
}

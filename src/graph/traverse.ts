/** Walking the graph. Nothing here recurses: a network of ten thousand layers is a chain of ten thousand nodes. */

import { InvariantError } from '../util/errors.js';
import type { Node } from './node.js';

/**
 * Every node that `roots` need, inputs before users, each once; the order depends on the graph alone.
 * Where `stop` says true the node is listed and its inputs are not followed.
 */
export function topological(roots: readonly Node[], stop: (node: Node) => boolean = () => false): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  const stack: { node: Node; next: number }[] = [];
  const enter = (node: Node) => {
    const seen = state.get(node);
    if (seen === 'done') return;
    if (seen === 'open') throw new InvariantError(`the graph has a cycle through ${node.op.name} (node ${node.id})`);
    state.set(node, 'open');
    stack.push({ node, next: stop(node) ? node.inputs.length : 0 });
  };
  for (const root of roots) {
    enter(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (top.next < top.node.inputs.length) {
        enter(top.node.inputs[top.next++]);
      } else {
        stack.pop();
        state.set(top.node, 'done');
        order.push(top.node);
      }
    }
  }
  return order;
}

/** The nodes among `order` (inputs first) whose value depends on one of `sources`, the sources included. */
export function dependents(order: readonly Node[], sources: Iterable<Node>): Set<Node> {
  const reached = new Set<Node>(sources);
  for (const node of order) if (node.inputs.some((input) => reached.has(input))) reached.add(node);
  return reached;
}

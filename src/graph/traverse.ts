/** Walking the graph. Nothing here recurses: a network of ten thousand layers is a chain of ten thousand nodes. */

import { InvariantError } from '../util/errors.js';
import type { Node } from './node.js';

/**
 * Every node that `roots` need, inputs before users, each once; the order depends on the graph alone.
 * Where `stop` says true the node is listed and its inputs are not followed. `places` receives each node's place in the order.
 */
export function topological(
  roots: readonly Node[],
  stop: (node: Node) => boolean = () => false,
  places: Map<Node, number> = new Map(),
): Node[] {
  const order: Node[] = [];
  const entered = -1;
  // The nodes from a root to the one at hand, and which input of each comes next.
  const path: Node[] = [];
  const next: number[] = [];
  const enter = (node: Node) => {
    const place = places.get(node);
    if (place === entered) throw new InvariantError(`the graph has a cycle through ${node.op.name} (node ${node.id})`);
    if (place !== undefined) return;
    if (node.inputs.length === 0 || stop(node)) {
      places.set(node, order.length);
      order.push(node);
      return;
    }
    places.set(node, entered);
    path.push(node);
    next.push(0);
  };
  for (const root of roots) {
    enter(root);
    while (path.length > 0) {
      const top = path.length - 1;
      const node = path[top];
      if (next[top] < node.inputs.length) {
        enter(node.inputs[next[top]++]);
      } else {
        path.pop();
        next.pop();
        places.set(node, order.length);
        order.push(node);
      }
    }
  }
  return order;
}

/** The nodes among `order` (inputs first) whose value depends on one of `sources`, the sources included. */
export function dependents(order: readonly Node[], sources: Iterable<Node>): Set<Node> {
  const reached = new Set<Node>(sources);
  for (const node of order) {
    const { inputs } = node;
    for (let i = 0; i < inputs.length; i++) {
      if (reached.has(inputs[i])) {
        reached.add(node);
        break;
      }
    }
  }
  return reached;
}

/** What must hold between any two passes: no cycles, and every node has the shape and type its operation says. */

import { invariant } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';
import type { Node } from './node.js';
import { print } from './print.js';
import { topological } from './traverse.js';

/** Nodes whose value is `known` count as given, whatever they were computed from. @throws {InvariantError} naming `after` (the pass that ran) and printing the node with its inputs. */
export function verify(
  roots: readonly Node[],
  after = 'the graph was built',
  known: (node: Node) => boolean = () => false,
): void {
  for (const node of topological(roots, known)) {
    if (known(node)) continue;
    const said = infer(node, after);
    invariant(
      sameShape(said.shape, node.shape) && said.dtype === node.dtype,
      () =>
        `after ${after}: ${node.op.name} is ${node.dtype}${formatShape(node.shape)}, ` +
        `but its inputs make ${said.dtype}${formatShape(said.shape)}\n${print([node], { depth: 1 })}`,
    );
    invariant(
      node.shape.every((size) => Number.isInteger(size) && size >= 0),
      () => `after ${after}: ${node.op.name} has a size that is not a count: ${formatShape(node.shape)}`,
    );
  }
}

function infer(node: Node, after: string) {
  try {
    return node.op.facts.infer(node.inputs, node.attrs);
  } catch (error) {
    invariant(
      false,
      () =>
        `after ${after}: ${node.op.name} refuses its inputs: ${(error as Error).message}\n${print([node], { depth: 1 })}`,
    );
  }
}

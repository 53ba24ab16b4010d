/**
 * For a function that is called again and again with the same weights: everything that depends on weights alone is taken out of its graph,
 * to be computed once and kept. Before that, factors and summands of channels move into what they follow, so that a batch normalisation in
 * evaluation, (W ∗ x) · s + t, becomes a convolution with the weight W · s and one bias (Jacob et al. 2018, arXiv:1712.05877, section 3.2).
 */

import { type AnyOp, Node } from '../graph/node.js';
import { record } from '../graph/op.js';
import { Storage } from '../graph/storage.js';
import { topological } from '../graph/traverse.js';
import { add, addOp, mul, mulOp, neg, subOp } from '../ops/elementwise.js';
import { expand, expandOp, reshape } from '../ops/movement.js';
import { bufferOp, uniformValue } from '../ops/source.js';
import { allocate } from '../util/dtype.js';
import { numel } from '../util/shape.js';

export interface Frozen {
  readonly roots: readonly Node[];
  /** Values to compute once: each storage stands in `roots` where its value stood, as it is after one assignment. */
  readonly constants: readonly { readonly storage: Storage; readonly value: Node }[];
}

/** `leaf` says which storage a node reads, if any; those in `inputs` change from call to call, all others stay. */
export function freeze(
  roots: readonly Node[],
  leaf: (node: Node) => Storage | null,
  inputs: ReadonlySet<Storage>,
): Frozen {
  const order = topological(roots, (node) => leaf(node) !== null);
  const uses = countUses(order, roots);
  const fixed = new Set<Node>(); // nodes of the new graph that are the same in every call
  const once = new Set<Node>(); // nodes of the new graph with one use: they may be changed for it
  const isFixed = (node: Node): boolean => fixed.has(node) || uniformValue(node) !== null;
  const fix = (node: Node): Node => {
    fixed.add(node);
    return node;
  };
  const product = (a: Node, b: Node): Node => fix(atOwnSize(mul, a, b));
  const sum = (a: Node, b: Node): Node => fix(atOwnSize(add, a, b));

  /** x · scale with the factor inside x, or null where x cannot take it. */
  const scaled = (x: Node, scale: Node): Node | null => {
    if (!once.has(x)) return null;
    const [y, constant] = split(x, isFixed);
    if (x.op === (mulOp as AnyOp) && y !== null) return remade(x, [y, product(constant!, scale)]);
    if (x.op === (addOp as AnyOp) && y !== null) {
      const inner = scaled(y, scale);
      return inner === null ? null : remade(x, [inner, product(constant!, scale)]);
    }
    const channels = perChannel(scale);
    if (channels === null) return null;
    const weights = x.op.facts.scaleChannels?.(x, channels) ?? null;
    if (weights === null) return null;
    for (const input of weights.inputs) if (!x.inputs.includes(input)) fix(input);
    weights.scope = x.scope;
    return weights;
  };

  const rewrite = (node: Node): Node => {
    const difference = node.op === (subOp as AnyOp) && isFixed(node.inputs[1]) && node.dtype === 'float32';
    const current = difference ? remade(node, [node.inputs[0], fix(atOwnSize(neg, node.inputs[1]))], addOp) : node;
    const [x, constant] = split(current, isFixed);
    if (x === null || current.dtype !== 'float32') return node;
    if (current.op === (mulOp as AnyOp)) return scaled(x, constant!) ?? node;
    const [y, inner] = split(x, isFixed);
    if (x.op !== (addOp as AnyOp) || y === null || !once.has(x)) return current;
    return remade(current, [y, sum(inner!, constant!)]);
  };

  const copies = new Map<Node, Node>();
  for (const node of order) {
    const storage = leaf(node);
    const copied = storage !== null ? node : remade(node, node.inputs.map((i) => copies.get(i)!)); // biome-ignore format: one thought
    const same = storage !== null ? !inputs.has(storage) : derived(node) && copied.inputs.every(isFixed);
    const made = same ? fix(copied) : storage !== null ? copied : rewrite(copied);
    if (uses.get(node) === 1) once.add(made);
    copies.set(node, made);
  }
  const folded = roots.map((r) => copies.get(r)!);
  return extract(specialise(folded, leaf, isFixed), leaf, inputs);
}

/** Lets operations with an operand that is fixed choose another way to the same values. */
function specialise(
  roots: readonly Node[],
  leaf: (node: Node) => Storage | null,
  isFixed: (node: Node) => boolean,
): Node[] {
  const stop = (node: Node): boolean => leaf(node) !== null || isFixed(node);
  const copies = new Map<Node, Node>();
  for (const node of topological(roots, stop)) {
    if (stop(node)) {
      copies.set(node, node);
      continue;
    }
    const copy = remade(node, node.inputs.map((i) => copies.get(i)!)); // biome-ignore format: one thought
    const fixed = copy.inputs.findIndex(isFixed);
    const other = fixed < 0 ? null : (copy.op.facts.withFixed?.(copy, fixed) ?? null);
    copies.set(node, other ?? copy);
  }
  return roots.map((r) => copies.get(r)!);
}

/** Puts a stored value in place of whatever is fixed and has a user that is not. */
function extract(roots: readonly Node[], leaf: (node: Node) => Storage | null, inputs: ReadonlySet<Storage>): Frozen {
  const constants: { storage: Storage; value: Node }[] = [];
  const fixed = new Set<Node>();
  const copies = new Map<Node, Node>();
  const stored = (value: Node): Node => {
    const known = copies.get(value);
    if (known !== undefined) return known;
    let made: Node;
    const base = underViews(value);
    if (uniformValue(value) !== null || leaf(value)?.persistent) made = value;
    else if (leaf(base)?.persistent || numel(base.shape) < numel(value.shape)) {
      made = remade(value, value.inputs.map(stored)); // what only moves or repeats elements goes on doing so
    } else {
      const storage = new Storage(value.shape, value.dtype, null, true);
      storage.defer(() => allocate(value.dtype, numel(value.shape))); // until it is computed
      storage.name = `a constant of ${value.scope ?? 'the compiled function'}`;
      constants.push({ storage, value });
      made = record(bufferOp, [], { storage, version: storage.version + 1 }); // as it will be once computed
    }
    copies.set(value, made);
    return made;
  };
  const current = (node: Node): Node => (fixed.has(node) ? stored(node) : copies.get(node)!);
  for (const node of topological(roots, (n) => leaf(n) !== null)) {
    const storage = leaf(node);
    const same =
      uniformValue(node) !== null ||
      (storage !== null ? !inputs.has(storage) : derived(node) && node.inputs.every((i) => fixed.has(i)));
    if (same) fixed.add(node);
    else copies.set(node, storage !== null ? node : remade(node, node.inputs.map(current)));
  }
  return { roots: roots.map(current), constants };
}

/** Whether a node's value follows from its inputs. */
function derived({ op, inputs }: Node): boolean {
  return !op.facts.impure && !op.facts.source && inputs.length > 0;
}

/** The operand of a commutative operation that changes from call to call, and the one that does not; nulls unless there is one of each. */
function split({ op, inputs }: Node, isFixed: (node: Node) => boolean): [Node, Node] | [null, null] {
  if (op !== (mulOp as AnyOp) && op !== (addOp as AnyOp)) return [null, null];
  const [a, b] = inputs;
  if (isFixed(a) === isFixed(b)) return [null, null];
  return isFixed(a) ? [b, a] : [a, b];
}

/** What `combine` makes of operands that may be broadcast, computed before they are. */
function atOwnSize(combine: (...operands: Node[]) => Node, ...operands: Node[]): Node {
  return expand(combine(...operands.map(withoutExpand)), operands[0].shape);
}

function underViews(node: Node): Node {
  return node.op.facts.view !== undefined ? underViews(node.inputs[0]) : node;
}

function withoutExpand(node: Node): Node {
  return node.op === (expandOp as AnyOp) ? withoutExpand(node.inputs[0]) : node;
}

/** [C] for a factor that differs along axis 1 alone, or null. A single number counts as one for all. */
function perChannel(factor: Node): Node | null {
  const channels = factor.shape[1];
  const uniform = uniformValue(factor);
  if (channels === undefined || uniform !== null) return null;
  const own = withoutExpand(factor);
  if (own.shape.length !== factor.shape.length || numel(own.shape) !== own.shape[1]) return null;
  return expand(reshape(own, [own.shape[1]]), [channels]);
}

function remade(node: Node, inputs: readonly Node[], op: AnyOp = node.op): Node {
  if (op === node.op && inputs.every((input, i) => input === node.inputs[i])) return node;
  const copy = new Node(op, inputs, node.attrs, node.shape, node.dtype);
  copy.scope = node.scope;
  return copy;
}

function countUses(order: readonly Node[], roots: readonly Node[]): Map<Node, number> {
  const uses = new Map<Node, number>();
  const use = (node: Node) => uses.set(node, (uses.get(node) ?? 0) + 1);
  for (const node of order) for (const input of node.inputs) use(input);
  for (const root of roots) use(root);
  return uses;
}

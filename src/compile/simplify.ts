/**
 * Copies a traced graph into one the compiler owns: stored values become `input` nodes, equal nodes become one (common subexpressions),
 * what depends on constants alone is folded, and each op may rewrite itself (`simplify`, `decompose`).
 */

import { attrsKey } from '../graph/key.js';
import type { Layout } from '../graph/layout.js';
import { type AnyOp, Node } from '../graph/node.js';
import { defineOp, type TargetInfo } from '../graph/op.js';
import { allocate, type DType } from '../util/dtype.js';
import { numel, type Shape } from '../util/shape.js';
import type { Trace } from './trace.js';

export interface InputAttrs {
  readonly slot: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly persistent: boolean;
  /** Where it lies already; null while the compiler may choose. */
  readonly layout: Layout | null;
}

/** A stored value inside a compiled step: a slot that is bound when the step runs. */
export const inputOp = defineOp<InputAttrs>('input', {
  infer: (_, { shape, dtype }) => ({ shape, dtype }),
  source: true,
});

/** What folding leaves behind: `value` in every element. */
const constantOp = defineOp<{ readonly value: number; readonly shape: Shape; readonly dtype: DType }>('constant', {
  infer: (_, { shape, dtype }) => ({ shape, dtype }),
  uniform: ({ value }) => value,
});

export interface StepGraph {
  readonly inputs: readonly Node<InputAttrs>[];
  readonly roots: readonly Node[];
  readonly assigns: readonly { readonly slot: number; readonly value: Node }[];
}

export function simplify(trace: Trace, target: TargetInfo, residentLayout: (slot: number) => Layout | null): StepGraph {
  const known = new Map<string, Node>();
  const inputs = trace.storages.map((s, slot) => {
    const attrs: InputAttrs = {
      slot,
      shape: s.shape,
      dtype: s.dtype,
      persistent: s.persistent,
      layout: residentLayout(slot),
    };
    return new Node(inputOp, [], attrs, s.shape, s.dtype);
  });
  const copies = new Map<Node, Node>();

  const settle = (node: Node): Node => {
    let current = node;
    for (let round = 0; round < 8; round++) {
      const folded = foldConstant(current) ?? rewrite(current, target);
      if (folded === null || folded === current) break;
      current = share(folded);
    }
    return current;
  };
  /** Gives nodes made by a rewrite the same treatment, inputs first. */
  const share = (node: Node): Node => {
    if (node.op === (inputOp as AnyOp)) return node;
    const shared = node.inputs.map((i) => (done.has(i) ? i : settleNew(i)));
    const same = shared.every((s, i) => s === node.inputs[i]);
    return intern(same ? node : copyNode(node, shared));
  };
  const done = new Set<Node>(inputs);
  const settleNew = (node: Node): Node => {
    const result = settle(share(node));
    done.add(result);
    return result;
  };
  const intern = (node: Node): Node => {
    if (node.op.facts.impure) return node;
    const key = nodeKey(node);
    const twin = known.get(key);
    if (twin !== undefined) return twin;
    known.set(key, node);
    return node;
  };

  for (const node of trace.order) {
    const slot = trace.leaves.get(node);
    if (slot !== undefined) {
      copies.set(node, numel(node.shape) === 0 ? intern(constantLike(0, node)) : inputs[slot]);
      continue;
    }
    const copy = settle(
      intern(
        copyNode(
          node,
          node.inputs.map((i) => copies.get(i)!),
        ),
      ),
    );
    done.add(copy);
    copies.set(node, copy);
  }
  return {
    inputs,
    roots: trace.roots.map((r) => copies.get(r)!),
    assigns: trace.assigns.map((a) => ({ slot: a.storage, value: copies.get(a.value)! })),
  };
}

/** The number in every element of a constant node, or null. */
export function uniform(node: Node): number | null {
  return node.op.facts.uniform?.(node.attrs) ?? null;
}

function copyNode(node: Node, inputs: readonly Node[]): Node {
  const copy = new Node(node.op, inputs, node.attrs, node.shape, node.dtype);
  copy.scope = node.scope;
  return copy;
}

function nodeKey(node: Node): string {
  return `${node.op.name}(${node.inputs.map((i) => i.id).join()})${attrsKey(node.attrs)}${node.shape.join('x')}${node.dtype}`;
}

function rewrite(node: Node, target: TargetInfo): Node | null {
  return node.op.facts.simplify?.(node) ?? node.op.facts.decompose?.(node, target) ?? null;
}

/**
 * Elementwise work on constants and any rearrangement of a constant is a constant; so is what has no elements, and what is made of nothing
 * (a sum along an axis of length 0).
 */
function foldConstant(node: Node): Node | null {
  const { facts } = node.op;
  if (uniform(node) !== null) return null;
  if (numel(node.shape) === 0) return constantLike(0, node);
  if (node.inputs.length === 0) return null;
  if (node.inputs.every((i) => numel(i.shape) === 0)) {
    return constantLike(facts.reduction?.init ?? facts.ofNothing?.(node.attrs) ?? 0, node);
  }
  if (facts.element === undefined && facts.view === undefined) return null;
  const values = node.inputs.map(uniform);
  if (values.some((v) => v === null)) return null;
  if (facts.element === undefined) return constantLike(values[0]!, node);
  return constantLike(facts.element(node.attrs, node.inputs[0].dtype)(...(values as number[])), node);
}

/** Integers wrap as they do in memory. */
function constantLike(value: number, { shape, dtype }: Node): Node {
  const held = dtype === 'float32' ? value : allocate(dtype, 1).fill(value)[0];
  return new Node(constantOp, [], { value: held, shape, dtype }, shape, dtype);
}

/**
 * Puts groups in running order: producers first, and whoever reads a persistent storage before the group that overwrites it in place.
 * A storage that cannot be overwritten in place (its old value is still needed later, or is read in another order by the writer itself)
 * gets its new value copied in at the end.
 */

import type { Node } from '../graph/node.js';
import { type Fusion, type Group, isIdentity, waitFor } from './fuse.js';
import type { StepGraph } from './simplify.js';

export interface Schedule {
  readonly order: readonly Group[];
  /** Values written straight into the storage they replace: value → slot. */
  readonly inPlace: ReadonlyMap<Node, number>;
  /** Values copied into their storage after everything else. */
  readonly copies: readonly { readonly slot: number; readonly value: Node }[];
}

export function schedule(graph: StepGraph, fusion: Fusion): Schedule {
  const readers = new Map<Node, Set<Group>>();
  const scrambled = new Map<Group, Set<Node>>(); // read by the group in another order than index by index
  for (const group of fusion.groups) {
    const note = (base: Node, direct: boolean) => {
      if (!readers.has(base)) readers.set(base, new Set());
      readers.get(base)!.add(group);
      if (!direct) {
        if (!scrambled.has(group)) scrambled.set(group, new Set());
        scrambled.get(group)!.add(base);
      }
    };
    if (group.kind === 'structured') for (const i of group.anchors[0].inputs) note(fusion.source(i).base, false);
    const visit = (n: Node, direct: boolean) => {
      if (fusion.isStored(n) || n.op.facts.pointwise === undefined) {
        const view = fusion.source(n);
        note(view.base, direct && isIdentity(view));
        return;
      }
      for (const i of n.inputs) visit(i, direct);
    };
    if (group.kind === 'reduction') for (const a of group.anchors) visit(a.inputs[0], false);
    for (const root of group.roots) for (const i of root.inputs) visit(i, root.op.facts.view === undefined);
  }

  // Results, and values moved from storage to storage, are read after everything else has run.
  const readLast = new Set([...graph.roots, ...graph.assigns.map((a) => a.value)]);
  const inPlace = new Map<Node, number>();
  const copies: { slot: number; value: Node }[] = [];
  for (const { slot, value } of graph.assigns) {
    const input = graph.inputs[slot];
    const writer = fusion.groupOf.get(value);
    if (value === input) continue;
    const others = [...(readers.get(input) ?? [])].filter((g) => g !== writer);
    const possible =
      writer !== undefined &&
      !inPlace.has(value) &&
      !graph.roots.includes(value) &&
      !readLast.has(input) &&
      !scrambled.get(writer)?.has(input) &&
      !waitFor(others, writer);
    if (!possible) {
      copies.push({ slot, value });
      continue;
    }
    for (const g of others) writer.after.add(g);
    inPlace.set(value, slot);
  }
  return { order: sort(fusion.groups), inPlace, copies };
}

/** Depth-first, so that a value is used soon after it is made. */
function sort(groups: readonly Group[]): Group[] {
  const order: Group[] = [];
  const done = new Set<Group>();
  const stack: { group: Group; rest: Group[] }[] = [];
  const enter = (group: Group) => {
    if (done.has(group)) return;
    done.add(group);
    stack.push({ group, rest: [...group.after].sort((a, b) => b.index - a.index) });
  };
  for (const root of groups) {
    enter(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const next = top.rest.pop();
      if (next !== undefined) enter(next);
      else {
        order.push(top.group);
        stack.pop();
      }
    }
  }
  return order;
}

/**
 * First look at what is to be computed: which nodes, which stored values they read, and a key that two requests share exactly when one
 * compiled step can serve both. Numbers are not part of the key, structure is: a training loop compiles once.
 */

import { RowKey } from '../graph/key.js';
import { type Layout, layoutKey } from '../graph/layout.js';
import type { AnyOp, Node } from '../graph/node.js';
import { checkCurrent, leafStorage } from '../graph/stale.js';
import type { Storage } from '../graph/storage.js';
import type { Assignment } from '../graph/target.js';
import { topological } from '../graph/traverse.js';

export interface Trace {
  /** Inputs before users. Leaves (nodes that read a storage) are not followed further. */
  readonly order: readonly Node[];
  /** The storages read or written, each once, in order of appearance. */
  readonly storages: readonly Storage[];
  /** For each leaf node its index in `storages`. */
  readonly leaves: ReadonlyMap<Node, number>;
  readonly roots: readonly Node[];
  readonly assigns: readonly { readonly storage: number; readonly value: Node }[];
  /** Operations and how they hang together, without the storages' shapes and layouts. */
  readonly structure: string;
  readonly key: string;
}

/** `residentLayout` says in which layout a storage already lies in the device's memory, or null when it is still on the host. */
export function traceRequest(
  roots: readonly Node[],
  assigns: readonly Assignment[],
  residentLayout: (storage: Storage) => Layout | null,
): Trace {
  const places = new Map<Node, number>();
  const wanted = [...roots, ...assigns.map((a) => a.value)];
  const order = topological(wanted, (node) => leafStorage(node) !== null, places);
  const leaves = new Map<Node, number>();
  const storages: Storage[] = [];
  const slots = new Map<Storage, number>();
  const slotOf = (s: Storage): number => {
    let slot = slots.get(s);
    if (slot === undefined) {
      slot = storages.length;
      slots.set(s, slot);
      storages.push(s);
    }
    return slot;
  };
  const key = new RowKey(); // of the structure; storages are described by `traceKey`
  for (let i = 0; i < order.length; i++) {
    const node = order[i];
    const storage = leafStorage(node);
    if (storage !== null) {
      if (node.realized === null) checkCurrent(node);
      const slot = slotOf(storage);
      leaves.set(node, slot);
      key.count(-1);
      key.count(slot);
      continue;
    }
    const { op, inputs } = node;
    key.count(opId(op));
    key.count(inputs.length);
    for (let j = 0; j < inputs.length; j++) key.count(places.get(inputs[j])!);
    key.data(node.attrs);
    if (inputs.length === 0) {
      key.data(node.shape);
      key.data(node.dtype);
    }
  }
  const targets = assigns.map((a) => {
    const slot = slotOf(a.storage);
    key.count(slot);
    key.count(places.get(a.value)!);
    return { storage: slot, value: a.value };
  });
  for (const root of roots) key.count(places.get(root)!);
  key.count(roots.length); // from the end: how many roots, the assignments before them, the nodes before those
  key.count(assigns.length);
  const structure = `${key.id()}`;
  const trace = { order, storages, leaves, roots, assigns: targets, structure };
  return { ...trace, key: traceKey(trace, residentLayout) };
}

/** The key of a trace when persistent storages lie as `residentLayout` says. */
export function traceKey(
  trace: Pick<Trace, 'structure' | 'storages'>,
  residentLayout: (storage: Storage) => Layout | null,
): string {
  return `${trace.structure}|${trace.storages.map((s) => storageKey(s, residentLayout)).join()}`;
}

function storageKey(s: Storage, residentLayout: (storage: Storage) => Layout | null): string {
  const layout = s.persistent ? residentLayout(s) : null;
  return `${s.dtype}${s.shape.join('x')}${s.persistent ? 'p' : ''}${layout === null ? '' : layoutKey(layout)}`;
}

const ids = new WeakMap<AnyOp, number>();
let nextId = 0;

function opId(op: AnyOp): number {
  let id = ids.get(op);
  if (id === undefined) {
    id = nextId++;
    ids.set(op, id);
  }
  return id;
}

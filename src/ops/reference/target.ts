/**
 * The reference target: a plain, slow, readable interpreter of the graph in float64. It says what a graph means; every compiled target is
 * tested against it. Values it has written stay in float64 between steps, so rounding to float32 never adds up.
 */

import type { Node } from '../../graph/node.js';
import type { NdArray } from '../../graph/op.js';
import { checkCurrent } from '../../graph/stale.js';
import { Storage } from '../../graph/storage.js';
import type { Assignment, Target } from '../../graph/target.js';
import { topological } from '../../graph/traverse.js';
import { allocate, type TypedArray } from '../../util/dtype.js';
import { invariant } from '../../util/errors.js';
import { numel } from '../../util/shape.js';
import { meaningOf } from './meanings.js';

/** Values to use for nodes instead of computing them. */
export type Feeds = ReadonlyMap<Node, NdArray>;

export class ReferenceTarget implements Target {
  readonly name = 'reference';
  readonly #keepsExact: boolean;

  /** `exact: false` rounds to float32 what lives from step to step, as other devices do: then a saved value is all of it. */
  constructor({ exact = true }: { exact?: boolean } = {}) {
    this.#keepsExact = exact;
  }

  /** The float64 values behind storages this target has written. */
  readonly #exact = new WeakMap<Storage, { version: number; host: TypedArray; data: NdArray['data'] }>();

  async realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void> {
    const open = roots.filter((root) => root.realized === null);
    const values = this.evaluateAll([...open, ...assigns.map(({ value }) => value)]);
    open.forEach((root, i) => {
      root.realized = new Storage(root.shape, root.dtype, null);
      this.#write(root.realized, values[i].data);
    });
    assigns.forEach(({ storage }, i) => {
      this.#write(storage, values[open.length + i].data);
    });
  }

  /** The value of `node`, floats in float64. */
  evaluate(node: Node, feeds: Feeds = new Map()): NdArray {
    return this.evaluateAll([node], feeds)[0];
  }

  evaluateAll(roots: readonly Node[], feeds: Feeds = new Map()): NdArray[] {
    const known = (node: Node) => feeds.has(node) || node.realized !== null;
    const order = topological(roots, known);
    const values = new Map<Node, NdArray>();
    const lastUser = new Map<Node, Node>();
    for (const node of order) if (!known(node)) for (const input of node.inputs) lastUser.set(input, node);
    const wanted = new Set(roots);

    for (const node of order) {
      values.set(node, this.#value(node, values, feeds));
      if (known(node)) continue;
      for (const input of node.inputs) if (lastUser.get(input) === node && !wanted.has(input)) values.delete(input);
    }
    return roots.map((root) => values.get(root)!);
  }

  async dispose(): Promise<void> {}

  #value(node: Node, values: ReadonlyMap<Node, NdArray>, feeds: Feeds): NdArray {
    const { shape, dtype } = node;
    const fed = feeds.get(node);
    if (fed !== undefined) return fed;
    if (node.realized !== null) return { shape, dtype, data: this.#read(node.realized) };
    const { facts } = node.op;
    const read = facts.reads?.(node.attrs);
    if (read !== undefined) {
      checkCurrent(node);
      return { shape, dtype, data: this.#read(read.storage) };
    }
    const inputs = node.inputs.map((input) => values.get(input)!);
    const data = meaningOf(node.op)(inputs, node.attrs, node);
    invariant(
      data.length === numel(shape),
      () => `${node.op.name}: reference gave ${data.length} elements for [${shape}]`,
    );
    return { shape, dtype, data };
  }

  #read(storage: Storage): NdArray['data'] {
    const host = storage.read();
    const kept = this.#exact.get(storage);
    if (kept !== undefined && kept.version === storage.version && kept.host === host) return kept.data;
    return host instanceof Float32Array ? Float64Array.from(host) : host;
  }

  #write(storage: Storage, data: NdArray['data']): void {
    const host = allocate(storage.dtype, data.length);
    host.set(data);
    storage.write(host);
    if (this.#keepsExact) this.#exact.set(storage, { version: storage.version, host, data });
  }
}

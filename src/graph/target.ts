/** What runs graphs: the reference interpreter, or a compiler with a device behind it. */

import type { TypedArray } from '../util/dtype.js';
import type { Node } from './node.js';
import type { Storage } from './storage.js';

/** New values for persistent storages, written when everything that reads the old ones has run. */
export interface Assignment {
  readonly storage: Storage;
  readonly value: Node;
}

/** A step that is compiled and bound, but for its inputs. */
export interface PreparedStep {
  /** Computes the roots from these inputs, row-major. The arrays returned are the caller's. */
  run(inputs: readonly TypedArray[]): Promise<TypedArray[]>;
}

export interface Target {
  readonly name: string;
  /**
   * Computes `roots` (each gets `realized`, on the host) and carries out `assigns`, all in one step.
   * Either everything takes effect or, when it rejects, nothing of it.
   */
  realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void>;
  /**
   * Gets ready to compute `roots` again and again with other values in `inputs`, storages on the host that the graph reads. What else it
   * reads must stay as it is. Targets without it are asked to `realize` each time.
   */
  prepare?(roots: readonly Node[], inputs: readonly Storage[]): Promise<PreparedStep>;
  dispose(): Promise<void>;
}

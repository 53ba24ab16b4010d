/** What runs graphs: the reference interpreter, or a compiler with a device behind it. */

import type { Node } from './node.js';
import type { Storage } from './storage.js';

/** New values for persistent storages, written when everything that reads the old ones has run. */
export interface Assignment {
  readonly storage: Storage;
  readonly value: Node;
}

export interface Target {
  readonly name: string;
  /**
   * Computes `roots` (each gets `realized`, on the host) and carries out `assigns`, all in one step.
   * Either everything takes effect or, when it rejects, nothing of it.
   */
  realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void>;
  dispose(): Promise<void>;
}

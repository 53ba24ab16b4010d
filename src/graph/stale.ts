/** A node that reads a storage means the value it had when the node was recorded; after a write in place that value is gone. */

import { ConfigError } from '../util/errors.js';
import type { Node } from './node.js';
import type { Storage } from './storage.js';

/** @throws {ConfigError} when the storage that `node` reads has been overwritten since. Nodes that read none pass. */
export function checkCurrent(node: Node): void {
  const read = node.op.facts.reads?.(node.attrs);
  if (read === undefined || read.storage.version === read.version) return;
  const name = read.storage.name ?? `a buffer of shape [${node.shape.join(', ')}]`;
  const writes = read.storage.version - read.version;
  throw new ConfigError(
    `${name} was overwritten (${writes === 1 ? 'once' : `${writes} times`}) after this value was recorded from it, so the value can no longer be computed.\n` +
      '  Read the value before opt.step(), or compute it in the same step: opt.step({ also: [t] }).',
  );
}

/** The storage whose present value a node stands for, or null when the node must be computed. */
export function leafStorage(node: Node): Storage | null {
  if (node.realized !== null) return node.realized;
  const read = node.op.facts.reads?.(node.attrs);
  return read === undefined ? null : read.storage;
}

/**
 * LANGUAGE 1: the tensor graph. A node is one primitive operation applied to earlier nodes; it knows its shape and type and nothing
 * about how it will be computed. Graphs are made by `ops/`, extended by `grad/`, rewritten by `compile/`, meant by `ops/reference/`.
 */

import type { DType } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';
import type { Op } from './op.js';
import type { Storage } from './storage.js';

// biome-ignore lint/suspicious/noExplicitAny: attributes are typed where an op is defined; a graph walker sees any op
export type AnyOp = Op<any>;

let nextId = 1;

export class Node<A = unknown> {
  readonly id = nextId++;
  /** Set once the value has been computed: later compilations read it instead of computing it again. */
  realized: Storage | null = null;
  /** Path of the module that recorded this node, for messages and plans. */
  scope: string | null = currentScope;

  constructor(
    readonly op: Op<A>,
    readonly inputs: readonly Node[],
    readonly attrs: A,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {}
}

let currentScope: string | null = null;

/** Nodes recorded while `body` runs carry `scope` (a module's path). */
export function withScope<T>(scope: string | null, body: () => T): T {
  const outer = currentScope;
  currentScope = scope;
  try {
    return body();
  } finally {
    currentScope = outer;
  }
}

/** The scope that nodes recorded now carry. */
export function scopePath(): string | null {
  return currentScope;
}

/** ` (in layer2.0.conv1)` or nothing: the place a shape error names. */
export function scopeSuffix(): string {
  return currentScope ? ` (in ${currentScope})` : '';
}

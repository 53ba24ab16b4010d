/**
 * What gradients need to know about the past of a tensor: whether operations are being recorded for them, which nodes are leaves that
 * collect a gradient, and which values have lost their past because what they were computed from has been overwritten.
 */

import type { Node } from '../graph/node.js';
import type { Storage } from '../graph/storage.js';
import { stopGradientOp } from '../ops/elementwise.js';
import { bufferOp, constant } from '../ops/source.js';
import { ConfigError } from '../util/errors.js';
import type { Tensor } from './tensor.js';

/** 0 while gradients are recorded; inside `noGrad` the id from which on nodes were made there. */
let noGradFrom = 0;

/** True unless inside `noGrad`. */
export function gradEnabled(): boolean {
  return noGradFrom === 0;
}

/** True for a node that was recorded inside the `noGrad` that is running. */
export function madeInNoGrad(node: Node): boolean {
  return noGradFrom !== 0 && node.id >= noGradFrom;
}

/**
 * Runs `body` so that no gradient flows through what it computes. Only needed to keep gradients out: nothing is stored for them before
 * `backward()` asks. @throws {ConfigError} when `body` is asynchronous, because the mode could not follow it across an `await`.
 */
export function noGrad<T>(body: () => T): T {
  return inMode(noGradFrom === 0 ? constant(0).id : noGradFrom, 'noGrad', body);
}

/** Records gradients again inside a `noGrad`. */
export function enableGrad<T>(body: () => T): T {
  return inMode(0, 'enableGrad', body);
}

function inMode<T>(mode: number, name: string, body: () => T): T {
  const outer = noGradFrom;
  noGradFrom = mode;
  let result: T;
  try {
    result = body();
  } finally {
    noGradFrom = outer;
  }
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new ConfigError(
      `${name}: the function returned a Promise, and the mode ends where the function first waits.\n` +
        `  Compute inside and await outside: const y = ${name}(() => model.forward(x)); await y.data().`,
    );
  }
  return result;
}

const leaves = new WeakMap<Node, Tensor>();

/** From now on gradients that reach `node` belong to `tensor`. */
export function registerLeaf(node: Node, tensor: Tensor): void {
  leaves.set(node, tensor);
}

/** The tensor that collects the gradients of `node`, if it is a leaf and wants them. */
export function leafOf(node: Node): Tensor | null {
  if (!isSource(node)) return null;
  const tensor = leaves.get(node);
  return tensor?.wantsGrad ? tensor : null;
}

/** True when nothing before `node` can take part in a gradient. */
export function isSource(node: Node): boolean {
  return node.inputs.length === 0 || node.op === stopGradientOp;
}

/** Calls `visit` on every node that gradients from `outputs` can reach, until it returns true; says whether it did. */
export function visitHistory(outputs: readonly Node[], visit: (node: Node) => boolean): boolean {
  const seen = new Set<Node>(outputs);
  const stack = [...outputs];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (visit(node)) return true;
    if (node.op === stopGradientOp) continue;
    const { inputs } = node;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (input.dtype === 'float32' && !seen.has(input)) {
        seen.add(input);
        stack.push(input);
      }
    }
  }
  return false;
}

/** Realised nodes whose past was dropped although gradients could have flowed into it. */
const lost = new WeakSet<Node>();

/** @throws {ConfigError} when gradients from before the last overwriting are asked for. */
export function checkNotLost(node: Node, asked: string): void {
  if (!lost.has(node)) return;
  throw new ConfigError(
    `${asked}: the history of a value of shape [${node.shape.join(', ')}] is gone: parameters it was computed from have been overwritten since.\n` +
      '  Call it before opt.step(), or compute the value again.',
  );
}

/** Where gradients that reach `node` would go: on to a leaf, into a past that is lost, or nowhere. */
export function pastOf(node: Node): 'leaf' | 'lost' | 'none' {
  let past: 'leaf' | 'lost' | 'none' = 'none';
  visitHistory([node], (n) => {
    if (lost.has(n)) past = 'lost';
    else if (leafOf(n) !== null) past = 'leaf';
    return past === 'lost';
  });
  return past;
}

/** Whether gradients that reach `node` would go anywhere, or would have. */
export function hasPast(node: Node): boolean {
  return visitHistory([node], (n) => lost.has(n) || leafOf(n) !== null);
}

/** Turns a node whose value lies in `storage` into a read of it, so that its inputs can be collected. */
export function settle(node: Node, storage: Storage, losesGradient = false): void {
  if (losesGradient) lost.add(node);
  if (storage.persistent) node.realized = null;
  const read: Pick<Node, 'op' | 'inputs' | 'attrs'> = {
    op: bufferOp,
    inputs: [],
    attrs: { storage, version: storage.version },
  };
  Object.assign(node, read);
}

/** A read of something overwritten since, among all that computing `nodes` would read now, or null. */
export function staleRead(...nodes: Node[]): Node | null {
  const seen = new Set<Node>(nodes);
  const stack = nodes;
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const { inputs } = node;
    if (inputs.length === 0) {
      const read = node.op.facts.reads?.(node.attrs);
      if (read !== undefined && read.storage.version !== read.version) return node;
    }
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (!seen.has(input)) {
        seen.add(input);
        if (input.realized === null) stack.push(input);
      }
    }
  }
  return null;
}

/**
 * Where the parts of an imported network lie. PyTorch's exporters keep the names of parameters (`layer1.0.conv1.weight`) and write modules into
 * the names of nodes (`/layer1/layer1.0/relu/Relu`); from both come the dotted paths that the network had before. Other names are made fit.
 */

import { isReservedName } from '../../nn/graph-module.js';
import type { NodeFacts } from './import-node.js';

/** A dotted path whose parts may stand as fields of a module. */
export function fitPath(name: string): string {
  const parts = name.split(/[./]+/).map((part) => part.replace(/[^A-Za-z0-9_]+/g, '_'));
  const kept = parts.filter((part) => part !== '').map((part) => (isReservedName(part) ? `${part}_` : part));
  return kept.slice(0, maxDepth).join('.') || 'part';
}

/** A hostile name must not become a thousand nested modules. */
const maxDepth = 32;

/** Names that exporters make up for what has none in the network. */
export function isGenerated(name: string): boolean {
  return /^(\/|\d+$|_?val_\d|_to_copy|scalar_tensor|lifted_|auto[._])|constant|const_|::|[()[\]{}<>=,;*\s]/i.test(name);
}

/** `layer1.0.conv1` of the parameter `layer1.0.conv1.weight`; null for names that say nothing. */
export function placeOfWeight(name: string): string | null {
  if (isGenerated(name)) return null;
  const path = fitPath(name);
  const end = path.lastIndexOf('.');
  return end < 0 ? null : path.slice(0, end);
}

/** The module a node was exported from, and what the node is called within it. */
export interface NodePlace {
  readonly scope: string;
  readonly own: string;
}

export function placeOfNode({ name, op, module }: NodeFacts, index: number): NodePlace {
  if (module !== null) {
    const own = fitPath(name || op).replaceAll('.', '_');
    return { scope: module === '' ? '' : fitPath(module), own };
  }
  if (!name.startsWith('/')) return { scope: '', own: fitPath(name || `${op}_${index}`) };
  // Each part repeats the one before it where that is a list: /layer1/layer1.0/conv1/Conv.
  const parts = name.split('/').filter((part) => part !== '');
  const scopes: string[] = [];
  for (const part of parts.slice(0, -1)) {
    if (scopes.length > 0 && part.startsWith(`${scopes.at(-1)}.`)) scopes.pop();
    scopes.push(part);
  }
  return {
    scope: scopes.length === 0 ? '' : fitPath(scopes.join('.')),
    own: fitPath(parts.at(-1) ?? op).replaceAll('.', '_'),
  };
}

/** Hands out paths so that none is another's beginning. */
export class Paths {
  readonly #leaves = new Set<string>();
  readonly #scopes = new Set<string>();
  readonly #uses = new Map<string, number>();
  /** The last number given to a path that was taken. */
  readonly #numbers = new Map<string, number>();

  /** `scopes` are modules that nodes or parameters come from: what lies above them holds other parts. */
  constructor(scopes: Iterable<string>) {
    for (const scope of scopes) {
      this.#uses.set(scope, (this.#uses.get(scope) ?? 0) + 1);
      for (const above of prefixes(scope)) this.#scopes.add(above);
    }
  }

  /** The path itself, or with a number behind it if it is taken. */
  claim(wanted: string): string {
    // Below a part nothing can lie: then the whole path becomes one name.
    const base = [...prefixes(wanted)].some((above) => this.#leaves.has(above)) ? wanted.replaceAll('.', '_') : wanted;
    let path = base;
    let number = this.#numbers.get(base) ?? 0;
    while (this.#isTaken(path)) path = `${base}_${++number}`;
    this.#numbers.set(base, number);
    this.#leaves.add(path);
    for (const above of prefixes(path)) this.#scopes.add(above);
    return path;
  }

  /** A path for a node that becomes a module: that of the module it was, if it was all there was in it. */
  forNode({ scope, own }: NodePlace): string {
    const whole = scope !== '' && this.#uses.get(scope) === 1 && !this.#isTaken(scope);
    return this.claim(whole ? scope : scope === '' ? own : `${scope}.${own}`);
  }

  #isTaken(path: string): boolean {
    return this.#leaves.has(path) || this.#scopes.has(path) || [...prefixes(path)].some((p) => this.#leaves.has(p));
  }
}

/** a.b.c → a, a.b */
function* prefixes(path: string): Generator<string> {
  for (let at = path.indexOf('.'); at >= 0; at = path.indexOf('.', at + 1)) yield path.slice(0, at);
}

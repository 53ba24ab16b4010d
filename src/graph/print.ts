/** Graphs as text, one node a line: `%3 = add(%1, %2) float32[2, 3]`. Numbers count from 1 in each print, so equal graphs print alike. */

import type { Node } from './node.js';
import { Storage } from './storage.js';
import { topological } from './traverse.js';

export interface PrintOptions {
  /** How many steps to follow inputs; nodes beyond print as `…`. Default: all. */
  depth?: number;
}

export function print(roots: readonly Node[], options: PrintOptions = {}): string {
  const near = options.depth === undefined ? null : within(roots, options.depth);
  const order = topological(roots, (node) => near !== null && !near.has(node));
  const names = new Map<Node, string>();
  const storages = new Map<Storage, string>();
  const lines: string[] = [];
  for (const node of order) {
    const name = `%${names.size + 1}`;
    names.set(node, name);
    const call =
      near !== null && !near.has(node)
        ? '…'
        : `${node.op.name}(${[...node.inputs.map((i) => names.get(i)!), ...attributes(node.attrs, storages)].join(', ')})`;
    lines.push(`${name} = ${call} ${node.dtype}[${node.shape.join(', ')}]`);
  }
  lines.push(`return ${roots.map((root) => names.get(root)!).join(', ')}`);
  return lines.join('\n');
}

function within(roots: readonly Node[], depth: number): Set<Node> {
  const seen = new Set(roots);
  let edge = [...seen];
  for (let d = 0; d < depth; d++) {
    edge = edge.flatMap((node) => node.inputs).filter((node) => !seen.has(node));
    for (const node of edge) seen.add(node);
  }
  return seen;
}

function attributes(attrs: unknown, storages: Map<Storage, string>): string[] {
  if (attrs === null || typeof attrs !== 'object') return [];
  return Object.entries(attrs)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${text(value, storages)}`);
}

function text(value: unknown, storages: Map<Storage, string>): string {
  if (value instanceof Storage) {
    let name = storages.get(value);
    if (name === undefined) storages.set(value, (name = value.name ?? `storage${storages.size + 1}`));
    return name;
  }
  if (Array.isArray(value)) return `[${value.map((v) => text(v, storages)).join(', ')}]`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${(value as Uint8Array).length})`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([k, v]) => `${k}: ${text(v, storages)}`)
      .join(', ')}}`;
  }
  return Object.is(value, -0) ? '-0' : String(value);
}

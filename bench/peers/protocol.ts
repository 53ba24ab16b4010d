/**
 * How the runner talks with a peer: JSON objects, one a line, one answer to each question. A peer opens with `hello`, or with `cannot` when
 * it cannot take part at all. `cannot` says what a peer does not do, `failed` what went wrong.
 */

import type { Workload } from './workloads.js';

export type Request =
  /** Build the network and its data; what was prepared before is let go. */
  | { readonly do: 'prepare'; readonly workload: Workload }
  /** Do the work so many times, each timed by itself and waited for. */
  | { readonly do: 'run'; readonly times: number }
  /** What the last inference computed. */
  | { readonly do: 'output' }
  | { readonly do: 'release' };

export interface Hello {
  readonly version: string;
  readonly notes: readonly string[];
}

export type Answer =
  | { readonly hello: Hello }
  | { readonly ready: { readonly params?: number } }
  | { readonly ms: readonly number[] }
  | { readonly output: readonly number[] }
  | { readonly released: true }
  | { readonly first: { readonly finite: boolean; readonly parts?: Readonly<Record<string, number>> } }
  | { readonly epoch: { readonly testAccuracy: number } }
  | { readonly cannot: string }
  | { readonly failed: string };

const kinds = ['hello', 'ready', 'ms', 'output', 'released', 'first', 'epoch', 'cannot', 'failed'];

/** @throws with the line's beginning, when it is no answer. */
export function parseAnswer(line: string): Answer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = null;
  }
  if (value !== null && typeof value === 'object') {
    const keys = Object.keys(value);
    if (keys.length === 1 && kinds.includes(keys[0])) return value as Answer;
  }
  throw new Error(`not an answer of the protocol: ${line.slice(0, 100)}`);
}

/** Cuts what arrives in pieces into lines. */
export class Lines {
  private rest = '';

  /** The lines that `piece` completes. */
  push(piece: string): string[] {
    const lines = (this.rest + piece).split('\n');
    this.rest = lines.pop()!;
    return lines.filter((line) => line.trim() !== '');
  }
}

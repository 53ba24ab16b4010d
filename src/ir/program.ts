/** A step as the device runs it: a list of kernel launches, one after another, over one memory. Plain data. */
import type { Kernel } from './types.js';

/** A byte address: in the step's arena, or read from the slot table (plus `offset` bytes). */
export type Arg = { readonly arena: number } | { readonly slot: number; readonly offset?: number };

export interface Launch {
  readonly kernel: Kernel;
  readonly args: readonly Arg[];
}

export interface Program {
  readonly name: string;
  readonly launches: readonly Launch[];
  readonly slots: number; // entries of the slot table; slot 0 holds the arena's address
  readonly arenaBytes: number;
}

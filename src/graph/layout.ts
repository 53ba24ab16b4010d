/**
 * Physical layouts: the order in which a tensor's elements lie in memory. Either plain (row-major), or with axes reordered, or with one
 * axis split into blocks of `block` that lie innermost: N C H W blocked on C is N C/b H W b. One description covers activations, convolution
 * weights (O/b kH kW I b) and packed matrices (N/b K b). Lanes past the end of the blocked axis hold unspecified values: no kernel may
 * read them into a sum.
 */

import { numel, type Shape } from '../util/shape.js';

export interface Layout {
  /** Outer axes, outermost first; a permutation of 0 … rank − 1. Empty means plain row-major of any rank. */
  readonly order: readonly number[];
  /** The axis split into blocks, or −1. */
  readonly blockAxis: number;
  readonly block: number;
}

export const plain: Layout = { order: [], blockAxis: -1, block: 1 };

/** N C/b spatial… b: activations with channels blocked. */
export function blockedChannels(rank: number, block: number): Layout {
  return blocked(
    Array.from({ length: rank }, (_, i) => i),
    1,
    block,
  );
}

export function blocked(order: readonly number[], blockAxis: number, block: number): Layout {
  return { order, blockAxis, block };
}

export function sameLayout(a: Layout, b: Layout): boolean {
  return a === b || layoutKey(a) === layoutKey(b);
}

/** Short and unique: `plain`, `0,1,2,3/1x8`. */
export function layoutKey(l: Layout): string {
  return l.order.length === 0 && l.blockAxis < 0 ? 'plain' : `${l.order.join(',')}/${l.blockAxis}x${l.block}`;
}

/** Sizes of the physical axes, outermost first; for a blocked layout the block is the last. */
export function physicalShape(shape: Shape, l: Layout): number[] {
  if (l.order.length === 0) return [...shape];
  const dims = l.order.map((axis) => (axis === l.blockAxis ? Math.ceil(shape[axis] / l.block) : shape[axis]));
  if (l.blockAxis >= 0) dims.push(l.block);
  return dims;
}

/** Elements the layout occupies, padding lanes included. */
export function physicalSize(shape: Shape, l: Layout): number {
  return numel(physicalShape(shape, l));
}

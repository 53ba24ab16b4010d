/** A strided window on a row-major tensor: what permute, slice, flip and broadcast amount to, without moving a byte. */

import { contiguousStrides, type Shape } from '../util/shape.js';
import type { Node } from './node.js';

export interface View {
  /** The node whose plain memory is read. */
  readonly base: Node;
  readonly shape: Shape;
  /** In elements; 0 repeats, negative runs backwards. */
  readonly strides: readonly number[];
  readonly offset: number;
}

export function viewOf(node: Node): View {
  return { base: node, shape: node.shape, strides: contiguousStrides(node.shape), offset: 0 };
}

/** True when the view's elements lie in row-major order without gaps (offset aside). Axes of size 1 do not count. */
export function isContiguous(v: View): boolean {
  let s = 1;
  for (let i = v.shape.length - 1; i >= 0; i--) {
    if (v.shape[i] !== 1 && v.strides[i] !== s) return false;
    s *= v.shape[i];
  }
  return true;
}

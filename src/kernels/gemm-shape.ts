/** What the matrix kernels share: sizes, and how rows, columns and tasks are cut. */

import type { I32, KernelBuilder, Ptr } from '../ir/index.js';

/** One product is [m, k] · [k, n]; `transA` says that a is stored [k, m], `transB` that b is stored [n, k]. */
export interface GemmSizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transA: boolean;
  readonly transB: boolean;
  /** a is the second parameter: the product was turned round, yᵀ = bᵀ · aᵀ. */
  readonly swapped?: boolean;
}

/** Turns a product with one column into one with one row, which lies in memory alike, and drops transpositions that say nothing. */
export function vectorOfRows(g: GemmSizes): GemmSizes {
  const turned = g.n === 1 && g.m > 1;
  const s: GemmSizes = turned
    ? { ...g, m: 1, n: g.m, transA: !g.transB, transB: !g.transA, swapped: g.swapped !== true }
    : g;
  const transA = s.transA && s.m > 1 && s.k > 1;
  // A single column is as contiguous along K as a transposed one; a product of K = 1 reads b along N.
  const transB = s.n === 1 ? true : s.transB && s.k > 1;
  return { ...s, transA, transB };
}

/** The kernel's operands, in the roles a and b; the parameters are declared in the caller's order. */
export function operands(k: KernelBuilder, g: GemmSizes): { a: Ptr<'f32'>; b: Ptr<'f32'> } {
  const first = k.param(g.swapped === true ? 'b' : 'a', 'f32');
  const second = k.param(g.swapped === true ? 'a' : 'b', 'f32');
  return g.swapped === true ? { a: second, b: first } : { a: first, b: second };
}

/** `count` equal tiles of `size` from `start` on. */
export interface Tiles {
  readonly start: number;
  readonly size: number;
  readonly count: number;
}

/** Covers n by tiles of `size` and, at the end, smaller ones that are as even as can be: 8 by 6 is 4 + 4, not 6 + 2. */
export function coverEvenly(n: number, size: number): { whole: Tiles; rest: Tiles[] } {
  let count = Math.floor(n / size);
  let left = n - count * size;
  if (left > 0 && left <= size / 2 && count > 0) {
    count--;
    left += size;
  }
  const rest: Tiles[] = [];
  let start = count * size;
  while (left > 0) {
    const tile = Math.ceil(left / Math.ceil(left / size));
    rest.push({ start, size: tile, count: 1 });
    start += tile;
    left -= tile;
  }
  return { whole: { start: 0, size, count }, rest };
}

/** The share of part `part` when `count` things are dealt out `each` at a time. */
export function share(k: KernelBuilder, part: I32, each: number, count: number): { from: I32; to: I32 } {
  const from = part.mul(each);
  const to = from.add(each);
  return { from, to: to.min(k.i32(count)) };
}

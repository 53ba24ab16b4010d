/**
 * Memory that a kernel walks from one end to the other is called for some time before it is needed. Processors do that by themselves, but
 * start anew at the end of each page and lag behind kernels that compute between their reads. WebAssembly ignores it.
 */

import { affine, type Index, type KernelBuilder, type Ptr } from '../ir/index.js';

/** Far enough for memory to answer, near enough for the first-level cache to keep it. */
const aheadElements = 1024;

export const lineElements = 16;

/** Pixels of a blocked plane that are called for ahead of those at work. */
export const pixelsAhead = (block: number): number => aheadElements / block;

/** Calls for what lies ahead of `count` elements from `offset` on: a turn of a loop over contiguous memory takes as many. */
export function callAhead(k: KernelBuilder, p: Ptr, offset: Index, count: number): void {
  for (let i = 0; i < count; i += lineElements) k.prefetch(p, affine(offset).plus(aheadElements + i));
}

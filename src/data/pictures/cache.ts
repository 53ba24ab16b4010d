/**
 * Resized pictures in memory, so that later epochs decode nothing. The memory is shared with the workers, which write into it and read from it themselves; here
 * is only the list of what lies where. It is filled until it is full and then kept: whatever the order of an epoch, the same share of it is found.
 */

import type { CachedPlace } from './pipeline.node.js';

/** A piece of shared memory. Pieces are handed to workers one at a time, so that none waits for another. */
export interface Slab {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
}

const largestSlab = 1 << 26;
const smallestSlab = 1 << 20;

let slabs = 0;
let caches = 0;

export class PictureCache {
  readonly id = caches++;
  readonly #places = new Map<string, CachedPlace>();
  readonly #slabs: Slab[] = [];
  #granted = 0;

  /** `bytes` is a limit, not taken at once. */
  constructor(readonly bytes: number) {}

  /** How many pictures are kept. */
  get size(): number {
    return this.#places.size;
  }

  /** Handed out to be filled. */
  get usedBytes(): number {
    return this.#granted;
  }

  get slabs(): readonly Slab[] {
    return this.#slabs;
  }

  place(key: string): CachedPlace | null {
    return this.#places.get(key) ?? null;
  }

  put(key: string, place: CachedPlace): void {
    if (this.#slabs.some(({ id }) => id === place.slab)) this.#places.set(key, place);
  }

  /** Memory for a worker of `workers` to fill next, with room for at least `least` bytes; null when the limit is reached. */
  grant(least: number, workers: number): Slab | null {
    const share = Math.floor(this.bytes / (4 * workers));
    const wanted = Math.max(least, Math.min(largestSlab, Math.max(smallestSlab, share)));
    const size = Math.min(wanted, this.bytes - this.#granted);
    if (size < least || size <= 0) return null;
    const slab = { id: slabs++, memory: new SharedArrayBuffer(size) };
    this.#granted += size;
    this.#slabs.push(slab);
    return slab;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#places.clear();
    this.#slabs.length = 0;
    this.#granted = 0;
  }
}

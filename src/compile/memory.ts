/**
 * One arena for everything a step computes and forgets. Each value lives from the launch that writes it to the last that reads it; large values
 * are placed first, each at the lowest offset free for its whole life.
 */

export interface Lifetime {
  readonly sizeBytes: number;
  /** First and last launch that touch it, both included. */
  readonly from: number;
  readonly to: number;
}

export interface MemoryPlan {
  /** Byte offset of each value, in the order given. */
  readonly offsets: readonly number[];
  readonly totalBytes: number;
}

const alignBytes = 64;

/** Sizes are rounded up to whole cache lines: kernels may read and write whole vectors there. */
export function roundUpBytes(sizeBytes: number): number {
  return Math.max(alignBytes, Math.ceil(sizeBytes / alignBytes) * alignBytes);
}

export function planMemory(values: readonly Lifetime[]): MemoryPlan {
  const offsets = new Array<number>(values.length).fill(0);
  const bySize = values
    .map((_, i) => i)
    .sort((a, b) => values[b].sizeBytes - values[a].sizeBytes || values[a].from - values[b].from);
  const placed: { offset: number; end: number; from: number; to: number }[] = []; // sorted by offset
  let totalBytes = 0;
  for (const i of bySize) {
    const { from, to } = values[i];
    const size = roundUpBytes(values[i].sizeBytes);
    let offset = 0;
    for (const p of placed) {
      if (p.from > to || p.to < from) continue;
      if (p.offset >= offset + size) break;
      offset = Math.max(offset, p.end);
    }
    offsets[i] = offset;
    totalBytes = Math.max(totalBytes, offset + size);
    const entry = { offset, end: offset + size, from, to };
    let at = placed.findIndex((p) => p.offset > offset);
    if (at < 0) at = placed.length;
    placed.splice(at, 0, entry);
  }
  return { offsets, totalBytes };
}

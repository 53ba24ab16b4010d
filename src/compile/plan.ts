/** A compiled step as people read it: kernel after kernel, what was fused into each, how its operands lie, what it moves and computes. */

import { layoutKey } from '../graph/layout.js';
import { formatShape } from '../util/shape.js';
import type { Place } from './lower.js';
import type { CompiledStep } from './pipeline.js';

export interface PlanRow {
  readonly kernel: string;
  /** What it computes, the fused work included. */
  readonly title: string;
  /** Modules whose work is done here. */
  readonly modules: readonly string[];
  /** Shape and layout of what it reads and writes, big ones first: `[64, 32, 26, 26] 0,1,2,3/1x8`. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Bytes of the distinct operands. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly macs: number;
}

export interface PlanTotals {
  readonly kernels: number;
  /** Kernels whose machine code differs. */
  readonly distinctKernels: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly macs: number;
  /** Memory for everything between the first kernel and the last. */
  readonly arenaBytes: number;
  /** Values that stay in the device's memory from step to step. */
  readonly residentStorages: number;
}

export function describe(step: CompiledStep): { rows: PlanRow[]; totals: PlanTotals } {
  const rows = step.launches.map(({ kernel, args, title, nodes, macs }): PlanRow => {
    const places = (writes: boolean) => [...new Set(args.filter((a) => a.writes === writes).map((a) => a.place))];
    const [reads, writes] = [places(false), places(true)];
    return {
      kernel: kernel.name,
      title,
      modules: [...new Set(nodes.map((n) => n.scope).filter((scope) => scope !== null))],
      reads: text(reads),
      writes: text(writes),
      readBytes: bytesOf(reads),
      writtenBytes: bytesOf(writes),
      macs,
    };
  });
  const sum = (of: (row: PlanRow) => number) => rows.reduce((total, row) => total + of(row), 0);
  return {
    rows,
    totals: {
      kernels: rows.length,
      distinctKernels: new Set(step.launches.map((l) => l.kernel)).size,
      readBytes: sum((r) => r.readBytes),
      writtenBytes: sum((r) => r.writtenBytes),
      macs: sum((r) => r.macs),
      arenaBytes: step.program.arenaBytes,
      residentStorages: step.resident.length,
    },
  };
}

/** The rows as plain text, one kernel a paragraph. */
export function formatPlan(step: CompiledStep): string {
  const { rows, totals } = describe(step);
  const paragraphs = rows.map((row, i) => {
    const where = row.modules.length > 0 ? `  (${row.modules.join(', ')})` : '';
    return [
      `${i + 1}. ${row.title}${where}`,
      `     kernel  ${row.kernel}`,
      `     reads   ${row.reads.join('; ') || 'nothing'}  ${row.readBytes} bytes`,
      `     writes  ${row.writes.join('; ') || 'nothing'}  ${row.writtenBytes} bytes`,
      ...(row.macs > 0 ? [`     multiply-adds  ${row.macs}`] : []),
    ].join('\n');
  });
  const { kernels, readBytes, writtenBytes, macs, arenaBytes } = totals;
  return [
    ...paragraphs,
    `${kernels} kernels, ${readBytes} bytes read, ${writtenBytes} bytes written, ${macs} multiply-adds, ${arenaBytes} bytes of intermediate values`,
  ].join('\n');
}

function text(places: readonly Place[]): string[] {
  return [...places]
    .sort((a, b) => b.sizeBytes - a.sizeBytes)
    .map(({ node, layout, sizeBytes }) => {
      if (node === null) return `scratch of ${sizeBytes} bytes`;
      const key = layoutKey(layout);
      return `${formatShape(node.shape)}${key === 'plain' ? '' : ` ${key}`}`;
    });
}

function bytesOf(places: readonly Place[]): number {
  return places.reduce((sum, place) => sum + place.sizeBytes, 0);
}

/** What a report says about the data, counted from the data sets and taken from the audit where there was one. */

import type { Dataset } from '../data/index.js';
import type { DataNote, DataSummary } from './input.js';

/** The part of an audit (`auditPictures`) that is shown. */
export interface AuditFacts {
  readonly sizes: {
    readonly smallest: readonly [height: number, width: number];
    readonly median: readonly [height: number, width: number];
    readonly largest: readonly [height: number, width: number];
  } | null;
  readonly findings: readonly DataNote[];
}

/** What is counted of a part: a data set, or what is left of one. */
type Counted = Pick<Dataset, 'classes'> & { readonly labels: Iterable<number> };

export function summaryOf(
  parts: { readonly train?: Counted | null; readonly validation?: Counted | null; readonly test?: Counted | null },
  audit: AuditFacts | null = null,
): DataSummary {
  const known = Object.entries(parts).flatMap(([part, dataset]) => (dataset ? [{ part, dataset }] : []));
  const classes = (known[0]?.dataset.classes ?? []).map(
    (name) => ({ name }) as Record<string, number> & { name: string },
  );
  for (const { part, dataset } of known) {
    for (const entry of classes) entry[part] = 0;
    for (const label of dataset.labels) classes[label][part]++;
  }
  const sizes = audit?.sizes;
  const spread = (axis: 0 | 1) => ({
    min: sizes!.smallest[axis],
    median: sizes!.median[axis],
    max: sizes!.largest[axis],
  });
  return {
    classes,
    ...(sizes ? { sizes: { width: spread(1), height: spread(0) } } : {}),
    ...(audit ? { notes: audit.findings.map(({ kind, count, text }) => ({ kind, count, text })) } : {}),
  };
}

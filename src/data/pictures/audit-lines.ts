/** An audit in words, for a terminal: a few lines. */

import { counted, grouped } from '../../util/counts.js';
import type { PictureAudit } from './audit.node.js';
import { clip } from './sample.js';

/** Classes that are listed by name. */
const mostClasses = 12;

export function auditLines(audit: PictureAudit): string[] {
  const { count, classes, splits, formats, sizes, bytes, greyShare, findings, full } = audit;
  const words = { folder: 'folders', manifest: 'a table', parquet: 'Parquet files', webdataset: 'tar archives' };
  const lines = [
    `${counted(count, 'picture')} of ${counted(classes.length, 'class', 'classes')} in ${words[audit.format]} (${megabytes(bytes)})`,
    `classes    ${classList(audit)}`,
  ];
  const parts = Object.entries(splits);
  if (parts.length > 1 || parts[0]?.[0] !== 'undivided') {
    lines.push(`parts      ${parts.map(([name, n]) => `${name} ${grouped(n)}`).join(', ')}`);
  }
  if (sizes !== null) {
    const size = ([height, width]: readonly [number, number]) => `${width} × ${height}`;
    const kinds = Object.entries(formats).sort((a, b) => b[1] - a[1]);
    const share = (n: number) => (kinds.length === 1 ? '' : ` ${grouped(n)}`);
    lines.push(`sizes      ${size(sizes.smallest)} … ${size(sizes.largest)}, in the middle ${size(sizes.median)}`);
    const grey = greyShare === 0 ? '' : greyShare === 1 ? '; all grey' : `; ${Math.round(100 * greyShare)} % grey`;
    lines.push(`formats    ${kinds.map(([kind, n]) => kind + share(n)).join(', ')}${grey}`);
  }
  if (!full) lines.push('looked at headers only: damaged pixels and duplicates show while training');
  for (const { text, examples } of findings) {
    lines.push(`- ${text}`);
    if (examples.length > 0) lines.push(`    ${examples.slice(0, 3).map((name) => clip(name, 120)).join('\n    ')}`); // biome-ignore format: one chain
  }
  return lines;
}

function classList({ classes }: PictureAudit): string {
  const named = classes.slice(0, mostClasses).map(({ name, count }) => `${clip(name, 40)} ${grouped(count)}`);
  const more = classes.length - named.length;
  if (more === 0) return named.join(', ');
  const counts = classes.map(({ count }) => count);
  return `${named.slice(0, 6).join(', ')} … and ${grouped(classes.length - 6)} more; ${grouped(Math.min(...counts))} to ${grouped(Math.max(...counts))} pictures each`;
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toPrecision(3)} GB` : `${(bytes / 1e6).toPrecision(3)} MB`;
}

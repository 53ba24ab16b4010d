/** The map of a data set in Node: small pictures of its samples are put into the page. */

import type { Planes } from '../data/index.js';
import { embed, tolerant } from './embed.node.js';
import type { EmbeddedPicture } from './input.js';
import { mostStrangers, strangersOf } from './map-findings.js';
import type { MapContent } from './map-page.js';

export interface MapReportOptions extends MapContent {
  readonly date?: Date;
  /** A sample as a picture, by its place; null where it is none. */
  readonly pictureOf?: (index: number) => Promise<Planes | null>;
  /** Room for pictures in the file. */
  readonly pictureBytes?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Of pictures that are larger: what the map shows of one. */
const side = 112;

/** One HTML file, in English and Chinese, that opens without a network. */
export async function renderMap({
  pictureOf,
  pictureBytes = 1_700_000,
  date = new Date(),
  facts = {},
  onProgress,
  ...content
}: MapReportOptions): Promise<string> {
  const { renderMapPage } = await import('./map-page.js');
  const pictures = new Map<number, EmbeddedPicture>();
  const count = content.labels.length;
  let used = 0;
  const order = wanted(content);
  for (const [i, index] of (pictureOf === undefined ? [] : order).entries()) {
    const embedded = await tolerant(async () => {
      const picture = await pictureOf!(index);
      return picture === null ? null : embed(picture, side);
    });
    onProgress?.(i + 1, count);
    if (embedded === null) continue;
    used += embedded.uri.length + 60; // its rule in the style sheet
    if (used > pictureBytes) break;
    pictures.set(index, embedded);
  }
  return renderMapPage({ ...content, date, facts, pictures });
}

/** Those among another class first, then ever more of all: by steps that visit each place once, so that what there is room for is spread over all. */
function wanted({ neighbours, labels }: MapContent): number[] {
  const count = labels.length;
  const first = strangersOf(neighbours, labels, mostStrangers).map(({ index }) => index);
  let step = Math.max(1, Math.round(count * 0.618));
  while (gcd(step, count) !== 1) step++;
  const spread = Array.from({ length: count }, (_, i) => (i * step) % count);
  return [...new Set([...first, ...spread])];
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

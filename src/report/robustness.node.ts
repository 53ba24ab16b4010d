/** The robustness page in Node: its pictures are put into it. */

import type { Robustness, RobustnessSample } from '../explain/index.js';
import { embed, tolerant } from './embed.node.js';
import type { EmbeddedPicture } from './input.js';
import type { RobustnessContent } from './robustness-page.js';

export interface RobustnessReportOptions extends RobustnessContent {
  readonly date?: Date;
}

/** One HTML file, in English and Chinese, that opens without a network. Pictures are those of `robustness(…, { samples })`. */
export async function renderRobustness({
  date = new Date(),
  facts = {},
  ...content
}: RobustnessReportOptions): Promise<string> {
  const { renderRobustnessPage, sampleKey } = await import('./robustness-page.js'); // loads the plotting library
  const pictures = new Map<string, EmbeddedPicture>();
  for (const [row, sample] of allSamples(content.found)) {
    const embedded = await tolerant(() => embed(sample.picture));
    if (embedded !== null) pictures.set(sampleKey(row, sample), embedded);
  }
  return renderRobustnessPage({ ...content, date, facts, pictures });
}

function allSamples({ samples, rows }: Robustness): [row: number | null, sample: RobustnessSample][] {
  const disturbed = rows.flatMap((row, r) => row.samples.map((s) => [r, s] as [number, RobustnessSample]));
  return [...samples.map((sample) => [null, sample] as [null, RobustnessSample]), ...disturbed];
}

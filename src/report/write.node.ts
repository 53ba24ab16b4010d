/**
 * Reports in Node: finds the pictures they show, makes them small, and writes one file. A file stays below 3 MB whatever the data: pictures are added
 * in the order of their worth until their share is used up.
 */

import type { Dataset, Planes } from '../data/index.js';
import { encodePng, writeFileAtomic } from '../io/all.node.js';
import type { ConfusionMatrix, Evaluation } from '../train/index.js';
import { dataUri, embed, tolerant } from './embed.node.js';
import type { EmbeddedPicture, ReportContent } from './input.js';
import { mostTableClasses, picturesWanted, select } from './selection.js';

export interface ReportOptions extends ReportContent {
  /** A sample as a picture, by its place in the data set; null where it is none. `picturesOf(dataset)` makes this. */
  readonly pictureOf?: (index: number) => Promise<Planes | null>;
  readonly date?: Date;
  /** Room for pictures in the file. */
  readonly pictureBytes?: number;
}

/**
 * Writes one HTML file that opens without a network. It is written whole or not at all.
 * @throws {FileError} if it cannot be written
 */
export async function writeReport(file: string, options: ReportOptions): Promise<{ sizeBytes: number }> {
  const page = await renderReport(options);
  const bytes = new TextEncoder().encode(page);
  await writeFileAtomic(file, bytes);
  return { sizeBytes: bytes.length };
}

/** The page `writeReport` writes. */
export async function renderReport({
  pictureOf,
  date = new Date(),
  pictureBytes = 1_700_000,
  ...content
}: ReportOptions): Promise<string> {
  const { renderPage } = await import('./page.js'); // loads the plotting library
  const found = await embedPictures(content.evaluation, pictureOf, pictureBytes);
  const matrixUri = (await tolerant(() => matrixPicture(content.evaluation.confusion))) ?? undefined;
  return renderPage({ ...content, ...found, date, facts: content.facts ?? {}, matrixUri });
}

/** How the samples of a data set look: bytes of one or three channels as they are, of a clip or volume the frame in the middle, others not at all. */
export function picturesOf(dataset: Dataset): (index: number) => Promise<Planes | null> {
  const { shape } = dataset;
  const isPicture = (shape.length === 3 || shape.length === 4) && (shape[0] === 1 || shape[0] === 3);
  return async (index) => {
    if (!isPicture) return null;
    const { inputs } = await dataset.batch([index]);
    if (!(inputs instanceof Uint8Array)) return null;
    if (shape.length === 3) return { data: inputs, shape: [shape[0], shape[1], shape[2]] };
    const [channels, depth, height, width] = shape;
    const plane = height * width;
    const data = new Uint8Array(channels * plane);
    for (let c = 0; c < channels; c++) {
      const at = (c * depth + (depth >> 1)) * plane;
      data.set(inputs.subarray(at, at + plane), c * plane);
    }
    return { data, shape: [channels, height, width] };
  };
}

async function embedPictures(
  evaluation: Evaluation,
  pictureOf: ReportOptions['pictureOf'],
  budget: number,
): Promise<{ pictures: Map<number, EmbeddedPicture>; picturesLeftOut: number }> {
  const pictures = new Map<number, EmbeddedPicture>();
  let [used, picturesLeftOut] = [0, 0];
  for (const index of pictureOf === undefined ? [] : picturesWanted(select(evaluation))) {
    if (used >= budget) {
      picturesLeftOut++;
      continue;
    }
    const embedded = await tolerant(async () => {
      const picture = await pictureOf!(index);
      return picture === null ? null : embed(picture);
    });
    if (embedded === null) continue;
    if (used + embedded.uri.length > budget) {
      picturesLeftOut++;
      continue;
    }
    used += embedded.uri.length;
    pictures.set(index, embedded);
  }
  return { pictures, picturesLeftOut };
}

/** Blue on, orange beside the diagonal, in strength the square root of the share of the class; what is nowhere is transparent. */
async function matrixPicture(confusion: ConfusionMatrix): Promise<string | undefined> {
  const n = confusion.classes.length;
  if (n <= mostTableClasses) return undefined;
  const side = Math.min(n, 400); // more classes than that share dots
  const at = (c: number) => Math.floor((c * side) / n);
  const strength = new Float64Array(side * side);
  for (const [actual, { support }] of confusion.perClass().entries()) {
    for (let predicted = 0; predicted < n; predicted++) {
      const share = support === 0 ? 0 : confusion.at(actual, predicted) / support;
      const dot = at(actual) * side + at(predicted);
      strength[dot] = Math.max(strength[dot], Math.sqrt(share));
    }
  }
  const plane = side * side;
  const data = new Uint8Array(4 * plane);
  for (let i = 0; i < plane; i++) {
    const color = Math.floor(i / side) === i % side ? [90, 130, 225] : [232, 130, 50];
    for (let c = 0; c < 3; c++) data[c * plane + i] = color[c];
    data[3 * plane + i] = Math.round(255 * Math.min(1, strength[i]));
  }
  return dataUri('png', await encodePng({ data, shape: [4, side, side] }));
}

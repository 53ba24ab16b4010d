/** Samples divided into parts, by seed and class: one rule for pictures, clips, arrays and texts. Which names are in which part is kept in the run. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dataset, splitSamples } from '../../data/all.node.js';
import { permutation } from '../../data/shuffle.js';
import { fileError } from '../../io/file-error.node.js';
import type { JsonObject } from '../../io/index.js';
import { array, literal, object, parseJson, string } from '../../io/schema.js';
import { type AuditFacts, type DataSummary, summaryOf as summaryOfSets } from '../../report/index.js';
import type { DataChoice } from './choice.js';

/** Set aside where neither the source nor the user says how many. */
export const defaultShare = 0.1;

export interface Parts<T> {
  readonly train: readonly T[];
  readonly validation: readonly T[];
  readonly test: readonly T[];
}

interface Labelled {
  readonly label: number;
}

/** Parts that are there stay; of an undivided set a tenth each is set aside for validation and test, of a divided one a tenth for validation. */
export function divide<T extends Labelled>(given: Parts<T>, choice: DataChoice, seed: number): Parts<T> {
  const divided = given.validation.length + given.test.length > 0;
  const shares = {
    validation: choice.validation ?? defaultShare,
    test: choice.test ?? (divided ? 0 : defaultShare),
  };
  const { train, validation, test } = splitSamples(standIns(given.train), {
    validation: given.validation.length > 0 ? 0 : shares.validation,
    test: given.test.length > 0 ? 0 : shares.test,
    seed,
  });
  const of = (part: typeof train) => part.map(({ name }) => given.train[Number(name)]);
  return {
    train: of(train),
    validation: given.validation.length > 0 ? given.validation : of(validation),
    test: given.test.length > 0 ? given.test : of(test),
  };
}

/** As many as the user limits the training and the test to. */
export function limited<T extends Labelled>(parts: Parts<T>, { limit, testLimit }: DataChoice, seed: number): Parts<T> {
  return { ...parts, train: some(parts.train, limit, seed), test: some(parts.test, testLimit, seed) };
}

/**
 * `limit` of the samples, in their order: of every class its share (largest remainder), and one of each where there are that many; which ones is a matter of
 * the seed alone.
 */
export function some<T extends Labelled>(samples: readonly T[], limit: number | undefined, seed: number): readonly T[] {
  if (limit === undefined || limit >= samples.length) return samples;
  const placesOfClass = new Map<number, number[]>();
  for (const [place, { label }] of samples.entries()) {
    const places = placesOfClass.get(label);
    if (places === undefined) placesOfClass.set(label, [place]);
    else places.push(place);
  }
  const byClass = [...placesOfClass].sort(([a], [b]) => a - b).map(([, places]) => places);
  const sizes = shares(
    byClass.map(({ length }) => length),
    limit,
    seed,
  );
  const taken = new Set<number>();
  for (const [c, places] of byClass.entries()) {
    const order = permutation(places.length, { seed, stream });
    for (let i = 0; i < sizes[c]; i++) taken.add(places[order[i]]);
  }
  return samples.filter((_, place) => taken.has(place));
}

/** `some` of those that can be read. `look` names the ones among some samples that cannot; it is asked again where others have to take their places. */
export async function someReadable<T extends Labelled & { readonly name: string }>(
  samples: readonly T[],
  limit: number | undefined,
  seed: number,
  look: (samples: readonly T[]) => Promise<ReadonlySet<string>>,
): Promise<readonly T[]> {
  const bad = new Set<string>();
  const good = new Set<string>();
  for (;;) {
    const chosen = some(
      samples.filter(({ name }) => !bad.has(name)),
      limit,
      seed,
    );
    const unknown = chosen.filter(({ name }) => !good.has(name));
    if (unknown.length === 0) return chosen;
    const found = await look(unknown);
    for (const { name } of unknown) (found.has(name) ? bad : good).add(name);
  }
}

/** That of `splitSamples`: a run that an older version began keeps its samples. */
const stream = 0x70696373;

/** `total` divided as `counts` are. Classes that are equally far from their share are asked in an order that the seed decides. */
function shares(counts: readonly number[], total: number, seed: number): number[] {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const exact = counts.map((count) => (total * count) / all);
  const least = total >= counts.length ? 1 : 0;
  const sizes = exact.map((share) => Math.max(least, Math.floor(share)));
  const order = [...permutation(counts.length, { seed, stream: stream + 1 })];
  const missing = (c: number) => exact[c] - sizes[c];
  for (let sum = sizes.reduce((a, b) => a + b, 0); sum !== total; sum += sum < total ? 1 : -1) {
    if (sum < total) sizes[order.reduce((a, b) => (missing(b) > missing(a) ? b : a))]++;
    else sizes[order.filter((c) => sizes[c] > least).reduce((a, b) => (missing(b) < missing(a) ? b : a))]--;
  }
  return sizes;
}

/** Only labels matter for dividing; the name is the place. */
function standIns(samples: readonly Labelled[]) {
  return samples.map(({ label }, i) => ({ name: String(i), label, source: { kind: 'file', path: '' } as const }));
}

const partsSchema = object(
  { format: literal('fovea-data'), train: array(string), validation: array(string), test: array(string) },
  { leftOut: array(string) },
);

/** The names in a run's data.json. @throws {FileError} @throws {FormatError} */
export async function readParts(run: string) {
  const file = join(run, 'data.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fileError('read', file, error);
  }
  return parseJson(text, partsSchema, file);
}

/** What `readParts` reads: of samples that have names, which are in which part, and which in none. */
export function partsJson(parts: Parts<{ readonly name: string }>, leftOut: Iterable<string>): JsonObject {
  const names = (samples: readonly { readonly name: string }[]) => samples.map(({ name }) => name);
  return {
    format: 'fovea-data',
    train: names(parts.train),
    validation: names(parts.validation),
    test: names(parts.test),
    leftOut: [...leftOut],
  };
}

/** How many of each class there are, and what an audit found, for the report. */
export function summaryOf(
  classes: readonly string[],
  parts: Parts<Labelled>,
  audit: AuditFacts | null = null,
): DataSummary {
  const counted = (samples: readonly Labelled[]) => ({ classes, labels: samples.map(({ label }) => label) });
  const { train, validation, test } = parts;
  return summaryOfSets({ train: counted(train), validation: counted(validation), test: counted(test) }, audit);
}

/** The samples of a data set by place and label, as `divide` takes them. */
export function placesOf(dataset: Dataset | null): { label: number; index: number }[] {
  return dataset === null ? [] : Array.from(dataset.labels, (label, index) => ({ label, index }));
}

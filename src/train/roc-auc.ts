/**
 * The area under the ROC curve, one class against the rest: the chance that a picture of the class gets a higher probability for it than a picture
 * of another class does, ties counting half. It is counted exactly (Mann and Whitney 1947), not summed from a curve. Fawcett 2006, "An introduction
 * to ROC analysis".
 */

import { ConfigError } from '../util/errors.js';

export interface RocAuc {
  /** By class; null where a class has no pictures, or all of them. */
  readonly perClass: readonly (number | null)[];
  /** Plain mean over the classes that have a value. */
  readonly macro: number | null;
  /** Mean weighted by how many pictures a class has. */
  readonly weighted: number | null;
}

/** Probabilities [N, classes] and labels [N]. */
export function rocAuc(probabilities: ArrayLike<number>, labels: ArrayLike<number>, classes: number): RocAuc {
  if (probabilities.length !== labels.length * classes) {
    throw new ConfigError(
      `rocAuc: ${labels.length} labels of ${classes} classes ask for ${labels.length * classes} probabilities, there are ${probabilities.length}`,
    );
  }
  const counts = new Int32Array(classes);
  for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
  const perClass = Array.from(counts, (count, c) => areaOf(probabilities, labels, classes, c, count));
  const known = perClass.flatMap((area, c) => (area === null ? [] : [{ area, count: counts[c] }]));
  const total = known.reduce((sum, { count }) => sum + count, 0);
  return {
    perClass,
    macro: known.length === 0 ? null : known.reduce((sum, { area }) => sum + area, 0) / known.length,
    weighted: known.length === 0 ? null : known.reduce((sum, { area, count }) => sum + area * count, 0) / total,
  };
}

function areaOf(
  probabilities: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
  c: number,
  count: number,
): number | null {
  const others = labels.length - count;
  if (count === 0 || others === 0) return null;
  const [own, rest] = [new Float64Array(count), new Float64Array(others)];
  let [o, r] = [0, 0];
  for (let i = 0; i < labels.length; i++) {
    const p = probabilities[i * classes + c];
    if (labels[i] === c) own[o++] = p;
    else rest[r++] = p;
  }
  own.sort();
  rest.sort();
  // For each picture of the class: how many of the rest lie below it, and how many beside it.
  let [below, upTo, wins] = [0, 0, 0];
  for (const p of own) {
    while (below < others && rest[below] < p) below++;
    while (upTo < others && rest[upTo] <= p) upTo++;
    wins += below + (upTo - below) / 2;
  }
  return wins / (count * others);
}

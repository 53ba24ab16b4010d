/** Divides samples into parts for training, validation and test: by seed, class by class, and never two copies of one picture into two parts. */

import { ConfigError } from '../../util/errors.js';
import { permutation } from '../shuffle.js';
import type { PictureSample } from './sample.js';

export interface SplitOptions {
  /** Shares of all samples. */
  readonly validation?: number;
  readonly test?: number;
  readonly seed?: number;
  /** Names of samples that show the same: they stay together. What `auditPictures` found. */
  readonly duplicates?: readonly (readonly string[])[];
}

export interface SplitSamples {
  readonly train: PictureSample[];
  readonly validation: PictureSample[];
  readonly test: PictureSample[];
}

/** Keeps these shuffles apart from those of loaders (0), of `split` (1 …) under the same seed. */
const stream = 0x70696373;

/**
 * Parts that the source itself has stay as they are; the rest is divided. Where the source has a test part, nothing more is taken for that, and likewise for
 * validation. Every class with three or more pictures has at least one in each part that is asked for, most stay in training; of two, one is put aside for
 * validation (or test), and a single one trains. Samples keep their order.
 * @throws {ConfigError}
 */
export function splitSamples(samples: readonly PictureSample[], options: SplitOptions = {}): SplitSamples {
  const { seed = 0, duplicates = [] } = options;
  const given = { validation: options.validation ?? 0, test: options.test ?? 0 };
  if (!(given.validation >= 0) || !(given.test >= 0) || given.validation + given.test >= 1) {
    throw new ConfigError(
      `splitSamples: validation and test are shares of 0 or more that leave something to train with; got ${given.validation} and ${given.test}`,
    );
  }
  const has = (part: string) => samples.some(({ split }) => split === part);
  const shares = { validation: has('validation') ? 0 : given.validation, test: has('test') ? 0 : given.test };
  const part = new Map<PictureSample, keyof SplitSamples>();
  const free: PictureSample[] = [];
  for (const sample of samples) {
    if (sample.split === 'validation' || sample.split === 'test') part.set(sample, sample.split);
    else free.push(sample);
  }
  for (const groups of groupsByClass(free, duplicates).values()) {
    const order = permutation(groups.length, { seed, stream });
    const total = groups.reduce((sum, group) => sum + group.length, 0);
    const wanted = partSizes(total, groups.length, shares);
    let next = 0;
    for (const name of ['test', 'validation'] as const) {
      for (let taken = 0; taken < wanted[name] && next < groups.length - 1; next++) {
        const group = groups[order[next]];
        for (const sample of group) part.set(sample, name);
        taken += group.length;
      }
    }
  }
  const of = (name: keyof SplitSamples) => samples.filter((sample) => (part.get(sample) ?? 'train') === name);
  return { train: of('train'), validation: of('validation'), test: of('test') };
}

/** How many pictures of a class each part is to have. */
function partSizes(total: number, groups: number, shares: { validation: number; test: number }) {
  const asked = (['validation', 'test'] as const).filter((name) => shares[name] > 0);
  const sizes = { validation: 0, test: 0 };
  let spare = groups - 1; // something remains to train with
  for (const name of asked) {
    if (spare === 0) break;
    sizes[name] = Math.max(1, Math.round(shares[name] * total));
    spare--;
  }
  return sizes;
}

/**
 * Samples that must stay together, in order, by class. A picture that is there under two labels belongs to the class of the first of them.
 */
function groupsByClass(
  samples: readonly PictureSample[],
  duplicates: readonly (readonly string[])[],
): Map<number, PictureSample[][]> {
  const groupOf = new Map<string, number>();
  for (const [i, names] of duplicates.entries()) for (const name of names) groupOf.set(name, i);
  const made = new Map<number, PictureSample[]>();
  const byClass = new Map<number, PictureSample[][]>();
  for (const sample of samples) {
    const number = groupOf.get(sample.name);
    const existing = number === undefined ? undefined : made.get(number);
    if (existing !== undefined) {
      existing.push(sample);
      continue;
    }
    const group = [sample];
    if (number !== undefined) made.set(number, group);
    const groups = byClass.get(sample.label) ?? [];
    groups.push(group);
    byClass.set(sample.label, groups);
  }
  return byClass;
}

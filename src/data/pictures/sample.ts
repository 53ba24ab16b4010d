/**
 * Labelled pictures before they are decoded: what they are called, which class they belong to, and where their bytes lie. A sample is plain data that a
 * worker can be sent.
 */

import { ConfigError } from '../../util/errors.js';

/** Where the bytes of a picture are. */
export type PictureSource =
  | { readonly kind: 'file'; readonly path: string }
  /** A part of a file that is read as it stands: a picture in a tar archive. */
  | { readonly kind: 'slice'; readonly path: string; readonly offset: number; readonly length: number }
  /** Shared memory: of an archive that had to be unpacked. */
  | { readonly kind: 'memory'; readonly memory: SharedArrayBuffer; readonly offset: number; readonly length: number }
  /** A row of a Parquet file; `column` is the leaf that holds the bytes, as `image.bytes`. */
  | { readonly kind: 'row'; readonly path: string; readonly column: string; readonly row: number };

export type PictureSplit = 'train' | 'validation' | 'test';

export interface PictureSample {
  /** Unique in its set, the same wherever the set lies: `cats/a.jpg`, `shard-0.tar/0001.jpg`, `train.parquet/17`. With `/` on every system. */
  readonly name: string;
  /** Index into the classes. */
  readonly label: number;
  /** Where the source itself is divided. */
  readonly split?: PictureSplit;
  readonly source: PictureSource;
}

/** What was found and not taken, and why. */
export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

export interface PictureSet {
  readonly format: 'folder' | 'manifest' | 'parquet' | 'webdataset';
  /** As it was named: the folder or file. */
  readonly path: string;
  readonly classes: readonly string[];
  readonly samples: readonly PictureSample[];
  /** Files that are no pictures, links that lead out, rows without a label …: `name`d ones are listed, at most a thousand. */
  readonly leftOut: readonly LeftOut[];
  /** How many of each reason; also those beyond the list. */
  readonly leftOutCounts: Readonly<Record<string, number>>;
}

/** Collects what is not taken: counts all, lists some. */
export class LeftOutList {
  readonly list: LeftOut[] = [];
  readonly counts: Record<string, number> = {};

  add(name: string, reason: string): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    if (this.list.length < mostListed) this.list.push({ name, reason });
  }
}

const mostListed = 1000;

const splitNames: Readonly<Record<string, PictureSplit>> = {
  train: 'train',
  training: 'train',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  dev: 'validation',
  test: 'test',
  testing: 'test',
};

/** `Val` → validation; null for a word that names no part. */
export function splitNamed(word: string): PictureSplit | null {
  const name = word.toLowerCase();
  return Object.hasOwn(splitNames, name) ? splitNames[name] : null;
}

/** A sample whose class has a name but no number yet. */
export interface NamedSample extends Omit<PictureSample, 'label'> {
  readonly className: string | number;
}

/**
 * Numbers the classes: by `names` where the source lists them (labels are then indices into it), else in order — numbers by value, names by code point.
 * @throws {ConfigError} for a number beyond `names`, and when nearly every sample has a class of its own
 */
export function withLabels(
  samples: readonly NamedSample[],
  where: string,
  names?: readonly string[],
): { classes: string[]; samples: PictureSample[] } {
  const classes = names === undefined ? distinctClasses(samples) : [...names];
  if (names === undefined && samples.length > 50 && classes.length > samples.length / 2) {
    throw new ConfigError(
      `${where}: ${samples.length} pictures have ${classes.length} different labels, such as '${clip(classes[0])}' and '${clip(classes[1])}': ` +
        'nearly every picture would be a class of its own. Name the column of the classes with labelColumn (--label-column).',
    );
  }
  const indexOf = new Map(classes.map((name, i) => [name, i]));
  return {
    classes,
    samples: samples.map(({ className, ...rest }) => {
      const label = names !== undefined && typeof className === 'number' ? className : indexOf.get(String(className));
      if (label === undefined || !Number.isInteger(label) || label < 0 || label >= classes.length) {
        throw new ConfigError(
          `${where}: the label ${JSON.stringify(className)} of ${rest.name} is none of its ${classes.length} classes`,
        );
      }
      return { ...rest, label };
    }),
  };
}

function distinctClasses(samples: readonly NamedSample[]): string[] {
  const found = [...new Set(samples.map(({ className }) => String(className)))];
  const numbers = found.every((name) => /^-?\d{1,15}$/.test(name));
  return numbers ? found.sort((a, b) => Number(a) - Number(b)) : found.sort(byCodePoint);
}

/** The order of names: the same on every system and in every language. */
export function byCodePoint(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A name from a file, safe to print: no line breaks or escapes for the terminal, not endlessly long. */
export function clip(text: string, most = 80): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  const plain = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '�');
  return plain.length <= most ? plain : `${plain.slice(0, most - 1)}…`;
}

/** Labels of one list of classes brought to another: a folder of test pictures may have fewer classes than the model, or the same in another order. */

import { ConfigError, suggest } from '../util/errors.js';
import type { Batch, Dataset, TransformContext } from './dataset.js';

/**
 * The same samples, their labels places in `classes`. Classes are told by name; where not one name is the same but there are as many, they are taken to be in
 * the same order. @throws {ConfigError} for classes that are not among them
 */
export function withClasses(dataset: Dataset, classes: readonly string[]): Dataset {
  const own = dataset.classes;
  if (own.length === classes.length && own.every((name, c) => name === classes[c])) return dataset;
  const places = new Map(classes.map((name, c) => [name, c]));
  const known = own.filter((name) => places.has(name)).length;
  if (known === 0 && own.length === classes.length)
    return new Relabelled(
      dataset,
      classes,
      own.map((_, c) => c),
    );
  const used = new Set(dataset.labels);
  const targets = own.map((name, c) => {
    const place = places.get(name);
    if (place !== undefined) return place;
    if (!used.has(c)) return 0; // nothing is of this class
    const near = suggest(name, classes);
    throw new ConfigError(
      `The data has a class '${name}', which the model does not know${near === null ? '' : ` (did it mean '${near}'?)`}. ` +
        `It knows ${classes.length}: ${classes.slice(0, 8).join(', ')}${classes.length > 8 ? ', …' : ''}`,
    );
  });
  return new Relabelled(dataset, classes, targets);
}

class Relabelled implements Dataset {
  readonly length: number;
  readonly labels: Int32Array;

  constructor(
    readonly dataset: Dataset,
    readonly classes: readonly string[],
    /** Of each class of the data set, its place in `classes`. */
    readonly places: readonly number[],
  ) {
    this.length = dataset.length;
    this.labels = dataset.labels.map((label) => places[label]);
  }

  get shape(): readonly number[] {
    return this.dataset.shape;
  }

  async batch(indices: ArrayLike<number>, context?: TransformContext): Promise<Batch> {
    const batch = await this.dataset.batch(indices, context);
    return { ...batch, labels: batch.labels.map((label) => this.places[label]) };
  }
}

/** What sample `index` is called, where the data set knows names (files, rows of a table), looked up through subsets. */
export function sampleName(dataset: Dataset, index: number): string | undefined {
  return sought(dataset, index, ({ names, samples }, i) => names?.[i] ?? samples?.[i]?.name);
}

/** The words of sample `index`, where samples are texts. */
export function sampleText(dataset: Dataset, index: number): string | undefined {
  return sought(dataset, index, ({ texts }, i) => texts?.[i]);
}

/** What data sets may have besides what trainers need. */
interface Described {
  readonly names?: readonly string[];
  readonly samples?: readonly { readonly name: string }[];
  readonly texts?: readonly string[];
  /** Of a part, or of one with other classes. */
  readonly dataset?: Dataset;
  readonly indices?: ArrayLike<number>;
}

function sought(
  data: Dataset,
  index: number,
  find: (data: Described, index: number) => string | undefined,
): string | undefined {
  const { dataset, indices } = data as Described;
  const found = find(data as Described, index);
  if (found !== undefined || dataset === undefined) return found;
  return sought(dataset, indices === undefined ? index : indices[index], find);
}

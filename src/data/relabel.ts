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
  const { names, samples, indices, dataset: inner } = dataset as Dataset & Naming;
  if (names !== undefined) return names[index];
  if (samples !== undefined) return samples[index]?.name;
  return inner === undefined ? undefined : sampleName(inner, indices === undefined ? index : indices[index]);
}

/** What data sets may have besides what trainers need. */
interface Naming {
  readonly names?: readonly string[];
  readonly samples?: readonly { readonly name: string }[];
  readonly dataset?: Dataset;
  readonly indices?: ArrayLike<number>;
}

/**
 * What a file of weights says about itself, so that nobody need guess: which model it is for, what its pictures went through, what its classes
 * are called. Three keys of safetensors' metadata, each JSON.
 */

import type { ModelOptions, Preprocessing } from '../models/index.js';
import { FormatError } from '../util/errors.js';
import {
  anyObject,
  array,
  type Checked,
  integer,
  type JsonObject,
  literal,
  number,
  object,
  parseJson,
  type Schema,
  string,
} from './schema.js';

const keys = { model: 'fovea.model', preprocessing: 'fovea.preprocessing', classes: 'fovea.classes' } as const;

/** A builder of the registry and its options. */
export interface ModelName {
  readonly name: string;
  readonly options: ModelOptions;
}

export interface WeightsFacts {
  readonly model: ModelName | null;
  readonly preprocessing: Preprocessing | null;
  /** In the order of the model's outputs. */
  readonly classes: readonly string[] | null;
}

const modelSchema = object({ name: string, options: anyObject });

/** Nobody's weights want more; a file that asks for it would take the memory of whoever opens it. */
const maxSide = 2 ** 14;
const side = integer({ min: 1, max: maxSide });

/** A shorter side, or [height, width]. */
export const resizeSchema: Schema<Preprocessing['resize']> = (value, where) => {
  if (!Array.isArray(value)) return side(value, where);
  const [height, width] = array(side, { length: 2 })(value, where);
  return [height, width];
};

const preprocessingSchema = object({
  resize: resizeSchema,
  crop: array(side, { length: 2 }),
  interpolation: literal('bilinear', 'bicubic'),
  mean: array(number()),
  std: array(number({ min: 1e-12 })),
});

/** @throws {FormatError} for values that are not what their keys promise */
export function readFacts(metadata: Readonly<Record<string, string>>): WeightsFacts {
  const read = <T>(key: string, schema: (value: unknown, where: string) => T): T | null =>
    Object.hasOwn(metadata, key) ? parseJson(metadata[key], schema, `metadata ${key}`) : null;
  const preprocessing = read(keys.preprocessing, preprocessingSchema);
  return {
    model: read(keys.model, modelSchema) as ModelName | null,
    preprocessing: preprocessing === null ? null : checkPreprocessing(preprocessing),
    classes: read(keys.classes, array(string)),
  };
}

/** The metadata that says `facts`; what is null is left out. */
export function writeFacts({ model, preprocessing, classes }: WeightsFacts): Record<string, string> {
  const entries = [
    [keys.model, model],
    [keys.preprocessing, preprocessing],
    [keys.classes, classes],
  ] as const;
  return Object.fromEntries(entries.flatMap(([key, value]) => (value === null ? [] : [[key, JSON.stringify(value)]])));
}

/** The tensors that PyTorch keeps as int64: how many batches a batch norm has seen. */
export function countsBatches(name: string): boolean {
  return /(^|\.)num_batches_tracked$/.test(name);
}

/** Whether options come back from JSON as they were: functions and modules do not. */
export function isJson(options: object): options is JsonObject {
  const plain = (value: unknown): boolean => {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
    if (typeof value === 'number') return Number.isFinite(value);
    if (Array.isArray(value)) return value.every(plain);
    return (
      typeof value === 'object' &&
      Object.getPrototypeOf(value) === Object.prototype &&
      Object.values(value).every(plain)
    );
  };
  return plain(options);
}

function checkPreprocessing({ crop, ...rest }: Checked<typeof preprocessingSchema>): Preprocessing {
  if (rest.mean.length !== rest.std.length) {
    throw new FormatError(
      `metadata ${keys.preprocessing}: mean has ${rest.mean.length} values, std ${rest.std.length}`,
    );
  }
  return { ...rest, crop: [crop[0], crop[1]] };
}

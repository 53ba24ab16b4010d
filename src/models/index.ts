/** The zoo: one file per paper family, and the list of all models. */

import { ConfigError, suggest } from '../util/errors.js';
import { classic } from './classic.js';
import type { ModelBuilder } from './define.js';
import { lenet5 } from './lenet5.js';

export { Classic, classic } from './classic.js';
export { defineModel, type ModelBuilder, type ModelFacts, type ModelOptions } from './define.js';
export { LeNet5, lenet5 } from './lenet5.js';

export const registry: readonly ModelBuilder[] = [classic, lenet5];

/** The builder called `name`. @throws {ConfigError} with the nearest name there is. */
export function findModel(name: string): ModelBuilder {
  const found = registry.find((model) => model.modelName === name);
  if (found !== undefined) return found;
  const names = registry.map((model) => model.modelName);
  const near = suggest(name, names);
  throw new ConfigError(
    `There is no model '${name}'. ${near === null ? `The models are ${names.join(', ')}.` : `Did you mean ${near}?`}`,
  );
}

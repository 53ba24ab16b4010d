/** A new model for the samples there are: built for their channels and classes, perhaps with weights to begin from. */

import { type JsonObject, type LoadReport, loadWeights } from '../../io/all.node.js';
import type { ModelBuilder, Preprocessing } from '../../models/index.js';
import type { Module } from '../../nn/index.js';
import { manualSeed } from '../../tensor/index.js';
import { ConfigError } from '../../util/errors.js';
import { print, printJson } from '../output.js';
import { UsageError } from '../usage.js';
import type { Flags } from './flags.js';

/** `channels`: of pictures, clips or signals; of texts, how many different tokens there are. @throws {UsageError} for a single class */
export async function makeModel(
  build: ModelBuilder,
  channels: number,
  classes: readonly string[],
  flags: Flags,
): Promise<{ model: Module; options: JsonObject; wanted: Preprocessing | null }> {
  const numClasses = classes.length;
  if (numClasses < 2) throw new UsageError('There is one class only, and so nothing to tell apart.');
  const usual = build.vocabulary ?? build.input[0];
  const options: JsonObject = channels === usual ? flags.option : { inChannels: channels, ...flags.option };
  const made = (): Module => {
    manualSeed(flags.seed);
    return build({ ...options, numClasses });
  };
  const { weights, json } = flags;
  if (weights === undefined) return { model: made(), options, wanted: null };
  const { model, report } = await startFrom(made, weights, classes);
  if (json)
    printJson({
      event: 'weights',
      file: weights,
      loaded: report.loaded.length,
      kept: report.kept,
      source: report.source,
    });
  else print(`${report}\n`);
  return { model, options, wanted: report.preprocessing };
}

/** A model with weights to begin from. A head of other classes is left out: of another number of them, or of other names where the file knows its own. */
async function startFrom(
  made: () => Module,
  file: string,
  classes: readonly string[],
): Promise<{ model: Module; report: LoadReport }> {
  const load = async (options?: { head: 'drop' }) => {
    const model = made();
    return { model, report: await loadWeights(model, file, options) };
  };
  try {
    const whole = await load();
    const known = whole.report.classes;
    return known === null || known.join('\n') === classes.join('\n') ? whole : await load({ head: 'drop' });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return load({ head: 'drop' }).catch(() => {
      throw error; // it was not the head: the first report says what it was
    });
  }
}

/** @throws {UsageError} for what is no classifier */
export function checkTask(build: ModelBuilder): void {
  const { modelName, task = 'classification' } = build;
  if (task !== 'classification') throw new UsageError(`${modelName} does ${task}; \`fovea train\` trains classifiers.`);
}

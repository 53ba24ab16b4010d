/** A new model for the samples there are: built for their channels and classes, perhaps with weights to begin from. */

import { type JsonObject, type LoadReport, loadWeights } from '../../io/all.node.js';
import type { ModelBuilder, Preprocessing } from '../../models/index.js';
import { type Module, summary } from '../../nn/index.js';
import { manualSeed } from '../../tensor/index.js';
import { ConfigError, ShapeError } from '../../util/errors.js';
import { print, printJson } from '../output.js';
import { UsageError } from '../usage.js';
import type { Flags } from './flags.js';

/** `channels`: of pictures, clips or signals; of texts, how many different tokens there are. @throws {UsageError} for a single class */
export async function makeModel(
  build: ModelBuilder,
  channels: number,
  numClasses: number,
  flags: Flags,
): Promise<{ model: Module; options: JsonObject; wanted: Preprocessing | null }> {
  if (numClasses < 2) throw new UsageError('There is one class only, and so nothing to tell apart.');
  const usual = build.vocabulary ?? build.input[0];
  const options: JsonObject = channels === usual ? flags.option : { inChannels: channels, ...flags.option };
  manualSeed(flags.seed);
  const model = build({ ...options, numClasses });
  const wanted = flags.weights === undefined ? null : await startFrom(model, flags.weights, flags);
  return { model, options, wanted };
}

/** Loads weights to begin from; what they want pictures to go through. A head of another number of classes is left out. */
async function startFrom(model: Module, file: string, { json }: Flags): Promise<Preprocessing | null> {
  let report: LoadReport;
  try {
    report = await loadWeights(model, file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    report = await loadWeights(model, file, { head: 'drop' }).catch(() => {
      throw error; // it was not the head: the first report says what it was
    });
  }
  if (json)
    printJson({ event: 'weights', file, loaded: report.loaded.length, kept: report.kept, source: report.source });
  else print(`${report}\n`);
  return report.preprocessing;
}

/** @throws {UsageError} for what is no classifier */
export function checkTask(build: ModelBuilder): void {
  const { modelName, task = 'classification' } = build;
  if (task !== 'classification') throw new UsageError(`${modelName} does ${task}; \`fovea train\` trains classifiers.`);
}

const plural = { picture: 'pictures', video: 'clips', signal: 'signals', tokens: 'texts' } as const;

/** Whether the model takes samples of this size: asked of the model itself, which computes nothing for it. */
export function checkFit(build: ModelBuilder, options: JsonObject, shape: readonly number[], numClasses: number): void {
  const { modelName, input, inputKind = 'picture' } = build;
  try {
    summary(build({ ...options, numClasses }), [...shape], { dtype: inputKind === 'tokens' ? 'int32' : 'float32' });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new UsageError(
      `${modelName} is made for ${plural[inputKind]} of [${input.join(', ')}]; these have [${shape.join(', ')}], which it cannot take:\n  ${error.message}`,
    );
  }
}

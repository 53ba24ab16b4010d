/** A finished or running training, opened again to be used: the model with its weights, and how to feed it. */

import { importedName, loadImported } from '../io/imported.node.js';
import { RunFolder } from '../io/index.node.js';
import { findModel, type ModelFacts } from '../models/index.js';
import type { Module } from '../nn/index.js';
import { ConfigError } from '../util/errors.js';
import type { Normalization } from './evaluate.js';
import { modelTensors } from './run-recorder.node.js';

/** `model`: the weights training ended with. `last`, `best`: those of a checkpoint. */
export type RunWeights = 'model' | 'last' | 'best';

export interface LoadedRun {
  readonly folder: RunFolder;
  readonly modelName: string;
  readonly model: Module;
  /** What the model gives; decides the loss to measure with. */
  readonly output: ModelFacts['output'];
  readonly classes: readonly string[];
  /** One sample as the model takes it: [C, H, W] of pictures. */
  readonly inputShape: readonly number[];
  readonly normalize: Normalization;
  /** Which weights were loaded: left out, `model` if training is over, else `last`. */
  readonly weights: RunWeights;
}

/** @throws {FileError} where there is no run. @throws {FormatError} for damaged files. @throws {ConfigError} when the weights are not there. */
export async function loadRun(path: string, { weights }: { weights?: RunWeights } = {}): Promise<LoadedRun> {
  const folder = await RunFolder.open(path);
  const { config } = folder;
  const { name, options } = config.model;
  const builder = name === importedName ? null : findModel(name);
  const model = builder?.({ ...options, numClasses: config.classes.length }) ?? (await loadImported(path, options));
  const finished = await folder.hasModel();
  const chosen = weights ?? (finished ? 'model' : 'last');
  if (chosen === 'model' && !finished) {
    throw new ConfigError(
      `${path}: training is not over, there is no model.safetensors yet. The latest weights are in the checkpoint 'last'.`,
    );
  }
  if (chosen === 'model') model.loadStateDict(await folder.readModel());
  else {
    const checkpoint = await folder.loadCheckpoint(chosen);
    if (checkpoint === null) throw new ConfigError(`${path}: the checkpoint '${chosen}' was never saved`);
    model.loadStateDict(modelTensors(checkpoint));
  }
  return {
    folder,
    modelName: name,
    output: builder?.output ?? 'logits',
    model: model.eval(),
    classes: config.classes,
    inputShape: config.input.shape,
    normalize: { mean: config.input.mean, std: config.input.std },
    weights: chosen,
  };
}

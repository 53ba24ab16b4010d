/** The beginning of a training: a new run in a folder of its own, or one that goes on. */

import { join, relative } from 'node:path';
import type { Dataset } from '../../data/index.js';
import {
  type JsonObject,
  type LoadReport,
  loadWeights,
  type RunConfig,
  RunFolder,
  writeFileAtomic,
} from '../../io/all.node.js';
import { type ModelBuilder, type Preprocessing, pictureShape } from '../../models/index.js';
import { freeze, type Module, summary } from '../../nn/index.js';
import { manualSeed } from '../../tensor/index.js';
import { ConfigError, ShapeError } from '../../util/errors.js';
import { chooseData, type DataChoice, fromJson, type OpenedData, openData, toJson } from '../dataset.js';
import { exists } from '../files.js';
import { print, printJson } from '../output.js';
import { modelNamed } from '../summary.js';
import { UsageError } from '../usage.js';
import { version } from '../version.js';
import { dataFlags, type Flags, flagName, trainingFlags } from './flags.js';

/** A run about to start or to go on. */
export interface Run {
  readonly folder: RunFolder;
  readonly data: OpenedData;
  readonly choice: DataChoice;
  readonly config: RunConfig;
  readonly model: Module;
}

/** A new run. @throws {UsageError} for what cannot be trained, and for a folder that holds a run */
export async function begin(dataName: string | undefined, flags: Flags): Promise<Run> {
  if (dataName === undefined) throw new UsageError('Which pictures? For example: fovea train mnist');
  const build = modelNamed(flags.model);
  flags.lr ??= (flags.optimizer === 'adam' ? build.learningRate : undefined) ?? 1e-3;
  const choice: DataChoice = { source: await chooseData(dataName), ...pick(flags, dataFlags) };
  const data = await openData(choice, flags.seed);
  const [channels] = data.train.shape;
  const options: JsonObject = channels === build.input[0] ? flags.option : { inChannels: channels, ...flags.option };
  checkFit(build, options, data.train);
  manualSeed(flags.seed);
  const model = build({ ...options, numClasses: data.train.classes.length });
  const wanted = flags.weights === undefined ? null : await startFrom(model, flags.weights, flags);
  const { mean, std } = wanted !== null && wanted.mean.length === channels ? wanted : data.normalize;
  if (flags.freeze.length > 0) freeze(model, flags.freeze);
  const path = flags.out ?? (await freeFolder(`runs/${dataName === 'mnist' ? 'mnist' : 'folder'}-${flags.model}`));
  if (await exists(join(path, 'config.json'))) {
    throw new UsageError(
      `${path} already holds a run. Go on with it: fovea train --resume --out ${path}\n  Or choose another folder with --out.`,
    );
  }
  const config: RunConfig = {
    format: 'fovea-run',
    version: 1,
    model: { name: flags.model, options },
    input: { shape: [...data.train.shape], mean: [...mean], std: [...std] },
    classes: [...data.train.classes],
    seed: flags.seed,
    training: pick(flags, trainingFlags) as JsonObject,
    data: toJson(choice),
    made: { at: new Date().toISOString(), fovea: await version(), node: process.versions.node },
  };
  return { folder: await RunFolder.create(path, config), data, choice, config, model };
}

/** Loads weights to begin from; what they want pictures to be normalised by. A head of another number of classes is left out. */
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

/** Whether the model takes pictures of this size: asked of the model itself, which computes nothing for it. */
function checkFit(build: ModelBuilder, options: JsonObject, { shape, classes }: Dataset): void {
  const { modelName, input, task = 'classification' } = build;
  pictureShape(build);
  if (task !== 'classification') throw new UsageError(`${modelName} does ${task}; \`fovea train\` trains classifiers.`);
  try {
    summary(build({ ...options, numClasses: classes.length }), shape);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new UsageError(
      `${modelName} is made for pictures of [${input.join(', ')}]; these have [${shape.join(', ')}], which it cannot take:\n  ${error.message}`,
    );
  }
}

/** Opens a run with the options it was begun with. @throws {UsageError} when the command line contradicts them. */
export async function reopen(
  dataName: string | undefined,
  flags: Flags,
  given: (flag: string) => boolean,
): Promise<Run> {
  if (flags.out === undefined) throw new UsageError('Which run? Name its folder: fovea train --resume --out runs/a');
  const folder = await RunFolder.open(flags.out);
  const { config } = folder;
  const choice = fromJson(config.data);
  const training = config.training as Partial<Flags>;
  const now: [name: string, then: unknown, now: unknown][] = [
    ...trainingFlags.map((name) => [name, training[name], flags[name]] as [string, unknown, unknown]),
    ...dataFlags.map((name) => [name, choice[name], flags[name]] as [string, unknown, unknown]),
    ['model', config.model.name, flags.model],
    ['option', config.model.options, flags.option],
    ['seed', config.seed, flags.seed],
  ];
  for (const [name, before, after] of now) {
    if (!given(name) || JSON.stringify(before) === JSON.stringify(after)) continue;
    if (name === 'epochs') continue;
    throw new UsageError(
      `${flags.out} was begun with ${flagName(name)} ${typeof before === 'object' ? JSON.stringify(before) : (before ?? '(none)')}; a resumed run keeps that. Leave the option out, or begin a new run.`,
    );
  }
  if (dataName !== undefined && (await chooseData(dataName)) !== choice.source) {
    throw new UsageError(`${flags.out} was begun on ${choice.source}; a resumed run keeps that.`);
  }
  for (const name of trainingFlags) {
    if (name === 'epochs' && given('epochs')) continue;
    Object.assign(flags, { [name]: training[name] });
  }
  const kept: RunConfig = { ...config, training: { ...config.training, epochs: flags.epochs } };
  if (flags.epochs !== training.epochs) {
    await writeFileAtomic(join(flags.out, 'config.json'), `${JSON.stringify(kept, null, 2)}\n`);
  }
  Object.assign(flags, { model: config.model.name, seed: config.seed });
  manualSeed(flags.seed);
  const model = modelNamed(config.model.name)({ ...config.model.options, numClasses: config.classes.length });
  if (flags.freeze !== undefined && flags.freeze.length > 0) freeze(model, flags.freeze); // older runs have none
  return { folder, data: await openData(choice, config.seed), choice, config: kept, model };
}

/** `name`, or `name-2`, `name-3` … if that is taken. */
async function freeFolder(name: string): Promise<string> {
  for (let n = 1; ; n++) {
    const path = n === 1 ? name : `${name}-${n}`;
    if (!(await exists(path))) return relative('.', path);
  }
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  const known = keys.filter((key) => from[key] !== undefined);
  return Object.fromEntries(known.map((key) => [key, from[key]])) as Pick<T, K>;
}

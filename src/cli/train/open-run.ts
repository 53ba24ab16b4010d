/** The beginning of a training: a new run in a folder of its own, or one that goes on. */

import { join, relative } from 'node:path';
import { type JsonObject, type RunConfig, RunFolder, writeFileAtomic } from '../../io/all.node.js';
import { makeFolder } from '../../io/atomic.node.js';
import type { ModelBuilder } from '../../models/index.js';
import { freeze, type Module } from '../../nn/index.js';
import { manualSeed } from '../../tensor/index.js';
import { chooseData, type DataChoice, type DataFormat, fromJson, toJson } from '../data/choice.js';
import { modelOf, reopenData } from '../data/for-run.js';
import { checkKind, kindOf } from '../data/kinds.js';
import type { OpenedData } from '../data/opened.js';
import { vocabularyFile } from '../data/texts.js';
import { exists } from '../files.js';
import { modelNamed } from '../summary.js';
import { UsageError } from '../usage.js';
import { version } from '../version.js';
import { dataFlags, type Flags, flagName, trainingFlags } from './flags.js';
import { checkTask } from './new-model.js';
import { settleTransfer } from './optimizer.js';
import { type Prepared, prepareFiles, prepareMemory } from './prepare.js';
import { checkOptions, prepareArrays, prepareClips, prepareTexts } from './prepare-kinds.js';

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
  const named = flags.model === undefined ? null : modelNamed(flags.model);
  if (named !== null) checkTask(named);
  const { source, format } = await chooseData(dataName, named === null ? null : (named.inputKind ?? 'picture'));
  flags.model ??= usualModel(format);
  const path = flags.out ?? (await freeFolder(`runs/${dataName === 'mnist' ? 'mnist' : 'folder'}-${flags.model}`));
  if (await exists(join(path, 'config.json'))) {
    throw new UsageError(
      `${path} already holds a run. Go on with it: fovea train --resume --out ${path}\n  Or choose another folder with --out.`,
    );
  }
  const build = named ?? modelNamed(flags.model);
  if (format !== 'arrays') checkKind(build, kindOf[format], dataName);
  checkOptions(format, flags);
  flags.lr ??= (flags.optimizer === 'adam' ? build.learningRate : undefined) ?? 1e-3;
  const prepared = await prepare(build, { source, format, ...pick(flags, dataFlags) }, format, flags);
  const { data, model, options, classes, vocabulary } = prepared;
  try {
    checkMeasurable(data, dataName);
    if (flags.freeze.length > 0) freeze(model, flags.freeze);
    settleTransfer(flags, data.train.length);
    const config: RunConfig = {
      format: 'fovea-run',
      version: 1,
      model: { name: flags.model, options },
      input: data.input,
      classes: [...classes],
      seed: flags.seed,
      training: { ...(pick(flags, trainingFlags) as JsonObject), ...(flags.flip === false && { noFlip: true }) },
      data: toJson(prepared.choice),
      made: { at: new Date().toISOString(), fovea: await version(), node: process.versions.node },
    };
    // What makes it a run, config.json, comes last: killed before, the folder can be used again.
    await makeFolder(path);
    if (data.parts !== null) await writeFileAtomic(join(path, 'data.json'), `${JSON.stringify(data.parts)}\n`);
    if (vocabulary !== undefined)
      await writeFileAtomic(join(path, vocabularyFile), `${JSON.stringify(vocabulary.toJson())}\n`);
    const folder = await RunFolder.create(path, config);
    return { folder, data, choice: prepared.choice, config, model };
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** @throws {UsageError} now rather than after the training */
function checkMeasurable({ train, validation, test }: OpenedData, source: string): void {
  if (validation !== null || test !== null) return;
  throw new UsageError(
    `${source}: there are ${train.length} samples to train with, and nothing is left to measure with. Every class needs at least two.`,
  );
}

/** Where none is named. */
function usualModel(format: DataFormat): string {
  if (format === 'pictures') return 'mobilenet_v2';
  return format === 'texts' ? 'textcnn' : 'classic';
}

function prepare(build: ModelBuilder, choice: DataChoice, format: DataFormat, flags: Flags): Promise<Prepared> {
  switch (format) {
    case 'pictures':
      return prepareFiles(build, choice, flags);
    case 'clips':
      return prepareClips(build, choice, flags);
    case 'arrays':
      return prepareArrays(build, choice, flags);
    case 'texts':
      return prepareTexts(build, choice, flags);
    default:
      return prepareMemory(build, choice, format, flags);
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
  const training = config.training as Partial<Flags> & { noFlip?: boolean };
  const now: [name: string, then: unknown, now: unknown][] = [
    ...trainingFlags.map((name) => [name, training[name], flags[name]] as [string, unknown, unknown]),
    ...dataFlags.map((name) => [name, choice[name], flags[name]] as [string, unknown, unknown]),
    ['flip', training.noFlip !== true, flags.flip],
    ['model', config.model.name, flags.model],
    ['option', pick(config.model.options, Object.keys(flags.option)), flags.option], // channels, say, are added to them
    ['seed', config.seed, flags.seed],
  ];
  for (const [name, before, after] of now) {
    if (!given(name) || JSON.stringify(before) === JSON.stringify(after)) continue;
    if (name === 'epochs') continue;
    throw new UsageError(
      `${flags.out} was begun with ${flagName(name)} ${typeof before === 'object' ? JSON.stringify(before) : (before ?? '(none)')}; a resumed run keeps that. Leave the option out, or begin a new run.`,
    );
  }
  if (dataName !== undefined && (await chooseData(dataName, modelOf(config).inputKind)).source !== choice.source) {
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
  const data = await reopenData(folder, choice, flags);
  return { folder, data, choice, config: kept, model };
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

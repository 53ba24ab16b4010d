/** The beginning of a training: a new run in a folder of its own, or one that goes on. */

import { join, relative } from 'node:path';
import { openPictures, type PictureSet } from '../../data/all.node.js';
import {
  decodeImage,
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
import { chooseData, type DataChoice, fromJson, toJson } from '../data/choice.js';
import { reopenData } from '../data/for-run.js';
import { openMemory } from '../data/memory.js';
import type { OpenedData } from '../data/opened.js';
import { beginPictures } from '../data/pictures.js';
import { exists } from '../files.js';
import { print, printJson } from '../output.js';
import { modelNamed } from '../summary.js';
import { UsageError } from '../usage.js';
import { version } from '../version.js';
import { dataFlags, type Flags, flagName, trainingFlags } from './flags.js';
import { LookReport } from './look-report.js';
import { augmentation, preprocessingFor } from './picture-settings.js';

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
  const { source, format } = await chooseData(dataName);
  flags.model ??= format === 'pictures' ? 'mobilenet_v2' : 'classic';
  const path = flags.out ?? (await freeFolder(`runs/${dataName === 'mnist' ? 'mnist' : 'folder'}-${flags.model}`));
  if (await exists(join(path, 'config.json'))) {
    throw new UsageError(
      `${path} already holds a run. Go on with it: fovea train --resume --out ${path}\n  Or choose another folder with --out.`,
    );
  }
  const build = modelNamed(flags.model);
  checkTask(build);
  flags.lr ??= (flags.optimizer === 'adam' ? build.learningRate : undefined) ?? 1e-3;
  const choice: DataChoice = { source, format, ...pick(flags, dataFlags) };
  const prepared =
    format === 'pictures'
      ? await prepareFiles(build, choice, flags)
      : await prepareMemory(build, choice, format, flags);
  const { data, model, options, classes } = prepared;
  try {
    if (flags.freeze.length > 0) freeze(model, flags.freeze);
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
    const folder = await RunFolder.create(path, config);
    if (data.parts !== null) await writeFileAtomic(join(path, 'data.json'), `${JSON.stringify(data.parts)}\n`);
    return { folder, data, choice: prepared.choice, config, model };
  } catch (error) {
    await data.close();
    throw error;
  }
}

interface Prepared {
  readonly data: OpenedData;
  readonly choice: DataChoice;
  readonly classes: readonly string[];
  readonly model: Module;
  /** What the model was built with. */
  readonly options: JsonObject;
}

async function prepareMemory(
  build: ModelBuilder,
  choice: DataChoice,
  format: 'mnist' | 'idx' | 'cifar',
  flags: Flags,
): Promise<Prepared> {
  const first = await openMemory(choice, format, { seed: flags.seed, normalize: null });
  const { shape, classes } = first.train;
  const { model, options, wanted } = await makeModel(build, shape[0], classes.length, flags);
  checkFit(build, options, shape, classes.length);
  const fits = wanted !== null && wanted.mean.length === shape[0];
  const input = fits ? { ...first.input, mean: [...wanted.mean], std: [...wanted.std] } : first.input;
  return { data: { ...first, input }, choice, classes, model, options };
}

async function prepareFiles(build: ModelBuilder, choice: DataChoice, flags: Flags): Promise<Prepared> {
  const set = await openPictures(choice.source);
  const { classes } = set;
  const channels = await channelsOf(set, build, flags);
  const { model, options, wanted } = await makeModel(build, channels, classes.length, flags);
  const preprocessing = preprocessingFor(build, wanted, { channels, size: flags.size, statistics: flags.statistics });
  checkFit(build, options, [channels, ...preprocessing.crop], classes.length);
  const chosen = { ...choice, transforms: augmentation(preprocessing, flags) };
  const report = new LookReport(flags.json === true);
  const data = await beginPictures(set, chosen, preprocessing, { ...flags, ...report.hooks() });
  report.close(data);
  return { data, choice: chosen, classes, model, options };
}

/** One where every picture is grey (asked of some) and nothing else is wanted, else three. */
async function channelsOf(set: PictureSet, build: ModelBuilder, { option, weights }: Flags): Promise<1 | 3> {
  if (option.inChannels === 1 || option.inChannels === 3) return option.inChannels;
  if (weights !== undefined) return build.input[0] === 1 ? 1 : 3;
  const asked = 16;
  for (let i = 0; i < asked; i++) {
    const sample = set.samples[Math.floor((i * set.samples.length) / asked)];
    if (sample?.source.kind !== 'file') return 3;
    const picture = await decodeImage(sample.source.path, { channels: 3 }).catch(() => null);
    if (picture !== null && !isGrey(picture.data)) return 3;
  }
  return 1;
}

function isGrey(planes: Uint8Array): boolean {
  const plane = planes.length / 3;
  for (let i = 0; i < plane; i++) {
    if (planes[i] !== planes[plane + i] || planes[i] !== planes[2 * plane + i]) return false;
  }
  return true;
}

async function makeModel(
  build: ModelBuilder,
  channels: number,
  numClasses: number,
  flags: Flags,
): Promise<{ model: Module; options: JsonObject; wanted: Preprocessing | null }> {
  const options: JsonObject = channels === build.input[0] ? flags.option : { inChannels: channels, ...flags.option };
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

function checkTask(build: ModelBuilder): void {
  const { modelName, task = 'classification' } = build;
  pictureShape(build);
  if (task !== 'classification') throw new UsageError(`${modelName} does ${task}; \`fovea train\` trains classifiers.`);
}

/** Whether the model takes pictures of this size: asked of the model itself, which computes nothing for it. */
function checkFit(build: ModelBuilder, options: JsonObject, shape: readonly number[], numClasses: number): void {
  const { modelName, input } = build;
  try {
    summary(build({ ...options, numClasses }), [...shape]);
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
  const training = config.training as Partial<Flags> & { noFlip?: boolean };
  const now: [name: string, then: unknown, now: unknown][] = [
    ...trainingFlags.map((name) => [name, training[name], flags[name]] as [string, unknown, unknown]),
    ...dataFlags.map((name) => [name, choice[name], flags[name]] as [string, unknown, unknown]),
    ['flip', training.noFlip !== true, flags.flip],
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
  if (dataName !== undefined && (await chooseData(dataName)).source !== choice.source) {
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

/** Data and model brought together, where samples are pictures: those that are whole in memory, and files. */

import { join } from 'node:path';
import { openClips, openPictures, type PictureSet, type Vocabulary } from '../../data/all.node.js';
import { decodeImage, type JsonObject, readFacts, withWeightsFile } from '../../io/all.node.js';
import type { ModelBuilder } from '../../models/index.js';
import type { Module } from '../../nn/index.js';
import { ConfigError } from '../../util/errors.js';
import { columnsOf, type DataChoice } from '../data/choice.js';
import { isGrey } from '../data/grey.js';
import { checkKind } from '../data/kinds.js';
import { divideMemory, type MemoryFormat, readMemory } from '../data/memory.js';
import type { OpenedData } from '../data/opened.js';
import { beginPictures } from '../data/pictures.js';
import { print } from '../output.js';
import { UsageError } from '../usage.js';
import { type Built, checkFit, misfit } from './fit.js';
import { type Flags, flagName } from './flags.js';
import { LookReport } from './look-report.js';
import { makeModel } from './new-model.js';
import { augmentation, preprocessingFor } from './picture-settings.js';

/** What a run begins with. */
export interface Prepared {
  readonly data: OpenedData;
  readonly choice: DataChoice;
  readonly classes: readonly string[];
  readonly model: Module;
  /** What the model was built with. */
  readonly options: JsonObject;
  /** Of texts: kept in the run. */
  readonly vocabulary?: Vocabulary;
}

export async function prepareMemory(
  build: ModelBuilder,
  choice: DataChoice,
  format: MemoryFormat,
  flags: Flags,
): Promise<Prepared> {
  const { seed, json } = flags;
  const whole = await readMemory(choice.source, format);
  const { shape, classes } = whole.train;
  const { model, options, wanted } = await makeModel(build, shape[0], classes, flags);
  const built = { build, options, numClasses: classes.length };
  const size = sizeFor(built, shape, flags);
  checkFit(built, [shape[0], ...size], flags);
  if (size.join() !== shape.slice(1).join() && json !== true) {
    print(
      `pictures of ${shape.slice(1).join(' × ')} are brought to ${size.join(' × ')}, the size that ${flags.size === undefined ? `${build.modelName} takes` : '--size asks for'}`,
    );
  }
  const data = await divideMemory(whole, choice, format, { seed, size, normalize: null });
  const fits = wanted !== null && wanted.mean.length === shape[0];
  const input = fits ? { ...data.input, mean: [...wanted.mean], std: [...wanted.std] } : data.input;
  return { data: { ...data, input }, choice, classes, model, options };
}

/** What the user asks for; else the pictures' own size where the model takes it, and the model's where not. */
function sizeFor(built: Built, shape: readonly number[], { size }: Flags): readonly [height: number, width: number] {
  if (size !== undefined) return [size, size];
  const [height, width] = misfit(built, shape) === null ? shape.slice(1) : built.build.input.slice(1);
  return [height, width];
}

export async function prepareFiles(build: ModelBuilder, choice: DataChoice, flags: Flags): Promise<Prepared> {
  const set = await openFiles(build, choice);
  const { classes } = set;
  if (set.format === 'folder' && classes.length === 1) throw new UsageError(oneClass(choice.source, set));
  const channels = await channelsOf(set, build, flags);
  const { model, options, wanted } = await makeModel(build, channels, classes, flags);
  const preprocessing = preprocessingFor(build, wanted, { channels, size: flags.size, statistics: flags.statistics });
  checkFit({ build, options, numClasses: classes.length }, [channels, ...preprocessing.crop], flags);
  const chosen = { ...choice, transforms: augmentation(preprocessing, flags) };
  const report = new LookReport(flags.json === true);
  const data = await beginPictures(set, chosen, preprocessing, { ...flags, ...report.hooks() });
  report.close(data);
  return { data, choice: chosen, classes, model, options };
}

/** A folder of one folder: a class that was named instead of all of them, or classes that lie deeper. */
function oneClass(path: string, { classes: [name], samples }: PictureSet): string {
  const deeper = new Set(samples.map((sample) => sample.name.split('/').slice(0, -1)[1] ?? ''));
  const hint =
    deeper.size > 1 && !deeper.has('')
      ? `If its folders are the classes, name it: fovea train ${join(path, name)}`
      : `Name the folder that has a folder for each class.`;
  return `${path} has pictures in one folder only, ${name}: one class, and so nothing to tell apart. ${hint}`;
}

/** @throws {UsageError} where what lies there is clips to somebody else */
async function openFiles(build: ModelBuilder, choice: DataChoice): Promise<PictureSet> {
  try {
    const set = await openPictures(choice.source, columnsOf(choice));
    const named = ['pictureColumn', 'labelColumn'] as const;
    const given = named.find((name) => choice[name] !== undefined);
    if (given === undefined || set.format === 'manifest' || set.format === 'parquet') return set;
    throw new UsageError(`${flagName(given)} is for tables and Parquet files. Leave it out.`);
  } catch (error) {
    if (error instanceof ConfigError && (await openClips(choice.source).catch(() => null)) !== null)
      checkKind(build, 'video', choice.source);
    throw error;
  }
}

/** One where every picture is grey (asked of some) and nothing else is wanted, else three. */
async function channelsOf(set: PictureSet, build: ModelBuilder, { option, weights }: Flags): Promise<1 | 3> {
  if (option.inChannels === 1 || option.inChannels === 3) return option.inChannels;
  if (weights !== undefined) return (await channelsOfWeights(weights)) ?? (build.input[0] === 1 ? 1 : 3);
  const asked = 16;
  for (let i = 0; i < asked; i++) {
    const sample = set.samples[Math.floor((i * set.samples.length) / asked)];
    if (sample?.source.kind !== 'file') return 3;
    const picture = await decodeImage(sample.source.path, { channels: 3 }).catch(() => null);
    if (picture !== null && !isGrey(picture.data)) return 3;
  }
  return 1;
}

/** What a file of weights says of the pictures it wants; null where it says nothing. */
async function channelsOfWeights(file: string): Promise<1 | 3 | null> {
  const facts = await withWeightsFile(file, {}, ({ metadata }) => readFacts(metadata));
  const channels = facts.preprocessing?.mean.length;
  return channels === 1 || channels === 3 ? channels : null;
}

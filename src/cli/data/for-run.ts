/** The samples of a run, opened again: the very ones it was begun with, or others to measure it on. */

import { type Dataset, openPictures, withClasses } from '../../data/all.node.js';
import type { RunConfig, RunFolder } from '../../io/all.node.js';
import { importedName } from '../../io/imported.node.js';
import { findModel, type ModelBuilder } from '../../models/index.js';
import type { DataSummary } from '../../report/index.js';
import { LookReport } from '../train/look-report.js';
import { UsageError } from '../usage.js';
import { divideArrays, readArrays, testArrays } from './arrays.js';
import { checkUnchanged, chooseData, columnsOf, type DataChoice, formatOfChoice, fromJson } from './choice.js';
import { reopenClips, testClips } from './clips.js';
import { checkKind, kindOf } from './kinds.js';
import { openMemory } from './memory.js';
import type { OpenedData } from './opened.js';
import { type PictureFlags, reopenPictures, testPictures } from './pictures.js';
import { divideTexts, openTable, readVocabulary, testTexts } from './texts.js';

export interface ForRunFlags extends PictureFlags {
  readonly json?: boolean;
  /** Only the first so many of the test. */
  readonly limit?: number;
  /** Labels need not be among the run's classes: what the model says is not asked. */
  readonly anyClasses?: boolean;
  /** Decides which samples `limit` leaves of other data; left out, the run's. */
  readonly sampleSeed?: number;
}

/** The parts that a run was begun with. @throws {UsageError} where the files have changed since */
export async function reopenData(folder: RunFolder, choice: DataChoice, flags: ForRunFlags): Promise<OpenedData> {
  const { path, config } = folder;
  const { seed, input } = config;
  const format = await formatOfChoice(choice);
  switch (format) {
    case 'pictures': {
      const hooks = new LookReport(flags.json === true).hooks();
      return reopenPictures(path, choice, folder.preprocessing, { ...flags, seed, ...hooks });
    }
    case 'clips':
      return reopenClips(path, choice, input, { ...flags, seed });
    case 'arrays': {
      await checkUnchanged(choice);
      const read = await readArrays(choice, modelOf(config));
      return { ...(await divideArrays(read, choice, { seed, normalize: input })), input };
    }
    case 'texts': {
      await checkUnchanged(choice);
      const vocabulary = await readVocabulary(path);
      return { ...divideTexts(await openTable(choice), choice, { seed, vocabulary }), input };
    }
    default:
      return { ...(await openMemory(choice, format, { seed, normalize: input, size: sizeOf(input) })), input };
  }
}

/** What the model of a run takes; a network that was imported takes pictures. */
export function modelOf({ model: { name } }: RunConfig): Pick<ModelBuilder, 'modelName' | 'inputKind'> {
  return name === importedName ? { modelName: 'the imported network' } : findModel(name);
}

/** Samples to measure a run on. */
export interface Measurable {
  /** Labels are those of the run's classes. */
  readonly dataset: Dataset;
  readonly part: 'test' | 'validation';
  readonly source: string;
  readonly summary: DataSummary | null;
  close(): Promise<void>;
}

/** Other samples, by what the user calls them; or the run's own test, or what it watched where it has none. @throws {UsageError} */
export async function openForRun(name: string | undefined, folder: RunFolder, flags: ForRunFlags): Promise<Measurable> {
  const own = name === undefined ? fromJson(folder.config.data) : null;
  const choice = own ?? (await chooseData(name!, modelOf(folder.config).inputKind));
  const { source } = choice;
  const limited = flags.limit === undefined ? choice : { ...choice, testLimit: flags.limit };
  const opened = own === null ? await openOthers(limited, folder, flags) : await reopenData(folder, limited, flags);
  const { summary, close } = opened;
  const dataset = opened.test ?? opened.validation;
  if (dataset === null) {
    await close();
    throw new UsageError(
      `${folder.path} was trained without pictures for a test. Name some: fovea eval ${folder.path} FOLDER`,
    );
  }
  try {
    const labelled = flags.anyClasses ? dataset : withClasses(dataset, folder.config.classes);
    return { dataset: labelled, part: opened.test === null ? 'validation' : 'test', source, summary, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openOthers(choice: DataChoice, folder: RunFolder, flags: ForRunFlags): Promise<OpenedData> {
  const { config } = folder;
  const { input, classes } = config;
  const seed = flags.sampleSeed ?? config.seed;
  const model = modelOf(config);
  const format = await formatOfChoice(choice);
  if (format !== 'arrays') checkKind(model, kindOf[format], choice.source);
  switch (format) {
    case 'pictures': {
      const hooks = new LookReport(flags.json === true).hooks();
      const columns = columnsOf((config.data ?? {}) as Partial<DataChoice>);
      return testPictures(await openPictures(choice.source, columns), folder.preprocessing, {
        ...flags,
        seed,
        ...hooks,
      });
    }
    case 'clips': {
      const report = new LookReport(flags.json === true);
      return testClips(choice, input, { ...flags, seed, onLeftOut: (name, reason) => report.leftOut(name, reason) });
    }
    case 'arrays': {
      const { layout } = (config.data ?? {}) as Partial<DataChoice>;
      // Labels are places among the run's classes, unless those are called by numbers themselves.
      const named = classes.some((name) => /^\d+$/.test(name)) ? undefined : classes;
      const read = await readArrays({ ...choice, layout }, model, named);
      checkShape(read.parts.train.shape, input.shape, choice.source);
      return testArrays(read, choice, seed);
    }
    case 'texts': {
      const { textColumn, labelColumn } = (config.data ?? {}) as Partial<DataChoice>;
      const set = await openTable({ ...choice, textColumn, labelColumn });
      return testTexts(set, choice, seed, await readVocabulary(folder.path));
    }
    default:
      return openMemory(choice, format, { seed, normalize: input, size: sizeOf(input) });
  }
}

/** Height and width of the pictures that the run's model takes. */
function sizeOf({ shape }: RunConfig['input']): readonly [height: number, width: number] {
  return [shape[1], shape[2]];
}

function checkShape(own: readonly number[], wanted: readonly number[], source: string): void {
  if (own.join() === wanted.join()) return;
  throw new UsageError(`${source} has samples of [${own.join(', ')}]; the run was trained with [${wanted.join(', ')}]`);
}

/** The samples of a run, opened again: the very ones it was begun with, or others to measure it on. */

import { type Dataset, openPictures, withClasses } from '../../data/all.node.js';
import type { RunFolder } from '../../io/all.node.js';
import type { DataSummary } from '../../report/index.js';
import { LookReport } from '../train/look-report.js';
import { UsageError } from '../usage.js';
import { chooseData, type DataChoice, formatOfChoice, fromJson } from './choice.js';
import { openMemory } from './memory.js';
import type { OpenedData } from './opened.js';
import { type PictureFlags, reopenPictures, testPictures } from './pictures.js';

export interface ForRunFlags extends PictureFlags {
  readonly json?: boolean;
  /** Only the first so many of the test. */
  readonly limit?: number;
}

/** The parts that a run was begun with. */
export async function reopenData(folder: RunFolder, choice: DataChoice, flags: ForRunFlags): Promise<OpenedData> {
  const { seed, input } = folder.config;
  const format = await formatOfChoice(choice);
  if (format !== 'pictures') return { ...(await openMemory(choice, format, { seed, normalize: null })), input };
  const hooks = new LookReport(flags.json === true).hooks();
  return reopenPictures(folder.path, choice, folder.preprocessing, { ...flags, seed, ...hooks });
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
  const choice = own ?? (await chooseData(name!));
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
    const labelled = withClasses(dataset, folder.config.classes);
    return { dataset: labelled, part: opened.test === null ? 'validation' : 'test', source, summary, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openOthers(choice: DataChoice, folder: RunFolder, flags: ForRunFlags): Promise<OpenedData> {
  const { seed } = folder.config;
  const format = await formatOfChoice(choice);
  if (format !== 'pictures') return openMemory(choice, format, { seed, normalize: null });
  const hooks = new LookReport(flags.json === true).hooks();
  return testPictures(await openPictures(choice.source), folder.preprocessing, { ...flags, seed, ...hooks });
}

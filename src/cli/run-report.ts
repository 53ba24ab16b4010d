/** The HTML report of a run: what its folder knows, beside an evaluation. */

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Dataset, sampleName, sampleText } from '../data/index.js';
import type { Json, JsonObject } from '../io/index.js';
import type { RunFolder } from '../io/index.node.js';
import type { DataSummary, ReportContent } from '../report/index.js';
import type { Evaluation } from '../train/index.js';
import { version } from './version.js';

export interface RunReport {
  readonly folder: RunFolder;
  readonly evaluation: Evaluation;
  /** What was measured on. */
  readonly dataset: Dataset;
  /** What the data is called. */
  readonly data: string;
  readonly parameters?: number;
  readonly weights?: string;
  readonly device?: string;
  readonly threads?: number;
  readonly summary?: DataSummary | null;
  readonly learningRates?: ReportContent['learningRates'];
  /** How the evaluation is made again; the training is known. */
  readonly command: string;
}

/** Writes one HTML file. @throws {FileError} if it cannot */
export async function writeRunReport(
  file: string,
  {
    folder,
    evaluation,
    dataset,
    data,
    parameters,
    weights,
    device,
    threads,
    summary,
    learningRates,
    command,
  }: RunReport,
): Promise<{ sizeBytes: number }> {
  const { parseHistory, picturesOf, writeReport } = await import('../report/index.node.js');
  const { config } = folder;
  const metrics = await readFile(folder.metricsPath, 'utf8').catch(() => '');
  const train = trainCommand(folder);
  return writeReport(file, {
    model: config.model.name,
    data: basename(data),
    evaluation,
    facts: {
      parameters,
      input: config.input.shape,
      weights,
      device,
      threads,
      seed: config.seed,
      version: await version(),
    },
    history: parseHistory(metrics),
    watched: (await watchesValidation(folder)) ? 'validation' : 'test',
    learningRates,
    summary,
    config: config as unknown as JsonObject,
    commands: train === null ? [command] : [train, command],
    nameOf: (index) => sampleName(dataset, index),
    textOf: (index) => sampleText(dataset, index),
    pictureOf: picturesOf(dataset),
  });
}

/** Whether samples were set aside to watch: asked for, or kept in the run as a part of its own. */
async function watchesValidation({ path, config }: RunFolder): Promise<boolean> {
  if (config.data?.validation !== undefined) return true;
  const text = await readFile(join(path, 'data.json'), 'utf8').catch(() => null);
  const parts = text === null ? null : (JSON.parse(text) as { validation?: unknown });
  return Array.isArray(parts?.validation) && parts.validation.length > 0;
}

/** The command that trains this run again, from its config.json; null for a network that was imported. */
export function trainCommand({ path, config }: Pick<RunFolder, 'path' | 'config'>): string | null {
  const { model, training, data = {}, seed } = config;
  if (typeof data.source !== 'string' || Object.keys(training).length === 0) return null;
  const { source, format: _format, transforms: _transforms, ...choice } = data;
  const { numClasses: _, ...options } = model.options as JsonObject;
  const words = ['fovea', 'train', quoted(source as string), '--model', quoted(model.name)];
  for (const [name, value] of Object.entries(options)) words.push('--option', quoted(`${name}=${value}`));
  for (const [name, value] of Object.entries({ ...choice, ...training })) words.push(...flag(name, value));
  words.push('--seed', String(seed), '--out', quoted(path));
  return words.join(' ');
}

/** batchSize: 64 → --batch-size 64; a list is the option several times. */
function flag(name: string, value: Json | undefined): string[] {
  const option = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (value === true) return [option];
  if (typeof value === 'string' || typeof value === 'number') return [option, quoted(String(value))];
  return Array.isArray(value) ? value.flatMap((one) => flag(name, one)) : [];
}

/** For a shell: what is more than a plain word stands in single quotes. */
export function quoted(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

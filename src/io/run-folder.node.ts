/**
 * A run's folder: everything a training leaves behind, each file written whole or not at all.
 *
 *     config.json                    what was trained on what, checked when read
 *     model.safetensors              the finished (best) weights, for anybody who reads safetensors
 *     metrics.jsonl                  one JSON object a line, appended as training goes
 *     checkpoint/last.safetensors    all that resuming needs: weights, optimiser state, position — in one file,
 *     checkpoint/best.safetensors    so no kill can leave the weights of one step beside the position of another
 */

import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Preprocessing, registry } from '../models/index.js';
import { ConfigError, FormatError, suggest } from '../util/errors.js';
import { makeFolder, removeLeftovers, writeFileAtomic } from './atomic.node.js';
import { FileError, fileError } from './file-error.node.js';
import { writeFit } from './fit.js';
import type { HostTensor } from './host-tensor.js';
import { readSafetensors, writeSafetensors } from './safetensors.node.js';
import {
  anyObject,
  array,
  type Checked,
  integer,
  type JsonObject,
  literal,
  number,
  object,
  parseJson,
  string,
} from './schema.js';
import { countsBatches, resizeSchema, writeFacts } from './weights-metadata.js';

const configSchema = object(
  {
    format: literal('fovea-run'),
    version: literal(1),
    model: object({ name: string, options: anyObject }),
    /**
     * One sample as the model takes it: a picture [C, H, W], a clip [C, D, H, W], a text [L]. How bytes become its numbers: (byte / 255 − mean) / std
     * per channel; a text has no channels, and neither.
     */
    input: object(
      {
        shape: array(integer({ min: 1 })),
        mean: array(number()),
        std: array(number({ min: 1e-12 })),
      },
      /** Of weights that want more of a picture than to be brought to that size: first the shorter side (or both) to `resize`, then the middle. */
      { resize: resizeSchema, interpolation: literal('bilinear', 'bicubic') },
    ),
    /** In the order of the model's outputs. */
    classes: array(string),
    seed: integer({ min: 0 }),
    /** The trainer's own settings: optimiser, schedule, epochs, batch size … */
    training: anyObject,
  },
  {
    /** Where the pictures came from. */
    data: anyObject,
    /** When, by which version of fovea. */
    made: anyObject,
  },
);

export type RunConfig = Checked<typeof configSchema>;

/** The two checkpoints a run keeps. */
export type CheckpointName = 'last' | 'best';

export interface Checkpoint {
  readonly tensors: Map<string, HostTensor>;
  /** The trainer's position and counters: plain JSON. */
  readonly state: JsonObject;
}

export class RunFolder {
  private constructor(
    readonly path: string,
    readonly config: RunConfig,
  ) {}

  /** Makes the folder and its config.json. @throws {ConfigError} if the folder already holds a run. */
  static async create(path: string, config: RunConfig): Promise<RunFolder> {
    const checked = checkConfig(config, 'config.json:');
    if (await exists(join(path, 'config.json'))) {
      throw new ConfigError(`${path} already holds a run: resume that one, or choose another folder`);
    }
    await makeFolder(path);
    await makeFolder(join(path, 'checkpoint'));
    await writeFileAtomic(join(path, 'config.json'), `${JSON.stringify(checked, null, 2)}\n`);
    return new RunFolder(path, checked);
  }

  /** Opens a run, and clears away what a killed process left half-written. @throws {FormatError} saying what in config.json is wrong. */
  static async open(path: string): Promise<RunFolder> {
    const file = join(path, 'config.json');
    if (!(await exists(file))) {
      throw new FileError(await noRun(path), path, 'ENOENT');
    }
    const config = parseJson(await readText(file), checkConfig, file);
    const run = new RunFolder(path, config);
    await makeFolder(join(path, 'checkpoint'));
    await removeLeftovers(path);
    await removeLeftovers(join(path, 'checkpoint'));
    return run;
  }

  get modelPath(): string {
    return join(this.path, 'model.safetensors');
  }

  get metricsPath(): string {
    return join(this.path, 'metrics.jsonl');
  }

  /** What pictures go through before the model of this run sees them. */
  get preprocessing(): Preprocessing {
    const { shape, mean, std, resize, interpolation = 'bilinear' } = this.config.input;
    const [height, width] = shape.slice(-2);
    return { resize: resize ?? Math.min(height, width), crop: [height, width], interpolation, mean, std };
  }

  /** The finished weights: a file that stands by itself, for `loadModel` and `fovea predict` as for PyTorch. */
  async writeModel(tensors: Iterable<readonly [string, HostTensor]>): Promise<void> {
    const { model, classes, input } = this.config;
    // A network that was imported is no model of the registry: its weights alone cannot build it again.
    const built = registry.some(({ modelName, aliases }) => modelName === model.name || aliases?.includes(model.name));
    const named = { name: model.name, options: { ...model.options, numClasses: classes.length } };
    const preprocessing = input.shape.length >= 3 ? this.preprocessing : null; // signals and texts go through none
    const facts = writeFacts({ model: built ? named : null, preprocessing, classes });
    // `format: pt` is what other readers of safetensors look for before they accept a file.
    const fit = writeFit(this.config.input.resize === undefined ? 'contain' : 'crop');
    await writeSafetensors(this.modelPath, tensors, { format: 'pt', ...facts, ...fit }, { int64: countsBatches });
  }

  /** Whether the finished weights are there. */
  hasModel(): Promise<boolean> {
    return exists(this.modelPath);
  }

  async readModel(): Promise<Map<string, HostTensor>> {
    return (await readSafetensors(this.modelPath)).tensors;
  }

  async saveCheckpoint(
    name: CheckpointName,
    tensors: Iterable<readonly [string, HostTensor]>,
    state: JsonObject,
  ): Promise<void> {
    await writeSafetensors(this.#checkpointPath(name), tensors, { 'fovea.state': JSON.stringify(state) });
  }

  /** Null when that checkpoint was never saved. @throws {FormatError} if the file is damaged or not a checkpoint. */
  async loadCheckpoint(name: CheckpointName): Promise<Checkpoint | null> {
    const file = this.#checkpointPath(name);
    if (!(await exists(file))) return null;
    const { tensors, metadata } = await readSafetensors(file);
    const state = metadata['fovea.state'];
    if (state === undefined)
      throw new FormatError(`${file}: not a checkpoint of fovea: its metadata has no 'fovea.state'`);
    return { tensors, state: parseJson(state, anyObject, `${file}: fovea.state`) };
  }

  /** Adds one line to metrics.jsonl. A torn last line, left by a kill in the middle of a write, is cut off first. */
  async appendMetrics(record: JsonObject): Promise<void> {
    try {
      const handle = await open(this.metricsPath, 'a+');
      try {
        if (!this.#metricsAreWhole) await cutTornLine(handle);
        this.#metricsAreWhole = true;
        await handle.appendFile(`${JSON.stringify(record)}\n`);
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw fileError('append to', this.metricsPath, error);
    }
  }

  #metricsAreWhole = false;

  /** Every record so far; none when there is no file yet. A torn last line is left out. @throws {FormatError} naming the line. */
  async readMetrics(): Promise<JsonObject[]> {
    if (!(await exists(this.metricsPath))) return [];
    const text = await readText(this.metricsPath);
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.flatMap((line, i) =>
      line === '' ? [] : [parseJson(line, anyObject, `${this.metricsPath}:${i + 1}`)],
    );
  }

  /** Keeps only the records that `keep` accepts: resuming from a checkpoint drops what was logged after it. */
  async rewindMetrics(keep: (record: JsonObject) => boolean): Promise<void> {
    const records = await this.readMetrics();
    const kept = records.filter(keep);
    await writeFileAtomic(this.metricsPath, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
    this.#metricsAreWhole = true;
  }

  #checkpointPath(name: CheckpointName): string {
    return join(this.path, 'checkpoint', `${name}.safetensors`);
  }
}

/** The schema, and the one rule between two fields: a value for each channel, or none at all. */
function checkConfig(value: unknown, where: string): RunConfig {
  const config = configSchema(value, where);
  const { shape, mean, std } = config.input;
  for (const [name, list] of Object.entries({ mean, std })) {
    if (list.length !== shape[0] && list.length > 0) {
      throw new FormatError(`${where} input.${name} has ${list.length} values, input.shape has ${shape[0]} channels`);
    }
  }
  return config;
}

/** Cuts the file after its last line break, found from the end: the file may be long. */
async function cutTornLine(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const block = Buffer.alloc(1 << 16);
  for (let end = size; end > 0; end = Math.max(0, end - block.length)) {
    const start = Math.max(0, end - block.length);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    const lineBreak = block.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (lineBreak < 0) continue;
    if (start + lineBreak + 1 < size) await handle.truncate(start + lineBreak + 1);
    return;
  }
  if (size > 0) await handle.truncate(0);
}

/** Why there is none, with a name beside it that may be meant. */
async function noRun(path: string): Promise<string> {
  if (await exists(path)) return `${path} holds no run: there is no config.json in it`;
  const beside = await readdir(dirname(path)).catch(() => []);
  const near = suggest(basename(path), beside);
  return `${path} is not there${near === null ? '' : `. Did you mean ${join(dirname(path), near)}?`}`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw fileError('read', path, error);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
}

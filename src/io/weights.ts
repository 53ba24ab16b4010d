/**
 * Weights in and out of models: `loadWeights` takes files of any format of `readers`, under the model's own names or others that its family has a
 * table for; `encodeWeights` writes safetensors that PyTorch and timm load unchanged. Loading compares all names and shapes, then reads all
 * values, then changes the model: where something is wrong, nothing has changed.
 */

import {
  builderOf,
  type ModelBuilder,
  type Preprocessing,
  preprocessing as preprocessingOf,
  type RemapTable,
  remap,
  remapFor,
  type Stored,
} from '../models/index.js';
import type { Module } from '../nn/index.js';
import {
  describeProblems,
  matchState,
  type StateEntry,
  type StateMatch,
  type StateSlot,
  takeFits,
} from '../nn/state.js';
import { realize } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { numel, type Shape, sameShape } from '../util/shape.js';
import type { BytesLike } from './byte-source.js';
import { sharedPrefix } from './pytorch/index.js';
import { encodeSafetensors } from './safetensors.js';
import { type OpenOptions, openWeights, type WeightsEntry, type WeightsFile } from './weights-file.js';
import { countsBatches, isJson, type ModelName, readFacts, writeFacts } from './weights-metadata.js';

export interface LoadWeightsOptions extends OpenOptions {
  /** false: load what fits, whatever is missing, left over or of another shape; the report says what. Left out: everything must fit. */
  readonly strict?: boolean;
  /**
   * The layers whose size is the number of classes. 'load': from the file. 'drop': the model keeps its own, for other classes than the file's.
   * 'dropBackground': from a file of TensorFlow, whose class 0 of one more is "background". Left out: 'load'.
   */
  readonly head?: 'load' | 'drop' | 'dropBackground';
  /** Only names that begin with it are taken, without it: 'backbone.' of a detector. */
  readonly prefix?: string;
  /** Tables of other names, instead of those of the model's family. */
  readonly remaps?: readonly RemapTable[];
}

/** What came of loading. `toString()` is the whole of it to read. */
export class LoadReport {
  constructor(
    private readonly facts: {
      readonly model: string;
      readonly format: string;
      readonly match: StateMatch;
      readonly table: RemapTable | null;
      readonly path: string;
      readonly prefix: string;
      readonly kept: readonly string[];
      readonly skipped: readonly string[];
    },
    /** Text that the file carries. */
    readonly metadata: Readonly<Record<string, string>>,
    /** What pictures must go through for these weights: as the file says, else as its model's facts do; null where neither knows. */
    readonly preprocessing: Preprocessing | null,
    /** Names of the outputs, in order; null where the file has none, or its head was not taken. */
    readonly classes: readonly string[] | null,
    /** What else the file holds: 'optimizer', 'epoch' … */
    readonly other: readonly string[],
  ) {}

  /** Paths in the model that have the file's values now. */
  get loaded(): string[] {
    return this.facts.match.fits.map(([path]) => path);
  }

  /** In the model, not in the file. */
  get missing(): string[] {
    return this.facts.match.problems.missing;
  }

  /** In the file, not in the model. */
  get unexpected(): string[] {
    return this.facts.match.problems.unexpected;
  }

  /** In both, with different shapes. */
  get mismatched(): string[] {
    return this.facts.match.problems.mismatched;
  }

  /** Paths in the model that kept their values on purpose: a head for other classes, auxiliary heads that the file is without. */
  get kept(): readonly string[] {
    return this.facts.kept;
  }

  /** In the file, left out on purpose: its head, heads that only training uses, names without the prefix. */
  get skipped(): readonly string[] {
    return this.facts.skipped;
  }

  get format(): string {
    return this.facts.format;
  }

  /** Whose names the file has: 'torchvision', 'timm' …; null where they are the model's own. */
  get source(): string | null {
    return this.facts.table?.source ?? null;
  }

  toString(): string {
    const { model, format, match, path, prefix, table, kept, skipped } = this.facts;
    const from = [
      path === '' ? '' : `its '${path}'`,
      prefix === '' ? '' : `'${prefix}' taken off the names`,
      table === null ? '' : `names of ${table.source}`,
    ].filter((text) => text !== '');
    const details = from.length === 0 ? '' : ` (${from.join(', ')})`;
    const line = (label: string, names: readonly string[]) =>
      names.length === 0 ? [] : [`  ${label.padEnd(12)}${shortened(names)}`];
    return [
      `${model}: ${match.fits.length} of ${match.slots.length} tensors loaded from ${format}${details}`,
      ...describeProblems(match, { what: 'file' }),
      ...line('kept', kept),
      ...line('left out', skipped),
      ...line('beside them', this.other),
    ].join('\n');
  }
}

/**
 * Gives `model` the weights in a file's bytes. Counts of batches may be missing, as in files from before 2018.
 * @throws {FormatError} with the offset for a damaged, hostile or unknown file. @throws {ConfigError} that lists what does not fit, with the
 * nearest names and what to do; in both cases nothing was changed.
 */
export async function loadWeights(
  model: Module,
  file: BytesLike | Blob,
  options: LoadWeightsOptions = {},
): Promise<LoadReport> {
  const bytes = file instanceof Blob ? await file.arrayBuffer() : file;
  return takeWeights(model, openWeights(bytes, options), options);
}

/** `loadWeights` from an opened file. */
export function takeWeights(model: Module, file: WeightsFile, options: LoadWeightsOptions = {}): LoadReport {
  const { strict = true, head = 'load' } = options;
  const slots = model.stateSlots();
  const builder = builderOf(model)?.builder ?? null;
  const facts = readFacts(file.metadata);
  const named = ownNames(file, slots, options.prefix);
  const table = remapFor(named.entries.keys(), options.remaps ?? builder?.remaps ?? []);
  const entries = remap(new Map(Array.from(named.entries, ([name, entry]) => [name, lazily(entry)])), table) as Map<
    string,
    StateEntry
  >;
  const heads = headPaths(builder, slots, head);
  if (head === 'dropBackground') withoutBackground(entries, slots, heads);

  const isDropped = (path: string) => head === 'drop' && isBelow(path, heads);
  const isForTraining = (path: string) => builder?.trainingOnly?.test(path) === true;
  const stays = ({ paths }: StateSlot) =>
    isDropped(paths[0]) || (isForTraining(paths[0]) && !paths.some((path) => entries.has(path)));
  const kept = slots.filter(stays).map(({ paths }) => paths[0]);
  const wanted = slots.filter((slot) => !stays(slot));
  const known = new Set(wanted.flatMap((slot) => slot.paths));
  const skipped = [...entries.keys()].filter((path) => !known.has(path) && (isDropped(path) || isForTraining(path)));
  for (const path of skipped) entries.delete(path);

  const match = matchState(wanted, entries);
  const { missing, unexpected, mismatched } = match.problems;
  if ((strict && missing.length + unexpected.length + mismatched.length > 0) || match.fits.length === 0) {
    throw new ConfigError(
      [
        `loadWeights: the ${file.format} file does not fit ${builder?.modelName ?? model.constructor.name}`,
        ...describeProblems(match, { what: 'file' }),
        `  ${advice(match, heads, builder)}`,
      ].join('\n'),
    );
  }
  takeFits(match);
  return new LoadReport(
    {
      model: builder?.modelName ?? model.constructor.name,
      format: file.format,
      match,
      table,
      path: file.path,
      prefix: named.prefix,
      kept,
      skipped: [...named.skipped, ...skipped],
    },
    file.metadata,
    facts.preprocessing ?? (builder === null ? null : publishedPreprocessing(builder)),
    head === 'drop' ? null : facts.classes,
    file.other,
  );
}

/** What pictures go through for a model's published weights; null for a model that takes no pictures of three channels. */
export function publishedPreprocessing({
  preprocessing,
  input,
  inputKind = 'picture',
}: ModelBuilder): Preprocessing | null {
  if (preprocessing !== undefined) return preprocessing;
  return inputKind === 'picture' && input[0] === 3 && input[1] === input[2] ? preprocessingOf(input[1]) : null;
}

// —— names ——

interface Named {
  readonly entries: ReadonlyMap<string, WeightsEntry>;
  readonly prefix: string;
  readonly skipped: readonly string[];
}

/** The file's entries without the wrappers' prefix; with it where the model's own names begin so. */
function ownNames(file: WeightsFile, slots: readonly StateSlot[], prefix: string | undefined): Named {
  const whole = new Map(Array.from(file.entries, ([name, entry]) => [file.prefix + name, entry]));
  if (prefix !== undefined) {
    const taken = [...whole].filter(([name]) => name.startsWith(prefix));
    if (taken.length === 0) {
      const first = [...whole.keys()].slice(0, 3).join(', ');
      throw new ConfigError(`loadWeights: no name in the file begins with '${prefix}'; they are ${first} …`);
    }
    const skipped = [...whole.keys()].filter((name) => !name.startsWith(prefix));
    return { entries: new Map(taken.map(([name, entry]) => [name.slice(prefix.length), entry])), prefix, skipped };
  }
  const shared = sharedPrefix([...whole.keys()]);
  if (shared === '' || slots.some(({ paths }) => paths.some((path) => path.startsWith(shared)))) {
    return { entries: whole, prefix: '', skipped: [] };
  }
  const entries = new Map(Array.from(whole, ([name, entry]) => [name.slice(shared.length), entry]));
  return { entries, prefix: shared, skipped: [] };
}

/** An entry whose values are read when they are looked at. */
function lazily(entry: WeightsEntry): Stored & { readonly owned: true } {
  return {
    shape: entry.shape,
    owned: true,
    get data() {
      return entry.read().data;
    },
  };
}

// —— heads ——

function headPaths(builder: ModelBuilder | null, slots: readonly StateSlot[], head: string): readonly string[] {
  const heads = builder?.heads ?? [];
  if (head === 'load' || slots.some(({ paths }) => paths.some((path) => isBelow(path, heads)))) return heads;
  throw new ConfigError(
    `loadWeights: head: '${head}' needs a model of the registry, which says where its head is; pass { strict: false } to load what fits`,
  );
}

function isBelow(path: string, layers: readonly string[]): boolean {
  return layers.some((layer) => path.startsWith(`${layer}.`));
}

/** Takes class 0 off the heads of a file that has one class more than the model. */
function withoutBackground(
  entries: Map<string, StateEntry>,
  slots: readonly StateSlot[],
  heads: readonly string[],
): void {
  for (const { tensor, paths } of slots) {
    const path = paths.find((p) => entries.has(p));
    if (path === undefined || !isBelow(path, heads)) continue;
    const entry = entries.get(path) as Stored;
    const [rows, ...rest] = tensor.shape;
    if (!sameShape(entry.shape, [rows + 1, ...rest])) continue;
    entries.set(path, {
      shape: tensor.shape,
      get data() {
        return Array.prototype.slice.call(entry.data, numel(rest));
      },
    });
  }
}

// —— what to do ——

function advice(match: StateMatch, heads: readonly string[], builder: ModelBuilder | null): string {
  const { problems, mismatched, entries } = match;
  const { missing, unexpected } = problems;
  const onlyHeads = problems.mismatched.length > 0 && problems.mismatched.every((path) => isBelow(path, heads));
  if (onlyHeads && missing.length + unexpected.length === 0) {
    const ours = mismatched[0].tensor.shape[0];
    const theirs = entries.get(problems.mismatched[0])!.shape[0];
    const background =
      theirs === ours + 1 ? ", or { head: 'dropBackground' } if class 0 is TensorFlow's background" : '';
    return (
      `The file has ${theirs} classes, the model ${ours}: build the model with { numClasses: ${theirs} }, or pass { head: 'drop' } to load all ` +
      `but the head${background}.`
    );
  }
  if (match.fits.length === 0) {
    const name = builder === null ? 'this model' : `a ${builder.modelName}`;
    return `No tensor fits: these are not the weights of ${name}. recognise(file) says whose they are.${listing}`;
  }
  if (problems.mismatched.length > 0 && missing.length + unexpected.length === 0) {
    return `Build the model with the sizes of the file, or pass { strict: false } to load what fits.${listing}`;
  }
  return `Pass { strict: false } to load what fits, { remaps } if the names are others for the same weights.${listing}`;
}

/** For those who come from the command line. */
const listing = ' `fovea inspect FILE` lists what is in it.';

function shortened(names: readonly string[]): string {
  const shown = names.slice(0, 6).join(', ');
  return names.length > 6 ? `${shown} and ${names.length - 6} more` : shown;
}

// —— writing ——

export interface SaveWeightsOptions {
  /** What pictures must go through. Left out: what the model's facts say of its published weights. */
  readonly preprocessing?: Preprocessing;
  /** What the outputs are called, in order. */
  readonly classes?: readonly string[];
  /** More text to carry. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * The bytes of a safetensors file with the model's weights, in pieces: names as they are, counts of batches as int64, so that PyTorch and timm
 * load it unchanged. The metadata say which model it is, its preprocessing and its classes: `loadModel` needs nothing else.
 * @throws {ConfigError} if there are not as many class names as classes
 */
export async function encodeWeights(model: Module, options: SaveWeightsOptions = {}): Promise<Uint8Array[]> {
  const { classes = null, metadata = {} } = options;
  const origin = builderOf(model);
  if (origin !== null && classes !== null && (origin.builder.task ?? 'classification') === 'classification') {
    const outputs = origin.options.numClasses ?? origin.builder.numClasses;
    if (classes.length !== outputs) {
      throw new ConfigError(
        `saveWeights: ${classes.length} names of classes for ${outputs} outputs of ${origin.builder.modelName}`,
      );
    }
  }
  const preprocessing = options.preprocessing ?? (origin === null ? null : publishedPreprocessing(origin.builder));
  const state = Object.entries(model.stateDict());
  await realize(...state.map(([, tensor]) => tensor));
  const tensors = await Promise.all(
    state.map(
      async ([name, t]) => [name, { dtype: t.dtype, shape: t.shape, data: t.peek() ?? (await t.data()) }] as const,
    ),
  );
  const facts = writeFacts({ model: rebuildable(model), preprocessing, classes });
  // `format: pt` is what other readers of safetensors look for before they accept a file.
  return encodeSafetensors(tensors, { format: 'pt', ...facts, ...metadata }, { int64: countsBatches });
}

/** By which name and options the model can be built again; null if that would give other tensors, as after folding batch norms. */
export function rebuildable(model: Module): ModelName | null {
  const origin = builderOf(model);
  if (origin === null || !isJson(origin.options)) return null;
  const shapes = (m: Module): Map<string, Shape> =>
    new Map(Object.entries(m.stateDict()).map(([name, t]) => [name, t.shape]));
  const [own, fresh] = [shapes(model), shapes(origin.builder(origin.options))];
  const same = own.size === fresh.size && [...own].every(([name, shape]) => sameShape(shape, fresh.get(name) ?? [-1]));
  return same ? { name: origin.builder.modelName, options: origin.options } : null;
}

/**
 * Which network a file of weights is for, told from the names and shapes in it. Every family's table of other names is tried on the file; what is
 * left then are models whose head the file has. Their number of parameters — with the file's number of classes put at theirs — sorts them,
 * so that the right one is among the first few that are built and compared tensor by tensor.
 */

import {
  findModel,
  type ModelBuilder,
  type ModelOptions,
  type RemapRule,
  registry,
  remapFor,
  remapName,
} from '../models/index.js';
import type { Module } from '../nn/index.js';
import { withModuleLimit } from '../nn/module.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { numel, type Shape, sameShape } from '../util/shape.js';
import type { BytesLike } from './byte-source.js';
import { sharedPrefix } from './pytorch/index.js';
import { type LoadReport, type LoadWeightsOptions, takeWeights } from './weights.js';
import { openWeights, type WeightsFile } from './weights-file.js';
import { type ModelName, readFacts } from './weights-metadata.js';

export interface Recognition {
  readonly builder: ModelBuilder;
  /** Where they are not the builder's own: classes and channels as the file has them. */
  readonly options: ModelOptions;
  /** Other models of the same names and shapes: what they compute differs, their files do not. */
  readonly alternatives: readonly string[];
  /** In words. */
  readonly why: string;
}

export interface RecogniseOptions {
  /** A text that may name the model, the file's name for one: decides between models whose files look the same. */
  readonly hint?: string;
}

/**
 * The model of the registry whose tensors these are. @throws {ConfigError} with the nearest models, if none has all of them and no others.
 */
export function recognise(
  tensors: Iterable<readonly [string, { readonly shape: Shape }]>,
  { hint = '' }: RecogniseOptions = {},
): Recognition {
  const shapes = new Map(Array.from(tensors, ([name, { shape }]) => [name, shape]));
  const prefix = sharedPrefix([...shapes.keys()]);
  const candidates = [shapes, ...(prefix === '' ? [] : [withoutPrefix(shapes, prefix)])].flatMap((named) =>
    registry.flatMap((builder) => candidate(builder, named)),
  );
  candidates.sort((a, b) => a.distance - b.distance);

  const fits: Fit[] = [];
  let best = Number.POSITIVE_INFINITY;
  const tried: Fit[] = [];
  for (const next of candidates.slice(0, mostBuilt)) {
    if (next.distance > best + 1e-9) break; // a model of another size cannot fit as well
    const fit = compare(next);
    tried.push(fit);
    if (fit.share < 1) continue;
    fits.push(fit);
    best = next.distance;
  }
  if (fits.length === 0) throw unknown(tried);
  const [first, ...others] = fits.sort((a, b) => preference(b, hint) - preference(a, hint));
  const { builder, options, source } = first;
  return {
    builder,
    options,
    alternatives: others.map((fit) => fit.builder.modelName),
    why:
      `all ${first.count} tensors are those of ${builder.modelName}` +
      (source === null ? '' : `, under the names of ${source}`) +
      (others.length === 0 ? '' : `, and of ${others.map((fit) => fit.builder.modelName).join(', ')}`),
  };
}

/** Models that are built and compared, at most: one takes some ten milliseconds. */
const mostBuilt = 16;

interface Candidate {
  readonly builder: ModelBuilder;
  /** The file's shapes under the builder's names, in the builder's layout. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Of the names' table, if there is one. */
  readonly source: string | null;
  /** How far the number of parameters is from the builder's, as a share of it. */
  readonly distance: number;
}

interface Fit extends Candidate {
  readonly options: ModelOptions;
  /** Tensors that the file and the model share, of all that either has: 1 is a fit. */
  readonly share: number;
  readonly count: number;
}

const buffers = /(^|\.)(running_mean|running_var|num_batches_tracked)$/;

/** A builder whose head the file has, with the file's names mapped onto its own; none if the file has no such head. */
function candidate(builder: ModelBuilder, named: ReadonlyMap<string, Shape>): Candidate[] {
  const table = remapFor(named.keys(), builder.remaps ?? []);
  const shapes = new Map<string, Shape>();
  for (const [name, shape] of named) {
    const { path, rule } = table === null ? { path: name, rule: null } : remapName(name, table);
    if (path !== null) shapes.set(path, shapeAfter(rule, shape));
  }
  const head = headShape(builder, shapes);
  if (head === null && builder.heads.length > 0) return [];

  let params = 0; // as if the head were of the builder's own number of classes
  const scale = builder.task === 'detection' || head === null ? 1 : builder.numClasses / head[0];
  for (const [path, shape] of shapes) {
    if (!buffers.test(path) && !builder.trainingOnly?.test(path)) {
      params += numel(shape) * (isBelow(path, builder.heads) ? scale : 1);
    }
  }
  return [{ builder, shapes, source: table?.source ?? null, distance: Math.abs(params / builder.params - 1) }];
}

/** The shape that a rule's change of layout gives: tried on a value without numbers, which only their order would miss. */
function shapeAfter(rule: RemapRule | null, shape: Shape): Shape {
  if (rule?.transform === undefined) return shape;
  try {
    return rule.transform({ shape, data: [] }).shape;
  } catch {
    return shape; // it does not fit this value, nor will the model
  }
}

function headShape({ heads }: ModelBuilder, shapes: ReadonlyMap<string, Shape>): Shape | null {
  for (const head of heads) {
    const shape = shapes.get(`${head}.weight`);
    if (shape !== undefined && shape.length > 0) return shape;
  }
  return null;
}

/** Builds the model as the file has it, and counts the tensors they share. */
function compare(next: Candidate): Fit {
  const { builder, shapes } = next;
  const standard = builder();
  const options = optionsFor(builder, standard, shapes);
  const slots = (Object.keys(options).length === 0 ? standard : builder(options)).stateSlots();
  let [shared, all] = [0, 0];
  const known = new Set<string>();
  for (const { tensor, paths, optional } of slots) {
    for (const path of paths) known.add(path);
    const shape = paths.map((path) => shapes.get(path)).find((found) => found !== undefined);
    if (shape === undefined && (optional || builder.trainingOnly?.test(paths[0]))) continue;
    all++;
    if (shape !== undefined && sameShape(shape, tensor.shape)) shared++;
  }
  for (const path of shapes.keys()) if (!known.has(path) && !builder.trainingOnly?.test(path)) all++;
  return { ...next, options, share: shared / all, count: shared };
}

/** The options that the file's shapes show: how many classes its head has, how many channels its first layer takes. */
function optionsFor(builder: ModelBuilder, standard: Module, shapes: ReadonlyMap<string, Shape>): ModelOptions {
  const state = new Map(Object.entries(standard.stateDict()).map(([path, t]) => [path, t.shape]));
  const [theirs, ours] = [headShape(builder, shapes), headShape(builder, state)];
  const numClasses = theirs === null || ours === null ? builder.numClasses : (theirs[0] / ours[0]) * builder.numClasses;
  const channels = builder.vocabulary ?? builder.input[0];
  const axis = builder.vocabulary === undefined ? 1 : 0; // an embedding has a row for each token
  const first = [...state].find(([, shape]) => shape.length > 1 && shape[axis] === channels);
  const inChannels = first === undefined ? channels : (shapes.get(first[0])?.[axis] ?? channels);
  return {
    ...(numClasses !== builder.numClasses && Number.isInteger(numClasses) && numClasses > 0 ? { numClasses } : {}),
    ...(inChannels !== channels && inChannels > 0 ? { inChannels } : {}),
  };
}

/** Between models of equal files: the one that the hint names, else the one whose published weights have these names. */
function preference({ builder, source }: Fit, hint: string): number {
  const names = [builder.modelName, ...(builder.aliases ?? [])].filter((name) => hint.includes(name));
  if (names.length > 0) return 1 + Math.max(...names.map((name) => name.length));
  return source !== null && builder.published?.weights.startsWith(source) ? 1 : 0;
}

function isBelow(path: string, layers: readonly string[]): boolean {
  return layers.some((layer) => path.startsWith(`${layer}.`));
}

function withoutPrefix(shapes: ReadonlyMap<string, Shape>, prefix: string): Map<string, Shape> {
  return new Map(Array.from(shapes, ([name, shape]) => [name.slice(prefix.length), shape]));
}

function unknown(tried: readonly Fit[]): ConfigError {
  const nearest = [...tried].filter((fit) => fit.share > 0.5).sort((a, b) => b.share - a.share);
  const names = nearest
    .slice(0, 3)
    .map((fit) => `${fit.builder.modelName} (${Math.floor(fit.share * 100)} % of its tensors fit)`);
  const hint =
    names.length === 0 ? 'None is near.' : `The nearest ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}.`;
  return new ConfigError(
    `recognise: no model of the registry has these tensors. ${hint} Build the model as it was trained and pass it to loadWeights; \`fovea inspect FILE\` lists what is in it.`,
  );
}

// —— loading without a model ——

export interface LoadModelOptions extends RecogniseOptions, Omit<LoadWeightsOptions, 'strict' | 'head' | 'remaps'> {}

export interface LoadedModel {
  /** In evaluation mode. */
  readonly model: Module;
  readonly name: string;
  readonly options: ModelOptions;
  readonly report: LoadReport;
  /** Other models whose files look the same; empty where the file says which it is. */
  readonly alternatives: readonly string[];
}

/**
 * The model that a file of weights is for, with those weights: as the file's metadata say, else as its tensors show.
 * @throws {FormatError} as `loadWeights` does. @throws {ConfigError} with the nearest models, if it cannot be told.
 */
export async function loadModel(file: BytesLike | Blob, options: LoadModelOptions = {}): Promise<LoadedModel> {
  return takeModel(openWeights(file instanceof Blob ? await file.arrayBuffer() : file, options), options);
}

/** `loadModel` from an opened file. */
export function takeModel(
  file: WeightsFile,
  { hint = file.metadata.arch ?? '', ...options }: LoadModelOptions = {},
): LoadedModel {
  const named = readFacts(file.metadata).model;
  const { prefix = '' } = options;
  const tensors = [...file.entries].flatMap(([name, entry]) => {
    const whole = file.prefix + name;
    return whole.startsWith(prefix) ? [[whole.slice(prefix.length), entry] as const] : [];
  });
  const found =
    named === null
      ? recognise(tensors, { hint })
      : { builder: findModel(named.name), options: named.options, alternatives: [] };
  const model = named === null ? found.builder(found.options) : buildNamed(named, tensors.length);
  const report = takeWeights(model, file, options);
  return {
    model: model.eval(),
    name: found.builder.modelName,
    options: found.options,
    report,
    alternatives: found.alternatives,
  };
}

/** Modules for each tensor, with room for those that have none: activations, containers. */
const modulesPerTensor = 20;
const moreModules = 1000;

/** Options in a file may ask for anything; what they build must be about as large as what the file holds. */
function buildNamed({ name, options }: ModelName, tensors: number): Module {
  const builder = findModel(name);
  try {
    return withModuleLimit(modulesPerTensor * tensors + moreModules, () => builder(options));
  } catch (error) {
    const shown = JSON.stringify(options);
    const asked = shown.length > 100 ? `${shown.slice(0, 100)}…` : shown;
    throw new FormatError(`metadata fovea.model: ${name} cannot be built with ${asked}: ${(error as Error).message}`);
  }
}

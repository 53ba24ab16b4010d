/**
 * Networks that come as files of other frameworks — ONNX, Keras, TensorFlow.js — under one roof: what such a file is, and how a run keeps it. A run of
 * one holds the file itself beside its weights, and opens it again where others call a builder of the registry.
 */

import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Preprocessing } from '../models/index.js';
import type { GraphModule } from '../nn/graph-module.js';
import { Softmax } from '../nn/index.js';
import { FormatError } from '../util/errors.js';
import { writeFileAtomic } from './atomic.node.js';
import { checkSibling } from './byte-source.js';
import { fileError } from './file-error.node.js';
import { isH5 } from './keras/h5.js';
import { importKeras, type KerasModule } from './keras/import.js';
import { importTensorflowjs, tensorflowjsModel } from './keras/tfjs.js';
import type { OnnxModel } from './onnx/import.js';
import { copyOnnx, loadOnnx } from './onnx/import.node.js';
import { array, type JsonObject, string } from './schema.js';
import { isZip } from './zip.js';

/** The name that stands in a run's config for imported networks, where others have that of a builder. */
export const importedName = 'imported';

export interface ImportedNetwork {
  /** In evaluation mode. */
  readonly model: GraphModule;
  /** 'ONNX, operator set 17', 'Keras 3.15.1' … */
  readonly format: string;
  /** The program that wrote it; '' where the file does not say. */
  readonly maker: string;
  /** Sizes without the batch as the model takes them here, channels first; null as a whole where the file does not say. */
  readonly inputs: readonly { readonly name: string; readonly shape: readonly (number | string | null)[] | null }[];
  readonly outputs: readonly string[];
  /** How often each operation occurs, most frequent first. */
  readonly operators: ReadonlyMap<string, number>;
  readonly preprocessing: Preprocessing | null;
  readonly classes: readonly string[] | null;
}

export interface OpenNetworkOptions {
  /** Inner values to return instead of the network's own outputs. */
  readonly outputs?: readonly string[];
}

/** @throws {FileError} if it cannot be read. @throws {FormatError} for a damaged file, or with what it holds that cannot be imported */
export async function openNetwork(file: string, options: OpenNetworkOptions = {}): Promise<ImportedNetwork> {
  const bytes = await readBytes(file);
  if (isH5(bytes) || isZip(bytes)) return fromKeras(await importKeras(bytes, options));
  if (tensorflowjsModel(bytes) !== null) {
    const shard = (name: string) => readBytes(join(dirname(file), name)); // its name was checked
    return fromKeras(await importTensorflowjs(bytes, shard, options));
  }
  return fromOnnx(await loadOnnx(file, options));
}

/**
 * A network up to its class scores: a softmax at the end is left out, since prediction and the loss have their own. The names of the inner values
 * that are its outputs then; null where it ends in scores anyway.
 */
export async function openScores(file: string): Promise<{ network: ImportedNetwork; outputs: string[] | null }> {
  const network = await openNetwork(file);
  if (network.outputs.length !== 1) return { network, outputs: null };
  const last = network.model.lastStep();
  if (!(last.run instanceof Softmax) && last.label?.toLowerCase() !== 'softmax') return { network, outputs: null };
  const outputs = [last.inputs[0]];
  return { network: await openNetwork(file, { outputs }), outputs };
}

/** What a network's file is called in a run's folder. */
export async function nameInRun(file: string): Promise<string> {
  const bytes = await readBytes(file);
  if (isH5(bytes)) return 'model.h5';
  if (isZip(bytes)) return 'model.keras';
  return tensorflowjsModel(bytes) === null ? 'model.onnx' : 'model.json';
}

/** Copies a network's file, and those beside it that belong to it, into a run's folder. */
export async function keepNetwork(file: string, folder: string): Promise<void> {
  const name = await nameInRun(file);
  const to = join(folder, name);
  if (name === 'model.onnx') return copyOnnx(file, to);
  const bytes = await readBytes(file);
  const model = tensorflowjsModel(bytes);
  for (const shard of model === null ? [] : shardsOf(model)) {
    await writeFileAtomic(join(folder, shard), await readBytes(join(dirname(file), shard)));
  }
  await writeFileAtomic(to, bytes);
}

/** The network of a run that was imported. @throws {FormatError} if its config names no file in its own folder */
export async function loadImported(folder: string, { file, outputs }: JsonObject): Promise<GraphModule> {
  if (typeof file !== 'string' || file === '' || basename(file) !== file || file.startsWith('.')) {
    throw new FormatError(
      `${join(folder, 'config.json')}: model.options.file must be the name of a file in the run's folder`,
    );
  }
  const names = Array.isArray(outputs) ? outputs.map(String) : undefined;
  return (await openNetwork(join(folder, file), { outputs: names })).model;
}

function fromOnnx(model: OnnxModel): ImportedNetwork {
  const { opset, producer, inputs, outputs, operators, preprocessing, classes } = model.metadata;
  return {
    model,
    format: `ONNX, operator set ${opset}`,
    maker: producer,
    inputs: inputs.map(({ name, shape }) => ({ name, shape: shape?.slice(1) ?? null })),
    outputs: outputs.map(({ name }) => name),
    operators,
    preprocessing,
    classes,
  };
}

function fromKeras(model: KerasModule): ImportedNetwork {
  const { version, inputs, outputs } = model.metadata;
  return {
    model: model.eval(),
    format: `Keras${version === null ? '' : ` ${version}`}`,
    maker: '',
    inputs,
    outputs,
    operators: model.stepCounts(),
    preprocessing: null,
    classes: null,
  };
}

function shardsOf({ weightsManifest }: JsonObject): string[] {
  const groups = weightsManifest as JsonObject[]; // it was imported before it is kept
  const names = groups.flatMap(({ paths }) => array(string)(paths, 'model.json: weightsManifest.paths'));
  for (const name of names) checkSibling(name, 'model.json');
  return names;
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw fileError('read', file, error);
  }
}

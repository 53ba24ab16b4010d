/** Weights in files on disk: read a tensor at a time, written whole or not at all. */

import { basename } from 'node:path';
import type { Module } from '../nn/index.js';
import { FormatError } from '../util/errors.js';
import { writeFileAtomic } from './atomic.node.js';
import type { BytesLike } from './byte-source.js';
import { FileSource } from './byte-source.node.js';
import type { LoadReport, LoadWeightsOptions, SaveWeightsOptions } from './weights.js';
import * as anywhere from './weights.js';
import { type OpenOptions, openWeights, type WeightsFile } from './weights-file.js';
import type { LoadedModel, LoadModelOptions } from './weights-recognise.js';
import * as recognition from './weights-recognise.js';

/**
 * Gives `model` the weights in a file, a path or its bytes: .safetensors, an index of several, .pt, .pth; which it is shows in its first bytes.
 * @throws {FileError} if it cannot be read. @throws {FormatError} for a damaged, hostile or unknown file. @throws {ConfigError} that lists what
 * does not fit, with the nearest names and what to do. The model is then as it was.
 */
export async function loadWeights(
  model: Module,
  file: string | BytesLike | Blob,
  options: LoadWeightsOptions = {},
): Promise<LoadReport> {
  if (typeof file !== 'string') return anywhere.loadWeights(model, file, options);
  return withWeightsFile(file, options, (opened) => anywhere.takeWeights(model, opened, options));
}

/** The model that a file of weights is for, with those weights. @throws as `loadWeights`, and {ConfigError} if no model of the registry fits */
export async function loadModel(file: string | BytesLike | Blob, options: LoadModelOptions = {}): Promise<LoadedModel> {
  if (typeof file !== 'string') return recognition.loadModel(file, options);
  return withWeightsFile(file, options, (opened) => {
    const hint = options.hint ?? [opened.metadata.arch, basename(file)].filter((text) => text !== undefined).join(' ');
    return recognition.takeModel(opened, { ...options, hint });
  });
}

/**
 * Writes the model's weights as safetensors that PyTorch and timm load unchanged, with the model's name, preprocessing and classes in the
 * metadata. @throws {FileError} that says why; then the old file is untouched.
 */
export async function saveWeights(model: Module, path: string, options: SaveWeightsOptions = {}): Promise<void> {
  await writeFileAtomic(path, await anywhere.encodeWeights(model, options));
}

/** Opens a file of weights for `use`, and closes it then. What `use` returns must not read from it later. */
export async function withWeightsFile<T>(
  path: string,
  options: OpenOptions,
  use: (file: WeightsFile) => T | Promise<T>,
): Promise<T> {
  const source = new FileSource(path);
  try {
    return await use(openWeights(source, options));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw Object.assign(new FormatError(`${path}: ${error.message}`), { offset: error.offset, cause: error });
  } finally {
    source.close();
  }
}

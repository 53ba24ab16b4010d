/** ONNX files on disk: written whole or not at all, with the tensors in a file beside the model where one file cannot hold them. */

import { basename, dirname, join } from 'node:path';
import type { Module } from '../../nn/index.js';
import { writeFileAtomic } from '../atomic.node.js';
import { type OnnxExportOptions, onnxModel } from './export.js';
import { encodeOnnxPieces, maxModelBytes } from './model-file.js';
import { create, DataLocation, type ModelProto, StringStringEntryProtoSchema, type TensorProto } from './schema.js';

export interface SaveOnnxOptions extends OnnxExportOptions {
  /** Keeps the tensors in `<file>.data` beside the model. Left out: where one file cannot hold them. */
  readonly externalData?: boolean;
}

export interface SavedOnnx {
  readonly model: ModelProto;
  /** What was written: the model, and the file with its tensors if there is one. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
}

/** Exports `model` to `file`: see `exportOnnx`. @throws {FileError} that says why; then the old file is untouched. */
export async function saveOnnx(model: Module, file: string, options: SaveOnnxOptions): Promise<SavedOnnx> {
  const proto = await onnxModel(model, options);
  const large = proto.graph!.initializer.filter((tensor) => tensor.rawData.length >= smallestBytes);
  const total = large.reduce((sum, tensor) => sum + tensor.rawData.length, 0);
  const files: { path: string; sizeBytes: number }[] = [];
  if (options.externalData ?? total > maxModelBytes - roomForTheRest) {
    const path = `${file}.data`;
    const pieces = moveOut(large, basename(path));
    await writeFileAtomic(join(dirname(file), basename(path)), pieces);
    files.push({ path, sizeBytes: sizeOf(pieces) });
  }
  const pieces = encodeOnnxPieces(proto);
  await writeFileAtomic(file, pieces);
  return { model: proto, files: [{ path: file, sizeBytes: sizeOf(pieces) }, ...files] };
}

/** Tensors below stay in the model: shapes and the like, which readers want at hand. */
const smallestBytes = 1024;
const roomForTheRest = 2 ** 26;
/** Where tensors begin in their file, so that it can be mapped into memory. */
const alignment = 4096;

/** Makes the tensors point to `location` and gives what must stand there. */
function moveOut(tensors: readonly TensorProto[], location: string): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const gap = (alignment - (offset % alignment)) % alignment;
    const { rawData } = tensor;
    pieces.push(new Uint8Array(gap), rawData);
    offset += gap;
    tensor.dataLocation = DataLocation.EXTERNAL;
    tensor.externalData = Object.entries({ location, offset, length: rawData.length }).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value: String(value) }),
    );
    delete (tensor as Partial<TensorProto>).rawData;
    offset += rawData.length;
  }
  return pieces;
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

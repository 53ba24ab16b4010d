/**
 * ONNX files: bytes → ModelProto and back. Reading checks the whole wire format first (see proto.ts) and then decodes; the bytes of tensors
 * are views of the file's, not copies. Writing gives pieces: the tensors' bytes stay where they are until somebody joins or stores them.
 * Format: github.com/onnx/onnx, docs/IR.md.
 */

import { fromBinary, isFieldSet, type Message, toBinary } from '@bufbuild/protobuf';
import { ConfigError, FormatError } from '../../util/errors.js';
import { checkWire, eachMessage } from './proto.js';
import {
  create,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './schema.js';

/** What one protobuf message can hold. */
export const maxModelBytes = 2 ** 31 - 1;

/**
 * An ONNX file's model. Tensors keep their bytes as views of `bytes`: read them with `tensorValue`.
 * @throws {FormatError} with the path of the field and the byte offset, for anything that is not a whole ModelProto with a graph.
 */
export function parseOnnx(bytes: Uint8Array): ModelProto {
  if (bytes.length > maxModelBytes) {
    throw new FormatError(
      `onnx: ${bytes.length} bytes; a model of 2 GiB or more keeps its tensors in a file beside it`,
      0,
    );
  }
  refuseOthers(bytes);
  const outline = checkWire(ModelProtoSchema, bytes, 'onnx');
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw new FormatError(`onnx: ${(error as Error).message}`, 0);
  }
  if (model.graph === undefined) {
    throw new FormatError('onnx: there is no graph in it; this is not an ONNX model', bytes.length);
  }
  eachMessage(ModelProtoSchema, model, outline, (message, start) => void places.set(message, start));
  return model;
}

/** Where in its file a message begins that `parseOnnx` gave, for errors about what it says. */
export function offsetOf(message: Message): number | undefined {
  return places.get(message);
}

const places = new WeakMap<Message, number>();

/** The model as one ONNX file. @throws {ConfigError} if it is too large for one: then keep the tensors in a file beside it. */
export function encodeOnnx(model: ModelProto): Uint8Array {
  const pieces = encodeOnnxPieces(model);
  const out = new Uint8Array(sizeOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/**
 * `encodeOnnx` in pieces, of which those with the tensors' bytes are the tensors' own: nothing large is copied.
 * @throws {ConfigError} if the whole would have 2 GiB or more.
 */
export function encodeOnnxPieces(model: ModelProto): Uint8Array[] {
  const { graph } = model;
  if (graph === undefined) return [toBinary(ModelProtoSchema, model)];
  const tensors = graph.initializer.flatMap((tensor) => message(5, tensorPieces(tensor)));
  const rest = toBinary(GraphProtoSchema, without(GraphProtoSchema, graph, 'initializer', []));
  const head = toBinary(ModelProtoSchema, without(ModelProtoSchema, model, 'graph', undefined));
  const pieces = [head, ...message(7, [rest, ...tensors])];
  const size = sizeOf(pieces);
  if (size > maxModelBytes) {
    throw new ConfigError(
      `onnx: the model takes ${size} bytes, one file holds less than 2 GiB: keep its tensors as external data (saveOnnx does)`,
    );
  }
  return pieces;
}

function tensorPieces(tensor: TensorProto): Uint8Array[] {
  if (!isFieldSet(tensor, TensorProtoSchema.field.rawData)) return [toBinary(TensorProtoSchema, tensor)];
  const head = toBinary(TensorProtoSchema, without(TensorProtoSchema, tensor, 'rawData', undefined));
  return [head, lengthDelimited(9, tensor.rawData.length), tensor.rawData];
}

/** A message with every field of `from` but one. */
function without<M extends Message, K extends keyof M>(
  schema: Parameters<typeof create>[0],
  from: M,
  field: K,
  empty: M[K] | undefined,
): M {
  const copy = Object.assign(create(schema) as M, from);
  if (empty === undefined) delete (copy as Partial<M>)[field];
  else copy[field] = empty;
  return copy;
}

function message(field: number, pieces: readonly Uint8Array[]): Uint8Array[] {
  return [lengthDelimited(field, sizeOf(pieces)), ...pieces];
}

/** Tag and length of a field that holds `length` bytes. */
function lengthDelimited(field: number, length: number): Uint8Array {
  const bytes = [field * 8 + 2];
  let rest = length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

/** Formats that are taken for ONNX by mistake, by their first bytes. */
function refuseOthers(bytes: Uint8Array): void {
  const start = String.fromCharCode(...bytes.subarray(0, 8));
  const known = [
    ['PK\x03\x04', 'a zip archive, perhaps a PyTorch .pt or a Keras .keras file'],
    ['\x89HDF', 'an HDF5 file, perhaps of Keras'],
    ['\x80\x02', 'a pickle, perhaps a PyTorch file in the old format'],
    ['{', 'text that begins like JSON'],
    ['version ', 'a Git LFS pointer: the file itself was not downloaded'],
    ['<', 'text that begins like HTML: a download that failed?'],
  ] as const;
  const other = known.find(([magic]) => start.startsWith(magic));
  if (other) throw new FormatError(`onnx: this is ${other[1]}, not an ONNX model`, 0);
  if (bytes.length === 0) throw new FormatError('onnx: the file is empty', 0);
}

/**
 * The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps.
 * Reading distrusts every byte: the header is checked whole (grammar, names, dtypes, shape × dtype = size, offsets that tile the data)
 * before any tensor is touched, and nothing is allocated on the header's word alone. Source: github.com/huggingface/safetensors, README "Format".
 */

import type { DType, TypedArray } from '../util/dtype.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { formatShape, numel } from '../util/shape.js';
import { type ElementTypeName, elementTypes } from './element-types.js';
import type { HostTensor } from './host-tensor.js';
import { type HeaderEntry, readHeaderJson } from './safetensors-header.js';

/** What a file holds under one name, and where: `start` and `end` are bytes from the beginning of the file. */
export interface SafetensorsEntry {
  readonly dtype: ElementTypeName;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes before the first tensor. */
  readonly headerBytes: number;
}

export interface Safetensors {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The reference implementation's limit too. */
export const maxHeaderBytes = 100_000_000;

/**
 * Every tensor of a file in memory, converted to the four types fovea computes with: F16, BF16, F8 and F64 become float32 (F64 rounds),
 * the integer types int32 (U8 stays uint8), BOOL bool. The values are copies.
 * @throws {FormatError} with the byte offset and the reason, for any file that is not exactly what the format asks.
 */
export function parseSafetensors(bytes: Uint8Array): Safetensors {
  const { entries, metadata } = parseSafetensorsHeader(bytes, bytes.length);
  const tensors = new Map<string, HostTensor>();
  for (const [name, entry] of entries) {
    tensors.set(name, decodeEntry(name, entry, bytes.subarray(entry.start, entry.end)));
  }
  return { tensors, metadata };
}

/** How long the header is by its first 8 bytes, those included. @throws {FormatError} if it cannot be true of a file of `fileBytes`. */
export function safetensorsHeaderBytes(first8: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8 || first8.length < 8) {
    throw new FormatError(`safetensors: the file has ${fileBytes} bytes; its header length alone takes 8`, 0);
  }
  const view = new DataView(first8.buffer, first8.byteOffset, 8);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > maxHeaderBytes) {
    const hint = isZip(first8) ? ': this looks like a zip archive, perhaps a PyTorch .pt file' : '';
    throw new FormatError(`safetensors: a header of ${length} bytes, the limit is ${maxHeaderBytes}${hint}`, 0);
  }
  if (8 + length > fileBytes) {
    throw new FormatError(
      `safetensors: a header of ${length} bytes in a file of ${fileBytes} bytes: the file is cut short`,
      0,
    );
  }
  return 8 + length;
}

/** Reads and checks the header of a file that is `fileBytes` long; `bytes` need only hold the beginning, up to the header's end. */
export function parseSafetensorsHeader(bytes: Uint8Array, fileBytes: number): SafetensorsHeader {
  const headerBytes = safetensorsHeaderBytes(bytes, fileBytes);
  const { entries: listed, metadata } = readHeaderJson(bytes.subarray(8, headerBytes), 8);
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, entry] of listed) entries.set(name, placeEntry(name, entry, headerBytes));
  checkTiling(entries, listed, headerBytes, fileBytes);
  return { entries, metadata, headerBytes };
}

/** One tensor's bytes → its value. @throws {FormatError} for a dtype without a conversion, an integer beyond int32, a bool beyond 0 and 1. */
export function decodeEntry(name: string, entry: SafetensorsEntry, bytes: Uint8Array): HostTensor {
  const type = elementTypes[entry.dtype];
  const { dtype, data } = type.decode(bytes, (i, what) => {
    const at = entry.start + i * type.bytes;
    return new FormatError(`safetensors: '${name}' (${entry.dtype}) element ${i} is ${what}`, at);
  });
  return { dtype, shape: entry.shape, data };
}

export interface EncodeOptions {
  /** Which int32 tensors are written as I64, the type PyTorch counts batches in. Those alone are copied. */
  readonly int64?: (name: string) => boolean;
}

/**
 * The file's bytes, in pieces: the header, then one view per tensor (nothing is copied). float32 is written as F32, int32 as I32,
 * uint8 as U8, bool as BOOL. Order and spelling are the reference implementation's: wider types first, then by name.
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
  { int64 = () => false }: EncodeOptions = {},
): Uint8Array[] {
  const typed = Array.from(tensors, ([name, tensor]) => {
    const type: ElementTypeName = tensor.dtype === 'int32' && int64(name) ? 'I64' : writtenAs[tensor.dtype];
    return { name, tensor, type };
  });
  typed.sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type) || compareUtf8(a.name, b.name));
  const header: string[] = [];
  const utf8 = new TextEncoder();
  for (const [key, value] of Object.entries(metadata)) checkText(key, value);
  if (Object.keys(metadata).length > 0) header.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  const seen = new Set<string>();
  const pieces = typed.map(({ name, tensor, type }) => {
    checkWritable(name, tensor, seen);
    seen.add(name);
    const { data, shape } = tensor;
    const bytes = type === 'I64' ? widened(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const offsets = [offset, (offset += bytes.length)];
    header.push(
      `${JSON.stringify(name)}:{"dtype":"${type}","shape":[${shape.join(',')}],"data_offsets":[${offsets.join(',')}]}`,
    );
    return bytes;
  });
  const json = utf8.encode(`{${header.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8; // tensors start aligned; the reference implementation pads with spaces too
  const head = new Uint8Array(8 + length).fill(0x20);
  head.set(json, 8);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  return [head, ...pieces];
}

/** `encodeSafetensors` in one piece. */
export function serializeSafetensors(
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
  options: EncodeOptions = {},
): Uint8Array {
  const pieces = encodeSafetensors(tensors, metadata, options);
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

const writtenAs = { float32: 'F32', int32: 'I32', uint8: 'U8', bool: 'BOOL' } as const satisfies Record<DType, string>;

/** The reference implementation's order, from its list of types backwards: widest first, U8 before BOOL. */
const order: readonly ElementTypeName[] = ['I64', 'F32', 'I32', 'U8', 'BOOL'];

function widened(values: TypedArray): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
}

function isElementType(name: string): name is ElementTypeName {
  return Object.hasOwn(elementTypes, name);
}

/** Checks one entry by itself: known dtype, and as many bytes as its shape asks. */
function placeEntry(name: string, { dtype, shape, offsets, at }: HeaderEntry, headerBytes: number): SafetensorsEntry {
  if (!isElementType(dtype)) {
    const known = Object.keys(elementTypes).join(', ');
    throw new FormatError(`safetensors: '${name}' has dtype '${dtype}'; fovea reads ${known}`, at);
  }
  const [from, to] = offsets;
  const needed = shape.includes(0) ? 0 : numel(shape) * elementTypes[dtype].bytes;
  if (needed > Number.MAX_SAFE_INTEGER || to - from !== needed) {
    const wants = `shape ${formatShape(shape)} of ${dtype} takes ${needed} bytes`;
    throw new FormatError(`safetensors: '${name}': ${wants}, its data_offsets [${from}, ${to}] hold ${to - from}`, at);
  }
  return { dtype, shape, start: headerBytes + from, end: headerBytes + to };
}

/** The tensors must cover the data exactly: no byte belongs to two of them and none to nobody. */
function checkTiling(
  entries: Map<string, SafetensorsEntry>,
  listed: Map<string, HeaderEntry>,
  headerBytes: number,
  fileBytes: number,
): void {
  const inOrder = [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let position = headerBytes;
  for (const [name, { start, end }] of inOrder) {
    if (start !== position) {
      const problem = start < position ? 'overlaps the tensor before it' : `leaves a gap of ${start - position} bytes`;
      const [from, to] = [start - headerBytes, end - headerBytes];
      throw new FormatError(
        `safetensors: '${name}' with data_offsets [${from}, ${to}] ${problem}`,
        listed.get(name)!.at,
      );
    }
    position = end;
  }
  if (position !== fileBytes) {
    const problem = position > fileBytes ? 'the file is cut short' : 'bytes follow that belong to no tensor';
    const sizes = `its tensors end at byte ${position}, the file has ${fileBytes}`;
    throw new FormatError(`safetensors: ${sizes}: ${problem}`, Math.min(position, fileBytes));
  }
}

function checkWritable(name: string, { shape, data }: HostTensor, seen: ReadonlySet<string>): void {
  if (name === '__metadata__') throw new ConfigError("safetensors: a tensor cannot be named '__metadata__'");
  if (seen.has(name)) throw new ConfigError(`safetensors: two tensors are named '${name}'`);
  checkText(name);
  if (numel(shape) !== data.length) {
    throw new ConfigError(
      `safetensors: '${name}' has shape ${formatShape(shape)} = ${numel(shape)} elements, its data has ${data.length}`,
    );
  }
}

/** Half a surrogate pair cannot be written as UTF-8. */
function checkText(...texts: string[]): void {
  for (const text of texts) {
    if (/\p{Surrogate}/u.test(text)) throw new ConfigError(`safetensors: ${JSON.stringify(text)} is not valid Unicode`);
  }
}

/** By code point, which is also the order of the UTF-8 bytes. */
function compareUtf8(a: string, b: string): number {
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = x[i].codePointAt(0)! - y[i].codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/**
 * HDF5 files, through the HDF Group's own library compiled to WebAssembly (the package `h5wasm`, optional): everything below a file's root as
 * plain values. The library lives in its sandbox; what it says about sizes is checked before anything is copied out.
 */

import type { TypedArray } from '../../util/dtype.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { numel } from '../../util/shape.js';
import type { HostTensor } from '../host-tensor.js';

export interface H5Content {
  /** Values by path: `layers/conv2d/vars/0`. */
  readonly tensors: Map<string, HostTensor>;
  /** Attributes of the root that are text or lists of text. */
  readonly attributes: Map<string, string>;
}

const mostObjects = 100_000;
const deepest = 32;
let opened = 0;

/** @throws {FormatError} for what is no HDF5 file, or a damaged one. @throws {ConfigError} if the package is not installed */
export async function readH5(bytes: Uint8Array): Promise<H5Content> {
  if (!isH5(bytes)) throw new FormatError('hdf5: the file does not begin with the signature of HDF5', 0);
  checkHeaps(bytes);
  const h5wasm = await load();
  const { FS, activate_throwing_error_handler } = await h5wasm.ready;
  activate_throwing_error_handler(); // instead of printing
  const name = `fovea-${opened++}.h5`;
  FS.writeFile(name, bytes);
  try {
    const file = new h5wasm.File(name, 'r');
    try {
      const content: H5Content = { tensors: new Map(), attributes: new Map() };
      for (const [key, { value }] of Object.entries(file.attrs)) {
        if (typeof value === 'string') content.attributes.set(key, value);
      }
      walk(file as unknown as Group, '', content, bytes.length, 0);
      return content;
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof FormatError) throw error;
    // The library reports by its own exceptions, and by traps of WebAssembly where a file leads it astray.
    throw new FormatError(`hdf5: the file is damaged: ${reason((error as Error)?.message ?? String(error))}`);
  } finally {
    FS.unlink(name);
  }
}

/** The library tells its whole call stack, a line a function, the deepest one last: `#012: … in H5G_node(): ran off the end`. */
function reason(message: string): string {
  const deepest = message.split('\n').findLast((line) => /^\s*#\d+:/.test(line));
  return deepest?.replace(/^.*\(\): /, '') ?? message.split('\n')[0];
}

export function isH5(bytes: Uint8Array): boolean {
  const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
  return signature.every((byte, i) => bytes[i] === byte);
}

/**
 * The library walks the objects of a global heap, where text of variable length lies, by the sizes they state, and without end where such a size
 * leads it back: so they are checked first. HDF5 file format specification 3.0, III.E.
 */
function checkHeaps(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[8];
  const [offsetBytes, lengthBytes] = version < 2 ? [bytes[13], bytes[14]] : [bytes[9], bytes[10]];
  if (offsetBytes !== 8 || lengthBytes !== 8) {
    throw new FormatError(`hdf5: places of ${offsetBytes} and lengths of ${lengthBytes} bytes; both must have 8`, 9);
  }
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  for (let at = bytes.indexOf(heapSignature[0]); at >= 0; at = bytes.indexOf(heapSignature[0], at + 1)) {
    if (!heapSignature.every((byte, i) => bytes[at + i] === byte) || at + 16 > bytes.length) continue;
    const end = at + u64(at + 8);
    if (end > bytes.length) throw new FormatError('hdf5: a global heap reaches past the end of the file', at);
    for (let object = at + 16; object + 16 <= end; ) {
      const isFree = view.getUint16(object, true) === 0; // free space counts its own header
      const size = u64(object + 8);
      const next = object + (isFree ? size : 16 + Math.ceil(size / 8) * 8);
      if (next < object + 16 || next > end) {
        throw new FormatError(`hdf5: an object of ${size} bytes does not fit into its global heap`, object);
      }
      object = next;
    }
  }
}

/** 'GCOL', version 1, three zeros. */
const heapSignature = [0x47, 0x43, 0x4f, 0x4c, 1, 0, 0, 0];

/** What of the package's types is needed here. */
interface Group {
  keys(): string[];
  get(name: string): unknown;
}
interface Dataset {
  readonly shape: number[] | null;
  readonly dtype: unknown;
  readonly metadata: { readonly size: number; readonly chunks?: readonly number[] | null };
  readonly value: unknown;
}

function walk(group: Group, path: string, content: H5Content, fileBytes: number, depth: number): void {
  if (depth > deepest) throw new FormatError(`hdf5: groups lie more than ${deepest} deep: ${path}`);
  for (const key of group.keys()) {
    const child = group.get(key);
    const at = path === '' ? key : `${path}/${key}`;
    if (isGroup(child)) walk(child, at, content, fileBytes, depth + 1);
    else if (isDataset(child)) addDataset(child, at, content, fileBytes);
    if (content.tensors.size > mostObjects) throw new FormatError(`hdf5: more than ${mostObjects} objects`);
  }
}

function addDataset(dataset: Dataset, at: string, { tensors }: H5Content, fileBytes: number): void {
  const { shape } = dataset;
  if (shape === null || typeof dataset.dtype !== 'string') return; // text and compounds are nobody's weights
  const sizeBytes = numel(shape) * dataset.metadata.size;
  // Chunks may be compressed, a thousandfold at most by deflate; what is not chunked lies in the file as it is.
  const limit = dataset.metadata.chunks ? 1032 * fileBytes : fileBytes;
  if (!(sizeBytes <= limit))
    throw new FormatError(`hdf5: '${at}' would take ${sizeBytes} bytes in a file of ${fileBytes}`);
  const { value } = dataset;
  if (!ArrayBuffer.isView(value)) return;
  const numbers = value as unknown as ArrayLike<number | bigint>;
  if (numbers.length !== numel(shape))
    throw new FormatError(`hdf5: '${at}' has ${numbers.length} values, its shape asks for ${numel(shape)}`);
  tensors.set(at, { dtype: 'float32', shape: [...shape], data: float32Of(numbers) });
}

function float32Of(values: ArrayLike<number | bigint>): TypedArray {
  return Float32Array.from(values as ArrayLike<number>, Number);
}

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && 'keys' in value && 'get' in value;
}

function isDataset(value: unknown): value is Dataset {
  return typeof value === 'object' && value !== null && 'shape' in value && 'dtype' in value;
}

async function load(): Promise<typeof import('h5wasm')> {
  try {
    return await import('h5wasm');
  } catch (error) {
    throw new ConfigError(
      `Files of HDF5 (.h5, .keras) are read by the package 'h5wasm', which could not be loaded. Install it with: npm install h5wasm\n  ${(error as Error).message.split('\n')[0]}`,
      { cause: error },
    );
  }
}

/**
 * Files of weights, whatever their format: tensors by name, checked and not read yet. `readers` lists the formats; which one a file has is
 * told from its first bytes, since names lie.
 */

import { FormatError } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import { asSource, type ByteSource, type BytesLike, checkSibling } from './byte-source.js';
import type { HostTensor } from './host-tensor.js';
import { isGenerated } from './onnx/import-names.js';
import { offsetOf, parseOnnx } from './onnx/model-file.js';
import { DataType } from './onnx/schema.js';
import { tensorShape, tensorValue } from './onnx/tensor-value.js';
import { isLegacy, openPytorch } from './pytorch/index.js';
import { decodeEntry, maxHeaderBytes, parseSafetensorsHeader, safetensorsHeaderBytes } from './safetensors.js';
import { maxIndexBytes, parseSafetensorsIndex } from './safetensors-index.js';
import { isZip } from './zip.js';

export interface WeightsEntry {
  /** As the file spells it: 'F32', 'BF16', 'I64' … */
  readonly type: string;
  readonly shape: Shape;
  /** Reads the values; they are the caller's own. @throws {FormatError} */
  read(): HostTensor;
}

/** An opened file. Its entries read from the bytes it was opened with: keep those until the entries were read. */
export interface WeightsFile {
  readonly format: string;
  readonly entries: ReadonlyMap<string, WeightsEntry>;
  /** Text that the file carries. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Of a checkpoint: where in it the tensors stood; '' elsewhere. */
  readonly path: string;
  /** What all names began with and was taken off, 'module.' for one. */
  readonly prefix: string;
  /** What else the file holds. */
  readonly other: readonly string[];
}

export interface OpenOptions {
  /** Which dict of a PyTorch checkpoint to take, 'model_ema' for one. Left out: the first of the usual names. */
  readonly path?: string;
}

export interface WeightsReader {
  readonly format: string;
  /** Whether a file that begins with these bytes, 64 if there are as many, is one of this format. */
  accepts(first: Uint8Array): boolean;
  open(source: ByteSource, options: OpenOptions): WeightsFile;
}

const plain = { metadata: {}, path: '', prefix: '', other: [] } as const;

const safetensors: WeightsReader = {
  format: 'safetensors',
  accepts: (first) => first.length >= 9 && first[8] === openBrace && headerLength(first) <= maxHeaderBytes,
  open: openSafetensors,
};

const safetensorsIndex: WeightsReader = {
  format: 'safetensors index',
  accepts: (first) => first[0] === openBrace,
  open(source) {
    if (source.sizeBytes > maxIndexBytes)
      throw new FormatError(`safetensors index: ${source.sizeBytes} bytes of JSON`, 0);
    const { files } = parseSafetensorsIndex(source.read(0, source.sizeBytes));
    const sibling = source.sibling?.bind(source);
    if (sibling === undefined) {
      throw new FormatError('safetensors index: it names other files; open it by its path, beside them');
    }
    const shards = new Map([...new Set(files.values())].map((name) => [name, openSafetensors(sibling(name))]));
    const entries = new Map<string, WeightsEntry>();
    for (const [tensor, name] of files) {
      const entry = shards.get(name)!.entries.get(tensor);
      if (entry === undefined) throw new FormatError(`safetensors index: '${tensor}' is not in ${name}`);
      entries.set(tensor, entry);
    }
    const metadata = Object.assign({}, ...[...shards.values()].map((shard) => shard.metadata));
    return { ...plain, format: 'safetensors index', entries, metadata };
  },
};

const pytorch: WeightsReader = {
  format: 'PyTorch',
  accepts: (first) => isZip(first) || isLegacy(first),
  open(source, options) {
    const { entries, path, prefix, other, facts } = openPytorch(source, options);
    const metadata = Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, String(value)]));
    return { format: 'PyTorch', entries, metadata, path, prefix, other };
  },
};

const onnx: WeightsReader = {
  format: 'ONNX',
  accepts: (first) => first[0] === 0x08, // there is no signature; the IR version stands first
  open(source) {
    const { graph, metadataProps } = parseOnnx(source.read(0, source.sizeBytes));
    const entries = new Map<string, WeightsEntry>();
    const other: string[] = [];
    for (const tensor of graph?.initializer ?? []) {
      const { name } = tensor;
      // Names that the exporter made up belong to no parameter: folded batch norms, constants of the graph.
      if (isGenerated(name)) other.push(name);
      else if (entries.has(name)) throw new FormatError(`onnx: two initializers are named '${name}'`, offsetOf(tensor));
      else {
        const read = () => tensorValue(tensor, (file, at, bytes) => readBeside(source, file, at, bytes));
        entries.set(name, { type: DataType[tensor.dataType] ?? 'unknown', shape: tensorShape(tensor), read });
      }
    }
    const metadata = Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]));
    return { ...plain, format: 'ONNX', entries, metadata, other };
  },
};

/** In the order they are asked. A format more is a line more. */
export const readers: readonly WeightsReader[] = [safetensors, pytorch, safetensorsIndex, onnx];

/** @throws {FormatError} with the offset, for a damaged file or one of no known format */
export function openWeights(bytes: BytesLike, options: OpenOptions = {}): WeightsFile {
  const source = asSource(bytes);
  const first = source.read(0, Math.min(64, source.sizeBytes));
  const reader = readers.find((r) => r.accepts(first));
  if (reader !== undefined) return reader.open(source, options);
  throw new FormatError(
    `weights: ${looksLike(first)}; what can be read: ${readers.map((r) => r.format).join(', ')}`,
    0,
  );
}

function openSafetensors(source: ByteSource): WeightsFile {
  const headerBytes = safetensorsHeaderBytes(source.read(0, Math.min(8, source.sizeBytes)), source.sizeBytes);
  const header = parseSafetensorsHeader(source.read(0, headerBytes), source.sizeBytes);
  const entries = new Map<string, WeightsEntry>();
  for (const [name, entry] of header.entries) {
    const read = () => decodeEntry(name, entry, source.read(entry.start, entry.end));
    entries.set(name, { type: entry.dtype, shape: entry.shape, read });
  }
  return { ...plain, format: 'safetensors', entries, metadata: header.metadata };
}

/** Bytes of a file that an ONNX model keeps its tensors in. */
function readBeside(source: ByteSource, name: string, at: number, bytes: number): Uint8Array {
  checkSibling(name, 'onnx: external data');
  const sibling = source.sibling?.(name);
  if (sibling === undefined) {
    throw new FormatError(`onnx: its tensors lie in the file ${name}; open it by its path, beside that file`);
  }
  if (at + bytes > sibling.sizeBytes) {
    throw new FormatError(`onnx: ${name} has ${sibling.sizeBytes} bytes, ${bytes} are wanted from byte ${at} on`);
  }
  return sibling.read(at, at + bytes);
}

const openBrace = 0x7b;

function headerLength(first: Uint8Array): number {
  const view = new DataView(first.buffer, first.byteOffset);
  return view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
}

/** A file that is none of these, in words. */
function looksLike(first: Uint8Array): string {
  const text = String.fromCharCode(...first);
  if (first.length === 0) return 'the file is empty';
  if (text.startsWith('\x89HDF')) return 'an HDF5 file, perhaps of Keras: import it as a model';
  if (text.startsWith('\x80')) return 'a Python pickle, not one of torch.save';
  if (text.startsWith('<')) return 'a page of HTML or XML, perhaps a failed download';
  if (text.startsWith('version https://git-lfs')) return 'a pointer of Git LFS: fetch the file itself';
  if (text.slice(0, 16).replaceAll('\0', '') === '') return 'the file begins with nothing but zeros';
  return 'the file begins like none that holds weights';
}

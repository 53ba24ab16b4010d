/**
 * Where the bytes of a file come from: memory, or a file on disk that is read a range at a time (`byte-source.node.ts`). Readers of formats
 * that hold many tensors ask for the ranges they need, so that a large file never stands in memory beside its tensors.
 */

import { FormatError } from '../util/errors.js';

export interface ByteSource {
  readonly sizeBytes: number;
  /** Bytes from `start` up to `end`. They may be a view of memory that others read too: copy before changing or keeping them. */
  read(start: number, end: number): Uint8Array;
  /** Another file of the same folder, for formats in several files; left out where there is no folder. `name` was checked by `checkSibling`. */
  sibling?(name: string): ByteSource;
}

export function memorySource(bytes: Uint8Array): ByteSource {
  return { sizeBytes: bytes.length, read: (start, end) => bytes.subarray(start, end) };
}

/** What callers may hand in for a file's content. */
export type BytesLike = Uint8Array | ArrayBuffer | ByteSource;

export function asSource(bytes: BytesLike): ByteSource {
  if (bytes instanceof Uint8Array) return memorySource(bytes);
  return bytes instanceof ArrayBuffer ? memorySource(new Uint8Array(bytes)) : bytes;
}

/**
 * Refuses names that lead out of the folder of the file that mentions them: absolute ones, `..`, drive letters, backslashes.
 * @throws {FormatError} that opens with `where`
 */
export function checkSibling(name: string, where: string, at?: number): void {
  const segments = name.split('/');
  const isPlain = segments.every((s) => s !== '' && s !== '.' && s !== '..');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name with a NUL byte is cut short by the system
  if (isPlain && !/[\\:\x00-\x1f]/.test(name)) return;
  throw new FormatError(`${where} names the file ${JSON.stringify(name)}, which is not inside its own folder`, at);
}

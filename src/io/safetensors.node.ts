/** safetensors files on disk: read a tensor at a time, written whole or not at all. */

import { type FileHandle, open } from 'node:fs/promises';
import { FormatError } from '../util/errors.js';
import { writeFileAtomic } from './atomic.node.js';
import { fileError } from './file-error.node.js';
import type { HostTensor } from './host-tensor.js';
import { checkRegular } from './regular-file.node.js';
import {
  decodeEntry,
  type EncodeOptions,
  encodeSafetensors,
  parseSafetensorsHeader,
  type Safetensors,
  type SafetensorsHeader,
  safetensorsHeaderBytes,
} from './safetensors.js';

/** An open file whose header was checked; tensors are read when asked for, so a large file never has to fit into memory. */
export class SafetensorsFile implements AsyncDisposable {
  private constructor(
    readonly path: string,
    readonly header: SafetensorsHeader,
    private readonly handle: FileHandle,
  ) {}

  /** @throws {FormatError} as `parseSafetensors` does. @throws {FileError} if the file cannot be read. */
  static async open(path: string): Promise<SafetensorsFile> {
    let handle: FileHandle | null = null;
    try {
      await checkRegular(path);
      handle = await open(path, 'r');
      const { size } = await handle.stat();
      const first8 = await readRange(handle, 0, Math.min(8, size));
      const start = await readRange(handle, 0, safetensorsHeaderBytes(first8, size));
      return new SafetensorsFile(path, parseSafetensorsHeader(start, size), handle);
    } catch (error) {
      await handle?.close();
      throw explain(path, error);
    }
  }

  get names(): string[] {
    return [...this.header.entries.keys()];
  }

  async read(name: string): Promise<HostTensor> {
    const entry = this.header.entries.get(name);
    if (!entry) throw new FormatError(`${this.path}: there is no tensor '${name}'`);
    try {
      return decodeEntry(name, entry, await readRange(this.handle, entry.start, entry.end));
    } catch (error) {
      throw explain(this.path, error);
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Every tensor of a file, converted as `parseSafetensors` does. */
export async function readSafetensors(path: string): Promise<Safetensors> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.names) tensors.set(name, await file.read(name));
    return { tensors, metadata: file.header.metadata };
  } finally {
    await file.close();
  }
}

/** Writes whole or not at all: see `writeFileAtomic`. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
  options: EncodeOptions = {},
): Promise<void> {
  await writeFileAtomic(path, encodeSafetensors(tensors, metadata, options));
}

async function readRange(handle: FileHandle, start: number, end: number): Promise<Uint8Array> {
  const out = new Uint8Array(end - start);
  for (let at = 0; at < out.length; ) {
    const { bytesRead } = await handle.read(out, at, Math.min(out.length - at, 1 << 30), start + at);
    if (bytesRead === 0) throw new FormatError('safetensors: the file became shorter while it was read', start + at);
    at += bytesRead;
  }
  return out;
}

function explain(path: string, error: unknown): unknown {
  if (!(error instanceof FormatError)) return fileError('read', path, error);
  const located = new FormatError(`${path}: ${error.message}`);
  return Object.assign(located, { offset: error.offset, cause: error });
}

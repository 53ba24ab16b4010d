/** A file on disk as a source of bytes. Reads are synchronous: readers stay plain functions, and the ranges they ask for are single tensors. */

import { closeSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FormatError } from '../util/errors.js';
import type { ByteSource } from './byte-source.js';
import { fileError } from './file-error.node.js';
import { openRegular } from './regular-file.node.js';

/** An open file; `close()` closes it and the siblings that were opened through it. */
export class FileSource implements ByteSource, Disposable {
  readonly sizeBytes: number;
  readonly #descriptor: number;
  readonly #siblings = new Map<string, FileSource>();

  /** @throws {FileError} if it cannot be opened, or is no file */
  constructor(readonly path: string) {
    const { descriptor, sizeBytes } = openRegular(path);
    this.sizeBytes = sizeBytes;
    this.#descriptor = descriptor;
  }

  read(start: number, end: number): Uint8Array {
    const out = new Uint8Array(end - start);
    try {
      for (let at = 0; at < out.length; ) {
        const count = readSync(this.#descriptor, out, at, Math.min(out.length - at, 1 << 30), start + at);
        if (count === 0) throw new FormatError('the file became shorter while it was read', start + at);
        at += count;
      }
    } catch (error) {
      throw fileError('read', this.path, error);
    }
    return out;
  }

  sibling(name: string): FileSource {
    let source = this.#siblings.get(name);
    if (source === undefined) {
      source = new FileSource(join(dirname(this.path), name));
      this.#siblings.set(name, source);
    }
    return source;
  }

  close(): void {
    closeSync(this.#descriptor);
    for (const source of this.#siblings.values()) source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

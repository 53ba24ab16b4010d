/** The bytes of samples, whatever kind of source they have. Files of many pictures are kept open between calls. */

import { FileSource } from '../../io/byte-source.node.js';
import { FileError } from '../../io/file-error.node.js';
import { readPicture } from '../../io/picture.node.js';
import { FormatError } from '../../util/errors.js';
import { ParquetPictures } from './parquet.node.js';
import type { PictureSource } from './sample.js';

/** More open shards than a training jumps between would help nobody, and systems limit them. */
const mostOpen = 32;

export class SourceReader implements Disposable {
  readonly #open = new Map<string, FileSource | ParquetPictures>();

  constructor(readonly maxBytes: number = 1 << 28) {}

  /** @throws {FileError} @throws {FormatError} */
  read(source: PictureSource): Uint8Array {
    switch (source.kind) {
      case 'file':
        return readPicture(source.path, this.maxBytes);
      case 'slice': {
        const { path, offset, length } = source;
        if (length > this.maxBytes) {
          throw new FormatError(`a picture of ${length} bytes in ${path}, the limit is ${this.maxBytes}`, offset);
        }
        const file = this.#keep(path, () => new FileSource(path)) as FileSource;
        if (offset + length > file.sizeBytes) throw new FormatError(`${path} became shorter`, file.sizeBytes);
        return file.read(offset, offset + length);
      }
      case 'memory':
        return new Uint8Array(source.memory, source.offset, source.length);
      case 'row': {
        const { path, row, column } = source;
        return (this.#keep(path, () => new ParquetPictures(path)) as ParquetPictures).read(row, column);
      }
      default:
        throw new FileError(`unknown kind of source ${JSON.stringify(source satisfies never)}`, '');
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) file[Symbol.dispose]();
    this.#open.clear();
  }

  /** The one asked for longest ago is closed when there are too many. */
  #keep(path: string, open: () => FileSource | ParquetPictures): FileSource | ParquetPictures {
    const found = this.#open.get(path) ?? open();
    this.#open.delete(path);
    this.#open.set(path, found);
    if (this.#open.size > mostOpen) {
      const [oldest, file] = this.#open.entries().next().value!;
      file[Symbol.dispose]();
      this.#open.delete(oldest);
    }
    return found;
  }
}

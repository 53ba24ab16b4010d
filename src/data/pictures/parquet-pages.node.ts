/**
 * Single values out of a column of a Parquet file, without reading its whole row group: the headers of a column's pages are listed once, and then one page is
 * unpacked at a time. A page of pictures is about a megabyte, a row group hundreds.
 *
 * hyparquet reads the structures (footer, page headers), which it does with checks against their length. Runs and counts inside pages it believes, and a file
 * can claim two thousand million of them; so pages are taken apart here, where nothing is longer than the rows the group says it has.
 * Source: Apache Parquet format, "Data Pages", "Run Length Encoding / Bit-Packing Hybrid", "Plain".
 */

import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { type ColumnMetaData, type FileMetaData, parquetMetadata, snappyUncompress } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getSchemaPath } from 'hyparquet/src/schema.js';
import { decompressLz4, decompressLz4Raw, decompressZstd } from 'hyparquet-compressors';
import type { ByteSource } from '../../io/byte-source.js';
import { FormatError } from '../../util/errors.js';

/** Of a leaf column: bytes, whole numbers, or null. */
export type ParquetValue = Uint8Array | number | null;

const maxFooterBytes = 1 << 28;
const maxPageBytes = 1 << 28;
const maxHeaderBytes = 1 << 20;
const maxGroupRows = 1 << 24;
const maxRows = 100_000_000;

/** The footer: schema, row groups, and what writers noted. @throws {FormatError} */
export function readFooter(source: ByteSource, where: string): FileMetaData {
  const size = source.sizeBytes;
  const magic = (bytes: Uint8Array) => String.fromCharCode(...bytes) === 'PAR1';
  if (size < 12 || !magic(source.read(0, 4)) || !magic(source.read(size - 4, size))) {
    throw new FormatError(
      `${where}: it does not begin and end as a Parquet file does (PAR1): cut short, or something else`,
    );
  }
  const length = viewOf(source.read(size - 8, size - 4)).getUint32(0, true);
  if (length > size - 12 || length > maxFooterBytes) {
    throw new FormatError(`${where}: a footer of ${length} bytes in a file of ${size}`, size - 8);
  }
  const metadata = guarded(where, 'footer', () =>
    parquetMetadata(Uint8Array.from(source.read(size - 8 - length, size)), { geoparquet: false }),
  );
  let rows = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    if (!Number.isSafeInteger(count) || count < 0 || count > maxGroupRows || (rows += count) > maxRows) {
      throw new FormatError(`${where}: a row group of ${group.num_rows} rows`);
    }
  }
  return metadata;
}

interface Page {
  /** Where its (packed) bytes lie. */
  readonly start: number;
  readonly end: number;
  readonly unpackedBytes: number;
  readonly header: ReturnType<typeof parquetHeader>;
  readonly firstRow: number;
  readonly rows: number;
}

/** One leaf column of one row group. */
export class ColumnPages {
  readonly #source: ByteSource;
  readonly #where: string;
  readonly #meta: ColumnMetaData;
  readonly #maxDefinition: number;
  readonly #pages: Page[] = [];
  readonly #dictionaryPage: Page | null = null;
  #dictionary: readonly ParquetValue[] | null = null;
  /** The page read last, unpacked: rows are mostly asked for one after the other. */
  #open: { page: Page; values: readonly ParquetValue[] } | null = null;

  /** @throws {FormatError} where pages do not fit the file or the group */
  constructor(source: ByteSource, metadata: FileMetaData, group: number, column: string, where: string) {
    const rows = Number(metadata.row_groups[group].num_rows);
    const chunk = metadata.row_groups[group].columns.find((c) => c.meta_data?.path_in_schema.join('.') === column);
    if (chunk?.meta_data === undefined || chunk.file_path) {
      throw new FormatError(`${where}: row group ${group} has no column ${column} in this file`);
    }
    this.#source = source;
    this.#where = where;
    this.#meta = chunk.meta_data;
    const path = guarded(where, 'schema', () => getSchemaPath(metadata.schema, chunk.meta_data!.path_in_schema));
    if (getMaxRepetitionLevel(path) > 0) throw new FormatError(`${where}: the column ${column} holds lists`);
    this.#maxDefinition = getMaxDefinitionLevel(path);
    let at = Number(this.#meta.dictionary_page_offset || this.#meta.data_page_offset);
    const end = at + Number(this.#meta.total_compressed_size);
    if (!(at >= 4) || !(end >= at) || end > source.sizeBytes) {
      throw new FormatError(
        `${where}: the column ${column} of group ${group} lies at bytes ${at} to ${end} of ${source.sizeBytes}`,
      );
    }
    for (let firstRow = 0; at < end && firstRow < rows; ) {
      const { header, headerBytes } = this.#readHeader(at, end);
      const start = at + headerBytes;
      const length = Number(header.compressed_page_size);
      const unpackedBytes = Number(header.uncompressed_page_size);
      if (!(length >= 0) || start + length > end || !(unpackedBytes >= 0) || unpackedBytes > maxPageBytes) {
        throw new FormatError(`${where}: a page of ${length} bytes (${unpackedBytes} unpacked)`, at);
      }
      const count = Number((header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0);
      const page = { start, end: start + length, unpackedBytes, header, firstRow, rows: count };
      if (header.type === 'DICTIONARY_PAGE') this.#dictionaryPage = page;
      else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
        if (!(count >= 0) || firstRow + count > rows) {
          throw new FormatError(`${where}: a page of ${count} values where the group has ${rows - firstRow} left`, at);
        }
        if (count > 0) this.#pages.push(page);
        firstRow += count;
      }
      at = start + length;
    }
  }

  /** @throws {FormatError} for a row that is in no page, and for pages that are damaged */
  value(row: number): ParquetValue {
    if (
      this.#open === null ||
      row < this.#open.page.firstRow ||
      row >= this.#open.page.firstRow + this.#open.page.rows
    ) {
      const page = this.#pages.find(({ firstRow, rows }) => row >= firstRow && row < firstRow + rows);
      if (page === undefined) throw new FormatError(`${this.#where}: row ${row} of a group is in none of its pages`);
      this.#open = { page, values: this.#readPage(page) };
    }
    return this.#open.values[row - this.#open.page.firstRow];
  }

  #readHeader(at: number, end: number): { header: ReturnType<typeof parquetHeader>; headerBytes: number } {
    // Most take 30 bytes; statistics in them can be long.
    for (let guess = 256; ; guess *= 8) {
      const upTo = Math.min(end, at + guess);
      const reader = { view: viewOf(this.#source.read(at, upTo)), offset: 0 };
      try {
        const header = parquetHeader(reader);
        return { header, headerBytes: reader.offset };
      } catch (error) {
        if (upTo === end || guess > maxHeaderBytes) {
          throw new FormatError(`${this.#where}: the header of a page is damaged: ${(error as Error).message}`, at);
        }
      }
    }
  }

  #readPage(page: Page): ParquetValue[] {
    const { header, rows, start } = page;
    const stored = this.#source.read(page.start, page.end);
    const fault = (why: string) => new FormatError(`${this.#where}: a page is damaged: ${why}`, start);
    let present: Uint8Array | null;
    let values: Uint8Array;
    let encoding: string;
    if (header.data_page_header !== undefined) {
      encoding = header.data_page_header.encoding;
      const bytes = this.#unpack(stored, page.unpackedBytes, start);
      const levels =
        this.#maxDefinition === 0 ? 0 : bytes.length < 4 ? Number.NaN : 4 + viewOf(bytes).getUint32(0, true);
      if (!(levels <= bytes.length)) throw fault(`levels of ${levels} bytes in ${bytes.length}`);
      present = levels === 0 ? null : this.#present(bytes.subarray(4, levels), rows, fault);
      values = bytes.subarray(levels);
    } else {
      const v2 = header.data_page_header_v2!;
      encoding = v2.encoding;
      const [skip, length] = [Number(v2.repetition_levels_byte_length), Number(v2.definition_levels_byte_length)];
      if (!(skip >= 0 && length >= 0 && skip + length <= stored.length)) throw fault(`levels of ${length} bytes`);
      present = this.#maxDefinition === 0 ? null : this.#present(stored.subarray(skip, skip + length), rows, fault);
      const rest = stored.subarray(skip + length);
      values = v2.is_compressed === false ? rest : this.#unpack(rest, page.unpackedBytes - skip - length, start);
    }
    const count = present === null ? rows : present.reduce((sum, x) => sum + x, 0);
    const decoded = this.#decode(values, encoding, count, fault);
    if (present === null) return decoded;
    let next = 0;
    return Array.from(present, (there) => (there === 1 ? decoded[next++] : null));
  }

  /** 1 for each row that has a value. */
  #present(levels: Uint8Array, rows: number, fault: (why: string) => Error): Uint8Array {
    const width = 32 - Math.clz32(this.#maxDefinition);
    return Uint8Array.from(runs(levels, width, rows, fault), (level) => (level === this.#maxDefinition ? 1 : 0));
  }

  #decode(bytes: Uint8Array, encoding: string, count: number, fault: (why: string) => Error): ParquetValue[] {
    if (count === 0) return [];
    switch (encoding) {
      case 'PLAIN':
        return plainValues(bytes, this.#meta.type, count, fault);
      case 'PLAIN_DICTIONARY':
      case 'RLE_DICTIONARY': {
        this.#dictionary ??= this.#readDictionary();
        const dictionary = this.#dictionary;
        if (bytes.length === 0 || bytes[0] > 32) throw fault('indices without a width');
        return Array.from(runs(bytes.subarray(1), bytes[0], count, fault), (i) => {
          if (i >= dictionary.length) throw fault(`entry ${i} of a dictionary of ${dictionary.length}`);
          return dictionary[i];
        });
      }
      case 'DELTA_BINARY_PACKED': {
        const numbers = this.#meta.type === 'INT64' ? new BigInt64Array(count) : new Int32Array(count);
        guarded(this.#where, 'page', () => deltaBinaryUnpack({ view: viewOf(bytes), offset: 0 }, count, numbers));
        return Array.from(numbers as ArrayLike<number | bigint>, Number);
      }
      case 'DELTA_LENGTH_BYTE_ARRAY': {
        const reader = { view: viewOf(bytes), offset: 0 };
        const lengths = new Int32Array(count);
        guarded(this.#where, 'page', () => deltaBinaryUnpack(reader, count, lengths));
        let at = reader.offset;
        return Array.from(lengths, (length) => {
          if (length < 0 || at + length > bytes.length) throw fault(`a value of ${length} bytes`);
          return bytes.subarray(at, (at += length));
        });
      }
      default:
        throw new FormatError(`${this.#where}: its values are encoded as ${encoding}, which is not read here`);
    }
  }

  #readDictionary(): ParquetValue[] {
    const page = this.#dictionaryPage;
    if (page === null) throw new FormatError(`${this.#where}: a page asks for a dictionary, and there is none`);
    const bytes = this.#unpack(this.#source.read(page.start, page.end), page.unpackedBytes, page.start);
    const count = Number(page.header.dictionary_page_header?.num_values ?? 0);
    const fault = (why: string) => new FormatError(`${this.#where}: the dictionary is damaged: ${why}`, page.start);
    if (!(count >= 0 && count <= bytes.length)) throw fault(`${count} entries in ${bytes.length} bytes`);
    return plainValues(bytes, this.#meta.type, count, fault);
  }

  #unpack(bytes: Uint8Array, length: number, at: number): Uint8Array {
    if (!(length >= 0) || length > maxPageBytes) throw new FormatError(`${this.#where}: a page of ${length} bytes`, at);
    const { codec } = this.#meta;
    if (codec === 'UNCOMPRESSED') return bytes;
    const unpacker = unpackers[codec];
    if (unpacker === undefined)
      throw new FormatError(`${this.#where}: its pages are packed with ${codec}, which is not read here`);
    const out = guarded(this.#where, 'page', () => unpacker(bytes, length));
    if (out.length !== length) {
      throw new FormatError(`${this.#where}: a page unpacks to ${out.length} bytes instead of ${length}`, at);
    }
    return out;
  }
}

/** None gives out more than `length` bytes. */
const unpackers: Partial<Record<string, (bytes: Uint8Array, length: number) => Uint8Array>> = {
  SNAPPY: (bytes, length) => {
    const out = new Uint8Array(length);
    snappyUncompress(bytes, out);
    return out;
  },
  GZIP: (bytes, length) => gunzipSync(bytes, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, length) }),
  ZSTD: (bytes, length) => decompressZstd(bytes, new Uint8Array(length)),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
};

/** `count` numbers of `width` bits, in runs of one value and stretches of packed ones. What a run claims beyond `count` is not believed. */
function runs(bytes: Uint8Array, width: number, count: number, fault: (why: string) => Error): Uint32Array {
  const out = new Uint32Array(count);
  const valueBytes = (width + 7) >> 3;
  let at = 0;
  for (let done = 0; done < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length || shift > 28) throw fault('a run is cut short');
      header += (bytes[at] & 0x7f) * 2 ** shift;
      if ((bytes[at++] & 0x80) === 0) break;
    }
    const length = Math.floor(header / 2);
    if (length === 0) throw fault('an empty run');
    if (header % 2 === 0) {
      if (at + valueBytes > bytes.length) throw fault('a run is cut short');
      let value = 0;
      for (let i = 0; i < valueBytes; i++) value += bytes[at++] * 2 ** (8 * i);
      const upTo = Math.min(count, done + length);
      out.fill(value, done, upTo);
      done = upTo;
      continue;
    }
    const upTo = Math.min(count, done + 8 * length);
    if (at + Math.ceil(((upTo - done) * width) / 8) > bytes.length) throw fault('packed values are cut short');
    let bit = 0;
    for (; done < upTo; done++) {
      let value = 0;
      for (let b = 0; b < width; b++, bit++) value += ((bytes[at + (bit >> 3)] >> (bit & 7)) & 1) * 2 ** b;
      out[done] = value;
    }
    at += length * width;
  }
  return out;
}

function plainValues(bytes: Uint8Array, type: string, count: number, fault: (why: string) => Error): ParquetValue[] {
  const view = viewOf(bytes);
  const fixed = { INT32: 4, INT64: 8, FLOAT: 4, DOUBLE: 8 }[type];
  if (fixed !== undefined) {
    if (count * fixed > bytes.length) throw fault(`${count} values of ${fixed} bytes in ${bytes.length}`);
    const read = {
      INT32: (i: number) => view.getInt32(4 * i, true),
      INT64: (i: number) => Number(view.getBigInt64(8 * i, true)),
      FLOAT: (i: number) => view.getFloat32(4 * i, true),
      DOUBLE: (i: number) => view.getFloat64(8 * i, true),
    }[type as 'INT32'];
    return Array.from({ length: count }, (_, i) => read(i));
  }
  if (type === 'BOOLEAN') {
    if (count > 8 * bytes.length) throw fault(`${count} bits in ${bytes.length} bytes`);
    return Array.from({ length: count }, (_, i) => (bytes[i >> 3] >> (i & 7)) & 1);
  }
  if (type !== 'BYTE_ARRAY') throw fault(`values of type ${type}`);
  if (4 * count > bytes.length) throw fault(`${count} values in ${bytes.length} bytes`);
  let at = 0;
  return Array.from({ length: count }, () => {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : Number.NaN;
    if (!(at + 4 + length <= bytes.length)) throw fault(`a value of ${length} bytes`);
    at += 4 + length;
    return bytes.subarray(at - length, at);
  });
}

function guarded<T>(where: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(`${where}: the ${what} is damaged: ${(error as Error).message}`);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Zip archives, read with distrust: the central directory is checked whole before anything is unpacked. Entries lie inside the file, do not
 * overlap, have plain names that come once, and sizes that their packed bytes can hold; so what is unpacked is bounded before it is.
 * Source: PKWARE APPNOTE 6.3.10. Entries may be stored or deflated, sizes and offsets zip64.
 */

import { inflateSync } from 'fflate';
import { FormatError } from '../util/errors.js';
import type { ByteSource } from './byte-source.js';
import { crc32 } from './crc32.js';

export interface ZipEntry {
  readonly name: string;
  /** Unpacked. */
  readonly sizeBytes: number;
  /** Where its bytes lie in the file; as many as `sizeBytes` when stored. */
  readonly start: number;
  readonly end: number;
  readonly deflated: boolean;
  /** 0 where the writer kept none (PyTorch may be told to). */
  readonly crc: number;
}

export function isZip(first: Uint8Array): boolean {
  return first[0] === 0x50 && first[1] === 0x4b && first[2] === 3 && first[3] === 4;
}

/** The entries by name; folders are left out. @throws {FormatError} with the offset, for any archive that is not sound */
export function openZip(source: ByteSource): Map<string, ZipEntry> {
  const directory = findDirectory(source);
  const bytes = source.read(directory.start, directory.end);
  const listed: Listed[] = [];
  const names = new Set<string>();
  for (let at = 0; at < bytes.length; ) {
    const entry = readListed(bytes, at, directory.start);
    if (names.has(entry.name)) fail(`two entries are named '${entry.name}'`, directory.start + at);
    names.add(entry.name);
    listed.push(entry);
    at += entry.recordBytes;
  }
  if (listed.length % 0x10000 !== directory.count % 0x10000)
    fail(`the directory lists ${listed.length} entries and says ${directory.count}`, directory.start);
  const entries = place(source, listed, directory.start);
  const total = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const limit = mostTimesLarger * source.sizeBytes + spareBytes;
  if (total > limit) {
    fail(
      `its entries would unpack to ${total} bytes from ${source.sizeBytes}, more than ${mostTimesLarger} times as many`,
      directory.start,
    );
  }
  return new Map(entries.filter(({ name }) => !name.endsWith('/')).map((entry) => [entry.name, entry]));
}

/** The content of an entry, checked against its CRC. It may be a view of the source. @throws {FormatError} if it is damaged */
export function readZipEntry(source: ByteSource, entry: ZipEntry): Uint8Array {
  const packed = source.read(entry.start, entry.end);
  const content = entry.deflated ? inflate(packed, entry) : packed;
  if (entry.crc !== 0 && crc32(content) !== entry.crc) {
    fail(`'${entry.name}' is damaged: its bytes do not have the checksum ${hex(entry.crc)}`, entry.start);
  }
  return content;
}

const mostTimesLarger = 100;
const spareBytes = 1 << 24;
const maxDirectoryBytes = 64 << 20;

function inflate(packed: Uint8Array, entry: ZipEntry): Uint8Array {
  // One byte more than promised shows an entry that holds more; fflate writes nothing past the array it is given.
  const out = new Uint8Array(entry.sizeBytes + 1);
  let content: Uint8Array;
  try {
    content = inflateSync(packed, { out });
  } catch (error) {
    return fail(`'${entry.name}' cannot be unpacked: ${(error as Error).message}`, entry.start);
  }
  if (content.length !== entry.sizeBytes) {
    const found = content.length > entry.sizeBytes ? 'more' : `${content.length}`;
    fail(`'${entry.name}' should unpack to ${entry.sizeBytes} bytes and has ${found}`, entry.start);
  }
  return content;
}

interface Directory {
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

const endSignature = 0x06054b50;
const end64Signature = 0x06064b50;
const locatorSignature = 0x07064b50;
const listedSignature = 0x02014b50;
const localSignature = 0x04034b50;

/** The end record stands last, before a comment of at most 65,535 bytes. */
function findDirectory(source: ByteSource): Directory {
  const size = source.sizeBytes;
  const tailStart = Math.max(0, size - 22 - 0xffff);
  const tail = source.read(tailStart, size);
  const view = viewOf(tail);
  let at = tail.length - 22;
  while (
    at >= 0 &&
    !(view.getUint32(at, true) === endSignature && view.getUint16(at + 20, true) === tail.length - 22 - at)
  )
    at--;
  if (at < 0) fail('the directory at its end is missing: the file is cut short', size);
  const endAt = tailStart + at;
  const [disk, startDisk] = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
  const count = view.getUint16(at + 10, true);
  const bytes = view.getUint32(at + 12, true);
  const start = view.getUint32(at + 16, true);
  const is64 = count === 0xffff || bytes === 0xffffffff || start === 0xffffffff;
  const directory = is64 ? findDirectory64(source, endAt) : { start, end: start + bytes, count };
  if (!is64 && (disk !== 0 || startDisk !== 0)) fail('an archive of several files', endAt);
  if (directory.end > endAt || directory.end - directory.start > maxDirectoryBytes) {
    fail(`the directory cannot lie at bytes ${directory.start} to ${directory.end} of ${size}`, endAt);
  }
  return directory;
}

function findDirectory64(source: ByteSource, endAt: number): Directory {
  const locator = viewOf(read(source, endAt - 20, 20, 'the zip64 locator'));
  if (locator.getUint32(0, true) !== locatorSignature) fail('the zip64 locator is missing', endAt);
  const at = safe(locator.getBigUint64(8, true), endAt - 12);
  const record = viewOf(read(source, at, 56, 'the zip64 end record'));
  if (record.getUint32(0, true) !== end64Signature) fail('the zip64 end record is missing', at);
  const start = safe(record.getBigUint64(48, true), at + 48);
  const end = start + safe(record.getBigUint64(40, true), at + 40);
  return { start, end, count: safe(record.getBigUint64(32, true), at + 32) };
}

/** An entry as the central directory has it. */
interface Listed {
  readonly name: string;
  readonly recordBytes: number;
  readonly sizeBytes: number;
  readonly packedBytes: number;
  readonly localAt: number;
  readonly deflated: boolean;
  readonly crc: number;
  /** Of the record, in the file. */
  readonly at: number;
}

function readListed(bytes: Uint8Array, offset: number, base: number): Listed {
  const at = base + offset;
  const view = viewOf(bytes.subarray(offset));
  if (view.byteLength < 46 || view.getUint32(0, true) !== listedSignature) fail('a broken entry in the directory', at);
  const [nameBytes, extraBytes] = [view.getUint16(28, true), view.getUint16(30, true)];
  const recordBytes = 46 + nameBytes + extraBytes + view.getUint16(32, true);
  if (recordBytes > view.byteLength) fail('an entry runs past the end of the directory', at);
  const name = readName(bytes.subarray(offset + 46, offset + 46 + nameBytes), at);
  const extra = bytes.subarray(offset + 46 + nameBytes, offset + 46 + nameBytes + extraBytes);
  const wide = wideFields(extra);
  const field = (where: number) => {
    const value = view.getUint32(where, true);
    return value === 0xffffffff && wide.length > 0 ? safe(wide.shift()!, at) : value;
  };
  const sizeBytes = field(24); // zip64's fields come in this order
  const packedBytes = field(20);
  const localAt = field(42);
  const [flags, method] = [view.getUint16(8, true), view.getUint16(10, true)];
  if (flags & 1) fail(`'${name}' is encrypted`, at);
  if (method !== 0 && method !== 8) {
    fail(`'${name}' is packed by method ${method}; only stored (0) and deflated (8) entries can be read`, at);
  }
  if (method === 0 ? sizeBytes !== packedBytes : sizeBytes > mostFromDeflate(packedBytes)) {
    fail(`'${name}' cannot hold ${sizeBytes} bytes in ${packedBytes}`, at);
  }
  return {
    name,
    recordBytes,
    sizeBytes,
    packedBytes,
    localAt,
    deflated: method === 8,
    crc: view.getUint32(16, true),
    at,
  };
}

/** Deflate's best: 258 bytes from two bits. */
function mostFromDeflate(packedBytes: number): number {
  return 1032 * packedBytes + 258;
}

/** The 64-bit numbers of the zip64 extra field. */
function wideFields(extra: Uint8Array): bigint[] {
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length; ) {
    const [id, size] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    const end = Math.min(at + 4 + size, extra.length);
    if (id === 1)
      return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, i) => view.getBigUint64(at + 4 + 8 * i, true));
    at += 4 + size;
  }
  return [];
}

function readName(bytes: Uint8Array, at: number): string {
  let name: string;
  try {
    name = utf8.decode(bytes);
  } catch {
    return fail('a name that is not valid UTF-8', at);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no name of a file has them
  const isOdd = name === '' || /[\\\x00-\x1f]|^\/|^[a-zA-Z]:/.test(name) || name.split('/').includes('..');
  return isOdd ? fail(`the name ${JSON.stringify(name)} leads out of the archive`, at) : name;
}

/** Finds each entry's bytes by its local header, and checks that no byte belongs to two entries. */
function place(source: ByteSource, listed: readonly Listed[], directoryStart: number): ZipEntry[] {
  const inOrder = [...listed].sort((a, b) => a.localAt - b.localAt);
  let free = 0;
  return inOrder.map(({ name, sizeBytes, packedBytes, localAt, deflated, crc, at }) => {
    if (localAt < free) fail(`'${name}' overlaps the entry before it`, at);
    if (localAt + 30 > directoryStart) fail(`'${name}' lies outside the file, at byte ${localAt}`, at);
    const header = viewOf(source.read(localAt, localAt + 30));
    if (header.getUint32(0, true) !== localSignature) fail(`'${name}' is not where the directory says`, localAt);
    const start = localAt + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    const end = start + packedBytes;
    if (end > directoryStart) fail(`'${name}' runs past the end of the archive`, localAt);
    free = end;
    return { name, sizeBytes, start, end, deflated, crc };
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function read(source: ByteSource, start: number, bytes: number, what: string): Uint8Array {
  if (start < 0 || start + bytes > source.sizeBytes) fail(`${what} lies outside the file`, source.sizeBytes);
  return source.read(start, start + bytes);
}

function safe(value: bigint, at: number): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? fail(`a size or place of ${value} bytes`, at) : Number(value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

function fail(reason: string, at: number): never {
  throw new FormatError(`zip: ${reason}`, at);
}

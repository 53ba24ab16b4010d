/**
 * The table of contents of a tar archive: where each file's bytes lie. Headers of 512 bytes are read one after the other and their contents stepped over, so
 * an archive of gigabytes is listed by reading a thousandth of it. Names are labels here, never paths: nothing is unpacked.
 * Source: POSIX.1-2017, pax, "ustar interchange format" and "pax header"; GNU tar manual, "Extensions".
 */

import type { ByteSource } from '../../io/byte-source.js';
import { FormatError } from '../../util/errors.js';

export interface TarEntry {
  readonly name: string;
  /** Of its bytes in the archive. */
  readonly offset: number;
  readonly length: number;
}

const block = 512;
/** A header that describes the next entry (a long name, times) is text of a few hundred bytes. */
const maxExtensionBytes = 1 << 20;
const maxEntries = 50_000_000;

/** The plain files in order. Links, folders and devices are stepped over. @throws {FormatError} with the offset, for what is no tar archive */
export function* tarEntries(source: ByteSource, where: string): Generator<TarEntry> {
  const size = source.sizeBytes;
  let longName: string | null = null;
  let longSize: number | null = null;
  let count = 0;
  for (let at = 0; ; ) {
    if (at === size && count > 0) return; // some writers leave the closing blocks out
    if (at + block > size) fail(where, 'it is cut short', at);
    const header = source.read(at, at + block);
    if (header.every((byte) => byte === 0)) return;
    checkSum(header, where, at);
    const type = String.fromCharCode(header[156]);
    const isExtension = type === 'L' || type === 'K' || type === 'x' || type === 'g';
    const length = isExtension || longSize === null ? sizeOf(header, where, at) : longSize;
    const start = at + block;
    if (start + length > size)
      fail(where, `an entry of ${length} bytes begins, ${size - start} are left: it is cut short`, at);
    if (++count > maxEntries) fail(where, `it has more than ${maxEntries} entries`, at);
    if (isExtension) {
      if (length > maxExtensionBytes) fail(where, `the description of an entry takes ${length} bytes`, at);
      const content = source.read(start, start + length);
      if (type === 'L') longName = text(content);
      if (type === 'x') {
        const { path, size: given } = paxRecords(content);
        longName = path ?? longName;
        if (given !== undefined) longSize = wholeSize(given, where, at);
      }
    } else {
      if (type === '0' || type === '\0' || type === '7')
        yield { name: longName ?? nameOf(header), offset: start, length };
      longName = null;
      longSize = null;
    }
    // A link to another entry is written with the size of its target by some, and has no bytes of its own.
    const stored = type === '1' || type === '2' || type === '5' ? 0 : length;
    at = start + Math.ceil(stored / block) * block;
    if (at > size) at = size; // the padding of the last entry was left out
  }
}

/** Whether these are the first bytes of a tar archive. */
export function isTar(first: Uint8Array): boolean {
  return first.length >= block && sumOf(first) === octal(first.subarray(148, 156));
}

function checkSum(header: Uint8Array, where: string, at: number): void {
  if (sumOf(header) !== octal(header.subarray(148, 156))) {
    fail(where, at === 0 ? 'it is no tar archive' : 'the checksum of a header is wrong: the archive is damaged', at);
  }
}

/** Of all bytes, with the checksum itself as blanks. */
function sumOf(header: Uint8Array): number {
  let sum = 8 * 32;
  for (let i = 0; i < block; i++) if (i < 148 || i >= 156) sum += header[i];
  return sum;
}

function sizeOf(header: Uint8Array, where: string, at: number): number {
  const field = header.subarray(124, 136);
  if ((field[0] & 0x80) === 0) {
    const size = octal(field);
    if (size === null) fail(where, 'the size of an entry is not a number', at);
    return size as number;
  }
  // GNU: a number of 95 bits.
  let size = field[0] & 0x7f;
  for (const byte of field.subarray(1)) size = size * 256 + byte;
  return wholeSize(String(size), where, at);
}

function wholeSize(given: string, where: string, at: number): number {
  const size = Number(given);
  if (!Number.isSafeInteger(size) || size < 0) fail(where, `an entry of ${given.slice(0, 30)} bytes`, at);
  return size;
}

function octal(field: Uint8Array): number | null {
  const digits = text(field).trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : digits === '' ? 0 : null;
}

function nameOf(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const isUstar = text(header.subarray(257, 262)) === 'ustar' && header[262] === 0; // GNU's own form keeps times there
  const prefix = isUstar ? text(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Records "length key=value\n", where the length counts itself. */
function paxRecords(content: Uint8Array): { path?: string; size?: string } {
  const found: { path?: string; size?: string } = {};
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(32, at);
    const length = space < 0 ? Number.NaN : Number(decoder.decode(content.subarray(at, space)));
    if (!Number.isInteger(length) || length < space - at + 3 || at + length > content.length) return found;
    const record = decoder.decode(content.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    const key = record.slice(0, equals);
    if (key === 'path' || key === 'size') found[key] = record.slice(equals + 1);
    at += length;
  }
  return found;
}

const decoder = new TextDecoder();

/** Up to the first NUL. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function fail(where: string, why: string, at: number): never {
  throw new FormatError(`${where}: ${why}`, at);
}

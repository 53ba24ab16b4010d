/**
 * Reads the JSON header of a safetensors file: one fixed grammar, walked byte by byte. `JSON.parse` would keep the last of two equal
 * keys silently, accept any nesting, and not say where it stopped; this reader does none of that, and its work is bounded by the bytes given.
 *
 *     header    { "__metadata__": { string: string … }, name: tensor … }   then spaces
 *     tensor    { "dtype": string, "shape": [integer …], "data_offsets": [integer, integer] }   in any order
 */

import { FormatError } from '../util/errors.js';

export interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offsets: readonly [number, number];
  /** Where the entry's value begins, in bytes of the file. */
  readonly at: number;
}

/** `base` is where `bytes` begin in the file. @throws {FormatError} */
export function readHeaderJson(
  bytes: Uint8Array,
  base: number,
): { entries: Map<string, HeaderEntry>; metadata: Record<string, string> } {
  const reader = new Reader(bytes, base);
  const entries = new Map<string, HeaderEntry>();
  let metadata: Record<string, string> = {};
  if (bytes[0] !== OPEN_BRACE) reader.fail("the header must begin with '{'");
  reader.object((key) => {
    if (key === '__metadata__') metadata = readMetadata(reader);
    else entries.set(key, readEntry(reader, key));
  });
  reader.end();
  return { entries, metadata };
}

function readMetadata(reader: Reader): Record<string, string> {
  const pairs: [string, string][] = [];
  reader.object((key) => pairs.push([key, reader.string()]));
  return Object.fromEntries(pairs); // defines own properties: '__proto__' is a key like any other
}

function readEntry(reader: Reader, name: string): HeaderEntry {
  reader.space();
  const at = reader.position;
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  reader.object((key) => {
    if (key === 'dtype') dtype = reader.string();
    else if (key === 'shape') shape = reader.integers(maxRank);
    else if (key === 'data_offsets') offsets = reader.integers(2);
    else reader.fail(`'${name}' has an unknown field '${key}'`);
  });
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    throw new FormatError(`safetensors: '${name}' must have dtype, shape and data_offsets`, at);
  }
  if (offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw new FormatError(
      `safetensors: '${name}' needs data_offsets [begin, end], begin ≤ end, not [${offsets.join(', ')}]`,
      at,
    );
  }
  return { dtype, shape, offsets: [offsets[0], offsets[1]], at };
}

const OPEN_BRACE = 0x7b;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const maxRank = 64;

class Reader {
  #at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly base: number,
  ) {}

  /** In bytes of the file. */
  get position(): number {
    return this.base + this.#at;
  }

  fail(reason: string): never {
    throw new FormatError(`safetensors: ${reason}`, this.position);
  }

  space(): void {
    while (isSpace(this.bytes[this.#at])) this.#at++;
  }

  /** `{ "key": value, … }`; `member` must consume the value. A key that comes twice is refused. */
  object(member: (key: string) => void): void {
    const seen = new Set<string>();
    this.#expect('{');
    if (this.#take('}')) return;
    do {
      this.space();
      const start = this.#at;
      const key = this.string();
      if (seen.has(key)) {
        this.#at = start;
        this.fail(`the key '${key}' comes twice`);
      }
      seen.add(key);
      this.#expect(':');
      member(key);
    } while (this.#take(','));
    this.#expect('}');
  }

  /** `[n, …]`, at most `limit` of them, each a non-negative integer that a double holds exactly. */
  integers(limit: number): number[] {
    const out: number[] = [];
    this.#expect('[');
    if (this.#take(']')) return out;
    do {
      if (out.length === limit) this.fail(`a list of more than ${limit} numbers`);
      out.push(this.#integer());
    } while (this.#take(','));
    this.#expect(']');
    return out;
  }

  string(): string {
    this.space();
    const start = this.#at;
    if (this.bytes[start] !== QUOTE) this.fail(`expected a string, found ${this.#here()}`);
    let end = start + 1;
    while (end < this.bytes.length && this.bytes[end] !== QUOTE) end += this.bytes[end] === BACKSLASH ? 2 : 1;
    if (end >= this.bytes.length) this.fail('a string without an end');
    try {
      // The literal alone goes to the two strict decoders: UTF-8, then JSON's escapes.
      const text: string = JSON.parse(utf8.decode(this.bytes.subarray(start, end + 1)));
      this.#at = end + 1;
      return text;
    } catch {
      return this.fail('a string that is not valid UTF-8 or JSON');
    }
  }

  end(): void {
    this.space();
    if (this.#at < this.bytes.length) this.fail(`the header ends here, yet ${this.#here()} follows`);
  }

  #integer(): number {
    this.space();
    const start = this.#at;
    let value = 0;
    while (isDigit(this.bytes[this.#at]) && value <= Number.MAX_SAFE_INTEGER)
      value = value * 10 + (this.bytes[this.#at++] - 0x30);
    const digits = this.#at - start;
    const leadingZero = digits > 1 && this.bytes[start] === 0x30;
    if (digits === 0 || leadingZero || value > Number.MAX_SAFE_INTEGER || /[.eE+-]/.test(this.#char())) {
      this.#at = start;
      this.fail(`expected an integer from 0 to ${Number.MAX_SAFE_INTEGER}, found ${this.#here()}`);
    }
    return value;
  }

  #take(char: string): boolean {
    this.space();
    if (this.#char() !== char) return false;
    this.#at++;
    return true;
  }

  #expect(char: string): void {
    if (!this.#take(char)) this.fail(`expected '${char}', found ${this.#here()}`);
  }

  #char(): string {
    return this.#at < this.bytes.length ? String.fromCharCode(this.bytes[this.#at]) : '';
  }

  #here(): string {
    if (this.#at >= this.bytes.length) return 'the end of the header';
    const byte = this.bytes[this.#at];
    return byte > 0x20 && byte < 0x7f ? `'${this.#char()}'` : `byte 0x${byte.toString(16).padStart(2, '0')}`;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/**
 * NumPy's `.npy` files: a magic number, a version, a header that is a Python dictionary as text, then the elements of one array. The header is read as
 * what it may be and nothing else: never evaluated. Its shape must account for every byte of the file before anything is allocated. Arrays of objects
 * are pickles, which could run code: they are refused. Source: NumPy, "numpy.lib.format", versions 1.0, 2.0 and 3.0.
 */

import { type ElementTypeName, elementTypes } from '../io/element-types.js';
import type { HostTensor } from '../io/index.js';
import type { DType } from '../util/dtype.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { formatShape, numel } from '../util/shape.js';

/** NumPy's kind and size → the element type of the same bytes. What that becomes: integers int32 (u1 uint8), reals float32 (f8 rounds). */
const types: Readonly<Record<string, ElementTypeName>> = {
  b1: 'BOOL',
  u1: 'U8',
  i1: 'I8',
  u2: 'U16',
  i2: 'I16',
  u4: 'U32',
  i4: 'I32',
  u8: 'U64',
  i8: 'I64',
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
};

/** Kinds that fovea has no tensors for, in words. */
const otherKinds: Readonly<Record<string, string>> = {
  O: 'Python objects (a pickle, which could run code): save it as numbers, with dtype= or a rectangular shape',
  c: 'complex numbers',
  S: 'byte strings',
  a: 'byte strings',
  U: 'strings',
  V: 'records or raw bytes',
  M: 'dates',
  m: 'durations',
  f: 'reals of more than 64 bits',
};

export interface NpyHeader {
  readonly shape: readonly number[];
  readonly elements: ElementTypeName;
  readonly bigEndian: boolean;
  /** Stored with the first axis innermost. */
  readonly fortranOrder: boolean;
  /** Where the elements begin. */
  readonly start: number;
}

export function isNpy(first: Uint8Array): boolean {
  return magic.every((byte, i) => first[i] === byte);
}

/**
 * The array in the bytes of a `.npy` file, row-major: bool, uint8, int32 (all other integers) or float32 (all reals).
 * @throws {FormatError} with offset and reason: another magic, a header that is none, cut short, bytes left over, integers that int32 cannot hold
 */
export function parseNpy(bytes: Uint8Array): HostTensor {
  const { shape, elements, bigEndian, fortranOrder, start } = parseNpyHeader(bytes);
  const type = elementTypes[elements];
  const sizeBytes = numel(shape) * type.bytes;
  if (bytes.length - start !== sizeBytes) {
    fail(
      `shape ${formatShape(shape)} takes ${sizeBytes} bytes, there are ${bytes.length - start}: ${bytes.length - start < sizeBytes ? 'it is cut short' : 'bytes are left over'}`,
      Math.min(bytes.length, start + sizeBytes),
    );
  }
  const stored = bytes.subarray(start);
  const { dtype, data } = type.decode(bigEndian ? swapped(stored, type.bytes) : stored, (element, what) => {
    return new FormatError(`npy: element ${element} is ${what}`, start + element * type.bytes);
  });
  return { dtype, shape, data: fortranOrder && shape.length > 1 ? rowMajor(data, shape) : data };
}

/** What a `.npy` file says about itself; `bytes` may be its beginning only. @throws {FormatError} */
export function parseNpyHeader(bytes: Uint8Array): NpyHeader {
  if (!isNpy(bytes)) fail('the first bytes are not \\x93NUMPY: not a .npy file', 0);
  const [major, minor] = [bytes[6], bytes[7]];
  if (!(major >= 1 && major <= 3 && minor === 0)) fail(`version ${major}.${minor}; known are 1.0, 2.0 and 3.0`, 6);
  const from = major === 1 ? 10 : 12;
  if (bytes.length < from) fail('it ends before the header', bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > longestHeader) fail(`a header of ${length} bytes; at most ${longestHeader} make sense`, 8);
  const start = from + length;
  if (start > bytes.length)
    fail(`a header of ${length} bytes, of which ${bytes.length - from} are there`, bytes.length);
  const text = decodeText(bytes.subarray(from, start), major === 3 ? 'utf-8' : 'latin1', from);
  const header = new Literal(text, from).whole();
  return { ...checkHeader(header, from), start };
}

/** The bytes of a `.npy` file (version 1.0), as `numpy.save` writes them. */
export function encodeNpy({ dtype, shape, data }: HostTensor): Uint8Array {
  if (data.length !== numel(shape)) {
    throw new ConfigError(
      `encodeNpy: shape ${formatShape(shape)} takes ${numel(shape)} elements, there are ${data.length}`,
    );
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const facts = `{'descr': '${descriptions[dtype]}', 'fortran_order': False, 'shape': ${tuple}, }`;
  // NumPy leaves room for the first axis to grow, and begins the elements at a multiple of 64.
  const growth = shape.length === 0 ? 0 : Math.max(0, 21 - String(shape[0]).length);
  const room = facts.length + growth + 1;
  const length = Math.ceil((10 + room) / 64) * 64 - 10;
  if (length > 0xffff) throw new ConfigError(`encodeNpy: ${shape.length} axes make too long a header`);
  const values = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const out = new Uint8Array(10 + length + values.length);
  out.set(magic);
  out.set([1, 0, length & 255, length >> 8], 6);
  out.set(new TextEncoder().encode(`${facts.padEnd(length - 1)}\n`), 10);
  out.set(values, 10 + length);
  return out;
}

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const longestHeader = 1 << 16;
const mostAxes = 64; // NumPy's own limit

const descriptions: Readonly<Record<DType, string>> = { float32: '<f4', int32: '<i4', uint8: '|u1', bool: '|b1' };

function decodeText(bytes: Uint8Array, encoding: string, at: number): string {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return fail('the header is not valid UTF-8', at);
  }
}

/** What a header's text may say: Python literals. */
type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

function checkHeader(header: Value, at: number): Omit<NpyHeader, 'start'> {
  if (typeof header !== 'object' || header === null || Array.isArray(header)) fail('the header is no dictionary', at);
  const { descr, fortran_order: fortranOrder, shape } = header as { [key: string]: Value };
  if (typeof fortranOrder !== 'boolean') fail("the header's 'fortran_order' is not True or False", at);
  const isShape = Array.isArray(shape) && shape.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
  if (!isShape || shape.length > mostAxes) fail("the header's 'shape' is not a tuple of sizes", at);
  const sizes = shape as number[];
  const most = numel(sizes.map((size) => Math.max(1, size))) * 8; // an axis of 0 does not make the others sensible
  if (!Number.isSafeInteger(most)) fail(`no file has shape ${formatShape(sizes)}`, at);
  if (Array.isArray(descr)) fail(`an array of ${otherKinds.V}; fovea reads arrays of numbers`, at);
  if (typeof descr !== 'string') fail("the header's 'descr' is no type", at);
  const [, order = '|', kind, bytes] = /^([<>|=]?)([a-zA-Z])(\d*)$/.exec(descr) ?? [];
  // What bfloat16 is called by its NumPy extension (ml_dtypes): raw bytes of an order, which other raw bytes do not have.
  const elements = descr === '<V2' ? 'BF16' : types[`${kind}${bytes}`];
  if (elements === undefined) {
    const what = otherKinds[kind] ?? 'a type nobody knows';
    fail(`an array of ${JSON.stringify(descr.slice(0, 40))}: ${what}; fovea reads ${Object.keys(types).join(' ')}`, at);
  }
  return { shape: sizes, elements, bigEndian: order === '>', fortranOrder: fortranOrder as boolean };
}

/** Reads a Python literal of strings, whole numbers, True, False, None, tuples, lists and dictionaries. */
class Literal {
  #at = 0;

  constructor(
    readonly text: string,
    /** Of the text, in the file. */
    readonly offset: number,
  ) {}

  whole(): Value {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.text.length) this.#fail('something follows the dictionary');
    return value;
  }

  #value(depth: number): Value {
    if (depth > 8) this.#fail('brackets are nested too deep');
    this.#space();
    const c = this.text[this.#at];
    if (c === "'" || c === '"') return this.#string();
    if (c === '(' || c === '[') return this.#list(c === '(' ? ')' : ']', depth);
    if (c === '{') return this.#dictionary(depth);
    const [word] = /^(?:-?\d{1,20}L?|True|False|None)(?![\w.])/.exec(this.text.slice(this.#at, this.#at + 24)) ?? [];
    if (word === undefined) this.#fail('no value that a header may have');
    this.#at += word!.length;
    if (word === 'None') return null;
    return word === 'True' || word === 'False' ? word === 'True' : Number(word!.replace('L', '')); // L: written by Python 2
  }

  #string(): string {
    const quote = this.text[this.#at];
    const end = this.text.indexOf(quote, this.#at + 1);
    if (end === -1) this.#fail('a string without an end');
    const content = this.text.slice(this.#at + 1, end);
    if (content.includes('\\')) this.#fail('a string with an escape');
    this.#at = end + 1;
    return content;
  }

  /** `(3)` is the number 3 in brackets to Python; no writer of shapes means that, and it is taken for `(3,)`. */
  #list(close: string, depth: number): Value[] {
    const values: Value[] = [];
    this.#items(close, () => values.push(this.#value(depth + 1)));
    return values;
  }

  #dictionary(depth: number): { [key: string]: Value } {
    const entries = new Map<string, Value>();
    this.#items('}', () => {
      this.#space();
      if (this.text[this.#at] !== "'" && this.text[this.#at] !== '"') this.#fail('a key that is no string');
      const key = this.#string();
      this.#space();
      if (this.text[this.#at++] !== ':') this.#fail('a key without a value');
      if (entries.has(key)) this.#fail(`'${key.slice(0, 40)}' twice`);
      entries.set(key, this.#value(depth + 1));
    });
    return Object.fromEntries(entries);
  }

  /** Items with commas between them, up to the closing bracket; one comma may follow the last. */
  #items(close: string, readItem: () => void): void {
    this.#at++;
    for (;;) {
      this.#space();
      if (this.text[this.#at] === close) break;
      readItem();
      this.#space();
      if (this.text[this.#at] === ',') this.#at++;
      else if (this.text[this.#at] !== close) this.#fail(`'${close}' is missing`);
    }
    this.#at++;
  }

  #space(): void {
    while (/[ \t\n\r]/.test(this.text[this.#at] ?? '')) this.#at++;
  }

  #fail(reason: string): never {
    return fail(`the header cannot be read: ${reason}`, this.offset + this.#at);
  }
}

function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let from = 0; from < bytes.length; from += width) {
    for (let i = 0; i < width; i++) out[from + i] = bytes[from + width - 1 - i];
  }
  return out;
}

/** Elements with the first axis innermost, put in order with the last innermost. */
function rowMajor<T extends HostTensor['data']>(data: T, shape: readonly number[]): T {
  const out = data.slice() as T;
  const strides: number[] = [];
  let stride = 1;
  for (const size of shape) {
    strides.push(stride);
    stride *= size;
  }
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < data.length; to++) {
    out[to] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

function fail(reason: string, at: number): never {
  throw new FormatError(`npy: ${reason}`, at);
}

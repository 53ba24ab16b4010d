/**
 * Walks the wire format of a protobuf message before it is decoded, led by the generated descriptors, and distrusts every byte: lengths
 * stay within the message around them, wire types are those of the field, nesting and the number of parts are bounded. So what goes wrong
 * has a place in the file and a path (`graph.node[3].attribute[0].t.raw_data`), and the decoder meets only bytes that it can decode.
 * Source: protobuf.dev/programming-guides/encoding.
 */

import { type DescField, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import { FormatError } from '../../util/errors.js';

/** Where a message lies in the file, and where the messages inside it do: by field number, in the file's order. */
export interface Outline {
  readonly start: number;
  readonly children: Map<number, Outline[]> | null;
}

/** As protobuf's own readers allow. */
const maxDepth = 100;

/**
 * A part of two bytes becomes an object of some hundred, so that a small file could ask for much memory. The largest networks that are published
 * have some ten thousand nodes; what is large in them are tensors, and those count as one part.
 */
const maxParts = 1 << 20;

/** 64-bit integers of lists that are written one by one (they become bigints); large tensors have them in raw_data. */
const maxWideIntegers = 1 << 24;

/** @throws {FormatError} with the path and the byte offset of the first thing that is not as `desc` wants it. */
export function checkWire(desc: DescMessage, bytes: Uint8Array, format: string): Outline {
  return new Walker(bytes, format).message(desc, 0, bytes.length, 0);
}

/** Calls `visit` for `message` and every message inside it that `outline` knows, with the place where it begins. */
export function eachMessage(
  desc: DescMessage,
  message: Message,
  outline: Outline,
  visit: (message: Message, start: number) => void,
): void {
  visit(message, outline.start);
  if (outline.children === null) return;
  for (const field of desc.fields) {
    const inside = outline.children.get(field.number);
    if (inside === undefined || field.message === undefined) continue;
    // A field that stands twice where one is meant is merged into one message: the first place will do, and what came with the second has none.
    for (const [i, child] of messagesOf(message, field).entries()) {
      if (i < inside.length) eachMessage(field.message, child, inside[i], visit);
    }
  }
}

function messagesOf(message: Message, field: DescField): Message[] {
  const owner = message as unknown as Record<string, unknown>;
  if (field.oneof === undefined) {
    const value = owner[field.localName] as Message | Message[] | undefined;
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  }
  const chosen = owner[field.oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === field.localName ? [chosen.value as Message] : [];
}

const wireNames = [
  'a varint',
  '8 bytes',
  'a length and bytes',
  'the start of a group',
  'the end of a group',
  '4 bytes',
];
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

class Walker {
  #at = 0;
  #parts = 0;
  #wideIntegers = 0;
  /** Field names from the outside in, with indices where a field repeats. */
  readonly #path: string[] = [];

  constructor(
    private readonly bytes: Uint8Array,
    private readonly format: string,
  ) {}

  message(desc: DescMessage, start: number, end: number, depth: number): Outline {
    if (depth > maxDepth) this.#fail(`messages nested more than ${maxDepth} deep`, start);
    let children: Map<number, Outline[]> | null = null;
    this.#at = start;
    while (this.#at < end) {
      const tagAt = this.#at;
      const tag = this.#varint(end, 'a field number');
      const [number, wire] = [Math.floor(tag / 8), tag % 8];
      if (number === 0 || number >= 2 ** 29) this.#fail(`${number} is no field number`, tagAt);
      const field = fieldsOf(desc).get(number);
      if (field?.message === undefined) {
        this.#path.push(field?.name ?? `field ${number}`);
        if (field === undefined) this.#value(wire, end, tagAt);
        else this.#known(field, wire, end, tagAt);
      } else {
        children ??= new Map();
        const siblings = children.get(number) ?? [];
        children.set(number, siblings);
        this.#path.push(field.fieldKind === 'list' ? `${field.name}[${siblings.length}]` : field.name);
        this.#expectWire(wire, LENGTH, tagAt);
        this.#count(tagAt);
        const inner = this.#length(end);
        siblings.push(this.message(field.message, this.#at, inner, depth + 1));
      }
      this.#path.pop();
    }
    return { start, children };
  }

  #known(field: DescField, wire: number, end: number, tagAt: number): void {
    const own = wireOf(field);
    if (own !== LENGTH && field.fieldKind === 'list' && wire === LENGTH) {
      this.#packed(own, isWide(field), this.#length(end));
      return;
    }
    this.#expectWire(wire, own, tagAt);
    if (field.fieldKind === 'list') this.#count(tagAt);
    this.#value(wire, end, tagAt);
  }

  #value(wire: number, end: number, tagAt: number): void {
    if (wire === VARINT) this.#varint(end, 'an integer');
    else if (wire === FIXED64) this.#skip(8, end);
    else if (wire === FIXED32) this.#skip(4, end);
    else if (wire === LENGTH) this.#at = this.#length(end);
    else this.#fail(`expected a value, found ${wireNames[wire] ?? `wire type ${wire}`}`, tagAt);
  }

  /** A list written as one block. */
  #packed(wire: number, wide: boolean, end: number): void {
    const { bytes } = this;
    if (wire !== VARINT) {
      const size = wire === FIXED64 ? 8 : 4;
      if ((end - this.#at) % size !== 0)
        this.#fail(`${end - this.#at} bytes are no whole number of ${size}-byte values`, this.#at);
      this.#at = end;
      return;
    }
    for (let run = 0; this.#at < end; this.#at++) {
      run = bytes[this.#at] < 0x80 ? 0 : run + 1;
      if (run >= 10) this.#fail('an integer of more than 10 bytes', this.#at - 9);
      if (run === 0 && wide && ++this.#wideIntegers > maxWideIntegers) {
        this.#fail(`more than ${maxWideIntegers} integers outside raw_data`, this.#at);
      }
      if (run > 0 && this.#at + 1 === end) this.#fail('the list ends within an integer', this.#at);
    }
  }

  #expectWire(found: number, expected: number, at: number): void {
    if (found === expected) return;
    this.#fail(`expected ${wireNames[expected]}, found ${wireNames[found] ?? `wire type ${found}`}`, at);
  }

  #count(at: number): void {
    if (++this.#parts > maxParts) this.#fail(`more than ${maxParts} parts`, at);
  }

  #skip(count: number, end: number): void {
    if (this.#at + count > end) this.#fail(`${count} bytes expected, ${end - this.#at} are left`, this.#at);
    this.#at += count;
  }

  /** Reads a length and returns where it ends. */
  #length(end: number): number {
    const at = this.#at;
    const length = this.#varint(end, 'a length');
    if (length > end - this.#at) {
      const around = end === this.bytes.length ? 'the file' : 'the message around it';
      this.#fail(`a length of ${length} bytes, ${around} has ${end - this.#at} left`, at);
    }
    return this.#at + length;
  }

  /** Exact up to 2⁵³; beyond that only known to be large. */
  #varint(end: number, what: string): number {
    const start = this.#at;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++, scale *= 128) {
      if (this.#at >= end)
        this.#fail(`${end === this.bytes.length ? 'the file' : 'the message'} ends within ${what}`, start);
      const byte = this.bytes[this.#at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return this.#fail(`${what} of more than 10 bytes`, start);
  }

  #fail(reason: string, at: number): never {
    throw new FormatError(`${this.format}: ${this.#path.length === 0 ? '' : `${this.#path.join('.')}: `}${reason}`, at);
  }
}

const fieldMaps = new WeakMap<DescMessage, Map<number, DescField>>();

function fieldsOf(desc: DescMessage): Map<number, DescField> {
  let map = fieldMaps.get(desc);
  if (map === undefined) fieldMaps.set(desc, (map = new Map(desc.fields.map((field) => [field.number, field]))));
  return map;
}

/** How a value of a field that holds no messages is written. */
function wireOf(field: DescField): number {
  switch (field.scalar) {
    case undefined: // an enum
      return VARINT;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return FIXED64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return FIXED32;
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return LENGTH;
    default:
      return VARINT;
  }
}

function isWide(field: DescField): boolean {
  return field.scalar === ScalarType.INT64 || field.scalar === ScalarType.UINT64 || field.scalar === ScalarType.SINT64;
}

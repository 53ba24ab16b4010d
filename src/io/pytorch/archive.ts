/**
 * The two files that `torch.save` writes: which bytes are the pickle, and where each storage lies.
 *
 *     zip (1.6 and newer)   NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder; stored, or deflated by who packs it again
 *     legacy                five pickles: magic number, protocol, the machine, the object, the storages' keys in order;
 *                           then each storage: how many elements (8 bytes), elements
 *
 * Source: torch/serialization.py, whose readers this follows.
 */

import { FormatError } from '../../util/errors.js';
import type { ByteSource } from '../byte-source.js';
import { openZip, readZipEntry, type ZipEntry } from '../zip.js';
import { findGlobal, findStorage } from './globals.js';
import { type PickleContext, PickleDict, type PickleValue, unpickle } from './pickle.js';
import type { StorageBytes, StorageRef } from './tensors.js';

export interface Archive {
  readonly format: 'zip' | 'legacy';
  /** What was saved. */
  readonly value: PickleValue;
  readonly storages: StorageBytes;
  /** Of all storages that the file has. */
  readonly storageBytes: number;
}

/** A pickle describes tensors and holds none; that of the largest models has some megabytes. */
const maxPickleBytes = 32 << 20;

// —— zip ——

/** The name of the pickle's entry, if a zip archive is one of PyTorch's. */
export function findPickle(entries: ReadonlyMap<string, ZipEntry>): string | null {
  for (const name of entries.keys()) if (/^[^/]+\/data\.pkl$/.test(name)) return name;
  return null;
}

export function openZipArchive(source: ByteSource): Archive {
  const entries = openZip(source);
  const pickleName = findPickle(entries);
  if (pickleName === null) {
    const names = [...entries.keys()].slice(0, 4).join(', ');
    throw new FormatError(`pytorch: a zip archive without data.pkl; it holds ${names || 'nothing'}`, 0);
  }
  const root = pickleName.slice(0, -'data.pkl'.length);
  const pickle = entries.get(pickleName)!;
  if (entries.has(`${root}constants.pkl`)) {
    throw new FormatError(
      'pytorch: a TorchScript program; save the weights alone: torch.save(model.state_dict(), path)',
      0,
    );
  }
  checkByteOrder(source, entries.get(`${root}byteorder`));
  if (pickle.sizeBytes > maxPickleBytes) {
    throw new FormatError(
      `pytorch: a pickle of ${pickle.sizeBytes} bytes, the limit is ${maxPickleBytes}`,
      pickle.start,
    );
  }
  const bytes = readZipEntry(source, pickle);
  const { value } = unpickle(bytes, { global: findGlobal, persistent: findStorage, base: pickle.start });
  const storages = new ZipStorages(source, entries, `${root}data/`);
  return { format: 'zip', value, storages, storageBytes: storages.totalBytes };
}

function checkByteOrder(source: ByteSource, entry: ZipEntry | undefined): void {
  if (entry === undefined || entry.sizeBytes > 16) return;
  const order = new TextDecoder().decode(readZipEntry(source, entry));
  if (order === 'big') throw new FormatError('pytorch: it was saved by a big-endian machine', entry.start);
}

class ZipStorages implements StorageBytes {
  /** The deflated entry that was unpacked last: tensors that share a storage come one after the other. */
  #unpacked: { readonly entry: ZipEntry; readonly content: Uint8Array } | null = null;

  constructor(
    private readonly source: ByteSource,
    private readonly entries: ReadonlyMap<string, ZipEntry>,
    private readonly folder: string,
  ) {}

  get totalBytes(): number {
    let sum = 0;
    for (const [name, entry] of this.entries) if (name.startsWith(this.folder)) sum += entry.sizeBytes;
    return sum;
  }

  sizeBytes(key: string, at: number): number {
    const entry = this.entries.get(this.folder + key);
    if (entry === undefined) throw new FormatError(`pytorch: storage '${key}' is not in the file`, at);
    return entry.sizeBytes;
  }

  start(key: string): number {
    return this.entries.get(this.folder + key)!.start;
  }

  read(key: string, start: number, end: number): Uint8Array {
    const entry = this.entries.get(this.folder + key)!;
    if (start === 0 && end === entry.sizeBytes && !entry.deflated) return readZipEntry(this.source, entry);
    if (!entry.deflated) return this.source.read(entry.start + start, entry.start + end);
    if (this.#unpacked?.entry !== entry) this.#unpacked = { entry, content: readZipEntry(this.source, entry) };
    return this.#unpacked.content.subarray(start, end);
  }
}

// —— legacy ——

/** 0x1950a86a20f9469cfc6c, little-endian as a pickle has it. */
const magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;

/** Whether a file begins with the pickled magic number; between the protocol and the number there may be a frame. */
export function isLegacy(first: Uint8Array): boolean {
  if (first[0] !== 0x80) return false;
  for (let at = 2; at + magic.length <= Math.min(first.length, 32); at++) {
    if (magic.every((byte, i) => first[at + i] === byte)) return true;
  }
  return false;
}

export function openLegacyArchive(source: ByteSource): Archive {
  const reader = new LegacyReader(source);
  if (reader.pickle() !== magicNumber) throw new FormatError('pytorch: the magic number is missing', 0);
  const version = reader.pickle();
  if (version !== protocolVersion) {
    throw new FormatError(`pytorch: the legacy format ${String(version)}; ${protocolVersion} can be read`, reader.at);
  }
  const machine = reader.pickle();
  if (machine instanceof PickleDict && machine.entries.get('little_endian') === false) {
    throw new FormatError('pytorch: it was saved by a big-endian machine', reader.at);
  }
  const refs = new Map<string, StorageRef>();
  const value = reader.pickle((id, context) => {
    const ref = findStorage(id, context);
    const seen = refs.get(ref.key);
    if (seen !== undefined && seen.type !== ref.type) context.fail(`storage '${ref.key}' has two types`);
    if (seen === undefined) refs.set(ref.key, ref);
    return ref;
  });
  const keys = reader.pickle();
  const storages = placeStorages(source, reader.at, keys, refs);
  return { format: 'legacy', value, storages, storageBytes: storages.totalBytes };
}

/** The pickles at the file's beginning, one after the other. */
class LegacyReader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(source: ByteSource) {
    this.#bytes = source.read(0, Math.min(source.sizeBytes, maxPickleBytes));
  }

  pickle(persistent?: (id: PickleValue, context: PickleContext) => PickleValue): PickleValue {
    const bytes = this.#bytes.subarray(this.at);
    const { value, end } = unpickle(bytes, { global: findGlobal, persistent, base: this.at });
    this.at += end;
    return value;
  }
}

function placeStorages(
  source: ByteSource,
  start: number,
  keys: PickleValue,
  refs: ReadonlyMap<string, StorageRef>,
): LegacyStorages {
  if (!Array.isArray(keys)) throw new FormatError('pytorch: the list of storages is missing', start);
  const places = new Map<string, { start: number; sizeBytes: number }>();
  let at = start;
  for (const key of keys) {
    const ref = typeof key === 'string' ? refs.get(key) : undefined;
    if (ref === undefined || places.has(ref.key)) {
      throw new FormatError(
        `pytorch: the list of storages has ${JSON.stringify(String(key))}, which no tensor is in`,
        start,
      );
    }
    if (at + 8 > source.sizeBytes)
      throw new FormatError(`pytorch: storage '${ref.key}' is missing: the file is cut short`, at);
    const head = source.read(at, at + 8);
    const count = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
    const sizeBytes = Number(count) * ref.elementBytes;
    if (at + 8 + sizeBytes > source.sizeBytes) {
      throw new FormatError(`pytorch: storage '${ref.key}' of ${count} elements: the file is cut short`, at);
    }
    places.set(ref.key, { start: at + 8, sizeBytes });
    at += 8 + sizeBytes;
  }
  return new LegacyStorages(source, places);
}

class LegacyStorages implements StorageBytes {
  constructor(
    private readonly source: ByteSource,
    private readonly places: ReadonlyMap<string, { start: number; sizeBytes: number }>,
  ) {}

  get totalBytes(): number {
    let sum = 0;
    for (const { sizeBytes } of this.places.values()) sum += sizeBytes;
    return sum;
  }

  sizeBytes(key: string, at: number): number {
    const place = this.places.get(key);
    if (place === undefined) throw new FormatError(`pytorch: storage '${key}' is not in the file`, at);
    return place.sizeBytes;
  }

  start(key: string): number {
    return this.places.get(key)!.start;
  }

  read(key: string, start: number, end: number): Uint8Array {
    const place = this.places.get(key)!;
    return this.source.read(place.start + start, place.start + end);
  }
}

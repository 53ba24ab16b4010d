/**
 * The file formats that are fuzzed, and how files are damaged. A format is one row: sound files to begin with, and a reader that takes bytes and
 * gives a value or throws a FormatError (or ConfigError); nothing else may come of any bytes.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { parseIdx } from '../../src/data/idx.js';
import { parseNpy } from '../../src/data/npy.js';
import { parseNpz } from '../../src/data/npz.js';
import { memorySource } from '../../src/io/byte-source.js';
import { importKeras } from '../../src/io/keras/import.js';
import { importTensorflowjs } from '../../src/io/keras/tfjs.js';
import { importOnnx } from '../../src/io/onnx/import.js';
import { parsePytorch } from '../../src/io/pytorch/index.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/safetensors.js';
import { parseSafetensorsIndex } from '../../src/io/safetensors-index.js';
import { openWeights } from '../../src/io/weights-file.js';
import { readFacts } from '../../src/io/weights-metadata.js';
import { openZip, readZipEntry } from '../../src/io/zip.js';
import { FormatError } from '../../src/util/errors.js';
import { storedZip } from './stored-zip.js';

export interface FuzzFormat {
  readonly name: string;
  /** Small and many-sided: each feature of the format in some file. */
  readonly corpus: () => readonly Uint8Array[];
  readonly read: (bytes: Uint8Array) => unknown;
  /** Whether `read` wraps the bytes in a larger file, so that offsets are not theirs. */
  readonly wrapped?: boolean;
  /** Mutations in a run of the tests. Left out: 5,000. */
  readonly runs?: number;
}

const golden = (path: string) => new Uint8Array(readFileSync(new URL(`../golden/data/${path}`, import.meta.url)));
const goldens = (folder: string, names: RegExp) =>
  readdirSync(new URL(`../golden/data/${folder}`, import.meta.url))
    .filter((name) => names.test(name))
    .map((name) => golden(`${folder}/${name}`));
const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const every = golden('safetensors/every-dtype.safetensors');
const everyData = every.subarray(8 + new DataView(every.buffer).getUint32(0, true));

export const formats: readonly FuzzFormat[] = [
  {
    name: 'safetensors',
    corpus: () => goldens('safetensors', /\.safetensors$/),
    read: parseSafetensors,
  },
  {
    name: 'safetensors, the header alone in a file of the right lengths',
    corpus: () => [every.subarray(8, every.length - everyData.length)],
    read: (header) => parseSafetensors(joined(lengthOf(header), header, everyData)),
    wrapped: true,
  },
  {
    name: 'safetensors index',
    corpus: () => [
      text({
        metadata: { total_size: 7 },
        weight_map: { 'a.b': 'x-00001-of-00002.safetensors', c: 'sub/y.safetensors' },
      }),
    ],
    read: parseSafetensorsIndex,
    runs: 1000,
  },
  {
    name: 'weights of any format, with their metadata',
    corpus: () => [describedWeights(), ...goldens('pytorch', /^(ema|protocol-4-legacy)\.pt$/)],
    read: (bytes) => {
      const { entries, metadata } = openWeights(bytes);
      return [readFacts(metadata), Array.from(entries.values(), (entry) => entry.read())];
    },
  },
  {
    name: 'PyTorch, zip',
    corpus: () => goldens('pytorch', /^(tensors-zip|deflated|protocol-2-zip|checkpoint|unsummed)\.pt$/),
    read: (bytes) => parsePytorch(bytes),
  },
  {
    name: 'PyTorch, the pickle alone in a sound archive',
    corpus: () => goldens('pytorch', /^(tensors-zip|protocol-\d-zip|checkpoint|ema)\.pt$/).map(pickleOf),
    read: (pickle) => parsePytorch(storedZip({ 'a/data.pkl': pickle, ...storages })),
    wrapped: true,
    runs: 8000,
  },
  {
    name: 'PyTorch, legacy',
    corpus: () => goldens('pytorch', /legacy\.pt$/),
    read: (bytes) => parsePytorch(bytes),
  },
  {
    name: 'ONNX',
    corpus: () =>
      goldens('onnx', /^(crnn\.\w+|paddle_classifier|sampler\.\w+)\.onnx\.gz$/).map((file) => gunzipSync(file)),
    read: (bytes) => importOnnx(bytes, { external: zeros }),
    runs: 3000,
  },
  {
    name: 'Keras',
    corpus: () => goldens('keras', /^(sequential|volume)\.(h5|keras)$/),
    read: (bytes) => importKeras(bytes),
    runs: 2000,
  },
  {
    name: 'TensorFlow.js, the model beside sound weights',
    corpus: () => [golden('keras/sequential-tfjs/model.json')],
    read: (bytes) => importTensorflowjs(bytes, shard),
    runs: 2000,
  },
  {
    name: 'IDX',
    corpus: () => [idx(0x08, [2, 3], 6), idx(0x0d, [4], 16), idx(0x0c, [1, 1, 2], 8)],
    read: (bytes) => parseIdx(bytes),
    runs: 1000,
  },
  {
    name: 'NumPy, one array',
    corpus: () => goldens('npy', /^([buif]\d(-big)?|bfloat16|fortran(-big)?|scalar|empty|version\d)\.npy$/),
    read: parseNpy,
  },
  { name: 'NumPy, archive', corpus: () => goldens('npy', /\.npz$/), read: parseNpz, runs: 2000 },
];

const storages = Object.fromEntries(Array.from({ length: 28 }, (_, key) => [`a/data/${key}`, new Uint8Array(128)]));

/** Stands for the files beside the golden models, which hold no weights themselves. */
function zeros(name: string, _offset: number, bytes: number): Uint8Array {
  if (bytes > 1 << 20) throw new FormatError(`${name} has no ${bytes} bytes`);
  return new Uint8Array(bytes);
}

function shard(name: string): Uint8Array {
  if (!/^group1-shard[12]of2\.bin$/.test(name)) throw new FormatError(`there is no file ${name}`);
  return golden(`keras/sequential-tfjs/${name}`);
}

function pickleOf(file: Uint8Array): Uint8Array {
  const source = memorySource(file);
  const entries = openZip(source);
  const name = [...entries.keys()].find((entry) => entry.endsWith('/data.pkl'))!;
  return readZipEntry(source, entries.get(name)!).slice();
}

function lengthOf(header: Uint8Array): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setUint32(0, header.length, true);
  return out;
}

function describedWeights(): Uint8Array {
  const weight = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const;
  return serializeSafetensors([['fc.weight', weight]], {
    'fovea.model': '{"name":"resnet18","options":{"numClasses":3,"stem":"cifar"}}',
    'fovea.preprocessing': '{"resize":256,"crop":[224,224],"interpolation":"bicubic","mean":[0.5],"std":[0.5]}',
    'fovea.classes': '["cat","dog","eel"]',
  });
}

function idx(type: number, shape: readonly number[], bytes: number): Uint8Array {
  const out = new Uint8Array(4 + 4 * shape.length + bytes);
  out.set([0, 0, type, shape.length]);
  for (const [i, n] of shape.entries()) new DataView(out.buffer).setUint32(4 + 4 * i, n, false);
  return out;
}

// —— damage ——

/** One change to a file's bytes; positions are shares of its length, so that a change fits files of any size. */
export type Mutation =
  | { readonly kind: 'byte'; readonly at: number; readonly value: number }
  | { readonly kind: 'bit'; readonly at: number; readonly bit: number }
  | {
      readonly kind: 'int';
      readonly at: number;
      readonly size: 1 | 2 | 4 | 8;
      readonly value: bigint;
      readonly big: boolean;
    }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'drop'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number; readonly times: number }
  | { readonly kind: 'move'; readonly at: number; readonly length: number; readonly to: number }
  | { readonly kind: 'splice'; readonly at: number; readonly from: number; readonly other: number };

const place = fc.oneof(
  fc.nat({ max: 0xffffff }).map((n) => n / 0x1000000),
  fc.constantFrom(0, 1),
); // headers stand at both ends
const length = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 16 }) }, fc.integer({ min: 1, max: 2000 }));
const byte = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, ...Buffer.from('{}[]",:019-.\\')));
const extreme = fc.constantFrom(
  ...[0n, 1n, -1n, 0x7fn, 0x80n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n],
  ...[2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n],
);

export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('byte' as const), at: place, value: byte }),
    fc.record({ kind: fc.constant('bit' as const), at: place, bit: fc.nat({ max: 7 }) }),
    fc.record({
      kind: fc.constant('int' as const),
      at: place,
      size: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
      value: extreme,
      big: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('cut' as const), at: place }),
    fc.record({ kind: fc.constant('drop' as const), at: place, length }),
    fc.record({ kind: fc.constant('repeat' as const), at: place, length, times: fc.constantFrom(1, 1, 2, 20) }),
    fc.record({ kind: fc.constant('move' as const), at: place, length, to: place }),
    fc.record({ kind: fc.constant('splice' as const), at: place, from: place, other: fc.nat({ max: 1000 }) }),
  ),
  { minLength: 1, maxLength: 4 },
);

/** `file` after `changes`; splices take the rest of another file of the corpus. */
export function mutate(file: Uint8Array, changes: readonly Mutation[], corpus: readonly Uint8Array[]): Uint8Array {
  return changes.reduce((bytes, change) => apply(bytes, change, corpus), file);
}

function apply(bytes: Uint8Array, change: Mutation, corpus: readonly Uint8Array[]): Uint8Array {
  const at = Math.min(Math.floor(change.at * bytes.length), Math.max(0, bytes.length - 1));
  const before = bytes.subarray(0, at);
  switch (change.kind) {
    case 'byte':
      return joined(before, Uint8Array.of(change.value), bytes.subarray(at + 1));
    case 'bit':
      return joined(before, Uint8Array.of((bytes[at] ?? 0) ^ (1 << change.bit)), bytes.subarray(at + 1));
    case 'int': {
      const number = new Uint8Array(8);
      new DataView(number.buffer).setBigInt64(0, BigInt.asIntN(64, change.value), true);
      const own = number.slice(0, change.size);
      return joined(before, change.big ? own.reverse() : own, bytes.subarray(at + change.size));
    }
    case 'cut':
      return bytes.slice(0, at);
    case 'drop':
      return joined(before, bytes.subarray(at + change.length));
    case 'repeat': {
      const piece = bytes.subarray(at, at + change.length);
      return joined(before, ...new Array<Uint8Array>(change.times).fill(piece), bytes.subarray(at));
    }
    case 'move': {
      const piece = bytes.subarray(at, at + change.length);
      const rest = joined(before, bytes.subarray(at + change.length));
      const to = Math.floor(change.to * rest.length);
      return joined(rest.subarray(0, to), piece, rest.subarray(to));
    }
    case 'splice': {
      const other = corpus[change.other % corpus.length];
      return joined(before, other.subarray(Math.floor(change.from * other.length)));
    }
    default:
      return change satisfies never;
  }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** safetensors both ways against the reference implementation's files, and against files made to mislead. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, FormatError } from '../util/errors.js';
import { numel } from '../util/shape.js';
import type { HostTensor } from './host-tensor.js';
import { encodeSafetensors, parseSafetensors, serializeSafetensors } from './safetensors.js';
import { parseSafetensorsIndex } from './safetensors-index.js';

const golden = (name: string) => readFileSync(new URL(`../../test/golden/data/safetensors/${name}`, import.meta.url));

interface Expected {
  shape: number[];
  dtype: HostTensor['dtype'];
  bits?: number[];
  values?: number[];
}
const expected: {
  every: Record<string, Expected>;
  plain: Record<string, Expected>;
  digests: Record<string, string>;
} = JSON.parse(golden('expected.json').toString());

describe('reading what the reference implementation wrote', () => {
  it.each(['every', 'plain'] as const)('has every value of %s', (which) => {
    const { tensors, metadata } = parseSafetensors(
      golden(which === 'every' ? 'every-dtype.safetensors' : 'plain.safetensors'),
    );
    expect(metadata).toEqual({ format: 'pt' });
    expect([...tensors.keys()].sort()).toEqual(Object.keys(expected[which]).sort());
    for (const [name, want] of Object.entries(expected[which])) {
      const got = tensors.get(name)!;
      expect({ name, dtype: got.dtype, shape: got.shape }).toEqual({ name, dtype: want.dtype, shape: want.shape });
      expect([name, ...(want.bits ? canonicalBits(got.data as Float32Array) : got.data)]).toEqual([
        name,
        ...(want.bits ?? want.values!),
      ]);
    }
  });

  it.each(Object.entries(expected.digests))('widens every %s value exactly', (dtype, digest) => {
    const wide = dtype.endsWith('16');
    const patterns = wide
      ? Uint16Array.from({ length: 65536 }, (_, i) => i)
      : Uint8Array.from({ length: 256 }, (_, i) => i);
    const file = rawFile(
      { x: entry(dtype, [patterns.length], 0, patterns.byteLength) },
      new Uint8Array(patterns.buffer),
    );
    const { data } = parseSafetensors(file).tensors.get('x')!;
    const bits = Uint32Array.from(canonicalBits(data as Float32Array));
    expect(createHash('sha256').update(new Uint8Array(bits.buffer)).digest('hex')).toBe(digest);
  });

  it('reads from any position of a larger buffer', () => {
    const bytes = golden('plain.safetensors');
    const shifted = new Uint8Array(bytes.length + 9);
    shifted.set(bytes, 3);
    const { tensors } = parseSafetensors(shifted.subarray(3, 3 + bytes.length));
    expect([...tensors.get('fc.bias')!.data]).toEqual([-0.5, 0.25]);
  });
});

describe('writing', () => {
  it('makes the very bytes the reference implementation makes', () => {
    const bytes = golden('plain.safetensors');
    const { tensors, metadata } = parseSafetensors(bytes);
    const shuffled = [...tensors].reverse();
    expect(Buffer.from(serializeSafetensors(shuffled, metadata)).equals(bytes)).toBe(true);
  });

  it('writes int64 where it is asked to, as the reference implementation does', () => {
    const bytes = golden('batch-norm.safetensors');
    const { tensors, metadata } = parseSafetensors(bytes);
    expect(tensors.get('bn1.num_batches_tracked')).toMatchObject({ dtype: 'int32', data: Int32Array.of(2 ** 30 + 5) });
    const written = serializeSafetensors(tensors, metadata, { int64: (name) => name.endsWith('num_batches_tracked') });
    expect(Buffer.from(written).equals(bytes)).toBe(true);
  });

  it('gives back every tensor and all metadata', () => {
    fc.assert(
      fc.property(tensorMaps, fc.dictionary(names, names), (tensors, metadata) => {
        const file = serializeSafetensors(tensors, metadata);
        const read = parseSafetensors(file);
        expect(read.metadata).toEqual({ ...metadata });
        expect([...read.tensors].sort(byName)).toEqual([...tensors].sort(byName));
      }),
    );
  });

  it('copies no tensor when asked for pieces', () => {
    const data = new Float32Array(100).subarray(7, 11);
    const pieces = encodeSafetensors([['x', { dtype: 'float32', shape: [4], data }]]);
    expect(pieces).toHaveLength(2);
    expect([pieces[1].buffer, pieces[1].byteOffset, pieces[1].length]).toEqual([data.buffer, 28, 16]);
    expect(pieces[0].length % 8).toBe(0);
  });

  it('refuses what a reader would refuse', () => {
    const one: HostTensor = { dtype: 'float32', shape: [1], data: new Float32Array(1) };
    expect(() => serializeSafetensors([['__metadata__', one]])).toThrow(ConfigError);
    expect(() =>
      serializeSafetensors([
        ['x', one],
        ['y', one],
        ['x', one],
      ]),
    ).toThrow("two tensors are named 'x'");
    expect(() => serializeSafetensors([['\ud800', one]])).toThrow('is not valid Unicode');
    expect(() => serializeSafetensors([['x', one]], { key: '\udc00' })).toThrow('is not valid Unicode');
    expect(() => serializeSafetensors([['x', { ...one, shape: [2, 3] }]])).toThrow(
      "safetensors: 'x' has shape [2, 3] = 6 elements, its data has 1",
    );
  });
});

describe('a damaged or hostile file is refused with the reason and the offset', () => {
  const f32 = (...offsets: [number, number]) => entry('F32', [1], ...offsets);
  const four = new Uint8Array(4);

  // biome-ignore format: a table
  const cases: [what: string, file: Uint8Array, message: string, offset: number][] = [
    ['empty', new Uint8Array(0), 'the file has 0 bytes; its header length alone takes 8', 0],
    ['shorter than the length', new Uint8Array(7), 'the file has 7 bytes', 0],
    ['a length beyond the file', lengthOnly(1000n), 'a header of 1000 bytes in a file of 8 bytes: the file is cut short', 0],
    ['a huge length', lengthOnly(100_000_001n), 'a header of 100000001 bytes, the limit is 100000000', 0],
    ['an absurd length', lengthOnly(0xffffffffffffffffn), 'the limit is 100000000', 0],
    ['a PyTorch zip', Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 8, 8]), 'this looks like a zip archive, perhaps a PyTorch .pt file', 0],
    ['no JSON', textFile('hello'), "the header must begin with '{'", 8],
    ['space first', textFile(' {}'), "the header must begin with '{'", 8],
    ['an empty header', textFile(''), "the header must begin with '{'", 8],
    ['a list', textFile('[]'), "the header must begin with '{'", 8],
    ['an open object', textFile('{'), 'expected a string, found the end of the header', 9],
    ['an open string', textFile('{"a'), 'a string without an end', 9],
    ['a dangling escape', textFile('{"a\\'), 'a string without an end', 9],
    ['broken UTF-8', rawHeader(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a])), 'not valid UTF-8 or JSON', 9],
    ['a raw line break in a string', textFile('{"a\nb":1}'), 'not valid UTF-8 or JSON', 9],
    ['a trailing comma', textFile('{"__metadata__":{},}'), "expected a string, found '}'", 27],
    ['text after the header', textFile('{} x'), "the header ends here, yet 'x' follows", 11],
    ['a number as entry', textFile('{"x":5}'), "expected '{', found '5'", 13],
    ['metadata that is no text', textFile('{"__metadata__":{"a":1}}'), "expected a string, found '1'", 29],
    ['a missing field', textFile('{"x":{"dtype":"F32","shape":[1]}}'), "'x' must have dtype, shape and data_offsets", 13],
    ['an unknown field', textFile('{"x":{"dtypo":"F32"}}'), "'x' has an unknown field 'dtypo'", 22],
    ['a dtype of Object', rawFile({ x: entry('constructor', [1], 0, 4) }, four), "'x' has dtype 'constructor'; fovea reads F64, F32", 13],
    ['a negative size', rawFile({ x: entry('F32', [-1], 0, 4) }, four), 'expected an integer from 0', 37],
    ['a fractional size', rawFile({ x: entry('F32', [1.5], 0, 4) }, four), 'expected an integer from 0', 37],
    ['a size beyond integers', textFile('{"x":{"shape":[99999999999999999999]}}'), 'expected an integer from 0', 23],
    ['an exponent', textFile('{"x":{"shape":[1e9]}}'), 'expected an integer from 0', 23],
    ['a leading zero', textFile('{"x":{"shape":[01]}}'), 'expected an integer from 0', 23],
    ['65 axes', rawFile({ x: entry('F32', new Array(65).fill(1), 0, 4) }, four), 'a list of more than 64 numbers', 165],
    ['three offsets', textFile('{"x":{"data_offsets":[0,1,2]}}'), 'a list of more than 2 numbers', 34],
    ['one offset', textFile('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}'), 'needs data_offsets [begin, end]', 13],
    ['offsets reversed', rawFile({ x: f32(4, 0) }, four), 'begin ≤ end, not [4, 0]', 13],
    ['a shape of other size', rawFile({ x: entry('F32', [2], 0, 4) }, four), 'shape [2] of F32 takes 8 bytes, its data_offsets [0, 4] hold 4', 13],
    ['a product beyond integers', rawFile({ x: entry('F32', [2 ** 30, 2 ** 30], 0, 4) }, four), 'takes 4611686018427388000 bytes', 13],
    ['more data than the file', rawFile({ x: entry('F32', [2 ** 40], 0, 2 ** 42) }, four), 'the file is cut short', 90],
    ['bytes for nobody', rawFile({ x: f32(0, 4) }, new Uint8Array(5)), 'bytes follow that belong to no tensor', 66],
    ['a gap', rawFile({ x: f32(0, 4), y: f32(8, 12) }, new Uint8Array(12)), "'y' with data_offsets [8, 12] leaves a gap of 4 bytes", 66],
    ['a late start', rawFile({ x: f32(4, 8) }, new Uint8Array(8)), 'leaves a gap of 4 bytes', 13],
    ['an overlap', rawFile({ x: f32(0, 4), y: f32(2, 6) }, new Uint8Array(6)), "'y' with data_offsets [2, 6] overlaps the tensor before it", 66],
    ['the same bytes twice', rawFile({ x: f32(0, 4), y: f32(0, 4) }, four), "'y' with data_offsets [0, 4] overlaps", 66],
    ['a name twice', textFile('{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"x":{}}'), "the key 'x' comes twice", 62],
    ['a name twice in escapes', textFile('{"__metadata__":{"x":"","\\u0078":""}}'), "the key 'x' comes twice", 32],
    ['a field twice', textFile('{"x":{"shape":[0],"shape":[0]}}'), "the key 'shape' comes twice", 26],
    ['an int64 out of range', rawFile({ x: entry('I64', [2], 0, 16) }, int64(1n, 2n ** 31n)), "'x' (I64) element 1 is 2147483648, which int32 cannot hold", 71],
    ['a uint32 out of range', rawFile({ x: entry('U32', [1], 0, 4) }, new Uint8Array(4).fill(255)), 'element 0 is 4294967295', 62],
    ['a bool of 2', rawFile({ x: entry('BOOL', [3], 0, 3) }, Uint8Array.of(0, 1, 2)), "'x' (BOOL) element 2 is 2, a bool is 0 or 1", 65],
  ];

  it.each(cases)('%s', (_, file, message, offset) => {
    const error = refusal(file);
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(message);
    expect(error.offset).toBe(offset);
  });

  it('keeps names from the prototype as plain names', () => {
    const file = rawFile({ ['__proto__']: f32(0, 4) }, four);
    expect([...parseSafetensors(file).tensors.keys()]).toEqual(['__proto__']);
    const meta = parseSafetensors(textFile('{"__metadata__":{"__proto__":"a"}}')).metadata;
    expect(Object.getOwnPropertyDescriptor(meta, '__proto__')?.value).toBe('a');
  });

  it('never does anything but read or refuse, whatever bytes change', () => {
    const whole = new Uint8Array(golden('every-dtype.safetensors'));
    const headerEnd = 8 + new DataView(whole.buffer).getUint32(0, true);
    const at = fc.oneof({ weight: 8, arbitrary: fc.nat(headerEnd) }, fc.nat(whole.length - 1));
    const mutation = fc.oneof(
      fc.record({
        kind: fc.constant('set' as const),
        at,
        byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:0919-\\e '))),
      }),
      fc.record({ kind: fc.constant('cut' as const), at }),
      fc.record({ kind: fc.constant('drop' as const), at, length: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ kind: fc.constant('repeat' as const), at, length: fc.integer({ min: 1, max: 200 }) }),
    );
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.boolean(), (mutations, fixLength) => {
        let bytes: Uint8Array = whole;
        for (const m of mutations) {
          const [before, after] = [bytes.subarray(0, m.at), bytes.subarray(m.at)];
          if (m.kind === 'set') bytes = join(before, Uint8Array.of(m.byte), after.subarray(1));
          else if (m.kind === 'cut') bytes = before.slice();
          else if (m.kind === 'drop') bytes = join(before, after.subarray(m.length));
          else bytes = join(before, after.subarray(0, m.length), after);
        }
        // Half of the files keep an honest header length, so that the damage reaches the deeper checks.
        if (fixLength && bytes.length > 8) {
          new DataView(bytes.buffer).setBigUint64(
            0,
            BigInt(Math.max(0, headerEnd + bytes.length - whole.length - 8)),
            true,
          );
        }
        try {
          const { tensors } = parseSafetensors(bytes);
          for (const { shape, data } of tensors.values()) expect(data.length).toBe(numel(shape));
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as FormatError).offset).toBeGreaterThanOrEqual(0);
          expect((error as FormatError).offset).toBeLessThanOrEqual(bytes.length);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('reads a header of many entries in time that grows with its size', () => {
    const count = 20_000;
    const entries = Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, f32(4 * i, 4 * i + 4)]));
    expect(parseSafetensors(rawFile(entries, new Uint8Array(4 * count))).tensors.size).toBe(count);
    const deep = textFile(`{"x":${'['.repeat(1_000_000)}`);
    expect(refusal(deep).message).toContain("expected '{', found '['");
  });
});

describe('an index of several files', () => {
  const index = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

  it('says which file of the folder holds which tensor', () => {
    const map = { 'a.weight': 'model-00001-of-00002.safetensors', b: 'parts/2.safetensors' };
    const { files, metadata } = parseSafetensorsIndex(index({ metadata: { total_size: 12 }, weight_map: map }));
    expect([...files]).toEqual(Object.entries(map));
    expect(metadata).toEqual({ total_size: 12 });
  });

  it.each([
    '/etc/passwd',
    '../x.safetensors',
    'a/../../x',
    'a//b',
    './x',
    '',
    'C:x',
    'a\\b',
    '\\\\host\\share',
    'a\u0000.safetensors',
  ])('refuses %j, which leads out of the folder', (file) => {
    expect(() => parseSafetensorsIndex(index({ weight_map: { a: file } }))).toThrow(
      new FormatError(
        `safetensors index: weight_map names the file ${JSON.stringify(file)}, which is not inside its own folder`,
      ),
    );
  });

  it('refuses other JSON', () => {
    expect(() => parseSafetensorsIndex(index({ weight_map: { a: 5 } }))).toThrow('weight_map must name a file for "a"');
    expect(() => parseSafetensorsIndex(index({ weights: {} }))).toThrow('weights is not a known field');
    expect(() => parseSafetensorsIndex(index([]))).toThrow('must be an object, is []');
    expect(() => parseSafetensorsIndex(Uint8Array.of(0x7b, 0xff))).toThrow('not valid UTF-8');
  });
});

const names = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'a.b', '', '"', '\u0000'));

const tensorMaps = fc
  .uniqueArray(
    fc.tuple(names, fc.constantFrom('float32', 'int32', 'uint8', 'bool'), fc.array(fc.nat(3), { maxLength: 3 })),
    {
      selector: ([name]) => name,
      maxLength: 6,
    },
  )
  .map(
    (list) => new Map(list.map(([name, dtype, shape], i) => [name, filled(dtype as HostTensor['dtype'], shape, i)])),
  );

function filled(dtype: HostTensor['dtype'], shape: number[], seed: number): HostTensor {
  const n = numel(shape);
  const values = Array.from({ length: n }, (_, i) => (dtype === 'bool' ? (i + seed) % 2 : (i * 37 + seed) % 256));
  const data =
    dtype === 'float32'
      ? Float32Array.from(values)
      : dtype === 'int32'
        ? Int32Array.from(values)
        : Uint8Array.from(values);
  return { dtype, shape, data };
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

function canonicalBits(data: Float32Array): number[] {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  return Array.from(data, (x, i) => (Number.isNaN(x) ? 0x7fc00000 : bits[i]));
}

function entry(dtype: string, shape: number[], ...offsets: [number, number]) {
  return { dtype, shape, data_offsets: offsets };
}

function rawFile(header: Record<string, unknown>, data: Uint8Array): Uint8Array {
  return join(textFile(JSON.stringify(header)), data);
}

function textFile(header: string): Uint8Array {
  return rawHeader(new TextEncoder().encode(header));
}

function rawHeader(header: Uint8Array): Uint8Array {
  return join(lengthOnly(BigInt(header.length)), header);
}

function lengthOnly(length: bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, length, true);
  return out;
}

function int64(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values).buffer);
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function refusal(file: Uint8Array): FormatError {
  try {
    parseSafetensors(file);
  } catch (error) {
    return error as FormatError;
  }
  throw new Error('the file was accepted');
}

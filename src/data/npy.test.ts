/** NumPy's files: what NumPy wrote is read, what is written NumPy would have written; and data sets made of them. */

import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostTensor } from '../io/index.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { arrayDatasets, guessLayout } from './arrays.js';
import { openArrays, readNpy } from './arrays.node.js';
import { encodeNpy, parseNpy } from './npy.js';
import { encodeNpz, openNpz, parseNpz } from './npz.js';

const folder = new URL('../../test/golden/data/npy/', import.meta.url);
const bytesOf = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as {
  arrays: { file: string; shape: number[]; values: number[] }[];
};

describe('npy', () => {
  it.each(golden.arrays.map((a) => [a.file, a] as const))('reads NumPy’s %s', (file, { shape, values }) => {
    const found = parseNpy(bytesOf(file));
    expect(found.shape).toEqual(shape);
    expect([...found.data]).toEqual(values);
  });

  it('gives bool, uint8, int32 and float32', () => {
    const dtypes = ['b1', 'u1', 'i1', 'i8', 'f2', 'f8', 'bfloat16'].map(
      (name) => parseNpy(bytesOf(`${name}.npy`)).dtype,
    );
    expect(dtypes).toEqual(['bool', 'uint8', 'int32', 'int32', 'float32', 'float32', 'float32']);
  });

  it.each(['f4', 'i4', 'u1', 'b1', 'scalar', 'vector', 'empty'])('writes %s byte for byte as NumPy does', (name) => {
    const bytes = bytesOf(`${name}.npy`);
    expect(encodeNpy(parseNpy(bytes))).toEqual(bytes);
  });

  it('says what it refuses, and why', () => {
    const said = (name: string) => {
      try {
        return String(parseNpy(bytesOf(`${name}.npy`)).shape);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        return (error as Error).message;
      }
    };
    const reads = 'fovea reads b1 u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 (at byte 10)';
    expect(said('objects')).toBe(
      `npy: an array of "|O": Python objects (a pickle, which could run code): save it as numbers, with dtype= or a rectangular shape; ${reads}`,
    );
    expect(said('strings')).toBe(`npy: an array of "<U5": strings; ${reads}`);
    expect(said('complex')).toBe(`npy: an array of "<c16": complex numbers; ${reads}`);
    expect(said('records')).toBe('npy: an array of records or raw bytes; fovea reads arrays of numbers (at byte 10)');
    expect(said('large')).toBe('npy: element 0 is 2147483648, which int32 cannot hold (at byte 128)');
  });

  const header = (text: string, tail = 0, version = 1) => {
    const bytes = new Uint8Array(10 + text.length + tail);
    bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, text.length & 255, text.length >> 8]);
    bytes.set(new TextEncoder().encode(text), 10);
    return bytes;
  };

  it.each([
    [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
      7,
      /shape \[2\] takes 8 bytes, there are 7: it is cut short/,
    ],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, /bytes are left over/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }", 4, /takes 399999999996 bytes, there are 4/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 2000000000), }", 4, /no file has shape/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, /'shape' is not a tuple of sizes/],
    ["{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", 4, /'fortran_order' is not True or False/],
    ["{'descr': '<f4', 'descr': '<f4'}", 4, /'descr' twice \(at byte 35\)/],
    ["{'descr': __import__('os').system('x')}", 4, /no value that a header may have \(at byte 20\)/],
    [`{'descr': ${'('.repeat(20)}`, 4, /nested too deep/],
    ["{'descr': '<f4'", 4, /'}' is missing/],
    ["'<f4'", 4, /the header is no dictionary/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, /something follows the dictionary/],
    ["{'descr': '<V2', 'fortran_order': False, 'shape': (1,)}", 2, null],
    ["{'descr': '|V2', 'fortran_order': False, 'shape': (1,)}", 2, /records or raw bytes/],
    ["{'shape': (1L,), 'fortran_order': False, 'descr': '<f4'}", 4, null],
  ] as const)('header %s', (text, tail, expected) => {
    if (expected === null) expect(parseNpy(header(text, tail)).data.length).toBe(1);
    else expect(() => parseNpy(header(text, tail))).toThrow(expected);
  });

  it('refuses other magic numbers and versions, and headers that are not there', () => {
    expect(() => parseNpy(new Uint8Array(5))).toThrow(
      'npy: the first bytes are not \\x93NUMPY: not a .npy file (at byte 0)',
    );
    expect(() => parseNpy(header('{}', 0, 4))).toThrow('npy: version 4.0; known are 1.0, 2.0 and 3.0 (at byte 6)');
    expect(() => parseNpy(header('{}').subarray(0, 11))).toThrow(
      'npy: a header of 2 bytes, of which 1 are there (at byte 11)',
    );
  });
});

describe('npz', () => {
  it('reads what NumPy stored and packed', () => {
    const stored = parseNpz(bytesOf('stored.npz'));
    expect([...stored.keys()]).toEqual(['x', 'y']);
    expect([...stored.get('y')!.data]).toEqual([1, 2]);
    expect(parseNpz(bytesOf('packed.npz')).get('x')!.shape).toEqual([40, 5]);
    expect(() => openNpz(bytesOf('stored.npz')).read('z')).toThrow("npz: there is no array 'z'; there are x, y");
  });

  it('reads what it writes, the same bytes each time', () => {
    const dtype = fc.constantFrom('float32' as const, 'int32' as const, 'uint8' as const);
    const array = fc.tuple(dtype, fc.array(fc.nat(3), { maxLength: 3 })).map(([kind, shape]): HostTensor => {
      const length = shape.reduce((n, size) => n * size, 1);
      const data = { float32: new Float32Array(length), int32: new Int32Array(length), uint8: new Uint8Array(length) };
      return { dtype: kind, shape, data: data[kind].map((_, i) => i * 3) };
    });
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), array), fc.boolean(), (arrays, compress) => {
        const bytes = encodeNpz(Object.entries(arrays), { compress });
        expect(Object.fromEntries(parseNpz(bytes))).toEqual(arrays);
        expect(encodeNpz(Object.entries(arrays), { compress })).toEqual(bytes);
      }),
      { numRuns: 40 },
    );
    expect(() => encodeNpz([['../x', { dtype: 'uint8', shape: [], data: Uint8Array.of(1) }]])).toThrow(ConfigError);
  });

  it('names the array that is damaged', () => {
    const bytes = encodeNpz([['x', { dtype: 'uint8', shape: [1], data: Uint8Array.of(1) }]]);
    const at = bytes.findIndex((_, i) => bytes[i] === 0x93 && bytes[i + 1] === 0x4e);
    bytes[at + 1] = 0;
    expect(() => parseNpz(bytes)).toThrow(/'x\.npy' is damaged/);
  });
});

describe('guessLayout', () => {
  it.each([
    [[9, 28, 28], 'NHW'],
    [[9, 28, 28, 1], 'NHWC'],
    [[9, 3, 32, 32], 'NCHW'],
    [[9, 32, 32, 3], 'NHWC'],
    [[9, 28, 28, 28], 'NDHW'],
    [[9, 28, 28, 28, 1], 'NDHWC'],
    [[9, 3, 8, 32, 32], 'NCDHW'],
    [[9, 60], 'NF'],
  ] as const)('%j is %s', (shape, layout) => {
    expect(guessLayout(shape)).toBe(layout);
  });

  it('asks where it cannot tell', () => {
    expect(() => guessLayout([9, 5, 8, 8, 8], 'x')).toThrow(
      "arrays: which axis of 'x', [9, 5, 8, 8, 8], are the channels? Pass layout, such as 'NHWC' or 'NCDHW'.",
    );
  });
});

describe('arrayDatasets', () => {
  const bytes = (shape: number[]): HostTensor => ({
    dtype: 'uint8',
    shape,
    data: Uint8Array.from({ length: shape.reduce((n, size) => n * size, 1) }, (_, i) => i),
  });
  const ints = (shape: number[], data: number[]): HostTensor => ({
    dtype: 'int32',
    shape,
    data: Int32Array.from(data),
  });
  const make = (arrays: Record<string, HostTensor>, options = {}) =>
    arrayDatasets(Object.keys(arrays), (name) => arrays[name], options);

  it('reads Keras’ names, channels last, labels in a column', () => {
    const { train, test, validation } = make({
      x_train: bytes([2, 1, 2, 3]),
      y_train: ints([2, 1], [0, 2]),
      x_test: bytes([1, 1, 2, 3]),
      y_test: ints([1, 1], [1]),
    });
    expect(train.shape).toEqual([3, 1, 2]);
    expect([...train.batch([1]).inputs]).toEqual([6, 9, 7, 10, 8, 11]);
    expect(train.classes).toEqual(['0', '1', '2']);
    expect([...train.labels, ...test!.labels]).toEqual([0, 2, 1]);
    expect(validation).toBeNull();
  });

  it('reads MedMNIST’s names, volumes, one-hot labels, names of classes', () => {
    const { train, validation } = make(
      {
        train_images: bytes([2, 2, 2, 2]),
        train_labels: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(0, 1, 1, 0) },
        val_images: bytes([1, 2, 2, 2]),
        val_labels: ints([1], [1]),
        about: bytes([1]),
      },
      { classes: ['well', 'ill'] },
    );
    expect([train.shape, validation!.length, ...train.labels]).toEqual([[1, 2, 2, 2], 1, 1, 0]);
    expect(train.classes).toEqual(['well', 'ill']);
  });

  it('takes wide integers for pixels if they are, for tokens in rows, and keeps floats', () => {
    const wide = make({ x: ints([1, 1, 2], [0, 255]), y: ints([1], [0]) }).train;
    expect([wide.inputs.constructor.name, wide.shape]).toEqual(['Uint8Array', [1, 1, 2]]);
    expect(make({ x: ints([1, 1, 2], [0, 4000]), y: ints([1], [0]) }).train.inputs).toBeInstanceOf(Float32Array);
    expect(make({ x: ints([1, 3], [5, 7, 0]), y: ints([1], [0]) }).train.inputs).toBeInstanceOf(Int32Array);
    const bits: HostTensor = { dtype: 'bool', shape: [1, 1, 2], data: Uint8Array.of(0, 1) };
    expect([...make({ x: bits, y: ints([1], [0]) }).train.inputs]).toEqual([0, 255]);
  });

  it('says what does not fit', () => {
    const x = bytes([2, 2, 2]);
    expect(() => make({ a: x })).toThrow(
      'arrays: there are no training samples with labels among a. Name them x_train, y_train, x_test, y_test, or x and y.',
    );
    expect(() => make({ x_train: x })).toThrow("arrays: 'x_train' has no labels beside it, among x_train");
    expect(() => make({ x, y: ints([3], [0, 0, 0]) })).toThrow("arrays: 'x' is [2, 2, 2]; for 3 labels it is [3, …]");
    expect(() => make({ x, y: ints([2], [0, -1]) })).toThrow(
      "arrays: label -1 at 1 of 'y' is no class: classes are 0, 1, 2 …",
    );
    expect(() => make({ x, y: ints([2, 2], [1, 1, 0, 1]) })).toThrow("arrays: row 0 of 'y', [2, 2], is not one-hot");
    expect(() => make({ x, images: x, y: ints([2], [0, 0]) })).toThrow(
      "arrays: both 'x' and 'images' are train samples",
    );
    expect(() => make({ x, y: ints([2], [0, 0]) }, { layout: 'NHWC' })).toThrow(
      "arrays: 'x' is [2, 2, 2], layout NHWC has 4 axes",
    );
    expect(() => make({ x, y: ints([2], [0, 2 ** 30]) })).toThrow('arrays: a label of 1073741824');
  });
});

describe('openArrays', () => {
  let place: string;
  beforeAll(async () => {
    place = await mkdtemp(join(tmpdir(), 'fovea-npy-'));
  });
  afterAll(() => rm(place, { recursive: true }));

  it('opens an archive, a folder and a pair', async () => {
    const x: HostTensor = { dtype: 'uint8', shape: [2, 4, 4], data: new Uint8Array(32) };
    const y: HostTensor = { dtype: 'int32', shape: [2], data: Int32Array.of(1, 0) };
    await writeFile(
      join(place, 'all.npz'),
      encodeNpz(
        [
          ['x', x],
          ['y', y],
        ],
        { compress: true },
      ),
    );
    await writeFile(join(place, 'x_train.npy'), encodeNpy(x));
    await writeFile(join(place, 'y_train.npy'), encodeNpy(y));
    const pair = { x: join(place, 'x_train.npy'), y: join(place, 'y_train.npy') };
    for (const path of [join(place, 'all.npz'), place, pair]) {
      const { train } = await openArrays(path);
      expect([train.shape, ...train.labels]).toEqual([[1, 4, 4], 1, 0]);
    }
    expect(readNpy(pair.x).shape).toEqual([2, 4, 4]);
    await expect(openArrays(pair.x)).rejects.toThrow('is one array; samples and labels are two');
    await expect(openArrays(join(place, 'no'))).rejects.toThrow(/cannot read .*no/);
    await writeFile(join(place, 'cut.npz'), (await readFile(join(place, 'all.npz'))).subarray(0, 80));
    await expect(openArrays(join(place, 'cut.npz'))).rejects.toThrow(
      /cut\.npz: zip: the directory at its end is missing/,
    );
  });
});

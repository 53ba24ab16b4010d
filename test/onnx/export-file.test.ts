/** ONNX files as bytes: written and read back, every kind of tensor, data beside the model, and what damaged or hostile files say. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nn } from '../../src/index.js';
import { exportOnnx } from '../../src/io/onnx/export.js';
import { externalDataIn } from '../../src/io/onnx/external-data.node.js';
import { encodeOnnx, encodeOnnxPieces, offsetOf, parseOnnx } from '../../src/io/onnx/model-file.js';
import { saveOnnx } from '../../src/io/onnx/save.node.js';
import {
  AttributeProtoSchema,
  create,
  DataLocation,
  DataType,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../../src/io/onnx/schema.js';
import { tensorIntegers, tensorValue } from '../../src/io/onnx/tensor-value.js';
import { FormatError } from '../../src/util/errors.js';

class Small extends nn.Module {
  readonly conv = new nn.Conv2d(3, 4, 3);
  readonly fc = new nn.Linear(64, 8);
  override forward(x: Parameters<nn.Conv2d['forward']>[0]) {
    return this.fc.forward(this.conv.forward(x).relu().flatten(1));
  }
}

let file: Uint8Array;
let folder: string;

beforeAll(async () => {
  file = await exportOnnx(new Small(), { input: [3, 6, 6] });
  folder = mkdtempSync(join(tmpdir(), 'fovea-onnx-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('files', () => {
  test('come back as they were written', () => {
    const model = parseOnnx(file);
    expect(encodeOnnx(model)).toEqual(file);
    expect(parseOnnx(encodeOnnx(model))).toEqual(model);
    // The same message as protobuf's own writer makes of it, whose fields stand in another order.
    expect(parseOnnx(toBinary(ModelProtoSchema, model))).toEqual(model);
  });

  test('are read and written without copying tensors', () => {
    const model = parseOnnx(file);
    const weight = model.graph!.initializer[0].rawData;
    expect(weight.buffer).toBe(file.buffer);
    expect(
      encodeOnnxPieces(model).some((piece) => piece.buffer === file.buffer && piece.length === weight.length),
    ).toBe(true);
  });

  test('say where their messages begin', () => {
    const model = parseOnnx(file);
    const text = new TextDecoder('latin1').decode(file);
    for (const node of model.graph!.node) {
      const at = offsetOf(node)!;
      expect(text.slice(at, at + 60)).toContain(node.input[0]);
    }
    expect(new Set(model.graph!.initializer.map(offsetOf)).size).toBe(model.graph!.initializer.length);
    expect(offsetOf(create(NodeProtoSchema))).toBeUndefined();
  });
});

describe('tensors', () => {
  const tensor = (dataType: DataType, fields: Partial<TensorProto>, dims = [2]): TensorProto =>
    create(TensorProtoSchema, { name: 't', dataType, dims: dims.map(BigInt), ...fields } as never);
  const bytes = (...arrays: ArrayBufferView[]) =>
    Uint8Array.from(arrays.flatMap((a) => [...new Uint8Array(a.buffer, a.byteOffset, a.byteLength)]));

  test.each<[string, TensorProto, string, number[]]>([
    ['FLOAT', tensor(DataType.FLOAT, { rawData: bytes(Float32Array.of(1.5, -2)) }), 'float32', [1.5, -2]],
    ['FLOAT in float_data', tensor(DataType.FLOAT, { floatData: [1.5, -2] }), 'float32', [1.5, -2]],
    ['DOUBLE', tensor(DataType.DOUBLE, { rawData: bytes(Float64Array.of(0.1, 2)) }), 'float32', [Math.fround(0.1), 2]],
    ['DOUBLE in double_data', tensor(DataType.DOUBLE, { doubleData: [0.1, 2] }), 'float32', [Math.fround(0.1), 2]],
    ['FLOAT16', tensor(DataType.FLOAT16, { rawData: bytes(Uint16Array.of(0x3e00, 0xc000)) }), 'float32', [1.5, -2]],
    ['FLOAT16 in int32_data', tensor(DataType.FLOAT16, { int32Data: [0x3e00, 0xc000] }), 'float32', [1.5, -2]],
    ['BFLOAT16', tensor(DataType.BFLOAT16, { rawData: bytes(Uint16Array.of(0x3fc0, 0xc000)) }), 'float32', [1.5, -2]],
    ['FLOAT8E5M2', tensor(DataType.FLOAT8E5M2, { rawData: Uint8Array.of(0x3e, 0xc0) }), 'float32', [1.5, -2]],
    ['INT64', tensor(DataType.INT64, { rawData: bytes(BigInt64Array.of(7n, -8n)) }), 'int32', [7, -8]],
    ['INT64 in int64_data', tensor(DataType.INT64, { int64Data: [7n, -8n] }), 'int32', [7, -8]],
    ['UINT64 in uint64_data', tensor(DataType.UINT64, { uint64Data: [7n, 8n] }), 'int32', [7, 8]],
    ['INT32', tensor(DataType.INT32, { rawData: bytes(Int32Array.of(7, -8)) }), 'int32', [7, -8]],
    ['INT32 in int32_data', tensor(DataType.INT32, { int32Data: [7, -8] }), 'int32', [7, -8]],
    ['UINT32', tensor(DataType.UINT32, { rawData: bytes(Uint32Array.of(7, 8)) }), 'int32', [7, 8]],
    ['INT16', tensor(DataType.INT16, { rawData: bytes(Int16Array.of(7, -8)) }), 'int32', [7, -8]],
    ['UINT16 in int32_data', tensor(DataType.UINT16, { int32Data: [7, 65535] }), 'int32', [7, 65535]],
    ['INT8 in int32_data', tensor(DataType.INT8, { int32Data: [7, -8] }), 'int32', [7, -8]],
    ['UINT8', tensor(DataType.UINT8, { rawData: Uint8Array.of(7, 250) }), 'uint8', [7, 250]],
    ['BOOL', tensor(DataType.BOOL, { rawData: Uint8Array.of(1, 0) }), 'bool', [1, 0]],
    ['BOOL in int32_data', tensor(DataType.BOOL, { int32Data: [2, 0] }), 'bool', [1, 0]],
  ])('%s', (_, value, dtype, numbers) => {
    const found = tensorValue(value);
    expect([found.dtype, found.shape, [...found.data]]).toEqual([dtype, [2], numbers]);
  });

  test('without axes, and without elements', () => {
    expect(tensorValue(tensor(DataType.FLOAT, { floatData: [3] }, []))).toMatchObject({ shape: [] });
    expect(tensorValue(tensor(DataType.FLOAT, {}, [0, 1e6])).data).toHaveLength(0);
  });

  test('of integers are exact as far as a double is', () => {
    const value = tensor(DataType.INT64, { int64Data: [2n ** 53n, -(2n ** 63n)] });
    expect(tensorIntegers(value)).toEqual([2 ** 53, -(2 ** 63)]);
    expect(tensorIntegers(tensor(DataType.INT32, { int32Data: [7, -8] }))).toEqual([7, -8]);
  });

  test.each<[string, TensorProto, string]>([
    ['too few bytes', tensor(DataType.FLOAT, { rawData: new Uint8Array(7) }), "tensor 't' has 7 bytes of raw_data, shape [2] of FLOAT (2 values) takes 8"], // biome-ignore format: one thought
    ['too few values', tensor(DataType.FLOAT, { floatData: [1] }), "tensor 't' has 1 values in its float_data, shape [2] of FLOAT (2 values)"], // biome-ignore format: one thought
    ['an absurd shape', tensor(DataType.FLOAT, {}, [2 ** 40, 2 ** 40]), "tensor 't' has an absurd shape"],
    [
      'a large shape and nothing in it',
      tensor(DataType.FLOAT, {}, [2 ** 40]),
      "tensor 't' has 0 values in its float_data",
    ],
    ['a negative size', tensor(DataType.FLOAT, {}, [-1]), "tensor 't' has a negative size in its shape [-1]"],
    ['an integer beyond int32', tensor(DataType.INT64, { int64Data: [1n, 2n ** 40n] }), "element 1 is 1099511627776, which int32 cannot hold"], // biome-ignore format: one thought
    ['texts', tensor(DataType.STRING, {}), "tensor 't' holds STRING; fovea reads FLOAT, UINT8"],
    ['a type nobody knows', tensor(99 as DataType, {}), "tensor 't' holds type 99"],
    ['data elsewhere', tensor(DataType.FLOAT, { dataLocation: DataLocation.EXTERNAL }), 'has external data without a location'], // biome-ignore format: one thought
  ])('with %s are refused', (_, value, message) => {
    expect(() => tensorValue(value)).toThrow(message);
    expect(() => tensorValue(value)).toThrow(FormatError);
  });

  test('say where they are in the file', () => {
    const model = parseOnnx(file);
    const [weight] = model.graph!.initializer;
    weight.dims[0] = 5n;
    expect(() => tensorValue(weight)).toThrow(`(at byte ${offsetOf(weight)})`);
  });
});

describe('data beside the model', () => {
  const entry = (values: Record<string, string>) =>
    create(TensorProtoSchema, {
      name: 't',
      dataType: DataType.FLOAT,
      dims: [2n],
      dataLocation: DataLocation.EXTERNAL,
      externalData: Object.entries(values).map(([key, value]) => ({ key, value })),
    });

  test('is written, and read again', async () => {
    const model = new Small();
    const path = join(folder, 'small.onnx');
    const { files } = await saveOnnx(model, path, { input: [3, 6, 6], externalData: true });
    // The others have less than 1 kB and stay in the model.
    expect(files.map((written) => written.path)).toEqual([path, join(folder, 'small.onnx.data')]);
    const bytes = await readFile(path);
    expect(bytes.length).toBe(files[0].sizeBytes);
    const plain = parseOnnx(await exportOnnx(model, { input: [3, 6, 6] }));
    const read = parseOnnx(bytes);
    for (const [i, tensor] of read.graph!.initializer.entries()) {
      const wanted = tensorValue(plain.graph!.initializer[i]);
      expect(tensorValue(tensor, externalDataIn(folder))).toEqual(wanted);
    }
    const outside = read.graph!.initializer.filter((tensor) => tensor.dataLocation === DataLocation.EXTERNAL);
    expect(outside.map((tensor) => tensor.name)).toEqual(['fc.weight']);
    expect(() => tensorValue(outside[0])).toThrow("keeps its values in the file 'small.onnx.data' beside the model");
  });

  test('is one file where that suffices', async () => {
    const path = join(folder, 'one.onnx');
    const { files } = await saveOnnx(new Small(), path, { input: [3, 6, 6] });
    expect(files).toHaveLength(1);
    expect(parseOnnx(await readFile(path)).graph!.node).toHaveLength(4);
  });

  test('lies in the folder of the model or below, and nowhere else', () => {
    mkdirSync(join(folder, 'inner', 'deep'), { recursive: true });
    writeFileSync(join(folder, 'secret'), new Uint8Array(64));
    writeFileSync(join(folder, 'inner', 'deep', 'data'), new Uint8Array(64));
    symlinkSync(join(folder, 'secret'), join(folder, 'inner', 'link'));
    symlinkSync(join(folder, 'inner', 'deep'), join(folder, 'inner', 'here'));
    const read = externalDataIn(join(folder, 'inner'));
    expect(tensorValue(entry({ location: 'deep/data' }), read).data).toHaveLength(2);
    expect(tensorValue(entry({ location: 'here/data', offset: '56' }), read).data).toHaveLength(2);
    const below = "a path below the model's folder is expected, without '..'";
    for (const location of [
      '../secret',
      'deep/../../secret',
      join(folder, 'secret'),
      '..\\secret',
      'C:\\secret',
      '/etc/passwd',
      '',
    ]) {
      expect(() => tensorValue(entry({ location }), read)).toThrow(below);
    }
    expect(() => tensorValue(entry({ location: 'link' }), read)).toThrow(
      "is a link that leads out of the model's folder",
    );
    expect(() => tensorValue(entry({ location: '.' }), read)).toThrow(FormatError);
    expect(() => tensorValue(entry({ location: 'deep' }), read)).toThrow('is not a file');
    expect(() => tensorValue(entry({ location: 'missing' }), read)).toThrow('there is no such file');
  });

  test('has the length that the shape asks', () => {
    const read = externalDataIn(join(folder, 'inner'));
    const message = (values: Record<string, string>) => {
      try {
        tensorValue(entry({ location: 'deep/data', ...values }), read);
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing';
    };
    expect(message({ offset: '60' })).toBe("onnx: external data 'deep/data' has 64 bytes, 8 are wanted from byte 60 on (at byte 64)"); // biome-ignore format: one thought
    expect(message({ length: '12' })).toBe("onnx: tensor 't' has 12 bytes of external data, shape [2] of FLOAT (2 values) takes 8"); // biome-ignore format: one thought
    expect(message({ offset: '-1' })).toBe("onnx: tensor 't' has external data with offset '-1', a number of bytes is expected"); // biome-ignore format: one thought
    expect(message({ offset: '1e3' })).toContain("offset '1e3'");
    expect(message({ offset: '9007199254740993' })).toContain('a number of bytes is expected');
  });
});

describe('damaged and hostile files', () => {
  const refusal = (bytes: Uint8Array): FormatError => {
    try {
      parseOnnx(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
      return error as FormatError;
    }
    throw new Error('the file was taken');
  };

  test.each([
    ['nothing', [], 'onnx: the file is empty (at byte 0)'],
    ['no graph', [0x08, 0x08], 'onnx: there is no graph in it; this is not an ONNX model (at byte 2)'],
    ['a field number of 0', [0x00], 'onnx: 0 is no field number (at byte 0)'],
    ['a length beyond the file', [0x3a, 0x7f], 'onnx: graph: a length of 127 bytes, the file has 0 left (at byte 1)'],
    ['a length beyond its message', [0x3a, 0x02, 0x0a, 0x05, 0x00], 'onnx: graph.node[0]: a length of 5 bytes, the message around it has 0 left (at byte 3)'], // biome-ignore format: one thought
    [
      'a length of 2⁶³',
      [0x3a, ...new Array(9).fill(0xff), 0x01],
      'onnx: graph: a length of 18446744073709552000 bytes',
    ],
    ['an integer without an end', [0x08, 0xff, 0xff], 'onnx: ir_version: the file ends within an integer (at byte 1)'],
    ['an integer of 11 bytes', [0x08, ...new Array(10).fill(0xff), 0x01], 'onnx: ir_version: an integer of more than 10 bytes (at byte 1)'], // biome-ignore format: one thought
    [
      'text for a number',
      [0x0a, 0x01, 0x41],
      'onnx: ir_version: expected a varint, found a length and bytes (at byte 0)',
    ],
    ['a number for text', [0x10, 0x01], 'onnx: producer_name: expected a length and bytes, found a varint (at byte 0)'],
    ['a group', [0x0b, 0x0c], 'onnx: ir_version: expected a varint, found the start of a group (at byte 0)'],
    [
      'a group in an unknown field',
      [0xfb, 0x07],
      'onnx: field 127: expected a value, found the start of a group (at byte 0)',
    ],
    ['a wire type that is none', [0x0e], 'onnx: ir_version: expected a varint, found wire type 6 (at byte 0)'],
    ['floats that end within one', [0x3a, 0x07, 0x2a, 0x05, 0x22, 0x03, 1, 2, 3], 'onnx: graph.initializer[0].float_data: 3 bytes are no whole number of 4-byte values (at byte 6)'], // biome-ignore format: one thought
    ['a list that ends within an integer', [0x3a, 0x06, 0x2a, 0x04, 0x3a, 0x02, 0x01, 0x80], 'onnx: graph.initializer[0].int64_data: the list ends within an integer (at byte 7)'], // biome-ignore format: one thought
    ['a zip', [0x50, 0x4b, 3, 4], 'onnx: this is a zip archive, perhaps a PyTorch .pt or a Keras .keras file, not an ONNX model (at byte 0)'], // biome-ignore format: one thought
    ['JSON', [0x7b, 0x7d], 'onnx: this is text that begins like JSON, not an ONNX model (at byte 0)'],
  ])('%s', (_, bytes, message) => {
    expect(refusal(Uint8Array.from(bytes)).message).toContain(message);
  });

  test('graphs in graphs have an end', () => {
    let graph = create(GraphProtoSchema, { name: 'innermost' });
    for (let i = 0; i < 40; i++) {
      const attribute = [create(AttributeProtoSchema, { name: 'body', g: graph })];
      graph = create(GraphProtoSchema, { node: [create(NodeProtoSchema, { opType: 'Loop', attribute })] });
    }
    const { message } = refusal(toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph })));
    expect(message).toMatch(
      /^onnx: graph\.node\[0\]\.attribute\[0\]\.g\.node\[0\].*: messages nested more than 100 deep/,
    );
  });

  test('millions of empty parts are refused before they become objects', () => {
    const count = 1_200_000;
    const nodes = new Uint8Array(2 * count);
    for (let i = 0; i < count; i++) nodes[2 * i] = 0x0a;
    const length: number[] = [];
    for (let rest = nodes.length; rest > 0; rest >>>= 7) length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    const before = process.memoryUsage().heapUsed;
    expect(refusal(Uint8Array.from([0x3a, ...length, ...nodes])).message).toContain('more than 1048576 parts');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(400e6);
  });

  test('cut short anywhere, a file is refused at a place within it', () => {
    for (let length = 0; length < file.length; length += length < 2000 ? 1 : 97) {
      const error = refusal(file.subarray(0, length));
      expect(error.offset).toBeGreaterThanOrEqual(0);
      expect(error.offset).toBeLessThanOrEqual(length);
    }
  });

  test('with bytes changed, a file is read or refused, and never anything else', () => {
    const change = fc.record({ at: fc.nat(file.length - 1), value: fc.integer({ min: 0, max: 255 }) });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = file.slice();
        for (const { at, value } of changes) bytes[at] = value;
        try {
          const model: ModelProto = parseOnnx(bytes);
          for (const tensor of model.graph!.initializer) tensorValue(tensor);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          refused++;
        }
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(0);
  });
});

/**
 * TensorFlow.js layers models: `model.json` with a Keras configuration and a manifest of weights, which lie one after the other in the shards it
 * names, in float32 or quantised. Source: the types of TensorFlow.js's `io` module (WeightsManifestConfig). Graph models are frozen TensorFlow
 * graphs, another thing: they are refused with that reason.
 */

import { FormatError } from '../../util/errors.js';
import { formatShape, numel } from '../../util/shape.js';
import { asSource, type BytesLike, checkSibling } from '../byte-source.js';
import { type ElementTypeName, elementTypes } from '../element-types.js';
import type { HostTensor } from '../host-tensor.js';
import { anyObject, array, integer, type JsonObject, literal, number, string } from '../schema.js';
import { readKerasConfig } from './config.js';
import { byName, json, KerasModule, type KerasOptions } from './import.js';

/** Gives the bytes of the shard that `model.json` calls `name`, which is checked to be a plain name in the same folder. */
export type ShardReader = (name: string) => BytesLike | Promise<BytesLike>;

/** The content of a model.json, by its fields; null for any other bytes. */
export function tensorflowjsModel(bytes: Uint8Array): JsonObject | null {
  if (bytes[0] !== 0x7b || bytes.length > largestJson) return null;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    const isModel =
      typeof value === 'object' && value !== null && 'weightsManifest' in value && 'modelTopology' in value;
    return isModel ? (value as JsonObject) : null;
  } catch {
    return null; // not JSON: a safetensors file may begin with the same byte
  }
}

const largestJson = 100e6;

/** @throws {FormatError} for what is not a layers model, and shards that are not there, too short or too long */
export async function importTensorflowjs(
  modelJson: BytesLike,
  shard: ShardReader,
  options: KerasOptions = {},
): Promise<KerasModule> {
  const source = asSource(modelJson);
  const model = anyObject(json(source.read(0, source.sizeBytes), 'model.json'), 'model.json:');
  if (model.format === 'graph-model') {
    throw new FormatError(
      'model.json: a graph model, which is a frozen TensorFlow graph; fovea reads layers models: convert the Keras model to that format, or to ONNX',
    );
  }
  const topology = anyObject(model.modelTopology, 'model.json: modelTopology');
  const graph = readKerasConfig(topology.model_config ?? topology);
  const version = typeof topology.keras_version === 'string' ? topology.keras_version : '2';
  return KerasModule.from(graph, byName(await readWeights(model, shard)), version, options);
}

async function readWeights(model: JsonObject, shard: ShardReader): Promise<Map<string, HostTensor>> {
  const tensors = new Map<string, HostTensor>();
  for (const [g, group] of array(anyObject)(model.weightsManifest, 'model.json: weightsManifest').entries()) {
    const where = `model.json: weightsManifest[${g}]`;
    const parts: Uint8Array[] = [];
    for (const path of array(string)(group.paths, `${where}.paths`)) {
      checkSibling(path, where);
      const source = asSource(await shard(path));
      parts.push(source.read(0, source.sizeBytes));
    }
    const bytes = joined(parts);
    let at = 0;
    for (const [i, entry] of array(anyObject)(group.weights, `${where}.weights`).entries()) {
      const { name, tensor, end } = readWeight(entry, bytes, at, `${where}.weights[${i}]`);
      tensors.set(name, tensor);
      at = end;
    }
    if (at !== bytes.length)
      throw new FormatError(`${where}: its shards have ${bytes.length} bytes, its weights take ${at}`, at);
  }
  return tensors;
}

const stored: Readonly<Record<string, ElementTypeName>> = {
  float32: 'F32',
  float16: 'F16',
  int32: 'I32',
  uint8: 'U8',
  uint16: 'U16',
  bool: 'BOOL',
};

function readWeight(
  entry: JsonObject,
  bytes: Uint8Array,
  at: number,
  where: string,
): { name: string; tensor: HostTensor; end: number } {
  const name = string(entry.name, `${where}.name`);
  const shape = array(integer({ min: 0, max: 2 ** 31 }))(entry.shape, `${where}.shape`);
  const quantization = entry.quantization === undefined ? null : anyObject(entry.quantization, `${where}.quantization`);
  const dtype = literal(
    'float32',
    'float16',
    'int32',
    'uint8',
    'uint16',
    'bool',
  )(quantization?.dtype ?? entry.dtype, `${where}.dtype`);
  const type = elementTypes[stored[dtype]];
  const end = at + numel(shape) * type.bytes;
  if (!(end <= bytes.length)) {
    throw new FormatError(
      `${where}: '${name}' of ${formatShape(shape)} ends at byte ${end}; its shards have ${bytes.length}`,
      at,
    );
  }
  const { data } = type.decode(
    bytes.subarray(at, end),
    (element, what) => new FormatError(`${where}: '${name}' element ${element} is ${what}`, at),
  );
  const values = Float32Array.from(data);
  if (quantization !== null && dtype !== 'float16') {
    const [scale, min] = [
      number()(quantization.scale, `${where}.quantization.scale`),
      number()(quantization.min, `${where}.quantization.min`),
    ];
    for (let i = 0; i < values.length; i++) values[i] = values[i] * scale + min;
  }
  return { name, tensor: { dtype: 'float32', shape, data: values }, end };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

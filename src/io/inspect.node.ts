/**
 * What is in a file, without loading it as anything: tensors, the graph, metadata, of every format that is read. Values are not touched, so a
 * file of many gigabytes is listed at once.
 */

import { dirname } from 'node:path';
import { ConfigError, FormatError } from '../util/errors.js';
import { numel, type Shape } from '../util/shape.js';
import { FileSource } from './byte-source.node.js';
import { type KerasGraph, readKerasConfig } from './keras/config.js';
import { isH5, readH5 } from './keras/h5.js';
import { json } from './keras/import.js';
import { tensorflowjsModel } from './keras/tfjs.js';
import { parseOnnx } from './onnx/model-file.js';
import { DataType, type GraphProto, type ModelProto, type ValueInfoProto } from './onnx/schema.js';
import { anyObject, array, type JsonObject } from './schema.js';
import { openWeights, type WeightsFile } from './weights-file.js';
import { readFacts } from './weights-metadata.js';
import { recognise } from './weights-recognise.js';
import { isZip, openZip, readZipEntry } from './zip.js';

export interface InspectedTensor {
  readonly name: string;
  /** As the format spells it: F32, FLOAT, float32. */
  readonly type: string;
  readonly shape: Shape;
}

/** One operation of a graph. */
export interface InspectedStep {
  readonly name: string;
  readonly kind: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface Inspected {
  readonly format: string;
  readonly sizeBytes: number;
  /** What the file says of itself, and what can be told from its names, in words. */
  readonly facts: Readonly<Record<string, string>>;
  readonly tensors: readonly InspectedTensor[];
  /** Empty for files of weights alone. */
  readonly steps: readonly InspectedStep[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** @throws {FileError} if it cannot be read. @throws {FormatError} with the offset for a damaged file, or one of no known format */
export async function inspectFile(path: string): Promise<Inspected> {
  const source = new FileSource(path);
  try {
    return { sizeBytes: source.sizeBytes, ...(await inspect(source, path)) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw Object.assign(new FormatError(`${path}: ${error.message}`), { offset: error.offset, cause: error });
  } finally {
    source.close();
  }
}

type Content = Omit<Inspected, 'sizeBytes'>;

async function inspect(source: FileSource, path: string): Promise<Content> {
  const whole = () => source.read(0, source.sizeBytes);
  const first = source.read(0, Math.min(64, source.sizeBytes));
  if (isH5(first)) return inspectH5(whole());
  if (isZip(first) && openZip(source).has('config.json')) return inspectKeras(source);
  // A brace opens JSON, unless it is the length of a safetensors header, whose upper bytes are zeros.
  const layers = first[0] === 0x7b && first[7] !== 0 ? tensorflowjsModel(whole()) : null;
  if (layers !== null) return inspectTensorflowjs(layers);
  // ONNX has no signature: a file is one if it is one from end to end.
  const mayBeOnnx = path.toLowerCase().endsWith('.onnx') || first[0] === 0x08;
  if (mayBeOnnx) return inspectOnnx(parseOnnx(whole()), dirname(path));
  return inspectWeights(openWeights(source));
}

function inspectWeights({ format, entries, metadata, path, prefix, other }: WeightsFile): Content {
  const tensors = Array.from(entries, ([name, { type, shape }]) => ({ name, type, shape }));
  const facts: Record<string, string> = {};
  if (path !== '') facts['tensors stand in'] = path;
  if (prefix !== '') facts['names begin with'] = prefix;
  if (other.length > 0) facts['holds besides'] = other.join(', ');
  const named = readFacts(metadata).model;
  if (named !== null) facts.model = `${named.name} ${JSON.stringify(named.options)}`;
  else {
    const looks = lookalike(entries);
    if (looks !== null) facts['looks like'] = looks;
  }
  return { format, facts, tensors, steps: [], metadata };
}

/** Which model of the registry these tensors fit, in words; null if none. */
function lookalike(entries: WeightsFile['entries']): string | null {
  try {
    const { builder, why, alternatives } = recognise(entries);
    return `${builder.modelName}: ${why}${alternatives.length > 0 ? `; or ${alternatives.join(', ')}` : ''}`;
  } catch (error) {
    if (error instanceof ConfigError) return null;
    throw error;
  }
}

function inspectOnnx(model: ModelProto, folder: string): Content {
  const graph = model.graph!;
  const facts: Record<string, string> = {
    'made by': [model.producerName, model.producerVersion].filter((text) => text !== '').join(' ') || 'it does not say',
    'IR version': String(model.irVersion),
    opset: model.opsetImport.map(({ domain, version }) => `${domain === '' ? '' : `${domain} `}${version}`).join(', '),
    inputs: inputsOf(graph).map(valueText).join(', '),
    outputs: graph.output.map(valueText).join(', '),
  };
  const outside = new Set(
    graph.initializer
      .flatMap((tensor) => tensor.externalData.filter(({ key }) => key === 'location'))
      .map(({ value }) => value),
  );
  if (outside.size > 0) facts['values lie in'] = `${[...outside].join(', ')} (in ${folder})`;
  if (model.functions.length > 0) facts['local functions'] = model.functions.map(({ name }) => name).join(', ');
  return {
    format: 'ONNX',
    facts,
    tensors: graph.initializer.map(({ name, dataType, dims }) => ({
      name,
      type: typeName(dataType),
      shape: dims.map(Number),
    })),
    steps: graph.node.map(({ name, opType, input, output }) => ({
      name,
      kind: opType,
      inputs: input,
      outputs: output,
    })),
    metadata: Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value])),
  };
}

/** Older files list weights among the inputs. */
function inputsOf(graph: GraphProto): ValueInfoProto[] {
  const stored = new Set(graph.initializer.map(({ name }) => name));
  return graph.input.filter(({ name }) => !stored.has(name));
}

function valueText({ name, type }: ValueInfoProto): string {
  if (type?.value.case !== 'tensorType') return name;
  const { elemType, shape } = type.value.value;
  const sizes = shape?.dim.map(({ value }) => (value.case === undefined ? '?' : String(value.value)));
  return `${name} ${typeName(elemType)}${sizes === undefined ? '' : ` [${sizes.join(', ')}]`}`;
}

function typeName(type: number): string {
  return DataType[type] ?? `type ${type}`;
}

async function inspectKeras(source: FileSource): Promise<Content> {
  const entries = openZip(source);
  const read = (name: string) => readZipEntry(source, entries.get(name)!);
  const metadata = entries.has('metadata.json') ? json(read('metadata.json'), 'metadata.json') : {};
  const stored = entries.has('model.weights.h5') ? (await readH5(read('model.weights.h5'))).tensors : new Map();
  return {
    format: 'Keras',
    tensors: Array.from(stored, ([name, { shape }]) => ({ name, type: 'float32', shape })),
    ...kerasGraph(readKerasConfig(json(read('config.json'), 'config.json'))),
    metadata: textsOf(anyObject(metadata, 'metadata.json:')),
  };
}

async function inspectH5(bytes: Uint8Array): Promise<Content> {
  const { tensors, attributes } = await readH5(bytes);
  const config = attributes.get('model_config');
  const graph =
    config === undefined ? { facts: {}, steps: [] } : kerasGraph(readKerasConfig(json(config, 'model_config')));
  attributes.delete('model_config');
  return {
    format: config === undefined ? 'HDF5' : 'Keras (HDF5)',
    tensors: Array.from(tensors, ([name, { shape }]) => ({ name, type: 'float32', shape })),
    ...graph,
    metadata: Object.fromEntries(attributes),
  };
}

function inspectTensorflowjs(model: JsonObject): Content {
  const topology = anyObject(model.modelTopology, 'model.json: modelTopology');
  const graph =
    model.format === 'graph-model'
      ? { facts: {}, steps: [] }
      : kerasGraph(readKerasConfig(topology.model_config ?? topology));
  const groups = array(anyObject)(model.weightsManifest, 'model.json: weightsManifest');
  const tensors = groups
    .flatMap((group) => array(anyObject)(group.weights, 'model.json: weights'))
    .map(({ name, dtype, shape }) => ({
      name: String(name),
      type: String(dtype),
      shape: Array.isArray(shape) ? shape.map(Number) : [],
    }));
  const { modelTopology, weightsManifest, ...rest } = model;
  return {
    format: `TensorFlow.js ${String(model.format ?? 'layers-model')}`,
    tensors,
    ...graph,
    metadata: textsOf(rest),
  };
}

function kerasGraph(graph: KerasGraph): Pick<Content, 'facts' | 'steps'> {
  const size = (n: number | null) => (n === null ? '?' : String(n));
  return {
    facts: {
      model: graph.name,
      inputs: graph.inputs
        .map(({ name, shape }) => `${name} [N, ${shape.map(size).join(', ')}], channels last`)
        .join(', '),
      outputs: graph.outputs.map(({ name }) => name).join(', '),
    },
    steps: graph.calls.map(({ layer, inputs, output }) => ({
      name: layer.path,
      kind: layer.className,
      inputs,
      outputs: [output],
    })),
  };
}

/** Elements of all tensors together. */
export function countElements(tensors: readonly InspectedTensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + numel(shape), 0);
}

function textsOf(object: JsonObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

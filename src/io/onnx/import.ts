/**
 * ONNX → a Module that infers, trains and explains like one written by hand. Weights lie under the names they had where the file kept them; batch
 * norm, dropout and the like follow train() and eval(); sizes that the file computes from shapes are computed anew for each shape, so batches and
 * pictures may have any size that the graph itself allows. Source: github.com/onnx/onnx, docs/IR.md and docs/Operators.md.
 */

import type { Preprocessing } from '../../models/index.js';
import { GraphModule, type GraphSpec } from '../../nn/graph-module.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { readFacts } from '../weights-metadata.js';
import { buildGraph, modelContext } from './import-graph.js';
import { parseOnnx } from './model-file.js';
import { DataType, type ModelProto, type ValueInfoProto } from './schema.js';
import type { ExternalData } from './tensor-value.js';

export interface ImportOptions {
  /** Gives the bytes of tensors that lie in files beside the model. `loadOnnx` reads them from disk. */
  readonly external?: ExternalData;
  /**
   * Names of inner values to return instead of the graph's own outputs. Nodes that only these needed are left out, such as the selection of boxes
   * at the end of a detector.
   */
  readonly outputs?: readonly string[];
}

/** An input or output as the file describes it. */
export interface OnnxValue {
  readonly name: string;
  /** ONNX's name of the type: FLOAT, INT64 … */
  readonly dtype: string;
  /** Sizes; a name ('batch') or null where any will do. null as a whole: the file does not say. */
  readonly shape: readonly (number | string | null)[] | null;
}

export interface OnnxMetadata {
  /** The version of ONNX's operator set. */
  readonly opset: number;
  readonly producer: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** How often each operator stands in the file's graph, the most frequent first. */
  readonly operators: ReadonlyMap<string, number>;
  /** What pictures go through before the network, where the file says it in fovea's words. */
  readonly preprocessing: Preprocessing | null;
  /** Names of the classes, in the order of the outputs, likewise. */
  readonly classes: readonly string[] | null;
  /** All that the writer kept beside the graph. */
  readonly properties: Readonly<Record<string, string>>;
}

/** A network from an ONNX file. */
export class OnnxModel extends GraphModule {
  readonly metadata: OnnxMetadata;

  constructor(spec: GraphSpec, metadata: OnnxMetadata) {
    super(spec);
    this.metadata = metadata;
  }
}

/**
 * The network in an ONNX file, in evaluation mode. Inputs go to `forward` in the order of `metadata.inputs`; one output comes as a tensor,
 * several as a record by name.
 * @throws {FormatError} naming the node, and all unknown operators at once, before anything runs.
 */
export function importOnnx(bytes: Uint8Array, options: ImportOptions = {}): OnnxModel {
  return importModel(parseOnnx(bytes), options);
}

/** `importOnnx` of a model that has been read already. */
export function importModel(model: ModelProto, { external, outputs }: ImportOptions = {}): OnnxModel {
  const graph = model.graph!;
  if (graph.output.length === 0 && outputs === undefined) throw new FormatError('onnx: the graph has no outputs');
  if (outputs?.length === 0) throw new ConfigError('importOnnx: name at least one output');
  const built = buildGraph(graph, modelContext(model, external), outputs);
  const declared = new Map([...graph.valueInfo, ...graph.output].map((info) => [info.name, info]));
  const properties = Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
  const counts = new Map<string, number>();
  for (const { opType } of graph.node) counts.set(opType, (counts.get(opType) ?? 0) + 1);
  const metadata: OnnxMetadata = {
    opset: Number(model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0),
    producer: [model.producerName, model.producerVersion].filter((part) => part !== '').join(' '),
    inputs: built.inputs.map(described),
    outputs: built.outputs.map((name) => {
      const info = declared.get(name);
      return info === undefined ? { name, dtype: 'UNDEFINED', shape: null } : described(info);
    }),
    operators: new Map([...counts].sort(([, a], [, b]) => b - a)),
    ...factsOf(properties),
    properties,
  };
  const inputs = built.inputs.map(({ name }) => name);
  const { steps, tensors } = built;
  try {
    return new OnnxModel({ inputs, outputs: built.outputs, steps, tensors }, metadata).eval();
  } catch (error) {
    if (error instanceof ConfigError) throw new FormatError(`onnx: ${error.message}`);
    throw error;
  }
}

/** What cannot be read is as good as absent: the network itself does not need it. */
function factsOf(properties: Readonly<Record<string, string>>): Pick<OnnxMetadata, 'preprocessing' | 'classes'> {
  const read = (key: string): Pick<OnnxMetadata, 'preprocessing' | 'classes'> => {
    try {
      return readFacts(Object.hasOwn(properties, key) ? { [key]: properties[key] } : {});
    } catch (error) {
      if (error instanceof FormatError) return { preprocessing: null, classes: null };
      throw error;
    }
  };
  return { preprocessing: read('fovea.preprocessing').preprocessing, classes: read('fovea.classes').classes };
}

/** @throws {FormatError} for inputs that are no tensors. */
function described({ name, type }: ValueInfoProto): OnnxValue {
  if (type?.value.case !== 'tensorType') {
    if (type?.value.case === undefined) return { name, dtype: 'UNDEFINED', shape: null };
    throw new FormatError(`onnx: '${name}' is a ${type.value.case.replace('Type', '')}, not a tensor`);
  }
  const { elemType, shape } = type.value.value;
  const sizes = shape?.dim.map(({ value }) => {
    if (value.case === 'dimValue') return Number(value.value);
    return value.case === 'dimParam' && value.value !== '' ? value.value : null;
  });
  return { name, dtype: DataType[elemType] ?? `type ${elemType}`, shape: sizes ?? null };
}

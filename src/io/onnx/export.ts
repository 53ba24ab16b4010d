/**
 * A Module as an ONNX model: what evaluation computes, with the weights inside. The model is run lazily and its graph written down
 * (export-trace.ts, export-emit.ts); the batch stays open; names are the modules' and the state's.
 */

import { leafStorage } from '../../graph/stale.js';
import type { Storage } from '../../graph/storage.js';
import { builderOf, type Preprocessing } from '../../models/index.js';
import type { Module } from '../../nn/index.js';
import { realize, Tensor } from '../../tensor/index.js';
import type { DType } from '../../util/dtype.js';
import { ConfigError } from '../../util/errors.js';
import { type Shape, sameShape } from '../../util/shape.js';
import { publishedPreprocessing, rebuildable } from '../weights.js';
import { writeFacts } from '../weights-metadata.js';
import { compositeRule } from './export-composites.js';
import { elementwiseRule } from './export-elementwise.js';
import { Emitter, type StoredNode } from './export-emit.js';
import { OnnxGraph } from './export-graph.js';
import { moduleRule } from './export-modules.js';
import { structuredRule } from './export-structured.js';
import { Trace } from './export-trace.js';
import { encodeOnnx } from './model-file.js';
import {
  create,
  type ModelProto,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
} from './schema.js';

export interface OnnxExportOptions {
  /** Shape of one input without the batch: [3, 224, 224]; of each, if the model takes several. */
  readonly input: Shape | readonly Shape[];
  /** Element type of the inputs: 'int32' for models of text. */
  readonly dtype?: DType;
  /** Version of ONNX's operators. Runtimes read all up to the one they know; newer ones have more layers as one operator. */
  readonly opset?: number;
  /** Left out, the batch stays open. */
  readonly batch?: number;
  /** Puts each batch norm into the convolution or linear layer in front of it. The model itself stays as it is. */
  readonly foldBatchNorm?: boolean;
  /** Of the graph. Left out: the model's. */
  readonly name?: string;
  /** What pictures must go through. Left out: what goes with the model's published weights, if the input has their size. */
  readonly preprocessing?: Preprocessing;
  /** What the outputs are called, in order. */
  readonly classes?: readonly string[];
}

export const oldestOpset = 17;
export const newestOpset = 21;

/** The file format's version that came with an opset: a runtime that knows one knows the other. */
const irVersions: Readonly<Record<number, number>> = { 17: 8, 18: 8, 19: 9, 20: 9, 21: 10 };

/**
 * `model` as the bytes of an ONNX file: input `input` [N, …] (`input_0`, … if there are several), outputs `output`, `output_0`, …, or the
 * keys of the record that the model gives. The metadata are those of weights files: which model it is, its preprocessing and its classes.
 * @throws {ConfigError} for an operation that ONNX lacks, or one that needs a fixed batch, with the layer's path; for 2 GiB or more.
 */
export async function exportOnnx(model: Module, options: OnnxExportOptions): Promise<Uint8Array> {
  return encodeOnnx(await onnxModel(model, options));
}

/** `exportOnnx` before it becomes bytes. Tensors' bytes are views of the weights: encode before they are trained on. */
export async function onnxModel(model: Module, options: OnnxExportOptions): Promise<ModelProto> {
  const { opset = oldestOpset, dtype = 'float32', batch = null, foldBatchNorm = false } = options;
  const name = options.name ?? builderOf(model)?.builder.modelName ?? model.constructor.name;
  check(opset, batch);
  const state = Object.entries(model.stateDict());
  await realize(...state.map(([, tensor]) => tensor)); // weights that are still to be drawn
  const inputs = shapesOf(options.input);
  const trace = new Trace(model, { inputs, dtype, batch });
  const graph = new OnnxGraph(name, trace.outputs.map((output) => output.name)); // biome-ignore format: one thought
  const paths = new Map<Storage, string>();
  for (const [path, tensor] of state) {
    const storage = leafStorage(tensor.current);
    if (storage !== null) paths.set(storage, path);
  }
  const rules = [moduleRule, compositeRule, structuredRule, elementwiseRule];
  const emitter = new Emitter({ trace, graph, opset, foldBatchNorm, paths, rules });
  emitter.run(inputs.length === 1 ? ['input'] : inputs.map((_, i) => `input_${i}`));
  await setValues(graph, emitter.stored);

  return create(ModelProtoSchema, {
    irVersion: BigInt(irVersions[opset]),
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
    producerName: 'fovea',
    producerVersion,
    graph: graph.finish(state.map(([path]) => path), `${name}, in evaluation`), // biome-ignore format: one thought
    metadataProps: Object.entries(metadataOf(model, inputs, options)).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    ),
  });
}

/** package.json's, which a page cannot read; a test holds them together. */
export const producerVersion = '0.1.0';

/** Computes what is not there yet, all in one step. */
async function setValues(graph: OnnxGraph, stored: readonly StoredNode[]): Promise<void> {
  const tensors = stored.map(({ node }) => new Tensor(node));
  await realize(...tensors);
  for (const [i, { name }] of stored.entries()) {
    const tensor = tensors[i];
    graph.setValue(name, tensor.shape, tensor.dtype, leafStorage(tensor.current)?.read() ?? (await tensor.data()));
  }
}

/** A folded network has other tensors than the one that its name builds. */
function metadataOf(model: Module, inputs: readonly Shape[], options: OnnxExportOptions): Record<string, string> {
  const builder = builderOf(model)?.builder;
  const published = builder === undefined ? null : publishedPreprocessing(builder);
  const fits = published !== null && inputs.length === 1 && sameShape(inputs[0].slice(1), published.crop);
  return writeFacts({
    model: options.foldBatchNorm === true ? null : rebuildable(model),
    preprocessing: options.preprocessing ?? (fits ? published : null),
    classes: options.classes ?? null,
  });
}

function shapesOf(input: Shape | readonly Shape[]): readonly Shape[] {
  return (input.length > 0 && Array.isArray(input[0]) ? input : [input]) as readonly Shape[];
}

function check(opset: number, batch: number | null): void {
  if (!Number.isInteger(opset) || opset < oldestOpset || opset > newestOpset) {
    throw new ConfigError(`exportOnnx: opset must be ${oldestOpset} … ${newestOpset}; got ${opset}`);
  }
  if (batch !== null && !(Number.isInteger(batch) && batch >= 1)) {
    throw new ConfigError(`exportOnnx: batch must be a whole number of at least 1, or left out; got ${batch}`);
  }
}

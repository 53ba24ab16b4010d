/**
 * From an ONNX graph to the steps of a GraphModule. First everything is looked at: names, order, operators; what is wrong or unknown is said
 * before anything is built. Then nodes are translated in order. Constants are folded on the way; what follows from shapes alone is marked,
 * since sizes and axes must; float constants become parameters where layers take them as weights or where their names say they were.
 */

import type { Message } from '@bufbuild/protobuf';
import { Storage } from '../../graph/storage.js';
import { GraphModule, type GraphStep, type GraphTensor } from '../../nn/graph-module.js';
import { Module } from '../../nn/index.js';
import { buffer, Parameter, Tensor } from '../../tensor/index.js';
import { ConfigError, FormatError, ShapeError } from '../../util/errors.js';
import { Flattener, type Versions, versionsOf } from './import-flatten.js';
import { fitPath, isGenerated, Paths, placeOfNode, placeOfWeight } from './import-names.js';
import { describeNode, OnnxNode } from './import-node.js';
import { offsetOf } from './model-file.js';
import { operators, refusals } from './operators/index.js';
import { HostWork, hostWherePossible, Known, toInt32 } from './operators/known.js';
import type { Compute, GraphContext, Part } from './operators/operator.js';
import { DataType, type GraphProto, type ModelProto, type TensorProto, type ValueInfoProto } from './schema.js';
import { type ExternalData, tensorIntegers, tensorShape, tensorValue } from './tensor-value.js';

/** The operator sets that the table was written for. Newer ones have changed little, but what, nobody knew. */
export const supportedOpsets = { from: 7, to: 28 } as const;

export interface BuiltGraph {
  readonly inputs: readonly ValueInfoProto[];
  readonly steps: readonly GraphStep[];
  readonly tensors: readonly GraphTensor[];
  readonly outputs: readonly string[];
}

/** What all graphs of a model share. */
export interface ModelContext {
  readonly flattener: Flattener;
  readonly versions: Versions;
  readonly external: ExternalData | undefined;
  readonly work: HostWork;
}

export function modelContext(model: ModelProto, external: ExternalData | undefined): ModelContext {
  const versions = versionsOf(model.opsetImport);
  const own = versions.get('');
  if (own === undefined)
    throw new FormatError('onnx: the model does not say which operator set it is written in', offsetOf(model));
  if (own < supportedOpsets.from || own > supportedOpsets.to) {
    const way = own < supportedOpsets.from ? 'convert the file to a newer one' : 'export it with an older one';
    throw new FormatError(
      `onnx: the model is written in operator set ${own}; fovea reads ${supportedOpsets.from} to ${supportedOpsets.to}: ${way}`,
      offsetOf(model),
    );
  }
  return { flattener: new Flattener(model), versions, external, work: new HostWork() };
}

/** @throws {FormatError} naming the nodes that are wrong or that fovea does not know. */
export function buildGraph(graph: GraphProto, context: ModelContext, outputs?: readonly string[]): BuiltGraph {
  return new GraphBuilder(graph, context, null, outputs ?? graph.output.map(({ name }) => name)).build();
}

/** A value that is the same in every call. */
class Constant {
  #known: Known | null = null;
  readonly parameters = new Map<string, Parameter>();
  /** Whether a layer has it among its own. */
  owned = false;

  constructor(
    readonly name: string,
    /** Trained wherever it is read, since its name says that it was. */
    readonly trained: boolean,
    private read: (() => Known) | null,
    known: Known | null = null,
  ) {
    this.#known = known;
  }

  get known(): Known {
    if (this.#known === null) {
      this.#known = this.read!();
      this.read = null;
    }
    return this.#known;
  }

  parameter(form: 'as it is' | 'transposed'): Parameter {
    const made = this.parameters.get(form) ?? parameterOf(this.known, form === 'transposed');
    this.parameters.set(form, made);
    return made;
  }
}

class GraphBuilder implements GraphContext {
  readonly #nodes: readonly OnnxNode[];
  readonly #constants = new Map<string, Constant>();
  readonly #aliases = new Map<string, string>();
  /** Values whose numbers follow from shapes, in addition to constants. */
  readonly #fromShapes = new Set<string>();
  readonly #ranks = new Map<string, number>();
  readonly #readers = new Map<string, Set<OnnxNode>>();
  /** All values of this graph. */
  readonly #values = new Set<string>();
  readonly #absorbed = new Set<OnnxNode>();
  readonly #outside = new Set<string>();
  readonly #paths: Paths;
  readonly #steps: GraphStep[] = [];
  readonly #inputs: readonly ValueInfoProto[];
  #inner = 0;

  constructor(
    graph: GraphProto,
    private readonly context: ModelContext,
    private readonly around: GraphBuilder | null,
    private readonly outputs: readonly string[],
  ) {
    const flat = context.flattener.flatten(graph.node, context.versions).map((facts) => new OnnxNode(facts));
    const initializers = new Map<string, TensorProto>();
    for (const tensor of graph.initializer) {
      if (initializers.has(tensor.name)) throw fail(tensor, `the initializer '${tensor.name}' stands twice`);
      initializers.set(tensor.name, tensor);
    }
    if (graph.sparseInitializer.length > 0)
      throw fail(graph.sparseInitializer[0], 'sparse initializers are not supported');
    // Before IR version 4 initializers were listed among the inputs.
    this.#inputs = graph.input.filter(({ name }) => !initializers.has(name));
    this.#nodes = this.#inOrder(flat, initializers);
    refuseUnknown(this.#nodes);

    const sizes = new Set(
      this.#nodes.flatMap((node) => (operators.get(node.op)?.known ?? []).map((i) => node.inputs[i])),
    );
    for (const [name, tensor] of initializers) {
      const trained = !sizes.has(name) && looksTrained(tensor);
      this.#constants.set(name, new Constant(name, trained, () => knownTensor(tensor, context.external)));
    }
    for (const node of this.#nodes) for (const name of new Set(readsOf(node))) this.#addReader(name, node);
    for (const info of [...graph.valueInfo, ...graph.output, ...graph.input]) {
      const rank = info.type?.value.case === 'tensorType' ? info.type.value.value.shape?.dim.length : undefined;
      if (rank !== undefined) this.#ranks.set(info.name, rank);
    }
    for (const [name, tensor] of initializers) this.#ranks.set(name, tensor.dims.length);
    const weights = [...initializers.keys()].map(placeOfWeight).filter((place) => place !== null);
    const scopes = this.#nodes.map((node, i) => placeOfNode(node.facts, i).scope).filter((scope) => scope !== '');
    this.#paths = new Paths([...scopes, ...new Set(weights)]);
  }

  build(): BuiltGraph {
    this.#nodes.forEach((node, i) => {
      if (!this.#absorbed.has(node)) this.#translate(node, i);
    });
    for (const name of this.outputs) {
      const value = this.#resolve(name);
      if (value !== name)
        this.#steps.push({ name, inputs: [value], outputs: [name], run: (x) => x!, label: 'Identity' });
    }
    return { inputs: this.#inputs, steps: this.#steps, tensors: this.#tensors(), outputs: this.outputs };
  }

  // —— what rows may ask ——

  constant(name: string | null): Known | null {
    return name === null ? null : (this.#constant(name)?.known ?? null);
  }

  isKnown(name: string): boolean {
    const value = this.#resolve(name);
    const constant = this.#constant(value);
    if (constant !== undefined) return !constant.trained;
    return this.#fromShapes.has(value) || (this.around?.isKnown(value) ?? false);
  }

  rank(name: string): number | null {
    const value = this.#resolve(name);
    return this.#constant(value)?.known.ndim ?? this.#ranks.get(value) ?? this.around?.rank(value) ?? null;
  }

  parameter(name: string | null, form: 'as it is' | 'transposed' = 'as it is'): Parameter | null {
    const constant = name === null ? undefined : this.#constant(name);
    if (constant === undefined || constant.known.dtype !== 'float32') return null;
    if (form === 'transposed') {
      const readers = [...(this.#readers.get(this.#resolve(name!)) ?? [])];
      const alike = (node: OnnxNode) => node.op === 'MatMul' && node.inputs[0] !== name;
      if (readers.length > 1 && !readers.every(alike)) return null;
    }
    constant.owned = true;
    return constant.parameter(form);
  }

  buffer(name: string): Tensor {
    return buffer(this.constant(name)!);
  }

  placeOf(weight: string | null): string | null {
    return weight === null ? null : placeOfWeight(this.#resolve(weight));
  }

  onlyReader(name: string): OnnxNode | null {
    const readers = [...(this.#readers.get(name) ?? [])];
    return readers.length === 1 && !this.outputs.includes(name) ? readers[0] : null;
  }

  absorb(node: OnnxNode): void {
    this.#absorbed.add(node);
  }

  inner(node: OnnxNode, what: string): string {
    return `${node.outputs[0]}:${what}${this.#inner++}`;
  }

  tensorAttribute(node: OnnxNode, name: string): Known | null {
    const tensor = node.tensor(name);
    return tensor === undefined ? null : knownTensor(tensor, this.context.external);
  }

  subgraph(node: OnnxNode, graph: GraphProto): { module: Module; reads: readonly string[] } {
    const builder = new GraphBuilder(graph, this.context, this, graph.output.map(({ name }) => name)); // biome-ignore format: one thought
    if (builder.#inputs.length > 0) throw node.fail('a branch takes no inputs');
    const { steps, tensors, outputs } = builder.build();
    const reads = [...builder.#outside].map((name) => this.#resolve(name));
    const aliases = [...builder.#outside];
    return { module: new GraphModule({ inputs: aliases, outputs, steps, tensors }), reads };
  }

  // —— translating ——

  #translate(node: OnnxNode, index: number): void {
    if (node.op === 'Identity') {
      this.#alias(node.outputs[0], this.#resolve(node.inputs[0]));
      return;
    }
    if (node.op === 'Constant') {
      this.#setConstant(node.outputs[0], constantValue(node, this.context.external));
      return;
    }
    const row = operators.get(node.op)!;
    for (const i of row.known ?? []) {
      const name = node.input(i);
      if (name === null || this.isKnown(name)) continue;
      const why = refusals[node.op] ?? 'it must follow from constants and from the shapes of the inputs';
      throw node.fail(`its input ${i} ('${name}') depends on numbers that only a run gives; ${why}`);
    }
    const parts = inNode(node, () => row.translate(node, this));
    const list = Array.isArray(parts) ? (parts as readonly Part[]) : [parts as Part];
    for (const part of list) this.#addPart(node, index, part);
    inferRank(node, this.#ranks, this);
  }

  #addPart(node: OnnxNode, index: number, part: Part): void {
    const inputs = (part.inputs ?? node.inputs).map((name) => (name === '' ? '' : this.#resolve(name)));
    const outputs = part.outputs ?? node.outputs;
    const { run } = part;
    const place = placeOfNode(node.facts, index);
    if (run instanceof Module) {
      const path = part.path ?? null;
      const name = path === null ? this.#paths.forNode(place) : this.#paths.claim(path);
      this.#steps.push({ name, inputs, outputs, run });
      return;
    }
    const compute = hostWherePossible(run, this.context.work);
    const known = inputs.every((name) => name === '' || this.isKnown(name));
    if (known && inputs.every((name) => name === '' || this.#constant(name) !== undefined) && this.#fold(node, compute, inputs, outputs)) return; // biome-ignore format: one thought
    if (known || part.fromShapes) for (const name of outputs) this.#fromShapes.add(name);
    const name = place.scope === '' ? place.own : `${place.scope}.${place.own}`;
    this.#steps.push({ name, inputs, outputs, run: atRun(compute), label: node.op });
  }

  /** Computes a node now, if all of its inputs are constants and its results are not too large. */
  #fold(node: OnnxNode, compute: Compute, inputs: readonly string[], outputs: readonly string[]): boolean {
    const values = inputs.map((name) => (name === '' ? undefined : this.#constant(name)!.known));
    const made = inNode(node, () => compute(...values));
    const results = made instanceof Tensor ? [made] : made;
    if (!results.every((t) => t instanceof Known)) return false;
    for (const [i, name] of outputs.entries()) if (name !== '') this.#setConstant(name, results[i] as Known);
    return true;
  }

  #setConstant(name: string, value: Known): void {
    this.#constants.set(name, new Constant(name, false, null, value));
  }

  #alias(name: string, value: string): void {
    this.#aliases.set(name, value);
    for (const reader of this.#readers.get(name) ?? []) this.#addReader(value, reader);
  }

  #resolve(name: string): string {
    return this.#aliases.get(name) ?? name;
  }

  #constant(name: string): Constant | undefined {
    const value = this.#resolve(name);
    return this.#constants.get(value) ?? (this.around === null ? undefined : this.around.#constant(value));
  }

  #addReader(name: string, node: OnnxNode): void {
    const readers = this.#readers.get(name) ?? new Set();
    this.#readers.set(name, readers.add(node));
  }

  /** The constants that steps read by name: parameters in their places, everything else as it is. */
  #tensors(): GraphTensor[] {
    const made = new Set(this.#steps.flatMap((step) => step.outputs));
    const read = new Set([...this.#steps.flatMap((step) => step.inputs), ...this.outputs]);
    const tensors: GraphTensor[] = [];
    for (const name of read) {
      const constant = name === '' || made.has(name) ? undefined : this.#constant(name);
      if (constant === undefined) continue;
      const foreign = !this.#constants.has(name);
      if (!constant.trained) tensors.push({ name, tensor: constant.known });
      else if (constant.owned || foreign) tensors.push({ name, tensor: constant.parameter('as it is') });
      else
        tensors.push({ name, tensor: constant.parameter('as it is'), path: this.#paths.claim(fitPath(constant.name)) });
    }
    return tensors;
  }

  // —— checking ——

  /** The nodes that the outputs need, each after those it reads from; in the file's order where that is one. */
  #inOrder(nodes: readonly OnnxNode[], initializers: ReadonlyMap<string, TensorProto>): OnnxNode[] {
    const makers = new Map<string, OnnxNode | null>();
    for (const { name } of this.#inputs) {
      if (makers.has(name)) throw new FormatError(`onnx: the input '${name}' stands twice`);
      makers.set(name, null);
    }
    for (const name of initializers.keys()) makers.set(name, null);
    for (const node of nodes) {
      for (const name of node.outputs) {
        if (name === '') continue;
        if (makers.has(name)) throw node.fail(`it makes the value '${name}', which something else makes too`);
        makers.set(name, node);
      }
      if (node.outputs.length === 0) throw node.fail('it has no outputs');
    }
    for (const name of makers.keys()) this.#values.add(name);
    const order = this.#reachable(makers);
    const needed = new Set(order);
    const done = new Set<OnnxNode>();
    const fileOrder = nodes.filter((node) => needed.has(node));
    const sorted = fileOrder.every((node) => {
      done.add(node);
      return readsOf(node).every((name) => !makers.get(name) || done.has(makers.get(name)!));
    });
    return sorted ? fileOrder : order;
  }

  #reachable(makers: ReadonlyMap<string, OnnxNode | null>): OnnxNode[] {
    const order: OnnxNode[] = [];
    const state = new Map<OnnxNode, 'open' | 'done'>();
    const stack: { node: OnnxNode; reads: readonly string[]; next: number }[] = [];
    const enter = (name: string, reader: OnnxNode | null) => {
      const maker = makers.get(name);
      if (maker === undefined) {
        this.#readOutside(name, reader);
        return;
      }
      if (maker === null || state.get(maker) === 'done') return;
      if (state.get(maker) === 'open')
        throw maker.fail(`its result '${name}' depends on itself: the graph has a cycle`);
      state.set(maker, 'open');
      stack.push({ node: maker, reads: readsOf(maker), next: 0 });
    };
    for (const output of this.outputs) {
      enter(output, null);
      while (stack.length > 0) {
        const top = stack.at(-1)!;
        if (top.next < top.reads.length) {
          enter(top.reads[top.next++], top.node);
        } else {
          stack.pop();
          state.set(top.node, 'done');
          order.push(top.node);
        }
      }
    }
    return order;
  }

  /** A value that this graph does not make: one of the graph around it, or an error. */
  #readOutside(name: string, reader: OnnxNode | null): void {
    if (this.around === null || !this.around.has(name)) {
      if (reader === null) throw new FormatError(`onnx: nothing makes the output '${name}'`);
      throw reader.fail(`it reads the value '${name}', which nothing makes`);
    }
    if (this.around.#constant(name) === undefined) this.#outside.add(name);
  }

  private has(name: string): boolean {
    return this.#values.has(name) || (this.around?.has(name) ?? false);
  }
}

/** Values a node reads, with those that graphs inside it read from around it. */
function readsOf(node: OnnxNode): string[] {
  const inside = [...node.facts.attributes.values()].flatMap((a) => (a.g === undefined ? [] : freeNames(a.g)));
  return [...node.inputs, ...inside].filter((name) => name !== '');
}

function freeNames(graph: GraphProto): string[] {
  const made = new Set([...graph.input, ...graph.initializer].map(({ name }) => name));
  for (const node of graph.node) for (const name of node.output) made.add(name);
  const read = graph.node.flatMap((node) => [
    ...node.input,
    ...node.attribute.flatMap((a) => (a.g === undefined ? [] : freeNames(a.g))),
  ]);
  return [...read, ...graph.output.map(({ name }) => name)].filter((name) => !made.has(name));
}

function fail(at: Message, problem: string): FormatError {
  return new FormatError(`onnx: ${problem}`, offsetOf(at));
}

/** Operators that are missing from the table, all at once. */
function refuseUnknown(nodes: readonly OnnxNode[]): void {
  const unknown = nodes.filter(
    ({ facts }) => facts.domain !== '' || !(operators.has(facts.op) || builtIn.has(facts.op)),
  );
  if (unknown.length === 0) return;
  const lines = unknown.slice(0, 20).map(({ facts }) => {
    const reason = facts.domain === '' ? refusals[facts.op] : undefined;
    return `  ${describeNode(facts)} of operator set ${facts.version || 'unknown'}${reason === undefined ? '' : `: ${reason}`}`;
  });
  if (unknown.length > lines.length) lines.push(`  and ${unknown.length - lines.length} more`);
  throw new FormatError(`onnx: fovea does not know these operators:\n${lines.join('\n')}`, unknown[0].facts.offset);
}

const builtIn = new Set(['Identity', 'Constant']);

const floatTypes: readonly number[] = [DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16];

/** Float initializers that have a name of their own were parameters; tables and masks are known by theirs. */
function looksTrained(tensor: TensorProto): boolean {
  const { name } = tensor;
  if (!floatTypes.includes(tensor.dataType) || isGenerated(name)) return false;
  if (/(^|[._])(\w*mask|\w*index|anchors?|\w*mean|\w*var|std|num_batches_tracked|inv_freq)$/.test(name)) return false;
  return name.includes('.') || tensorShape(tensor).some((n) => n > 1);
}

/** An initializer's numbers; int64 saturates to int32, since its largest value means "to the end". */
function knownTensor(tensor: TensorProto, external: ExternalData | undefined): Known {
  const wide: readonly number[] = [DataType.INT64, DataType.UINT64, DataType.UINT32];
  if (wide.includes(tensor.dataType)) {
    return new Known(Int32Array.from(tensorIntegers(tensor, external), toInt32), tensorShape(tensor), 'int32');
  }
  const { data, shape, dtype } = tensorValue(tensor, external);
  return new Known(data, shape, dtype);
}

function constantValue(node: OnnxNode, external: ExternalData | undefined): Known {
  const tensor = node.tensor('value');
  if (tensor !== undefined) return knownTensor(tensor, external);
  const ints = node.has('value_int') ? [node.int('value_int', 0)] : node.ints('value_ints');
  if (ints !== undefined) {
    return new Known(Int32Array.from(ints, toInt32), node.has('value_int') ? [] : [ints.length], 'int32');
  }
  const floats = node.has('value_float') ? [node.float('value_float', 0)] : node.floats('value_floats');
  if (floats === undefined) throw node.fail('it holds no numbers: texts and sparse tensors are not supported');
  return new Known(Float32Array.from(floats), node.has('value_float') ? [] : [floats.length], 'float32');
}

function parameterOf(known: Known, transposed: boolean): Parameter {
  const { shape } = known;
  const values = known.values as Float32Array;
  if (!transposed) return new Parameter(new Storage(shape, 'float32', values, true));
  const [rows, columns] = shape;
  const turned = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = values[r * columns + c];
  return new Parameter(new Storage([columns, rows], 'float32', turned, true));
}

/** Options that a layer or function refuses are the file's fault here. */
function inNode<T>(node: OnnxNode, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof ConfigError || error instanceof ShapeError || error instanceof RangeError)
      throw node.fail(error.message);
    throw error;
  }
}

/** Once the network is built, what does not fit is the caller's input. */
function atRun(compute: Compute): Compute {
  return (...inputs) => {
    try {
      return compute(...inputs);
    } catch (error) {
      if (error instanceof FormatError) throw new ShapeError(error.message);
      throw error;
    }
  };
}

const keepRank = new Set(
  `Relu LeakyRelu Elu Celu Selu Sigmoid Tanh Softplus Softsign Mish HardSwish HardSigmoid Gelu Swish PRelu Clip Dropout Softmax LogSoftmax
  BatchNormalization InstanceNormalization LayerNormalization GroupNormalization LRN LpNormalization MaxPool AveragePool LpPool GlobalAveragePool
  GlobalMaxPool Resize Upsample Pad Slice Concat Split Neg Abs Sqrt Exp Log Erf Floor Ceil Cast Conv ConvTranspose DepthToSpace SpaceToDepth
  QuantizeLinear DequantizeLinear Tile MatMul CumSum Trilu Reciprocal ThresholdedRelu Shrink Hardmax`.split(/\s+/),
);
const meetRanks = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Sum', 'Mean', 'Where']);

/** How many axes a node's result has, where that is plain: layers are chosen by it. */
function inferRank(node: OnnxNode, ranks: Map<string, number>, graph: GraphContext): void {
  const rank = rankOf(node, graph);
  if (rank !== null) for (const name of node.outputs) if (!ranks.has(name)) ranks.set(name, rank);
}

function rankOf(node: OnnxNode, graph: GraphContext): number | null {
  if (node.op === 'Conv' || node.op === 'ConvTranspose')
    return graph.rank(node.inputs[1] ?? '') ?? graph.rank(node.inputs[0]);
  if (keepRank.has(node.op)) return graph.rank(node.inputs[0] ?? '');
  if (meetRanks.has(node.op)) {
    const all = node.inputs.map((name) => graph.rank(name));
    return all.includes(null) ? null : Math.max(...(all as number[]));
  }
  if (node.op === 'Gemm' || node.op === 'Flatten') return 2;
  if (node.op === 'Reshape') return graph.constant(node.input(1))?.size ?? null;
  if (node.op === 'Transpose') return node.ints('perm')?.length ?? null;
  return null;
}

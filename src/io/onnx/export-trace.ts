/**
 * What a model computes, as the exporter sees it: the graph that one forward in evaluation mode records, which module made which value, and
 * which sizes follow the batch. To learn the latter the model is run twice, lazily, with batches of 2 and 3, and both graphs are walked side
 * by side: what is equal in both does not depend on the batch, what grows 2 : 3 is a multiple of it.
 */

import { attrsKey } from '../../graph/key.js';
import type { AnyOp, Node } from '../../graph/node.js';
import { leafStorage } from '../../graph/stale.js';
import { Storage } from '../../graph/storage.js';
import { topological } from '../../graph/traverse.js';
import { inEvalMode, type Module } from '../../nn/module.js';
import { buffer, bufferOp, uniformValue } from '../../ops/source.js';
import { Tensor } from '../../tensor/index.js';
import type { DType } from '../../util/dtype.js';
import { ConfigError } from '../../util/errors.js';
import { formatShape, type Shape } from '../../util/shape.js';

/** A size: `count`, or `count` times the batch. */
export interface Dim {
  readonly count: number;
  readonly perBatch: boolean;
}
export type Dims = readonly Dim[];

/** The call that made a value. */
export interface ModuleCall {
  readonly module: Module;
  readonly path: string;
  readonly input: Node;
}

export interface TraceOptions {
  /** Of each input, without the batch. */
  readonly inputs: readonly Shape[];
  readonly dtype: DType;
  /** null leaves it open. */
  readonly batch: number | null;
}

export interface NamedNode {
  readonly name: string;
  readonly node: Node;
}

export class Trace {
  readonly inputs: readonly Node[];
  readonly outputs: readonly NamedNode[];
  /** Every node that the outputs need, inputs before users. */
  readonly order: readonly Node[];
  readonly #calls: ReadonlyMap<Node, ModuleCall>;
  /** The same node for the other batch; the node itself where there is one run only. */
  readonly #twins = new Map<Node, Node>();
  readonly #dims = new Map<Node, Dims>();
  readonly #fixed = new Set<Node>();
  readonly #uses = new Map<Node, number>();

  /** Runs `model` lazily. @throws {ConfigError} where the batch cannot be left open, with the layer's path. */
  constructor(model: Module, options: TraceOptions) {
    const first = run(model, options, options.batch ?? 2);
    const second = options.batch === null ? run(model, options, 3) : first;
    this.inputs = first.inputs;
    this.outputs = first.outputs;
    this.#calls = first.calls;
    const roots = first.outputs.map((output) => output.node);
    this.order = topological(roots, isLeaf);
    this.#pair(roots, second.outputs.map((output) => output.node)); // biome-ignore format: one thought
    for (const node of this.order) {
      if (!isLeaf(node)) for (const input of node.inputs) this.#use(input);
      if (this.#isFixed(node)) this.#fixed.add(node);
    }
    roots.forEach((root) => void this.#use(root));
  }

  callOf(node: Node): ModuleCall | undefined {
    return this.#calls.get(node);
  }

  /** How many operations and outputs read it. */
  uses(node: Node): number {
    return this.#uses.get(node) ?? 0;
  }

  /** Whether its value is the same whatever the inputs and the batch are. */
  isFixed(node: Node): boolean {
    return this.#fixed.has(node);
  }

  /** Counts a node that the exporter made of fixed ones among them. */
  fix(node: Node): Node {
    this.#fixed.add(node);
    return node;
  }

  /** The number in every element, if it is one and the same for every batch. */
  literal(node: Node): number | null {
    const value = uniformValue(node);
    const twin = this.twin(node);
    return value !== null && Object.is(uniformValue(twin), value) ? value : null;
  }

  twin(node: Node): Node {
    return this.#twins.get(node) ?? node;
  }

  dims(node: Node): Dims {
    let dims = this.#dims.get(node);
    if (dims === undefined) {
      dims = dimsOf(node.shape, this.twin(node).shape, () => place(node));
      this.#dims.set(node, dims);
    }
    return dims;
  }

  #use(node: Node): void {
    this.#uses.set(node, this.uses(node) + 1);
  }

  #pair(roots: readonly Node[], twins: readonly Node[]): void {
    const pairs = roots.map((root, i) => [root, twins[i]] as const);
    for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
      const [a, b] = pair;
      if (a === b || this.#twins.get(a) === b) continue;
      const other = this.#twins.get(a);
      const alike = a.op === b.op && a.dtype === b.dtype && a.inputs.length === b.inputs.length;
      if (!alike || other !== undefined || a.shape.length !== b.shape.length) {
        const what = alike ? a.op.name : `${a.op.name} for one batch and ${b.op.name} for another`;
        throw batchError(`the operations themselves depend on the batch size (${what})`, place(a));
      }
      this.#twins.set(a, b);
      if (!isLeaf(a)) a.inputs.forEach((input, i) => void pairs.push([input, b.inputs[i]]));
    }
  }

  /** Called for inputs before users. */
  #isFixed(node: Node): boolean {
    const twin = this.twin(node);
    if (this.inputs.includes(node)) return false;
    if (node === twin && isLeaf(node)) return true;
    if (isLeaf(node)) return node.op === (bufferOp as AnyOp) && sameValue(node, twin);
    if (node.op.facts.impure || node.op.facts.source) return false;
    return attrsKey(node.attrs) === attrsKey(twin.attrs) && node.inputs.every((input) => this.#fixed.has(input));
  }
}

/** Whether the value lies there already: weights, tables, and what has been computed before. */
export function isLeaf(node: Node): boolean {
  return leafStorage(node) !== null;
}

export function fixedDims(shape: Shape): Dims {
  return shape.map((count) => ({ count, perBatch: false }));
}

export function sameDims(a: Dims, b: Dims): boolean {
  return a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]));
}

export function sameDim(a: Dim, b: Dim): boolean {
  return a.count === b.count && a.perBatch === b.perBatch;
}

/** The shape that two broadcast to, or null. */
export function broadcastDims(a: Dims, b: Dims): Dims | null {
  const out: Dim[] = [];
  for (let i = Math.max(a.length, b.length); i > 0; i--) {
    const [x, y] = [a.at(-i) ?? one, b.at(-i) ?? one];
    if (isOne(x)) out.push(y);
    else if (isOne(y) || sameDim(x, y)) out.push(x);
    else return null;
  }
  return out;
}

export function isOne(dim: Dim): boolean {
  return dim.count === 1 && !dim.perBatch;
}

const one: Dim = { count: 1, perBatch: false };

/** `problem` completes "cannot leave the batch size open: …". */
export function batchError(problem: string, where: string): ConfigError {
  return new ConfigError(
    `exportOnnx: cannot leave the batch size open: ${problem}${where}.\n  Pass a fixed one, e.g. { batch: 1 } (on the command line --batch 1).`,
  );
}

/** ` (in layer1.0.conv1)` or nothing. */
export function place(node: Node): string {
  return node.scope === null || node.scope === '' ? '' : ` (in ${node.scope})`;
}

function dimsOf(shape: Shape, other: Shape, where: () => string): Dims {
  return shape.map((n, i) => {
    const m = other[i];
    if (n === m) return { count: n, perBatch: false };
    if (n * 3 === m * 2) return { count: n / 2, perBatch: true };
    throw batchError(
      `a size is ${n} for a batch of 2 and ${m} for a batch of 3: axis ${i} of ${formatShape(shape)}`,
      where(),
    );
  });
}

function sameValue(a: Node, b: Node): boolean {
  const [x, y] = [leafStorage(a)!.host, leafStorage(b)!.host];
  if (x === null || y === null || x.length !== y.length) return false;
  for (let i = 0; i < x.length; i++) if (!Object.is(x[i], y[i])) return false;
  return true;
}

interface Run {
  readonly inputs: readonly Node[];
  readonly outputs: readonly NamedNode[];
  readonly calls: ReadonlyMap<Node, ModuleCall>;
}

function run(model: Module, { inputs: shapes, dtype }: TraceOptions, batch: number): Run {
  // Reads of a storage without a value: not a constant, which would be folded, and nothing is ever computed from it.
  const inputs = shapes.map((shape) => new Tensor(buffer(new Storage([batch, ...shape], dtype, null))));
  const calls = new Map<Node, ModuleCall>();
  const output = inEvalMode(model, () => {
    const handles = Array.from(model.namedModules(), ([path, module]) =>
      module.registerForwardHook((m, [x], y) => {
        if (!(x instanceof Tensor && y instanceof Tensor) || x.current === y.current || calls.has(y.current)) return;
        calls.set(y.current, { module: m, path, input: x.current });
      }),
    );
    try {
      return model.forward(...inputs);
    } finally {
      for (const handle of handles) handle.remove();
    }
  });
  const outputs = namedTensors(output, 'output');
  if (outputs.length === 0)
    throw new ConfigError(`exportOnnx: ${model.constructor.name} gives no tensors in evaluation`);
  return { inputs: inputs.map((x) => x.current), outputs, calls };
}

/** The tensors of an output: `output`; of a record under its keys; of a list `output_0`, `output_1`, … */
function namedTensors(value: unknown, name: string): NamedNode[] {
  if (value instanceof Tensor) return [{ name, node: value.current }];
  if (value === null || typeof value !== 'object') return [];
  const list = Array.isArray(value);
  return Object.entries(value).flatMap(([key, entry]) =>
    namedTensors(entry, list ? `${name}_${key}` : name === 'output' ? key : `${name}.${key}`),
  );
}

/**
 * Walks a recorded graph and writes it as ONNX. A rule looks at a node and says which earlier values it needs and which ONNX nodes make the
 * value of them; so one rule may stand for many primitives (a whole layer norm), and what lies inside is never visited unless others read it.
 * Values that depend on weights alone are computed once and stored, but for weights that are only moved, which stay as they are.
 */

import { type AnyOp, type Node, withScope } from '../../graph/node.js';
import { leafStorage } from '../../graph/stale.js';
import type { Storage } from '../../graph/storage.js';
import { gatherOp } from '../../ops/indexing.js';
import { expandOp, permuteOp, reshapeOp, sliceOp } from '../../ops/movement.js';
import { constant, uniformValue } from '../../ops/source.js';
import { ConfigError } from '../../util/errors.js';
import { numel } from '../../util/shape.js';
import type { Attribute, OnnxGraph, ValueType } from './export-graph.js';
import { broadcastDims, type Dims, fixedDims, place, sameDims, type Trace } from './export-trace.js';

/** How a value comes about. */
export interface Match {
  /** The values it is made of. */
  readonly operands: readonly Node[];
  /** It is this value itself. */
  readonly same?: Node;
  /** The module that its nodes belong to; left out, the one that recorded the value. */
  readonly scope?: string | null;
  /** Writes the nodes that make it, given the operands' names, and returns its name. */
  emit(e: Emission, names: readonly string[]): string;
}

/** What rules may ask. */
export interface RuleContext {
  readonly trace: Trace;
  readonly opset: number;
  readonly foldBatchNorm: boolean;
  /** A fixed value to be stored under a name like that of the weight which `like` is. */
  named(node: Node, like: Node): Node;
  /** The same with another last part: `conv1.weight` → `conv1.bias`. */
  renamed(node: Node, like: Node, part: string): Node;
}

/** null: not mine. */
export type Rule = (node: Node, context: RuleContext) => Match | null;

/** What a rule writes its nodes with. */
export interface Emission {
  readonly graph: OnnxGraph;
  readonly opset: number;
  /** The node that makes the value. */
  result(opType: string, inputs: readonly string[], attributes?: Attributes): string;
  /** A node on the way there. */
  step(opType: string, inputs: readonly string[], attributes: Attributes, type: ValueType): string;
  /** Several outputs on the way there. */
  steps(opType: string, inputs: readonly string[], attributes: Attributes, types: readonly ValueType[]): string[];
  /** `dims` as an int64 tensor, computed from an input where the batch is open. */
  sizes(dims: Dims): string;
}

export type Attributes = Readonly<Record<string, Attribute>>;

/** A fixed value and the name of the initializer that holds it. */
export interface StoredNode {
  readonly name: string;
  readonly node: Node;
}

export interface EmitterOptions {
  readonly trace: Trace;
  readonly graph: OnnxGraph;
  readonly opset: number;
  readonly foldBatchNorm: boolean;
  /** The weights' paths by where they lie. */
  readonly paths: ReadonlyMap<Storage, string>;
  readonly rules: readonly Rule[];
}

export class Emitter implements RuleContext {
  readonly trace: Trace;
  readonly opset: number;
  readonly foldBatchNorm: boolean;
  readonly #graph: OnnxGraph;
  readonly #paths: ReadonlyMap<Storage, string>;
  readonly #rules: readonly Rule[];
  readonly #names = new Map<Node, string>();
  readonly #literals = new Map<string, Node>();
  readonly #wanted = new Map<Node, string>();
  readonly #results = new Map<Node, string>();
  #batch: string | null = null;
  /** Fixed values that initializers hold. */
  readonly stored: StoredNode[] = [];

  constructor({ trace, graph, opset, foldBatchNorm, paths, rules }: EmitterOptions) {
    this.trace = trace;
    this.opset = opset;
    this.foldBatchNorm = foldBatchNorm;
    this.#graph = graph;
    this.#paths = paths;
    this.#rules = rules;
  }

  /** Writes everything that the outputs need. */
  run(inputNames: readonly string[]): void {
    const { inputs, outputs } = this.trace;
    inputs.forEach((node, i) => {
      const type = { dtype: node.dtype, dims: this.trace.dims(node) };
      this.#names.set(node, this.#graph.input(inputNames[i], type));
    });
    for (const { node, name } of outputs)
      if (this.#isWritten(node) && !this.#results.has(node)) this.#results.set(node, name);
    for (const { node, name } of outputs) {
      this.#write(node);
      const type = { dtype: node.dtype, dims: this.trace.dims(node) };
      const made = this.#name(node);
      if (made !== name) this.#graph.node('Identity', [made], { scope: null, outputs: [type], name });
      this.#graph.output(name, type);
    }
  }

  named(node: Node, like: Node): Node {
    return this.#want(node, this.#pathOf(like));
  }

  renamed(node: Node, like: Node, part: string): Node {
    return this.#want(node, this.#pathOf(like)?.replace(/[^.]*$/, part));
  }

  #want(node: Node, name: string | undefined): Node {
    if (name !== undefined) this.#wanted.set(node, name);
    return node;
  }

  #pathOf(node: Node): string | undefined {
    const storage = leafStorage(node);
    return storage === null ? undefined : this.#paths.get(storage);
  }

  /** Whether nodes must be written for it: it is not stored. */
  #isWritten(node: Node): boolean {
    return !this.#names.has(node) && (!this.trace.isFixed(node) || this.#isMovedWeight(node));
  }

  /** A weight under another shape, in another order, or parts of one: it stays whole and under its own name, to be found and trained. */
  #isMovedWeight(node: Node): boolean {
    const movement = [reshapeOp, permuteOp, sliceOp, expandOp, gatherOp] as readonly AnyOp[];
    let at = node;
    while (leafStorage(at) === null && movement.includes(at.op)) at = at.inputs[0];
    return at !== node && this.#pathOf(at) !== undefined;
  }

  /** Depth first without recursion: a deep network is a long chain. */
  #write(root: Node): void {
    const path: { node: Node; match: Match; next: number }[] = [];
    const enter = (node: Node) => {
      if (!this.#isWritten(node)) return;
      const match = this.#match(node);
      const result = this.#results.get(node);
      if (
        result !== undefined &&
        match.same !== undefined &&
        this.#isWritten(match.same) &&
        !this.#results.has(match.same)
      ) {
        this.#results.set(match.same, result);
      }
      path.push({ node, match, next: 0 });
    };
    enter(root);
    while (path.length > 0) {
      const top = path[path.length - 1];
      if (top.next < top.match.operands.length) {
        enter(top.match.operands[top.next++]);
        continue;
      }
      path.pop();
      if (this.#names.has(top.node)) continue;
      const { node, match } = top;
      this.#names.set(node, match.emit(this.#emission(node, match.scope ?? node.scope), match.operands.map((operand) => this.#name(operand)))); // biome-ignore format: one thought
    }
  }

  #match(node: Node): Match {
    // Nodes that a rule makes, such as a weight of another shape, belong to the same module.
    return withScope(node.scope, () => {
      for (const rule of this.#rules) {
        const match = rule(node, this);
        if (match !== null) return { ...match, operands: match.operands.map((operand) => this.#literal(operand)) };
      }
      throw unsupported(node);
    });
  }

  /** Numbers without axes are one node each. */
  #literal(node: Node): Node {
    const value = uniformValue(node);
    if (value === null || node.shape.length > 0) return node;
    const key = `${node.dtype} ${value}`;
    const known = this.#literals.get(key) ?? this.trace.fix(node);
    this.#literals.set(key, known);
    return known;
  }

  #name(node: Node): string {
    let name = this.#names.get(node);
    if (name === undefined) {
      name = this.#store(node);
      this.#names.set(node, name);
    }
    return name;
  }

  #store(node: Node): string {
    const value = uniformValue(node);
    if (value !== null && node.shape.length === 0) return this.#graph.scalar(value, node.dtype);
    const scope = node.scope === null || node.scope === '' ? '' : `/${node.scope.replaceAll('.', '/')}`;
    const name = this.#graph.initializer(this.#wanted.get(node) ?? this.#pathOf(node) ?? `${scope}/constant`);
    this.stored.push({ name, node });
    return name;
  }

  #emission(node: Node, scope: string | null): Emission {
    const { opset, trace } = this;
    const graph = this.#graph;
    const steps: Emission['steps'] = (opType, inputs, attributes, outputs) =>
      graph.node(opType, inputs, { attributes, scope, outputs });
    return {
      graph,
      opset,
      steps,
      step: (opType, inputs, attributes, type) => steps(opType, inputs, attributes, [type])[0],
      result: (opType, inputs, attributes) => {
        const type = { dtype: node.dtype, dims: trace.dims(node) };
        return graph.node(opType, inputs, { attributes, scope, outputs: [type], name: this.#results.get(node) })[0];
      },
      sizes: (dims) => this.#sizes(dims, scope),
    };
  }

  #sizes(dims: Dims, scope: string | null): string {
    if (dims.every((dim) => !dim.perBatch)) return this.#graph.ints(dims.map((dim) => dim.count));
    const vector = (length: number): ValueType => ({ dtype: 'int64', dims: fixedDims([length]) });
    const parts = dims.map(({ count, perBatch }) => {
      if (!perBatch) return this.#graph.ints([count]);
      if (count === 1) return this.#batchSize();
      return this.#graph.node('Mul', [this.#batchSize(), this.#graph.ints([count])], {
        scope,
        outputs: [vector(1)],
      })[0];
    });
    if (parts.length === 1) return parts[0];
    return this.#graph.node('Concat', parts, {
      scope,
      attributes: { axis: { i: 0 } },
      outputs: [vector(parts.length)],
    })[0];
  }

  /** [N]: the batch, read off the first input. */
  #batchSize(): string {
    if (this.#batch === null) {
      const input = this.#names.get(this.trace.inputs[0])!;
      const attributes = { start: { i: 0 }, end: { i: 1 } };
      const outputs = [{ dtype: 'int64', dims: fixedDims([1]) } as const];
      [this.#batch] = this.#graph.node('Shape', [input], { scope: null, attributes, outputs });
    }
    return this.#batch;
  }
}

/** A match that is another value. */
export function alias(node: Node): Match {
  return { operands: [node], same: node, emit: (_, [name]) => name };
}

/** A match of one ONNX node. */
export function single(opType: string, operands: readonly Node[], attributes?: Attributes): Match {
  return { operands, emit: (e, names) => e.result(opType, names, attributes) };
}

/**
 * `inputs` of an operation that broadcasts, without what only repeats them to the shape of `node`: ONNX repeats by itself. Where too much would
 * be taken off, as where all are repeated, they stay.
 */
export function broadcastOperands(node: Node, { trace }: RuleContext, inputs: readonly Node[] = node.inputs): Node[] {
  const bare = inputs.map((input) => unrepeated(input, trace));
  const fits = (operands: readonly Node[]) => {
    const dims = operands.reduce<Dims | null>((all, operand) => all && broadcastDims(all, trace.dims(operand)), []);
    return dims !== null && sameDims(dims, trace.dims(node));
  };
  if (fits(bare)) return bare;
  for (const [i, input] of inputs.entries()) {
    const some = bare.with(i, input);
    if (fits(some)) return some;
  }
  return [...inputs];
}

/** What is repeated, without axes of size 1 in front; a number without axes where all elements are one. */
export function unrepeated(node: Node, trace: Trace): Node {
  const literal = trace.literal(node);
  if (literal !== null) return constant(literal, [], node.dtype);
  let at = node;
  while (at.op === (expandOp as AnyOp)) [at] = at.inputs;
  while (at.op === (reshapeOp as AnyOp) && onlyAddsAxesInFront(at)) [at] = at.inputs;
  return at === node ? node : unrepeated(at, trace);
}

function onlyAddsAxesInFront({ shape, inputs: [x] }: Node): boolean {
  const added = shape.length - x.shape.length;
  return added > 0 && numel(shape.slice(0, added)) === 1 && x.shape.every((n, i) => n === shape[added + i]);
}

function unsupported(node: Node): ConfigError {
  return new ConfigError(
    `exportOnnx: the operation '${node.op.name}' has no counterpart in ONNX${place(node)}. ` +
      'It belongs to training, or draws random numbers: leave it out in evaluation.',
  );
}
